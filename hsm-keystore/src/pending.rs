//! The signature that is on its way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::metrics::KeyStoreMetrics;
use crate::sign::SignJob;
use crate::verify::Verifier;

/// A signature that is being made: await it, or [`wait`](Self::wait) for it on
/// a thread that may block.
///
/// It verifies what the lane brings with the key's public half, on the thread
/// that asks for it, and never hands out a signature that does not verify.
/// Dropping it withdraws a job that has not begun.
#[must_use = "a signature that nobody waits for is withdrawn"]
pub struct PendingSignature(State);

/// Either settled on the spot or on its way from a lane.
enum State {
    /// Refused without a lane; empty once taken.
    Settled(Option<Result<Vec<u8>, Error>>),
    /// A lane, or the watchdog, will answer.
    Pending(Box<Pending>),
}

/// What it takes to receive and check a signature.
struct Pending {
    /// Where the answer arrives.
    answer: Arc<Answer>,
    /// What was asked.
    job: Arc<SignJob>,
    /// Knows the public key.
    verifier: Arc<Verifier>,
    /// Counts the outcome.
    metrics: KeyStoreMetrics,
}

impl PendingSignature {
    /// Answers at once.
    pub fn settled(outcome: Result<Vec<u8>, Error>) -> Self {
        Self(State::Settled(Some(outcome)))
    }

    /// Answers when `answer` is settled, after checking it.
    pub(crate) fn pending(
        answer: Arc<Answer>,
        job: Arc<SignJob>,
        verifier: Arc<Verifier>,
        metrics: KeyStoreMetrics,
    ) -> Self {
        Self(State::Pending(Box::new(Pending {
            answer,
            job,
            verifier,
            metrics,
        })))
    }

    /// Blocks this thread until the signature is there or has failed.
    ///
    /// Needs no runtime and may be called on a runtime's thread, as a TLS
    /// handshake must; the job's deadline bounds the wait.
    ///
    /// # Errors
    ///
    /// As [`PrivateKey::sign`](crate::PrivateKey::sign) tells.
    pub fn wait(self) -> Result<Vec<u8>, Error> {
        pollster::block_on(self)
    }
}

impl Future for PendingSignature {
    type Output = Result<Vec<u8>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Settled(outcome) => match outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => Poll::Pending,
            },
            State::Pending(pending) => {
                let Poll::Ready(outcome) = pending.answer.poll(context) else {
                    return Poll::Pending;
                };
                let outcome = outcome.and_then(|signature| {
                    pending.verifier.verify(&pending.job, &signature)?;
                    Ok(signature)
                });
                pending
                    .metrics
                    .count(&pending.job, pending.verifier.algorithm(), &outcome);
                self.0 = State::Settled(None);
                Poll::Ready(outcome)
            }
        }
    }
}

impl Drop for PendingSignature {
    fn drop(&mut self) {
        if let State::Pending(pending) = &self.0 {
            pending.answer.withdraw();
        }
    }
}

impl fmt::Debug for PendingSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            State::Settled(_) => "PendingSignature(settled)",
            State::Pending(_) => "PendingSignature(pending)",
        })
    }
}

/// The place where one answer arrives: from the lane that signs or from the
/// watchdog, whichever is first.
///
/// ```text
/// Waiting ──settle──▶ Settled ──poll──▶ Done
///    └─────withdraw─────────────────────▶ Done
/// ```
#[derive(Debug)]
pub(crate) struct Answer(Mutex<AnswerState>);

/// How far an answer has come.
#[derive(Debug)]
enum AnswerState {
    /// Nobody has answered; who waits, if anyone does yet.
    Waiting(Option<Waker>),
    /// Answered and not yet taken.
    Settled(Result<Vec<u8>, Error>),
    /// Taken, or no longer wanted.
    Done,
}

impl Answer {
    /// Makes an open one.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(AnswerState::Waiting(None))))
    }

    /// Gives the answer, unless one was given or nobody wants it any more.
    pub(crate) fn settle(&self, outcome: Result<Vec<u8>, Error>) {
        let waker = {
            let mut state = self.lock();
            let AnswerState::Waiting(waker) = &mut *state else {
                return;
            };
            let waker = waker.take();
            *state = AnswerState::Settled(outcome);
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells whether an answer is still wanted.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.lock(), AnswerState::Waiting(_))
    }

    /// Says that nobody wants the answer any more.
    fn withdraw(&self) {
        *self.lock() = AnswerState::Done;
    }

    /// Takes the answer, or leaves word whom to wake.
    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Vec<u8>, Error>> {
        let mut state = self.lock();
        match &mut *state {
            AnswerState::Waiting(Some(waker)) => waker.clone_from(context.waker()),
            AnswerState::Waiting(empty) => *empty = Some(context.waker().clone()),
            AnswerState::Settled(_) => {
                if let AnswerState::Settled(outcome) =
                    std::mem::replace(&mut *state, AnswerState::Done)
                {
                    return Poll::Ready(outcome);
                }
            }
            AnswerState::Done => {}
        }
        Poll::Pending
    }

    /// Locks the state; every step leaves it whole, so poison means nothing.
    fn lock(&self) -> MutexGuard<'_, AnswerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
