//! What no longer counts, in memory: for OCSP, for the CRLs and for every request.
//!
//! Loaded from the store at the start and changed right after each durable
//! record, before anyone is told of it. The journal stays the truth: what is
//! here can be lost and loaded anew at any time.

mod entries;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use model::{IssuerId, RevocationReason, SerialNumber, Timestamp};
use store::{RevocationStore, Revoked};
use tokio::sync::watch;
use tracing::error;

pub(crate) use entries::{Kept, Selection, Snapshot, shard_of};

use entries::{Entries, NewEntry};

/// Why and since when a certificate does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Since when, to the second.
    pub revoked_at: Timestamp,
    /// Why; holds included.
    pub reason: RevocationReason,
    /// Since when its key is known or suspected to be compromised.
    pub invalidity_date: Option<Timestamp>,
}

/// Every revoked certificate of every authority, and every blocked key.
#[derive(Debug)]
pub struct Revocations {
    /// By authority; there are two or three.
    issuers: Vec<(IssuerId, OfIssuer)>,
    /// SHA-256 of each SubjectPublicKeyInfo that is never certified again.
    blocked: RwLock<HashSet<[u8; 32]>>,
    /// Acts under way: for each the journal's end when it began, and how many.
    under_way: Mutex<BTreeMap<u64, usize>>,
    /// Counts changes and wakes those who wait for one.
    changes: watch::Sender<u64>,
}

/// What one authority revoked.
#[derive(Debug)]
struct OfIssuer {
    /// By serial number.
    rows: RwLock<HashMap<SerialNumber, Row>>,
    /// The same as entries of CRLs.
    entries: Mutex<Entries>,
}

/// A revocation in compact form.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// The act that made it so: of two the larger one counts.
    sequence: u64,
    /// Seconds since 1970.
    revoked_at: i64,
    /// Seconds since 1970; `NO_DATE` for none.
    invalidity_date: i64,
    /// Why; `RemoveFromCrl` stands for a certificate that counts again.
    reason: RevocationReason,
}

/// An invalidity date that was not given.
const NO_DATE: i64 = i64::MIN;

/// Records asked of the store at a time.
const LOADED_AT_ONCE: usize = 16 * 1024;

/// Blocked keys asked of the store at a time.
const KEYS_AT_ONCE: usize = 1_000;

impl Row {
    /// Takes what the store says.
    fn new(revoked: &Revoked) -> Self {
        Self {
            sequence: revoked.sequence,
            revoked_at: revoked.revoked_at.as_second(),
            invalidity_date: revoked
                .invalidity_date
                .map_or(NO_DATE, Timestamp::as_second),
            reason: revoked.reason,
        }
    }

    /// Tells what counts now; none for a certificate that counts again.
    fn revocation(&self) -> Option<Revocation> {
        if self.reason == RevocationReason::RemoveFromCrl {
            return None;
        }
        let moment = |second| Timestamp::from_second(second).ok();
        Some(Revocation {
            // Both came from timestamps.
            revoked_at: moment(self.revoked_at).unwrap_or(Timestamp::UNIX_EPOCH),
            reason: self.reason,
            invalidity_date: moment(self.invalidity_date),
        })
    }
}

impl Revocations {
    /// Begins with nothing revoked; `partitions` is the number of CRL shards, or
    /// 1 without.
    pub(crate) fn empty(issuers: impl IntoIterator<Item = IssuerId>, partitions: u32) -> Self {
        let issuers = issuers.into_iter().map(|issuer| {
            let empty = OfIssuer {
                rows: RwLock::default(),
                entries: Mutex::new(Entries::new(partitions)),
            };
            (issuer, empty)
        });
        Self {
            issuers: issuers.collect(),
            blocked: RwLock::default(),
            under_way: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Loads everything that the store knows of the authorities.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub(crate) async fn load(
        store: &dyn RevocationStore,
        issuers: impl IntoIterator<Item = IssuerId>,
        partitions: u32,
    ) -> Result<Arc<Self>, store::Error> {
        let loaded = Self::empty(issuers, partitions);
        for (issuer, of_issuer) in &loaded.issuers {
            let mut after = None;
            loop {
                let batch = store
                    .revocations(issuer, after.as_ref(), LOADED_AT_ONCE)
                    .await?;
                let Some(last) = batch.last() else { break };
                after = Some(last.serial.clone());
                of_issuer.apply(&batch);
            }
        }
        let mut after = None;
        loop {
            let batch = store.blocked_keys(after.as_ref(), KEYS_AT_ONCE).await?;
            let Some(last) = batch.last() else { break };
            after = Some(last.public_key_sha256);
            for key in &batch {
                loaded.block(key.public_key_sha256);
            }
        }
        Ok(Arc::new(loaded))
    }

    /// Finds why a certificate does not count; none where it was not revoked, was
    /// released from hold, or is not known.
    #[must_use]
    pub fn lookup(&self, issuer: &IssuerId, serial: &SerialNumber) -> Option<Revocation> {
        let of_issuer = self.of(issuer)?;
        let rows = of_issuer
            .rows
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        rows.get(serial)?.revocation()
    }

    /// Tells whether a key is never certified again.
    #[must_use]
    pub fn is_blocked(&self, public_key_sha256: &[u8; 32]) -> bool {
        let blocked = self.blocked.read().unwrap_or_else(PoisonError::into_inner);
        blocked.contains(public_key_sha256)
    }

    /// Counts an authority's serial numbers that were ever revoked.
    #[must_use]
    pub fn len(&self, issuer: &IssuerId) -> usize {
        self.of(issuer).map_or(0, |of_issuer| {
            let rows = of_issuer
                .rows
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            rows.len()
        })
    }

    /// Returns the last act about an authority's certificates; 0 before the first.
    pub(crate) fn newest(&self, issuer: &IssuerId) -> u64 {
        self.of(issuer)
            .map_or(0, |of_issuer| of_issuer.entries().newest())
    }

    /// Wakes at every change; the value counts them.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes what is durable now, of one authority; returns the count of changes
    /// with this one.
    pub(crate) fn apply(&self, issuer: &IssuerId, revoked: &[Revoked]) -> u64 {
        let mut changes = 0;
        if let Some(of_issuer) = self.of(issuer) {
            of_issuer.apply(revoked);
            self.changes.send_modify(|count| {
                *count += 1;
                changes = *count;
            });
        }
        changes
    }

    /// Never lets a key be certified again.
    pub(crate) fn block(&self, public_key_sha256: [u8; 32]) {
        let mut blocked = self.blocked.write().unwrap_or_else(PoisonError::into_inner);
        blocked.insert(public_key_sha256);
    }

    /// Notes that an act begins whose record will lie behind `journal_end`.
    pub(crate) fn begin(self: &Arc<Self>, journal_end: u64) -> UnderWay {
        *self.under_way().entry(journal_end).or_default() += 1;
        UnderWay {
            revocations: Arc::clone(self),
            journal_end,
        }
    }

    /// Takes what goes on a CRL now, and up to which act it is complete.
    pub(crate) fn snapshot(
        &self,
        issuer: &IssuerId,
        selection: &Selection,
        kept: &Kept,
    ) -> Snapshot {
        let Some(of_issuer) = self.of(issuer) else {
            return Snapshot::default();
        };
        // No act ends or begins between these two; of those that end before the
        // snapshot it has more than it promises.
        let through = {
            let under_way = self.under_way();
            let newest = of_issuer.entries().newest();
            let begun = under_way.keys().next().copied();
            begun.map_or(newest, |begun| newest.min(begun.saturating_sub(1)))
        };
        let mut snapshot = of_issuer.entries().snapshot(selection, kept);
        snapshot.through = through;
        snapshot
    }

    /// Drops the entries of an authority that no CRL carries any more.
    pub(crate) fn purge(&self, issuer: &IssuerId, kept: &Kept) {
        if let Some(of_issuer) = self.of(issuer) {
            of_issuer.entries().purge(kept);
        }
    }

    /// Finds what one authority revoked.
    fn of(&self, issuer: &IssuerId) -> Option<&OfIssuer> {
        self.issuers
            .iter()
            .find_map(|(id, of_issuer)| (id == issuer).then_some(of_issuer))
    }

    /// Locks the acts under way.
    fn under_way(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfIssuer {
    /// Locks the entries.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Every step leaves the entries whole, so poison means nothing.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes records; older ones than those known are left out.
    fn apply(&self, revoked: &[Revoked]) {
        // Entries under the rows' lock: both change in the same order.
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.entries();
        for record in revoked {
            let row = Row::new(record);
            let before = rows.get(&record.serial).copied();
            if before.is_some_and(|before| before.sequence >= row.sequence) {
                continue;
            }
            rows.insert(record.serial.clone(), row);
            let entry = NewEntry {
                serial: &record.serial,
                sequence: record.sequence,
                not_after: record.not_after,
                revoked_at: record.revoked_at,
                reason: record.reason,
                invalidity_date: record.invalidity_date,
                before: before.map(|before| before.sequence),
            };
            if let Err(source) = entries.add(&entry) {
                // The CA accepts no such dates; an edited journal could hold them.
                error!(
                    cert.serial = %record.serial,
                    "serial {} is revoked and cannot be on any CRL, for its dates cannot be \
                     encoded: {source}",
                    record.serial
                );
            }
        }
    }
}

/// An act that is being recorded; dropped once memory has what came of it.
#[derive(Debug)]
pub(crate) struct UnderWay {
    /// Where it is noted.
    revocations: Arc<Revocations>,
    /// The journal's end when it began.
    journal_end: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut under_way = self.revocations.under_way();
        if let Some(count) = under_way.get_mut(&self.journal_end) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.journal_end);
            }
        }
    }
}

#[cfg(test)]
mod tests;
