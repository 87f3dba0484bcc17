//! How the ACME store is.

use serde::{Deserialize, Serialize};

use crate::error::Health;
use crate::writer::Recovered;

/// How an ACME store is, for health checks and metrics.
#[derive(Debug, Clone)]
pub struct AcmeStatus {
    /// Whether it takes acts.
    pub health: Health,
    /// Sequence number of the last frame on disk; 0 before the first.
    pub sequence: u64,
    /// The hash that the journal ends with.
    pub chain_hash: [u8; 32],
    /// Bytes of frames in the journal.
    pub journal_bytes: u64,
    /// Segments of the journal.
    pub segments: u32,
    /// Acts waiting for the writer.
    pub queue_depth: usize,
    /// Orders in `processing`.
    pub processing: u64,
    /// Challenges in `processing`.
    pub validating: u64,
    /// How much was ever recorded.
    pub counts: AcmeCounts,
    /// What the last opening had to mend.
    pub recovered: Recovered,
}

/// How much was ever recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AcmeCounts {
    /// Accounts made.
    pub accounts: u64,
    /// Orders made.
    pub orders: u64,
    /// Certificates issued.
    pub certificates: u64,
    /// Orders that the CA refused.
    pub rejected: u64,
}
