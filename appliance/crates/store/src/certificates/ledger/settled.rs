//! What is recorded: in memory what is open, in the index the rest.

use std::collections::HashMap;

use model::SerialNumber;
use serde::{Deserialize, Serialize};

use crate::certificates::entry::{self, Entry, KeyHash, OpenEntry};
use crate::error::{Error, IndexFault};
use crate::writer::Sources;

/// Where a settled record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located {
    /// Its number.
    pub(crate) sequence: u64,
    /// Its frames.
    pub(crate) entry: Entry,
}

/// How many records there are of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Certificates issued.
    pub(crate) issued: u64,
    /// Intents of which nothing came.
    pub(crate) abandoned: u64,
    /// Serial numbers revoked or on hold, foreign ones included.
    pub(crate) revoked: u64,
    /// Steps of foreign revocations: without any, no serial number can meet one.
    pub(crate) foreign: u64,
    /// Keys blocked.
    pub(crate) blocked: u64,
}

/// The settled layer that memory holds.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Intents that are not settled.
    pub(crate) open: HashMap<SerialNumber, OpenEntry>,
    /// Their idempotency keys.
    keys: HashMap<KeyHash, SerialNumber>,
    /// Journal bytes set aside for their outcomes.
    promised: u64,
    /// Intents settled since the last checkpoint that it still holds as open.
    spilled_and_closed: Vec<u64>,
    /// How many records are settled.
    pub(crate) counts: Counts,
}

impl Settled {
    /// Starts with what a checkpoint counted.
    pub(super) fn counting(counts: Counts) -> Self {
        Self {
            counts,
            ..Self::default()
        }
    }

    /// Finds the open intent under an idempotency key.
    pub(super) fn open_under(&self, key: &KeyHash) -> Option<SerialNumber> {
        self.keys.get(key).cloned()
    }

    /// Returns the journal bytes set aside.
    pub(super) const fn promised(&self) -> u64 {
        self.promised
    }

    /// Adds an open intent.
    pub(super) fn insert(&mut self, serial: SerialNumber, open: OpenEntry) {
        if let Some((hash, _)) = open.key {
            self.keys.insert(hash, serial.clone());
        }
        self.promised += open.promise;
        self.open.insert(serial, open);
    }

    /// Takes an open intent out, since something came of it.
    pub(super) fn close(&mut self, serial: &SerialNumber, open: &OpenEntry, issued: bool) {
        // Held here, unless it was opened in the group that settles it; held by
        // the checkpoint if one came between.
        let spilled = self.open.remove(serial).is_some_and(|own| own.spilled);
        self.promised = self.promised.saturating_sub(open.promise);
        if let Some((hash, _)) = open.key {
            // A new attempt in the same group may own the key by now.
            if self.keys.get(&hash) == Some(serial) {
                self.keys.remove(&hash);
            }
        }
        if spilled {
            self.spilled_and_closed.push(open.sequence);
        }
        if issued {
            self.counts.issued += 1;
        } else {
            self.counts.abandoned += 1;
        }
    }

    /// Adds to a checkpoint what it does not hold yet; returns its summary.
    pub(super) fn checkpoint(&mut self, batch: &mut sled::Batch) -> Vec<u8> {
        for sequence in std::mem::take(&mut self.spilled_and_closed) {
            batch.remove(entry::open_key(sequence));
        }
        for open in self.open.values_mut().filter(|open| !open.spilled) {
            open.spilled = true;
            batch.insert(entry::open_key(open.sequence), entry::encode(open));
        }
        entry::encode(&self.counts)
    }
}

/// Finds a settled serial number in the index.
///
/// # Errors
///
/// `Index` if it cannot be read.
pub(crate) fn find_settled(
    sources: &Sources,
    serial: &SerialNumber,
) -> Result<Option<Located>, Error> {
    let index = &sources.index;
    let Some(value) = index.get(&entry::serial_key(serial))? else {
        return Ok(None);
    };
    let sequence =
        entry::trailing_sequence(&value).ok_or_else(|| index.unusable(IndexFault::Entry))?;
    locate(sources, sequence).map(Some)
}

/// Finds where a settled record lies.
///
/// # Errors
///
/// `Index` if it cannot be read or has no such record.
pub(super) fn locate(sources: &Sources, sequence: u64) -> Result<Located, Error> {
    let index = &sources.index;
    let entry = index
        .get(&entry::record_key(sequence))?
        .and_then(|value| entry::decode(&value))
        .ok_or_else(|| index.unusable(IndexFault::Entry))?;
    Ok(Located { sequence, entry })
}
