//! The section of a member of the mesh: who it is, where its keys are, and which CA
//! signs for it; the same for every service that the CA certifies over mutual TLS.

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use hsm_keystore::{KeyAlgorithm, KeyId};
use model::{PeerName, ProfileName};
use pki::names::DnsName;
use serde::{Deserialize, Serialize};

use crate::csr::CsrContent;

/// What one service's section says where nothing is written.
pub trait MemberDefaults {
    /// Its name in its identity.
    const NAME: &'static str;
    /// Name of its TLS key.
    const TLS_KEY: &'static str;
    /// Name of the key and certificate with which it enrols.
    const ENROLMENT_KEY: &'static str;
}

/// A service's section, as written; `D` has its defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, bound = "D: MemberDefaults")]
pub struct MemberConfig<D> {
    /// The name in its identity: `service:ROLE/NAME`.
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
    /// Whose defaults these are.
    #[serde(skip)]
    defaults: PhantomData<D>,
}

impl<D: MemberDefaults> Default for MemberConfig<D> {
    fn default() -> Self {
        Self {
            name: name(D::NAME, PeerName::new),
            keystore: None,
            profile: name("service", ProfileName::new),
            tls_key: name(D::TLS_KEY, KeyId::new),
            tls_key_algorithm: KeyAlgorithm::EcP256,
            enrolment_key: name(D::ENROLMENT_KEY, KeyId::new),
            server_names: vec![
                "localhost".to_owned(),
                Ipv4Addr::LOCALHOST.to_string(),
                Ipv6Addr::LOCALHOST.to_string(),
            ],
            ca_url: String::new(),
            trust: PathBuf::new(),
            defaults: PhantomData,
        }
    }
}

/// Makes a name from a literal of the program; each service's tests read its defaults.
fn name<T, E>(text: &str, make: impl FnOnce(&str) -> Result<T, E>) -> T {
    make(text).unwrap_or_else(|_| unreachable!("the default {text:?} is a name of its kind"))
}

/// A service's section, found sound.
#[derive(Debug, Clone)]
pub struct CheckedMember {
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

/// Why a service's section cannot be worked with; named as a part of the service's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMember {
    /// One key for two purposes.
    #[error("`service.enrolment_key` must be another key than `service.tls_key`")]
    SameKey,
    /// A server name that is none.
    #[error("`service.server_names`: {given:?} is neither a DNS name nor an IP address")]
    ServerName {
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// No name to reach the service by.
    #[error(
        "`service.server_names` must hold at least one name by which clients reach the service"
    )]
    NoServerName,
}

impl<D> MemberConfig<D> {
    /// Checks it.
    ///
    /// # Errors
    ///
    /// `SameKey`, `ServerName` or `NoServerName`: the first that cannot be worked with.
    pub fn check(&self) -> Result<CheckedMember, InvalidMember> {
        if self.tls_key == self.enrolment_key {
            return Err(InvalidMember::SameKey);
        }
        Ok(CheckedMember {
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
    fn check_server_names(&self) -> Result<CsrContent, InvalidMember> {
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
                return Err(InvalidMember::ServerName {
                    given: given.chars().take(80).collect(),
                });
            }
        }
        if self.server_names.is_empty() {
            return Err(InvalidMember::NoServerName);
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defaults of a service that only this test has.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Sealing;

    impl MemberDefaults for Sealing {
        const NAME: &'static str = "sealing";
        const TLS_KEY: &'static str = "sealing-tls";
        const ENROLMENT_KEY: &'static str = "sealing-enrolment";
    }

    #[test]
    fn what_is_not_written_is_the_service_s_own() {
        let written: MemberConfig<Sealing> =
            serde_json::from_str(r#"{"server_names": ["a.internal", "192.0.2.1"]}"#).unwrap();
        let checked = written.check().unwrap();
        assert_eq!(checked.name.as_str(), "sealing");
        assert_eq!(checked.tls_key.as_str(), "sealing-tls");
        assert_eq!(checked.enrolment_key.as_str(), "sealing-enrolment");
        assert_eq!(checked.content.subject, "CN=sealing");
        assert_eq!(checked.content.dns, ["a.internal"]);
        assert_eq!(checked.content.ips, [IpAddr::from([192, 0, 2, 1])]);
        assert_eq!((checked.ca_url, checked.trust), (None, None));
    }

    #[test]
    fn what_cannot_be_worked_with_is_refused_by_its_key() {
        let refused = |written: &str| {
            let written: MemberConfig<Sealing> = serde_json::from_str(written).unwrap();
            written.check().unwrap_err()
        };
        assert_eq!(
            refused(r#"{"enrolment_key": "sealing-tls"}"#),
            InvalidMember::SameKey
        );
        assert_eq!(
            refused(r#"{"server_names": []}"#),
            InvalidMember::NoServerName
        );
        let given = "no name".to_owned();
        assert_eq!(
            refused(r#"{"server_names": ["localhost", "no name"]}"#),
            InvalidMember::ServerName { given }
        );
    }
}
