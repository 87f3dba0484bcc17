//! Keys in a directory of PEM files.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::{Entry, Error, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, PrivateKey, Unavailable};

/// A directory's keys and certificates.
#[derive(Debug)]
pub struct FileStore(());

impl FileStore {
    /// Opens the directory, making it with mode 0700 where it is not there.
    ///
    /// # Errors
    ///
    /// `File`, `Exposed`, `ForeignOwner`.
    pub fn open(_directory: &Path, _metrics: KeyStoreMetrics) -> Result<Self, Error> {
        Err(Unavailable::Closed.into())
    }
}

impl KeyStore for FileStore {
    fn get_private_key(&self, _id: &KeyId) -> Result<Arc<dyn PrivateKey>, Error> {
        Err(Unavailable::Closed.into())
    }
    fn import_private_key(
        &self,
        _id: &KeyId,
        _pkcs8_der: Zeroizing<Vec<u8>>,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        Err(Unavailable::Closed.into())
    }
    fn generate_private_key(
        &self,
        _id: &KeyId,
        _algorithm: KeyAlgorithm,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        Err(Unavailable::Closed.into())
    }
    fn get_certificate(&self, _id: &KeyId) -> Result<Vec<u8>, Error> {
        Err(Unavailable::Closed.into())
    }
    fn import_certificate(&self, _id: &KeyId, _certificate_der: &[u8]) -> Result<(), Error> {
        Err(Unavailable::Closed.into())
    }
    fn list(&self) -> Result<Vec<Entry>, Error> {
        Err(Unavailable::Closed.into())
    }
    fn fill_random(&self, _bytes: &mut [u8]) -> Result<(), Error> {
        Err(Unavailable::Closed.into())
    }
    fn ready(&self) -> Result<(), Unavailable> {
        Err(Unavailable::Closed)
    }
    fn describe(&self) -> String {
        String::new()
    }
}
