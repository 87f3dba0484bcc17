//! What is given back: octet for octet, tagged, for good; and found again.

use mesh::ProblemType as P;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};

use super::client::{answered, refused, signed, smallest};
use super::evidence::{ARTIFACT, BUILDER, artifact_hash, cyclonedx, provenance, sha256};
use super::server::TestServer;

/// A request with evidence.
fn full() -> Value {
    let mut body = smallest();
    body["sbom"] = cyclonedx(ARTIFACT);
    body["provenance"] = provenance(ARTIFACT);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_has_its_media_type_and_a_tag_and_never_changes() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let object = signed(&server, &client, &full()).await;
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    for (member, media_type) in [
        ("signatureURL", "application/octet-stream"),
        ("certificateURL", "application/pem-certificate-chain"),
        ("bundleURL", bundle),
        ("cmsURL", "application/pkcs7-signature"),
        ("sbomURL", "application/vnd.cyclonedx+json"),
        ("sbomAttestationURL", bundle),
        ("provenanceURL", "application/json"),
        ("provenanceAttestationURL", bundle),
        ("timestampURL", "application/timestamp-reply"),
        ("attestationsURL", "application/jsonl"),
        ("vsaURL", bundle),
    ] {
        let url = object[member].as_str().unwrap();
        let response = client.get(url).send().await.unwrap();
        let header = |name| {
            response
                .headers()
                .get(name)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(header(CONTENT_TYPE), media_type, "{member}");
        assert_eq!(
            header(CACHE_CONTROL),
            "private, max-age=31536000, immutable"
        );
        let tag = header(ETAG);
        let octets = response.bytes().await.unwrap();
        assert_eq!(tag, format!("\"{}\"", sha256(&octets)), "{member}");
        let again = client
            .get(url)
            .header(IF_NONE_MATCH, format!("\"x\", {tag}"));
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), 304, "{member}");
        assert_eq!(again.headers().get(ETAG).unwrap().to_str().unwrap(), tag);
        let stale = client
            .get(url)
            .header(IF_NONE_MATCH, "\"x\"")
            .send()
            .await
            .unwrap();
        assert_eq!(stale.status(), 200, "{member}");
        let head = client.head(url).send().await.unwrap();
        assert_eq!(head.status(), 200, "{member}");
        let length = head.headers().get(CONTENT_LENGTH).unwrap();
        assert_eq!(
            length.to_str().unwrap(),
            octets.len().to_string(),
            "{member}"
        );
    }
    // The envelope alone, as in-toto's own tools read it.
    let url = object["sbomAttestationURL"].as_str().unwrap();
    let envelope = client
        .get(url)
        .header(ACCEPT, "application/vnd.dsse.envelope.v1+json");
    let envelope = answered(envelope, 200).await;
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    assert_eq!(envelope["signatures"].as_array().unwrap().len(), 1);
    let keys = answered(client.get(server.url("/v1/trusted-root/keys")), 200).await;
    let keyid = envelope["signatures"][0]["keyid"].as_str().unwrap();
    assert_eq!(
        keys[keyid]["scheme"], "ecdsa-sha2-nistp256",
        "{keyid}: {keys}"
    );
    refused(
        P::NotAcceptable,
        client.get(url).header(ACCEPT, "text/html"),
    )
    .await;

    let id = object["id"].as_str().unwrap();
    let at = |path: &str| client.get(server.url(&format!("/v1/signatures/{id}{path}")));
    assert_eq!(answered(at(""), 200).await, object);
    refused(P::EvidenceAbsent, at("/log-entry")).await;
    refused(P::NotFound, at("/nothing")).await;
    let unknown = "sig-00000000000000000000000000";
    for name in [unknown, "sig-x", "x"] {
        let url = server.url(&format!("/v1/signatures/{name}"));
        refused(P::SignatureUnknown, client.get(&url)).await;
        refused(P::SignatureUnknown, client.get(format!("{url}/bundle"))).await;
        refused(P::SignatureUnknown, client.get(format!("{url}/status"))).await;
    }
    refused(
        P::MethodNotAllowed,
        client.delete(server.url("/v1/signatures")),
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_bill_of_materials_comes_back_octet_for_octet() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let mut sbom = cyclonedx(ARTIFACT);
    let many: Vec<Value> = (0..20_000)
        .map(|number| json!({"type": "library", "name": format!("part-{number}"), "version": "1"}))
        .collect();
    sbom["components"] = json!(many);
    let sent = serde_json::to_vec(&sbom).unwrap();
    assert!(sent.len() > store::signing::INLINE_MAX);
    let mut body = smallest();
    body["sbom"] = sbom;
    let object = signed(&server, &client, &body).await;
    assert_eq!(object["sbom"]["components"], 20_000);
    let url = object["sbomURL"].as_str().unwrap();
    let got = client.get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(got.len(), sent.len());
    assert!(got[..] == sent[..]);
    let url = object["sbomAttestationURL"].as_str().unwrap();
    let bundle = answered(client.get(url), 200).await;
    assert!(bundle["dsseEnvelope"]["payload"].as_str().unwrap().len() > sent.len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_found_by_artifact_signer_builder_profile_and_time() {
    let server =
        TestServer::start("[limits]\nsearch_page = 2\n[profiles.default]\n[profiles.other]").await;
    let alice = server.http(Some("signer/alice"));
    let carol = server.http(Some("signer/carol"));
    let first = signed(&server, &alice, &full()).await;
    let second = signed(&server, &carol, &smallest()).await;
    let other = json!({"artifactHash": artifact_hash(b"other"), "profile": "other"});
    let third = signed(&server, &alice, &other).await;
    let search = |query: &str| {
        let request = alice.get(server.url(&format!("/v1/signatures{query}")));
        async move {
            let page = answered(request, 200).await;
            let ids: Vec<Value> = page["signatures"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].clone())
                .collect();
            (ids, page["next"].as_str().map(str::to_owned))
        }
    };
    let id = |object: &Value| object["id"].clone();
    let hash = artifact_hash(ARTIFACT);
    for (query, found) in [
        (
            format!("?artifactHash={hash}"),
            vec![id(&second), id(&first)],
        ),
        ("?signer=signer/carol".to_owned(), vec![id(&second)]),
        (format!("?builder={BUILDER}"), vec![id(&first)]),
        ("?profile=other".to_owned(), vec![id(&third)]),
        (
            format!("?artifactHash={hash}&signer=signer/alice"),
            vec![id(&first)],
        ),
        ("?since=2100-01-01T00:00:00Z".to_owned(), vec![]),
        ("?signer=signer/nobody".to_owned(), vec![]),
    ] {
        assert_eq!(search(&query).await.0, found, "{query}");
    }
    // Page by page, the newest first.
    let (page, next) = search("").await;
    assert_eq!(page, [id(&third), id(&second)]);
    let (page, next) = search(&format!("?cursor={}", next.unwrap())).await;
    assert_eq!((page, next), (vec![id(&first)], None));
    let (page, _) = search("?limit=1").await;
    assert_eq!(page, [id(&third)]);
    let artifact = alice.get(server.url(&format!("/v1/artifacts/{hash}")));
    let artifact = answered(artifact, 200).await;
    assert_eq!(artifact["artifactHash"], hash);
    assert_eq!(artifact["signatures"].as_array().unwrap().len(), 2);
    let get = |path: &str| alice.get(server.url(path));
    for query in [
        "?limit=3",
        "?limit=0",
        "?limit=x",
        "?cursor=x",
        "?since=yesterday",
        "?surprise=1",
        "?signer=a%20b",
        "?profile=A",
    ] {
        refused(P::MalformedRequest, get(&format!("/v1/signatures{query}"))).await;
    }
    refused(P::DigestInvalid, get("/v1/signatures?artifactHash=x")).await;
    refused(P::DigestInvalid, get("/v1/artifacts/x")).await;
    refused(
        P::ArtifactUnknown,
        get(&format!("/v1/artifacts/{}", artifact_hash(b"?"))),
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_signature_says_when_why_and_by_whom() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let object = signed(&server, &client, &smallest()).await;
    let url = server.url(&format!(
        "/v1/signatures/{}",
        object["id"].as_str().unwrap()
    ));
    let before = client.get(&url).send().await.unwrap();
    let tag = before.headers().get(ETAG).unwrap().clone();
    let withdraw = |body: Value| client.post(format!("{url}/revoke")).json(&body);
    refused(P::MalformedRequest, withdraw(json!({"reason": "boredom"}))).await;
    refused(P::MalformedRequest, withdraw(json!({}))).await;
    let reason = json!({"reason": "vulnerable", "note": "CVE-2026-1"});
    let status = answered(withdraw(reason.clone()), 200).await;
    assert_eq!(status["status"], "withdrawn");
    assert_eq!(status["withdrawal"]["reason"], "vulnerable");
    assert_eq!(status["withdrawal"]["by"], "signer/alice");
    assert_eq!(
        answered(client.get(format!("{url}/status")), 200).await,
        status
    );
    let again = refused(P::AlreadyWithdrawn, withdraw(reason)).await;
    assert_eq!(again.members["withdrawal"], status["withdrawal"]);
    // The signature's own document has changed, its evidence has not.
    let after = client
        .get(&url)
        .header(IF_NONE_MATCH, tag)
        .send()
        .await
        .unwrap();
    assert_eq!(after.status(), 200);
    let after: Value = after.json().await.unwrap();
    assert_eq!(after["withdrawal"], status["withdrawal"]);
    let bundle = client.get(object["bundleURL"].as_str().unwrap());
    answered(bundle, 200).await;
    assert!(
        server
            .metrics()
            .contains("chancery_signing_withdrawn_total 1")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_profiles_are_told() {
    let server = TestServer::start(
        "[profiles.default]\n[profiles.others]\nclients = ['signer/nobody']\ndescription = 'theirs'",
    )
    .await;
    let client = server.http(Some("signer/alice"));
    let limits = answered(client.get(server.url("/v1/limits")), 200).await;
    assert_eq!(limits["sbomBytes"], 64 << 20);
    assert_eq!(limits["provenanceBytes"], 16 << 20);
    let usable: Vec<_> = limits["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].clone(), one["usable"].clone()))
        .collect();
    assert_eq!(
        usable,
        [
            (json!("default"), json!(true)),
            (json!("others"), json!(false))
        ]
    );
    server.stop().await;
}
