//! What acts on certificates mean: which are refused, what the others change.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use model::{SerialNumber, Timestamp};
use serde::{Deserialize, Serialize};

use super::codec::{self, Event};
use super::entry::{self, Entry, KeyHash, KeyUse, OpenEntry};
use super::record::{AbandonReason, Intent};
use crate::error::{Error, IndexFault};
use crate::index::Additions;
use crate::journal::{Frame, Place, frame_len};
use crate::writer::{Decision, Label, Ledger, Sources};

/// Bytes that an outcome may add to its intent's TBS: a signature, its algorithm
/// and the record's own fields.
const OUTCOME_OVERHEAD: usize = 8 * 1024;

/// What callers ask for.
#[derive(Debug)]
pub(crate) enum Act {
    /// Record what is about to be signed.
    Intend(Box<Intent>),
    /// Record the certificate.
    Issue {
        /// Its number.
        serial: SerialNumber,
        /// The certificate.
        certificate_der: Vec<u8>,
        /// When.
        at: Timestamp,
    },
    /// Record that nothing came of it.
    Abandon {
        /// Its number.
        serial: SerialNumber,
        /// Why.
        why: AbandonReason,
        /// When.
        at: Timestamp,
    },
}

/// What callers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is on disk.
    Done,
    /// The same request has this certificate already.
    Replay(Located),
    /// The same request is open under the intent in this frame.
    InProgress(Place),
}

/// Where a settled record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located {
    /// Its number.
    pub(crate) sequence: u64,
    /// Its frames.
    pub(crate) entry: Entry,
}

/// How many records are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Certificates issued.
    pub(crate) issued: u64,
    /// Intents of which nothing came.
    pub(crate) abandoned: u64,
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

/// What a serial number stands for.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// An intent that is not settled.
    Open(OpenEntry),
    /// One that is.
    Settled(Located),
}

/// One staged change.
#[derive(Debug)]
enum Change {
    /// An intent is open.
    Opened(OpenEntry),
    /// An intent is settled.
    Closed {
        /// The intent.
        open: OpenEntry,
        /// What came of it.
        entry: Entry,
    },
}

/// The ledger of certificates.
#[derive(Debug)]
pub(crate) struct CertificateLedger {
    /// Index and journal.
    sources: Sources,
    /// What memory holds, shared with readers.
    settled: Arc<RwLock<Settled>>,
    /// Changes of this group, in order.
    changes: Vec<(SerialNumber, Change)>,
    /// The last change of each serial number in this group.
    latest: HashMap<SerialNumber, usize>,
    /// The idempotency keys of intents opened in this group.
    staged_keys: HashMap<KeyHash, SerialNumber>,
    /// Bytes promised by this group.
    staged_promise: u64,
}

impl CertificateLedger {
    /// Starts with nothing in memory.
    pub(crate) fn new(sources: Sources, settled: Arc<RwLock<Settled>>) -> Self {
        Self {
            sources,
            settled,
            changes: Vec::new(),
            latest: HashMap::new(),
            staged_keys: HashMap::new(),
            staged_promise: 0,
        }
    }

    /// Returns how many intents are open.
    pub(crate) fn count_open(&self) -> u64 {
        self.read().open.len() as u64
    }

    /// Locks the settled layer for reading.
    fn read(&self) -> RwLockReadGuard<'_, Settled> {
        self.settled.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a serial number in all layers, the newest first.
    fn find(&self, serial: &SerialNumber) -> Result<Option<Found>, Error> {
        let staged = self.latest.get(serial);
        match staged.and_then(|at| self.changes.get(*at)) {
            Some((_, Change::Opened(open))) => return Ok(Some(Found::Open(*open))),
            Some((_, Change::Closed { open, entry })) => {
                return Ok(Some(Found::Settled(Located {
                    sequence: open.sequence,
                    entry: *entry,
                })));
            }
            None => {}
        }
        if let Some(open) = self.read().open.get(serial) {
            return Ok(Some(Found::Open(*open)));
        }
        Ok(find_settled(&self.sources, serial)?.map(Found::Settled))
    }

    /// Decides whether an intent may be recorded.
    fn decide_intent(&self, intent: &Intent) -> Result<Decision<Outcome>, Error> {
        if let Some(idempotency) = &intent.idempotency {
            let hash = entry::hash_key(idempotency);
            let conflict = || Error::IdempotencyConflict {
                key: idempotency.key.clone(),
            };
            let open = match self.staged_keys.get(&hash).cloned() {
                Some(serial) => Some(serial),
                None => self.read().keys.get(&hash).cloned(),
            };
            // A key staged in this group may be settled in it as well.
            let found = match open {
                Some(serial) => self.find(&serial)?,
                None => None,
            };
            let used = match found {
                Some(Found::Open(open)) => {
                    let same = open
                        .key
                        .is_some_and(|(_, own)| own == idempotency.fingerprint);
                    let progress = Decision::Answer(Outcome::InProgress(open.intent));
                    return if same { Ok(progress) } else { Err(conflict()) };
                }
                Some(Found::Settled(located)) => {
                    Some((located, self.staged_fingerprint(located.sequence)))
                }
                None => self
                    .find_use(&hash)?
                    .map(|(located, own)| (located, Some(own))),
            };
            if let Some((located, own)) = used {
                if own != Some(idempotency.fingerprint) {
                    return Err(conflict());
                }
                if located.entry.issued {
                    return Ok(Decision::Answer(Outcome::Replay(located)));
                }
                // Nothing came of it: the request starts anew.
            }
        }
        match self.find(&intent.serial)? {
            Some(_) => Err(Error::SerialTaken {
                serial: intent.serial.clone(),
            }),
            None => Ok(Decision::Record(Outcome::Done)),
        }
    }

    /// Returns the fingerprint of an intent that this group settles.
    fn staged_fingerprint(&self, sequence: u64) -> Option<[u8; 32]> {
        self.changes.iter().find_map(|(_, change)| match change {
            Change::Closed { open, .. } if open.sequence == sequence => {
                open.key.map(|(_, fingerprint)| fingerprint)
            }
            Change::Opened(_) | Change::Closed { .. } => None,
        })
    }

    /// Finds what an idempotency key was used for, in the index.
    fn find_use(&self, hash: &KeyHash) -> Result<Option<(Located, [u8; 32])>, Error> {
        let index = &self.sources.index;
        let Some(value) = index.get(&entry::use_key(hash))? else {
            return Ok(None);
        };
        let used: KeyUse =
            entry::decode(&value).ok_or_else(|| index.unusable(IndexFault::Entry))?;
        let located = locate(&self.sources, used.sequence)?;
        Ok(Some((located, used.fingerprint)))
    }

    /// Decides whether an open intent may be settled; `is_same` tells whether an
    /// earlier outcome is the one that is asked for.
    fn decide_outcome(
        &self,
        serial: &SerialNumber,
        is_same: impl FnOnce(&Event) -> bool,
    ) -> Result<Decision<Outcome>, Error> {
        match self.find(serial)? {
            None => Err(Error::NoIntent {
                serial: serial.clone(),
            }),
            Some(Found::Open(_)) => Ok(Decision::Record(Outcome::Done)),
            Some(Found::Settled(located)) => {
                if self.latest.contains_key(serial) {
                    // Settled in this very group: not readable yet.
                    return Ok(Decision::AfterCommit);
                }
                let same = self
                    .sources
                    .journal
                    .read(located.entry.outcome, codec::decode)
                    .map(|event| is_same(&event))?;
                if same {
                    Ok(Decision::Answer(Outcome::Done))
                } else {
                    Err(Error::AlreadySettled {
                        serial: serial.clone(),
                    })
                }
            }
        }
    }

    /// Stages a change.
    fn push(&mut self, serial: SerialNumber, change: Change) {
        self.latest.insert(serial.clone(), self.changes.len());
        self.changes.push((serial, change));
    }

    /// Stages an intent.
    fn stage_intent(&mut self, intent: &Intent, sequence: u64, place: Place) {
        let promise = promise(intent);
        let key = intent
            .idempotency
            .as_ref()
            .map(|own| (entry::hash_key(own), own.fingerprint));
        if let Some((hash, _)) = key {
            self.staged_keys.insert(hash, intent.serial.clone());
        }
        self.staged_promise += promise;
        let open = OpenEntry {
            sequence,
            intent: place,
            not_after: intent.not_after.as_microsecond(),
            key,
            promise,
            spilled: false,
        };
        self.push(intent.serial.clone(), Change::Opened(open));
    }

    /// Stages an outcome of an intent that is open.
    fn stage_outcome(
        &mut self,
        serial: &SerialNumber,
        open: OpenEntry,
        outcome: Place,
        issued: bool,
    ) {
        let entry = Entry {
            intent: open.intent,
            outcome,
            issued,
        };
        self.push(serial.clone(), Change::Closed { open, entry });
    }

    /// Finds the open intent that a frame in the journal settles.
    fn open_for_replay(&self, serial: &SerialNumber, sequence: u64) -> Result<OpenEntry, Error> {
        // What was open at the checkpoint was loaded, what opened since replayed.
        match self.find(serial)? {
            Some(Found::Open(open)) => Ok(open),
            Some(Found::Settled(_)) | None => Err(Error::Contradiction { sequence }),
        }
    }
}

impl Ledger for CertificateLedger {
    type Act = Act;
    type Outcome = Outcome;

    fn decide(&self, act: &Act) -> Result<Decision<Outcome>, Error> {
        match act {
            Act::Intend(intent) => self.decide_intent(intent),
            Act::Issue {
                serial,
                certificate_der,
                ..
            } => self.decide_outcome(serial, |event| {
                matches!(event, Event::Issued { certificate_der: own, .. } if own == certificate_der)
            }),
            Act::Abandon { serial, .. } => {
                self.decide_outcome(serial, |event| matches!(event, Event::Abandoned { .. }))
            }
        }
    }

    fn encode(&self, act: &Act, payload: &mut Vec<u8>) -> Label {
        let (kind, at) = match act {
            Act::Intend(intent) => {
                codec::encode_intent(intent, payload);
                (codec::INTENT, intent.recorded_at)
            }
            Act::Issue {
                serial,
                certificate_der,
                at,
            } => {
                codec::encode_issued(serial, certificate_der, *at, payload);
                (codec::ISSUED, *at)
            }
            Act::Abandon { serial, why, at } => {
                codec::encode_abandoned(serial, *why, *at, payload);
                (codec::ABANDONED, *at)
            }
        };
        Label {
            kind,
            version: codec::VERSION,
            time: at.as_microsecond(),
        }
    }

    fn promise(&self, act: &Act) -> u64 {
        match act {
            Act::Intend(intent) => promise(intent),
            Act::Issue { .. } | Act::Abandon { .. } => 0,
        }
    }

    fn promised(&self) -> u64 {
        self.read().promised + self.staged_promise
    }

    fn stage(&mut self, act: &Act, sequence: u64, place: Place) {
        let (serial, issued) = match act {
            Act::Intend(intent) => return self.stage_intent(intent, sequence, place),
            Act::Issue { serial, .. } => (serial, true),
            Act::Abandon { serial, .. } => (serial, false),
        };
        match self.find(serial) {
            Ok(Some(Found::Open(open))) => self.stage_outcome(serial, open, place, issued),
            Ok(Some(Found::Settled(_)) | None) | Err(_) => {
                debug_assert!(false, "staged an outcome that was not decided");
            }
        }
    }

    fn index(&self, additions: &mut Additions) {
        for (serial, change) in &self.changes {
            let Change::Closed { open, entry } = change else {
                continue;
            };
            let sequence = open.sequence;
            additions.insert(entry::record_key(sequence), entry::encode(entry));
            if entry.issued {
                additions.insert(entry::expiry_key(open.not_after, sequence), Vec::new());
            }
            if let Some((hash, fingerprint)) = open.key {
                let used = KeyUse {
                    sequence,
                    fingerprint,
                };
                additions.insert(entry::use_key(&hash), entry::encode(&used));
            }
            // Last: who finds the serial number finds the rest.
            let value = sequence.to_be_bytes().to_vec();
            additions.insert(entry::serial_key(serial), value);
        }
    }

    fn settle(&mut self) {
        let mut settled = self.settled.write().unwrap_or_else(PoisonError::into_inner);
        for (serial, change) in self.changes.drain(..) {
            let (open, entry) = match change {
                Change::Opened(open) => {
                    settled.insert(serial, open);
                    continue;
                }
                Change::Closed { open, entry } => (open, entry),
            };
            settled.open.remove(&serial);
            settled.promised = settled.promised.saturating_sub(open.promise);
            if let Some((hash, _)) = open.key {
                // A new attempt in the same group may own the key by now.
                if settled.keys.get(&hash) == Some(&serial) {
                    settled.keys.remove(&hash);
                }
            }
            if open.spilled {
                settled.spilled_and_closed.push(open.sequence);
            }
            if entry.issued {
                settled.counts.issued += 1;
            } else {
                settled.counts.abandoned += 1;
            }
        }
        drop(settled);
        self.discard();
    }

    fn discard(&mut self) {
        self.changes.clear();
        self.latest.clear();
        self.staged_keys.clear();
        self.staged_promise = 0;
    }

    fn replay(&mut self, frame: &Frame<'_>, place: Place) -> Result<(), Error> {
        let sequence = frame.header.sequence;
        let (serial, issued) = match codec::decode(frame)? {
            Event::Intent(intent) => {
                match self.find(&intent.serial)? {
                    None => {}
                    // The index is ahead of its checkpoint and knows what comes.
                    Some(Found::Settled(located)) if located.entry.intent == place => {}
                    Some(Found::Settled(_) | Found::Open(_)) => {
                        return Err(Error::Contradiction { sequence });
                    }
                }
                self.stage_intent(&intent, sequence, place);
                return Ok(());
            }
            Event::Issued { serial, .. } => (serial, true),
            Event::Abandoned { serial, .. } => (serial, false),
        };
        let open = self.open_for_replay(&serial, sequence)?;
        self.stage_outcome(&serial, open, place, issued);
        Ok(())
    }

    fn load(&mut self, summary: &[u8]) -> Result<(), Error> {
        let index = &self.sources.index;
        let unreadable = || index.unusable(IndexFault::Entry);
        let mut settled = Settled {
            counts: entry::decode(summary).ok_or_else(unreadable)?,
            ..Settled::default()
        };
        for item in index.range(vec![b'p']..vec![b'p' + 1]) {
            let (_, value) = item?;
            let open: OpenEntry = entry::decode(&value).ok_or_else(unreadable)?;
            let serial =
                self.sources
                    .journal
                    .read(open.intent, |frame| match codec::decode(frame)? {
                        Event::Intent(intent) => Ok(intent.serial),
                        Event::Issued { .. } | Event::Abandoned { .. } => Err(unreadable()),
                    })?;
            settled.insert(serial, open);
        }
        *self.settled.write().unwrap_or_else(PoisonError::into_inner) = settled;
        Ok(())
    }

    fn checkpoint(&mut self, batch: &mut sled::Batch) -> Vec<u8> {
        let mut settled = self.settled.write().unwrap_or_else(PoisonError::into_inner);
        for sequence in std::mem::take(&mut settled.spilled_and_closed) {
            batch.remove(entry::open_key(sequence));
        }
        for open in settled.open.values_mut().filter(|open| !open.spilled) {
            open.spilled = true;
            batch.insert(entry::open_key(open.sequence), entry::encode(open));
        }
        entry::encode(&settled.counts)
    }
}

impl Settled {
    /// Adds an open intent.
    fn insert(&mut self, serial: SerialNumber, open: OpenEntry) {
        if let Some((hash, _)) = open.key {
            self.keys.insert(hash, serial.clone());
        }
        self.promised += open.promise;
        self.open.insert(serial, open);
    }
}

/// Returns the journal bytes to set aside for an intent's outcome.
fn promise(intent: &Intent) -> u64 {
    frame_len(intent.tbs_der.len() + OUTCOME_OVERHEAD) as u64
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
fn locate(sources: &Sources, sequence: u64) -> Result<Located, Error> {
    let index = &sources.index;
    let entry = index
        .get(&entry::record_key(sequence))?
        .and_then(|value| entry::decode(&value))
        .ok_or_else(|| index.unusable(IndexFault::Entry))?;
    Ok(Located { sequence, entry })
}
