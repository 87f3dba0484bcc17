//! Keys on PKCS#11 tokens.

mod config;
mod pin;
mod uri;

use std::sync::Arc;

use zeroize::Zeroizing;

pub use config::Pkcs11Config;
pub use pin::{AskPin, NoPrompt, PinError, PinSource};
pub use uri::{TokenPattern, TokenUri, UriError};

use crate::{Entry, Error, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, PrivateKey, Unavailable};

/// The modules loaded in this process; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Modules(());

/// A token's keys and certificates.
#[derive(Debug)]
pub struct Pkcs11Store(());

impl Pkcs11Store {
    /// Loads the module, finds the token, logs in and starts the lanes.
    ///
    /// # Errors
    ///
    /// `Configuration`, `Module`, `Pin`, `Unavailable`.
    pub fn open(
        config: &Pkcs11Config,
        _modules: &Modules,
        _prompt: &dyn AskPin,
        _metrics: KeyStoreMetrics,
    ) -> Result<Self, Error> {
        config.check()?;
        Err(Unavailable::Closed.into())
    }
}

impl KeyStore for Pkcs11Store {
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
