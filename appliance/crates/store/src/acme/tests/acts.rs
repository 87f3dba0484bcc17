//! What callers are told about orders and authorizations.

use ::model::acme::{AuthorizationState, ChallengeState, OrderState};
use tempfile::tempdir;

use super::*;
use crate::acme::record::{FinalizeOutcome, OrderFilter, PreAuthorization};
use crate::acme::{AcmeError, rebuild};
use crate::journal::verify;

#[test]
fn an_order_goes_its_way_in_four_acts_and_outlives_a_restart() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        let order = create(&store, 1).await;
        assert_eq!(order.state, OrderState::Pending);
        let validated = store
            .record_validation(&challenge(1, 0), success(1), at(1))
            .await
            .unwrap();
        assert_eq!(validated.authorization.state, AuthorizationState::Valid);
        assert_eq!(validated.order.unwrap().state, OrderState::Ready);
        let begun = store
            .begin_finalize(&order_id(1), finalization(1, 2))
            .await
            .unwrap();
        assert!(matches!(begun, FinalizeOutcome::Begun(_)), "{begun:?}");
        assert_eq!(store.open_work().await.unwrap().orders, [order_id(1)]);
        store
            .record_certificate(&order_id(1), certificate(1, 1, 3))
            .await
            .unwrap();
        assert_eq!(store.status().sequence, 5, "with the account");
    });
    let before = wait(store.order(&order_id(1), at(4))).unwrap().unwrap();
    assert_eq!(before.state, OrderState::Valid(certificate(1, 1, 3)));
    store.close();

    for round in 0..2 {
        let store = open(directory.path());
        let after = wait(store.order(&order_id(1), at(9_000_000))).unwrap();
        assert_eq!(after.as_deref(), Some(&*before), "round {round}");
        let found = wait(store.order_of_certificate(&serial(1))).unwrap();
        assert_eq!(found.unwrap().id, order_id(1));
        let status = store.status();
        assert_eq!((status.counts.orders, status.counts.certificates), (1, 1));
        assert_eq!(
            (status.processing, status.recovered.frames_replayed),
            (0, 0)
        );
        assert!(wait(store.open_work()).unwrap().orders.is_empty());
        store.close();
        rebuild(&config(directory.path()), Retention::default()).unwrap();
    }
}

#[test]
fn an_order_is_ready_when_its_last_authorization_is_valid() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        let wildcard = Identifier::dns("*.order-1.example").unwrap();
        let address = Identifier::Ip([192, 0, 2, 7].into());
        let identifiers = [name(1, 0), wildcard.clone(), address];
        store
            .create_order(new_order(1, &identifiers, 0))
            .await
            .unwrap();
        for (position, state) in [(0, "pending"), (2, "pending"), (1, "ready")] {
            let id = challenge(1, position);
            let begun = store.begin_challenge(&id, at(1)).await.unwrap();
            assert_eq!(begun.state, AuthorizationState::Pending);
            assert_eq!(store.open_work().await.unwrap().challenges, [id]);
            let validated = store
                .record_validation(&id, success(2), at(2))
                .await
                .unwrap();
            assert_eq!(validated.order.unwrap().state.as_str(), state);
            assert_eq!(store.open_work().await.unwrap().challenges, []);
        }
        let own = store
            .authorization(&authorization_id(1, 1), at(3))
            .await
            .unwrap()
            .unwrap();
        assert!(own.wildcard);
        assert_eq!(
            (own.ordered(), own.identifier.clone()),
            (wildcard.clone(), wildcard.base())
        );
        assert_eq!(own.expires_at, at(2 + AUTHORIZATION_LIFE));
        let found = |identifier: Identifier| {
            let store = &store;
            async move {
                let found = store
                    .valid_authorization(&account_id(1), &identifier, at(3))
                    .await;
                found.unwrap().map(|own| own.id)
            }
        };
        assert_eq!(found(wildcard.clone()).await, Some(authorization_id(1, 1)));
        assert_eq!(
            found(wildcard.base()).await,
            None,
            "a wildcard says nothing of its base"
        );
    });
}

#[test]
fn a_failed_challenge_fails_authorization_and_order() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        create(&store, 1).await;
        let id = challenge(1, 0);
        let error = failure();
        for attempts in 1..3 {
            let validation = Validation::Retrying {
                error: error.clone(),
            };
            let retrying = store
                .record_validation(&id, validation, at(1))
                .await
                .unwrap();
            let state = &retrying.authorization.challenge(id.kind).unwrap().state;
            let expected = ChallengeState::Processing {
                since: at(1),
                attempts,
                error: Some(error.clone()),
            };
            assert_eq!(*state, expected);
            assert_eq!(retrying.order.unwrap().state, OrderState::Pending);
        }
        let validation = Validation::Failed {
            error: error.clone(),
        };
        let failed = store
            .record_validation(&id, validation, at(2))
            .await
            .unwrap();
        assert_eq!(failed.authorization.state, AuthorizationState::Invalid);
        let error = error.about(name(1, 0));
        assert_eq!(failed.order.unwrap().state, OrderState::Invalid { error });

        // What comes later changes nothing.
        let acts = store.status().sequence;
        let late = store
            .record_validation(&id, success(3), at(3))
            .await
            .unwrap();
        assert_eq!(late.authorization.state, AuthorizationState::Invalid);
        store.begin_challenge(&id, at(3)).await.unwrap();
        let other = ChallengeId {
            kind: ChallengeKind::Dns01,
            ..id
        };
        let refused = store.record_validation(&other, success(3), at(3)).await;
        assert!(
            matches!(
                refused,
                Err(AcmeError::AuthorizationNotPending {
                    state: "invalid",
                    ..
                })
            ),
            "{refused:?}"
        );
        let finalized = store.begin_finalize(&order_id(1), finalization(1, 3)).await;
        assert!(
            matches!(
                finalized,
                Err(AcmeError::OrderNotReady {
                    state: "invalid",
                    ..
                })
            ),
            "{finalized:?}"
        );
        assert_eq!(store.status().sequence, acts);
    });
}

#[test]
fn time_ends_what_is_not_finalized() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        create(&store, 1).await;
        let end = at(ORDER_LIFE);
        let order = store.order(&order_id(1), end).await.unwrap().unwrap();
        assert_eq!(order.state.as_str(), "invalid");
        let own = store
            .authorization(&authorization_id(1, 0), end)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(own.state, AuthorizationState::Expired);
        let late = store
            .record_validation(&challenge(1, 0), success(0), end)
            .await;
        assert!(
            matches!(
                late,
                Err(AcmeError::AuthorizationNotPending {
                    state: "expired",
                    ..
                })
            ),
            "{late:?}"
        );
        // An authorization that ended takes a ready order with it.
        create(&store, 2).await;
        let short = Validation::Succeeded {
            valid_until: at(100),
            attested_key: None,
        };
        store
            .record_validation(&challenge(2, 0), short, at(1))
            .await
            .unwrap();
        let late = store
            .begin_finalize(&order_id(2), finalization(1, 100))
            .await;
        assert!(
            matches!(late, Err(AcmeError::OrderNotReady { .. })),
            "{late:?}"
        );
        let order = store.order(&order_id(2), at(101)).await.unwrap().unwrap();
        assert_eq!(order.state.error().unwrap().identifier, Some(name(2, 0)));
        // What is processing does not expire.
        create(&store, 3).await;
        store
            .record_validation(&challenge(3, 0), success(1), at(1))
            .await
            .unwrap();
        store
            .begin_finalize(&order_id(3), finalization(1, 2))
            .await
            .unwrap();
        let order = store
            .order(&order_id(3), at(10 * ORDER_LIFE))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(order.state.as_str(), "processing");
    });
}

#[test]
fn valid_authorizations_are_used_again_where_asked() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        create(&store, 1).await;
        store
            .record_validation(&challenge(1, 0), success(1), at(1))
            .await
            .unwrap();
        let again = |number, until| NewOrder {
            reuse_valid_until: Some(at(until)),
            ..new_order(number, &[name(1, 0)], 10)
        };
        let made = store.create_order(again(2, ORDER_LIFE)).await.unwrap();
        let OrderOutcome::Created(order) = made else {
            panic!("repeated: {made:?}");
        };
        assert_eq!(order.state, OrderState::Ready);
        assert_eq!(order.authorizations, [authorization_id(1, 0)]);
        let made = store
            .create_order(again(3, 10 * AUTHORIZATION_LIFE))
            .await
            .unwrap();
        let OrderOutcome::Created(order) = made else {
            panic!("repeated: {made:?}");
        };
        assert_eq!(order.authorizations, [authorization_id(3, 0)]);

        // Deactivated, it takes every order that is not finalized with it.
        for _ in 0..2 {
            let own = store
                .deactivate_authorization(&authorization_id(1, 0), at(11))
                .await;
            assert_eq!(own.unwrap().state, AuthorizationState::Deactivated);
        }
        for number in [1, 2] {
            let order = store
                .order(&order_id(number), at(12))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(order.state.as_str(), "invalid", "order {number}");
        }
        let order = store.order(&order_id(3), at(12)).await.unwrap().unwrap();
        assert_eq!(order.state, OrderState::Pending);
        let made = store.create_order(again(4, ORDER_LIFE)).await.unwrap();
        assert!(matches!(made, OrderOutcome::Created(order) if order.state == OrderState::Pending));
    });
}

#[test]
fn a_pre_authorization_serves_a_later_order() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        let new = PreAuthorization {
            account: account_id(1),
            identifier: name(1, 0),
            new: new_authorization(1, 0, 0),
            at: at(0),
            reuse_valid_until: Some(at(10)),
        };
        let made = store.create_authorization(new.clone()).await.unwrap();
        assert_eq!(
            (made.state, made.order),
            (AuthorizationState::Pending, None)
        );
        let validated = store
            .record_validation(&challenge(1, 0), success(1), at(1))
            .await;
        assert_eq!(validated.unwrap().order, None);
        let again = PreAuthorization {
            new: new_authorization(9, 0, 0),
            at: at(2),
            ..new
        };
        let again = store.create_authorization(again).await.unwrap();
        assert_eq!(again.id, authorization_id(1, 0));
        let order = NewOrder {
            reuse_valid_until: Some(at(10)),
            ..new_order(2, &[name(1, 0)], 3)
        };
        let made = store.create_order(order).await.unwrap();
        assert!(matches!(made, OrderOutcome::Created(order) if order.state == OrderState::Ready));
    });
}

#[test]
fn the_same_request_is_the_same_order_where_asked() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let request = |number, names: &[Identifier], second, since| NewOrder {
        repeat_since: Some(at(since)),
        ..new_order(number, names, second)
    };
    let (one, two) = (name(1, 0), name(1, 1));
    let outcome = |new: NewOrder| match wait(store.create_order(new)).unwrap() {
        OrderOutcome::Created(order) => (true, order.id),
        OrderOutcome::Repeated(order) => (false, order.id),
    };
    wait(with_account(&store));
    let valid = |number: u32, second| {
        let mut new = request(number, &[one.clone(), two.clone()], second, 0);
        new.not_after = Some(at(5_000_000));
        new
    };
    assert_eq!(outcome(valid(1, 0)), (true, order_id(1)));
    let mut turned = valid(2, 5);
    turned.identifiers.reverse();
    assert_eq!(outcome(turned), (false, order_id(1)), "in any order");
    let never = NewOrder {
        repeat_since: None,
        ..valid(3, 5)
    };
    assert_eq!(outcome(never), (true, order_id(3)));
    assert_eq!(
        outcome(valid(3, 5)),
        (false, order_id(3)),
        "the same name again"
    );
    let other = NewOrder {
        profile: None,
        ..valid(4, 5)
    };
    assert_eq!(outcome(other), (true, order_id(4)), "another profile");
    let late = NewOrder {
        repeat_since: Some(at(6)),
        ..valid(5, 7)
    };
    assert_eq!(outcome(late), (true, order_id(5)), "too long ago");
    let expired = valid(6, 7 + ORDER_LIFE);
    assert_eq!(outcome(expired), (true, order_id(6)), "expired");
}

#[test]
fn a_certificate_is_replaced_once() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let replacing = |number, second| NewOrder {
        replaces: Some(certificate_id(77)),
        ..new_order(number, &[name(number, 0)], second)
    };
    wait(async {
        with_account(&store).await;
        store.create_order(replacing(1, 0)).await.unwrap();
        let again = store.create_order(replacing(2, 1)).await;
        assert!(
            matches!(again, Err(AcmeError::AlreadyReplaced { order }) if order == order_id(1)),
            "{again:?}"
        );
        let found = store.order_that_replaces(&serial(77), at(1)).await.unwrap();
        assert_eq!(found.unwrap().id, order_id(1));
        // RFC 9773, 5: an invalid order does not count.
        let error = failure();
        let validation = Validation::Failed { error };
        store
            .record_validation(&challenge(1, 0), validation, at(2))
            .await
            .unwrap();
        assert_eq!(
            store.order_that_replaces(&serial(77), at(2)).await.unwrap(),
            None
        );
        store.create_order(replacing(2, 3)).await.unwrap();
        let expired = 3 + ORDER_LIFE;
        store.create_order(replacing(3, expired)).await.unwrap();
        let found = store
            .order_that_replaces(&serial(77), at(expired))
            .await
            .unwrap();
        assert_eq!(found.unwrap().id, order_id(3));
    });
}

#[test]
fn an_order_is_finalized_once_and_answers_every_repeat() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        create(&store, 1).await;
        let early = store.begin_finalize(&order_id(1), finalization(1, 1)).await;
        assert!(
            matches!(
                early,
                Err(AcmeError::OrderNotReady {
                    state: "pending",
                    ..
                })
            ),
            "{early:?}"
        );
        store
            .record_validation(&challenge(1, 0), success(1), at(1))
            .await
            .unwrap();
        store
            .begin_finalize(&order_id(1), finalization(1, 2))
            .await
            .unwrap();
        for state in ["processing", "valid"] {
            let same = store
                .begin_finalize(&order_id(1), finalization(1, 3))
                .await
                .unwrap();
            let FinalizeOutcome::Repeated(order) = same else {
                panic!("begun twice: {same:?}");
            };
            assert_eq!(order.state.as_str(), state);
            let other = store.begin_finalize(&order_id(1), finalization(2, 3)).await;
            assert!(
                matches!(other, Err(AcmeError::OrderNotReady { .. })),
                "{other:?}"
            );
            for _ in 0..2 {
                store
                    .record_certificate(&order_id(1), certificate(1, 1, 4))
                    .await
                    .unwrap();
            }
        }
        let second = store
            .record_certificate(&order_id(1), certificate(2, 1, 4))
            .await;
        assert!(matches!(second, Err(AcmeError::Refused(_))), "{second:?}");
        let rejected = store.reject_order(&order_id(1), failure(), at(5)).await;
        assert!(
            matches!(rejected, Err(AcmeError::Refused(_))),
            "{rejected:?}"
        );
        assert_eq!(store.order_of_certificate(&serial(2)).await.unwrap(), None);
    });
    assert_eq!(
        verify(directory.path()).unwrap().frames,
        store.status().sequence
    );
}

#[test]
fn a_refusal_by_the_ca_is_kept() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        create(&store, 1).await;
        store
            .record_validation(&challenge(1, 0), success(1), at(1))
            .await
            .unwrap();
        store
            .begin_finalize(&order_id(1), finalization(1, 2))
            .await
            .unwrap();
        let error = Failure::new("badCSR", "the key is weak");
        for _ in 0..2 {
            let rejected = store
                .reject_order(&order_id(1), error.clone(), at(3))
                .await
                .unwrap();
            assert_eq!(
                rejected.state,
                OrderState::Invalid {
                    error: error.clone()
                }
            );
        }
        let late = store
            .record_certificate(&order_id(1), certificate(1, 1, 4))
            .await;
        assert!(matches!(late, Err(AcmeError::Refused(_))), "{late:?}");
        assert!(store.open_work().await.unwrap().orders.is_empty());
    });
    assert_eq!(store.status().counts.rejected, 1);
}

#[test]
fn listings_page_and_counts_count_a_window() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        for number in 0..25_u32 {
            let second = i64::from(number) * 10;
            let new = NewOrder {
                id: OrderId::new(at(second), octets(number)),
                ..new_order(number, &[name(7, 0)], second)
            };
            let id = new.id;
            store.create_order(new).await.unwrap();
            let validation = match number % 5 {
                0 => Validation::Failed { error: failure() },
                _ => success(second),
            };
            store
                .record_validation(&challenge(number, 0), validation, at(second))
                .await
                .unwrap();
            if number % 5 == 4 {
                store
                    .begin_finalize(&id, finalization(1, second))
                    .await
                    .unwrap();
                let issued = certificate(number, 1, second);
                store.record_certificate(&id, issued).await.unwrap();
            }
        }
        let mut filter = OrderFilter {
            account: Some(account_id(1)),
            without_invalid: false,
        };
        for (without_invalid, expected) in [(false, 25), (true, 20)] {
            filter.without_invalid = without_invalid;
            for account in [filter.account, None] {
                let filter = OrderFilter { account, ..filter };
                let (mut after, mut found) = (None, Vec::new());
                loop {
                    let page = store.orders(filter, after, 7, at(250)).await.unwrap();
                    assert!(page.items.len() <= 7);
                    found.extend(page.items.iter().map(|order| order.id));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(found.len(), expected);
                assert!(found.is_sorted_by(|one, next| one > next), "newest first");
            }
        }
        let nobody = OrderFilter {
            account: Some(account_id(2)),
            without_invalid: false,
        };
        assert!(
            store
                .orders(nobody, None, 7, at(0))
                .await
                .unwrap()
                .items
                .is_empty()
        );

        let count = store
            .count_orders(&account_id(1), at(200), 100)
            .await
            .unwrap();
        assert_eq!((count.number, count.oldest), (5, Some(at(200))));
        let count = store.count_orders(&account_id(1), at(0), 3).await.unwrap();
        assert_eq!((count.number, count.oldest), (3, Some(at(220))));
        let count = store
            .count_certificates(&name(7, 0), at(100), 100)
            .await
            .unwrap();
        assert_eq!((count.number, count.oldest), (3, Some(at(140))));
        let count = store
            .count_certificates(&name(8, 0), at(0), 100)
            .await
            .unwrap();
        assert_eq!((count.number, count.oldest), (0, None));
        let accounts = store.accounts(None, 10).await.unwrap();
        assert_eq!((accounts.items.len(), accounts.next), (1, None));
    });
}

#[test]
fn what_is_not_there_is_named() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        let order = store.begin_finalize(&order_id(1), finalization(1, 1)).await;
        assert!(matches!(order, Err(AcmeError::NoOrder { .. })), "{order:?}");
        let order = store.reject_order(&order_id(1), failure(), at(1)).await;
        assert!(matches!(order, Err(AcmeError::NoOrder { .. })), "{order:?}");
        let own = store
            .deactivate_authorization(&authorization_id(1, 0), at(1))
            .await;
        assert!(
            matches!(own, Err(AcmeError::NoAuthorization { .. })),
            "{own:?}"
        );
        let own = store.begin_challenge(&challenge(1, 0), at(1)).await;
        assert!(matches!(own, Err(AcmeError::NoChallenge { .. })), "{own:?}");
        let account = store.create_order(new_order(1, &[name(1, 0)], 0)).await;
        assert!(
            matches!(account, Err(AcmeError::NoAccount { .. })),
            "{account:?}"
        );
        let revoked = store
            .revoke_eab_key(&EabKeyId::new("x").unwrap(), at(1))
            .await;
        assert!(
            matches!(revoked, Err(AcmeError::NoEabKey { .. })),
            "{revoked:?}"
        );
        assert_eq!(store.status().sequence, 0);
    });
}

#[test]
fn an_order_of_a_hundred_names_is_one_act() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        let names: Vec<_> = (0..100).map(|position| name(1, position)).collect();
        store.create_order(new_order(1, &names, 0)).await.unwrap();
        assert_eq!(store.status().sequence, 2);
    });
    store.close();
    // From the journal, not from memory.
    let store = open(directory.path());
    for position in [0, 57, 99] {
        let own = wait(store.authorization(&authorization_id(1, position), at(1))).unwrap();
        assert_eq!(own.unwrap().identifier, name(1, position));
    }
}
