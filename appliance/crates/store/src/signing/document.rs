//! Documents: what was submitted and what was signed, byte for byte.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest;
use bytes::{BufMut, Bytes, BytesMut};
use model::signing::MediaType;

use super::error::SigningStoreError;
use crate::blobs::{Blob, BlobReader, Incoming, Sha256};
use crate::error::Error;

/// Longest document that lies in the journal; longer ones have files of their own.
pub const INLINE_MAX: usize = 500 * 1024;

/// What a document is to its signature.
// Stored on disk by its number: change only by adding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// The raw signature.
    Signature,
    /// The chain of the signing certificate.
    Certificate,
    /// The sigstore bundle over the artifact.
    Bundle,
    /// The detached CMS.
    Cms,
    /// The SBOM as submitted.
    Sbom,
    /// The attestation that binds the SBOM.
    SbomAttestation,
    /// The provenance as submitted.
    Provenance,
    /// The attestation that binds the provenance.
    ProvenanceAttestation,
    /// The time-stamp over the raw signature.
    Timestamp,
    /// Every attestation as bundles, one a line.
    Attestations,
    /// The verification summary attestation.
    Vsa,
    /// The entry in the transparency log.
    LogEntry,
    /// The statement about the SBOM, as signed.
    SbomStatement,
    /// The statement about the provenance, as signed.
    ProvenanceStatement,
    /// The verification summary, as signed.
    VsaStatement,
}

impl DocumentKind {
    /// Every kind and its number on disk.
    pub(crate) const CODES: [(Self, u8); 15] = [
        (Self::Signature, 1),
        (Self::Certificate, 2),
        (Self::Bundle, 3),
        (Self::Cms, 4),
        (Self::Sbom, 5),
        (Self::SbomAttestation, 6),
        (Self::Provenance, 7),
        (Self::ProvenanceAttestation, 8),
        (Self::Timestamp, 9),
        (Self::Attestations, 10),
        (Self::Vsa, 11),
        (Self::LogEntry, 12),
        (Self::SbomStatement, 13),
        (Self::ProvenanceStatement, 14),
        (Self::VsaStatement, 15),
    ];

    /// Returns the kind in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Certificate => "certificate",
            Self::Bundle => "bundle",
            Self::Cms => "cms",
            Self::Sbom => "sbom",
            Self::SbomAttestation => "sbom_attestation",
            Self::Provenance => "provenance",
            Self::ProvenanceAttestation => "provenance_attestation",
            Self::Timestamp => "timestamp",
            Self::Attestations => "attestations",
            Self::Vsa => "vsa",
            Self::LogEntry => "log_entry",
            Self::SbomStatement => "sbom_statement",
            Self::ProvenanceStatement => "provenance_statement",
            Self::VsaStatement => "vsa_statement",
        }
    }

    /// Returns its number on disk.
    pub(crate) fn code(self) -> u8 {
        let found = Self::CODES.iter().find(|(kind, _)| *kind == self);
        found.map_or(0, |(_, code)| *code)
    }

    /// Finds the kind of a number.
    pub(crate) fn of(code: u8) -> Option<Self> {
        let found = Self::CODES.iter().find(|(_, own)| *own == code);
        found.map(|(kind, _)| *kind)
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The documents of one act.
pub type Documents = BTreeMap<DocumentKind, Document>;

/// A document that is to be recorded. Clones share its octets.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it is.
    media_type: MediaType,
    /// Its hash.
    sha256: Sha256,
    /// Its length.
    len: u64,
    /// Its octets.
    pub(crate) body: Body,
}

/// Where a document's octets are.
#[derive(Clone)]
pub(crate) enum Body {
    /// Here.
    Octets(Bytes),
    /// In a file of their own.
    Blob(Blob),
    /// In other documents of the same signature, each followed by a line feed.
    Lines(Vec<DocumentKind>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Octets(_) => f.write_str("Octets"),
            Self::Blob(_) => f.write_str("Blob"),
            Self::Lines(kinds) => f.debug_tuple("Lines").field(kinds).finish(),
        }
    }
}

impl Document {
    /// Takes octets and hashes them.
    #[must_use]
    pub fn new(media_type: MediaType, octets: Bytes) -> Self {
        let mut sha256 = [0; 32];
        // SHA-256 gives 32 octets.
        sha256.copy_from_slice(digest::digest(&digest::SHA256, &octets).as_ref());
        Self {
            media_type,
            sha256,
            len: octets.len() as u64,
            body: Body::Octets(octets),
        }
    }

    /// Makes a document whose lines are other documents of the same act, given with
    /// their octets: those are kept once.
    #[must_use]
    pub fn lines(media_type: MediaType, lines: &[(DocumentKind, &[u8])]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut len = 0;
        for (_, octets) in lines {
            hash.update(octets);
            hash.update(b"\n");
            len += octets.len() as u64 + 1;
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(hash.finish().as_ref());
        Self {
            media_type,
            sha256,
            len,
            body: Body::Lines(lines.iter().map(|(kind, _)| *kind).collect()),
        }
    }

    /// Takes a document that has a file of its own.
    pub(crate) fn from_blob(media_type: MediaType, blob: Blob) -> Self {
        Self {
            media_type,
            sha256: *blob.sha256(),
            len: blob.len(),
            body: Body::Blob(blob),
        }
    }

    /// Returns what it is.
    #[must_use]
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Returns its SHA-256.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Returns its length in octets.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an empty document is not special"
    )]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Returns its octets, if they are in memory.
    #[must_use]
    pub const fn octets(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Octets(octets) => Some(octets),
            Body::Blob(_) | Body::Lines(_) => None,
        }
    }

    /// Whether its octets are here and too long for the journal.
    pub(crate) fn needs_file(&self) -> bool {
        self.octets()
            .is_some_and(|octets| octets.len() > INLINE_MAX)
    }
}

/// What is known of a recorded document without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentInfo {
    /// What it is.
    pub media_type: MediaType,
    /// Its SHA-256: its strong ETag.
    pub sha256: [u8; 32],
    /// Its length in octets.
    pub len: u64,
    /// Where its octets are.
    pub(crate) held: Held,
}

/// Where a recorded document's octets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// In the journal.
    Journal,
    /// In a file of their own.
    Blob,
    /// In other documents.
    Lines(Vec<DocumentKind>),
}

/// A recorded document.
#[derive(Debug)]
pub struct StoredDocument {
    /// What is known of it.
    pub info: DocumentInfo,
    /// Its octets.
    pub content: StoredContent,
}

/// A recorded document's octets.
#[derive(Debug)]
pub enum StoredContent {
    /// All of them.
    Octets(Bytes),
    /// To be read in parts.
    Stream(DocumentReader),
}

impl StoredContent {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// `TooLong` if it is more than `max` octets; `Store` when it cannot be read.
    pub async fn read(self, max: u64) -> Result<Bytes, SigningStoreError> {
        let too_long = |len| SigningStoreError::TooLong {
            what: "a document read as one",
            len,
            max,
        };
        match self {
            Self::Octets(octets) if octets.len() as u64 > max => Err(too_long(octets.len() as u64)),
            Self::Octets(octets) => Ok(octets),
            Self::Stream(mut reader) => {
                let mut read = BytesMut::new();
                while let Some(part) = reader.next().await? {
                    let len = (read.len() + part.len()) as u64;
                    if len > max {
                        return Err(too_long(len));
                    }
                    read.put(part);
                }
                Ok(read.freeze())
            }
        }
    }
}

/// One piece of a document.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Octets.
    Octets(Bytes),
    /// A file.
    Blob(BlobReader),
}

/// Reads a document in parts.
#[derive(Debug)]
pub struct DocumentReader {
    /// What is to come.
    pieces: std::collections::VecDeque<Piece>,
}

impl DocumentReader {
    /// Reads pieces one after the other.
    pub(crate) fn new(pieces: Vec<Piece>) -> Self {
        Self {
            pieces: pieces.into(),
        }
    }

    /// Returns the next part, at most 500 KiB; none at the end. A file's hash is
    /// checked before its last part is given away.
    ///
    /// # Errors
    ///
    /// `Store`: what was read so far is not all, or not what was recorded.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SigningStoreError> {
        loop {
            match self.pieces.pop_front() {
                None => return Ok(None),
                Some(Piece::Octets(octets)) if octets.is_empty() => {}
                Some(Piece::Octets(octets)) => return Ok(Some(octets)),
                Some(Piece::Blob(mut reader)) => {
                    let read = blocking(move || {
                        let part = reader.next()?;
                        Ok((part, reader))
                    });
                    if let (Some(part), reader) = read.await? {
                        self.pieces.push_front(Piece::Blob(reader));
                        return Ok(Some(part));
                    }
                }
            }
        }
    }
}

/// Octets gathered before they go to a file together.
const GATHER: usize = 1 << 20;

/// Receives a document of unknown length: into memory at first, into a file when it
/// turns out to be long. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct DocumentWriter {
    /// What it is.
    media_type: MediaType,
    /// Most octets it may have.
    max: u64,
    /// Octets so far.
    len: u64,
    /// Those not in the file yet.
    gathered: BytesMut,
    /// Its file, once it has one.
    incoming: Option<Incoming>,
    /// Where files go.
    blobs: std::sync::Arc<crate::blobs::Blobs>,
}

impl DocumentWriter {
    /// Begins an empty document.
    pub(crate) fn new(
        blobs: std::sync::Arc<crate::blobs::Blobs>,
        media_type: MediaType,
        max: u64,
    ) -> Self {
        Self {
            media_type,
            max,
            len: 0,
            gathered: BytesMut::new(),
            incoming: None,
            blobs,
        }
    }

    /// Adds octets. After an error it is of no more use.
    ///
    /// # Errors
    ///
    /// `TooLong` beyond its bound; `Store` when there is no room or the disk fails.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), SigningStoreError> {
        self.len = self.len.saturating_add(octets.len() as u64);
        if self.len > self.max {
            return Err(SigningStoreError::TooLong {
                what: "the document",
                len: self.len,
                max: self.max,
            });
        }
        let limit = match self.incoming {
            Some(_) => GATHER,
            None => INLINE_MAX,
        };
        self.gathered.extend_from_slice(octets);
        if self.gathered.len() > limit {
            self.spill().await?;
        }
        Ok(())
    }

    /// Brings what is gathered to the file.
    async fn spill(&mut self) -> Result<(), SigningStoreError> {
        let gathered = self.gathered.split().freeze();
        let (blobs, max, incoming) = (
            std::sync::Arc::clone(&self.blobs),
            self.max,
            self.incoming.take(),
        );
        let written = blocking(move || {
            let mut incoming = match incoming {
                Some(incoming) => incoming,
                None => blobs.receive(max)?,
            };
            incoming.write(&gathered)?;
            Ok(incoming)
        });
        self.incoming = Some(written.await?);
        Ok(())
    }

    /// Ends the document.
    ///
    /// # Errors
    ///
    /// `Store` when there is no room or the disk fails.
    pub async fn finish(mut self) -> Result<Document, SigningStoreError> {
        if self.incoming.is_some() && !self.gathered.is_empty() {
            self.spill().await?;
        }
        match self.incoming.take() {
            None => Ok(Document::new(self.media_type, self.gathered.freeze())),
            Some(incoming) => {
                let blob = blocking(move || incoming.finish()).await?;
                Ok(Document::from_blob(self.media_type, blob))
            }
        }
    }
}

/// Runs something that blocks where that is allowed.
///
/// # Errors
///
/// What it returns; `Closed` if the runtime shuts down.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, SigningStoreError> {
    let done = tokio::task::spawn_blocking(work);
    // Only a runtime that shuts down cancels it.
    Ok(done.await.unwrap_or(Err(Error::Closed))?)
}
