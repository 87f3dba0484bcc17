//! Accounts, bindings, key changes (RFC 8555, 7.3).

use serde_json::{Value, json};

use super::client::Client;
use super::operators::Operator;
use super::server::TestServer;
use crate::jws::base64url;
use crate::testing::{TestKey, binding, mac_jws};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_once_and_found_again() {
    let server = TestServer::start("").await;
    let mut client = Client::stranger(&server);
    client
        .new_account(json!({"onlyReturnExisting": true}))
        .await
        .problem(400, "accountDoesNotExist");
    let made = client
        .new_account(json!({"contact": ["mailto:a@example.org"], "unknown": 1}))
        .await;
    let account = made.good(201);
    assert_eq!(account["status"], "valid");
    assert_eq!(account["contact"], json!(["mailto:a@example.org"]));
    let url = made.header("location").to_owned();
    assert_eq!(account["orders"], format!("{url}/orders"));
    assert_eq!(made.links("index"), [client.url("/directory")]);
    for payload in [json!({}), json!({"onlyReturnExisting": true})] {
        let again = client.new_account(payload).await;
        again.good(200);
        assert_eq!(again.header("location"), url);
    }
    client.kid = Some(url.clone());
    assert_eq!(client.get(&url).await.good(200)["status"], "valid");
    let orders = client.get(&format!("{url}/orders")).await;
    assert_eq!(orders.good(200), json!({"orders": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_single_mail_addresses() {
    let server = TestServer::start("").await;
    let stranger = Client::stranger(&server);
    let client = Client::account(&server).await;
    let url = client.kid.clone().unwrap();
    for (contact, kind) in [
        ("tel:+12025551212", "unsupportedContact"),
        ("https://example.org", "unsupportedContact"),
        ("nonsense", "unsupportedContact"),
        ("mailto:", "invalidContact"),
        ("mailto:nobody", "invalidContact"),
        ("mailto:a@example.org,b@example.org", "invalidContact"),
        ("mailto:a@example.org?subject=x", "invalidContact"),
        ("mailto:a@exam ple.org", "invalidContact"),
    ] {
        let payload = json!({"contact": [contact]});
        stranger
            .new_account(payload.clone())
            .await
            .problem(400, kind);
        client.post(&url, payload).await.problem(400, kind);
    }
    let many: Vec<_> = (0..11).map(|n| format!("mailto:{n}@example.org")).collect();
    client
        .post(&url, json!({"contact": many}))
        .await
        .problem(400, "invalidContact");
    let updated = client
        .post(&url, json!({"contact": ["mailto:new@example.org"]}))
        .await
        .good(200);
    assert_eq!(updated["contact"], json!(["mailto:new@example.org"]));
    let emptied = client.post(&url, json!({"contact": []})).await.good(200);
    assert!(emptied.get("contact").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_are_agreed_to_and_agreed_to_again_when_they_change() {
    let terms = |url: &str| format!("terms_of_service = \"{url}\"");
    let (old, new) = ("https://ca.example/terms-1", "https://ca.example/terms-2");
    let server = TestServer::start(&terms(old)).await;
    let stranger = Client::stranger(&server);
    let refused = stranger.new_account(json!({})).await;
    let problem = refused.problem(403, "userActionRequired");
    assert_eq!(problem["instance"], old);
    assert_eq!(refused.links("terms-of-service"), [old]);
    let mut client = stranger
        .register(json!({"termsOfServiceAgreed": true}))
        .await;
    let account = client.get(client.kid.as_deref().unwrap()).await.good(200);
    assert_eq!(account["termsOfServiceAgreed"], true);
    assert_eq!(client.new_order(&["a.example"]).await.status, 201);

    let (directory, authority) = (server.directory.clone(), server.authority.clone());
    let path = client.kid.as_deref().unwrap().replace(&client.base, "");
    server.stop().await;
    let server = TestServer::start_on(&terms(new), directory, authority, Default::default()).await;
    client.base = server.open.clone();
    client.kid = Some(format!("{}{path}", client.base));
    let refused = client.new_order(&["b.example"]).await;
    let problem = refused.problem(403, "userActionRequired");
    assert_eq!(problem["instance"], new);
    assert_eq!(refused.links("terms-of-service"), [new]);
    client
        .post(
            &client.url("/acme/new-authz"),
            json!({"identifier": {"type": "dns", "value": "b.example"}}),
        )
        .await
        .problem(403, "userActionRequired");
    client
        .post(
            client.kid.as_deref().unwrap(),
            json!({"termsOfServiceAgreed": true}),
        )
        .await
        .good(200);
    assert_eq!(client.new_order(&["b.example"]).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_account_can_do_nothing_any_more() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (order, _, _) = client.obtain(&["a.example"]).await;
    let pending = client.new_order(&["b.example"]).await.good(201);
    let url = client.kid.clone().unwrap();
    client
        .post(&url, json!({"status": "revoked"}))
        .await
        .problem(400, "malformed");
    let account = client
        .post(&url, json!({"status": "deactivated"}))
        .await
        .good(200);
    assert_eq!(account["status"], "deactivated");
    for url in [
        url.as_str(),
        order["certificate"].as_str().unwrap(),
        pending["authorizations"][0].as_str().unwrap(),
    ] {
        client.get(url).await.problem(403, "unauthorized");
    }
    client
        .new_order(&["c.example"])
        .await
        .problem(403, "unauthorized");
    // RFC 8555, 7.3.6: its key makes no new account either.
    let again = Client::with(&server, client.key);
    again
        .new_account(json!({}))
        .await
        .problem(403, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_seen_by_itself_alone() {
    let server = TestServer::start("").await;
    let (one, other) = (
        Client::account(&server).await,
        Client::account(&server).await,
    );
    let url = other.kid.clone().unwrap();
    one.get(&url).await.problem(403, "unauthorized");
    one.get(&format!("{url}/orders"))
        .await
        .problem(403, "unauthorized");
    let order = other.new_order(&["a.example"]).await;
    let object = order.good(201);
    one.get(order.header("location"))
        .await
        .problem(404, "malformed");
    let authorization = object["authorizations"][0].as_str().unwrap();
    one.get(authorization).await.problem(404, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_are_required_verified_and_used_once() {
    let server =
        TestServer::start("[open]\nlisten = \"127.0.0.1:0\"\nexternal_account_required = true")
            .await;
    let operator = Operator::new(&server);
    let client = Client::stranger(&server);
    client
        .new_account(json!({}))
        .await
        .problem(403, "externalAccountRequired");
    let (kid, secret) = operator.eab(json!({"label": "team a"})).await;
    let url = client.url("/acme/new-account");
    let with = |jws: Value| json!({ "externalAccountBinding": jws });
    let header = json!({"alg": "HS256", "kid": kid, "url": url});
    let jwk = client.key.jwk();
    let other_url = json!({"alg": "HS256", "kid": kid, "url": client.url("/acme/new-order")});
    let nonce = json!({"alg": "HS256", "kid": kid, "url": url, "nonce": "x"});
    let signed = json!({"alg": "ES256", "kid": kid, "url": url});
    let stranger = TestKey::es256();
    for (jws, status, kind) in [
        (mac_jws(&header, b"guess", &jwk), 403, "unauthorized"),
        (
            mac_jws(&header, &secret, &stranger.jwk()),
            403,
            "unauthorized",
        ),
        (binding("nobody", &secret, &url, &jwk), 403, "unauthorized"),
        (mac_jws(&other_url, &secret, &jwk), 400, "malformed"),
        (mac_jws(&nonce, &secret, &jwk), 400, "malformed"),
        (mac_jws(&signed, &secret, &jwk), 400, "malformed"),
        (json!({}), 400, "malformed"),
        (json!("text"), 400, "malformed"),
    ] {
        client
            .new_account(with(jws.clone()))
            .await
            .problem(status, kind);
    }
    let bound = binding(&kid, &secret, &url, &jwk);
    let account = client.new_account(with(bound.clone())).await.good(201);
    assert_eq!(account["externalAccountBinding"], bound);

    // RFC 8555, 7.3.4: one account a key.
    let second = Client::with(&server, stranger);
    let again = binding(&kid, &secret, &url, &second.key.jwk());
    second
        .new_account(with(again))
        .await
        .problem(403, "unauthorized");
    let (kid, secret) = operator.eab(json!({})).await;
    operator
        .post(&format!("/operator/eab/{kid}/revoke"), json!({}))
        .await
        .good(200);
    let revoked = binding(&kid, &secret, &url, &second.key.jwk());
    second
        .new_account(with(revoked))
        .await
        .problem(403, "unauthorized");
    let past = json!({"expires_at": "2020-01-01T00:00:00Z"});
    let (kid, secret) = operator.eab(past).await;
    let expired = binding(&kid, &secret, &url, &second.key.jwk());
    second
        .new_account(with(expired))
        .await
        .problem(403, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_is_taken_where_none_is_required() {
    let server = TestServer::start("").await;
    let (kid, secret) = Operator::new(&server).eab(json!({})).await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    let bound = binding(&kid, &secret, &url, &client.key.jwk());
    let reply = client
        .new_account(json!({ "externalAccountBinding": bound }))
        .await;
    reply.good(201);
}

/// Makes a key change's inner JWS.
fn change(new: &TestKey, url: &str, account: &str, old: &Value) -> Value {
    let header = json!({"alg": new.algorithm(), "jwk": new.jwk(), "url": url});
    let payload = json!({"account": account, "oldKey": old}).to_string();
    new.jws_of(&header, payload.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_by_both_keys() {
    let server = TestServer::start("").await;
    let mut client = Client::account(&server).await;
    let other = Client::account(&server).await;
    let url = client.url("/acme/key-change");
    let kid = client.kid.clone().unwrap();
    let old = client.key.jwk();
    let new = TestKey::es256();
    let wrong_account = change(&new, &url, other.kid.as_deref().unwrap(), &old);
    let wrong_url = change(&new, &client.url("/acme/new-order"), &kid, &old);
    let wrong_key = change(&new, &url, &kid, &new.jwk());
    let mut damaged = change(&new, &url, &kid, &old);
    damaged["payload"] = json!(base64url::encode(b"{}"));
    for inner in [wrong_account, wrong_url, wrong_key, damaged, json!({})] {
        client.post(&url, inner).await.problem(400, "malformed");
    }
    // RFC 8555, 7.3.5: 409 and the other account's URL.
    let taken = change(&other.key, &url, &kid, &old);
    let reply = client.post(&url, taken).await;
    reply.problem(409, "malformed");
    assert_eq!(reply.header("location"), other.kid.as_deref().unwrap());

    let reply = client.post(&url, change(&new, &url, &kid, &old)).await;
    assert_eq!(reply.good(200)["status"], "valid");
    client
        .new_order(&["a.example"])
        .await
        .problem(400, "malformed");
    client.key = new;
    assert_eq!(client.new_order(&["a.example"]).await.status, 201);
}
