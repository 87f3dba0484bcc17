//! The CA as other services and the command line see it.

mod http;
mod source;

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use model::{IdempotencyKey, Identity, ProfileName, RequestId, SerialNumber};
use pki::forge::ForgeClaims;

use crate::problem::ProblemType;
use crate::wire::{
    self, CaStatus, CertificateFilter, CertificatePage, CertificateRecord, ImportOutcome,
    KeyRevocation, ProblemDocument, ProfileList, RevocationFilter, RevocationImport,
    RevocationPage, RevocationRecord, RevokeKeyRequest, RevokeRequest,
};

pub use http::{HttpCaClient, Persistence};
pub use source::{CrlAnswer, CrlRequest, CrlScope, FetchedCrl, RevocationSource, UnknownScope};

/// What a CA does for its peers.
#[async_trait]
pub trait CaClient: RevocationSource {
    /// Has a certificate signed.
    ///
    /// # Errors
    ///
    /// `Refused` when the CA says no, with its reason; `Unreachable` or
    /// `Unavailable` when it did not answer in time: whether it signed is then
    /// unknown, and asking again with the same key signs no second time.
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError>;

    /// Tells what the CA knows of a certificate.
    ///
    /// # Errors
    ///
    /// `Refused`, of type `serial-unknown` when the CA never recorded it, or as
    /// for [`sign`](Self::sign).
    async fn certificate(&self, serial: &SerialNumber) -> Result<CertificateRecord, CaClientError>;

    /// Lists certificates, a page at a time.
    ///
    /// # Errors
    ///
    /// As for [`sign`](Self::sign).
    async fn certificates(
        &self,
        filter: &CertificateFilter,
    ) -> Result<CertificatePage, CaClientError>;

    /// Lists the profiles and which of them this peer may use.
    ///
    /// # Errors
    ///
    /// As for [`sign`](Self::sign).
    async fn profiles(&self) -> Result<ProfileList, CaClientError>;

    /// Tells how the CA is.
    ///
    /// # Errors
    ///
    /// As for [`sign`](Self::sign).
    async fn status(&self) -> Result<CaStatus, CaClientError>;

    /// Orders that one certificate no longer counts, or is released from hold.
    ///
    /// # Errors
    ///
    /// `Refused`: `serial-unknown`, `already-revoked` (with the
    /// [first record](CaClientError::first_revocation)), `not-on-hold`,
    /// `bad-revocation-reason`, `revocation-forbidden`. `Unreachable` or
    /// `Unavailable` when there was no answer: asking again changes nothing that
    /// was recorded.
    async fn revoke(&self, request: &RevokeRequest) -> Result<RevocationRecord, CaClientError>;

    /// Orders that a key and all its certificates no longer count.
    ///
    /// # Errors
    ///
    /// As for [`revoke`](Self::revoke).
    async fn revoke_key(&self, request: &RevokeKeyRequest) -> Result<KeyRevocation, CaClientError>;

    /// Lists revocations, a page at a time.
    ///
    /// # Errors
    ///
    /// As for [`sign`](Self::sign).
    async fn revocations(&self, filter: &RevocationFilter)
    -> Result<RevocationPage, CaClientError>;

    /// Records revocations from elsewhere.
    ///
    /// # Errors
    ///
    /// As for [`sign`](Self::sign).
    async fn import_revocations(
        &self,
        import: &RevocationImport,
    ) -> Result<ImportOutcome, CaClientError>;
}

/// What is to be signed, and how.
#[derive(Debug, Clone)]
pub struct SignRequest {
    /// The certificate request, PKCS#10 in DER.
    pub csr_der: Vec<u8>,
    /// The profile; the CA's default where absent.
    pub profile: Option<ProfileName>,
    /// How long, as the CA reads it (`90d`); the profile's default where absent.
    pub validity: Option<String>,
    /// The identity to certify, for those who may grant it.
    pub identity: Option<Identity>,
    /// What a forge said of a build, its token verified: for the signing service alone,
    /// and for profiles that carry it alone.
    pub forge: Option<ForgeClaims>,
    /// Makes a repeated request the same request.
    pub idempotency: IdempotencyKey,
    /// The request that this one is made for.
    pub request_id: Option<RequestId>,
}

/// What the CA signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCertificate {
    /// The certificate's serial number.
    pub serial: SerialNumber,
    /// The certificate, then its issuers, in PEM.
    pub chain_pem: String,
}

/// Why the CA's answer is not the one wanted.
#[derive(Debug, thiserror::Error)]
pub enum CaClientError {
    /// No connection, or it broke before the answer.
    #[error("the CA at {address} cannot be reached")]
    Unreachable {
        /// Its address.
        address: String,
        /// What stopped it.
        source: reqwest::Error,
    },
    /// The CA answered that it cannot now, as often as it was asked.
    #[error("the CA cannot now: {}", .problem.detail)]
    Unavailable {
        /// Its reason.
        problem: Box<ProblemDocument>,
        /// When it says that asking again may help.
        retry_after: Option<Duration>,
    },
    /// The CA said no.
    #[error("the CA refused: {}", .problem.detail)]
    Refused {
        /// Its reason.
        problem: Box<ProblemDocument>,
    },
    /// An answer that is not one of this API.
    #[error("the CA's answer is not one of its API: {what}")]
    Protocol {
        /// What is wrong with it.
        what: &'static str,
        /// The status it came with.
        status: u16,
    },
}

impl CaClientError {
    /// Returns the kind of problem the CA told, if it is one we know.
    #[must_use]
    pub fn problem_type(&self) -> Option<ProblemType> {
        match self {
            Self::Unavailable { problem, .. } | Self::Refused { problem } => {
                ProblemType::from_uri(&problem.kind)
            }
            Self::Unreachable { .. } | Self::Protocol { .. } => None,
        }
    }

    /// Returns the record by which a certificate was revoked before, where the
    /// CA refused with `already-revoked`.
    #[must_use]
    pub fn first_revocation(&self) -> Option<RevocationRecord> {
        match self {
            Self::Refused { problem } => {
                let record = problem.members.get(wire::FIRST_REVOCATION)?;
                serde_json::from_value(record.clone()).ok()
            }
            Self::Unavailable { .. } | Self::Unreachable { .. } | Self::Protocol { .. } => None,
        }
    }

    /// Tells whether asking again, with the same key, may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // A certificate that is not trusted stays so; a broken connection may mend.
            Self::Unreachable { source, .. } => !is_tls_refusal(source),
            Self::Unavailable { .. } => true,
            Self::Refused { .. } | Self::Protocol { .. } => false,
        }
    }

    /// Returns when the CA says that asking again may help.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Protocol { .. } => None,
        }
    }
}

/// Finds a TLS error that asking again will not mend.
fn is_tls_refusal(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` leaves what it wraps out of its chain of sources.
        next = match cause.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => cause.source(),
        };
    }
    false
}
