//! Whether certificates were revoked, as far as lists that were given tell.

use model::{RevocationReason, Timestamp};
use pki::certificate::Certificate;
use pki::chain::Chain;
use pki::crl::Crl;

use super::report::{Check, CheckName, Checks};
use super::{Case, RevocationPolicy};

/// What lists say of a chain.
pub(super) enum Found {
    /// Current lists, and nothing on them.
    Good,
    /// A certificate is on a list.
    Revoked {
        /// When it was revoked, or when its key was no longer its owner's alone.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
        /// Whose, RFC 4514.
        subject: String,
    },
    /// Nothing on them, but one is not current.
    Stale {
        /// When the next one was due.
        due: Timestamp,
    },
    /// No list of one of the authorities.
    NoList,
}

/// Looks every certificate of a chain up, the root left out.
pub(super) fn look_up(case: &Case<'_>, chain: &Chain) -> Found {
    let (mut missing, mut stale) = (false, None);
    for pair in chain.certificates().windows(2) {
        let [certificate, issuer] = pair else {
            continue;
        };
        match look_up_one(case, certificate, issuer) {
            revoked @ Found::Revoked { .. } => return revoked,
            Found::Stale { due } => stale = Some(due),
            Found::NoList => missing = true,
            Found::Good => {}
        }
    }
    match (missing, stale) {
        (true, _) => Found::NoList,
        (false, Some(due)) => Found::Stale { due },
        (false, None) => Found::Good,
    }
}

/// Looks one certificate up on every list of its issuer's.
fn look_up_one(case: &Case<'_>, certificate: &Certificate, issuer: &Certificate) -> Found {
    let mut found = Found::NoList;
    for crl in case.crls {
        if !covers(crl, certificate, issuer) {
            continue;
        }
        if let Some(entry) = crl.find(certificate.serial())
            && entry.reason() != RevocationReason::RemoveFromCrl
        {
            // RFC 5280, 5.3.2: the key may have been compromised before it was revoked.
            let since = entry.invalidity_date().unwrap_or(entry.revoked_at());
            return Found::Revoked {
                at: since.min(entry.revoked_at()),
                reason: entry.reason(),
                subject: certificate.subject().to_string(),
            };
        }
        let stale = crl.next_update().filter(|due| *due < case.verification.now);
        found = match (stale, found) {
            (None, _) => Found::Good,
            (Some(_), Found::Good) => Found::Good,
            (Some(due), _) => Found::Stale { due },
        };
    }
    found
}

/// Tells whether a list is the issuer's and speaks of a certificate.
fn covers(crl: &Crl<'_>, certificate: &Certificate, issuer: &Certificate) -> bool {
    if crl.issuer_der() != issuer.subject_der()
        || crl.delta_base().is_some()
        || crl.verify_signed_by(issuer.public_key()).is_err()
    {
        return false;
    }
    // Certificates may leave the list when they have ended, unless it says since when
    // they stay (X.509, 9.5.2.3): what is not on such a list says nothing.
    let stays = crl
        .expired_certs_on_crl()
        .is_some_and(|since| since <= certificate.not_after());
    if certificate.not_after() < crl.this_update() && !stays {
        return crl.find(certificate.serial()).is_some();
    }
    let is_ca = certificate
        .extensions()
        .basic_constraints
        .is_some_and(|constraints| constraints.ca);
    crl.issuing_point().is_none_or(|point| {
        let kinds = match point.only {
            pki::crl::CoveredKinds::All => true,
            pki::crl::CoveredKinds::UserCertificates => !is_ca,
            pki::crl::CoveredKinds::CaCertificates => is_ca,
        };
        // RFC 5280, 6.3.3 (b)(2)(i): one of the names is one of the certificate's.
        let named = &certificate.extensions().crl;
        kinds && (point.urls.is_empty() || point.urls.iter().any(|url| named.contains(url)))
    })
}

/// Judges whether the signer was revoked before the signature was made.
pub(super) fn judge_revocation(
    case: &Case<'_>,
    chain: Option<&Chain>,
    signed_at: Option<Timestamp>,
    checks: &mut Checks,
) {
    let check = Check::new(CheckName::Revocation)
        .expected("no certificate revoked before the signature was made");
    let required = match case.verification.policy.revocation {
        RevocationPolicy::Required => true,
        RevocationPolicy::WhenGiven => false,
    };
    let Some(chain) = chain else {
        checks.push(if required {
            check.failed("nobody knows whose list to look at: there is no chain")
        } else {
            check.skipped("nobody knows whose list to look at: there is no chain")
        });
        return;
    };
    checks.push(match look_up(case, chain) {
        Found::Good => check.passed("on no list"),
        Found::Revoked {
            at,
            reason,
            subject,
        } => {
            let actual = format!("{subject} revoked as of {at}: {reason}");
            match signed_at {
                Some(signed) if signed < at && reason != RevocationReason::CertificateHold => check
                    .passed(actual)
                    .note(format_args!("the signature was made before, at {signed}")),
                Some(_) | None => check.failed(actual),
            }
        }
        Found::Stale { due } => {
            let why = format!("a revocation list that ended at {due}");
            if required {
                check.failed(why)
            } else {
                check.skipped(format_args!("on no list, but there is {why}"))
            }
        }
        Found::NoList if required => check.failed("no list of each authority was given"),
        Found::NoList => check.skipped("no list of each authority was given"),
    });
}
