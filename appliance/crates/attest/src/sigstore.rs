//! Names and spellings that sigstore's formats share.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use model::Timestamp;
use model::signing::HashAlgorithm;
use pki::public_key::KeyType;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Base64 as protocol buffers' JSON is read: padded or not.
const STANDARD: GeneralPurpose = engine(&alphabet::STANDARD);

/// The URL-safe alphabet, which readers must take as well.
const URL_SAFE: GeneralPurpose = engine(&alphabet::URL_SAFE);

/// Makes a reader of base64 that takes padding and its absence.
const fn engine(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

/// Reads base64 in either alphabet.
pub(crate) fn read_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .ok()
}

/// Names a hash.
pub(crate) fn write_hash(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::Sha256 => "SHA2_256",
        HashAlgorithm::Sha384 => "SHA2_384",
        HashAlgorithm::Sha512 => "SHA2_512",
    }
}

/// Reads a hash's name.
pub(crate) fn read_hash(name: &str) -> Option<HashAlgorithm> {
    HashAlgorithm::ALL
        .into_iter()
        .find(|hash| write_hash(*hash) == name)
}

/// Names a key's algorithm (PublicKeyDetails); none where there is no name for it.
pub(crate) fn key_details(key_type: KeyType) -> Option<&'static str> {
    Some(match key_type {
        KeyType::P256 => "PKIX_ECDSA_P256_SHA_256",
        KeyType::P384 => "PKIX_ECDSA_P384_SHA_384",
        KeyType::P521 => "PKIX_ECDSA_P521_SHA_512",
        KeyType::Ed25519 => "PKIX_ED25519",
        KeyType::Rsa { bits: 2048 } => "PKIX_RSA_PKCS1V15_2048_SHA256",
        KeyType::Rsa { bits: 3072 } => "PKIX_RSA_PKCS1V15_3072_SHA256",
        KeyType::Rsa { bits: 4096 } => "PKIX_RSA_PKCS1V15_4096_SHA256",
        KeyType::Rsa { .. } => return None,
    })
}

/// Octets, written in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Octets(pub(crate) Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::prelude::BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        read_base64(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("octets that are not in base64"))
    }
}

/// A 64-bit number, written as a string of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Int64(pub(crate) i64);

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int64 {
    /// Reads a string, or a number as protocol buffers allow.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            /// As it should be.
            Text(String),
            /// As it may be.
            Number(i64),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text
                .parse()
                .map(Self)
                .map_err(|_| serde::de::Error::custom("a text that is no 64-bit number")),
        }
    }
}

/// From when until when something counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Validity {
    /// First instant; none for ever before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Last instant; none for ever after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
}

impl Validity {
    /// Counts from an instant on.
    #[must_use]
    pub fn since(start: Timestamp) -> Self {
        Self {
            start: Some(start),
            end: None,
        }
    }

    /// Tells whether an instant is within.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= at) && self.end.is_none_or(|end| at <= end)
    }
}
