//! Random histories against a simple model, over restarts and rebuilds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tempfile::tempdir;

use super::*;
use crate::journal::verify;
use crate::signing::log::Edge;
use crate::signing::queue::{Accepted, Attempt, EventOutcome};
use crate::signing::record::{LogCheckpoint, SearchFilter, SignatureAbandonReason, Withdrawn};
use crate::signing::{SigningStoreError, rebuild};

/// Signatures, events and deliveries of a history, each.
const NUMBERS: u32 = 5;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// Begins a signature: its name, its idempotency key, its request.
    Begin(u32, u32, u8),
    /// Records a stage with a serial number.
    Stage(u32, u32),
    /// Completes a signature.
    Complete(u32),
    /// Abandons it.
    Abandon(u32),
    /// Withdraws it.
    Withdraw(u32),
    /// Records a time-stamp.
    Timestamp(u32),
    /// Adds leaves.
    Leaves(u32),
    /// Records a checkpoint of so many leaves, right or wrong.
    Checkpoint(u64, bool),
    /// Accepts an event: its name, its sender's delivery.
    Accept(u32, u32),
    /// Retries, finishes or gives up an event.
    Event(u32, u8),
    /// Delivers, retries or gives up a delivery, or sends it again.
    Delivery(u32, u8),
    /// Closes and opens.
    Reopen,
    /// Makes the index anew.
    Rebuild,
}

/// Draws a step.
fn step() -> impl Strategy<Value = Step> {
    let number = || 0..NUMBERS;
    prop_oneof![
        6 => (number(), 0..3_u32, 0..2_u8).prop_map(|(id, key, own)| Step::Begin(id, key, own)),
        4 => (number(), 0..8_u32).prop_map(|(id, serial)| Step::Stage(id, serial)),
        5 => number().prop_map(Step::Complete),
        2 => number().prop_map(Step::Abandon),
        2 => number().prop_map(Step::Withdraw),
        1 => (0..8_u32).prop_map(Step::Timestamp),
        2 => (0..4_u32).prop_map(Step::Leaves),
        2 => (0..12_u64, any::<bool>()).prop_map(|(size, right)| Step::Checkpoint(size, right)),
        3 => (number(), 0..4_u32).prop_map(|(id, own)| Step::Accept(id, own)),
        4 => (number(), 0..3_u8).prop_map(|(id, what)| Step::Event(id, what)),
        4 => (number(), 0..4_u8).prop_map(|(id, what)| Step::Delivery(id, what)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ]
}

/// A signature in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signature {
    /// Its state.
    state: &'static str,
    /// Its leaf.
    leaf: Option<u64>,
    /// Whether it was withdrawn.
    withdrawn: bool,
}

/// The model.
#[derive(Debug, Default)]
struct Reference {
    /// Signatures.
    signatures: BTreeMap<u32, Signature>,
    /// Idempotency keys: signature and request.
    keys: BTreeMap<u32, (u32, u8)>,
    /// Serial numbers of time-stamps.
    serials: BTreeSet<u32>,
    /// Leaves.
    leaves: Vec<Bytes>,
    /// Leaves of the last checkpoint.
    checkpoint: Option<u64>,
    /// Events: state and attempts.
    events: BTreeMap<u32, (&'static str, u32)>,
    /// Deliveries that came in: their events.
    seen: BTreeMap<u32, u32>,
    /// Deliveries: state and attempts.
    deliveries: BTreeMap<u32, (&'static str, u32)>,
    /// Acts recorded.
    acts: u64,
}

impl Reference {
    /// Begins a signature.
    fn begin(&mut self, id: u32, key: u32, request: u8) -> String {
        if let Some((known, own)) = self.keys.get(&key) {
            match (self.signatures[known].state, *own == request) {
                ("abandoned", _) => {}
                ("signed", true) => return format!("repeated {known}"),
                ("begun" | "staged", true) => return format!("running {known}"),
                _ => return format!("conflict {known}"),
            }
        }
        if self.signatures.contains_key(&id) {
            return "taken".to_owned();
        }
        let begun = Signature {
            state: "begun",
            leaf: None,
            withdrawn: false,
        };
        self.signatures.insert(id, begun);
        self.keys.insert(key, (id, request));
        self.acts += 1;
        "new".to_owned()
    }

    /// Returns a signature that is being made.
    fn open(&mut self, id: u32) -> Result<&mut Signature, String> {
        match self.signatures.get_mut(&id) {
            None => Err("none".to_owned()),
            Some(own) if matches!(own.state, "begun" | "staged") => Ok(own),
            Some(own) => Err(format!("not open: {}", own.state)),
        }
    }

    /// Records a stage.
    fn stage(&mut self, id: u32, serial: u32) -> String {
        let is_taken = self.serials.contains(&serial);
        let index = self.leaves.len() as u64;
        let own = match self.open(id) {
            Ok(own) if own.state == "staged" => return "not open: staged".to_owned(),
            Ok(own) => own,
            Err(refused) => return refused,
        };
        if is_taken {
            return "serial taken".to_owned();
        }
        own.state = "staged";
        own.leaf = Some(index);
        self.serials.insert(serial);
        self.leaves.push(leaf(serial));
        self.acts += 1;
        format!("logged {index}")
    }

    /// Ends a signature.
    fn end(&mut self, id: u32, state: &'static str) -> String {
        if self
            .signatures
            .get(&id)
            .is_some_and(|own| own.state == state)
        {
            return state.to_owned();
        }
        match self.open(id) {
            Err(refused) => return refused,
            Ok(own) => own.state = state,
        }
        if state == "signed" {
            self.deliveries.insert(id, ("waiting", 0));
        }
        self.acts += 1;
        state.to_owned()
    }

    /// Withdraws a signature.
    fn withdraw(&mut self, id: u32) -> String {
        match self.signatures.get_mut(&id) {
            None => "none",
            Some(own) if own.state != "signed" => "not signed",
            Some(own) if own.withdrawn => "repeated",
            Some(own) => {
                own.withdrawn = true;
                self.acts += 1;
                "withdrawn"
            }
        }
        .to_owned()
    }

    /// Records a checkpoint.
    fn checkpoint(&mut self, size: u64, is_right: bool) -> &'static str {
        if size > self.leaves.len() as u64 {
            return "ahead";
        }
        if self.checkpoint.is_some_and(|last| size < last) {
            return "behind";
        }
        if !is_right {
            return "differs";
        }
        self.checkpoint = Some(size);
        self.acts += 1;
        "recorded"
    }

    /// Moves something in a queue; none if nothing changes.
    fn moved(
        queue: &mut BTreeMap<u32, (&'static str, u32)>,
        id: u32,
        to: &'static str,
        repeats: bool,
    ) -> (String, bool) {
        match queue.get_mut(&id) {
            None => ("none".to_owned(), false),
            Some((state, attempts)) if *state == "waiting" => {
                *state = to;
                *attempts += 1;
                (format!("{to} {attempts}"), true)
            }
            Some((state, attempts)) if repeats && *state == to => {
                (format!("{to} {attempts}"), false)
            }
            Some(_) => ("ended".to_owned(), false),
        }
    }

    /// Compares everything that can be read.
    fn compare(&self, store: &SigningRecords) {
        let mut open = 0;
        let mut made = Vec::new();
        for (number, own) in &self.signatures {
            let record = wait(store.signature(&signature_id(*number)))
                .unwrap()
                .unwrap();
            assert_eq!(record.state.as_str(), own.state, "signature {number}");
            assert_eq!(record.withdrawal.is_some(), own.withdrawn);
            match own.state {
                "signed" => made.push(signature_id(*number)),
                "begun" | "staged" => open += 1,
                _ => {}
            }
        }
        made.reverse();
        let found = wait(store.search(SearchFilter::default(), None, 100)).unwrap();
        let found: Vec<_> = found.items.iter().map(|own| own.id).collect();
        assert_eq!(found, made);
        assert_eq!(wait(store.open_work()).unwrap().len(), open);
        assert_eq!(wait(store.log_leaves(0..100)).unwrap(), self.leaves);
        let last = wait(store.latest_checkpoint()).unwrap();
        assert_eq!(last.map(|own| own.size), self.checkpoint);
        for serial_of in 0..8 {
            let found = wait(store.timestamp(&serial(serial_of))).unwrap();
            assert_eq!(found.is_some(), self.serials.contains(&serial_of));
        }
        let waiting = |queue: &BTreeMap<u32, (&'static str, u32)>| {
            queue
                .values()
                .filter(|(state, _)| *state == "waiting")
                .count() as u64
        };
        let status = store.status();
        assert_eq!(status.events_waiting, waiting(&self.events));
        assert_eq!(status.deliveries_waiting, waiting(&self.deliveries));
        assert_eq!(status.log_size, self.leaves.len() as u64);
        assert_eq!(status.counts.begun, self.signatures.len() as u64);
        assert_eq!(status.counts.signed, self.deliveries.len() as u64);
        assert_eq!(status.counts.events, self.events.len() as u64);
    }
}

/// Names why an act was refused.
fn refused(error: &SigningStoreError) -> String {
    match error {
        SigningStoreError::IdTaken { .. } => "taken".to_owned(),
        SigningStoreError::NoSignature { .. }
        | SigningStoreError::NoEvent { .. }
        | SigningStoreError::NoDelivery { .. } => "none".to_owned(),
        SigningStoreError::NotOpen { state, .. } => format!("not open: {state}"),
        SigningStoreError::NotSigned { .. } => "not signed".to_owned(),
        SigningStoreError::SerialTaken { .. } => "serial taken".to_owned(),
        SigningStoreError::EventEnded { .. } | SigningStoreError::DeliveryEnded { .. } => {
            "ended".to_owned()
        }
        SigningStoreError::CheckpointAhead { .. } => "ahead".to_owned(),
        SigningStoreError::CheckpointBehind { .. } => "behind".to_owned(),
        SigningStoreError::CheckpointDiffers { .. } => "differs".to_owned(),
        other => panic!("{other}"),
    }
}

/// Names what came of an act.
fn told<T>(answer: Result<T, SigningStoreError>, done: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(answer) => done(answer),
        Err(error) => refused(&error),
    }
}

/// Finds the number of a signature.
fn number_of(id: SignatureId) -> u32 {
    (0..NUMBERS).find(|own| signature_id(*own) == id).unwrap()
}

/// Takes one step with a signature; tells what came of it in the store and in the
/// model.
fn take(store: &SigningRecords, model: &mut Reference, step: &Step) -> Option<(String, String)> {
    Some(match *step {
        Step::Begin(id, key, request) => {
            let new = NewSignature {
                idempotency: Some((
                    IdempotencyKey::new(&format!("k{key}")).unwrap(),
                    [request; 32],
                )),
                documents: Documents::from([(DocumentKind::Sbom, sbom(key))]),
                ..new_signature(id)
            };
            let own = told(wait(store.begin(new)), |begun| match begun {
                Begun::New => "new".to_owned(),
                Begun::Repeated(record) => format!("repeated {}", number_of(record.id)),
                Begun::Running(id) => format!("running {}", number_of(id)),
                Begun::Conflict(id) => format!("conflict {}", number_of(id)),
            });
            (own, model.begin(id, key, request))
        }
        Step::Stage(id, serial) => {
            let answer = wait(store.record_stage(&signature_id(id), stage(serial)));
            let own = told(answer, |staged| {
                format!("logged {}", staged.log_index.unwrap().start)
            });
            (own, model.stage(id, serial))
        }
        Step::Complete(id) => {
            let answer = wait(store.complete(&signature_id(id), signed(id)));
            let own = told(answer, |record| record.state.as_str().to_owned());
            (own, model.end(id, "signed"))
        }
        Step::Abandon(id) => {
            let reason = SignatureAbandonReason::TokenFailed;
            let answer = wait(store.abandon(&signature_id(id), reason, at(1)));
            let own = told(answer, |()| "abandoned".to_owned());
            (own, model.end(id, "abandoned"))
        }
        Step::Withdraw(id) => {
            let answer = wait(store.withdraw(&signature_id(id), withdrawal(1)));
            let own = told(answer, |withdrawn| match withdrawn {
                Withdrawn::New(_) => "withdrawn".to_owned(),
                Withdrawn::Repeated(_) => "repeated".to_owned(),
            });
            (own, model.withdraw(id))
        }
        _ => return take_other(store, model, step),
    })
}

/// Takes one step with something else.
fn take_other(
    store: &SigningRecords,
    model: &mut Reference,
    step: &Step,
) -> Option<(String, String)> {
    Some(match *step {
        Step::Timestamp(number) => {
            let answer = wait(store.begin_timestamp(new_timestamp(number)));
            let is_new = model.serials.insert(number);
            model.acts += u64::from(is_new);
            let expected = if is_new { "begun" } else { "serial taken" };
            (told(answer, |()| "begun".to_owned()), expected.to_owned())
        }
        Step::Leaves(count) => {
            let leaves: Vec<_> = (0..count).map(leaf).collect();
            let answer = wait(store.append_leaves(leaves.clone(), at(1)));
            let start = model.leaves.len() as u64;
            model.leaves.extend(leaves);
            model.acts += u64::from(count > 0);
            let expected = format!("{:?}", start..start + u64::from(count));
            (told(answer, |range| format!("{range:?}")), expected)
        }
        Step::Checkpoint(size, is_right) => {
            let mut edge = Edge::default();
            for leaf in model.leaves.iter().take(size as usize) {
                edge.append(leaf);
            }
            let mut root = edge.root();
            root[0] ^= u8::from(!is_right);
            let checkpoint = LogCheckpoint {
                size,
                root,
                note: "note".into(),
                at: at(1),
            };
            let answer = wait(store.record_checkpoint(checkpoint));
            let own = told(answer, |()| "recorded".to_owned());
            (own, model.checkpoint(size, is_right).to_owned())
        }
        Step::Accept(id, delivery) => {
            let new = NewEvent {
                delivery: SenderDeliveryId::new(&format!("d{delivery}")).unwrap(),
                ..new_event(id)
            };
            let own = told(wait(store.accept_event(new)), |accepted| match accepted {
                Accepted::New(_) => "new".to_owned(),
                Accepted::Duplicate { id, .. } => {
                    let number = (0..NUMBERS).find(|own| event_id(*own) == id);
                    format!("duplicate {}", number.unwrap())
                }
            });
            let expected = match model.seen.get(&delivery) {
                Some(event) => format!("duplicate {event}"),
                None if model.events.contains_key(&id) => "taken".to_owned(),
                None => {
                    model.seen.insert(delivery, id);
                    model.events.insert(id, ("waiting", 0));
                    model.acts += 1;
                    "new".to_owned()
                }
            };
            (own, expected)
        }
        Step::Event(id, what) => {
            let event = event_id(id);
            let (answer, to) = match what {
                0 => (
                    wait(store.retry_event(&event, at(9), "no", at(1))),
                    "waiting",
                ),
                1 => {
                    let done = EventOutcome::Done {
                        signature: None,
                        detail_json: Bytes::new(),
                    };
                    (wait(store.finish_event(&event, done, at(1))), "done")
                }
                _ => {
                    let failed = EventOutcome::Failed { error: "no".into() };
                    (wait(store.finish_event(&event, failed, at(1))), "failed")
                }
            };
            let own = told(answer, |record| format!("{to} {}", record.attempts));
            let (expected, is_act) = Reference::moved(&mut model.events, id, to, what > 0);
            model.acts += u64::from(is_act);
            (own, expected)
        }
        Step::Delivery(id, what) => {
            let delivery = delivery_id(id);
            let (attempt, to) = match what {
                0 => (Attempt::Delivered { status: 200 }, "done"),
                1 => {
                    let (due, error) = (at(9), "503".into());
                    (Attempt::Retry { due, error }, "waiting")
                }
                2 => (Attempt::Dead { error: "".into() }, "dead"),
                _ => {
                    let answer = wait(store.resend(&delivery, at(9), at(1)));
                    let own = told(answer, |record| format!("waiting {}", record.attempts));
                    let expected = match model.deliveries.get_mut(&id) {
                        None => "none".to_owned(),
                        Some((state, attempts)) => {
                            if *state != "waiting" {
                                (*state, *attempts) = ("waiting", 0);
                                model.acts += 1;
                            }
                            format!("waiting {attempts}")
                        }
                    };
                    return Some((own, expected));
                }
            };
            let answer = wait(store.record_attempt(&delivery, attempt, at(1)));
            let own = told(answer, |record| format!("{to} {}", record.attempts));
            let (expected, is_act) = Reference::moved(&mut model.deliveries, id, to, false);
            model.acts += u64::from(is_act);
            (own, expected)
        }
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_history_is_remembered(steps in prop::collection::vec(step(), 1..80)) {
        let directory = tempdir().unwrap();
        let mut model = Reference::default();
        let mut store = open(directory.path());
        for step in &steps {
            if let Some((own, expected)) = take(&store, &mut model, step) {
                prop_assert_eq!(own, expected, "{:?}", step);
                continue;
            }
            store.close();
            if matches!(step, Step::Rebuild) {
                rebuild(&config(directory.path()), SigningOptions::default()).unwrap();
            }
            store = open(directory.path());
        }
        model.compare(&store);
        let frames = store.status().sequence;
        store.close();
        // Beside the acts there are only documents: at most one frame for each SBOM
        // and two for each signature made.
        prop_assert_eq!(verify(directory.path()).unwrap().frames, frames);
        let documents = frames.checked_sub(model.acts).unwrap();
        let most = 3 + 2 * model.deliveries.len() as u64;
        prop_assert!(documents <= most, "{} frames beside {} acts", documents, model.acts);
    }
}
