//! `[signing.service]`: who the service is, where its keys are, and which CA signs
//! for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use mesh::csr::CsrContent;
use mesh::enrol::{KeyAlgorithm, KeyId};
use model::{PeerName, ProfileName};
use pki::names::DnsName;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// `[signing.service]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceConfig {
    /// The name in its identity: `service:signing/NAME`.
    pub name: PeerName,
    /// Which of `[keystores]` holds its keys; the one of `[keystore]` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keystore: Option<String>,
    /// The CA's profile of its certificate.
    pub profile: ProfileName,
    /// Name of its TLS key.
    pub tls_key: KeyId,
    /// Algorithm of that key, should it have to be made.
    pub tls_key_algorithm: KeyAlgorithm,
    /// Name of the key and certificate with which it enrols, once.
    pub enrolment_key: KeyId,
    /// DNS names and IP addresses in its certificate.
    pub server_names: Vec<String>,
    /// The CA API's address; empty: that of `[client]`.
    pub ca_url: String,
    /// PEM of the authorities that the CA's certificate must lead to; empty: that
    /// of `[client]`.
    pub trust: PathBuf,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            name: name("signing", PeerName::new),
            keystore: None,
            profile: name("service", ProfileName::new),
            tls_key: name("signing-tls", KeyId::new),
            tls_key_algorithm: KeyAlgorithm::EcP256,
            enrolment_key: name("signing-enrolment", KeyId::new),
            server_names: vec![
                "localhost".to_owned(),
                Ipv4Addr::LOCALHOST.to_string(),
                Ipv6Addr::LOCALHOST.to_string(),
            ],
            ca_url: String::new(),
            trust: PathBuf::new(),
        }
    }
}

/// Makes a name from a literal of this file; a test reads every default.
fn name<T, E>(text: &str, make: impl FnOnce(&str) -> Result<T, E>) -> T {
    make(text).unwrap_or_else(|_| unreachable!("the default {text:?} is a name of its kind"))
}

/// `[signing.service]`, found sound.
#[derive(Debug, Clone)]
pub struct CheckedService {
    /// The name in its identity.
    pub name: PeerName,
    /// Which of `[keystores]` holds its keys.
    pub keystore: Option<String>,
    /// The CA's profile of its certificate.
    pub profile: ProfileName,
    /// Name of its TLS key.
    pub tls_key: KeyId,
    /// Algorithm of that key.
    pub tls_key_algorithm: KeyAlgorithm,
    /// Name of the key and certificate with which it enrols.
    pub enrolment_key: KeyId,
    /// What its certificate is to name.
    pub content: CsrContent,
    /// The CA API's address, where it is written.
    pub ca_url: Option<String>,
    /// The authorities that the CA's certificate must lead to, where written.
    pub trust: Option<PathBuf>,
}

impl ServiceConfig {
    /// Checks it.
    pub(super) fn check(&self) -> Result<CheckedService, ConfigError> {
        if self.tls_key == self.enrolment_key {
            return Err(ConfigError::Bound {
                key: "service.enrolment_key",
                rule: "must be another key than `service.tls_key`",
            });
        }
        Ok(CheckedService {
            name: self.name.clone(),
            keystore: self.keystore.clone(),
            profile: self.profile.clone(),
            tls_key: self.tls_key.clone(),
            tls_key_algorithm: self.tls_key_algorithm,
            enrolment_key: self.enrolment_key.clone(),
            content: self.check_server_names()?,
            ca_url: Some(self.ca_url.clone()).filter(|url| !url.is_empty()),
            trust: Some(self.trust.clone()).filter(|path| !path.as_os_str().is_empty()),
        })
    }

    /// Sorts server names into DNS names and addresses.
    fn check_server_names(&self) -> Result<CsrContent, ConfigError> {
        let mut content = CsrContent {
            // A peer's name has no character that RFC 4514 would want escaped.
            subject: format!("CN={}", self.name),
            ..CsrContent::default()
        };
        for given in &self.server_names {
            if let Ok(address) = given.parse::<IpAddr>() {
                content.ips.push(address);
            } else if let Ok(dns) = DnsName::new(given) {
                content.dns.push(dns.as_str().to_owned());
            } else {
                return Err(ConfigError::ServerName {
                    given: super::cut(given, 80),
                });
            }
        }
        if self.server_names.is_empty() {
            return Err(ConfigError::Bound {
                key: "service.server_names",
                rule: "must hold at least one name by which clients reach the service",
            });
        }
        Ok(content)
    }
}
