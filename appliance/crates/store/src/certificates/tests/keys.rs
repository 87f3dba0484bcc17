//! Serial numbers by public key, and keys that are blocked.

use tempfile::tempdir;

use super::*;
use crate::certificates::{
    AbandonReason, CertificateStore, IntentOutcome, RevocationStore, rebuild,
};
use crate::error::Error;

/// Returns an intent over a key.
fn over(number: u32, key: u8) -> Intent {
    Intent {
        public_key_sha256: [key; 32],
        ..intent(number)
    }
}

/// Lists the serial numbers over a key, in batches.
fn serials_of(store: &Certificates, key: u8, limit: usize) -> Vec<SerialNumber> {
    let mut found: Vec<SerialNumber> = Vec::new();
    loop {
        let after = found.last().cloned();
        let batch = wait(store.serials_of_key(&[key; 32], after.as_ref(), limit)).unwrap();
        if batch.is_empty() {
            return found;
        }
        assert!(batch.len() <= limit);
        found.extend(batch);
    }
}

#[test]
fn serials_that_share_a_key_are_found_from_the_intent_on() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..12 {
        let key = if number % 2 == 0 { 0xff } else { 3 };
        wait(store.record_intent(over(number, key))).unwrap();
        match number % 3 {
            0 => {}
            1 => {
                let why = AbandonReason::Unanswered;
                wait(store.abandon_intent(&serial(number), why, at(1))).unwrap();
            }
            _ => wait(store.record_issued(&serial(number), certificate(number), at(1))).unwrap(),
        }
    }
    let check = |store: &Certificates| {
        for limit in [1, 4, 100] {
            let even: Vec<_> = (0..12).step_by(2).map(serial).collect();
            let odd: Vec<_> = (1..12).step_by(2).map(serial).collect();
            assert_eq!(serials_of(store, 0xff, limit), even);
            assert_eq!(serials_of(store, 3, limit), odd);
            assert!(serials_of(store, 4, limit).is_empty());
        }
    };
    check(&store);
    store.close();
    check(&open(directory.path()));
    rebuild(&config(directory.path())).unwrap();
    check(&open(directory.path()));
}

#[test]
fn a_blocked_key_is_never_certified_again() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let repeatable = Intent {
        idempotency: idempotency(1, 1),
        ..over(1, 7)
    };
    wait(store.record_intent(repeatable.clone())).unwrap();
    wait(store.record_issued(&serial(1), certificate(1), at(1))).unwrap();
    assert_eq!(wait(store.blocked_key(&[7; 32])).unwrap(), None);
    assert_eq!(wait(store.block_key(block(7))).unwrap(), block(7));
    let later = BlockedKey {
        recorded_at: at(999),
        ..block(7)
    };
    assert_eq!(
        wait(store.block_key(later)).unwrap(),
        block(7),
        "the first record stands"
    );
    let check = |store: &Certificates| {
        let refused = wait(store.record_intent(over(2, 7)));
        assert!(
            matches!(&refused, Err(Error::KeyBlocked { public_key_sha256 }) if *public_key_sha256 == [7; 32]),
            "{refused:?}"
        );
        assert_eq!(wait(store.blocked_key(&[7; 32])).unwrap(), Some(block(7)));
        assert_eq!(store.status().blocked_keys, 1);
    };
    check(&store);
    // What was answered before is answered again: it is signed already.
    let replayed = wait(store.record_intent(repeatable)).unwrap();
    assert!(matches!(replayed, IntentOutcome::Replayed(_)));
    wait(store.record_intent(over(3, 8))).unwrap();
    store.close();
    check(&open(directory.path()));
    rebuild(&config(directory.path())).unwrap();
    check(&open(directory.path()));
}

#[test]
fn blocked_keys_are_listed_in_order() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    for key in [200, 3, 255, 0, 77] {
        wait(store.block_key(block(key))).unwrap();
    }
    for limit in [1, 2, 10] {
        let mut found: Vec<BlockedKey> = Vec::new();
        loop {
            let after = found.last().map(|last| last.public_key_sha256);
            let batch = wait(store.blocked_keys(after.as_ref(), limit)).unwrap();
            if batch.is_empty() {
                break;
            }
            found.extend(batch);
        }
        assert_eq!(found, [0, 3, 77, 200, 255].map(block));
    }
}

#[test]
fn no_intent_slips_past_a_block_that_was_answered() {
    let directory = tempdir().unwrap();
    let store = std::sync::Arc::new(open(directory.path()));
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let store = std::sync::Arc::clone(&store);
                tokio::spawn(async move { store.record_intent(over(number, 7)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        store.block_key(block(7)).await.unwrap();
        let sharing = store.serials_of_key(&[7; 32], None, 1000).await.unwrap();
        let mut recorded = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(IntentOutcome::Recorded) => recorded += 1,
                Err(Error::KeyBlocked { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            sharing.len(),
            recorded,
            "listed after the block, none came since"
        );
        for serial in sharing {
            let step = Revocation {
                serial,
                ..revocation(0, RevocationReason::KeyCompromise)
            };
            store.revoke(step).await.unwrap();
        }
        assert_eq!(store.status().revoked, recorded as u64);
    });
}
