//! `/v1/verify` and the trusted root.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mesh::ProblemType as P;
use serde_json::{Value, json};

use super::client::{answered, form, refused, signed, smallest, upload};
use super::evidence::{ARTIFACT, artifact_hash, cyclonedx};
use super::server::TestServer;

/// Returns the outcome of a check.
fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    &found.unwrap_or_else(|| panic!("{name}: {report}"))["outcome"]
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_verified_and_every_check_named() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let mut body = smallest();
    body["sbom"] = cyclonedx(ARTIFACT);
    let object = signed(&server, &client, &body).await;
    let get = async |member: &str| {
        let url = object[member].as_str().unwrap();
        let response = client.get(url).send().await.unwrap();
        response.bytes().await.unwrap()
    };
    let bundle: Value = serde_json::from_slice(&get("bundleURL").await).unwrap();
    let sbom: Value = serde_json::from_slice(&get("sbomAttestationURL").await).unwrap();
    let signature = STANDARD.encode(get("signatureURL").await);
    let chain = String::from_utf8(get("certificateURL").await.to_vec()).unwrap();
    let cms = STANDARD.encode(get("cmsURL").await);
    let timestamp = STANDARD.encode(get("timestampURL").await);
    let verify = |body: Value| client.post(server.url("/v1/verify")).json(&body);
    let hash = artifact_hash(ARTIFACT);
    let forms = [
        json!({"bundle": bundle}),
        json!({"bundle": sbom}),
        json!({"signature": signature, "certificate": chain, "timestamp": timestamp}),
        json!({"cms": cms}),
    ];
    for evidence in &forms {
        let mut good = evidence.clone();
        good["artifactHash"] = json!(hash);
        let report = answered(verify(good), 200).await;
        assert_eq!(report["verified"], true, "{report}");
        assert_eq!(check(&report, "signature"), "passed");
        assert_eq!(check(&report, "withdrawn"), "passed");
        let mut bad = evidence.clone();
        bad["artifactHash"] = json!(artifact_hash(b"other"));
        let report = answered(verify(bad), 200).await;
        assert_eq!(report["verified"], false, "{report}");
    }
    // With the artifact itself.
    let request = json!({"bundle": bundle}).to_string();
    for (artifact, verified) in [(ARTIFACT, true), (b"other", false)] {
        let parts: [(&str, &[u8]); 2] = [("request", request.as_bytes()), ("artifact", artifact)];
        let report = upload(client.post(server.url("/v1/verify")), form(&parts));
        assert_eq!(answered(report, 200).await["verified"], verified);
    }
    // What is asked for and not there.
    let asks =
        |policy: Value| verify(json!({"artifactHash": hash, "bundle": sbom, "policy": policy}));
    let report = answered(
        asks(json!({"predicateTypes": ["https://cyclonedx.org/bom"]})),
        200,
    )
    .await;
    assert_eq!(report["verified"], true, "{report}");
    let report = answered(
        asks(json!({"predicateTypes": ["https://slsa.dev/provenance/v1"]})),
        200,
    );
    assert_eq!(check(&report.await, "predicate_type"), "failed");
    let report = answered(asks(json!({"identities": ["https://evil.example"]})), 200).await;
    assert_eq!(check(&report, "identity"), "failed");
    // Withdrawn is told, whatever the signature's mathematics say.
    let url = format!(
        "{}/revoke",
        server.url(&format!(
            "/v1/signatures/{}",
            object["id"].as_str().unwrap()
        ))
    );
    answered(client.post(url).json(&json!({"reason": "malicious"})), 200).await;
    for evidence in &forms {
        let mut withdrawn = evidence.clone();
        withdrawn["artifactHash"] = json!(hash);
        let report = answered(verify(withdrawn), 200).await;
        assert_eq!(report["verified"], false, "{report}");
        assert_eq!(check(&report, "withdrawn"), "failed");
    }
    // What cannot be read is the only thing that is refused.
    for (kind, body) in [
        (P::EvidenceMalformed, json!({"artifactHash": hash})),
        (
            P::EvidenceMalformed,
            json!({"artifactHash": hash, "bundle": {}}),
        ),
        (
            P::EvidenceMalformed,
            json!({"artifactHash": hash, "cms": "AAAA"}),
        ),
        (
            P::EvidenceMalformed,
            json!({"artifactHash": hash, "signature": "AAAA"}),
        ),
        (
            P::EvidenceMalformed,
            json!({"artifactHash": hash, "signature": "!", "certificate": chain}),
        ),
        (
            P::EvidenceMalformed,
            json!({"artifactHash": hash, "bundle": bundle, "cms": cms}),
        ),
        (P::MalformedRequest, json!({"bundle": bundle})),
        (
            P::MalformedRequest,
            json!({"artifactHash": hash, "bundle": bundle, "policy": {"joy": 1}}),
        ),
        (
            P::DigestInvalid,
            json!({"artifactHash": "x", "bundle": bundle}),
        ),
    ] {
        refused(kind, verify(body)).await;
    }
    assert!(
        server
            .metrics()
            .contains(r#"verifications_total{outcome="verified"}"#)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trusted_root_is_told_to_anyone_as_json_and_pem() {
    let server = TestServer::start("").await;
    let nobody = server.http(None);
    let url = format!("{}/v1/trusted-root", server.open);
    let text = nobody.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
    let root = attest::trusted_root::TrustedRoot::parse(text.as_bytes()).unwrap();
    // The issuing authority and the root; the stamper before them, for two kinds of
    // verifiers.
    assert_eq!(root.certificate_authorities[0].certificates.len(), 2);
    let lens: Vec<_> = root
        .time_stamp_authorities
        .iter()
        .map(|authority| authority.certificates.len())
        .collect();
    assert_eq!(lens, [3, 2]);
    let pem = nobody.get(&url).header("accept", "application/x-pem-file");
    let pem = pem.send().await.unwrap().text().await.unwrap();
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2, "{pem}");
    refused(
        P::NotAcceptable,
        nobody.get(&url).header("accept", "image/png"),
    )
    .await;
    // Everything else there is for clients with certificates.
    for path in ["/v1/signatures", "/v1/limits", "/v1/verify"] {
        refused(P::NotFound, nobody.get(format!("{}{path}", server.open))).await;
    }
    server.stop().await;
}
