//! `[ca.ct]`: timestamps in certificates.

use hsm_keystore::KeyId;
use serde::{Deserialize, Serialize};

use super::name;

/// `[ca.ct]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CtConfig {
    /// Embeds a signed certificate timestamp (RFC 6962) of the CA's own log key in
    /// certificates that sign code, and in those of profiles with `embed_sct`.
    pub enabled: bool,
    /// Name of the log key, P-256, in `[keystore]`; made when missing.
    pub key: KeyId,
}

impl Default for CtConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            key: name("ca-ct", KeyId::new),
        }
    }
}

/// `[ca.ct]`, enabled.
#[derive(Debug, Clone)]
pub(crate) struct CheckedCtConfig {
    /// Name of the log key.
    pub(crate) key: KeyId,
}

impl CtConfig {
    /// Takes it where it is enabled.
    pub(super) fn check(&self) -> Option<CheckedCtConfig> {
        self.enabled.then(|| CheckedCtConfig {
            key: self.key.clone(),
        })
    }
}
