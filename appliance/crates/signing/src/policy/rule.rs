//! The rules, and which problem each is refused with.

use mesh::ProblemType;
use serde::{Deserialize, Serialize};

/// A rule that a request is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Who may use the profile.
    Client,
    /// What the forge's token of a CI job allows.
    ForgeClaims,
    /// By which hash artifacts are named.
    Hash,
    /// How artifacts are called.
    ArtifactName,
    /// How old the CRL may be.
    CrlAge,
    /// How often.
    Rate,
    /// Whether the artifact is the one that the request names.
    ArtifactDigest,
    /// Whether there is a bill of materials.
    SbomPresent,
    /// Whether it is one.
    SbomValid,
    /// Its format.
    SbomFormat,
    /// Its minimum elements.
    SbomElements,
    /// Which artifact it is of.
    SbomSubject,
    /// Whether there is provenance.
    ProvenancePresent,
    /// Whether it is one, and signed as it says.
    ProvenanceValid,
    /// Who built.
    ProvenanceBuilder,
    /// For which SLSA build level it counts.
    ProvenanceLevel,
    /// From which repository.
    ProvenanceSource,
    /// From which reference.
    ProvenanceRef,
    /// Which artifact it is of.
    ProvenanceSubject,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 19] = [
        Self::Client,
        Self::ForgeClaims,
        Self::Hash,
        Self::ArtifactName,
        Self::CrlAge,
        Self::Rate,
        Self::ArtifactDigest,
        Self::SbomPresent,
        Self::SbomValid,
        Self::SbomFormat,
        Self::SbomElements,
        Self::SbomSubject,
        Self::ProvenancePresent,
        Self::ProvenanceValid,
        Self::ProvenanceBuilder,
        Self::ProvenanceLevel,
        Self::ProvenanceSource,
        Self::ProvenanceRef,
        Self::ProvenanceSubject,
    ];

    /// Returns the rule as verdicts, metrics and logs spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::ForgeClaims => "forge_claims",
            Self::Hash => "hash",
            Self::ArtifactName => "artifact_name",
            Self::CrlAge => "crl_age",
            Self::Rate => "rate",
            Self::ArtifactDigest => "artifact_digest",
            Self::SbomPresent => "sbom_present",
            Self::SbomValid => "sbom_valid",
            Self::SbomFormat => "sbom_format",
            Self::SbomElements => "sbom_elements",
            Self::SbomSubject => "sbom_subject",
            Self::ProvenancePresent => "provenance_present",
            Self::ProvenanceValid => "provenance_valid",
            Self::ProvenanceBuilder => "provenance_builder",
            Self::ProvenanceLevel => "provenance_level",
            Self::ProvenanceSource => "provenance_source",
            Self::ProvenanceRef => "provenance_ref",
            Self::ProvenanceSubject => "provenance_subject",
        }
    }

    /// Returns the problem that a request is refused with which fails the rule.
    #[must_use]
    pub const fn problem(self) -> ProblemType {
        match self {
            Self::Client
            | Self::ForgeClaims
            | Self::Hash
            | Self::ArtifactName
            | Self::SbomFormat
            | Self::SbomElements
            | Self::ProvenanceLevel
            | Self::ProvenanceSource
            | Self::ProvenanceRef => ProblemType::ProfileDenied,
            Self::CrlAge => ProblemType::CrlTooOld,
            Self::Rate => ProblemType::RateLimited,
            Self::ArtifactDigest => ProblemType::ArtifactDigestMismatch,
            Self::SbomPresent => ProblemType::SbomRequired,
            Self::SbomValid => ProblemType::SbomInvalid,
            Self::SbomSubject => ProblemType::SbomSubjectMismatch,
            Self::ProvenancePresent => ProblemType::ProvenanceRequired,
            Self::ProvenanceValid => ProblemType::ProvenanceInvalid,
            Self::ProvenanceBuilder => ProblemType::ProvenanceUntrustedBuilder,
            Self::ProvenanceSubject => ProblemType::SubjectDigestMismatch,
        }
    }

    /// Says what a request fails that fails the rule, as the beginning of a sentence.
    #[must_use]
    pub const fn failing(self) -> &'static str {
        match self {
            Self::Client => "the profile is not for this client",
            Self::ForgeClaims => "the forge's token does not allow this profile",
            Self::Hash => "the profile's key does not sign digests of this hash",
            Self::ArtifactName => "the profile does not take artifacts of this name",
            Self::CrlAge => {
                "the CRL by which this client was found good is too old for the profile"
            }
            Self::Rate => "this client has had as many signatures by the profile as it may for now",
            Self::ArtifactDigest => "the artifact is not the one that the request names",
            Self::SbomPresent => "the profile wants a bill of materials",
            Self::SbomValid => "the bill of materials is none",
            Self::SbomFormat => "the profile does not take bills of materials of this format",
            Self::SbomElements => "the bill of materials lacks what the profile wants in it",
            Self::SbomSubject => "the bill of materials is of another artifact",
            Self::ProvenancePresent => "the profile wants provenance",
            Self::ProvenanceValid => "the provenance is none, or its signature does not hold",
            Self::ProvenanceBuilder => "the profile does not trust this builder, or not so signed",
            Self::ProvenanceLevel => "the provenance counts for less than the profile wants",
            Self::ProvenanceSource => "the profile does not take builds of this repository",
            Self::ProvenanceRef => "the profile does not take builds of this reference",
            Self::ProvenanceSubject => "the provenance is of another artifact",
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
