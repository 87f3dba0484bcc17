//! base64url without padding (RFC 7515, 2; RFC 8555, 6.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Decodes; padding, other alphabets and stray bits are refused.
///
/// # Errors
///
/// Where the text is not the one encoding of some octets.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    // RFC 8555, 6.1: trailing '=' characters MUST be stripped, and a server MUST
    // reject values that include them.
    URL_SAFE_NO_PAD.decode(text)
}

/// Encodes.
pub(crate) fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}
