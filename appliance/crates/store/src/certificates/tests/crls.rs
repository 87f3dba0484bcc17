//! CRL numbers, which never go back.

use tempfile::tempdir;

use super::*;
use crate::certificates::{LastCrls, RevocationStore, rebuild};
use crate::error::Error;

/// Asserts that a CRL is refused for its number.
fn assert_used(store: &Certificates, crl: CrlRecord, last: u64) {
    let number = crl.number;
    match wait(store.record_crl(crl)) {
        Err(Error::CrlNumberUsed {
            number: own,
            last: found,
        }) => assert_eq!((own, found), (number, last)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_only_grow_over_restarts_and_rebuilds() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let last = |store: &Certificates| wait(store.last_crls(&issuer(), CrlScope::Whole)).unwrap();
    assert_eq!(last(&store), LastCrls::default());
    wait(store.record_crl(crl(10, None))).unwrap();
    assert_used(&store, crl(10, None), 10);
    assert_used(&store, crl(9, None), 10);
    wait(store.record_crl(crl(12, Some(10)))).unwrap();
    assert_used(&store, crl(11, None), 12);
    let expected = LastCrls {
        complete: Some(crl(10, None)),
        delta: Some(crl(12, Some(10))),
    };
    assert_eq!(last(&store), expected);
    assert_eq!(expected.number(), Some(12));
    store.close();
    let store = open(directory.path());
    assert_eq!(last(&store), expected);
    assert_used(&store, crl(12, Some(10)), 12);
    store.close();
    rebuild(&config(directory.path())).unwrap();
    let store = open(directory.path());
    assert_eq!(last(&store), expected);
    wait(store.record_crl(crl(13, None))).unwrap();
    assert_eq!(last(&store).complete, Some(crl(13, None)));
}

#[test]
fn complete_and_delta_of_one_moment_share_a_number() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(store.record_crl(crl(10, None))).unwrap();
    let later = CrlRecord {
        this_update: at(401),
        ..crl(10, Some(5))
    };
    assert_used(&store, later, 10);
    wait(store.record_crl(crl(10, Some(5)))).unwrap();
    assert_used(&store, crl(10, Some(5)), 10);
    assert_used(&store, crl(10, None), 10);
}

#[test]
fn every_scope_and_issuer_counts_for_itself() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let of = |issuer: &str, scope, number| CrlRecord {
        issuer: IssuerId::new(issuer).unwrap(),
        scope,
        ..crl(number, None)
    };
    let scopes = [
        CrlScope::Whole,
        CrlScope::Shard(0),
        CrlScope::Shard(1 << 20),
    ];
    for (number, issuer) in [(5, "a"), (4, "a-1"), (3, "b")] {
        for (more, scope) in (0..).zip(scopes) {
            let record = of(issuer, scope, number + more);
            wait(store.record_crl(record.clone())).unwrap();
            assert_used(&store, record.clone(), number + more);
            let last = wait(store.last_crls(&record.issuer, scope)).unwrap();
            assert_eq!(last.complete, Some(record));
            assert_eq!(last.delta, None);
        }
    }
}
