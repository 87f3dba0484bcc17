//! The publisher of one authority: plans, records, signs and puts out its CRLs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hsm_keystore::{Priority, PrivateKey, SignJob, SignatureScheme};
use jiff::SignedDuration;
use model::{Clock, IssuerId, NodePrefix, Timestamp};
use pki::crl::{CrlNumber, CrlPlan, CrlSignInput};
use pki::issuer::IssuerFacts;
use store::{CrlRecord, LastCrls, RevocationStore};
use tokio::sync::{Mutex as Turn, Notify};
use tracing::{error, info, warn};

use super::content::prepare;
use super::schedule::{Cycle, Wanted, backoff};
use super::{Crl, CrlError, CrlKind};
use crate::clock::ClockGuard;
use crate::config::CheckedCrlConfig;
use crate::metrics::{CaMetrics, CrlFigures};
use crate::ocsp::{Keep, RareSigner};
use crate::publication::Publication;
use crate::refusal::chain;
use crate::revocations::{Kept, Snapshot};

/// What a publisher is built from.
pub(crate) struct PublisherParts {
    /// The authority.
    pub(crate) issuer: IssuerId,
    /// Whether it is the root, whose CRLs are rare.
    pub(crate) root: bool,
    /// What its CRLs depend on.
    pub(crate) facts: Arc<IssuerFacts>,
    /// First moment of its certificate.
    pub(crate) since: Timestamp,
    /// Its key.
    pub(crate) key: Arc<dyn PrivateKey>,
    /// How it signs.
    pub(crate) scheme: SignatureScheme,
    /// What is revoked and what is published.
    pub(crate) publication: Arc<Publication>,
    /// Where CRLs are recorded.
    pub(crate) store: Arc<dyn RevocationStore>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Holds it to what was recorded.
    pub(crate) clock_guard: Arc<ClockGuard>,
    /// When CRLs are issued.
    pub(crate) config: CheckedCrlConfig,
    /// Number of this node, in the CRLs' numbers.
    pub(crate) node: NodePrefix,
    /// Time for the token to sign.
    pub(crate) sign_timeout: Duration,
    /// What is counted.
    pub(crate) metrics: CaMetrics,
}

/// Issues the CRLs of one authority.
pub(crate) struct Publisher {
    /// What it is built from.
    pub(super) parts: PublisherParts,
    /// One batch at a time.
    turn: Turn<()>,
    /// What is wanted before its time.
    wanted: Mutex<Wanted>,
    /// Wakes the loop when something is.
    nudge: Notify,
    /// The full CRL that deltas add to.
    base: Mutex<Option<Base>>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Publisher({})", self.parts.issuer)
    }
}

/// A full CRL that deltas add to: RFC 5280, 5.2.4.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base {
    /// Its number.
    number: u64,
    /// The last act that it reflects.
    pub(super) through: u64,
}

/// Why CRLs are issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is time, or somebody ordered it: deltas add to this one from now on.
    Due,
    /// Something changed, or what was kept is not the last one.
    Wanted,
    /// A revocation; one that reflects this change already will do.
    Change(u64),
}

/// What the CRLs of one batch share.
struct Batch {
    /// Their thisUpdate.
    this_update: Timestamp,
    /// Which changes they reflect.
    revision: u64,
    /// The number of the full one, which its delta shares (RFC 5280, 5.2.3).
    whole_number: Option<u64>,
}

/// How much longer than it worked the publisher rests.
const REST: u32 = 4;

/// Time between looks at the clock: somebody may have set it.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Publisher {
    /// Builds a publisher; what is missing, not the last one or of another
    /// configuration is wanted at once.
    pub(crate) fn new(parts: PublisherParts) -> Arc<Self> {
        let publisher = Self {
            turn: Turn::default(),
            wanted: Mutex::default(),
            nudge: Notify::new(),
            base: Mutex::default(),
            parts,
        };
        let issuer = &publisher.parts.issuer;
        let newest = publisher.parts.publication.revocations.newest(issuer);
        let stale: Vec<_> = publisher
            .kinds()
            .into_iter()
            .filter(|kind| {
                let kept = publisher.parts.publication.board.get(issuer, *kind);
                let is_current = |crl: &Crl| {
                    crl.is_last && crl.through >= newest && publisher.names_its_places(*kind, crl)
                };
                // Deltas need a base first.
                *kind != CrlKind::Delta && !kept.is_some_and(|crl| is_current(&crl))
            })
            .collect();
        let responder = &publisher.parts.publication.responder;
        if !stale.is_empty() {
            publisher.want(stale, Duration::ZERO);
        } else if publisher.parts.root && !responder.has_rare_answers(issuer) {
            publisher.want([CrlKind::Whole], Duration::ZERO);
        }
        Arc::new(publisher)
    }

    /// Returns the authority.
    pub(crate) fn issuer(&self) -> &IssuerId {
        &self.parts.issuer
    }

    /// Lists the CRLs that this authority has.
    pub(crate) fn kinds(&self) -> BTreeSet<CrlKind> {
        let mut kinds = BTreeSet::from([CrlKind::Whole]);
        if !self.parts.root {
            kinds.extend((0..self.parts.publication.history.largest()).map(CrlKind::Shard));
            kinds.extend(self.parts.config.delta_interval.map(|_| CrlKind::Delta));
        }
        kinds
    }

    /// Lists the CRLs on which a certificate's revocation is to be.
    pub(crate) fn kinds_of(&self, serial: &model::SerialNumber) -> BTreeSet<CrlKind> {
        let mut kinds = BTreeSet::from([CrlKind::Whole]);
        if !self.parts.root {
            let counts = &self.parts.publication.history.shards;
            let shards = counts
                .iter()
                .map(|count| crate::revocations::shard_of(serial, *count));
            kinds.extend(shards.map(CrlKind::Shard));
            kinds.extend(self.parts.config.delta_interval.map(|_| CrlKind::Delta));
        }
        kinds
    }

    /// Wants CRLs before their time; [`Publisher::run`] issues them.
    pub(crate) fn want(&self, kinds: impl IntoIterator<Item = CrlKind>, delay: Duration) {
        self.wanted().add(kinds, delay);
        self.nudge.notify_one();
    }

    /// Issues what is due, and goes on until dropped. What fails is tried again.
    pub(crate) async fn run(&self) {
        let mut failures = 0;
        loop {
            let wait = self.wait();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.nudge.notified() => {}
            }
            let wanted = self.wanted().take_due();
            let due = self.due();
            if wanted.is_empty() && due.is_empty() {
                continue;
            }
            let all: BTreeSet<_> = wanted.union(&due).copied().collect();
            // Deltas add to what came by the clock, not to what a revocation brought.
            let cause = if due.contains(&CrlKind::Whole) {
                Cause::Due
            } else {
                Cause::Wanted
            };
            let began = Instant::now();
            match self.publish(&all, cause).await {
                Ok(()) => {
                    failures = 0;
                    // Large CRLs come less often, whatever is revoked meanwhile.
                    tokio::time::sleep(began.elapsed() * REST).await;
                }
                Err(_) => {
                    failures += 1;
                    let wait = backoff(failures);
                    // Those that were due still are; the others would be forgotten.
                    self.wanted().add(wanted, wait);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Returns how long it is until something is due or wanted.
    pub(crate) fn wait(&self) -> Duration {
        let now = self.parts.clock.now();
        let timer = self.kinds().into_iter().filter_map(|kind| {
            let at = self.due_at(kind)?;
            Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
        });
        let timer = timer.min().unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN);
        self.wanted()
            .wait()
            .map_or(timer, |wanted| wanted.min(timer))
    }

    /// Lists what the clock says is due.
    fn due(&self) -> BTreeSet<CrlKind> {
        let now = self.parts.clock.now();
        self.kinds()
            .into_iter()
            .filter(|kind| self.due_at(*kind).is_some_and(|at| at <= now))
            .collect()
    }

    /// Returns when a CRL is due; none for a delta without a base.
    fn due_at(&self, kind: CrlKind) -> Option<Timestamp> {
        let cycle = Cycle::of(kind, &self.parts.config, self.parts.root)?;
        let board = &self.parts.publication.board;
        match board.get(&self.parts.issuer, kind) {
            Some(crl) => Some(cycle.next(crl.this_update)),
            None if kind == CrlKind::Delta => {
                self.base()
                    .and_then(|_| board.get(&self.parts.issuer, CrlKind::Whole))
                    // Not of the same second: that one would need the same number.
                    .and_then(|base| {
                        base.this_update
                            .checked_add(SignedDuration::from_secs(1))
                            .ok()
                    })
            }
            None => Some(Timestamp::MIN),
        }
    }

    /// Issues CRLs, one after the other; what is there already is left out.
    ///
    /// Waits for whoever issues at this moment; what they covered is not done again.
    ///
    /// # Errors
    ///
    /// What stopped the first one that was not issued; it is logged and counted.
    pub(crate) async fn publish(
        &self,
        kinds: &BTreeSet<CrlKind>,
        cause: Cause,
    ) -> Result<(), CrlError> {
        let _turn = self.turn.lock().await;
        let outcome = self.publish_in_turn(kinds, cause).await;
        if let Err(failure) = &outcome {
            self.parts.metrics.crl_failed(failure.as_str());
            let why = chain(failure);
            let message = "could not issue the CRL, the one before is served on";
            match failure {
                CrlError::Lint(_) | CrlError::TooLong(_) | CrlError::Task(_) => {
                    error!(issuer = %self.parts.issuer, "{message}: {why}");
                }
                _ => warn!(issuer = %self.parts.issuer, "{message}: {why}"),
            }
        }
        outcome
    }

    /// Issues CRLs while nobody else does.
    async fn publish_in_turn(
        &self,
        kinds: &BTreeSet<CrlKind>,
        cause: Cause,
    ) -> Result<(), CrlError> {
        let parts = &self.parts;
        let publication = &parts.publication;
        let now = parts.clock.now();
        parts.clock_guard.check(now, Instant::now())?;
        // CRLs state whole seconds; a part of one would be in the future.
        let this_update = Timestamp::from_second(now.as_second()).map_err(|_| CrlError::Time)?;
        let mut batch = Batch {
            this_update,
            // Before the snapshots: they reflect at least this.
            revision: *publication.revocations.changes().borrow(),
            whole_number: None,
        };
        let is_covered = |kind: &CrlKind| {
            let Cause::Change(revision) = cause else {
                return false;
            };
            let crl = publication.board.get(&parts.issuer, *kind);
            crl.is_some_and(|crl| crl.revision >= revision)
        };
        let base = self.base();
        let mut todo = Vec::new();
        for kind in kinds.iter().filter(|kind| !is_covered(kind)) {
            let Some(cycle) = Cycle::of(*kind, &parts.config, parts.root) else {
                continue;
            };
            if *kind == CrlKind::Delta && base.is_none() {
                continue;
            }
            let (kept, last) = self.kept(*kind, this_update).await?;
            let selection = self.selection(*kind, base);
            let snapshot = publication
                .revocations
                .snapshot(&parts.issuer, &selection, &kept);
            todo.push((*kind, cycle, last, snapshot));
        }
        for (kind, cycle, last, snapshot) in todo {
            let crl = self
                .issue(kind, cycle, &last, snapshot, base, &mut batch)
                .await?;
            if kind == CrlKind::Whole && (cause == Cause::Due || base.is_none()) {
                self.set_base(Base {
                    number: crl.number,
                    through: crl.through,
                });
            }
        }
        self.answer(this_update).await;
        self.purge(this_update).await
    }

    /// Has the root answer OCSP for as long as its CRL counts. What fails is told: the
    /// CRL says the same.
    async fn answer(&self, this_update: Timestamp) {
        let parts = &self.parts;
        let crl = parts.publication.board.get(&parts.issuer, CrlKind::Whole);
        let Some(crl) = crl.filter(|crl| parts.root && crl.this_update == this_update) else {
            return;
        };
        let signer = RareSigner {
            key: &parts.key,
            scheme: parts.scheme,
            facts: &parts.facts,
            timeout: parts.sign_timeout,
        };
        let keep = Keep {
            since: crl.this_update,
            until: crl.next_update,
        };
        let responder = &parts.publication.responder;
        let renewed = responder.renew_rare_answers(&parts.issuer, &signer, keep);
        if let Err(failure) = renewed.await {
            warn!(
                issuer = %parts.issuer,
                "{} has its CRL and no new OCSP answers: {}", parts.issuer, chain(&failure)
            );
        }
    }

    /// Issues one CRL.
    async fn issue(
        &self,
        kind: CrlKind,
        cycle: Cycle,
        last: &LastCrls,
        snapshot: Snapshot,
        base: Option<Base>,
        batch: &mut Batch,
    ) -> Result<Arc<Crl>, CrlError> {
        let began = Instant::now();
        let parts = &self.parts;
        let number = match (kind, batch.whole_number) {
            (CrlKind::Delta, Some(number)) => number,
            _ => last.next_number(batch.this_update, parts.node),
        };
        let next_update = batch
            .this_update
            .checked_add(cycle.validity)
            .map_err(|_| CrlError::Time)?;
        let base = base.filter(|_| kind == CrlKind::Delta);
        let plan = CrlPlan {
            delta_base: base.map(|base| CrlNumber::from(base.number)),
            issuing_point: self.issuing_point(kind),
            freshest: self.freshest(kind),
            expired_certs_on_crl: self.expired_certs(kind, batch.this_update),
            ..CrlPlan::full(CrlNumber::from(number), batch.this_update, next_update)
        };
        let (entries, through) = (snapshot.entries, snapshot.through);

        // Planned and linted: big work, so elsewhere.
        let (facts, now) = (Arc::clone(&parts.facts), parts.clock.now());
        let prepare = move || prepare(&plan, &facts, &snapshot, now);
        let (linted, tbs_sha256) = tokio::task::spawn_blocking(prepare).await??;
        let encoded = Instant::now();

        // On disk before the token signs, and with it the number.
        let record = CrlRecord {
            issuer: parts.issuer.clone(),
            scope: kind.scope(),
            number,
            base: base.map(|base| base.number),
            through,
            entries,
            this_update: batch.this_update,
            next_update,
            tbs_sha256,
            recorded_at: parts.clock.now(),
        };
        parts.store.record_crl(record).await?;
        if kind == CrlKind::Whole {
            batch.whole_number = Some(number);
        }
        let recorded = Instant::now();

        // The keystore verifies what the token returns with the public key.
        let job = match linted.sign_input() {
            CrlSignInput::Digest(digest) => SignJob::digest(parts.scheme, digest)?,
            CrlSignInput::Message(message) => SignJob::message(parts.scheme, message),
        };
        let job = job
            .with_priority(Priority::Revocation)
            .with_timeout(parts.sign_timeout);
        let signature = parts.key.sign(job).await?;
        let signed = Instant::now();

        // Kept before it is served: a CRL that was seen is never forgotten.
        let (issuer, directory) = (parts.issuer.clone(), parts.publication.directory.clone());
        let finish = move || {
            let der = linted.assemble(&signature)?;
            directory
                .keep(&issuer, kind, &der)
                .map_err(|error| CrlError::Kept(Box::new(error)))?;
            let etag = Crl::etag_of(&der);
            Ok::<_, CrlError>((der, etag))
        };
        let (der, etag) = tokio::task::spawn_blocking(finish).await??;
        let crl = Arc::new(Crl {
            number,
            base: base.map(|base| base.number),
            this_update: batch.this_update,
            next_update,
            entries,
            through,
            is_last: true,
            revision: batch.revision,
            der: Bytes::from(der),
            etag,
        });
        let board = &parts.publication.board;
        board.put(&parts.issuer, kind, Arc::clone(&crl));
        let figures = CrlFigures {
            entries,
            took: began.elapsed(),
        };
        parts.metrics.crl_issued(&parts.issuer, kind, figures);
        info!(
            issuer = %parts.issuer,
            crl.kind = %kind,
            crl.number = number,
            crl.entries = entries,
            crl.bytes = crl.der.len(),
            crl.next_update = %next_update,
            duration.encode_ms = ms(encoded - began),
            duration.record_ms = ms(recorded - encoded),
            duration.sign_ms = ms(signed - recorded),
            duration.total_ms = ms(began.elapsed()),
            "issued the {kind} CRL of authority {}", parts.issuer
        );
        Ok(crl)
    }

    /// Returns which expired certificates stay on the next CRL of a kind, and the
    /// last ones recorded.
    async fn kept(
        &self,
        kind: CrlKind,
        this_update: Timestamp,
    ) -> Result<(Kept, LastCrls), CrlError> {
        let parts = &self.parts;
        let last = parts.store.last_crls(&parts.issuer, kind.scope()).await?;
        // The last one that was seen, not the last one recorded.
        let seen = parts.publication.board.get(&parts.issuer, kind);
        let kept = Kept {
            last: seen.map(|crl| (crl.this_update, crl.through)),
            expired_before: self.expired_before(this_update),
        };
        Ok((kept, last))
    }

    /// Drops entries that are on no CRL any more.
    async fn purge(&self, this_update: Timestamp) -> Result<(), CrlError> {
        let parts = &self.parts;
        let mut last: Option<(Timestamp, u64)> = None;
        for kind in self.kinds() {
            if kind == CrlKind::Delta {
                continue;
            }
            let Some(crl) = parts.publication.board.get(&parts.issuer, kind) else {
                return Ok(());
            };
            last = Some(match last {
                None => (crl.this_update, crl.through),
                Some((time, through)) => (time.min(crl.this_update), through.min(crl.through)),
            });
        }
        let kept = Kept {
            last,
            expired_before: self.expired_before(this_update),
        };
        let (publication, issuer) = (Arc::clone(&parts.publication), parts.issuer.clone());
        let purge = move || publication.revocations.purge(&issuer, &kept);
        Ok(tokio::task::spawn_blocking(purge).await?)
    }

    /// Locks what is wanted.
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the full CRL that deltas add to.
    fn base(&self) -> Option<Base> {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets deltas add to another full CRL.
    fn set_base(&self, base: Base) {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = Some(base);
    }
}

/// Milliseconds with a fraction.
fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
