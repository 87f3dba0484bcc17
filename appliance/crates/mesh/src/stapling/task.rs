//! Keeping a staple on a TLS identity, from the start to the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::Clock;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use super::metrics::StaplingMetrics;
use super::staple::{NoSubject, Standing, Staple, StapleRefused, Subject};
use crate::backoff::jittered;
use crate::ca_client::{CaClientError, RevocationSource};
use crate::config::duration;
use crate::error::chain;
use crate::health::Health;
use crate::tls::TlsIdentity;

/// How a server's staple is kept fresh, as the configuration file gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StaplingConfig {
    /// Time between questions to the OCSP responder; sooner at half of what is
    /// left of the response that is stapled.
    #[serde(with = "duration")]
    pub refresh: Duration,
}

impl Default for StaplingConfig {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(12 * 3600),
        }
    }
}

/// What a [`Stapler`] is made of.
#[derive(Debug)]
pub struct StaplerParts {
    /// The service, for logs and metrics.
    pub service: &'static str,
    /// Whose certificate is stapled.
    pub identity: Arc<TlsIdentity>,
    /// Certificates of issuers, besides those in the chain.
    pub issuers: Vec<CertificateDer<'static>>,
    /// Who answers: the CA over mutual TLS, or the CA itself.
    pub source: Arc<dyn RevocationSource>,
    /// The file in which the last response is kept for the next start: beside the
    /// chain.
    pub kept: PathBuf,
    /// How.
    pub config: StaplingConfig,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it counts.
    pub metrics: StaplingMetrics,
}

/// Keeps an OCSP response on a [`TlsIdentity`].
///
/// Asks at the start, every 12 hours, at half of what is left, when the
/// certificate is replaced, and with back-off after a failure. The last good
/// response stays until it expires, and is never shown longer.
#[derive(Debug)]
pub struct Stapler {
    /// What it is made of.
    parts: StaplerParts,
    /// Wakes when the certificate is replaced.
    replaced: watch::Receiver<()>,
    /// Whether the certificate was looked at since it was replaced.
    noticed: bool,
    /// What is stapled to which certificate.
    current: Option<(Subject, Option<Staple>)>,
    /// Whether the responder was asked about this certificate.
    asked: bool,
    /// Whether our certificate was revoked, for readiness.
    revoked: Arc<AtomicBool>,
    /// Whether the log was told that it fails.
    failing: bool,
}

/// Why a question brought no staple.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// There is nothing to ask about.
    #[error("nothing can be asked about our certificate")]
    NoSubject(#[from] NoSubject),
    /// There was no answer.
    #[error("the OCSP responder did not answer")]
    NoAnswer(#[from] CaClientError),
    /// There was none in time.
    #[error("the OCSP responder did not answer within {seconds} seconds")]
    TooSlow {
        /// The time it had.
        seconds: u64,
    },
    /// The answer cannot be shown.
    #[error("its answer is not stapled")]
    Refused(#[from] StapleRefused),
}

impl Failure {
    /// Names it in metrics.
    fn label(&self) -> &'static str {
        match self {
            Self::NoSubject(_) => "no-issuer",
            Self::NoAnswer(_) => "unreachable",
            Self::TooSlow { .. } => "timeout",
            Self::Refused(StapleRefused::Unknown) => "unknown",
            Self::Refused(_) => "refused",
        }
    }
}

impl Stapler {
    /// Prepares; nothing is stapled yet.
    #[must_use]
    pub fn new(parts: StaplerParts) -> Self {
        parts.metrics.stapled(parts.service, None);
        Self {
            replaced: parts.identity.replaced(),
            parts,
            noticed: false,
            current: None,
            asked: false,
            revoked: Arc::new(AtomicBool::new(false)),
            failing: false,
        }
    }

    /// Makes readiness depend on our certificate not being revoked.
    pub fn register_health(&self, health: &Health) {
        let revoked = Arc::clone(&self.revoked);
        let name = format!("{}-certificate", self.parts.service);
        health.register(&name, move || {
            if revoked.load(Ordering::Relaxed) {
                Err("the TLS certificate of this service was revoked: issue another".to_owned())
            } else {
                Ok(())
            }
        });
    }

    /// Staples what was kept, or else asks once: for a start whose first
    /// handshake is to be stapled.
    ///
    /// What fails is logged and comes later, by [`run`](Self::run).
    pub async fn prepare(&mut self, patience: Duration) {
        self.notice_certificate();
        if self.staple().is_none() {
            let outcome = match timeout(patience, self.question()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::TooSlow {
                    seconds: patience.as_secs(),
                }),
            };
            self.settle(outcome);
        }
    }

    /// Keeps the staple current, for as long as it is polled.
    pub async fn run(mut self) {
        let mut backoff = FIRST_BACKOFF;
        // What was asked before is good for a while. What was kept is old: the
        // certificate may have been revoked since.
        let mut due = match self.staple() {
            Some(staple) if self.asked => self.due(&staple),
            _ => self.now(),
        };
        loop {
            if self.notice_certificate() {
                due = self.now();
                backoff = FIRST_BACKOFF;
            }
            if self.drop_expired() {
                due = self.now();
                backoff = FIRST_BACKOFF;
            }
            if self.now() < due {
                self.nap().await;
                continue;
            }
            let Some(outcome) = self.ask().await else {
                continue;
            };
            due = match self.settle(outcome) {
                Some(staple) => {
                    backoff = FIRST_BACKOFF;
                    self.due(&staple)
                }
                None => {
                    let most = self.longest_pause();
                    let pause = jittered(backoff.min(most));
                    backoff = (backoff * 2).min(most);
                    after(self.now(), pause)
                }
            };
        }
    }

    /// Returns the time.
    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Returns what is stapled.
    fn staple(&self) -> Option<Staple> {
        self.current.as_ref().and_then(|(_, staple)| *staple)
    }

    /// Finds the certificate that is presented now; true when it is another one
    /// than before. What was kept about it is stapled at once.
    fn notice_certificate(&mut self) -> bool {
        if self.noticed && !self.replaced.has_changed().unwrap_or(false) {
            return false;
        }
        self.noticed = true;
        self.replaced.mark_unchanged();
        let chain = self.parts.identity.chain();
        let others = chain.iter().skip(1).chain(&self.parts.issuers);
        self.current = None;
        self.asked = false;
        self.revoked.store(false, Ordering::Relaxed);
        self.parts.metrics.stapled(self.parts.service, None);
        match Subject::find(chain.first(), others) {
            Ok(subject) => {
                self.current = Some((subject, None));
                self.staple_kept();
            }
            // Told when it is asked about.
            Err(why) => debug!(service = self.parts.service, "nothing to staple: {why}"),
        }
        true
    }

    /// Staples the response of an earlier time, if it is about our certificate,
    /// good and fresh.
    fn staple_kept(&mut self) {
        let Some((subject, _)) = &self.current else {
            return;
        };
        let service = self.parts.service;
        match crate::kept::read(&self.parts.kept, MAX_KEPT) {
            Ok(None) => {}
            Ok(Some(der)) => match read_fresh(subject, &der, self.now(), Duration::ZERO) {
                Ok(staple) if staple.standing == Standing::Good => {
                    info!(
                        service,
                        ocsp.next_update = %staple.next_update,
                        "{service} staples the OCSP response that was kept"
                    );
                    self.show(staple, der);
                }
                // Another will be asked for at once.
                Ok(_) => {}
                Err(why) => debug!(service, "a kept OCSP response is not used: {}", chain(&why)),
            },
            Err(failure) => warn!(
                service,
                "a kept OCSP response cannot be read: {}",
                chain(&failure)
            ),
        }
    }

    /// Asks, while expiry is watched; none when the certificate was replaced.
    async fn ask(&mut self) -> Option<Result<(Staple, Vec<u8>), Failure>> {
        let question = timeout(PATIENCE, self.question());
        tokio::pin!(question);
        loop {
            tokio::select! {
                outcome = &mut question => {
                    let seconds = PATIENCE.as_secs();
                    return Some(outcome.unwrap_or(Err(Failure::TooSlow { seconds })));
                }
                () = self.nap() => {}
            }
            // A server without an answer shows an expired one no longer.
            self.drop_expired();
            if self.replaced.has_changed().unwrap_or(false) {
                return None;
            }
        }
    }

    /// Asks the responder and verifies what it says.
    fn question(&self) -> impl Future<Output = Result<(Staple, Vec<u8>), Failure>> + Send + use<> {
        let subject = self.current.as_ref().map(|(subject, _)| subject.clone());
        let source = Arc::clone(&self.parts.source);
        let clock = Arc::clone(&self.parts.clock);
        async move {
            let subject = subject.ok_or(NoSubject::NoIssuer)?;
            let der = source.ocsp(subject.request()).await?;
            let staple = read_fresh(&subject, &der, clock.now(), MAX_SKEW)?;
            Ok((staple, der))
        }
    }

    /// Staples what came, or tells what went wrong.
    fn settle(&mut self, outcome: Result<(Staple, Vec<u8>), Failure>) -> Option<Staple> {
        let service = self.parts.service;
        let (staple, der) = match outcome {
            Ok(found) => found,
            Err(failure) => {
                self.parts.metrics.asked(service, failure.label());
                self.report(&failure);
                return None;
            }
        };
        if std::mem::replace(&mut self.failing, false) {
            info!(service, "{service} can staple OCSP responses again");
        }
        match staple.standing {
            Standing::Good => {
                self.parts.metrics.asked(service, "good");
                if self.revoked.swap(false, Ordering::Relaxed) {
                    info!(
                        service,
                        "the TLS certificate of {service} is not revoked any more"
                    );
                }
            }
            Standing::Revoked { at, reason } => {
                self.parts.metrics.asked(service, "revoked");
                if !self.revoked.swap(true, Ordering::Relaxed) {
                    error!(
                        service,
                        "the TLS certificate of {service} was revoked at {at} ({reason}): clients \
                         that check will not connect; issue another certificate"
                    );
                }
            }
        }
        self.asked = true;
        // Without it the next start merely has to ask first.
        if let Err(failure) = crate::kept::write(&self.parts.kept, &der) {
            warn!(service, "cannot keep an OCSP response: {}", chain(&failure));
        }
        // Revoked or not: clients are told the truth, and no older answer.
        self.show(staple, der);
        Some(staple)
    }

    /// Shows a response from the next handshake on.
    fn show(&mut self, staple: Staple, der: Vec<u8>) {
        let Some((subject, shown)) = &mut self.current else {
            return;
        };
        // False when the certificate was replaced meanwhile: noticed next.
        if self.parts.identity.staple(&subject.fingerprint, Some(der)) {
            *shown = Some(staple);
            self.parts
                .metrics
                .stapled(self.parts.service, Some(&staple));
        }
    }

    /// Shows no response past its time; true when one was taken away.
    fn drop_expired(&mut self) -> bool {
        let now = self.now();
        let Some((subject, shown)) = &mut self.current else {
            return false;
        };
        let expired = shown.is_some_and(|staple| staple.next_update <= now);
        if expired {
            *shown = None;
            self.parts.identity.staple(&subject.fingerprint, None);
            let service = self.parts.service;
            self.parts.metrics.stapled(service, None);
            error!(
                service,
                "{service} staples nothing: the last OCSP response has expired and there is no \
                 other"
            );
        }
        expired
    }

    /// Finds how long a failure may be waited out: the nearer the end of what is
    /// stapled, the shorter.
    fn longest_pause(&self) -> Duration {
        match self.staple() {
            Some(staple) => (self.left(&staple) / 2).clamp(FIRST_BACKOFF, LAST_BACKOFF),
            None => LAST_BACKOFF_BARE,
        }
    }

    /// Returns how long a response may still be shown.
    fn left(&self, staple: &Staple) -> Duration {
        Duration::try_from(staple.next_update.duration_since(self.now())).unwrap_or_default()
    }

    /// Finds when to ask again.
    fn due(&self, staple: &Staple) -> Timestamp {
        let left = self.left(staple);
        let usual = match staple.standing {
            Standing::Good => self.parts.config.refresh,
            // It may be on hold, and released soon.
            Standing::Revoked { .. } => self.parts.config.refresh.min(REVOKED_REFRESH),
        };
        after(self.now(), usual.min(left / 2).max(FIRST_BACKOFF))
    }

    /// Sleeps a while: the clock may be set meanwhile, and the certificate
    /// replaced.
    async fn nap(&self) {
        let mut replaced = self.replaced.clone();
        tokio::select! {
            () = sleep(NAP) => {}
            // An identity that is gone is replaced no more.
            Ok(()) = replaced.changed() => {}
        }
    }

    /// Tells the log of a failure, the first in a row.
    fn report(&mut self, failure: &Failure) {
        let service = self.parts.service;
        let chain = chain(failure);
        if std::mem::replace(&mut self.failing, true) {
            debug!(service, "still no OCSP response to staple: {chain}");
        } else {
            warn!(
                service,
                "{service} has no newer OCSP response to staple, trying again: {chain}"
            );
        }
    }
}

/// Verifies a response that is to be shown from now on.
fn read_fresh(
    subject: &Subject,
    der: &[u8],
    now: Timestamp,
    skew: Duration,
) -> Result<Staple, StapleRefused> {
    let staple = subject.read(der, now, skew)?;
    if now < staple.next_update {
        Ok(staple)
    } else {
        Err(StapleRefused::Expired)
    }
}

/// Finds a moment so much later.
fn after(moment: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause)
        .ok()
        .and_then(|pause| moment.checked_add(pause).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Longest sleep between looks at the clock.
const NAP: Duration = Duration::from_secs(1);

/// Time for one question.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far the responder's clock may be ahead of ours.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// First wait after a question that failed, and least time between two.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);

/// Longest wait after questions that failed, while something is stapled.
const LAST_BACKOFF: Duration = Duration::from_secs(300);

/// Longest wait after questions that failed, while nothing is stapled.
const LAST_BACKOFF_BARE: Duration = Duration::from_secs(30);

/// Time between questions about a certificate that was revoked.
const REVOKED_REFRESH: Duration = Duration::from_secs(300);

/// Most octets of a response that was kept.
const MAX_KEPT: u64 = 64 * 1024;
