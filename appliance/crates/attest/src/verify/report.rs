//! What came of verifying.

use std::fmt;

use model::Timestamp;
use pki::certificate::Certificate;
use serde::{Deserialize, Serialize};

/// Most characters of outside text in a report's one field.
const MAX_TEXT: usize = 2048;

/// The name of a check. Stable: scripts read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// The signature is the certificate's key's, over what was signed.
    Signature,
    /// The artifact is the one that the evidence names.
    ArtifactDigest,
    /// The envelope holds an in-toto statement.
    PayloadType,
    /// The statement is about the artifact.
    Subject,
    /// The statement says what was asked for.
    PredicateType,
    /// The artifact was built by who was asked for.
    Builder,
    /// The artifact was built from what was asked for.
    Source,
    /// Trusted authorities stamped the signature.
    TimeStamp,
    /// The certificate leads to a trusted root.
    CertificateChain,
    /// The certificate is for signing code.
    CertificatePurpose,
    /// The certificate was valid when the signature was made.
    CertificateValidity,
    /// The certificate was not revoked by then.
    Revocation,
    /// Trusted logs have seen the certificate.
    Sct,
    /// The signer is who was asked for.
    Identity,
    /// Who vouches for the signer is who was asked for.
    Issuer,
    /// The signature is in a trusted log.
    LogInclusion,
    /// That log signed the tree that the signature is in.
    LogCheckpoint,
    /// The signature was not withdrawn.
    Withdrawn,
}

impl CheckName {
    /// Returns the name as reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::ArtifactDigest => "artifact_digest",
            Self::PayloadType => "payload_type",
            Self::Subject => "subject",
            Self::PredicateType => "predicate_type",
            Self::Builder => "builder",
            Self::Source => "source",
            Self::TimeStamp => "time_stamp",
            Self::CertificateChain => "certificate_chain",
            Self::CertificatePurpose => "certificate_purpose",
            Self::CertificateValidity => "certificate_validity",
            Self::Revocation => "revocation",
            Self::Sct => "sct",
            Self::Identity => "identity",
            Self::Issuer => "issuer",
            Self::LogInclusion => "log_inclusion",
            Self::LogCheckpoint => "log_checkpoint",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// Nobody asked for it, and there was nothing to look at.
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        })
    }
}

/// One check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// What came of it.
    pub outcome: Outcome,
    /// What it would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// What else a reader should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Check {
    /// Begins a check; it has failed until something else comes of it.
    pub(super) fn new(name: CheckName) -> Self {
        Self {
            name,
            outcome: Outcome::Failed,
            expected: None,
            actual: None,
            note: None,
        }
    }

    /// States what it would take.
    pub(super) fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.expected = Some(shorten(&expected));
        self
    }

    /// States what else a reader should know.
    pub(super) fn note(mut self, note: impl fmt::Display) -> Self {
        self.note = Some(shorten(&note));
        self
    }

    /// It holds.
    pub(super) fn passed(self, actual: impl fmt::Display) -> Self {
        self.came(Outcome::Passed, actual)
    }

    /// It does not hold.
    pub(super) fn failed(self, actual: impl fmt::Display) -> Self {
        self.came(Outcome::Failed, actual)
    }

    /// It was not asked for.
    pub(super) fn skipped(mut self, note: impl fmt::Display) -> Self {
        self.outcome = Outcome::Skipped;
        self.note(note)
    }

    /// It holds or not.
    pub(super) fn holds(self, holds: bool, actual: impl fmt::Display) -> Self {
        let outcome = if holds {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        self.came(outcome, actual)
    }

    /// States what came of it.
    fn came(mut self, outcome: Outcome, actual: impl fmt::Display) -> Self {
        self.outcome = outcome;
        self.actual = Some(shorten(&actual));
        self
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.outcome)?;
        if let Some(actual) = &self.actual {
            write!(f, ": {actual}")?;
        }
        if let (Outcome::Failed, Some(expected)) = (self.outcome, &self.expected) {
            write!(f, " (expected {expected})")?;
        }
        match &self.note {
            Some(note) => write!(f, "; {note}"),
            None => Ok(()),
        }
    }
}

/// Cuts what would be too long: much of it comes from outside.
fn shorten(text: &impl fmt::Display) -> String {
    let mut text = text.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Checks as they are made.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Check>);

impl Checks {
    /// Adds one.
    pub(super) fn push(&mut self, check: Check) {
        self.0.push(check);
    }
}

/// Who signed, as the certificate has it; believed only as far as the checks go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signer {
    /// Subject, RFC 4514.
    pub subject: String,
    /// The authority that issued the certificate.
    pub issuer: String,
    /// Serial number.
    pub serial: String,
    /// Alternative names: `uri:…`, `email:…`.
    pub names: Vec<String>,
    /// First second.
    pub not_before: Timestamp,
    /// Last second.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
}

impl Signer {
    /// Reads a certificate.
    pub(super) fn of(leaf: &Certificate) -> Self {
        let facts = leaf.facts();
        Self {
            subject: facts.subject,
            issuer: leaf.issuer().to_string(),
            serial: facts.serial.to_string(),
            names: facts.names,
            not_before: facts.not_before,
            not_after: facts.not_after,
            fingerprint: hex::encode(leaf.fingerprint()),
        }
    }
}

/// What an envelope's statement says; believed only as far as the checks go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatementFacts {
    /// What kind of thing it says.
    pub predicate_type: String,
    /// Who built the artifact, if it says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// From where, if it says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What came of verifying one piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether no check failed.
    pub verified: bool,
    /// Every check.
    pub checks: Vec<Check>,
    /// Who signed.
    pub signer: Signer,
    /// The earliest time that a trusted authority stamped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
    /// What an envelope says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<StatementFacts>,
}

impl Report {
    /// Joins checks with what was read on the way.
    pub(super) fn new(
        checks: Checks,
        signer: Signer,
        signed_at: Option<Timestamp>,
        statement: Option<StatementFacts>,
    ) -> Self {
        Self {
            verified: checks
                .0
                .iter()
                .all(|check| check.outcome != Outcome::Failed),
            checks: checks.0,
            signer,
            signed_at,
            statement,
        }
    }

    /// Returns a check by its name.
    #[must_use]
    pub fn check(&self, name: CheckName) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Returns the checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.outcome == Outcome::Failed)
    }
}
