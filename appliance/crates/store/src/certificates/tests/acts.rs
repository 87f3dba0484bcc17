//! What callers are told.

use tempfile::tempdir;

use super::*;
use crate::certificates::TimestampRecord;
use crate::certificates::{
    AbandonReason, CertificateFilter, CertificateState, CertificateStore, Cursor, IntentOutcome,
    StateFilter, rebuild,
};
use crate::error::{Error, Health};
use crate::journal::verify;

#[test]
fn an_intent_becomes_a_certificate_and_outlives_a_restart() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        assert_eq!(
            store.record_intent(intent(1)).await.unwrap(),
            IntentOutcome::Recorded
        );
        let pending = store.certificate(&serial(1)).await.unwrap().unwrap();
        assert_eq!(pending.state, CertificateState::Pending);
        assert_eq!(pending.intent, intent(1));
        store
            .record_issued(&serial(1), certificate(1), at(5))
            .await
            .unwrap();
    });
    let before = wait(store.certificate(&serial(1))).unwrap().unwrap();
    assert_eq!(before.certificate_der(), Some(&certificate(1)[..]));
    store.close();

    let store = open(directory.path());
    assert_eq!(store.recovered().frames_replayed, 0);
    assert_eq!(wait(store.certificate(&serial(1))).unwrap(), Some(before));
    let status = store.status();
    assert_eq!((status.pending, status.issued, status.abandoned), (0, 1, 0));
    assert_eq!(status.sequence, 2);
    assert!(matches!(status.health, Health::Healthy));
}

#[test]
fn a_serial_number_is_never_used_twice() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        store.record_intent(intent(1)).await.unwrap();
        let again = store.record_intent(intent(1)).await;
        assert!(matches!(again, Err(Error::SerialTaken { .. })), "{again:?}");
        store
            .abandon_intent(&serial(1), AbandonReason::NotSigned, at(1))
            .await
            .unwrap();
        let again = store.record_intent(intent(1)).await;
        assert!(matches!(again, Err(Error::SerialTaken { .. })), "{again:?}");
    });
}

#[test]
fn nothing_is_issued_without_an_intent_or_twice() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        let early = store.record_issued(&serial(1), certificate(1), at(1)).await;
        assert!(matches!(early, Err(Error::NoIntent { .. })), "{early:?}");
        store.record_intent(intent(1)).await.unwrap();
        store
            .record_issued(&serial(1), certificate(1), at(1))
            .await
            .unwrap();
        store
            .record_issued(&serial(1), certificate(1), at(2))
            .await
            .unwrap();
        let other = store.record_issued(&serial(1), certificate(2), at(3)).await;
        assert!(
            matches!(other, Err(Error::AlreadySettled { .. })),
            "{other:?}"
        );
        let late = store
            .abandon_intent(&serial(1), AbandonReason::Unanswered, at(4))
            .await;
        assert!(
            matches!(late, Err(Error::AlreadySettled { .. })),
            "{late:?}"
        );
        assert_eq!(
            store.status().sequence,
            2,
            "refusals and repeats leave nothing behind"
        );
    });
}

#[test]
fn an_abandoned_intent_is_never_issued() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        store.record_intent(intent(1)).await.unwrap();
        store
            .abandon_intent(&serial(1), AbandonReason::Unanswered, at(1))
            .await
            .unwrap();
        store
            .abandon_intent(&serial(1), AbandonReason::Interrupted, at(2))
            .await
            .unwrap();
        let late = store.record_issued(&serial(1), certificate(1), at(3)).await;
        assert!(
            matches!(late, Err(Error::AlreadySettled { .. })),
            "{late:?}"
        );
        let state = store.certificate(&serial(1)).await.unwrap().unwrap().state;
        let first = CertificateState::Abandoned {
            why: AbandonReason::Unanswered,
            at: at(1),
        };
        assert_eq!(state, first);
    });
}

#[test]
fn a_repeated_request_gets_its_certificate_whatever_happened_between() {
    let directory = tempdir().unwrap();
    let attempt = |number, key, content| Intent {
        idempotency: idempotency(key, content),
        ..intent(number)
    };
    let store = open(directory.path());
    wait(async {
        store.record_intent(attempt(1, 1, 7)).await.unwrap();
        let open = store.record_intent(attempt(2, 1, 7)).await.unwrap();
        assert_eq!(open, IntentOutcome::InProgress { serial: serial(1) });
        let conflict = store.record_intent(attempt(2, 1, 8)).await;
        assert!(
            matches!(conflict, Err(Error::IdempotencyConflict { .. })),
            "{conflict:?}"
        );
        store
            .abandon_intent(&serial(1), AbandonReason::NotSigned, at(1))
            .await
            .unwrap();
        let conflict = store.record_intent(attempt(2, 1, 8)).await;
        assert!(
            matches!(conflict, Err(Error::IdempotencyConflict { .. })),
            "{conflict:?}"
        );
        let anew = store.record_intent(attempt(3, 1, 7)).await.unwrap();
        assert_eq!(anew, IntentOutcome::Recorded);
    });
    drop(store);
    let store = open(directory.path());
    wait(async {
        let open = store.record_intent(attempt(4, 1, 7)).await.unwrap();
        assert_eq!(open, IntentOutcome::InProgress { serial: serial(3) });
        store
            .record_issued(&serial(3), certificate(3), at(1))
            .await
            .unwrap();
    });
    drop(store);
    rebuild(&config(directory.path())).unwrap();
    let store = open(directory.path());
    let replayed = wait(store.record_intent(attempt(5, 1, 7))).unwrap();
    let IntentOutcome::Replayed(record) = replayed else {
        panic!("not replayed: {replayed:?}");
    };
    assert_eq!(record.intent, attempt(3, 1, 7));
    assert_eq!(record.certificate_der(), Some(&certificate(3)[..]));
}

#[test]
fn racing_repeats_of_one_request_are_recorded_once() {
    let directory = tempdir().unwrap();
    let store = std::sync::Arc::new(open(directory.path()));
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let outcomes = runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|number| {
                let store = std::sync::Arc::clone(&store);
                let intent = Intent {
                    idempotency: idempotency(1, 1),
                    ..intent(number)
                };
                tokio::spawn(async move { store.record_intent(intent).await.unwrap() })
            })
            .collect();
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        outcomes
    });
    let recorded = outcomes
        .iter()
        .filter(|outcome| **outcome == IntentOutcome::Recorded);
    assert_eq!(recorded.count(), 1);
    assert_eq!(store.status().pending, 1);
}

#[test]
fn a_record_too_large_is_refused_and_leaves_nothing() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let huge = Intent {
        tbs_der: vec![1; 600 << 10],
        ..intent(1)
    };
    let refused = wait(store.record_intent(huge));
    assert!(
        matches!(refused, Err(Error::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(store.status().sequence, 0);
    wait(store.record_intent(intent(1))).unwrap();
}

#[test]
fn listings_page_by_recording_and_by_expiry() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(async {
        for number in 0..30 {
            store.record_intent(intent(number)).await.unwrap();
            match number % 5 {
                0 => {}
                1 => {
                    let why = AbandonReason::BadSignature;
                    store
                        .abandon_intent(&serial(number), why, at(9))
                        .await
                        .unwrap();
                }
                _ => store
                    .record_issued(&serial(number), certificate(number), at(9))
                    .await
                    .unwrap(),
            }
        }
    });
    let all = |filter: CertificateFilter, limit| {
        let mut found = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let page = wait(store.certificates(filter.clone(), cursor, limit)).unwrap();
            assert!(page.records.len() <= limit);
            found.extend(page.records.into_iter().map(|record| record.intent.serial));
            match page.next {
                Some(next) => cursor = Some(next.to_string().parse().unwrap()),
                None => return found,
            }
        }
    };
    let serials = |numbers: &mut dyn Iterator<Item = u32>| numbers.map(serial).collect::<Vec<_>>();

    let everything = CertificateFilter::default();
    assert_eq!(all(everything.clone(), 7), serials(&mut (0..30).rev()));
    assert_eq!(all(everything, 1), serials(&mut (0..30).rev()));
    let pending = CertificateFilter {
        state: Some(StateFilter::Pending),
        ..Default::default()
    };
    assert_eq!(
        all(pending, 4),
        serials(&mut (0..30).rev().filter(|n| n % 5 == 0))
    );
    let abandoned = CertificateFilter {
        state: Some(StateFilter::Abandoned),
        ..Default::default()
    };
    assert_eq!(
        all(abandoned, 4),
        serials(&mut (0..30).rev().filter(|n| n % 5 == 1))
    );
    let service = CertificateFilter {
        profile: Some(ProfileName::new("service").unwrap()),
        ..Default::default()
    };
    assert_eq!(
        all(service, 4),
        serials(&mut (0..30).rev().filter(|n| n % 3 == 0))
    );
    let named = CertificateFilter {
        subject_contains: Some("HOST-2".to_owned()),
        ..Default::default()
    };
    let twos = |n: &u32| *n == 2 || (20..30).contains(n);
    assert_eq!(all(named, 4), serials(&mut (0..30).rev().filter(twos)));
    let soon = CertificateFilter {
        expires_before: Some(at(1_000_000 - 7 * 9)),
        ..Default::default()
    };
    let issued_late = |n: &u32| *n > 9 && n % 5 > 1;
    assert_eq!(
        all(soon.clone(), 4),
        serials(&mut (0..30).rev().filter(issued_late))
    );

    let wrong_order: Cursor = "r5".parse().unwrap();
    let refused = wait(store.certificates(soon, Some(wrong_order), 4));
    assert!(matches!(refused, Err(Error::BadCursor)), "{refused:?}");
    for text in ["", "r", "e1", "x1", "r+1", "e1-", "r11111111111111111"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}

#[test]
fn open_intents_survive_checkpoints_and_are_told_in_order() {
    let directory = tempdir().unwrap();
    let mut sequences = Vec::new();
    for round in 0..3 {
        let store = open(directory.path());
        assert_eq!(store.recovered().open_intents, u64::from(round));
        wait(store.record_intent(intent(round))).unwrap();
        let open = wait(store.open_intents()).unwrap();
        sequences = open.iter().map(|open| open.sequence).collect();
        assert_eq!(open[0].intent, intent(0));
    }
    assert_eq!(sequences, [1, 2, 3]);
    let store = open(directory.path());
    assert_eq!(store.recovered().frames_replayed, 0);
    wait(store.record_issued(&serial(0), certificate(0), at(1))).unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!(wait(store.open_intents()).unwrap().len(), 2);
    assert_eq!(verify(directory.path()).unwrap().frames, 4);
}

#[test]
fn a_second_opening_is_refused_until_the_first_ends() {
    let directory = tempdir().unwrap();
    let first = open(directory.path());
    let second = Certificates::open(&config(directory.path()), StoreMetrics::default());
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
    assert!(matches!(
        rebuild(&config(directory.path())),
        Err(Error::Locked { .. })
    ));
    first.close();
    open(directory.path());
}

#[test]
fn directories_and_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempdir().unwrap();
    let root = parent.path().join("ca");
    let store = open(&root);
    wait(store.record_intent(intent(1))).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for directory in [root.clone(), root.join("journal"), root.join("index")] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    for file in ["lock", "journal/00000001.segment", "index/db", "index/conf"] {
        assert_eq!(mode(&root.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_full_queue_answers_busy_and_a_closing_store_finishes_it() {
    let directory = tempdir().unwrap();
    let config = StoreConfig {
        queue: 2,
        ..config(directory.path())
    };
    let store = Certificates::open(&config, StoreMetrics::default()).unwrap();
    // Queue more at once than fits, without letting the futures wait for answers.
    let mut futures: Vec<_> = (0..200)
        .map(|number| Box::pin(store.record_intent(intent(number))))
        .collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut busy = 0;
    let mut queued = Vec::new();
    for (number, future) in (0..).zip(&mut futures) {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Err(Error::Busy { capacity: 2 })) => busy += 1,
            std::task::Poll::Ready(other) => assert_eq!(other.unwrap(), IntentOutcome::Recorded),
            std::task::Poll::Pending => queued.push(number),
        }
    }
    assert!(busy > 0, "200 acts at once filled a queue of two");
    drop(futures);
    store.close();
    let store = open(directory.path());
    for number in queued {
        assert!(
            wait(store.certificate(&serial(number))).unwrap().is_some(),
            "{number}"
        );
    }
}

#[test]
fn a_certificate_timestamp_is_in_the_journal_and_changes_no_record() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let before = store.status();
    let record = TimestampRecord {
        serial: serial(1),
        issuer: issuer(),
        log_id: [7; 32],
        timestamp_ms: 1_000,
        tbs_der: vec![0x30, 0x00],
        recorded_at: at(1),
    };
    wait(store.record_timestamp(record)).unwrap();
    let after = store.status();
    assert_eq!(after.sequence, before.sequence + 1);
    assert_eq!((after.pending, after.issued), (0, 0));
    assert!(wait(store.certificate(&serial(1))).unwrap().is_none());
    // The intent under the same serial number follows.
    issue(&store, 1);
    store.close();
    let store = open(directory.path());
    assert_eq!(store.status().issued, 1);
    store.close();
    rebuild(&config(directory.path())).unwrap();
    assert_eq!(open(directory.path()).status().issued, 1);
}
