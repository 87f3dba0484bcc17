//! Why something was not done, by who can mend it.

use std::error::Error;
use std::time::Duration;

use mesh::ProblemType;
use model::signing::{ArtifactDigest, InvalidDigest, SignatureId};
use store::signing::{DocumentKind, SignatureRecord, SigningStoreError};

use crate::policy::{Rule, Verdict};

/// Why the service did not do what it was asked. Nothing was signed, and nothing of the
/// request was left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningProblem {
    // What the request says.
    /// A rule of the profile does not hold.
    #[error("{}", refused(verdict, note.as_deref()))]
    Refused {
        /// Every rule that was looked at.
        verdict: Box<Verdict>,
        /// More about what failed.
        note: Option<String>,
        /// When the same may hold.
        retry_after: Option<Duration>,
    },
    /// Something that cannot be read.
    #[error("{what}")]
    Malformed {
        /// What, and why.
        what: String,
    },
    /// A media type that the call does not take.
    #[error("this call takes {taken}")]
    MediaType {
        /// What it takes.
        taken: &'static str,
    },
    /// No media type that the resource has.
    #[error("this resource is there as {available}")]
    NotAcceptable {
        /// What it has.
        available: String,
    },
    /// A digest that is none.
    #[error("artifactHash: {0}")]
    Digest(#[from] InvalidDigest),
    /// A profile that is not there.
    #[error("there is no signing profile {given:?}; `GET /v1/limits` lists them")]
    ProfileUnknown {
        /// The text given, cut at 48 characters.
        given: String,
    },
    /// Too much.
    #[error("{what} may have at most {limit} octets{}", actually(*actual))]
    TooLarge {
        /// What.
        what: &'static str,
        /// Octets it may have.
        limit: u64,
        /// Octets it has, as far as known.
        actual: Option<u64>,
    },
    /// Too slow.
    #[error("the body came more slowly than {least} octets a second; send it again, faster")]
    TooSlow {
        /// The slowest rate.
        least: u64,
    },
    /// The idempotency key of another request.
    #[error("the idempotency key was used for another request, signature {id}")]
    KeyReused {
        /// What came of that.
        id: SignatureId,
    },
    /// The same request is being served.
    #[error("a request with this idempotency key is being served as signature {id}")]
    InProgress {
        /// What will come of it.
        id: SignatureId,
    },

    // What is kept.
    /// No such signature.
    #[error("there is no signature {given}")]
    SignatureUnknown {
        /// The text given, cut at 64 characters.
        given: String,
    },
    /// No such artifact.
    #[error("no artifact {digest} was signed here")]
    ArtifactUnknown {
        /// Its digest.
        digest: ArtifactDigest,
    },
    /// No such evidence.
    #[error("signature {id} has no {}", kind.as_str())]
    EvidenceAbsent {
        /// The signature.
        id: SignatureId,
        /// The evidence.
        kind: DocumentKind,
    },
    /// It is withdrawn already.
    #[error("signature {} was withdrawn before", record.id)]
    AlreadyWithdrawn {
        /// The signature.
        record: Box<SignatureRecord>,
    },
    /// Somebody else's signature.
    #[error("{client} may not withdraw signature {id}: its signer and operators may")]
    WithdrawalForbidden {
        /// Who asks.
        client: String,
        /// The signature.
        id: SignatureId,
    },
    /// A role that may not.
    #[error("{client} may not make this call; identities of the roles {allowed} may")]
    RoleForbidden {
        /// Who asks.
        client: String,
        /// Who may.
        allowed: &'static str,
    },
    /// What is to be verified cannot be read.
    #[error("{what}")]
    EvidenceMalformed {
        /// What, and why.
        what: String,
    },

    // What the service stands on.
    /// As much evidence as may is in memory.
    #[error("bills of materials and provenance of other requests take all the memory they may")]
    Crowded,
    /// The token.
    #[error("the token did not sign")]
    KeyStore(#[from] hsm_keystore::Error),
    /// The store.
    #[error("the store did not record it")]
    Store(#[from] SigningStoreError),
    /// The CA.
    #[error("the CA did not certify the key for this signature")]
    Ca {
        /// What it told, if it did.
        kind: Option<ProblemType>,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The certificate by which would be signed has ended.
    #[error("the certificate of the signing key {key} ended and could not be renewed")]
    CertificateEnded {
        /// The key.
        key: String,
    },
    /// The clock.
    #[error("the clock says a time at which nothing can be signed")]
    Clock,
    /// A fault of the service.
    #[error("the service failed in a way it should not")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// Says which rule does not hold, and what it found.
fn refused(verdict: &Verdict, note: Option<&str>) -> String {
    let Some(check) = verdict.first_failure() else {
        return "the request breaks a rule".to_owned();
    };
    let failing = check.rule.failing();
    match note {
        Some(note) => format!("{failing}: {note}"),
        None => format!(
            "{failing}: expected {}, found {}",
            check.expected, check.actual
        ),
    }
}

/// Says how much there was.
fn actually(actual: Option<u64>) -> String {
    actual.map_or_else(String::new, |actual| format!(", not {actual}"))
}

impl SigningProblem {
    /// States that something cannot be read.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }

    /// States a fault of ours.
    pub(crate) fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    /// Returns the kind of problem that it is told as.
    #[must_use]
    pub fn kind(&self) -> ProblemType {
        match self {
            Self::Refused { verdict, .. } => verdict
                .first_failure()
                .map_or(ProblemType::ProfileDenied, |check| check.rule.problem()),
            Self::Malformed { .. } => ProblemType::MalformedRequest,
            Self::MediaType { .. } => ProblemType::UnsupportedMediaType,
            Self::NotAcceptable { .. } => ProblemType::NotAcceptable,
            Self::Digest(_) => ProblemType::DigestInvalid,
            Self::ProfileUnknown { .. } => ProblemType::ProfileUnknown,
            Self::TooLarge { .. } => ProblemType::BodyTooLarge,
            Self::TooSlow { .. } => ProblemType::BodyTimeout,
            Self::KeyReused { .. } => ProblemType::IdempotencyKeyReused,
            Self::InProgress { .. } => ProblemType::InProgress,
            Self::SignatureUnknown { .. } => ProblemType::SignatureUnknown,
            Self::ArtifactUnknown { .. } => ProblemType::ArtifactUnknown,
            Self::EvidenceAbsent { .. } => ProblemType::EvidenceAbsent,
            Self::AlreadyWithdrawn { .. } => ProblemType::AlreadyWithdrawn,
            Self::WithdrawalForbidden { .. } => ProblemType::WithdrawalForbidden,
            Self::RoleForbidden { .. } => ProblemType::RoleForbidden,
            Self::EvidenceMalformed { .. } => ProblemType::EvidenceMalformed,
            Self::Crowded => ProblemType::Overloaded,
            Self::KeyStore(error) => keystore_kind(error),
            Self::Store(error) => store_kind(error),
            // What it told is of what this service asked, not of what the client did.
            Self::Ca { kind, .. } => match kind {
                Some(kind) if kind.status().as_u16() == 503 => *kind,
                Some(_) | None => ProblemType::NotReady,
            },
            Self::CertificateEnded { .. } => ProblemType::NotReady,
            Self::Clock => ProblemType::ClockImplausible,
            Self::Internal(_) => ProblemType::Internal,
        }
    }

    /// Returns the rule that does not hold.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::Refused { verdict, .. } => verdict.first_failure().map(|check| check.rule),
            _ => None,
        }
    }

    /// Returns when the same may succeed without anyone changing it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::InProgress { .. } | Self::Crowded => Some(SOON),
            Self::KeyStore(error) => error.retry_after().or(match keystore_kind(error) {
                ProblemType::Internal => None,
                _ => Some(SOON),
            }),
            Self::Store(error) => match store_kind(error) {
                ProblemType::Internal => None,
                _ => Some(SOON),
            },
            Self::Ca { .. } | Self::CertificateEnded { .. } | Self::Clock => Some(LATER),
            _ => None,
        }
    }

    /// Tells whether the same may succeed later without anyone changing the request.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.retry_after().is_some()
    }
}

/// When the service may have recovered.
const SOON: Duration = Duration::from_secs(1);

/// When somebody may have mended it.
const LATER: Duration = Duration::from_secs(10);

/// Returns the kind of problem of a token.
fn keystore_kind(error: &hsm_keystore::Error) -> ProblemType {
    match error {
        hsm_keystore::Error::Busy { .. } => ProblemType::QueueFull,
        hsm_keystore::Error::DeadlineExceeded { .. } => ProblemType::TokenTimeout,
        hsm_keystore::Error::Unavailable(_)
        | hsm_keystore::Error::NoKey { .. }
        | hsm_keystore::Error::Refused { .. } => ProblemType::TokenUnavailable,
        _ => ProblemType::Internal,
    }
}

/// Returns the kind of problem of a store.
fn store_kind(error: &SigningStoreError) -> ProblemType {
    match error {
        SigningStoreError::Store(store::Error::Busy { .. }) => ProblemType::QueueFull,
        SigningStoreError::Store(store::Error::NoSpace { .. }) => ProblemType::DiskFull,
        SigningStoreError::Store(_) => ProblemType::StoreFailed,
        SigningStoreError::NoSignature { .. } | SigningStoreError::NotSigned { .. } => {
            ProblemType::SignatureUnknown
        }
        _ => ProblemType::Internal,
    }
}
