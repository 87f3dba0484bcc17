//! Who staples what, and until when.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use model::{Clock, RevocationReason};
use pki::ocsp::{CertStatus, ErrorStatus, OcspRequest, RequestLimits};
use prometheus_client::registry::Registry;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::*;
use crate::authority::{Authority, start};
use crate::ca_client::{CaClientError, CrlAnswer, CrlRequest, RevocationSource};
use crate::health::Health;
use crate::tls::TlsIdentity;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

/// A clock that goes with tokio's, which the tests let jump.
#[derive(Debug)]
struct Jumping(Instant);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        start() + self.0.elapsed()
    }
}

/// What the responder does with one question.
enum Answer {
    /// Answers.
    Der(Vec<u8>),
    /// Answers about this leaf, as of now, for so long.
    About(CertificateDer<'static>, CertStatus, Duration),
    /// Never answers.
    Never,
    /// Has a broken connection.
    Broken,
}

/// A responder that does as it was told, and afterwards answers tryLater.
struct Script {
    authority: Arc<Authority>,
    clock: Arc<Jumping>,
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Instant>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

#[async_trait]
impl RevocationSource for Script {
    async fn crl(&self, _: CrlRequest) -> Result<CrlAnswer, CaClientError> {
        pending().await
    }

    async fn ocsp(&self, request_der: Vec<u8>) -> Result<Vec<u8>, CaClientError> {
        let request = OcspRequest::parse(&request_der, &RequestLimits::default()).unwrap();
        assert!(request.nonce().is_none());
        self.asked.lock().unwrap().push(Instant::now());
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            Some(Answer::Der(der)) => Ok(der),
            Some(Answer::About(leaf, status, life)) => {
                Ok(self.authority.ocsp(&leaf, status, self.clock.now(), life))
            }
            Some(Answer::Never) => pending().await,
            Some(Answer::Broken) => Err(CaClientError::Protocol {
                what: "it is not HTTP",
                status: 0,
            }),
            None => Ok(ErrorStatus::TryLater.der().to_vec()),
        }
    }
}

/// A server's identity, a responder, and what the stapler needs besides.
struct Bench {
    authority: Arc<Authority>,
    identity: Arc<TlsIdentity>,
    leaf: CertificateDer<'static>,
    clock: Arc<Jumping>,
    directory: TempDir,
    metrics: StaplingMetrics,
    registry: Registry,
}

impl Bench {
    fn new() -> Self {
        let authority = Arc::new(Authority::new("a"));
        let (chain, key) = authority.leaf();
        let metrics = StaplingMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        Self {
            leaf: chain[0].clone(),
            identity: TlsIdentity::from_signing_key(chain, key).unwrap(),
            authority,
            clock: Arc::new(Jumping(Instant::now())),
            directory: tempfile::tempdir().unwrap(),
            metrics,
            registry,
        }
    }

    fn script(&self, answers: impl IntoIterator<Item = Answer>) -> Arc<Script> {
        Arc::new(Script {
            authority: Arc::clone(&self.authority),
            clock: Arc::clone(&self.clock),
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    fn stapler(&self, script: &Arc<Script>) -> Stapler {
        Stapler::new(StaplerParts {
            service: "test",
            identity: Arc::clone(&self.identity),
            issuers: Vec::new(),
            source: Arc::clone(script) as _,
            kept: self.directory.path().join("chain.pem.ocsp"),
            config: StaplingConfig::default(),
            clock: Arc::clone(&self.clock) as _,
            metrics: self.metrics.clone(),
        })
    }

    fn good(&self, life: Duration) -> Answer {
        Answer::About(self.leaf.clone(), CertStatus::Good, life)
    }

    fn revoked(&self) -> Answer {
        let status = CertStatus::Revoked {
            at: start(),
            reason: RevocationReason::CertificateHold,
        };
        Answer::About(self.leaf.clone(), status, 7 * DAY)
    }

    fn is_stapled(&self) -> bool {
        self.identity.stapled().is_some()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Lets time pass up to so long after the beginning.
    async fn at(&self, since_start: Duration) {
        sleep_until(self.clock.0 + since_start).await;
    }
}

/// Ends a task with the test.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn run(stapler: Stapler) -> Running {
    Running(tokio::spawn(stapler.run()))
}

/// Seconds between the questions.
fn pauses(script: &Script) -> Vec<u64> {
    let asked = script.asked.lock().unwrap();
    asked
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_handshake_is_stapled_and_the_staple_renewed_every_12_hours() {
    let bench = Bench::new();
    let script = bench.script((0..4).map(|_| bench.good(7 * DAY)));
    let mut stapler = bench.stapler(&script);
    assert!(!bench.is_stapled());
    stapler.prepare(Duration::from_secs(5)).await;
    assert!(bench.is_stapled());
    let first = bench.identity.stapled();
    let _running = run(stapler);
    bench.at(37 * HOUR).await;
    let pauses = pauses(&script);
    assert_eq!(pauses.len(), 3);
    for pause in pauses {
        assert!((43_200..=43_202).contains(&pause), "{pause}");
    }
    assert_ne!(bench.identity.stapled(), first);
    let metrics = bench.metrics();
    assert!(
        metrics.contains(r#"chancery_staple_present{service="test"} 1"#),
        "{metrics}"
    );
    let line = r#"chancery_staple_queries_total{service="test",outcome="good"} 4"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_short_response_is_renewed_at_half_of_what_is_left() {
    let bench = Bench::new();
    let script = bench.script((0..3).map(|_| bench.good(HOUR)));
    let _running = run(bench.stapler(&script));
    bench.at(Duration::from_secs(3605)).await;
    for pause in pauses(&script) {
        assert!((1800..=1802).contains(&pause), "{pause}");
    }
    assert_eq!(pauses(&script).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_staple_stays_through_failures_until_it_expires() {
    let bench = Bench::new();
    let script = bench.script([
        bench.good(HOUR),
        Answer::Broken,
        Answer::Der(b"garbage".to_vec()),
        Answer::Never,
    ]);
    let _running = run(bench.stapler(&script));
    bench.at(HOUR - Duration::from_secs(1)).await;
    assert!(bench.is_stapled());
    bench.at(HOUR + Duration::from_secs(2)).await;
    assert!(!bench.is_stapled(), "shown past its time");
    let asked = pauses(&script);
    // At half, then soon, then ever later, but not without end.
    assert!(
        asked[1] <= 3 && asked.iter().max() == Some(&asked[0]),
        "{asked:?}"
    );
    assert!(asked[1..].iter().any(|pause| *pause > 150), "{asked:?}");
    assert!(asked.len() < 40, "{asked:?}");
    // Without anything stapled it asks more often.
    let before = asked.len();
    bench.at(HOUR + Duration::from_secs(602)).await;
    assert!(
        pauses(&script).len() - before >= 15,
        "{:?}",
        pauses(&script)
    );
    let metrics = bench.metrics();
    for line in [
        r#"chancery_staple_present{service="test"} 0"#,
        r#"chancery_staple_queries_total{service="test",outcome="unreachable"} 1"#,
        r#"chancery_staple_queries_total{service="test",outcome="timeout"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_responder_that_hangs_keeps_no_expired_staple_alive() {
    let bench = Bench::new();
    let mut answers = vec![bench.good(Duration::from_secs(40))];
    answers.extend((0..100).map(|_| Answer::Never));
    let _running = run(bench.stapler(&bench.script(answers)));
    bench.at(Duration::from_secs(39)).await;
    assert!(bench.is_stapled());
    bench.at(Duration::from_secs(42)).await;
    assert!(!bench.is_stapled());
}

#[tokio::test(start_paused = true)]
async fn a_new_certificate_is_stapled_at_once() {
    let bench = Bench::new();
    let (chain, key) = bench.authority.leaf();
    let renewed = Answer::About(chain[0].clone(), CertStatus::Good, 7 * DAY);
    // The second question, about the old one, is overtaken by the renewal.
    let script = bench.script([bench.good(HOUR), Answer::Never, renewed]);
    let _running = run(bench.stapler(&script));
    bench.at(Duration::from_secs(1805)).await;
    assert!(bench.is_stapled());
    bench.identity.replace(chain, key).unwrap();
    assert!(
        !bench.is_stapled(),
        "an old response with a new certificate"
    );
    bench.at(Duration::from_secs(1806)).await;
    assert!(bench.is_stapled());
    assert_eq!(script.asked.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_ca_staples_what_was_kept_and_asks_at_once() {
    let bench = Bench::new();
    bench
        .stapler(&bench.script([bench.good(7 * DAY)]))
        .prepare(Duration::from_secs(5))
        .await;
    let kept = bench.identity.stapled();
    let fingerprint = crate::Fingerprint::of(&bench.leaf);
    bench.identity.staple(&fingerprint, None);
    let script = bench.script([Answer::Broken]);
    let mut stapler = bench.stapler(&script);
    let begun = Instant::now();
    stapler.prepare(Duration::from_secs(5)).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(kept.is_some() && bench.identity.stapled() == kept);
    let _running = run(stapler);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(script.asked.lock().unwrap().len(), 1);
    assert_eq!(bench.identity.stapled(), kept);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_not_trusted_unread() {
    let bench = Bench::new();
    let path = bench.directory.path().join("chain.pem.ocsp");
    let other = bench.authority.leaf().0[0].clone();
    let about =
        |leaf: &CertificateDer<'_>, status| bench.authority.ocsp(leaf, status, start(), 7 * DAY);
    let revoked = CertStatus::Revoked {
        at: start(),
        reason: RevocationReason::KeyCompromise,
    };
    let foreign = Authority::new("a").ocsp(&bench.leaf, CertStatus::Good, start(), 7 * DAY);
    for kept in [
        b"garbage".to_vec(),
        about(&other, CertStatus::Good),
        about(&bench.leaf, revoked),
        foreign,
        vec![0; 100_000],
    ] {
        std::fs::write(&path, &kept).unwrap();
        let mut stapler = bench.stapler(&bench.script([]));
        stapler.prepare(Duration::from_secs(5)).await;
        assert!(!bench.is_stapled());
    }
    std::fs::write(&path, about(&bench.leaf, CertStatus::Good)).unwrap();
    bench.at(7 * DAY).await;
    let mut stapler = bench.stapler(&bench.script([]));
    stapler.prepare(Duration::from_secs(5)).await;
    assert!(!bench.is_stapled(), "expired");
}

#[tokio::test(start_paused = true)]
async fn answers_that_prove_nothing_are_not_stapled() {
    let bench = Bench::new();
    let other = bench.authority.leaf().0[0].clone();
    let foreign = Authority::new("a").ocsp(&bench.leaf, CertStatus::Good, start(), 7 * DAY);
    let mut tampered = bench
        .authority
        .ocsp(&bench.leaf, CertStatus::Good, start(), 7 * DAY);
    *tampered.last_mut().unwrap() ^= 1;
    let answers = [
        Answer::About(bench.leaf.clone(), CertStatus::Unknown, 7 * DAY),
        Answer::About(other, CertStatus::Good, 7 * DAY),
        Answer::Der(foreign),
        Answer::Der(tampered),
        Answer::Der(ErrorStatus::Unauthorized.der().to_vec()),
        Answer::Der(Vec::new()),
        Answer::Never,
    ];
    let script = bench.script(answers);
    for _ in 0..7 {
        let mut stapler = bench.stapler(&script);
        stapler.prepare(Duration::from_secs(5)).await;
        assert!(!bench.is_stapled());
    }
    assert_eq!(script.asked.lock().unwrap().len(), 7);
    let line = r#"chancery_staple_queries_total{service="test",outcome="unknown"} 1"#;
    assert!(bench.metrics().contains(line), "{}", bench.metrics());
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_certificate_is_on_hold_says_so_until_it_is_released() {
    let bench = Bench::new();
    let health = Health::new();
    let script = bench.script([bench.good(7 * DAY), bench.revoked(), bench.good(7 * DAY)]);
    let stapler = bench.stapler(&script);
    stapler.register_health(&health);
    let _running = run(stapler);
    bench.at(HOUR).await;
    let good = bench.identity.stapled();
    assert!(health.readiness().ready);
    bench.at(12 * HOUR + Duration::from_secs(60)).await;
    // Not the older answer, which would hide it.
    assert!(bench.is_stapled() && bench.identity.stapled() != good);
    assert!(!health.readiness().ready);
    let metrics = bench.metrics();
    assert!(
        metrics.contains(r#"chancery_staple_revoked{service="test"} 1"#),
        "{metrics}"
    );
    bench.at(12 * HOUR + Duration::from_secs(320)).await;
    assert!(health.readiness().ready);
    assert_eq!(pauses(&script).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_chain_without_its_issuer_is_not_asked_about_until_it_is_given() {
    let bench = Bench::new();
    let (chain, key) = bench.authority.leaf();
    let (leaf, issuer) = (chain[0].clone(), chain[1].clone());
    bench.identity.replace(vec![leaf.clone()], key).unwrap();
    let answer = || Answer::About(leaf.clone(), CertStatus::Good, DAY);
    let script = bench.script([answer()]);
    let running = run(bench.stapler(&script));
    sleep(Duration::from_secs(60)).await;
    assert!(!bench.is_stapled() && script.asked.lock().unwrap().is_empty());
    drop(running);
    let mut stapler = Stapler::new(StaplerParts {
        service: "test",
        identity: Arc::clone(&bench.identity),
        issuers: vec![issuer],
        source: script,
        kept: bench.directory.path().join("kept"),
        config: StaplingConfig::default(),
        clock: Arc::clone(&bench.clock) as _,
        metrics: StaplingMetrics::default(),
    });
    stapler.prepare(Duration::from_secs(5)).await;
    assert!(bench.is_stapled());
}
