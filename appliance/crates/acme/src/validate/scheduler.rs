//! When which challenge is tried: as often as the configuration says within the
//! authorization's life, fairly among accounts, bounded for each target.
//!
//! The store knows each challenge's state and how often it was tried; what is
//! here is only the order of things, and is made anew at each start.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::acme::{
    AccountId, AuthorizationState, ChallengeId, ChallengeKind, ChallengeState, Identifier,
};
use model::{Clock, Timestamp};
use store::acme::{AcmeError, AcmeStore, Authorization, Validated, Validation};
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{debug, info, warn};

pub use super::queue::Limits;

use super::metrics::ValidationMetrics;
use super::queue::Queue;
use super::task::{KeyAuthorization, Task};
use super::{Failure, Proof, ValidateChallenge};

/// When a client that was told the queue is full may come again.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(10);

/// What a scheduler works with.
#[derive(Debug)]
pub struct Parts {
    /// Makes attempts.
    pub validator: Arc<dyn ValidateChallenge>,
    /// Knows the challenges, and takes their results.
    pub store: Arc<dyn AcmeStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Limits and pauses.
    pub limits: Limits,
    /// What an account's URL begins with; its id follows.
    pub account_url_prefix: Box<str>,
    /// How long an authorization is valid after its validation.
    pub authorization_lifetime: Duration,
    /// Counts.
    pub metrics: ValidationMetrics,
    /// Is told of each attempt that failed, for limits on them.
    pub on_failure: Option<Arc<dyn NoteFailure>>,
}

/// Takes note of failed attempts, for limits on them.
pub trait NoteFailure: Send + Sync + fmt::Debug {
    /// Takes note of one.
    fn note_failure(&self, account: &AccountId, identifier: &Identifier, now: Timestamp);
}

/// The queue is full; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many challenges wait to be validated")]
pub struct Full {
    /// When to come again.
    pub retry_after: Duration,
}

/// Waits for the next attempt at a challenge; may be dropped at any time.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Validated>);

impl Ticket {
    /// Waits until an attempt is recorded, at most this long; none if none was.
    pub async fn wait(self, patience: Duration) -> Option<Validated> {
        tokio::time::timeout(patience, self.0).await.ok()?.ok()
    }
}

/// Tries challenges. Dropping it ends every attempt; what the store holds as
/// `processing` is taken up by the next start's [`resume`](Self::resume).
#[derive(Debug)]
pub struct Scheduler {
    /// What its tasks share.
    shared: Arc<Shared>,
    /// The task that hands out turns; attempts are its children.
    _dispatcher: JoinSet<()>,
}

/// What is to be done about a challenge.
#[derive(Debug)]
enum Job {
    /// Make an attempt.
    Attempt,
    /// Record the result that the store did not take.
    Record(Validation),
}

/// The queue of challenges.
type ChallengeQueue = Queue<ChallengeId, AccountId, Identifier, Job>;

/// What the dispatcher and attempts share.
#[derive(Debug)]
struct Shared {
    /// What the scheduler works with.
    parts: Parts,
    /// What changes.
    state: Mutex<State>,
    /// Tells the dispatcher that something changed.
    changed: Notify,
}

/// What changes.
#[derive(Debug)]
struct State {
    /// Whose turn it is.
    queue: ChallengeQueue,
    /// Attempts under way.
    running: HashMap<ChallengeId, AbortHandle>,
    /// Who waits for a result.
    tickets: HashMap<ChallengeId, Vec<oneshot::Sender<Validated>>>,
}

impl Scheduler {
    /// Starts a scheduler in the current runtime.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: Queue::new(parts.limits.clone()),
                running: HashMap::new(),
                tickets: HashMap::new(),
            }),
            changed: Notify::new(),
            parts,
        });
        let mut dispatcher = JoinSet::new();
        dispatcher.spawn(dispatch(Arc::clone(&shared)));
        Self {
            shared,
            _dispatcher: dispatcher,
        }
    }

    /// Has a challenge tried at once: when the client responds to it, and when it
    /// asks for a retry (RFC 8555, 8.2).
    ///
    /// # Errors
    ///
    /// `Full` when too many wait already.
    pub fn submit(
        &self,
        authorization: &Authorization,
        kind: ChallengeKind,
    ) -> Result<Ticket, Full> {
        let key = ChallengeId {
            authorization: authorization.id,
            kind,
        };
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.state();
        if state.queue.waiting() >= self.shared.parts.limits.max_waiting {
            return Err(Full {
                retry_after: FULL_RETRY_AFTER,
            });
        }
        state.queue.push(
            key,
            authorization.account,
            authorization.identifier.clone(),
            Job::Attempt,
        );
        state.tickets.entry(key).or_default().push(sender);
        self.shared.count(&state);
        drop(state);
        self.shared.changed.notify_one();
        Ok(Ticket(receiver))
    }

    /// Takes up every challenge that the store holds as `processing`, and tells
    /// how many; for the start.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn resume(&self) -> Result<usize, AcmeError> {
        let store = &self.shared.parts.store;
        let open = store.open_work().await?.challenges;
        let now = self.shared.parts.clock.now();
        let mut resumed = 0;
        for key in open {
            let Some(authorization) = store.authorization(&key.authorization, now).await? else {
                continue;
            };
            // They were taken before: the bound is for new ones.
            let mut state = self.shared.state();
            state.queue.push(
                key,
                authorization.account,
                authorization.identifier.clone(),
                Job::Attempt,
            );
            self.shared.count(&state);
            resumed += 1;
        }
        self.shared.changed.notify_one();
        Ok(resumed)
    }

    /// Takes note of an attempt that was made elsewhere: an attestation, which is judged
    /// with the client's response.
    pub(crate) fn note_attempt(
        &self,
        authorization: &Authorization,
        kind: ChallengeKind,
        failure: Option<&Failure>,
        took: Duration,
    ) {
        let parts = &self.shared.parts;
        parts.metrics.attempted(kind, failure, took);
        if let (Some(_), Some(note)) = (failure, &parts.on_failure) {
            let now = parts.clock.now();
            note.note_failure(&authorization.account, &authorization.identifier, now);
        }
    }

    /// Gives a challenge up: its authorization was deactivated.
    pub fn cancel(&self, key: &ChallengeId) {
        let mut state = self.shared.state();
        state.tickets.remove(key);
        match state.running.get(key) {
            // Its end lets go of the entry.
            Some(attempt) => attempt.abort(),
            None => state.queue.remove(key),
        }
        self.shared.count(&state);
    }
}

impl Shared {
    /// Locks what changes. A panic elsewhere leaves nothing half done: each change
    /// is a few assignments.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the gauges up to date.
    fn count(&self, state: &State) {
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let metrics = &self.parts.metrics;
        metrics.waiting.set(gauge(state.queue.waiting()));
        metrics.running.set(gauge(state.queue.running()));
    }
}

/// Hands out turns for ever.
async fn dispatch(shared: Arc<Shared>) {
    let mut attempts = JoinSet::new();
    loop {
        let next_wake = {
            let mut state = shared.state();
            state.queue.wake(Instant::now());
            while let Some((key, job)) = state.queue.take() {
                let turn = Turn {
                    shared: Arc::clone(&shared),
                    key,
                    again: None,
                };
                let attempt = attempts.spawn(turn.take(job));
                state.running.insert(key, attempt);
            }
            shared.count(&state);
            state.queue.next_wake()
        };
        // A far time stands for none.
        let next_wake = next_wake.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = shared.changed.notified() => {}
            () = tokio::time::sleep_until(next_wake) => {}
        }
        while attempts.try_join_next().is_some() {}
    }
}

/// One entry's turn. However it ends, the entry is let go of.
struct Turn {
    /// What tasks share.
    shared: Arc<Shared>,
    /// Whose turn it is.
    key: ChallengeId,
    /// What is to be done next, and when.
    again: Option<(Job, Instant)>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.running.remove(&self.key);
        if self.again.is_none() {
            state.tickets.remove(&self.key);
        }
        state.queue.done(&self.key, self.again.take());
        self.shared.count(&state);
        drop(state);
        self.shared.changed.notify_one();
    }
}

/// A challenge that is to be tried.
struct Trial {
    /// Its authorization.
    authorization: Arc<Authorization>,
    /// What an attempt needs.
    task: Task,
    /// How often it was tried.
    attempts: u32,
}

impl Turn {
    /// Does the job.
    async fn take(mut self, job: Job) {
        let done = match job {
            Job::Record(validation) => self.record(validation).await,
            Job::Attempt => self.attempt().await,
        };
        if let Err(error) = done {
            warn!(
                acme.challenge = %self.key,
                "challenge {} waits for the next start: {error}", self.key
            );
        }
    }

    /// Makes an attempt and records what came of it.
    async fn attempt(&mut self) -> Result<(), AcmeError> {
        let Some(trial) = self.trial().await? else {
            debug!(acme.challenge = %self.key, "challenge {} is no longer open", self.key);
            return Ok(());
        };
        let parts = &self.shared.parts;
        let began = Instant::now();
        let result = parts.validator.validate(&trial.task).await;
        let took = began.elapsed();
        parts
            .metrics
            .attempted(self.key.kind, result.as_ref().err(), took);
        let now = parts.clock.now();
        let validation = match result {
            Ok(proof) => self.succeeded(&trial, &proof, now),
            Err(failure) => self.failed(&trial, &failure, now),
        };
        self.record(validation).await
    }

    /// Reads the challenge; none if nothing is to be tried any more.
    async fn trial(&self) -> Result<Option<Trial>, AcmeError> {
        let parts = &self.shared.parts;
        let now = parts.clock.now();
        let store = &parts.store;
        let Some(authorization) = store.authorization(&self.key.authorization, now).await? else {
            return Ok(None);
        };
        // One that ended keeps its challenges as they were.
        if authorization.state != AuthorizationState::Pending {
            return Ok(None);
        }
        let attempts = match authorization.challenge(self.key.kind).map(|own| &own.state) {
            Some(ChallengeState::Pending) => 0,
            Some(ChallengeState::Processing { attempts, .. }) => *attempts,
            Some(ChallengeState::Valid { .. } | ChallengeState::Invalid { .. }) | None => {
                return Ok(None);
            }
        };
        let Some(account) = store.account(&authorization.account).await? else {
            return Ok(None);
        };
        let thumbprint = URL_SAFE_NO_PAD.encode(account.key.thumbprint);
        let task = Task {
            kind: self.key.kind,
            identifier: authorization.identifier.clone(),
            wildcard: authorization.wildcard,
            key_authorization: KeyAuthorization::new(&authorization.token, &thumbprint),
            account_url: format!("{}{}", parts.account_url_prefix, account.id).into(),
        };
        Ok(Some(Trial {
            authorization,
            task,
            attempts,
        }))
    }

    /// Says that control is proved.
    fn succeeded(&self, trial: &Trial, proof: &Proof, now: Timestamp) -> Validation {
        let identifier = &trial.task.identifier;
        info!(
            acme.challenge = %self.key,
            acme.account = %trial.authorization.account,
            acme.identifier = %identifier,
            validation.address = proof.address.map(tracing::field::display),
            validation.caa_checked = proof.caa_checked,
            validation.attempt = trial.attempts + 1,
            "validated {identifier} by {}", self.key.kind
        );
        let lifetime = self.shared.parts.authorization_lifetime;
        Validation::Succeeded {
            valid_until: now.saturating_add(lifetime).unwrap_or(Timestamp::MAX),
            attested_key: None,
        }
    }

    /// Says that an attempt failed, and whether another follows.
    fn failed(&self, trial: &Trial, failure: &Failure, now: Timestamp) -> Validation {
        let identifier = &trial.task.identifier;
        let parts = &self.shared.parts;
        let made = trial.attempts.saturating_add(1);
        let pause = parts.limits.pause_after(made);
        // Another attempt is made while there is time for it (RFC 8555, 8.2).
        let in_time = now
            .saturating_add(pause)
            .is_ok_and(|next| next < trial.authorization.expires_at);
        let again = made < parts.limits.attempts && in_time && !failure.is_final();
        info!(
            acme.challenge = %self.key,
            acme.account = %trial.authorization.account,
            acme.identifier = %identifier,
            validation.attempt = made,
            validation.again = again,
            problem.r#type = %failure.error_type(),
            "did not validate {identifier} by {}: {failure}", self.key.kind
        );
        if let Some(note) = &parts.on_failure {
            note.note_failure(&trial.authorization.account, identifier, now);
        }
        let error = failure.to_record();
        if again {
            Validation::Retrying { error }
        } else {
            Validation::Failed { error }
        }
    }

    /// Records a result, and says what is next.
    async fn record(&mut self, validation: Validation) -> Result<(), AcmeError> {
        let parts = &self.shared.parts;
        let recorded = parts
            .store
            .record_validation(&self.key, validation.clone(), parts.clock.now())
            .await;
        match recorded {
            Ok(validated) => {
                let open = validated
                    .authorization
                    .challenge(self.key.kind)
                    .map(|own| own.state.clone());
                if let Some(ChallengeState::Processing { attempts, .. }) = open {
                    let pause = parts.limits.pause_after(attempts);
                    self.again = Some((Job::Attempt, Instant::now() + pause));
                }
                let waiting = self.shared.state().tickets.remove(&self.key);
                for ticket in waiting.into_iter().flatten() {
                    // Whoever dropped the other end does not want to know.
                    let _gone = ticket.send(validated.clone());
                }
                Ok(())
            }
            Err(AcmeError::Store(error)) if error.is_transient() => {
                parts.metrics.unrecorded.inc();
                debug!(acme.challenge = %self.key, "the store took no result: {error}");
                let at = Instant::now() + parts.limits.retry_pause;
                self.again = Some((Job::Record(validation), at));
                Ok(())
            }
            // The authorization ended meanwhile: nobody asks any more.
            Err(AcmeError::NoChallenge { .. } | AcmeError::AuthorizationNotPending { .. }) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
