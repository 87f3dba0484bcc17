//! The request in the path of a GET (RFC 6960, A.1): base64, then percent-encoded.
//!
//! Clients do it in many ways. Taken are: slashes in front, `/`, `+` and `=`
//! encoded or not, `+` that became a space on the way, encoded twice, no padding.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mesh::{Problem, ProblemType};

/// Base64 as RFC 4648, 4 has it, its padding optional.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The path before the request.
const PREFIX: &str = "/ocsp/";

/// Why a path holds no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// It is longer than any request that is taken.
    TooLong {
        /// Most octets of a request.
        most: usize,
    },
    /// It is no percent-encoding of base64.
    NotBase64,
}

impl NoRequest {
    /// Makes the answer of it.
    pub(super) fn into_problem(self) -> Problem {
        match self {
            Self::TooLong { most } => Problem::new(
                ProblemType::UriTooLong,
                format!("a request in the path has at most {most} octets; use POST"),
            ),
            Self::NotBase64 => Problem::new(
                ProblemType::MalformedRequest,
                "the path is not an OCSP request in base64, percent-encoded (RFC 6960, A.1)",
            ),
        }
    }
}

/// Reads the request out of a path.
///
/// Bytes are hostile: never panics, allocates no more than the path's length.
pub(super) fn read(path: &str, most: usize) -> Result<Vec<u8>, NoRequest> {
    let text = path.strip_prefix(PREFIX).unwrap_or_default();
    // A request begins with 30, hence its base64 with `M`: slashes in front come
    // from a client that put one more between URL and request.
    let text = text.trim_start_matches('/').as_bytes();
    // Every character of the base64 encoded, and its percent signs once more.
    if text.len() > most.saturating_mul(4) / 3 * 5 {
        return Err(NoRequest::TooLong { most });
    }
    let mut text = text.to_vec();
    // Twice at most: a request has no percent sign of its own.
    for _ in 0..2 {
        if text.contains(&b'%') {
            decode_percent(&mut text).ok_or(NoRequest::NotBase64)?;
        }
    }
    for octet in &mut text {
        if *octet == b' ' {
            *octet = b'+';
        }
    }
    let start = text.iter().position(|octet| *octet != b'/');
    let request = BASE64
        .decode(text.get(start.unwrap_or(0)..).unwrap_or_default())
        .map_err(|_| NoRequest::NotBase64)?;
    if request.is_empty() {
        return Err(NoRequest::NotBase64);
    }
    if request.len() > most {
        return Err(NoRequest::TooLong { most });
    }
    Ok(request)
}

/// Decodes `%xx` in place (RFC 3986, 2.1); none if a percent sign begins nothing.
fn decode_percent(text: &mut Vec<u8>) -> Option<()> {
    let digit = |octet: u8| (octet as char).to_digit(16).map(|value| value as u8);
    let (mut from, mut to) = (0, 0);
    while let Some(octet) = text.get(from).copied() {
        let decoded = if octet == b'%' {
            let high = digit(text.get(from + 1).copied()?)?;
            let low = digit(text.get(from + 2).copied()?)?;
            from += 3;
            high << 4 | low
        } else {
            from += 1;
            octet
        };
        *text.get_mut(to)? = decoded;
        to += 1;
    }
    text.truncate(to);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Octets whose base64 has `+`, `/` and padding.
    const REQUEST: [u8; 7] = [0x30, 0x05, 0xfb, 0xff, 0xbf, 0x3e, 0xff];

    #[test]
    fn every_way_that_clients_write_it_is_read() {
        // MAX7/78+/w==
        for path in [
            "/ocsp/MAX7/78+/w==",
            "/ocsp/MAX7/78+/w",
            "/ocsp//MAX7/78+/w==",
            "/ocsp/MAX7%2F78%2B%2Fw%3D%3D",
            "/ocsp/MAX7%2f78%2b%2fw%3d%3d",
            "/ocsp/%2FMAX7%2F78%2B%2Fw%3D%3D",
            "/ocsp/MAX7%252F78%252B%252Fw%253D%253D",
            "/ocsp/MAX7/78%20/w==",
        ] {
            assert_eq!(read(path, 100).as_deref(), Ok(&REQUEST[..]), "{path}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for path in [
            "/ocsp/",
            "/ocsp/%",
            "/ocsp/MA%2",
            "/ocsp/MA%zz",
            "/ocsp/MAX7%2525252F",
            "/ocsp/M",
            "/ocsp/MAX7\u{e4}",
            "/ocsp/MAX7%0AAA",
            "/ocsp/MAX7-_8=",
        ] {
            assert_eq!(read(path, 100), Err(NoRequest::NotBase64), "{path}");
        }
    }

    #[test]
    fn a_long_path_is_not_even_decoded() {
        let path = format!("/ocsp/{}", "A".repeat(100_000));
        assert_eq!(read(&path, 4096), Err(NoRequest::TooLong { most: 4096 }));
        let path = format!("/ocsp/{}", "A".repeat(8));
        assert_eq!(read(&path, 5), Err(NoRequest::TooLong { most: 5 }));
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/ocsp/[%A-Za-z0-9+/= ]{0,64}") {
            let _ = read(&path, 1000);
        }

        #[test]
        fn what_was_encoded_is_read(request in prop::collection::vec(any::<u8>(), 1..100)) {
            prop_assume!(!BASE64.encode(&request).starts_with('/'));
            let path = format!("/ocsp/{}", BASE64.encode(&request).replace('+', "%2B"));
            prop_assert_eq!(read(&path, 1000).unwrap(), request);
        }
    }
}
