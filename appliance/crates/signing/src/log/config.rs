//! `[signing.log]`: whether there is a log, and its name and key.

use hsm_keystore::KeyId;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, name};

/// `[signing.log]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Whether signatures are entered in a log of this service's own.
    pub enabled: bool,
    /// The log's name, a host name; `log.TRUST-DOMAIN` where absent. It never changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Name of the key in the keystore, Ed25519, made where it is not there.
    pub key: KeyId,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            origin: None,
            key: name("signing-log", KeyId::new),
        }
    }
}

/// `[signing.log]`, found sound, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedLog {
    /// The log's name, where it is written.
    pub origin: Option<String>,
    /// Name of the key in the keystore.
    pub key: KeyId,
}

impl LogConfig {
    /// Checks the log's name; none where there is no log.
    ///
    /// # Errors
    ///
    /// `LogOrigin`.
    pub fn check(&self) -> Result<Option<CheckedLog>, ConfigError> {
        if let Some(origin) = self.origin.as_ref().filter(|origin| !is_host(origin)) {
            return Err(ConfigError::LogOrigin {
                given: origin.chars().take(80).collect(),
            });
        }
        Ok(self.enabled.then(|| CheckedLog {
            origin: self.origin.clone(),
            key: self.key.clone(),
        }))
    }
}

/// Tells whether a text is a host name: verifiers compare the log's name in checkpoints
/// with the host of its URL in the trusted root.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    text.len() <= 200 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_off_unless_it_is_switched_on() {
        assert_eq!(LogConfig::default().check(), Ok(None));
        let on = LogConfig {
            enabled: true,
            ..LogConfig::default()
        };
        let checked = on.check().unwrap().unwrap();
        assert_eq!(checked.key.as_str(), "signing-log");
        assert_eq!(checked.origin, None);
    }

    #[test]
    fn a_logs_name_is_a_host_name() {
        let check = |origin: &str| {
            let config = LogConfig {
                origin: Some(origin.to_owned()),
                ..LogConfig::default()
            };
            config.check().is_ok()
        };
        assert!(check("log.example.internal"));
        for none in [
            "",
            "Log.example",
            "log example",
            "log.example/x",
            "a..b",
            "-a.b",
            "log:1",
        ] {
            assert!(!check(none), "{none}");
        }
    }
}
