//! A keystore of files whose signatures are counted, and that can be away.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hsm_keystore::{
    Entry, Error, FileStore, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, PendingSignature,
    PrivateKey, Provenance, SignJob, Unavailable,
};
use zeroize::Zeroizing;

/// How keys of the store answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// They sign.
    Works,
    /// Every key fails so.
    Away,
    /// The key of this name fails, the others sign.
    AwayFor(&'static str),
}

/// The store.
pub(crate) struct TestKeyStore {
    /// Where the keys are.
    files: FileStore,
    /// What tests see and say.
    shared: Arc<Shared>,
}

/// What tests see and say.
#[derive(Debug)]
struct Shared {
    /// How keys answer.
    token: Mutex<Token>,
    /// Signatures asked for and made.
    signatures: AtomicUsize,
}

impl fmt::Debug for TestKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestKeyStore")
    }
}

impl TestKeyStore {
    /// Opens a directory.
    pub(crate) fn open(directory: &Path) -> Arc<Self> {
        Arc::new(Self {
            files: FileStore::open(directory, KeyStoreMetrics::default()).unwrap(),
            shared: Arc::new(Shared {
                token: Mutex::new(Token::Works),
                signatures: AtomicUsize::new(0),
            }),
        })
    }

    /// Says how keys answer from now on.
    pub(crate) fn set(&self, token: Token) {
        *self.shared.token.lock().unwrap() = token;
    }

    /// Counts the signatures that were made.
    pub(crate) fn signatures(&self) -> usize {
        self.shared.signatures.load(Ordering::SeqCst)
    }

    /// Wraps a key.
    fn wrap(&self, key: Arc<dyn PrivateKey>) -> Arc<dyn PrivateKey> {
        Arc::new(TestPrivateKey {
            key,
            shared: Arc::clone(&self.shared),
        })
    }
}

impl KeyStore for TestKeyStore {
    fn get_private_key(&self, id: &KeyId) -> Result<Arc<dyn PrivateKey>, Error> {
        self.files.get_private_key(id).map(|key| self.wrap(key))
    }

    fn import_private_key(
        &self,
        id: &KeyId,
        pkcs8_der: Zeroizing<Vec<u8>>,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        let imported = self.files.import_private_key(id, pkcs8_der);
        imported.map(|key| self.wrap(key))
    }

    fn generate_private_key(
        &self,
        id: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        let generated = self.files.generate_private_key(id, algorithm);
        generated.map(|key| self.wrap(key))
    }

    fn get_certificate(&self, id: &KeyId) -> Result<Vec<u8>, Error> {
        self.files.get_certificate(id)
    }

    fn import_certificate(&self, id: &KeyId, certificate_der: &[u8]) -> Result<(), Error> {
        self.files.import_certificate(id, certificate_der)
    }

    fn list(&self) -> Result<Vec<Entry>, Error> {
        self.files.list()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        self.files.fill_random(bytes)
    }

    fn ready(&self) -> Result<(), Unavailable> {
        self.files.ready()
    }

    fn describe(&self) -> String {
        self.files.describe()
    }
}

/// A key that is counted.
#[derive(Debug)]
struct TestPrivateKey {
    /// The key.
    key: Arc<dyn PrivateKey>,
    /// What tests see and say.
    shared: Arc<Shared>,
}

impl PrivateKey for TestPrivateKey {
    fn id(&self) -> &KeyId {
        self.key.id()
    }

    fn algorithm(&self) -> KeyAlgorithm {
        self.key.algorithm()
    }

    fn public_key_der(&self) -> &[u8] {
        self.key.public_key_der()
    }

    fn sign(&self, job: SignJob) -> PendingSignature {
        let name = self.key.id().as_str();
        let token = self.shared.token.lock().unwrap().clone();
        match token {
            Token::Away => PendingSignature::settled(Err(away())),
            Token::AwayFor(key) if key == name => PendingSignature::settled(Err(away())),
            Token::Works | Token::AwayFor(_) => {
                self.shared.signatures.fetch_add(1, Ordering::SeqCst);
                self.key.sign(job)
            }
        }
    }

    fn provenance(&self) -> Provenance {
        self.key.provenance()
    }
}

/// Says that the token is away.
fn away() -> Error {
    Error::Unavailable(Unavailable::Closed)
}
