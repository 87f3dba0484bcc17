//! What elements a CycloneDX document in XML may have: the XML schemas' types, read from
//! `data/bom-1.*.xml.json`.

use std::collections::HashMap;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde::Deserialize;

/// How often a child may stand: its type, at least, at most.
#[derive(Debug, Deserialize)]
pub(super) struct Child(
    pub(super) String,
    pub(super) usize,
    pub(super) Option<usize>,
);

/// What an element may have.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ElementType {
    /// Children by name.
    pub(super) children: HashMap<String, Child>,
    /// Attributes by name: what their texts may be, and whether they must be there.
    pub(super) attributes: HashMap<String, (TextType, bool)>,
    /// What the element's text may be; none may have text besides.
    pub(super) text: Option<TextType>,
    /// Elements of other namespaces may stand here.
    pub(super) foreign: bool,
    /// Anything may stand here.
    pub(super) any: bool,
}

/// What a text may be.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TextType {
    /// One of XML Schema's own types.
    base: Option<Base>,
    /// One of these.
    #[serde(rename = "enum")]
    values: Option<Vec<String>>,
    /// Expressions of which one must match the whole.
    patterns: Option<Vec<String>>,
    /// Any of these types.
    one_of: Option<Vec<TextType>>,
    /// A licence's name on SPDX's list.
    licence: bool,
}

/// Types of XML Schema (part 2) that the schemas use.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Base {
    /// Any text.
    String,
    /// Any text, its white space made spaces.
    NormalizedString,
    /// Any text, its white space collapsed.
    Token,
    /// An address.
    AnyURI,
    /// A truth value.
    Boolean,
    /// A date and a time.
    DateTime,
    /// A number.
    Decimal,
    /// A whole number.
    Integer,
    /// A whole number from 0.
    NonNegativeInteger,
    /// A whole number from 1.
    PositiveInteger,
    /// A date.
    Date,
}

impl Base {
    /// Whether a text is one of the type.
    fn allows(self, text: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|o| o.is_ascii_digit());
        let unsigned = |text: &str| text.strip_prefix(['+', '-']).unwrap_or(text).to_owned();
        match self {
            Self::String | Self::NormalizedString | Self::Token => true,
            Self::AnyURI => !text.trim().contains(char::is_whitespace),
            Self::Boolean => matches!(text.trim(), "true" | "false" | "1" | "0"),
            Self::DateTime => is_date_time(text.trim()),
            Self::Decimal => {
                let number = unsigned(text.trim());
                let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
                (digits(whole) || whole.is_empty() && !part.is_empty())
                    && (part.is_empty() || digits(part))
            }
            Self::Integer => digits(&unsigned(text.trim())),
            Self::NonNegativeInteger => digits(text.trim().trim_start_matches('+')),
            Self::PositiveInteger => {
                let text = text.trim().trim_start_matches('+');
                digits(text) && text.bytes().any(|octet| octet != b'0')
            }
            Self::Date => text.trim().parse::<jiff::civil::Date>().is_ok(),
        }
    }
}

/// Whether a text is a date and a time, whose zone may be missing.
fn is_date_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
        || text.contains('T') && text.parse::<jiff::civil::DateTime>().is_ok()
}

impl TextType {
    /// Whether a text is one of the type.
    pub(super) fn allows(&self, text: &str, matchers: &Matchers) -> bool {
        if let Some(types) = &self.one_of {
            return types.iter().any(|one| one.allows(text, matchers));
        }
        self.base.is_none_or(|base| base.allows(text))
            && self
                .values
                .as_ref()
                .is_none_or(|values| values.iter().any(|value| value == text.trim()))
            && self.patterns.as_ref().is_none_or(|patterns| {
                patterns
                    .iter()
                    .any(|pattern| matchers.matches(pattern, text.trim()))
            })
            && (!self.licence || LICENCES.get_or_init(read_licences).contains(text.trim()))
    }

    /// Adds the expressions that it needs.
    fn collect<'a>(&'a self, into: &mut Vec<&'a str>) {
        into.extend(self.patterns.iter().flatten().map(String::as_str));
        for one in self.one_of.iter().flatten() {
            one.collect(into);
        }
    }
}

/// Names of licences on SPDX's list.
static LICENCES: OnceLock<std::collections::HashSet<String>> = OnceLock::new();

/// Reads the list, which the JSON schemas share.
fn read_licences() -> std::collections::HashSet<String> {
    /// The list.
    #[derive(Deserialize)]
    struct List {
        /// The names.
        #[serde(rename = "enum")]
        names: std::collections::HashSet<String>,
    }
    let list: Result<List, _> = serde_json::from_str(include_str!("../../data/spdx.schema.json"));
    list.map(|list| list.names).unwrap_or_default()
}

/// The expressions of a schema, ready.
#[derive(Debug, Default)]
pub(super) struct Matchers(HashMap<String, Validator>);

impl Matchers {
    /// Whether a whole text matches an expression.
    fn matches(&self, pattern: &str, text: &str) -> bool {
        self.0
            .get(pattern)
            .is_some_and(|validator| validator.is_valid(&serde_json::Value::from(text)))
    }
}

/// The types of one version.
#[derive(Debug)]
pub(super) struct Model {
    /// The type of `bom`.
    root: String,
    /// Every type by its name.
    types: HashMap<String, ElementType>,
    /// The expressions.
    pub(super) matchers: Matchers,
}

/// A model as its file has it.
#[derive(Deserialize)]
struct Raw {
    /// The type of `bom`.
    root: String,
    /// Every type.
    types: HashMap<String, ElementType>,
}

impl Model {
    /// Reads a model.
    fn read(json: &str) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut patterns = Vec::new();
        for kind in raw.types.values() {
            let attributes = kind.attributes.values().map(|(text, _)| text);
            for text in attributes.chain(&kind.text) {
                text.collect(&mut patterns);
            }
            let unknown = kind
                .children
                .values()
                .find(|Child(name, ..)| !raw.types.contains_key(name));
            if let Some(Child(name, ..)) = unknown {
                return Err(format!("there is no type {name}"));
            }
        }
        let mut matchers = HashMap::new();
        for pattern in patterns {
            // XML Schema's expressions match whole texts.
            let schema = serde_json::json!({"pattern": format!("^(?:{pattern})$")});
            let validator = jsonschema::options()
                .with_pattern_options(jsonschema::PatternOptions::regex())
                .build(&schema)
                .map_err(|error| error.to_string())?;
            matchers.insert(pattern.to_owned(), validator);
        }
        Ok(Self {
            root: raw.root,
            matchers: Matchers(matchers),
            types: raw.types,
        })
    }

    /// Returns the type of `bom`.
    pub(super) fn root(&self) -> Option<&ElementType> {
        self.types.get(&self.root)
    }

    /// Returns a type by its name.
    pub(super) fn get(&self, name: &str) -> Option<&ElementType> {
        self.types.get(name)
    }
}

/// The model of one version, read when it is first needed.
pub(super) struct LazyModel {
    /// Format and version, for errors.
    pub(super) format: &'static str,
    /// The model's file.
    json: &'static str,
    /// The model, read.
    ready: OnceLock<Result<Model, String>>,
}

impl LazyModel {
    /// Names a model.
    const fn new(format: &'static str, json: &'static str) -> Self {
        Self {
            format,
            json,
            ready: OnceLock::new(),
        }
    }

    /// Returns the model.
    pub(super) fn get(&self) -> Result<&Model, &str> {
        self.ready
            .get_or_init(|| Model::read(self.json))
            .as_ref()
            .map_err(String::as_str)
    }
}

/// Reads every version's model.
pub(super) fn prepare() {
    for (_, model) in &MODELS {
        let _read = model.get();
    }
    LICENCES.get_or_init(read_licences);
}

/// Every version's model.
pub(super) static MODELS: [(&str, LazyModel); 6] = [
    (
        "1.2",
        LazyModel::new("CycloneDX 1.2", include_str!("../../data/bom-1.2.xml.json")),
    ),
    (
        "1.3",
        LazyModel::new("CycloneDX 1.3", include_str!("../../data/bom-1.3.xml.json")),
    ),
    (
        "1.4",
        LazyModel::new("CycloneDX 1.4", include_str!("../../data/bom-1.4.xml.json")),
    ),
    (
        "1.5",
        LazyModel::new("CycloneDX 1.5", include_str!("../../data/bom-1.5.xml.json")),
    ),
    (
        "1.6",
        LazyModel::new("CycloneDX 1.6", include_str!("../../data/bom-1.6.xml.json")),
    ),
    (
        "1.7",
        LazyModel::new("CycloneDX 1.7", include_str!("../../data/bom-1.7.xml.json")),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_one() {
        for (version, model) in &MODELS {
            let model = model.get().unwrap();
            let bom = model.root().unwrap();
            assert!(bom.children.contains_key("components"), "{version}");
            let serial = &bom.attributes["serialNumber"].0;
            for (text, allowed) in [
                ("urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", true),
                ("urn:uuid:3e671687", false),
                ("x urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", false),
            ] {
                assert_eq!(serial.allows(text, &model.matchers), allowed, "{text}");
            }
        }
        assert!(LICENCES.get_or_init(read_licences).contains("MIT"));
    }

    #[test]
    fn texts_are_held_to_their_types() {
        for (base, good, bad) in [
            (Base::Boolean, &["true", " 0 "][..], &["yes", ""][..]),
            (
                Base::DateTime,
                &[
                    "2024-02-29T01:02:03Z",
                    "2024-02-29T01:02:03.5+01:00",
                    "2024-02-29T01:02:03",
                ],
                &["2024-02-29", "2023-02-29T01:02:03Z", "now"],
            ),
            (
                Base::Decimal,
                &["1", "-1.50", ".5", "+3."],
                &["", "1e3", "1.2.3", "-"],
            ),
            (Base::Integer, &["-12", "0"], &["1.0", ""]),
            (Base::PositiveInteger, &["1", "007"], &["0", "-1", ""]),
            (Base::NonNegativeInteger, &["0"], &["-1"]),
            (Base::AnyURI, &["a:b", ""], &["a b"]),
            (Base::Date, &["2024-02-29"], &["2023-02-29", ""]),
        ] {
            for text in good {
                assert!(base.allows(text), "{base:?} {text:?}");
            }
            for text in bad {
                assert!(!base.allows(text), "{base:?} {text:?}");
            }
        }
    }
}
