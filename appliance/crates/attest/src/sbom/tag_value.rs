//! SPDX 2 in tag-value form, read into the shape that its JSON has, so that both are
//! checked alike.

use serde_json::{Map, Value, json};

use super::{Sbom, SbomError, SbomFormat, SbomLimits, spdx};
use crate::json::quoted;

/// Where a tag belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// The document itself.
    Document,
    /// How the document was made.
    Creation,
    /// A package.
    Package,
    /// A file.
    File,
    /// A part of a file.
    Snippet,
    /// A licence that is not on SPDX's list.
    Licence,
    /// How two elements relate.
    Relationship,
    /// A remark.
    Annotation,
    /// A review.
    Review,
}

impl Section {
    /// Returns the document's list of such sections, if it has several.
    fn list(self) -> Option<&'static str> {
        match self {
            Self::Document | Self::Creation => None,
            Self::Package => Some("packages"),
            Self::File => Some("files"),
            Self::Snippet => Some("snippets"),
            Self::Licence => Some("hasExtractedLicensingInfos"),
            Self::Relationship => Some("relationships"),
            Self::Annotation => Some("annotations"),
            Self::Review => Some("revieweds"),
        }
    }
}

/// What a tag's value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A text, which opens a section.
    Opens,
    /// A text, at most once in its section.
    Text,
    /// One text of several.
    List,
    /// `ALGORITHM: value`, one of several.
    Checksum,
    /// `true` or `false`.
    Bool,
    /// `value (excludes: file)`.
    VerificationCode,
    /// `CATEGORY type locator`, one of several.
    ExternalRef,
    /// A remark on the last external reference.
    ExternalRefComment,
    /// `DocumentRef-x URI SHA1: value`, one of several.
    DocumentRef,
    /// `from to`, places of a snippet.
    Range,
    /// `element TYPE element`, which opens a section.
    Relationship,
    /// Read and not kept.
    Ignored,
}

/// Every tag: its section, the member of that, and what its value becomes.
const TAGS: &[(&str, Section, &str, Kind)] = {
    use Kind::{
        Bool, Checksum, DocumentRef, ExternalRef, ExternalRefComment, Ignored, List, Opens, Range,
        Text, VerificationCode,
    };
    use Section::{
        Annotation, Creation, Document, File, Licence, Package, Relationship, Review, Snippet,
    };
    &[
        ("SPDXVersion", Document, "spdxVersion", Text),
        ("DataLicense", Document, "dataLicense", Text),
        ("DocumentName", Document, "name", Text),
        ("DocumentNamespace", Document, "documentNamespace", Text),
        ("DocumentComment", Document, "comment", Text),
        (
            "ExternalDocumentRef",
            Document,
            "externalDocumentRefs",
            DocumentRef,
        ),
        ("Creator", Creation, "creators", List),
        ("Created", Creation, "created", Text),
        ("CreatorComment", Creation, "comment", Text),
        ("LicenseListVersion", Creation, "licenseListVersion", Text),
        ("PackageName", Package, "name", Opens),
        ("PackageVersion", Package, "versionInfo", Text),
        ("PackageFileName", Package, "packageFileName", Text),
        ("PackageSupplier", Package, "supplier", Text),
        ("PackageOriginator", Package, "originator", Text),
        ("PackageDownloadLocation", Package, "downloadLocation", Text),
        ("FilesAnalyzed", Package, "filesAnalyzed", Bool),
        (
            "PackageVerificationCode",
            Package,
            "packageVerificationCode",
            VerificationCode,
        ),
        ("PackageChecksum", Package, "checksums", Checksum),
        ("PackageHomePage", Package, "homepage", Text),
        ("PackageSourceInfo", Package, "sourceInfo", Text),
        ("PackageLicenseConcluded", Package, "licenseConcluded", Text),
        (
            "PackageLicenseInfoFromFiles",
            Package,
            "licenseInfoFromFiles",
            List,
        ),
        ("PackageLicenseDeclared", Package, "licenseDeclared", Text),
        ("PackageLicenseComments", Package, "licenseComments", Text),
        ("PackageCopyrightText", Package, "copyrightText", Text),
        ("PackageSummary", Package, "summary", Text),
        ("PackageDescription", Package, "description", Text),
        ("PackageComment", Package, "comment", Text),
        ("PackageAttributionText", Package, "attributionTexts", List),
        ("ExternalRef", Package, "externalRefs", ExternalRef),
        (
            "ExternalRefComment",
            Package,
            "externalRefs",
            ExternalRefComment,
        ),
        (
            "PrimaryPackagePurpose",
            Package,
            "primaryPackagePurpose",
            Text,
        ),
        ("ReleaseDate", Package, "releaseDate", Text),
        ("BuiltDate", Package, "builtDate", Text),
        ("ValidUntilDate", Package, "validUntilDate", Text),
        ("FileName", File, "fileName", Opens),
        ("FileType", File, "fileTypes", List),
        ("FileChecksum", File, "checksums", Checksum),
        ("LicenseConcluded", File, "licenseConcluded", Text),
        ("LicenseInfoInFile", File, "licenseInfoInFiles", List),
        ("LicenseComments", File, "licenseComments", Text),
        ("FileCopyrightText", File, "copyrightText", Text),
        ("FileComment", File, "comment", Text),
        ("FileNotice", File, "noticeText", Text),
        ("FileContributor", File, "fileContributors", List),
        ("FileAttributionText", File, "attributionTexts", List),
        ("FileDependency", File, "fileDependencies", List),
        ("ArtifactOfProjectName", File, "", Ignored),
        ("ArtifactOfProjectHomePage", File, "", Ignored),
        ("ArtifactOfProjectURI", File, "", Ignored),
        ("SnippetSPDXID", Snippet, "SPDXID", Opens),
        ("SnippetFromFileSPDXID", Snippet, "snippetFromFile", Text),
        ("SnippetByteRange", Snippet, "offset", Range),
        ("SnippetLineRange", Snippet, "lineNumber", Range),
        ("SnippetLicenseConcluded", Snippet, "licenseConcluded", Text),
        (
            "LicenseInfoInSnippet",
            Snippet,
            "licenseInfoInSnippets",
            List,
        ),
        ("SnippetLicenseComments", Snippet, "licenseComments", Text),
        ("SnippetCopyrightText", Snippet, "copyrightText", Text),
        ("SnippetComment", Snippet, "comment", Text),
        ("SnippetName", Snippet, "name", Text),
        ("SnippetAttributionText", Snippet, "attributionTexts", List),
        ("LicenseID", Licence, "licenseId", Opens),
        ("ExtractedText", Licence, "extractedText", Text),
        ("LicenseName", Licence, "name", Text),
        ("LicenseCrossReference", Licence, "seeAlsos", List),
        ("LicenseComment", Licence, "comment", Text),
        ("Relationship", Relationship, "", Kind::Relationship),
        ("RelationshipComment", Relationship, "comment", Text),
        ("Annotator", Annotation, "annotator", Opens),
        ("AnnotationDate", Annotation, "annotationDate", Text),
        ("AnnotationType", Annotation, "annotationType", Text),
        ("AnnotationComment", Annotation, "comment", Text),
        ("SPDXREF", Annotation, "", Ignored),
        ("Reviewer", Review, "reviewer", Opens),
        ("ReviewDate", Review, "reviewDate", Text),
        ("ReviewComment", Review, "comment", Text),
    ]
};

/// Reads a document.
///
/// Bytes are hostile: never panics, allocates a few times the input's length.
pub(super) fn read(bytes: &[u8], limits: &SbomLimits) -> Result<Sbom, SbomError> {
    let document = parse(bytes, limits)?;
    spdx::check(&document, SbomFormat::SpdxTagValue, limits)
}

/// Reads a document into the shape of its JSON.
fn parse(bytes: &[u8], limits: &SbomLimits) -> Result<Value, SbomError> {
    let text = std::str::from_utf8(bytes).map_err(|_| SbomError::Unknown)?;
    if !text.lines().any(|line| line.starts_with("SPDXVersion:")) {
        return Err(if text.contains("spdxVersion:") {
            SbomError::Unsupported {
                format: "SPDX in YAML",
                instead: "give it in JSON",
            }
        } else {
            SbomError::Unknown
        });
    }
    let mut document = Document::default();
    let mut lines = (1..).zip(text.lines());
    let mut read = 0;
    while let Some((number, line)) = lines.next() {
        read += 1;
        if read > limits.max_nodes {
            return Err(SbomError::TagValue {
                problem: format!("more than {} lines", limits.max_nodes),
                line: number,
            });
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |problem: String| SbomError::TagValue {
            problem,
            line: number,
        };
        let Some((tag, value)) = line.split_once(':') else {
            return Err(at(format!("there is no tag in {:?}", quoted(line))));
        };
        let value = value.trim();
        let value = match value.strip_prefix("<text>") {
            None => value.to_owned(),
            Some(first) => enclosed(first, &mut lines)
                .ok_or_else(|| at("<text> without </text>".to_owned()))?,
        };
        document.add(tag.trim(), &value).map_err(at)?;
        if document.sections > limits.max_components {
            return Err(SbomError::TooManyComponents {
                max: limits.max_components,
            });
        }
    }
    Ok(document.finish())
}

/// Reads a text up to its end tag, on this line or a later one.
fn enclosed<'a>(
    first: &'a str,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Option<String> {
    if let Some((text, _)) = first.split_once("</text>") {
        return Some(text.to_owned());
    }
    let mut text = first.to_owned();
    for (_, line) in lines {
        text.push('\n');
        if let Some((last, _)) = line.split_once("</text>") {
            text.push_str(last);
            return Some(text);
        }
        text.push_str(line);
    }
    None
}

/// A document while it is read.
#[derive(Default)]
struct Document {
    /// The document's own members.
    own: Map<String, Value>,
    /// How it was made.
    creation: Map<String, Value>,
    /// The section that is open.
    open: Option<(Section, Map<String, Value>)>,
    /// Sections so far.
    sections: usize,
}

impl Document {
    /// Adds a tag's value.
    fn add(&mut self, tag: &str, value: &str) -> Result<(), String> {
        // The one tag that several sections have.
        if tag == "SPDXID" {
            let members = match &mut self.open {
                Some((Section::Package | Section::File, members)) => members,
                Some(_) | None => &mut self.own,
            };
            return put(members, "SPDXID", Value::from(value), tag);
        }
        let Some((_, section, member, kind)) = TAGS.iter().find(|(known, ..)| *known == tag) else {
            return Err(format!("the tag {:?} is unknown", quoted(tag)));
        };
        if matches!(kind, Kind::Opens | Kind::Relationship) {
            self.close();
            self.sections += 1;
            self.open = Some((*section, Map::new()));
        }
        let members = match (section, &mut self.open) {
            (Section::Document, _) => &mut self.own,
            (Section::Creation, _) => &mut self.creation,
            (section, Some((open, members))) if open == section => members,
            _ => return Err(format!("{tag} stands outside of its section")),
        };
        add(members, tag, member, *kind, value)
    }

    /// Closes the section that is open.
    fn close(&mut self) {
        if let Some((section, members)) = self.open.take()
            && let Some(list) = section.list()
        {
            push(&mut self.own, list, Value::Object(members));
        }
    }

    /// Returns the whole.
    fn finish(mut self) -> Value {
        self.close();
        self.own
            .insert("creationInfo".to_owned(), Value::Object(self.creation));
        Value::Object(self.own)
    }
}

/// Adds a value to its section's members.
fn add(
    members: &mut Map<String, Value>,
    tag: &str,
    member: &str,
    kind: Kind,
    value: &str,
) -> Result<(), String> {
    let bad = || format!("the value of {tag} is not what it must be");
    match kind {
        Kind::Opens | Kind::Text => put(members, member, Value::from(value), tag)?,
        Kind::List => push(members, member, Value::from(value)),
        Kind::Checksum => push(members, member, checksum(value).ok_or_else(bad)?),
        Kind::Bool => {
            let value: bool = value.to_ascii_lowercase().parse().map_err(|_| bad())?;
            put(members, member, Value::from(value), tag)?;
        }
        Kind::VerificationCode => {
            let (code, excluded) = value.split_once('(').unwrap_or((value, ""));
            let mut made = json!({"packageVerificationCodeValue": code.trim()});
            let excluded = excluded.trim_end_matches(')').trim();
            let excluded = excluded.strip_prefix("excludes:").unwrap_or(excluded);
            if !excluded.is_empty() {
                made["packageVerificationCodeExcludedFiles"] = json!([excluded.trim()]);
            }
            put(members, member, made, tag)?;
        }
        Kind::ExternalRef => {
            let mut words = value.splitn(3, char::is_whitespace);
            let mut word = || words.next().map(str::trim).filter(|word| !word.is_empty());
            let (category, kind, locator) = (word(), word(), word());
            push(
                members,
                member,
                json!({
                    "referenceCategory": category.ok_or_else(bad)?,
                    "referenceType": kind.ok_or_else(bad)?,
                    "referenceLocator": locator.ok_or_else(bad)?,
                }),
            );
        }
        Kind::ExternalRefComment => {
            let last = members
                .get_mut(member)
                .and_then(Value::as_array_mut)
                .and_then(|list| list.last_mut())
                .and_then(Value::as_object_mut)
                .ok_or_else(|| format!("{tag} without a reference before it"))?;
            put(last, "comment", Value::from(value), tag)?;
        }
        Kind::DocumentRef => {
            let mut words = value.splitn(3, char::is_whitespace);
            let (id, uri, sum) = (words.next(), words.next(), words.next());
            push(
                members,
                member,
                json!({
                    "externalDocumentId": id.ok_or_else(bad)?,
                    "spdxDocument": uri.ok_or_else(bad)?,
                    "checksum": sum.and_then(checksum).ok_or_else(bad)?,
                }),
            );
        }
        Kind::Range => {
            let (from, to) = value.split_once(':').ok_or_else(bad)?;
            let number = |text: &str| text.trim().parse::<u64>().map_err(|_| bad());
            let (from, to) = (number(from)?, number(to)?);
            push(
                members,
                "ranges",
                json!({"startPointer": {member: from}, "endPointer": {member: to}}),
            );
        }
        Kind::Relationship => {
            let words: Vec<&str> = value.split_whitespace().collect();
            let [from, kind, to] = words[..] else {
                return Err(bad());
            };
            members.insert("spdxElementId".to_owned(), Value::from(from));
            members.insert("relationshipType".to_owned(), Value::from(kind));
            members.insert("relatedSpdxElement".to_owned(), Value::from(to));
        }
        Kind::Ignored => {}
    }
    Ok(())
}

/// Reads `ALGORITHM: value`.
fn checksum(text: &str) -> Option<Value> {
    let (algorithm, value) = text.split_once(':')?;
    Some(json!({"algorithm": algorithm.trim(), "checksumValue": value.trim()}))
}

/// Sets a member that may be there once.
fn put(
    members: &mut Map<String, Value>,
    name: &str,
    value: Value,
    tag: &str,
) -> Result<(), String> {
    match members.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(format!("{tag} stands twice in its section")),
    }
}

/// Appends to a member that is a list.
fn push(members: &mut Map<String, Value>, name: &str, value: Value) {
    match members.get_mut(name) {
        Some(Value::Array(list)) => list.push(value),
        Some(_) | None => {
            members.insert(name.to_owned(), Value::Array(vec![value]));
        }
    }
}
