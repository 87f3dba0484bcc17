//! OCSP over HTTP (RFC 6960, A; RFC 9919, 5 and 6): `POST /ocsp` and
//! `GET /ocsp/{request in base64}`.
//!
//! What reads as a request, or as bytes that are none, is answered by an
//! OCSPResponse with 200, as clients expect it. Errors of HTTP are those of
//! HTTP: a body too large, another media type, a path that is no base64.

mod address;
mod express;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderMap, HeaderValue, HttpDate};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use aws_lc_rs::digest;
use jiff::SignedDuration;
use mesh::{Body, BodyLimits, Problem, ProblemType, RouteName, wire};
use model::Timestamp;

use super::conditional::knows;
pub(crate) use express::OcspExpress;

use crate::ocsp::{Begun, Keep, OcspAnswer, Responder};

/// Time for the body of a query, which is small.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Adds the OCSP routes, for any peer that the listener admits.
pub(crate) fn routes(config: &mut web::ServiceConfig, responder: &Arc<Responder>) {
    let limits = BodyLimits {
        max_bytes: responder.max_request_bytes(),
        timeout: BODY_TIMEOUT,
    };
    // RFC 6960, A.1: clients append the request to the URL of the certificate,
    // with or without a slash at its end; POST goes to that URL as it is. The
    // request in the path is no route's parameter: matching it would cost more
    // than the answer.
    config.service(
        web::scope("/ocsp")
            .app_data(limits)
            .app_data(Data::from(Arc::clone(responder)))
            .service(web::resource("").route(web::post().to(post)))
            .service(web::resource("/").route(web::post().to(post)))
            .default_service(web::to(get)),
    );
}

/// What logs and metrics call a POST.
const POST_ROUTE: RouteName = RouteName("/ocsp");

/// What logs and metrics call a GET.
const GET_ROUTE: RouteName = RouteName("/ocsp/{request}");

/// `POST /ocsp`.
async fn post(
    responder: Data<Responder>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    request.extensions_mut().insert(POST_ROUTE);
    // Absent is taken: curl and others without a type mean what they send.
    if let Some(given) = request.headers().get(header::CONTENT_TYPE)
        && !is_ocsp_request(given)
    {
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            format!("this call takes {}", wire::OCSP_REQUEST),
        ));
    }
    let Body(request_der) = body;
    let answer = answer(&responder.into_inner(), &request_der).await;
    Ok(answer_once(answer))
}

/// Gives an answer to the one who asked, and to nobody else (RFC 9111, 2).
fn answer_once(answer: OcspAnswer) -> HttpResponse {
    let body = answer.into_der();
    let mut response = HttpResponse::with_body(StatusCode::OK, body).map_into_boxed_body();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, OCSP_RESPONSE);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// `GET /ocsp/{request}`.
async fn get(responder: Data<Responder>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    request.extensions_mut().insert(GET_ROUTE);
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "GET, HEAD"))
            .finish());
    }
    let responder = responder.into_inner();
    let request_der = address::read(request.path(), responder.max_request_bytes())
        .map_err(address::NoRequest::into_problem)?;
    let answer = answer(&responder, &request_der).await;
    Ok(answer_get(&responder, request.headers(), answer))
}

/// Gives an answer that caches may keep, where they may, or says that it is known.
fn answer_get(responder: &Responder, headers: &HeaderMap, answer: OcspAnswer) -> HttpResponse {
    let Some(keep) = answer.keep else {
        return answer_once(answer);
    };
    let entity = Entity::of(&answer, keep);
    let mut response = if knows(headers, &entity.tag, keep.since) {
        // RFC 9110, 15.4.5.
        HttpResponse::new(StatusCode::NOT_MODIFIED)
    } else {
        let mut response =
            HttpResponse::with_body(StatusCode::OK, answer.into_der()).map_into_boxed_body();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, OCSP_RESPONSE);
        response
    };
    let max_age = responder.max_age(keep);
    entity.describe(response.headers_mut(), max_age);
    response
}

/// Asks the responder, waiting only where a signature is needed.
async fn answer(responder: &Arc<Responder>, request_der: &[u8]) -> OcspAnswer {
    match responder.begin(request_der) {
        Begun::Answered(answer) => answer,
        Begun::Awaited(awaited) => awaited.wait().await,
    }
}

/// The media type of every answer.
const OCSP_RESPONSE: HeaderValue = HeaderValue::from_static(wire::OCSP_RESPONSE);

/// For answers that are not to be kept.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Tells whether a media type is that of a request.
fn is_ocsp_request(given: &HeaderValue) -> bool {
    let given = given.as_bytes();
    let end = given
        .iter()
        .position(|octet| *octet == b';')
        .unwrap_or(given.len());
    given
        .get(..end)
        .unwrap_or_default()
        .trim_ascii()
        .eq_ignore_ascii_case(wire::OCSP_REQUEST.as_bytes())
}

/// An answer as caches see it.
#[derive(Debug)]
struct Entity {
    /// Its ETag, quotes included.
    tag: String,
    /// Its thisUpdate.
    since: SystemTime,
    /// Its nextUpdate.
    until: SystemTime,
}

/// Takes a time of a certificate's age, which is none before 1970.
fn moment(time: Timestamp) -> SystemTime {
    let seconds = u64::try_from(time.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Octets of a hash that make an ETag.
const TAG_LEN: usize = 16;

impl Entity {
    /// Describes an answer that may be kept.
    fn of(answer: &OcspAnswer, keep: Keep) -> Self {
        let hash = digest::digest(&digest::SHA256, answer.der());
        let mut tag = [b'"'; 2 * TAG_LEN + 2];
        let hash = hash.as_ref().get(..TAG_LEN).unwrap_or_default();
        // Twice as many digits as octets, between the quotes.
        let is_written = hex::encode_to_slice(hash, &mut tag[1..=2 * TAG_LEN]).is_ok();
        debug_assert!(is_written, "a hash of another length");
        let tag = String::from_utf8_lossy(&tag).into_owned();
        Self {
            tag,
            since: moment(keep.since),
            until: moment(keep.until),
        }
    }

    /// Writes the headers of RFC 9919, 5.2.
    fn describe(&self, headers: &mut HeaderMap, max_age: u64) {
        let lines = [
            (header::ETAG, self.tag.clone()),
            (
                header::LAST_MODIFIED,
                HttpDate::from(self.since).to_string(),
            ),
            (header::EXPIRES, HttpDate::from(self.until).to_string()),
            (
                header::CACHE_CONTROL,
                format!("max-age={max_age}, public, no-transform, must-revalidate"),
            ),
        ];
        for (name, value) in lines {
            // Digits, letters and punctuation of ASCII are a value.
            if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
                headers.insert(name, value);
            }
        }
    }
}

impl Responder {
    /// Returns the most octets of one request.
    fn max_request_bytes(&self) -> usize {
        self.config().limits.max_bytes
    }

    /// Returns how many seconds a cache may keep an answer: as configured, and not
    /// past its nextUpdate.
    fn max_age(&self, keep: Keep) -> u64 {
        let left = keep.until.duration_since(self.now());
        let age = self.config().max_age.min(left).max(SignedDuration::ZERO);
        age.as_secs().unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_may_have_parameters() {
        for (given, expected) in [
            ("application/ocsp-request", true),
            ("Application/OCSP-Request; charset=x", true),
            ("application/json", false),
            ("", false),
        ] {
            let given = HeaderValue::from_static(given);
            assert_eq!(is_ocsp_request(&given), expected);
        }
    }
}
