//! Time-stamps and the log's checkpoints on disk.
// Stored on disk: change only by adding a version.

use bytes::Bytes;
use model::signing::{SignatureId, SignerLabel};
use model::{RequestId, SerialNumber, Timestamp};
use serde::{Deserialize, Serialize};

use super::signature::DigestV1;
use super::{Octets, optional, time};
use crate::signing::record::{
    LogCheckpoint, NewTimestamp, TimestampIntent, TimestampRecord, TimestampSource,
};

/// A time-stamp on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TimestampV1<'a> {
    /// Content octets of the serial number.
    #[serde(borrow)]
    pub(crate) serial: Octets<'a>,
    /// TSTInfo in DER.
    #[serde(borrow)]
    tst_info_der: Octets<'a>,
    /// What it is for.
    #[serde(borrow)]
    source: SourceV1<'a>,
    /// When.
    at: i64,
}

/// What a time-stamp is for, on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum SourceV1<'a> {
    /// A signature and what of it.
    Signature([u8; 16], &'a str),
    /// A request.
    Request {
        /// What it is over.
        #[serde(borrow)]
        imprint: DigestV1<'a>,
        /// The time it states.
        gen_time: i64,
        /// Who asked.
        requester: Option<&'a str>,
        /// The request.
        request_id: Option<&'a str>,
    },
}

impl<'a> TimestampV1<'a> {
    /// Writes a signature's time-stamp.
    pub(crate) fn of_signature(
        id: &SignatureId,
        intent: &'a TimestampIntent,
        at: Timestamp,
    ) -> Self {
        Self {
            serial: Octets(intent.serial.as_der_content()),
            tst_info_der: Octets(&intent.tst_info_der),
            source: SourceV1::Signature(*id.octets(), &intent.label),
            at: at.as_microsecond(),
        }
    }

    /// Reads its serial number.
    pub(crate) fn serial(&self) -> Option<SerialNumber> {
        SerialNumber::from_der_content(self.serial.0).ok()
    }

    /// Reads it.
    pub(crate) fn read(self) -> Option<TimestampRecord> {
        Some(TimestampRecord {
            serial: self.serial()?,
            tst_info_der: Bytes::copy_from_slice(self.tst_info_der.0),
            at: time(self.at)?,
            source: match self.source {
                SourceV1::Signature(id, label) => TimestampSource::Signature {
                    id: SignatureId::from_octets(id),
                    label: label.into(),
                },
                SourceV1::Request {
                    imprint,
                    gen_time,
                    requester,
                    request_id,
                } => TimestampSource::Request {
                    imprint: imprint.read()?,
                    gen_time: time(gen_time)?,
                    requester: optional(requester, |own| SignerLabel::new(own).ok())?,
                    request_id: optional(request_id, |own| RequestId::new(own).ok())?,
                },
            },
        })
    }
}

impl<'a> From<&'a NewTimestamp> for TimestampV1<'a> {
    fn from(new: &'a NewTimestamp) -> Self {
        Self {
            serial: Octets(new.serial.as_der_content()),
            tst_info_der: Octets(&new.tst_info_der),
            source: SourceV1::Request {
                imprint: (&new.imprint).into(),
                gen_time: new.gen_time.as_microsecond(),
                requester: new.requester.as_ref().map(SignerLabel::as_str),
                request_id: new.request_id.as_ref().map(RequestId::as_str),
            },
            at: new.at.as_microsecond(),
        }
    }
}

/// A checkpoint on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckpointV1<'a> {
    /// Leaves.
    pub(crate) size: u64,
    /// Root.
    pub(crate) root: [u8; 32],
    /// The signed note.
    note: &'a str,
    /// When.
    at: i64,
}

impl<'a> From<&'a LogCheckpoint> for CheckpointV1<'a> {
    fn from(checkpoint: &'a LogCheckpoint) -> Self {
        Self {
            size: checkpoint.size,
            root: checkpoint.root,
            note: &checkpoint.note,
            at: checkpoint.at.as_microsecond(),
        }
    }
}

impl CheckpointV1<'_> {
    /// Reads it.
    pub(crate) fn read(&self) -> Option<LogCheckpoint> {
        Some(LogCheckpoint {
            size: self.size,
            root: self.root,
            note: self.note.into(),
            at: time(self.at)?,
        })
    }
}
