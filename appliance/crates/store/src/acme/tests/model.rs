//! Random histories against a simple model, over restarts and rebuilds.

use std::collections::BTreeMap;

use ::model::acme::AuthorizationState;
use proptest::prelude::*;
use tempfile::tempdir;

use super::*;
use crate::acme::record::FinalizeOutcome;
use crate::acme::{AcmeError, rebuild};
use crate::journal::verify;

/// Orders of a history.
const ORDERS: u32 = 4;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// Makes an order of two names; perhaps it uses authorizations again, perhaps
    /// it replaces a certificate.
    Create(u32, bool, Option<u8>),
    /// Decides a challenge: order, position, success, failure or retry.
    Validate(u32, u8, u8),
    /// Deactivates an authorization.
    Deactivate(u32, u8),
    /// Finalizes with some request.
    Finalize(u32, u8),
    /// Records a certificate.
    Issue(u32, u8),
    /// Records the CA's refusal.
    Reject(u32),
    /// Closes and opens.
    Reopen,
    /// Makes the index anew.
    Rebuild,
}

/// Draws a step.
fn step() -> impl Strategy<Value = Step> {
    let order = 0..ORDERS;
    prop_oneof![
        4 => (order.clone(), any::<bool>(), prop::option::of(0..2_u8))
            .prop_map(|(order, again, replaces)| Step::Create(order, again, replaces)),
        8 => (order.clone(), 0..2_u8, 0..8_u8)
            .prop_map(|(order, position, result)| Step::Validate(order, position, result)),
        1 => (order.clone(), 0..2_u8).prop_map(|(order, position)| Step::Deactivate(order, position)),
        4 => (order.clone(), 0..2_u8).prop_map(|(order, content)| Step::Finalize(order, content)),
        4 => (order.clone(), 0..2_u8).prop_map(|(order, number)| Step::Issue(order, number)),
        1 => order.prop_map(Step::Reject),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ]
}

/// What an order is in the model.
#[derive(Debug, Clone)]
struct OrderModel {
    /// Its state.
    state: &'static str,
    /// Its authorizations: those of which order, at which position.
    authorizations: [(u32, u8); 2],
    /// What it replaces.
    replaces: Option<u8>,
    /// What it was finalized with.
    content: Option<u8>,
    /// Its certificate.
    certificate: Option<u8>,
}

/// The model.
#[derive(Debug, Default)]
struct Reference {
    /// Orders.
    orders: BTreeMap<u32, OrderModel>,
    /// Authorizations: state, and whether the challenge is decided.
    authorizations: BTreeMap<(u32, u8), (AuthorizationState, bool)>,
    /// The last authorization that became valid, for each position.
    last_valid: BTreeMap<u8, (u32, u8)>,
    /// Acts recorded.
    acts: u64,
}

impl Reference {
    /// Makes an order.
    fn create(&mut self, number: u32, again: bool, replaces: Option<u8>) -> &'static str {
        if self.orders.contains_key(&number) {
            return "repeated";
        }
        let is_replaced = |own: &OrderModel| own.replaces == replaces && own.state != "invalid";
        if replaces.is_some() && self.orders.values().any(is_replaced) {
            return "already replaced";
        }
        let mut authorizations = [(number, 0), (number, 1)];
        for own in &mut authorizations {
            let last = self.last_valid.get(&own.1).filter(|last| {
                again
                    && self
                        .authorizations
                        .get(last)
                        .is_some_and(|(state, _)| *state == AuthorizationState::Valid)
            });
            match last {
                Some(last) => *own = *last,
                None => {
                    self.authorizations
                        .insert(*own, (AuthorizationState::Pending, false));
                }
            }
        }
        let state = if authorizations.iter().all(|own| own.0 != number) {
            "ready"
        } else {
            "pending"
        };
        let order = OrderModel {
            state,
            authorizations,
            replaces,
            content: None,
            certificate: None,
        };
        self.orders.insert(number, order);
        self.acts += 1;
        state
    }

    /// Decides a challenge.
    fn validate(&mut self, order: u32, position: u8, result: u8) -> &'static str {
        let id = (order, position);
        let Some((state, is_decided)) = self.authorizations.get(&id).copied() else {
            return "no challenge";
        };
        if is_decided {
            return "decided";
        }
        if state != AuthorizationState::Pending {
            return "not pending";
        }
        self.acts += 1;
        match result {
            0 => return "decided",
            1 => {
                self.authorizations
                    .insert(id, (AuthorizationState::Invalid, true));
                self.fail(order);
            }
            _ => {
                self.authorizations
                    .insert(id, (AuthorizationState::Valid, true));
                self.last_valid.insert(position, id);
                let own = self.orders.get(&order).unwrap();
                let all = own.authorizations.iter().all(|id| {
                    self.authorizations
                        .get(id)
                        .is_some_and(|(state, _)| *state == AuthorizationState::Valid)
                });
                if all && own.state == "pending" {
                    self.orders.get_mut(&order).unwrap().state = "ready";
                }
            }
        }
        "decided"
    }

    /// Fails an order that is not finalized.
    fn fail(&mut self, order: u32) {
        let own = self.orders.get_mut(&order).unwrap();
        if matches!(own.state, "pending" | "ready") {
            own.state = "invalid";
        }
    }

    /// Deactivates an authorization.
    fn deactivate(&mut self, id: (u32, u8)) -> &'static str {
        let Some((state, _)) = self.authorizations.get_mut(&id) else {
            return "no authorization";
        };
        match state {
            AuthorizationState::Deactivated => return "deactivated",
            AuthorizationState::Pending | AuthorizationState::Valid => {}
            _ => return "refused",
        }
        *state = AuthorizationState::Deactivated;
        self.acts += 1;
        let orders: Vec<u32> = self
            .orders
            .iter()
            .filter(|(_, order)| order.authorizations.contains(&id))
            .map(|(number, _)| *number)
            .collect();
        for order in orders {
            self.fail(order);
        }
        "deactivated"
    }

    /// Finalizes an order.
    fn finalize(&mut self, number: u32, content: u8) -> &'static str {
        let Some(order) = self.orders.get_mut(&number) else {
            return "no order";
        };
        match order.state {
            "ready" => {
                order.state = "processing";
                order.content = Some(content);
                self.acts += 1;
                "begun"
            }
            "processing" | "valid" if order.content == Some(content) => "repeated",
            _ => "not ready",
        }
    }

    /// Records a certificate, or a refusal.
    fn settle(&mut self, number: u32, certificate: Option<u8>) -> &'static str {
        let Some(order) = self.orders.get_mut(&number) else {
            return "no order";
        };
        match (order.state, certificate) {
            ("processing", _) => {
                order.state = if certificate.is_some() {
                    "valid"
                } else {
                    "invalid"
                };
                order.certificate = certificate;
                self.acts += 1;
                "done"
            }
            ("valid", Some(_)) if order.certificate == certificate => "done",
            ("invalid", None) => "done",
            _ => "refused",
        }
    }

    /// Compares everything that can be read.
    fn compare(&self, store: &AcmeRecords) {
        for (number, order) in &self.orders {
            let own = wait(store.order(&order_id(*number), at(9)))
                .unwrap()
                .unwrap();
            assert_eq!(own.state.as_str(), order.state, "order {number}");
            let authorizations: Vec<_> = order
                .authorizations
                .iter()
                .map(|(order, position)| authorization_id(*order, *position))
                .collect();
            assert_eq!(own.authorizations, authorizations);
            if let Some(certificate) = order.certificate {
                let issued = serial(number * 10 + u32::from(certificate));
                let found = wait(store.order_of_certificate(&issued)).unwrap();
                assert_eq!(found.unwrap().id, order_id(*number));
            }
        }
        for ((order, position), (state, _)) in &self.authorizations {
            let id = authorization_id(*order, *position);
            let own = wait(store.authorization(&id, at(9))).unwrap().unwrap();
            assert_eq!(own.state, *state);
        }
        let processing = self.orders.values().filter(|own| own.state == "processing");
        assert_eq!(
            wait(store.open_work()).unwrap().orders.len(),
            processing.count()
        );
        let status = store.status();
        assert_eq!(status.sequence, self.acts + 1, "and the account");
        assert_eq!(status.counts.orders, self.orders.len() as u64);
        let issued = self.orders.values().filter(|own| own.certificate.is_some());
        assert_eq!(status.counts.certificates, issued.count() as u64);
    }
}

/// Names what came of an act.
fn told<T>(answer: &Result<T, AcmeError>, done: impl Fn(&T) -> &'static str) -> &'static str {
    match answer {
        Ok(answer) => done(answer),
        Err(AcmeError::AlreadyReplaced { .. }) => "already replaced",
        Err(AcmeError::NoChallenge { .. }) => "no challenge",
        Err(AcmeError::NoAuthorization { .. }) => "no authorization",
        Err(AcmeError::NoOrder { .. }) => "no order",
        Err(AcmeError::AuthorizationNotPending { .. }) => "not pending",
        Err(AcmeError::OrderNotReady { .. }) => "not ready",
        Err(AcmeError::Refused(_)) => "refused",
        Err(other) => panic!("{other}"),
    }
}

/// Takes one step in the store; tells what came of it there and in the model.
fn take(
    store: &AcmeRecords,
    reference: &mut Reference,
    step: &Step,
) -> Option<(&'static str, &'static str)> {
    Some(match *step {
        Step::Create(number, again, replaces) => {
            let names = [name(100, 0), name(100, 1)];
            let new = NewOrder {
                reuse_valid_until: again.then(|| at(10)),
                replaces: replaces.map(|own| certificate_id(900 + u32::from(own))),
                ..new_order(number, &names, 0)
            };
            let answer = wait(store.create_order(new));
            let own = told(&answer, |outcome| match outcome {
                OrderOutcome::Created(order) => order.state.as_str(),
                OrderOutcome::Repeated(_) => "repeated",
            });
            (own, reference.create(number, again, replaces))
        }
        Step::Validate(order, position, result) => {
            let validation = match result {
                0 => Validation::Retrying { error: failure() },
                1 => Validation::Failed { error: failure() },
                _ => success(1),
            };
            let id = challenge(order, position);
            let answer = wait(store.record_validation(&id, validation, at(1)));
            let own = told(&answer, |_| "decided");
            (own, reference.validate(order, position, result))
        }
        Step::Deactivate(order, position) => {
            let id = authorization_id(order, position);
            let answer = wait(store.deactivate_authorization(&id, at(1)));
            let own = told(&answer, |_| "deactivated");
            (own, reference.deactivate((order, position)))
        }
        Step::Finalize(number, content) => {
            let answer = wait(store.begin_finalize(&order_id(number), finalization(content, 2)));
            let own = told(&answer, |outcome| match outcome {
                FinalizeOutcome::Begun(_) => "begun",
                FinalizeOutcome::Repeated(_) => "repeated",
            });
            (own, reference.finalize(number, content))
        }
        Step::Issue(number, own) => {
            let content = reference
                .orders
                .get(&number)
                .and_then(|order| order.content);
            let issued = certificate(number * 10 + u32::from(own), content.unwrap_or(0), 3);
            let answer = wait(store.record_certificate(&order_id(number), issued));
            (
                told(&answer, |_| "done"),
                reference.settle(number, Some(own)),
            )
        }
        Step::Reject(number) => {
            let answer = wait(store.reject_order(&order_id(number), failure(), at(3)));
            (told(&answer, |_| "done"), reference.settle(number, None))
        }
        Step::Reopen | Step::Rebuild => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_history_is_remembered(steps in prop::collection::vec(step(), 1..80)) {
        let directory = tempdir().unwrap();
        let mut reference = Reference::default();
        let mut store = open(directory.path());
        wait(with_account(&store));
        for step in &steps {
            if let Some((own, expected)) = take(&store, &mut reference, step) {
                prop_assert_eq!(own, expected, "{:?}", step);
                continue;
            }
            store.close();
            if matches!(step, Step::Rebuild) {
                let rebuilt = rebuild(&config(directory.path()), Retention::default()).unwrap();
                prop_assert_eq!(rebuilt.frames_replayed, reference.acts + 1);
            }
            store = open(directory.path());
        }
        reference.compare(&store);
        store.close();
        prop_assert_eq!(verify(directory.path()).unwrap().frames, reference.acts + 1);
    }
}
