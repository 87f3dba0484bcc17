//! Requests that are met: by digest and with the artifact, once and again, and asking
//! only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::{answered, sign, sign_form, signed, smallest};
use super::evidence::{ARTIFACT, artifact_hash, cyclonedx, predicate, provenance, sha256};
use super::server::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_hashed_as_it_comes_and_its_digest_signed() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    // Longer than every buffer, with what looks like boundaries in it.
    let mut artifact = Vec::new();
    for number in 0..200_000_u32 {
        artifact.extend_from_slice(&number.to_be_bytes());
        if number % 1000 == 0 {
            artifact.extend_from_slice(b"\r\n--a-boundary-that-no-part-\r\n--");
        }
    }
    let sbom = serde_json::to_vec(&cyclonedx(&artifact)).unwrap();
    let request = br#"{"artifactName": "big", "formats": ["bundle"]}"#;
    let parts: [(&str, &[u8]); 3] = [
        ("request", request),
        ("sbom", &sbom),
        ("artifact", &artifact),
    ];
    let object = answered(sign_form(&server, &client, &parts), 201).await;
    assert_eq!(object["artifactHash"], artifact_hash(&artifact));
    assert_eq!(object["artifactSize"], artifact.len());
    assert_eq!(object["formats"], json!(["signature", "bundle"]));
    assert_eq!(object["tokenSignatures"], 1);
    assert!(object.get("cmsURL").is_none() && object.get("timestampURL").is_none());
    assert!(object.get("sbomURL").is_some() && object.get("sbomAttestationURL").is_none());
    // By digest, evidence in parts of its own.
    let request = json!({"artifactHash": artifact_hash(&artifact)}).to_string();
    let parts: [(&str, &[u8]); 2] = [("request", request.as_bytes()), ("sbom", &sbom)];
    let object = answered(sign_form(&server, &client, &parts), 201).await;
    assert_eq!(object["artifactHash"], artifact_hash(&artifact));
    assert!(object.get("artifactSize").is_none());
    // An empty artifact is one.
    let parts: [(&str, &[u8]); 2] = [("request", b"{}"), ("artifact", b"")];
    let object = answered(sign_form(&server, &client, &parts), 201).await;
    assert_eq!(object["artifactHash"], artifact_hash(b""));
    assert!(
        server
            .metrics()
            .contains("chancery_signing_uploaded_bytes_total")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_in_base64_is_kept_octet_for_octet() {
    let server = TestServer::start("").await;
    let client = server.http(Some("operator/bob"));
    let sbom = serde_json::to_vec_pretty(&cyclonedx(ARTIFACT)).unwrap();
    let bare = serde_json::to_vec_pretty(&predicate()).unwrap();
    let mut body = smallest();
    body["sbom"] = json!(STANDARD.encode(&sbom));
    body["provenance"] = json!(STANDARD.encode(&bare));
    let object = signed(&server, &client, &body).await;
    for (member, sent) in [("sbomURL", &sbom), ("provenanceURL", &bare)] {
        let url = object[member].as_str().unwrap();
        let got = client.get(url).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(&got[..], &sent[..], "{member}");
    }
    assert_eq!(object["sbom"]["sha256"], sha256(&sbom));
    assert_eq!(object["provenance"]["form"], "predicate");
    assert_eq!(object["provenance"]["attestedByService"], true);
    assert_eq!(object["provenance"]["level"], 1);
    assert_eq!(
        object["provenance"]["source"],
        "https://git.example/team/app"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_never_signs_twice() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let keyed = |body: &Value| sign(&server, &client, body).header("idempotency-key", "release-1");
    let first = answered(keyed(&smallest()), 201).await;
    let made = server.keystore.signatures();
    let again = keyed(&smallest()).send().await.unwrap();
    assert_eq!(again.status(), 201);
    assert_eq!(again.headers().get("idempotency-replayed").unwrap(), "true");
    let again: Value = again.json().await.unwrap();
    assert_eq!(again, first);
    assert_eq!(server.keystore.signatures(), made);
    // Other clients have their own keys, and without a key everything is new.
    let other = server.http(Some("signer/carol"));
    let theirs = sign(&server, &other, &smallest()).header("idempotency-key", "release-1");
    let theirs = answered(theirs, 201).await;
    assert_ne!(theirs["id"], first["id"]);
    assert_ne!(
        signed(&server, &client, &smallest()).await["id"],
        first["id"]
    );
    let metrics = server.metrics();
    assert!(
        metrics.contains(r#"requests_total{profile="default",outcome="repeated"} 1"#),
        "{metrics}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_everything_and_signs_nothing() {
    let server = TestServer::start(
        "[profiles.default.sbom]\nrequired = true\n[profiles.default.provenance]\nminimum_level = 2",
    )
    .await;
    let client = server.http(Some("signer/alice"));
    let before = server.keystore.signatures();
    let asks = |body: &Value| {
        let url = server.url("/v1/signatures?dry_run=true");
        client.post(url).json(body)
    };
    let mut body = smallest();
    body["provenance"] = provenance(ARTIFACT);
    let verdict = answered(asks(&body), 200).await;
    assert_eq!(verdict["decision"], "refused");
    let failed: Vec<&Value> = verdict["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["outcome"] == "failed")
        .map(|check| &check["rule"])
        .collect();
    assert_eq!(failed, ["sbom_present", "provenance_level"]);
    assert_eq!(server.keystore.signatures(), before);
    let found = answered(client.get(server.url("/v1/signatures")), 200).await;
    assert_eq!(found["signatures"], json!([]));
    server.stop().await;
}
