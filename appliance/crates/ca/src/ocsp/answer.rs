//! What a query is answered: bytes, and how long caches may keep them.

use bytes::Bytes;
use model::Timestamp;
use pki::ocsp::{CertStatus, ErrorStatus};

use super::metrics::Said;

/// The answer to one query: always an OCSPResponse (RFC 6960, 4.2.1).
#[derive(Debug, Clone)]
pub struct OcspAnswer {
    /// The OCSPResponse.
    der: Bytes,
    /// What it says, for metrics.
    pub(crate) said: Said,
    /// How long it may be kept; none where it must not.
    pub(crate) keep: Option<Keep>,
}

/// Times of an answer that everyone may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Its thisUpdate.
    pub(crate) since: Timestamp,
    /// Its nextUpdate.
    pub(crate) until: Timestamp,
}

impl OcspAnswer {
    /// Makes a signed answer.
    pub(crate) fn signed(der: Vec<u8>, said: Said, keep: Option<Keep>) -> Self {
        Self {
            der: der.into(),
            said,
            keep,
        }
    }

    /// Makes an answer of one that was signed before.
    pub(crate) fn ready(der: Bytes, said: Said, keep: Keep) -> Self {
        Self {
            der,
            said,
            keep: Some(keep),
        }
    }

    /// Makes an answer that is an error.
    pub(crate) fn error(status: ErrorStatus) -> Self {
        let said = match status {
            ErrorStatus::MalformedRequest => Said::Malformed,
            ErrorStatus::Unauthorized | ErrorStatus::SigRequired => Said::Unauthorized,
            ErrorStatus::TryLater => Said::TryLater,
            ErrorStatus::InternalError => Said::Failed,
        };
        Self {
            der: Bytes::from_static(status.der()),
            said,
            keep: None,
        }
    }

    /// Returns the OCSPResponse.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Takes the OCSPResponse.
    #[must_use]
    pub fn into_der(self) -> Bytes {
        self.der
    }
}

/// Tells what a status is called in metrics.
pub(crate) fn said(status: CertStatus) -> Said {
    match status {
        CertStatus::Good => Said::Good,
        CertStatus::Revoked { .. } => Said::Revoked,
        CertStatus::Unknown => Said::Unknown,
    }
}
