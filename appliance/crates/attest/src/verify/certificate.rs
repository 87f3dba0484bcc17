//! The signer's certificate: its chain, its purpose, its time, its names.

use model::Timestamp;
use pki::certificate::Certificate;
use pki::chain::Chain;
use pki::path::{PathError, PathQuestion, find_path};
use pki::profile::{ExtendedKeyUsage, KeyUsage};

use super::Case;
use super::policy::matches;
use super::report::{Check, CheckName, Checks};
use super::revocation::judge_revocation;
use crate::trusted_root::TrustedRoot;

/// What leads to trusted roots at a time.
struct Ways {
    /// Where paths may end.
    roots: Vec<Certificate>,
    /// What they may go through.
    intermediates: Vec<Certificate>,
}

impl Ways {
    /// Collects what the trusted root and the evidence have.
    fn at(trust: &TrustedRoot, given: &[Certificate], at: Timestamp) -> Self {
        let (mut roots, mut intermediates) = (Vec::new(), Vec::new());
        for authority in &trust.certificate_authorities {
            if authority.valid_for.contains(at) {
                let (ends, between) = authority.anchors();
                roots.extend(ends);
                intermediates.extend(between);
            }
        }
        intermediates.extend_from_slice(given);
        Self {
            roots,
            intermediates,
        }
    }

    /// Finds a path.
    fn find(
        &self,
        leaf: &Certificate,
        at: Timestamp,
        purpose: Option<ExtendedKeyUsage>,
    ) -> Result<Chain, PathError> {
        let question = PathQuestion {
            intermediates: &self.intermediates,
            roots: &self.roots,
            at,
            purpose,
        };
        find_path(leaf, &question)
    }
}

/// Judges everything about the signer's certificate.
pub(super) fn judge_certificate(
    case: &Case<'_>,
    signed_at: Option<Timestamp>,
    checks: &mut Checks,
) {
    let leaf = &case.parts.leaf;
    // Without a time that counts the chain is judged at the certificate's own first
    // second, and its validity fails by itself.
    let at = signed_at.unwrap_or(leaf.not_before());
    let ways = Ways::at(case.verification.trust, &case.parts.others, at);
    let found = ways.find(leaf, at, None);
    let chain = judge_chain(&ways, leaf, &found, checks);
    judge_validity(leaf, chain.as_ref(), signed_at, checks);
    judge_purpose(&ways, leaf, at, checks);
    judge_revocation(case, chain.as_ref(), signed_at, checks);
    super::sct::judge_sct(case, chain.as_ref(), checks);
    judge_identity(case, checks);
    judge_issuer(case, checks);
}

/// Judges whether a path leads to a trusted root, and returns it.
fn judge_chain(
    ways: &Ways,
    leaf: &Certificate,
    found: &Result<Chain, PathError>,
    checks: &mut Checks,
) -> Option<Chain> {
    let check = Check::new(CheckName::CertificateChain)
        .expected("a path from the signer's certificate to a trusted root");
    let at_first = match found {
        // A path of which one certificate has ended is a path; that is the next check's.
        Err(PathError::NotValid { .. }) => ways.find(leaf, leaf.not_before(), None).ok(),
        Ok(_) | Err(_) => None,
    };
    let chain = found.as_ref().ok().cloned().or(at_first);
    checks.push(match (&chain, found) {
        (Some(chain), _) => check.passed(describe(chain)),
        (None, Err(error)) => check.failed(error),
        (None, Ok(_)) => check.failed("no chain"),
    });
    chain
}

/// Names a chain's certificates, the leaf left out.
fn describe(chain: &Chain) -> String {
    let above: Vec<String> = chain
        .certificates()
        .iter()
        .skip(1)
        .map(|certificate| certificate.subject().to_string())
        .collect();
    format!("issued by {}", above.join(", by "))
}

/// Judges whether every certificate was valid when the signature was made.
fn judge_validity(
    leaf: &Certificate,
    chain: Option<&Chain>,
    signed_at: Option<Timestamp>,
    checks: &mut Checks,
) {
    let check = Check::new(CheckName::CertificateValidity);
    let Some(at) = signed_at else {
        checks.push(
            check
                .expected("certificates that were valid when the signature was made")
                .failed("nobody trusted says when that was"),
        );
        return;
    };
    let certificates = chain.map_or(std::slice::from_ref(leaf), Chain::certificates);
    let outside = certificates
        .iter()
        .find(|certificate| !(certificate.not_before() <= at && at <= certificate.not_after()));
    let certificate = outside.unwrap_or(leaf);
    let actual = format!(
        "{} to {}",
        certificate.not_before(),
        certificate.not_after()
    );
    let check = check.expected(format_args!("certificates that were valid at {at}"));
    checks.push(match outside {
        None => check.passed(actual),
        Some(certificate) => {
            let subject = certificate.subject().to_string();
            check.failed(format_args!("{actual}: {subject}"))
        }
    });
}

/// Judges whether the certificate is for signing code.
fn judge_purpose(ways: &Ways, leaf: &Certificate, at: Timestamp, checks: &mut Checks) {
    let check = Check::new(CheckName::CertificatePurpose)
        .expected("digitalSignature and the extended key usage codeSigning");
    let extensions = leaf.extensions();
    let signs = extensions
        .key_usage
        .is_some_and(|usages| usages.contains(KeyUsage::DigitalSignature));
    let for_code = extensions
        .extended_key_usages
        .contains(&ExtendedKeyUsage::CODE_SIGNING);
    // An authority whose own usages leave signing code out cannot give it.
    let withheld = matches!(
        ways.find(leaf, at, Some(ExtendedKeyUsage::CODE_SIGNING)),
        Err(PathError::Purpose { place, .. }) if place > 0
    );
    let is_ca = extensions
        .basic_constraints
        .is_some_and(|constraints| constraints.ca);
    let usages: Vec<String> = extensions
        .extended_key_usages
        .iter()
        .map(ToString::to_string)
        .collect();
    checks.push(if is_ca {
        check.failed("a certificate of an authority")
    } else if !signs {
        check.failed("no key usage digitalSignature")
    } else if withheld {
        check.failed("an authority above the certificate is not for signing code")
    } else {
        check.holds(for_code, usages.join(", "))
    });
}

/// Judges whether the signer is one of those asked for.
fn judge_identity(case: &Case<'_>, checks: &mut Checks) {
    let wanted = &case.verification.policy.identities;
    let names: Vec<String> = case
        .parts
        .leaf
        .extensions()
        .names
        .iter()
        .map(|name| name.value())
        .collect();
    let check = Check::new(CheckName::Identity);
    checks.push(if wanted.is_empty() {
        check.skipped(format_args!(
            "nobody was asked for; signed by {}",
            names.join(", ")
        ))
    } else {
        let known = names
            .iter()
            .any(|name| wanted.iter().any(|pattern| matches(pattern, name)));
        check
            .expected(wanted.join(" or "))
            .holds(known, names.join(", "))
    });
}

/// Judges who vouches for the signer.
fn judge_issuer(case: &Case<'_>, checks: &mut Checks) {
    let leaf = &case.parts.leaf;
    let authority = leaf.issuer().to_string();
    let actual = match &leaf.extensions().forge {
        Some(claims) => format!("{}, certified by {authority}", claims.issuer()),
        None => authority.clone(),
    };
    let check = Check::new(CheckName::Issuer);
    checks.push(match &case.verification.policy.issuer {
        None => check.skipped(format_args!("nobody was asked for; it is {actual}")),
        Some(wanted) => {
            let claimed = leaf.extensions().forge.as_ref();
            let known = *wanted == authority
                || claimed.is_some_and(|claims| claims.issuer() == wanted.as_str());
            check.expected(wanted).holds(known, actual)
        }
    });
}
