//! One fault for each step of an issuance: stop there, start again, and look
//! whether anything is unexplained.

use std::sync::Arc;
use std::time::Duration;

use model::SerialNumber;
use store::{
    AbandonReason, CertificateFilter, CertificateState, CertificateStore, Error as StoreError,
    Fault,
};
use tokio::sync::Semaphore;

use super::faulty::{Act, Acting, FaultyStore, Signing, unavailable};
use super::installation::{Installation, eventually, idempotency, request, uuid};
use crate::{Ca, IssueRequest, Refusal};

/// Returns the newest record's number and state.
async fn newest(store: &dyn CertificateStore) -> (SerialNumber, CertificateState) {
    let page = store
        .certificates(CertificateFilter::default(), None, 1)
        .await
        .unwrap();
    let record = page.records.into_iter().next().unwrap();
    (record.intent.serial, record.state)
}

/// States that the store has failed for good.
fn failed() -> StoreError {
    StoreError::Failed {
        fault: Arc::new(Fault::WriterGone),
    }
}

/// Begins an issuance, waits until an act of it has begun, and kills it there.
async fn crash_at(ca: &Arc<Ca>, store: &FaultyStore, request: IssueRequest, act: Act) {
    let before = store.begun(act);
    let task = tokio::spawn(Arc::clone(ca).issue(request));
    eventually("the act begins", || async { store.begun(act) > before }).await;
    if act == Act::Intend || act == Act::Issue {
        // The act itself is recorded; only its answer is not.
        let done = |state: &CertificateState| match act {
            Act::Intend => matches!(state, CertificateState::Pending),
            _ => matches!(state, CertificateState::Issued { .. }),
        };
        eventually("the act is recorded", || async {
            done(&newest(store).await.1)
        })
        .await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}

/// Stops the CA and starts it again over the same files.
async fn restart(
    installation: &Installation,
    ca: Arc<Ca>,
    store: Arc<FaultyStore>,
) -> (Arc<Ca>, Arc<FaultyStore>) {
    drop(ca);
    assert_eq!(
        Arc::strong_count(&store),
        1,
        "somebody still holds the store"
    );
    drop(store);
    installation.open().await
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_before_the_intent_nothing_is_left() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    let (before, _) = newest(store.as_ref()).await;
    let csr = installation.csr("a.example").await;

    store.set(Act::Intend, Some(Acting::Fails(failed())));
    let refusal = Arc::clone(&ca).issue(request(csr)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Store(_)), "{refusal}");
    assert_eq!(newest(store.as_ref()).await.0, before);
    let (ca, _store) = restart(&installation, ca, store).await;
    assert_eq!(ca.status().settled_intents, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_after_the_intent_the_next_start_settles_it_without_a_signature() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    let csr = installation.csr("a.example").await;
    let asked = installation.keys.asked();
    store.set(Act::Intend, Some(Acting::Mute));
    crash_at(&ca, &store, request(csr.clone()), Act::Intend).await;
    assert_eq!(
        installation.keys.asked(),
        asked,
        "no signature before the answer"
    );
    let (serial, state) = newest(store.as_ref()).await;
    assert_eq!(state, CertificateState::Pending);

    let (ca, store) = restart(&installation, ca, store).await;
    assert_eq!(ca.status().settled_intents, 1);
    assert_eq!(ca.status().open_intents, 0);
    let record = store.certificate(&serial).await.unwrap().unwrap();
    assert!(matches!(
        record.state,
        CertificateState::Abandoned {
            why: AbandonReason::Interrupted,
            ..
        }
    ));
    // The same request again gets a number of its own.
    let issued = Arc::clone(&ca).issue(request(csr)).await.unwrap();
    assert_ne!(issued.serial, serial);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_sign_leaves_an_abandoned_intent_and_recovers() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    for (signing, why) in [
        (Signing::Fails(unavailable()), AbandonReason::Unanswered),
        (
            Signing::Fails(hsm_keystore::Error::Busy { waiting: 1 }),
            AbandonReason::NotSigned,
        ),
        (
            Signing::Fails(hsm_keystore::Error::DeadlineExceeded {
                after: Duration::from_secs(10),
            }),
            AbandonReason::Unanswered,
        ),
        (Signing::Garbage, AbandonReason::BadSignature),
    ] {
        let csr = installation.csr("a.example").await;
        let again = IssueRequest {
            idempotency: idempotency(&uuid()),
            ..request(csr)
        };
        installation.keys.sign(signing.clone());
        let refusal = Arc::clone(&ca).issue(again.clone()).await.unwrap_err();
        let garbage = matches!(signing, Signing::Garbage);
        assert_eq!(refusal.retry_after().is_some(), !garbage, "{refusal}");
        let (serial, state) = newest(store.as_ref()).await;
        assert!(
            matches!(state, CertificateState::Abandoned { why: found, .. } if found == why),
            "{state:?}"
        );
        // The same key may be used again: nothing came of it.
        installation.keys.sign(Signing::Works);
        let issued = Arc::clone(&ca).issue(again).await.unwrap();
        assert_ne!(issued.serial, serial);
    }
    let (ca, _store) = restart(&installation, ca, store).await;
    assert_eq!(ca.status().settled_intents, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_cannot_be_recorded_is_not_handed_out() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    let csr = installation.csr("a.example").await;
    store.set(Act::Issue, Some(Acting::Fails(failed())));
    let refusal = Arc::clone(&ca).issue(request(csr)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Store(_)), "{refusal}");
    let (serial, state) = newest(store.as_ref()).await;
    assert_eq!(state, CertificateState::Pending);

    let (ca, store) = restart(&installation, ca, store).await;
    assert_eq!(ca.status().settled_intents, 1);
    let record = store.certificate(&serial).await.unwrap().unwrap();
    assert!(record.certificate_der().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandonment_that_cannot_be_recorded_is_made_at_the_next_start() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    let csr = installation.csr("a.example").await;
    installation.keys.sign(Signing::Fails(unavailable()));
    store.set(Act::Abandon, Some(Acting::Fails(failed())));
    Arc::clone(&ca).issue(request(csr)).await.unwrap_err();
    assert_eq!(newest(store.as_ref()).await.1, CertificateState::Pending);
    installation.keys.sign(Signing::Works);
    let (ca, _store) = restart(&installation, ca, store).await;
    assert_eq!(ca.status().settled_intents, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_after_the_record_the_same_request_gets_the_certificate() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    let again = IssueRequest {
        idempotency: idempotency("order-1"),
        ..request(installation.csr("a.example").await)
    };
    store.set(Act::Issue, Some(Acting::Mute));
    crash_at(&ca, &store, again.clone(), Act::Issue).await;
    let (serial, _) = newest(store.as_ref()).await;

    let (ca, store) = restart(&installation, ca, store).await;
    assert_eq!(ca.status().settled_intents, 0);
    let asked = installation.keys.asked();
    let issued = Arc::clone(&ca).issue(again).await.unwrap();
    assert!(issued.replayed);
    assert_eq!(issued.serial, serial);
    assert_eq!(installation.keys.asked(), asked, "signed once");
    let record = store.certificate(&serial).await.unwrap().unwrap();
    assert_eq!(
        record.certificate_der(),
        Some(issued.certificate_der.as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_store_is_waited_for_once_the_token_has_signed() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    let csr = installation.csr("a.example").await;
    store.set(
        Act::Issue,
        Some(Acting::Fails(StoreError::Busy { capacity: 1 })),
    );
    let task = tokio::spawn(Arc::clone(&ca).issue(request(csr)));
    eventually("the record is tried", || async {
        store.begun(Act::Issue) > 0
    })
    .await;
    store.set(Act::Issue, None);
    assert!(task.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_behind_the_records_stops_issuing_until_it_is_set() {
    let installation = Installation::ready("").await;
    let (ca, _store) = installation.open().await;
    let csr = installation.csr("a.example").await;
    installation.clock.advance(-3600);
    let refusal = Arc::clone(&ca)
        .issue(request(csr.clone()))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Clock(_)), "{refusal}");
    installation.clock.advance(3600);
    assert!(Arc::clone(&ca).issue(request(csr.clone())).await.is_ok());
    installation.clock.advance(3 * 86_400);
    let refusal = Arc::clone(&ca)
        .issue(request(csr.clone()))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Clock(_)), "{refusal}");
    installation.clock.advance(-3 * 86_400);
    assert!(Arc::clone(&ca).issue(request(csr)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_issuances_as_may_and_no_more() {
    let installation = Installation::ready("[issuance]\nmax_in_flight = 2").await;
    let (ca, store) = installation.open().await;
    let gate = Arc::new(Semaphore::new(0));
    store.set(Act::Issue, Some(Acting::Waits(Arc::clone(&gate))));
    let mut tasks = Vec::new();
    for name in ["a.example", "b.example"] {
        let csr = installation.csr(name).await;
        tasks.push(tokio::spawn(Arc::clone(&ca).issue(request(csr))));
    }
    eventually("both wait", || async { store.begun(Act::Issue) == 2 }).await;
    let csr = installation.csr("c.example").await;
    let refusal = Arc::clone(&ca)
        .issue(request(csr.clone()))
        .await
        .unwrap_err();
    assert!(
        matches!(refusal, Refusal::QueueFull { limit: 2 }),
        "{refusal}"
    );
    gate.add_permits(3);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(Arc::clone(&ca).issue(request(csr.clone())).await.is_ok());
    ca.drain().await;
    let refusal = Arc::clone(&ca).issue(request(csr)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::QueueFull { .. }), "{refusal}");
}
