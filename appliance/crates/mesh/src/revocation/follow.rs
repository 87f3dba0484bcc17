//! Following the CA's CRLs: a question that waits for its answer, again and again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::checker::{CrlChecker, Part};
use super::held::CrlRejected;
use super::metrics::FetchOutcome;
use crate::backoff::jittered;
use crate::ca_client::{CaClientError, CrlAnswer, CrlRequest, CrlScope, RevocationSource};
use crate::error::chain;
use crate::problem::ProblemType;

impl CrlChecker {
    /// Fetches every CRL once, for a start whose first clients are to be served.
    ///
    /// Ends when all were fetched or failed, or with `patience`; what failed is
    /// logged and comes later, by [`follow`](Self::follow).
    pub async fn first(self: &Arc<Self>, source: &Arc<dyn RevocationSource>, patience: Duration) {
        let each = self.parts.iter().map(async |part| {
            let mut following = Following::begin(self, part, source);
            if let Err(failure) = following.ask(None).await {
                following.report(&failure);
            }
        });
        if timeout(patience, join_all(each)).await.is_err() {
            warn!(
                service = self.service,
                "the CA gave no CRL within {} seconds; {} goes on without",
                patience.as_secs(),
                self.service
            );
        }
    }

    /// Keeps the CRLs current, for as long as it is polled.
    ///
    /// Where the CA holds answers back (RFC 7240, 4.3), a newer CRL arrives at
    /// once; elsewhere within the configured refresh. Failures are logged once
    /// and tried again with back-off; what is held stays until it is not fresh.
    pub async fn follow(self: Arc<Self>, source: Arc<dyn RevocationSource>) {
        let each = self
            .parts
            .iter()
            .map(|part| Following::begin(&self, part, &source).go_on());
        join_all(each).await;
    }
}

/// Following one CRL.
struct Following<'a> {
    /// Whose.
    checker: &'a Arc<CrlChecker>,
    /// Which.
    part: &'a Arc<Part>,
    /// From where.
    source: &'a Arc<dyn RevocationSource>,
    /// Whether the next question is for the complete CRL, whatever is configured.
    complete_next: bool,
    /// Whether the CA had no delta when it was last asked.
    no_deltas: bool,
    /// Whether the log was told that it fails.
    failing: bool,
}

/// What a question brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// A newer CRL.
    Newer,
    /// Nothing newer.
    Unchanged,
    /// Another question has to be asked first.
    AskOtherwise,
}

/// Why a question brought nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// There was no CRL.
    #[error("the CA gave none")]
    NoCrl(#[from] CaClientError),
    /// It cannot be taken.
    #[error("the one that came cannot be taken")]
    Rejected(#[from] CrlRejected),
    /// The one who takes it ended.
    #[error("taking it did not end")]
    Ended(#[from] tokio::task::JoinError),
}

impl<'a> Following<'a> {
    /// Begins with what is held.
    fn begin(
        checker: &'a Arc<CrlChecker>,
        part: &'a Arc<Part>,
        source: &'a Arc<dyn RevocationSource>,
    ) -> Self {
        Self {
            checker,
            part,
            source,
            complete_next: false,
            no_deltas: false,
            failing: false,
        }
    }

    /// Asks for ever.
    async fn go_on(mut self) {
        let config = &self.checker.config;
        let (wait, refresh) = (config.wait, config.refresh);
        let mut backoff = FIRST_BACKOFF;
        loop {
            let asked = Instant::now();
            let pause = match self.ask(Some(wait)).await {
                Ok(round) => {
                    self.recovered();
                    backoff = FIRST_BACKOFF;
                    match round {
                        Round::AskOtherwise => Duration::ZERO,
                        // The next question waits for the next one.
                        Round::Newer => SPACING,
                        Round::Unchanged => {
                            self.checker.note_freshness();
                            // A CA that does not hold answers back is spared.
                            if asked.elapsed() >= HELD_BACK.min(wait) {
                                Duration::ZERO
                            } else {
                                jittered(refresh)
                            }
                        }
                    }
                }
                Err(failure) => {
                    self.checker.note_freshness();
                    self.report(&failure);
                    let pause = failure.retry_after().unwrap_or(backoff).min(LAST_BACKOFF);
                    backoff = (backoff * 2).min(LAST_BACKOFF);
                    jittered(pause)
                }
            };
            sleep(pause).await;
        }
    }

    /// Asks once, and takes what comes.
    async fn ask(&mut self, wait: Option<Duration>) -> Result<Round, Failure> {
        let wants_delta = self.checker.config.deltas
            && self.part.scope == CrlScope::Full
            && self.part.is_held()
            && !self.complete_next
            && !self.no_deltas;
        let scope = if wants_delta {
            CrlScope::Delta
        } else {
            self.part.scope
        };
        let known = self.part.tag(scope);
        let request = CrlRequest {
            issuer: self.part.issuer.id.clone(),
            scope,
            // Without a CRL to compare with there is nothing to wait for.
            wait: wait.filter(|_| known.is_some() && !self.complete_next),
            known,
        };
        let answer = match self.source.crl(request).await {
            Err(error)
                if scope == CrlScope::Delta
                    && error.problem_type() == Some(ProblemType::CrlUnknown) =>
            {
                // Asked for again behind the next complete one.
                self.no_deltas = true;
                return Ok(Round::AskOtherwise);
            }
            answer => answer.inspect_err(|_| self.count(FetchOutcome::Failed))?,
        };
        let CrlAnswer::Crl(fetched) = answer else {
            self.complete_next = false;
            self.count(FetchOutcome::Unchanged);
            return Ok(Round::Unchanged);
        };
        let (checker, part) = (Arc::clone(self.checker), Arc::clone(self.part));
        let taking = move || checker.take(&part, scope, &fetched);
        match tokio::task::spawn_blocking(taking).await? {
            Ok(newer) => {
                if scope != CrlScope::Delta {
                    self.complete_next = false;
                    self.no_deltas &= !newer;
                }
                self.count(if newer {
                    FetchOutcome::Newer
                } else {
                    FetchOutcome::Unchanged
                });
                Ok(if newer {
                    Round::Newer
                } else {
                    Round::Unchanged
                })
            }
            Err(CrlRejected::BaseNotHeld { .. }) if scope == CrlScope::Delta => {
                self.complete_next = true;
                Ok(Round::AskOtherwise)
            }
            Err(rejected) => {
                self.count(FetchOutcome::Rejected);
                Err(rejected.into())
            }
        }
    }

    /// Counts a question.
    fn count(&self, outcome: FetchOutcome) {
        self.checker.metrics.fetched(self.checker.service, outcome);
    }

    /// Tells the log of a failure, the first in a row.
    fn report(&mut self, failure: &Failure) {
        let (service, part) = (self.checker.service, self.part.name());
        let chain = chain(failure);
        if std::mem::replace(&mut self.failing, true) {
            debug!(service, "still no newer CRL of {part}: {chain}");
        } else {
            warn!(service, "no newer CRL of {part}, trying again: {chain}");
        }
    }

    /// Tells the log that it works again.
    fn recovered(&mut self) {
        if std::mem::replace(&mut self.failing, false) {
            let service = self.checker.service;
            info!(service, "the CA gives CRLs of {} again", self.part.name());
        }
    }
}

impl Failure {
    /// Returns when the CA says that asking again may help.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoCrl(error) => error.retry_after(),
            Self::Rejected(_) | Self::Ended(_) => None,
        }
    }
}

/// An answer that took so long was held back, if not as long as asked.
const HELD_BACK: Duration = Duration::from_secs(1);

/// Least time between two CRLs: revocations in a row share one.
const SPACING: Duration = Duration::from_millis(50);

/// First wait after a question that failed.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// Longest wait after questions that failed.
const LAST_BACKOFF: Duration = Duration::from_secs(15);
