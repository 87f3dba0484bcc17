//! `[signing.profiles.NAME]`: who may have what signed, and with which evidence.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use attest::sbom::{MinimumElement, SbomFormat};
use globset::{Glob, GlobBuilder, GlobMatcher};
use hsm_keystore::KeyAlgorithm;
use jiff::SignedDuration;
use model::signing::{HashAlgorithm, SigningProfileName};
use serde::{Deserialize, Serialize};

use super::{CheckedKey, ConfigError, cut};
use crate::formats::{Format, Formats};
use crate::policy::{BuilderRule, Patterns, Policy, ProvenanceRule, SbomRule};

/// One profile, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileConfig {
    /// What it is for, in a sentence.
    pub description: String,
    /// Which of `[signing.keys]` signs.
    pub key: String,
    /// The hashes by which artifacts may be named; those of the key where empty.
    pub hashes: Vec<HashAlgorithm>,
    /// Patterns of identities that may use it: `signer/*`, `webhook/release`.
    pub clients: Vec<String>,
    /// Patterns of artifacts' names; empty takes any, and none at all.
    pub artifacts: Vec<String>,
    /// What is made where the request does not say; everything where empty.
    pub formats: Vec<String>,
    /// Most signatures of one client in a minute; zero does not count them.
    pub rate_per_minute: u32,
    /// How old the CRL may be by which the client was found good; zero takes what
    /// the listener takes.
    pub max_crl_age: SignedDuration,
    /// Bills of materials.
    pub sbom: SbomPolicyConfig,
    /// Provenance.
    pub provenance: ProvenancePolicyConfig,
}

impl Default for ProfileConfig {
    fn default() -> Self {
        Self {
            description: String::new(),
            key: super::DEFAULT.to_owned(),
            hashes: Vec::new(),
            clients: vec![
                "signer/*".to_owned(),
                "operator/*".to_owned(),
                "webhook/*".to_owned(),
            ],
            artifacts: Vec::new(),
            formats: Vec::new(),
            rate_per_minute: 0,
            max_crl_age: SignedDuration::ZERO,
            sbom: SbomPolicyConfig::default(),
            provenance: ProvenancePolicyConfig::default(),
        }
    }
}

/// `[signing.profiles.NAME.sbom]`, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SbomPolicyConfig {
    /// Whether one must be there.
    pub required: bool,
    /// The formats that are taken; all where empty.
    pub formats: Vec<String>,
    /// The minimum elements that must not be missing.
    pub elements: Vec<String>,
    /// Whether its main component must name the artifact's digest.
    pub names_artifact: bool,
}

/// `[signing.profiles.NAME.provenance]`, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProvenancePolicyConfig {
    /// Whether it must be there.
    pub required: bool,
    /// The lowest SLSA build level that is taken.
    pub minimum_level: u8,
    /// The builders that are trusted; where there are none, any builder is taken, at
    /// level 1 at most.
    pub builders: Vec<BuilderConfig>,
    /// Patterns of source repositories; any where empty.
    pub sources: Vec<String>,
    /// Patterns of source references (`refs/tags/v*`); any where empty.
    pub refs: Vec<String>,
}

/// One trusted builder, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuilderConfig {
    /// Pattern of its id.
    pub id: String,
    /// Pattern of the identity that signs its provenance; without it, its provenance
    /// comes unsigned and counts for level 1 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Trusted root (JSON) or certificates (PEM) that its signer leads to; this
    /// installation's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<PathBuf>,
    /// The highest level that its provenance counts for.
    #[serde(default = "one")]
    pub maximum_level: u8,
}

/// What provenance counts for that nobody vouches for.
const fn one() -> u8 {
    1
}

/// Highest SLSA build level.
const MAX_LEVEL: u8 = 3;

/// One profile, found sound.
#[derive(Debug, Clone)]
pub struct CheckedProfile {
    /// What it is for.
    pub description: String,
    /// Which of the keys signs.
    pub key: String,
    /// What is made where the request does not say.
    pub formats: Formats,
    /// What must hold.
    pub policy: Arc<Policy>,
    /// The profile as written, in JSON: what verdicts name the digest of.
    pub document: Arc<str>,
}

/// Gives errors of one profile their place.
struct Place<'a>(&'a SigningProfileName);

impl Place<'_> {
    /// Reads patterns.
    fn patterns(&self, key: &'static str, given: &[String]) -> Result<Patterns, ConfigError> {
        given
            .iter()
            .map(|text| self.pattern(key, text))
            .collect::<Result<Vec<_>, _>>()
            .map(Patterns::new)
    }

    /// Reads a pattern.
    fn pattern(&self, key: &'static str, text: &str) -> Result<GlobMatcher, ConfigError> {
        GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map(|glob: Glob| glob.compile_matcher())
            .map_err(|source| ConfigError::ProfilePattern {
                profile: self.0.clone(),
                key,
                given: cut(text, 80),
                source,
            })
    }

    /// Reads words of a fixed list.
    fn words<T: Copy>(
        &self,
        key: &'static str,
        given: &[String],
        all: &[T],
        spelled: impl Fn(T) -> &'static str,
    ) -> Result<Vec<T>, ConfigError> {
        let find = |text: &String| {
            all.iter()
                .copied()
                .find(|one| spelled(*one) == text)
                .ok_or_else(|| ConfigError::ProfileWord {
                    profile: self.0.clone(),
                    key,
                    given: cut(text, 40),
                    known: all
                        .iter()
                        .map(|one| spelled(*one))
                        .collect::<Vec<_>>()
                        .join(", "),
                })
        };
        given.iter().map(find).collect()
    }

    /// Holds a level to those there are.
    fn level(&self, key: &'static str, level: u8) -> Result<u8, ConfigError> {
        if level > MAX_LEVEL {
            return Err(ConfigError::ProfileBound {
                profile: self.0.clone(),
                key,
                rule: "must be at most 3: SLSA knows no higher build level",
            });
        }
        Ok(level)
    }
}

/// Returns the hashes whose digests a key signs.
const fn hashes_of(algorithm: KeyAlgorithm) -> &'static [HashAlgorithm] {
    match algorithm {
        KeyAlgorithm::EcP256 => &[HashAlgorithm::Sha256],
        KeyAlgorithm::EcP384 => &[HashAlgorithm::Sha384],
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => &[
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ],
        KeyAlgorithm::Ed25519 => &[],
    }
}

impl ProfileConfig {
    /// Checks it against the keys there are.
    pub(super) fn check(
        &self,
        name: &SigningProfileName,
        keys: &std::collections::BTreeMap<String, CheckedKey>,
        has_timestamps: bool,
    ) -> Result<CheckedProfile, ConfigError> {
        let place = Place(name);
        let key = keys.get(&self.key).ok_or_else(|| ConfigError::ProfileKey {
            profile: name.clone(),
            key: cut(&self.key, 40),
        })?;
        let signed = hashes_of(key.algorithm);
        if let Some(hash) = self.hashes.iter().find(|hash| !signed.contains(hash)) {
            return Err(ConfigError::ProfileHash {
                profile: name.clone(),
                algorithm: key.algorithm,
                hash: hash.as_str(),
            });
        }
        let formats = place.words("formats", &self.formats, &Format::ALL, Format::as_str)?;
        if !has_timestamps && formats.contains(&Format::Timestamp) {
            return Err(ConfigError::ProfileTimestamp {
                profile: name.clone(),
            });
        }
        let max_crl_age = super::not_negative("max_crl_age", self.max_crl_age)
            .map_err(|_| ConfigError::ProfileBound {
                profile: name.clone(),
                key: "max_crl_age",
                rule: "must be between nothing and ten years",
            })?
            .unsigned_abs();
        // Strings, numbers and lists: nothing here can fail to encode.
        let document = serde_json::to_string(self).unwrap_or_default();
        Ok(CheckedProfile {
            document: document.into(),
            description: self.description.clone(),
            key: self.key.clone(),
            formats: if formats.is_empty() {
                Formats::all(has_timestamps)
            } else {
                formats.into_iter().collect()
            },
            policy: Arc::new(Policy {
                profile: name.clone(),
                hashes: if self.hashes.is_empty() {
                    signed.to_vec()
                } else {
                    self.hashes.clone()
                },
                clients: place.patterns("clients", &self.clients)?,
                artifacts: place.patterns("artifacts", &self.artifacts)?,
                rate_per_minute: self.rate_per_minute,
                max_crl_age: Some(max_crl_age).filter(|age| *age > Duration::ZERO),
                sbom: self.sbom.check(&place)?,
                provenance: self.provenance.check(&place)?,
            }),
        })
    }
}

impl SbomPolicyConfig {
    /// Checks it.
    fn check(&self, place: &Place<'_>) -> Result<SbomRule, ConfigError> {
        Ok(SbomRule {
            required: self.required,
            formats: place.words(
                "sbom.formats",
                &self.formats,
                &SbomFormat::ALL.map(SbomFormat::as_str),
                |word| word,
            )?,
            elements: place.words(
                "sbom.elements",
                &self.elements,
                &MinimumElement::ALL.map(MinimumElement::as_str),
                |word| word,
            )?,
            names_artifact: self.names_artifact,
        })
    }
}

impl ProvenancePolicyConfig {
    /// Checks it.
    fn check(&self, place: &Place<'_>) -> Result<ProvenanceRule, ConfigError> {
        let builders = self
            .builders
            .iter()
            .map(|builder| {
                let maximum_level =
                    place.level("provenance.builders.maximum_level", builder.maximum_level)?;
                if builder.signer.is_none() && maximum_level > 1 {
                    return Err(ConfigError::ProfileBound {
                        profile: place.0.clone(),
                        key: "provenance.builders.maximum_level",
                        rule: "must be at most 1 where no `signer` is named: signing raises no level",
                    });
                }
                Ok(BuilderRule {
                    id: place.pattern("provenance.builders.id", &builder.id)?,
                    signer: builder
                        .signer
                        .as_deref()
                        .map(|text| place.pattern("provenance.builders.signer", text))
                        .transpose()?,
                    trust: builder.trust.clone(),
                    maximum_level,
                })
            })
            .collect::<Result<Vec<_>, ConfigError>>()?;
        Ok(ProvenanceRule {
            required: self.required,
            minimum_level: place.level("provenance.minimum_level", self.minimum_level)?,
            builders,
            sources: place.patterns("provenance.sources", &self.sources)?,
            refs: place.patterns("provenance.refs", &self.refs)?,
        })
    }
}
