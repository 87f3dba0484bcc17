//! Answers made ahead: those that are missing and those past half their life.
//!
//! A walk goes round the index, a slice at a time. What it finds due is signed
//! behind everything else that waits for the token, with rests in between
//! (`pace`); only an answer in the last quarter of its life is more urgent than
//! issuing. Where the token is too slow for one signature a certificate, one
//! covers several.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hsm_keystore::Priority;
use model::{SerialNumber, Timestamp};
use pki::ocsp::{CertId, CertStatus};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::index::{Batch, ENTRY_BYTES, Entry, Held, Slot};
use super::metrics::Purpose;
use super::pace::{MAKERS, Rest};
use super::signing::{NotSigned, Signing};
use super::standing::Standing;
use super::{IssuerAnswers, NEVER, Responder};
use crate::config::{KeepReady, MAX_BATCH};

/// Entries that are looked at in one go.
const SLICE: usize = 1 << 16;

/// Answers that one go gathers at most.
const GATHERED: usize = 1 << 12;

/// Time between two goes with nothing to do.
const TICK: Duration = Duration::from_secs(1);

/// First wait after the token did not sign.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Longest wait after that.
const LAST_WAIT: Duration = Duration::from_secs(30);

/// Where the walk is, and what it has seen on this round.
#[derive(Debug)]
struct Walk {
    /// Place of the issuer.
    issuer: usize,
    /// The shard that comes next.
    shard: usize,
    /// What the round has seen so far.
    seen: Seen,
}

/// What one round has seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Answers that are ready.
    ready: usize,
    /// Answers that are due.
    due: usize,
    /// Octets.
    bytes: usize,
    /// When the oldest ready answer was made, in seconds since 1970.
    oldest: i64,
    /// When the first ready answer expires.
    first_expiry: i64,
}

impl Seen {
    /// Begins a round.
    const fn nothing() -> Self {
        Self {
            ready: 0,
            due: 0,
            bytes: 0,
            oldest: NEVER,
            first_expiry: NEVER,
        }
    }
}

/// An answer that is due.
#[derive(Debug)]
struct Due {
    /// The certificate's number.
    serial: SerialNumber,
    /// Which answer.
    slot: Slot,
    /// The version of its entry.
    version: u32,
    /// Whether the one there is in the last quarter of its life.
    is_urgent: bool,
}

/// How due an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dueness {
    /// It is young enough.
    NotYet,
    /// It is missing or past half its life.
    Due,
    /// It is in the last quarter of its life.
    Urgent,
}

/// Tells how due an answer is.
fn dueness(held: &Held, is_wanted: bool, now: Timestamp) -> Dueness {
    let Some((since, until)) = held.times() else {
        return if is_wanted {
            Dueness::Due
        } else {
            Dueness::NotYet
        };
    };
    let life = until.duration_since(since);
    let left = until.duration_since(now);
    if left <= life / 4 {
        Dueness::Urgent
    } else if left <= life / 2 || held.is_superseded() {
        Dueness::Due
    } else {
        Dueness::NotYet
    }
}

impl Responder {
    /// Keeps answers ready, for as long as it is polled.
    pub(super) async fn keep_ready(
        self: &Arc<Self>,
        is_issuing: &(dyn Fn() -> bool + Send + Sync),
    ) {
        let mut walk = Walk {
            issuer: 0,
            shard: 0,
            seen: Seen::nothing(),
        };
        let mut wait = FIRST_WAIT;
        let mut is_failing = false;
        loop {
            let place = walk.issuer;
            let due = self.gather(&mut walk);
            let Some(issuer) = self.issuers.get(place) else {
                sleep(TICK).await;
                continue;
            };
            if due.is_empty() {
                sleep(TICK).await;
                continue;
            }
            match self.make(issuer, due, is_issuing).await {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        info!(issuer = %issuer.id, "OCSP answers are made ahead again");
                    }
                    wait = FIRST_WAIT;
                }
                Err(failure) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        self.report(issuer, &failure);
                    }
                    sleep(wait).await;
                    wait = (wait * 2).min(LAST_WAIT);
                }
            }
        }
    }

    /// Tells once that answers are not made, and how long those there go on.
    fn report(&self, issuer: &IssuerAnswers, failure: &NotSigned) {
        let why = crate::refusal::chain(failure);
        let until = self.next_expiry().map_or_else(
            || "none is ready".to_owned(),
            |at| format!("the first ends at {at}"),
        );
        if failure.is_transient() {
            warn!(
                issuer = %issuer.id,
                "OCSP answers cannot be made ahead now, those that are ready go on ({until}): {why}"
            );
        } else {
            error!(
                issuer = %issuer.id,
                "OCSP answers cannot be made ahead, those that are ready go on ({until}): {why}"
            );
        }
    }

    /// Looks at the next slice of the index: removes what is past, and gathers
    /// what is due.
    fn gather(&self, walk: &mut Walk) -> Vec<Due> {
        let now = self.now();
        let mut due = Vec::new();
        let mut looked_at = 0;
        let Some(issuer) = self.issuers.get(walk.issuer) else {
            *walk = self.begin_round(walk);
            return due;
        };
        let end = now
            .checked_sub(self.config.archive)
            .unwrap_or(Timestamp::MIN);
        while looked_at < SLICE && due.len() < GATHERED {
            if walk.shard == issuer.index.shards() {
                *walk = self.begin_round(walk);
                break;
            }
            issuer.index.expire(walk.shard, end);
            walk.seen.bytes += issuer.index.shard_bytes(walk.shard);
            issuer.index.scan(walk.shard, |entry| {
                looked_at += 1;
                self.look_at(entry, now, &mut walk.seen, &mut due);
            });
            walk.shard += 1;
        }
        due
    }

    /// Looks at one certificate.
    fn look_at(&self, entry: &Entry, now: Timestamp, seen: &mut Seen, due: &mut Vec<Due>) {
        for slot in Slot::ALL {
            let held = entry.held(slot);
            if let Some((since, until)) = held.times()
                && now < until
            {
                seen.ready += 1;
                seen.oldest = seen.oldest.min(since.as_second());
                seen.first_expiry = seen.first_expiry.min(until.as_second());
                if let Held::Batched { batch, .. } = held {
                    // Each of its certificates counts its part.
                    seen.bytes += batch.bytes_each;
                }
            }
            if entry.not_after() < now {
                continue;
            }
            let is_wanted = self.config.ready == KeepReady::All
                && self.config.ready_hashes.contains(&slot.hash());
            let dueness = dueness(held, is_wanted, now);
            if dueness != Dueness::NotYet {
                seen.due += 1;
                due.push(Due {
                    serial: entry.serial.clone(),
                    slot,
                    version: entry.version(),
                    is_urgent: dueness == Dueness::Urgent,
                });
            }
        }
    }

    /// Goes on to the next issuer, and after the last one tells what was seen.
    fn begin_round(&self, walk: &Walk) -> Walk {
        let next = walk.issuer + 1;
        if next < self.issuers.len() {
            return Walk {
                issuer: next,
                shard: 0,
                seen: walk.seen,
            };
        }
        let seen = walk.seen;
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let metrics = &self.metrics;
        let certificates = self.issuers.iter().map(|issuer| issuer.index.len()).sum();
        metrics.certificates.set(gauge(certificates));
        metrics.ready.set(gauge(seen.ready));
        metrics.due.set(gauge(seen.due));
        metrics.bytes.set(gauge(seen.bytes));
        let is_any = seen.first_expiry != NEVER;
        let age = self.now().as_second().saturating_sub(seen.oldest);
        metrics.oldest_seconds.set(if is_any { age } else { 0 });
        metrics
            .next_expiry
            .set(if is_any { seen.first_expiry } else { 0 });
        self.horizon.store(seen.first_expiry, Ordering::Relaxed);
        Walk {
            issuer: 0,
            shard: 0,
            seen: Seen::nothing(),
        }
    }

    /// Makes what is due, several signatures under way; ends with the first that
    /// fails.
    async fn make(
        &self,
        issuer: &IssuerAnswers,
        due: Vec<Due>,
        is_issuing: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<(), NotSigned> {
        let signing = self.signing_now(issuer, self.now())?;
        let size = self.batch_size();
        self.metrics
            .batch
            .set(i64::try_from(size).unwrap_or(i64::MAX));
        let under_way = MAKERS.min(due.len().div_ceil(size));
        let queue = Mutex::new(due.into_iter());
        let take = || -> Vec<Due> {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.by_ref().take(size).collect()
        };
        let maker = || async {
            let mut rest = Rest::default();
            loop {
                let chunk = take();
                if chunk.is_empty() {
                    return Ok(());
                }
                let is_urgent = chunk.iter().any(|due| due.is_urgent);
                let Some(took) = self.make_some(issuer, &signing, chunk, is_urgent).await? else {
                    continue;
                };
                self.pace.measured(took, under_way);
                if is_urgent {
                    continue;
                }
                if let Some(pause) = rest.after(took, self.config.token_share, is_issuing()) {
                    sleep(pause).await;
                }
            }
        };
        let makers = (0..under_way).map(|_| maker());
        let outcomes: Vec<Result<(), NotSigned>> = join_all(makers).await;
        outcomes.into_iter().collect()
    }

    /// Chooses how many certificates one signature covers.
    fn batch_size(&self) -> usize {
        if let Some(size) = self.config.batch {
            return size.get();
        }
        let certificates: usize = self.issuers.iter().map(|issuer| issuer.index.len()).sum();
        let answers = match self.config.ready {
            KeepReady::All => certificates * self.config.ready_hashes.len(),
            KeepReady::Queried => certificates,
        };
        // Within the third quarter of their life.
        let time = Duration::try_from(self.config.validity / 4).unwrap_or(Duration::ZERO);
        self.pace
            .batch(answers, time, self.config.token_share, MAX_BATCH)
    }

    /// Makes answers under one signature; returns how long that took, none if
    /// nothing was left to sign.
    async fn make_some(
        &self,
        issuer: &IssuerAnswers,
        signing: &Signing,
        due: Vec<Due>,
        is_urgent: bool,
    ) -> Result<Option<Duration>, NotSigned> {
        let now = self.now();
        let mut cert_ids = Vec::with_capacity(due.len());
        for due in &due {
            let Ok(standing) = self.standing(issuer, &due.serial, now).await else {
                // The store's trouble is told by those who need it.
                continue;
            };
            // Changed or expired since it was gathered: the next round's.
            if let Standing::Current { version, status } = standing
                && version == Some(due.version)
            {
                let id = issuer.hashes.cert_id_der(due.slot.hash(), &due.serial);
                cert_ids.push((due, standing, status, id));
            }
        }
        let answers: Vec<_> = cert_ids
            .iter()
            .filter_map(|(_, standing, _, der)| {
                let id = CertId::from_der(der).ok()?;
                Some(self.plan(id, *standing, signing, now))
            })
            .collect();
        let Some(until) = answers.iter().map(|answer| answer.next_update).min() else {
            return Ok(None);
        };
        let priority = if is_urgent {
            Priority::Interactive
        } else {
            Priority::Bulk
        };
        let errand = self.errand(Purpose::Ahead, priority);
        let began = Instant::now();
        let (response, _) = self.sign(signing, &answers, None, errand, now).await?;
        let took = began.elapsed();
        let signatory = signing.signatory.id;
        if let [(due, ..)] = cert_ids.as_slice()
            && let Some(answer) = response.compact(&signing.signatory.responder, &issuer.hashes)
        {
            let held = Held::Own { answer, signatory };
            issuer.index.fill(&due.serial, due.version, due.slot, held);
        } else {
            let batch = Arc::new(Batch {
                bytes_each: (response.size() + ENTRY_BYTES / 8) / cert_ids.len().max(1),
                response,
                signatory,
                this_update: now,
                next_update: until,
                superseded: AtomicBool::new(false),
            });
            for (due, _, status, _) in &cert_ids {
                let held = Held::Batched {
                    batch: Arc::clone(&batch),
                    revoked: matches!(status, CertStatus::Revoked { .. }),
                };
                issuer.index.fill(&due.serial, due.version, due.slot, held);
            }
        }
        self.expires(until);
        Ok(Some(took))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn nothing_is_due_only_where_it_is_wanted() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        assert_eq!(dueness(&Held::Nothing, true, now), Dueness::Due);
        assert_eq!(dueness(&Held::Nothing, false, now), Dueness::NotYet);
    }
}
