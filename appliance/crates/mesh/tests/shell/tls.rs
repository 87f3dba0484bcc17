//! Handshakes: who is let in, with which alert not, and what they may delay.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use mesh::{AdmitPeer, PeerCertificate, Refusal};
use model::Clock;
use pki::ocsp::CertStatus;
use rustls::client::Resumption;
use rustls::sign::{Signer, SigningKey};
use rustls::{HandshakeKind, SignatureAlgorithm, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::authority::Authority;
use crate::support::{Ca, Fixture, Kind, SOON, Setup, connect, exchange, get, read_answer, until};

/// Connects and reads until the alert, whichever side of the handshake it comes.
async fn alert(fixture: &Fixture, tls: &mesh::ClientTls) -> String {
    let error = match fixture.connect(tls).await {
        Err(error) => error,
        Ok(mut stream) => match exchange(&mut stream, &get("/ping")).await {
            Err(error) => error,
            Ok(answer) => panic!("let in: {answer:?}"),
        },
    };
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_verify_get_their_alert_and_are_counted() {
    let fixture = Fixture::start();
    let foreign = Ca::new("foreign root");
    for (leaf, wanted, outcome) in [
        (
            foreign.leaf("operator/alice"),
            "UnknownCA",
            "unknown-issuer",
        ),
        (
            fixture.ca.leaf_of("operator/alice", Kind::Expired),
            "CertificateExpired",
            "expired",
        ),
        (
            fixture.ca.leaf_of("operator/alice", Kind::ServerOnly),
            "UnsupportedCertificate",
            "wrong-purpose",
        ),
    ] {
        let told = alert(&fixture, &fixture.tls(Some(&leaf))).await;
        assert!(told.contains(wanted), "{outcome}: {told}");
        fixture
            .until_metrics(&format!(
                r#"chancery_http_handshakes_total{{service="test",outcome="{outcome}"}} 1"#
            ))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_1_is_refused_and_1_2_is_spoken() {
    let fixture = Fixture::start();
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = fixture.ca.leaf("operator/alice").files(&directory);
    let address = fixture.address.to_string();
    let s_client = |version: &str| {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-connect", &address, "-cert", &certificate])
            .args(["-key", &key, version, "-cipher", "DEFAULT@SECLEVEL=0"])
            .stdin(Stdio::null());
        tokio::task::spawn_blocking(move || {
            let output = command.output().expect("openssl is installed");
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr)
        })
    };
    let refused = s_client("-tls1_1").await.unwrap();
    // protocol_version, or handshake_failure for want of what TLS 1.2 brings.
    assert!(refused.contains("SSL alert number"), "{refused}");
    assert!(refused.contains("Cipher is (NONE)"), "{refused}");
    let spoken = s_client("-tls1_2").await.unwrap();
    assert!(spoken.contains("Protocol  : TLSv1.2"), "{spoken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_with_a_certificate_is_served_over_http_2() {
    let fixture = Fixture::start();
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = fixture.ca.leaf("operator/alice").files(&directory);
    let root = directory.path().join("root.pem");
    std::fs::write(&root, fixture.ca.pem()).unwrap();
    let url = fixture.url("/whoami");
    let output = tokio::task::spawn_blocking(move || {
        Command::new("curl")
            .args(["-sS", "--cert", &certificate, "--key", &key, "--cacert"])
            .arg(root)
            .args(["-w", " HTTP/%{http_version}", &url])
            .output()
            .expect("curl is installed")
    })
    .await
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("operator/alice "), "{text} {output:?}");
    assert!(text.ends_with(" HTTP/2"), "{text}");
}

/// Speaks twice with one session store and tells how the second handshake went.
async fn second_handshake(
    fixture: &Fixture,
    version: &'static rustls::SupportedProtocolVersion,
) -> HandshakeKind {
    let leaf = fixture.ca.leaf("operator/alice");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(fixture.ca.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(leaf.identity());
    config.resumption = Resumption::in_memory_sessions(8);
    let mut kind = None;
    for _ in 0..2 {
        let mut stream = connect(fixture.address, config.clone(), b"http/1.1")
            .await
            .unwrap();
        // An exchange, so that a ticket would have arrived.
        assert_eq!(
            exchange(&mut stream, &get("/ping")).await.unwrap().status,
            200
        );
        kind = stream.get_ref().1.handshake_kind();
    }
    kind.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_resumed_in_tls_1_2() {
    let fixture = Fixture::start();
    let kind = second_handshake(&fixture, &rustls::version::TLS12).await;
    assert_eq!(kind, HandshakeKind::Full);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_resumed_in_tls_1_3() {
    let fixture = Fixture::start();
    let kind = second_handshake(&fixture, &rustls::version::TLS13).await;
    assert_ne!(kind, HandshakeKind::Resumed);
}

/// Refuses everyone once told to.
#[derive(Debug)]
struct Revocable(Arc<AtomicBool>);

impl AdmitPeer for Revocable {
    fn admit(&self, _: &PeerCertificate) -> Result<(), Refusal> {
        if self.0.load(Ordering::SeqCst) {
            Err(Refusal::Revoked)
        } else {
            Ok(())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_client_is_refused_on_an_open_connection_and_in_the_handshake() {
    let revoked = Arc::new(AtomicBool::new(false));
    let fixture = Fixture::with(Setup {
        admission: Some(Box::new(Revocable(Arc::clone(&revoked)))),
        ..Setup::default()
    });
    let operator = fixture.operator();
    let mut open = fixture.connect(&operator).await.unwrap();
    assert_eq!(
        exchange(&mut open, &get("/ping")).await.unwrap().status,
        200
    );
    revoked.store(true, Ordering::SeqCst);
    let answer = exchange(&mut open, &get("/ping")).await.unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (403, "peer-refused")
    );
    let told = alert(&fixture, &operator).await;
    assert!(told.contains("CertificateRevoked"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expires_on_an_open_connection_ends_it() {
    let fixture = Fixture::start();
    let mut open = fixture.connect(&fixture.operator()).await.unwrap();
    assert_eq!(
        exchange(&mut open, &get("/ping")).await.unwrap().status,
        200
    );
    fixture.clock.advance(40 * 365 * 86_400);
    let answer = exchange(&mut open, &get("/ping")).await.unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (403, "peer-refused")
    );
    assert!(answer.body.contains("expired"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_the_tls_port_is_answered_with_a_sentence() {
    let fixture = Fixture::start();
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let answer = exchange(&mut stream, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("https://"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_tls_port_is_counted_and_closed() {
    let fixture = Fixture::start();
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream
        .write_all(&[0x16, 3, 1, 0, 4, 0xff, 0xff, 0xff, 0xff])
        .await
        .unwrap();
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .ok();
    until("a handshake failed", || {
        fixture.metrics().contains(r#"outcome="not-tls"} 1"#)
            || fixture
                .metrics()
                .contains(r#"outcome="peer-misbehaved"} 1"#)
    })
    .await;
}

/// A key whose signatures wait until the test lets them.
#[derive(Debug)]
struct SlowKey {
    key: Arc<dyn SigningKey>,
    gate: Arc<Barrier>,
}

/// Counts who waits and lets them go.
#[derive(Debug, Default)]
struct Barrier {
    closed: Mutex<bool>,
    changed: Condvar,
    waiting: std::sync::atomic::AtomicUsize,
}

impl Barrier {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let closed = self.closed.lock().unwrap();
        drop(self.changed.wait_while(closed, |closed| *closed).unwrap());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One signature that waits.
#[derive(Debug)]
struct SlowSigner {
    signer: Box<dyn Signer>,
    gate: Arc<Barrier>,
}

impl SigningKey for SlowKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(SlowSigner {
            signer: self.key.choose_scheme(offered)?,
            gate: Arc::clone(&self.gate),
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

impl Signer for SlowSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.gate.pass();
        self.signer.sign(message)
    }

    fn scheme(&self) -> SignatureScheme {
        self.signer.scheme()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_wait_for_the_token_delay_no_open_connection() {
    let fixture = Fixture::start();
    let gate = Arc::new(Barrier::default());
    let server = fixture.ca.leaf("service/ca/ca-1");
    let slow = Arc::new(SlowKey {
        key: Arc::clone(&server.key),
        gate: Arc::clone(&gate),
    });
    fixture
        .identity
        .replace(server.chain.clone(), slow)
        .unwrap();
    let operator = fixture.operator();
    let mut open = fixture.connect(&operator).await.unwrap();

    gate.set(true);
    let pending: Vec<_> = (0..32)
        .map(|_| {
            let config = operator.client_config().unwrap();
            tokio::spawn(connect(fixture.address, config, b"http/1.1"))
        })
        .collect();
    // Every handshake thread is held by the token.
    until("all handshake threads wait", || {
        gate.waiting.load(Ordering::SeqCst) == 4
    })
    .await;
    for _ in 0..100 {
        let answer = timeout(SOON, exchange(&mut open, &get("/ping"))).await;
        assert_eq!(answer.expect("served meanwhile").unwrap().body, "pong");
    }
    assert_eq!(gate.waiting.load(Ordering::SeqCst), 4, "they wait still");
    gate.set(false);
    for connected in pending {
        connected.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_staple_and_admission_swapped_under_load_drop_no_connection() {
    let fixture = Fixture::start();
    let authority = Authority::of(&fixture.ca.certificate(), &fixture.ca.key_pem());
    let operator = fixture.operator();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut stream = fixture.connect(&operator).await.unwrap();
        let stop = Arc::clone(&stop);
        clients.push(tokio::spawn(async move {
            let mut answered = 0;
            while !stop.load(Ordering::SeqCst) {
                let answer = exchange(&mut stream, &get("/ping")).await.unwrap();
                assert_eq!(answer.status, 200);
                answered += 1;
            }
            answered
        }));
    }
    for _ in 0..20 {
        let next = fixture.ca.leaf("service/ca/ca-1");
        fixture
            .identity
            .replace(next.chain.clone(), Arc::clone(&next.key))
            .unwrap();
        let fingerprint = mesh::Fingerprint::of(&next.chain[0]);
        let (now, day) = (fixture.clock.now(), Duration::from_secs(86_400));
        let staple = authority.ocsp(&next.chain[0], CertStatus::Good, now, day);
        assert!(fixture.identity.staple(&fingerprint, Some(staple)));
        fixture.verifier.replace_admission(Box::new(mesh::AdmitAll));
        let stream = fixture.connect(&operator).await.unwrap();
        let presented = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(presented[0], next.chain[0]);
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staple_for_another_leaf_is_not_taken() {
    let fixture = Fixture::start();
    let other = fixture.ca.leaf("service/ca/ca-2");
    let fingerprint = mesh::Fingerprint::of(&other.chain[0]);
    assert!(!fixture.identity.staple(&fingerprint, Some(vec![1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_the_certificates_is_refused() {
    let ca = Ca::new("root");
    let (one, two) = (ca.leaf("operator/a"), ca.leaf("operator/b"));
    let mixed = mesh::TlsIdentity::from_signing_key(one.chain.clone(), two.key);
    assert!(matches!(mixed, Err(mesh::Error::KeyMismatch)));
}

#[tokio::test(flavor = "multi_thread")]
async fn anchors_replaced_decide_the_next_handshake_and_leave_open_connections() {
    let fixture = Fixture::start();
    let operator = fixture.operator();
    let mut open = fixture.connect(&operator).await.unwrap();
    exchange(&mut open, &get("/ping")).await.unwrap();
    let other = Ca::new("other root");
    fixture
        .verifier
        .replace_anchors(&[other.certificate()])
        .unwrap();
    assert_eq!(
        exchange(&mut open, &get("/ping")).await.unwrap().status,
        200
    );
    assert!(alert(&fixture, &operator).await.contains("UnknownCA"));
    let newcomer = fixture.tls(Some(&other.leaf("operator/bob")));
    let mut stream = fixture.connect(&newcomer).await.unwrap();
    stream.write_all(get("/whoami").as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await.unwrap();
    assert!(answer.body.starts_with("operator/bob"), "{answer:?}");
}
