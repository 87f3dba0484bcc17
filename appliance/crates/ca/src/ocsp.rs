//! The OCSP responder (RFC 6960, by RFC 9919's profile).
//!
//! ```text
//! request ─► CertID ─► index ─► ready answer ───────────────────────► bytes
//!                        │ none                                          ▲
//!                        ├─► somebody is having it signed: join ─────────┤
//!                        └─► standing (memory, store) ─► token ─► kept ──┘
//! ```
//!
//! Answers are made ahead and made anew at half their life (`refresh`); a change
//! of status drops those of the certificate and has new ones signed before anyone
//! is told of it. A request thread never waits for the token or the disk: what is
//! not ready is signed elsewhere and awaited.
//!
//! The responder is made without a token. It begins with the answers that the
//! last run left on disk, as far as they still say what is true (`snapshot`), and
//! signs once [`Responder::run`] has found or made its key and certificate.

mod answer;
mod certificate;
mod index;
mod metrics;
mod miss;
mod pace;
mod query;
mod rare;
mod refresh;
mod replace;
mod signing;
mod snapshot;
mod standing;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use model::{Clock, IssuerId, SerialNumber, Timestamp};
use pki::certificate::Certificate;
use pki::ocsp::IssuerHashes;
use store::{IssuedFrom, MAX_BATCH, RevocationStore};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::{info, warn};

pub(crate) use answer::Keep;
pub use answer::OcspAnswer;
pub use metrics::OcspMetrics;
pub(crate) use query::Begun;
pub(crate) use rare::{RareAnswers, RareSigner};

use crate::config::{CheckedOcspConfig, KeepReady};
use crate::error::Error;
use crate::issue::Ca;
use crate::revocations::Revocations;
use index::Index;
use miss::Flights;
use pace::Pace;
use signing::{Signatory, Signing};

/// What a responder is built from.
#[derive(Debug)]
pub(crate) struct ResponderParts {
    /// The configuration.
    pub(crate) config: CheckedOcspConfig,
    /// The authorities whose certificates it answers for.
    pub(crate) issuers: Vec<(IssuerId, Certificate)>,
    /// What the authority said whose key is seldom there.
    pub(crate) rare: Option<RareAnswers>,
    /// What is revoked.
    pub(crate) revocations: Arc<Revocations>,
    /// What was issued.
    pub(crate) store: Arc<dyn RevocationStore>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where ready answers are kept over a restart.
    pub(crate) snapshot_file: PathBuf,
    /// What is counted.
    pub(crate) metrics: OcspMetrics,
}

/// The OCSP responder.
#[derive(Debug)]
pub struct Responder {
    /// The configuration.
    config: CheckedOcspConfig,
    /// The authorities, and what is ready about their certificates.
    issuers: Vec<IssuerAnswers>,
    /// What the authority said whose key is seldom there.
    rare: Option<RareAnswers>,
    /// What is revoked.
    revocations: Arc<Revocations>,
    /// What was issued.
    store: Arc<dyn RevocationStore>,
    /// The time.
    clock: Arc<dyn Clock>,
    /// Where ready answers are kept over a restart.
    snapshot_file: PathBuf,
    /// What is counted.
    metrics: OcspMetrics,
    /// The token's speed.
    pace: Pace,
    /// Answers that are being signed for queries.
    flights: Flights,
    /// One for each signature for queries that may be under way.
    permits: Arc<Semaphore>,
    /// One for each that anyone can ask for again and again.
    repeatable: Arc<Semaphore>,
    /// When the first ready answer expires, in seconds since 1970.
    horizon: AtomicI64,
    /// Whether answers were made since they were last written to disk.
    unsaved: AtomicBool,
    /// Where signatures are awaited.
    runtime: Handle,
}

/// One authority's part.
#[derive(Debug)]
struct IssuerAnswers {
    /// Its name.
    id: IssuerId,
    /// Its certificate.
    certificate: Certificate,
    /// By what CertIDs name it.
    hashes: IssuerHashes,
    /// Its certificates and what is ready about them.
    index: Index,
    /// Under which certificates of the responder's key answers are ready.
    signatories: ArcSwap<Vec<Arc<Signatory>>>,
    /// Who signs now; none until certificate and key are there.
    signing: ArcSwapOption<Signing>,
}

/// How the responder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OcspStatus {
    /// Certificates in memory.
    pub certificates: u64,
    /// Answers ready.
    pub ready: u64,
    /// Octets that all of this takes.
    pub bytes: u64,
    /// When the responder's certificate expires.
    pub certificate_expires: Option<Timestamp>,
    /// When the first ready answer expires.
    pub next_expiry: Option<Timestamp>,
}

/// Stands for no ready answer at all.
const NEVER: i64 = i64::MAX;

impl Responder {
    /// Builds a responder and takes in what was issued and what the last run left
    /// ready. Asks no token.
    ///
    /// # Errors
    ///
    /// `Store` when what was issued cannot be listed. A snapshot that cannot be
    /// read is told in the log and done without.
    pub(crate) async fn open(parts: ResponderParts) -> Result<Arc<Self>, Error> {
        let ResponderParts {
            config,
            issuers,
            rare,
            revocations,
            store,
            clock,
            snapshot_file,
            metrics,
        } = parts;
        let issuers = issuers
            .into_iter()
            .map(|(id, certificate)| IssuerAnswers {
                id,
                hashes: IssuerHashes::of(&certificate),
                certificate,
                index: Index::new(config.max_ready),
                signatories: ArcSwap::default(),
                signing: ArcSwapOption::empty(),
            })
            .collect();
        let responder = Arc::new(Self {
            permits: Arc::new(Semaphore::new(config.max_in_flight)),
            repeatable: Arc::new(Semaphore::new(config.max_in_flight.div_ceil(4))),
            config,
            issuers,
            rare,
            revocations,
            store,
            clock,
            snapshot_file,
            metrics,
            pace: Pace::default(),
            flights: Flights::default(),
            horizon: AtomicI64::new(NEVER),
            unsaved: AtomicBool::new(false),
            runtime: Handle::current(),
        });
        if responder.config.ready == KeepReady::All {
            for issuer in &responder.issuers {
                responder.take_in(issuer).await?;
            }
        }
        let restoring = Arc::clone(&responder);
        tokio::task::spawn_blocking(move || restoring.restore()).await?;
        Ok(responder)
    }

    /// Enters every certificate of an issuer that has not expired.
    async fn take_in(&self, issuer: &IssuerAnswers) -> Result<(), Error> {
        let mut from = IssuedFrom::expiring(self.clock.now());
        let mut left_out = 0u64;
        loop {
            let issued = self.store.issued(&issuer.id, from, MAX_BATCH).await?;
            let Some(last) = issued.last() else { break };
            from = last.next();
            for certificate in &issued {
                if !issuer
                    .index
                    .insert(&certificate.serial, certificate.not_after)
                {
                    left_out += 1;
                }
            }
        }
        if left_out > 0 {
            warn!(
                issuer = %issuer.id, left_out,
                "{left_out} certificates are answered for only when asked: no more than {} may be \
                 kept ready; see `ocsp.max_ready`",
                self.config.max_ready
            );
        }
        info!(
            issuer = %issuer.id, certificates = issuer.index.len(),
            "the OCSP responder knows {} certificates of {}", issuer.index.len(), issuer.id
        );
        Ok(())
    }

    /// Signs: finds or makes key and certificate, keeps answers ready, renews the
    /// certificate, writes snapshots. Until dropped.
    pub(crate) async fn run(self: Arc<Self>, ca: Arc<Ca>) {
        let in_flight = ca.certifier.metrics.in_flight.clone();
        let is_issuing = move || in_flight.get() > 0;
        tokio::join!(
            self.keep_certificate(&ca),
            self.keep_ready(&is_issuing),
            self.keep_snapshot(),
        );
    }

    /// Takes note of a certificate that was issued; an answer about it is made
    /// soon, or when first asked for.
    pub(crate) fn issued(&self, issuer: &IssuerId, serial: &SerialNumber, not_after: Timestamp) {
        if self.config.ready == KeepReady::All
            && let Some(issuer) = self.issuer(issuer)
        {
            // Past the limit it is answered for when asked.
            issuer.index.insert(serial, not_after);
        }
    }

    /// Tells when the first ready answer expires: how long answers go on if the
    /// token is lost now. None while nothing is ready.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        match self.horizon.load(Ordering::Relaxed) {
            NEVER => None,
            second => Timestamp::from_second(second).ok(),
        }
    }

    /// Tells whether certificates can be answered for.
    ///
    /// # Errors
    ///
    /// Why not, for a readiness report.
    pub fn check(&self) -> Result<(), &'static str> {
        let now = self.clock.now();
        let signs = self
            .issuers
            .iter()
            .any(|issuer| issuer.signing(now).is_some());
        if signs || self.next_expiry().is_some_and(|at| now < at) {
            Ok(())
        } else {
            Err("the OCSP responder has no certificate, and no answer is ready")
        }
    }

    /// Tells how the responder is.
    #[must_use]
    pub fn status(&self) -> OcspStatus {
        let count = |gauge: i64| u64::try_from(gauge).unwrap_or(0);
        OcspStatus {
            certificates: self
                .issuers
                .iter()
                .map(|issuer| issuer.index.len() as u64)
                .sum(),
            ready: count(self.metrics.ready.get()),
            bytes: count(self.metrics.bytes.get()),
            certificate_expires: self
                .issuers
                .iter()
                .filter_map(|issuer| issuer.signing.load_full())
                .map(|signing| signing.signatory.not_after())
                .min(),
            next_expiry: self.next_expiry(),
        }
    }

    /// Finds an authority by its name.
    fn issuer(&self, id: &IssuerId) -> Option<&IssuerAnswers> {
        self.issuers.iter().find(|issuer| issuer.id == *id)
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &CheckedOcspConfig {
        &self.config
    }

    /// Returns the time as answers carry it, in whole seconds.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        // A moment of the clock without its fraction is one.
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }
}

impl IssuerAnswers {
    /// Finds the certificate under which a ready answer was signed.
    fn signatory(&self, id: u16) -> Option<Arc<Signatory>> {
        let signatories = self.signatories.load();
        signatories
            .iter()
            .find(|signatory| signatory.id == id)
            .map(Arc::clone)
    }

    /// Returns who signs, if its certificate counts.
    fn signing(&self, now: Timestamp) -> Option<Arc<Signing>> {
        self.signing
            .load_full()
            .filter(|signing| now < signing.signatory.not_after())
    }
}
