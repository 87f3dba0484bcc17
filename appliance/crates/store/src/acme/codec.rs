//! The ACME service's records as journal payloads: postcard, a kind and a version
//! each.
//!
//! A payload is a list of records, each as its tag and its octets, so that one of
//! them is read without decoding the others. The kind says which act it was.
// Stored on disk: change only by adding a version.

mod account;
mod authorization;
mod failure;
mod order;

use std::sync::Arc;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use self::account::{AccountV1, EabKeyV1};
use self::authorization::{AttestedV1, AuthorizationV1};
pub(crate) use self::authorization::{challenge_code, challenge_kind};
use self::order::OrderV1;
use super::record::{Account, Authorization, EabKey, Order};
use crate::error::Error;
use crate::journal::Frame;

/// Version of every kind that this release writes.
pub(crate) const VERSION: u16 = 1;

/// Which act a frame records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An account was made.
    AccountCreated,
    /// An account was changed or ended.
    AccountChanged,
    /// An EAB key was made or taken back.
    EabKeyChanged,
    /// An order was made, with the authorizations it lacked.
    OrderCreated,
    /// An authorization was made before any order.
    AuthorizationCreated,
    /// A challenge or authorization changed, and with it perhaps orders.
    AuthorizationChanged,
    /// An order was finalized.
    OrderFinalized,
    /// A certificate was issued.
    CertificateIssued,
    /// The CA refused an order, or its authorizations ended before it was finalized.
    OrderFailed,
}

impl Kind {
    /// Every kind and its number on disk. Those of the CA's ledger are 1 to 15.
    const CODES: [(Self, u16); 9] = [
        (Self::AccountCreated, 16),
        (Self::AccountChanged, 17),
        (Self::EabKeyChanged, 18),
        (Self::OrderCreated, 19),
        (Self::AuthorizationCreated, 20),
        (Self::AuthorizationChanged, 21),
        (Self::OrderFinalized, 22),
        (Self::CertificateIssued, 23),
        (Self::OrderFailed, 24),
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

/// One record, shared with whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// An account.
    Account(Arc<Account>),
    /// An EAB key.
    EabKey(Arc<EabKey>),
    /// An order.
    Order(Arc<Order>),
    /// An authorization.
    Authorization(Arc<Authorization>),
}

/// A payload: tags and records.
type PayloadV1<'a> = Vec<(u8, &'a [u8])>;

/// Appends the payload of an act to `out`.
pub(crate) fn encode(records: &[Record], out: &mut Vec<u8>) {
    let encoded: Vec<(u8, Vec<u8>)> = records.iter().map(encode_record).collect();
    let parts: PayloadV1<'_> = encoded
        .iter()
        .map(|(tag, octets)| (*tag, &**octets))
        .collect();
    append(&parts, out);
}

/// Reads a frame: its act and every record. Bytes are hostile: never panics,
/// allocates no more than a small multiple of the payload's length.
///
/// # Errors
///
/// `UnreadableRecord` for another kind or version, or bytes that are not one.
pub(crate) fn decode(frame: &Frame<'_>) -> Result<(Kind, Vec<Record>), Error> {
    let kind = Kind::of(frame.header.kind).filter(|_| frame.header.version == 1);
    kind.zip(parse::<PayloadV1<'_>>(frame.payload))
        .and_then(|(kind, parts)| {
            let records: Option<Vec<_>> = parts
                .into_iter()
                .map(|(tag, octets)| decode_record(tag, octets))
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
pub(crate) fn decode_part(frame: &Frame<'_>, part: u16) -> Result<Record, Error> {
    Kind::of(frame.header.kind)
        .filter(|_| frame.header.version == 1)
        .and_then(|_| parse::<PayloadV1<'_>>(frame.payload))
        .and_then(|parts| parts.get(usize::from(part)).copied())
        .and_then(|(tag, octets)| decode_record(tag, octets))
        .ok_or_else(|| unreadable(frame))
}

/// States that a frame cannot be read.
fn unreadable(frame: &Frame<'_>) -> Error {
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

/// Tag of an account.
const ACCOUNT: u8 = 1;

/// Tag of an EAB key.
const EAB_KEY: u8 = 2;

/// Tag of an order.
const ORDER: u8 = 3;

/// Tag of an authorization.
const AUTHORIZATION: u8 = 4;

/// Tag of an authorization of which a device attested a key.
const ATTESTED: u8 = 5;

/// Encodes one record behind its tag.
fn encode_record(record: &Record) -> (u8, Vec<u8>) {
    let mut octets = Vec::with_capacity(256);
    let tag = match record {
        Record::Account(account) => {
            append(&AccountV1::from(&**account), &mut octets);
            ACCOUNT
        }
        Record::EabKey(key) => {
            append(&EabKeyV1::from(&**key), &mut octets);
            EAB_KEY
        }
        Record::Order(order) => {
            append(&OrderV1::from(&**order), &mut octets);
            ORDER
        }
        Record::Authorization(authorization) => {
            if let Some(key) = authorization.attested_key {
                append(&AttestedV1::new(authorization, key), &mut octets);
                return (ATTESTED, octets);
            }
            append(&AuthorizationV1::from(&**authorization), &mut octets);
            AUTHORIZATION
        }
    };
    (tag, octets)
}

/// Decodes one record.
fn decode_record(tag: u8, octets: &[u8]) -> Option<Record> {
    match tag {
        ACCOUNT => {
            let account = parse::<AccountV1<'_>>(octets)?.read()?;
            Some(Record::Account(Arc::new(account)))
        }
        EAB_KEY => {
            let key = parse::<EabKeyV1<'_>>(octets)?.read()?;
            Some(Record::EabKey(Arc::new(key)))
        }
        ORDER => {
            let order = parse::<OrderV1<'_>>(octets)?.read()?;
            Some(Record::Order(Arc::new(order)))
        }
        AUTHORIZATION => {
            let authorization = parse::<AuthorizationV1<'_>>(octets)?.read()?;
            Some(Record::Authorization(Arc::new(authorization)))
        }
        ATTESTED => {
            let authorization = parse::<AttestedV1<'_>>(octets)?.read()?;
            Some(Record::Authorization(Arc::new(authorization)))
        }
        _ => None,
    }
}

/// Reads a time in microseconds since the epoch.
fn time(microsecond: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microsecond).ok()
}

/// Reads a time that may be absent; none if it is there and none.
fn optional_time(microsecond: Option<i64>) -> Option<Option<Timestamp>> {
    match microsecond {
        Some(microsecond) => time(microsecond).map(Some),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests;
