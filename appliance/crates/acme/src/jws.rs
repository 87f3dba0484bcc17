//! The signed envelope of every request: flattened JSON JWS (RFC 7515, 7.2.2)
//! as ACME narrows it (RFC 8555, 6.2).
//!
//! [`Jws::parse`] reads the envelope and its protected header, so that the log
//! can tell what came; [`Jws::verify`] then holds it to a key, [`BindingRequest`]
//! an external account binding to its secret. Payloads are to be used after one
//! of the two alone.

mod algorithm;
pub(crate) mod base64url;
mod binding;
mod error;
mod key;
mod rollover;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

pub use algorithm::{MacAlgorithm, SigningAlgorithm};
pub use binding::{BindingError, BindingRequest};
pub use error::JwsError;
pub use key::{AccountKey, Jwk, JwkError, Thumbprint};
pub use rollover::{KeyChange, RolloverError};

/// Most octets of a protected header's text before it is decoded: an RSA key of
/// 8192 bits and a long URL fit.
const MAX_HEADER: usize = 8 * 1024;

/// Most characters of a key identifier or URL in a header.
const MAX_URL: usize = 2048;

/// Most characters of a nonce; ours have fewer.
const MAX_NONCE: usize = 128;

/// The three members as they come, still encoded.
///
/// Members that RFC 7515 does not know are ignored, as it demands (7.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FlattenedJws {
    /// The protected header, base64url of JSON.
    protected: String,
    /// The payload, base64url.
    payload: String,
    /// The signature, base64url.
    signature: String,
    /// The unprotected header, which must not be there.
    #[serde(default)]
    header: Present,
    /// Several signatures, which must not be there.
    #[serde(default)]
    signatures: Present,
}

/// Tells whether a member is there, whatever its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(from).map(|_| Self(true))
    }
}

/// The protected header as it is written.
#[derive(Debug, Deserialize)]
struct RawHeader {
    /// The algorithm's name.
    alg: String,
    /// The nonce.
    nonce: Option<String>,
    /// The URL that the request is for.
    url: Option<String>,
    /// The key itself.
    jwk: Option<Jwk>,
    /// The account's URL, or an external account's key identifier.
    kid: Option<String>,
    /// Extensions that must be understood, of which there is none.
    #[serde(default)]
    crit: Present,
    /// Whether the payload is encoded (RFC 7797).
    b64: Option<bool>,
}

/// Which key a request says it is signed with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyReference {
    /// The key itself.
    Jwk(Box<Jwk>),
    /// The account's URL, or an external account's key identifier.
    Kid(String),
}

/// A JWS whose form was checked and whose signature was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jws {
    /// The algorithm as it is named.
    algorithm: String,
    /// The key it is said to be signed with.
    key: KeyReference,
    /// The nonce.
    nonce: Option<String>,
    /// The URL that the request is for.
    url: String,
    /// What is signed: header and payload, encoded, a full stop between
    /// (RFC 7515, 5.1).
    signing_input: Vec<u8>,
    /// The payload.
    payload: Vec<u8>,
    /// The signature.
    signature: Vec<u8>,
}

impl Jws {
    /// Reads a JWS.
    ///
    /// Bytes are hostile: never panics, allocates no more than a few times the
    /// input's length.
    ///
    /// # Errors
    ///
    /// `Json` when it is no flattened JWS, `Unprotected` and `Several` when it has
    /// more than one signature or header, or the part that cannot be read.
    pub fn parse(body: &[u8]) -> Result<Self, JwsError> {
        let flattened: FlattenedJws =
            serde_json::from_slice(body).map_err(|source| JwsError::Json { source })?;
        Self::from_flattened(flattened)
    }

    /// Reads a JWS whose JSON is read already.
    ///
    /// # Errors
    ///
    /// As for [`parse`](Self::parse).
    pub fn from_flattened(flattened: FlattenedJws) -> Result<Self, JwsError> {
        let FlattenedJws {
            protected,
            payload,
            signature,
            header,
            signatures,
        } = flattened;
        // RFC 8555, 6.2: the JWS MUST NOT have multiple signatures, and the
        // unprotected header MUST NOT be used.
        if header.0 {
            return Err(JwsError::Unprotected);
        }
        if signatures.0 {
            return Err(JwsError::Several);
        }
        let header = read_header(&protected)?;
        let decode = |part, text: &str| {
            base64url::decode(text.as_bytes()).map_err(|_| JwsError::Base64 { part })
        };
        let decoded_payload = decode("payload", &payload)?;
        let signature = decode("signature", &signature)?;
        // The decoded octets could be encoded again; the text is what is signed.
        let mut signing_input = protected.into_bytes();
        signing_input.reserve_exact(1 + payload.len());
        signing_input.push(b'.');
        signing_input.extend_from_slice(payload.as_bytes());
        // RFC 8555, 6.2: jwk and kid are mutually exclusive, one MUST be there.
        let key = match (header.jwk, header.kid) {
            (Some(_), Some(_)) => return Err(JwsError::JwkAndKid),
            (None, None) => return Err(JwsError::NoKey),
            (Some(jwk), None) => KeyReference::Jwk(Box::new(jwk)),
            (None, Some(kid)) => KeyReference::Kid(kid),
        };
        // RFC 8555, 6.2: the protected header MUST include "url".
        let url = header.url.ok_or(JwsError::Missing { parameter: "url" })?;
        Ok(Self {
            algorithm: header.alg,
            key,
            nonce: header.nonce,
            url,
            signing_input,
            payload: decoded_payload,
            signature,
        })
    }

    /// Returns the algorithm as it is named, known or not.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// Returns the key it is said to be signed with.
    #[must_use]
    pub fn key(&self) -> &KeyReference {
        &self.key
    }

    /// Returns the nonce.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// Returns the URL that it is for.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the payload; what it says counts once the JWS is verified.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Verifies the signature with a key.
    ///
    /// # Errors
    ///
    /// `Algorithm` when it is none that is supported, `KeyAlgorithm` when it is
    /// not the key's, `Signature` when it does not verify.
    pub fn verify(&self, key: &AccountKey) -> Result<(), JwsError> {
        let algorithm = self.signing_algorithm()?;
        if algorithm != key.algorithm() {
            return Err(JwsError::KeyAlgorithm {
                given: algorithm,
                key: key.algorithm(),
            });
        }
        if algorithm.verifies(key.public_key(), &self.signing_input, &self.signature) {
            Ok(())
        } else {
            Err(JwsError::Signature)
        }
    }

    /// Returns the signature algorithm.
    ///
    /// # Errors
    ///
    /// `Algorithm` when it is none that is supported, MACs and `none` included.
    pub fn signing_algorithm(&self) -> Result<SigningAlgorithm, JwsError> {
        SigningAlgorithm::from_name(&self.algorithm).ok_or_else(|| JwsError::Algorithm {
            given: excerpt(&self.algorithm, 40),
        })
    }

    /// Verifies the MAC of an external account binding, in constant time.
    ///
    /// # Errors
    ///
    /// `MacAlgorithm` when it is none, `Signature` when it does not verify.
    pub(crate) fn verify_mac(&self, secret: &[u8]) -> Result<(), JwsError> {
        let algorithm =
            MacAlgorithm::from_name(&self.algorithm).ok_or_else(|| JwsError::MacAlgorithm {
                given: excerpt(&self.algorithm, 40),
            })?;
        if algorithm.verifies(secret, &self.signing_input, &self.signature) {
            Ok(())
        } else {
            Err(JwsError::Signature)
        }
    }
}

/// Reads a protected header.
fn read_header(protected: &str) -> Result<RawHeader, JwsError> {
    if protected.len() > MAX_HEADER {
        return Err(JwsError::HeaderTooLong { max: MAX_HEADER });
    }
    let json = base64url::decode(protected.as_bytes()).map_err(|_| JwsError::Base64 {
        part: "protected header",
    })?;
    let header: RawHeader =
        serde_json::from_slice(&json).map_err(|source| JwsError::Header { source })?;
    // RFC 7515, 4.1.11: what is critical and not understood makes a JWS invalid;
    // RFC 8555 defines nothing that would be critical.
    if header.crit.0 || header.b64 == Some(false) {
        return Err(JwsError::Critical);
    }
    let too_long =
        |text: &Option<String>, max: usize| text.as_ref().is_some_and(|text| text.len() > max);
    for (parameter, long, max) in [
        ("url", too_long(&header.url, MAX_URL), MAX_URL),
        ("kid", too_long(&header.kid, MAX_URL), MAX_URL),
        ("nonce", too_long(&header.nonce, MAX_NONCE), MAX_NONCE),
    ] {
        if long {
            return Err(JwsError::ParameterTooLong { parameter, max });
        }
    }
    Ok(header)
}

/// Cuts a text that a client chose.
fn excerpt(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests;
