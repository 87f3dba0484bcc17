//! Bills of materials.

use attest::sbom::{Sbom, SbomError, SbomLimits, SubjectCheck};
use attest::statement::DigestSet;
use bytes::Bytes;

use super::Reading;
use crate::policy::{Rule, SbomFacts, SubjectFacts, Verdict};

/// A bill of materials, sound in form.
#[derive(Debug)]
pub(crate) struct SbomEvidence {
    /// What was sent, octet for octet.
    pub(crate) octets: Bytes,
    /// What it says.
    pub(crate) sbom: Sbom,
}

impl SbomEvidence {
    /// Reads one and holds it to policy; the text says more about what failed.
    pub(super) fn read(
        reading: &Reading,
        octets: Option<Bytes>,
        verdict: &mut Verdict,
    ) -> (Option<Self>, Option<String>) {
        let policy = &reading.policy;
        let Some(octets) = octets else {
            policy.check_sbom(None, verdict);
            return (None, None);
        };
        let limits = SbomLimits {
            max_len: reading.limits.sbom_bytes,
            ..SbomLimits::default()
        };
        let sbom = match Sbom::parse(&octets, &limits) {
            Ok(sbom) => sbom,
            Err(error) => {
                let note = error.to_string();
                verdict.note(
                    Rule::SbomValid,
                    false,
                    || "CycloneDX or SPDX, sound by its schema".to_owned(),
                    || note.clone(),
                );
                return (None, Some(note));
            }
        };
        verdict.note(
            Rule::SbomValid,
            true,
            || "CycloneDX or SPDX, sound by its schema".to_owned(),
            || format!("{} {}", sbom.format().as_str(), sbom.spec_version()),
        );
        let facts = SbomFacts {
            format: sbom.format().as_str(),
            missing: sbom
                .missing()
                .iter()
                .map(|missing| missing.element.as_str())
                .collect(),
        };
        policy.check_sbom(Some(&facts), verdict);
        (Some(Self { octets, sbom }), None)
    }

    /// Tells what it says of an artifact.
    pub(crate) fn subject(&self, artifact: &DigestSet) -> SubjectFacts {
        match self.sbom.check_subject(artifact) {
            Ok(SubjectCheck::Matches) => SubjectFacts::Named,
            Ok(SubjectCheck::NotStated) => SubjectFacts::Silent,
            Err(SbomError::SubjectMismatch {
                algorithm, actual, ..
            }) => SubjectFacts::Other {
                named: format!("{algorithm}:{actual}"),
            },
            Err(error) => SubjectFacts::Other {
                named: error.to_string(),
            },
        }
    }
}
