//! The configuration of a store of either kind.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::KeyStore;
use crate::error::Error;
use crate::file::FileStore;
use crate::metrics::KeyStoreMetrics;
use crate::pkcs11::{AskPin, Modules, Pkcs11Config, Pkcs11Store};

/// `[keystore]`: which backend keeps the private keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum KeyStoreConfig {
    /// A PKCS#11 token.
    Pkcs11(Box<Pkcs11Config>),
    /// A directory of PEM files.
    File(FileConfig),
}

/// `[keystore]` with `type = "file"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The directory of keys and certificates.
    #[serde(default = "FileConfig::default_key_dir")]
    pub key_dir: PathBuf,
}

impl FileConfig {
    /// Returns the directory used when none is configured.
    fn default_key_dir() -> PathBuf {
        PathBuf::from("keys")
    }
}

impl Default for FileConfig {
    fn default() -> Self {
        Self {
            key_dir: Self::default_key_dir(),
        }
    }
}

impl KeyStoreConfig {
    /// Checks the configuration without opening anything.
    ///
    /// # Errors
    ///
    /// `Configuration` tells what cannot work.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Pkcs11(config) => config.check(),
            Self::File(_) => Ok(()),
        }
    }

    /// Opens the store configured; blocks for as long as the token takes.
    ///
    /// # Errors
    ///
    /// As [`Pkcs11Store::open`] and [`FileStore::open`] tell.
    pub fn open(
        &self,
        modules: &Modules,
        prompt: &dyn AskPin,
        metrics: KeyStoreMetrics,
    ) -> Result<Arc<dyn KeyStore>, Error> {
        Ok(match self {
            Self::Pkcs11(config) => Arc::new(Pkcs11Store::open(config, modules, prompt, metrics)?),
            Self::File(config) => Arc::new(FileStore::open(&config.key_dir, metrics)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_unknown_keys_are_refused() {
        let read = |text: &str| toml::from_str::<KeyStoreConfig>(text);
        assert!(matches!(
            read("type = 'file'").unwrap(),
            KeyStoreConfig::File(FileConfig { key_dir }) if key_dir == *"keys"
        ));
        let token = read(
            "type = 'pkcs11'\nuri = 'pkcs11:token=ca?module-path=/m.so'\npin_source = 'env:PIN'",
        );
        token.unwrap().check().unwrap();
        assert!(read("type = 'file'\nkeydir = 'x'").is_err());
        assert!(read("type = 'pkcs11'\npin = '1234'").is_err());
        assert!(read("type = 'pkcs11'").unwrap().check().is_err());
    }
}
