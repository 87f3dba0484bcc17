//! What a signature is: each document, as tools that are not ours read it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::evidence::{ARTIFACT, artifact_hash, cyclonedx, provenance, sha256};
use super::server::TestServer;

/// Runs OpenSSL and returns whether it was content, and what it said.
fn openssl(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Holds OpenSSL to a verdict.
#[track_caller]
fn content(directory: &Path, arguments: &str) {
    let words: Vec<_> = arguments.split(' ').collect();
    let (good, said) = openssl(directory, &words);
    assert!(good, "openssl {arguments}: {said}");
}

/// Holds OpenSSL to the contrary.
#[track_caller]
fn refused(directory: &Path, arguments: &str) {
    let words: Vec<_> = arguments.split(' ').collect();
    let (good, said) = openssl(directory, &words);
    assert!(!good, "openssl {arguments}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_signed_by_digest_and_openssl_verifies_every_form() {
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let body = json!({
        "artifactHash": artifact_hash(ARTIFACT),
        "artifactName": "app-1.0.tar.gz",
        "mediaType": "application/gzip",
        "sbom": cyclonedx(ARTIFACT),
        "provenance": provenance(ARTIFACT),
    });
    let before = server.keystore.signatures();
    let response = client
        .post(server.url("/v1/signatures"))
        .json(&body)
        .send()
        .await
        .unwrap();
    let status = response.status();
    let location = response.headers().get("location").cloned();
    let text = response.text().await.unwrap();
    assert_eq!(status, 201, "{text}");
    let object: Value = serde_json::from_str(&text).unwrap();
    let id = object["id"].as_str().unwrap();
    assert_eq!(
        location.unwrap().to_str().unwrap(),
        server.url(&format!("/v1/signatures/{id}"))
    );
    assert_eq!(object["artifactHash"], artifact_hash(ARTIFACT));
    assert_eq!(object["signer"], "signer/alice");
    assert_eq!(object["policy"]["decision"], "allowed");
    assert_eq!(object["sbom"]["format"], "cyclonedx-json");
    assert_eq!(object["provenance"]["materials"], 1);
    // Raw, CMS and three envelopes, each with a time-stamp.
    assert_eq!(object["tokenSignatures"], 10);
    assert_eq!(server.keystore.signatures() - before, 10);

    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    let write = |name: &str, octets: &[u8]| std::fs::write(path.join(name), octets).unwrap();
    write("a", ARTIFACT);
    write("b", b"another artifact\n");
    let (root, issuing) = server.authority.authorities_pem();
    write("root.pem", root.as_bytes());
    write("issuing.pem", issuing.as_bytes());
    for (member, name) in [
        ("signatureURL", "a.sig"),
        ("certificateURL", "chain.pem"),
        ("bundleURL", "bundle.json"),
        ("cmsURL", "a.p7s"),
        ("timestampURL", "r.tsr"),
        ("sbomURL", "sbom"),
        ("provenanceURL", "provenance"),
        ("sbomAttestationURL", "sbom.json"),
        ("provenanceAttestationURL", "provenance.json"),
        ("attestationsURL", "attestations.jsonl"),
        ("vsaURL", "vsa.json"),
    ] {
        let url = object[member]
            .as_str()
            .unwrap_or_else(|| panic!("{member}: {text}"));
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        write(name, &response.bytes().await.unwrap());
    }

    content(path, "x509 -in chain.pem -pubkey -noout -out pub.pem");
    content(path, "dgst -sha256 -verify pub.pem -signature a.sig a");
    refused(path, "dgst -sha256 -verify pub.pem -signature a.sig b");
    content(
        path,
        "verify -purpose any -CAfile root.pem -untrusted issuing.pem chain.pem",
    );
    let cms = "cms -verify -binary -inform DER -in a.p7s -CAfile root.pem -purpose any -out out";
    content(path, &format!("{cms} -content a"));
    refused(path, &format!("{cms} -content b"));
    let ts = "ts -verify -in r.tsr -CAfile root.pem -untrusted issuing.pem";
    content(path, &format!("{ts} -data a.sig"));
    refused(path, &format!("{ts} -data a"));

    // Given back as it was sent, octet for octet.
    let sent = serde_json::to_vec(&body["sbom"]).unwrap();
    assert_eq!(std::fs::read(path.join("sbom")).unwrap(), sent);
    assert_eq!(object["sbom"]["sha256"], sha256(&sent));
    let lines = std::fs::read_to_string(path.join("attestations.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 3);
    server.stop().await;
}
