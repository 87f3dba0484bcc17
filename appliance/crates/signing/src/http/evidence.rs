//! Evidence within JSON: an object, whose octets are kept as they stand, or base64 of
//! the exact octets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::problem::SigningProblem;

/// Takes evidence out of a request.
pub(super) fn octets(
    whole: &Bytes,
    value: &RawValue,
    what: &'static str,
    limit: u64,
) -> Result<Bytes, SigningProblem> {
    let text = value.get();
    let octets = match text.as_bytes().first() {
        // As it stands in the request, without a copy.
        Some(b'{') => whole.slice_ref(text.as_bytes()),
        Some(b'"') => {
            let text: std::borrow::Cow<'_, str> = serde_json::from_str(text)
                .map_err(|error| SigningProblem::malformed(format!("{what}: {error}")))?;
            STANDARD
                .decode(text.as_bytes())
                .map(Bytes::from)
                .map_err(|error| {
                    SigningProblem::malformed(format!(
                        "{what}: the text is not base64 (RFC 4648, 4): {error}"
                    ))
                })?
        }
        _ => {
            return Err(SigningProblem::malformed(format!(
                "{what}: it is an object, or a text of base64"
            )));
        }
    };
    let actual = octets.len() as u64;
    if actual > limit {
        return Err(SigningProblem::TooLarge {
            what,
            limit,
            actual: Some(actual),
        });
    }
    Ok(octets)
}
