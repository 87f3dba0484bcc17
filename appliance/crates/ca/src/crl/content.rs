//! What a CRL says: its entries and its extensions.

use aws_lc_rs::digest;
use model::Timestamp;
use pki::crl::{CoveredKinds, CrlPlan, IssuingPoint, LintedCrl, lint};
use pki::issuer::IssuerFacts;

use super::publisher::{Base, Publisher};
use super::{CrlError, CrlKind};
use crate::config::KeepExpired;
use crate::revocations::{Selection, Snapshot};

impl Publisher {
    /// Returns which entries a CRL has.
    pub(super) fn selection(&self, kind: CrlKind, base: Option<Base>) -> Selection {
        match kind {
            CrlKind::Whole => Selection::Whole,
            CrlKind::Shard(shard) => Selection::Shard {
                shard,
                counts: self.parts.publication.history.shards.clone(),
            },
            CrlKind::Delta => Selection::Since {
                through: base.map_or(0, |base| base.through),
            },
        }
    }

    /// Returns the moment before which expired certificates need not stay; none
    /// where they stay for ever.
    pub(super) fn expired_before(&self, this_update: Timestamp) -> Option<Timestamp> {
        match self.parts.config.keep_expired {
            KeepExpired::Forever => None,
            KeepExpired::For(time) => Some(this_update.checked_sub(time).unwrap_or(Timestamp::MIN)),
        }
    }

    /// Says since when expired certificates are on a CRL (X.509, 9.5.2.8), where
    /// they stay at all.
    pub(super) fn expired_certs(&self, kind: CrlKind, this_update: Timestamp) -> Option<Timestamp> {
        if kind == CrlKind::Delta {
            return None;
        }
        match self.parts.config.keep_expired {
            KeepExpired::Forever => Some(self.parts.since),
            KeepExpired::For(time) if time.is_zero() => None,
            KeepExpired::For(time) => {
                let since = this_update.checked_sub(time).unwrap_or(Timestamp::MIN);
                Some(since.max(self.parts.since))
            }
        }
    }

    /// Says by which addresses certificates name a CRL.
    pub(super) fn issuing_point(&self, kind: CrlKind) -> Option<IssuingPoint> {
        let history = &self.parts.publication.history;
        let place = match kind {
            CrlKind::Shard(_) => kind,
            // RFC 5280, 6.3.3 (b)(2)(i): a full CRL that names its place would not
            // count for certificates that name their shard's, or none, as a root's.
            // Deltas are as their base.
            CrlKind::Whole | CrlKind::Delta
                if self.parts.root || history.largest() > 0 || !self.parts.config.issuing_point =>
            {
                return None;
            }
            CrlKind::Whole | CrlKind::Delta => CrlKind::Whole,
        };
        let urls = history
            .urls
            .iter()
            .map(|base| place.url(base, &self.parts.issuer));
        Some(IssuingPoint {
            urls: urls.collect(),
            only: CoveredKinds::All,
        })
    }

    /// Says where the delta of a CRL is.
    pub(super) fn freshest(&self, kind: CrlKind) -> Option<String> {
        let deltas = !self.parts.root && self.parts.config.delta_interval.is_some();
        let url = self.parts.publication.history.urls.first()?;
        (deltas && kind == CrlKind::Whole).then(|| CrlKind::Delta.url(url, &self.parts.issuer))
    }
}

/// Encodes and lints a CRL; returns the SHA-256 of what is to be signed besides.
pub(super) fn prepare(
    plan: &CrlPlan,
    facts: &IssuerFacts,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<(LintedCrl, [u8; 32]), CrlError> {
    let planned = plan.encode(facts, snapshot.der())?;
    let linted = lint(planned, plan, facts, now)?;
    // What is signed is mostly a SHA-256; it is not made twice.
    let tbs_sha256 = linted.digest().try_into().unwrap_or_else(|_| {
        let mut octets = [0; 32];
        let digest = digest::digest(&digest::SHA256, linted.tbs_der());
        octets.copy_from_slice(digest.as_ref());
        octets
    });
    Ok((linted, tbs_sha256))
}
