//! Why a JWS is not taken.

use super::algorithm::SigningAlgorithm;

/// Why a JWS is not taken.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// Not JSON, or not a flattened JWS.
    #[error("the body is no JWS in flattened JSON with protected, payload and signature: {source}")]
    Json {
        /// What the reader says.
        source: serde_json::Error,
    },
    /// An unprotected header.
    #[error("the JWS has an unprotected header, which ACME forbids (RFC 8555, 6.2)")]
    Unprotected,
    /// Several signatures.
    #[error(
        "the JWS is in the general form of several signatures; ACME takes the flattened one (RFC 8555, 6.2)"
    )]
    Several,
    /// A part that is not base64url.
    #[error("the {part} is not base64url without padding (RFC 8555, 6.1)")]
    Base64 {
        /// The part.
        part: &'static str,
    },
    /// A header longer than any needs to be.
    #[error("the protected header has more than {max} characters")]
    HeaderTooLong {
        /// Most characters taken.
        max: usize,
    },
    /// A header that is not JSON, or whose parameters are of other types.
    #[error("the protected header cannot be read: {source}")]
    Header {
        /// What the reader says.
        source: serde_json::Error,
    },
    /// A header parameter longer than any needs to be.
    #[error("the header's {parameter:?} has more than {max} characters")]
    ParameterTooLong {
        /// The parameter.
        parameter: &'static str,
        /// Most characters taken.
        max: usize,
    },
    /// A critical extension, none of which is known.
    #[error("the header demands an extension that is not supported (RFC 7515, 4.1.11)")]
    Critical,
    /// Two keys.
    #[error("the header has both jwk and kid; ACME takes exactly one (RFC 8555, 6.2)")]
    JwkAndKid,
    /// No key.
    #[error("the header has neither jwk nor kid; ACME takes exactly one (RFC 8555, 6.2)")]
    NoKey,
    /// A parameter that is missing.
    #[error("the header lacks {parameter:?} (RFC 8555, 6.2)")]
    Missing {
        /// The parameter.
        parameter: &'static str,
    },
    /// An algorithm that is not supported.
    #[error("signatures of algorithm {given:?} are not taken; ES256, ES384, EdDSA and RS256 are")]
    Algorithm {
        /// Its name, cut at 40 characters.
        given: String,
    },
    /// An algorithm other than the key's.
    #[error("the header says {given} and the key signs with {key}")]
    KeyAlgorithm {
        /// The algorithm of the header.
        given: SigningAlgorithm,
        /// The algorithm of the key.
        key: SigningAlgorithm,
    },
    /// An algorithm that is no MAC.
    #[error("a binding is authenticated by HS256, HS384 or HS512, not by {given:?}")]
    MacAlgorithm {
        /// Its name, cut at 40 characters.
        given: String,
    },
    /// A signature or MAC that does not verify.
    #[error("the signature does not verify")]
    Signature,
}
