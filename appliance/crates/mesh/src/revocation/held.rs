//! What is held of one CRL, and what is taken in its place (RFC 5280, 6.3.3).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::{IssuerId, RevocationReason, SerialNumber};
use pki::certificate::Certificate;
use pki::crl::{CoveredKinds, Crl, CrlError, CrlNumber, CrlRefused, IssuingPoint};

use super::checker::WatchedRole;
use super::serials::SerialSet;
use crate::ca_client::CrlScope;

/// A complete CRL of an authority or a shard, and the delta that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The complete CRL.
    pub(crate) complete: Complete,
    /// What changed since, where deltas are followed.
    pub(crate) delta: Option<Delta>,
}

/// When a CRL was issued, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    /// Its number (RFC 5280, 5.2.3).
    pub(crate) number: CrlNumber,
    /// When it was issued.
    pub(crate) this_update: Timestamp,
    /// When the next one is there at the latest.
    pub(crate) next_update: Timestamp,
}

/// A complete CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complete {
    /// When it was issued.
    pub(crate) issue: Issue,
    /// Whom it names, on hold or for good.
    pub(crate) revoked: Arc<SerialSet>,
}

/// A delta CRL (RFC 5280, 5.2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delta {
    /// When it was issued.
    pub(crate) issue: Issue,
    /// The complete CRL that it starts from.
    pub(crate) base: CrlNumber,
    /// Whom it names besides.
    pub(crate) revoked: SerialSet,
    /// Whom it releases from hold.
    pub(crate) released: SerialSet,
}

/// Why a CRL is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlRejected {
    /// It is no CRL in DER.
    #[error("it is no CRL that can be used")]
    Malformed(#[from] CrlError),
    /// It is not this authority's, its signature is wrong, or it comes from the
    /// future or never ends.
    #[error("it cannot be trusted")]
    Untrusted(#[from] CrlRefused),
    /// RFC 5280, 5.2.3: every CRL has a number.
    #[error("it has no CRL number")]
    NoNumber,
    /// A complete one came for a delta, or a delta for a complete one.
    #[error("it is {given}, not {wanted}")]
    Kind {
        /// What was asked for.
        wanted: &'static str,
        /// What came.
        given: &'static str,
    },
    /// It covers other certificates than those asked about.
    #[error("it does not cover the certificates of {wanted}")]
    Scope {
        /// The file name that its issuing distribution point should end with.
        wanted: String,
    },
    /// It is older than the one that is held.
    #[error("its number {offered} is below {held}, which is held already")]
    NumberWentBack {
        /// The number that is held.
        held: CrlNumber,
        /// Its number.
        offered: CrlNumber,
    },
    /// Two CRLs of the same number.
    #[error("its number {number} is held already, issued at another time")]
    NumberReused {
        /// The number.
        number: CrlNumber,
    },
    /// A delta that starts after the complete CRL that is held.
    #[error("it starts from number {base}, and the complete one that is held is {held}")]
    BaseNotHeld {
        /// What it starts from.
        base: CrlNumber,
        /// What is held.
        held: CrlNumber,
    },
}

/// What a CRL is held against before it is taken.
#[derive(Debug)]
pub(crate) struct Expectation<'a> {
    /// The authority's name, as URLs have it.
    pub(crate) issuer: &'a IssuerId,
    /// Its certificate.
    pub(crate) certificate: &'a Certificate,
    /// Whom it certifies.
    pub(crate) role: WatchedRole,
    /// Which CRL was asked for.
    pub(crate) scope: CrlScope,
    /// The time.
    pub(crate) now: Timestamp,
    /// How far the CA's clock may be ahead.
    pub(crate) max_skew: Duration,
}

/// What became of an acceptable CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is newer: this is held from now on.
    Newer(Held),
    /// It says nothing that is not held.
    Same,
}

impl Held {
    /// Tells whether a serial number is revoked, as far as is known.
    pub(crate) fn names(&self, serial: &SerialNumber) -> bool {
        if let Some(delta) = &self.delta {
            if delta.revoked.contains(serial) {
                return true;
            }
            if delta.released.contains(serial) {
                return false;
            }
        }
        self.complete.revoked.contains(serial)
    }

    /// Returns the last moment at which it is fresh.
    ///
    /// RFC 5280, 5.2.4: complete and delta together count as a complete CRL with
    /// the times of the delta; the complete one alone keeps its own.
    pub(crate) fn fresh_until(&self) -> Timestamp {
        let complete = self.complete.issue.next_update;
        self.delta
            .as_ref()
            .map_or(complete, |delta| delta.issue.next_update.max(complete))
    }

    /// Returns when the newer of its CRLs was issued.
    pub(crate) fn newest(&self) -> &Issue {
        match &self.delta {
            Some(delta) if delta.issue.number > self.complete.issue.number => &delta.issue,
            _ => &self.complete.issue,
        }
    }

    /// Counts the entries of both.
    pub(crate) fn entries(&self) -> usize {
        let delta = self.delta.as_ref();
        self.complete.revoked.len() + delta.map_or(0, |delta| delta.revoked.len())
    }
}

/// Verifies a CRL and takes it, if it is newer than what is held.
///
/// A CRL past its next update is taken as well: what it names is revoked, and
/// freshness is asked at every admission. Bytes are hostile: never panics; costs
/// 20 octets of memory for each entry.
///
/// # Errors
///
/// Whatever keeps it from being trusted; what is held stays.
pub(crate) fn take(
    held: Option<&Held>,
    der: &[u8],
    wanted: &Expectation<'_>,
) -> Result<Taken, CrlRejected> {
    let crl = Crl::parse(der)?;
    crl.verify_issued_by(wanted.certificate)?;
    let issue = Issue {
        number: crl.number().ok_or(CrlRejected::NoNumber)?,
        this_update: crl.this_update(),
        // RFC 5280, 5.1.2.5: every CRL says when the next one comes.
        next_update: crl.next_update().ok_or(CrlRefused::Endless)?,
    };
    let this_update = issue.this_update;
    if is_ahead(this_update, wanted.now, wanted.max_skew) {
        return Err(CrlRefused::NotYet { this_update }.into());
    }
    check_scope(crl.issuing_point(), wanted)?;
    match (wanted.scope, crl.delta_base()) {
        (CrlScope::Full | CrlScope::Shard(_), None) => take_complete(held, &crl, issue),
        (CrlScope::Delta, Some(base)) => take_delta(held, &crl, issue, base),
        (CrlScope::Full | CrlScope::Shard(_), Some(_)) => Err(CrlRejected::Kind {
            wanted: COMPLETE,
            given: DELTA,
        }),
        (CrlScope::Delta, None) => Err(CrlRejected::Kind {
            wanted: DELTA,
            given: COMPLETE,
        }),
    }
}

/// Tells whether a moment lies in the future, by more than clocks may differ.
pub(crate) fn is_ahead(moment: Timestamp, now: Timestamp, max_skew: Duration) -> bool {
    Duration::try_from(moment.duration_since(now)).is_ok_and(|ahead| ahead > max_skew)
}

/// A CRL of all that is revoked.
const COMPLETE: &str = "a complete CRL";

/// A CRL of what changed.
const DELTA: &str = "a delta CRL";

/// Takes a complete CRL; a delta that still goes with it stays.
fn take_complete(held: Option<&Held>, crl: &Crl<'_>, issue: Issue) -> Result<Taken, CrlRejected> {
    if let Some(held) = held
        && is_same(&held.complete.issue, &issue)?
    {
        return Ok(Taken::Same);
    }
    // RFC 5280, 5.2.4 (c), (d): base at most the complete CRL's number, which is
    // less than the delta's.
    let delta = held
        .and_then(|held| held.delta.as_ref())
        .filter(|delta| delta.base <= issue.number && issue.number < delta.issue.number);
    Ok(Taken::Newer(Held {
        delta: delta.cloned(),
        complete: Complete {
            issue,
            revoked: Arc::new(SerialSet::collect(
                crl.len(),
                crl.entries().map(|entry| entry.serial()),
            )),
        },
    }))
}

/// Takes a delta CRL for the complete one that is held.
fn take_delta(
    held: Option<&Held>,
    crl: &Crl<'_>,
    issue: Issue,
    base: CrlNumber,
) -> Result<Taken, CrlRejected> {
    let Some(held) = held else {
        return Err(CrlRejected::BaseNotHeld {
            base,
            held: CrlNumber::from(0),
        });
    };
    let complete = &held.complete.issue.number;
    if base > *complete {
        return Err(CrlRejected::BaseNotHeld {
            base,
            held: *complete,
        });
    }
    if let Some(delta) = &held.delta
        && is_same(&delta.issue, &issue)?
    {
        return Ok(Taken::Same);
    }
    // RFC 5280, 5.2.3: a complete CRL of the same number says the same, one of a
    // larger number more.
    if issue.number <= *complete {
        return Ok(Taken::Same);
    }
    let released = |reason| reason == RevocationReason::RemoveFromCrl;
    let entries = || crl.entries().map(|entry| (entry.serial(), entry.reason()));
    let revoked = entries().filter(|(_, reason)| !released(*reason));
    let removed = entries().filter(|(_, reason)| released(*reason));
    Ok(Taken::Newer(Held {
        complete: held.complete.clone(),
        delta: Some(Delta {
            issue,
            base,
            revoked: SerialSet::collect(crl.len(), revoked.map(|(serial, _)| serial)),
            released: SerialSet::collect(0, removed.map(|(serial, _)| serial)),
        }),
    }))
}

/// Tells whether a CRL is the one that is held, or refuses what went back.
fn is_same(held: &Issue, offered: &Issue) -> Result<bool, CrlRejected> {
    // RFC 5280, 5.2.3: numbers increase monotonically.
    if offered.number < held.number {
        return Err(CrlRejected::NumberWentBack {
            held: held.number,
            offered: offered.number,
        });
    }
    if offered.number > held.number {
        return Ok(false);
    }
    if offered.this_update == held.this_update {
        Ok(true)
    } else {
        Err(CrlRejected::NumberReused {
            number: held.number,
        })
    }
}

/// Checks that a CRL covers what it was asked for.
///
/// RFC 5280, 5.2.5: a CRL without an issuing distribution point covers
/// everything of its issuer. Shards say which they are, by the file name that
/// they are distributed under.
fn check_scope(point: Option<&IssuingPoint>, wanted: &Expectation<'_>) -> Result<(), CrlRejected> {
    let issuer = wanted.issuer;
    let file = match wanted.scope {
        CrlScope::Full | CrlScope::Delta => format!("/{issuer}.crl"),
        CrlScope::Shard(shard) => format!("/{issuer}-{shard}.crl"),
    };
    let covered = match point {
        None => matches!(wanted.scope, CrlScope::Full | CrlScope::Delta),
        Some(point) => {
            let named = point.urls.is_empty() && !matches!(wanted.scope, CrlScope::Shard(_))
                || point.urls.iter().any(|url| url.ends_with(&file));
            let kind = match wanted.role {
                WatchedRole::Clients => CoveredKinds::UserCertificates,
                WatchedRole::Authorities => CoveredKinds::CaCertificates,
            };
            named && (point.only == CoveredKinds::All || point.only == kind)
        }
    };
    if covered {
        Ok(())
    } else {
        Err(CrlRejected::Scope { wanted: file })
    }
}

#[cfg(test)]
mod tests;
