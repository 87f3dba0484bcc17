//! Validation against `pebble-challtestsrv`, the challenge server with which clients
//! and other servers are tested (Debian's package `pebble`): its DNS, its HTTP-01
//! and its TLS-ALPN-01 answers are not of our making.

#![expect(
    clippy::unwrap_used,
    reason = "what helpers of tests meet ends the test"
)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use acme::ErrorType;
use acme::caa::{CaaChecker, CaaConfig};
use acme::validate::{
    Failure, KeyAuthorization, Proof, Task, ValidateChallenge, ValidationConfig, Validator,
};
use mesh::resolve::{Resolve, ResolverConfig};
use model::acme::{ChallengeKind, Identifier};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A challenge's token.
const TOKEN: &str = "DGyRejmCefe7v4NfDGDKfA";

/// An account key's thumbprint.
const THUMBPRINT: &str = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// More time than the server takes to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server, ended with the test.
struct ChallengeServer {
    /// The process.
    child: Child,
    /// DNS.
    dns: SocketAddr,
    /// HTTP-01.
    http: SocketAddr,
    /// TLS-ALPN-01.
    tls: SocketAddr,
    /// Where it is told what to answer.
    management: SocketAddr,
}

impl Drop for ChallengeServer {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

impl ChallengeServer {
    /// Starts the server and waits until it answers.
    async fn start() -> Self {
        let [dns, http, tls, management] = free_addresses();
        let child = Command::new("pebble-challtestsrv")
            .args(["-dns01", &dns.to_string()])
            .args(["-http01", &http.to_string()])
            .args(["-tlsalpn01", &tls.to_string()])
            .args(["-management", &management.to_string()])
            .args(["-https01", "", "-defaultIPv6", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv is installed: tests/packages tests");
        let server = Self {
            child,
            dns,
            http,
            tls,
            management,
        };
        let began = Instant::now();
        for address in [http, tls, management] {
            while TcpStream::connect(address).await.is_err() {
                assert!(began.elapsed() < PATIENCE, "nothing listens at {address}");
                tokio::task::yield_now().await;
            }
        }
        let resolver = server.resolver();
        while resolver.addresses("ready.test").await.is_err() {
            assert!(began.elapsed() < PATIENCE, "its DNS does not answer");
        }
        server
    }

    /// Makes a resolver that asks it.
    fn resolver(&self) -> Arc<dyn Resolve> {
        self.config().check().unwrap().resolver().unwrap()
    }

    /// Returns a configuration that asks and dials it alone.
    fn config(&self) -> ValidationConfig {
        let mut config = ValidationConfig {
            methods: ["http-01", "dns-01", "tls-alpn-01"]
                .map(str::to_owned)
                .into(),
            http_port: self.http.port(),
            tls_alpn_port: self.tls.port(),
            dns: ResolverConfig {
                servers: vec![self.dns.to_string()],
                ..ResolverConfig::default()
            },
            ..ValidationConfig::default()
        };
        config.addresses.public = false;
        config.addresses.allow = vec!["127.0.0.1/32".parse().unwrap()];
        config
    }

    /// Makes a validator.
    fn validator(&self, caa: Option<CaaChecker>) -> Validator {
        let checked = self.config().check().unwrap();
        checked.validator(self.resolver(), caa).unwrap()
    }

    /// Tells the server what to answer.
    async fn tell(&self, path: &str, what: serde_json::Value) {
        let body = what.to_string();
        let mut stream = TcpStream::connect(self.management).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.0\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(" 200 OK"), "{path}: {answer}");
    }
}

/// Finds four addresses of loopback that are free for TCP and UDP.
fn free_addresses() -> [SocketAddr; 4] {
    // Held until all are found, so that they differ.
    let held = [(); 4].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// What must be found.
fn key_authorization() -> KeyAuthorization {
    KeyAuthorization::new(TOKEN, THUMBPRINT)
}

/// Makes one attempt.
async fn attempt(validator: &Validator, kind: ChallengeKind, name: &str) -> Result<Proof, Failure> {
    validator
        .validate(&Task {
            kind,
            identifier: Identifier::dns(name).unwrap(),
            wildcard: false,
            key_authorization: key_authorization(),
            account_url: "https://acme.test/acme/account/1".into(),
        })
        .await
}

#[tokio::test]
async fn http_01() {
    let server = ChallengeServer::start().await;
    let validator = server.validator(None);
    let content = key_authorization();
    server
        .tell(
            "/add-http01",
            json!({"token": TOKEN, "content": content.as_str()}),
        )
        .await;
    let proof = attempt(&validator, ChallengeKind::Http01, "www.test").await;
    assert_eq!(proof.unwrap().address, Some(server.http));
    server.tell("/del-http01", json!({"token": TOKEN})).await;
    let failure = attempt(&validator, ChallengeKind::Http01, "www.test").await;
    assert_eq!(
        failure.unwrap_err().error_type(),
        ErrorType::IncorrectResponse
    );
}

#[tokio::test]
async fn dns_01_also_over_an_alias() {
    let server = ChallengeServer::start().await;
    let validator = server.validator(None);
    let value = key_authorization().txt_value();
    server
        .tell(
            "/set-txt",
            json!({"host": "_acme-challenge.www.test.", "value": value}),
        )
        .await;
    attempt(&validator, ChallengeKind::Dns01, "www.test")
        .await
        .unwrap();
    server
        .tell(
            "/set-txt",
            json!({"host": "elsewhere.test.", "value": value}),
        )
        .await;
    server
        .tell(
            "/set-cname",
            json!({"host": "_acme-challenge.alias.test.", "target": "elsewhere.test."}),
        )
        .await;
    attempt(&validator, ChallengeKind::Dns01, "alias.test")
        .await
        .unwrap();
    server
        .tell(
            "/set-servfail",
            json!({"host": "_acme-challenge.broken.test."}),
        )
        .await;
    let failure = attempt(&validator, ChallengeKind::Dns01, "broken.test").await;
    assert_eq!(failure.unwrap_err().error_type(), ErrorType::Dns);
}

#[tokio::test]
async fn tls_alpn_01() {
    let server = ChallengeServer::start().await;
    let validator = server.validator(None);
    let content = key_authorization();
    server
        .tell(
            "/add-tlsalpn01",
            json!({"host": "www.test", "content": content.as_str()}),
        )
        .await;
    let proof = attempt(&validator, ChallengeKind::TlsAlpn01, "www.test").await;
    assert_eq!(proof.unwrap().address, Some(server.tls));
    server
        .tell(
            "/add-tlsalpn01",
            json!({"host": "other.test", "content": "another"}),
        )
        .await;
    let failure = attempt(&validator, ChallengeKind::TlsAlpn01, "other.test").await;
    assert_eq!(
        failure.unwrap_err().error_type(),
        ErrorType::IncorrectResponse
    );
}

#[tokio::test]
async fn caa_records() {
    let server = ChallengeServer::start().await;
    let config = CaaConfig {
        identities: vec!["ca.test".to_owned()],
        ..CaaConfig::default()
    };
    let caa = CaaChecker::new(server.resolver(), config.check().unwrap());
    let validator = server.validator(Some(caa));
    let value = key_authorization().txt_value();
    for (name, issuer) in [("ours.test.", "ca.test"), ("theirs.test.", "other.test")] {
        server
            .tell(
                "/set-txt",
                json!({"host": format!("_acme-challenge.{name}"), "value": value}),
            )
            .await;
        server
            .tell(
                "/add-caa",
                json!({"host": name, "policies": [{"tag": "issue", "value": issuer}]}),
            )
            .await;
    }
    let proof = attempt(&validator, ChallengeKind::Dns01, "ours.test").await;
    assert!(proof.unwrap().caa_checked);
    let refused = attempt(&validator, ChallengeKind::Dns01, "theirs.test").await;
    assert_eq!(refused.unwrap_err().error_type(), ErrorType::Caa);
}
