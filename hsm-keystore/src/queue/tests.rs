//! Tests of order, time and closing, with a lane that the test plays itself.

use std::thread;

use super::*;
use crate::algorithm::{KeyAlgorithm, SignatureScheme};
use crate::key_id::KeyId;
use crate::software::SoftwareKey;

/// A queue of software keys with its watchdog.
struct Stage {
    /// The queue.
    queue: Arc<Queue<SoftwareKey>>,
    /// The key.
    key: Arc<SoftwareKey>,
    /// Its public half.
    verifier: Arc<Verifier>,
    /// The watchdog.
    watchdog: Option<thread::JoinHandle<()>>,
}

impl Stage {
    /// Sets one up for two callers.
    fn new(capacity: usize) -> Self {
        let pkcs8 = SoftwareKey::generate(KeyAlgorithm::EcP256).unwrap();
        let key = Arc::new(SoftwareKey::from_pkcs8(&pkcs8).unwrap());
        let id = KeyId::new("k").unwrap();
        let verifier = Verifier::new(id, key.algorithm(), key.spki_der().to_vec());
        let queue = Arc::new(Queue::new(capacity, 2, KeyStoreMetrics::default()));
        let watched = Arc::clone(&queue);
        Self {
            queue,
            key,
            verifier: Arc::new(verifier),
            watchdog: Some(thread::spawn(move || watched.watch())),
        }
    }

    /// Asks for a signature.
    fn ask(&self, priority: Priority, timeout: Duration) -> PendingSignature {
        let job = SignJob::message(SignatureScheme::EcdsaP256Sha256, b"x")
            .with_priority(priority)
            .with_timeout(timeout);
        self.queue.ask(&self.key, &self.verifier, job)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.queue.stop();
        self.watchdog.take().unwrap().join().unwrap();
    }
}

/// Long enough not to matter.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn revocation_overtakes_and_equals_keep_their_order() {
    let stage = Stage::new(10);
    let _bulk: Vec<_> = (1..4)
        .map(|extra| stage.ask(Priority::Bulk, LONG + Duration::from_secs(extra)))
        .collect();
    let _interactive = stage.ask(Priority::Interactive, LONG);
    let _revocation = stage.ask(Priority::Revocation, LONG);
    let served: Vec<_> = std::iter::repeat_with(|| stage.queue.next(0, LONG).unwrap())
        .take(5)
        .map(|ticket| (ticket.job.priority(), ticket.job.timeout()))
        .collect();
    assert_eq!(
        served,
        [
            (Priority::Revocation, LONG),
            (Priority::Interactive, LONG),
            (Priority::Bulk, LONG + Duration::from_secs(1)),
            (Priority::Bulk, LONG + Duration::from_secs(2)),
            (Priority::Bulk, LONG + Duration::from_secs(3)),
        ]
    );
}

#[test]
fn a_full_queue_is_busy_and_makes_room_of_what_was_withdrawn() {
    let stage = Stage::new(2);
    let first = stage.ask(Priority::Bulk, LONG);
    let _second = stage.ask(Priority::Bulk, LONG);
    let refused = stage.ask(Priority::Bulk, LONG).wait();
    assert!(matches!(refused, Err(Error::Busy { waiting: 2 })));
    // Bulk shuts nobody else out.
    let revocation = stage.ask(Priority::Revocation, LONG);
    assert_eq!(format!("{revocation:?}"), "PendingSignature(pending)");
    drop(first);
    let third = stage.ask(Priority::Bulk, LONG);
    assert_eq!(format!("{third:?}"), "PendingSignature(pending)");
}

#[test]
fn a_withdrawn_job_never_reaches_a_lane() {
    let stage = Stage::new(4);
    drop(stage.ask(Priority::Revocation, LONG));
    let _wanted = stage.ask(Priority::Bulk, LONG);
    let served = stage.queue.next(0, LONG).unwrap();
    assert_eq!(served.job.priority(), Priority::Bulk);
}

#[test]
fn a_job_that_no_lane_takes_is_answered_by_its_deadline() {
    let stage = Stage::new(4);
    let after = Duration::from_millis(30);
    let asked = Instant::now();
    let outcome = stage.ask(Priority::Bulk, after).wait();
    assert!(matches!(outcome, Err(Error::DeadlineExceeded { after: told }) if told == after));
    assert!(asked.elapsed() >= after);
    assert!(asked.elapsed() < LONG);
}

#[test]
fn a_call_that_does_not_come_back_closes_the_queue_until_it_does() {
    let stage = Stage::new(4);
    let working = stage.ask(Priority::Bulk, LONG);
    let waiting = stage.ask(Priority::Bulk, LONG);
    let ticket = stage.queue.next(0, Duration::from_millis(20)).unwrap();
    for pending in [working, waiting, stage.ask(Priority::Revocation, LONG)] {
        let outcome = pending.wait();
        assert!(
            matches!(outcome, Err(Error::Unavailable(Unavailable::Hung { .. }))),
            "{outcome:?}"
        );
    }
    assert!(stage.queue.ready().is_err());
    ticket.settle(Ok(Vec::new()));
    stage.queue.end_call(0);
    stage.queue.ready().unwrap();
    let again = stage.ask(Priority::Bulk, LONG);
    let ticket = stage.queue.next(0, LONG).unwrap();
    let signature = ticket.key.sign(&ticket.job).unwrap();
    ticket.settle(Ok(signature));
    again.wait().unwrap();
}

#[test]
fn a_signature_that_does_not_verify_is_withheld() {
    let stage = Stage::new(4);
    let pending = stage.ask(Priority::Bulk, LONG);
    let ticket = stage.queue.next(0, LONG).unwrap();
    let mut signature = ticket.key.sign(&ticket.job).unwrap();
    let last = signature.len() - 1;
    signature[last] ^= 1;
    ticket.settle(Ok(signature));
    assert!(matches!(pending.wait(), Err(Error::BadSignature { .. })));
}

#[test]
fn refusing_answers_all_that_wait_and_admitting_serves_again() {
    let stage = Stage::new(4);
    let waiting = stage.ask(Priority::Bulk, LONG);
    stage.queue.refuse(&Unavailable::Closed);
    assert!(matches!(waiting.wait(), Err(Error::Unavailable(_))));
    assert!(stage.ask(Priority::Bulk, LONG).wait().is_err());
    stage.queue.admit();
    stage.queue.ready().unwrap();
}

#[test]
fn a_ticket_given_back_is_the_next_one_served() {
    let stage = Stage::new(4);
    let _first = stage.ask(Priority::Bulk, LONG);
    let _second = stage.ask(Priority::Bulk, LONG * 2);
    let mut ticket = stage.queue.next(0, LONG).unwrap();
    ticket.failures += 1;
    stage.queue.give_back(0, ticket);
    let again = stage.queue.next(1, LONG).unwrap();
    assert_eq!((again.failures, again.job.timeout()), (1, LONG));
}
