//! Bytes and paths that no honest client sends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pki::ocsp::{CertIdHash, ErrorStatus};
use reqwest::StatusCode;

use super::Answering;

/// Puts a SEQUENCE around octets.
fn sequence(content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82][..], &len, content].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_are_malformed() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    let serial = leaf.serial();
    let good = answering.request(CertIdHash::Sha1, &[serial], None);
    let signatures = answering.installation.keys.asked();
    let nonce = |octets: &[u8]| answering.request(CertIdHash::Sha1, &[serial], Some(octets));
    let mut indefinite = good.clone();
    indefinite[1] = 0x80;
    indefinite.extend_from_slice(&[0, 0]);
    let many: Vec<_> = std::iter::repeat_n(serial, 17).collect();
    let cases = [
        ("nothing", Vec::new()),
        ("one octet", vec![0x30]),
        ("truncated", good[..good.len() - 1].to_vec()),
        ("trailing octets", [&good[..], &[0]].concat()),
        ("an indefinite length", indefinite),
        ("an empty sequence", sequence(&[])),
        ("no DER", b"GET / HTTP/1.1".to_vec()),
        ("a certificate", leaf.der().to_vec()),
        ("a nonce of 129 octets", nonce(&[1; 129])),
        (
            "too many certificates",
            answering.request(CertIdHash::Sha1, &many, None),
        ),
    ];
    let client = answering.client();
    for (what, body) in cases {
        let response = client
            .post(answering.url("/ocsp"))
            .header("content-type", "application/ocsp-request")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        assert_eq!(response.headers()["cache-control"], "no-store", "{what}");
        let der = response.bytes().await.unwrap();
        assert_eq!(der, ErrorStatus::MalformedRequest.der(), "{what}");
    }
    // RFC 9654, 2.1: from 1 octet to 128 are nonces.
    for octets in [&[1][..], &[1; 128]] {
        let answer = answering.responder.query(&nonce(octets)).await;
        assert!(answering.judge(&answer, serial, Some(octets)).is_ok());
    }
    assert_eq!(answering.installation.keys.asked(), signatures + 2);
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_nonce_is_malformed() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    let with = answering.request(CertIdHash::Sha1, &[leaf.serial()], Some(&[1]));
    // OCTET STRING { OCTET STRING { 01 } } at the end becomes one of nothing.
    let mut empty = with[..with.len() - 5].to_vec();
    assert_eq!(with[with.len() - 5..], [0x04, 0x03, 0x04, 0x01, 0x01]);
    empty.extend_from_slice(&[0x04, 0x02, 0x04, 0x00]);
    for depth in nested_lengths(&with) {
        empty[depth] -= 1;
    }
    let answer = answering.responder.query(&empty).await;
    assert_eq!(answer.der(), ErrorStatus::MalformedRequest.der());
    answering.stop().await;
}

/// Finds the length octets of every value that reaches to the end, all short
/// ones, outermost first, but for the last two.
fn nested_lengths(der: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 2 <= der.len() {
        let (header, length) = match der[at + 1] {
            0x81 => (3, usize::from(der[at + 2])),
            length => (2, usize::from(length)),
        };
        if at + header + length == der.len() {
            found.push(at + header - 1);
            at += header;
        } else {
            at += header + length;
        }
    }
    found.truncate(found.len() - 2);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_http_are_told_by_http() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    let good = answering.request(CertIdHash::Sha1, &[leaf.serial()], None);
    let client = answering.client();
    let post = |media_type: &'static str, body: Vec<u8>| {
        let request = client.post(answering.url("/ocsp"));
        request.header("content-type", media_type).body(body).send()
    };
    let ocsp = "application/ocsp-request";
    let status = async |response: Result<reqwest::Response, reqwest::Error>| {
        let response = response.unwrap();
        let problem = response.headers()["content-type"] == "application/problem+json";
        (response.status().as_u16(), problem)
    };
    assert_eq!(
        status(post(ocsp, vec![0x30; 4097]).await).await,
        (413, true)
    );
    assert_eq!(
        status(post("text/plain", good.clone()).await).await,
        (415, true)
    );
    let put = client.put(answering.url("/ocsp")).body(good.clone());
    assert_eq!(status(put.send().await).await, (405, true));
    let get = async |path: &str| status(client.get(answering.url(path)).send().await).await;
    let encoded = STANDARD.encode(&good);
    assert_eq!(get("/ocsp/").await, (405, true));
    assert_eq!(get("/ocsp/!!!!").await, (400, true));
    assert_eq!(
        // One digit behind a multiple of four is no base64.
        get(&format!("/ocsp/{}", &encoded[..encoded.len() / 4 * 4 - 7])).await,
        (400, true)
    );
    assert_eq!(
        get(&format!("/ocsp/{}", "M".repeat(30_000))).await,
        (414, true)
    );
    assert_eq!(get("/ocsp").await, (405, true));
    // Whole base64 of no request is a request that is none.
    assert_eq!(get("/ocsp/MAAA").await, (200, false));

    // Encoded twice, slashes in front, a slash behind the POST's address.
    let twice = encoded
        .replace('+', "%252B")
        .replace('/', "%252F")
        .replace('=', "%253D");
    assert_eq!(get(&format!("/ocsp/{twice}")).await, (200, false));
    assert_eq!(get(&format!("/ocsp///{encoded}")).await, (200, false));
    let slash = client.post(answering.url("/ocsp/")).body(good).send().await;
    assert_eq!(status(slash).await, (200, false));
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_not_ours_is_unauthorized() {
    let answering = Answering::start("").await;
    let root = answering.ca.authorities().root();
    let hashes = pki::ocsp::IssuerHashes::of(root);
    for hash in CertIdHash::ALL {
        let id = hashes.cert_id_der(hash, answering.issuer().serial());
        let request = pki::ocsp::encode_request(&[&id], None);
        let answer = answering.responder.query(&request).await;
        assert_eq!(answer.der(), ErrorStatus::Unauthorized.der(), "{hash:?}");
    }
    answering.stop().await;
}
