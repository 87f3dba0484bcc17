//! The records, as the CA gives and gets them.

use model::{IdempotencyKey, Identity, IssuerId, ProfileName, RequestId, SerialNumber, Timestamp};

use super::revocation::RevocationRecord;

/// What is about to be signed, and for whom.
///
/// Times are kept to the microsecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The certificate's number, never used before.
    pub serial: SerialNumber,
    /// Which of our authorities signs.
    pub issuer: IssuerId,
    /// The profile it was planned by.
    pub profile: ProfileName,
    /// The TBSCertificate in DER, exactly as it will be signed.
    pub tbs_der: Vec<u8>,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// The subject's name as text, for people to search.
    pub subject: String,
    /// The alternative names as text, for people to read.
    pub names: Vec<String>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub public_key_sha256: [u8; 32],
    /// The peer that asked; none for the CA itself.
    pub requester: Option<Identity>,
    /// The request it came with.
    pub request_id: RequestId,
    /// What makes a repeated request the same, if the caller said.
    pub idempotency: Option<Idempotency>,
    /// When it was planned.
    pub recorded_at: Timestamp,
}

/// What makes a repeated request the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's key.
    pub key: IdempotencyKey,
    /// Whose key it is: the same key of another requester is another key.
    pub scope: String,
    /// SHA-256 over everything that the request asks for.
    pub fingerprint: [u8; 32],
}

/// What became of an attempt to record an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentOutcome {
    /// It is on disk; the token may sign.
    Recorded,
    /// The same request was answered before, with this certificate.
    Replayed(Box<CertificateRecord>),
    /// The same request is being worked on under this serial number.
    InProgress {
        /// The other attempt's number.
        serial: SerialNumber,
    },
}

/// Why nothing came of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbandonReason {
    /// The token refused or failed; no signature was made.
    NotSigned,
    /// No answer came in time; a signature may exist and is not used.
    Unanswered,
    /// What came back did not verify or assemble.
    BadSignature,
    /// The service stopped in between; start-up settled it.
    Interrupted,
}

impl AbandonReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [
        Self::NotSigned,
        Self::Unanswered,
        Self::BadSignature,
        Self::Interrupted,
    ];

    /// Returns the reason as logs and listings spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSigned => "not-signed",
            Self::Unanswered => "unanswered",
            Self::BadSignature => "bad-signature",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Everything recorded about one serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Its place in the order of all records, growing.
    pub sequence: u64,
    /// What was to be signed.
    pub intent: Intent,
    /// What came of it.
    pub state: CertificateState,
    /// Whether and why it no longer counts; none if it was never revoked.
    pub revocation: Option<RevocationRecord>,
}

/// What came of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateState {
    /// Not settled yet: a signature may exist.
    Pending,
    /// The certificate exists.
    Issued {
        /// The certificate in DER.
        certificate_der: Vec<u8>,
        /// When it was recorded.
        at: Timestamp,
    },
    /// Nothing was handed out.
    Abandoned {
        /// Why.
        why: AbandonReason,
        /// When it was settled.
        at: Timestamp,
    },
}

/// An intent that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// Its place in the order of all records.
    pub sequence: u64,
    /// What was to be signed.
    pub intent: Intent,
}

impl CertificateRecord {
    /// Returns the certificate in DER, if it exists.
    #[must_use]
    pub fn certificate_der(&self) -> Option<&[u8]> {
        match &self.state {
            CertificateState::Issued {
                certificate_der, ..
            } => Some(certificate_der),
            CertificateState::Pending | CertificateState::Abandoned { .. } => None,
        }
    }

    /// Whether it is revoked now, holds included.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.revocation
            .as_ref()
            .is_some_and(|revocation| revocation.current.is_revoked())
    }
}
