//! Finding the records of a page. Blocks: called off the request workers.

use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use model::SerialNumber;

use super::codec::{self, Event};
use super::entry::{self, Entry, OpenEntry};
use super::ledger::{Located, Settled, find_settled};
use super::list::{CertificateFilter, Cursor, Page, Position, StateFilter};
use super::lookup::read_revocation;
use super::record::{CertificateRecord, CertificateState, Intent, OpenIntent};
use crate::error::{Error, IndexFault};
use crate::journal::Place;
use crate::writer::Sources;

/// Most records looked at for one page: a rare match costs more pages, never
/// one page without end.
const LOOKED_AT: usize = 10_000;

/// Largest page.
const MAX_LIMIT: usize = 1_000;

/// Finds what is recorded about a serial number.
///
/// # Errors
///
/// `Io`, `Index` or `BrokenChain` when it cannot be read.
pub(crate) fn find(
    sources: &Sources,
    settled: &RwLock<Settled>,
    serial: &SerialNumber,
) -> Result<Option<CertificateRecord>, Error> {
    // Memory first: what leaves it is in the index already.
    let open = {
        let settled = settled.read().unwrap_or_else(PoisonError::into_inner);
        settled.open.get(serial).cloned()
    };
    match open {
        Some(open) => read_open(sources, &open).map(Some),
        None => match find_settled(sources, serial)? {
            Some(located) => read_settled(sources, &located).map(Some),
            None => Ok(None),
        },
    }
}

/// Finds the intent recorded under a serial number, and its number.
///
/// # Errors
///
/// As [`find`].
pub(crate) fn find_intent(
    sources: &Sources,
    settled: &RwLock<Settled>,
    serial: &SerialNumber,
) -> Result<Option<OpenIntent>, Error> {
    let open = {
        let settled = settled.read().unwrap_or_else(PoisonError::into_inner);
        settled
            .open
            .get(serial)
            .map(|open| (open.sequence, open.intent))
    };
    let found = match open {
        Some(found) => Some(found),
        None => {
            find_settled(sources, serial)?.map(|located| (located.sequence, located.entry.intent))
        }
    };
    found
        .map(|(sequence, place)| {
            Ok(OpenIntent {
                sequence,
                intent: read_intent(sources, place)?,
            })
        })
        .transpose()
}

/// Reads every open intent, oldest first.
///
/// # Errors
///
/// As [`find`].
pub(crate) fn open_intents(
    sources: &Sources,
    settled: &RwLock<Settled>,
) -> Result<Vec<OpenIntent>, Error> {
    snapshot(settled)
        .iter()
        .map(|open| {
            Ok(OpenIntent {
                sequence: open.sequence,
                intent: read_intent(sources, open.intent)?,
            })
        })
        .collect()
}

/// Finds a page of records.
///
/// # Errors
///
/// `BadCursor` for a cursor of another order; else as [`find`].
pub(crate) fn page(
    sources: &Sources,
    settled: &RwLock<Settled>,
    filter: &CertificateFilter,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Page, Error> {
    let mut pager = Pager {
        sources,
        filter,
        needle: filter
            .subject_contains
            .as_ref()
            .map(|text| text.to_lowercase()),
        limit: limit.clamp(1, MAX_LIMIT),
        looked_at: 0,
        records: Vec::new(),
    };
    let next = match (filter.expires_before, filter.state) {
        (Some(before), _) => by_expiry(&mut pager, before.as_microsecond(), cursor)?,
        (None, Some(StateFilter::Revoked)) => {
            revoked_by_recording(&mut pager, &snapshot(settled), cursor)?
        }
        (None, _) => by_recording(&mut pager, snapshot(settled), cursor)?,
    };
    Ok(Page {
        records: pager.records,
        next,
    })
}

/// Walks issued certificates by expiry, soonest first.
fn by_expiry(
    pager: &mut Pager<'_>,
    before: i64,
    cursor: Option<Cursor>,
) -> Result<Option<Cursor>, Error> {
    let start = match cursor.map(|cursor| cursor.0) {
        // The key after the cursor's.
        Some(Position::Expiry {
            not_after,
            sequence,
        }) => [entry::expiry_key(not_after, sequence), vec![0]].concat(),
        Some(Position::Recorded { .. }) => return Err(Error::BadCursor),
        None => vec![b'e'],
    };
    let range = start..entry::expiry_key(before, 0);
    let none_expires = match pager.filter.state {
        None | Some(StateFilter::Issued | StateFilter::Revoked) => false,
        Some(StateFilter::Pending | StateFilter::Abandoned) => true,
    };
    if range.is_empty() || none_expires {
        return Ok(None);
    }
    let index = &pager.sources.index;
    let unreadable = || index.unusable(IndexFault::Entry);
    for item in index.range(range) {
        let (key, _) = item?;
        let sequence = entry::trailing_sequence(&key).ok_or_else(unreadable)?;
        let not_after = entry::expiry_of(&key).ok_or_else(unreadable)?;
        let entry: Entry = index
            .get(&entry::record_key(sequence))?
            .and_then(|value| entry::decode(&value))
            .ok_or_else(unreadable)?;
        pager.look_at_settled(&Located { sequence, entry })?;
        if pager.is_full() {
            return Ok(Some(Cursor(Position::Expiry {
                not_after,
                sequence,
            })));
        }
    }
    Ok(None)
}

/// Walks all records, newest first: settled ones in the index and open ones in
/// memory, merged by number. `open` was taken first, so that nothing is missed;
/// what was settled since is in both and looked at once.
fn by_recording(
    pager: &mut Pager<'_>,
    open: Vec<OpenEntry>,
    cursor: Option<Cursor>,
) -> Result<Option<Cursor>, Error> {
    let end = recorded_before(cursor)?;
    let index = &pager.sources.index;
    let range: Range<Vec<u8>> = entry::record_key(0)..entry::record_key(end);
    let only_open = pager.filter.state == Some(StateFilter::Pending) || range.is_empty();
    let mut settled = (!only_open)
        .then(|| index.range(range).rev())
        .into_iter()
        .flatten()
        .map(|item| {
            let (key, value) = item?;
            let unreadable = || index.unusable(IndexFault::Entry);
            Ok::<_, Error>(Located {
                sequence: entry::trailing_sequence(&key).ok_or_else(unreadable)?,
                entry: entry::decode(&value).ok_or_else(unreadable)?,
            })
        })
        .peekable();
    let mut open = open
        .into_iter()
        .rev()
        .filter(|open| open.sequence < end)
        .peekable();
    loop {
        let settled_next = match settled.peek() {
            Some(Ok(located)) => Some(located.sequence),
            Some(Err(error)) => return Err(error.clone()),
            None => None,
        };
        let open_next = open.peek().map(|open| open.sequence);
        let sequence = if settled_next.is_some() && settled_next >= open_next {
            if settled_next == open_next {
                open.next();
            }
            match settled.next().transpose()? {
                Some(located) => {
                    pager.look_at_settled(&located)?;
                    located.sequence
                }
                None => return Ok(None),
            }
        } else {
            match open.next() {
                Some(open) => {
                    pager.look_at_open(&open)?;
                    open.sequence
                }
                None => return Ok(None),
            }
        };
        if pager.is_full() {
            return Ok(Some(Cursor(Position::Recorded { sequence })));
        }
    }
}

/// Walks revoked records, newest first, by the index's list of those that ever
/// were. `open` was taken first, so that none is missed but those begun since.
fn revoked_by_recording(
    pager: &mut Pager<'_>,
    open: &[OpenEntry],
    cursor: Option<Cursor>,
) -> Result<Option<Cursor>, Error> {
    let end = recorded_before(cursor)?;
    let index = &pager.sources.index;
    let unreadable = || index.unusable(IndexFault::Entry);
    let range = entry::revoked_key(0)..entry::revoked_key(end);
    if range.is_empty() {
        return Ok(None);
    }
    for item in index.range(range).rev() {
        let (key, value) = item?;
        let sequence = entry::trailing_sequence(&key).ok_or_else(unreadable)?;
        if !entry::decode::<bool>(&value).ok_or_else(unreadable)? {
            // Released from hold.
            pager.looked_at += 1;
        } else if let Some(value) = index.get(&entry::record_key(sequence))? {
            let entry = entry::decode(&value).ok_or_else(unreadable)?;
            pager.look_at_settled(&Located { sequence, entry })?;
        } else if let Ok(at) = open.binary_search_by_key(&sequence, |open| open.sequence)
            && let Some(open) = open.get(at)
        {
            pager.look_at_open(open)?;
        }
        if pager.is_full() {
            return Ok(Some(Cursor(Position::Recorded { sequence })));
        }
    }
    Ok(None)
}

/// Returns the number below which a listing by recording goes on.
fn recorded_before(cursor: Option<Cursor>) -> Result<u64, Error> {
    match cursor.map(|cursor| cursor.0) {
        Some(Position::Recorded { sequence }) => Ok(sequence),
        Some(Position::Expiry { .. }) => Err(Error::BadCursor),
        None => Ok(u64::MAX),
    }
}

/// A page being filled.
struct Pager<'a> {
    /// Where records lie.
    sources: &'a Sources,
    /// Which of them are wanted.
    filter: &'a CertificateFilter,
    /// The text sought, in lower case.
    needle: Option<String>,
    /// Most records of the page.
    limit: usize,
    /// Records looked at.
    looked_at: usize,
    /// Records found.
    records: Vec<CertificateRecord>,
}

impl Pager<'_> {
    /// Takes a settled record if it is wanted.
    fn look_at_settled(&mut self, located: &Located) -> Result<(), Error> {
        self.looked_at += 1;
        let admitted = match self.filter.state {
            None => true,
            Some(StateFilter::Issued) => located.entry.issued,
            Some(StateFilter::Abandoned) => !located.entry.issued,
            Some(StateFilter::Pending) => false,
            Some(StateFilter::Revoked) => self.is_revoked(located.sequence)?,
        };
        if admitted {
            let intent = read_intent(self.sources, located.entry.intent)?;
            if self.is_wanted(&intent) {
                self.records
                    .push(settled_record(self.sources, located, intent)?);
            }
        }
        Ok(())
    }

    /// Takes an open intent if it is wanted.
    fn look_at_open(&mut self, open: &OpenEntry) -> Result<(), Error> {
        self.looked_at += 1;
        let admitted = match self.filter.state {
            None | Some(StateFilter::Pending) => true,
            Some(StateFilter::Issued | StateFilter::Abandoned) => false,
            Some(StateFilter::Revoked) => self.is_revoked(open.sequence)?,
        };
        if admitted {
            let record = read_open(self.sources, open)?;
            if self.is_wanted(&record.intent) {
                self.records.push(record);
            }
        }
        Ok(())
    }

    /// Whether a record is revoked.
    fn is_revoked(&self, sequence: u64) -> Result<bool, Error> {
        let index = &self.sources.index;
        match index.get(&entry::revoked_key(sequence))? {
            None => Ok(false),
            Some(value) => entry::decode(&value).ok_or_else(|| index.unusable(IndexFault::Entry)),
        }
    }

    /// Whether profile and text fit.
    fn is_wanted(&self, intent: &Intent) -> bool {
        let profile = self.filter.profile.as_ref();
        profile.is_none_or(|profile| *profile == intent.profile)
            && self.needle.as_ref().is_none_or(|needle| {
                std::iter::once(&intent.subject)
                    .chain(&intent.names)
                    .any(|text| text.to_lowercase().contains(needle))
            })
    }

    /// Whether the page ends here.
    fn is_full(&self) -> bool {
        self.records.len() >= self.limit || self.looked_at >= LOOKED_AT
    }
}

/// Copies the open intents, oldest first.
fn snapshot(settled: &RwLock<Settled>) -> Vec<OpenEntry> {
    let settled = settled.read().unwrap_or_else(PoisonError::into_inner);
    let mut open: Vec<OpenEntry> = settled.open.values().cloned().collect();
    drop(settled);
    open.sort_unstable_by_key(|open| open.sequence);
    open
}

/// Reads an intent's frame.
///
/// # Errors
///
/// `Index` if the frame is none, else as [`find`].
pub(crate) fn read_intent(sources: &Sources, place: Place) -> Result<Intent, Error> {
    sources
        .journal
        .read(place, |frame| match codec::decode(frame)? {
            Event::Intent(intent) => Ok(*intent),
            Event::Issued { .. }
            | Event::Abandoned { .. }
            | Event::Revocation(_)
            | Event::KeyBlocked(_)
            | Event::Crl(_)
            | Event::Timestamp(_) => Err(sources.index.unusable(IndexFault::Entry)),
        })
}

/// Reads an open intent's record.
fn read_open(sources: &Sources, open: &OpenEntry) -> Result<CertificateRecord, Error> {
    let intent = read_intent(sources, open.intent)?;
    Ok(CertificateRecord {
        sequence: open.sequence,
        revocation: read_revocation(sources, &intent.issuer, &intent.serial)?,
        intent,
        state: CertificateState::Pending,
    })
}

/// Reads a settled record.
///
/// # Errors
///
/// As [`find`].
pub(crate) fn read_settled(
    sources: &Sources,
    located: &Located,
) -> Result<CertificateRecord, Error> {
    let intent = read_intent(sources, located.entry.intent)?;
    settled_record(sources, located, intent)
}

/// Reads the outcome that belongs to an intent.
fn settled_record(
    sources: &Sources,
    located: &Located,
    intent: Intent,
) -> Result<CertificateRecord, Error> {
    let outcome = sources.journal.read(located.entry.outcome, codec::decode)?;
    let state = match outcome {
        Event::Issued {
            serial,
            certificate_der,
            at,
        } if serial == intent.serial => CertificateState::Issued {
            certificate_der,
            at,
        },
        Event::Abandoned { serial, why, at } if serial == intent.serial => {
            CertificateState::Abandoned { why, at }
        }
        Event::Intent(_)
        | Event::Issued { .. }
        | Event::Abandoned { .. }
        | Event::Revocation(_)
        | Event::KeyBlocked(_)
        | Event::Crl(_)
        | Event::Timestamp(_) => {
            return Err(sources.index.unusable(IndexFault::Entry));
        }
    };
    Ok(CertificateRecord {
        sequence: located.sequence,
        revocation: read_revocation(sources, &intent.issuer, &intent.serial)?,
        intent,
        state,
    })
}
