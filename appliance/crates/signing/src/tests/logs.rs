//! The line that each signature leaves in the log.

use std::io::Write;
use std::sync::{Mutex, OnceLock};

use serde_json::{Value, json};

use super::client::{signed, smallest};
use super::evidence::{ARTIFACT, BUILDER, artifact_hash, cyclonedx, provenance, sha256};
use super::server::TestServer;

/// Everything logged in this process: workers log on threads of their own.
static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();

/// Writes to the log.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.wait().lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Begins to log.
fn begin() {
    LOG.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_writer(|| LogWriter)
            .finish();
        // Another test of this process may have been first; it logs nowhere else.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Mutex::default()
    });
}

/// Returns the lines that contain a text.
fn lines(text: &str) -> Vec<Value> {
    let log = LOG.wait().lock().unwrap();
    String::from_utf8_lossy(&log)
        .lines()
        .filter(|line| line.contains(text))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_s_line_tells_what_was_signed_for_whom_and_from_which_build() {
    begin();
    let server = TestServer::start("").await;
    let client = server.http(Some("signer/alice"));
    let mut body = smallest();
    body["sbom"] = cyclonedx(ARTIFACT);
    body["provenance"] = provenance(ARTIFACT);
    let object = signed(&server, &client, &body).await;
    let id = object["id"].as_str().unwrap();
    let found = lines(id);
    let line = found
        .iter()
        .find(|line| line["fields"]["signature.id"] == id)
        .unwrap_or_else(|| panic!("{found:?}"));
    let sbom = serde_json::to_vec(&body["sbom"]).unwrap();
    for (field, value) in [
        ("artifact.digest", json!(artifact_hash(ARTIFACT))),
        ("artifact.name", json!("app")),
        ("signature.signer", json!("signer/alice")),
        ("signature.profile", json!("default")),
        ("sbom.format", json!("cyclonedx-json")),
        ("sbom.sha256", json!(sha256(&sbom))),
        ("provenance.builder", json!(BUILDER)),
        (
            "provenance.build_type",
            json!("https://builder.example/type/v1"),
        ),
        ("provenance.source", json!("https://git.example/team/app")),
        ("provenance.ref", json!("refs/tags/v1.0")),
        ("provenance.materials", json!(1)),
        ("request_id", object["requestId"].clone()),
    ] {
        assert_eq!(line["fields"][field], value, "{field}: {line}");
    }
    server.stop().await;
}
