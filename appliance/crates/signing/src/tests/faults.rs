//! Stops between the durable points: nothing is handed out that was not recorded, and
//! the same request may come again.

use std::sync::Arc;

use model::signing::SignatureId;
use serde_json::json;
use store::signing::{SignatureAbandonReason, SignatureState};

use super::client::{answered, sign, signed, smallest};
use super::faulty::{Act, Acting};
use super::server::TestServer;
use crate::SettledReport;

/// Stops a request at an act and returns a service that starts on what a crash there
/// would leave.
async fn stopped_at(act: Act) -> (TestServer, TestServer) {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    server.store.set(act, Some(Acting::Stops));
    let request = sign(&server, &client, &smallest()).header("idempotency-key", "once");
    let waiting = tokio::spawn(request.send());
    server.store.stops().await;
    let image = server.crash_image();
    waiting.abort();
    let authority = Arc::clone(&server.authority);
    let next = TestServer::start_on("", image, authority, Arc::default()).await;
    (server, next)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_before_the_intent_leaves_no_trace() {
    let (server, next) = stopped_at(Act::Begin).await;
    assert_eq!(
        next.settled,
        SettledReport {
            begun: 0,
            staged: 0
        }
    );
    again(&next).await;
    server.stop().await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_after_the_intent_is_settled_as_never_made() {
    let (server, next) = stopped_at(Act::Stage).await;
    assert_eq!(
        next.settled,
        SettledReport {
            begun: 1,
            staged: 0
        }
    );
    again(&next).await;
    server.stop().await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_after_the_time_stamps_were_recorded_is_settled_too() {
    let (server, next) = stopped_at(Act::Complete).await;
    assert_eq!(
        next.settled,
        SettledReport {
            begun: 0,
            staged: 1
        }
    );
    again(&next).await;
    server.stop().await;
    next.stop().await;
}

/// Holds a service to having nothing open, and to meeting the same request anew.
async fn again(next: &TestServer) {
    assert!(next.signing.store.open_work().await.unwrap().is_empty());
    let client = next.http(Some("signer/alice"));
    let found = answered(client.get(next.url("/v1/signatures")), 200).await;
    assert_eq!(found["signatures"], json!([]));
    let request = || sign(next, &client, &smallest()).header("idempotency-key", "once");
    let object = answered(request(), 201).await;
    let made = next.keystore.signatures();
    assert_eq!(answered(request(), 201).await["id"], object["id"]);
    assert_eq!(next.keystore.signatures(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_given_again_after_a_crash() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    // Recorded, and the answer's first read of it never ends.
    server.store.set(Act::Read, Some(Acting::Stops));
    let request = sign(&server, &client, &smallest()).header("idempotency-key", "once");
    let waiting = tokio::spawn(request.send());
    server.store.stops().await;
    let image = server.crash_image();
    waiting.abort();
    let authority = Arc::clone(&server.authority);
    let next = TestServer::start_on("", image, authority, Arc::default()).await;
    assert_eq!(
        next.settled,
        SettledReport {
            begun: 0,
            staged: 0
        }
    );
    let client = next.http(Some("signer/alice"));
    let before = next.keystore.signatures();
    let request = sign(&next, &client, &smallest()).header("idempotency-key", "once");
    let object = answered(request, 201).await;
    assert_eq!(next.keystore.signatures(), before);
    let bundle = client.get(object["bundleURL"].as_str().unwrap());
    answered(bundle, 200).await;
    server.stop().await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_does_not_leave_half_a_signature() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    server.store.set(Act::Stage, Some(Acting::Stops));
    let waiting = tokio::spawn(sign(&server, &client, &smallest()).send());
    server.store.stops().await;
    let open = server.signing.store.open_work().await.unwrap();
    assert_eq!(open.len(), 1);
    waiting.abort();
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_interrupted_is_kept_as_such_and_never_shown() {
    let (server, next) = stopped_at(Act::Complete).await;
    let open = server.signing.store.open_work().await.unwrap();
    let id: SignatureId = open[0].id;
    let record = next.signing.store.signature(&id).await.unwrap().unwrap();
    assert!(matches!(
        record.state,
        SignatureState::Abandoned {
            reason: SignatureAbandonReason::Interrupted,
            ..
        }
    ));
    let client = next.http(Some("operator/bob"));
    let shown = client.get(next.url(&format!("/v1/signatures/{id}"))).send();
    assert_eq!(shown.await.unwrap().status(), 404);
    server.stop().await;
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let object = signed(&server, &client, &smallest()).await;
    let url = object["bundleURL"].as_str().unwrap();
    let bundle = client.get(url).send().await.unwrap().bytes().await.unwrap();
    let (directory, authority) = (Arc::clone(&server.directory), Arc::clone(&server.authority));
    let certified = authority.signed();
    drop(client);
    server.stop().await;
    let next = TestServer::start_on("", directory, Arc::clone(&authority), Arc::default()).await;
    // Keys and certificates too: nothing was asked of the CA.
    assert_eq!(authority.signed(), certified);
    let client = next.http(Some("signer/alice"));
    let path = url.split_once("/v1/").unwrap().1;
    let again = client
        .get(next.url(&format!("/v1/{path}")))
        .send()
        .await
        .unwrap();
    assert_eq!(again.bytes().await.unwrap(), bundle);
    next.stop().await;
}
