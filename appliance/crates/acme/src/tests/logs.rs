//! The line that each request leaves in the log.

use std::io::Write;
use std::sync::{Mutex, OnceLock};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::client::Client;
use super::operators::Operator;
use super::server::TestServer;
use crate::testing::binding;

/// Everything logged in this process: workers log on threads of their own.
static LOG: OnceLock<Log> = OnceLock::new();

/// Lines, as they were written.
#[derive(Default)]
struct Log(Mutex<Vec<u8>>);

/// Writes to the log.
struct LogWriter(&'static Log);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for &'static Log {
    type Writer = LogWriter;

    fn make_writer(&'w self) -> LogWriter {
        LogWriter(self)
    }
}

/// Begins to log.
fn log() -> &'static Log {
    LOG.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_writer(|| LogWriter(LOG.wait()))
            .finish();
        // Another test of this process may have been first; it logs nowhere else.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Log::default()
    })
}

impl Log {
    /// Returns the lines that contain a text.
    fn lines(&self, text: &str) -> Vec<Value> {
        let log = self.0.lock().unwrap();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(text))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requests_line_tells_who_asked_for_what_and_what_came_of_it() {
    let log = log();
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let made = client.new_order(&["a.example"]).await;
    let request_id = made.header("x-request-id").to_owned();
    let lines = log.lines(&request_id);
    let line = lines
        .iter()
        .find(|line| line["fields"]["http.route"] == "/acme/new-order")
        .unwrap_or_else(|| panic!("{lines:?}"));
    let span = &line["span"];
    let kid = client.kid.as_deref().unwrap();
    assert_eq!(span["jws.alg"], "ES256");
    assert_eq!(span["jws.kid"], kid);
    assert_eq!(span["jws.url"], client.url("/acme/new-order"));
    assert!(span["jws.nonce"].as_str().unwrap().len() > 20);
    assert_eq!(span["jws.thumbprint"], client.key.thumbprint().to_string());
    assert!(kid.ends_with(span["acme.account"].as_str().unwrap()));
    let order = made.header("location");
    assert!(order.ends_with(span["acme.order"].as_str().unwrap()));
    assert_eq!(span["acme.identifiers"], "a.example");
    assert_eq!(line["fields"]["request_id"], request_id);

    let refused = client.new_order(&["-"]).await;
    refused.problem(400, "rejectedIdentifier");
    let lines = log.lines(refused.header("x-request-id"));
    let line = lines.last().unwrap();
    assert_eq!(line["span"]["problem.type"], "rejectedIdentifier");
    assert!(line["span"]["problem.detail"].as_str().unwrap().len() > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_tells_a_secret_or_a_body() {
    let log = log();
    let server = TestServer::start("").await;
    let made = Operator::new(&server)
        .post("/operator/eab", json!({"id": "team-of-the-log"}))
        .await
        .good(201);
    let shown = made["hmac_key"].as_str().unwrap().to_owned();
    let secret = crate::jws::base64url::decode(shown.as_bytes()).unwrap();
    let client = Client::stranger(&server);
    let url = client.url("/acme/new-account");
    let bound = binding("team-of-the-log", &secret, &url, &client.key.jwk());
    let contact = "mailto:nobody-logs-this@example.org";
    let reply = client
        .new_account(json!({"externalAccountBinding": bound, "contact": [contact]}))
        .await;
    reply.good(201);
    let lines = log.lines(reply.header("x-request-id"));
    let span = &lines.last().unwrap()["span"];
    assert_eq!(span["acme.eab_key"], "team-of-the-log");
    for hidden in [
        shown.as_str(),
        contact,
        bound["signature"].as_str().unwrap(),
    ] {
        assert!(log.lines(hidden).is_empty(), "{hidden}");
    }
}
