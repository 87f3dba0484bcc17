//! In-toto statements: what is said (a predicate) about which artifacts (subjects).
//!
//! A statement is kept as the octets that it arrived as, its predicate as the JSON text
//! that it was: neither is ever written anew.

use std::collections::BTreeMap;
use std::fmt;

use model::signing::ArtifactDigest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{self, JsonError};

/// The type of statements of version 1, which we make.
pub const V1: &str = "https://in-toto.io/Statement/v1";

/// The type of statements of version 0.1, which are read.
pub const V0_1: &str = "https://in-toto.io/Statement/v0.1";

/// What predicates are called that are known here.
pub mod predicate_type {
    /// SLSA provenance, version 1.
    pub const PROVENANCE_V1: &str = "https://slsa.dev/provenance/v1";
    /// SLSA provenance, version 0.2.
    pub const PROVENANCE_V0_2: &str = "https://slsa.dev/provenance/v0.2";
    /// A CycloneDX bill of materials.
    pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
    /// An SPDX document.
    pub const SPDX: &str = "https://spdx.dev/Document";
    /// Documents that are named by their digests.
    pub const REFERENCE: &str = "https://in-toto.io/attestation/reference/v0.1";
    /// An SLSA verification summary, version 1.
    pub const VSA_V1: &str = "https://slsa.dev/verification_summary/v1";
}

/// Most subjects of a statement.
const MAX_SUBJECTS: usize = 4096;

/// Most octets of a subject's name or of a predicate's type.
const MAX_NAME_LEN: usize = 4096;

/// Most digests of one thing.
const MAX_DIGESTS: usize = 32;

/// Digests by in-toto's names: whether they are strong, and octets of their values.
const ALGORITHMS: &[(&str, bool, usize)] = &[
    ("sha256", true, 32),
    ("sha384", true, 48),
    ("sha512", true, 64),
    ("sha512_224", true, 28),
    ("sha512_256", true, 32),
    ("sha3_256", true, 32),
    ("sha3_384", true, 48),
    ("sha3_512", true, 64),
    ("blake2b", true, 64),
    ("blake2s", true, 32),
    ("sha224", false, 28),
    ("sha3_224", false, 28),
    ("sha1", false, 20),
    ("md5", false, 16),
    ("gitCommit", false, 0),
    ("gitTree", false, 0),
    ("gitBlob", false, 0),
    ("gitTag", false, 0),
];

/// Why a statement is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not JSON as evidence must be, or without a statement's members.
    #[error("the statement is no in-toto statement in JSON: {0}")]
    Json(#[from] JsonError),
    /// A member's name in another case: readers differ about whether it counts.
    #[error("the statement has the member {name:?}, which some readers take for another one")]
    NameVariant {
        /// The member.
        name: String,
    },
    /// A type other than the two known ones.
    #[error("the statement's _type is {found:?}; {V1} and {V0_1} are taken")]
    Type {
        /// What it has.
        found: String,
    },
    /// A predicate that is no JSON object.
    #[error("the statement's predicate is not a JSON object")]
    Predicate,
    /// No subject, or more than are looked at.
    #[error("the statement has {count} subjects; 1 to {MAX_SUBJECTS} are taken")]
    SubjectCount {
        /// Subjects given.
        count: usize,
    },
    /// A text that is empty or too long.
    #[error("{what} of the statement has {len} octets; 1 to {MAX_NAME_LEN} are taken")]
    Length {
        /// The member.
        what: &'static str,
        /// Octets given.
        len: usize,
    },
    /// A subject whose digests are not digests.
    #[error("subject {place} of the statement: {problem}")]
    Digest {
        /// Its place, from 1.
        place: usize,
        /// What is wrong.
        problem: DigestError,
    },
    /// No subject is the artifact.
    #[error("the statement is about another artifact: it names {actual}, not {expected}")]
    SubjectMismatch {
        /// The artifact's digests.
        expected: String,
        /// The digests that the statement has instead.
        actual: String,
    },
}

/// Why a set of digests is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// None at all, or more than are looked at.
    #[error("it has {count} digests; 1 to {MAX_DIGESTS} are taken")]
    Count {
        /// Digests given.
        count: usize,
    },
    /// A value that is not the algorithm's.
    #[error("the {algorithm} digest is not {wanted}")]
    Value {
        /// The algorithm, shortened.
        algorithm: String,
        /// What it must be.
        wanted: String,
    },
}

/// Digests of one thing by in-toto's names of the algorithms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DigestSet(BTreeMap<String, String>);

impl DigestSet {
    /// Takes digests in lower-case hexadecimal by in-toto's names of the algorithms.
    ///
    /// # Errors
    ///
    /// `Count` for none or too many, `Value` for one that is not its algorithm's.
    pub fn new(digests: BTreeMap<String, String>) -> Result<Self, DigestError> {
        let set = Self(digests);
        set.check().map(|()| set)
    }

    /// Takes pairs of names and values; of several by one name, the first.
    pub(crate) fn from_pairs(pairs: &[(String, String)]) -> Self {
        Self(pairs.iter().rev().cloned().collect())
    }

    /// Returns a digest by the algorithm's name.
    #[must_use]
    pub fn of(&self, algorithm: &str) -> Option<&str> {
        self.0.get(algorithm).map(String::as_str)
    }

    /// Returns algorithms and digests, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(algorithm, value)| (algorithm.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is the same thing: every digest that both have agrees, and at least
    /// one of those is strong (SHA-2 of 256 bits and more, SHA-3, BLAKE2).
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let mut strong = false;
        for (algorithm, value) in self.iter() {
            match other.of(algorithm) {
                Some(same) if same.eq_ignore_ascii_case(value) => {
                    strong |= ALGORITHMS
                        .iter()
                        .any(|(name, strong, _)| *strong && *name == algorithm);
                }
                Some(_) => return false,
                None => {}
            }
        }
        strong
    }

    /// Checks names and values.
    fn check(&self) -> Result<(), DigestError> {
        if !(1..=MAX_DIGESTS).contains(&self.0.len()) {
            return Err(DigestError::Count {
                count: self.0.len(),
            });
        }
        for (algorithm, value) in self.iter() {
            let octets = ALGORITHMS
                .iter()
                .find(|(name, ..)| *name == algorithm)
                .map_or(0, |(.., octets)| *octets);
            // in-toto's DigestSet: unknown algorithms are allowed, their values need not
            // be hexadecimal; nothing is concluded from them.
            let known = ALGORITHMS.iter().any(|(name, ..)| *name == algorithm);
            let hexadecimal = value.bytes().all(|octet| octet.is_ascii_hexdigit());
            let fits = if known {
                hexadecimal && !value.is_empty() && (octets == 0 || value.len() == 2 * octets)
            } else {
                !value.is_empty()
            };
            if !fits || algorithm.is_empty() || algorithm.len() > 64 || value.len() > 1024 {
                let wanted = match octets {
                    0 => "a digest".to_owned(),
                    octets => format!("{} hexadecimal digits", 2 * octets),
                };
                return Err(DigestError::Value {
                    algorithm: json::quoted(algorithm),
                    wanted,
                });
            }
        }
        Ok(())
    }
}

impl FromIterator<ArtifactDigest> for DigestSet {
    /// Takes an artifact's digests.
    fn from_iter<T: IntoIterator<Item = ArtifactDigest>>(digests: T) -> Self {
        let named = |digest: ArtifactDigest| (digest.algorithm().to_string(), digest.hex());
        Self(digests.into_iter().map(named).collect())
    }
}

impl fmt::Display for DigestSet {
    /// Writes `sha256:…, sha512:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (algorithm, value)) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{algorithm}:{value}")?;
        }
        Ok(())
    }
}

/// An artifact that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Its name; says nothing that anybody should rely on, and may be empty.
    pub name: String,
    /// Its digests.
    pub digest: DigestSet,
}

/// A statement, its octets and its predicate's text as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The statement's octets.
    bytes: Vec<u8>,
    /// The artifacts, at least one.
    subjects: Vec<Subject>,
    /// What the predicate is.
    predicate_type: String,
    /// The predicate's JSON text, a place in `bytes`.
    predicate: std::ops::Range<usize>,
}

/// A statement as JSON has it.
#[derive(Deserialize)]
struct Raw<'a> {
    /// The statement's version.
    #[serde(rename = "_type")]
    kind: String,
    /// The artifacts.
    subject: Vec<RawSubject>,
    /// What the predicate is.
    #[serde(rename = "predicateType")]
    predicate_type: String,
    /// The predicate's text.
    #[serde(borrow)]
    predicate: Option<&'a RawValue>,
}

/// A subject as JSON has it.
#[derive(Deserialize)]
struct RawSubject {
    /// Its name.
    #[serde(default)]
    name: Option<String>,
    /// Its digests.
    digest: DigestSet,
}

impl Statement {
    /// Reads a statement of version 1 or 0.1.
    ///
    /// Bytes are hostile: never panics, allocates a few times the input's length. Unknown
    /// members are ignored, as in-toto demands; names that differ from known ones in case
    /// alone are refused, because some readers take them for the known ones.
    ///
    /// # Errors
    ///
    /// The first thing wrong. The predicate is checked to be an object and for nothing
    /// else.
    pub fn parse(bytes: &[u8], limits: &json::Limits) -> Result<Self, StatementError> {
        json::check(bytes, limits)?;
        let raw: Raw<'_> = serde_json::from_slice(bytes).map_err(shape)?;
        if raw.kind != V1 && raw.kind != V0_1 {
            return Err(StatementError::Type {
                found: json::quoted(&raw.kind),
            });
        }
        refuse_variants(bytes)?;
        let predicate = raw
            .predicate
            .map(RawValue::get)
            .filter(|text| text.starts_with('{'))
            .ok_or(StatementError::Predicate)?;
        // The text lies within the octets: RawValue borrows it from there.
        let start = predicate.as_ptr().addr() - bytes.as_ptr().addr();
        let subjects: Vec<Subject> = raw
            .subject
            .into_iter()
            .map(|RawSubject { name, digest }| Subject {
                name: name.unwrap_or_default(),
                digest,
            })
            .collect();
        check_parts(&subjects, &raw.predicate_type)?;
        Ok(Self {
            bytes: bytes.to_vec(),
            subjects,
            predicate_type: raw.predicate_type,
            predicate: start..start + predicate.len(),
        })
    }

    /// Makes a statement of version 1 around a predicate, whose octets stay as they are.
    ///
    /// # Errors
    ///
    /// What [`Statement::parse`] would refuse; `Json` also if the predicate is not JSON as
    /// evidence must be.
    pub fn build(
        subjects: Vec<Subject>,
        predicate_type: &str,
        predicate_json: &[u8],
        limits: &json::Limits,
    ) -> Result<Self, StatementError> {
        json::check(predicate_json, limits)?;
        Self::around(subjects, predicate_type, predicate_json)
    }

    /// Makes a statement around a predicate that was read strictly already.
    ///
    /// # Errors
    ///
    /// `Predicate` if it is no object; otherwise as [`Statement::build`].
    pub(crate) fn around(
        subjects: Vec<Subject>,
        predicate_type: &str,
        predicate_json: &[u8],
    ) -> Result<Self, StatementError> {
        let predicate_json = predicate_json.trim_ascii();
        if !predicate_json.starts_with(b"{") {
            return Err(StatementError::Predicate);
        }
        check_parts(&subjects, predicate_type)?;
        let list = serde_json::to_string(&subjects).map_err(shape)?;
        let head = format!(
            "{{\"_type\":\"{V1}\",\"subject\":{list},\"predicateType\":{},\"predicate\":",
            Value::from(predicate_type)
        );
        let predicate = head.len()..head.len() + predicate_json.len();
        let bytes = [head.as_bytes(), predicate_json, b"}"].concat();
        Ok(Self {
            bytes,
            subjects,
            predicate_type: predicate_type.to_owned(),
            predicate,
        })
    }

    /// Returns the statement's octets: the payload of its envelope.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the statement's octets.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the artifacts, at least one.
    #[must_use]
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// Returns what the predicate is.
    #[must_use]
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// Returns the predicate's JSON text as it stands, UTF-8.
    #[must_use]
    pub fn predicate(&self) -> &[u8] {
        self.bytes.get(self.predicate.clone()).unwrap_or_default()
    }

    /// Finds the subject that an artifact is.
    ///
    /// # Errors
    ///
    /// `SubjectMismatch` if no subject agrees with the artifact in a strong digest, or
    /// those that do contradict it in another one.
    pub fn check_subject(&self, artifact: &DigestSet) -> Result<&Subject, StatementError> {
        self.subjects
            .iter()
            .find(|subject| subject.digest.agrees(artifact))
            .ok_or_else(|| {
                let mut actual: Vec<String> = self
                    .subjects
                    .iter()
                    .take(3)
                    .map(|subject| subject.digest.to_string())
                    .collect();
                if self.subjects.len() > actual.len() {
                    actual.push(format!("{} more", self.subjects.len() - actual.len()));
                }
                StatementError::SubjectMismatch {
                    expected: artifact.to_string(),
                    actual: actual.join("; "),
                }
            })
    }
}

/// Checks what statements consist of beside the predicate.
fn check_parts(subjects: &[Subject], predicate_type: &str) -> Result<(), StatementError> {
    let length = |what, len, least| {
        if (least..=MAX_NAME_LEN).contains(&len) {
            Ok(())
        } else {
            Err(StatementError::Length { what, len })
        }
    };
    length("the predicate's type", predicate_type.len(), 1)?;
    if !(1..=MAX_SUBJECTS).contains(&subjects.len()) {
        return Err(StatementError::SubjectCount {
            count: subjects.len(),
        });
    }
    for (place, subject) in (1..).zip(subjects) {
        length("a subject's name", subject.name.len(), 0)?;
        subject
            .digest
            .check()
            .map_err(|problem| StatementError::Digest { place, problem })?;
    }
    Ok(())
}

/// Refuses members whose names differ from known ones in case alone.
fn refuse_variants(bytes: &[u8]) -> Result<(), StatementError> {
    /// A subject's members by name.
    type Members<'a> = BTreeMap<String, &'a RawValue>;
    let check = |members: &Members<'_>, known: &[&str]| match members
        .keys()
        .find(|name| json::is_variant(name, known))
    {
        Some(name) => Err(StatementError::NameVariant {
            name: json::quoted(name),
        }),
        None => Ok(()),
    };
    let members: Members<'_> = serde_json::from_slice(bytes).map_err(shape)?;
    check(
        &members,
        &["_type", "subject", "predicateType", "predicate"],
    )?;
    if let Some(subjects) = members.get("subject") {
        let subjects: Vec<Members<'_>> = serde_json::from_str(subjects.get()).map_err(shape)?;
        for subject in &subjects {
            check(subject, &["name", "digest"])?;
        }
    }
    Ok(())
}

/// Says which member is missing or of another shape.
fn shape(error: serde_json::Error) -> StatementError {
    StatementError::Json(json::malformed(&error))
}

#[cfg(test)]
mod tests;
