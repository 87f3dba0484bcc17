//! Keys that are never certified again.

use model::{Identity, RequestId, Timestamp};

/// A key that is never certified again, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedKey {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub public_key_sha256: [u8; 32],
    /// The peer that asked; none for the CA itself.
    pub requester: Option<Identity>,
    /// The request it came with.
    pub request_id: RequestId,
    /// When it was recorded, to the microsecond.
    pub recorded_at: Timestamp,
}
