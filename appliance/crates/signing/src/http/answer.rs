//! Headers that answers share.

use actix_web::http::header::{self, ETag, EntityTag, Header, HeaderValue, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use crate::problem::SigningProblem;

/// How long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    /// Not at all: it is of one request.
    Never,
    /// Until the next question, which may be answered that it is the same.
    Asked,
    /// For good: what the URL names never changes.
    Immutable,
}

impl Cache {
    /// Returns the header's value.
    const fn value(self) -> &'static str {
        match self {
            Self::Never => "no-store",
            Self::Asked => "private, no-cache",
            // RFC 8246: no question on reload either.
            Self::Immutable => "private, max-age=31536000, immutable",
        }
    }
}

/// Adds what every answer has.
pub(super) fn headers(response: &mut HttpResponseBuilder, cache: Cache) {
    response
        .insert_header((header::CACHE_CONTROL, cache.value()))
        // Documents are what clients sent: nobody is to guess what they are.
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
}

/// Answers with JSON that is not kept.
pub(super) fn json<T: Serialize>(mut response: HttpResponseBuilder, object: &T) -> HttpResponse {
    headers(&mut response, Cache::Never);
    response.json(object)
}

/// Answers with octets that have a tag, or that they are the same as before.
pub(super) fn tagged(
    request: &HttpRequest,
    media_type: &str,
    octets: Vec<u8>,
    cache: Cache,
) -> HttpResponse {
    let tag = hex::encode(digest(&SHA256, &octets));
    match unchanged(request, &tag, cache) {
        Some(response) => response,
        None => {
            let mut response = tagged_head(&tag, media_type, cache);
            response.body(octets)
        }
    }
}

/// Begins an answer that has a tag.
pub(super) fn tagged_head(tag: &str, media_type: &str, cache: Cache) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    headers(&mut response, cache);
    response.insert_header(ETag(EntityTag::new_strong(tag.to_owned())));
    if let Ok(value) = HeaderValue::from_str(media_type) {
        response.insert_header((header::CONTENT_TYPE, value));
    }
    response
}

/// Answers that the client has it already (RFC 9110, 13.1.2), if so.
pub(super) fn unchanged(request: &HttpRequest, tag: &str, cache: Cache) -> Option<HttpResponse> {
    let has = match IfNoneMatch::parse(request).ok()? {
        IfNoneMatch::Any => request.headers().contains_key(header::IF_NONE_MATCH),
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.tag() == tag),
    };
    if !has {
        return None;
    }
    let mut response = HttpResponse::NotModified();
    headers(&mut response, cache);
    response.insert_header(ETag(EntityTag::new_strong(tag.to_owned())));
    Some(response.finish())
}

/// Picks the representation a client likes best; the first where it does not say.
pub(super) fn negotiate<T: Copy>(
    request: &HttpRequest,
    offered: &[(&'static str, T)],
) -> Result<(&'static str, T), SigningProblem> {
    let not_acceptable = || SigningProblem::NotAcceptable {
        available: offered
            .iter()
            .map(|(media_type, _)| *media_type)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let first = offered.first().copied().ok_or_else(not_acceptable)?;
    if !request.headers().contains_key(header::ACCEPT) {
        return Ok(first);
    }
    let accept = header::Accept::parse(request)
        .map_err(|error| SigningProblem::malformed(format!("Accept: {error}")))?;
    if accept.0.is_empty() {
        return Ok(first);
    }
    let found = accept.ranked().into_iter().find_map(|wanted| {
        offered.iter().copied().find(|(media_type, _)| {
            let essence = media_type.split(';').next().unwrap_or_default();
            let (kind, subtype) = essence.split_once('/').unwrap_or_default();
            (wanted.type_() == "*" || wanted.type_() == kind)
                && (wanted.subtype() == "*" || wanted.essence_str() == format!("{kind}/{subtype}"))
        })
    });
    found.ok_or_else(not_acceptable)
}
