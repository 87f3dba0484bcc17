//! Requests: media type, JWS, key, URL, nonce, method (RFC 8555, 6.2 to 6.5).

use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::server::TestServer;
use crate::jws::base64url;
use crate::testing::{TestKey, mac_jws};

/// Every resource that takes signed requests.
const POSTS: [&str; 12] = [
    "/acme/new-account",
    "/acme/account/x",
    "/acme/account/x/orders",
    "/acme/key-change",
    "/acme/new-order",
    "/acme/order/x",
    "/acme/order/x/finalize",
    "/acme/cert/x",
    "/acme/new-authz",
    "/acme/authz/x",
    "/acme/chall/x",
    "/acme/revoke-cert",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_tells_where_everything_is() {
    let server = TestServer::start(
        r#"
        terms_of_service = "https://ca.example/terms"
        website = "https://ca.example/"
        [caa]
        identities = ["ca.example"]
        [profiles.tls-server]
        description = "servers"
        [profiles.short]
        description = "six days"
        [open]
        listen = "127.0.0.1:0"
        external_account_required = true
        "#,
    )
    .await;
    let client = Client::stranger(&server);
    let reply = client.plain(Method::GET, &client.url("/directory")).await;
    let directory = reply.good(200);
    for (member, path) in [
        ("newNonce", "/acme/new-nonce"),
        ("newAccount", "/acme/new-account"),
        ("newOrder", "/acme/new-order"),
        ("newAuthz", "/acme/new-authz"),
        ("revokeCert", "/acme/revoke-cert"),
        ("keyChange", "/acme/key-change"),
        ("renewalInfo", "/acme/renewal-info"),
    ] {
        assert_eq!(directory[member], client.url(path), "{member}");
    }
    assert_eq!(
        directory["meta"],
        json!({
            "termsOfService": "https://ca.example/terms",
            "website": "https://ca.example/",
            "caaIdentities": ["ca.example"],
            "externalAccountRequired": true,
            "profiles": { "tls-server": "servers", "short": "six days" },
        })
    );
    // RFC 8555, 7.1: the link is on everything but the directory.
    assert!(reply.links("index").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_come_by_head_and_get_and_are_not_kept() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-nonce");
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204)] {
        let reply = client.plain(method, &url).await;
        assert_eq!(reply.status, status);
        assert!(reply.header("replay-nonce").len() > 20);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.links("index"), [client.url("/directory")]);
        assert!(reply.body.is_empty());
    }
    let reply = client.plain(Method::DELETE, &url).await;
    reply.problem(405, "malformed");
    assert_eq!(reply.header("allow"), "GET, HEAD");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_directory_nonces_and_renewal_information_are_got() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    for path in POSTS {
        let reply = client.plain(Method::GET, &client.url(path)).await;
        reply.problem(405, "malformed");
        assert_eq!(reply.header("allow"), "POST");
    }
    client
        .plain(Method::GET, &client.url("/acme/nothing"))
        .await
        .problem(404, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_of_one_media_type() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    for path in POSTS {
        for media_type in ["application/json", "application/jose", "text/plain", ""] {
            let url = client.url(path);
            let reply = client.send_as(&url, media_type, "{}".to_owned()).await;
            reply.problem(415, "malformed");
        }
    }
    // Parameters do not count.
    let url = client.url("/acme/new-account");
    let jws = client.key.jws_of(&client.header(&url).await, b"{}");
    let reply = client
        .send_as(
            &url,
            "Application/JOSE+json; charset=utf-8",
            jws.to_string(),
        )
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_jws_or_too_long_are_refused() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    for body in ["", "{}", "[]", "null", "a.b.c", "\u{0}"] {
        let reply = client.send_as(&url, "application/jose+json", body.to_owned());
        reply.await.problem(400, "malformed");
    }
    let long = format!("{{\"payload\":\"{}\"}}", "A".repeat(70_000));
    let reply = client.send_as(&url, "application/jose+json", long).await;
    reply.problem(413, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_algorithms_are_answered_with_those_supported() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    for name in ["none", "HS256", "ES512", "PS256", "RS1", "ES384"] {
        let mut header = client.header(&url).await;
        header["alg"] = json!(name);
        let jws = client.key.jws_of(&header, b"{}");
        let problem = client
            .send(&url, &jws)
            .await
            .problem(400, "badSignatureAlgorithm");
        assert_eq!(
            problem["algorithms"],
            json!(["ES256", "ES384", "EdDSA", "RS256"])
        );
    }
    // A MAC where a signature belongs, under the public key.
    let mut header = client.header(&url).await;
    header["alg"] = json!("HS256");
    let forged = mac_jws(&header, b"anything", &json!({}));
    client
        .send(&url, &forged)
        .await
        .problem(400, "badSignatureAlgorithm");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_supported_algorithm_makes_an_account_and_orders() {
    let server = TestServer::start("").await;
    for key in TestKey::all() {
        let client = Client::with(&server, key).register(json!({})).await;
        let reply = client.new_order(&["a.example"]).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_and_malformed_keys_are_bad_public_keys() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    let mut off_curve = client.key.jwk();
    off_curve["x"] = json!(base64url::encode(&[0; 32]));
    let mut private = client.key.jwk();
    private["d"] = json!("AAAA");
    for jwk in [
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "n": base64url::encode(&[0xc1; 128]), "e": "AQAB"}),
        off_curve,
        private,
    ] {
        let mut header = client.header(&url).await;
        header["jwk"] = jwk;
        let jws = client.key.jws_of(&header, b"{}");
        client.send(&url, &jws).await.problem(400, "badPublicKey");
    }
}

/// Sends a request whose header was changed.
async fn with_header(
    client: &Client,
    url: &str,
    change: impl FnOnce(&mut Value),
) -> super::client::Reply {
    let mut header = client.header(url).await;
    change(&mut header);
    client.send(url, &client.key.jws_of(&header, b"{}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_its_key_in_one_way() {
    let server = TestServer::start("").await;
    let account = Client::account(&server).await;
    let stranger = Client::stranger(&server);
    let (new_account, new_order) = (
        account.url("/acme/new-account"),
        account.url("/acme/new-order"),
    );
    let jwk = account.key.jwk();
    with_header(&account, &new_order, |header| header["jwk"] = jwk)
        .await
        .problem(400, "malformed");
    with_header(&account, &new_order, |header| {
        header.as_object_mut().unwrap().remove("kid");
    })
    .await
    .problem(400, "malformed");
    // jwk only where the key is the point, kid only where an account is.
    with_header(&account, &new_account, |_| {})
        .await
        .problem(400, "malformed");
    with_header(&stranger, &new_order, |_| {})
        .await
        .problem(400, "malformed");
    for kid in [
        "nobody",
        "https://elsewhere.example/acme/account/BwcHBwcHBwcHBwcHBwcHBw",
    ] {
        with_header(&account, &new_order, |header| header["kid"] = json!(kid))
            .await
            .problem(400, "accountDoesNotExist");
    }
    let unknown = account.url("/acme/account/BwcHBwcHBwcHBwcHBwcHBw");
    with_header(&account, &new_order, |header| {
        header["kid"] = json!(unknown)
    })
    .await
    .problem(400, "accountDoesNotExist");
    // Another key than the account's.
    let thief = TestKey::es256();
    let jws = thief.jws_of(&account.header(&new_order).await, b"{}");
    account
        .send(&new_order, &jws)
        .await
        .problem(400, "malformed");
    with_header(&account, &new_order, |header| {
        header["crit"] = json!(["exp"])
    })
    .await
    .problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn unprotected_headers_and_several_signatures_are_refused() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    for (member, value) in [("header", json!({"kid": "x"})), ("signatures", json!([]))] {
        let mut jws = client.key.jws_of(&client.header(&url).await, b"{}");
        jws[member] = value;
        client.send(&url, &jws).await.problem(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_for_the_url_it_came_to() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    for other in [
        client.url("/acme/new-order"),
        client.url("/acme/new-account/"),
        client.url("/acme/new-account?x"),
        url.replace("https://127.0.0.1", "https://localhost"),
        String::new(),
    ] {
        let jws = client.key.jws_of(&client.header(&other).await, b"{}");
        client.send(&url, &jws).await.problem(401, "unauthorized");
    }
    with_header(&client, &url, |header| {
        header.as_object_mut().unwrap().remove("url");
    })
    .await
    .problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_are_the_external_ones_behind_a_proxy() {
    let server = TestServer::start(
        "[open]\nlisten = \"127.0.0.1:0\"\nexternal_url = \"https://acme.example:444/pki\"",
    )
    .await;
    let mut client = Client::stranger(&server);
    client.base = format!("https://{}", server.open_addr);
    let directory = client.plain(Method::GET, &client.url("/directory")).await;
    let directory = directory.good(200);
    let external = "https://acme.example:444/pki/acme/new-account";
    assert_eq!(directory["newAccount"], external);
    // What the proxy passes on, it passes without the prefix.
    let jws = client.key.jws_of(&client.header(external).await, b"{}");
    let reply = client.send(&client.url("/acme/new-account"), &jws).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert!(
        reply
            .header("location")
            .starts_with("https://acme.example:444/pki/acme/account/")
    );
    let internal = client.url("/acme/new-account");
    let jws = client.key.jws_of(&client.header(&internal).await, b"{}");
    client
        .send(&internal, &jws)
        .await
        .problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_counts_once_and_its_refusal_brings_another() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    let jws = client.key.jws_of(&client.header(&url).await, b"{}");
    assert_eq!(client.send(&url, &jws).await.status, 201);
    let reply = client.send(&url, &jws).await;
    reply.problem(400, "badNonce");
    let fresh = reply.header("replay-nonce").to_owned();
    with_header(&client, &url, |header| header["nonce"] = json!(fresh))
        .await
        .good(200);
    for nonce in ["", "x", "AAAA", "=="] {
        with_header(&client, &url, |header| header["nonce"] = json!(nonce))
            .await
            .problem(400, "badNonce");
    }
    with_header(&client, &url, |header| {
        header.as_object_mut().unwrap().remove("nonce");
    })
    .await
    .problem(400, "malformed");
    // Expired.
    let header = client.header(&url).await;
    server.clock.advance(3700);
    let jws = client.key.jws_of(&header, b"{}");
    client.send(&url, &jws).await.problem(400, "badNonce");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_share_a_secret_take_each_others_nonces() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("nonces");
    std::fs::write(&secret, format!("{}\n", "5a".repeat(32))).unwrap();
    let text = format!("[nonces]\nsecret_file = {:?}", secret.to_str().unwrap());
    let (one, other) = (
        TestServer::start(&text).await,
        TestServer::start(&text).await,
    );
    let there = Client::stranger(&one);
    let here = Client::stranger(&other);
    let nonce = there.nonce().await;
    let url = here.url("/acme/new-account");
    let reply = with_header(&here, &url, |header| header["nonce"] = json!(nonce)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    with_header(&here, &url, |header| header["nonce"] = json!(nonce))
        .await
        .problem(400, "badNonce");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_has_an_empty_payload() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let order = client.new_order(&["a.example"]).await;
    let url = order.header("location").to_owned();
    client.get(&url).await.good(200);
    for payload in ["{}", "null", " "] {
        client
            .post_octets(&url, payload.as_bytes())
            .await
            .problem(400, "malformed");
    }
    let orders = format!("{}/orders", client.kid.as_deref().unwrap());
    client
        .post(&orders, json!({}))
        .await
        .problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_signatures_are_refused() {
    let server = TestServer::start("").await;
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    let mut jws = client.key.jws_of(&client.header(&url).await, b"{}");
    jws["payload"] = json!(base64url::encode(b"{\"onlyReturnExisting\":true}"));
    client.send(&url, &jws).await.problem(400, "malformed");
    let mut jws = client.key.jws_of(&client.header(&url).await, b"{}");
    jws["signature"] = json!(format!("{}=", jws["signature"].as_str().unwrap()));
    client.send(&url, &jws).await.problem(400, "malformed");
}
