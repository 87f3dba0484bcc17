//! Identifiers and errors on disk.
// Stored on disk: change only by adding a version.

use std::net::IpAddr;

use model::acme::{Failure, FailurePart, Identifier};
use serde::{Deserialize, Serialize};

/// An identifier on disk.
#[derive(Serialize, Deserialize)]
pub(super) enum IdentifierV1<'a> {
    /// A DNS name.
    Dns(&'a str),
    /// An IPv4 address.
    Ip4([u8; 4]),
    /// An IPv6 address.
    Ip6([u8; 16]),
    /// A device's permanent identifier.
    Permanent(&'a str),
}

impl<'a> From<&'a Identifier> for IdentifierV1<'a> {
    fn from(identifier: &'a Identifier) -> Self {
        match identifier {
            Identifier::Dns(name) => Self::Dns(name),
            Identifier::Ip(IpAddr::V4(address)) => Self::Ip4(address.octets()),
            Identifier::Ip(IpAddr::V6(address)) => Self::Ip6(address.octets()),
            Identifier::PermanentIdentifier(text) => Self::Permanent(text),
        }
    }
}

impl IdentifierV1<'_> {
    /// Reads the identifier.
    pub(super) fn read(&self) -> Option<Identifier> {
        match self {
            Self::Dns(name) => Identifier::dns(name).ok(),
            Self::Ip4(octets) => Some(Identifier::Ip((*octets).into())),
            Self::Ip6(octets) => Some(Identifier::Ip((*octets).into())),
            Self::Permanent(text) => Identifier::permanent(text).ok(),
        }
    }
}

/// An error on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct FailureV1<'a> {
    /// The whole.
    #[serde(borrow)]
    whole: FailurePartV1<'a>,
    /// Its parts.
    parts: Vec<FailurePartV1<'a>>,
}

/// An error or one part of it on disk.
#[derive(Serialize, Deserialize)]
struct FailurePartV1<'a> {
    /// The error type.
    kind: &'a str,
    /// The sentence.
    detail: &'a str,
    /// What it is about.
    #[serde(borrow)]
    identifier: Option<IdentifierV1<'a>>,
}

impl<'a> From<&'a Failure> for FailureV1<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            whole: FailurePartV1 {
                kind: &failure.kind,
                detail: &failure.detail,
                identifier: failure.identifier.as_ref().map(IdentifierV1::from),
            },
            parts: failure
                .subproblems
                .iter()
                .map(|part| FailurePartV1 {
                    kind: &part.kind,
                    detail: &part.detail,
                    identifier: part.identifier.as_ref().map(IdentifierV1::from),
                })
                .collect(),
        }
    }
}

impl FailureV1<'_> {
    /// Reads the error.
    pub(super) fn read(self) -> Option<Failure> {
        let whole = self.whole.read()?;
        let parts: Option<_> = self.parts.into_iter().map(FailurePartV1::read).collect();
        Some(Failure {
            kind: whole.kind,
            detail: whole.detail,
            identifier: whole.identifier,
            subproblems: parts?,
        })
    }
}

impl FailurePartV1<'_> {
    /// Reads the part.
    fn read(self) -> Option<FailurePart> {
        Some(FailurePart {
            kind: self.kind.into(),
            detail: self.detail.into(),
            identifier: match self.identifier {
                Some(identifier) => Some(identifier.read()?),
                None => None,
            },
        })
    }
}
