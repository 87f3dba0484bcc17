//! Faults that the protocol allows, for clients' own tests.

use serde_json::json;

use super::client::{Client, csr};
use super::server::TestServer;
use crate::testing::TestKey;

#[tokio::test(flavor = "multi_thread")]
async fn good_nonces_are_refused_now_and_then() {
    let server = TestServer::start(
        "[torture]\nenabled = true\nrefuse_nonces_percent = 50\nvalidation_delay = \"1ms\"",
    )
    .await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    let (mut refused, mut taken) = (0, 0);
    while refused == 0 || taken == 0 {
        let jws = client.key.jws_of(&client.header(&url).await, b"{}");
        let reply = client.send(&url, &jws).await;
        if reply.status == 400 {
            reply.problem(400, "badNonce");
            refused += 1;
        } else {
            taken += 1;
        }
        assert!(refused + taken < 200, "{refused} of {taken}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nonce_that_comes_with_a_refusal_is_accepted() {
    let server = TestServer::start("[torture]\nenabled = true\nrefuse_nonces_percent = 90").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    let mut refused = 0;
    for _ in 0..20 {
        let jws = client.key.jws_of(&client.header(&url).await, b"{}");
        let mut reply = client.send(&url, &jws).await;
        if reply.status == 400 {
            reply.problem(400, "badNonce");
            refused += 1;
            let mut header = client.header(&url).await;
            header["nonce"] = json!(reply.header("replay-nonce"));
            reply = client.send(&url, &client.key.jws_of(&header, b"{}")).await;
        }
        assert!(reply.status.is_success(), "{reply:?}");
    }
    assert_ne!(refused, 0, "of 20 nonces about 18 are refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn finalized_orders_stay_in_processing_for_a_while() {
    let server = TestServer::start(
        "[torture]\nenabled = true\nrefuse_nonces_percent = 30\nprocessing = \"60s\"\nvalidation_delay = \"1ms\"",
    )
    .await;
    let client = Client::stranger(&server).register(json!({})).await;
    let (url, order) = client.authorize(&["a.example"]).await;
    let reply = client
        .finalize(&order, &csr(&TestKey::es256(), &["a.example"]))
        .await;
    let order = reply.good(200);
    assert_eq!(order["status"], "processing");
    assert!(order.get("certificate").is_none());
    assert_eq!(reply.header("retry-after"), "1");
    server.clock.advance(61);
    assert_eq!(
        client.settled(&url, &["processing"]).await["status"],
        "valid"
    );
}
