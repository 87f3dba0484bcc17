//! Documents that caches keep: entity tags, dates, and answers without a body.

use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderMap, HttpDate};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use jiff::SignedDuration;
use model::Timestamp;

/// A document that is the same for everybody.
#[derive(Debug, Clone)]
pub(crate) struct Document<'a> {
    /// Its octets; shared, not copied.
    pub(crate) body: Bytes,
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// Its entity tag, quotes included.
    pub(crate) etag: &'a str,
    /// Since when it is as it is.
    pub(crate) modified: Timestamp,
    /// How long caches may keep it.
    pub(crate) fresh_for: Duration,
}

impl Document<'_> {
    /// Answers with the document, or that the client has it already (RFC 9110, 13).
    pub(crate) fn respond(self, request: &HttpRequest, now: Timestamp) -> HttpResponse {
        let is_known = knows(request.headers(), self.etag, self.modified);
        let mut response = if is_known {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        let max_age = self.fresh_for.as_secs();
        let expires = SignedDuration::try_from(self.fresh_for)
            .ok()
            .and_then(|time| now.checked_add(time).ok())
            .unwrap_or(now);
        // RFC 9110, 15.4.5: a 304 carries what a 200 would tell a cache.
        response
            .insert_header((header::ETAG, self.etag))
            .insert_header((header::LAST_MODIFIED, http_date(self.modified)))
            .insert_header((header::EXPIRES, http_date(expires)))
            .insert_header((
                header::CACHE_CONTROL,
                format!("max-age={max_age}, public, no-transform, must-revalidate"),
            ));
        if is_known {
            return response.finish();
        }
        response
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .content_type(self.media_type)
            .body(self.body)
    }
}

/// Tells whether a client has the document already.
pub(crate) fn knows(headers: &HeaderMap, etag: &str, modified: Timestamp) -> bool {
    let mut named = headers.get_all(header::IF_NONE_MATCH).peekable();
    if named.peek().is_some() {
        // RFC 9110, 13.1.3: dates count only where no tags are named.
        return named.any(|value| value.to_str().is_ok_and(|value| names(value, etag)));
    }
    headers
        .get(header::IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<HttpDate>().ok())
        .is_some_and(|since| SystemTime::from(since) >= system_time(modified))
}

/// Tells whether a list of entity tags names one (RFC 9110, 8.8.3.2: weakly).
fn names(list: &str, etag: &str) -> bool {
    list.trim() == "*"
        || list
            .split(',')
            .any(|tag| tag.trim().trim_start_matches("W/") == etag)
}

/// Writes a date of HTTP.
fn http_date(time: Timestamp) -> HttpDate {
    HttpDate::from(system_time(time))
}

/// Returns a time to the second, as HTTP has it; nothing here is older than 1970.
fn system_time(time: Timestamp) -> SystemTime {
    let seconds = u64::try_from(time.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// Asks with headers and tells the status.
    fn status(headers: &[(&str, &str)]) -> u16 {
        let request = headers
            .iter()
            .fold(TestRequest::get(), |request, header| {
                request.insert_header(*header)
            })
            .to_http_request();
        let modified: Timestamp = "2026-11-25T06:00:00.5Z".parse().unwrap();
        Document {
            body: Bytes::from_static(b"document"),
            media_type: "text/plain",
            etag: "\"abc\"",
            modified,
            fresh_for: Duration::from_secs(60),
        }
        .respond(&request, modified)
        .status()
        .as_u16()
    }

    #[test]
    fn who_has_it_is_not_sent_it_again() {
        for (headers, expected) in [
            (&[][..], 200),
            (&[("if-none-match", "\"abc\"")], 304),
            (&[("if-none-match", "\"x\", W/\"abc\"")], 304),
            (&[("if-none-match", "*")], 304),
            (&[("if-none-match", "\"x\"")], 200),
            (&[("if-none-match", "abc")], 200),
            (
                &[("if-modified-since", "Wed, 25 Nov 2026 06:00:00 GMT")],
                304,
            ),
            (
                &[("if-modified-since", "Wed, 25 Nov 2026 05:59:59 GMT")],
                200,
            ),
            (&[("if-modified-since", "yesterday")], 200),
            (
                &[
                    ("if-none-match", "\"x\""),
                    ("if-modified-since", "Wed, 25 Nov 2026 06:00:00 GMT"),
                ],
                200,
            ),
        ] {
            assert_eq!(status(headers), expected, "{headers:?}");
        }
    }
}
