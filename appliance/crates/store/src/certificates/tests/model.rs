//! Any acts in any order, with restarts anywhere, against a map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::tempdir;

use super::*;
use crate::certificates::{
    AbandonReason, CertificateFilter, CertificateState, CertificateStore, IntentOutcome, rebuild,
};
use crate::error::Error;
use crate::journal::verify;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Intend { number: u32, key: Option<(u32, u8)> },
    Issue { number: u32, content: u32 },
    Abandon { number: u32 },
    Reopen,
    Rebuild,
}

/// Draws a step over few numbers, so that they meet.
fn step() -> impl Strategy<Value = Step> {
    let number = 0..12_u32;
    prop_oneof![
        6 => (number.clone(), prop::option::of((0..3_u32, 0..2_u8)))
            .prop_map(|(number, key)| Step::Intend { number, key }),
        5 => (number.clone(), 0..3_u32).prop_map(|(number, content)| Step::Issue { number, content }),
        3 => number.prop_map(|number| Step::Abandon { number }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ]
}

/// What came of an intent: not settled, abandoned, or a certificate.
type Settlement = Option<Option<Vec<u8>>>;

/// What the store is to remember: each number's intent and what came of it.
#[derive(Default)]
struct Reference {
    records: BTreeMap<u32, (Intent, Settlement)>,
    keys: BTreeMap<u32, (u8, u32)>,
    acts: u64,
}

/// Names an answer.
fn name<T>(result: &Result<T, Error>, ok: impl Fn(&T) -> &'static str) -> &'static str {
    match result {
        Ok(outcome) => ok(outcome),
        Err(Error::SerialTaken { .. }) => "taken",
        Err(Error::IdempotencyConflict { .. }) => "conflict",
        Err(Error::NoIntent { .. }) => "no intent",
        Err(Error::AlreadySettled { .. }) => "settled",
        Err(_) => "broken",
    }
}

impl Reference {
    /// Takes an intent; returns the answer to expect.
    fn intend(&mut self, number: u32, key: Option<(u32, u8)>) -> &'static str {
        if let Some((key, content)) = key
            && let Some((own, last)) = self.keys.get(&key)
        {
            if *own != content {
                return "conflict";
            }
            match self.records[last].1 {
                None => return "in progress",
                Some(Some(_)) => return "replayed",
                Some(None) => {}
            }
        }
        if self.records.contains_key(&number) {
            return "taken";
        }
        let idempotency = key.and_then(|(key, content)| idempotency(key, content));
        self.records.insert(
            number,
            (
                Intent {
                    idempotency,
                    ..intent(number)
                },
                None,
            ),
        );
        if let Some((key, content)) = key {
            self.keys.insert(key, (content, number));
        }
        self.acts += 1;
        "recorded"
    }

    /// Takes an outcome; returns the answer to expect.
    fn settle(&mut self, number: u32, outcome: Option<Vec<u8>>) -> &'static str {
        match self.records.get_mut(&number) {
            None => "no intent",
            Some((_, Some(own))) if *own == outcome => "done",
            Some((_, Some(_))) => "settled",
            Some((_, open)) => {
                *open = Some(outcome);
                self.acts += 1;
                "done"
            }
        }
    }

    /// Compares everything that can be read.
    fn compare(&self, store: &Certificates) {
        let page = wait(store.certificates(CertificateFilter::default(), None, 1000)).unwrap();
        assert_eq!(page.records.len(), self.records.len());
        for record in page.records {
            let number = record.intent.serial.to_string();
            let number = u32::from_str_radix(&number, 16).unwrap() - 1;
            let (intent, outcome) = &self.records[&number];
            assert_eq!(record.intent, *intent);
            let found = match &record.state {
                CertificateState::Pending => None,
                CertificateState::Issued {
                    certificate_der, ..
                } => Some(Some(certificate_der.clone())),
                CertificateState::Abandoned { .. } => Some(None),
            };
            assert_eq!(found, *outcome);
            assert_eq!(
                wait(store.certificate(&record.intent.serial)).unwrap(),
                Some(record)
            );
        }
        let open = self
            .records
            .values()
            .filter(|(_, outcome)| outcome.is_none())
            .count();
        assert_eq!(wait(store.open_intents()).unwrap().len(), open);
        let status = store.status();
        assert_eq!(status.sequence, self.acts);
        assert_eq!(status.pending, open as u64);
        let issued = self
            .records
            .values()
            .filter(|(_, outcome)| matches!(outcome, Some(Some(_))));
        assert_eq!(status.issued, issued.count() as u64);
        assert_eq!(
            status.pending + status.issued + status.abandoned,
            self.records.len() as u64
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_history_is_remembered(steps in prop::collection::vec(step(), 1..60)) {
        let directory = tempdir().unwrap();
        let mut reference = Reference::default();
        let mut store = open(directory.path());
        for step in steps {
            match step {
                Step::Intend { number, key } => {
                    let idempotency = key.and_then(|(key, content)| idempotency(key, content));
                    let answer = wait(store.record_intent(Intent { idempotency, ..intent(number) }));
                    let answer = name(&answer, |outcome| match outcome {
                        IntentOutcome::Recorded => "recorded",
                        IntentOutcome::Replayed(_) => "replayed",
                        IntentOutcome::InProgress { .. } => "in progress",
                    });
                    prop_assert_eq!(answer, reference.intend(number, key));
                }
                Step::Issue { number, content } => {
                    let der = certificate(content);
                    let answer = wait(store.record_issued(&serial(number), der.clone(), at(1)));
                    prop_assert_eq!(name(&answer, |()| "done"), reference.settle(number, Some(der)));
                }
                Step::Abandon { number } => {
                    let why = AbandonReason::NotSigned;
                    let answer = wait(store.abandon_intent(&serial(number), why, at(2)));
                    prop_assert_eq!(name(&answer, |()| "done"), reference.settle(number, None));
                }
                Step::Reopen => {
                    store.close();
                    store = open(directory.path());
                }
                Step::Rebuild => {
                    store.close();
                    let rebuilt = rebuild(&config(directory.path())).unwrap();
                    prop_assert_eq!(rebuilt.frames_replayed, reference.acts);
                    store = open(directory.path());
                }
            }
        }
        reference.compare(&store);
        store.close();
        prop_assert_eq!(verify(directory.path()).unwrap().frames, reference.acts);
    }
}
