//! Revocations, as the CA gives and gets them.
//!
//! ```text
//!             hold                 reason
//!  counts ───────────▶ on hold ──────────────▶ revoked
//!    ▲ │                 │                       ▲
//!    │ └─────────────────┼────── reason ─────────┘
//!    └── removeFromCRL ──┘
//! ```

use model::{Identity, IssuerId, RequestId, RevocationReason, SerialNumber, Timestamp};

/// What a caller wants done about a certificate of this store's journal.
///
/// [`RevocationReason::CertificateHold`] puts it on hold, another reason revokes
/// it for good, also from hold; [`RevocationReason::RemoveFromCrl`] releases it
/// from hold. Times are kept to the microsecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The certificate, or the intent: what was about to be signed counts too.
    pub serial: SerialNumber,
    /// What is done, and why.
    pub reason: RevocationReason,
    /// From when on it no longer counts: the revocationDate of a CRL's entry,
    /// unless it was on hold before.
    pub revoked_at: Timestamp,
    /// From when on its key is known or suspected to be compromised (RFC 5280, 5.3.2).
    pub invalidity_date: Option<Timestamp>,
    /// The peer that asked; none for the CA itself.
    pub requester: Option<Identity>,
    /// The request it came with.
    pub request_id: RequestId,
    /// When it is recorded.
    pub recorded_at: Timestamp,
}

/// A revocation taken over from elsewhere, of a certificate that may not be in
/// this store's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignRevocation {
    /// Whose certificate it is: one of our authorities.
    pub issuer: IssuerId,
    /// End of its validity, where known; without it the entry never expires.
    pub not_after: Option<Timestamp>,
    /// The rest.
    pub revocation: Revocation,
}

/// A revocation on its way into the journal, with what it says of its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevocationAct {
    /// Whose certificate it is.
    pub(crate) issuer: IssuerId,
    /// The record's number; none for a foreign certificate.
    pub(crate) record: Option<u64>,
    /// End of its validity, where known.
    pub(crate) not_after: Option<Timestamp>,
    /// What is done.
    pub(crate) revocation: Revocation,
}

/// Whether a serial number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does.
    Counts,
    /// It does not for now.
    OnHold,
    /// It never will again.
    Revoked,
}

/// Why a step cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is revoked, or on hold and to be put on hold.
    Already,
    /// It is to be released and not on hold.
    NotOnHold,
}

impl Standing {
    /// Returns where a step for this reason leads; the diagram above.
    ///
    /// # Errors
    ///
    /// `Already` and `NotOnHold`, as they say.
    pub(crate) fn apply(self, reason: RevocationReason) -> Result<Self, Refused> {
        let next = Self::after(reason);
        match (self, next) {
            (Self::Counts, Self::OnHold | Self::Revoked)
            | (Self::OnHold, Self::Counts | Self::Revoked) => Ok(next),
            (Self::Counts | Self::Revoked, Self::Counts) => Err(Refused::NotOnHold),
            (Self::OnHold, Self::OnHold) | (Self::Revoked, Self::OnHold | Self::Revoked) => {
                Err(Refused::Already)
            }
        }
    }

    /// Returns where the last step led, given its reason.
    pub(crate) const fn after(reason: RevocationReason) -> Self {
        match reason {
            RevocationReason::CertificateHold => Self::OnHold,
            RevocationReason::RemoveFromCrl => Self::Counts,
            RevocationReason::Unspecified
            | RevocationReason::KeyCompromise
            | RevocationReason::CaCompromise
            | RevocationReason::AffiliationChanged
            | RevocationReason::Superseded
            | RevocationReason::CessationOfOperation
            | RevocationReason::PrivilegeWithdrawn
            | RevocationReason::AaCompromise => Self::Revoked,
        }
    }
}

/// One recorded step of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationStep {
    /// The act's place in the order of all acts.
    pub sequence: u64,
    /// What was done, and why.
    pub reason: RevocationReason,
    /// The time it was to count from.
    pub revoked_at: Timestamp,
    /// The invalidity date given with it.
    pub invalidity_date: Option<Timestamp>,
    /// The peer that asked; none for the CA itself.
    pub requester: Option<Identity>,
    /// The request it came with.
    pub request_id: RequestId,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// Everything recorded about one revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationRecord {
    /// Whose certificate it is.
    pub issuer: IssuerId,
    /// What counts now.
    pub current: Revoked,
    /// Every step, oldest first, the one that made it current last; never empty.
    pub history: Vec<RevocationStep>,
}

/// What counts now about a serial number that was ever revoked: all that a CRL
/// or an OCSP answer says, in compact form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The serial number.
    pub serial: SerialNumber,
    /// The act that made it so, in the order of all acts: of two about the same
    /// serial number the larger one counts.
    pub sequence: u64,
    /// Why; [`RevocationReason::RemoveFromCrl`] where it was released from hold,
    /// hence counts again.
    pub reason: RevocationReason,
    /// The revocationDate. X.509, 8.5.2.2: a certificate revoked from hold keeps
    /// the date on which it was put on hold. For a released one, when it was.
    pub revoked_at: Timestamp,
    /// From when on its key is known or suspected to be compromised.
    pub invalidity_date: Option<Timestamp>,
    /// End of its validity; none where a foreign one's is not known.
    pub not_after: Option<Timestamp>,
}

impl Revoked {
    /// Whether it is revoked now, holds included.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        Standing::after(self.reason) != Standing::Counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standing_takes_every_step_as_drawn() {
        use RevocationReason as Reason;
        use Standing::{Counts, OnHold, Revoked};
        for reason in Reason::ALL {
            let expected = match reason {
                Reason::CertificateHold => {
                    [Ok(OnHold), Err(Refused::Already), Err(Refused::Already)]
                }
                Reason::RemoveFromCrl => {
                    [Err(Refused::NotOnHold), Ok(Counts), Err(Refused::NotOnHold)]
                }
                _ => [Ok(Revoked), Ok(Revoked), Err(Refused::Already)],
            };
            let found = [Counts, OnHold, Revoked].map(|standing| standing.apply(reason));
            assert_eq!(found, expected, "{reason}");
        }
    }
}
