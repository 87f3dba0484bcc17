//! Revocations, blocked keys and CRLs as journal payloads.
// Stored on disk: change only by adding a version.

use model::{IssuerId, RequestId, RevocationReason, SerialNumber, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Peer, append, decode_peer, encode_peer, parse};
use crate::certificates::blocked::BlockedKey;
use crate::certificates::crl::{CrlRecord, CrlScope};
use crate::certificates::revocation::{Revocation, RevocationAct};

/// A step of a revocation on disk. Times are microseconds since the epoch.
#[derive(Serialize, Deserialize)]
struct RevocationV1<'a> {
    /// Content octets of the serial number.
    serial: &'a [u8],
    /// The issuer.
    issuer: &'a str,
    /// Sequence number of the intent; none for a foreign certificate.
    record: Option<u64>,
    /// End of validity, where known.
    not_after: Option<i64>,
    /// CRLReason (RFC 5280, 5.3.1).
    reason: u8,
    /// From when on it does not count.
    revoked_at: i64,
    /// The invalidity date.
    invalidity_date: Option<i64>,
    /// The peer that asked.
    #[serde(borrow)]
    requester: Peer<'a>,
    /// The request.
    request_id: &'a str,
    /// When it was recorded.
    recorded_at: i64,
}

/// A blocked key on disk.
#[derive(Serialize, Deserialize)]
struct KeyBlockedV1<'a> {
    /// SHA-256 of the public key.
    public_key_sha256: [u8; 32],
    /// The peer that asked.
    #[serde(borrow)]
    requester: Peer<'a>,
    /// The request.
    request_id: &'a str,
    /// When it was recorded.
    recorded_at: i64,
}

/// A CRL about to be signed, on disk.
#[derive(Serialize, Deserialize)]
struct CrlV1<'a> {
    /// The issuer.
    issuer: &'a str,
    /// The shard; none for the whole.
    shard: Option<u32>,
    /// The CRL's number.
    number: u64,
    /// The number it is a delta to.
    base: Option<u64>,
    /// Number of the last act it reflects.
    through: u64,
    /// How many entries it has.
    entries: u64,
    /// Its thisUpdate.
    this_update: i64,
    /// Its nextUpdate.
    next_update: i64,
    /// SHA-256 of the TBSCertList.
    tbs_sha256: [u8; 32],
    /// When it was recorded.
    recorded_at: i64,
}

/// Appends a revocation's payload to `out`.
pub(crate) fn encode_revocation(act: &RevocationAct, out: &mut Vec<u8>) {
    let revocation = &act.revocation;
    append(
        &RevocationV1 {
            serial: revocation.serial.as_der_content(),
            issuer: act.issuer.as_str(),
            record: act.record,
            not_after: act.not_after.map(Timestamp::as_microsecond),
            reason: revocation.reason.code(),
            revoked_at: revocation.revoked_at.as_microsecond(),
            invalidity_date: revocation.invalidity_date.map(Timestamp::as_microsecond),
            requester: encode_peer(revocation.requester.as_ref()),
            request_id: revocation.request_id.as_str(),
            recorded_at: revocation.recorded_at.as_microsecond(),
        },
        out,
    );
}

/// Appends a blocked key's payload to `out`.
pub(crate) fn encode_blocked(key: &BlockedKey, out: &mut Vec<u8>) {
    append(
        &KeyBlockedV1 {
            public_key_sha256: key.public_key_sha256,
            requester: encode_peer(key.requester.as_ref()),
            request_id: key.request_id.as_str(),
            recorded_at: key.recorded_at.as_microsecond(),
        },
        out,
    );
}

/// Appends a CRL's payload to `out`.
pub(crate) fn encode_crl(crl: &CrlRecord, out: &mut Vec<u8>) {
    append(
        &CrlV1 {
            issuer: crl.issuer.as_str(),
            shard: match crl.scope {
                CrlScope::Whole => None,
                CrlScope::Shard(number) => Some(number),
            },
            number: crl.number,
            base: crl.base,
            through: crl.through,
            entries: crl.entries,
            this_update: crl.this_update.as_microsecond(),
            next_update: crl.next_update.as_microsecond(),
            tbs_sha256: crl.tbs_sha256,
            recorded_at: crl.recorded_at.as_microsecond(),
        },
        out,
    );
}

/// Reads version 1 of a revocation.
pub(super) fn decode_revocation(payload: &[u8]) -> Option<RevocationAct> {
    let record: RevocationV1<'_> = parse(payload)?;
    Some(RevocationAct {
        issuer: IssuerId::new(record.issuer).ok()?,
        record: record.record,
        not_after: decode_time(record.not_after)?,
        revocation: Revocation {
            serial: SerialNumber::from_der_content(record.serial).ok()?,
            reason: RevocationReason::from_code(record.reason).ok()?,
            revoked_at: Timestamp::from_microsecond(record.revoked_at).ok()?,
            invalidity_date: decode_time(record.invalidity_date)?,
            requester: decode_peer(record.requester)?,
            request_id: RequestId::new(record.request_id).ok()?,
            recorded_at: Timestamp::from_microsecond(record.recorded_at).ok()?,
        },
    })
}

/// Reads version 1 of a blocked key.
pub(super) fn decode_blocked(payload: &[u8]) -> Option<BlockedKey> {
    let record: KeyBlockedV1<'_> = parse(payload)?;
    Some(BlockedKey {
        public_key_sha256: record.public_key_sha256,
        requester: decode_peer(record.requester)?,
        request_id: RequestId::new(record.request_id).ok()?,
        recorded_at: Timestamp::from_microsecond(record.recorded_at).ok()?,
    })
}

/// Reads version 1 of a CRL.
pub(super) fn decode_crl(payload: &[u8]) -> Option<CrlRecord> {
    let record: CrlV1<'_> = parse(payload)?;
    Some(CrlRecord {
        issuer: IssuerId::new(record.issuer).ok()?,
        scope: record.shard.map_or(CrlScope::Whole, CrlScope::Shard),
        number: record.number,
        base: record.base,
        through: record.through,
        entries: record.entries,
        this_update: Timestamp::from_microsecond(record.this_update).ok()?,
        next_update: Timestamp::from_microsecond(record.next_update).ok()?,
        tbs_sha256: record.tbs_sha256,
        recorded_at: Timestamp::from_microsecond(record.recorded_at).ok()?,
    })
}

/// Reads a time that may be absent; none if it is no time.
pub(super) fn decode_time(microsecond: Option<i64>) -> Option<Option<Timestamp>> {
    match microsecond {
        Some(microsecond) => Timestamp::from_microsecond(microsecond).ok().map(Some),
        None => Some(None),
    }
}
