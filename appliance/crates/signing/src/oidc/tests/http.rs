//! The endpoint over a real connection: media types, statuses and problem documents.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh::wire::{PEM_CHAIN, PEM_FILE, PKCS10, ProblemDocument};
use mesh::{
    Health, HttpMetrics, ListenerConfig, ListenerLimits, PROBLEM_JSON, ProblemType, Security,
    Server, ServerHandle, Shared,
};
use model::TrustDomain;
use reqwest::{Client, Response};
use serde_json::json;
use tokio::task::JoinHandle;

use super::super::routes;
use super::exchange::Stage;

/// The endpoint, served.
struct Served {
    /// Behind it.
    stage: Stage,
    /// Where it listens.
    address: SocketAddr,
    /// Stops it.
    handle: ServerHandle,
    /// Serves.
    running: JoinHandle<Result<(), mesh::Error>>,
    /// Asks.
    client: Client,
}

impl Served {
    /// Serves a stage.
    fn start() -> Self {
        let stage = Stage::new();
        let shared = Shared {
            metrics: HttpMetrics::default(),
            health: Health::new(),
            domain: TrustDomain::new("chancery.internal").unwrap(),
            clock: Arc::clone(&stage.clock) as _,
        };
        let config = ListenerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            limits: ListenerLimits::default(),
        };
        let routes = routes(&stage.oidc);
        let server = Server::bind("open", &config, &Security::Plain, &shared, routes).unwrap();
        Self {
            stage,
            address: server.local_addr(),
            handle: server.handle(),
            running: tokio::spawn(server.run()),
            client: client(),
        }
    }

    /// Begins a request.
    fn post(&self) -> reqwest::RequestBuilder {
        let url = format!("http://{}/v1/oidc/certificate", self.address);
        self.client.post(url)
    }

    /// Exchanges a token.
    async fn exchange(&self, token: &str, media_type: &str, body: Vec<u8>) -> Response {
        let post = self.post().bearer_auth(token);
        let post = post.header("content-type", media_type).body(body);
        post.send().await.unwrap()
    }

    /// Stops it.
    async fn stop(self) {
        drop(self.client);
        self.handle.stop();
        self.running.await.unwrap().unwrap();
    }
}

/// Makes a client for plain HTTP; it wants to know a provider of TLS all the same.
fn client() -> Client {
    let anchors = vec![rustls::pki_types::CertificateDer::from(root_der())];
    let tls = mesh::ClientTls {
        anchors,
        identity: None,
        expected: None,
        staple: mesh::StaplePolicy::IfPresent,
    };
    Client::builder()
        .tls_backend_preconfigured(tls.client_config().unwrap())
        .no_proxy()
        .build()
        .unwrap()
}

/// Makes a root that signed nothing.
fn root_der() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::default();
    params.self_signed(&key).unwrap().der().to_vec()
}

/// Reads a problem.
async fn problem(response: Response, kind: ProblemType) -> ProblemDocument {
    assert_eq!(response.headers()["content-type"], PROBLEM_JSON);
    assert_eq!(response.status().as_u16(), kind.status().as_u16());
    let document: ProblemDocument = response.json().await.unwrap();
    assert_eq!(document.kind, kind.uri(), "{}", document.detail);
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn der_and_pem_become_a_chain() {
    let served = Served::start();
    let csr = served.stage.csr("client").await;
    let pem = pki::pem::write_request(&csr).into_bytes();
    for (place, (media_type, body)) in [
        (PKCS10, csr),
        (PEM_FILE, pem.clone()),
        ("Application/PKCS10; charset=binary", pem),
    ]
    .into_iter()
    .enumerate()
    {
        let token = served.stage.token(&place.to_string());
        let response = served.exchange(&token, media_type, body).await;
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["content-type"], PEM_CHAIN);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let chain = response.text().await.unwrap();
        assert_eq!(
            pki::pem::read_certificates(chain.as_bytes()).unwrap().len(),
            1
        );
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_a_problem_of_its_own() {
    use ProblemType as P;
    let served = Served::start();
    let stage = &served.stage;
    let csr = stage.csr("client").await;

    let missing = served
        .post()
        .header("content-type", PKCS10)
        .body(csr.clone());
    let missing = missing.send().await.unwrap();
    assert_eq!(missing.headers()["www-authenticate"], "Bearer");
    problem(missing, P::OidcTokenRequired).await;
    let basic = served.post().basic_auth("a", Some("b")).body(csr.clone());
    problem(basic.send().await.unwrap(), P::OidcTokenRequired).await;

    let wrong = stage.token_with("1", "aud", json!("sigstore"));
    let wrong = served.exchange(&wrong, PKCS10, csr.clone()).await;
    assert_eq!(
        wrong.headers()["www-authenticate"],
        "Bearer error=\"invalid_token\""
    );
    let document = problem(wrong, P::OidcTokenInvalid).await;
    assert_eq!(document.members["check"], "token_audience");
    assert_eq!(document.members["code"], "oidc_token_invalid");
    assert!(
        document.detail.contains("chancery.example.org"),
        "{}",
        document.detail
    );

    let denied = stage.token_with("2", "ref", json!("refs/heads/main"));
    problem(
        served.exchange(&denied, PKCS10, csr.clone()).await,
        P::OidcClaimsDenied,
    )
    .await;

    let token = stage.token("3");
    let exchange = async |media_type: &'static str, body: Vec<u8>| {
        served.exchange(&token, media_type, body).await
    };
    problem(
        exchange("text/plain", csr.clone()).await,
        P::UnsupportedMediaType,
    )
    .await;
    problem(exchange(PKCS10, b"nonsense".to_vec()).await, P::NotACsr).await;
    let cut = b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n".to_vec();
    problem(exchange(PEM_FILE, cut).await, P::NotACsr).await;
    problem(
        exchange(PKCS10, vec![0; 64 * 1024 + 1]).await,
        P::BodyTooLarge,
    )
    .await;
    problem(exchange(PKCS10, weak_request()).await, P::WeakKey).await;
    problem(
        exchange(PKCS10, unpossessed(&csr)).await,
        P::CsrSignatureInvalid,
    )
    .await;
    assert_eq!(stage.ca.signed().len(), 0);

    assert_eq!(exchange(PKCS10, csr.clone()).await.status(), 201);
    let other = stage.csr("other").await;
    problem(exchange(PKCS10, other).await, P::OidcTokenReplayed).await;

    *stage.ca.away.lock().unwrap() = true;
    let away = served
        .exchange(&stage.token("4"), PKCS10, csr.clone())
        .await;
    assert!(away.headers().contains_key("retry-after"));
    problem(away, P::TokenUnavailable).await;

    stage.published.publish(None);
    stage.clock.advance(25 * 3600);
    let keyless = served.exchange(&stage.token("5"), PKCS10, csr).await;
    assert!(keyless.headers().contains_key("retry-after"));
    let document = problem(keyless, P::OidcKeysUnavailable).await;
    assert!(!document.detail.contains("away"), "{}", document.detail);

    let get = served
        .client
        .get(format!("http://{}/v1/oidc/certificate", served.address));
    problem(get.send().await.unwrap(), P::MethodNotAllowed).await;
    served.stop().await;
}

/// Has `openssl` make a request of a 1024-bit RSA key.
fn weak_request() -> Vec<u8> {
    let output = std::process::Command::new("openssl")
        .args(["req", "-new", "-nodes", "-newkey", "rsa:1024"])
        .args([
            "-keyout",
            "/dev/null",
            "-subj",
            "/CN=weak",
            "-outform",
            "DER",
        ])
        .output()
        .expect("openssl must be installed; tests/run installs it");
    assert!(output.status.success());
    output.stdout
}

/// Puts another key into a request: its signature is then not the key's.
fn unpossessed(csr_der: &[u8]) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let other = rcgen::PublicKeyData::subject_public_key_info(&key);
    // Both are P-256 keys: tag, length and algorithm are the same, the point differs.
    let head = &other[..27];
    let at = csr_der
        .windows(head.len())
        .position(|window| window == head)
        .unwrap();
    let mut forged = csr_der.to_vec();
    forged[at..at + other.len()].copy_from_slice(&other);
    forged
}
