//! CRL numbers: they only grow.

use std::collections::HashMap;

use model::IssuerId;

use super::{CertificateLedger, Outcome};
use crate::certificates::crl::{CrlRecord, CrlScope};
use crate::certificates::entry::{self, CrlEntry};
use crate::error::{Error, IndexFault};
use crate::index::Additions;
use crate::journal::Place;
use crate::writer::{Decision, Sources};

/// The CRLs of a group: the last of each issuer and scope, complete and delta.
#[derive(Debug, Default)]
pub(super) struct StagedCrls {
    /// The last ones.
    last: HashMap<(IssuerId, CrlScope, bool), CrlEntry>,
}

impl StagedCrls {
    /// Adds the keys that the CRLs bring to the index.
    pub(super) fn index(&self, additions: &mut Additions) {
        for ((issuer, scope, is_delta), last) in &self.last {
            let key = entry::crl_key(issuer, *scope, *is_delta);
            additions.insert(key, entry::encode(last));
        }
    }
}

impl CertificateLedger {
    /// Decides whether a CRL may be recorded.
    ///
    /// # Errors
    ///
    /// `CrlNumberUsed`, or why state could not be read.
    pub(super) fn decide_crl(&self, crl: &CrlRecord) -> Result<Decision<Outcome>, Error> {
        let is_delta = crl.base.is_some();
        let own = self.last_crl(&crl.issuer, crl.scope, is_delta)?;
        let other = self.last_crl(&crl.issuer, crl.scope, !is_delta)?;
        // RFC 5280, 5.2.3: complete and delta CRLs of one scope share one sequence
        // of numbers; issued at the same time, the two have the same number.
        let is_pair = |other: &CrlEntry| {
            other.number == crl.number && other.this_update == crl.this_update.as_microsecond()
        };
        let grows = own.is_none_or(|own| own.number < crl.number)
            && other.is_none_or(|other| other.number < crl.number || is_pair(&other));
        if grows {
            return Ok(Decision::Record(Outcome::Done));
        }
        let numbers = [own, other].into_iter().flatten().map(|last| last.number);
        Err(Error::CrlNumberUsed {
            number: crl.number,
            last: numbers.max().unwrap_or_default(),
        })
    }

    /// Stages a CRL. One found in the journal too: whatever the index knows of
    /// later ones is written again by the time the replay ends.
    pub(super) fn stage_crl(&mut self, crl: &CrlRecord, place: Place) {
        let key = (crl.issuer.clone(), crl.scope, crl.base.is_some());
        let last = CrlEntry {
            place,
            number: crl.number,
            this_update: crl.this_update.as_microsecond(),
        };
        self.crls.last.insert(key, last);
    }

    /// Forgets the group's CRLs; the index has them.
    pub(super) fn settle_crls(&mut self) {
        self.crls.last.clear();
    }

    /// Finds the last CRL of its kind, in all layers.
    fn last_crl(
        &self,
        issuer: &IssuerId,
        scope: CrlScope,
        is_delta: bool,
    ) -> Result<Option<CrlEntry>, Error> {
        match self.crls.last.get(&(issuer.clone(), scope, is_delta)) {
            Some(last) => Ok(Some(*last)),
            None => find_crl(&self.sources, issuer, scope, is_delta),
        }
    }
}

/// Finds the last CRL of its kind, in the index.
///
/// # Errors
///
/// `Index` if it cannot be read.
pub(crate) fn find_crl(
    sources: &Sources,
    issuer: &IssuerId,
    scope: CrlScope,
    is_delta: bool,
) -> Result<Option<CrlEntry>, Error> {
    let index = &sources.index;
    match index.get(&entry::crl_key(issuer, scope, is_delta))? {
        None => Ok(None),
        Some(value) => entry::decode(&value)
            .map(Some)
            .ok_or_else(|| index.unusable(IndexFault::Entry)),
    }
}
