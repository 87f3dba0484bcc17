//! The configuration of a PKCS#11 store.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::pin::PinSource;
use super::uri::{TokenPattern, TokenUri};
use crate::error::{ConfigurationFault, Error};

/// `[keystore]` with `type = "pkcs11"`, as written.
///
/// The token is named by `uri`, or by `module` with `token` or `serial`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Config {
    /// The token's RFC 7512 address.
    pub uri: Option<TokenUri>,
    /// Path of the PKCS#11 module; also where `uri` has no `module-path`.
    pub module: Option<PathBuf>,
    /// The token's label.
    pub token: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// Where the PIN is: `prompt` (the default), `file:PATH`, `env:NAME`, `credential:NAME`.
    pub pin_source: Option<PinSource>,
    /// Signatures made at once; by default as many as the machine has processors,
    /// never more than the token has sessions for. Set 1 for smart cards and YubiHSM.
    pub sessions: Option<u64>,
    /// Signatures of each priority that may wait before further ones are refused; 1024
    /// by default.
    pub queue: Option<u64>,
    /// Milliseconds after which a call that has not come back counts as hung; 10000 by default.
    pub call_timeout_ms: Option<u64>,
    /// Milliseconds that making or importing a key may take; 300000 by default, for
    /// smart cards need minutes for a large RSA key.
    pub generate_timeout_ms: Option<u64>,
}

/// What the configuration says, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Path of the module.
    pub(crate) module: PathBuf,
    /// Which token.
    pub(crate) token: TokenPattern,
    /// Where the PIN is.
    pub(crate) pin_source: PinSource,
    /// Signatures at once, if said.
    pub(crate) sessions: Option<usize>,
    /// Signatures of each priority that may wait.
    pub(crate) queue: usize,
    /// When a call counts as hung.
    pub(crate) call_timeout: Duration,
    /// When a call that makes a key counts as hung.
    pub(crate) generate_timeout: Duration,
}

impl Pkcs11Config {
    /// Names a token by module path and label, everything else by default.
    #[must_use]
    pub fn by_label(module: impl Into<PathBuf>, label: impl Into<String>) -> Self {
        Self {
            module: Some(module.into()),
            token: Some(label.into()),
            ..Self::default()
        }
    }

    /// Checks what was written.
    ///
    /// # Errors
    ///
    /// `Configuration` when no token or no module is named, the token is named
    /// twice, or a number cannot work.
    pub fn check(&self) -> Result<(), Error> {
        self.settings().map(|_| ())
    }

    /// Checks what was written and fills in what was not.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        let fault = |fault| Error::Configuration { fault };
        let named = self.token.is_some() || self.serial.is_some();
        let token = match &self.uri {
            Some(_) if named => return Err(fault(ConfigurationFault::NamedTwice)),
            Some(uri) => uri.token.clone(),
            None => TokenPattern {
                label: self.token.clone(),
                serial: self.serial.clone(),
                ..TokenPattern::default()
            },
        };
        if token == TokenPattern::default() {
            return Err(fault(ConfigurationFault::NoToken));
        }
        let uri = self.uri.clone().unwrap_or_default();
        let millis = |key, value: Option<u64>, default, least| {
            within(key, value.unwrap_or(default), least, 3_600_000).map(Duration::from_millis)
        };
        Ok(Settings {
            module: uri
                .module_path
                .or_else(|| self.module.clone())
                .ok_or(fault(ConfigurationFault::NoModule))?,
            token,
            pin_source: self
                .pin_source
                .clone()
                .or(uri.pin_source)
                .unwrap_or_default(),
            sessions: self
                .sessions
                .map(|sessions| within("sessions", sessions, 1, 256))
                .transpose()?
                .and_then(|sessions| usize::try_from(sessions).ok()),
            queue: usize::try_from(within("queue", self.queue.unwrap_or(1024), 1, 1_000_000)?)
                .unwrap_or(usize::MAX),
            call_timeout: millis("call_timeout_ms", self.call_timeout_ms, 10_000, 10)?,
            generate_timeout: millis("generate_timeout_ms", self.generate_timeout_ms, 300_000, 10)?,
        })
    }
}

/// Checks a number's bounds.
fn within(key: &'static str, value: u64, least: u64, most: u64) -> Result<u64, Error> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(Error::Configuration {
        fault: ConfigurationFault::OutOfRange { key, least, most },
    })
}
