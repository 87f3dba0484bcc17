//! Any acts in any order, with restarts anywhere, against a map.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tempfile::tempdir;

use super::*;
use crate::certificates::{
    AbandonReason, CertificateFilter, CertificateState, CertificateStore, IntentOutcome, LastCrls,
    RevocationStore, StateFilter, rebuild,
};
use crate::error::Error;
use crate::journal::verify;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Intend {
        number: u32,
        key: Option<(u32, u8)>,
    },
    Issue {
        number: u32,
        content: u32,
    },
    Abandon {
        number: u32,
    },
    Revoke {
        number: u32,
        reason: RevocationReason,
    },
    Import {
        number: u32,
        reason: RevocationReason,
    },
    Block {
        key: u8,
    },
    PlanCrl {
        number: u64,
        is_delta: bool,
    },
    Reopen,
    Rebuild,
}

/// Draws a step over few numbers, so that they meet.
fn step() -> impl Strategy<Value = Step> {
    let number = 0..12_u32;
    let reason = prop::sample::select(vec![
        RevocationReason::KeyCompromise,
        RevocationReason::CertificateHold,
        RevocationReason::RemoveFromCrl,
    ]);
    prop_oneof![
        6 => (number.clone(), prop::option::of((0..3_u32, 0..2_u8)))
            .prop_map(|(number, key)| Step::Intend { number, key }),
        5 => (number.clone(), 0..3_u32).prop_map(|(number, content)| Step::Issue { number, content }),
        3 => number.clone().prop_map(|number| Step::Abandon { number }),
        6 => (number.clone(), reason.clone())
            .prop_map(|(number, reason)| Step::Revoke { number, reason }),
        2 => (number, reason).prop_map(|(number, reason)| Step::Import { number, reason }),
        1 => (0..12_u8).prop_map(|key| Step::Block { key }),
        2 => (1..20_u64, any::<bool>())
            .prop_map(|(number, is_delta)| Step::PlanCrl { number, is_delta }),
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
    /// The reasons given for each number, in order.
    revocations: BTreeMap<u32, Vec<RevocationReason>>,
    blocked: BTreeSet<u8>,
    crls: LastCrls,
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
        Err(Error::KeyBlocked { .. }) => "blocked",
        Err(Error::UnknownSerial { .. }) => "unknown",
        Err(Error::AlreadyRevoked { .. }) => "revoked",
        Err(Error::NotOnHold { .. }) => "not on hold",
        Err(Error::CrlNumberUsed { .. }) => "used",
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
        if self.blocked.contains(&(number as u8)) {
            return "blocked";
        }
        if self.records.contains_key(&number) || self.revocations.contains_key(&number) {
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

    /// Takes a step of a revocation of what is known; returns the answer to expect.
    fn revoke(&mut self, number: u32, reason: RevocationReason) -> &'static str {
        if !self.records.contains_key(&number) {
            return "unknown";
        }
        self.import(number, reason)
    }

    /// Takes a step of any revocation; returns the answer to expect.
    fn import(&mut self, number: u32, reason: RevocationReason) -> &'static str {
        use RevocationReason::{CertificateHold, RemoveFromCrl};
        let last = self.revocations.get(&number).and_then(|all| all.last());
        match (last, reason) {
            (Some(CertificateHold), RemoveFromCrl) => {}
            (_, RemoveFromCrl) => return "not on hold",
            (None | Some(RemoveFromCrl), _) => {}
            (Some(CertificateHold), own) if own != CertificateHold => {}
            (Some(_), _) => return "revoked",
        }
        self.revocations.entry(number).or_default().push(reason);
        self.acts += 1;
        "done"
    }

    /// Takes a CRL; returns the answer to expect.
    fn plan_crl(&mut self, planned: CrlRecord) -> &'static str {
        let number = |crl: &Option<CrlRecord>| crl.as_ref().map_or(0, |crl| crl.number);
        // All have one thisUpdate: the other kind may have the same number.
        let (own, other) = match planned.base {
            Some(_) => (&mut self.crls.delta, &self.crls.complete),
            None => (&mut self.crls.complete, &self.crls.delta),
        };
        if number(own) >= planned.number || number(other) > planned.number {
            return "used";
        }
        *own = Some(planned);
        self.acts += 1;
        "done"
    }

    /// Whether a number is revoked.
    fn is_revoked(&self, number: u32) -> bool {
        let last = self.revocations.get(&number).and_then(|all| all.last());
        last.is_some_and(|last| *last != RevocationReason::RemoveFromCrl)
    }

    /// Compares everything that can be read of revocations.
    fn compare_revocations(&self, store: &Certificates) {
        let listed = wait(store.revocations(&issuer(), None, 100)).unwrap();
        let told: Vec<_> = listed.iter().map(|own| own.serial.clone()).collect();
        let known: Vec<_> = self.revocations.keys().copied().map(serial).collect();
        assert_eq!(told, known);
        for (own, (number, reasons)) in listed.iter().zip(&self.revocations) {
            let record = wait(store.revocation(&issuer(), &own.serial)).unwrap();
            let record = record.unwrap();
            let history: Vec<_> = record.history.iter().map(|step| step.reason).collect();
            assert_eq!(history, *reasons);
            assert_eq!(record.current, *own);
            assert_eq!(Some(&own.reason), reasons.last());
            assert_eq!(own.is_revoked(), self.is_revoked(*number));
        }
        let filter = CertificateFilter {
            state: Some(StateFilter::Revoked),
            ..Default::default()
        };
        let page = wait(store.certificates(filter, None, 100)).unwrap();
        let revoked = self
            .records
            .keys()
            .filter(|number| self.is_revoked(**number));
        assert_eq!(page.records.len(), revoked.count());
        assert!(page.records.iter().all(|record| record.is_revoked()));
        let status = store.status();
        let revoked = self
            .revocations
            .keys()
            .filter(|number| self.is_revoked(**number));
        assert_eq!(status.revoked, revoked.count() as u64);
        assert_eq!(status.blocked_keys, self.blocked.len() as u64);
        let blocked = wait(store.blocked_keys(None, 100)).unwrap();
        assert!(
            blocked
                .into_iter()
                .eq(self.blocked.iter().copied().map(block))
        );
        let last = wait(store.last_crls(&issuer(), CrlScope::Whole)).unwrap();
        assert_eq!(last, self.crls);
        for number in 0..12 {
            let sharing = wait(store.serials_of_key(&[number as u8; 32], None, 10)).unwrap();
            let known = self.records.contains_key(&number).then(|| serial(number));
            assert!(sharing.into_iter().eq(known));
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
                Step::Revoke { number, reason } => {
                    let answer = wait(store.revoke(revocation(number, reason)));
                    prop_assert_eq!(name(&answer, |_| "done"), reference.revoke(number, reason));
                }
                Step::Import { number, reason } => {
                    let answer = wait(store.import_revocation(foreign(number, reason)));
                    prop_assert_eq!(name(&answer, |_| "done"), reference.import(number, reason));
                }
                Step::Block { key } => {
                    prop_assert_eq!(wait(store.block_key(block(key))).unwrap(), block(key));
                    reference.acts += u64::from(reference.blocked.insert(key));
                }
                Step::PlanCrl { number, is_delta } => {
                    let planned = crl(number, is_delta.then_some(1));
                    let answer = wait(store.record_crl(planned.clone()));
                    prop_assert_eq!(name(&answer, |()| "done"), reference.plan_crl(planned));
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
        reference.compare_revocations(&store);
        store.close();
        prop_assert_eq!(verify(directory.path()).unwrap().frames, reference.acts);
    }
}
