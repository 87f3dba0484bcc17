//! Revoking, holding, releasing and taking over.

use RevocationReason as Reason;
use tempfile::tempdir;

use super::*;
use crate::certificates::{
    AbandonReason, CertificateFilter, CertificateState, CertificateStore, Cursor, IssuedFrom,
    RevocationRecord, RevocationStore, Revoked, StateFilter, rebuild,
};
use crate::error::Error;

/// Has a step taken and returns its record.
fn revoke(store: &Certificates, number: u32, reason: Reason) -> RevocationRecord {
    wait(store.revoke(revocation(number, reason))).unwrap()
}

/// Lists the serial numbers that a filter lets through.
fn listed(store: &Certificates, filter: &CertificateFilter, limit: usize) -> Vec<SerialNumber> {
    let mut found = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = wait(store.certificates(filter.clone(), cursor, limit)).unwrap();
        found.extend(page.records.into_iter().map(|record| record.intent.serial));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

/// Lists everything ever revoked, in batches.
fn all_revoked(store: &Certificates, issuer: &IssuerId, limit: usize) -> Vec<Revoked> {
    let mut found: Vec<Revoked> = Vec::new();
    loop {
        let after = found.last().map(|last| last.serial.clone());
        let batch = wait(store.revocations(issuer, after.as_ref(), limit)).unwrap();
        if batch.is_empty() {
            return found;
        }
        assert!(batch.len() <= limit);
        found.extend(batch);
    }
}

#[test]
fn a_revocation_is_told_with_its_certificate_and_outlives_a_restart_and_a_rebuild() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    issue(&store, 1);
    let record = revoke(&store, 1, Reason::KeyCompromise);
    let expected = Revoked {
        serial: serial(1),
        sequence: 3,
        reason: Reason::KeyCompromise,
        revoked_at: at(101),
        invalidity_date: Some(at(50)),
        not_after: Some(intent(1).not_after),
    };
    assert_eq!(record.current, expected);
    assert_eq!(record.issuer, issuer());
    assert_eq!(record.history.len(), 1);
    let step = &record.history[0];
    let asked = revocation(1, Reason::KeyCompromise);
    assert_eq!((step.sequence, step.reason), (3, asked.reason));
    assert_eq!(
        (&step.requester, &step.request_id),
        (&asked.requester, &asked.request_id)
    );
    assert_eq!(
        (step.revoked_at, step.recorded_at),
        (asked.revoked_at, asked.recorded_at)
    );
    let check = |store: &Certificates| {
        let found = wait(store.certificate(&serial(1))).unwrap().unwrap();
        assert!(found.is_revoked());
        assert_eq!(found.revocation.as_ref(), Some(&record));
        assert!(matches!(found.state, CertificateState::Issued { .. }));
        let own = wait(store.revocation(&issuer(), &serial(1))).unwrap();
        assert_eq!(own.as_ref(), Some(&record));
        assert_eq!(store.status().revoked, 1);
        assert_eq!(store.status().issued, 1);
    };
    check(&store);
    store.close();
    check(&open(directory.path()));
    rebuild(&config(directory.path())).unwrap();
    check(&open(directory.path()));
}

#[test]
fn revoking_again_is_refused_with_the_first_record() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    issue(&store, 1);
    let first = revoke(&store, 1, Reason::Superseded);
    for reason in [
        Reason::Superseded,
        Reason::KeyCompromise,
        Reason::CertificateHold,
    ] {
        match wait(store.revoke(revocation(1, reason))) {
            Err(Error::AlreadyRevoked { record }) => assert_eq!(*record, first),
            other => panic!("{other:?}"),
        }
    }
    let released = wait(store.revoke(revocation(1, Reason::RemoveFromCrl)));
    assert!(
        matches!(released, Err(Error::NotOnHold { .. })),
        "{released:?}"
    );
    let unknown = wait(store.revoke(revocation(2, Reason::Superseded)));
    assert!(
        matches!(unknown, Err(Error::UnknownSerial { .. })),
        "{unknown:?}"
    );
    assert_eq!(store.status().sequence, 3, "refusals leave nothing behind");
}

#[test]
fn a_hold_is_released_or_made_final_and_its_history_told() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    issue(&store, 1);
    let early = wait(store.revoke(revocation(1, Reason::RemoveFromCrl)));
    assert!(matches!(early, Err(Error::NotOnHold { .. })), "{early:?}");

    let held = revoke(&store, 1, Reason::CertificateHold);
    assert!(held.current.is_revoked());
    let again = wait(store.revoke(revocation(1, Reason::CertificateHold)));
    assert!(
        matches!(again, Err(Error::AlreadyRevoked { .. })),
        "{again:?}"
    );
    let released = revoke(&store, 1, Reason::RemoveFromCrl);
    assert!(!released.current.is_revoked());
    assert_eq!(released.current.revoked_at, at(108));
    assert_eq!(store.status().revoked, 0);
    let record = wait(store.certificate(&serial(1))).unwrap().unwrap();
    assert!(!record.is_revoked() && record.revocation.is_some());

    let hold_with_date = Revocation {
        invalidity_date: Some(at(7)),
        ..revocation(1, Reason::CertificateHold)
    };
    wait(store.revoke(hold_with_date)).unwrap();
    let last = revoke(&store, 1, Reason::Superseded);
    // X.509, 8.5.2.2: the date on which it was put on hold stays.
    assert_eq!(last.current.revoked_at, at(106));
    assert_eq!(last.current.invalidity_date, Some(at(7)));
    assert_eq!(last.current.sequence, 6);
    let reasons: Vec<_> = last.history.iter().map(|step| step.reason).collect();
    assert_eq!(
        reasons,
        [
            Reason::CertificateHold,
            Reason::RemoveFromCrl,
            Reason::CertificateHold,
            Reason::Superseded
        ]
    );
    assert_eq!(store.status().revoked, 1);
    store.close();
    rebuild(&config(directory.path())).unwrap();
    let store = open(directory.path());
    let found = wait(store.revocation(&issuer(), &serial(1))).unwrap();
    assert_eq!(found, Some(last));
    assert_eq!(store.status().revoked, 1);
}

#[test]
fn intents_are_revoked_whatever_comes_of_them() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        for number in 0..3 {
            store.record_intent(intent(number)).await.unwrap();
        }
        let why = AbandonReason::Unanswered;
        store.abandon_intent(&serial(1), why, at(1)).await.unwrap();
        for number in 0..3 {
            let asked = revocation(number, Reason::KeyCompromise);
            store.revoke(asked).await.unwrap();
        }
        // The signature came after all: the certificate is born revoked.
        store
            .record_issued(&serial(2), certificate(2), at(2))
            .await
            .unwrap();
    });
    for number in 0..3 {
        let record = wait(store.certificate(&serial(number))).unwrap().unwrap();
        assert!(record.is_revoked(), "{number}");
    }
    let revoked = CertificateFilter {
        state: Some(StateFilter::Revoked),
        ..Default::default()
    };
    assert_eq!(
        listed(&store, &revoked, 1),
        [serial(2), serial(1), serial(0)]
    );
    assert_eq!(store.status().revoked, 3);
}

#[test]
fn revoked_ones_are_listed_by_recording_and_by_expiry() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..40 {
        issue(&store, number);
    }
    // In another order than they were issued.
    for number in (0..40).rev().filter(|number| number % 3 == 0) {
        revoke(&store, number, Reason::Superseded);
    }
    for number in (0..40).filter(|number| number % 3 == 1) {
        revoke(&store, number, Reason::CertificateHold);
        revoke(&store, number, Reason::RemoveFromCrl);
    }
    let threes = |n: &u32| n.is_multiple_of(3);
    let expected: Vec<_> = (0..40).rev().filter(threes).map(serial).collect();
    let revoked = CertificateFilter {
        state: Some(StateFilter::Revoked),
        ..Default::default()
    };
    for limit in [1, 5, 100] {
        assert_eq!(listed(&store, &revoked, limit), expected);
        let soon = CertificateFilter {
            expires_before: Some(at(2_000_000)),
            ..revoked.clone()
        };
        assert_eq!(listed(&store, &soon, limit), expected);
    }
    let named = CertificateFilter {
        subject_contains: Some("host 3".to_owned()),
        ..revoked.clone()
    };
    let found = [39, 36, 33, 30, 3].map(serial);
    assert_eq!(listed(&store, &named, 2), found);
    let issued = CertificateFilter {
        state: Some(StateFilter::Issued),
        ..Default::default()
    };
    assert_eq!(
        listed(&store, &issued, 100).len(),
        40,
        "issued they stay, revoked or not"
    );
    let wrong_order: Cursor = "e1-1".parse().unwrap();
    let refused = wait(store.certificates(revoked, Some(wrong_order), 4));
    assert!(matches!(refused, Err(Error::BadCursor)), "{refused:?}");
}

#[test]
fn batches_tell_every_revocation_of_an_issuer_once() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..30 {
        issue(&store, number);
    }
    let other = Intent {
        issuer: IssuerId::new("issuing-2").unwrap(),
        ..intent(30)
    };
    wait(store.record_intent(other.clone())).unwrap();
    for number in 0..31 {
        revoke(&store, number, Reason::CertificateHold);
    }
    for number in (0..30).step_by(2) {
        revoke(&store, number, Reason::KeyCompromise);
    }
    revoke(&store, 1, Reason::RemoveFromCrl);
    for limit in [1, 7, 1000] {
        let found = all_revoked(&store, &issuer(), limit);
        let serials: Vec<_> = found.iter().map(|own| own.serial.clone()).collect();
        assert_eq!(serials, (0..30).map(serial).collect::<Vec<_>>());
        for (number, own) in (0..30).zip(&found) {
            let record = wait(store.revocation(&issuer(), &own.serial)).unwrap();
            assert_eq!(record.unwrap().current, *own);
            let expected = match number {
                1 => Reason::RemoveFromCrl,
                even if even % 2 == 0 => Reason::KeyCompromise,
                _ => Reason::CertificateHold,
            };
            assert_eq!(own.reason, expected);
        }
        let others = all_revoked(&store, &other.issuer, limit);
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].serial, serial(30));
    }
    let none = IssuerId::new("issuing-3").unwrap();
    assert!(all_revoked(&store, &none, 5).is_empty());
}

#[test]
fn batches_tell_every_unexpired_certificate_of_an_issuer_once() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..20 {
        let intent = Intent {
            // Some expire at the same time.
            not_after: at(1000 + i64::from(number / 4)),
            issuer: match number % 5 {
                0 => IssuerId::new("root").unwrap(),
                _ => issuer(),
            },
            ..intent(number)
        };
        wait(store.record_intent(intent)).unwrap();
        if number != 7 {
            wait(store.record_issued(&serial(number), certificate(number), at(1))).unwrap();
        }
    }
    for limit in [1, 3, 100] {
        let mut found = Vec::new();
        let mut from = IssuedFrom::expiring(at(1001));
        loop {
            let batch = wait(store.issued(&issuer(), from, limit)).unwrap();
            let Some(last) = batch.last() else { break };
            from = last.next();
            found.extend(batch);
        }
        let expected: Vec<_> = (4..20).filter(|n| n % 5 != 0 && *n != 7).collect();
        assert_eq!(found.len(), expected.len());
        for (number, own) in expected.into_iter().zip(found) {
            assert_eq!(own.serial, serial(number));
            assert_eq!(own.not_after, at(1000 + i64::from(number / 4)));
        }
    }
}

#[test]
fn what_is_taken_over_from_elsewhere_is_never_given_out() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let taken = wait(store.import_revocation(foreign(4, Reason::KeyCompromise))).unwrap();
    assert_eq!(taken.current.not_after, Some(at(5_000)));
    let unbounded = wait(store.import_revocation(foreign(5, Reason::CertificateHold))).unwrap();
    assert_eq!(unbounded.current.not_after, None);
    let again = wait(store.import_revocation(foreign(4, Reason::Superseded)));
    assert!(
        matches!(&again, Err(Error::AlreadyRevoked { record }) if **record == taken),
        "{again:?}"
    );
    let known_nowhere = wait(store.revoke(revocation(4, Reason::Superseded)));
    assert!(
        matches!(known_nowhere, Err(Error::UnknownSerial { .. })),
        "{known_nowhere:?}"
    );
    assert_eq!(wait(store.certificate(&serial(4))).unwrap(), None);
    let check = |store: &Certificates| {
        assert_eq!(store.status().revoked, 2);
        assert_eq!(all_revoked(store, &issuer(), 10).len(), 2);
        for number in [4, 5] {
            let refused = wait(store.record_intent(intent(number)));
            assert!(
                matches!(refused, Err(Error::SerialTaken { .. })),
                "{refused:?}"
            );
        }
    };
    check(&store);
    store.close();
    let store = open(directory.path());
    check(&store);
    // Under another issuer the number is another one.
    let other = Intent {
        issuer: IssuerId::new("issuing-2").unwrap(),
        ..intent(4)
    };
    wait(store.record_intent(other.clone())).unwrap();
    let pending = wait(store.certificate(&serial(4))).unwrap().unwrap();
    assert_eq!(pending.revocation, None);
    wait(store.import_revocation(foreign(5, Reason::RemoveFromCrl))).unwrap();
    assert_eq!(store.status().revoked, 1);
}

#[test]
fn what_the_journal_knows_is_taken_over_as_its_own() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    issue(&store, 4);
    let taken = wait(store.import_revocation(foreign(4, Reason::KeyCompromise))).unwrap();
    assert_eq!(taken.current.not_after, Some(intent(4).not_after));
    let record = wait(store.certificate(&serial(4))).unwrap().unwrap();
    assert_eq!(record.revocation, Some(taken));
    let revoked = CertificateFilter {
        state: Some(StateFilter::Revoked),
        ..Default::default()
    };
    assert_eq!(listed(&store, &revoked, 10), [serial(4)]);
    // The same number of another issuer is foreign all the same.
    let elsewhere = ForeignRevocation {
        issuer: IssuerId::new("issuing-2").unwrap(),
        ..foreign(4, Reason::Superseded)
    };
    wait(store.import_revocation(elsewhere)).unwrap();
    assert_eq!(store.status().revoked, 2);
}

#[test]
fn of_racing_revocations_one_is_recorded() {
    let directory = tempdir().unwrap();
    let store = std::sync::Arc::new(open(directory.path()));
    issue(&store, 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let store = std::sync::Arc::clone(&store);
                let request_id = RequestId::new(&format!("r{task}")).unwrap();
                let asked = Revocation {
                    request_id,
                    ..revocation(1, Reason::Superseded)
                };
                tokio::spawn(async move { store.revoke(asked).await })
            })
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                Ok(record) => done.push(record),
                Err(Error::AlreadyRevoked { record }) => refused.push(*record),
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(done.len(), 1);
    assert!(refused.iter().all(|record| *record == done[0]));
    assert_eq!(store.status().sequence, 3);
}
