//! Revocations: which steps are taken, and what counts after them.

use std::collections::HashMap;

use model::{IssuerId, RevocationReason, SerialNumber, Timestamp};

use super::{CertificateLedger, Outcome};
use crate::certificates::entry::{self, RevocationEntry};
use crate::certificates::revocation::{Refused, RevocationAct, Standing};
use crate::error::{Error, IndexFault};
use crate::index::Additions;
use crate::journal::Place;
use crate::writer::{Decision, Sources};

/// One staged step.
#[derive(Debug)]
struct Step {
    /// Whose certificate it is.
    issuer: IssuerId,
    /// Its serial number.
    serial: SerialNumber,
    /// Its record; none for a foreign one.
    record: Option<u64>,
    /// The act's number.
    sequence: u64,
    /// What counts from here on.
    entry: RevocationEntry,
    /// Whether it counted before.
    before: Standing,
    /// Whether it does now.
    after: Standing,
}

/// The steps of a group.
#[derive(Debug, Default)]
pub(super) struct StagedRevocations {
    /// Steps, in order.
    steps: Vec<Step>,
    /// The last step of each serial number.
    latest: HashMap<(IssuerId, SerialNumber), usize>,
}

impl StagedRevocations {
    /// Returns what counts about a serial number if this group says something.
    fn latest(&self, issuer: &IssuerId, serial: &SerialNumber) -> Option<RevocationEntry> {
        if self.steps.is_empty() {
            return None;
        }
        let at = self.latest.get(&(issuer.clone(), serial.clone()))?;
        self.steps.get(*at).map(|step| step.entry)
    }

    /// Adds the keys that the steps bring to the index.
    pub(super) fn index(&self, additions: &mut Additions) {
        for step in &self.steps {
            if let Some(record) = step.record {
                let revoked = step.after != Standing::Counts;
                additions.insert(entry::revoked_key(record), entry::encode(&revoked));
            }
            additions.insert(
                entry::revocation_key(&step.issuer, &step.serial, step.sequence),
                entry::encode(&step.entry),
            );
        }
    }
}

impl CertificateLedger {
    /// Decides whether a step of a revocation may be recorded.
    ///
    /// # Errors
    ///
    /// `NotOnHold`, or why state could not be read.
    pub(super) fn decide_revocation(
        &self,
        act: &RevocationAct,
    ) -> Result<Decision<Outcome>, Error> {
        let serial = &act.revocation.serial;
        // The caller looked before it asked; meanwhile an intent may have come.
        if act.record.is_none() && self.find_issuer(serial)?.as_ref() == Some(&act.issuer) {
            return Ok(Decision::Answer(Outcome::Known));
        }
        let before = self.revocation_before(&act.issuer, serial, u64::MAX)?;
        match self.standing(before)?.apply(act.revocation.reason) {
            Ok(_) => Ok(Decision::Record(Outcome::Done)),
            Err(Refused::Already) => Ok(Decision::Answer(Outcome::Already)),
            Err(Refused::NotOnHold) => Err(Error::NotOnHold {
                serial: serial.clone(),
            }),
        }
    }

    /// Whether a serial number was revoked without the journal knowing it.
    ///
    /// # Errors
    ///
    /// Why it could not be read.
    pub(super) fn is_foreign(
        &self,
        issuer: &IssuerId,
        serial: &SerialNumber,
    ) -> Result<bool, Error> {
        // An own serial number is found before this is asked, revoked or not.
        let none = self.read().counts.foreign == 0 && self.revocations.steps.is_empty();
        Ok(!none && self.revocation_before(issuer, serial, u64::MAX)?.is_some())
    }

    /// Stages a step.
    pub(super) fn stage_revocation(&mut self, act: &RevocationAct, sequence: u64, place: Place) {
        let serial = &act.revocation.serial;
        // Decided a moment ago from the same keys. Should they be unreadable now,
        // the step still counts; only what it keeps of a hold before is lost.
        let before = self.revocation_before(&act.issuer, serial, sequence);
        self.push_step(act, before.ok().flatten(), sequence, place);
    }

    /// Stages a step found in the journal.
    ///
    /// # Errors
    ///
    /// `Contradiction` if it does not follow from those before it, or why they
    /// could not be read.
    pub(super) fn replay_revocation(
        &mut self,
        act: &RevocationAct,
        sequence: u64,
        place: Place,
    ) -> Result<(), Error> {
        let serial = &act.revocation.serial;
        // The index may be ahead of its checkpoint: later steps do not count yet.
        let before = self.revocation_before(&act.issuer, serial, sequence)?;
        self.standing(before)?
            .apply(act.revocation.reason)
            .map_err(|_| Error::Contradiction { sequence })?;
        self.push_step(act, before, sequence, place);
        Ok(())
    }

    /// Stages a step behind the one before it.
    fn push_step(
        &mut self,
        act: &RevocationAct,
        before: Option<RevocationEntry>,
        sequence: u64,
        place: Place,
    ) {
        let revocation = &act.revocation;
        let standing = |entry: &RevocationEntry| entry.reason().map(Standing::after);
        let held = before.filter(|entry| standing(entry) == Some(Standing::OnHold));
        let invalidity_date = revocation.invalidity_date.map(Timestamp::as_microsecond);
        let released = revocation.reason == RevocationReason::RemoveFromCrl;
        let entry = RevocationEntry {
            place,
            reason: revocation.reason.code(),
            // X.509, 8.5.2.2: the revocation date is the date on which it was put on hold.
            revoked_at: match held {
                Some(held) if !released => held.revoked_at,
                Some(_) | None => revocation.revoked_at.as_microsecond(),
            },
            invalidity_date: match held {
                Some(held) if !released => invalidity_date.or(held.invalidity_date),
                Some(_) | None => invalidity_date,
            },
            not_after: act.not_after.map(Timestamp::as_microsecond),
        };
        let key = (act.issuer.clone(), revocation.serial.clone());
        let staged = &mut self.revocations;
        staged.latest.insert(key, staged.steps.len());
        staged.steps.push(Step {
            issuer: act.issuer.clone(),
            serial: revocation.serial.clone(),
            record: act.record,
            sequence,
            entry,
            before: before
                .as_ref()
                .and_then(standing)
                .unwrap_or(Standing::Counts),
            after: Standing::after(revocation.reason),
        });
    }

    /// Moves the group's steps into the settled layer.
    pub(super) fn settle_revocations(&mut self) {
        let staged = std::mem::take(&mut self.revocations);
        if staged.steps.is_empty() {
            return;
        }
        let counts = &mut self.write().counts;
        for step in staged.steps {
            match (step.before, step.after) {
                (Standing::Counts, Standing::OnHold | Standing::Revoked) => counts.revoked += 1,
                (Standing::OnHold | Standing::Revoked, Standing::Counts) => {
                    counts.revoked = counts.revoked.saturating_sub(1);
                }
                (Standing::Counts, Standing::Counts)
                | (Standing::OnHold | Standing::Revoked, Standing::OnHold | Standing::Revoked) => {}
            }
            counts.foreign += u64::from(step.record.is_none());
        }
    }

    /// Finds what counts about a serial number before an act, in all layers.
    fn revocation_before(
        &self,
        issuer: &IssuerId,
        serial: &SerialNumber,
        sequence: u64,
    ) -> Result<Option<RevocationEntry>, Error> {
        match self.revocations.latest(issuer, serial) {
            Some(entry) => Ok(Some(entry)),
            None => find_revocation(&self.sources, issuer, serial, sequence),
        }
    }

    /// Says whether a serial number counts by its last step.
    fn standing(&self, last: Option<RevocationEntry>) -> Result<Standing, Error> {
        match last {
            None => Ok(Standing::Counts),
            Some(entry) => entry
                .reason()
                .map(Standing::after)
                .ok_or_else(|| self.sources.index.unusable(IndexFault::Entry)),
        }
    }
}

/// Finds the last step of a serial number before an act, in the index.
///
/// # Errors
///
/// `Index` if it cannot be read.
fn find_revocation(
    sources: &Sources,
    issuer: &IssuerId,
    serial: &SerialNumber,
    sequence: u64,
) -> Result<Option<RevocationEntry>, Error> {
    let index = &sources.index;
    let steps =
        entry::revocation_key(issuer, serial, 0)..entry::revocation_key(issuer, serial, sequence);
    match index.range(steps).next_back() {
        None => Ok(None),
        Some(item) => entry::decode(&item?.1)
            .map(Some)
            .ok_or_else(|| index.unusable(IndexFault::Entry)),
    }
}
