//! Certificate timestamps as journal payloads.
// Stored on disk: change only by adding a version.

use model::{IssuerId, SerialNumber, Timestamp};
use serde::{Deserialize, Serialize};

use super::{append, parse};
use crate::certificates::timestamp::TimestampRecord;

/// A certificate timestamp about to be signed, on disk.
#[derive(Serialize, Deserialize)]
struct TimestampV1<'a> {
    /// Content octets of the serial number.
    serial: &'a [u8],
    /// The issuer.
    issuer: &'a str,
    /// The log.
    log_id: [u8; 32],
    /// Milliseconds since the epoch.
    timestamp_ms: u64,
    /// The TBSCertificate without timestamps.
    tbs_der: &'a [u8],
    /// When it was recorded.
    recorded_at: i64,
}

/// Appends a certificate timestamp's payload to `out`.
pub(crate) fn encode_timestamp(record: &TimestampRecord, out: &mut Vec<u8>) {
    append(
        &TimestampV1 {
            serial: record.serial.as_der_content(),
            issuer: record.issuer.as_str(),
            log_id: record.log_id,
            timestamp_ms: record.timestamp_ms,
            tbs_der: &record.tbs_der,
            recorded_at: record.recorded_at.as_microsecond(),
        },
        out,
    );
}

/// Reads version 1 of a certificate timestamp.
pub(super) fn decode_timestamp(payload: &[u8]) -> Option<TimestampRecord> {
    let record: TimestampV1<'_> = parse(payload)?;
    Some(TimestampRecord {
        serial: SerialNumber::from_der_content(record.serial).ok()?,
        issuer: IssuerId::new(record.issuer).ok()?,
        log_id: record.log_id,
        timestamp_ms: record.timestamp_ms,
        tbs_der: record.tbs_der.to_vec(),
        recorded_at: Timestamp::from_microsecond(record.recorded_at).ok()?,
    })
}
