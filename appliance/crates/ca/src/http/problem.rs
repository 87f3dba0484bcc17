//! What a peer is told when nothing was issued.

use mesh::{Problem, ProblemType};
use model::SerialNumber;
use pki::csr::CsrError;
use pki::profile::ProfileRefusal;
use serde_json::json;

use crate::refusal::{Refusal, chain};

/// Finds the kind of problem that a refusal is.
pub(crate) fn problem_type(refusal: &Refusal) -> ProblemType {
    match refusal {
        Refusal::RoleForbidden { .. } | Refusal::ForgeForbidden { .. } => {
            ProblemType::RoleForbidden
        }
        Refusal::ProfileForbidden { .. } => ProblemType::ProfileForbidden,
        Refusal::IdentityForbidden { .. } => ProblemType::IdentityForbidden,
        Refusal::ProfileUnknown { .. } => ProblemType::ProfileUnknown,
        Refusal::Csr(error) => csr_problem(error),
        Refusal::Validity(_) => ProblemType::ValidityForbidden,
        Refusal::Profile { source, .. } => profile_problem(source),
        Refusal::Lint(_) => ProblemType::LintFailed,
        Refusal::InProgress { .. } => ProblemType::InProgress,
        Refusal::QueueFull { .. } => ProblemType::QueueFull,
        Refusal::Clock(_) => ProblemType::ClockImplausible,
        Refusal::Store(error) => store_problem(error),
        Refusal::KeyStore(error) => keystore_problem(error),
        Refusal::Assemble(_)
        | Refusal::Timestamp(_)
        | Refusal::NoRandomness
        | Refusal::Check(_) => ProblemType::Internal,
    }
}

/// Tells what is wrong with a certificate request.
fn csr_problem(error: &CsrError) -> ProblemType {
    match error {
        CsrError::TooLarge { .. } => ProblemType::BodyTooLarge,
        CsrError::Encoding(_) | CsrError::Version => ProblemType::NotACsr,
        CsrError::Signature => ProblemType::CsrSignatureInvalid,
        CsrError::SignatureAlgorithm | CsrError::Repeated { .. } | CsrError::TooManyItems => {
            ProblemType::CsrForbidden
        }
        CsrError::PublicKey(_) => ProblemType::KeyForbidden,
        CsrError::WeakKey(_) => ProblemType::WeakKey,
        CsrError::Subject(_)
        | CsrError::Name { .. }
        | CsrError::RepeatedName { .. }
        | CsrError::TooManyNames { .. } => ProblemType::NameForbidden,
    }
}

/// Tells which rule of a profile was broken.
fn profile_problem(refusal: &ProfileRefusal) -> ProblemType {
    match refusal {
        ProfileRefusal::KeyForbidden { .. } => ProblemType::KeyForbidden,
        ProfileRefusal::Subject { .. }
        | ProfileRefusal::SubjectLacks { .. }
        | ProfileRefusal::Nameless
        | ProfileRefusal::CommonNameNotAName { .. }
        | ProfileRefusal::NameForbidden { .. }
        | ProfileRefusal::NameConstrained { .. }
        | ProfileRefusal::SubjectConstrained
        | ProfileRefusal::IssuersName
        | ProfileRefusal::NameCount { .. }
        | ProfileRefusal::RepeatedName { .. }
        | ProfileRefusal::IdentityInRequest { .. } => ProblemType::NameForbidden,
        ProfileRefusal::Identity { .. } | ProfileRefusal::IdentityNotSpiffe => {
            ProblemType::IdentityForbidden
        }
        ProfileRefusal::AsksToBeCa | ProfileRefusal::ForgeClaims { wanted: false } => {
            ProblemType::CsrForbidden
        }
        ProfileRefusal::Validity { .. }
        | ProfileRefusal::BeyondIssuer { .. }
        | ProfileRefusal::Time => ProblemType::ValidityForbidden,
        ProfileRefusal::IssuerNotValid { .. } => ProblemType::NotReady,
        ProfileRefusal::PathLength
        | ProfileRefusal::SelfSigned
        | ProfileRefusal::ForgeClaims { wanted: true } => ProblemType::ProfileForbidden,
    }
}

/// Tells why the store did not record.
fn store_problem(error: &store::Error) -> ProblemType {
    match error {
        store::Error::IdempotencyConflict { .. } => ProblemType::IdempotencyConflict,
        store::Error::KeyBlocked { .. } => ProblemType::WeakKey,
        store::Error::Busy { .. } => ProblemType::QueueFull,
        store::Error::NoSpace { .. } => ProblemType::DiskFull,
        store::Error::TooLarge { .. } => ProblemType::BodyTooLarge,
        _ => ProblemType::StoreFailed,
    }
}

/// Tells why the token did not sign.
fn keystore_problem(error: &hsm_keystore::Error) -> ProblemType {
    match error {
        hsm_keystore::Error::Busy { .. } => ProblemType::QueueFull,
        hsm_keystore::Error::DeadlineExceeded { .. } => ProblemType::TokenTimeout,
        _ => ProblemType::TokenUnavailable,
    }
}

/// Tells a refusal to a peer.
///
/// What is wrong with a request is told whole; of our own parts only what a
/// peer can use. Their causes are in the log, which has the refusal already.
pub(crate) fn problem(refusal: Refusal) -> Problem {
    let kind = problem_type(&refusal);
    let detail = match &refusal {
        Refusal::Store(error) if refusal.is_ours() => store_sentence(error).to_owned(),
        Refusal::KeyStore(error) => keystore_sentence(error).to_owned(),
        Refusal::Assemble(_)
        | Refusal::Timestamp(_)
        | Refusal::NoRandomness
        | Refusal::Check(_) => {
            "the certificate could not be made; the service's log has the cause under this \
             request id"
                .to_owned()
        }
        theirs => chain(theirs),
    };
    let mut problem = Problem::new(kind, detail);
    if let Some(delay) = refusal.retry_after() {
        problem = problem.retry_after(delay);
    }
    with_members(problem, &refusal)
}

/// Adds what a program could use.
fn with_members(problem: Problem, refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::ProfileUnknown { profile } | Refusal::ProfileForbidden { profile, .. } => {
            problem.with("profile", profile.as_str())
        }
        Refusal::Profile { profile, source } => {
            let problem = problem.with("profile", profile.as_str());
            match source {
                ProfileRefusal::KeyForbidden {
                    key_type,
                    allowed,
                    rsa_min_bits,
                } => problem.with("actual", key_type.to_string()).with(
                    "expected",
                    json!({ "keys": allowed, "rsa_min_bits": rsa_min_bits }),
                ),
                ProfileRefusal::Validity { asked_s, max_s } => problem
                    .with("actual", *asked_s)
                    .with("expected", json!({ "max_s": max_s })),
                ProfileRefusal::NameForbidden { name, .. }
                | ProfileRefusal::NameConstrained { name }
                | ProfileRefusal::RepeatedName { name }
                | ProfileRefusal::IdentityInRequest { name } => {
                    problem.with("name", name.to_string())
                }
                ProfileRefusal::NameCount { count, min, max } => problem
                    .with("actual", *count)
                    .with("expected", json!({ "min": min, "max": max })),
                _ => problem,
            }
        }
        Refusal::Lint(findings) => {
            let lints: Vec<String> = findings
                .findings()
                .iter()
                .map(ToString::to_string)
                .collect();
            problem.with("findings", lints)
        }
        _ => problem,
    }
}

/// Says what a peer can use about a store that did not record.
pub(super) fn store_sentence(error: &store::Error) -> &'static str {
    match error {
        store::Error::Busy { .. } => "as many records wait for the disk as may; nothing was signed",
        store::Error::NoSpace { .. } => {
            "the CA's disk is full, so nothing was signed; it goes on by itself once its operator \
             has made space"
        }
        store::Error::TooLarge { .. } => "the certificate is too large to be recorded",
        _ => {
            "the CA cannot record what it signs, so no certificate was handed out; its operator \
             finds the cause in the log"
        }
    }
}

/// Says what a peer can use about a token that did not sign.
fn keystore_sentence(error: &hsm_keystore::Error) -> &'static str {
    match error {
        hsm_keystore::Error::Busy { .. } => {
            "as many signatures wait for the token as may; nothing was signed"
        }
        hsm_keystore::Error::DeadlineExceeded { .. } => {
            "the token did not sign in time, and nothing was issued; ask again with the same \
             Idempotency-Key"
        }
        hsm_keystore::Error::Unavailable(_) => {
            "the token that holds the CA's key is away, so nothing was signed; the CA recovers by \
             itself when it is back"
        }
        _ => {
            "the token that holds the CA's key did not sign; the CA's operator finds the cause in \
             the log"
        }
    }
}

/// States that a serial number was never recorded.
pub(crate) fn serial_unknown(serial: &SerialNumber) -> Problem {
    Problem::new(
        ProblemType::SerialUnknown,
        format!("this CA never recorded serial {serial}"),
    )
    .with("serial", serial.to_string())
}
