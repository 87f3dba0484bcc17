//! What is about to be signed, read again and judged.
//!
//! The lints know nothing of the planner: they read the encoded TBSCertificate
//! and hold it to RFC 5280, to the profile's promises and to DER. Only what
//! passes all of them becomes a [`LintedTbs`], and only that can be signed.

pub(crate) mod encoding;
mod rules;

use std::fmt;

use model::Timestamp;

use crate::algorithm::{HashAlgorithm, SignatureAlgorithm};
use crate::certificate::{CertificateError, CertificateFacts, IssuedCertificate, Tbs};
use crate::encode;
use crate::issuer::IssuerFacts;
use crate::name::DistinguishedName;
use crate::profile::{PlannedCertificate, Profile};
use crate::public_key::KeyType;
use crate::sct;
use crate::tlv::{self, Malformed};

pub use rules::Lint;

/// Defines lints, each with its name and where it comes from.
macro_rules! define_lints {
    ($(#[$doc:meta])* $lint:ident; $($(#[$one:meta])* $variant:ident = $name:literal, $source:literal;)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $lint {
            $($(#[$one])* $variant,)+
        }

        impl $lint {
            /// Every lint.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the lint's stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns where the rule stands.
            #[must_use]
            pub const fn source(self) -> &'static str {
                match self { $(Self::$variant => $source,)+ }
            }
        }

        impl std::fmt::Display for $lint {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} ({})", self.name(), self.source())
            }
        }
    };
}

pub(crate) use define_lints;

/// One lint that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub lint: Lint,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lint.fmt(f)
    }
}

/// Why a certificate is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LintFindings {
    /// The bytes are no DER.
    #[error("the certificate to be signed is not DER: {0}")]
    Encoding(#[from] Malformed),
    /// The bytes are no TBSCertificate.
    #[error("the certificate to be signed cannot be read back: {0}")]
    Unreadable(#[from] CertificateError),
    /// Rules that are broken.
    #[error("the certificate to be signed breaks {}", sentence(.0))]
    Broken(Vec<Finding>),
}

impl LintFindings {
    /// Returns the rules that are broken, if the bytes could be read at all.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Broken(findings) => findings,
            Self::Encoding(_) | Self::Unreadable(_) => &[],
        }
    }
}

/// Joins findings.
fn sentence(findings: &[Finding]) -> String {
    let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// What the lints look at.
pub(crate) struct Subject<'a> {
    /// The TBSCertificate, read back.
    pub(crate) tbs: &'a Tbs,
    /// Its subject.
    pub(crate) subject: &'a DistinguishedName,
    /// The profile whose promises it must keep.
    pub(crate) profile: &'a Profile,
    /// Who will sign.
    pub(crate) issuer: &'a IssuerFacts,
    /// What was planned beside the bytes: time, identity, CRL, must-staple.
    pub(crate) planned: &'a PlannedCertificate,
    /// What it is to become.
    pub(crate) stage: Stage<'a>,
}

/// What bytes that pass are going to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage<'a> {
    /// What a log sees.
    Precertificate,
    /// A certificate, with the timestamps of what a log saw, if one did.
    Final(Option<&'a LintedPrecertificate>),
}

impl Subject<'_> {
    /// Returns the time of the plan.
    pub(crate) fn now(&self) -> Timestamp {
        self.planned.now
    }
}

/// Judges a planned certificate.
///
/// # Errors
///
/// Every rule it breaks; it can then not be signed.
pub fn lint(
    planned: PlannedCertificate,
    profile: &Profile,
    issuer: &IssuerFacts,
) -> Result<LintedTbs, LintFindings> {
    let facts = judge(&planned, profile, issuer, Stage::Final(None))?;
    Ok(LintedTbs::new(planned, facts, issuer))
}

/// Judges what a log is to see of a certificate before it is signed (RFC 6962, 3.2).
///
/// # Errors
///
/// As [`lint`]; no timestamp may then be given.
pub fn lint_precertificate(
    planned: PlannedCertificate,
    profile: &Profile,
    issuer: &IssuerFacts,
) -> Result<LintedPrecertificate, LintFindings> {
    let facts = judge(&planned, profile, issuer, Stage::Precertificate)?;
    Ok(LintedPrecertificate {
        tbs_der: planned.tbs_der,
        facts,
        issuer_key_hash: issuer.public_key.sha256(),
    })
}

/// Judges a planned certificate with the timestamps of what a log saw.
///
/// # Errors
///
/// As [`lint`]; also where without its timestamps it is not what the log saw.
pub fn lint_timestamped(
    planned: PlannedCertificate,
    precertificate: &LintedPrecertificate,
    profile: &Profile,
    issuer: &IssuerFacts,
) -> Result<LintedTbs, LintFindings> {
    let facts = judge(
        &planned,
        profile,
        issuer,
        Stage::Final(Some(precertificate)),
    )?;
    Ok(LintedTbs::new(planned, facts, issuer))
}

/// Reads bytes back and holds them to every rule.
fn judge(
    planned: &PlannedCertificate,
    profile: &Profile,
    issuer: &IssuerFacts,
    stage: Stage<'_>,
) -> Result<CertificateFacts, LintFindings> {
    encoding::check(&planned.tbs_der)?;
    let tbs = Tbs::parse(&planned.tbs_der)?;
    let subject = DistinguishedName::from_der(&tbs.subject_der).map_err(CertificateError::from)?;
    let findings = rules::check(&Subject {
        tbs: &tbs,
        subject: &subject,
        profile,
        issuer,
        planned,
        stage,
    });
    if !findings.is_empty() {
        return Err(LintFindings::Broken(findings));
    }
    Ok(CertificateFacts::from_tbs(&tbs, &subject))
}

/// What a log is to see of a certificate, having passed every lint: a log key may sign
/// a timestamp for it, and no authority may sign it.
#[derive(Debug)]
pub struct LintedPrecertificate {
    /// The TBSCertificate without timestamps.
    tbs_der: Vec<u8>,
    /// What is recorded about it.
    facts: CertificateFacts,
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    issuer_key_hash: [u8; 32],
}

impl LintedPrecertificate {
    /// Returns the TBSCertificate without timestamps, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.tbs_der
    }

    /// Returns what is recorded about it.
    #[must_use]
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }

    /// Returns the octets that the log's key signs for this time.
    #[must_use]
    pub fn signed_octets(&self, timestamp_ms: u64) -> Vec<u8> {
        sct::signed_octets(&self.issuer_key_hash, &self.tbs_der, timestamp_ms)
    }
}

/// A TBSCertificate that passed every lint: may be signed, once.
///
/// There is no other way to make one, and it cannot be copied.
#[derive(Debug)]
pub struct LintedTbs {
    /// The bytes to be signed.
    tbs_der: Vec<u8>,
    /// What is recorded about them.
    facts: CertificateFacts,
    /// How they will be signed.
    signature_algorithm: SignatureAlgorithm,
    /// The kind of key that signs.
    issuer_key: KeyType,
}

/// Why octets cannot be joined to a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// Not the form the signature algorithm has.
    #[error("the octets are no {algorithm} signature")]
    Form {
        /// The algorithm.
        algorithm: SignatureAlgorithm,
    },
    /// What was assembled does not hold the bytes that were linted.
    #[error("what was assembled does not hold the bytes that were linted")]
    Altered,
}

impl LintedTbs {
    /// Takes what passed.
    fn new(planned: PlannedCertificate, facts: CertificateFacts, issuer: &IssuerFacts) -> Self {
        Self {
            facts,
            signature_algorithm: issuer.signature_algorithm,
            issuer_key: issuer.public_key.key_type(),
            tbs_der: planned.tbs_der,
        }
    }

    /// Returns the bytes to be signed: a TBSCertificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.tbs_der
    }

    /// Returns what is recorded about them.
    #[must_use]
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }

    /// Returns how they are to be signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Joins the bytes and their signature to a certificate.
    ///
    /// The signature's form is checked, not its arithmetic: a `PrivateKey` of the
    /// keystore verifies what it returns. [`crate::certificate::Certificate::verify_signed_by`]
    /// verifies again.
    ///
    /// # Errors
    ///
    /// `Form`, or `Altered` when the bytes in the certificate are not those that
    /// were linted.
    pub fn assemble(self, signature: &[u8]) -> Result<IssuedCertificate, AssembleError> {
        let algorithm = self.signature_algorithm;
        check_form(algorithm, self.issuer_key, signature)?;
        let der = encode::certificate(&self.tbs_der, algorithm, signature);
        let unaltered = tlv::read_only(&der, tlv::SEQUENCE)
            .and_then(|outer| outer.reader().next())
            .is_ok_and(|tbs| tbs.whole == self.tbs_der);
        if !unaltered {
            return Err(AssembleError::Altered);
        }
        Ok(IssuedCertificate {
            der,
            facts: self.facts,
        })
    }
}

/// Checks that octets have the form of a key's signatures; their arithmetic is not
/// looked at.
pub(crate) fn check_form(
    algorithm: SignatureAlgorithm,
    key: KeyType,
    signature: &[u8],
) -> Result<(), AssembleError> {
    let form = match (algorithm, key) {
        (SignatureAlgorithm::Ecdsa(_), _) => is_ecdsa_signature(signature),
        (SignatureAlgorithm::Ed25519, _) => signature.len() == 64,
        // RFC 8017, 8.2.1: as long as the modulus.
        (_, KeyType::Rsa { bits }) => signature.len() == bits.div_ceil(8) as usize,
        (SignatureAlgorithm::RsaPkcs1(_) | SignatureAlgorithm::RsaPss(_), _) => false,
    };
    if form {
        Ok(())
    } else {
        Err(AssembleError::Form { algorithm })
    }
}

/// Tells whether octets are a DER Ecdsa-Sig-Value (RFC 3279, 2.2.3).
pub(crate) fn is_ecdsa_signature(signature: &[u8]) -> bool {
    let read = || {
        let mut reader = tlv::read_only(signature, tlv::SEQUENCE)?.reader();
        reader.expect(tlv::INTEGER)?.positive_integer()?;
        reader.expect(tlv::INTEGER)?.positive_integer()?;
        reader.finish()
    };
    read().is_ok()
}

/// Tells whether a hash is at least as strong as SHA-256; every one here is.
pub(crate) const fn is_strong(algorithm: SignatureAlgorithm) -> bool {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash)
        | SignatureAlgorithm::RsaPss(hash)
        | SignatureAlgorithm::Ecdsa(hash) => {
            matches!(
                hash,
                HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512
            )
        }
        SignatureAlgorithm::Ed25519 => true,
    }
}

#[cfg(test)]
mod tests;
