//! What the record keeps beside the documents, for answers, searches and logs.
//!
//! Stored in records: members may be added, none changes its meaning.

use bytes::Bytes;
use model::signing::ArtifactDigest;
use serde::{Deserialize, Serialize};

use crate::evidence::{ProvenanceEvidence, SbomEvidence};
use crate::formats::{Format, Formats};
use crate::keys::CertifiedKey;
use crate::sign::Admitted;

/// What is known of an artifact and of what came with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Facts {
    /// Octets of the artifact, where it was uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// The bill of materials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sbom: Option<SbomSummary>,
    /// The provenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provenance: Option<ProvenanceSummary>,
}

/// What is known of a bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SbomSummary {
    /// Its format.
    pub(crate) format: String,
    /// The format's version.
    pub(crate) spec_version: String,
    /// SHA-256 of its octets, hexadecimal.
    pub(crate) sha256: String,
    /// How many components it lists.
    pub(crate) components: u64,
}

/// What is known of a provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProvenanceSummary {
    /// In which form it came.
    pub(crate) form: String,
    /// SHA-256 of its octets, hexadecimal.
    pub(crate) sha256: String,
    /// Who built.
    pub(crate) builder: String,
    /// What kind of build it was.
    pub(crate) build_type: String,
    /// From which repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// From which reference.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    /// From which commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
    /// How many materials it names.
    pub(crate) materials: u64,
    /// Who signed it; absent where it came unsigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signer: Option<String>,
    /// Whether this service is the one that attests it, on its submitter's word.
    pub(crate) attested_by_service: bool,
    /// The SLSA build level that it counts for.
    pub(crate) level: u8,
}

impl Facts {
    /// Gathers what is known.
    pub(crate) fn of(admitted: &Admitted, size: Option<u64>) -> Self {
        Self {
            size,
            sbom: admitted.evidence.sbom.as_ref().map(SbomSummary::of),
            provenance: admitted
                .evidence
                .provenance
                .as_ref()
                .map(ProvenanceSummary::of),
        }
    }

    /// Reads what a record keeps; what an older version did not write is absent.
    pub(crate) fn read(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// Writes it for the record.
    pub(crate) fn to_json(&self) -> Bytes {
        // Strings and numbers: nothing here can fail to encode.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Returns who built the artifact.
    pub(crate) fn builder(&self) -> Option<&str> {
        Some(self.provenance.as_ref()?.builder.as_str())
    }
}

impl SbomSummary {
    /// Gathers what is known.
    fn of(evidence: &SbomEvidence) -> Self {
        let sbom = &evidence.sbom;
        Self {
            format: sbom.format().as_str().to_owned(),
            spec_version: sbom.spec_version().to_owned(),
            sha256: hex::encode(sbom.sha256()),
            components: sbom.components() as u64,
        }
    }
}

impl ProvenanceSummary {
    /// Gathers what is known.
    fn of(evidence: &ProvenanceEvidence) -> Self {
        let build = evidence.build();
        Self {
            form: evidence.form().as_str().to_owned(),
            sha256: sha256_hex(&evidence.octets),
            builder: build.builder_id,
            build_type: build.build_type,
            source: build.source,
            reference: build.source_ref,
            commit: build.commit,
            materials: build.materials as u64,
            signer: evidence.signer.clone(),
            attested_by_service: !evidence.is_signed(),
            level: evidence.level,
        }
    }
}

/// What the answer says beside that: how it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// The digest that the raw signature is over.
    pub(crate) artifact_hash: ArtifactDigest,
    /// How it is signed.
    pub(crate) algorithm: String,
    /// The key's name.
    pub(crate) key: String,
    /// What securesystemslib calls the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    /// What was made.
    pub(crate) formats: Vec<Format>,
    /// How many signatures the token made, time-stamps included.
    pub(crate) token_signatures: u64,
}

impl Answer {
    /// Gathers it; `signatures` are those of the first stage.
    pub(crate) fn of(
        key: &CertifiedKey,
        digest: ArtifactDigest,
        formats: Formats,
        signatures: usize,
    ) -> Self {
        let times = if formats.has(Format::Timestamp) { 2 } else { 1 };
        Self {
            artifact_hash: digest,
            algorithm: key
                .scheme(digest.algorithm())
                .map_or_else(String::new, |scheme| scheme.as_str().to_owned()),
            key: key.key().id().to_string(),
            key_id: key.key_id().map(str::to_owned),
            formats: formats.iter().collect(),
            token_signatures: (signatures * times) as u64,
        }
    }

    /// Reads what a record keeps.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Writes it for the record.
    pub(crate) fn to_json(&self) -> Bytes {
        // Strings and numbers: nothing here can fail to encode.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Returns the SHA-256 of octets in hexadecimal.
fn sha256_hex(octets: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        octets,
    ))
}
