//! Bills of materials: which format, whether they are what they claim, of which artifact.
//!
//! CycloneDX 1.2 to 1.7 in JSON and XML, SPDX 2.2 and 2.3 in JSON and tag-value form, SPDX
//! 3.0 in JSON-LD. A document is checked against its format's schema before anything is
//! read from it, and kept by the caller as the octets that it is.

mod cyclonedx;
mod cyclonedx_xml;
mod elements;
mod schema;
mod spdx;
mod spdx3;
mod tag_value;
mod xml_model;

pub use elements::{MinimumElement, Missing};

use std::fmt;

use serde_json::Value;

use crate::json::{self, JsonError};
use crate::statement::{DigestSet, Statement, StatementError, Subject, predicate_type};

/// Most main components that are kept of one document.
const MAX_MAIN: usize = 64;

/// How large a bill of materials may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SbomLimits {
    /// Most octets.
    pub max_len: usize,
    /// Most lists, objects or elements within each other.
    pub max_depth: usize,
    /// Most values in JSON, elements in XML, lines in tag-value form.
    pub max_nodes: usize,
    /// Most components, packages and files.
    pub max_components: usize,
}

impl Default for SbomLimits {
    /// 64 MiB, 64 deep, two million values, 250,000 components.
    fn default() -> Self {
        Self {
            max_len: 64 << 20,
            max_depth: 64,
            max_nodes: 2_000_000,
            max_components: 250_000,
        }
    }
}

impl SbomLimits {
    /// Returns the limits on its JSON.
    #[must_use]
    pub fn json(&self) -> json::Limits {
        json::Limits {
            max_len: self.max_len,
            max_depth: self.max_depth,
            max_nodes: self.max_nodes,
        }
    }
}

/// A format of bills of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SbomFormat {
    /// CycloneDX in JSON.
    CycloneDxJson,
    /// CycloneDX in XML.
    CycloneDxXml,
    /// SPDX 2 in JSON.
    SpdxJson,
    /// SPDX 2 in tag-value form.
    SpdxTagValue,
    /// SPDX 3 in JSON-LD.
    Spdx3Json,
}

impl SbomFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [
        Self::CycloneDxJson,
        Self::CycloneDxXml,
        Self::SpdxJson,
        Self::SpdxTagValue,
        Self::Spdx3Json,
    ];

    /// Returns the name that configuration, logs and answers use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CycloneDxJson => "cyclonedx-json",
            Self::CycloneDxXml => "cyclonedx-xml",
            Self::SpdxJson => "spdx-json",
            Self::SpdxTagValue => "spdx-tag-value",
            Self::Spdx3Json => "spdx3-json",
        }
    }

    /// Returns the media type that documents of the format are served as.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDxJson => "application/vnd.cyclonedx+json",
            Self::CycloneDxXml => "application/vnd.cyclonedx+xml",
            Self::SpdxJson => "application/spdx+json",
            Self::SpdxTagValue => "text/spdx",
            Self::Spdx3Json => "application/ld+json",
        }
    }

    /// Returns what the format's predicates are called in statements.
    #[must_use]
    pub const fn predicate_type(self) -> &'static str {
        match self {
            Self::CycloneDxJson | Self::CycloneDxXml => predicate_type::CYCLONEDX,
            Self::SpdxJson | Self::SpdxTagValue | Self::Spdx3Json => predicate_type::SPDX,
        }
    }

    /// Whether documents are JSON objects, which statements can hold as they are.
    #[must_use]
    pub const fn is_json(self) -> bool {
        match self {
            Self::CycloneDxJson | Self::SpdxJson | Self::Spdx3Json => true,
            Self::CycloneDxXml | Self::SpdxTagValue => false,
        }
    }
}

impl fmt::Display for SbomFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for SbomFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| UnknownFormat {
                given: json::quoted(text),
            })
    }
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no format {given:?}: cyclonedx-json, cyclonedx-xml, spdx-json, spdx-tag-value and spdx3-json are known"
)]
pub struct UnknownFormat {
    /// The text.
    pub given: String,
}

/// Why a document is not taken as a bill of materials, or not as the artifact's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SbomError {
    /// More octets than the limit.
    #[error("the SBOM has {len} octets; at most {max} are taken")]
    TooLarge {
        /// Octets given.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// More components than the limit.
    #[error("the SBOM has more than {max} components")]
    TooManyComponents {
        /// The limit.
        max: usize,
    },
    /// Neither JSON, nor XML, nor tag-value form.
    #[error(
        "the document is no SBOM: it is neither CycloneDX (JSON, XML) nor SPDX (JSON, tag-value)"
    )]
    Unknown,
    /// A format that is known but not taken.
    #[error("the SBOM is {format}, which is not taken; {instead}")]
    Unsupported {
        /// What it is.
        format: &'static str,
        /// What to give instead.
        instead: &'static str,
    },
    /// A version that is not taken.
    #[error("the SBOM is {format} of version {version:?}; {taken} are taken")]
    Version {
        /// The format.
        format: &'static str,
        /// Its version, shortened.
        version: String,
        /// Versions that are taken.
        taken: &'static str,
    },
    /// Not JSON as evidence must be.
    #[error("the SBOM is not JSON that is taken as evidence: {0}")]
    Json(#[from] JsonError),
    /// Not XML as evidence must be.
    #[error("the SBOM is not XML that is taken as evidence: {problem} (octet {offset})")]
    Xml {
        /// What is wrong.
        problem: String,
        /// Where.
        offset: u64,
    },
    /// Not tag-value form.
    #[error("the SBOM is not SPDX in tag-value form: {problem} (line {line})")]
    TagValue {
        /// What is wrong.
        problem: String,
        /// The line, from 1.
        line: usize,
    },
    /// Against the format's schema.
    #[error("the SBOM breaks the schema of {format}: {problem} (at {place})")]
    Schema {
        /// Format and version.
        format: &'static str,
        /// What is wrong.
        problem: String,
        /// Where, as a JSON pointer or a path of elements.
        place: String,
    },
    /// The schema in this program cannot be used: a fault of the program.
    #[error("the schema of {format} cannot be used: {problem}")]
    BrokenSchema {
        /// Format and version.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The main component is another artifact.
    #[error(
        "the SBOM is of another artifact: its main component has {algorithm}:{actual}, the artifact {algorithm}:{expected}"
    )]
    SubjectMismatch {
        /// The algorithm, in-toto's name.
        algorithm: String,
        /// The artifact's digest.
        expected: String,
        /// The main component's.
        actual: String,
    },
}

/// The component that a bill is of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MainComponent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its hashes: in-toto's name of the algorithm, lower-case hexadecimal.
    pub hashes: Vec<(String, String)>,
}

/// What the hashes of the main component say about an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectCheck {
    /// A strong one is the artifact's, and none is another.
    Matches,
    /// There is none by an algorithm of which the artifact's digest is known.
    NotStated,
}

/// A bill of materials whose form was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbom {
    /// Its format.
    format: SbomFormat,
    /// The format's version, without a prefix: `1.6`, `2.3`.
    spec_version: String,
    /// Serial number or namespace.
    serial: Option<String>,
    /// What it is of.
    main: Vec<MainComponent>,
    /// Components, packages and files, nested ones too, the main ones not.
    components: usize,
    /// Minimum elements that are missing.
    missing: Vec<Missing>,
    /// SHA-256 of its octets.
    sha256: [u8; 32],
}

/// Makes every schema ready, which the first document of each version does otherwise.
pub fn prepare() {
    schema::prepare();
    xml_model::prepare();
}

impl Sbom {
    /// Recognises a document's format, checks it against the format's schema, and reads
    /// what policies and logs need.
    ///
    /// Bytes are hostile: never panics. JSON takes up to about 150 octets of memory for
    /// each value beside the texts, so the limits bound it.
    ///
    /// # Errors
    ///
    /// The first thing wrong.
    pub fn parse(bytes: &[u8], limits: &SbomLimits) -> Result<Self, SbomError> {
        if bytes.len() > limits.max_len {
            return Err(SbomError::TooLarge {
                len: bytes.len(),
                max: limits.max_len,
            });
        }
        let mut sbom = Self::read(bytes, limits)?;
        sbom.sha256 = sha256(bytes);
        Ok(sbom)
    }

    /// Reads a document in any form.
    fn read(bytes: &[u8], limits: &SbomLimits) -> Result<Self, SbomError> {
        let text = bytes.trim_ascii_start();
        match text.first() {
            Some(b'{') => Self::from_json(bytes, limits),
            Some(b'<') => cyclonedx_xml::read(bytes, limits),
            Some(0xef) if text.starts_with(b"\xef\xbb\xbf") => {
                let rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or_default();
                // XML may begin with the mark; JSON may not, and tag-value has no rule.
                match rest.first() {
                    Some(b'<') => cyclonedx_xml::read(bytes, limits),
                    Some(_) | None => Err(SbomError::Unknown),
                }
            }
            Some(_) => tag_value::read(bytes, limits),
            None => Err(SbomError::Unknown),
        }
    }

    /// Reads a document in JSON.
    fn from_json(bytes: &[u8], limits: &SbomLimits) -> Result<Self, SbomError> {
        let document = json::parse(bytes, &limits.json())?;
        if document.get("bomFormat").is_some() {
            cyclonedx::read(&document, limits)
        } else if document.get("spdxVersion").is_some() {
            spdx::read(&document, limits)
        } else if document.get("@context").is_some() {
            spdx3::read(&document, limits)
        } else {
            Err(SbomError::Unknown)
        }
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> SbomFormat {
        self.format
    }

    /// Returns the format's version: `1.6`, `2.3`.
    #[must_use]
    pub fn spec_version(&self) -> &str {
        &self.spec_version
    }

    /// Returns serial number (CycloneDX) or namespace (SPDX).
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// Returns what it is of: one component in CycloneDX, what the document describes in
    /// SPDX (at most 64 of them).
    #[must_use]
    pub fn main(&self) -> &[MainComponent] {
        &self.main
    }

    /// Returns the number of components, packages and files beside the main ones.
    #[must_use]
    pub fn components(&self) -> usize {
        self.components
    }

    /// Returns the minimum elements that are missing.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Compares the main component's hashes with the artifact's digests.
    ///
    /// A document that describes several things is the artifact's if one of them is.
    ///
    /// # Errors
    ///
    /// `SubjectMismatch` if a hash is another than the artifact's digest by the same
    /// algorithm.
    pub fn check_subject(&self, artifact: &DigestSet) -> Result<SubjectCheck, SbomError> {
        let mut mismatch = None;
        let mut stated = SubjectCheck::NotStated;
        for main in &self.main {
            match compare(&main.hashes, artifact) {
                Ok(SubjectCheck::Matches) => stated = SubjectCheck::Matches,
                Ok(SubjectCheck::NotStated) => {}
                Err(error) => mismatch = mismatch.or(Some(error)),
            }
        }
        match (stated, mismatch) {
            (SubjectCheck::NotStated, Some(error)) => Err(error),
            (stated, _) => Ok(stated),
        }
    }

    /// Returns the SHA-256 of the document's octets.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Makes the statement by which the document is attested as an artifact's.
    ///
    /// A JSON document is the predicate, octet by octet, under the type that in-toto
    /// registers for its format. Those predicates are JSON objects, so that a document in
    /// another form is attested by reference (in-toto's predicate of that name): by its
    /// digest and media type, with the attester's URI.
    ///
    /// # Errors
    ///
    /// `Predicate` unless the document is the one that was read; otherwise as
    /// [`Statement::build`] for the subject.
    pub fn to_statement(
        &self,
        document: &[u8],
        subject: Subject,
        attester: &str,
    ) -> Result<Statement, StatementError> {
        if sha256(document) != self.sha256 {
            return Err(StatementError::Predicate);
        }
        if self.format.is_json() {
            let predicate_type = self.format.predicate_type();
            return Statement::around(vec![subject], predicate_type, document);
        }
        let reference = serde_json::json!({
            "attester": {"id": attester},
            "references": [{
                "name": self.serial.as_deref().unwrap_or(self.format.as_str()),
                "digest": {"sha256": hex::encode(self.sha256)},
                "mediaType": self.format.media_type(),
            }],
        });
        let reference = reference.to_string();
        Statement::around(
            vec![subject],
            predicate_type::REFERENCE,
            reference.as_bytes(),
        )
    }
}

/// Returns the SHA-256 of octets.
fn sha256(octets: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    let mut made = [0; 32];
    made.copy_from_slice(digest.as_ref());
    made
}

/// Compares hashes with an artifact's digests.
fn compare(hashes: &[(String, String)], artifact: &DigestSet) -> Result<SubjectCheck, SbomError> {
    for (algorithm, actual) in hashes {
        if let Some(expected) = artifact.of(algorithm)
            && expected != actual
        {
            return Err(SbomError::SubjectMismatch {
                algorithm: algorithm.clone(),
                expected: expected.to_owned(),
                actual: actual.clone(),
            });
        }
    }
    let stated = DigestSet::from_pairs(hashes).agrees(artifact);
    Ok(if stated {
        SubjectCheck::Matches
    } else {
        SubjectCheck::NotStated
    })
}

/// Returns in-toto's name of a hash algorithm as CycloneDX (`SHA-256`), SPDX 2 (`SHA256`)
/// or SPDX 3 (`sha256`) write it, and what it was written with, in lower case.
fn hash(algorithm: &str, value: &str) -> Option<(String, String)> {
    let plain: String = algorithm
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    let name = match plain.as_str() {
        "sha3256" => "sha3_256",
        "sha3384" => "sha3_384",
        "sha3512" => "sha3_512",
        "blake2b512" => "blake2b",
        "md5" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512" => plain.as_str(),
        _ => return None,
    };
    Some((name.to_owned(), value.to_ascii_lowercase()))
}

/// Returns a member that is a text and says something.
fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value
        .get(name)
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|text| !matches!(*text, "" | "NOASSERTION" | "NONE"))
}

/// Returns the items of a member that is a list.
fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
