//! The one writer of a store directory.
use crate::error::Health;

/// What opening a store had to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Frames applied to the index from the journal.
    pub frames_replayed: u64,
    /// Bytes of a torn, never acknowledged write cut off the journal's end.
    pub torn_bytes: u64,
    /// Intents found open.
    pub open_intents: u64,
}

/// How a store is.
#[derive(Debug, Clone)]
pub struct Status {
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
    /// Intents not settled.
    pub pending: u64,
    /// Certificates issued.
    pub issued: u64,
    /// Intents of which nothing came.
    pub abandoned: u64,
    /// What the last opening had to mend.
    pub recovered: Recovered,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            health: Health::Healthy,
            sequence: 0,
            chain_hash: [0; 32],
            journal_bytes: 0,
            segments: 0,
            queue_depth: 0,
            pending: 0,
            issued: 0,
            abandoned: 0,
            recovered: Recovered::default(),
        }
    }
}
