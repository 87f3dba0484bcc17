//! Orders through a CA that may stop at every step.

mod ca;
mod judging;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::acme::{
    AccountId, AuthorizationId, ChallengeId, ChallengeKind, Finalization, Identifier, OrderId,
    OrderState,
};
use model::{ManualClock, ProfileName, RequestId, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use store::acme::{
    AccountKey, AcmeRecords, AcmeStore, NewAccount, NewAuthorization, NewOrder, Order, Retention,
    Validation,
};
use store::{StoreConfig, StoreMetrics};
use tempfile::{TempDir, tempdir};

use self::ca::{Step, TestCa};
use super::*;

/// Longer than any of these tests takes: a bound, never waited for.
const LONG: Duration = Duration::from_secs(60);

/// Returns a time.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// Opens a store.
fn open(directory: &Path) -> Arc<AcmeRecords> {
    let config = StoreConfig {
        segment_mib: 1,
        min_free_mib: 0,
        ..StoreConfig::at(directory)
    };
    let opened = AcmeRecords::open(&config, StoreMetrics::default(), Retention::default());
    Arc::new(opened.unwrap())
}

/// Returns the name of an order.
fn order_id(number: u8) -> OrderId {
    OrderId::new(at(0), [number; 10])
}

/// Returns what an order is for.
fn names(number: u8) -> [Identifier; 2] {
    [
        Identifier::dns(&format!("host-{number}.example")).unwrap(),
        Identifier::Ip([192, 0, 2, number].into()),
    ]
}

/// A store, a CA and what brings them together.
struct Bench {
    /// The store's directory.
    directory: TempDir,
    /// The CA.
    ca: Arc<TestCa>,
}

impl Bench {
    /// Makes a CA and an empty store.
    fn new() -> Self {
        Self {
            directory: tempdir().unwrap(),
            ca: Arc::new(TestCa::new()),
        }
    }

    /// Starts the service's part over the store: again, as after a crash.
    fn start(&self) -> (Arc<AcmeRecords>, Finalizer) {
        let store = open(self.directory.path());
        let settings = FinalizeSettings {
            workers: 4,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
            ..FinalizeSettings::default()
        };
        let finalizer = Finalizer::start(
            Arc::clone(&store) as Arc<dyn AcmeStore>,
            Arc::clone(&self.ca) as Arc<dyn CaClient>,
            Arc::new(ManualClock::at(at(10))),
            &settings,
            FinalizeMetrics::default(),
        );
        (store, finalizer)
    }

    /// Ends everything and waits until the directory is free.
    async fn stop(store: Arc<AcmeRecords>, finalizer: Finalizer) {
        drop(finalizer);
        // Aborted tasks let go of the store when the runtime gets to them.
        let mut store = store;
        loop {
            match Arc::try_unwrap(store) {
                Ok(owned) => return owned.close(),
                Err(shared) => store = shared,
            }
            tokio::task::yield_now().await;
        }
    }

    /// Makes an order and takes it to `processing`.
    async fn finalize(&self, store: &AcmeRecords, number: u8) -> OrderId {
        let key = KeyPair::generate().unwrap();
        let csr_der = self.ca.prepare(&names(number), key);
        self.finalize_with(store, number, csr_der).await
    }

    /// Makes an order and takes it to `processing` with a request.
    async fn finalize_with(&self, store: &AcmeRecords, number: u8, csr_der: Vec<u8>) -> OrderId {
        let account = AccountId::new(at(0), [0; 10]);
        let new = NewAccount {
            id: account,
            key: AccountKey {
                thumbprint: [0; 32],
                jwk_json: "{}".into(),
            },
            contacts: Vec::new(),
            terms_agreed: None,
            binding: None,
            peer: None,
            at: at(0),
        };
        store.create_account(new).await.unwrap();
        let authorization = |position| AuthorizationId::new(at(position), [number; 10]);
        let new = NewOrder {
            id: order_id(number),
            account,
            identifiers: (0..)
                .zip(names(number))
                .map(|(position, identifier)| {
                    let new = NewAuthorization {
                        id: authorization(position),
                        token: "x".repeat(43).into(),
                        challenges: vec![ChallengeKind::Http01],
                        expires_at: at(1000),
                    };
                    (identifier, new)
                })
                .collect(),
            profile: Some(ProfileName::new("tls-server").unwrap()),
            not_before: None,
            not_after: Some(at(86_405)),
            replaces: None,
            at: at(0),
            expires_at: at(1000),
            reuse_valid_until: None,
            repeat_since: None,
        };
        store.create_order(new).await.unwrap();
        for position in 0..2 {
            let id = ChallengeId {
                authorization: authorization(position),
                kind: ChallengeKind::Http01,
            };
            let validation = Validation::Succeeded {
                valid_until: at(5000),
                attested_key: None,
            };
            store
                .record_validation(&id, validation, at(1))
                .await
                .unwrap();
        }
        let finalization = Finalization {
            csr_sha256: [number; 32],
            csr_der,
            request_id: Some(RequestId::new("request-1").unwrap()),
            at: at(5),
        };
        store
            .begin_finalize(&order_id(number), finalization)
            .await
            .unwrap();
        order_id(number)
    }
}

/// Returns the serial number of an order's certificate.
fn serial(order: &Order) -> String {
    match &order.state {
        OrderState::Valid(certificate) => certificate.serial.to_string(),
        other => panic!("the order is {}", other.as_str()),
    }
}

#[tokio::test]
async fn a_client_that_waits_a_moment_sees_its_certificate() {
    let bench = Bench::new();
    let (store, finalizer) = bench.start();
    let id = bench.finalize(&store, 1).await;
    let order = finalizer.finish(id, LONG).await.unwrap();
    let certificate = order.state.certificate().unwrap();
    assert_eq!(certificate.not_after, at(86_405));
    assert_eq!(certificate.csr_sha256, [1; 32]);
    let request = bench.ca.requests().remove(0);
    assert_eq!(request.idempotency.as_str(), id.to_string());
    assert_eq!(request.profile.unwrap().as_str(), "tls-server");
    // Counted from the finalization at 5 seconds, not from now.
    assert_eq!(request.validity.as_deref(), Some("86400s"));
    assert_eq!(request.request_id.unwrap().as_str(), "request-1");
    assert_eq!(finalizer.open(), 0);
    // Again: nothing is asked.
    finalizer.finish(id, LONG).await.unwrap();
    assert_eq!(bench.ca.requests().len(), 1);
    Bench::stop(store, finalizer).await;
}

#[tokio::test]
async fn many_callers_of_one_order_ask_the_ca_once() {
    let bench = Bench::new();
    let (store, finalizer) = bench.start();
    let id = bench.finalize(&store, 1).await;
    let callers = (0..32).map(|_| finalizer.finish(id, LONG));
    let orders = futures_util::future::join_all(callers).await;
    let serials: HashSet<_> = orders
        .iter()
        .map(|order| serial(order.as_ref().unwrap()))
        .collect();
    assert_eq!(serials.len(), 1);
    assert_eq!(bench.ca.requests().len(), 1);
    Bench::stop(store, finalizer).await;
}

#[tokio::test]
async fn an_impatient_client_sees_processing_and_the_order_is_finished() {
    let bench = Bench::new();
    let (store, finalizer) = bench.start();
    bench
        .ca
        .then([Step::Unavailable, Step::Unreachable, Step::Unavailable]);
    let id = bench.finalize(&store, 1).await;
    let order = finalizer.finish(id, Duration::ZERO).await.unwrap();
    assert_eq!(order.state.as_str(), "processing");
    let order = finalizer.finish(id, LONG).await.unwrap();
    serial(&order);
    assert_eq!(bench.ca.requests().len(), 4);
    assert!(!finalizer.is_ca_away());
    Bench::stop(store, finalizer).await;
}

#[tokio::test]
async fn an_outage_is_sat_out_by_all_orders() {
    let bench = Bench::new();
    let (store, finalizer) = bench.start();
    bench.ca.then([Step::Unavailable; 9]);
    let mut waiting = Vec::new();
    for number in 1..20 {
        let id = bench.finalize(&store, number).await;
        let finalizer = finalizer.clone();
        waiting.push(tokio::spawn(
            async move { finalizer.finish(id, LONG).await },
        ));
    }
    let mut serials = HashSet::new();
    for order in waiting {
        serials.insert(serial(&order.await.unwrap().unwrap()));
    }
    assert_eq!(serials.len(), 19);
    assert_eq!(bench.ca.signatures(), 19);
    Bench::stop(store, finalizer).await;
}

#[tokio::test]
async fn an_order_meets_each_fault_and_is_issued_once() {
    // Where the service stops, and how the CA is then.
    let faults: [&[Step]; 6] = [
        // Before anything was asked; asked, and nothing signed; signed, and the
        // answer lost; signed, and stopped before the record.
        &[Step::Hang],
        &[Step::Unavailable, Step::Hang],
        &[Step::SignAndLose, Step::Hang],
        &[Step::SignAndHang],
        &[Step::SignAndLose, Step::SignAndHang],
        &[Step::InProgress, Step::SignAndHang],
    ];
    for (number, steps) in (1..).zip(faults) {
        let bench = Bench::new();
        let (store, finalizer) = bench.start();
        bench.ca.then(steps.iter().copied());
        let id = bench.finalize(&store, number).await;
        let waiting = tokio::spawn({
            let finalizer = finalizer.clone();
            async move { finalizer.finish(id, LONG).await }
        });
        bench.ca.hung().await;
        waiting.abort();
        let _ = waiting.await;
        Bench::stop(store, finalizer).await;

        // The next start takes it up without being asked.
        let (store, finalizer) = bench.start();
        assert_eq!(finalizer.resume().await.unwrap(), 1, "{steps:?}");
        let order = finalizer.finish(id, LONG).await.unwrap();
        let first = serial(&order);
        assert_eq!(bench.ca.signatures(), 1, "{steps:?}");
        Bench::stop(store, finalizer).await;

        // And the one after that finds it done.
        let (store, finalizer) = bench.start();
        assert_eq!(finalizer.resume().await.unwrap(), 0);
        let order = store.order(&id, at(20)).await.unwrap().unwrap();
        assert_eq!(serial(&order), first);
        Bench::stop(store, finalizer).await;
    }
}

#[tokio::test]
async fn a_final_refusal_makes_the_order_invalid() {
    let bench = Bench::new();
    let (store, finalizer) = bench.start();
    bench.ca.then([Step::Refuse(mesh::ProblemType::WeakKey)]);
    let id = bench.finalize(&store, 1).await;
    let order = finalizer.finish(id, LONG).await.unwrap();
    let error = order.state.error().unwrap();
    assert_eq!((&*error.kind, &*error.detail), ("badCSR", "no: weak-key"));
    Bench::stop(store, finalizer).await;
    let (store, finalizer) = bench.start();
    assert_eq!(finalizer.resume().await.unwrap(), 0);
    Bench::stop(store, finalizer).await;
}

#[tokio::test]
async fn what_the_operator_has_to_mend_keeps_orders_waiting() {
    let bench = Bench::new();
    let (store, finalizer) = bench.start();
    bench.ca.then([
        Step::Refuse(mesh::ProblemType::RoleForbidden),
        Step::Refuse(mesh::ProblemType::PeerRefused),
    ]);
    let id = bench.finalize(&store, 1).await;
    serial(&finalizer.finish(id, LONG).await.unwrap());
    assert_eq!(bench.ca.requests().len(), 3);
    Bench::stop(store, finalizer).await;
}

#[tokio::test]
async fn a_certificate_of_another_key_or_name_is_not_handed_out() {
    let bench = Bench::new();
    let (store, finalizer) = bench.start();
    // The request is for one key; the CA certifies another.
    let csr_der = bench.ca.prepare(&names(1), KeyPair::generate().unwrap());
    let other = KeyPair::generate().unwrap();
    let own = CertificateParams::default()
        .serialize_request(&other)
        .unwrap();
    bench.ca.confuse(own.der().to_vec(), csr_der);
    let id = bench.finalize_with(&store, 1, own.der().to_vec()).await;
    let order = finalizer.finish(id, LONG).await.unwrap();
    assert_eq!(&*order.state.error().unwrap().kind, "serverInternal");
    // The key is right; the names are another order's.
    let csr_der = bench.ca.prepare(&names(3), KeyPair::generate().unwrap());
    let id = bench.finalize_with(&store, 2, csr_der).await;
    let order = finalizer.finish(id, LONG).await.unwrap();
    assert_eq!(&*order.state.error().unwrap().kind, "serverInternal");
    Bench::stop(store, finalizer).await;
}

#[tokio::test]
async fn an_order_that_is_not_there_is_no_work() {
    let bench = Bench::new();
    let (store, finalizer) = bench.start();
    let missing = finalizer.finish(order_id(9), LONG).await;
    assert!(
        matches!(missing, Err(AcmeError::NoOrder { .. })),
        "{missing:?}"
    );
    assert_eq!(finalizer.open(), 0);
    Bench::stop(store, finalizer).await;
}
