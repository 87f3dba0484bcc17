//! The Online Certificate Status Protocol (RFC 6960), as profiled for many by
//! RFC 9919 and with the nonces of RFC 9654.
//!
//! A response's way: [`ResponsePlan::encode`] writes what is to be said, [`lint`] reads
//! it again and gives a [`LintedResponse`]: the only thing that can be signed, once.
//! The [`SignedResponse`] goes out by [`SignedResponse::to_der`], or is kept for later
//! as a [`ReadyAnswer`]: signature and times, from which the same octets are written.
//!
//! [`OcspRequest`] reads what strangers ask; [`verify_response`] is the other side.

mod cert_id;
mod lint;
mod plan;
mod read;
mod ready;
mod request;
mod responder;
mod verify;

pub use cert_id::{CertId, CertIdHash, IssuerHashes};
pub use lint::{LintedResponse, OcspLint, OcspLintFindings, lint};
pub use plan::{Answer, CertStatus, ErrorStatus, PlannedResponse, ResponsePlan};
pub use read::{AnswerRead, Answers, BasicResponse, OcspResponse, OcspResponseError, ResponderId};
pub use ready::{ReadyAnswer, SignedResponse};
pub use request::{CertIds, OcspRequest, OcspRequestError, RequestLimits, encode_request};
pub use responder::{NotAResponder, Responder};
pub use verify::{OcspRefused, Question, VerifiedAnswer, verify_response};

#[cfg(test)]
mod tests;
