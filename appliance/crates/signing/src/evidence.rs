//! What comes with an artifact: read, checked in form, and turned into facts.
//!
//! Everything here is work of milliseconds to seconds and runs where waiting is
//! allowed.

mod provenance;
mod sbom;

use std::sync::Arc;

use bytes::Bytes;

pub(crate) use provenance::ProvenanceEvidence;
pub(crate) use sbom::SbomEvidence;

use crate::config::CheckedLimits;
use crate::policy::{Policy, Verdict};

/// What came with an artifact, sound in form.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The bill of materials.
    pub(crate) sbom: Option<SbomEvidence>,
    /// The provenance.
    pub(crate) provenance: Option<ProvenanceEvidence>,
}

/// What reading evidence takes beside it.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// What must hold.
    pub(crate) policy: Arc<Policy>,
    /// How much is taken.
    pub(crate) limits: CheckedLimits,
    /// Who vouches for signers of provenance.
    pub(crate) trust: Arc<crate::trust::BuilderTrust>,
    /// The digest that the request says the artifact has.
    pub(crate) claimed: Option<model::signing::ArtifactDigest>,
    /// The time.
    pub(crate) now: jiff::Timestamp,
}

impl Evidence {
    /// Reads what came and holds it to policy, as far as that needs no artifact.
    ///
    /// Bytes are hostile. Returns as well what is to be said of the first failure.
    pub(crate) fn read(
        reading: &Reading,
        sbom: Option<Bytes>,
        provenance: Option<Bytes>,
        verdict: &mut Verdict,
    ) -> (Self, Option<String>) {
        let (sbom, sbom_note) = SbomEvidence::read(reading, sbom, verdict);
        let (provenance, provenance_note) = ProvenanceEvidence::read(reading, provenance, verdict);
        let evidence = Self { sbom, provenance };
        (evidence, sbom_note.or(provenance_note))
    }
}
