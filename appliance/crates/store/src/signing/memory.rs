//! What memory holds of the signing ledger: what is under way, and the log's edge.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use model::signing::{DeliveryId, EventId, SignatureId};
use serde::{Deserialize, Serialize};

use super::codec::QUEUE_WAITING;
use super::key;
use super::log::{Edge, Hash};
use super::status::SigningCounts;

/// The settled layer that memory holds, shared with readers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Signatures begun and not ended.
    pub(crate) open: BTreeMap<SignatureId, Open>,
    /// Journal octets promised to them.
    pub(crate) promised: u64,
    /// Events that wait.
    pub(crate) events: Waiting<EventId>,
    /// Deliveries that wait.
    pub(crate) deliveries: Waiting<DeliveryId>,
    /// To which webhook those of them go that were queued or read since the start.
    pub(crate) hooks: HashMap<DeliveryId, Arc<str>>,
    /// The log.
    pub(crate) log: Edge,
    /// Size and root of the last checkpoint.
    pub(crate) checkpoint: Option<(u64, Hash)>,
    /// Keys to leave the index with its next checkpoint.
    pub(crate) removals: BTreeSet<Vec<u8>>,
    /// How much was ever recorded.
    pub(crate) counts: SigningCounts,
    /// Time of the last act, in microseconds since the epoch.
    pub(crate) time: i64,
}

/// A signature that is being made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Open {
    /// Journal octets promised to it.
    pub(crate) promise: u64,
    /// Whether its second stage is recorded, and where its leaves are.
    pub(crate) stage: Option<Option<Range<u64>>>,
}

/// What waits, by when it is due.
#[derive(Debug)]
pub(crate) struct Waiting<I> {
    /// When each is due.
    by_id: BTreeMap<I, i64>,
    /// Each behind when it is due.
    by_time: BTreeSet<(i64, I)>,
}

impl<I> Default for Waiting<I> {
    fn default() -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_time: BTreeSet::new(),
        }
    }
}

impl<I: Ord + Copy> Waiting<I> {
    /// Has something wait.
    pub(crate) fn insert(&mut self, id: I, due: i64) {
        if let Some(before) = self.by_id.insert(id, due) {
            self.by_time.remove(&(before, id));
        }
        self.by_time.insert((due, id));
    }

    /// Has something wait no more; whether it did.
    pub(crate) fn remove(&mut self, id: &I) -> bool {
        match self.by_id.remove(id) {
            Some(due) => self.by_time.remove(&(due, *id)),
            None => false,
        }
    }

    /// Whether something waits.
    pub(crate) fn contains(&self, id: &I) -> bool {
        self.by_id.contains_key(id)
    }

    /// Returns how many wait.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns what is due, the longest first.
    pub(crate) fn due(&self, now: i64, most: usize) -> Vec<I> {
        self.by_time
            .iter()
            .take_while(|(due, _)| *due <= now)
            .take(most)
            .map(|(_, id)| *id)
            .collect()
    }

    /// Returns when the next is due.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// Returns the first of what waits.
    pub(crate) fn first(&self) -> Option<I> {
        self.by_id.first_key_value().map(|(id, _)| *id)
    }

    /// Returns what waits behind `before`, the last first.
    pub(crate) fn back(&self, before: Option<I>, most: usize) -> Vec<I> {
        let all = match before {
            Some(before) => self.by_id.range(..before),
            None => self.by_id.range(..),
        };
        all.rev().take(most).map(|(id, _)| *id).collect()
    }
}

/// What a group of acts changes in memory once it is on disk, in its order.
#[derive(Debug)]
pub(crate) enum Change {
    /// A signature began.
    Began(SignatureId, Open),
    /// Its stage is recorded.
    Staged(SignatureId, Option<Range<u64>>),
    /// It ended.
    Ended(SignatureId),
    /// An event's state, and until or since when.
    Event(EventId, u8, i64),
    /// A delivery's state, and until or since when.
    Delivery(DeliveryId, u8, i64),
    /// To which webhook a delivery goes.
    DeliveryHook(DeliveryId, Arc<str>),
}

/// What a checkpoint tells of what came before it.
// Stored on disk: change only by adding a version.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SummaryV1 {
    /// How much was ever recorded.
    counts: SigningCounts,
    /// Time of the last act.
    time: i64,
    /// Leaves of the log.
    log_size: u64,
    /// Its complete subtrees.
    log_peaks: Vec<Hash>,
    /// Size and root of its last checkpoint.
    checkpoint: Option<(u64, Hash)>,
}

impl Memory {
    /// Starts at a checkpoint of the index.
    pub(crate) fn at(summary: SummaryV1) -> Self {
        Self {
            counts: summary.counts,
            time: summary.time,
            log: Edge {
                size: summary.log_size,
                peaks: summary.log_peaks,
            },
            checkpoint: summary.checkpoint,
            ..Self::default()
        }
    }

    /// Summarizes it for a checkpoint of the index.
    pub(crate) fn summary(&self) -> SummaryV1 {
        SummaryV1 {
            counts: self.counts,
            time: self.time,
            log_size: self.log.size,
            log_peaks: self.log.peaks.clone(),
            checkpoint: self.checkpoint,
        }
    }

    /// Adds a signature that is being made.
    pub(crate) fn open(&mut self, id: SignatureId, open: Open) {
        let promise = open.promise;
        if let Some(before) = self.open.insert(id, open) {
            self.promised = self.promised.saturating_sub(before.promise);
        }
        self.promised = self.promised.saturating_add(promise);
    }

    /// Makes a change.
    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Began(id, open) => self.open(id, open),
            Change::Staged(id, range) => {
                // Not open: the index was ahead of its checkpoint and knows the end.
                if let Some(open) = self.open.get_mut(&id) {
                    open.stage = Some(range);
                }
            }
            Change::Ended(id) => {
                if let Some(open) = self.open.remove(&id) {
                    self.promised = self.promised.saturating_sub(open.promise);
                }
                self.removals.insert(key::tagged(b'o', id.octets()));
            }
            Change::Event(id, QUEUE_WAITING, due) => self.events.insert(id, due),
            Change::Event(id, ..) => {
                self.events.remove(&id);
                self.removals.insert(key::tagged(b'q', id.octets()));
            }
            Change::Delivery(id, QUEUE_WAITING, due) => {
                self.deliveries.insert(id, due);
                // It may have been done, and wait again.
                self.removals.remove(&key::tagged(b'k', id.octets()));
            }
            Change::DeliveryHook(id, hook) => {
                self.hooks.insert(id, hook);
            }
            Change::Delivery(id, ..) => {
                self.deliveries.remove(&id);
                self.hooks.remove(&id);
                self.removals.insert(key::tagged(b'k', id.octets()));
            }
        }
    }
}
