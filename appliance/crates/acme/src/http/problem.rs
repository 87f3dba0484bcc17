//! Statuses and documents of problems (RFC 8555, 6.7; RFC 9457).

use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::{Map, Value};

use crate::jws::SigningAlgorithm;
use crate::problem::{AcmeProblem, ErrorType, Occasion, Subproblem};

/// Returns the status of an error type.
pub(crate) fn status_of(kind: ErrorType) -> u16 {
    usual(kind).as_u16()
}

/// Returns the status of an error type, where nothing else is known.
fn usual(kind: ErrorType) -> StatusCode {
    match kind {
        ErrorType::AccountDoesNotExist
        | ErrorType::AlreadyRevoked
        | ErrorType::BadAttestationStatement
        | ErrorType::BadCsr
        // RFC 8555, 6.5: 400.
        | ErrorType::BadNonce
        | ErrorType::BadPublicKey
        | ErrorType::BadRevocationReason
        // RFC 8555, 6.2: 400.
        | ErrorType::BadSignatureAlgorithm
        | ErrorType::Compound
        | ErrorType::Connection
        | ErrorType::Dns
        | ErrorType::InvalidContact
        | ErrorType::InvalidProfile
        | ErrorType::Malformed
        | ErrorType::RejectedIdentifier
        | ErrorType::Tls
        | ErrorType::UnsupportedContact
        | ErrorType::UnsupportedIdentifier => StatusCode::BAD_REQUEST,
        ErrorType::Caa
        | ErrorType::ExternalAccountRequired
        | ErrorType::IncorrectResponse
        // RFC 8555, 7.4: 403.
        | ErrorType::OrderNotReady
        | ErrorType::Unauthorized
        // RFC 8555, 7.3.3: 403.
        | ErrorType::UserActionRequired => StatusCode::FORBIDDEN,
        // RFC 9773, 5: 409.
        ErrorType::AlreadyReplaced => StatusCode::CONFLICT,
        ErrorType::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorType::ServerInternal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns the status of a problem.
pub(super) fn status(problem: &AcmeProblem) -> StatusCode {
    match problem.occasion() {
        Occasion::Usual => usual(problem.kind()),
        Occasion::UrlMismatch => StatusCode::UNAUTHORIZED,
        Occasion::NotFound => StatusCode::NOT_FOUND,
        Occasion::Method => StatusCode::METHOD_NOT_ALLOWED,
        Occasion::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Occasion::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Occasion::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Occasion::Conflict => StatusCode::CONFLICT,
        Occasion::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Tells whether the rest of the connection is of no use.
pub(super) fn closes(problem: &AcmeProblem) -> bool {
    matches!(problem.occasion(), Occasion::TooLarge | Occasion::TooSlow)
}

/// Writes the document.
pub(super) fn document(problem: &AcmeProblem) -> Value {
    let mut document = Map::new();
    document.insert("type".to_owned(), problem.kind().uri().into());
    document.insert("detail".to_owned(), problem.detail().into());
    document.insert("status".to_owned(), status(problem).as_u16().into());
    if problem.kind() == ErrorType::BadSignatureAlgorithm {
        // RFC 8555, 6.2: "algorithms", those the server supports.
        let names = SigningAlgorithm::ALL.map(SigningAlgorithm::as_str);
        document.insert("algorithms".to_owned(), names.to_vec().into());
    }
    if let Some(instance) = problem.instance() {
        document.insert("instance".to_owned(), instance.into());
    }
    // RFC 8555, 6.7.1: absent where there is nothing in it.
    if !problem.subproblems().is_empty() {
        let subproblems = problem.subproblems().iter().map(Subproblem::to_json);
        document.insert("subproblems".to_owned(), subproblems.collect());
    }
    Value::Object(document)
}

/// Writes a `Retry-After`: whole seconds, never a date, rounded up.
pub(super) fn retry_after(delay: Duration) -> String {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    seconds.max(1).to_string()
}
