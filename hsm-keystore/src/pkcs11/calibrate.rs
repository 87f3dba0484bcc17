//! How fast a token signs: bare, and through the store.

use std::collections::VecDeque;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as CallError, RvError};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::config::Pkcs11Config;
use super::fault::Trouble;
use super::mechanism::Request;
use super::module::{Modules, find_token};
use super::objects::{self, KeyReference};
use super::pin::AskPin;
use crate::error::{Error, Unavailable};
use crate::{KeyId, PrivateKey, SignJob, SignatureScheme};

/// What is signed: a message of no meaning.
const MESSAGE: &[u8] = b"calibration";

/// Signatures in a stretch of time, and what they cost this process.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SignRate {
    /// Signatures made.
    pub signatures: u64,
    /// Time that passed, in seconds.
    pub seconds: f64,
    /// Processor time of this process, all threads, in seconds.
    pub cpu_seconds: f64,
}

impl SignRate {
    /// Returns signatures a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.ratio(self.seconds)
    }

    /// Returns signatures for each second of processor time.
    #[must_use]
    pub fn per_cpu_second(&self) -> f64 {
        self.ratio(self.cpu_seconds)
    }

    /// Divides the count by a time.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    fn ratio(&self, seconds: f64) -> f64 {
        if seconds > 0.0 {
            self.signatures as f64 / seconds
        } else {
            0.0
        }
    }

    /// Measures the whole of some work, which returns its signatures.
    fn of(work: impl FnOnce() -> Result<u64, Error>) -> Result<Self, Error> {
        let cpu = process_time();
        let begun = Instant::now();
        let signatures = work()?;
        Ok(Self {
            signatures,
            seconds: begun.elapsed().as_secs_f64(),
            cpu_seconds: process_time().saturating_sub(cpu).as_secs_f64(),
        })
    }
}

/// Reads the processor time this process has used.
fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Signs in bare loops of C_SignInit and C_Sign, one session a thread, with
/// nothing checked: the most the token gives.
///
/// The PIN is offered once, unless a store of this process has logged in.
///
/// # Errors
///
/// As [`Pkcs11Store::open`](super::Pkcs11Store::open) tells, and `NoKey`.
pub fn raw_sign_rate(
    config: &Pkcs11Config,
    modules: &Modules,
    prompt: &dyn AskPin,
    id: &KeyId,
    threads: usize,
    duration: Duration,
) -> Result<SignRate, Error> {
    let settings = config.settings()?;
    let module = modules.load(&settings.module)?;
    let inside = module.enter();
    let context = inside.context;
    let (slot, info) = find_token(context, &settings.token).map_err(Trouble::into_error)?;
    let anchor = context.open_rw_session(slot).map_err(failed)?;
    if info.login_required() {
        let pin = if info.protected_authentication_path() {
            None
        } else {
            Some(settings.pin_source.read(info.label(), prompt)?)
        };
        match anchor.login(UserType::User, pin.as_ref()) {
            Ok(()) | Err(CallError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let key = objects::find_key(&anchor, id)
        .map_err(Trouble::into_error)?
        .reference;
    let job = SignJob::message(key.algorithm.default_scheme(), MESSAGE);
    let start = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| bare_loop(context, slot, &key, &job, &start, duration)))
            .collect();
        start.wait();
        SignRate::of(|| {
            workers.into_iter().try_fold(0, |sum, worker| {
                let made = worker.join().map_err(|_| Unavailable::ModuleFailed {
                    reason: "a call into it panicked".into(),
                })?;
                Ok(sum + made?)
            })
        })
    })
}

/// Signs on one session until the time is over.
fn bare_loop(
    context: &Pkcs11,
    slot: Slot,
    key: &KeyReference,
    job: &SignJob,
    start: &Barrier,
    duration: Duration,
) -> Result<u64, Error> {
    let prepared = context
        .open_ro_session(slot)
        .map_err(Trouble::from)
        .and_then(|session| Ok((objects::find_handle(&session, key)?, session)));
    // Everybody waits for everybody, those too that cannot begin.
    start.wait();
    let (handle, session) = prepared.map_err(Trouble::into_error)?;
    let request = Request::new(job);
    let begun = Instant::now();
    let mut signatures = 0;
    while begun.elapsed() < duration {
        session
            .sign(&request.mechanism, handle, &request.data)
            .map_err(failed)?;
        signatures += 1;
    }
    Ok(signatures)
}

/// Signs through a store, each caller with some signatures under way.
///
/// Every signature is verified, as always.
///
/// # Errors
///
/// As [`PrivateKey::sign`] tells.
pub fn keystore_sign_rate(
    key: &Arc<dyn PrivateKey>,
    scheme: SignatureScheme,
    callers: usize,
    under_way: usize,
    duration: Duration,
) -> Result<SignRate, Error> {
    let caller = || {
        let begun = Instant::now();
        let mut pending = VecDeque::with_capacity(under_way);
        let mut signatures = 0;
        loop {
            while pending.len() < under_way.max(1) && begun.elapsed() < duration {
                pending.push_back(key.sign(SignJob::message(scheme, MESSAGE)));
            }
            let Some(oldest) = pending.pop_front() else {
                return Ok(signatures);
            };
            oldest.wait()?;
            signatures += 1;
        }
    };
    SignRate::of(|| {
        thread::scope(|scope| {
            let callers: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
            callers.into_iter().try_fold(0, |sum, worker| {
                let made: Result<u64, Error> = worker
                    .join()
                    .unwrap_or(Err(Error::Unavailable(Unavailable::Closed)));
                Ok(sum + made?)
            })
        })
    })
}

/// Makes an error of a failed call.
fn failed(error: CallError) -> Error {
    Trouble::from(error).into_error()
}
