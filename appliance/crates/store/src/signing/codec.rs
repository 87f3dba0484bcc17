//! The signing service's records as journal payloads: postcard, a kind and a
//! version each.
//!
//! A payload is a list of records, each as its tag and its octets, so that one of
//! them is read without decoding the others. The kind says which act it was. A
//! document's octets stand as they are behind their SHA-256.
// Stored on disk: change only by adding a version.

mod log;
mod queue;
mod signature;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::log::{CheckpointV1, TimestampV1};
pub(crate) use self::queue::{
    DeliveryProgressV1, DeliveryV1, EventProgressV1, EventV1, QUEUE_DEAD, QUEUE_DONE, QUEUE_WAITING,
};
pub(crate) use self::signature::{
    ABANDONED, DocumentV1, HeldV1, OutcomeV1, RequestV1, SIGNED, StageV1, WithdrawalV1,
};
use crate::blobs::Sha256;
use crate::error::Error;
use crate::journal::Frame;

/// Version of every kind that this release writes.
pub(crate) const VERSION: u16 = 1;

/// Which act a frame records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Documents that the frames behind it name.
    Documents,
    /// A signature was begun.
    Begun,
    /// Its second stage is about to be signed.
    Staged,
    /// It is made.
    Completed,
    /// Nothing came of it.
    Abandoned,
    /// It was withdrawn.
    Withdrawn,
    /// A time-stamp is about to be signed.
    Timestamp,
    /// Leaves were added to the log.
    Leaves,
    /// The log's state was signed.
    Checkpoint,
    /// An event came in.
    EventAccepted,
    /// An attempt at an event ended.
    EventProgress,
    /// Deliveries were queued.
    DeliveriesQueued,
    /// An attempt at a delivery ended, or it is to be sent again.
    DeliveryProgress,
}

impl Kind {
    /// Every kind and its number on disk. Those of other ledgers are 1 to 31.
    const CODES: [(Self, u16); 13] = [
        (Self::Documents, 32),
        (Self::Begun, 33),
        (Self::Staged, 34),
        (Self::Completed, 35),
        (Self::Abandoned, 36),
        (Self::Withdrawn, 37),
        (Self::Timestamp, 38),
        (Self::Leaves, 39),
        (Self::Checkpoint, 40),
        (Self::EventAccepted, 41),
        (Self::EventProgress, 42),
        (Self::DeliveriesQueued, 43),
        (Self::DeliveryProgress, 44),
    ];

    /// Returns its number on disk.
    pub(crate) fn code(self) -> u16 {
        let found = Self::CODES.iter().find(|(kind, _)| *kind == self);
        found.map_or(0, |(_, code)| *code)
    }

    /// Finds the kind of a number.
    fn of(code: u16) -> Option<Self> {
        let found = Self::CODES.iter().find(|(_, own)| *own == code);
        found.map(|(kind, _)| *kind)
    }
}

/// One record.
#[derive(Debug, PartialEq)]
pub(crate) enum Record<'a> {
    /// A signature as it was begun.
    Request(RequestV1<'a>),
    /// Its second stage.
    Stage(StageV1),
    /// What became of it.
    Outcome(OutcomeV1<'a>),
    /// Its withdrawal.
    Withdrawal(WithdrawalV1<'a>),
    /// A time-stamp.
    Timestamp(TimestampV1<'a>),
    /// A leaf of the log: its index, its octets.
    Leaf(u64, &'a [u8]),
    /// A checkpoint of the log.
    Checkpoint(CheckpointV1<'a>),
    /// An event.
    Event(EventV1<'a>),
    /// What became of an event.
    EventProgress(EventProgressV1<'a>),
    /// A delivery.
    Delivery(DeliveryV1<'a>),
    /// What became of a delivery.
    DeliveryProgress(DeliveryProgressV1<'a>),
    /// A document: its hash, its octets.
    Document(Sha256, &'a [u8]),
}

/// Tag of a [`Record::Request`].
const REQUEST: u8 = 1;
/// Tag of a [`Record::Stage`].
const STAGE: u8 = 2;
/// Tag of a [`Record::Outcome`].
const OUTCOME: u8 = 3;
/// Tag of a [`Record::Withdrawal`].
const WITHDRAWAL: u8 = 4;
/// Tag of a [`Record::Timestamp`].
const TIMESTAMP: u8 = 5;
/// Tag of a [`Record::Leaf`].
const LEAF: u8 = 6;
/// Tag of a [`Record::Checkpoint`].
const CHECKPOINT: u8 = 7;
/// Tag of a [`Record::Event`].
const EVENT: u8 = 8;
/// Tag of a [`Record::EventProgress`].
const EVENT_PROGRESS: u8 = 9;
/// Tag of a [`Record::Delivery`].
const DELIVERY: u8 = 10;
/// Tag of a [`Record::DeliveryProgress`].
const DELIVERY_PROGRESS: u8 = 11;
/// Tag of a [`Record::Document`].
const DOCUMENT: u8 = 12;

/// Octets, written and read as one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl std::fmt::Debug for Octets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} octets", self.0.len())
    }
}

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Octets<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// Octets with others before them, written as one.
struct Prefixed<'a>(&'a [u8], &'a [u8]);

/// A payload: tags and records.
type PayloadV1<'a> = Vec<(u8, Octets<'a>)>;

/// Appends the payload of an act to `out`.
pub(crate) fn encode(records: &[Record<'_>], out: &mut Vec<u8>) {
    append(&(records.len() as u64), out);
    let mut octets = Vec::new();
    for record in records {
        octets.clear();
        let (tag, body) = encode_record(record, &mut octets);
        out.push(tag);
        append(&((body.0.len() + body.1.len()) as u64), out);
        out.extend_from_slice(body.0);
        out.extend_from_slice(body.1);
    }
}

/// Reads a frame: its act and every record. Bytes are hostile: never panics,
/// allocates no more than a small multiple of the payload's length.
///
/// # Errors
///
/// `UnreadableRecord` for another kind or version, or bytes that are not one.
pub(crate) fn decode<'a>(frame: &Frame<'a>) -> Result<(Kind, Vec<Record<'a>>), Error> {
    let kind = Kind::of(frame.header.kind).filter(|_| frame.header.version == 1);
    kind.zip(parse::<PayloadV1<'_>>(frame.payload))
        .and_then(|(kind, parts)| {
            let records: Option<Vec<_>> = parts
                .into_iter()
                .map(|(tag, octets)| decode_record(tag, octets.0))
                .collect();
            Some((kind, records?))
        })
        .ok_or_else(|| unreadable(frame))
}

/// Reads one record of a frame. Bytes are hostile, as for [`decode`].
///
/// # Errors
///
/// As [`decode`].
pub(crate) fn decode_part<'a>(frame: &Frame<'a>, part: u16) -> Result<Record<'a>, Error> {
    Kind::of(frame.header.kind)
        .filter(|_| frame.header.version == 1)
        .and_then(|_| parse::<PayloadV1<'_>>(frame.payload))
        .and_then(|parts| parts.get(usize::from(part)).copied())
        .and_then(|(tag, octets)| decode_record(tag, octets.0))
        .ok_or_else(|| unreadable(frame))
}

/// States that a frame cannot be read.
pub(crate) fn unreadable(frame: &Frame<'_>) -> Error {
    Error::UnreadableRecord {
        sequence: frame.header.sequence,
        kind: frame.header.kind,
        version: frame.header.version,
    }
}

/// Appends a value's bytes.
fn append(value: &impl Serialize, out: &mut Vec<u8>) {
    // A Vec grows, and the records hold nothing that postcard refuses.
    let written = postcard::to_extend(value, std::mem::take(out));
    debug_assert!(written.is_ok(), "postcard refused a plain record");
    *out = written.unwrap_or_default();
}

/// Reads a value that fills all its bytes.
fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        Ok((_, [_, ..])) | Err(_) => None,
    }
}

/// Encodes one record into `octets`, unless it stands as it is; returns its tag and
/// its body.
fn encode_record<'a>(record: &'a Record<'_>, octets: &'a mut Vec<u8>) -> (u8, Prefixed<'a>) {
    let tag = match record {
        Record::Request(own) => {
            append(own, octets);
            REQUEST
        }
        Record::Stage(own) => {
            append(own, octets);
            STAGE
        }
        Record::Outcome(own) => {
            append(own, octets);
            OUTCOME
        }
        Record::Withdrawal(own) => {
            append(own, octets);
            WITHDRAWAL
        }
        Record::Timestamp(own) => {
            append(own, octets);
            TIMESTAMP
        }
        Record::Checkpoint(own) => {
            append(own, octets);
            CHECKPOINT
        }
        Record::Event(own) => {
            append(own, octets);
            EVENT
        }
        Record::EventProgress(own) => {
            append(own, octets);
            EVENT_PROGRESS
        }
        Record::Delivery(own) => {
            append(own, octets);
            DELIVERY
        }
        Record::DeliveryProgress(own) => {
            append(own, octets);
            DELIVERY_PROGRESS
        }
        Record::Leaf(index, leaf) => {
            octets.extend_from_slice(&index.to_be_bytes());
            return (LEAF, Prefixed(octets, leaf));
        }
        Record::Document(sha256, document) => return (DOCUMENT, Prefixed(sha256, document)),
    };
    (tag, Prefixed(octets, &[]))
}

/// Decodes one record.
fn decode_record(tag: u8, octets: &[u8]) -> Option<Record<'_>> {
    Some(match tag {
        REQUEST => Record::Request(parse(octets)?),
        STAGE => Record::Stage(parse(octets)?),
        OUTCOME => Record::Outcome(parse(octets)?),
        WITHDRAWAL => Record::Withdrawal(parse(octets)?),
        TIMESTAMP => Record::Timestamp(parse(octets)?),
        CHECKPOINT => Record::Checkpoint(parse(octets)?),
        EVENT => Record::Event(parse(octets)?),
        EVENT_PROGRESS => Record::EventProgress(parse(octets)?),
        DELIVERY => Record::Delivery(parse(octets)?),
        DELIVERY_PROGRESS => Record::DeliveryProgress(parse(octets)?),
        LEAF => {
            let (index, leaf) = octets.split_first_chunk()?;
            Record::Leaf(u64::from_be_bytes(*index), leaf)
        }
        DOCUMENT => {
            let (sha256, document) = octets.split_first_chunk()?;
            Record::Document(*sha256, document)
        }
        _ => return None,
    })
}

/// Reads a time in microseconds since the epoch.
fn time(microsecond: i64) -> Option<model::Timestamp> {
    model::Timestamp::from_microsecond(microsecond).ok()
}

/// Reads what may be absent; none if it is there and unreadable.
fn optional<T, U>(value: Option<T>, read: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match value {
        Some(value) => read(value).map(Some),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests;
