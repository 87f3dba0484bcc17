//! What callers are told about accounts and EAB keys.

use std::sync::Arc;

use ::model::acme::{AccountEvent, AccountState};
use tempfile::tempdir;

use super::*;
use crate::acme::record::{AccountUpdate, Binding, KeyChange};
use crate::acme::{AcmeError, rebuild};

#[test]
fn a_key_has_one_account() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        let again = NewAccount {
            id: account_id(2),
            ..new_account(1)
        };
        let again = store.create_account(again).await.unwrap();
        let AccountOutcome::Existing(account) = again else {
            panic!("made twice: {again:?}");
        };
        assert_eq!(account.id, account_id(1));
        assert_eq!(store.account(&account_id(2)).await.unwrap(), None);
    });
}

#[test]
fn racing_accounts_and_orders_are_made_once() {
    let directory = tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let made = runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|number| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let new = NewAccount {
                        id: account_id(number),
                        ..new_account(1)
                    };
                    store.create_account(new).await.unwrap()
                })
            })
            .collect();
        let mut made = 0;
        for task in tasks {
            made += u32::from(matches!(task.await.unwrap(), AccountOutcome::Created(_)));
        }
        made
    });
    assert_eq!(made, 1);
    assert_eq!(store.status().counts.accounts, 1);
}

#[test]
fn a_changed_key_finds_the_account_and_the_old_one_nothing() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        store.create_account(new_account(2)).await.unwrap();
        let [old, new, other] = [key(1), key(3), key(2)].map(|key| key.thumbprint);
        let id = account_id(1);
        let taken = store.change_account_key(&id, &old, key(2), at(1)).await;
        assert_eq!(taken.unwrap(), KeyChange::InUse(account_id(2)));
        for _ in 0..2 {
            let changed = store.change_account_key(&id, &old, key(3), at(1)).await;
            assert!(matches!(changed, Ok(KeyChange::Changed(_))), "{changed:?}");
        }
        let late = store.change_account_key(&id, &old, key(4), at(1)).await;
        assert!(
            matches!(late, Err(AcmeError::KeyChanged { .. })),
            "{late:?}"
        );
        assert_eq!(store.account_by_key(&old).await.unwrap(), None);
        let found = store.account_by_key(&new).await.unwrap().unwrap();
        assert_eq!(found.id, id);
        assert_eq!(
            store.account_by_key(&other).await.unwrap().unwrap().id,
            account_id(2)
        );
        // The old key is free for a new account.
        let free = NewAccount {
            id: account_id(5),
            ..new_account(1)
        };
        let made = store.create_account(free).await.unwrap();
        assert!(matches!(made, AccountOutcome::Created(_)), "{made:?}");
    });
    store.close();
    rebuild(&config(directory.path()), Retention::default()).unwrap();
    let store = open(directory.path());
    let found = |number| wait(store.account_by_key(&key(number).thumbprint)).unwrap();
    assert_eq!(found(1).unwrap().id, account_id(5));
    assert_eq!(found(3).unwrap().id, account_id(1));
}

#[test]
fn an_eab_key_binds_one_account() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let bound = |number, name: &str, second| NewAccount {
        binding: Some(Binding {
            key: EabKeyId::new(name).unwrap(),
            jws_json: "{}".into(),
        }),
        at: at(second),
        ..new_account(number)
    };
    wait(async {
        for name in ["one", "two", "late"] {
            store.create_eab_key(eab_key(name)).await.unwrap();
        }
        store.create_eab_key(eab_key("one")).await.unwrap();
        let taken = EabKey {
            secret: MacKey::new([8; 32]),
            ..eab_key("one")
        };
        let taken = store.create_eab_key(taken).await;
        assert!(
            matches!(taken, Err(AcmeError::EabKeyTaken { .. })),
            "{taken:?}"
        );

        store.create_account(bound(1, "one", 1)).await.unwrap();
        let again = store.create_account(bound(1, "one", 2)).await.unwrap();
        assert!(matches!(again, AccountOutcome::Existing(_)), "{again:?}");
        let second = store.create_account(bound(2, "one", 2)).await;
        assert!(
            matches!(second, Err(AcmeError::EabKeySpent { state: "bound", .. })),
            "{second:?}"
        );
        let revoked = EabKeyId::new("two").unwrap();
        store.revoke_eab_key(&revoked, at(2)).await.unwrap();
        store.revoke_eab_key(&revoked, at(3)).await.unwrap();
        let refused = store.create_account(bound(2, "two", 2)).await;
        assert!(
            matches!(
                refused,
                Err(AcmeError::EabKeySpent {
                    state: "revoked",
                    ..
                })
            ),
            "{refused:?}"
        );
        let late = store.create_account(bound(2, "late", 1000)).await;
        assert!(
            matches!(late, Err(AcmeError::EabKeyExpired { .. })),
            "{late:?}"
        );
        let none = store.create_account(bound(2, "none", 1)).await;
        assert!(matches!(none, Err(AcmeError::NoEabKey { .. })), "{none:?}");
        assert_eq!(store.account(&account_id(2)).await.unwrap(), None);

        let first = store.eab_keys(None, 2).await.unwrap();
        let names: Vec<_> = first.items.iter().map(|key| key.id.as_str()).collect();
        assert_eq!(names, ["late", "one"]);
        let rest = store.eab_keys(first.next, 2).await.unwrap();
        assert_eq!((rest.items.len(), rest.next), (1, None));
    });
    assert!(
        !format!("{:?}", eab_key("one")).contains('7'),
        "the secret is silent"
    );
}

#[test]
fn an_account_that_ended_does_nothing_more() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        with_account(&store).await;
        let update = AccountUpdate {
            contacts: Some(vec!["mailto:b@example.org".into()]),
            terms_agreed: None,
        };
        let id = account_id(1);
        let updated = store
            .update_account(&id, update.clone(), at(1))
            .await
            .unwrap();
        assert_eq!(updated.contacts, ["mailto:b@example.org".into()]);
        assert_eq!(updated.terms_agreed, new_account(1).terms_agreed);
        for _ in 0..2 {
            let ended = store
                .end_account(&id, AccountEvent::Deactivate, at(2))
                .await;
            assert_eq!(ended.unwrap().state, AccountState::Deactivated);
        }
        let other = store.end_account(&id, AccountEvent::Revoke, at(2)).await;
        assert!(matches!(other, Err(AcmeError::Refused(_))), "{other:?}");
        let late = store.update_account(&id, update, at(3)).await;
        assert!(
            matches!(late, Err(AcmeError::AccountNotValid { .. })),
            "{late:?}"
        );
        let order = store.create_order(new_order(1, &[name(1, 0)], 3)).await;
        assert!(
            matches!(order, Err(AcmeError::AccountNotValid { .. })),
            "{order:?}"
        );
        // Its key still finds it: RFC 8555, 7.3.6 answers `unauthorized`.
        let existing = store.create_account(new_account(1)).await.unwrap();
        assert!(
            matches!(existing, AccountOutcome::Existing(_)),
            "{existing:?}"
        );
    });
}
