//! Revoked clients and stapled servers, over sockets: a CA that publishes, a
//! service that follows, and clients that check.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use mesh::revocation::{
    CrlChecker, CrlCheckerParts, NoFreshCrl, RevocationConfig, RevocationMetrics, WatchedIssuer,
    WatchedRole,
};
use mesh::stapling::{Stapler, StaplerParts, StaplingConfig, StaplingMetrics};
use mesh::{
    Body, ClientTls, Fingerprint, HttpCaClient, PeerCertificate, Persistence, Problem, ProblemType,
    RevocationSource, StaplePolicy,
};
use model::{Clock, RevocationReason, SerialNumber};
use pki::ocsp::{CertStatus, OcspRequest, RequestLimits};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::authority::{Authority, CrlSpec, issuing};
use crate::support::{Fixture, Leaf, connect, exchange, get, until};

const DAY: Duration = Duration::from_secs(86_400);

/// What the test's CA publishes now.
struct Published {
    /// The CRL and the number in its entity tag.
    crl: watch::Sender<(Vec<u8>, u64)>,
    /// The responder's answer.
    ocsp: watch::Sender<Vec<u8>>,
    /// Whether it answers with 503.
    away: AtomicBool,
    /// Questions for the CRL.
    asked: AtomicUsize,
}

/// `GET /crl/{issuer}`, held back as `Prefer` says.
async fn crl(published: web::Data<Published>, request: HttpRequest) -> HttpResponse {
    published.asked.fetch_add(1, Ordering::SeqCst);
    let header = |name: &str| {
        let value = request.headers().get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let known = header("if-none-match");
    let wait = header("prefer")
        .and_then(|prefer| prefer.strip_prefix("wait=")?.parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs);
    let mut crl = published.crl.subscribe();
    let differs = |(_, number): &(Vec<u8>, u64)| known.as_deref() != Some(&format!("\"{number}\""));
    let waiting = timeout(wait, crl.wait_for(differs)).await;
    match waiting {
        _ if published.away.load(Ordering::SeqCst) => HttpResponse::ServiceUnavailable().finish(),
        Ok(Ok(current)) => HttpResponse::Ok()
            .insert_header(("etag", format!("\"{}\"", current.1)))
            .content_type("application/pkix-crl")
            .body(current.0.clone()),
        _ => HttpResponse::build(StatusCode::NOT_MODIFIED).finish(),
    }
}

/// `POST /ocsp`.
async fn ocsp(
    published: web::Data<Published>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    assert_eq!(
        request.headers().get("content-type").unwrap(),
        "application/ocsp-request"
    );
    OcspRequest::parse(&body.0, &RequestLimits::default()).unwrap();
    if published.away.load(Ordering::SeqCst) {
        return Err(Problem::new(ProblemType::TokenUnavailable, "away"));
    }
    Ok(HttpResponse::Ok()
        .content_type("application/ocsp-response")
        .body(published.ocsp.borrow().clone()))
}

/// A service, and the CA that tells it who counts.
struct Pair {
    /// The service.
    service: Fixture,
    /// Signs for the service's CA.
    authority: Authority,
    /// The CA's API.
    api: Fixture,
    /// What it publishes.
    published: Arc<Published>,
    /// What is kept.
    directory: TempDir,
    /// What runs beside.
    running: Vec<JoinHandle<()>>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

impl Pair {
    fn start() -> Self {
        let service = Fixture::start();
        let authority = Authority::of(&service.ca.certificate(), &service.ca.key_pem());
        let published = Arc::new(Published {
            crl: watch::Sender::new((Vec::new(), 0)),
            ocsp: watch::Sender::new(Vec::new()),
            away: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        });
        let data = web::Data::from(Arc::clone(&published));
        let api = Fixture::with_routes(crate::support::Setup::default(), move |config| {
            config
                .app_data(data.clone())
                .service(web::resource("/crl/issuing").route(web::get().to(crl)))
                .service(web::resource("/ocsp").route(web::post().to(ocsp)));
        });
        let pair = Self {
            service,
            authority,
            api,
            published,
            directory: tempfile::tempdir().unwrap(),
            running: Vec::new(),
        };
        pair.publish(1, &[]);
        pair
    }

    fn publish(&self, number: u64, serials: &[SerialNumber]) {
        let spec = CrlSpec::full(number, serials).at(self.service.clock.now());
        self.published
            .crl
            .send_replace((self.authority.crl(&spec), number));
    }

    /// The CA as the service reaches it.
    fn source(&self) -> Arc<dyn RevocationSource> {
        let persistence = Persistence {
            attempt_timeout: Duration::from_secs(5),
            total: Duration::from_secs(5),
            ..Persistence::default()
        };
        let tls = self.api.operator();
        Arc::new(HttpCaClient::new(&self.api.url("/"), &tls, persistence).unwrap())
    }

    fn checker(&self, no_fresh_crl: NoFreshCrl) -> Arc<CrlChecker> {
        CrlChecker::open(CrlCheckerParts {
            service: "test",
            issuers: vec![WatchedIssuer {
                id: issuing(),
                certificate_der: self.service.ca.certificate().to_vec(),
                role: WatchedRole::Clients,
            }],
            config: RevocationConfig {
                no_fresh_crl,
                ..RevocationConfig::default()
            },
            directory: self.directory.path().to_owned(),
            clock: Arc::clone(&self.service.clock) as _,
            metrics: RevocationMetrics::default(),
        })
        .unwrap()
    }

    /// Checks the service's clients by the CA's CRL from now on.
    async fn follow(&mut self) {
        let checker = self.checker(NoFreshCrl::Refuse);
        let source = self.source();
        checker.first(&source, Duration::from_secs(30)).await;
        let admission = Box::new(Arc::clone(&checker));
        self.service.verifier.replace_admission(admission);
        self.running.push(tokio::spawn(checker.follow(source)));
    }

    /// An OCSP response about a certificate, of now.
    fn response(&self, leaf: &CertificateDer<'_>, status: CertStatus) -> Vec<u8> {
        let now = self.service.clock.now();
        self.authority.ocsp(leaf, status, now, 7 * DAY)
    }

    fn stapler(&self) -> Stapler {
        Stapler::new(StaplerParts {
            service: "test",
            identity: Arc::clone(&self.service.identity),
            issuers: vec![self.service.ca.certificate()],
            source: self.source(),
            kept: self.directory.path().join("chain.pem.ocsp"),
            config: StaplingConfig::default(),
            clock: Arc::clone(&self.service.clock) as _,
            metrics: StaplingMetrics::default(),
        })
    }

    fn leaf(&self) -> CertificateDer<'static> {
        self.service.identity.chain()[0].clone()
    }
}

fn serial(leaf: &Leaf) -> SerialNumber {
    PeerCertificate::parse(&leaf.chain[0]).unwrap().serial
}

/// Connects with one session store again and again until it is refused.
async fn resuming(pair: &Pair, leaf: &Leaf, revoked: &dyn Fn()) -> String {
    let tls = pair.service.tls(Some(leaf));
    let mut config = tls.client_config().unwrap();
    config.resumption = Resumption::in_memory_sessions(8);
    for _ in 0..2 {
        let stream = connect(pair.service.address, config.clone(), b"http/1.1").await;
        let mut stream = stream.unwrap();
        let answer = exchange(&mut stream, &get("/ping")).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    revoked();
    until_refused(pair, config).await
}

/// Connects until the handshake is refused, and tells how.
async fn until_refused(pair: &Pair, config: rustls::ClientConfig) -> String {
    let refused = async {
        loop {
            match connect(pair.service.address, config.clone(), b"http/1.1").await {
                Err(error) => return error.to_string(),
                // In TLS 1.3 the refusal comes behind the client's last message.
                Ok(mut stream) => {
                    if let Err(error) = exchange(&mut stream, &get("/ping")).await {
                        return error.to_string();
                    }
                }
            }
        }
    };
    timeout(crate::support::SOON, refused).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_client_is_refused_fresh_resumed_and_on_open_connections() {
    let mut pair = Pair::start();
    pair.follow().await;
    let (alice, bob) = (
        pair.service.ca.leaf("operator/alice"),
        pair.service.ca.leaf("operator/bob"),
    );
    let tls = pair.service.tls(Some(&alice));
    let mut http1 = pair.service.connect(&tls).await.unwrap();
    let answer = exchange(&mut http1, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 200);
    let http2 = pair.service.reqwest(&tls);
    let ping = || http2.get(pair.service.url("/ping")).send();
    let answer = ping().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.status(), 200);

    // Somebody else's requests go on through it all.
    let stop = Arc::new(AtomicBool::new(false));
    let bobs = pair.service.tls(Some(&bob));
    let mut stream = pair.service.connect(&bobs).await.unwrap();
    let unharmed = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            while !stop.load(Ordering::SeqCst) {
                let answer = exchange(&mut stream, &get("/ping")).await.unwrap();
                assert_eq!(answer.status, 200);
            }
        }
    });

    let publish = || pair.publish(2, &[serial(&alice)]);
    let told = resuming(&pair, &alice, &publish).await;
    assert!(told.contains("CertificateRevoked"), "{told}");
    let answer = exchange(&mut http1, &get("/ping")).await.unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (403, "peer-refused")
    );
    // The connection of before is refused, and no other is had.
    let answer = ping().await;
    assert!(answer.is_err() || answer.unwrap().status() == 403);
    stop.store(true, Ordering::SeqCst);
    unharmed.await.unwrap();

    // Released from hold, it counts again.
    pair.publish(3, &[]);
    let admitted = async { while pair.service.connect(&tls).await.is_err() {} };
    timeout(crate::support::SOON, admitted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_http_2_connection_of_a_revoked_client_is_refused_its_next_request() {
    let mut pair = Pair::start();
    pair.follow().await;
    let alice = pair.service.ca.leaf("operator/alice");
    let client = pair.service.reqwest(&pair.service.tls(Some(&alice)));
    let ping = || client.get(pair.service.url("/ping")).send();
    assert_eq!(ping().await.unwrap().status(), 200);
    pair.publish(2, &[serial(&alice)]);
    let refused = async {
        loop {
            let answer = ping().await.unwrap();
            if answer.status() != 200 {
                return (answer.status().as_u16(), answer.text().await.unwrap());
            }
        }
    };
    let (status, body) = timeout(crate::support::SOON, refused).await.unwrap();
    assert_eq!(status, 403);
    assert!(body.contains("urn:chancery:problem:peer-refused"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_client_of_tls_1_2_is_refused_when_it_tries_to_resume() {
    let mut pair = Pair::start();
    pair.follow().await;
    let alice = pair.service.ca.leaf("operator/alice");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair.service.ca.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(alice.identity());
    config.resumption = Resumption::in_memory_sessions(8);
    let first = connect(pair.service.address, config.clone(), b"http/1.1").await;
    let answer = exchange(&mut first.unwrap(), &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 200);
    pair.publish(2, &[serial(&alice)]);
    let told = until_refused(&pair, config).await;
    assert!(told.contains("CertificateRevoked"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fresh_crl_clients_are_told_that_it_is_not_their_fault() {
    let mut pair = Pair::start();
    pair.follow().await;
    let operator = pair.service.operator();
    let mut open = pair.service.connect(&operator).await.unwrap();
    let answer = exchange(&mut open, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 200);
    pair.published.away.store(true, Ordering::SeqCst);
    // Past its next update, but not past the certificates' end.
    pair.service.clock.advance(86_401);
    let answer = exchange(&mut open, &get("/ping")).await.unwrap();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "revocation-unknown")
    );
    assert!(answer.has("retry-after: "), "{answer:?}");
    let config = operator.client_config().unwrap();
    let told = until_refused(&pair, config).await;
    assert!(told.contains("alert"), "{told}");
    let line = r#"chancery_http_handshakes_total{service="test",outcome="revocation-unknown"} 1"#;
    pair.service.until_metrics(line).await;

    // The CA is back: the same connection is served again.
    pair.published.away.store(false, Ordering::SeqCst);
    pair.publish(2, &[]);
    let served = async { while exchange(&mut open, &get("/ping")).await.unwrap().status != 200 {} };
    timeout(crate::support::SOON, served).await.unwrap();

    // Configured to admit, nobody is refused for want of a CRL.
    pair.service.clock.advance(86_401);
    let answer = exchange(&mut open, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 503);
    let lenient = Box::new(pair.checker(NoFreshCrl::Admit));
    pair.service.verifier.replace_admission(lenient);
    let answer = exchange(&mut open, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crl_that_is_current_is_not_sent_again() {
    let mut pair = Pair::start();
    pair.follow().await;
    // One at the start, one that waits.
    until("a question waits", || {
        pair.published.asked.load(Ordering::SeqCst) == 2
    })
    .await;
    pair.publish(2, &[]);
    until("the next question waits", || {
        pair.published.asked.load(Ordering::SeqCst) == 3
    })
    .await;
}

/// What `openssl s_client -status` says of the service.
async fn s_client(pair: &Pair, version: &str) -> String {
    let address = pair.service.address.to_string();
    let root = pair.directory.path().join("root.pem");
    std::fs::write(&root, pair.service.ca.pem()).unwrap();
    let mut command = Command::new("openssl");
    command
        .args([
            "s_client", "-connect", &address, "-status", version, "-CAfile",
        ])
        .arg(root)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.unwrap().expect("openssl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_sees_the_staple_in_tls_1_2_and_1_3_and_after_a_renewal() {
    let mut pair = Pair::start();
    let good = pair.response(&pair.leaf(), CertStatus::Good);
    pair.published.ocsp.send_replace(good);
    assert!(
        s_client(&pair, "-tls1_3")
            .await
            .contains("OCSP response: no response sent")
    );
    let mut stapler = pair.stapler();
    stapler.prepare(Duration::from_secs(30)).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let told = s_client(&pair, version).await;
        assert!(told.contains("OCSP Response Status: successful"), "{told}");
        assert!(told.contains("Cert Status: good"), "{told}");
    }

    let next = pair.service.ca.leaf("service/ca/ca-1");
    let good = pair.response(&next.chain[0], CertStatus::Good);
    pair.published.ocsp.send_replace(good);
    pair.running.push(tokio::spawn(stapler.run()));
    pair.service
        .identity
        .replace(next.chain.clone(), Arc::clone(&next.key))
        .unwrap();
    until("the new certificate is stapled", || {
        pair.service.identity.stapled().is_some()
    })
    .await;
    let told = s_client(&pair, "-tls1_3").await;
    let serial = serial(&next).to_string().to_uppercase();
    let serial = serial.trim_start_matches("00");
    assert!(
        told.contains(&format!("Serial Number: {serial}")),
        "{serial} {told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn our_clients_refuse_servers_whose_staple_is_not_good() {
    let pair = Pair::start();
    let leaf = pair.leaf();
    let fingerprint = Fingerprint::of(&leaf);
    let revoked = CertStatus::Revoked {
        at: pair.service.clock.now(),
        reason: RevocationReason::KeyCompromise,
    };
    let other = pair.service.ca.leaf("service/ca/ca-2").chain[0].clone();
    let day_before = pair.service.clock.now() - 2 * DAY;
    let staples = [
        (None, "UnknownRevocationStatus", true),
        (Some(pair.response(&leaf, CertStatus::Good)), "", true),
        (Some(pair.response(&leaf, revoked)), "Revoked", false),
        (Some(b"garbage".to_vec()), "InvalidOcspResponse", false),
        (
            Some(pair.response(&other, CertStatus::Good)),
            "InvalidOcspResponse",
            false,
        ),
        (
            Some(
                pair.authority
                    .ocsp(&leaf, CertStatus::Good, day_before, DAY),
            ),
            "InvalidOcspResponse",
            false,
        ),
    ];
    let usual = pair.service.operator();
    let strict = ClientTls {
        staple: StaplePolicy::Required,
        ..usual.clone()
    };
    for (staple, why, taken) in staples {
        assert!(pair.service.identity.staple(&fingerprint, staple));
        let outcome = pair.service.connect(&usual).await;
        assert_eq!(outcome.is_ok(), taken, "{outcome:?}");
        let outcome = pair.service.connect(&strict).await.map(drop);
        match why {
            "" => assert!(outcome.is_ok(), "{outcome:?}"),
            why => assert!(outcome.unwrap_err().to_string().contains(why), "{why}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_cannot_answer_leaves_the_server_without_a_staple_and_serving() {
    let pair = Pair::start();
    pair.published.away.store(true, Ordering::SeqCst);
    let mut stapler = pair.stapler();
    stapler.prepare(Duration::from_millis(300)).await;
    assert!(pair.service.identity.stapled().is_none());
    let operator = pair.service.operator();
    let mut stream = pair.service.connect(&operator).await.unwrap();
    let answer = exchange(&mut stream, &get("/ping")).await.unwrap();
    assert_eq!(answer.status, 200);
}
