//! What tests ask of the service, and how they hold it to its answers.

use mesh::wire::ProblemDocument;
use mesh::{PROBLEM_JSON, ProblemType};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::evidence::{ARTIFACT, artifact_hash};
use super::server::TestServer;

/// A boundary that no part holds.
const BOUNDARY: &str = "a-boundary-that-no-part-holds";

/// Begins `POST /v1/signatures` by digest.
pub(super) fn sign(server: &TestServer, client: &Client, body: &Value) -> RequestBuilder {
    client.post(server.url("/v1/signatures")).json(body)
}

/// The smallest request.
pub(super) fn smallest() -> Value {
    json!({"artifactHash": artifact_hash(ARTIFACT), "artifactName": "app"})
}

/// Has the artifact signed and returns the answer.
pub(super) async fn signed(server: &TestServer, client: &Client, body: &Value) -> Value {
    answered(sign(server, client, body), 201).await
}

/// Sends a request and returns the JSON that it is answered with.
#[track_caller]
pub(super) fn answered(request: RequestBuilder, status: u16) -> impl Future<Output = Value> {
    let caller = std::panic::Location::caller();
    async move {
        let response = request.send().await.unwrap();
        let actual = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert_eq!(actual, status, "{caller}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{caller}: {error}: {text}"))
    }
}

/// Writes a form.
pub(super) fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, octets) in parts {
        body.extend_from_slice(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(octets);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Begins a request with a form.
pub(super) fn upload(request: RequestBuilder, body: impl Into<reqwest::Body>) -> RequestBuilder {
    request
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(body)
}

/// Begins `POST /v1/signatures` with a form.
pub(super) fn sign_form(
    server: &TestServer,
    client: &Client,
    parts: &[(&str, &[u8])],
) -> RequestBuilder {
    upload(client.post(server.url("/v1/signatures")), form(parts))
}

/// Sends a request and checks the problem it is answered with; returns the document.
#[track_caller]
pub(super) fn refused(
    kind: ProblemType,
    request: RequestBuilder,
) -> impl Future<Output = ProblemDocument> {
    let caller = std::panic::Location::caller();
    async move {
        let response = request.send().await.unwrap();
        let status = response.status();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (media_type, retry_after) = (header("content-type"), header("retry-after"));
        let text = response.text().await.unwrap();
        let document: ProblemDocument =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{caller}: {status} {text}"));
        assert_eq!(document.kind, kind.uri(), "{caller}: {text}");
        assert_eq!(status.as_u16(), kind.status().as_u16(), "{caller}: {text}");
        assert_eq!(media_type.as_deref(), Some(PROBLEM_JSON), "{caller}");
        assert!(document.request_id.is_some(), "{caller}: {text}");
        assert!(document.detail.len() > 15, "{caller}: {text}");
        if matches!(status.as_u16(), 429 | 503) {
            assert!(retry_after.is_some(), "{caller}: {text}");
        }
        for secret in ["CKR_", "/tmp", "panicked"] {
            assert!(!text.contains(secret), "{caller}: {text}");
        }
        document
    }
}

/// Returns a member of a problem as text.
pub(super) fn member<'a>(document: &'a ProblemDocument, name: &str) -> &'a str {
    document.members[name].as_str().unwrap_or_default()
}
