//! Opening the keystores of the configuration.

use std::sync::Arc;

use hsm_keystore::pkcs11::AskPin;
use hsm_keystore::{Error, KeyStore, KeyStoreConfig, KeyStoreMetrics, Modules};

use crate::config::Config;
use crate::failure::Failure;

/// Opens the keystore called `name`, or the one of `[keystore]`, for a command.
///
/// # Errors
///
/// When there is none of that name, or it cannot be opened.
pub(crate) fn open_keystore(
    config: &Config,
    name: Option<&str>,
    prompt: &dyn AskPin,
) -> Result<Arc<dyn KeyStore>, Failure> {
    let configured = config.keystore(name)?;
    configured
        .open(&Modules::default(), prompt, KeyStoreMetrics::default())
        .map_err(|error| keystore_failure(name, configured, error))
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
