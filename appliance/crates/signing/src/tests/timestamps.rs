//! `/v1/timestamps` (RFC 3161), as OpenSSL asks and reads it.

use std::process::Command;

use mesh::ProblemType as P;
use pki::timestamp::{FailureInfo, TimeStampResponse};
use reqwest::{Client, RequestBuilder};

use super::client::refused;
use super::faulty::{Act, Acting};
use super::keystore::Token;
use super::server::TestServer;

/// Has OpenSSL ask for a time-stamp of a file.
fn query(directory: &std::path::Path, arguments: &str) -> Vec<u8> {
    std::fs::write(directory.join("data"), b"some data").unwrap();
    let output = Command::new("openssl")
        .args(["ts", "-query", "-data", "data", "-out", "q.tsq"])
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(directory.join("q.tsq")).unwrap()
}

/// Begins a request.
fn ask(client: &Client, base: &str, query: &[u8]) -> RequestBuilder {
    client
        .post(format!("{base}/v1/timestamps"))
        .header("content-type", "application/timestamp-query")
        .body(query.to_vec())
}

/// Sends a request and returns the response, DER.
async fn answered(request: RequestBuilder) -> Vec<u8> {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let media_type = response.headers().get("content-type").unwrap().clone();
    assert_eq!(media_type, "application/timestamp-reply");
    response.bytes().await.unwrap().to_vec()
}

/// Returns why a time-stamp was refused.
fn failure(response_der: &[u8]) -> Option<FailureInfo> {
    match TimeStampResponse::parse(response_der).unwrap() {
        TimeStampResponse::Granted(_) => None,
        TimeStampResponse::Rejected { failure, .. } => failure,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_s_queries_are_stamped_on_both_listeners_and_verify() {
    let server = TestServer::start("").await;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    let (root, issuing) = server.authority.authorities_pem();
    std::fs::write(path.join("root.pem"), root).unwrap();
    std::fs::write(path.join("issuing.pem"), issuing).unwrap();
    let peer = server.http(Some("auditor/eve"));
    let nobody = server.http(None);
    for (client, base) in [(&peer, &server.mesh), (&nobody, &server.open)] {
        for arguments in ["-sha256 -cert", "-sha512 -cert -no_nonce", "-sha384 -cert"] {
            let query = query(path, arguments);
            let response_der = answered(ask(client, base, &query)).await;
            assert_eq!(failure(&response_der), None);
            std::fs::write(path.join("r.tsr"), &response_der).unwrap();
            let verify =
                "ts -verify -in r.tsr -CAfile root.pem -untrusted issuing.pem -queryfile q.tsq";
            let output = Command::new("openssl")
                .args(verify.split(' '))
                .current_dir(path)
                .output()
                .unwrap();
            assert!(output.status.success(), "{arguments}: {output:?}");
        }
    }
    assert!(
        server
            .metrics()
            .contains(r#"timestamps_total{outcome="granted"} 6"#)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_query_is_told_as_rfc_3161_has_it() {
    let server = TestServer::start("").await;
    let scratch = tempfile::tempdir().unwrap();
    let nobody = server.http(None);
    let before = server.keystore.signatures();
    let asked = |query: Vec<u8>| answered(ask(&nobody, &server.open, &query));
    let sha1 = query(scratch.path(), "-sha1");
    assert_eq!(failure(&asked(sha1).await), Some(FailureInfo::BadAlg));
    let policy = query(scratch.path(), "-sha256 -tspolicy 1.3.6.1.4.1.99999.9");
    assert_eq!(
        failure(&asked(policy).await),
        Some(FailureInfo::UnacceptedPolicy)
    );
    for bytes in [vec![], b"hello".to_vec(), vec![0x30; 100]] {
        assert!(failure(&asked(bytes).await).is_some());
    }
    server.clock.advance(7200);
    let good = query(scratch.path(), "-sha256");
    assert_eq!(failure(&asked(good.clone()).await), None);
    server.clock.advance(-7200);
    assert_eq!(
        failure(&asked(good.clone()).await),
        Some(FailureInfo::TimeNotAvailable)
    );
    server.clock.advance(7200);
    assert_eq!(server.keystore.signatures() - before, 1);

    // What is wrong with HTTP or with the service is told as everything else.
    let url = format!("{}/v1/timestamps", server.open);
    refused(
        P::UnsupportedMediaType,
        nobody.post(&url).body(good.clone()),
    )
    .await;
    refused(P::BodyTooLarge, ask(&nobody, &server.open, &[0; 10_000])).await;
    refused(P::MethodNotAllowed, nobody.get(&url)).await;
    server.keystore.set(Token::Away);
    refused(P::TokenUnavailable, ask(&nobody, &server.open, &good)).await;
    server.keystore.set(Token::Works);
    let full = store::Error::NoSpace {
        directory: "/somewhere".into(),
    };
    server
        .store
        .set(Act::Stamp, Some(Acting::Fails(full.into())));
    refused(P::DiskFull, ask(&nobody, &server.open, &good)).await;
    server.store.set(Act::Stamp, None);
    assert_eq!(failure(&asked(good).await), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_listener_stamps_only_where_it_is_to() {
    let server = TestServer::start("[timestamps]\nopen = false").await;
    let scratch = tempfile::tempdir().unwrap();
    let good = query(scratch.path(), "-sha256");
    let nobody = server.http(None);
    refused(P::NotFound, ask(&nobody, &server.open, &good)).await;
    let peer = server.http(Some("signer/alice"));
    assert_eq!(
        failure(&answered(ask(&peer, &server.mesh, &good)).await),
        None
    );
    server.stop().await;
}
