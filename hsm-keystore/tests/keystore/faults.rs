//! What tokens suffer, and what is left of it for who asks for signatures.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hsm_keystore::pkcs11::{NoPrompt, PinSource};
use hsm_keystore::{
    Error, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, Modules, PendingSignature, Pkcs11Config,
    Pkcs11Store, Priority, PrivateKey, SignJob, SignatureScheme, Unavailable,
};
use softhsm_test::{Fault, FaultShim, Function, P11Kit, SoftHsm, Token, When, rv};

use crate::backend::{config, open, wait_for};

/// Long enough not to matter.
const LONG: Duration = Duration::from_secs(60);

/// A token behind the fault shim, with a key.
struct Bench {
    /// The key.
    key: Arc<dyn PrivateKey>,
    /// The store.
    store: Pkcs11Store,
    /// What it counts.
    metrics: KeyStoreMetrics,
    /// The shim.
    shim: FaultShim,
    /// The token.
    _token: Token,
}

/// Makes one with so many lanes.
fn bench(lanes: u64) -> Bench {
    bench_with(|config| config.sessions = Some(lanes))
}

/// Makes one with the configuration changed.
fn bench_with(change: impl FnOnce(&mut Pkcs11Config)) -> Bench {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let mut config = config(&token, shim.module());
    change(&mut config);
    let (store, metrics) = open(&config).unwrap();
    let id = KeyId::new("key").unwrap();
    let key = store
        .generate_private_key(&id, KeyAlgorithm::EcP256)
        .unwrap();
    Bench {
        key,
        store,
        metrics,
        shim,
        _token: token,
    }
}

/// Asks for a signature.
fn ask(key: &Arc<dyn PrivateKey>, priority: Priority, timeout: Duration) -> PendingSignature {
    key.sign(
        SignJob::message(SignatureScheme::EcdsaP256Sha256, b"message")
            .with_priority(priority)
            .with_timeout(timeout),
    )
}

/// Signs once, with time enough.
fn sign(key: &Arc<dyn PrivateKey>) -> Result<Vec<u8>, Error> {
    ask(key, Priority::Bulk, LONG).wait()
}

#[test]
fn a_wrong_pin_is_offered_once_and_never_again() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pin = folder.path().join("pin");
    std::fs::copy(token.pin_file(), &pin).unwrap();
    std::fs::write(&pin, "0000000").unwrap();
    let wrong = Pkcs11Config {
        pin_source: Some(PinSource::File(pin)),
        ..config(&token, shim.module())
    };
    let refusal = open(&wrong).unwrap_err();
    assert!(
        matches!(refusal, Error::Unavailable(Unavailable::PinRefused { .. })),
        "{refusal}"
    );
    assert!(refusal.retry_after().is_none());
    assert_eq!(shim.count(Function::Login), 1);
}

#[test]
fn a_pin_refused_while_recovering_stops_the_store_for_good() {
    let bench = bench(2);
    assert_eq!(bench.shim.count(Function::Login), 1);
    bench.shim.fail(Function::Login, rv::PIN_INCORRECT);
    bench.shim.arm(
        Function::Sign,
        Fault::fail(rv::DEVICE_ERROR).when(When::Nth(1)),
    );
    assert!(sign(&bench.key).is_err());
    wait_for("the PIN is refused", || {
        matches!(bench.store.ready(), Err(Unavailable::PinRefused { .. }))
    });
    for _ in 0..20 {
        assert!(matches!(
            sign(&bench.key),
            Err(Error::Unavailable(Unavailable::PinRefused { .. }))
        ));
        assert!(bench.store.list().is_err());
    }
    assert_eq!(bench.shim.count(Function::Login), 2);
}

#[test]
fn a_device_error_is_mended_without_the_caller_seeing_it() {
    let bench = bench(2);
    bench.shim.fail_nth(Function::Sign, 1, rv::DEVICE_ERROR);
    sign(&bench.key).unwrap();
    assert_eq!(bench.metrics.recoveries(), 1);
    assert_eq!(bench.shim.count(Function::Finalize), 1);
    bench.store.ready().unwrap();
}

#[test]
fn a_lost_session_is_replaced_without_starting_the_module_again() {
    let bench = bench(2);
    for code in [
        rv::SESSION_HANDLE_INVALID,
        rv::SESSION_CLOSED,
        rv::OPERATION_ACTIVE,
        rv::KEY_HANDLE_INVALID,
        rv::GENERAL_ERROR,
        rv::FUNCTION_FAILED,
    ] {
        bench.shim.fail_nth(Function::SignInit, 1, code);
        sign(&bench.key).unwrap();
    }
    assert_eq!(bench.shim.count(Function::Finalize), 0);
    assert_eq!(bench.shim.count(Function::Login), 1);
}

#[test]
fn a_general_error_that_a_fresh_session_meets_too_starts_the_module_again() {
    let bench = bench(1);
    bench.shim.arm(
        Function::SignInit,
        Fault::fail(rv::GENERAL_ERROR).when(When::Next(2)),
    );
    assert!(sign(&bench.key).is_err());
    wait_for("the store is ready again", || bench.store.ready().is_ok());
    sign(&bench.key).unwrap();
    assert_eq!(bench.shim.count(Function::Finalize), 1);
}

#[test]
fn a_login_lost_is_made_once_however_many_lanes_miss_it() {
    let bench = bench(4);
    sign(&bench.key).unwrap();
    bench.shim.arm(
        Function::SignInit,
        Fault::fail(rv::USER_NOT_LOGGED_IN).when(When::Next(1)),
    );
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| sign(&bench.key).unwrap());
        }
    });
    assert_eq!(bench.shim.count(Function::Login), 2);
    assert_eq!(bench.shim.count(Function::Finalize), 0);
}

#[test]
fn a_request_the_token_refuses_is_returned_and_not_repeated() {
    let bench = bench(2);
    sign(&bench.key).unwrap();
    let before = bench.shim.count(Function::SignInit);
    bench.shim.fail(Function::SignInit, rv::MECHANISM_INVALID);
    let refused = sign(&bench.key).unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("CKR_MECHANISM_INVALID"));
    assert_eq!(bench.shim.count(Function::SignInit), before + 1);
    bench.store.ready().unwrap();
}

#[test]
fn an_answer_lost_after_signing_costs_a_second_signature_and_nothing_else() {
    let bench = bench(1);
    bench.shim.arm(
        Function::Sign,
        Fault::lose_answer(rv::DEVICE_ERROR).when(When::Nth(1)),
    );
    sign(&bench.key).unwrap();
    assert_eq!(bench.metrics.recoveries(), 1);
}

#[test]
fn a_token_without_sessions_shrinks_the_pool_and_still_signs() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    // The keeper's session and one lane's are given, no more.
    shim.arm(
        Function::OpenSession,
        Fault::fail(rv::SESSION_COUNT).when(When::Always),
    );
    let mut wide = config(&token, shim.module());
    wide.sessions = Some(4);
    assert!(matches!(
        open(&wide),
        Err(Error::Unavailable(Unavailable::NoSession { .. }))
    ));
    shim.release();
    let (store, _) = open(&wide).unwrap();
    let id = KeyId::new("key").unwrap();
    let key = store
        .generate_private_key(&id, KeyAlgorithm::EcP256)
        .unwrap();
    wait_for("every lane has its session", || {
        shim.count(Function::OpenSession) >= 6
    });
    shim.fail(Function::OpenSession, rv::SESSION_COUNT);
    shim.fail_nth(Function::SignInit, 1, rv::SESSION_HANDLE_INVALID);
    // One lane has lost its session and gets none; the others go on.
    sign(&key).unwrap();
    store.ready().unwrap();
}

#[test]
fn a_call_that_hangs_closes_the_store_and_its_return_opens_it() {
    let bench = bench_with(|config| {
        config.sessions = Some(2);
        config.call_timeout_ms = Some(150);
    });
    sign(&bench.key).unwrap();
    bench.shim.block(Function::Sign);
    let stuck: Vec<_> = (0..6)
        .map(|_| ask(&bench.key, Priority::Bulk, LONG))
        .collect();
    let begun = Instant::now();
    for pending in stuck {
        let outcome = pending.wait();
        assert!(
            matches!(outcome, Err(Error::Unavailable(Unavailable::Hung { .. }))),
            "{outcome:?}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(matches!(bench.store.ready(), Err(Unavailable::Hung { .. })));
    // New jobs fail at once, and so does everything else.
    let refused = sign(&bench.key).unwrap_err();
    assert!(refused.retry_after().is_some());
    assert!(bench.store.list().is_err());
    bench.shim.release();
    wait_for("the store is ready again", || bench.store.ready().is_ok());
    sign(&bench.key).unwrap();
}

#[test]
fn a_job_is_answered_by_its_deadline_while_every_lane_is_in_a_call() {
    let bench = bench(1);
    bench.shim.block(Function::Sign);
    let begun = Instant::now();
    let working = ask(&bench.key, Priority::Bulk, Duration::from_millis(100));
    let waiting = ask(&bench.key, Priority::Revocation, Duration::from_millis(50));
    for pending in [working, waiting] {
        assert!(matches!(
            pending.wait(),
            Err(Error::DeadlineExceeded { .. })
        ));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    bench.shim.release();
    sign(&bench.key).unwrap();
}

#[test]
fn revocation_waits_for_one_signature_however_many_bulk_jobs_wait() {
    let bench = bench(1);
    sign(&bench.key).unwrap();
    bench.shim.block(Function::Sign);
    let first = ask(&bench.key, Priority::Bulk, LONG);
    assert!(bench.shim.wait_blocked(Function::Sign, 1, LONG));
    let bulk: Vec<_> = (0..50)
        .map(|_| ask(&bench.key, Priority::Bulk, LONG))
        .collect();
    let revocation = ask(&bench.key, Priority::Revocation, LONG);
    let before = bench.shim.count(Function::Sign);
    // From here on every signature takes long enough to see who was first.
    bench.shim.serial_sign(20);
    bench.shim.release();
    revocation.wait().unwrap();
    // One that was under way, ours, and at most one that began before we looked.
    assert!(bench.shim.count(Function::Sign) <= before + 2);
    bench.shim.serial_sign(0);
    first.wait().unwrap();
    for pending in bulk {
        pending.wait().unwrap();
    }
}

#[test]
fn a_full_queue_says_busy_and_sends_nothing_to_the_token() {
    let bench = bench_with(|config| {
        config.sessions = Some(1);
        config.queue = Some(3);
    });
    sign(&bench.key).unwrap();
    bench.shim.block(Function::Sign);
    let working = ask(&bench.key, Priority::Bulk, LONG);
    assert!(bench.shim.wait_blocked(Function::Sign, 1, LONG));
    let before = bench.shim.count(Function::SignInit);
    let waiting: Vec<_> = (0..3)
        .map(|_| ask(&bench.key, Priority::Bulk, LONG))
        .collect();
    let refused = sign(&bench.key).unwrap_err();
    assert!(matches!(refused, Error::Busy { waiting: 3 }));
    assert!(refused.retry_after().is_some());
    assert_eq!(bench.shim.count(Function::SignInit), before);
    bench.shim.release();
    working.wait().unwrap();
    for pending in waiting {
        pending.wait().unwrap();
    }
}

/// A token in another process, with a key.
struct Away {
    /// The key.
    key: Arc<dyn PrivateKey>,
    /// The store.
    store: Pkcs11Store,
    /// The other process.
    remote: P11Kit,
}

/// Makes one whose calls count as hung after so long.
fn away(call_timeout_ms: u64) -> Away {
    let token = SoftHsm::token().unwrap();
    let remote = P11Kit::serve(&token).unwrap();
    let mut config = config(&token, remote.module());
    config.call_timeout_ms = Some(call_timeout_ms);
    let (store, _) = open(&config).unwrap();
    let id = KeyId::new("key").unwrap();
    let key = store
        .generate_private_key(&id, KeyAlgorithm::EcP256)
        .unwrap();
    Away { key, store, remote }
}

#[test]
fn a_token_process_killed_and_brought_back_serves_again_by_itself() {
    let away = away(10_000);
    sign(&away.key).unwrap();
    away.remote.kill().unwrap();
    let refused = sign(&away.key).unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
    assert!(refused.retry_after().is_some());
    wait_for("the store says so", || away.store.ready().is_err());
    // Away for several attempts: every one fails, none is the last.
    for _ in 0..3 {
        assert!(sign(&away.key).is_err());
    }
    away.remote.restart().unwrap();
    wait_for("the store is ready again", || away.store.ready().is_ok());
    sign(&away.key).unwrap();
    away.store.list().unwrap();
}

#[test]
fn a_token_process_stopped_is_told_and_serves_again_when_it_goes_on() {
    let away = away(300);
    sign(&away.key).unwrap();
    away.remote.stop().unwrap();
    let begun = Instant::now();
    assert!(sign(&away.key).is_err());
    assert!(begun.elapsed() < Duration::from_secs(20));
    wait_for("the store says so", || away.store.ready().is_err());
    away.remote.resume().unwrap();
    wait_for("the store is ready again", || away.store.ready().is_ok());
    sign(&away.key).unwrap();
}

#[test]
fn an_idle_store_notices_that_its_token_went() {
    let away = away(10_000);
    away.remote.kill().unwrap();
    wait_for("the store says so", || away.store.ready().is_err());
    away.remote.restart().unwrap();
    wait_for("the store is ready again", || away.store.ready().is_ok());
}

#[test]
fn a_key_outlives_its_store_and_the_last_of_them_finalizes_the_module() {
    let Bench {
        key,
        store,
        shim,
        _token,
        ..
    } = bench(2);
    drop(store);
    sign(&key).unwrap();
    assert_eq!(shim.count(Function::Finalize), 0);
    drop(key);
    wait_for("the module is finalized", || {
        shim.count(Function::Finalize) == 1
    });
}

#[test]
fn two_tokens_of_one_module_outlive_its_restart_by_one_of_them() {
    let first = SoftHsm::token().unwrap();
    let second = first.beside().unwrap();
    let shim = FaultShim::over(&first).unwrap();
    let modules = Modules::default();
    let stores: Vec<_> = [&first, &second]
        .into_iter()
        .map(|token| {
            let metrics = KeyStoreMetrics::default();
            let config = config(token, shim.module());
            Pkcs11Store::open(&config, &modules, &NoPrompt, metrics).unwrap()
        })
        .collect();
    let id = KeyId::new("key").unwrap();
    let keys: Vec<_> = stores
        .iter()
        .map(|store| {
            store
                .generate_private_key(&id, KeyAlgorithm::EcP256)
                .unwrap()
        })
        .collect();
    assert_ne!(keys[0].public_key_der(), keys[1].public_key_der());
    assert_eq!(shim.count(Function::Initialize), 1);
    for lost in &keys {
        shim.fail_nth(Function::Sign, 1, rv::DEVICE_REMOVED);
        sign(lost).unwrap();
        for key in &keys {
            wait_for("both sign", || sign(key).is_ok());
        }
    }
    assert!(shim.count(Function::Finalize) >= 1);
    drop((stores, keys));
    wait_for("the module is finalized", || {
        shim.count(Function::Finalize) == shim.count(Function::Initialize)
    });
}

#[test]
fn bulk_flowing_through_a_flapping_token_never_gets_a_wrong_answer() {
    let bench = bench(2);
    sign(&bench.key).unwrap();
    bench.shim.arm(
        Function::Sign,
        Fault::fail(rv::DEVICE_ERROR).when(When::Chance(0.02)),
    );
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    // Whatever comes back has been verified; what fails says that it may be retried.
                    if let Err(error) = sign(&bench.key) {
                        assert!(matches!(error, Error::Unavailable(_)), "{error}");
                        assert!(error.retry_after().is_some(), "{error}");
                    }
                }
            });
        }
    });
    bench.shim.release();
    wait_for("the store is ready again", || bench.store.ready().is_ok());
    sign(&bench.key).unwrap();
    assert_eq!(bench.metrics.logins(), 1 + bench.metrics.recoveries());
}
