//! What must hold before anything is signed: rules, by profile, over facts.
//!
//! Pure: facts and time are arguments. Every rule that was looked at stands in the
//! [`Verdict`] with what it expects and what it found.

mod rate;
mod rule;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use globset::GlobMatcher;
use model::signing::{HashAlgorithm, SigningProfileName};

pub use rate::RateLimiter;
pub use rule::Rule;
pub use verdict::{Check, Decision, Outcome, Verdict};

/// Patterns of which one must match; none at all match anything.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<GlobMatcher>);

impl Patterns {
    /// Takes patterns.
    #[must_use]
    pub(crate) fn new(patterns: Vec<GlobMatcher>) -> Self {
        Self(patterns)
    }

    /// Tells whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether one of them matches, or nothing is asked for.
    #[must_use]
    pub fn admits(&self, text: &str) -> bool {
        self.is_empty() || self.0.iter().any(|pattern| pattern.is_match(text))
    }
}

impl std::fmt::Display for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("anything");
        }
        for (place, pattern) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" or ")?;
            }
            f.write_str(pattern.glob().glob())?;
        }
        Ok(())
    }
}

/// What a profile asks for.
#[derive(Debug)]
pub struct Policy {
    /// The profile.
    pub profile: SigningProfileName,
    /// The hashes by which artifacts may be named.
    pub hashes: Vec<HashAlgorithm>,
    /// Who may use it.
    pub clients: Patterns,
    /// Artifacts' names.
    pub artifacts: Patterns,
    /// Most signatures of one client in a minute; zero does not count them.
    pub rate_per_minute: u32,
    /// How old the CRL may be by which the client was found good.
    pub max_crl_age: Option<Duration>,
    /// Bills of materials.
    pub sbom: SbomRule,
    /// Provenance.
    pub provenance: ProvenanceRule,
}

/// What is asked of bills of materials.
#[derive(Debug)]
pub struct SbomRule {
    /// Whether one must be there.
    pub required: bool,
    /// The formats that are taken; all where empty.
    pub formats: Vec<&'static str>,
    /// The minimum elements that must not be missing.
    pub elements: Vec<&'static str>,
    /// Whether its main component must name the artifact's digest.
    pub names_artifact: bool,
}

/// What is asked of provenance.
#[derive(Debug)]
pub struct ProvenanceRule {
    /// Whether it must be there.
    pub required: bool,
    /// The lowest SLSA build level that is taken.
    pub minimum_level: u8,
    /// The builders that are trusted; any, at level 1 at most, where there are none.
    pub builders: Vec<BuilderRule>,
    /// Source repositories.
    pub sources: Patterns,
    /// Source references.
    pub refs: Patterns,
}

/// One trusted builder.
#[derive(Debug)]
pub struct BuilderRule {
    /// Pattern of its id.
    pub id: GlobMatcher,
    /// Pattern of the identity that signs its provenance.
    pub signer: Option<GlobMatcher>,
    /// What its signer leads to; this installation's trusted root where absent.
    pub trust: Option<PathBuf>,
    /// The highest level that its provenance counts for.
    pub maximum_level: u8,
}

/// What is known of a request before its evidence is read.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// Who asks, as the log has it: `signer/alice`.
    pub client: &'a str,
    /// The hash by which the artifact is named.
    pub hash: HashAlgorithm,
    /// The artifact's name.
    pub artifact: Option<&'a str>,
    /// By which CRL the client was found good.
    pub crl: ClientCrl,
}

/// By which CRL a client was found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCrl {
    /// No certificate told who the client is.
    NotAsked,
    /// By none: the listener admits clients without one.
    Missing,
    /// By one of this age.
    Aged(Duration),
}

/// What is known of a bill of materials.
#[derive(Debug, Clone)]
pub struct SbomFacts {
    /// Its format.
    pub format: &'static str,
    /// The minimum elements it lacks.
    pub missing: Vec<&'static str>,
}

/// What is known of a provenance.
#[derive(Debug, Clone)]
pub struct ProvenanceFacts<'a> {
    /// The builder's id.
    pub builder: &'a str,
    /// Who signed it, where it came signed and the signature is good.
    pub signer: Option<&'a str>,
    /// The builders' rules, by their place, whose own trust leads to a signer of theirs:
    /// no other rule's signer counts.
    pub vouched: &'a [usize],
    /// The repository it was built from.
    pub source: Option<&'a str>,
    /// The reference it was built from.
    pub reference: Option<&'a str>,
}

/// What an artifact's digest is to what evidence says of it.
#[derive(Debug, Clone)]
pub enum SubjectFacts {
    /// Named, by its digest.
    Named,
    /// Not named at all.
    Silent,
    /// Another artifact is named.
    Other {
        /// The digest that is named.
        named: String,
    },
}

impl Policy {
    /// Checks what needs neither evidence nor artifact.
    pub fn check_request(&self, facts: &RequestFacts<'_>, verdict: &mut Verdict) {
        verdict.note(
            Rule::Client,
            self.clients.admits(facts.client),
            || self.clients.to_string(),
            || facts.client.to_owned(),
        );
        verdict.note(
            Rule::Hash,
            self.hashes.contains(&facts.hash),
            || join(self.hashes.iter().map(|hash| hash.as_str())),
            || facts.hash.as_str().to_owned(),
        );
        verdict.note(
            Rule::ArtifactName,
            match facts.artifact {
                Some(name) => self.artifacts.admits(name),
                None => self.artifacts.is_empty(),
            },
            || self.artifacts.to_string(),
            || facts.artifact.unwrap_or("no name").to_owned(),
        );
        if let Some(most) = self.max_crl_age {
            let (passed, actual) = match facts.crl {
                ClientCrl::NotAsked => return,
                ClientCrl::Missing => (false, "no CRL".to_owned()),
                ClientCrl::Aged(age) => (age <= most, format!("{} s", age.as_secs())),
            };
            verdict.note(
                Rule::CrlAge,
                passed,
                || format!("at most {} s", most.as_secs()),
                || actual,
            );
        }
    }

    /// Checks a bill of materials, or that there is none.
    pub fn check_sbom(&self, facts: Option<&SbomFacts>, verdict: &mut Verdict) {
        let rule = &self.sbom;
        let Some(facts) = facts else {
            verdict.note(
                Rule::SbomPresent,
                !rule.required,
                || required(rule.required),
                || "none".to_owned(),
            );
            return;
        };
        verdict.note(
            Rule::SbomPresent,
            true,
            || required(rule.required),
            || facts.format.to_owned(),
        );
        verdict.note(
            Rule::SbomFormat,
            rule.formats.is_empty() || rule.formats.contains(&facts.format),
            || match rule.formats.is_empty() {
                true => "any known format".to_owned(),
                false => join(rule.formats.iter().copied()),
            },
            || facts.format.to_owned(),
        );
        let missing: Vec<_> = rule
            .elements
            .iter()
            .copied()
            .filter(|element| facts.missing.contains(element))
            .collect();
        verdict.note(
            Rule::SbomElements,
            missing.is_empty(),
            || match rule.elements.is_empty() {
                true => "no elements".to_owned(),
                false => join(rule.elements.iter().copied()),
            },
            || match missing.is_empty() {
                true => "all of them".to_owned(),
                false => format!("without {}", join(missing.iter().copied())),
            },
        );
    }

    /// Checks what a bill of materials says of the artifact.
    pub fn check_sbom_subject(&self, digest: &str, facts: &SubjectFacts, verdict: &mut Verdict) {
        let (passed, actual) = match facts {
            SubjectFacts::Named => (true, digest.to_owned()),
            SubjectFacts::Silent => (!self.sbom.names_artifact, "no digest".to_owned()),
            SubjectFacts::Other { named } => (false, named.clone()),
        };
        verdict.note(Rule::SbomSubject, passed, || digest.to_owned(), || actual);
    }

    /// Checks provenance, or that there is none; returns the level it counts for.
    pub fn check_provenance(
        &self,
        facts: Option<&ProvenanceFacts<'_>>,
        verdict: &mut Verdict,
    ) -> u8 {
        let rule = &self.provenance;
        let Some(facts) = facts else {
            let needed = rule.required || rule.minimum_level > 0;
            verdict.note(
                Rule::ProvenancePresent,
                !needed,
                || required(needed),
                || "none".to_owned(),
            );
            return 0;
        };
        verdict.note(
            Rule::ProvenancePresent,
            true,
            || required(rule.required),
            || match facts.signer {
                Some(signer) => format!("signed by {signer}"),
                None => "unsigned".to_owned(),
            },
        );
        let level = match rule.builders.is_empty() {
            // Nobody vouches for it: the service attests what it was given.
            true => Some(1),
            false => rule.level(facts),
        };
        verdict.note(
            Rule::ProvenanceBuilder,
            level.is_some(),
            || rule.describe_builders(),
            || match facts.signer {
                Some(signer) => format!("{}, signed by {signer}", facts.builder),
                None => format!("{}, unsigned", facts.builder),
            },
        );
        let level = level.unwrap_or(0);
        verdict.note(
            Rule::ProvenanceLevel,
            level >= rule.minimum_level,
            || format!("level {} or higher", rule.minimum_level),
            || format!("level {level}"),
        );
        for (kind, patterns, actual) in [
            (Rule::ProvenanceSource, &rule.sources, facts.source),
            (Rule::ProvenanceRef, &rule.refs, facts.reference),
        ] {
            verdict.note(
                kind,
                match actual {
                    Some(actual) => patterns.admits(actual),
                    None => patterns.is_empty(),
                },
                || patterns.to_string(),
                || actual.unwrap_or("none").to_owned(),
            );
        }
        level
    }

    /// Checks what a provenance says of the artifact; it must name it.
    pub fn check_provenance_subject(
        &self,
        digest: &str,
        facts: &SubjectFacts,
        verdict: &mut Verdict,
    ) {
        let (passed, actual) = match facts {
            SubjectFacts::Named => (true, digest.to_owned()),
            // A bare predicate names nothing; the service binds it.
            SubjectFacts::Silent => (true, "no subject; bound by the service".to_owned()),
            SubjectFacts::Other { named } => (false, named.clone()),
        };
        verdict.note(
            Rule::ProvenanceSubject,
            passed,
            || digest.to_owned(),
            || actual,
        );
    }
}

impl ProvenanceRule {
    /// Returns the level that provenance counts for, if its builder is trusted.
    fn level(&self, facts: &ProvenanceFacts<'_>) -> Option<u8> {
        self.builders
            .iter()
            .enumerate()
            .filter(|(_, builder)| builder.id.is_match(facts.builder))
            .filter_map(|(place, builder)| match (&builder.signer, facts.signer) {
                (Some(_), Some(_)) => {
                    let is_vouched = facts.vouched.contains(&place);
                    is_vouched.then_some(builder.maximum_level)
                }
                // Signing raises no level: what came unsigned stays at 1.
                (None, None) => Some(builder.maximum_level.min(1)),
                (None, Some(_)) => Some(builder.maximum_level.min(1)),
                (Some(_), None) => None,
            })
            .max()
    }

    /// Says which builders are trusted.
    fn describe_builders(&self) -> String {
        if self.builders.is_empty() {
            return "any builder, at level 1 at most".to_owned();
        }
        join(self.builders.iter().map(|builder| match &builder.signer {
            Some(signer) => format!("{} signed by {}", builder.id.glob(), signer.glob()),
            None => format!("{} unsigned", builder.id.glob()),
        }))
    }
}

/// Says whether something must be there.
fn required(needed: bool) -> String {
    match needed {
        true => "required",
        false => "optional",
    }
    .to_owned()
}

/// Puts words one after another.
fn join<T: AsRef<str>>(words: impl Iterator<Item = T>) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(word.as_ref());
    }
    text
}

#[cfg(test)]
mod tests;
