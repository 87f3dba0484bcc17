//! What the CA's refusal of an order means for it.

use std::time::Duration;

use mesh::{CaClientError, ProblemType};
use model::acme::Failure;

use crate::problem::ErrorType;

/// What is to be done about an order that the CA did not issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing will come of it: the order becomes invalid with this error.
    Final(Failure),
    /// It is asked again soon; others are not concerned.
    Again,
    /// The CA issues for nobody now.
    Away,
}

/// Refusals that asking again does not change, and what the client is told. What
/// is not here is the operator's to mend (a certificate of ours that expired, a
/// role that is not granted, a token that is gone): such orders wait.
const FINAL: &[(ProblemType, ErrorType)] = &[
    // RFC 8555, 7.4: "badCSR".
    (ProblemType::NotACsr, ErrorType::BadCsr),
    (ProblemType::CsrSignatureInvalid, ErrorType::BadCsr),
    (ProblemType::CsrForbidden, ErrorType::BadCsr),
    (ProblemType::KeyForbidden, ErrorType::BadCsr),
    (ProblemType::WeakKey, ErrorType::BadCsr),
    (ProblemType::BodyTooLarge, ErrorType::BadCsr),
    (ProblemType::NameForbidden, ErrorType::RejectedIdentifier),
    (ProblemType::ValidityForbidden, ErrorType::Malformed),
    (ProblemType::ProfileUnknown, ErrorType::InvalidProfile),
    (ProblemType::ProfileForbidden, ErrorType::InvalidProfile),
    // Ours.
    (ProblemType::IdentityForbidden, ErrorType::ServerInternal),
    (ProblemType::LintFailed, ErrorType::ServerInternal),
    (ProblemType::IdempotencyConflict, ErrorType::ServerInternal),
    (ProblemType::MalformedRequest, ErrorType::ServerInternal),
];

/// Judges a refusal.
pub(super) fn judge(refusal: &CaClientError) -> Verdict {
    let Some(kind) = refusal.problem_type() else {
        return Verdict::Away;
    };
    if kind == ProblemType::InProgress {
        return Verdict::Again;
    }
    match (FINAL.iter().find(|(own, _)| *own == kind), refusal) {
        (Some((_, told)), CaClientError::Refused { problem }) => {
            let detail = match told {
                ErrorType::ServerInternal => {
                    "the CA did not issue; the operator finds the reason in the log"
                }
                _ => &*problem.detail,
            };
            Verdict::Final(Failure::new(told.as_str(), detail))
        }
        (Some(_) | None, _) => Verdict::Away,
    }
}

/// Returns when the CA says that asking again may help.
pub(super) fn retry_after(refusal: &CaClientError) -> Option<Duration> {
    match refusal {
        CaClientError::Unavailable { retry_after, .. } => *retry_after,
        CaClientError::Unreachable { .. }
        | CaClientError::Refused { .. }
        | CaClientError::Protocol { .. } => None,
    }
}
