//! Orders, authorizations, challenges, certificates (RFC 8555, 7.4, 7.5).

use mesh::ProblemType;
use serde_json::{Value, json};

use super::authority::Mood;
use super::client::{Client, csr, csr_of, identifiers, leaf};
use super::server::TestServer;
use crate::testing::TestKey;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_from_pending_to_a_certificate() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let names = ["a.example", "*.b.example", "192.0.2.1"];
    let made = client.new_order(&names).await;
    let order = made.good(201);
    assert_eq!(order["status"], "pending");
    assert_eq!(order["identifiers"], identifiers(&names));
    assert_eq!(order["profile"], "tls-server");
    assert!(order["expires"].as_str().unwrap().ends_with('Z'));
    assert!(order.get("error").is_none() && order.get("certificate").is_none());
    let url = made.header("location").to_owned();
    assert_eq!(order["finalize"], format!("{url}/finalize"));

    let early = client
        .finalize(&order, &csr(&TestKey::es256(), &names))
        .await;
    early.problem(403, "orderNotReady");

    let kinds = |authorization: &Value| -> Vec<String> {
        let challenges = authorization["challenges"].as_array().unwrap();
        challenges
            .iter()
            .map(|one| one["type"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut offered = Vec::new();
    for authorization in order["authorizations"].as_array().unwrap() {
        let found = client.get(authorization.as_str().unwrap()).await.good(200);
        assert_eq!(found["status"], "pending");
        offered.push((
            found["identifier"]["value"].clone(),
            found["wildcard"].clone(),
            kinds(&found),
        ));
        client.answer(authorization.as_str().unwrap()).await;
    }
    assert_eq!(offered[0].2, ["http-01", "dns-01", "tls-alpn-01"]);
    // RFC 8555, 7.1.4: without the wildcard label, and marked.
    assert_eq!(
        (offered[1].0.as_str(), offered[1].1.as_bool()),
        (Some("b.example"), Some(true))
    );
    assert_eq!(offered[1].2, ["dns-01"]);
    assert!(offered[0].1.is_null());
    // RFC 8738, 7: no dns-01 for addresses.
    assert_eq!(offered[2].2, ["http-01", "tls-alpn-01"]);

    let order = client.settled(&url, &["pending"]).await;
    assert_eq!(order["status"], "ready");
    let reply = client
        .finalize(&order, &csr(&TestKey::es256(), &names))
        .await;
    assert_eq!(reply.header("location"), url);
    let order = client.settled(&url, &["processing"]).await;
    assert_eq!(order["status"], "valid");
    let reply = client.get(order["certificate"].as_str().unwrap()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type"),
        "application/pem-certificate-chain"
    );
    let chain = pki::pem::read_certificates(reply.body.as_bytes()).unwrap();
    assert_eq!(chain.len(), 2);
    let certificate = pki::certificate::Certificate::from_der(&chain[0]).unwrap();
    assert_eq!(certificate.extensions().names.len(), 3, "the leaf is first");
    assert!(reply.links("alternate").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_tell_their_authorization_token_and_validation() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let order = client.new_order(&["a.example"]).await.good(201);
    let url = order["authorizations"][0].as_str().unwrap();
    let authorization = client.get(url).await.good(200);
    let challenge = authorization["challenges"][0].clone();
    assert!(challenge["token"].as_str().unwrap().len() >= 22);
    let responded = client
        .post(challenge["url"].as_str().unwrap(), json!({}))
        .await;
    assert_eq!(responded.links("up"), [url]);
    assert_eq!(responded.good(200)["url"], challenge["url"]);
    let authorization = client.settled(url, &["pending"]).await;
    assert_eq!(authorization["status"], "valid");
    // RFC 8555, 7.1.4: the challenge that was validated, alone.
    let challenges = authorization["challenges"].as_array().unwrap();
    assert_eq!(challenges.len(), 1);
    assert!(challenges[0]["validated"].as_str().unwrap().ends_with('Z'));
    let shown = client.get(challenge["url"].as_str().unwrap()).await;
    assert_eq!(shown.good(200)["status"], "valid");
    assert_eq!(shown.links("up"), [url]);
    // A response to a challenge that is decided changes nothing.
    let again = client
        .post(challenge["url"].as_str().unwrap(), json!({}))
        .await;
    assert_eq!(again.good(200)["status"], "valid");
    client
        .post(challenge["url"].as_str().unwrap(), json!("text"))
        .await
        .problem(400, "malformed");
    client
        .post(
            &challenge["url"]
                .as_str()
                .unwrap()
                .replace("http-01", "device-attest-01"),
            json!({}),
        )
        .await
        .problem(404, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_validation_is_readable_and_makes_the_order_invalid() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (_, order) = client.authorize(&["a.example", "bad.example"]).await;
    assert_eq!(order["status"], "invalid");
    assert!(
        order["error"]["type"]
            .as_str()
            .unwrap()
            .starts_with("urn:ietf:params:acme:error:")
    );
    let failed = client
        .get(order["authorizations"][1].as_str().unwrap())
        .await
        .good(200);
    assert_eq!(failed["status"], "invalid");
    let challenge = &failed["challenges"][0];
    assert_eq!(challenge["status"], "invalid");
    assert_eq!(
        challenge["error"]["type"],
        "urn:ietf:params:acme:error:connection"
    );
    assert!(
        challenge["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("bad.example")
    );
    client
        .finalize(
            &order,
            &csr(&TestKey::es256(), &["a.example", "bad.example"]),
        )
        .await
        .problem(403, "orderNotReady");
    let (good, bad) = (
        order["finalize"].as_str().unwrap(),
        client.kid.as_deref().unwrap(),
    );
    let listed = client.get(&format!("{bad}/orders")).await.good(200);
    let url = good.trim_end_matches("/finalize");
    assert!(
        !listed["orders"].as_array().unwrap().contains(&json!(url)),
        "invalid ones are left out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_that_cannot_be_are_told_one_by_one() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let url = client.url("/acme/new-order");
    let order = |given: Value| json!({ "identifiers": given });
    let mixed = json!([
        {"type": "dns", "value": "good.example"},
        {"type": "dns", "value": "-bad.example"},
        {"type": "email", "value": "a@example.org"},
    ]);
    let problem = client
        .post(&url, order(mixed))
        .await
        .problem(400, "compound");
    let parts = problem["subproblems"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(
        parts[0]["type"],
        "urn:ietf:params:acme:error:rejectedIdentifier"
    );
    assert_eq!(
        parts[0]["identifier"],
        json!({"type": "dns", "value": "-bad.example"})
    );
    assert_eq!(
        parts[1]["type"],
        "urn:ietf:params:acme:error:unsupportedIdentifier"
    );
    let unsupported = json!([{"type": "email", "value": "a@example.org"}]);
    client
        .post(&url, order(unsupported))
        .await
        .problem(400, "unsupportedIdentifier");
    for (kind, value) in [
        ("dns", "192.0.2.1"),
        ("dns", "a..b"),
        ("dns", "*.*.example"),
        ("dns", ""),
        ("ip", "nowhere"),
        ("ip", "192.0.2.0/24"),
    ] {
        let given = json!([{"type": kind, "value": value}]);
        client
            .post(&url, order(given))
            .await
            .problem(400, "rejectedIdentifier");
    }
    for given in [json!([]), json!({}), json!([1])] {
        client
            .post(&url, order(given))
            .await
            .problem(400, "malformed");
    }
    let many: Vec<_> = (0..101).map(|n| format!("n{n}.example")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    client.new_order(&many).await.problem(400, "malformed");
    // The same name twice is one name, in whatever case.
    let twice = client
        .new_order(&["A.example", "a.example"])
        .await
        .good(201);
    assert_eq!(twice["identifiers"], identifiers(&["a.example"]));
    for member in ["notBefore", "notAfter"] {
        let mut asked = order(identifiers(&["a.example"]));
        asked[member] = json!("yesterday");
        client.post(&url, asked).await.problem(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_again_is_the_same_order() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let first = client.new_order(&["a.example"]).await;
    let again = client.new_order(&["a.example"]).await;
    assert_eq!(again.status, 201);
    assert_eq!(first.header("location"), again.header("location"));
    let other = client.new_order(&["b.example"]).await;
    assert_ne!(first.header("location"), other.header("location"));
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_authorizations_are_used_again() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    client.obtain(&["a.example"]).await;
    let order = client.new_order(&["a.example"]).await.good(201);
    assert_eq!(order["status"], "ready");
    // Another account's are its own.
    let other = Client::account(&server).await;
    let order = other.new_order(&["a.example"]).await.good(201);
    assert_eq!(order["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizing_again_signs_no_second_certificate() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (url, order) = client.authorize(&["a.example"]).await;
    let request = csr(&TestKey::es256(), &["a.example"]);
    client.finalize(&order, &request).await.good(200);
    client.settled(&url, &["processing"]).await;
    let again = client.finalize(&order, &request).await.good(200);
    assert_eq!(again["status"], "valid");
    assert_eq!(server.authority.signed(), 1);
    let other = csr(&TestKey::es256(), &["a.example"]);
    client
        .finalize(&order, &other)
        .await
        .problem(403, "orderNotReady");
    assert_eq!(server.authority.signed(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_waits_while_the_ca_is_away_and_finishes_by_itself() {
    let server = TestServer::start("[orders]\nfinalize_patience = \"10ms\"").await;
    let client = Client::account(&server).await;
    let (url, order) = client.authorize(&["a.example"]).await;
    server.authority.set_mood(Mood::Away);
    let reply = client
        .finalize(&order, &csr(&TestKey::es256(), &["a.example"]))
        .await;
    assert_eq!(reply.good(200)["status"], "processing");
    assert_eq!(reply.header("retry-after"), "1");
    let polled = client.get(&url).await;
    assert_eq!(polled.good(200)["status"], "processing");
    assert_eq!(polled.header("retry-after"), "1");

    // A restart in between loses nothing.
    let (directory, authority) = (server.directory.clone(), server.authority.clone());
    let path = |url: &str| url.replace(&client.base, "");
    let (order_path, kid_path) = (path(&url), path(client.kid.as_deref().unwrap()));
    server.stop().await;
    let server = TestServer::start_on("", directory, authority, Default::default()).await;
    let mut client = Client::with(&server, client.key);
    client.kid = Some(client.url(&kid_path));
    server.authority.set_mood(Mood::Well);
    let order = client
        .settled(&client.url(&order_path), &["processing"])
        .await;
    assert_eq!(order["status"], "valid");
    assert_eq!(server.authority.signed(), 1);
    let asked = server.authority.asked();
    assert!(
        asked
            .iter()
            .all(|one| one.idempotency == asked[0].idempotency)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cas_refusal_makes_the_order_invalid_and_says_why() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (url, order) = client.authorize(&["a.example"]).await;
    server
        .authority
        .set_mood(Mood::Refusing(ProblemType::KeyForbidden));
    client
        .finalize(&order, &csr(&TestKey::es256(), &["a.example"]))
        .await;
    let order = client.settled(&url, &["processing"]).await;
    assert_eq!(order["status"], "invalid");
    assert_eq!(order["error"]["type"], "urn:ietf:params:acme:error:badCSR");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_authorizations_expire() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let made = client.new_order(&["a.example"]).await;
    let (url, order) = (made.header("location").to_owned(), made.good(201));
    let authorization = order["authorizations"][0].as_str().unwrap();
    let challenge = client.get(authorization).await.good(200)["challenges"][0]["url"].clone();
    server.clock.advance(8 * 86_400);
    assert_eq!(client.get(&url).await.good(200)["status"], "invalid");
    assert_eq!(
        client.get(authorization).await.good(200)["status"],
        "expired"
    );
    client
        .post(challenge.as_str().unwrap(), json!({}))
        .await
        .problem(400, "malformed");
    client
        .finalize(&order, &csr(&TestKey::es256(), &["a.example"]))
        .await
        .problem(403, "orderNotReady");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivated_authorization_is_of_no_use() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (url, order) = client.authorize(&["a.example"]).await;
    assert_eq!(order["status"], "ready");
    let authorization = order["authorizations"][0].as_str().unwrap();
    client
        .post(authorization, json!({"status": "valid"}))
        .await
        .problem(400, "malformed");
    let ended = client
        .post(authorization, json!({"status": "deactivated"}))
        .await
        .good(200);
    assert_eq!(ended["status"], "deactivated");
    assert_eq!(client.get(&url).await.good(200)["status"], "invalid");
    let order = client.new_order(&["a.example"]).await.good(201);
    assert_eq!(order["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_certificates_are_held_to_their_order() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let names = ["a.example", "b.example"];
    let (_, order) = client.authorize(&names).await;
    let other = Client::account(&server).await;
    let key = TestKey::es256();
    let [_, _, _, rsa] = TestKey::all();
    let mut damaged = csr(&key, &names);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for (what, request) in [
        ("too few", csr(&key, &["a.example"])),
        (
            "too many",
            csr(&key, &["a.example", "b.example", "c.example"]),
        ),
        ("another", csr(&key, &["a.example", "c.example"])),
        ("a wildcard", csr(&key, &["a.example", "*.b.example"])),
        ("none", csr(&key, &[])),
        (
            "a foreign common name",
            csr_of(&key, &names, Some("c.example")),
        ),
        ("the account's key", csr(&client.key, &names)),
        ("another account's key", csr(&other.key, &names)),
        ("a bad signature", damaged),
        ("no request", b"nonsense".to_vec()),
    ] {
        let problem = client
            .finalize(&order, &request)
            .await
            .problem(400, "badCSR");
        assert!(problem["detail"].as_str().unwrap().len() > 20, "{what}");
    }
    client
        .post(order["finalize"].as_str().unwrap(), json!({"csr": "=="}))
        .await
        .problem(400, "malformed");
    assert_eq!(server.authority.signed(), 0);
    // RFC 8555, 7.4: in the common name, the alternative names, or both.
    let reply = client
        .finalize(&order, &csr_of(&rsa, &["b.example"], Some("A.example")))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn caa_is_asked_again_when_the_validation_is_old() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let names = ["caa.example", "a.example"];
    let (_, order) = client.authorize(&names).await;
    server.clock.advance(9 * 3600);
    let request = csr(&TestKey::es256(), &names);
    let refused = client.finalize(&order, &request).await;
    let problem = refused.problem(403, "caa");
    assert_eq!(
        problem["subproblems"][0]["identifier"]["value"],
        "caa.example"
    );
    assert_eq!(server.authority.signed(), 0);
    let off = TestServer::start("[caa]\nenabled = false").await;
    let client = Client::account(&off).await;
    let (_, order) = client.authorize(&names).await;
    off.clock.advance(9 * 3600);
    client.finalize(&order, &request).await.good(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_chosen_from_those_offered() {
    let server = TestServer::start(
        "default_profile = \"web\"\n[profiles.web]\ndescription = \"servers\"\nca_profile = \"tls-server\"\n[profiles.short]\ndescription = \"short\"",
    )
    .await;
    let client = Client::account(&server).await;
    let url = client.url("/acme/new-order");
    let order =
        |profile: &str| json!({"identifiers": identifiers(&["a.example"]), "profile": profile});
    for unknown in ["tls-server", "", "Web"] {
        client
            .post(&url, order(unknown))
            .await
            .problem(400, "invalidProfile");
    }
    assert_eq!(
        client.post(&url, order("short")).await.good(201)["profile"],
        "short"
    );
    let (order, _, _) = client.obtain(&["b.example"]).await;
    assert_eq!(order["profile"], "web");
    let asked = server.authority.asked().pop().unwrap().profile.unwrap();
    assert_eq!(asked.as_str(), "tls-server", "the CA's own name");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_addresses_are_authorized_before_any_order() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let url = client.url("/acme/new-authz");
    let asked = |kind: &str, value: &str| json!({"identifier": {"type": kind, "value": value}});
    for (kind, value) in [("dns", "a.example"), ("ip", "2001:db8::1")] {
        let made = client.post(&url, asked(kind, value)).await;
        let authorization = made.good(201);
        assert_eq!(authorization["identifier"]["value"], value);
        let valid = client.answer(made.header("location")).await;
        assert_eq!(valid["status"], "valid");
    }
    let order = client
        .new_order(&["a.example", "2001:db8::1"])
        .await
        .good(201);
    assert_eq!(order["status"], "ready");
    client
        .post(&url, asked("dns", "*.a.example"))
        .await
        .problem(400, "malformed");
    client
        .post(&url, asked("email", "a@b"))
        .await
        .problem(400, "unsupportedIdentifier");
    client.post(&url, json!({})).await.problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_orders_has_pages() {
    let server = TestServer::start("[accounts]\norders_page = 2").await;
    let client = Client::account(&server).await;
    let mut made = Vec::new();
    for n in 0..5 {
        // Two of one millisecond would be listed in either order.
        server.clock.advance(1);
        let reply = client.new_order(&[&format!("n{n}.example")]).await;
        made.push(reply.header("location").to_owned());
    }
    let mut url = format!("{}/orders", client.kid.as_deref().unwrap());
    let mut listed = Vec::new();
    loop {
        let page = client.get(&url).await;
        let object = page.good(200);
        let orders = object["orders"].as_array().unwrap();
        assert!(orders.len() <= 2);
        listed.extend(
            orders
                .iter()
                .map(|order| order.as_str().unwrap().to_owned()),
        );
        match page.links("next").pop() {
            Some(next) => url = next,
            None => break,
        }
    }
    made.reverse();
    assert_eq!(listed, made);
    client
        .get(&format!("{}/orders?page=2", client.kid.as_deref().unwrap()))
        .await
        .problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_of_the_ca_are_alternates() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cross.pem");
    let text = format!("alternate_chains = [{:?}]", file.to_str().unwrap());
    let authority = std::sync::Arc::new(super::authority::TestAuthority::new());
    std::fs::write(&file, authority.cross_certified()).unwrap();
    let home = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let server = TestServer::start_on(&text, home, authority, Default::default()).await;
    let client = Client::account(&server).await;
    let (order, chain, _) = client.obtain(&["a.example"]).await;
    let url = order["certificate"].as_str().unwrap();
    let alternates = client.get(url).await.links("alternate");
    assert_eq!(alternates, [format!("{url}/1")]);
    let alternate = client.get(&alternates[0]).await;
    assert_eq!(alternate.status, 200);
    assert_eq!(leaf(&alternate.body), leaf(&chain));
    assert_ne!(alternate.body, chain);
    assert_eq!(alternate.links("alternate"), [url]);
    for odd in ["0", "2", "01", "x"] {
        client
            .get(&format!("{url}/{odd}"))
            .await
            .problem(404, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_certificate_before_there_is_one() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let made = client.new_order(&["a.example"]).await;
    let url = made.header("location").replace("/order/", "/cert/");
    client.get(&url).await.problem(404, "malformed");
    client
        .get(&client.url("/acme/cert/nothing"))
        .await
        .problem(404, "malformed");
}
