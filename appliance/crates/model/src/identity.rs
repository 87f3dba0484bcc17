//! Who a mutually authenticated peer is: a role and a name.
//!
//! A certificate carries it as one SPIFFE ID in its subject alternative name
//! (SPIFFE-ID, 2; X509-SVID, 2): `spiffe://<trust domain>/<role path>/<name>`,
//! for example `spiffe://chancery.internal/service/acme/acme-1`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::PeerName;

/// What a peer may be; what it may do by that is the configuration's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// The CA service itself.
    #[serde(rename = "service:ca")]
    ServiceCa,
    /// The ACME service.
    #[serde(rename = "service:acme")]
    ServiceAcme,
    /// The signing service.
    #[serde(rename = "service:signing")]
    ServiceSigning,
    /// Enrols an ACME service once: may obtain that service's own certificate.
    #[serde(rename = "enrol:acme")]
    EnrolAcme,
    /// Enrols a signing service once: may obtain that service's own certificate.
    #[serde(rename = "enrol:signing")]
    EnrolSigning,
    /// Runs the CA: issues by any profile the configuration grants, revokes.
    #[serde(rename = "operator")]
    Operator,
    /// Has artifacts signed.
    #[serde(rename = "signer")]
    Signer,
    /// Reads everything, changes nothing.
    #[serde(rename = "auditor")]
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::ServiceCa,
        Self::ServiceAcme,
        Self::ServiceSigning,
        Self::EnrolAcme,
        Self::EnrolSigning,
        Self::Operator,
        Self::Signer,
        Self::Auditor,
    ];

    /// Returns the role as the configuration and logs spell it: `service:acme`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceCa => "service:ca",
            Self::ServiceAcme => "service:acme",
            Self::ServiceSigning => "service:signing",
            Self::EnrolAcme => "enrol:acme",
            Self::EnrolSigning => "enrol:signing",
            Self::Operator => "operator",
            Self::Signer => "signer",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| InvalidIdentity::UnknownRole {
                given: text.chars().take(40).collect(),
            })
    }
}

/// The domain within which identities are this installation's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// Checks and takes a trust domain name (SPIFFE-ID, 2.1).
    ///
    /// # Errors
    ///
    /// `TrustDomain` unless it is 1 to 255 lower-case letters, digits, full
    /// stops, hyphens and underscores.
    pub fn new(text: &str) -> Result<Self, InvalidIdentity> {
        let spelled = text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
        if text.is_empty() || text.len() > 255 || !spelled {
            return Err(InvalidIdentity::TrustDomain {
                given: text.chars().take(80).collect(),
            });
        }
        Ok(Self(text.into()))
    }

    /// Returns the domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = InvalidIdentity;

    fn try_from(text: String) -> Result<Self, InvalidIdentity> {
        Self::new(&text)
    }
}

impl From<TrustDomain> for String {
    fn from(domain: TrustDomain) -> String {
        domain.0.into()
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A peer's role and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// What it is.
    pub role: Role,
    /// Which one it is.
    pub name: PeerName,
}

/// Why a text is not an identity of this installation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// A role that does not exist.
    #[error("no such role: {given:?}")]
    UnknownRole {
        /// The text given, cut at 40 characters.
        given: String,
    },
    /// Not a trust domain name.
    #[error(
        "{given:?} is not a trust domain: lower-case letters, digits, full stops, hyphens and underscores"
    )]
    TrustDomain {
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A URI that is not `spiffe://` of this trust domain.
    #[error("the identity is not of trust domain {expected}")]
    ForeignDomain {
        /// This installation's trust domain.
        expected: TrustDomain,
    },
    /// Not a role and a name with a slash between.
    #[error("the identity is not a role and a name with a slash between")]
    Path,
}

impl Identity {
    /// Returns the SPIFFE ID that a certificate carries.
    #[must_use]
    pub fn to_uri(&self, domain: &TrustDomain) -> String {
        format!(
            "spiffe://{domain}/{}/{}",
            self.role.as_str().replace(':', "/"),
            self.name
        )
    }

    /// Reads a SPIFFE ID of this trust domain.
    ///
    /// # Errors
    ///
    /// `ForeignDomain` for any other URI, `Path` or `UnknownRole` when the path
    /// names no role and peer.
    pub fn from_uri(uri: &str, domain: &TrustDomain) -> Result<Self, InvalidIdentity> {
        let path = uri
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.strip_prefix(domain.as_str()))
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| InvalidIdentity::ForeignDomain {
                expected: domain.clone(),
            })?;
        let (role, name) = path.rsplit_once('/').ok_or(InvalidIdentity::Path)?;
        if role.contains(':') {
            return Err(InvalidIdentity::Path);
        }
        Ok(Self {
            role: role.replace('/', ":").parse()?,
            name: PeerName::new(name).map_err(|_| InvalidIdentity::Path)?,
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.role, self.name)
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    /// Reads an identity as it is printed: `service:acme/acme-1`.
    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let (role, name) = text.split_once('/').ok_or(InvalidIdentity::Path)?;
        Ok(Self {
            role: role.parse()?,
            name: PeerName::new(name).map_err(|_| InvalidIdentity::Path)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_round_trips_through_its_uri() {
        let domain = TrustDomain::new("chancery.internal").unwrap();
        for role in Role::ALL {
            let identity = Identity {
                role,
                name: PeerName::new("host-1.example").unwrap(),
            };
            let uri = identity.to_uri(&domain);
            assert_eq!(identity.to_string().parse(), Ok(identity.clone()));
            assert_eq!(Identity::from_uri(&uri, &domain), Ok(identity), "{uri}");
        }
    }

    #[test]
    fn foreign_domains_and_odd_paths_are_no_identity() {
        let domain = TrustDomain::new("a.internal").unwrap();
        for uri in [
            "spiffe://a.internal.evil/operator/x",
            "spiffe://b.internal/operator/x",
            "https://a.internal/operator/x",
            "spiffe://a.internal/operator",
            "spiffe://a.internal/operator/",
            "spiffe://a.internal/operator/x/y",
            "spiffe://a.internal/service:acme/x",
        ] {
            assert!(Identity::from_uri(uri, &domain).is_err(), "{uri}");
        }
    }
}
