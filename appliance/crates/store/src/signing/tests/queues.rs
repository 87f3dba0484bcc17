//! The webhooks' queues.

use std::collections::BTreeSet;
use std::time::Duration;

use tempfile::tempdir;

use super::*;
use crate::signing::queue::{
    Accepted, Attempt, DeliveryState, EventOutcome, EventState, QueueState,
};
use crate::signing::{SigningStoreError, rebuild};

/// No webhook.
const NONE: BTreeSet<WebhookName> = BTreeSet::new();

#[tokio::test]
async fn a_delivery_that_comes_again_is_the_same_event() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let accepted = store.accept_event(new_event(1)).await.unwrap();
    assert_eq!(accepted, Accepted::New(event_id(1)));
    for same_body in [true, false] {
        let mut again = new_event(2);
        again.delivery = new_event(1).delivery;
        again.body_sha256 = [if same_body { 1 } else { 9 }; 32];
        let id = event_id(1);
        let duplicate = Accepted::Duplicate { id, same_body };
        assert_eq!(store.accept_event(again).await.unwrap(), duplicate);
    }
    // Another webhook's delivery of the same name is another one.
    let mut other = new_event(3);
    other.delivery = new_event(1).delivery;
    other.hook = WebhookName::new("gitlab").unwrap();
    let accepted = store.accept_event(other).await.unwrap();
    assert_eq!(accepted, Accepted::New(event_id(3)));
    assert_eq!(store.status().events_waiting, 2);
}

#[tokio::test]
async fn a_body_replayed_under_another_name_is_the_same_event_where_asked() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let unique = |number: u32| NewEvent {
        body_unique: true,
        body_sha256: [7; 32],
        ..new_event(number)
    };
    store.accept_event(unique(1)).await.unwrap();
    let replayed = store.accept_event(unique(2)).await.unwrap();
    let duplicate = Accepted::Duplicate {
        id: event_id(1),
        same_body: true,
    };
    assert_eq!(replayed, duplicate);
    let allowed = NewEvent {
        body_unique: false,
        ..unique(3)
    };
    let accepted = store.accept_event(allowed).await.unwrap();
    assert_eq!(accepted, Accepted::New(event_id(3)));
}

#[tokio::test]
async fn deliveries_are_remembered_as_long_as_configured_and_then_leave_the_index() {
    let directory = tempdir().unwrap();
    let options = SigningOptions {
        remember_deliveries: Duration::from_secs(100),
        keep_ended: Duration::from_secs(200),
        ..SigningOptions::default()
    };
    let open = || {
        SigningRecords::open(
            &config(directory.path()),
            options.clone(),
            SigningStoreMetrics::default(),
        )
        .unwrap()
    };
    let later = |number: u32, second: i64| NewEvent {
        delivery: new_event(0).delivery,
        at: at(second),
        ..new_event(number)
    };
    let store = open();
    store.accept_event(later(1, 0)).await.unwrap();
    let within = store.accept_event(later(2, 100)).await.unwrap();
    assert!(matches!(within, Accepted::Duplicate { .. }));
    let after = store.accept_event(later(3, 101)).await.unwrap();
    assert_eq!(after, Accepted::New(event_id(3)));
    let done = EventOutcome::Done {
        signature: None,
        detail_json: Bytes::new(),
    };
    store
        .finish_event(&event_id(1), done, at(102))
        .await
        .unwrap();
    // What is due leaves with the checkpoint that closing writes.
    store.begin_timestamp(new_timestamp(400)).await.unwrap();
    store.close();
    let store = open();
    assert_eq!(store.event(&event_id(1)).await.unwrap(), None);
    let waiting = store.event(&event_id(3)).await.unwrap();
    assert!(waiting.is_some(), "what waits stays");
    let keys = |prefix: &[u8]| {
        let range = crate::signing::key::prefixed(prefix.to_vec());
        store.sources_of_test().index.range(range).count()
    };
    assert_eq!(keys(b"h"), 0, "nothing is remembered any more");
    assert_eq!(keys(b"x"), 0);
    assert_eq!((keys(b"E"), keys(b"e"), keys(b"q")), (1, 1, 1));
}

#[tokio::test]
async fn an_event_is_retried_until_it_ends_over_restarts() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    store.accept_event(new_event(1)).await.unwrap();
    store.accept_event(new_event(2)).await.unwrap();
    let due = store.events_due(at(1), 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].work_json, new_event(1).work_json);
    let retried = store
        .retry_event(&event_id(1), at(60), "refused by 192.0.2.1", at(2))
        .await
        .unwrap();
    assert_eq!(retried.attempts, 1);
    assert_eq!(store.next_event_due(), Some(at(2)));
    store.close();

    let store = open(directory.path());
    let due = store.events_due(at(59), 10).await.unwrap();
    assert_eq!(due.len(), 1, "only the second");
    let due = store.events_due(at(60), 10).await.unwrap();
    let ids: Vec<_> = due.iter().map(|event| event.id).collect();
    assert_eq!(ids, [event_id(2), event_id(1)], "the longest first");
    let waiting = EventState::Waiting {
        due: at(60),
        error: Some("refused by 192.0.2.1".into()),
    };
    assert_eq!(due[1].state, waiting);
    let done = EventOutcome::Done {
        signature: Some(signature_id(4)),
        detail_json: Bytes::from_static(b"{}"),
    };
    let finished = store
        .finish_event(&event_id(1), done.clone(), at(61))
        .await
        .unwrap();
    assert_eq!(finished.attempts, 2);
    let again = store.finish_event(&event_id(1), done, at(62)).await;
    assert_eq!(again.unwrap(), finished);
    let failed = EventOutcome::Failed {
        error: "x".repeat(5000).into(),
    };
    let late = store
        .finish_event(&event_id(1), failed.clone(), at(63))
        .await;
    assert!(matches!(late, Err(SigningStoreError::EventEnded { .. })));
    let late = store.retry_event(&event_id(1), at(70), "", at(63)).await;
    assert!(matches!(late, Err(SigningStoreError::EventEnded { .. })));
    let failed = store
        .finish_event(&event_id(2), failed, at(64))
        .await
        .unwrap();
    let EventState::Failed { error, .. } = &failed.state else {
        panic!("{failed:?}");
    };
    assert_eq!(error.len(), 2048, "an error is cut");
    assert_eq!(store.next_event_due(), None);
    let dead = store
        .events(Some(QueueState::Dead), None, 10)
        .await
        .unwrap();
    assert_eq!(dead.items, [failed]);
    let all = store.events(None, None, 1).await.unwrap();
    assert_eq!((all.items.len(), all.next), (1, Some(event_id(2))));
}

#[tokio::test]
async fn a_delivery_is_due_until_an_attempt_is_recorded_and_may_be_sent_again() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    make(&store, 1).await;
    let id = delivery_id(1);
    for _ in 0..2 {
        let due = store.deliveries_due(at(1), 10, &NONE).await.unwrap();
        assert_eq!(due.len(), 1, "at least once");
    }
    let retry = Attempt::Retry {
        due: at(30),
        error: "503".into(),
    };
    store.record_attempt(&id, retry, at(2)).await.unwrap();
    let waits = store.deliveries_due(at(29), 10, &NONE).await.unwrap();
    assert!(waits.is_empty());
    let dead = Attempt::Dead {
        error: "410".into(),
    };
    let dead = store.record_attempt(&id, dead, at(31)).await.unwrap();
    assert_eq!(dead.attempts, 2);
    let refused = store
        .record_attempt(&id, Attempt::Delivered { status: 200 }, at(32))
        .await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, SigningStoreError::DeliveryEnded { .. }));
    let listed = store
        .deliveries(Some(QueueState::Dead), None, 10)
        .await
        .unwrap();
    assert_eq!(listed.items, [dead]);
    store.close();

    let store = open(directory.path());
    assert_eq!(store.next_delivery_due(), None);
    let again = store.resend(&id, at(40), at(39)).await.unwrap();
    let waiting = DeliveryState::Waiting {
        due: at(40),
        error: None,
    };
    assert_eq!((again.attempts, &again.state), (0, &waiting));
    assert_eq!((again.queued_at, again.waiting_since), (at(1), at(39)));
    assert_eq!(again.body, new_delivery(1).body);
    store.resend(&id, at(50), at(39)).await.unwrap();
    assert_eq!(
        store.next_delivery_due(),
        Some(at(40)),
        "it waits as it did"
    );
    store.close();

    rebuild(&config(directory.path()), SigningOptions::default()).unwrap();
    let store = open(directory.path());
    let due = store.deliveries_due(at(40), 10, &NONE).await.unwrap();
    assert_eq!(due, [again]);
    let taken = store
        .record_attempt(&id, Attempt::Delivered { status: 204 }, at(41))
        .await
        .unwrap();
    let delivered = DeliveryState::Delivered {
        at: at(41),
        status: 204,
    };
    assert_eq!(taken.state, delivered);
    assert_eq!(store.status().deliveries_waiting, 0);
}

#[tokio::test]
async fn a_busy_webhook_holds_up_no_other_and_a_repeat_queues_nothing() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let other = NewDelivery {
        hook: WebhookName::new("other").unwrap(),
        ..new_delivery(9)
    };
    let first = vec![new_delivery(1), new_delivery(2)];
    store.enqueue_deliveries(first.clone()).await.unwrap();
    let more = [first, vec![other]].concat();
    store.enqueue_deliveries(more.clone()).await.unwrap();
    store.enqueue_deliveries(more).await.unwrap();
    assert_eq!(store.status().counts.deliveries, 3);
    let twice = store
        .enqueue_deliveries(vec![new_delivery(5), new_delivery(5)])
        .await;
    assert!(matches!(twice, Err(SigningStoreError::IdTaken { .. })));
    let busy = BTreeSet::from([WebhookName::new("chat").unwrap()]);
    store.close();
    let store = open(directory.path());
    for _ in 0..2 {
        let due = store.deliveries_due(at(9), 1, &busy).await.unwrap();
        assert_eq!(due[0].id, delivery_id(9));
    }
    let oldest = store.status().oldest_waiting_delivery;
    assert_eq!(oldest, Some(at(1)));
    let waiting = store
        .deliveries(Some(QueueState::Waiting), None, 2)
        .await
        .unwrap();
    assert_eq!(waiting.next, Some(delivery_id(2)));
    let rest = store
        .deliveries(Some(QueueState::Waiting), waiting.next, 2)
        .await
        .unwrap();
    let ids: Vec<_> = rest.items.iter().map(|own| own.id).collect();
    assert_eq!((ids, rest.next), (vec![delivery_id(1)], None));
}
