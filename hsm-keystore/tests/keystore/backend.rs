//! Stores to test, each thrown away with its test.

use std::path::Path;
use std::time::{Duration, Instant};

use hsm_keystore::pkcs11::{NoPrompt, PinSource};
use hsm_keystore::{
    Error, FileStore, KeyAlgorithm, KeyStore, KeyStoreMetrics, Modules, Pkcs11Config, Pkcs11Store,
};
use softhsm_test::{FaultShim, Kryoptic, P11Kit, SoftHsm, Token};

/// A store and all that it stands on, dropped in this order.
pub(crate) struct Backend {
    /// The store.
    pub(crate) store: Box<dyn KeyStore>,
    /// What it counts.
    pub(crate) metrics: KeyStoreMetrics,
    /// An algorithm that does not pass: p11-kit's protocol has no words for Ed25519.
    pub(crate) lacks: Option<KeyAlgorithm>,
    /// What lies below.
    _below: Below,
}

/// What a store stands on; kept for its life alone.
#[expect(dead_code, reason = "kept so that it is dropped after the store")]
enum Below {
    /// A directory.
    Directory(tempfile::TempDir),
    /// A token.
    Token(Token),
    /// A token behind a fault shim.
    Shim(FaultShim, Token),
    /// A token in another process.
    Remote(P11Kit),
}

/// Configures a token through some module, its PIN in its file.
pub(crate) fn config(token: &Token, module: &Path) -> Pkcs11Config {
    Pkcs11Config {
        pin_source: Some(PinSource::File(token.pin_file().into())),
        sessions: Some(2),
        ..Pkcs11Config::by_label(module, token.label())
    }
}

/// Opens a store by a configuration.
pub(crate) fn open(config: &Pkcs11Config) -> Result<(Pkcs11Store, KeyStoreMetrics), Error> {
    let metrics = KeyStoreMetrics::default();
    let store = Pkcs11Store::open(config, &Modules::default(), &NoPrompt, metrics.clone())?;
    Ok((store, metrics))
}

/// Opens a store of files.
pub(crate) fn file() -> Backend {
    let directory = tempfile::tempdir().unwrap();
    let metrics = KeyStoreMetrics::default();
    Backend {
        store: Box::new(FileStore::open(&directory.path().join("keys"), metrics.clone()).unwrap()),
        metrics,
        lacks: None,
        _below: Below::Directory(directory),
    }
}

/// Opens a store on a token, named by its URI.
fn on_token(token: Token) -> Backend {
    let config = Pkcs11Config {
        uri: Some(token.uri().parse().unwrap()),
        sessions: Some(2),
        ..Pkcs11Config::default()
    };
    let (store, metrics) = open(&config).unwrap();
    Backend {
        store: Box::new(store),
        metrics,
        lacks: None,
        _below: Below::Token(token),
    }
}

/// Opens a store on SoftHSM.
pub(crate) fn softhsm() -> Backend {
    on_token(SoftHsm::token().unwrap())
}

/// Opens a store on kryoptic.
pub(crate) fn kryoptic() -> Backend {
    on_token(Kryoptic::token().unwrap())
}

/// Opens a store on SoftHSM behind a shim without faults.
pub(crate) fn shim() -> Backend {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let (store, metrics) = open(&config(&token, shim.module())).unwrap();
    Backend {
        store: Box::new(store),
        metrics,
        lacks: None,
        _below: Below::Shim(shim, token),
    }
}

/// Opens a store on SoftHSM in another process.
pub(crate) fn remote() -> Backend {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let (store, metrics) = open(&config(&token, remote.module())).unwrap();
    Backend {
        store: Box::new(store),
        metrics,
        lacks: Some(KeyAlgorithm::Ed25519),
        _below: Below::Remote(remote),
    }
}

/// Waits until something holds; panics with its name when it never does.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
