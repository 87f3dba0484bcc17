//! The ACME ledger: how its acts become frames, keys and memory.

use std::cell::RefCell;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use model::Timestamp;
use model::acme::{ChallengeId, OrderId, OrderState};

use super::act::{Act, Outcome};
use super::codec::{self, Kind, Record};
use super::decide::{Decided, Plan, decide};
use super::key::{self, Located, Name};
use super::memory::{Memory, Summary, is_open};
use super::record::Order;
use super::status::AcmeCounts;
use super::view::{Staged, View};
use crate::error::{Error, IndexFault};
use crate::index::Additions;
use crate::journal::{Frame, Place, frame_len};
use crate::writer::{Decision, Label, Ledger, Sources};

/// Room set aside for the certificate of an order in `processing`: two chains.
const CERTIFICATE_ROOM: usize = 16 * 1024;

/// Room that must be there before an account or order is begun.
const BEGIN_ROOM: u64 = 4096;

/// Most records that one checkpoint takes out of the index.
const COLLECT: usize = 2048;

/// How long records stay readable after they ended.
///
/// The journal keeps everything; what leaves is their place in the index, so
/// that it grows with what is in use and not with what ever was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// For orders without a certificate and for authorizations, since they expired.
    pub ended: Duration,
    /// For orders with a certificate, since that expired.
    pub certificates: Duration,
}

impl Default for Retention {
    /// A week, and thirty days.
    fn default() -> Self {
        Self {
            ended: Duration::from_secs(7 * 86_400),
            certificates: Duration::from_secs(30 * 86_400),
        }
    }
}

/// The ledger of accounts, orders and authorizations.
#[derive(Debug)]
pub(crate) struct AcmeLedger {
    /// Index and journal.
    sources: Sources,
    /// What memory holds, shared with readers.
    memory: Arc<RwLock<Memory>>,
    /// How long records stay.
    retention: Retention,
    /// What the act that was decided last is to record.
    plan: RefCell<Option<Plan>>,
    /// What this group changes.
    staged: Staged,
    /// What this group adds to the summary.
    summary: Option<Summary>,
    /// Orders that this group takes to `processing`.
    finalized: u64,
}

impl AcmeLedger {
    /// Starts with nothing in memory.
    pub(crate) fn new(sources: Sources, memory: Arc<RwLock<Memory>>, retention: Retention) -> Self {
        Self {
            sources,
            memory,
            retention,
            plan: RefCell::new(None),
            staged: Staged::default(),
            summary: None,
            finalized: 0,
        }
    }

    /// Returns how many orders are in `processing`.
    pub(crate) fn count_open(&self) -> u64 {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        memory.processing.len() as u64
    }

    /// Shows the state with what is staged.
    fn view(&self) -> View<'_> {
        View {
            sources: &self.sources,
            memory: &self.memory,
            staged: Some(&self.staged),
        }
    }

    /// Locks memory for writing.
    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stages the records of one frame.
    fn stage_records(&mut self, kind: Kind, time: i64, records: Vec<Record>, place: Place) {
        let mut summary = self.summary.unwrap_or_else(|| {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            memory.summary
        });
        summary.time = time;
        count(kind, &records, &mut summary.counts);
        self.summary = Some(summary);
        if kind == Kind::OrderFinalized {
            self.finalized += 1;
        }
        for (key, value) in found_by(kind, &records, &self.retention) {
            self.staged.keys.insert(key, value);
        }
        for (part, record) in (0..).zip(records) {
            let name = Name::of(&record);
            let located = Located {
                place,
                part,
                due: due(&record, &self.retention),
            };
            self.staged.keys.insert(name.key(), located.encode());
            self.staged.records.insert(name, record);
        }
    }

    /// Takes records that are due out of the index.
    ///
    /// # Errors
    ///
    /// Why they could not be read; what was collected so far stands.
    fn collect(&self, batch: &mut sled::Batch) -> Result<(), Error> {
        let view = View {
            staged: None,
            ..self.view()
        };
        let now = {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            memory.summary.time
        };
        let unreadable = || self.sources.index.unusable(IndexFault::Entry);
        for found in view.keys(key::due(i64::MIN, b"")..key::due(now, b""), COLLECT)? {
            let name = key::due_name(&found).ok_or_else(unreadable)?;
            let own = name.key();
            let Some(value) = self.sources.index.get(&own)? else {
                batch.remove(found);
                continue;
            };
            let located = Located::decode(&value).ok_or_else(unreadable)?;
            // It changed since: a certificate lives longer than its order.
            let mut later = located.due;
            if later < now {
                let keys = match view.record(&name)? {
                    Some(record) => self.keys_to_remove(view, &record)?,
                    None => Vec::new(),
                };
                match keys {
                    keys if keys.is_empty() => {
                        later = now.saturating_add(micros(self.retention.ended))
                    }
                    keys => {
                        for key in keys {
                            batch.remove(key);
                        }
                        batch.remove(found);
                        self.write().forget(&name);
                        continue;
                    }
                }
            }
            batch.remove(found);
            batch.insert(key::due(later, &own), Vec::new());
        }
        Ok(())
    }

    /// Returns every key by which a record is found; none if it has to stay.
    fn keys_to_remove(&self, view: View<'_>, record: &Record) -> Result<Vec<Vec<u8>>, Error> {
        let name = Name::of(record);
        let mut keys = Vec::new();
        match record {
            Record::Account(_) | Record::EabKey(_) => {}
            Record::Order(order) => {
                if matches!(order.state, OrderState::Processing(_)) {
                    return Ok(keys);
                }
                keys.push(name.key());
                keys.push(key::listed(&order.account, &order.id));
                let mut shared = vec![key::requested(order)];
                shared.extend(
                    order
                        .replaces
                        .as_ref()
                        .map(|own| key::replaced(&own.serial)),
                );
                for key in shared {
                    // A later order may have taken it over.
                    let value = self.sources.index.get(&key)?;
                    if value.is_some_and(|value| *value == order.id.octets()[..]) {
                        keys.push(key);
                    }
                }
                if let Some(certificate) = order.state.certificate() {
                    keys.push(key::certificate(&certificate.serial));
                    for identifier in &order.identifiers {
                        keys.push(key::issued(identifier, certificate.at, &order.id));
                    }
                }
                for authorization in &order.authorizations {
                    keys.push(key::dependent(authorization, &order.id));
                }
            }
            Record::Authorization(authorization) => {
                keys.push(name.key());
                let valid = key::authorized(&authorization.account, &authorization.ordered());
                let value = self.sources.index.get(&valid)?;
                if value.is_some_and(|value| *value == authorization.id.octets()[..]) {
                    keys.push(valid);
                }
                for challenge in &authorization.challenges {
                    let id = ChallengeId {
                        authorization: authorization.id,
                        kind: challenge.kind,
                    };
                    if is_open(authorization.state, &challenge.state) {
                        // Nobody decided it before its time was over.
                        keys.push(key::validating(&id));
                        self.write().validating.remove(&id);
                    }
                }
                let dependents = key::prefixed(key::dependents_of(&authorization.id));
                keys.extend(view.keys(dependents, COLLECT)?);
            }
        }
        Ok(keys)
    }
}

impl Ledger for AcmeLedger {
    type Act = Act;
    type Outcome = Outcome;

    fn decide(&self, act: &Act) -> Result<Decision<Outcome>, Error> {
        let (plan, decision) = match decide(self.view(), act)? {
            Decided::Answer(outcome) => (None, Decision::Answer(outcome)),
            Decided::Record(plan, outcome) => (Some(plan), Decision::Record(outcome)),
        };
        self.plan.replace(plan);
        Ok(decision)
    }

    fn encode(&self, _act: &Act, payload: &mut Vec<u8>) -> Label {
        let plan = self.plan.borrow();
        // The engine encodes what was decided to be recorded.
        debug_assert!(plan.is_some(), "encoded an act that was not decided");
        let (code, time) = match &*plan {
            Some(plan) => {
                codec::encode(&plan.records, payload);
                (plan.kind.code(), plan.at.as_microsecond())
            }
            None => (0, 0),
        };
        Label {
            kind: code,
            version: codec::VERSION,
            time,
        }
    }

    fn promise(&self, act: &Act) -> u64 {
        match act {
            Act::Finalize { .. } => certificate_room(),
            Act::CreateAccount(_)
            | Act::CreateEabKey(_)
            | Act::CreateOrder(_)
            | Act::CreateAuthorization(_) => BEGIN_ROOM,
            Act::UpdateAccount { .. }
            | Act::ChangeKey { .. }
            | Act::EndAccount { .. }
            | Act::RevokeEabKey { .. }
            | Act::BeginChallenge { .. }
            | Act::Validate { .. }
            | Act::DeactivateAuthorization { .. }
            | Act::Issue { .. }
            | Act::Reject { .. } => 0,
        }
    }

    fn promised(&self) -> u64 {
        (self.count_open() + self.finalized) * certificate_room()
    }

    fn stage(&mut self, _act: &Act, _sequence: u64, place: Place) {
        let plan = self.plan.take();
        debug_assert!(plan.is_some(), "staged an act that was not decided");
        if let Some(plan) = plan {
            self.stage_records(plan.kind, plan.at.as_microsecond(), plan.records, place);
        }
    }

    fn index(&self, additions: &mut Additions) {
        // In the order of keys: those by which a record is found may come before it,
        // and lead nowhere until it is there.
        for (key, value) in &self.staged.keys {
            additions.insert(key.clone(), value.clone());
        }
    }

    fn settle(&mut self) {
        let staged = std::mem::take(&mut self.staged);
        let mut memory = self.write();
        memory.epoch += 1;
        for (name, record) in staged.records {
            memory.settle(name, record);
        }
        // What began and ended within this group.
        for key in staged
            .keys
            .range(key::prefixed(vec![b'p']))
            .map(|(key, _)| key)
        {
            let id = key::trailing(key).map(OrderId::from_octets);
            if !id.is_some_and(|id| memory.processing.contains(&id)) {
                memory.removals.insert(key.clone());
            }
        }
        for key in staged
            .keys
            .range(key::prefixed(vec![b'v']))
            .map(|(key, _)| key)
        {
            let id = key::validating_of(key);
            if !id.is_some_and(|id| memory.validating.contains(&id)) {
                memory.removals.insert(key.clone());
            }
        }
        if let Some(summary) = self.summary {
            memory.summary = summary;
        }
        drop(memory);
        self.discard();
    }

    fn discard(&mut self) {
        self.plan.take();
        self.staged = Staged::default();
        self.summary = None;
        self.finalized = 0;
    }

    fn replay(&mut self, frame: &Frame<'_>, place: Place) -> Result<(), Error> {
        let (kind, records) = codec::decode(frame)?;
        self.stage_records(kind, frame.header.time, records, place);
        Ok(())
    }

    fn load(&mut self, summary: &[u8]) -> Result<(), Error> {
        let unreadable = || self.sources.index.unusable(IndexFault::Entry);
        let mut memory = Memory::at(postcard::from_bytes(summary).map_err(|_| unreadable())?);
        let view = View {
            staged: None,
            ..self.view()
        };
        // The index may be ahead of its checkpoint: what ended since is not open.
        for key in view.keys(key::prefixed(vec![b'p']), usize::MAX)? {
            let id = OrderId::from_octets(key::trailing(&key).ok_or_else(unreadable)?);
            match view.order(&id)? {
                Some(order) if matches!(order.state, OrderState::Processing(_)) => {
                    memory.processing.insert(id);
                }
                Some(_) | None => {
                    memory.removals.insert(key);
                }
            }
        }
        for key in view.keys(key::prefixed(vec![b'v']), usize::MAX)? {
            let id = key::validating_of(&key).ok_or_else(unreadable)?;
            let authorization = view.authorization(&id.authorization)?;
            let open = authorization.is_some_and(|own| {
                own.challenge(id.kind)
                    .is_some_and(|challenge| is_open(own.state, &challenge.state))
            });
            if open {
                memory.validating.insert(id);
            } else {
                memory.removals.insert(key);
            }
        }
        *self.write() = memory;
        Ok(())
    }

    fn checkpoint(&mut self, batch: &mut sled::Batch) -> Vec<u8> {
        if let Err(error) = self.collect(batch) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not take all that is over out of the ACME index; the next checkpoint tries again"
            );
        }
        let mut memory = self.write();
        for key in std::mem::take(&mut memory.removals) {
            batch.remove(key);
        }
        let summary = postcard::to_stdvec(&memory.summary);
        debug_assert!(summary.is_ok(), "postcard refused a plain record");
        summary.unwrap_or_default()
    }
}

/// Returns the journal bytes to set aside for an order's certificate.
const fn certificate_room() -> u64 {
    frame_len(CERTIFICATE_ROOM) as u64
}

/// Adds an act to what was ever recorded.
fn count(kind: Kind, records: &[Record], counts: &mut AcmeCounts) {
    match kind {
        Kind::AccountCreated => counts.accounts += 1,
        Kind::OrderCreated => counts.orders += 1,
        Kind::CertificateIssued => counts.certificates += 1,
        Kind::OrderFailed => counts.rejected += records.len() as u64,
        Kind::AccountChanged
        | Kind::EabKeyChanged
        | Kind::AuthorizationCreated
        | Kind::AuthorizationChanged
        | Kind::OrderFinalized => {}
    }
}

/// Returns the keys by which the records of a frame are found, and those that say
/// what is under way. They depend on the frame alone.
fn found_by(kind: Kind, records: &[Record], retention: &Retention) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut keys = Vec::new();
    for record in records {
        match record {
            Record::Account(account) => {
                let thumbprint = key::thumbprint(&account.key.thumbprint);
                keys.push((thumbprint, account.id.octets().to_vec()));
            }
            Record::EabKey(_) => {}
            Record::Order(order) => {
                if kind == Kind::OrderCreated {
                    created_order(order, records, &mut keys);
                    let name = Name::of(record).key();
                    keys.push((key::due(due(record, retention), &name), Vec::new()));
                }
                match &order.state {
                    OrderState::Processing(_) => {
                        keys.push((key::processing(&order.id), Vec::new()));
                    }
                    OrderState::Valid(certificate) => {
                        let id = order.id.octets().to_vec();
                        keys.push((key::certificate(&certificate.serial), id));
                        for identifier in &order.identifiers {
                            let key = key::issued(identifier, certificate.at, &order.id);
                            keys.push((key, Vec::new()));
                        }
                    }
                    OrderState::Pending | OrderState::Ready | OrderState::Invalid { .. } => {}
                }
            }
            Record::Authorization(authorization) => {
                if matches!(kind, Kind::OrderCreated | Kind::AuthorizationCreated) {
                    let name = Name::of(record).key();
                    keys.push((key::due(due(record, retention), &name), Vec::new()));
                }
                if authorization.state == model::acme::AuthorizationState::Valid {
                    let key = key::authorized(&authorization.account, &authorization.ordered());
                    keys.push((key, authorization.id.octets().to_vec()));
                }
                for challenge in &authorization.challenges {
                    if is_open(authorization.state, &challenge.state) {
                        let id = ChallengeId {
                            authorization: authorization.id,
                            kind: challenge.kind,
                        };
                        keys.push((key::validating(&id), Vec::new()));
                    }
                }
            }
        }
    }
    keys
}

/// Adds the keys that a new order is found by.
fn created_order(order: &Order, records: &[Record], keys: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let id = order.id.octets().to_vec();
    keys.push((key::listed(&order.account, &order.id), Vec::new()));
    keys.push((key::requested(order), id.clone()));
    if let Some(replaces) = &order.replaces {
        keys.push((key::replaced(&replaces.serial), id));
    }
    // Authorizations that the frame does not hold are used again.
    for authorization in &order.authorizations {
        let is_new = records.iter().any(|record| match record {
            Record::Authorization(own) => own.id == *authorization,
            Record::Account(_) | Record::EabKey(_) | Record::Order(_) => false,
        });
        if !is_new {
            keys.push((key::dependent(authorization, &order.id), Vec::new()));
        }
    }
}

/// Returns when a record may leave the index; the greatest time for what stays.
fn due(record: &Record, retention: &Retention) -> i64 {
    let after = |at: Timestamp, delay| at.as_microsecond().saturating_add(micros(delay));
    match record {
        Record::Account(_) | Record::EabKey(_) => i64::MAX,
        Record::Order(order) => match &order.state {
            OrderState::Valid(own) => after(own.not_after, retention.certificates),
            OrderState::Pending
            | OrderState::Ready
            | OrderState::Processing(_)
            | OrderState::Invalid { .. } => after(order.expires_at, retention.ended),
        },
        Record::Authorization(own) => after(own.expires_at, retention.ended),
    }
}

/// Returns a span in microseconds.
fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
