//! Entries of CRLs, kept encoded, so that a CRL costs one copy of them.
//!
//! Entries lie joined in segments. A segment never changes once it is shared, so
//! that a CRL is made of it without a lock; what is added goes to the tail, and
//! tails are joined as they grow, like the levels of a log-structured tree.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use model::{RevocationReason, SerialNumber, Timestamp};
use pki::crl::{self, InvalidEntry};

/// The encoded entries of one authority, by the shard of their serial numbers.
#[derive(Debug)]
pub(super) struct Entries {
    /// One for each shard; a single one without.
    partitions: Vec<Partition>,
    /// Certificates released from hold.
    released: Vec<Released>,
    /// Acts whose entries were replaced by later ones, not taken out yet.
    dead: HashSet<u64>,
    /// The last act that is in here.
    newest: u64,
}

/// The entries of one shard.
#[derive(Debug, Default)]
struct Partition {
    /// Those that are shared, each at least twice as long as the next.
    segments: Vec<Arc<Segment>>,
    /// Those added since.
    tail: Segment,
}

/// A certificate that counts again.
#[derive(Debug)]
struct Released {
    /// The act.
    sequence: u64,
    /// The certificate.
    serial: SerialNumber,
    /// Since when.
    at: Timestamp,
}

/// Entries one behind the other.
#[derive(Debug, Default)]
struct Segment {
    /// Their DER.
    der: Vec<u8>,
    /// Where each ends, and what decides about it.
    marks: Vec<Mark>,
}

/// What is known of one encoded entry.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// The act that made it.
    sequence: u64,
    /// Where it ends in its segment.
    end: u32,
    /// End of the certificate's validity in seconds since 1970, saturated;
    /// `u32::MAX` where it is not known.
    not_after: u32,
    /// What decides about its shard.
    residue: u32,
}

/// A record to be added.
pub(super) struct NewEntry<'a> {
    /// The certificate.
    pub(super) serial: &'a SerialNumber,
    /// The act.
    pub(super) sequence: u64,
    /// End of the certificate's validity, where it is known.
    pub(super) not_after: Option<Timestamp>,
    /// Since when it is so.
    pub(super) revoked_at: Timestamp,
    /// Why; `RemoveFromCrl` where it was released from hold.
    pub(super) reason: RevocationReason,
    /// Since when its key is known or suspected to be compromised.
    pub(super) invalidity_date: Option<Timestamp>,
    /// The act whose place it takes.
    pub(super) before: Option<u64>,
}

/// Which entries a CRL has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of them.
    Whole,
    /// Those of one shard: by the count of shards now, and by the counts that
    /// there were when older certificates named their shard.
    Shard {
        /// The shard.
        shard: u32,
        /// How many shards there are and were; the first one is the present count.
        counts: Vec<u32>,
    },
    /// What changed behind an act.
    Since {
        /// The last act that the base reflects.
        through: u64,
    },
}

/// Which expired certificates stay on a CRL.
///
/// RFC 5280, 3.3: an entry stays until it was on one CRL issued after the
/// certificate's validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// The CRL before: its thisUpdate and the last act it reflects.
    pub(crate) last: Option<(Timestamp, u64)>,
    /// Expired before this, a certificate need not stay; none: all stay.
    pub(crate) expired_before: Option<Timestamp>,
}

/// The entries of one CRL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Where they lie.
    runs: Vec<(Arc<Segment>, Range<usize>)>,
    /// How many they are.
    pub(crate) entries: u64,
    /// The last act that they reflect, and with it every one before.
    pub(crate) through: u64,
}

impl Snapshot {
    /// Iterates over joined entries.
    pub(crate) fn der(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.runs
            .iter()
            .filter_map(|(segment, range)| segment.der.get(range.clone()))
    }
}

/// Returns what decides about a certificate's shard: of our own serial numbers,
/// random bits.
pub(crate) fn shard_of(serial: &SerialNumber, shards: u32) -> u32 {
    residue(serial) % shards.max(1)
}

/// Takes the last four octets of a serial number.
fn residue(serial: &SerialNumber) -> u32 {
    serial
        .as_der_content()
        .iter()
        .fold(0_u32, |value, octet| value << 8 | u32::from(*octet))
}

impl Mark {
    /// Tells whether the entry is on the next CRL.
    fn stays(&self, kept: &Bounds) -> bool {
        self.not_after >= kept.not_after || self.sequence > kept.sequence
    }
}

/// [`Kept`] as marks are compared with it.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// What expires here or later stays.
    not_after: u32,
    /// What was recorded behind this stays.
    sequence: u64,
}

impl Kept {
    /// Makes bounds for marks.
    fn bounds(&self) -> Bounds {
        match (self.last, self.expired_before) {
            (Some((this_update, sequence)), Some(expired_before)) => Bounds {
                not_after: seconds(this_update.min(expired_before)),
                sequence,
            },
            // Everything stays.
            (None, _) | (_, None) => Bounds {
                not_after: 0,
                sequence: 0,
            },
        }
    }
}

/// Returns seconds since 1970 as marks have them.
fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_second().max(0)).unwrap_or(u32::MAX)
}

impl Segment {
    /// Iterates over marks, each with its entry's place.
    fn places(&self) -> impl Iterator<Item = (&Mark, Range<usize>)> {
        let starts = std::iter::once(0).chain(self.marks.iter().map(|mark| mark.end as usize));
        self.marks
            .iter()
            .zip(starts)
            .map(|(mark, start)| (mark, start..mark.end as usize))
    }

    /// Copies an entry from another segment.
    fn copy(&mut self, mark: &Mark, der: &[u8]) {
        self.der.extend_from_slice(der);
        self.marks.push(Mark {
            end: self.end(),
            ..*mark
        });
    }

    /// Returns where the next entry begins.
    fn end(&self) -> u32 {
        // Segments are closed long before.
        u32::try_from(self.der.len()).unwrap_or(u32::MAX)
    }

    /// Joins segments.
    fn joined(parts: [&Self; 2]) -> Self {
        let mut joined = Self {
            der: Vec::with_capacity(parts.iter().map(|part| part.der.len()).sum()),
            marks: Vec::with_capacity(parts.iter().map(|part| part.marks.len()).sum()),
        };
        for part in parts {
            let start = joined.end();
            joined.der.extend_from_slice(&part.der);
            joined.marks.extend(part.marks.iter().map(|mark| Mark {
                end: start + mark.end,
                ..*mark
            }));
        }
        joined
    }

    /// Copies the entries for which `keep` holds.
    fn filtered(&self, keep: impl Fn(&Mark) -> bool) -> Self {
        let mut copy = Self {
            der: Vec::with_capacity(self.der.len()),
            marks: Vec::with_capacity(self.marks.len()),
        };
        for (mark, place) in self.places() {
            if let Some(der) = self.der.get(place)
                && keep(mark)
            {
                copy.copy(mark, der);
            }
        }
        copy
    }
}

/// Most octets of one segment: marks count in 32 bits.
const MAX_SEGMENT: usize = 1 << 30;

impl Partition {
    /// Shares what was added, joined with what is not much longer.
    fn seal(&mut self) {
        if self.tail.marks.is_empty() {
            return;
        }
        let mut joined = std::mem::take(&mut self.tail);
        while let Some(last) = self.segments.last()
            && last.der.len() < 2 * joined.der.len()
            && last.der.len() + joined.der.len() < MAX_SEGMENT
        {
            joined = Segment::joined([last.as_ref(), &joined]);
            self.segments.pop();
        }
        joined.der.shrink_to_fit();
        joined.marks.shrink_to_fit();
        self.segments.push(Arc::new(joined));
    }

    /// Keeps only the entries for which `keep` holds.
    fn retain(&mut self, keep: impl Fn(&Mark) -> bool) {
        for segment in &mut self.segments {
            if !segment.marks.iter().all(&keep) {
                *segment = Arc::new(segment.filtered(&keep));
            }
        }
        self.segments.retain(|segment| !segment.marks.is_empty());
        if !self.tail.marks.iter().all(&keep) {
            self.tail = self.tail.filtered(&keep);
        }
    }
}

impl Entries {
    /// Begins without entries; `partitions` is the number of shards, or 1.
    pub(super) fn new(partitions: u32) -> Self {
        Self {
            partitions: std::iter::repeat_with(Partition::default)
                .take(partitions.max(1) as usize)
                .collect(),
            released: Vec::new(),
            dead: HashSet::new(),
            newest: 0,
        }
    }

    /// Adds what was recorded; the entry whose place it takes goes.
    ///
    /// # Errors
    ///
    /// When no CRL can state the dates.
    pub(super) fn add(&mut self, new: &NewEntry<'_>) -> Result<(), InvalidEntry> {
        self.newest = self.newest.max(new.sequence);
        if let Some(before) = new.before {
            self.dead.insert(before);
            self.released.retain(|released| released.sequence != before);
        }
        if new.reason == RevocationReason::RemoveFromCrl {
            self.released.push(Released {
                sequence: new.sequence,
                serial: new.serial.clone(),
                at: new.revoked_at,
            });
            return Ok(());
        }
        let residue = residue(new.serial);
        let place = residue as usize % self.partitions.len().max(1);
        let Some(partition) = self.partitions.get_mut(place) else {
            return Ok(());
        };
        if partition.tail.der.len() > MAX_SEGMENT / 2 {
            partition.seal();
        }
        let tail = &mut partition.tail;
        // A certificate revoked from hold keeps the date of the hold, and may be
        // known to be compromised since a later one.
        let invalidity_date = new.invalidity_date.filter(|date| *date <= new.revoked_at);
        crl::append_entry(
            &mut tail.der,
            new.serial,
            new.revoked_at,
            new.reason,
            invalidity_date,
        )?;
        tail.marks.push(Mark {
            sequence: new.sequence,
            end: tail.end(),
            not_after: new.not_after.map_or(u32::MAX, seconds),
            residue,
        });
        Ok(())
    }

    /// Returns the last act that is in here.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Takes what goes on a CRL now.
    pub(super) fn snapshot(&mut self, selection: &Selection, kept: &Kept) -> Snapshot {
        self.bury();
        for partition in &mut self.partitions {
            partition.seal();
        }
        let bounds = kept.bounds();
        let mut snapshot = Snapshot::default();
        let now = self.partitions.len();
        for (place, partition) in self.partitions.iter().enumerate() {
            for segment in &partition.segments {
                match selection {
                    Selection::Whole => snapshot.add(segment, |mark| mark.stays(&bounds)),
                    Selection::Shard { shard, counts } => {
                        let home = now > 1 && place == *shard as usize;
                        let former = counts.iter().any(|count| *count as usize != now);
                        if home && !former {
                            snapshot.add(segment, |mark| mark.stays(&bounds));
                        } else if home || former {
                            snapshot.add(segment, |mark| {
                                mark.stays(&bounds)
                                    && counts.iter().any(|count| mark.residue % count == *shard)
                            });
                        }
                    }
                    Selection::Since { through } => {
                        snapshot.add(segment, |mark| mark.sequence > *through);
                    }
                }
            }
        }
        if let Selection::Since { through } = selection {
            snapshot.add_released(&self.released, *through);
        }
        snapshot
    }

    /// Drops the entries that no CRL carries any more, once they are many.
    pub(super) fn purge(&mut self, kept: &Kept) {
        let bounds = kept.bounds();
        let marks = |partition: &Partition| -> (usize, usize) {
            let (mut all, mut gone) = (0, 0);
            for segment in &partition.segments {
                all += segment.marks.len();
                gone += segment
                    .marks
                    .iter()
                    .filter(|mark| !mark.stays(&bounds))
                    .count();
            }
            (all, gone)
        };
        for partition in &mut self.partitions {
            let (all, gone) = marks(partition);
            if gone > 0 && gone >= all / PURGED_AT {
                partition.retain(|mark| mark.stays(&bounds));
            }
        }
    }

    /// Takes out the entries that later ones replaced.
    fn bury(&mut self) {
        if self.dead.is_empty() {
            return;
        }
        let dead = std::mem::take(&mut self.dead);
        for partition in &mut self.partitions {
            partition.retain(|mark| !dead.contains(&mark.sequence));
        }
    }
}

/// Entries are purged once one in this many is of no use.
const PURGED_AT: usize = 16;

impl Snapshot {
    /// Adds the entries of a segment for which `keep` holds, as few runs.
    fn add(&mut self, segment: &Arc<Segment>, keep: impl Fn(&Mark) -> bool) {
        let mut run: Option<Range<usize>> = None;
        for (mark, place) in segment.places() {
            if keep(mark) {
                self.entries += 1;
                match &mut run {
                    Some(run) => run.end = place.end,
                    None => run = Some(place),
                }
            } else if let Some(run) = run.take() {
                self.runs.push((Arc::clone(segment), run));
            }
        }
        if let Some(run) = run {
            self.runs.push((Arc::clone(segment), run));
        }
    }

    /// Adds certificates that count again: on delta CRLs alone
    /// (RFC 5280, 5.3.1).
    fn add_released(&mut self, released: &[Released], through: u64) {
        let mut segment = Segment::default();
        for one in released {
            if one.sequence > through {
                let encoded = crl::append_entry(
                    &mut segment.der,
                    &one.serial,
                    one.at,
                    RevocationReason::RemoveFromCrl,
                    None,
                );
                self.entries += u64::from(encoded.is_ok());
            }
        }
        let length = segment.der.len();
        if length > 0 {
            self.runs.push((Arc::new(segment), 0..length));
        }
    }
}
