//! Signatures on disk.
// Stored on disk: change only by adding a version.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use model::signing::{
    ArtifactDigest, ArtifactName, HashAlgorithm, MediaType, SignatureId, SignerLabel,
    SigningProfileName, WithdrawalNote, WithdrawalReason,
};
use model::{IdempotencyKey, RequestId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Octets, optional, time};
use crate::signing::document::{Body, Document, DocumentInfo, DocumentKind, Documents, Held};
use crate::signing::record::{
    Intended, NewSignature, NewWithdrawal, SignatureAbandonReason, SignatureRecord, SignatureState,
    Signed, ToBeSigned, Withdrawal,
};

/// State of an outcome in the index: it was signed.
pub(crate) const SIGNED: u8 = 1;

/// State of an outcome in the index: it was abandoned.
pub(crate) const ABANDONED: u8 = 2;

/// A signature's request on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RequestV1<'a> {
    /// Its name.
    pub(crate) id: [u8; 16],
    /// Who asked.
    pub(crate) signer: &'a str,
    /// Idempotency key and digest of the request.
    pub(crate) idempotency: Option<(&'a str, [u8; 32])>,
    /// Its profile.
    pub(crate) profile: &'a str,
    /// The request.
    request_id: &'a str,
    /// The artifact's digests.
    #[serde(borrow)]
    digests: Vec<DigestV1<'a>>,
    /// The artifact's name.
    name: Option<&'a str>,
    /// The artifact's type.
    media_type: Option<&'a str>,
    /// The builder.
    pub(crate) builder: Option<&'a str>,
    /// The verdict.
    #[serde(borrow)]
    verdict_json: Octets<'a>,
    /// The service's facts.
    #[serde(borrow)]
    facts_json: Octets<'a>,
    /// What will be signed.
    #[serde(borrow)]
    to_be_signed: Vec<ToBeSignedV1<'a>>,
    /// What was submitted.
    #[serde(borrow)]
    pub(crate) documents: Vec<DocumentV1<'a>>,
    /// Room set aside.
    pub(crate) room: u64,
    /// When.
    pub(crate) at: i64,
}

/// A digest on disk: 1 SHA-256, 2 SHA-384, 3 SHA-512.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DigestV1<'a>(u8, #[serde(borrow)] Octets<'a>);

/// What will be signed, on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ToBeSignedV1<'a> {
    /// What it is for.
    label: &'a str,
    /// The key.
    key: &'a str,
    /// The content.
    #[serde(borrow)]
    content: IntendedV1<'a>,
}

/// The content of what will be signed, on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum IntendedV1<'a> {
    /// By its digest.
    #[serde(borrow)]
    Digest(DigestV1<'a>),
    /// Itself.
    #[serde(borrow)]
    Octets(Octets<'a>),
}

/// A document's description on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DocumentV1<'a> {
    /// Its kind.
    kind: u8,
    /// Its type.
    media_type: &'a str,
    /// Its hash.
    pub(crate) sha256: [u8; 32],
    /// Its length.
    pub(crate) len: u64,
    /// Where its octets are.
    pub(crate) held: HeldV1,
}

/// Where a document's octets are, on disk.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HeldV1 {
    /// In the journal.
    Journal,
    /// In a file.
    Blob,
    /// In other documents, by their kinds.
    Lines(Vec<u8>),
}

/// A signature's second stage on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageV1 {
    /// The signature.
    pub(crate) id: [u8; 16],
    /// Index of its first leaf, and their number.
    pub(crate) leaves: Option<(u64, u64)>,
}

/// What became of a signature, on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutcomeV1<'a> {
    /// The signature.
    pub(crate) id: [u8; 16],
    /// When.
    pub(crate) at: i64,
    /// What.
    #[serde(borrow)]
    pub(crate) outcome: OutcomeKindV1<'a>,
}

/// An outcome on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum OutcomeKindV1<'a> {
    /// It was signed.
    Signed {
        /// What was made.
        #[serde(borrow)]
        documents: Vec<DocumentV1<'a>>,
        /// The service's answer.
        #[serde(borrow)]
        answer_json: Octets<'a>,
        /// Index of its first leaf, and their number.
        leaves: Option<(u64, u64)>,
    },
    /// It was abandoned, for a reason by its number.
    Abandoned(u8),
}

/// A withdrawal on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WithdrawalV1<'a> {
    /// The signature.
    pub(crate) id: [u8; 16],
    /// Why.
    reason: u8,
    /// Why, in words.
    note: Option<&'a str>,
    /// By whom.
    by: &'a str,
    /// When.
    pub(crate) at: i64,
}

/// Every reason for a withdrawal and its number on disk.
const REASONS: [(WithdrawalReason, u8); 7] = [
    (WithdrawalReason::Unspecified, 0),
    (WithdrawalReason::WrongArtifact, 1),
    (WithdrawalReason::Malicious, 2),
    (WithdrawalReason::Vulnerable, 3),
    (WithdrawalReason::FalseEvidence, 4),
    (WithdrawalReason::SignerCompromise, 5),
    (WithdrawalReason::Superseded, 6),
];

impl<'a> From<&'a ArtifactDigest> for DigestV1<'a> {
    fn from(digest: &'a ArtifactDigest) -> Self {
        let code = match digest.algorithm() {
            HashAlgorithm::Sha256 => 1,
            HashAlgorithm::Sha384 => 2,
            HashAlgorithm::Sha512 => 3,
        };
        Self(code, Octets(digest.octets()))
    }
}

impl DigestV1<'_> {
    /// Reads the digest.
    pub(super) fn read(&self) -> Option<ArtifactDigest> {
        let algorithm = match self.0 {
            1 => HashAlgorithm::Sha256,
            2 => HashAlgorithm::Sha384,
            3 => HashAlgorithm::Sha512,
            _ => return None,
        };
        ArtifactDigest::new(algorithm, self.1.0).ok()
    }
}

/// Describes documents for the disk.
fn described(documents: &Documents) -> Vec<DocumentV1<'_>> {
    documents
        .iter()
        .map(|(kind, document)| DocumentV1::of(*kind, document))
        .collect()
}

impl<'a> DocumentV1<'a> {
    /// Describes a document.
    fn of(kind: DocumentKind, document: &'a Document) -> Self {
        Self {
            kind: kind.code(),
            media_type: document.media_type().as_str(),
            sha256: *document.sha256(),
            len: document.len(),
            held: match &document.body {
                Body::Octets(_) => HeldV1::Journal,
                Body::Blob(_) => HeldV1::Blob,
                Body::Lines(kinds) => HeldV1::Lines(kinds.iter().map(|kind| kind.code()).collect()),
            },
        }
    }

    /// Reads the description.
    fn read(self) -> Option<(DocumentKind, DocumentInfo)> {
        let held = match self.held {
            HeldV1::Journal => Held::Journal,
            HeldV1::Blob => Held::Blob,
            HeldV1::Lines(kinds) => {
                let kinds: Option<_> = kinds.into_iter().map(DocumentKind::of).collect();
                Held::Lines(kinds?)
            }
        };
        let info = DocumentInfo {
            media_type: MediaType::new(self.media_type).ok()?,
            sha256: self.sha256,
            len: self.len,
            held,
        };
        Some((DocumentKind::of(self.kind)?, info))
    }
}

/// Reads descriptions.
fn read_documents(documents: Vec<DocumentV1<'_>>) -> Option<BTreeMap<DocumentKind, DocumentInfo>> {
    documents.into_iter().map(DocumentV1::read).collect()
}

impl<'a> From<&'a NewSignature> for RequestV1<'a> {
    fn from(new: &'a NewSignature) -> Self {
        let idempotency = new.idempotency.as_ref();
        Self {
            id: *new.id.octets(),
            signer: new.signer.as_str(),
            idempotency: idempotency.map(|(key, digest)| (key.as_str(), *digest)),
            profile: new.profile.as_str(),
            request_id: new.request_id.as_str(),
            digests: new.digests.iter().map(DigestV1::from).collect(),
            name: new.name.as_ref().map(ArtifactName::as_str),
            media_type: new.media_type.as_ref().map(MediaType::as_str),
            builder: new.builder.as_deref(),
            verdict_json: Octets(&new.verdict_json),
            facts_json: Octets(&new.facts_json),
            to_be_signed: new.to_be_signed.iter().map(ToBeSignedV1::from).collect(),
            documents: described(&new.documents),
            room: new.room,
            at: new.at.as_microsecond(),
        }
    }
}

impl<'a> From<&'a ToBeSigned> for ToBeSignedV1<'a> {
    fn from(own: &'a ToBeSigned) -> Self {
        Self {
            label: &own.label,
            key: &own.key,
            content: match &own.content {
                Intended::Digest(digest) => IntendedV1::Digest(digest.into()),
                Intended::Octets(octets) => IntendedV1::Octets(Octets(octets)),
            },
        }
    }
}

impl ToBeSignedV1<'_> {
    /// Reads it.
    fn read(&self) -> Option<ToBeSigned> {
        Some(ToBeSigned {
            label: self.label.into(),
            key: self.key.into(),
            content: match &self.content {
                IntendedV1::Digest(digest) => Intended::Digest(digest.read()?),
                IntendedV1::Octets(octets) => Intended::Octets(Bytes::copy_from_slice(octets.0)),
            },
        })
    }
}

impl RequestV1<'_> {
    /// Returns the artifact's digests that can be read: all of ours can.
    pub(crate) fn digests(&self) -> impl Iterator<Item = ArtifactDigest> {
        self.digests.iter().filter_map(DigestV1::read)
    }

    /// Reads the signature as it was when begun.
    pub(crate) fn read(self) -> Option<SignatureRecord> {
        let digests: Option<_> = self.digests.iter().map(DigestV1::read).collect();
        let to_be_signed: Option<_> = self.to_be_signed.iter().map(ToBeSignedV1::read).collect();
        Some(SignatureRecord {
            id: SignatureId::from_octets(self.id),
            signer: SignerLabel::new(self.signer).ok()?,
            idempotency: optional(self.idempotency, |(key, digest)| {
                Some((IdempotencyKey::new(key).ok()?, digest))
            })?,
            profile: SigningProfileName::new(self.profile).ok()?,
            request_id: RequestId::new(self.request_id).ok()?,
            digests: digests?,
            name: optional(self.name, |name| ArtifactName::new(name).ok())?,
            media_type: optional(self.media_type, |own| MediaType::new(own).ok())?,
            builder: self.builder.map(Box::from),
            verdict_json: Bytes::copy_from_slice(self.verdict_json.0),
            facts_json: Bytes::copy_from_slice(self.facts_json.0),
            to_be_signed: to_be_signed?,
            begun_at: time(self.at)?,
            state: SignatureState::Open { staged: false },
            documents: read_documents(self.documents)?,
            withdrawal: None,
        })
    }
}

impl<'a> OutcomeV1<'a> {
    /// Writes what was signed.
    pub(crate) fn signed(
        id: &SignatureId,
        signed: &'a Signed,
        leaves: Option<&Range<u64>>,
    ) -> Self {
        Self {
            id: *id.octets(),
            at: signed.at.as_microsecond(),
            outcome: OutcomeKindV1::Signed {
                documents: described(&signed.documents),
                answer_json: Octets(&signed.answer_json),
                leaves: leaves.map(counted),
            },
        }
    }

    /// Writes why it was abandoned.
    pub(crate) fn abandoned(
        id: &SignatureId,
        reason: SignatureAbandonReason,
        at: Timestamp,
    ) -> Self {
        let found = SignatureAbandonReason::CODES
            .iter()
            .find(|(own, _)| *own == reason);
        Self {
            id: *id.octets(),
            at: at.as_microsecond(),
            outcome: OutcomeKindV1::Abandoned(found.map_or(0, |(_, code)| *code)),
        }
    }

    /// Returns its state in the index.
    pub(crate) const fn code(&self) -> u8 {
        match self.outcome {
            OutcomeKindV1::Signed { .. } => SIGNED,
            OutcomeKindV1::Abandoned(_) => ABANDONED,
        }
    }

    /// Returns the documents that were made.
    pub(crate) fn documents(&self) -> &[DocumentV1<'a>] {
        match &self.outcome {
            OutcomeKindV1::Signed { documents, .. } => documents,
            OutcomeKindV1::Abandoned(_) => &[],
        }
    }

    /// Adds what became of a signature to what it was.
    pub(crate) fn complete(self, record: &mut SignatureRecord) -> Option<()> {
        let at = time(self.at)?;
        record.state = match self.outcome {
            OutcomeKindV1::Signed {
                documents,
                answer_json,
                leaves,
            } => {
                record.documents.extend(read_documents(documents)?);
                SignatureState::Signed {
                    at,
                    answer_json: Bytes::copy_from_slice(answer_json.0),
                    log_index: optional(leaves, range)?,
                }
            }
            OutcomeKindV1::Abandoned(code) => {
                let found = SignatureAbandonReason::CODES
                    .iter()
                    .find(|(_, own)| *own == code);
                SignatureState::Abandoned {
                    at,
                    reason: found.map(|(reason, _)| *reason)?,
                }
            }
        };
        Some(())
    }
}

impl StageV1 {
    /// Writes a stage.
    pub(crate) fn new(id: &SignatureId, leaves: Option<&Range<u64>>) -> Self {
        Self {
            id: *id.octets(),
            leaves: leaves.map(counted),
        }
    }

    /// Returns where its leaves are.
    pub(crate) fn range(&self) -> Option<Range<u64>> {
        self.leaves.and_then(range)
    }
}

/// Returns start and number of a range.
fn counted(range: &Range<u64>) -> (u64, u64) {
    (range.start, range.end.saturating_sub(range.start))
}

/// Reads a range from its start and number.
fn range((start, count): (u64, u64)) -> Option<Range<u64>> {
    Some(start..start.checked_add(count)?)
}

impl<'a> WithdrawalV1<'a> {
    /// Writes a withdrawal.
    pub(crate) fn new(id: &SignatureId, new: &'a NewWithdrawal) -> Self {
        let found = REASONS.iter().find(|(reason, _)| *reason == new.reason);
        Self {
            id: *id.octets(),
            reason: found.map_or(0, |(_, code)| *code),
            note: new.note.as_ref().map(WithdrawalNote::as_str),
            by: new.by.as_str(),
            at: new.at.as_microsecond(),
        }
    }

    /// Reads it.
    pub(crate) fn read(&self) -> Option<Withdrawal> {
        let found = REASONS.iter().find(|(_, code)| *code == self.reason);
        Some(Withdrawal {
            reason: found.map(|(reason, _)| *reason)?,
            note: optional(self.note, |note| WithdrawalNote::new(note).ok())?,
            by: SignerLabel::new(self.by).ok()?,
            at: time(self.at)?,
        })
    }
}
