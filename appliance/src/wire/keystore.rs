//! Opening the keystores of the configuration.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hsm_keystore::pkcs11::AskPin;
use hsm_keystore::{Error, KeyStore, KeyStoreConfig, KeyStoreMetrics, Modules, Unavailable};

use crate::config::Config;
use crate::failure::Failure;

/// The keystores of the configuration, opened when they are needed and once.
pub(crate) struct Keystores<'a> {
    /// Names and describes them.
    config: &'a Config,
    /// Modules that several of them may share.
    modules: Modules,
    /// Who is asked for PINs.
    prompt: &'a (dyn AskPin + Sync),
    /// Those that are open, by name.
    open: Mutex<BTreeMap<Option<String>, Arc<dyn KeyStore>>>,
}

impl<'a> Keystores<'a> {
    /// Opens none yet.
    pub(crate) fn new(config: &'a Config, prompt: &'a (dyn AskPin + Sync)) -> Self {
        Self {
            config,
            modules: Modules::default(),
            prompt,
            open: Mutex::default(),
        }
    }

    /// Opens the keystore called `name`, or the one of `[keystore]`, unless it
    /// is open.
    ///
    /// # Errors
    ///
    /// When there is none of that name, or it cannot be opened.
    pub(crate) fn open(&self, name: Option<&str>) -> Result<Arc<dyn KeyStore>, Failure> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.get(&name.map(str::to_owned)) {
            return Ok(Arc::clone(store));
        }
        let configured = self.config.keystore(name)?;
        let store = configured
            .open(&self.modules, self.prompt, KeyStoreMetrics::default())
            .map_err(|error| keystore_failure(name, configured, error))?;
        open.insert(name.map(str::to_owned), Arc::clone(&store));
        Ok(store)
    }
}

/// Opens the keystore called `name`, or the one of `[keystore]`, for a command.
///
/// # Errors
///
/// When there is none of that name, or it cannot be opened.
pub(crate) fn open_keystore(
    config: &Config,
    name: Option<&str>,
    prompt: &(dyn AskPin + Sync),
) -> Result<Arc<dyn KeyStore>, Failure> {
    Keystores::new(config, prompt).open(name)
}

/// Says which keystore could not be opened, why, and what to do.
pub(crate) fn keystore_failure(
    name: Option<&str>,
    configured: &KeyStoreConfig,
    error: Error,
) -> Failure {
    let section = name.map_or_else(
        || "[keystore]".to_owned(),
        |name| format!("[keystores.{name}]"),
    );
    let advice = advice(configured, &error);
    Failure::because(format!("open the keystore of {section}"), error).next(advice)
}

/// Says what most likely has to be done.
fn advice(configured: &KeyStoreConfig, error: &Error) -> String {
    let soft = match configured {
        KeyStoreConfig::Pkcs11(config) => {
            config
                .module
                .as_ref()
                .is_some_and(|module| module.to_string_lossy().contains("softhsm"))
                && std::env::var_os("SOFTHSM2_CONF").is_none()
        }
        KeyStoreConfig::File(_) => false,
    };
    match error {
        Error::Module { .. } => {
            "correct `module`, or install what carries it; chancery token list --module FILE tries one".to_owned()
        }
        Error::Unavailable(Unavailable::PinRefused { .. }) => {
            "correct the PIN where `pin_source` says it is; it was offered once and counts as one \
             wrong try on the token"
                .to_owned()
        }
        Error::Unavailable(_) if soft => {
            "SoftHSM finds its tokens by $SOFTHSM2_CONF, which is not set; after ./quickstart: \
             export SOFTHSM2_CONF=$PWD/var/softhsm2.conf"
                .to_owned()
        }
        Error::Unavailable(_) => {
            "chancery token list shows the tokens that the module sees".to_owned()
        }
        Error::Pin(_) => "correct `pin_source`: file:PATH (mode 0600), env:NAME, credential:NAME or prompt".to_owned(),
        Error::Configuration { .. } | Error::Uri(_) => {
            "correct the section; docs/configuration.md lists its keys".to_owned()
        }
        _ => "chancery token check tells what is wrong".to_owned(),
    }
}
