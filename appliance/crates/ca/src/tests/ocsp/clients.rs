//! Clients that are not ours.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::RevocationReason;
use pki::ocsp::CertIdHash;

use super::super::requests::openssl;
use super::Answering;

/// Runs `openssl ocsp` and returns all that it said, both streams.
async fn openssl_ocsp(answering: &Answering, arguments: &[&str]) -> String {
    let directory = answering.installation.directory.path().to_owned();
    let url = answering.url("/ocsp");
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let output = tokio::task::spawn_blocking(move || {
        Command::new("openssl")
            .args(["ocsp", "-issuer", "issuing.pem", "-CAfile", "both.pem"])
            .args(["-url", &url, "-resp_text"])
            .args(arguments)
            .current_dir(directory)
            .output()
            .expect("openssl must be installed; tests/run installs it")
    })
    .await
    .unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_verifies_every_kind_of_answer() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    answering.write_certificates(&leaf);
    for (hash, nonce) in [
        ("-sha1", "-nonce"),
        ("-sha1", "-no_nonce"),
        ("-sha256", "-nonce"),
        ("-sha256", "-no_nonce"),
        // Not kept ready.
        ("-sha384", "-no_nonce"),
    ] {
        let said = openssl_ocsp(&answering, &[hash, "-cert", "leaf.pem", nonce]).await;
        assert!(said.contains("Response verify OK"), "{said}");
        assert!(said.contains("leaf.pem: good"), "{said}");
        assert!(!said.contains("WARNING"), "{said}");
        assert_eq!(said.contains("OCSP Nonce"), nonce == "-nonce", "{said}");
    }

    answering
        .revoke(leaf.serial(), RevocationReason::KeyCompromise)
        .await;
    for hash in ["-sha1", "-sha256"] {
        let said = openssl_ocsp(&answering, &[hash, "-cert", "leaf.pem", "-no_nonce"]).await;
        assert!(said.contains("leaf.pem: revoked"), "{said}");
        assert!(said.contains("Reason: keyCompromise"), "{said}");
    }
    let said = openssl_ocsp(&answering, &["-serial", "0x4711", "-no_nonce"]).await;
    assert!(said.contains("0x4711: unknown"), "{said}");
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_takes_several_answers_at_once() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    answering.write_certificates(&leaf);
    let arguments = ["-cert", "leaf.pem", "-serial", "0x4711"];
    let said = openssl_ocsp(&answering, &arguments).await;
    assert!(said.contains("Response verify OK"), "{said}");
    assert!(said.contains("leaf.pem: good"), "{said}");
    assert!(said.contains("0x4711: unknown"), "{said}");
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gnutls_verifies_an_answer() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    let directory = answering.write_certificates(&leaf).to_owned();
    let url = answering.url("/ocsp");
    let output = tokio::task::spawn_blocking(move || {
        Command::new("ocsptool")
            .arg(format!("--ask={url}"))
            .args(["--load-cert", "leaf.pem", "--load-issuer", "issuing.pem"])
            .args(["--nonce", "--load-trust", "both.pem"])
            .current_dir(directory)
            .output()
            .expect("ocsptool must be installed; tests/run installs it")
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("Certificate Status: good"), "{said}");
    assert!(said.contains("Verifying OCSP Response: Success"), "{said}");
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_is_answered_as_caches_want_it() {
    // A busy machine makes the token slow, which would leave nonces out.
    let answering = Answering::start("nonce = 'answer'").await;
    let leaf = answering.issue("a.example").await;
    let directory = answering.write_certificates(&leaf);
    answering.is_ready().await;
    let client = answering.client();
    let request = answering.request(CertIdHash::Sha1, &[leaf.serial()], None);
    let url = answering.url(&format!("/ocsp/{}", STANDARD.encode(&request)));
    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/ocsp-response");
    assert_eq!(
        header("cache-control"),
        "max-age=3600, public, no-transform, must-revalidate"
    );
    let (etag, modified) = (header("etag"), header("last-modified"));
    assert_ne!(modified, header("expires"));
    let length = header("content-length");
    let der = response.bytes().await.unwrap();
    std::fs::write(directory.join("answer.der"), &der).unwrap();
    let said = openssl(
        directory,
        &[
            "ocsp",
            "-respin",
            "answer.der",
            "-issuer",
            "issuing.pem",
            "-cert",
            "leaf.pem",
            "-CAfile",
            "both.pem",
            "-no_nonce",
        ],
    );
    assert!(String::from_utf8_lossy(&said).contains("leaf.pem: good"));

    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"].to_str().unwrap(), length);
    for (name, value) in [("if-none-match", &etag), ("if-modified-since", &modified)] {
        let known = client.get(&url).header(name, value).send().await.unwrap();
        assert_eq!(known.status(), 304, "{name}");
        assert_eq!(known.headers()["etag"].to_str().unwrap(), etag);
        assert!(known.headers().contains_key("expires"));
        assert!(known.bytes().await.unwrap().is_empty());
    }

    // What POST is answered is not kept, nor is anything with a nonce.
    let post = client
        .post(answering.url("/ocsp"))
        .header("content-type", "application/ocsp-request")
        .body(request)
        .send()
        .await
        .unwrap();
    assert_eq!(post.headers()["cache-control"], "no-store");
    assert_eq!(post.bytes().await.unwrap(), der);
    let with_nonce = answering.request(CertIdHash::Sha1, &[leaf.serial()], Some(&[7; 32]));
    let path = format!("/ocsp/{}", STANDARD.encode(with_nonce));
    let response = client.get(answering.url(&path)).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(!response.headers().contains_key("etag"));
    answering.stop().await;
}
