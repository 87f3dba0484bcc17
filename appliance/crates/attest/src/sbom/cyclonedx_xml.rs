//! CycloneDX in XML.
//!
//! Documents with a document type are refused, and with it every entity of their own:
//! nothing expands and nothing outside is named. What is read is laid out as the JSON form
//! has it, so that both are understood alike.

use std::collections::HashMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;
use serde_json::{Map, Value};

use super::cyclonedx::{VERSIONS, extract};
use super::xml_model::{Child, ElementType, LazyModel, MODELS, Matchers};
use super::{Sbom, SbomError, SbomFormat, SbomLimits};
use crate::json::quoted;

/// Namespaces of CycloneDX, without the version.
const NAMESPACE: &str = "http://cyclonedx.org/schema/bom/";

/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 64;

/// Most octets of a place in an error.
const MAX_PLACE: usize = 200;

/// Elements that become lists.
const LISTS: [&str; 6] = [
    "components",
    "hashes",
    "licenses",
    "dependencies",
    "authors",
    "tools",
];

/// Children that may repeat without an element around them.
const REPEATED: [&str; 2] = ["omniborId", "swhid"];

/// Parts of a document from which something is read.
const READ: [&str; 3] = ["metadata", "components", "dependencies"];

/// Reads a document.
///
/// Bytes are hostile: never panics, allocates a few times the input's length.
pub(super) fn read(bytes: &[u8], limits: &SbomLimits) -> Result<Sbom, SbomError> {
    let text = std::str::from_utf8(bytes).map_err(|error| SbomError::Xml {
        problem: "it is not UTF-8".to_owned(),
        offset: error.valid_up_to() as u64,
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut document = Document {
        limits,
        nodes: 0,
        version: None,
        open: Vec::new(),
        bom: None,
    };
    loop {
        let offset = reader.buffer_position();
        let at = |problem: String| SbomError::Xml {
            problem: quoted(&problem),
            offset,
        };
        let (namespace, event) = reader
            .read_resolved_event()
            .map_err(|error| at(error.to_string()))?;
        match event {
            Event::Start(start) => {
                let namespace = match namespace {
                    ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
                    ResolveResult::Unbound => String::new(),
                    ResolveResult::Unknown(prefix) => {
                        return Err(at(format!("the prefix {prefix:?} is unknown")));
                    }
                };
                document
                    .start(&namespace, &start)
                    .map_err(|refused| refused.at(offset))?;
            }
            Event::End(_) => document.end()?,
            Event::Text(text) => document.text(&text).map_err(|refused| refused.at(offset))?,
            Event::CData(text) => document.text(&text).map_err(|refused| refused.at(offset))?,
            Event::GeneralRef(reference) => {
                let text = resolve(&reference).ok_or_else(|| {
                    at(format!(
                        "the entity {:?} is not one of XML's own five",
                        quoted(&reference)
                    ))
                })?;
                document
                    .text(text.encode_utf8(&mut [0; 4]))
                    .map_err(|refused| refused.at(offset))?;
            }
            Event::DocType(_) => {
                return Err(at(
                    "it has a document type (DTD), which is refused".to_owned()
                ));
            }
            Event::Decl(declaration) => {
                let encoding = declaration.encoding().transpose();
                let encoding = encoding.map_err(|error| at(error.to_string()))?;
                if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("utf-8")) {
                    return Err(at("its encoding is not UTF-8".to_owned()));
                }
            }
            Event::Eof if document.open.is_empty() => break,
            Event::Eof => return Err(at("it ends within an element".to_owned())),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Empty(_) => return Err(at("an empty element".to_owned())),
        }
    }
    match (document.bom, document.version) {
        (Some(bom), Some((version, _))) => extract(&bom, SbomFormat::CycloneDxXml, version, limits),
        _ => Err(SbomError::Unknown),
    }
}

/// Returns the character that one of XML's own references stands for.
fn resolve(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

/// Why a part of a document is refused.
enum Refused {
    /// The document is not XML that is taken.
    Xml(String),
    /// Anything else.
    Other(SbomError),
}

impl Refused {
    /// Says where.
    fn at(self, offset: u64) -> SbomError {
        match self {
            Self::Xml(problem) => SbomError::Xml { problem, offset },
            Self::Other(error) => error,
        }
    }
}

impl From<SbomError> for Refused {
    fn from(error: SbomError) -> Self {
        Self::Other(error)
    }
}

/// An element that is open.
struct Open {
    /// Its name.
    name: String,
    /// What it may have; none if it is not CycloneDX's.
    kind: Option<&'static ElementType>,
    /// Children so far, by name.
    counts: HashMap<String, usize>,
    /// Its text.
    text: String,
    /// Whether something is read from it.
    is_read: bool,
    /// Attributes and children, by name.
    members: Map<String, Value>,
    /// Children in order, for lists.
    list: Vec<Value>,
}

/// A document while it is read.
struct Document<'a> {
    /// Its limits.
    limits: &'a SbomLimits,
    /// Elements and attributes so far.
    nodes: usize,
    /// Its version and the model of that.
    version: Option<(&'static str, &'static LazyModel)>,
    /// The elements that are open, the root first.
    open: Vec<Open>,
    /// The root, closed.
    bom: Option<Value>,
}

impl Document<'_> {
    /// Opens an element.
    fn start(&mut self, namespace: &str, start: &BytesStart<'_>) -> Result<(), Refused> {
        self.count()?;
        if self.open.len() >= self.limits.max_depth {
            return Err(Refused::Xml(format!(
                "more than {} elements within each other",
                self.limits.max_depth
            )));
        }
        let name = start.local_name().as_ref().to_owned();
        let kind = self.kind_of(namespace, &name)?;
        let is_read = kind.is_some()
            && match self.open.last() {
                None => true,
                Some(parent) => parent.is_read && (self.open.len() > 1 || READ.contains(&&*name)),
            };
        self.open.push(Open {
            name,
            kind,
            counts: HashMap::new(),
            text: String::new(),
            is_read,
            members: Map::new(),
            list: Vec::new(),
        });
        self.attributes(start)
    }

    /// Finds what an element may have, and whether it may stand here.
    fn kind_of(
        &mut self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<&'static ElementType>, Refused> {
        let Some(parent) = self.open.last_mut() else {
            return self.root(namespace, name).map(Some);
        };
        let Some(kind) = parent.kind else {
            return Ok(None);
        };
        let ours = self
            .version
            .is_some_and(|(version, _)| namespace.strip_prefix(NAMESPACE) == Some(version));
        if kind.any || !ours && kind.foreign {
            return Ok(None);
        }
        let child = kind.children.get(name).filter(|_| ours);
        let Some(Child(child, _, most)) = child else {
            return Err(self
                .schema(format!("the element {:?} may not stand here", quoted(name)))
                .into());
        };
        let count = parent.counts.entry(name.to_owned()).or_default();
        *count += 1;
        if most.is_some_and(|most| *count > most) {
            return Err(self
                .schema(format!("the element {name:?} stands here too often"))
                .into());
        }
        let child = self.model()?.get(child);
        child
            .map(Some)
            .ok_or_else(|| self.broken("a type is missing").into())
    }

    /// Takes the root.
    fn root(&mut self, namespace: &str, name: &str) -> Result<&'static ElementType, Refused> {
        if self.bom.is_some() {
            return Err(Refused::Xml("there is a second root element".to_owned()));
        }
        let Some(version) = namespace.strip_prefix(NAMESPACE).filter(|_| name == "bom") else {
            return Err(match name {
                "RDF" | "SpdxDocument" | "Document" => SbomError::Unsupported {
                    format: "SPDX in XML",
                    instead: "give it in JSON or tag-value form",
                },
                _ => SbomError::Unknown,
            }
            .into());
        };
        let (version, model) = MODELS
            .iter()
            .find(|(known, _)| *known == version)
            .ok_or_else(|| SbomError::Version {
                format: "CycloneDX",
                version: quoted(version),
                taken: VERSIONS,
            })?;
        self.version = Some((version, model));
        let root = self.model()?.root();
        root.ok_or_else(|| self.broken("the root is missing").into())
    }

    /// Checks and keeps the attributes of the element that was opened last.
    fn attributes(&mut self, start: &BytesStart<'_>) -> Result<(), Refused> {
        let mut seen = 0;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| Refused::Xml(error.to_string()))?;
            seen += 1;
            if seen > MAX_ATTRIBUTES {
                return Err(Refused::Xml(format!(
                    "an element has more than {MAX_ATTRIBUTES} attributes"
                )));
            }
            self.count()?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| Refused::Xml(quoted(&error.to_string())))?;
            let name = attribute.key.as_ref();
            // Declarations of namespaces, and attributes of other ones: allowed everywhere.
            if name == "xmlns" || name.contains(':') {
                continue;
            }
            let Some(open) = self.open.last_mut() else {
                continue;
            };
            let Some(kind) = open.kind.filter(|kind| !kind.any) else {
                continue;
            };
            if open.is_read {
                open.members
                    .insert(name.to_owned(), Value::from(value.as_ref()));
            }
            let Some((text, _)) = kind.attributes.get(name) else {
                return Err(self
                    .schema(format!(
                        "the attribute {:?} may not stand here",
                        quoted(name)
                    ))
                    .into());
            };
            if !text.allows(&value, self.matchers()?) {
                return Err(self
                    .schema(format!("the attribute {name:?} is not what it must be"))
                    .into());
            }
            open_counts(&mut self.open, name);
        }
        let missing = self.open.last().and_then(|open| {
            let required = open.kind.into_iter().flat_map(|kind| &kind.attributes);
            required
                .filter(|(_, (_, required))| *required)
                .map(|(name, _)| name)
                .find(|name| !open.counts.contains_key(&format!("@{name}")))
        });
        match missing {
            Some(name) => Err(self
                .schema(format!("the attribute {name:?} is missing"))
                .into()),
            None => Ok(()),
        }
    }

    /// Takes text.
    fn text(&mut self, text: &str) -> Result<(), Refused> {
        match self.open.last_mut() {
            Some(open) if open.kind.is_some() => open.text.push_str(text),
            Some(_) => {}
            None if text.trim().is_empty() => {}
            None => return Err(Refused::Xml("text outside of the root element".to_owned())),
        }
        Ok(())
    }

    /// Closes an element.
    fn end(&mut self) -> Result<(), SbomError> {
        if let Some(open) = self.open.last()
            && let Some(kind) = open.kind.filter(|kind| !kind.any)
        {
            let missing = kind.children.iter().find(|(name, Child(_, least, _))| {
                open.counts.get(*name).copied().unwrap_or_default() < *least
            });
            if let Some((name, _)) = missing {
                return Err(self.schema(format!("the element {name:?} is missing")));
            }
            let fits = match &kind.text {
                Some(text) => text.allows(&open.text, self.matchers()?),
                None => open.text.trim().is_empty(),
            };
            if !fits {
                return Err(self.schema("the text is not what it must be".to_owned()));
            }
        }
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        if open.is_read {
            let name = open.name.clone();
            let value = lay_out(open);
            match self.open.last_mut() {
                None => self.bom = Some(value),
                Some(parent) if LISTS.contains(&&*parent.name) => parent.list.push(value),
                Some(parent) if REPEATED.contains(&&*name) => {
                    let list = parent
                        .members
                        .entry(name)
                        .or_insert_with(|| Value::Array(vec![]));
                    if let Some(list) = list.as_array_mut() {
                        list.push(value);
                    }
                }
                Some(parent) => {
                    parent.members.insert(name, value);
                }
            }
        }
        Ok(())
    }

    /// Counts an element or an attribute.
    fn count(&mut self) -> Result<(), Refused> {
        self.nodes += 1;
        if self.nodes > self.limits.max_nodes {
            return Err(Refused::Xml(format!(
                "it has more than {} elements and attributes",
                self.limits.max_nodes
            )));
        }
        Ok(())
    }

    /// Returns the version's model.
    fn model(&self) -> Result<&'static super::xml_model::Model, SbomError> {
        let Some((_, model)) = self.version else {
            return Err(SbomError::Unknown);
        };
        model.get().map_err(|problem| SbomError::BrokenSchema {
            format: model.format,
            problem: problem.to_owned(),
        })
    }

    /// Returns the version's expressions.
    fn matchers(&self) -> Result<&'static Matchers, SbomError> {
        self.model().map(|model| &model.matchers)
    }

    /// Returns format and version, for errors.
    fn format(&self) -> &'static str {
        self.version.map_or("CycloneDX", |(_, model)| model.format)
    }

    /// Says that the document breaks the schema where it is read.
    fn schema(&self, problem: String) -> SbomError {
        let mut place = String::new();
        for open in &self.open {
            place.push('/');
            place.push_str(&quoted(&open.name));
            if place.len() > MAX_PLACE {
                place.push('…');
                break;
            }
        }
        SbomError::Schema {
            format: self.format(),
            problem,
            place,
        }
    }

    /// Says that a model cannot be used.
    fn broken(&self, problem: &str) -> SbomError {
        SbomError::BrokenSchema {
            format: self.format(),
            problem: problem.to_owned(),
        }
    }
}

/// Notes that the element that was opened last has an attribute.
fn open_counts(open: &mut [Open], name: &str) {
    if let Some(open) = open.last_mut() {
        open.counts.insert(format!("@{name}"), 1);
    }
}

/// Lays out an element as the JSON form has it.
fn lay_out(mut open: Open) -> Value {
    if LISTS.contains(&&*open.name) {
        return Value::Array(open.list);
    }
    let text = Value::from(open.text.trim());
    if open.members.is_empty() {
        // An element without children, unless it is one that has some in JSON.
        let holds_children = open.kind.is_some_and(|kind| !kind.children.is_empty());
        return if holds_children {
            Value::Object(open.members)
        } else {
            text
        };
    }
    if open.name == "hash" {
        open.members.insert("content".to_owned(), text);
    }
    Value::Object(open.members)
}
