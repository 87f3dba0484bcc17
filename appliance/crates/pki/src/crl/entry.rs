//! One entry of a CRL, encoded when its revocation is accepted.

use model::{RevocationReason, SerialNumber, Timestamp};

use crate::encode;
use crate::time;

/// Why a revocation cannot stand on a CRL.
///
/// Checked when a revocation is accepted, so that no entry ever stops a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    /// A date that no entry can carry.
    #[error("{date} lies outside the years 1950 to 9999 that a CRL can carry")]
    Date {
        /// The date.
        date: Timestamp,
    },
    /// An invalidity date behind the revocation.
    #[error("the invalidity date {invalidity_date} is after the revocation at {revoked_at}")]
    InvalidityDate {
        /// Since when the key is said to be compromised.
        invalidity_date: Timestamp,
        /// When the certificate was revoked.
        revoked_at: Timestamp,
    },
}

/// Years that entries carry.
const YEARS: std::ops::RangeInclusive<i64> = 1950..=9999;

/// Encodes one entry of revokedCertificates (RFC 5280, 5.1.2.6), DER.
///
/// The reason is left out when it is `Unspecified` (5.3.1). `RemoveFromCrl` is encoded,
/// but the lint takes it in delta CRLs alone.
///
/// # Errors
///
/// `Date`, and `InvalidityDate`: 5.3.2 gives the date on which the key is known or
/// suspected to have been compromised, which no later revocation precedes.
pub fn encode_entry(
    serial: &SerialNumber,
    revoked_at: Timestamp,
    reason: RevocationReason,
    invalidity_date: Option<Timestamp>,
) -> Result<Box<[u8]>, InvalidEntry> {
    for date in [Some(revoked_at), invalidity_date].into_iter().flatten() {
        if !YEARS.contains(&time::year(date)) {
            return Err(InvalidEntry::Date { date });
        }
    }
    // In whole seconds, as they are written.
    if let Some(invalidity_date) = invalidity_date
        && invalidity_date.as_second() > revoked_at.as_second()
    {
        return Err(InvalidEntry::InvalidityDate {
            invalidity_date,
            revoked_at,
        });
    }
    Ok(encode::crl::entry(serial, revoked_at, reason, invalidity_date).into())
}

/// Appends one entry to a run of entries, as [`encode_entry`] encodes it.
///
/// # Errors
///
/// As [`encode_entry`]; nothing was appended.
pub fn append_entry(
    out: &mut Vec<u8>,
    serial: &SerialNumber,
    revoked_at: Timestamp,
    reason: RevocationReason,
    invalidity_date: Option<Timestamp>,
) -> Result<(), InvalidEntry> {
    let entry = encode_entry(serial, revoked_at, reason, invalidity_date)?;
    out.extend_from_slice(&entry);
    Ok(())
}
