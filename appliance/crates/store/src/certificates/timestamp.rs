//! Certificate timestamps about to be signed (RFC 6962).

use model::{IssuerId, SerialNumber, Timestamp};

/// A signed certificate timestamp that is about to be signed by the CA's log key.
///
/// It explains that signature, as an [`Intent`](super::Intent) explains the authority's:
/// that one follows under the same serial number, unless something stopped it.
/// `recorded_at` is kept to the microsecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampRecord {
    /// The serial number of the certificate to come.
    pub serial: SerialNumber,
    /// Who will sign that.
    pub issuer: IssuerId,
    /// SHA-256 of the log key's SubjectPublicKeyInfo.
    pub log_id: [u8; 32],
    /// The timestamp: milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// The TBSCertificate without timestamps, as the log sees it, DER.
    pub tbs_der: Vec<u8>,
    /// When it is recorded.
    pub recorded_at: Timestamp,
}
