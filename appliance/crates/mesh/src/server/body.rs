//! Request bodies, whole, within their size and their time.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::{Problem, ProblemType};

/// What a request's body may be; a route overrides it as its `app_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Most octets.
    pub max_bytes: usize,
    /// Time for all of them.
    pub timeout: Duration,
}

/// A request's whole body.
#[derive(Debug, Clone)]
pub struct Body(pub Bytes);

/// A request's whole body, read as JSON.
#[derive(Debug, Clone)]
pub struct JsonBody<T>(pub T);

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limits = request.app_data::<BodyLimits>().copied();
        let length = declared_length(request);
        let payload = payload.take();
        Box::pin(async move {
            let limits = limits.ok_or_else(|| Problem::internal(NoLimits))?;
            Self::within(length, payload, limits).await
        })
    }
}

impl Body {
    /// Reads a body within limits that a handler knows only when it sees the request.
    ///
    /// # Errors
    ///
    /// `BodyTooLarge` and `BodyTimeout` beyond the limits, `MalformedRequest` when the body
    /// ends early.
    pub async fn read(
        request: &HttpRequest,
        payload: Payload,
        limits: BodyLimits,
    ) -> Result<Self, Problem> {
        Self::within(declared_length(request), payload, limits).await
    }

    /// Reads a body whose length may be declared.
    async fn within(
        length: Option<u64>,
        mut payload: Payload,
        limits: BodyLimits,
    ) -> Result<Self, Problem> {
        match length {
            // RFC 9110, 15.5.14: not a single octet of it is read.
            Some(length) if length > limits.max_bytes as u64 => Err(too_large(&limits)),
            _ => {
                let reading = read(&mut payload, &limits, length.unwrap_or(0) as usize);
                match timeout(limits.timeout, reading).await {
                    Ok(outcome) => outcome.map(Self),
                    Err(_) => Err(too_slow(&limits)),
                }
            }
        }
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
        let body = Body::from_request(request, payload);
        Box::pin(async move {
            if !json {
                return Err(Problem::new(
                    ProblemType::UnsupportedMediaType,
                    "this call takes application/json",
                )
                .closing());
            }
            let Body(body) = body.await?;
            serde_json::from_slice(&body).map(Self).map_err(|error| {
                Problem::new(
                    ProblemType::MalformedRequest,
                    format!("the body is not the JSON this call takes: {error}"),
                )
            })
        })
    }
}

/// A route that reads bodies outside a listener of ours.
#[derive(Debug, thiserror::Error)]
#[error("the application has no body limits")]
struct NoLimits;

/// Returns the length that the head declares.
fn declared_length(request: &HttpRequest) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Reads until the end or one octet too many.
async fn read(
    payload: &mut Payload,
    limits: &BodyLimits,
    expected: usize,
) -> Result<Bytes, Problem> {
    let mut whole: Option<BytesMut> = None;
    let mut first: Option<Bytes> = None;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(broken)?;
        let have = whole
            .as_ref()
            .map_or_else(|| first.as_ref().map_or(0, Bytes::len), BytesMut::len);
        if have + chunk.len() > limits.max_bytes {
            return Err(too_large(limits));
        }
        match (&mut whole, first.take()) {
            (Some(whole), _) => whole.extend_from_slice(&chunk),
            // Most bodies come in one piece and are not copied.
            (None, None) => first = Some(chunk),
            (None, Some(one)) => {
                let mut both = BytesMut::with_capacity(expected.max(one.len() + chunk.len()));
                both.extend_from_slice(&one);
                both.extend_from_slice(&chunk);
                whole = Some(both);
            }
        }
    }
    Ok(whole.map(BytesMut::freeze).or(first).unwrap_or_default())
}

/// States that the body is too large, and how large it may be.
fn too_large(limits: &BodyLimits) -> Problem {
    Problem::new(
        ProblemType::BodyTooLarge,
        format!("this call takes at most {} octets", limits.max_bytes),
    )
    .with("max_bytes", limits.max_bytes)
    .closing()
}

/// States that the body came too slowly.
fn too_slow(limits: &BodyLimits) -> Problem {
    Problem::new(
        ProblemType::BodyTimeout,
        format!(
            "the whole body was not there within {} s",
            limits.timeout.as_secs_f64()
        ),
    )
    .closing()
}

/// States that the body ended early or was framed wrongly.
fn broken(error: PayloadError) -> Problem {
    Problem::new(
        ProblemType::MalformedRequest,
        format!("the body could not be read to its end: {error}"),
    )
    .closing()
}
