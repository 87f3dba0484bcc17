//! Problem documents (RFC 9457): how every service tells an error.
//!
//! A handler returns `Result<_, Problem>`; the shell writes the document, adds
//! the request id and logs the cause, which never travels.

mod kind;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use model::RequestId;
use serde::Serialize;
use serde_json::{Map, Value};

pub use kind::ProblemType;

/// Media type of a problem document (RFC 9457, 3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One error, as a peer is told it.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

/// What a [`Problem`] holds, boxed so that results stay small.
#[derive(Debug)]
struct Inner {
    /// Which kind of problem.
    kind: ProblemType,
    /// The name by which programs tell it, where it is not that of the kind.
    code: Option<&'static str>,
    /// A sentence about this occurrence.
    detail: String,
    /// When trying again may help.
    retry_after: Option<Duration>,
    /// Further members of the document.
    members: Map<String, Value>,
    /// What stopped us, for the log alone.
    cause: Option<Box<dyn Error + Send + Sync>>,
    /// Whether the connection ends with the answer.
    close: bool,
}

impl Problem {
    /// States a problem with a sentence that helps whoever reads it.
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: None,
            detail: detail.into(),
            retry_after: None,
            members: Map::new(),
            cause: None,
            close: false,
        }))
    }

    /// States a fault of ours; its cause is logged and not told.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            ProblemType::Internal,
            "the service failed in a way it should not; its log has the cause under this request id",
        )
        .caused_by(cause)
    }

    /// Says when trying again may help.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Tells programs a narrower name than the kind's.
    #[must_use]
    pub fn coded(mut self, code: &'static str) -> Self {
        self.0.code = Some(code);
        self
    }

    /// Adds a member to the document; members of RFC 9457 keep their meaning.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if !RESERVED.contains(&name) {
            self.0.members.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Ends the connection with the answer: the rest of the request is not read.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.close = true;
        self
    }

    /// Returns the kind of problem.
    #[must_use]
    pub fn kind(&self) -> ProblemType {
        self.0.kind
    }

    /// Returns the sentence about this occurrence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns the chain of causes for the log, outermost first.
    #[must_use]
    pub fn cause_chain(&self) -> Option<String> {
        let mut next: Option<&dyn Error> = Some(self.0.cause.as_deref()?);
        let mut chain = String::new();
        while let Some(cause) = next {
            if !chain.is_empty() {
                chain.push_str(": ");
            }
            chain.push_str(&cause.to_string());
            next = cause.source();
        }
        Some(chain)
    }

    /// Writes the answer, naming the request where it is known.
    #[must_use]
    pub fn to_response(&self, request: Option<&RequestId>) -> HttpResponse {
        let inner = &self.0;
        let status = inner.kind.status();
        let document = Document {
            kind: inner.kind.uri(),
            title: inner.kind.title(),
            status: status.as_u16(),
            code: match inner.code {
                Some(code) => code.to_owned(),
                None => inner.kind.slug().replace('-', "_"),
            },
            detail: &inner.detail,
            request_id: request.map(RequestId::as_str),
            members: &inner.members,
        };
        // Strings, integers and JSON values: nothing here can fail to encode.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = HttpResponse::build(status);
        response
            .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)))
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
        if let Some(delay) = inner.retry_after {
            // RFC 9110, 10.2.3: whole seconds; rounded up, so that nobody comes too soon.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.insert_header((header::RETRY_AFTER, seconds.max(1).to_string()));
        }
        if let Some(challenge) = challenge(inner.kind) {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        if inner.close {
            response.force_close();
        }
        response.body(body)
    }
}

/// Returns the challenge that goes with 401 (RFC 9110, 15.5.2; RFC 6750, 3).
const fn challenge(kind: ProblemType) -> Option<&'static str> {
    match kind {
        ProblemType::OidcTokenRequired => Some("Bearer"),
        ProblemType::OidcTokenInvalid => Some("Bearer error=\"invalid_token\""),
        _ => None,
    }
}

/// Members whose meaning RFC 9457 and this product fix.
const RESERVED: [&str; 7] = [
    "type",
    "title",
    "status",
    "code",
    "detail",
    "instance",
    "request_id",
];

/// The document in the order people read it.
#[derive(Serialize)]
struct Document<'a> {
    /// The problem type's URI.
    #[serde(rename = "type")]
    kind: String,
    /// The type in a few words.
    title: &'static str,
    /// The HTTP status again.
    status: u16,
    /// The kind for programs that compare names.
    code: String,
    /// The sentence.
    detail: &'a str,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// Everything else.
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.slug(), self.0.detail)
    }
}

impl Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.kind.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.to_response(None)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn a_problem_tells_type_detail_request_and_members_but_not_its_cause() {
        let problem = Problem::new(ProblemType::TokenUnavailable, "the token is away")
            .retry_after(Duration::from_millis(1500))
            .with("waiting", 3)
            .with("status", 200)
            .caused_by(std::io::Error::other("CKR_TOKEN_NOT_PRESENT"));
        let request = RequestId::new("r-1").unwrap();
        let response = problem.to_response(Some(&request));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get("retry-after").unwrap(), "2");
        let body = to_bytes(response.into_body()).await.unwrap();
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["type"], "urn:chancery:problem:token-unavailable");
        assert_eq!(document["status"], 503);
        assert_eq!(document["code"], "token_unavailable");
        assert_eq!(document["request_id"], "r-1");
        assert_eq!(document["waiting"], 3);
        assert!(!String::from_utf8_lossy(&body).contains("CKR"));
        assert_eq!(
            problem.cause_chain().as_deref(),
            Some("CKR_TOKEN_NOT_PRESENT")
        );
    }
}
