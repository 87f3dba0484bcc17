//! Which times trusted authorities vouch for.

use model::Timestamp;
use pki::certificate::Certificate;
use pki::cms::CmsRefused;
use pki::timestamp::{
    Stamped, TimeStampRefused, TokenQuestion, VerifiedTimeStamp, verify_response, verify_token,
};

use super::report::{Check, CheckName, Checks};
use super::revocation::{Found, look_up};
use super::{Case, TimePolicy};
use crate::trusted_root::Authority;

/// What came of one time-stamp.
enum Stamp {
    /// A trusted authority's.
    Verified(Box<VerifiedTimeStamp>),
    /// Of an authority that nobody trusts.
    Unknown(TimeStampRefused),
    /// Not what it should be.
    Refused(String),
}

/// Verifies every time-stamp, and judges whether there are as many as asked for.
pub(super) fn judge_times(case: &Case<'_>, checks: &mut Checks) -> Vec<VerifiedTimeStamp> {
    let wanted = case.verification.policy.time_stamps;
    let mut verified: Vec<VerifiedTimeStamp> = Vec::new();
    let (mut unknown, mut refused) = (None, None);
    for der in &case.parts.time_stamps {
        match verify_one(case, der) {
            Stamp::Verified(stamp) => {
                // One authority counts once, however often it stamped.
                let authority = |stamp: &VerifiedTimeStamp| {
                    stamp
                        .chain
                        .certificates()
                        .first()
                        .map(Certificate::fingerprint)
                };
                if !verified
                    .iter()
                    .any(|known| authority(known) == authority(&stamp))
                {
                    verified.push(*stamp);
                }
            }
            Stamp::Unknown(error) => unknown = Some(error),
            Stamp::Refused(why) => refused = Some(why),
        }
    }
    let check = Check::new(CheckName::TimeStamp).expected(format_args!(
        "time-stamps over the signature by {wanted} trusted authorities"
    ));
    let enough = verified.len() >= wanted as usize;
    let times: Vec<String> = verified
        .iter()
        .map(|stamp| stamp.gen_time.to_string())
        .collect();
    checks.push(match (refused, unknown) {
        (Some(why), _) => check.failed(why),
        (None, Some(error)) if !enough => check.failed(error),
        (None, None) if case.parts.time_stamps.is_empty() => {
            if enough {
                check.skipped("there is none, and none is asked for")
            } else {
                check.failed("none")
            }
        }
        (None, _) if verified.is_empty() => {
            check.skipped("none is by a trusted authority, and none is asked for")
        }
        (None, _) => check.holds(enough, times.join(", ")),
    });
    verified
}

/// Verifies one time-stamp with each authority, one after the other.
fn verify_one(case: &Case<'_>, der: &[u8]) -> Stamp {
    let mut stopped = None;
    for authority in &case.verification.trust.time_stamp_authorities {
        match with_authority(case, der, authority) {
            Stamp::Unknown(error) => stopped = Some(error),
            came @ (Stamp::Verified(_) | Stamp::Refused(_)) => return came,
        }
    }
    match stopped {
        Some(error) => Stamp::Unknown(error),
        None => Stamp::Unknown(TimeStampRefused::Signature(CmsRefused::NoSigner)),
    }
}

/// Verifies one time-stamp with one authority.
fn with_authority(case: &Case<'_>, der: &[u8], authority: &Authority) -> Stamp {
    let (roots, intermediates) = authority.anchors();
    let question = TokenQuestion {
        stamped: Stamped::Message(case.parts.signature),
        nonce: None,
        policy: None,
        intermediates: &intermediates,
        roots: &roots,
    };
    let verified = match verify_response(der, &question) {
        // A token without the response around it is taken as well.
        Err(TimeStampRefused::Response(_)) => verify_token(der, &question),
        verified => verified,
    };
    let stamp = match verified {
        Ok(stamp) => stamp,
        Err(error) => return sort_out(error),
    };
    if !authority.valid_for.contains(stamp.gen_time) {
        return Stamp::Refused(format!(
            "stamped at {}, when its authority is not trusted",
            stamp.gen_time
        ));
    }
    match look_up(case, &stamp.chain) {
        Found::Revoked { at, reason, .. } if at <= stamp.gen_time || !reason.keeps_tokens() => {
            Stamp::Refused(format!(
                "the time-stamping authority's certificate was revoked at {at}: {reason}"
            ))
        }
        Found::Revoked { .. } | Found::Good | Found::NoList | Found::Stale { .. } => {
            Stamp::Verified(Box::new(stamp))
        }
    }
}

/// Tells a time-stamp that nobody here can judge from one that is wrong.
fn sort_out(error: TimeStampRefused) -> Stamp {
    match error {
        TimeStampRefused::Signature(CmsRefused::NoSigner | CmsRefused::Path(_)) => {
            Stamp::Unknown(error)
        }
        wrong => Stamp::Refused(wrong.to_string()),
    }
}

/// RFC 3161, 4: for which reasons tokens from before a revocation stay valid.
trait KeepsTokens {
    /// Whether they do.
    fn keeps_tokens(&self) -> bool;
}

impl KeepsTokens for model::RevocationReason {
    fn keeps_tokens(&self) -> bool {
        // "If the reasonCode extension ... has the value unspecified (0),
        // affiliationChanged (3), superseded (4) or cessationOfOperation (5)".
        match self {
            Self::Unspecified
            | Self::AffiliationChanged
            | Self::Superseded
            | Self::CessationOfOperation => true,
            Self::KeyCompromise
            | Self::CaCompromise
            | Self::CertificateHold
            | Self::RemoveFromCrl
            | Self::PrivilegeWithdrawn
            | Self::AaCompromise => false,
        }
    }
}

/// Returns the time at which certificates must have been valid; none if nobody trusted
/// vouches for one and the reader's own does not count.
pub(super) fn signed_at(case: &Case<'_>, times: &[VerifiedTimeStamp]) -> Option<Timestamp> {
    let stamped = times.iter().map(|stamp| stamp.gen_time).min();
    match case.verification.policy.time {
        TimePolicy::TimeStamp => stamped,
        TimePolicy::TimeStampOrNow => Some(stamped.unwrap_or(case.verification.now)),
    }
}
