//! Entries: `hashedrekord` 0.0.2, a digest, the signature over it and the certificate.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use model::signing::ArtifactDigest;
use pki::public_key::PublicKey;
use serde::{Deserialize, Serialize};

use crate::sigstore::{key_details, read_base64, read_hash, write_hash};

/// Most octets of an entry that are read.
const MAX_LEN: usize = 64 * 1024;

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedRekord {
    /// Of the artifact; of the pre-authentication encoding for an envelope.
    pub digest: ArtifactDigest,
    /// Over that digest.
    pub signature: Vec<u8>,
    /// Of the key that made it, DER.
    pub certificate_der: Vec<u8>,
    /// Algorithm of that key, as sigstore names it.
    pub key_details: String,
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Too long.
    #[error("an entry of a transparency log has at most {max} octets, not {len}")]
    TooLong {
        /// Octets that were given.
        len: usize,
        /// Octets allowed.
        max: usize,
    },
    /// No JSON of the kind.
    #[error("the entry is no `hashedrekord` 0.0.2: line {line}, column {column}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// Another kind or version.
    #[error("the entry is of another kind than `hashedrekord` 0.0.2")]
    Kind,
    /// A field that is not what it should be.
    #[error("the entry's {field} cannot be read")]
    Field {
        /// Which.
        field: &'static str,
    },
}

impl HashedRekord {
    /// The kind, as bundles name it.
    pub const KIND: &str = "hashedrekord";
    /// The version, as bundles name it.
    pub const VERSION: &str = "0.0.2";

    /// Makes the entry of a signature; none for a key that logs have no name for.
    #[must_use]
    pub fn new(
        digest: ArtifactDigest,
        signature: Vec<u8>,
        certificate_der: Vec<u8>,
        key: &PublicKey,
    ) -> Option<Self> {
        Some(Self {
            digest,
            signature,
            certificate_der,
            key_details: key_details(key.key_type())?.to_owned(),
        })
    }

    /// Writes the entry as it is hashed into the tree: JSON without blanks, members in
    /// the order of their names (RFC 8785; its strings need no escapes).
    #[must_use]
    pub fn to_canonical_json(&self) -> String {
        let entry = Entry {
            api_version: Self::VERSION.into(),
            kind: Self::KIND.into(),
            spec: Spec {
                hashed_rekord: Body {
                    data: Data {
                        algorithm: write_hash(self.digest.algorithm()).into(),
                        digest: BASE64_STANDARD.encode(self.digest.octets()),
                    },
                    signature: Signature {
                        content: BASE64_STANDARD.encode(&self.signature),
                        verifier: Verifier {
                            key_details: self.key_details.clone(),
                            certificate: RawBytes {
                                raw_bytes: BASE64_STANDARD.encode(&self.certificate_der),
                            },
                        },
                    },
                },
            },
        };
        // Texts alone, which always have a form in JSON.
        serde_json::to_string(&entry).unwrap_or_default()
    }

    /// Reads an entry.
    ///
    /// Bytes are hostile: never panics, allocates no more than a few times their length.
    ///
    /// # Errors
    ///
    /// Each as it says.
    pub fn parse(body: &[u8]) -> Result<Self, EntryError> {
        if body.len() > MAX_LEN {
            return Err(EntryError::TooLong {
                len: body.len(),
                max: MAX_LEN,
            });
        }
        let syntax = |error: serde_json::Error| EntryError::Syntax {
            line: error.line(),
            column: error.column(),
        };
        let kind: Kind = serde_json::from_slice(body).map_err(syntax)?;
        if kind.kind != Self::KIND || kind.api_version != Self::VERSION {
            return Err(EntryError::Kind);
        }
        let entry: Entry = serde_json::from_slice(body).map_err(syntax)?;
        let field = |field| EntryError::Field { field };
        let Body { data, signature } = entry.spec.hashed_rekord;
        let algorithm = read_hash(&data.algorithm).ok_or(field("algorithm"))?;
        let digest = read_base64(&data.digest).ok_or(field("digest"))?;
        let certificate = &signature.verifier.certificate.raw_bytes;
        Ok(Self {
            digest: ArtifactDigest::new(algorithm, &digest).map_err(|_| field("digest"))?,
            signature: read_base64(&signature.content).ok_or(field("signature"))?,
            certificate_der: read_base64(certificate).ok_or(field("certificate"))?,
            key_details: signature.verifier.key_details,
        })
    }
}

/// What tells kinds and versions apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    /// The version.
    api_version: String,
    /// The kind.
    kind: String,
}

/// The whole, members in the order of their names, as all below.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    /// The version.
    api_version: String,
    /// The kind.
    kind: String,
    /// Its content.
    spec: Spec,
}

/// The content of each kind under its own name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    /// This kind's.
    #[serde(rename = "hashedRekordV002")]
    hashed_rekord: Body,
}

/// What was signed and how.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// What.
    data: Data,
    /// How.
    signature: Signature,
}

/// What was signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    /// The hash.
    algorithm: String,
    /// Base64.
    digest: String,
}

/// How it was signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    /// Base64.
    content: String,
    /// By whom.
    verifier: Verifier,
}

/// By whom it was signed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Verifier {
    /// The key's algorithm.
    key_details: String,
    /// Its certificate.
    #[serde(rename = "x509Certificate")]
    certificate: RawBytes,
}

/// Octets in base64.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawBytes {
    /// Them.
    raw_bytes: String,
}
