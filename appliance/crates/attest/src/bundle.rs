//! Sigstore bundles: a signature or an envelope with everything that verifying it offline
//! takes.
//!
//! Version 0.3 is written; 0.1 to 0.3 are read. Octets are in base64 and 64-bit numbers
//! are strings, as protocol buffers have it. The certificate stands alone, without those
//! above it: they come from the trusted root.

mod wire;

use model::signing::ArtifactDigest;

use crate::dsse::{DsseError, Envelope};
use crate::json::{self, JsonError};
use crate::tlog::{Hash, HashedRekord};

pub use wire::MediaType;

/// The media type of the bundles written here.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Most octets of a bundle that is read: a whole bill of materials may be in it.
pub const MAX_LEN: usize = 128 << 20;

/// Most bundles that are read from JSON lines.
pub const MAX_LINES: usize = 1024;

/// A signature or an envelope, the signer's certificate and proofs of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Which version it was read as.
    pub media_type: MediaType,
    /// The signer's certificate, DER; behind it those above it, in versions 0.1 and 0.2
    /// alone.
    pub certificate_chain: Vec<Vec<u8>>,
    /// TimeStampResp, DER, over [`Bundle::signature`].
    pub time_stamps: Vec<Vec<u8>>,
    /// Entries in transparency logs.
    pub log_entries: Vec<LogEntry>,
    /// What is signed and the signature.
    pub content: Content,
}

/// What a bundle's signature is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An artifact itself.
    Message(MessageSignature),
    /// Something said of an artifact, in an envelope with exactly one signature.
    Envelope(Envelope),
}

/// A signature over an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSignature {
    /// The artifact's digest, a hint: verifiers digest the artifact themselves.
    pub digest: Option<ArtifactDigest>,
    /// The signature's octets.
    pub signature: Vec<u8>,
}

/// A signature's entry in a transparency log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index in the log.
    pub log_index: u64,
    /// The log's identifier, whatever its length.
    pub log_id: Vec<u8>,
    /// Kind of the entry.
    pub kind: String,
    /// Version of the kind.
    pub version: String,
    /// When the log says it was entered, seconds since 1970; unproved without a promise.
    pub integrated_time: Option<i64>,
    /// A signed entry time-stamp, from logs that promise inclusion.
    pub inclusion_promise: Option<Vec<u8>>,
    /// The proof of inclusion.
    pub inclusion_proof: Option<InclusionProof>,
    /// The entry, octet for octet.
    pub canonicalized_body: Vec<u8>,
}

/// How an entry leads to a signed root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's index in the tree.
    pub log_index: u64,
    /// The tree's size.
    pub tree_size: u64,
    /// The tree's root.
    pub root_hash: Hash,
    /// Siblings on the way, the leaf's first.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint of that tree.
    pub checkpoint: String,
}

/// Why bytes are no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not JSON as evidence must be, or without the members of a bundle.
    #[error("the bundle is no sigstore bundle in JSON: {0}")]
    Json(#[from] JsonError),
    /// Another media type.
    #[error("{given:?} is no media type of a bundle known here: versions 0.1 to 0.3 are")]
    MediaType {
        /// The media type, shortened.
        given: String,
    },
    /// A key instead of a certificate.
    #[error("the bundle names a public key; only certificates are verified here")]
    PublicKey,
    /// No certificate, or several in version 0.3, or too many.
    #[error("the bundle holds {count} certificates; {expected}")]
    Certificates {
        /// How many.
        count: usize,
        /// What would do.
        expected: &'static str,
    },
    /// More of something than is looked at.
    #[error("the bundle holds {count} {what}; at most {max} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// Neither signature nor envelope, or both.
    #[error("the bundle must hold either a message signature or an envelope")]
    Content,
    /// A field that is not what it should be.
    #[error("the bundle's {field} cannot be read")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// An envelope that is none, or has not exactly one signature.
    #[error("the bundle's envelope is refused")]
    Envelope(#[from] DsseError),
    /// One of several lines.
    #[error("line {line} is no bundle")]
    Line {
        /// Which, from 1.
        line: usize,
        /// Why.
        #[source]
        source: Box<BundleError>,
    },
}

impl Bundle {
    /// Makes a bundle of an artifact's signature.
    #[must_use]
    pub fn message(leaf_der: &[u8], digest: ArtifactDigest, signature: Vec<u8>) -> Self {
        let digest = Some(digest);
        Self::new(
            leaf_der,
            Content::Message(MessageSignature { digest, signature }),
        )
    }

    /// Makes a bundle of an envelope, without the key id of its signature: the key is the
    /// certificate's, and `gh` takes a key id for the fingerprint that OpenSSH would print.
    ///
    /// # Errors
    ///
    /// `SignatureCount` unless the envelope has exactly one signature.
    pub fn envelope(leaf_der: &[u8], envelope: Envelope) -> Result<Self, DsseError> {
        envelope.only_signature()?;
        Ok(Self::new(
            leaf_der,
            Content::Envelope(envelope.without_key_ids()),
        ))
    }

    /// Makes a bundle without proofs of time.
    fn new(leaf_der: &[u8], content: Content) -> Self {
        Self {
            media_type: MediaType::V0_3,
            certificate_chain: vec![leaf_der.to_vec()],
            time_stamps: Vec::new(),
            log_entries: Vec::new(),
            content,
        }
    }

    /// Adds a TimeStampResp over the signature.
    #[must_use]
    pub fn with_time_stamp(mut self, response_der: Vec<u8>) -> Self {
        self.time_stamps.push(response_der);
        self
    }

    /// Adds an entry in a transparency log.
    #[must_use]
    pub fn with_log_entry(mut self, entry: LogEntry) -> Self {
        self.log_entries.push(entry);
        self
    }

    /// Returns the signer's certificate, DER.
    #[must_use]
    pub fn leaf_der(&self) -> &[u8] {
        self.certificate_chain.first().map_or(&[], Vec::as_slice)
    }

    /// Returns the signature's octets: what time-stamps are over.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        match &self.content {
            Content::Message(message) => &message.signature,
            Content::Envelope(envelope) => envelope
                .signatures()
                .first()
                .map_or(&[], |signature| signature.sig.as_slice()),
        }
    }

    /// Writes the bundle, one line without an end.
    #[must_use]
    pub fn to_json(&self) -> String {
        wire::write(self)
    }

    /// Reads a bundle.
    ///
    /// Bytes are hostile: never panics, allocates no more than a few times their length.
    /// Nothing is verified.
    ///
    /// # Errors
    ///
    /// What is not as the bundle's version has it.
    pub fn parse(json: &[u8]) -> Result<Self, BundleError> {
        wire::read(json::parse(json, &wire::LIMITS)?)
    }

    /// Reads one bundle, or several, a line each.
    ///
    /// # Errors
    ///
    /// As [`Bundle::parse`]; `Line` when there are several, `TooMany` when there are more
    /// than are taken, `Content` for none.
    pub fn parse_lines(json_lines: &[u8]) -> Result<Vec<Self>, BundleError> {
        let alone = Self::parse(json_lines);
        let lines: Vec<(usize, &[u8])> = json_lines
            .split(|octet| *octet == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .take(MAX_LINES + 1)
            .collect();
        let error = match alone {
            Ok(bundle) => return Ok(vec![bundle]),
            Err(error) => error,
        };
        // One document over several lines is no JSON lines: its own error says more.
        let first_is_whole = lines
            .first()
            .is_some_and(|(_, line)| json::check(line, &wire::LIMITS).is_ok());
        if lines.len() < 2 || !first_is_whole {
            return Err(error);
        }
        if lines.len() > MAX_LINES {
            return Err(BundleError::TooMany {
                what: "lines",
                count: lines.len(),
                max: MAX_LINES,
            });
        }
        let read = |(place, line): (usize, &[u8])| {
            Self::parse(line).map_err(|source| BundleError::Line {
                line: place + 1,
                source: Box::new(source),
            })
        };
        lines.into_iter().map(read).collect()
    }
}

impl LogEntry {
    /// Tells whether the entry is of the kind that is verified here.
    #[must_use]
    pub fn is_hashed_rekord(&self) -> bool {
        self.kind == HashedRekord::KIND && self.version == HashedRekord::VERSION
    }
}

#[cfg(test)]
mod tests;
