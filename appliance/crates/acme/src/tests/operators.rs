//! What operators see and do, and who else may.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, Reply};
use super::server::TestServer;
use crate::jws::base64url;

/// A client of the mesh listener with an operator's certificate.
pub(super) struct Operator {
    /// The connection.
    http: reqwest::Client,
    /// Where the listener is seen.
    base: String,
}

impl Operator {
    /// Makes an operator.
    pub(super) fn new(server: &TestServer) -> Self {
        Self::of_role(server, "operator/alice")
    }

    /// Makes a peer of any role.
    fn of_role(server: &TestServer, peer: &str) -> Self {
        Self {
            http: server.http(Some(peer)),
            base: server.mesh.clone(),
        }
    }

    /// Sends a request.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        Reply::read(request.send().await.unwrap()).await
    }

    /// Reads.
    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, None).await
    }

    /// Sends JSON.
    pub(super) async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Makes an EAB key; returns its name and its secret.
    pub(super) async fn eab(&self, body: Value) -> (String, Vec<u8>) {
        let made = self.post("/operator/eab", body).await.good(201);
        let secret = made["hmac_key"].as_str().unwrap();
        (
            made["id"].as_str().unwrap().to_owned(),
            base64url::decode(secret.as_bytes()).unwrap(),
        )
    }
}

/// Returns the kind of problem of this product.
fn kind(reply: &Reply) -> String {
    let document: Value = serde_json::from_str(&reply.body).unwrap();
    document["type"]
        .as_str()
        .unwrap()
        .replace("urn:chancery:problem:", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_and_ended() {
    let server = TestServer::start("").await;
    let operator = Operator::new(&server);
    let one = Client::account(&server).await;
    // Two of one millisecond would be listed in either order.
    server.clock.advance(1);
    let other = Client::account(&server).await;
    let page = operator.get("/operator/accounts?limit=1").await.good(200);
    let newest = &page["items"][0];
    assert!(
        other
            .kid
            .as_deref()
            .unwrap()
            .ends_with(newest["id"].as_str().unwrap())
    );
    assert_eq!(newest["thumbprint"], other.key.thumbprint().to_string());
    let next = page["next"].as_str().unwrap();
    let page = operator
        .get(&format!("/operator/accounts?after={next}"))
        .await
        .good(200);
    let id = page["items"][0]["id"].as_str().unwrap();
    assert!(one.kid.as_deref().unwrap().ends_with(id));
    assert!(page.get("next").is_none());

    let path = format!("/operator/accounts/{id}");
    assert_eq!(operator.get(&path).await.good(200)["status"], "valid");
    let ended = operator
        .post(&format!("{path}/revoke"), json!({}))
        .await
        .good(200);
    assert_eq!(ended["status"], "revoked");
    let reply = operator
        .post(&format!("{path}/deactivate"), json!({}))
        .await;
    assert_eq!(
        (reply.status.as_u16(), kind(&reply)),
        (409, "acme-conflict".to_owned())
    );
    one.new_order(&["a.example"])
        .await
        .problem(403, "unauthorized");
    let reply = operator
        .get("/operator/accounts/BwcHBwcHBwcHBwcHBwcHBw")
        .await;
    assert_eq!(
        (reply.status.as_u16(), kind(&reply)),
        (404, "acme-unknown".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_listed_and_their_certificates_revoked() {
    let server = TestServer::start("").await;
    let operator = Operator::new(&server);
    let client = Client::account(&server).await;
    client.obtain(&["a.example"]).await;
    server.clock.advance(1);
    client
        .new_order(&["b.example", "192.0.2.1"])
        .await
        .good(201);
    let page = operator.get("/operator/orders").await.good(200);
    let orders = page["items"].as_array().unwrap();
    assert_eq!(orders[0]["status"], "pending");
    assert_eq!(
        orders[0]["identifiers"],
        json!(["dns:b.example", "ip:192.0.2.1"])
    );
    assert_eq!(orders[1]["status"], "valid");
    let serial = orders[1]["serial"].as_str().unwrap().parse().unwrap();
    let (pending, valid) = (
        orders[0]["id"].as_str().unwrap(),
        orders[1]["id"].as_str().unwrap(),
    );
    let account = orders[0]["account"].as_str().unwrap();
    let own = operator
        .get(&format!("/operator/orders?account={account}"))
        .await
        .good(200);
    assert_eq!(own["items"].as_array().unwrap().len(), 2);

    let reply = operator
        .post(&format!("/operator/orders/{pending}/revoke"), json!({}))
        .await;
    assert_eq!(reply.status, 404);
    assert!(!server.authority.is_revoked(&serial));
    let path = format!("/operator/orders/{valid}/revoke");
    operator
        .post(&path, json!({"reason": "superseded"}))
        .await
        .good(200);
    assert!(server.authority.is_revoked(&serial));
    let again = operator.post(&path, json!({})).await;
    assert_eq!(kind(&again), "already-revoked");
    let odd = operator.post(&path, json!({"reason": "whim"})).await;
    assert_eq!(kind(&odd), "malformed-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn eab_secrets_are_shown_once() {
    let server = TestServer::start("").await;
    let operator = Operator::new(&server);
    let made = operator
        .post("/operator/eab", json!({"id": "team-a", "label": "Team A"}))
        .await;
    assert_eq!(made.header("cache-control"), "no-store");
    let secret = made.good(201)["hmac_key"].as_str().unwrap().to_owned();
    assert_eq!(base64url::decode(secret.as_bytes()).unwrap().len(), 32);
    let listed = operator.get("/operator/eab").await;
    assert!(!listed.body.contains(&secret));
    let key = &listed.good(200)["items"][0];
    assert_eq!(key["status"], "unused");
    assert_eq!(key["label"], "Team A");
    let taken = operator
        .post("/operator/eab", json!({"id": "team-a"}))
        .await;
    assert_eq!(
        (taken.status.as_u16(), kind(&taken)),
        (409, "acme-conflict".to_owned())
    );
    let odd = operator
        .post("/operator/eab", json!({"id": "two words"}))
        .await;
    assert_eq!(kind(&odd), "malformed-request");
    let ruled = operator
        .post("/operator/eab", json!({"policy": "nobody"}))
        .await;
    assert_eq!(kind(&ruled), "malformed-request");
    let unknown = operator.post("/operator/eab", json!({"surprise": 1})).await;
    assert_eq!(unknown.status, 400);
    let revoked = operator
        .post("/operator/eab/team-a/revoke", json!({}))
        .await;
    assert_eq!(revoked.good(200)["status"], "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors_read_and_nobody_else_enters() {
    let server = TestServer::start("").await;
    let auditor = Operator::of_role(&server, "auditor/bob");
    auditor.get("/operator/accounts").await.good(200);
    let denied = auditor.post("/operator/eab", json!({})).await;
    assert_eq!(
        (denied.status.as_u16(), kind(&denied)),
        (403, "role-forbidden".to_owned())
    );
    let signer = Operator::of_role(&server, "signer/eve");
    for path in ["/operator/accounts", "/operator/orders", "/operator/eab"] {
        assert_eq!(kind(&signer.get(path).await), "role-forbidden", "{path}");
    }
    // The open listener has no such pages at all.
    let client = Client::stranger(&server);
    client
        .plain(Method::GET, &client.url("/operator/accounts"))
        .await
        .problem(404, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mesh_listener_knows_its_clients_and_serves_the_same_state() {
    let server = TestServer::start("").await;
    let mut client = Client::stranger(&server);
    client.http = server.http(Some("signer/build-1"));
    client.base = server.mesh.clone();
    let mut client = client.register(json!({})).await;
    let page = Operator::new(&server)
        .get("/operator/accounts")
        .await
        .good(200);
    assert_eq!(page["items"][0]["peer"], "signer/build-1");
    // The account's URL of one listener is known on the other.
    client.http = server.http(None);
    client.base = server.open.clone();
    assert_eq!(client.new_order(&["a.example"]).await.status, 201);
    // Without a certificate nobody enters.
    client.base = server.mesh.clone();
    let reply = client.plain(Method::GET, &client.url("/directory")).await;
    assert_eq!(kind(&reply), "client-certificate-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eab_key_brings_its_policy_and_not_the_default_once_that_is_gone() {
    let server = TestServer::start("[policy.rules.team-a]\nsuffixes = [\"a.example\"]").await;
    let operator = Operator::new(&server);
    let (kid, secret) = operator.eab(json!({"policy": "team-a"})).await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    let bound = crate::testing::binding(&kid, &secret, &url, &client.key.jwk());
    let mut client = client
        .register(json!({ "externalAccountBinding": bound }))
        .await;
    client.new_order(&["www.a.example"]).await.good(201);
    client
        .new_order(&["www.b.example"])
        .await
        .problem(400, "rejectedIdentifier");
    let path = client.kid.as_deref().unwrap().replace(&client.base, "");
    let (directory, authority) = (server.directory.clone(), server.authority.clone());
    server.stop().await;
    let server = TestServer::start_on("", directory, authority, Default::default()).await;
    client.base = server.open.clone();
    client.kid = Some(client.url(&path));
    let refused = client.new_order(&["www.c.example"]).await;
    refused.problem(400, "invalidProfile");
}
