//! Intents and what comes of them.

use std::collections::HashMap;
use std::sync::PoisonError;

use model::{IssuerId, SerialNumber};

use super::settled::{Located, find_settled, locate};
use super::{CertificateLedger, Outcome};
use crate::certificates::codec::{self, Event};
use crate::certificates::entry::{self, Entry, Expiring, KeyHash, KeyUse, OpenEntry};
use crate::certificates::record::Intent;
use crate::certificates::scan;
use crate::error::{Error, IndexFault};
use crate::index::Additions;
use crate::journal::{Place, frame_len};
use crate::writer::Decision;

/// Bytes that an outcome may add to its intent's TBS: a signature, its algorithm
/// and the record's own fields.
const OUTCOME_OVERHEAD: usize = 8 * 1024;

/// What a serial number stands for.
#[derive(Debug, Clone)]
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
    Opened {
        /// The intent.
        open: OpenEntry,
        /// SHA-256 of its public key.
        public_key_sha256: [u8; 32],
    },
    /// An intent is settled.
    Closed {
        /// The intent.
        open: OpenEntry,
        /// What came of it.
        entry: Entry,
    },
}

/// The intents and outcomes of a group.
#[derive(Debug, Default)]
pub(super) struct StagedIntents {
    /// Changes, in order.
    changes: Vec<(SerialNumber, Change)>,
    /// The last change of each serial number.
    latest: HashMap<SerialNumber, usize>,
    /// The idempotency keys of intents opened in this group.
    keys: HashMap<KeyHash, SerialNumber>,
    /// Bytes promised by this group.
    promise: u64,
}

impl StagedIntents {
    /// Returns the bytes promised by this group.
    pub(super) const fn promise(&self) -> u64 {
        self.promise
    }

    /// Forgets them, keeping the memory for the next group.
    pub(super) fn clear(&mut self) {
        self.changes.clear();
        self.latest.clear();
        self.keys.clear();
        self.promise = 0;
    }

    /// Returns the last change of a serial number.
    fn latest(&self, serial: &SerialNumber) -> Option<&Change> {
        let at = self.latest.get(serial)?;
        self.changes.get(*at).map(|(_, change)| change)
    }

    /// Stages a change.
    fn push(&mut self, serial: SerialNumber, change: Change) {
        self.latest.insert(serial.clone(), self.changes.len());
        self.changes.push((serial, change));
    }

    /// Returns the fingerprint of an intent that this group settles.
    fn fingerprint(&self, sequence: u64) -> Option<[u8; 32]> {
        self.changes.iter().find_map(|(_, change)| match change {
            Change::Closed { open, .. } if open.sequence == sequence => {
                open.key.map(|(_, fingerprint)| fingerprint)
            }
            Change::Opened { .. } | Change::Closed { .. } => None,
        })
    }

    /// Adds the keys that the changes bring to the index.
    pub(super) fn index(&self, additions: &mut Additions) {
        for (serial, change) in &self.changes {
            let (open, entry) = match change {
                Change::Opened {
                    public_key_sha256, ..
                } => {
                    let key = entry::public_key_key(public_key_sha256, serial);
                    additions.insert(key, Vec::new());
                    continue;
                }
                Change::Closed { open, entry } => (open, entry),
            };
            let sequence = open.sequence;
            additions.insert(entry::record_key(sequence), entry::encode(entry));
            if entry.issued {
                let expiring = Expiring {
                    issuer: open.issuer.as_str(),
                    serial: serial.as_der_content(),
                };
                let key = entry::expiry_key(open.not_after, sequence);
                additions.insert(key, entry::encode(&expiring));
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
}

impl CertificateLedger {
    /// Finds a serial number in all layers, the newest first.
    fn find(&self, serial: &SerialNumber) -> Result<Option<Found>, Error> {
        match self.intents.latest(serial) {
            Some(Change::Opened { open, .. }) => return Ok(Some(Found::Open(open.clone()))),
            Some(Change::Closed { open, entry }) => {
                return Ok(Some(Found::Settled(Located {
                    sequence: open.sequence,
                    entry: *entry,
                })));
            }
            None => {}
        }
        if let Some(open) = self.read().open.get(serial) {
            return Ok(Some(Found::Open(open.clone())));
        }
        Ok(find_settled(&self.sources, serial)?.map(Found::Settled))
    }

    /// Finds who issues, or was to issue, a serial number, in all layers.
    ///
    /// # Errors
    ///
    /// Why it could not be read.
    pub(super) fn find_issuer(&self, serial: &SerialNumber) -> Result<Option<IssuerId>, Error> {
        if let Some(Change::Opened { open, .. } | Change::Closed { open, .. }) =
            self.intents.latest(serial)
        {
            return Ok(Some(open.issuer.clone()));
        }
        match self.find(serial)? {
            Some(Found::Open(open)) => Ok(Some(open.issuer)),
            Some(Found::Settled(located)) => scan::read_intent(&self.sources, located.entry.intent)
                .map(|intent| Some(intent.issuer)),
            None => Ok(None),
        }
    }

    /// Decides whether an intent may be recorded.
    ///
    /// # Errors
    ///
    /// `IdempotencyConflict`, `KeyBlocked`, `SerialTaken`, or why state could not
    /// be read.
    pub(super) fn decide_intent(&self, intent: &Intent) -> Result<Decision<Outcome>, Error> {
        if let Some(idempotency) = &intent.idempotency {
            let hash = entry::hash_key(idempotency);
            let conflict = || Error::IdempotencyConflict {
                key: idempotency.key.clone(),
            };
            let open = match self.intents.keys.get(&hash).cloned() {
                Some(serial) => Some(serial),
                None => self.read().open_under(&hash),
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
                    Some((located, self.intents.fingerprint(located.sequence)))
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
        if self.is_blocked(&intent.public_key_sha256)? {
            return Err(Error::KeyBlocked {
                public_key_sha256: intent.public_key_sha256,
            });
        }
        if self.find(&intent.serial)?.is_some()
            || self.is_foreign(&intent.issuer, &intent.serial)?
        {
            return Err(Error::SerialTaken {
                serial: intent.serial.clone(),
            });
        }
        Ok(Decision::Record(Outcome::Done))
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
    ///
    /// # Errors
    ///
    /// `NoIntent`, `AlreadySettled`, or why state could not be read.
    pub(super) fn decide_outcome(
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
                if self.intents.latest(serial).is_some() {
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

    /// Stages an intent.
    pub(super) fn stage_intent(&mut self, intent: &Intent, sequence: u64, place: Place) {
        let promise = promise(intent);
        let key = intent
            .idempotency
            .as_ref()
            .map(|own| (entry::hash_key(own), own.fingerprint));
        if let Some((hash, _)) = key {
            self.intents.keys.insert(hash, intent.serial.clone());
        }
        self.intents.promise += promise;
        let open = OpenEntry {
            sequence,
            intent: place,
            issuer: intent.issuer.clone(),
            not_after: intent.not_after.as_microsecond(),
            key,
            promise,
            spilled: false,
        };
        let change = Change::Opened {
            open,
            public_key_sha256: intent.public_key_sha256,
        };
        self.intents.push(intent.serial.clone(), change);
    }

    /// Stages an outcome that was decided to be recorded.
    pub(super) fn stage_outcome(&mut self, serial: &SerialNumber, outcome: Place, issued: bool) {
        match self.find(serial) {
            Ok(Some(Found::Open(open))) => self.close(serial, open, outcome, issued),
            Ok(Some(Found::Settled(_)) | None) | Err(_) => {
                debug_assert!(false, "staged an outcome that was not decided");
            }
        }
    }

    /// Stages an outcome of an intent that is open.
    fn close(&mut self, serial: &SerialNumber, open: OpenEntry, outcome: Place, issued: bool) {
        let entry = Entry {
            intent: open.intent,
            outcome,
            issued,
        };
        self.intents
            .push(serial.clone(), Change::Closed { open, entry });
    }

    /// Stages an intent found in the journal.
    ///
    /// # Errors
    ///
    /// `Contradiction` if its serial number was another's before.
    pub(super) fn replay_intent(
        &mut self,
        intent: &Intent,
        sequence: u64,
        place: Place,
    ) -> Result<(), Error> {
        match self.find(&intent.serial)? {
            None => {}
            // The index is ahead of its checkpoint and knows what comes.
            Some(Found::Settled(located)) if located.entry.intent == place => {}
            Some(Found::Settled(_) | Found::Open(_)) => {
                return Err(Error::Contradiction { sequence });
            }
        }
        self.stage_intent(intent, sequence, place);
        Ok(())
    }

    /// Stages an outcome found in the journal.
    ///
    /// # Errors
    ///
    /// `Contradiction` if no intent is open for it.
    pub(super) fn replay_outcome(
        &mut self,
        serial: &SerialNumber,
        sequence: u64,
        place: Place,
        issued: bool,
    ) -> Result<(), Error> {
        // What was open at the checkpoint was loaded, what opened since replayed.
        match self.find(serial)? {
            Some(Found::Open(open)) => {
                self.close(serial, open, place, issued);
                Ok(())
            }
            Some(Found::Settled(_)) | None => Err(Error::Contradiction { sequence }),
        }
    }

    /// Moves the group's changes into the settled layer.
    pub(super) fn settle_intents(&mut self) {
        let mut settled = self.settled.write().unwrap_or_else(PoisonError::into_inner);
        for (serial, change) in self.intents.changes.drain(..) {
            match change {
                Change::Opened { open, .. } => settled.insert(serial, open),
                Change::Closed { open, entry } => settled.close(&serial, &open, entry.issued),
            }
        }
        drop(settled);
        self.intents.clear();
    }
}

/// Returns the journal bytes to set aside for an intent's outcome.
pub(super) fn promise(intent: &Intent) -> u64 {
    frame_len(intent.tbs_der.len() + OUTCOME_OVERHEAD) as u64
}
