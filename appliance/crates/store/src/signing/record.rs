//! Signatures, time-stamps and the log's checkpoints, as callers give and get them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use model::signing::{
    ArtifactDigest, ArtifactName, MediaType, SignatureId, SignerLabel, SigningProfileName,
    WithdrawalNote, WithdrawalReason,
};
use model::{IdempotencyKey, RequestId, SerialNumber, Timestamp};

use super::document::{DocumentInfo, DocumentKind, Documents};
use super::queue::NewDelivery;

/// A signature that is to be made: what was asked for, and all that the first
/// stage will sign.
#[derive(Debug, Clone)]
pub struct NewSignature {
    /// Its name, made at `at`.
    pub id: SignatureId,
    /// Who asked.
    pub signer: SignerLabel,
    /// Makes a repeated request the same: the signer's key, and a digest of the
    /// request.
    pub idempotency: Option<(IdempotencyKey, [u8; 32])>,
    /// By which profile.
    pub profile: SigningProfileName,
    /// The request, to find it in every log.
    pub request_id: RequestId,
    /// The artifact's digests, one to three, each by another hash.
    pub digests: Vec<ArtifactDigest>,
    /// What the artifact is called.
    pub name: Option<ArtifactName>,
    /// What the artifact is.
    pub media_type: Option<MediaType>,
    /// Who built it, as its provenance says; at most 2,048 octets.
    pub builder: Option<Box<str>>,
    /// The policy's verdict.
    pub verdict_json: Bytes,
    /// What else the service wants to know again.
    pub facts_json: Bytes,
    /// Everything the first stage will sign.
    pub to_be_signed: Vec<ToBeSigned>,
    /// What was submitted, and what was made of it.
    pub documents: Documents,
    /// Journal octets that stage and completion will take, roughly. Set aside, so
    /// that both succeed on a full disk.
    pub room: u64,
    /// When.
    pub at: Timestamp,
}

/// Something that a key is about to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToBeSigned {
    /// What it is for: "artifact", "sbom attestation".
    pub label: Box<str>,
    /// By which key.
    pub key: Box<str>,
    /// What is signed.
    pub content: Intended,
}

/// What a signature will be over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intended {
    /// Octets that hash to this.
    Digest(ArtifactDigest),
    /// These octets.
    Octets(Bytes),
}

/// What became of the wish to begin.
#[derive(Debug, Clone)]
pub enum Begun {
    /// It is recorded: sign.
    New,
    /// The same request was answered before.
    Repeated(Arc<SignatureRecord>),
    /// The same request is being worked on.
    Running(SignatureId),
    /// The idempotency key belongs to this other request.
    Conflict(SignatureId),
}

/// What the second stage will sign, recorded before it does.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Time-stamps.
    pub timestamps: Vec<TimestampIntent>,
    /// Leaves for the transparency log.
    pub leaves: Vec<Bytes>,
    /// When.
    pub at: Timestamp,
}

/// A time-stamp that is about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampIntent {
    /// What it is for: "artifact".
    pub label: Box<str>,
    /// Its serial number, never used before.
    pub serial: SerialNumber,
    /// TSTInfo (RFC 3161, 2.4.2) in DER.
    pub tst_info_der: Bytes,
}

/// What recording a stage decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Where its leaves are in the log, in their order; none without leaves.
    pub log_index: Option<Range<u64>>,
}

/// A signature that is made.
#[derive(Debug, Clone)]
pub struct Signed {
    /// What was made.
    pub documents: Documents,
    /// What the service wants to know again.
    pub answer_json: Bytes,
    /// What to tell other systems' webhooks, in the same act.
    pub deliveries: Vec<NewDelivery>,
    /// When.
    pub at: Timestamp,
}

/// Why nothing came of a signature.
// Stored on disk by its number: change only by adding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAbandonReason {
    /// The token did not sign.
    TokenFailed,
    /// Something forbade it after it had begun.
    Refused,
    /// The artifact signature was made, its time-stamp was not.
    TimestampFailed,
    /// The service stopped in between.
    Interrupted,
    /// Something that should not happen.
    Internal,
}

impl SignatureAbandonReason {
    /// Every reason and its number on disk.
    pub(crate) const CODES: [(Self, u8); 5] = [
        (Self::TokenFailed, 1),
        (Self::Refused, 2),
        (Self::TimestampFailed, 3),
        (Self::Interrupted, 4),
        (Self::Internal, 5),
    ];

    /// Returns the reason in words for answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenFailed => "token_failed",
            Self::Refused => "refused",
            Self::TimestampFailed => "timestamp_failed",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        }
    }
}

/// A signature as it is recorded, without the octets of its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureRecord {
    /// Its name.
    pub id: SignatureId,
    /// Who asked.
    pub signer: SignerLabel,
    /// The signer's idempotency key and the request's digest.
    pub idempotency: Option<(IdempotencyKey, [u8; 32])>,
    /// By which profile.
    pub profile: SigningProfileName,
    /// The request.
    pub request_id: RequestId,
    /// The artifact's digests.
    pub digests: Vec<ArtifactDigest>,
    /// What the artifact is called.
    pub name: Option<ArtifactName>,
    /// What the artifact is.
    pub media_type: Option<MediaType>,
    /// Who built it.
    pub builder: Option<Box<str>>,
    /// The policy's verdict.
    pub verdict_json: Bytes,
    /// What the service added when it began.
    pub facts_json: Bytes,
    /// What the first stage signed, or was about to.
    pub to_be_signed: Vec<ToBeSigned>,
    /// When it began.
    pub begun_at: Timestamp,
    /// What became of it.
    pub state: SignatureState,
    /// Its documents, those submitted and those made.
    pub documents: BTreeMap<DocumentKind, DocumentInfo>,
    /// Whether it was withdrawn.
    pub withdrawal: Option<Withdrawal>,
}

/// What became of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureState {
    /// It is being made.
    Open {
        /// Whether its second stage is recorded: signatures of the first exist.
        staged: bool,
    },
    /// It is made.
    Signed {
        /// When.
        at: Timestamp,
        /// What the service added.
        answer_json: Bytes,
        /// Its leaves in the log.
        log_index: Option<Range<u64>>,
    },
    /// Nothing came of it. Signatures may exist; none was handed out.
    Abandoned {
        /// When.
        at: Timestamp,
        /// Why.
        reason: SignatureAbandonReason,
    },
}

impl SignatureState {
    /// Returns the state in a word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Open { staged: false } => "begun",
            Self::Open { staged: true } => "staged",
            Self::Signed { .. } => "signed",
            Self::Abandoned { .. } => "abandoned",
        }
    }
}

/// A withdrawal that is to be recorded.
#[derive(Debug, Clone)]
pub struct NewWithdrawal {
    /// Why.
    pub reason: WithdrawalReason,
    /// Why, in words.
    pub note: Option<WithdrawalNote>,
    /// By whom.
    pub by: SignerLabel,
    /// What to tell other systems' webhooks, in the same act.
    pub deliveries: Vec<NewDelivery>,
    /// When.
    pub at: Timestamp,
}

/// A signature's withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// Why.
    pub reason: WithdrawalReason,
    /// Why, in words.
    pub note: Option<WithdrawalNote>,
    /// By whom.
    pub by: SignerLabel,
    /// When.
    pub at: Timestamp,
}

/// What became of the wish to withdraw.
#[derive(Debug, Clone)]
pub enum Withdrawn {
    /// It is withdrawn.
    New(Arc<SignatureRecord>),
    /// It was before; the first record stands.
    Repeated(Arc<SignatureRecord>),
}

/// Which signatures to find; those made, withdrawn ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// Of this artifact.
    pub artifact: Option<ArtifactDigest>,
    /// Asked for by this signer.
    pub signer: Option<SignerLabel>,
    /// Of what this builder built.
    pub builder: Option<Box<str>>,
    /// By this profile.
    pub profile: Option<SigningProfileName>,
    /// Begun at this time or later.
    pub since: Option<Timestamp>,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T, C> {
    /// What was found.
    pub items: Vec<T>,
    /// Where the next page begins; none when nothing is left. A page may hold less
    /// than was asked for, even nothing, and still have a next one.
    pub next: Option<C>,
}

/// A time-stamp asked for by itself, about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTimestamp {
    /// Its serial number, never used before.
    pub serial: SerialNumber,
    /// What it is over.
    pub imprint: ArtifactDigest,
    /// The time it states.
    pub gen_time: Timestamp,
    /// TSTInfo in DER.
    pub tst_info_der: Bytes,
    /// Who asked, if known.
    pub requester: Option<SignerLabel>,
    /// The request.
    pub request_id: Option<RequestId>,
    /// When.
    pub at: Timestamp,
}

/// A time-stamp that was, or was about to be, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampRecord {
    /// Its serial number.
    pub serial: SerialNumber,
    /// TSTInfo in DER.
    pub tst_info_der: Bytes,
    /// What it was for.
    pub source: TimestampSource,
    /// When it was recorded.
    pub at: Timestamp,
}

/// What a time-stamp was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimestampSource {
    /// A signature.
    Signature {
        /// Which.
        id: SignatureId,
        /// What part of it.
        label: Box<str>,
    },
    /// A request for it alone.
    Request {
        /// What it is over.
        imprint: ArtifactDigest,
        /// The time it states.
        gen_time: Timestamp,
        /// Who asked.
        requester: Option<SignerLabel>,
        /// The request.
        request_id: Option<RequestId>,
    },
}

/// A signed state of the transparency log.
#[derive(Clone, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// Leaves in it.
    pub size: u64,
    /// Root of the tree over them (RFC 6962, 2.1).
    pub root: [u8; 32],
    /// The signed note.
    pub note: Box<str>,
    /// When.
    pub at: Timestamp,
}

impl fmt::Debug for LogCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogCheckpoint")
            .field("size", &self.size)
            .field("root", &hex::encode(self.root))
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
