//! Revocation (RFC 8555, 7.6).

use serde_json::{Value, json};

use super::authority::Mood;
use super::client::{Client, csr, leaf};
use super::server::TestServer;
use crate::jws::base64url;
use crate::testing::TestKey;

/// Asks to revoke a certificate.
fn request(chain_pem: &str, reason: Option<Value>) -> Value {
    let mut request = json!({ "certificate": base64url::encode(&leaf(chain_pem)) });
    if let Some(reason) = reason {
        request["reason"] = reason;
    }
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_that_ordered_it_revokes_a_certificate_once() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (_, chain, _) = client.obtain(&["a.example"]).await;
    let url = client.url("/acme/revoke-cert");
    for reason in [
        json!(2),
        json!(6),
        json!(7),
        json!(8),
        json!(9),
        json!(10),
        json!(11),
        json!(-1),
        json!(256),
        json!("1"),
        json!(1.5),
    ] {
        client
            .post(&url, request(&chain, Some(reason)))
            .await
            .problem(400, "badRevocationReason");
    }
    let reply = client.post(&url, request(&chain, Some(json!(4)))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.body.is_empty());
    let serial = pki::certificate::Certificate::from_der(&leaf(&chain)).unwrap();
    assert!(server.authority.is_revoked(serial.serial()));
    client
        .post(&url, request(&chain, None))
        .await
        .problem(400, "alreadyRevoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_holds_all_authorizations_revokes_it_and_another_does_not() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let names = ["a.example", "b.example"];
    let (_, chain, _) = client.obtain(&names).await;
    let other = Client::account(&server).await;
    let url = other.url("/acme/revoke-cert");
    other
        .post(&url, request(&chain, None))
        .await
        .problem(403, "unauthorized");
    other.authorize(&["a.example"]).await;
    other
        .post(&url, request(&chain, None))
        .await
        .problem(403, "unauthorized");
    other.authorize(&["b.example"]).await;
    let reply = other.post(&url, request(&chain, None)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificates_key_revokes_it_without_an_account() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (_, chain, key) = client.obtain(&["a.example"]).await;
    let url = client.url("/acme/revoke-cert");
    let stranger = Client::stranger(&server);
    stranger
        .post(&url, request(&chain, None))
        .await
        .problem(403, "unauthorized");
    let holder = Client::with(&server, key);
    let reply = holder.post(&url, request(&chain, Some(json!(1)))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // Whoever has the key and says that it is out is believed: it is never certified again.
    assert_eq!(server.authority.blocked_keys(), 1);
    holder
        .post(&url, request(&chain, Some(json!(1))))
        .await
        .problem(400, "alreadyRevoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_others_and_nonsense_are_not_revoked() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let url = client.url("/acme/revoke-cert");
    // One that the holder made itself: the key is right, the CA does not know it.
    let key = TestKey::es256();
    let pair = rcgen::KeyPair::try_from(key.pkcs8().as_slice()).unwrap();
    let own = rcgen::CertificateParams::new(vec!["a.example".to_owned()])
        .unwrap()
        .self_signed(&pair)
        .unwrap();
    let holder = Client::with(&server, key);
    holder
        .post(&url, request(&own.pem(), None))
        .await
        .problem(404, "malformed");
    let request_der = base64url::encode(&csr(&TestKey::es256(), &["a.example"]));
    for certificate in ["", "AAAA", "==", &request_der] {
        client
            .post(&url, json!({ "certificate": certificate }))
            .await
            .problem(400, "malformed");
    }
    client.post(&url, json!({})).await.problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_away_is_told_as_such() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (_, chain, _) = client.obtain(&["a.example"]).await;
    server.authority.set_mood(Mood::Away);
    let reply = client
        .post(&client.url("/acme/revoke-cert"), request(&chain, None))
        .await;
    reply.problem(503, "serverInternal");
    assert_eq!(reply.header("retry-after"), "10");
}
