//! Where CRLs and OCSP responses come from.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use model::IssuerId;
use serde::{Deserialize, Serialize};

use super::CaClientError;

/// Publishes what no longer counts: the CA over mutual TLS, or the CA itself.
#[async_trait]
pub trait RevocationSource: Send + Sync + fmt::Debug {
    /// Fetches a CRL, if there is another one than is known.
    ///
    /// # Errors
    ///
    /// `Refused`, of type `issuer-unknown` or `crl-unknown` when there is no
    /// such CRL; `Unreachable` or `Unavailable` when there was no answer.
    async fn crl(&self, request: CrlRequest) -> Result<CrlAnswer, CaClientError>;

    /// Asks the OCSP responder; DER in, DER out. The answer may be an error
    /// status of RFC 6960, 2.3.
    ///
    /// # Errors
    ///
    /// `Unreachable` or `Unavailable` when there was no answer.
    async fn ocsp(&self, request_der: Vec<u8>) -> Result<Vec<u8>, CaClientError>;
}

/// Which CRL is wanted, and which one is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlRequest {
    /// The authority.
    pub issuer: IssuerId,
    /// Which of its CRLs.
    pub scope: CrlScope,
    /// The entity tag of the one that is known: answered with `NotModified`
    /// while it is the current one.
    pub known: Option<String>,
    /// How long the answer may be held back while the known one is current.
    pub wait: Option<Duration>,
}

/// Which CRL of an authority; written `full`, `delta` or `shard-3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CrlScope {
    /// Every certificate: `/crl/{issuer}`.
    Full,
    /// What changed since the base it names: `/crl/{issuer}/delta`.
    Delta,
    /// The certificates of one shard: `/crl/{issuer}/shards/{shard}`.
    Shard(u32),
}

/// A text that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a CRL is full, delta or shard-NUMBER, not {given:?}")]
pub struct UnknownScope {
    /// The text, cut at 40 characters.
    pub given: String,
}

impl fmt::Display for CrlScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Delta => f.write_str("delta"),
            Self::Shard(shard) => write!(f, "shard-{shard}"),
        }
    }
}

impl FromStr for CrlScope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        match text {
            "full" => Ok(Self::Full),
            "delta" => Ok(Self::Delta),
            other => other
                .strip_prefix("shard-")
                .and_then(|number| number.parse().ok())
                .map(Self::Shard)
                .ok_or_else(|| UnknownScope {
                    given: other.chars().take(40).collect(),
                }),
        }
    }
}

impl TryFrom<String> for CrlScope {
    type Error = UnknownScope;

    fn try_from(text: String) -> Result<Self, UnknownScope> {
        text.parse()
    }
}

impl From<CrlScope> for String {
    fn from(scope: CrlScope) -> String {
        scope.to_string()
    }
}

/// What became of a [`CrlRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrlAnswer {
    /// The known one is still the current one.
    NotModified,
    /// Another one.
    Crl(FetchedCrl),
}

/// A CRL as it came: nothing about it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedCrl {
    /// The CRL.
    pub der: Vec<u8>,
    /// Its entity tag, quotes included, to be sent as `If-None-Match`.
    pub etag: Option<String>,
}
