//! Faults as a test sets them, and the pace of a slow token.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Opened, Result, sign};
use cryptoki::error::{Error, RvError};
use softhsm_test::{Fault, FaultShim, Function, Kryoptic, SoftHsm, When, rv};

/// How long a condition is waited for.
const SOON: Duration = Duration::from_secs(20);

/// Returns the code of a refused signature.
fn refusal(answer: std::result::Result<Vec<u8>, Error>) -> Option<RvError> {
    match answer {
        Err(Error::Pkcs11(code, _)) => Some(code),
        _ => None,
    }
}

#[test]
fn a_shim_without_faults_passes_everything_and_counts_it() -> Result {
    for token in [SoftHsm::token()?, Kryoptic::token()?] {
        let shim = FaultShim::over(&token)?;
        let opened = Opened::new(shim.module(), &token)?;
        for _ in 0..5 {
            opened.sign_once()?;
        }
        assert_eq!(shim.count(Function::SignInit), 5);
        assert_eq!(shim.count(Function::Sign), 5);
        assert_eq!(shim.count(Function::Login), 1);
        assert_eq!(shim.struck(Function::Sign), 0);
    }
    Ok(())
}

#[test]
fn a_failed_call_answers_the_code_and_ends_the_operation() -> Result {
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    let opened = Opened::new(shim.module(), &token)?;
    shim.fail(Function::Sign, rv::DEVICE_ERROR);
    assert_eq!(refusal(opened.sign_once()), Some(RvError::DeviceError));
    assert_eq!(refusal(opened.sign_once()), Some(RvError::DeviceError));
    shim.release();
    // No operation was left active on the token.
    opened.sign_once()?;
    Ok(())
}

#[test]
fn faults_strike_the_calls_they_are_set_for() -> Result {
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    let opened = Opened::new(shim.module(), &token)?;
    let struck =
        |calls: u32| -> Vec<bool> { (0..calls).map(|_| opened.sign_once().is_err()).collect() };
    shim.fail_nth(Function::SignInit, 3, rv::SESSION_HANDLE_INVALID);
    assert_eq!(struck(5), [false, false, true, false, false]);
    shim.arm(
        Function::SignInit,
        Fault::fail(rv::DEVICE_REMOVED).when(When::Next(2)),
    );
    assert_eq!(struck(4), [true, true, false, false]);
    shim.arm(
        Function::SignInit,
        Fault::fail(rv::GENERAL_ERROR).when(When::Chance(0.25)),
    );
    let failed = struck(1000).into_iter().filter(|failed| *failed).count();
    assert!((180..320).contains(&failed), "{failed} of 1000");
    shim.arm(
        Function::SignInit,
        Fault::fail(rv::GENERAL_ERROR).when(When::Chance(0.0)),
    );
    assert!(!struck(100).contains(&true));
    Ok(())
}

#[test]
fn a_lost_answer_reached_the_token() -> Result {
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    shim.arm(Function::Login, Fault::lose_answer(rv::DEVICE_ERROR));
    assert!(Opened::new(shim.module(), &token).is_err());
    shim.release();
    // The module stays initialized; another instance of it finds the token unharmed.
    let other = FaultShim::over(&token)?;
    Opened::new(other.module(), &token)?.sign_once()?;
    Ok(())
}

#[test]
fn blocked_calls_hang_until_released() -> Result {
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    let opened = Opened::new(shim.module(), &token)?;
    shim.block(Function::Sign);
    let released = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let session = opened.session();
                let (key, released) = (opened.key(), &released);
                scope.spawn(move || -> Result<bool> {
                    sign(&session?, key)?;
                    Ok(released.load(Ordering::SeqCst))
                })
            })
            .collect();
        assert!(shim.wait_blocked(Function::Sign, 3, SOON));
        assert_eq!(shim.blocked(Function::Sign), 3);
        released.store(true, Ordering::SeqCst);
        shim.release();
        for thread in threads {
            assert!(
                thread.join().expect("the thread ends")?,
                "a call went on too early"
            );
        }
        assert_eq!(shim.blocked(Function::Sign), 0);
        Ok(())
    })
}

#[test]
fn a_delayed_call_takes_as_long_as_told() -> Result {
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    let opened = Opened::new(shim.module(), &token)?;
    shim.delay(Function::SignInit, Duration::from_millis(80));
    let started = Instant::now();
    opened.sign_once()?;
    assert!(started.elapsed() >= Duration::from_millis(80));
    Ok(())
}

#[test]
fn the_tokens_own_module_sees_no_faults() -> Result {
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    shim.fail_all(rv::TOKEN_NOT_PRESENT);
    Opened::new(token.module(), &token)?.sign_once()?;
    assert!(Opened::new(shim.module(), &token).is_err());
    Ok(())
}

#[test]
fn a_slow_token_keeps_its_pace() -> Result {
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    let opened = Opened::new(shim.module(), &token)?;
    for (per_second, signatures) in [(100, 40), (1000, 400)] {
        shim.slow_sign(per_second);
        opened.sign_once()?;
        let started = Instant::now();
        for _ in 0..signatures {
            opened.sign_once()?;
        }
        let shortest = Duration::from_secs(1) / per_second * (signatures - 1);
        assert!(
            started.elapsed() >= shortest,
            "{per_second}/s in {:?}",
            started.elapsed()
        );
    }
    shim.slow_sign(0);
    Ok(())
}

#[test]
fn a_serial_device_signs_for_all_threads_at_its_one_pace() -> Result {
    let token = SoftHsm::token()?;
    let shim = FaultShim::over(&token)?;
    let opened = Opened::new(shim.module(), &token)?;
    shim.serial_sign(500);
    let signed = AtomicU32::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| -> Result {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let session = opened.session();
                let (key, signed) = (opened.key(), &signed);
                scope.spawn(move || -> Result {
                    let session = session?;
                    while signed.fetch_add(1, Ordering::SeqCst) < 200 {
                        sign(&session, key)?;
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("the thread ends")?;
        }
        Ok(())
    })?;
    // 200 signatures of 2 ms each, one at a time.
    assert!(
        started.elapsed() >= Duration::from_millis(400),
        "{:?}",
        started.elapsed()
    );
    Ok(())
}
