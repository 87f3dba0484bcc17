//! Who is admitted by a CRL, and how it is followed.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use model::{Clock, ManualClock, RevocationReason, SerialNumber};
use pki::crl::{CoveredKinds, IssuingPoint};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::*;
use crate::authority::{Authority, CrlSpec, issuing, later, serial};
use crate::ca_client::{
    CaClientError, CrlAnswer, CrlRequest, CrlScope, FetchedCrl, RevocationSource,
};
use crate::health::Health;
use crate::peer::PeerCertificate;
use crate::problem::ProblemType;
use crate::tls::{AdmitPeer, Refusal};
use crate::wire::ProblemDocument;

const HOLD: RevocationReason = RevocationReason::CertificateHold;
const RELEASED: RevocationReason = RevocationReason::RemoveFromCrl;

/// A checker over a directory, with a clock.
struct Bench {
    authority: Authority,
    clock: Arc<ManualClock>,
    directory: TempDir,
    metrics: RevocationMetrics,
    registry: Registry,
}

impl Bench {
    fn new() -> Self {
        let metrics = RevocationMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        Self {
            authority: Authority::new("a"),
            clock: Arc::new(ManualClock::at(later(60))),
            directory: tempfile::tempdir().unwrap(),
            metrics,
            registry,
        }
    }

    fn open(&self, config: RevocationConfig) -> Arc<CrlChecker> {
        self.open_with(config, Vec::new())
    }

    fn open_with(&self, config: RevocationConfig, more: Vec<WatchedIssuer>) -> Arc<CrlChecker> {
        let mut issuers = vec![WatchedIssuer {
            id: issuing(),
            certificate_der: self.authority.certificate.der().to_vec(),
            role: WatchedRole::Clients,
        }];
        issuers.extend(more);
        CrlChecker::open(CrlCheckerParts {
            service: "test",
            issuers,
            config,
            directory: self.directory.path().to_owned(),
            clock: Arc::clone(&self.clock) as _,
            metrics: self.metrics.clone(),
        })
        .unwrap()
    }

    fn keep(&self, name: &str, spec: &CrlSpec) {
        std::fs::write(self.directory.path().join(name), self.authority.crl(spec)).unwrap();
    }

    fn peer(&self, serial: SerialNumber) -> PeerCertificate {
        PeerCertificate::for_tests(serial, self.authority.certificate.subject_der())
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

fn admitting() -> RevocationConfig {
    RevocationConfig {
        no_fresh_crl: NoFreshCrl::Admit,
        ..RevocationConfig::default()
    }
}

#[test]
fn who_is_on_the_crl_is_refused_and_nobody_else() {
    let bench = Bench::new();
    bench.keep("issuing.crl", &CrlSpec::full(1, &[serial(1)]));
    let checker = bench.open(RevocationConfig::default());
    assert_eq!(checker.admit(&bench.peer(serial(2))), Ok(()));
    assert_eq!(checker.admit(&bench.peer(serial(1))), Err(Refusal::Revoked));
    let foreign = PeerCertificate::for_tests(serial(2), &[0x30, 0]);
    assert_eq!(checker.admit(&foreign), Err(Refusal::Unknown));
    let metrics = bench.metrics();
    for line in [
        r#"chancery_client_crl_number{service="test",issuer="issuing",shard=""} 1"#,
        r#"chancery_client_crl_entries{service="test",issuer="issuing",shard=""} 1"#,
        r#"chancery_client_revocation_refusals_total{service="test",reason="revoked"} 1"#,
        r#"chancery_client_revocation_refusals_total{service="test",reason="unknown"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn without_a_fresh_crl_all_are_refused_or_admitted_as_configured() {
    let bench = Bench::new();
    let (refusing, admitting) = (
        bench.open(RevocationConfig::default()),
        bench.open(admitting()),
    );
    let (good, revoked) = (bench.peer(serial(2)), bench.peer(serial(1)));
    assert_eq!(refusing.admit(&good), Err(Refusal::Unknown));
    assert_eq!(admitting.admit(&good), Ok(()));
    bench.keep("issuing.crl", &CrlSpec::full(1, &[serial(1)]));
    let (refusing, admitting) = (
        bench.open(RevocationConfig::default()),
        bench.open(self::admitting()),
    );
    let health = Health::new();
    refusing.register_health(&health);
    assert_eq!(refusing.admit(&good), Ok(()));
    assert!(health.readiness().ready);

    // Fresh to its last second, and not one longer.
    bench.clock.advance(86_400 - 60);
    assert_eq!(refusing.admit(&good), Ok(()));
    bench.clock.advance(1);
    assert_eq!(refusing.admit(&good), Err(Refusal::Unknown));
    assert_eq!(admitting.admit(&good), Ok(()));
    // What an old CRL names is revoked all the same.
    assert_eq!(refusing.admit(&revoked), Err(Refusal::Revoked));
    assert_eq!(admitting.admit(&revoked), Err(Refusal::Revoked));
    let readiness = health.readiness();
    assert!(!readiness.ready);
    let reason = readiness.checks[0].reason.as_deref().unwrap();
    assert!(reason.contains("2026-06-02T00:00:00Z"), "{reason}");
    let line = r#"chancery_client_revocation_unchecked_total{service="test"} 2"#;
    assert!(bench.metrics().contains(line), "{}", bench.metrics());

    // A clock far back makes it a CRL of the future.
    bench.clock.advance(-86_400 - 302);
    assert_eq!(refusing.admit(&good), Err(Refusal::Unknown));
}

#[test]
fn an_issuing_authority_that_was_revoked_has_all_its_clients_refused() {
    let bench = Bench::new();
    bench.keep("issuing.crl", &CrlSpec::full(1, &[]));
    // A root that certified itself: its CRL may name it.
    let root = WatchedIssuer {
        id: "root".parse().unwrap(),
        certificate_der: bench.authority.certificate.der().to_vec(),
        role: WatchedRole::Authorities,
    };
    let checker = bench.open_with(RevocationConfig::default(), vec![root.clone()]);
    let peer = bench.peer(serial(2));
    // A root's CRL that is not there refuses nobody.
    assert_eq!(checker.admit(&peer), Ok(()));
    let own = bench.authority.certificate.serial().clone();
    bench.keep("root.crl", &CrlSpec::full(1, &[own]));
    let checker = bench.open_with(RevocationConfig::default(), vec![root]);
    assert_eq!(checker.admit(&peer), Err(Refusal::Revoked));
}

#[test]
fn kept_crls_that_are_damaged_or_foreign_are_left_out() {
    let bench = Bench::new();
    let path = bench.directory.path().join("issuing.crl");
    let foreign = Authority::new("a").crl(&CrlSpec::full(1, &[]));
    for content in [&b"garbage"[..], &foreign, b""] {
        std::fs::write(&path, content).unwrap();
        let checker = bench.open(RevocationConfig::default());
        let refused = checker.admit(&bench.peer(serial(2)));
        assert_eq!(refused, Err(Refusal::Unknown));
    }
}

#[test]
fn nothing_to_follow_and_impossible_settings_are_refused() {
    let bench = Bench::new();
    let parts = |issuers, config| CrlCheckerParts {
        service: "test",
        issuers,
        config,
        directory: bench.directory.path().to_owned(),
        clock: Arc::clone(&bench.clock) as Arc<dyn Clock>,
        metrics: RevocationMetrics::default(),
    };
    let none = CrlChecker::open(parts(Vec::new(), RevocationConfig::default()));
    assert!(matches!(none, Err(crate::Error::NothingToFollow { .. })));
    let broken = WatchedIssuer {
        id: issuing(),
        certificate_der: vec![0x30, 0],
        role: WatchedRole::Clients,
    };
    let broken = CrlChecker::open(parts(vec![broken], RevocationConfig::default()));
    assert!(matches!(
        broken,
        Err(crate::Error::IssuerCertificate { .. })
    ));
    let config = RevocationConfig {
        refresh: Duration::ZERO,
        ..RevocationConfig::default()
    };
    let zero = CrlChecker::open(parts(Vec::new(), config));
    assert!(matches!(zero, Err(crate::Error::RevocationConfig { .. })));
}

/// What the CA does with one question.
enum Answer {
    /// Answers at once.
    Now(Result<CrlAnswer, CaClientError>),
    /// Holds the answer back for this long.
    After(Duration, Result<CrlAnswer, CaClientError>),
    /// Never answers.
    Never,
}

/// A CA that answers as it was told, and afterwards waits for ever.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<(CrlRequest, Instant)>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    fn of(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    fn requests(&self) -> Vec<CrlRequest> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(request, _)| request.clone()).collect()
    }
}

#[async_trait]
impl RevocationSource for Script {
    async fn crl(&self, request: CrlRequest) -> Result<CrlAnswer, CaClientError> {
        self.asked.lock().unwrap().push((request, Instant::now()));
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            Some(Answer::Now(answer)) => answer,
            Some(Answer::After(delay, answer)) => {
                sleep(delay).await;
                answer
            }
            Some(Answer::Never) | None => std::future::pending().await,
        }
    }

    async fn ocsp(&self, _: Vec<u8>) -> Result<Vec<u8>, CaClientError> {
        std::future::pending().await
    }
}

fn fetched(der: Vec<u8>, etag: &str) -> Result<CrlAnswer, CaClientError> {
    let etag = Some(etag.to_owned());
    Ok(CrlAnswer::Crl(FetchedCrl { der, etag }))
}

fn refused(kind: ProblemType) -> Result<CrlAnswer, CaClientError> {
    let problem = Box::new(ProblemDocument {
        kind: kind.uri(),
        title: String::new(),
        status: kind.status().as_u16(),
        detail: "as scripted".to_owned(),
        request_id: None,
        members: serde_json::Map::new(),
    });
    Err(CaClientError::Refused { problem })
}

/// Follows until the script has been asked `count` times and has nothing to say.
async fn follow(checker: &Arc<CrlChecker>, script: &Arc<Script>, count: usize) {
    let source: Arc<dyn RevocationSource> = Arc::clone(script) as _;
    let following = Arc::clone(checker).follow(source);
    let asked = async {
        while script.asked.lock().unwrap().len() < count {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = following => panic!("following ended"),
        () = asked => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_crl_is_asked_for_by_tag_and_taken_when_it_comes() {
    let bench = Bench::new();
    let checker = bench.open(RevocationConfig::default());
    let second = CrlSpec::full(2, &[serial(1)]).at(later(30));
    let script = Script::of([
        Answer::Now(fetched(
            bench.authority.crl(&CrlSpec::full(1, &[])),
            "\"1\"",
        )),
        Answer::After(Duration::from_secs(30), Ok(CrlAnswer::NotModified)),
        Answer::After(
            Duration::from_secs(5),
            fetched(bench.authority.crl(&second), "\"2\""),
        ),
    ]);
    follow(&checker, &script, 4).await;
    assert_eq!(checker.admit(&bench.peer(serial(1))), Err(Refusal::Revoked));
    let asked = script.requests();
    let known: Vec<_> = asked
        .iter()
        .map(|request| request.known.as_deref())
        .collect();
    assert_eq!(known, [None, Some("\"1\""), Some("\"1\""), Some("\"2\"")]);
    assert_eq!(asked[0].wait, None);
    assert!(
        asked[1..]
            .iter()
            .all(|request| request.wait == Some(Duration::from_secs(30)))
    );
    // No pause between questions that the CA held back.
    let asked = script.asked.lock().unwrap();
    assert_eq!(asked[2].1 - asked[1].1, Duration::from_secs(30));
    assert!(asked[3].1 - asked[2].1 < Duration::from_secs(6));
    let metrics = bench.metrics();
    let line = r#"chancery_client_crl_fetches_total{service="test",outcome="newer"} 2"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_does_not_hold_back_is_asked_at_the_refresh_and_not_without_end() {
    let bench = Bench::new();
    let checker = bench.open(RevocationConfig::default());
    let crl = bench.authority.crl(&CrlSpec::full(1, &[]));
    let untagged = || {
        Answer::Now(Ok(CrlAnswer::Crl(FetchedCrl {
            der: crl.clone(),
            etag: None,
        })))
    };
    let script = Script::of([
        Answer::Now(fetched(crl.clone(), "\"1\"")),
        Answer::Now(Ok(CrlAnswer::NotModified)),
        Answer::Now(Ok(CrlAnswer::NotModified)),
        untagged(),
        untagged(),
    ]);
    follow(&checker, &script, 6).await;
    let asked = script.asked.lock().unwrap();
    for pair in asked[1..].windows(2) {
        let pause = pair[1].1 - pair[0].1;
        assert!((30..=61).contains(&pause.as_secs()), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_growing_pauses_and_what_is_held_stays() {
    let bench = Bench::new();
    bench.keep("issuing.crl", &CrlSpec::full(5, &[serial(1)]));
    let checker = bench.open(RevocationConfig::default());
    let old = bench.authority.crl(&CrlSpec::full(4, &[]).at(later(1)));
    let mut answers = vec![Answer::Now(fetched(old, "\"4\""))];
    answers.extend((0..8).map(|_| Answer::Now(refused(ProblemType::CrlStale))));
    answers.push(Answer::Now(fetched(b"garbage".to_vec(), "\"x\"")));
    let script = Script::of(answers);
    follow(&checker, &script, 11).await;
    assert_eq!(checker.admit(&bench.peer(serial(1))), Err(Refusal::Revoked));
    assert_eq!(checker.admit(&bench.peer(serial(2))), Ok(()));
    let asked = script.asked.lock().unwrap();
    let pauses: Vec<_> = asked
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).as_millis())
        .collect();
    assert!(pauses[0] <= 510, "{pauses:?}");
    assert!(
        pauses[7..]
            .iter()
            .all(|pause| (7_500..=15_010).contains(pause)),
        "{pauses:?}"
    );
    // A rejected one is not remembered as known.
    assert!(asked.iter().all(|(request, _)| request.known.is_none()));
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_is_kept_for_the_next_start_and_its_number_holds() {
    let bench = Bench::new();
    let checker = bench.open(RevocationConfig::default());
    let crl = bench.authority.crl(&CrlSpec::full(9, &[serial(1)]));
    let script = Script::of([Answer::Now(fetched(crl, "\"9\""))]);
    follow(&checker, &script, 2).await;
    let restarted = bench.open(RevocationConfig::default());
    assert_eq!(
        restarted.admit(&bench.peer(serial(1))),
        Err(Refusal::Revoked)
    );
    assert_eq!(restarted.admit(&bench.peer(serial(2))), Ok(()));
    let old = bench.authority.crl(&CrlSpec::full(8, &[]).at(later(10)));
    let script = Script::of([Answer::Now(fetched(old, "\"8\""))]);
    follow(&restarted, &script, 2).await;
    assert_eq!(
        restarted.admit(&bench.peer(serial(1))),
        Err(Refusal::Revoked)
    );
}

#[tokio::test(start_paused = true)]
async fn deltas_are_followed_and_a_base_that_is_missing_is_fetched() {
    let bench = Bench::new();
    let config = RevocationConfig {
        deltas: true,
        ..RevocationConfig::default()
    };
    let checker = bench.open(config.clone());
    let signed = |spec: &CrlSpec, etag: &str| Answer::Now(fetched(bench.authority.crl(spec), etag));
    let script = Script::of([
        signed(&CrlSpec::full(1, &[serial(1)]), "\"1\""),
        signed(
            &CrlSpec::delta(2, 1, &[(serial(1), RELEASED), (serial(2), HOLD)]),
            "\"d2\"",
        ),
        signed(
            &CrlSpec::delta(4, 3, &[(serial(4), HOLD)]).at(later(20)),
            "\"d4\"",
        ),
        signed(&CrlSpec::full(3, &[serial(3)]).at(later(10)), "\"3\""),
        signed(
            &CrlSpec::delta(4, 3, &[(serial(4), HOLD)]).at(later(20)),
            "\"d4\"",
        ),
    ]);
    follow(&checker, &script, 6).await;
    let scopes: Vec<_> = script
        .requests()
        .iter()
        .map(|request| request.scope)
        .collect();
    let (full, delta) = (CrlScope::Full, CrlScope::Delta);
    assert_eq!(scopes, [full, delta, delta, full, delta, delta]);
    assert_eq!(script.requests()[5].known.as_deref(), Some("\"d4\""));
    for (number, revoked) in [(1, false), (2, false), (3, true), (4, true)] {
        let admitted = checker.admit(&bench.peer(serial(number))).is_ok();
        assert_eq!(admitted, !revoked, "{number}");
    }
    // The delta is kept as well: a restart readmits nobody.
    let restarted = bench.open(config);
    assert_eq!(
        restarted.admit(&bench.peer(serial(4))),
        Err(Refusal::Revoked)
    );
}

#[tokio::test(start_paused = true)]
async fn where_no_delta_is_issued_the_complete_crl_is_followed() {
    let bench = Bench::new();
    let checker = bench.open(RevocationConfig {
        deltas: true,
        ..RevocationConfig::default()
    });
    let second = CrlSpec::full(2, &[serial(1)]).at(later(10));
    let script = Script::of([
        Answer::Now(fetched(
            bench.authority.crl(&CrlSpec::full(1, &[])),
            "\"1\"",
        )),
        Answer::Now(refused(ProblemType::CrlUnknown)),
        Answer::After(
            Duration::from_secs(20),
            fetched(bench.authority.crl(&second), "\"2\""),
        ),
        Answer::Now(refused(ProblemType::CrlUnknown)),
    ]);
    follow(&checker, &script, 5).await;
    let scopes: Vec<_> = script
        .requests()
        .iter()
        .map(|request| request.scope)
        .collect();
    let (full, delta) = (CrlScope::Full, CrlScope::Delta);
    assert_eq!(scopes, [full, delta, full, delta, full]);
    assert_eq!(checker.admit(&bench.peer(serial(1))), Err(Refusal::Revoked));
}

#[tokio::test(start_paused = true)]
async fn every_shard_must_be_fresh() {
    let bench = Bench::new();
    let checker = bench.open(RevocationConfig {
        shards: 2,
        ..RevocationConfig::default()
    });
    let shard = |number: u32, serials: &[SerialNumber]| CrlSpec {
        point: Some(IssuingPoint {
            urls: vec![format!("http://x/crl/issuing-{number}.crl")],
            only: CoveredKinds::All,
        }),
        ..CrlSpec::full(1, serials)
    };
    let one = bench.authority.crl(&shard(0, &[serial(1)]));
    let script = Script::of([Answer::Now(fetched(one.clone(), "\"0\"")), Answer::Never]);
    follow(&checker, &script, 3).await;
    assert_eq!(checker.admit(&bench.peer(serial(1))), Err(Refusal::Revoked));
    assert_eq!(checker.admit(&bench.peer(serial(9))), Err(Refusal::Unknown));
    let two = bench.authority.crl(&shard(1, &[serial(2)]));
    let script = Script::of([
        Answer::Now(fetched(one, "\"0\"")),
        Answer::Now(fetched(two, "\"1\"")),
    ]);
    follow(&checker, &script, 4).await;
    assert_eq!(checker.admit(&bench.peer(serial(2))), Err(Refusal::Revoked));
    assert_eq!(checker.admit(&bench.peer(serial(9))), Ok(()));
    assert!(
        Path::new(bench.directory.path())
            .join("issuing-1.crl")
            .exists()
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_the_first_crl_no_longer_than_its_patience() {
    let bench = Bench::new();
    let checker = bench.open(RevocationConfig::default());
    let crl = bench.authority.crl(&CrlSpec::full(1, &[]));
    let patience = Duration::from_secs(5);
    let silent: Arc<dyn RevocationSource> = Script::of([Answer::Never]);
    let begun = Instant::now();
    checker.first(&silent, patience).await;
    assert_eq!(begun.elapsed(), patience);
    let source: Arc<dyn RevocationSource> = Script::of([Answer::Now(fetched(crl, "\"1\""))]);
    checker.first(&source, patience).await;
    assert_eq!(checker.admit(&bench.peer(serial(2))), Ok(()));
}
