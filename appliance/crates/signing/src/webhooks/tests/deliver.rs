//! Messages to others: signed, at least once, with patience, dead letters sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use model::signing::DeliveryId;
use secrecy::SecretString;
use serde_json::json;
use store::signing::{DeliveryRecord, DeliveryState, QueueState};

use super::forge::{Asked, Forge, Reply};
use super::house::{House, Running, SECRET, start};
use crate::webhooks::signature::{SharedKey, verify_standard};
use crate::webhooks::{Announcement, Happening};

/// Writes targets.
fn targets(house: &House, port: u16, more: &str) -> String {
    format!(
        "{}\n[delivery]\nretry_pause = '1m'\nmax_retry_pause = '1m'\ngive_up_after = '3m'\n\
         [notify.chat]\nurl = 'https://chat.test:{port}/hook'\nsecrets = [{:?}]\n{more}\n",
        house.fetch(&[]),
        house.secret("secret"),
    )
}

/// Something that happened.
fn created() -> Announcement {
    Announcement {
        happening: Happening::SignatureCreated,
        at: start(),
        data: json!({ "id": "sig-1" }),
    }
}

/// A receiver called `chat.test` that answers a status that the test may change.
async fn receiver(house: &House, status: u16) -> (Forge, Arc<AtomicU16>) {
    house.names.address_records("chat.test", &["127.0.0.1"]);
    let status = Arc::new(AtomicU16::new(status));
    let answered = Arc::clone(&status);
    let receiver = Forge::start(&house.world, &["chat.test"], move |_| {
        Reply::new(answered.load(Ordering::SeqCst), "as told")
    })
    .await;
    (receiver, status)
}

/// Queues what is told of something.
async fn announce(running: &Running, announcement: &Announcement) -> DeliveryId {
    let deliveries = running.webhooks.messages_of(announcement);
    let [one] = &deliveries[..] else {
        panic!("{deliveries:?}");
    };
    let id = one.id;
    running.store.enqueue_deliveries(deliveries).await.unwrap();
    running.webhooks.look();
    id
}

/// Waits until a delivery is as a condition wants it.
async fn until(
    running: &Running,
    id: &DeliveryId,
    is: impl Fn(&DeliveryRecord) -> bool,
) -> Arc<DeliveryRecord> {
    let waiting = async {
        loop {
            let delivery = running.store.delivery(id).await.unwrap().unwrap();
            if is(&delivery) {
                return delivery;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap()
}

/// Verifies a message as its receiver does.
fn verify(asked: &Asked, secret: &str) -> bool {
    let key = SharedKey::of_standard(&SecretString::from(secret)).unwrap();
    let time: i64 = asked.field("webhook-timestamp").parse().unwrap();
    verify_standard(
        &[key],
        asked.field("webhook-id"),
        asked.field("webhook-timestamp"),
        asked.field("webhook-signature"),
        &asked.body,
        jiff::Timestamp::from_second(time).unwrap(),
    )
    .is_ok()
}

#[tokio::test]
async fn a_message_arrives_signed_with_each_secret_and_named_by_its_delivery() {
    let house = House::new().await;
    house.write_secret("older", "an-older-secret-of-ours");
    let (receiver, _) = receiver(&house, 204).await;
    let both = format!(
        "secrets = [{:?}, {:?}]",
        house.secret("secret"),
        house.secret("older")
    );
    let toml = targets(&house, receiver.port(), "")
        .replace(&format!("secrets = [{:?}]", house.secret("secret")), &both);
    let running = house.start(&toml).await;
    let id = announce(&running, &created()).await;
    let delivered = until(&running, &id, |delivery| {
        matches!(delivery.state, DeliveryState::Delivered { .. })
    })
    .await;
    assert!(matches!(
        delivered.state,
        DeliveryState::Delivered { status: 204, .. }
    ));
    let [asked] = &receiver.asked()[..] else {
        panic!("{:?}", receiver.asked());
    };
    assert_eq!(asked.line, "POST /hook");
    assert_eq!(asked.field("webhook-id"), id.to_string());
    assert_eq!(asked.field("content-type"), "application/json");
    assert!(verify(asked, SECRET) && verify(asked, "an-older-secret-of-ours"));
    assert!(!verify(asked, "a-secret-of-somebody-else"));
    assert_eq!(
        asked.json(),
        json!({
            "type": "signature.created",
            "timestamp": "2026-06-01T00:00:00Z",
            "data": { "id": "sig-1" },
        })
    );
}

#[tokio::test]
async fn targets_are_told_only_of_what_they_want_to_know() {
    let house = House::new().await;
    let running = house
        .open(&targets(&house, 443, "events = ['signature.withdrawn']"))
        .await;
    assert_eq!(running.webhooks.messages_of(&created()), []);
    let withdrawn = Announcement {
        happening: Happening::SignatureWithdrawn,
        ..created()
    };
    assert_eq!(running.webhooks.messages_of(&withdrawn).len(), 1);
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_with_the_same_id_until_a_dead_letter() {
    let house = House::new().await;
    let (receiver, status) = receiver(&house, 500).await;
    let running = house.start(&targets(&house, receiver.port(), "")).await;
    let id = announce(&running, &created()).await;
    for attempt in 1..3 {
        let put_off = until(&running, &id, |delivery| delivery.attempts == attempt).await;
        let DeliveryState::Waiting { error, .. } = &put_off.state else {
            panic!("{put_off:?}");
        };
        let error = error.as_deref().unwrap();
        assert!(
            error.ends_with("answered status 500: \"as told\""),
            "{error}"
        );
        running.advance(80);
    }
    until(&running, &id, |delivery| {
        matches!(delivery.state, DeliveryState::Dead { .. })
    })
    .await;
    let dead = running
        .store
        .deliveries(Some(QueueState::Dead), None, 10)
        .await
        .unwrap();
    assert_eq!(dead.items.len(), 1);
    let asked = receiver.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|asked| verify(asked, SECRET)));
    let ids: Vec<_> = asked
        .iter()
        .map(|asked| asked.field("webhook-id"))
        .collect();
    assert_eq!(ids, [&*id.to_string(); 3]);

    // An operator has it sent again, days later.
    status.store(200, Ordering::SeqCst);
    running.advance(3 * 86_400);
    let now = running.now();
    running.store.resend(&id, now, now).await.unwrap();
    running.webhooks.look();
    until(&running, &id, |delivery| {
        matches!(delivery.state, DeliveryState::Delivered { .. })
    })
    .await;
    for (outcome, count) in [("retried", 2), ("dead", 1), ("delivered", 1)] {
        let line = format!(
            "chancery_signing_webhook_deliveries_total{{target=\"chat\",outcome=\"{outcome}\"}} \
             {count}"
        );
        running.counted(&line).await;
    }
}

#[tokio::test]
async fn what_is_sent_again_after_its_age_still_has_its_tries() {
    let house = House::new().await;
    let (receiver, _) = receiver(&house, 410).await;
    let running = house.start(&targets(&house, receiver.port(), "")).await;
    let id = announce(&running, &created()).await;
    // 410: the receiver wants no more.
    until(&running, &id, |delivery| {
        matches!(delivery.state, DeliveryState::Dead { .. })
    })
    .await;
    drop(receiver);
    running.advance(3 * 86_400);
    let now = running.now();
    running.store.resend(&id, now, now).await.unwrap();
    running.webhooks.look();
    let put_off = until(&running, &id, |delivery| {
        !matches!(delivery.state, DeliveryState::Waiting { error: None, .. })
    })
    .await;
    assert!(
        matches!(put_off.state, DeliveryState::Waiting { .. }),
        "{put_off:?}"
    );
}

#[tokio::test]
async fn messages_go_by_the_address_rules_and_follow_no_redirect() {
    let house = House::new().await;
    house.names.address_records("chat.test", &["127.0.0.2"]);
    let running = house.start(&targets(&house, 443, "")).await;
    let id = announce(&running, &created()).await;
    let dead = until(&running, &id, |delivery| {
        matches!(delivery.state, DeliveryState::Dead { .. })
    })
    .await;
    let DeliveryState::Dead { error, .. } = &dead.state else {
        panic!("{dead:?}");
    };
    assert!(error.contains("127.0.0.2 is a loopback address"), "{error}");
    running.kill().await;

    let house = House::new().await;
    house.names.address_records("chat.test", &["127.0.0.1"]);
    let receiver = Forge::start(&house.world, &["chat.test"], |_| Reply::redirect("/else")).await;
    let running = house.start(&targets(&house, receiver.port(), "")).await;
    let id = announce(&running, &created()).await;
    until(&running, &id, |delivery| delivery.attempts == 1).await;
    assert_eq!(receiver.asked().len(), 1);
}

#[tokio::test]
async fn a_slow_target_holds_up_no_other_and_is_sent_so_many_at_once() {
    let house = House::new().await;
    let (quick, _) = receiver(&house, 200).await;
    house.names.address_records("slow.test", &["127.0.0.1"]);
    let slow = Forge::start(&house.world, &["slow.test"], |_| {
        Reply::new(200, "").cut(4).hanging()
    })
    .await;
    let more = format!(
        "[notify.a-slow-one]\nurl = 'https://slow.test:{}/'\nsecrets = [{:?}]\nconcurrency = 2",
        slow.port(),
        house.secret("secret")
    );
    let running = house.start(&targets(&house, quick.port(), &more)).await;
    for _ in 0..8 {
        let deliveries = running.webhooks.messages_of(&created());
        running.store.enqueue_deliveries(deliveries).await.unwrap();
    }
    running.webhooks.look();
    quick.asked_times(8).await;
    slow.asked_times(2).await;
    // All of the quick one's are through, and the slow one still has its first two.
    assert_eq!(slow.asked().len(), 2);
}

#[tokio::test]
async fn a_killed_process_delivers_when_it_is_back() {
    let house = House::new().await;
    let (receiver, _) = receiver(&house, 200).await;
    let toml = targets(&house, receiver.port(), "");
    let first = house.open(&toml).await;
    let id = announce(&first, &created()).await;
    first.kill().await;
    let next = house.start(&toml).await;
    until(&next, &id, |delivery| {
        matches!(delivery.state, DeliveryState::Delivered { .. })
    })
    .await;
    assert_eq!(receiver.asked().len(), 1);
}
