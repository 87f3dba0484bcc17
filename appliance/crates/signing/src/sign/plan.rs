//! What is going to be signed, decided and encoded before anything is.

use std::sync::Arc;

use attest::dsse;
use attest::statement::{DigestSet, Subject};
use bytes::Bytes;
use jiff::Timestamp;
use model::signing::{ArtifactDigest, SignatureId};
use pki::cms::{self, CmsPlan, LintedCms};
use store::signing::{Document, DocumentKind, Documents, Intended, ToBeSigned};

use super::token::{self, Wanted};
use super::{Admitted, media};
use crate::digests::ArtifactDigests;
use crate::evidence::ProvenanceEvidence;
use crate::formats::{Format, Formats};
use crate::keys::CertifiedKey;
use crate::problem::SigningProblem;

/// What an attestation says of the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// What it is made of.
    Sbom,
    /// Where it comes from.
    Provenance,
    /// What policy said of it.
    Verdict,
}

impl About {
    /// Returns the name in records.
    const fn label(self) -> &'static str {
        match self {
            Self::Sbom => "sbom_attestation",
            Self::Provenance => "provenance_attestation",
            Self::Verdict => "vsa",
        }
    }

    /// Returns the statement's place among the documents.
    const fn statement(self) -> DocumentKind {
        match self {
            Self::Sbom => DocumentKind::SbomStatement,
            Self::Provenance => DocumentKind::ProvenanceStatement,
            Self::Verdict => DocumentKind::VsaStatement,
        }
    }

    /// Returns the attestation's place among the documents.
    pub(super) const fn attestation(self) -> DocumentKind {
        match self {
            Self::Sbom => DocumentKind::SbomAttestation,
            Self::Provenance => DocumentKind::ProvenanceAttestation,
            Self::Verdict => DocumentKind::Vsa,
        }
    }
}

/// A statement that is going to be signed.
#[derive(Debug)]
pub(super) struct PlannedAttestation {
    /// What it says.
    pub(super) about: About,
    /// The statement's octets.
    pub(super) statement: Vec<u8>,
    /// The digest of its pre-authentication encoding.
    pub(super) digest: ArtifactDigest,
}

/// What one request has signed in the first stage.
#[derive(Debug)]
pub(super) struct Plan {
    /// The signature's name.
    pub(super) id: SignatureId,
    /// When.
    pub(super) at: Timestamp,
    /// What signs.
    pub(super) key: Arc<CertifiedKey>,
    /// The digest that the raw signature is over.
    pub(super) digest: ArtifactDigest,
    /// What is made.
    pub(super) formats: Formats,
    /// The CMS attributes, where CMS is made.
    pub(super) cms: Option<LintedCms>,
    /// The statements.
    pub(super) attestations: Vec<PlannedAttestation>,
    /// Provenance that came signed, and is its own attestation.
    pub(super) attested: Option<(&'static str, Bytes)>,
    /// What was submitted, and the statements.
    pub(super) documents: Documents,
}

impl Plan {
    /// Decides everything; work of milliseconds to seconds where evidence is large.
    pub(super) fn build(
        id: SignatureId,
        at: Timestamp,
        key: Arc<CertifiedKey>,
        admitted: &Admitted,
        digests: &ArtifactDigests,
        digest: ArtifactDigest,
        verifier: &super::verdict::Verifier<'_>,
    ) -> Result<Self, SigningProblem> {
        let formats = admitted.formats;
        let cms = match formats.has(Format::Cms) {
            true => {
                let plan = CmsPlan {
                    digest,
                    signing_time: at,
                };
                let planned = plan.encode(key.cms());
                let linted =
                    cms::lint(planned, &digest, key.cms(), at).map_err(SigningProblem::internal)?;
                Some(linted)
            }
            false => None,
        };
        let mut plan = Self {
            id,
            at,
            key,
            digest,
            formats,
            cms,
            attestations: Vec::new(),
            attested: None,
            documents: Documents::new(),
        };
        plan.attest(admitted, digests, verifier)?;
        Ok(plan)
    }

    /// Adds what was submitted and what is said of it.
    fn attest(
        &mut self,
        admitted: &Admitted,
        digests: &ArtifactDigests,
        verifier: &super::verdict::Verifier<'_>,
    ) -> Result<(), SigningProblem> {
        let evidence = &admitted.evidence;
        let attests = self.formats.has(Format::Attestations);
        let set: DigestSet = digests.as_slice().iter().copied().collect();
        let subject = Subject {
            name: admitted.subject_name(&self.digest),
            digest: set,
        };
        if let Some(sbom) = &evidence.sbom {
            self.keep(
                DocumentKind::Sbom,
                sbom.sbom.format().media_type(),
                sbom.octets.clone(),
            )?;
            if attests {
                let statement = sbom
                    .sbom
                    .to_statement(&sbom.octets, subject.clone(), verifier.id)
                    .map_err(SigningProblem::internal)?;
                self.say(About::Sbom, statement.into_bytes())?;
            }
        }
        if let Some(provenance) = &evidence.provenance {
            self.keep(
                DocumentKind::Provenance,
                provenance.media_type(),
                provenance.octets.clone(),
            )?;
            if attests {
                self.attest_provenance(provenance, subject.clone())?;
            }
        }
        if self.formats.has(Format::Vsa) {
            let statement = verifier.statement(admitted, subject.clone(), self.at)?;
            self.say(About::Verdict, statement)?;
        }
        Ok(())
    }

    /// Adds what is said of where the artifact comes from: signed provenance stays as it
    /// came, everything else is said by this service.
    fn attest_provenance(
        &mut self,
        provenance: &ProvenanceEvidence,
        subject: Subject,
    ) -> Result<(), SigningProblem> {
        if provenance.is_signed() {
            // The octets are recorded already, as what was submitted.
            self.attested = Some((provenance.media_type(), provenance.octets.clone()));
            return Ok(());
        }
        let statement = provenance
            .to_statement(subject)
            .map_err(SigningProblem::internal)?;
        self.say(About::Provenance, statement)
    }

    /// Adds a statement.
    fn say(&mut self, about: About, statement: Vec<u8>) -> Result<(), SigningProblem> {
        let pae = dsse::pae(dsse::IN_TOTO, &statement);
        let digest = token::digest(self.key.message_hash(), &pae)?;
        drop(pae);
        self.keep(
            about.statement(),
            dsse::IN_TOTO,
            Bytes::from(statement.clone()),
        )?;
        self.attestations.push(PlannedAttestation {
            about,
            statement,
            digest,
        });
        Ok(())
    }

    /// Adds a document.
    fn keep(
        &mut self,
        kind: DocumentKind,
        media_type: &str,
        octets: Bytes,
    ) -> Result<(), SigningProblem> {
        let document = Document::new(media(media_type)?, octets);
        self.documents.insert(kind, document);
        Ok(())
    }

    /// Returns the signatures of the first stage: raw, CMS, then one a statement.
    pub(super) fn wanted(&self) -> Result<Vec<Wanted>, SigningProblem> {
        let mut wanted = vec![Wanted {
            label: "signature",
            digest: self.digest,
        }];
        if let Some(cms) = &self.cms {
            wanted.push(Wanted {
                label: "cms",
                digest: token::digest(self.digest.algorithm(), cms.der())?,
            });
        }
        wanted.extend(self.attestations.iter().map(|attestation| Wanted {
            label: attestation.about.label(),
            digest: attestation.digest,
        }));
        Ok(wanted)
    }

    /// Returns the same as the record has it: what will have been signed.
    pub(super) fn to_be_signed(&self, wanted: &[Wanted]) -> Vec<ToBeSigned> {
        let key: Box<str> = self.key.key().id().as_str().into();
        wanted
            .iter()
            .map(|wanted| ToBeSigned {
                label: wanted.label.into(),
                key: key.clone(),
                content: match (&self.cms, wanted.label) {
                    (Some(cms), "cms") => Intended::Octets(Bytes::copy_from_slice(cms.der())),
                    _ => Intended::Digest(wanted.digest),
                },
            })
            .collect()
    }

    /// Says roughly how many octets stage and completion will take in the journal: set
    /// aside, so that they succeed on a full disk.
    pub(super) fn room(&self) -> u64 {
        // In bundles statements are base64, beside certificate and time-stamp.
        let statements: usize = self
            .attestations
            .iter()
            .map(|attestation| attestation.statement.len() / 3 * 4)
            .sum();
        FIXED_ROOM + statements as u64
    }
}

/// What everything but statements takes, generously: certificates and time-stamps of a
/// few kilobytes each, in up to five documents.
const FIXED_ROOM: u64 = 96 * 1024;
