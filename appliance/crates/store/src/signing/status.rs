//! How the signing store is.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Health;
use crate::writer::Recovered;

/// How a signing store is, for health checks and metrics.
#[derive(Debug, Clone)]
pub struct SigningStatus {
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
    /// Bytes of documents in files of their own.
    pub blob_bytes: u64,
    /// Acts waiting for the writer.
    pub queue_depth: usize,
    /// Signatures begun and neither made nor abandoned.
    pub open: u64,
    /// Events that wait.
    pub events_waiting: u64,
    /// Deliveries that wait.
    pub deliveries_waiting: u64,
    /// When the oldest event that waits came.
    pub oldest_waiting_event: Option<Timestamp>,
    /// When the oldest delivery that waits was queued.
    pub oldest_waiting_delivery: Option<Timestamp>,
    /// Leaves of the transparency log.
    pub log_size: u64,
    /// How much was ever recorded.
    pub counts: SigningCounts,
    /// What the last opening had to mend.
    pub recovered: Recovered,
}

/// How much was ever recorded.
// Stored on disk: change only by adding a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SigningCounts {
    /// Signatures begun.
    pub begun: u64,
    /// Signatures made.
    pub signed: u64,
    /// Signatures abandoned.
    pub abandoned: u64,
    /// Signatures withdrawn.
    pub withdrawn: u64,
    /// Time-stamps, those of signatures included.
    pub timestamps: u64,
    /// Events accepted.
    pub events: u64,
    /// Events given up.
    pub events_failed: u64,
    /// Deliveries queued.
    pub deliveries: u64,
    /// Deliveries given up, counted each time.
    pub deliveries_dead: u64,
}
