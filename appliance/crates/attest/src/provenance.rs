//! SLSA provenance: how an artifact came to be, in every form in which builders hand it
//! over.
//!
//! What was signed stays as it was: envelopes and bundles are read here, their signatures
//! verified elsewhere ([`crate::dsse::Envelope::verify`], [`crate::verify`]).

mod ci;
mod facts;

pub use ci::{CiError, from_ci};
pub use facts::{BuildFacts, Version, normalize_source};

use serde_json::Value;

use crate::bundle::{Bundle, BundleError, Content};
use crate::dsse::{DsseError, Envelope, IN_TOTO};
use crate::json::{self, JsonError, Limits, quoted};
use crate::statement::{DigestSet, Statement, StatementError, Subject, predicate_type};

/// Most lines of JSON lines.
const MAX_LINES: usize = 256;

/// How provenance was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// The predicate alone.
    Predicate,
    /// A statement, unsigned.
    Statement,
    /// A DSSE envelope.
    Envelope,
    /// A sigstore bundle.
    Bundle,
    /// Several of these, one a line.
    JsonLines,
}

impl Form {
    /// Returns the name that logs and answers use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Predicate => "predicate",
            Self::Statement => "statement",
            Self::Envelope => "envelope",
            Self::Bundle => "bundle",
            Self::JsonLines => "json-lines",
        }
    }

    /// Returns the media type that documents of the form are served as.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Predicate | Self::Statement => "application/json",
            Self::Envelope => "application/vnd.dsse.envelope.v1+json",
            Self::Bundle => crate::bundle::MEDIA_TYPE,
            Self::JsonLines => "application/jsonl",
        }
    }
}

/// Why provenance is not taken, or not as the artifact's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvenanceError {
    /// Not JSON as evidence must be.
    #[error("the provenance is not JSON that is taken as evidence: {0}")]
    Json(#[from] JsonError),
    /// An envelope that is none.
    #[error(transparent)]
    Envelope(#[from] DsseError),
    /// A bundle that is none.
    #[error("the provenance's bundle is refused: {0}")]
    Bundle(#[from] BundleError),
    /// A bundle over octets, not over a statement.
    #[error("the bundle signs octets, not a statement: give the bundle of the provenance")]
    NoStatement,
    /// An envelope of something else.
    #[error("the envelope holds {found:?}, not an in-toto statement ({IN_TOTO})")]
    PayloadType {
        /// Its payload's type.
        found: String,
    },
    /// A statement that is none.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// None of the forms.
    #[error(
        "the document is no SLSA provenance: neither a predicate, nor a statement, an envelope, a sigstore bundle, or lines of these"
    )]
    Unknown,
    /// A statement of another kind.
    #[error(
        "the statement's predicate is {found:?}; provenance is {} or {}",
        predicate_type::PROVENANCE_V1,
        predicate_type::PROVENANCE_V0_2
    )]
    PredicateType {
        /// Its type.
        found: String,
    },
    /// A member that must be there.
    #[error("the provenance lacks {place}, which SLSA requires")]
    Missing {
        /// Where.
        place: String,
    },
    /// A member that is not what it must be.
    #[error("{place} of the provenance is not {wanted}")]
    Member {
        /// Where.
        place: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// More lines than are looked at.
    #[error("the provenance has more than {MAX_LINES} lines")]
    TooManyLines,
    /// Lines without any provenance.
    #[error("none of the {lines} lines is SLSA provenance")]
    NoneInLines {
        /// Lines read.
        lines: usize,
    },
    /// One line is refused.
    #[error("line {line} of the provenance: {problem}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// Why.
        problem: Box<ProvenanceError>,
    },
    /// The provenance is another artifact's.
    #[error("the provenance is of another artifact: it names {actual}, the artifact is {expected}")]
    SubjectMismatch {
        /// The artifact's digests.
        expected: String,
        /// The digests that the provenance has.
        actual: String,
    },
}

/// What vouches for provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// Nothing: it is what the submitter says.
    Unsigned,
    /// A signed envelope.
    Envelope(Envelope),
    /// A sigstore bundle.
    Bundle(Box<Bundle>),
}

/// Provenance of one build, its form checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// What vouches for it.
    seal: Seal,
    /// The statement; none where the predicate came alone.
    statement: Option<Statement>,
    /// The predicate's octets where it came alone.
    alone: Vec<u8>,
    /// What it says.
    facts: BuildFacts,
}

/// What was handed over as provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// In which form.
    form: Form,
    /// The provenance in it, at least one.
    provenance: Vec<Provenance>,
}

impl Submission {
    /// Reads provenance in any form and checks it against SLSA's specification.
    ///
    /// Bytes are hostile: never panics, allocates a few times the input's length. Of JSON
    /// lines those that attest something else (bills of materials, tests) are passed over.
    ///
    /// # Errors
    ///
    /// The first thing wrong.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ProvenanceError> {
        if bytes.len() > limits.max_len {
            return Err(JsonError::TooLarge {
                len: bytes.len(),
                max: limits.max_len,
            }
            .into());
        }
        let mut lines = (1..)
            .zip(bytes.split(|octet| *octet == b'\n'))
            .map(|(number, line)| (number, line.trim_ascii()))
            .filter(|(_, line)| !line.is_empty());
        let first = lines.next();
        let several = lines.next().is_some();
        // A document of its own on the first line, and more behind it.
        if let Some((_, first)) = first
            && several
            && first.ends_with(b"}")
            && json::check(first, limits).is_ok()
        {
            return Self::from_lines(bytes, limits);
        }
        let (form, provenance) = Provenance::read(bytes, limits)?;
        Ok(Self {
            form,
            provenance: vec![provenance],
        })
    }

    /// Reads one document a line.
    fn from_lines(bytes: &[u8], limits: &Limits) -> Result<Self, ProvenanceError> {
        let mut provenance = Vec::new();
        let mut count = 0;
        for (number, line) in (1..).zip(bytes.split(|octet| *octet == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            count += 1;
            if count > MAX_LINES {
                return Err(ProvenanceError::TooManyLines);
            }
            match Provenance::read(line, limits) {
                Ok((_, read)) => provenance.push(read),
                // Other attestations of the same artifact, as forges keep them together.
                Err(ProvenanceError::PredicateType { .. } | ProvenanceError::NoStatement) => {}
                Err(problem) => {
                    return Err(ProvenanceError::Line {
                        line: number,
                        problem: Box::new(problem),
                    });
                }
            }
        }
        if provenance.is_empty() {
            return Err(ProvenanceError::NoneInLines { lines: count });
        }
        Ok(Self {
            form: Form::JsonLines,
            provenance,
        })
    }

    /// Returns the form.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Returns every provenance in it, at least one.
    #[must_use]
    pub fn provenance(&self) -> &[Provenance] {
        &self.provenance
    }

    /// Returns the provenance of an artifact; of several, all that name it.
    ///
    /// A predicate that came alone names no artifact and is taken as the submitter's word.
    ///
    /// # Errors
    ///
    /// `SubjectMismatch` if there is none.
    pub fn of(&self, artifact: &DigestSet) -> Result<Vec<&Provenance>, ProvenanceError> {
        let mut mismatch = None;
        let mut found = Vec::new();
        for provenance in &self.provenance {
            match provenance.check_subject(artifact) {
                Ok(()) => found.push(provenance),
                Err(error) => mismatch = mismatch.or(Some(error)),
            }
        }
        match mismatch {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }
}

impl Provenance {
    /// Reads one document.
    fn read(bytes: &[u8], limits: &Limits) -> Result<(Form, Self), ProvenanceError> {
        let document = json::parse(bytes, limits)?;
        let has = |name: &str| document.get(name).is_some();
        if has("verificationMaterial") || has("dsseEnvelope") || has("mediaType") {
            let bundle = Bundle::parse(bytes)?;
            let Content::Envelope(envelope) = &bundle.content else {
                return Err(ProvenanceError::NoStatement);
            };
            let statement = statement_of(envelope, limits)?;
            let seal = Seal::Bundle(Box::new(bundle));
            return Ok((Form::Bundle, Self::stated(seal, statement)?));
        }
        if has("payload") || has("payloadType") {
            let envelope = Envelope::from_value(document)?;
            let statement = statement_of(&envelope, limits)?;
            let seal = Seal::Envelope(envelope);
            return Ok((Form::Envelope, Self::stated(seal, statement)?));
        }
        if has("_type") || has("predicateType") {
            let statement = Statement::parse(bytes, limits)?;
            return Ok((Form::Statement, Self::stated(Seal::Unsigned, statement)?));
        }
        let version = if has("buildDefinition") || has("runDetails") {
            Version::V1
        } else if has("builder") && has("buildType") {
            Version::V0_2
        } else {
            return Err(ProvenanceError::Unknown);
        };
        let provenance = Self {
            seal: Seal::Unsigned,
            statement: None,
            alone: bytes.trim_ascii().to_vec(),
            facts: BuildFacts::read(&document, version)?,
        };
        Ok((Form::Predicate, provenance))
    }

    /// Takes a statement and what vouches for it.
    fn stated(seal: Seal, statement: Statement) -> Result<Self, ProvenanceError> {
        let version = match statement.predicate_type() {
            predicate_type::PROVENANCE_V1 => Version::V1,
            predicate_type::PROVENANCE_V0_2 => Version::V0_2,
            other => {
                return Err(ProvenanceError::PredicateType {
                    found: quoted(other),
                });
            }
        };
        // Read strictly already, as a part of the statement.
        let predicate: Value = serde_json::from_slice(statement.predicate())
            .map_err(|error| json::malformed(&error))?;
        Ok(Self {
            facts: BuildFacts::read(&predicate, version)?,
            seal,
            statement: Some(statement),
            alone: Vec::new(),
        })
    }

    /// Returns what vouches for it.
    #[must_use]
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Whether somebody signed it; by whom is for others to verify.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        match self.seal {
            Seal::Unsigned => false,
            Seal::Envelope(_) | Seal::Bundle(_) => true,
        }
    }

    /// Returns the statement; none where the predicate came alone.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }

    /// Returns the predicate's JSON text, octet by octet.
    #[must_use]
    pub fn predicate(&self) -> &[u8] {
        match &self.statement {
            Some(statement) => statement.predicate(),
            None => &self.alone,
        }
    }

    /// Returns the predicate's type.
    #[must_use]
    pub fn predicate_type(&self) -> &'static str {
        self.facts.version.predicate_type()
    }

    /// Returns what it says.
    #[must_use]
    pub fn facts(&self) -> &BuildFacts {
        &self.facts
    }

    /// Returns the statement by which the service attests unsigned provenance: the one
    /// that was handed over, or one around the predicate that came alone.
    ///
    /// # Errors
    ///
    /// As [`Statement::build`].
    pub fn to_statement(&self, subject: Subject) -> Result<Statement, StatementError> {
        match &self.statement {
            Some(statement) => Ok(statement.clone()),
            None => Statement::around(vec![subject], self.predicate_type(), &self.alone),
        }
    }

    /// Checks that it is of an artifact; a predicate that came alone is of any.
    ///
    /// # Errors
    ///
    /// `SubjectMismatch` if no subject is the artifact.
    pub fn check_subject(&self, artifact: &DigestSet) -> Result<(), ProvenanceError> {
        let Some(statement) = &self.statement else {
            return Ok(());
        };
        match statement.check_subject(artifact) {
            Ok(_) => Ok(()),
            Err(StatementError::SubjectMismatch { expected, actual }) => {
                Err(ProvenanceError::SubjectMismatch { expected, actual })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the statement in an envelope.
fn statement_of(envelope: &Envelope, limits: &Limits) -> Result<Statement, ProvenanceError> {
    if envelope.payload_type() != IN_TOTO {
        return Err(ProvenanceError::PayloadType {
            found: quoted(envelope.payload_type()),
        });
    }
    Ok(Statement::parse(envelope.payload(), limits)?)
}

#[cfg(test)]
mod tests;
