//! Answers: their headers (RFC 8555, 6.5, 7.1), and the line in the log.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use mesh::{PROBLEM_JSON, RequestSpan};
use serde::Serialize;
use tracing::{Span, info_span};

use super::problem;
use crate::problem::AcmeProblem;
use crate::service::Acme;
use crate::service::request::Notes;
use crate::urls::{ExternalUrl, Resource};

/// The header that nonces come in (RFC 8555, 6.5.1).
const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    /// Not at all: it is of one request.
    Never,
    /// Some minutes: it is the same for everyone.
    Briefly,
}

/// What a good request gets.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    status: StatusCode,
    /// The media type, where there is a body.
    media_type: &'static str,
    /// The body.
    body: Vec<u8>,
    /// The resource that was made or is meant.
    location: Option<String>,
    /// Links: relation and URL.
    links: Vec<(&'static str, String)>,
    /// When to ask again.
    retry_after: Option<Duration>,
    /// How long it may be kept.
    cache: Cache,
}

impl Answer {
    /// Answers with JSON.
    pub(super) fn json<T: Serialize>(object: &T) -> Self {
        Self {
            media_type: "application/json",
            // Strings, numbers and lists: nothing here can fail to encode.
            body: serde_json::to_vec(object).unwrap_or_default(),
            ..Self::empty()
        }
    }

    /// Answers with a certificate chain (RFC 8555, 9.1).
    pub(super) fn chain(chain_pem: &str) -> Self {
        Self {
            media_type: mesh::wire::PEM_CHAIN,
            body: chain_pem.as_bytes().to_vec(),
            ..Self::empty()
        }
    }

    /// Answers 200 without a body.
    pub(super) fn empty() -> Self {
        Self {
            status: StatusCode::OK,
            media_type: "",
            body: Vec::new(),
            location: None,
            links: Vec::new(),
            retry_after: None,
            cache: Cache::Never,
        }
    }

    /// Answers 204.
    pub(super) fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            ..Self::empty()
        }
    }

    /// Says that something was made, and where.
    pub(super) fn created(self, location: String) -> Self {
        Self {
            status: StatusCode::CREATED,
            ..self.at(location)
        }
    }

    /// Says which resource is meant.
    pub(super) fn at(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    /// Links to another resource.
    pub(super) fn link(mut self, relation: &'static str, url: String) -> Self {
        self.links.push((relation, url));
        self
    }

    /// Says when to ask again.
    pub(super) fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Says how long it may be kept.
    pub(super) fn cached(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }
}

/// Writes an answer or a problem, counts it and tells the log.
pub(super) fn respond(
    acme: &Acme,
    urls: Option<&ExternalUrl>,
    request: &HttpRequest,
    notes: &Notes,
    outcome: Result<Answer, AcmeProblem>,
    nonce: bool,
) -> HttpResponse {
    let mut response = match &outcome {
        Ok(answer) => good(answer),
        Err(problem) => bad(problem),
    };
    let headers = response.headers_mut();
    // RFC 8555, 7.1: a link to the directory from every other resource.
    if let Some(urls) = urls
        && request.path() != Resource::Directory.path()
    {
        append_link(headers, "index", &urls.of(Resource::Directory));
    }
    // RFC 8555, 6.5: in every answer to a POST, errors included.
    let problem = outcome.as_ref().err();
    if nonce && let Ok(value) = HeaderValue::from_str(&acme.nonce(problem)) {
        headers.insert(REPLAY_NONCE, value);
    }
    if let Some(problem) = problem {
        acme.metrics.error(problem.kind());
    }
    let span = span(notes, problem);
    request.extensions_mut().insert(RequestSpan(span));
    response
}

/// Writes an answer.
fn good(answer: &Answer) -> HttpResponse {
    let mut builder = HttpResponse::build(answer.status);
    if !answer.media_type.is_empty() {
        builder.insert_header((
            header::CONTENT_TYPE,
            HeaderValue::from_static(answer.media_type),
        ));
    }
    let cache = match answer.cache {
        Cache::Never => "no-store",
        Cache::Briefly => "public, max-age=300",
    };
    builder.insert_header((header::CACHE_CONTROL, HeaderValue::from_static(cache)));
    if let Some(location) = &answer.location {
        builder.insert_header((header::LOCATION, location.as_str()));
    }
    if let Some(delay) = answer.retry_after {
        builder.insert_header((header::RETRY_AFTER, problem::retry_after(delay)));
    }
    let mut response = builder.body(answer.body.clone());
    for (relation, url) in &answer.links {
        append_link(response.headers_mut(), relation, url);
    }
    response
}

/// Writes a problem.
fn bad(stated: &AcmeProblem) -> HttpResponse {
    let mut builder = HttpResponse::build(problem::status(stated));
    builder
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    if let Some(delay) = stated.retry_delay() {
        builder.insert_header((header::RETRY_AFTER, problem::retry_after(delay)));
    }
    if let Some(location) = stated.location() {
        builder.insert_header((header::LOCATION, location));
    }
    if problem::closes(stated) {
        builder.force_close();
    }
    let body = problem::document(stated).to_string();
    let mut response = builder.body(body);
    // RFC 8555, 7.3.3: a link to the terms that must be agreed to.
    if let Some(terms) = stated.instance() {
        append_link(response.headers_mut(), "terms-of-service", terms);
    }
    response
}

/// Adds a link (RFC 8288); the URLs here are ours or the configuration's.
fn append_link(headers: &mut header::HeaderMap, relation: &str, url: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("<{url}>;rel=\"{relation}\"")) {
        headers.append(header::LINK, value);
    }
}

/// Gathers what the request's line in the log tells besides.
fn span(notes: &Notes, problem: Option<&AcmeProblem>) -> Span {
    let cause = problem.and_then(AcmeProblem::cause_chain);
    info_span!(
        parent: None,
        "acme",
        jws.alg = notes.algorithm.as_deref(),
        jws.kid = notes.kid.as_deref(),
        jws.thumbprint = notes.thumbprint.as_deref(),
        jws.nonce = notes.nonce.as_deref(),
        jws.url = notes.url.as_deref(),
        acme.account = notes.account.as_deref(),
        acme.order = notes.order.as_deref(),
        acme.authorization = notes.authorization.as_deref(),
        acme.challenge = notes.challenge,
        acme.identifiers = notes.identifiers.as_deref(),
        acme.eab_key = notes.eab_key.as_deref(),
        cert.serial = notes.serial.as_deref(),
        problem.r#type = problem.map(|problem| problem.kind().as_str()),
        problem.detail = problem.map(AcmeProblem::detail),
        error.cause = cause.as_deref(),
    )
}
