//! What acts on certificates mean: which are refused, what the others change.
//!
//! Intents and what comes of them, revocations, blocked keys and CRLs each have
//! a part of their own, with what a group stages of it; this one asks the right
//! part, in the journal's order.

mod crls;
mod intents;
mod keys;
mod revocations;
mod settled;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::{SerialNumber, Timestamp};

use self::crls::StagedCrls;
use self::intents::StagedIntents;
use self::keys::StagedKeys;
use self::revocations::StagedRevocations;
use super::blocked::BlockedKey;
use super::codec::{self, Event};
use super::crl::CrlRecord;
use super::entry::{self, OpenEntry};
use super::record::{AbandonReason, Intent};
use super::revocation::RevocationAct;
use super::scan;
use super::timestamp::TimestampRecord;
use crate::error::{Error, IndexFault};
use crate::index::Additions;
use crate::journal::{Frame, Place};
use crate::writer::{Decision, Label, Ledger, Sources};

pub(crate) use self::crls::find_crl;
pub(crate) use self::keys::find_blocked;
pub(crate) use self::settled::{Located, Settled, find_settled};

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
    /// Record a step of a revocation.
    Revoke(Box<RevocationAct>),
    /// Record that a key is never certified again.
    Block(Box<BlockedKey>),
    /// Record a CRL that is about to be signed.
    PlanCrl(Box<CrlRecord>),
    /// Record a certificate timestamp that is about to be signed.
    PlanTimestamp(Box<TimestampRecord>),
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
    /// What is asked for was recorded before.
    Already,
    /// The serial number is not foreign, since the journal has an intent for it.
    Known,
}

/// The ledger of certificates.
#[derive(Debug)]
pub(crate) struct CertificateLedger {
    /// Index and journal.
    sources: Sources,
    /// What memory holds, shared with readers.
    settled: Arc<RwLock<Settled>>,
    /// Intents and outcomes of this group.
    intents: StagedIntents,
    /// Revocations of this group.
    revocations: StagedRevocations,
    /// Keys blocked by this group.
    keys: StagedKeys,
    /// CRLs of this group.
    crls: StagedCrls,
}

impl CertificateLedger {
    /// Starts with nothing in memory.
    pub(crate) fn new(sources: Sources, settled: Arc<RwLock<Settled>>) -> Self {
        Self {
            sources,
            settled,
            intents: StagedIntents::default(),
            revocations: StagedRevocations::default(),
            keys: StagedKeys::default(),
            crls: StagedCrls::default(),
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

    /// Locks the settled layer for a change.
    fn write(&self) -> RwLockWriteGuard<'_, Settled> {
        self.settled.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for CertificateLedger {
    const LAYOUT: u8 = entry::LAYOUT;

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
            Act::Revoke(act) => self.decide_revocation(act),
            Act::Block(key) => self.decide_block(key),
            Act::PlanCrl(crl) => self.decide_crl(crl),
            // The journal alone has it: nobody looks for it but who reads that.
            Act::PlanTimestamp(_) => Ok(Decision::Record(Outcome::Done)),
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
            Act::Revoke(act) => {
                codec::encode_revocation(act, payload);
                (codec::REVOCATION, act.revocation.recorded_at)
            }
            Act::Block(key) => {
                codec::encode_blocked(key, payload);
                (codec::KEY_BLOCKED, key.recorded_at)
            }
            Act::PlanCrl(crl) => {
                codec::encode_crl(crl, payload);
                (codec::CRL, crl.recorded_at)
            }
            Act::PlanTimestamp(record) => {
                codec::encode_timestamp(record, payload);
                (codec::TIMESTAMP, record.recorded_at)
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
            Act::Intend(intent) => intents::promise(intent),
            Act::Issue { .. }
            | Act::Abandon { .. }
            | Act::Revoke(_)
            | Act::Block(_)
            | Act::PlanCrl(_)
            | Act::PlanTimestamp(_) => 0,
        }
    }

    fn is_covered(&self, act: &Act) -> bool {
        match act {
            // Space was set aside with the intent.
            Act::Issue { .. } | Act::Abandon { .. } => true,
            Act::Intend(_)
            | Act::Revoke(_)
            | Act::Block(_)
            | Act::PlanCrl(_)
            | Act::PlanTimestamp(_) => false,
        }
    }

    fn promised(&self) -> u64 {
        self.read().promised() + self.intents.promise()
    }

    fn stage(&mut self, act: &Act, sequence: u64, place: Place) {
        match act {
            Act::Intend(intent) => self.stage_intent(intent, sequence, place),
            Act::Issue { serial, .. } => self.stage_outcome(serial, place, true),
            Act::Abandon { serial, .. } => self.stage_outcome(serial, place, false),
            Act::Revoke(act) => self.stage_revocation(act, sequence, place),
            Act::Block(key) => self.stage_block(key, place),
            Act::PlanCrl(crl) => self.stage_crl(crl, place),
            Act::PlanTimestamp(_) => {}
        }
    }

    fn index(&self, additions: &mut Additions) {
        self.intents.index(additions);
        self.revocations.index(additions);
        self.keys.index(additions);
        self.crls.index(additions);
    }

    fn settle(&mut self) {
        self.settle_intents();
        self.settle_revocations();
        self.settle_blocks();
        self.settle_crls();
    }

    fn discard(&mut self) {
        self.intents.clear();
        self.revocations = StagedRevocations::default();
        self.keys = StagedKeys::default();
        self.crls = StagedCrls::default();
    }

    fn replay(&mut self, frame: &Frame<'_>, place: Place) -> Result<(), Error> {
        let sequence = frame.header.sequence;
        match codec::decode(frame)? {
            Event::Intent(intent) => self.replay_intent(&intent, sequence, place),
            Event::Issued { serial, .. } => self.replay_outcome(&serial, sequence, place, true),
            Event::Abandoned { serial, .. } => self.replay_outcome(&serial, sequence, place, false),
            Event::Revocation(act) => self.replay_revocation(&act, sequence, place),
            Event::KeyBlocked(key) => self.replay_block(&key, sequence, place),
            Event::Crl(crl) => {
                self.stage_crl(&crl, place);
                Ok(())
            }
            Event::Timestamp(_) => Ok(()),
        }
    }

    fn load(&mut self, summary: &[u8]) -> Result<(), Error> {
        let index = &self.sources.index;
        let unreadable = || index.unusable(IndexFault::Entry);
        let mut settled = Settled::counting(entry::decode(summary).ok_or_else(unreadable)?);
        for item in index.range(vec![b'p']..vec![b'p' + 1]) {
            let (_, value) = item?;
            let open: OpenEntry = entry::decode(&value).ok_or_else(unreadable)?;
            let serial = scan::read_intent(&self.sources, open.intent)?.serial;
            settled.insert(serial, open);
        }
        *self.write() = settled;
        Ok(())
    }

    fn checkpoint(&mut self, batch: &mut sled::Batch) -> Vec<u8> {
        self.write().checkpoint(batch)
    }
}
