//! Verification summaries (SLSA VSA, version 1): a verdict that others can rely on.

use std::fmt;

use model::Timestamp;
use serde_json::{Value, json};

use crate::json::Limits;
use crate::statement::{DigestSet, Statement, StatementError, Subject, predicate_type};

/// A level of SLSA's build track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum BuildLevel {
    /// Nothing is known.
    #[default]
    L0,
    /// There is provenance.
    L1,
    /// A hosted builder signed it.
    L2,
    /// A hardened builder did.
    L3,
}

/// A number that is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the build track of SLSA has the levels 0 to 3, not {given}")]
pub struct UnknownLevel {
    /// The number.
    pub given: u8,
}

impl BuildLevel {
    /// Returns the level's name in summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L0 => "SLSA_BUILD_LEVEL_0",
            Self::L1 => "SLSA_BUILD_LEVEL_1",
            Self::L2 => "SLSA_BUILD_LEVEL_2",
            Self::L3 => "SLSA_BUILD_LEVEL_3",
        }
    }

    /// Returns the level that provenance is worth.
    ///
    /// Signing raises no level: what nobody signed but its submitter is level 1, whatever
    /// the policy allows the builder that it names.
    #[must_use]
    pub fn of(trust: ProvenanceTrust) -> Self {
        match trust {
            ProvenanceTrust::Absent => Self::L0,
            ProvenanceTrust::Unsigned => Self::L1,
            ProvenanceTrust::Verified { most } => most,
        }
    }
}

impl fmt::Display for BuildLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<u8> for BuildLevel {
    type Error = UnknownLevel;

    fn try_from(given: u8) -> Result<Self, UnknownLevel> {
        [Self::L0, Self::L1, Self::L2, Self::L3]
            .get(usize::from(given))
            .copied()
            .ok_or(UnknownLevel { given })
    }
}

/// How far provenance can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvenanceTrust {
    /// There is none.
    Absent,
    /// It is the submitter's word.
    Unsigned,
    /// Its signature is that of a builder that the policy trusts.
    Verified {
        /// The most that the policy trusts the builder with.
        most: BuildLevel,
    },
}

/// A document by its digest, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Where.
    pub uri: Option<String>,
    /// Its digests; may be empty where only the address is known.
    pub digest: DigestSet,
}

impl Resource {
    /// Writes it as a resource descriptor.
    fn to_json(&self) -> Value {
        let mut made = json!({});
        if let Some(uri) = &self.uri {
            made["uri"] = Value::from(uri.as_str());
        }
        if !self.digest.is_empty() {
            made["digest"] = json!(self.digest);
        }
        made
    }
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Who verified: the service's URI.
    pub verifier_id: String,
    /// The verifier's programs and their versions.
    pub verifier_version: Vec<(String, String)>,
    /// When.
    pub time_verified: Timestamp,
    /// What was verified, as a URI.
    pub resource_uri: String,
    /// By which policy.
    pub policy: Resource,
    /// On which attestations.
    pub inputs: Vec<Resource>,
    /// Whether all checks passed.
    pub passed: bool,
    /// The provenance's worth.
    pub trust: ProvenanceTrust,
}

impl Summary {
    /// Makes the statement of the verdict about an artifact.
    ///
    /// # Errors
    ///
    /// As [`Statement::build`]: a subject without digests.
    pub fn to_statement(&self, subject: Subject) -> Result<Statement, StatementError> {
        // slsa.dev/spec/v1.0/verification_summary: `FAILED` in place of the levels.
        let (result, level) = if self.passed {
            ("PASSED", BuildLevel::of(self.trust).as_str())
        } else {
            ("FAILED", "FAILED")
        };
        let versions: serde_json::Map<String, Value> = self
            .verifier_version
            .iter()
            .map(|(name, version)| (name.clone(), Value::from(version.as_str())))
            .collect();
        let inputs: Vec<Value> = self.inputs.iter().map(Resource::to_json).collect();
        let predicate = json!({
            "verifier": {"id": self.verifier_id, "version": versions},
            "timeVerified": self.time_verified.to_string(),
            "resourceUri": self.resource_uri,
            "policy": self.policy.to_json(),
            "inputAttestations": inputs,
            "verificationResult": result,
            "verifiedLevels": [level],
            "slsaVersion": "1.0",
        });
        Statement::build(
            vec![subject],
            predicate_type::VSA_V1,
            predicate.to_string().as_bytes(),
            &Limits::default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A digest of nothing in particular.
    fn digest() -> DigestSet {
        DigestSet::new(BTreeMap::from([("sha256".into(), "ab".repeat(32))])).unwrap()
    }

    /// A verdict.
    fn summary(passed: bool, trust: ProvenanceTrust) -> Value {
        let summary = Summary {
            verifier_id: "spiffe://example.com/signing".into(),
            verifier_version: vec![("chancery".into(), "0.1.0".into())],
            time_verified: "2026-03-01T12:00:00Z".parse().unwrap(),
            resource_uri: "pkg:generic/tool@1".into(),
            policy: Resource {
                uri: Some("https://example.com/policy".into()),
                digest: digest(),
            },
            inputs: vec![Resource {
                uri: None,
                digest: digest(),
            }],
            passed,
            trust,
        };
        let subject = Subject {
            name: "tool".into(),
            digest: digest(),
        };
        let statement = summary.to_statement(subject).unwrap();
        assert_eq!(statement.predicate_type(), predicate_type::VSA_V1);
        serde_json::from_slice(statement.predicate()).unwrap()
    }

    #[test]
    fn a_summary_has_what_slsa_requires() {
        let most = BuildLevel::L3;
        let made = summary(true, ProvenanceTrust::Verified { most });
        let hex = "ab".repeat(32);
        assert_eq!(
            made,
            json!({
                "verifier": {"id": "spiffe://example.com/signing", "version": {"chancery": "0.1.0"}},
                "timeVerified": "2026-03-01T12:00:00Z",
                "resourceUri": "pkg:generic/tool@1",
                "policy": {"uri": "https://example.com/policy", "digest": {"sha256": hex}},
                "inputAttestations": [{"digest": {"sha256": hex}}],
                "verificationResult": "PASSED",
                "verifiedLevels": ["SLSA_BUILD_LEVEL_3"],
                "slsaVersion": "1.0",
            })
        );
    }

    #[test]
    fn no_level_is_raised_by_signing_what_nobody_else_signed() {
        for (passed, trust, level) in [
            (true, ProvenanceTrust::Absent, "SLSA_BUILD_LEVEL_0"),
            (true, ProvenanceTrust::Unsigned, "SLSA_BUILD_LEVEL_1"),
            (
                true,
                ProvenanceTrust::Verified {
                    most: BuildLevel::L2,
                },
                "SLSA_BUILD_LEVEL_2",
            ),
            (
                false,
                ProvenanceTrust::Verified {
                    most: BuildLevel::L3,
                },
                "FAILED",
            ),
        ] {
            let made = summary(passed, trust);
            assert_eq!(made["verifiedLevels"], json!([level]));
            let result = if passed { "PASSED" } else { "FAILED" };
            assert_eq!(made["verificationResult"], result);
        }
    }

    #[test]
    fn levels_are_0_to_3() {
        let read: Vec<_> = (0..5).map(BuildLevel::try_from).collect();
        assert_eq!(read[3], Ok(BuildLevel::L3));
        assert_eq!(read[4], Err(UnknownLevel { given: 4 }));
        assert!(BuildLevel::L1 < BuildLevel::L2);
    }
}
