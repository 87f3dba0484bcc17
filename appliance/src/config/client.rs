//! `[client]`: as whom the command line talks to the services, and where.

use std::path::PathBuf;

use serde::Deserialize;

/// How commands reach the CA API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientConfig {
    /// The CA API's address; empty: the address that `[ca]` listens on.
    pub(crate) url: String,
    /// The address of the ACME service's listener with client certificates;
    /// empty: the address that `[acme.mesh]` listens on.
    pub(crate) acme_url: String,
    /// The address of the signing service's listener with client certificates;
    /// empty: the address that `[signing.mesh]` listens on.
    pub(crate) signing_url: String,
    /// Directory of identities; empty: `identities` below `state_dir`.
    pub(crate) identities: PathBuf,
    /// The identity to log in with: `<identity>-key.pem` and
    /// `<identity>-chain.pem` in that directory.
    pub(crate) identity: String,
    /// PEM of the authorities that the CA's own certificate must lead to;
    /// empty: `ca.pem` in that directory.
    pub(crate) trust: PathBuf,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            acme_url: String::new(),
            signing_url: String::new(),
            identities: PathBuf::new(),
            identity: "operator".to_owned(),
            trust: PathBuf::new(),
        }
    }
}
