//! Offline verification: every check by its name, with what was expected and what was
//! found.
//!
//! Nothing passes because it is absent: what a [`Policy`] asks for and the evidence does
//! not have has failed; what nobody asked for is skipped, and says so. Certificates are
//! judged at the time that a trusted time-stamping authority vouches for, not at the time
//! of the reader.
//!
//! Input that is malformed is an [`InputError`], told apart from checks that fail.

mod certificate;
mod content;
mod log;
mod many;
mod policy;
mod report;
mod revocation;
mod sct;
mod time;

use model::Timestamp;
use model::signing::{ArtifactDigest, HashAlgorithm};
use pki::certificate::{Certificate, CertificateError};
use pki::cms::{CmsError, SignedData};
use pki::crl::{Crl, CrlError};

use crate::bundle::{Bundle, Content};
use crate::statement::DigestSet;
use crate::trusted_root::TrustedRoot;

pub use many::{Summary, verify_all};
pub use policy::{Policy, RevocationPolicy, TimePolicy};
pub use report::{Check, CheckName, Outcome, Report, Signer, StatementFacts};

use certificate::judge_certificate;
use content::judge_content;
use log::judge_log;
use report::Checks;
use time::{judge_times, signed_at};

/// What is verified, and against what.
#[derive(Debug, Clone, Copy)]
pub struct Verification<'a> {
    /// The artifact's digests: at least those that [`Evidence::hashes`] asks for.
    pub artifact: &'a [ArtifactDigest],
    /// What is to prove something about it.
    pub evidence: Evidence<'a>,
    /// Whom to believe.
    pub trust: &'a TrustedRoot,
    /// Revocation lists, DER.
    pub crls: &'a [Vec<u8>],
    /// What is asked for.
    pub policy: &'a Policy,
    /// What the service says of the signature now, where it was asked.
    pub standing: Standing<'a>,
    /// The reader's time.
    pub now: Timestamp,
}

/// What is to prove something about an artifact.
#[derive(Debug, Clone, Copy)]
pub enum Evidence<'a> {
    /// A bundle.
    Bundle(&'a Bundle),
    /// A signature over the artifact as its octets alone.
    Raw {
        /// The signature.
        signature: &'a [u8],
        /// The signer's certificate, DER, and perhaps those above it.
        chain: &'a [Vec<u8>],
        /// The hash that was signed; by the kind of key if none is given.
        hash: Option<HashAlgorithm>,
        /// TimeStampResp or the token alone, DER.
        time_stamp: Option<&'a [u8]>,
    },
    /// A detached CMS signature.
    Cms {
        /// ContentInfo, DER.
        cms_der: &'a [u8],
        /// TimeStampResp or the token alone, DER, unless it is in the signature.
        time_stamp: Option<&'a [u8]>,
    },
}

/// Whether a signature was withdrawn by who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Nobody was asked.
    Unknown,
    /// It was not, when the service was asked.
    Good,
    /// It was.
    Withdrawn {
        /// When.
        at: Timestamp,
        /// Why.
        reason: &'a str,
    },
}

/// Why something cannot be verified at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// No digest by a hash that is needed.
    #[error("the signature is over the artifact's {algorithm} digest, which was not given")]
    DigestMissing {
        /// The hash.
        algorithm: HashAlgorithm,
    },
    /// Two digests by one hash.
    #[error("two {algorithm} digests of the artifact were given")]
    DigestTwice {
        /// The hash.
        algorithm: HashAlgorithm,
    },
    /// No certificate of the signer.
    #[error("there is no certificate of the signer: give it beside the signature")]
    NoCertificate,
    /// A certificate that is none.
    #[error("certificate {place} of the signer's is refused")]
    Certificate {
        /// Which, from 0.
        place: usize,
        /// Why.
        #[source]
        source: CertificateError,
    },
    /// A signature that is none.
    #[error("the CMS signature cannot be read")]
    Cms(#[from] CmsError),
    /// A revocation list that is none.
    #[error("revocation list {place} is refused")]
    Crl {
        /// Which, from 0.
        place: usize,
        /// Why.
        #[source]
        source: CrlError,
    },
}

impl Evidence<'_> {
    /// Tells which hashes of the artifact verifying takes; SHA-256 is always among them.
    ///
    /// # Errors
    ///
    /// When the evidence is too malformed to tell.
    pub fn hashes(&self) -> Result<Vec<HashAlgorithm>, InputError> {
        let needed = Parts::of(self)?.hash;
        let mut hashes = vec![HashAlgorithm::Sha256];
        if let Some(hash) = needed.filter(|hash| *hash != HashAlgorithm::Sha256) {
            hashes.push(hash);
        }
        Ok(hashes)
    }
}

/// Evidence, taken apart.
struct Parts<'a> {
    /// The signer's certificate.
    leaf: Certificate,
    /// Those that came with it.
    others: Vec<Certificate>,
    /// The hash that the artifact was signed by; none for an envelope.
    hash: Option<HashAlgorithm>,
    /// The signature's octets.
    signature: &'a [u8],
    /// Time-stamps over them.
    time_stamps: Vec<&'a [u8]>,
    /// The bundle, if it is one.
    bundle: Option<&'a Bundle>,
    /// The CMS signature, if it is one.
    cms: Option<SignedData<'a>>,
}

impl<'a> Parts<'a> {
    /// Takes evidence apart.
    fn of(evidence: &Evidence<'a>) -> Result<Self, InputError> {
        match *evidence {
            Evidence::Bundle(bundle) => {
                let (leaf, others) = read_chain(&bundle.certificate_chain)?;
                let hash =
                    match &bundle.content {
                        Content::Envelope(_) => None,
                        Content::Message(message) => Some(message.digest.map_or_else(
                            || content::usual_hash(&leaf),
                            |digest| digest.algorithm(),
                        )),
                    };
                Ok(Self {
                    leaf,
                    others,
                    hash,
                    signature: bundle.signature(),
                    time_stamps: bundle.time_stamps.iter().map(Vec::as_slice).collect(),
                    bundle: Some(bundle),
                    cms: None,
                })
            }
            Evidence::Raw {
                signature,
                chain,
                hash,
                time_stamp,
            } => {
                let (leaf, others) = read_chain(chain)?;
                Ok(Self {
                    hash: Some(hash.unwrap_or_else(|| content::usual_hash(&leaf))),
                    leaf,
                    others,
                    signature,
                    time_stamps: time_stamp.into_iter().collect(),
                    bundle: None,
                    cms: None,
                })
            }
            Evidence::Cms {
                cms_der,
                time_stamp,
            } => {
                let cms = SignedData::parse(cms_der)?;
                let embedded: Vec<Vec<u8>> = cms.certificates().map(<[u8]>::to_vec).collect();
                let (leaf, others) = content::cms_signer(&cms, &embedded)?;
                let stamps = cms.time_stamp_token().into_iter().chain(time_stamp);
                Ok(Self {
                    leaf,
                    others,
                    hash: Some(cms.digest_algorithm()),
                    signature: cms.signature(),
                    time_stamps: stamps.collect(),
                    bundle: None,
                    cms: Some(cms),
                })
            }
        }
    }
}

/// Reads certificates, the first apart.
fn read_chain(ders: &[Vec<u8>]) -> Result<(Certificate, Vec<Certificate>), InputError> {
    let mut certificates = Vec::with_capacity(ders.len());
    for (place, der) in ders.iter().enumerate() {
        let certificate = Certificate::from_der(der)
            .map_err(|source| InputError::Certificate { place, source })?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(InputError::NoCertificate);
    }
    let others = certificates.split_off(1);
    let leaf = certificates.pop().ok_or(InputError::NoCertificate)?;
    Ok((leaf, others))
}

/// What every check sees.
struct Case<'a> {
    /// The question.
    verification: &'a Verification<'a>,
    /// The evidence.
    parts: &'a Parts<'a>,
    /// Revocation lists.
    crls: &'a [Crl<'a>],
    /// The artifact's digests, by in-toto's names.
    digests: &'a DigestSet,
}

/// Verifies one piece of evidence.
///
/// Bytes are hostile: never panics, work and memory are bounded by their length.
///
/// # Errors
///
/// `InputError` when something given is malformed; whatever is merely wrong is a failed
/// check of the report.
pub fn verify(verification: &Verification<'_>) -> Result<Report, InputError> {
    let parts = Parts::of(&verification.evidence)?;
    let mut crls = Vec::with_capacity(verification.crls.len());
    for (place, der) in verification.crls.iter().enumerate() {
        crls.push(Crl::parse(der).map_err(|source| InputError::Crl { place, source })?);
    }
    let hashes = verification.evidence.hashes()?;
    check_digests(verification.artifact, &hashes)?;
    let digests: DigestSet = verification.artifact.iter().copied().collect();
    let case = Case {
        verification,
        parts: &parts,
        crls: &crls,
        digests: &digests,
    };
    let mut checks = Checks::default();
    let statement = judge_content(&case, &mut checks);
    let times = judge_times(&case, &mut checks);
    let signed_at = signed_at(&case, &times);
    judge_certificate(&case, signed_at, &mut checks);
    judge_log(&case, signed_at, &mut checks);
    judge_standing(verification.standing, &mut checks);
    Ok(Report::new(
        checks,
        Signer::of(&parts.leaf),
        times.iter().map(|stamp| stamp.gen_time).min(),
        statement,
    ))
}

/// Checks that each hash needed has one digest.
fn check_digests(digests: &[ArtifactDigest], needed: &[HashAlgorithm]) -> Result<(), InputError> {
    for algorithm in HashAlgorithm::ALL {
        let by_it = digests
            .iter()
            .filter(|digest| digest.algorithm() == algorithm)
            .count();
        if by_it > 1 {
            return Err(InputError::DigestTwice { algorithm });
        }
        if by_it == 0 && needed.contains(&algorithm) {
            return Err(InputError::DigestMissing { algorithm });
        }
    }
    Ok(())
}

/// Judges what the service said of the signature.
fn judge_standing(standing: Standing<'_>, checks: &mut Checks) {
    let check = Check::new(CheckName::Withdrawn).expected("a signature that was not withdrawn");
    checks.push(match standing {
        Standing::Unknown => check.skipped("the service was not asked"),
        Standing::Good => check.passed("not withdrawn"),
        Standing::Withdrawn { at, reason } => check.failed(format!("withdrawn at {at}: {reason}")),
    });
}

#[cfg(test)]
mod tests;
