//! Envelopes: DSSE (Dead Simple Signing Envelope, protocol and envelope v1.0).
//!
//! What is signed is the pre-authentication encoding of type and payload, so the payload
//! is kept as the octets that it arrived as and is never written anew.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use pki::algorithm::SignatureAlgorithm;
use pki::public_key::{KeyType, PublicKey};
use serde::Deserialize;
use serde_json::Value;

use crate::json::{self, JsonError};

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Most signatures in an envelope that is read.
const MAX_SIGNATURES: usize = 16;

/// Most octets of one signature: RSA with 16,384 bits has 2,048.
const MAX_SIGNATURE_LEN: usize = 4096;

/// Most octets of a payload type or a key id.
const MAX_NAME_LEN: usize = 1024;

/// Why an envelope is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// Not JSON as evidence must be, or without the members of an envelope.
    #[error("the envelope is no DSSE envelope in JSON: {0}")]
    Json(#[from] JsonError),
    /// A member's name in another case: readers differ about whether it counts.
    #[error("the envelope has the member {name:?}, which some readers take for another one")]
    NameVariant {
        /// The member.
        name: String,
    },
    /// Not base64, or base64 that several texts decode alike.
    #[error("{what} of the envelope is not base64 (standard or URL alphabet, padded, canonical)")]
    Base64 {
        /// The member.
        what: &'static str,
    },
    /// Too long, or empty where there must be something.
    #[error("{what} of the envelope has {len} octets; 1 to {max} are taken")]
    Length {
        /// The member.
        what: &'static str,
        /// Octets given.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// No signature, or more than are looked at.
    #[error("the envelope has {count} signatures; 1 to {max} are taken")]
    SignatureCount {
        /// Signatures given.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// None of the signatures is the key's.
    #[error("none of the envelope's signatures verifies with the key")]
    Signature,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// A hint which key this is of; proves nothing.
    pub keyid: Option<String>,
    /// The signature's octets: DER for ECDSA, PKCS#1 for RSA.
    pub sig: Vec<u8>,
}

/// An envelope with at least one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is.
    payload_type: String,
    /// The payload's exact octets.
    payload: Vec<u8>,
    /// The signatures, at least one.
    signatures: Vec<Signature>,
}

/// An envelope as JSON has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    /// What the payload is.
    payload_type: String,
    /// The payload in base64.
    payload: String,
    /// The signatures.
    signatures: Vec<RawSignature>,
}

/// A signature as JSON has it.
#[derive(Deserialize)]
struct RawSignature {
    /// A hint.
    keyid: Option<String>,
    /// The signature in base64.
    sig: String,
}

impl Envelope {
    /// Reads an envelope in JSON.
    ///
    /// Bytes are hostile: never panics, allocates a few times the input's length. Members
    /// that DSSE does not know are ignored, as it demands; names that differ from known
    /// ones in case alone are refused, because some readers take them for the known ones.
    ///
    /// # Errors
    ///
    /// The first thing wrong. Signatures are not verified here.
    pub fn parse(bytes: &[u8], limits: &json::Limits) -> Result<Self, DsseError> {
        let value = json::parse(bytes, limits)?;
        Self::from_value(value)
    }

    /// Reads an envelope that is part of a document which was read strictly.
    ///
    /// # Errors
    ///
    /// As [`Envelope::parse`].
    pub fn from_value(value: Value) -> Result<Self, DsseError> {
        refuse_variants(&value, &["payloadType", "payload", "signatures"])?;
        for signature in value["signatures"].as_array().into_iter().flatten() {
            refuse_variants(signature, &["keyid", "sig"])?;
        }
        let raw = Raw::deserialize(value).map_err(|error| JsonError::Malformed {
            problem: json::quoted(&error.to_string()),
            line: 0,
            column: 0,
        })?;
        let signatures = raw
            .signatures
            .into_iter()
            // A key id that is not set is written as an empty text by some.
            .map(|signature| {
                Ok(Signature {
                    keyid: signature.keyid.filter(|keyid| !keyid.is_empty()),
                    sig: decode("a signature", &signature.sig)?,
                })
            })
            .collect::<Result<_, DsseError>>()?;
        let payload = decode("the payload", &raw.payload)?;
        Self::from_parts(raw.payload_type, payload, signatures)
    }

    /// Takes an envelope's parts, as other formats carry them.
    ///
    /// # Errors
    ///
    /// `Length` or `SignatureCount` where a part is missing or too large.
    pub fn from_parts(
        payload_type: String,
        payload: Vec<u8>,
        signatures: Vec<Signature>,
    ) -> Result<Self, DsseError> {
        bounded("the payload type", payload_type.len(), MAX_NAME_LEN)?;
        if !(1..=MAX_SIGNATURES).contains(&signatures.len()) {
            return Err(DsseError::SignatureCount {
                count: signatures.len(),
                max: MAX_SIGNATURES,
            });
        }
        for Signature { keyid, sig } in &signatures {
            bounded("a signature", sig.len(), MAX_SIGNATURE_LEN)?;
            if let Some(keyid) = keyid {
                bounded("a key id", keyid.len(), MAX_NAME_LEN)?;
            }
        }
        Ok(Self {
            payload_type,
            payload,
            signatures,
        })
    }

    /// Makes an envelope with exactly one signature: all that we make have one.
    #[must_use]
    pub fn signed(payload_type: &str, payload: Vec<u8>, signature: Signature) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: vec![signature],
        }
    }

    /// Leaves the key ids out, which are hints and not signed.
    #[must_use]
    pub(crate) fn without_key_ids(mut self) -> Self {
        for signature in &mut self.signatures {
            signature.keyid = None;
        }
        self
    }

    /// Returns what the payload is.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// Returns the payload's exact octets.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the signatures, at least one.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Returns the signature, for what must have exactly one (sigstore bundles).
    ///
    /// # Errors
    ///
    /// `SignatureCount` if there are several.
    pub fn only_signature(&self) -> Result<&Signature, DsseError> {
        match self.signatures.as_slice() {
            [only] => Ok(only),
            several => Err(DsseError::SignatureCount {
                count: several.len(),
                max: 1,
            }),
        }
    }

    /// Returns what is signed.
    #[must_use]
    pub fn pae(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }

    /// Writes the envelope: without spaces, members in the order of the specification.
    ///
    /// Written once and kept; nobody's verification depends on these octets, but what was
    /// given out is given out the same again.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let text = |text: &str| Value::from(text).to_string();
        let signatures: Vec<String> = self
            .signatures
            .iter()
            .map(|Signature { keyid, sig }| {
                let keyid = keyid.as_deref().unwrap_or_default();
                let sig = STANDARD.encode(sig);
                format!("{{\"keyid\":{},\"sig\":\"{sig}\"}}", text(keyid))
            })
            .collect();
        format!(
            "{{\"payload\":\"{}\",\"payloadType\":{},\"signatures\":[{}]}}",
            STANDARD.encode(&self.payload),
            text(&self.payload_type),
            signatures.join(",")
        )
        .into_bytes()
    }

    /// Finds a signature that a key made over type and payload.
    ///
    /// # Errors
    ///
    /// `Signature` if none verifies. Key ids are hints and not looked at.
    pub fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
    ) -> Result<&Signature, DsseError> {
        let pae = self.pae();
        self.signatures
            .iter()
            .find(|signature| key.verify(algorithm, &pae, &signature.sig).is_ok())
            .ok_or(DsseError::Signature)
    }
}

/// Returns the pre-authentication encoding: what an envelope's signature is over.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    // DSSE protocol, "Signature definition":
    // "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body, lengths in ASCII decimal.
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

/// Returns a key's id as securesystemslib computes it by default: the SHA-256, in
/// hexadecimal, of key type, scheme and PEM in its canonical JSON.
///
/// `None` for keys whose default scheme there is not the one that we sign with: RSA (PSS
/// there) and whatever is no key of artifacts.
#[must_use]
pub fn key_id(key: &PublicKey) -> Option<String> {
    let scheme = match key.key_type() {
        KeyType::P256 => "ecdsa-sha2-nistp256",
        KeyType::P384 => "ecdsa-sha2-nistp384",
        KeyType::P521 => "ecdsa-sha2-nistp521",
        KeyType::Rsa { .. } | KeyType::Ed25519 => return None,
    };
    // Its canonical form escapes nothing but quotes and backslashes, which PEM has not:
    // the lines' ends stand there as they are.
    let pem = pki::pem::write_public_key(key.spki_der());
    let json = format!(
        "{{\"keytype\":\"ecdsa\",\"keyval\":{{\"public\":\"{pem}\"}},\"scheme\":\"{scheme}\"}}"
    );
    Some(hex::encode(digest::digest(
        &digest::SHA256,
        json.as_bytes(),
    )))
}

/// Refuses members whose names differ from known ones in case alone.
fn refuse_variants(value: &Value, known: &[&str]) -> Result<(), DsseError> {
    let names = value
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys());
    match names.into_iter().find(|name| json::is_variant(name, known)) {
        Some(name) => Err(DsseError::NameVariant { name: name.clone() }),
        None => Ok(()),
    }
}

/// Decodes base64 as DSSE allows it: either alphabet, but one text for one value.
fn decode(what: &'static str, text: &str) -> Result<Vec<u8>, DsseError> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .map_err(|_| DsseError::Base64 { what })
}

/// Checks a length.
fn bounded(what: &'static str, len: usize, max: usize) -> Result<(), DsseError> {
    if (1..=max).contains(&len) {
        Ok(())
    } else {
        Err(DsseError::Length { what, len, max })
    }
}

#[cfg(test)]
mod tests;
