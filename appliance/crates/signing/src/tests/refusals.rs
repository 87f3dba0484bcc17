//! Every problem that the service can answer with, reached over the network; none of
//! them signs anything or leaves anything behind.

use std::sync::Arc;

use mesh::ProblemType as P;
use serde_json::json;
use store::signing::SigningStoreError;
use store::{Error as StoreError, Fault};

use super::client::{answered, form, member, refused, sign, sign_form, signed, smallest, upload};
use super::evidence::{ARTIFACT, BUILDER, artifact_hash, cyclonedx, provenance};
use super::faulty::{Act, Acting};
use super::keystore::Token;
use super::server::TestServer;

/// A profile for each rule.
const CONFIG: &str = "
[limits]
sbom_bytes = 20000
provenance_bytes = 20000
artifact_bytes = 100000
upload_grace = '1s'
[profiles.default]
description = 'anything'
[profiles.names]
artifacts = ['*.tar.gz']
[profiles.others]
clients = ['signer/nobody']
[profiles.fresh]
max_crl_age = '1h'
[profiles.slow]
rate_per_minute = 1
[profiles.bill.sbom]
required = true
formats = ['spdx-json']
[profiles.elements.sbom]
elements = ['supplier']
[profiles.named.sbom]
names_artifact = true
[profiles.built.provenance]
required = true
sources = ['https://git.example/other/*']
[profiles.trusted.provenance]
minimum_level = 1
[[profiles.trusted.provenance.builders]]
id = 'https://trusted.example/*'
[profiles.high.provenance]
minimum_level = 3
";

/// Holds the service to having signed and kept nothing since.
async fn nothing_was_signed(server: &TestServer, client: &reqwest::Client, before: usize) {
    assert_eq!(server.keystore.signatures(), before);
    let found = answered(client.get(server.url("/v1/signatures")), 200).await;
    assert_eq!(found["signatures"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_does_not_hold_is_named_with_what_it_expects_and_found() {
    let server = TestServer::start(CONFIG).await;
    let client = server.http(Some("signer/alice"));
    let before = server.keystore.signatures();
    *server.lists.age.lock().unwrap() = std::time::Duration::from_secs(7200);
    let with = |profile: &str, change: serde_json::Value| {
        let mut body = smallest();
        body["profile"] = json!(profile);
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        sign(&server, &client, &body)
    };
    let mut poor = cyclonedx(ARTIFACT);
    poor["components"][0]
        .as_object_mut()
        .unwrap()
        .remove("supplier");
    let mut nameless = cyclonedx(ARTIFACT);
    nameless["metadata"]["component"]
        .as_object_mut()
        .unwrap()
        .remove("hashes");
    let other = artifact_hash(b"other");
    for (kind, rule, code, request) in [
        (
            P::ProfileDenied,
            "client",
            "profile_denied",
            with("others", json!({})),
        ),
        (
            P::ProfileDenied,
            "artifact_name",
            "profile_denied",
            with("names", json!({})),
        ),
        (
            P::CrlTooOld,
            "crl_age",
            "crl_stale",
            with("fresh", json!({})),
        ),
        (
            P::ProfileDenied,
            "hash",
            "profile_denied",
            with(
                "default",
                json!({"artifactHash": format!("sha512:{}", "0".repeat(128))}),
            ),
        ),
        (
            P::SbomRequired,
            "sbom_present",
            "sbom_required",
            with("bill", json!({})),
        ),
        (
            P::ProfileDenied,
            "sbom_format",
            "profile_denied",
            with("bill", json!({"sbom": cyclonedx(ARTIFACT)})),
        ),
        (
            P::ProfileDenied,
            "sbom_elements",
            "profile_denied",
            with("elements", json!({"sbom": poor})),
        ),
        (
            P::SbomSubjectMismatch,
            "sbom_subject",
            "sbom_subject_mismatch",
            with("default", json!({"sbom": cyclonedx(b"other")})),
        ),
        (
            P::SbomSubjectMismatch,
            "sbom_subject",
            "sbom_subject_mismatch",
            with("named", json!({"sbom": nameless})),
        ),
        (
            P::SbomInvalid,
            "sbom_valid",
            "sbom_invalid",
            with("default", json!({"sbom": {"bomFormat": "CycloneDX"}})),
        ),
        (
            P::ProvenanceRequired,
            "provenance_present",
            "provenance_required",
            with("built", json!({})),
        ),
        (
            P::ProfileDenied,
            "provenance_source",
            "profile_denied",
            with("built", json!({"provenance": provenance(ARTIFACT)})),
        ),
        (
            P::ProvenanceInvalid,
            "provenance_valid",
            "provenance_invalid",
            with("default", json!({"provenance": {"hello": "world"}})),
        ),
        (
            P::ProvenanceUntrustedBuilder,
            "provenance_builder",
            "provenance_untrusted_builder",
            with("trusted", json!({"provenance": provenance(ARTIFACT)})),
        ),
        (
            P::ProfileDenied,
            "provenance_level",
            "profile_denied",
            with("high", json!({"provenance": provenance(ARTIFACT)})),
        ),
        (
            P::SubjectDigestMismatch,
            "provenance_subject",
            "subject_digest_mismatch",
            with("default", json!({"provenance": provenance(b"other")})),
        ),
    ] {
        let document = refused(kind, request).await;
        assert_eq!(member(&document, "rule"), rule, "{document:?}");
        assert_eq!(member(&document, "code"), code);
        assert!(!member(&document, "expected").is_empty(), "{document:?}");
        assert!(!member(&document, "actual").is_empty(), "{document:?}");
        assert_eq!(document.members["policy"]["decision"], "refused");
    }
    // The artifact itself is another one.
    let request = json!({"artifactHash": other}).to_string();
    let parts: [(&str, &[u8]); 2] = [("request", request.as_bytes()), ("artifact", ARTIFACT)];
    let document = refused(
        P::ArtifactDigestMismatch,
        sign_form(&server, &client, &parts),
    )
    .await;
    assert_eq!(member(&document, "expected"), other);
    assert_eq!(member(&document, "actual"), artifact_hash(ARTIFACT));
    // The builder is told.
    let document = refused(
        P::ProvenanceUntrustedBuilder,
        with("trusted", json!({"provenance": provenance(ARTIFACT)})),
    )
    .await;
    assert!(member(&document, "actual").contains(BUILDER));
    nothing_was_signed(&server, &client, before).await;

    let metrics = server.metrics();
    assert!(
        metrics.contains(r#"refusals_total{rule="provenance_builder"} 2"#),
        "{metrics}"
    );
    // As often as it may, and no more.
    let slow = || with("slow", json!({}));
    answered(slow(), 201).await;
    let document = refused(P::RateLimited, slow()).await;
    assert_eq!(member(&document, "rule"), "rate");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_and_leaves_nothing_behind() {
    let server = TestServer::start(CONFIG).await;
    let client = server.http(Some("signer/alice"));
    let before = server.keystore.signatures();
    let with = |change: serde_json::Value| {
        let mut body = smallest();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        sign(&server, &client, &body)
    };
    for digest in [
        "sha256:zz".to_owned(),
        "md5:00".to_owned(),
        "00".repeat(32),
        artifact_hash(ARTIFACT).to_uppercase(),
        format!("{}0", artifact_hash(ARTIFACT)),
    ] {
        refused(P::DigestInvalid, with(json!({"artifactHash": digest}))).await;
    }
    for body in [
        json!({"artifactName": "no digest"}),
        json!({"artifactHash": artifact_hash(ARTIFACT), "surprise": 1}),
        json!({"artifactHash": artifact_hash(ARTIFACT), "formats": ["zip"]}),
        json!({"artifactHash": artifact_hash(ARTIFACT), "algorithm": "rsa-pss-sha256"}),
        json!({"artifactHash": artifact_hash(ARTIFACT), "artifactName": "a\u{0}b"}),
        json!({"artifactHash": artifact_hash(ARTIFACT), "sbom": 7}),
        json!({"artifactHash": artifact_hash(ARTIFACT), "sbom": "not base64!"}),
        json!([]),
    ] {
        refused(P::MalformedRequest, sign(&server, &client, &body)).await;
    }
    let post = || client.post(server.url("/v1/signatures"));
    let json = |body: &'static str| post().header("content-type", "application/json").body(body);
    for body in [
        "",
        "{",
        "null",
        r#"{"artifactHash":"a","artifactHash":"b"}"#,
    ] {
        refused(P::MalformedRequest, json(body)).await;
    }
    for key in ["a b", ""] {
        let keyed = sign(&server, &client, &smallest()).header("idempotency-key", key);
        refused(P::MalformedRequest, keyed).await;
    }
    let asked = client
        .post(server.url("/v1/signatures?dry_run=maybe"))
        .json(&smallest());
    refused(P::MalformedRequest, asked).await;
    let unknown = with(json!({"profile": "nobody"}));
    refused(P::ProfileUnknown, unknown).await;
    refused(P::UnsupportedMediaType, post().body("x")).await;

    // Evidence that is none: XML bombs, external entities, depth, size.
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE b [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>\
                <bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\" version=\"1\">&b;</bom>";
    let entity = "<?xml version=\"1.0\"?><!DOCTYPE b [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
                  <bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\" version=\"1\">&x;</bom>";
    let deep = format!(
        "{}{}",
        "{\"a\":".repeat(500),
        "1".to_owned() + &"}".repeat(500)
    );
    for sbom in [bomb, entity, "just words", "{}", &deep] {
        let parts: [(&str, &[u8]); 3] = [
            ("request", b"{}"),
            ("sbom", sbom.as_bytes()),
            ("artifact", ARTIFACT),
        ];
        let document = refused(P::SbomInvalid, sign_form(&server, &client, &parts)).await;
        assert!(!document.detail.contains("root:"), "{}", document.detail);
    }
    for provenance in ["{}", "[]", "words", &deep] {
        let parts: [(&str, &[u8]); 3] = [
            ("request", b"{}"),
            ("provenance", provenance.as_bytes()),
            ("artifact", ARTIFACT),
        ];
        refused(P::ProvenanceInvalid, sign_form(&server, &client, &parts)).await;
    }
    // Too much, with the limit and what there was.
    let long = "x".repeat(20_001);
    let document = refused(P::BodyTooLarge, with(json!({"sbom": {"a": long}}))).await;
    assert_eq!(document.members["limit"], 20_000);
    assert_eq!(document.members["actual"], 20_001 + 8);
    let parts: [(&str, &[u8]); 2] = [("request", b"{}"), ("sbom", long.as_bytes())];
    let document = refused(P::BodyTooLarge, sign_form(&server, &client, &parts)).await;
    assert_eq!(member(&document, "code"), "too_large");
    let huge = vec![0; 100_001];
    let parts: [(&str, &[u8]); 2] = [("request", b"{}"), ("artifact", &huge)];
    refused(P::BodyTooLarge, sign_form(&server, &client, &parts)).await;

    // Forms in disorder.
    let request: (&str, &[u8]) = ("request", b"{}");
    let artifact: (&str, &[u8]) = ("artifact", ARTIFACT);
    for parts in [
        vec![artifact, request],
        vec![artifact],
        vec![request],
        vec![request, request, artifact],
        vec![request, ("surprise", b"x"), artifact],
        vec![request, artifact, ("sbom", b"{}")],
        vec![request, ("provenance", b"{}"), ("sbom", b"{}"), artifact],
        vec![("request", br#"{"sbom": {}}"#), artifact],
        vec![],
    ] {
        refused(P::MalformedRequest, sign_form(&server, &client, &parts)).await;
    }
    let cut = form(&[request, artifact]);
    let cut = cut[..cut.len() - 20].to_vec();
    refused(P::MalformedRequest, upload(post(), cut)).await;
    let no_boundary = post()
        .header("content-type", "multipart/form-data")
        .body("x");
    refused(P::MalformedRequest, no_boundary).await;
    // Nobody waits for an upload that does not come.
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let never = upload(post(), reqwest::Body::wrap_stream(never));
    refused(P::BodyTimeout, never).await;
    nothing_was_signed(&server, &client, before).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_stands_on_fails_and_nothing_is_left_behind() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let request = || sign(&server, &client, &smallest()).header("idempotency-key", "again");
    for token in [Token::Away, Token::AwayFor("signing-timestamps")] {
        server.keystore.set(token);
        let document = refused(P::TokenUnavailable, request()).await;
        assert_eq!(member(&document, "code"), "token_unavailable");
        let url = server.url("/v1/signatures");
        assert_eq!(
            answered(client.get(url), 200).await["signatures"],
            json!([])
        );
        assert!(server.signing.store.open_work().await.unwrap().is_empty());
    }
    server.keystore.set(Token::Works);
    for (error, kind) in [
        (StoreError::Busy { capacity: 1 }, P::QueueFull),
        (
            StoreError::NoSpace {
                directory: "/somewhere".into(),
            },
            P::DiskFull,
        ),
        (
            StoreError::Failed {
                fault: Arc::new(Fault::WriterGone),
            },
            P::StoreFailed,
        ),
    ] {
        for act in [Act::Begin, Act::Stage, Act::Complete] {
            let error = SigningStoreError::Store(error.clone());
            server.store.set(act, Some(Acting::Fails(error)));
            refused(kind, request()).await;
            server.store.set(act, None);
        }
    }
    // The clock contradicts what was recorded.
    server.clock.advance(-7200);
    refused(P::ClockImplausible, request()).await;
    server.clock.advance(7200);
    // Everything is back: the same key signs at last, once.
    answered(request(), 201).await;
    let document = refused(
        P::IdempotencyKeyReused,
        sign(
            &server,
            &client,
            &json!({"artifactHash": artifact_hash(b"other")}),
        )
        .header("idempotency-key", "again"),
    )
    .await;
    assert_eq!(member(&document, "code"), "idempotency_conflict");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_being_served_is_in_progress() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let request = || sign(&server, &client, &smallest()).header("idempotency-key", "once");
    server.store.set(Act::Stage, Some(Acting::Stops));
    let waiting = tokio::spawn(request().send());
    server.store.stops().await;
    refused(P::InProgress, request()).await;
    waiting.abort();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_is_by_role() {
    let server = TestServer::start("").await;
    let nobody = server.http(None);
    let auditor = server.http(Some("auditor/eve"));
    let service = server.http(Some("service/acme/a"));
    let signer = server.http(Some("signer/alice"));
    let other = server.http(Some("signer/carol"));
    let operator = server.http(Some("operator/bob"));
    refused(
        P::ClientCertificateRequired,
        sign(&server, &nobody, &smallest()),
    )
    .await;
    let before = server.keystore.signatures();
    for client in [&auditor, &service] {
        refused(P::RoleForbidden, sign(&server, client, &smallest())).await;
    }
    assert_eq!(server.keystore.signatures(), before);
    let object = signed(&server, &signer, &smallest()).await;
    let id = object["id"].as_str().unwrap();
    let url = server.url(&format!("/v1/signatures/{id}"));
    for client in [&auditor, &service, &other, &operator] {
        answered(client.get(&url), 200).await;
    }
    let enroller = server.http(Some("enrol/acme/a"));
    refused(P::RoleForbidden, enroller.get(&url)).await;
    let withdraw = |client: &reqwest::Client| {
        client
            .post(format!("{url}/revoke"))
            .json(&json!({"reason": "malicious"}))
    };
    refused(P::RoleForbidden, withdraw(&auditor)).await;
    refused(P::WithdrawalForbidden, withdraw(&other)).await;
    let good = answered(signer.get(format!("{url}/status")), 200).await;
    assert_eq!(good["status"], "good");
    server.stop().await;
}
