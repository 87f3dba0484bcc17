//! Looking up revocations, keys and CRLs, one by one and in bulk. Bulk answers
//! come from the index alone: no frame is read for them.

use model::{IssuerId, SerialNumber};

use super::blocked::BlockedKey;
use super::codec::{self, Event};
use super::crl::{CrlRecord, CrlScope, LastCrls};
use super::entry::{self, CrlEntry, Expiring, RevocationEntry};
use super::ledger::{find_blocked, find_crl};
use super::revocation::{RevocationAct, RevocationRecord, RevocationStep, Revoked};
use super::revoke::{IssuedFrom, IssuedSerial, MAX_BATCH};
use crate::error::{Error, IndexFault};
use crate::journal::Place;
use crate::writer::Sources;

/// Most blocked keys of one answer.
const MAX_KEYS: usize = 1_000;

/// Reads everything recorded about the revocation of a serial number.
///
/// # Errors
///
/// `Io`, `Index` or `BrokenChain` when it cannot be read.
pub(crate) fn read_revocation(
    sources: &Sources,
    issuer: &IssuerId,
    serial: &SerialNumber,
) -> Result<Option<RevocationRecord>, Error> {
    let index = &sources.index;
    let prefix = entry::revocation_prefix(issuer, serial);
    let mut history = Vec::new();
    let mut current = None;
    for item in index.range(prefix.clone()..entry::end_of(&prefix)) {
        let (key, value) = item?;
        let (sequence, last) = step(&key, &value).ok_or_else(|| unreadable(sources))?;
        let act = read_act(sources, last.place)?;
        history.push(to_step(act, sequence));
        current = Some((sequence, last));
    }
    let Some((sequence, last)) = current else {
        return Ok(None);
    };
    let current = last
        .to_revoked(serial.clone(), sequence)
        .ok_or_else(|| unreadable(sources))?;
    Ok(Some(RevocationRecord {
        issuer: issuer.clone(),
        current,
        history,
    }))
}

/// Lists an issuer's serial numbers that were ever revoked.
///
/// # Errors
///
/// `Index` when it cannot be read.
pub(crate) fn revocations(
    sources: &Sources,
    issuer: &IssuerId,
    after: Option<&SerialNumber>,
    limit: usize,
) -> Result<Vec<Revoked>, Error> {
    let limit = limit.clamp(1, MAX_BATCH);
    let prefix = entry::revocations_prefix(issuer);
    let start = match after {
        Some(after) => entry::end_of(&entry::revocation_prefix(issuer, after)),
        None => prefix.clone(),
    };
    let range = start..entry::end_of(&prefix);
    let mut found: Vec<Revoked> = Vec::new();
    if range.is_empty() {
        return Ok(found);
    }
    for item in sources.index.range(range) {
        let (key, value) = item?;
        let revoked = step(&key, &value)
            .zip(entry::sized_serial(&key, prefix.len()))
            .and_then(|((sequence, entry), serial)| entry.to_revoked(serial, sequence))
            .ok_or_else(|| unreadable(sources))?;
        // Steps of one serial number lie together; the last one counts.
        let full = found.len() == limit;
        match found.last_mut() {
            Some(last) if last.serial == revoked.serial => *last = revoked,
            Some(_) if full => break,
            Some(_) | None => found.push(revoked),
        }
    }
    Ok(found)
}

/// Lists an issuer's certificates by expiry.
///
/// # Errors
///
/// `Index` when it cannot be read.
pub(crate) fn issued(
    sources: &Sources,
    issuer: &IssuerId,
    from: IssuedFrom,
    limit: usize,
) -> Result<Vec<IssuedSerial>, Error> {
    let limit = limit.clamp(1, MAX_BATCH);
    let start = entry::expiry_key(
        from.not_after,
        from.behind.map_or(0, |sequence| sequence.saturating_add(1)),
    );
    let mut found = Vec::new();
    for item in sources.index.range(start..vec![b'e' + 1]) {
        let (key, value) = item?;
        let expiring: Expiring<'_> = entry::decode(&value).ok_or_else(|| unreadable(sources))?;
        if expiring.issuer != issuer.as_str() {
            continue;
        }
        found.push(issued_serial(&key, &expiring).ok_or_else(|| unreadable(sources))?);
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

/// Lists the serial numbers over a public key.
///
/// # Errors
///
/// `Index` when it cannot be read.
pub(crate) fn serials_of_key(
    sources: &Sources,
    public_key_sha256: &[u8; 32],
    after: Option<&SerialNumber>,
    limit: usize,
) -> Result<Vec<SerialNumber>, Error> {
    let prefix = entry::public_key_prefix(public_key_sha256);
    let start = match after {
        Some(after) => entry::end_of(&entry::public_key_key(public_key_sha256, after)),
        None => prefix.clone(),
    };
    let range = start..entry::end_of(&prefix);
    if range.is_empty() {
        return Ok(Vec::new());
    }
    sources
        .index
        .range(range)
        .take(limit.clamp(1, MAX_BATCH))
        .map(|item| {
            let (key, _) = item?;
            entry::sized_serial(&key, prefix.len()).ok_or_else(|| unreadable(sources))
        })
        .collect()
}

/// Reads who blocked a public key, if someone did.
///
/// # Errors
///
/// `Io`, `Index` or `BrokenChain` when it cannot be read.
pub(crate) fn blocked_key(
    sources: &Sources,
    public_key_sha256: &[u8; 32],
) -> Result<Option<BlockedKey>, Error> {
    find_blocked(sources, public_key_sha256)?
        .map(|place| read_blocked(sources, place))
        .transpose()
}

/// Lists blocked keys.
///
/// # Errors
///
/// As [`blocked_key`].
pub(crate) fn blocked_keys(
    sources: &Sources,
    after: Option<&[u8; 32]>,
    limit: usize,
) -> Result<Vec<BlockedKey>, Error> {
    let start = match after {
        Some(after) => entry::end_of(&entry::blocked_key(after)),
        None => vec![b'b'],
    };
    let range = start..vec![b'b' + 1];
    if range.is_empty() {
        return Ok(Vec::new());
    }
    sources
        .index
        .range(range)
        .take(limit.clamp(1, MAX_KEYS))
        .map(|item| {
            let (_, value) = item?;
            let place = entry::decode(&value).ok_or_else(|| unreadable(sources))?;
            read_blocked(sources, place)
        })
        .collect()
}

/// Reads the CRLs last recorded of an issuer and scope.
///
/// # Errors
///
/// `Io`, `Index` or `BrokenChain` when they cannot be read.
pub(crate) fn last_crls(
    sources: &Sources,
    issuer: &IssuerId,
    scope: CrlScope,
) -> Result<LastCrls, Error> {
    let last = |is_delta| {
        find_crl(sources, issuer, scope, is_delta)?
            .map(|last| read_crl(sources, &last))
            .transpose()
    };
    Ok(LastCrls {
        complete: last(false)?,
        delta: last(true)?,
    })
}

/// Reads a step of a revocation out of its key and value.
fn step(key: &[u8], value: &[u8]) -> Option<(u64, RevocationEntry)> {
    entry::trailing_sequence(key).zip(entry::decode(value))
}

/// Reads a certificate out of its expiry's key and value.
fn issued_serial(key: &[u8], expiring: &Expiring<'_>) -> Option<IssuedSerial> {
    Some(IssuedSerial {
        serial: SerialNumber::from_der_content(expiring.serial).ok()?,
        not_after: model::Timestamp::from_microsecond(entry::expiry_of(key)?).ok()?,
        sequence: entry::trailing_sequence(key)?,
    })
}

/// Takes what a step says of itself.
fn to_step(act: RevocationAct, sequence: u64) -> RevocationStep {
    let revocation = act.revocation;
    RevocationStep {
        sequence,
        reason: revocation.reason,
        revoked_at: revocation.revoked_at,
        invalidity_date: revocation.invalidity_date,
        requester: revocation.requester,
        request_id: revocation.request_id,
        recorded_at: revocation.recorded_at,
    }
}

/// Reads the frame of a step of a revocation.
fn read_act(sources: &Sources, place: Place) -> Result<RevocationAct, Error> {
    sources
        .journal
        .read(place, |frame| match codec::decode(frame)? {
            Event::Revocation(act) => Ok(*act),
            Event::Intent(_)
            | Event::Issued { .. }
            | Event::Abandoned { .. }
            | Event::KeyBlocked(_)
            | Event::Crl(_)
            | Event::Timestamp(_) => Err(unreadable(sources)),
        })
}

/// Reads the frame of a blocked key.
fn read_blocked(sources: &Sources, place: Place) -> Result<BlockedKey, Error> {
    sources
        .journal
        .read(place, |frame| match codec::decode(frame)? {
            Event::KeyBlocked(key) => Ok(*key),
            Event::Intent(_)
            | Event::Issued { .. }
            | Event::Abandoned { .. }
            | Event::Revocation(_)
            | Event::Crl(_)
            | Event::Timestamp(_) => Err(unreadable(sources)),
        })
}

/// Reads the frame of a CRL.
fn read_crl(sources: &Sources, last: &CrlEntry) -> Result<CrlRecord, Error> {
    sources
        .journal
        .read(last.place, |frame| match codec::decode(frame)? {
            Event::Crl(crl) => Ok(*crl),
            Event::Intent(_)
            | Event::Issued { .. }
            | Event::Abandoned { .. }
            | Event::Revocation(_)
            | Event::KeyBlocked(_)
            | Event::Timestamp(_) => Err(unreadable(sources)),
        })
}

/// Says that the index has an entry that is none.
fn unreadable(sources: &Sources) -> Error {
    sources.index.unusable(IndexFault::Entry)
}
