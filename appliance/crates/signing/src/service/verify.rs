//! Verifying evidence by this installation's trusted root, and saying whether it was
//! withdrawn or its signer revoked.

use std::sync::Arc;

use attest::bundle::Bundle;
use attest::verify::{self, Evidence, Policy, Report, Standing, Verification};
use bytes::Bytes;
use model::signing::HashAlgorithm;
use store::signing::{DocumentKind, SignatureRecord};

use super::Signing;
use crate::digests::ArtifactDigests;
use crate::problem::SigningProblem;

/// What is to prove something about an artifact.
#[derive(Debug)]
pub(crate) enum Proof {
    /// A bundle.
    Bundle {
        /// What it says.
        bundle: Box<Bundle>,
        /// Its octets.
        octets: Bytes,
    },
    /// A raw signature.
    Raw {
        /// The signature.
        signature: Vec<u8>,
        /// The signer's certificate, and perhaps those above it.
        chain: Vec<Vec<u8>>,
        /// The hash that was signed.
        hash: Option<HashAlgorithm>,
        /// The time-stamp.
        time_stamp: Option<Vec<u8>>,
    },
    /// A detached CMS signature.
    Cms {
        /// ContentInfo, DER.
        cms_der: Vec<u8>,
        /// The time-stamp, unless it is in the signature.
        time_stamp: Option<Vec<u8>>,
    },
}

impl Proof {
    /// Returns it as verifiers take it.
    pub(crate) fn evidence(&self) -> Evidence<'_> {
        match self {
            Self::Bundle { bundle, .. } => Evidence::Bundle(bundle),
            Self::Raw {
                signature,
                chain,
                hash,
                time_stamp,
            } => Evidence::Raw {
                signature,
                chain,
                hash: *hash,
                time_stamp: time_stamp.as_deref(),
            },
            Self::Cms {
                cms_der,
                time_stamp,
            } => Evidence::Cms {
                cms_der,
                time_stamp: time_stamp.as_deref(),
            },
        }
    }

    /// Tells whether a record is of the very signature that is to be verified.
    fn is_of(&self, record: &SignatureRecord) -> bool {
        let has = |kinds: &[DocumentKind], octets: &[u8]| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
            kinds
                .iter()
                .filter_map(|kind| record.documents.get(kind))
                .any(|info| info.sha256 == digest.as_ref())
        };
        match self {
            Self::Bundle { bundle, octets } => {
                has(
                    &[
                        DocumentKind::Bundle,
                        DocumentKind::SbomAttestation,
                        DocumentKind::ProvenanceAttestation,
                        DocumentKind::Vsa,
                    ],
                    octets,
                ) || has(
                    &[
                        DocumentKind::SbomAttestation,
                        DocumentKind::ProvenanceAttestation,
                        DocumentKind::Vsa,
                        DocumentKind::Bundle,
                    ],
                    bundle.to_json().as_bytes(),
                ) || has(&[DocumentKind::Signature], bundle.signature())
            }
            Self::Raw { signature, .. } => has(&[DocumentKind::Signature], signature),
            Self::Cms { cms_der, .. } => has(&[DocumentKind::Cms], cms_der),
        }
    }
}

/// How many signatures of one artifact are looked through for the one in question.
const LOOKED_THROUGH: usize = 1000;

impl Signing {
    /// Verifies evidence.
    ///
    /// # Errors
    ///
    /// `EvidenceMalformed` when it cannot be read; everything else stands in the report.
    pub(crate) async fn verify(
        &self,
        digests: ArtifactDigests,
        proof: Proof,
        policy: Policy,
    ) -> Result<Report, SigningProblem> {
        let record = self.record_of(&digests, &proof).await?;
        let root = self.trusted_root();
        let now = self.clock.now();
        let crl = self.crl.clone();
        let verifying = tokio::task::spawn_blocking(move || {
            let crls = crl.map_or_else(Vec::new, |crl| crl.crls());
            let standing = match record.as_deref().map(|record| record.withdrawal.as_ref()) {
                None => Standing::Unknown,
                Some(None) => Standing::Good,
                Some(Some(withdrawal)) => Standing::Withdrawn {
                    at: withdrawal.at,
                    reason: withdrawal.reason.as_str(),
                },
            };
            verify::verify(&Verification {
                artifact: digests.as_slice(),
                evidence: proof.evidence(),
                trust: &root,
                crls: &crls,
                policy: &policy,
                standing,
                now,
            })
        });
        verifying
            .await
            .map_err(SigningProblem::internal)?
            .map_err(|error| {
                let mut what = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    what = format!("{what}: {cause}");
                    source = cause.source();
                }
                SigningProblem::EvidenceMalformed { what }
            })
    }

    /// Finds the record of the signature in question, if it was made here.
    async fn record_of(
        &self,
        digests: &ArtifactDigests,
        proof: &Proof,
    ) -> Result<Option<Arc<SignatureRecord>>, SigningProblem> {
        for digest in digests.as_slice() {
            let listing = self.store.by_artifact(digest, None, LOOKED_THROUGH).await?;
            let found = listing.items.into_iter().find(|record| proof.is_of(record));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
