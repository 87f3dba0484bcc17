//! What is about to be signed as a CRL, read again and judged.

mod rules;

use std::fmt;

use aws_lc_rs::digest::Digest;
use jiff::Timestamp;
use model::SerialNumber;

pub use rules::CrlLint;

use super::plan::PlannedCrl;
use super::read::{CrlError, Tbs};
use super::{CrlNumber, CrlPlan};
use crate::algorithm::SignatureAlgorithm;
use crate::encode;
use crate::issuer::IssuerFacts;
use crate::lint::{AssembleError, check_form};
use crate::public_key::KeyType;
use crate::tlv;

/// One lint that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlFinding {
    /// Which rule.
    pub lint: CrlLint,
    /// The first entry that breaks it, for rules about entries.
    pub serial: Option<SerialNumber>,
}

impl fmt::Display for CrlFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lint.fmt(f)?;
        match &self.serial {
            Some(serial) => write!(f, ", first at serial number {serial}"),
            None => Ok(()),
        }
    }
}

/// Why a CRL is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlLintFindings {
    /// The bytes are no TBSCertList.
    #[error("the CRL to be signed cannot be read back: {0}")]
    Unreadable(#[from] CrlError),
    /// Rules that are broken.
    #[error("the CRL to be signed breaks {}", sentence(.0))]
    Broken(Vec<CrlFinding>),
}

impl CrlLintFindings {
    /// Returns the rules that are broken, if the bytes could be read at all.
    #[must_use]
    pub fn findings(&self) -> &[CrlFinding] {
        match self {
            Self::Broken(findings) => findings,
            Self::Unreadable(_) => &[],
        }
    }
}

/// Joins findings.
fn sentence(findings: &[CrlFinding]) -> String {
    let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// Judges a planned CRL against RFC 5280, and against what was planned.
///
/// One pass over the entries, without allocation as long as they ascend by serial
/// number; if they do not, eight octets an entry and a sort find repetitions.
///
/// # Errors
///
/// Every rule it breaks; it can then not be signed.
pub fn lint(
    planned: PlannedCrl,
    plan: &CrlPlan,
    issuer: &IssuerFacts,
    now: Timestamp,
) -> Result<LintedCrl, CrlLintFindings> {
    let mut entries = rules::EntryRules::new(plan, now);
    let tbs = Tbs::parse(planned.tbs_der(), |entry| entries.see(entry))?;
    let facts = CrlFacts {
        number: plan.number,
        delta_base: plan.delta_base,
        this_update: plan.this_update,
        next_update: plan.next_update,
        entries: tbs.count as u64,
    };
    let findings = rules::check(&tbs, entries, plan, issuer, now);
    if !findings.is_empty() {
        return Err(CrlLintFindings::Broken(findings));
    }
    Ok(LintedCrl {
        planned,
        facts,
        signature_algorithm: issuer.signature_algorithm,
        issuer_key: issuer.public_key.key_type(),
    })
}

/// What is recorded about a CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlFacts {
    /// Its number.
    pub number: CrlNumber,
    /// The CRL it adds to, if it is a delta.
    pub delta_base: Option<CrlNumber>,
    /// When it was made.
    pub this_update: Timestamp,
    /// When the next one is due.
    pub next_update: Timestamp,
    /// How many entries it has.
    pub entries: u64,
}

/// What a key is given to sign a CRL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrlSignInput<'a> {
    /// The digest by the algorithm's hash.
    Digest(&'a [u8]),
    /// The TBSCertList itself (Ed25519).
    Message(&'a [u8]),
}

/// A TBSCertList that passed every lint: may be signed, once.
///
/// There is no other way to make one, and it cannot be copied.
#[derive(Debug)]
pub struct LintedCrl {
    /// The bytes to be signed, with room around them.
    planned: PlannedCrl,
    /// What is recorded about them.
    facts: CrlFacts,
    /// How they will be signed.
    signature_algorithm: SignatureAlgorithm,
    /// The kind of key that signs.
    issuer_key: KeyType,
}

impl LintedCrl {
    /// Returns how the CRL is to be signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Returns the bytes to be signed: a TBSCertList, DER.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        self.planned.tbs_der()
    }

    /// Returns their digest by the signature algorithm's hash; by SHA-256 for Ed25519,
    /// which signs no digest.
    ///
    /// It was made while the bytes were written.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        let digest: &Digest = &self.planned.digest;
        digest.as_ref()
    }

    /// Returns what the key is given.
    #[must_use]
    pub fn sign_input(&self) -> CrlSignInput<'_> {
        match self.signature_algorithm.hash() {
            Some(_) => CrlSignInput::Digest(self.digest()),
            None => CrlSignInput::Message(self.tbs_der()),
        }
    }

    /// Returns what is recorded about the CRL.
    #[must_use]
    pub fn facts(&self) -> &CrlFacts {
        &self.facts
    }

    /// Joins the bytes and their signature to a CRL, in the place where the bytes are.
    ///
    /// The signature's form is checked, not its arithmetic: a `PrivateKey` of the
    /// keystore verifies what it returns.
    ///
    /// # Errors
    ///
    /// `Form`; `Altered` if the CRL could not be read back around its bytes.
    pub fn assemble(self, signature: &[u8]) -> Result<Vec<u8>, AssembleError> {
        check_form(self.signature_algorithm, self.issuer_key, signature)?;
        let PlannedCrl { mut out, room, .. } = self.planned;
        let tbs_len = out.len() - room;
        out.extend_from_slice(self.signature_algorithm.identifier_der());
        encode::append_header(&mut out, tlv::BIT_STRING, signature.len() + 1);
        out.push(0);
        out.extend_from_slice(signature);
        let mut header = Vec::new();
        encode::append_header(&mut header, tlv::SEQUENCE, out.len() - room);
        // As long as foreseen but for signatures a few octets short of the longest, just
        // where the length begins to need another octet.
        out.splice(..room, header.iter().copied());
        let outer = tlv::read_only(&out, tlv::SEQUENCE);
        let unaltered = outer
            .and_then(|outer| outer.reader().expect(tlv::SEQUENCE))
            .is_ok_and(|tbs| tbs.whole.len() == tbs_len);
        if !unaltered {
            return Err(AssembleError::Altered);
        }
        Ok(out)
    }
}
