//! The ready answers of one issuer, by serial number.
//!
//! Made for a million certificates: entries lie side by side in shards that grow
//! by an eighth, and a hash table beside them holds their places. One entry with
//! two answers signed by P-256 takes [`ENTRY_BYTES`] and about 10 for its place.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;
use model::{SerialNumber, Timestamp};
use pki::ocsp::{CertIdHash, ReadyAnswer, SignedResponse};

/// Certificates and what is ready to be answered about them.
#[derive(Debug)]
pub(crate) struct Index {
    /// The entries, spread by hash.
    shards: Box<[RwLock<Shard>]>,
    /// Hashes serial numbers; keyed, since strangers choose what is looked up.
    hasher: RandomState,
    /// Entries in all shards.
    len: AtomicUsize,
    /// Most of them.
    limit: usize,
}

/// A part of the index with a lock of its own.
#[derive(Debug, Default)]
struct Shard {
    /// Places in `entries`.
    table: HashTable<u32>,
    /// The entries, in no order.
    entries: Vec<Entry>,
}

/// One certificate.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its number.
    pub(crate) serial: SerialNumber,
    /// Last second of its validity, since 1970.
    not_after: i64,
    /// Counts the changes of its status: an answer made before one is not taken.
    version: u32,
    /// What is ready, by [`Slot`].
    held: [Held; Slot::ALL.len()],
}

/// Octets of one entry with all its answers, signed by P-256.
pub(crate) const ENTRY_BYTES: usize = size_of::<Entry>();

/// Which of a certificate's answers: the hash that its CertID is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Slot {
    /// Every slot, in order.
    pub(crate) const ALL: [Self; 2] = [Self::Sha1, Self::Sha256];

    /// Finds the slot of a hash; others are never kept ready.
    pub(crate) fn of(hash: CertIdHash) -> Option<Self> {
        match hash {
            CertIdHash::Sha1 => Some(Self::Sha1),
            CertIdHash::Sha256 => Some(Self::Sha256),
            CertIdHash::Sha384 | CertIdHash::Sha512 => None,
        }
    }

    /// Returns its hash.
    pub(crate) fn hash(self) -> CertIdHash {
        match self {
            Self::Sha1 => CertIdHash::Sha1,
            Self::Sha256 => CertIdHash::Sha256,
        }
    }
}

/// What is ready in one slot.
#[derive(Debug, Clone, Default)]
pub(crate) enum Held {
    /// Nothing.
    #[default]
    Nothing,
    /// An answer with a signature of its own.
    Own {
        /// The answer, without what all have in common.
        answer: ReadyAnswer,
        /// Who signed it.
        signatory: u16,
    },
    /// An answer among others under one signature.
    Batched {
        /// All of them.
        batch: Arc<Batch>,
        /// What it says about this certificate.
        revoked: bool,
    },
}

/// Answers of several certificates under one signature.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The response.
    pub(crate) response: SignedResponse,
    /// Who signed it.
    pub(crate) signatory: u16,
    /// When it was made.
    pub(crate) this_update: Timestamp,
    /// Until when it is good.
    pub(crate) next_update: Timestamp,
    /// Octets that it takes for each of its certificates.
    pub(crate) bytes_each: usize,
    /// One of its certificates was revoked since: the others' answers are made
    /// anew before all that are merely old.
    pub(crate) superseded: AtomicBool,
}

impl Held {
    /// Returns from when to when it is good; none for nothing.
    pub(crate) fn times(&self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Nothing => None,
            Self::Own { answer, .. } => Some((answer.this_update(), answer.next_update())),
            Self::Batched { batch, .. } => Some((batch.this_update, batch.next_update)),
        }
    }

    /// Tells whether it can be given out.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.times().is_some_and(|(_, until)| now < until)
    }

    /// Tells whether one of its batch was revoked since.
    pub(crate) fn is_superseded(&self) -> bool {
        match self {
            Self::Batched { batch, .. } => batch.superseded.load(Ordering::Relaxed),
            Self::Nothing | Self::Own { .. } => false,
        }
    }
}

impl Entry {
    /// Returns what is ready in a slot.
    pub(crate) fn held(&self, slot: Slot) -> &Held {
        let [sha1, sha256] = &self.held;
        match slot {
            Slot::Sha1 => sha1,
            Slot::Sha256 => sha256,
        }
    }

    /// Returns a slot to put something in.
    fn held_mut(&mut self, slot: Slot) -> &mut Held {
        let [sha1, sha256] = &mut self.held;
        match slot {
            Slot::Sha1 => sha1,
            Slot::Sha256 => sha256,
        }
    }

    /// Returns the end of the certificate's validity.
    pub(crate) fn not_after(&self) -> Timestamp {
        // It came from a timestamp.
        Timestamp::from_second(self.not_after).unwrap_or(Timestamp::MAX)
    }

    /// Returns how often its status has changed.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }
}

/// Shards of an index: so many that a scan of one takes little of a reader's time.
const SHARDS: usize = 256;

impl Index {
    /// Begins with nothing, to hold at most `limit` certificates.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            limit,
        }
    }

    /// Counts the certificates.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Counts the shards.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Finds a certificate and reads from its entry.
    pub(crate) fn read<T>(
        &self,
        serial: &SerialNumber,
        read: impl FnOnce(&Entry) -> T,
    ) -> Option<T> {
        let hash = self.hasher.hash_one(serial);
        let shard = self.shard(hash);
        shard.find(hash, serial).map(read)
    }

    /// Adds a certificate; tells whether it is there, which it is not past the
    /// limit.
    pub(crate) fn insert(&self, serial: &SerialNumber, not_after: Timestamp) -> bool {
        let hash = self.hasher.hash_one(serial);
        let mut shard = self.shard_mut(hash);
        if shard.find(hash, serial).is_some() {
            return true;
        }
        // A little more than the limit when several add at once does no harm.
        if self.len() >= self.limit {
            return false;
        }
        let Shard { table, entries } = &mut *shard;
        let Ok(place) = u32::try_from(entries.len()) else {
            return false;
        };
        if entries.len() == entries.capacity() {
            // Doubling would leave half of a large index empty.
            entries.reserve_exact(entries.len() / 8 + 8);
        }
        entries.push(Entry {
            serial: serial.clone(),
            not_after: not_after.as_second(),
            version: 0,
            held: Default::default(),
        });
        table.insert_unique(hash, place, |place| hash_at(&self.hasher, entries, *place));
        self.len.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Holds an answer ready, unless the certificate's status has changed since
    /// its entry had this version; tells whether it was taken.
    pub(crate) fn fill(
        &self,
        serial: &SerialNumber,
        version: u32,
        slot: Slot,
        answer: Held,
    ) -> bool {
        let hash = self.hasher.hash_one(serial);
        let mut shard = self.shard_mut(hash);
        match shard.find_mut(hash, serial) {
            Some(entry) if entry.version == version => {
                *entry.held_mut(slot) = answer;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Drops what is ready about a certificate whose status has changed, and
    /// everything that is being made; returns its version from now on, and which
    /// slots held an answer.
    pub(crate) fn supersede(
        &self,
        serial: &SerialNumber,
    ) -> Option<(u32, [bool; Slot::ALL.len()])> {
        let hash = self.hasher.hash_one(serial);
        let mut shard = self.shard_mut(hash);
        let entry = shard.find_mut(hash, serial)?;
        entry.version = entry.version.wrapping_add(1);
        let dropped = std::mem::take(&mut entry.held);
        let version = entry.version;
        drop(shard);
        let held = dropped.map(|held| match held {
            Held::Nothing => false,
            Held::Own { .. } => true,
            Held::Batched { batch, .. } => {
                batch.superseded.store(true, Ordering::Relaxed);
                true
            }
        });
        Some((version, held))
    }

    /// Reads every entry of a shard.
    pub(crate) fn scan(&self, shard: usize, mut read: impl FnMut(&Entry)) {
        if let Some(shard) = self.shards.get(shard) {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.entries.iter().for_each(&mut read);
        }
    }

    /// Removes from a shard what expired before `end`; returns how many.
    pub(crate) fn expire(&self, shard: usize, end: Timestamp) -> usize {
        let Some(shard) = self.shards.get(shard) else {
            return 0;
        };
        let end = end.as_second();
        let has_expired = {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.entries.iter().any(|entry| entry.not_after < end)
        };
        if !has_expired {
            return 0;
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let Shard { table, entries } = &mut *shard;
        let before = entries.len();
        entries.retain(|entry| entry.not_after >= end);
        // Everyone's place has changed.
        table.clear();
        for (place, entry) in (0u32..).zip(entries.iter()) {
            let hash = self.hasher.hash_one(&entry.serial);
            table.insert_unique(hash, place, |place| hash_at(&self.hasher, entries, *place));
        }
        entries.shrink_to(entries.len() + entries.len() / 8 + 8);
        let removed = before - entries.len();
        self.len.fetch_sub(removed, Ordering::Relaxed);
        removed
    }

    /// Counts the octets that a shard takes: its entries and their places. What
    /// its answers keep elsewhere comes besides.
    pub(crate) fn shard_bytes(&self, shard: usize) -> usize {
        let Some(shard) = self.shards.get(shard) else {
            return 0;
        };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.entries.capacity() * ENTRY_BYTES + shard.table.allocation_size()
    }

    /// Locks the shard of a hash for reading.
    fn shard(&self, hash: u64) -> RwLockReadGuard<'_, Shard> {
        // Every step leaves a shard whole, so poison means nothing.
        self.shards[Self::place(hash)]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the shard of a hash for writing.
    fn shard_mut(&self, hash: u64) -> RwLockWriteGuard<'_, Shard> {
        self.shards[Self::place(hash)]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses a shard by bits that its table uses least.
    fn place(hash: u64) -> usize {
        (hash >> 32) as usize % SHARDS
    }
}

impl Shard {
    /// Finds a certificate.
    fn find(&self, hash: u64, serial: &SerialNumber) -> Option<&Entry> {
        let entries = &self.entries;
        let place = self.table.find(hash, |place| {
            entry_at(entries, *place).is_some_and(|entry| entry.serial == *serial)
        })?;
        entry_at(entries, *place)
    }

    /// Finds a certificate to change.
    fn find_mut(&mut self, hash: u64, serial: &SerialNumber) -> Option<&mut Entry> {
        let Self { table, entries } = self;
        let place = table.find(hash, |place| {
            entry_at(entries, *place).is_some_and(|entry| entry.serial == *serial)
        })?;
        entries.get_mut(*place as usize)
    }
}

/// Returns the entry at a place.
fn entry_at(entries: &[Entry], place: u32) -> Option<&Entry> {
    entries.get(place as usize)
}

/// Hashes the serial number at a place anew, when a table grows.
fn hash_at(hasher: &RandomState, entries: &[Entry], place: u32) -> u64 {
    entry_at(entries, place).map_or(0, |entry| hasher.hash_one(&entry.serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The serial number of so many.
    fn serial(number: u32) -> SerialNumber {
        SerialNumber::from_unsigned(&(u64::from(number) + 1).to_be_bytes()).unwrap()
    }

    /// A moment.
    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_was_added_is_found_until_it_expires() {
        let index = Index::new(100_000);
        for number in 0..10_000 {
            assert!(index.insert(&serial(number), at(i64::from(number))));
        }
        assert_eq!(index.len(), 10_000);
        let removed: usize = (0..index.shards())
            .map(|shard| index.expire(shard, at(5_000)))
            .sum();
        assert_eq!((removed, index.len()), (5_000, 5_000));
        for number in 0..10_000 {
            let found = index.read(&serial(number), Entry::not_after);
            let expected = (number >= 5_000).then(|| at(i64::from(number)));
            assert_eq!(found, expected, "{number}");
        }
    }

    #[test]
    fn past_the_limit_nothing_is_added() {
        let index = Index::new(2);
        assert!(index.insert(&serial(1), at(9)));
        assert!(index.insert(&serial(2), at(9)));
        assert!(!index.insert(&serial(3), at(9)));
        assert!(index.insert(&serial(1), at(9)), "it is there already");
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_taken() {
        let index = Index::new(10);
        index.insert(&serial(1), at(9));
        let version = index.read(&serial(1), Entry::version).unwrap();
        assert_eq!(
            index.supersede(&serial(1)),
            Some((version + 1, [false, false]))
        );
        assert!(!index.fill(&serial(1), version, Slot::Sha1, Held::Nothing));
        assert!(index.fill(&serial(1), version + 1, Slot::Sha1, Held::Nothing));
        assert_eq!(index.supersede(&serial(2)), None);
    }
}
