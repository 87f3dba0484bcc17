//! Minimum elements of a bill of materials: those of NTIA (2021), and what CISA added.

use std::fmt;

/// An element that a bill should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MinimumElement {
    /// Who made the bill (NTIA).
    Author,
    /// When it was made (NTIA).
    Timestamp,
    /// Who supplies a component (NTIA).
    Supplier,
    /// A component's name (NTIA).
    Name,
    /// A component's version (NTIA).
    Version,
    /// A component's identifier outside of the bill (NTIA): purl, CPE, SWID, SWHID or
    /// gitoid. A place within the document is none.
    UniqueId,
    /// How components depend on each other (NTIA).
    Relationships,
    /// A component's hash (CISA).
    Hash,
    /// A component's licence (CISA).
    Licence,
    /// The tool that made the bill (CISA).
    Tool,
}

impl MinimumElement {
    /// Every element.
    pub const ALL: [Self; 10] = [
        Self::Author,
        Self::Timestamp,
        Self::Supplier,
        Self::Name,
        Self::Version,
        Self::UniqueId,
        Self::Relationships,
        Self::Hash,
        Self::Licence,
        Self::Tool,
    ];

    /// The seven of NTIA's list.
    pub const NTIA: [Self; 7] = [
        Self::Author,
        Self::Timestamp,
        Self::Supplier,
        Self::Name,
        Self::Version,
        Self::UniqueId,
        Self::Relationships,
    ];

    /// Returns the name that configuration, logs and answers use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Timestamp => "timestamp",
            Self::Supplier => "supplier",
            Self::Name => "name",
            Self::Version => "version",
            Self::UniqueId => "unique-id",
            Self::Relationships => "relationships",
            Self::Hash => "hash",
            Self::Licence => "licence",
            Self::Tool => "tool",
        }
    }
}

impl fmt::Display for MinimumElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no element.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no minimum element {given:?}: author, timestamp, supplier, name, version, unique-id, relationships, hash, licence and tool are known"
)]
pub struct UnknownElement {
    /// The text, shortened.
    pub given: String,
}

impl std::str::FromStr for MinimumElement {
    type Err = UnknownElement;

    fn from_str(text: &str) -> Result<Self, UnknownElement> {
        Self::ALL
            .into_iter()
            .find(|element| element.as_str() == text)
            .ok_or_else(|| UnknownElement {
                given: crate::json::quoted(text),
            })
    }
}

/// An element that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The element.
    pub element: MinimumElement,
    /// How many components lack it; 0 if it is one of the document.
    pub components: usize,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.components {
            0 => write!(f, "{}", self.element),
            1 => write!(f, "{} (1 component)", self.element),
            many => write!(f, "{} ({many} components)", self.element),
        }
    }
}

/// What one component has.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether one element is there"
)]
pub(super) struct Component {
    /// A supplier.
    pub(super) supplier: bool,
    /// A name.
    pub(super) name: bool,
    /// A version.
    pub(super) version: bool,
    /// An identifier.
    pub(super) unique_id: bool,
    /// A hash.
    pub(super) hash: bool,
    /// A licence.
    pub(super) licence: bool,
}

/// Counts what is there while a document is read.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The document's elements that are there.
    present: Vec<MinimumElement>,
    /// Components that lack an element, by its place in `ALL`.
    lacking: [usize; MinimumElement::ALL.len()],
}

impl Tally {
    /// Notes whether the document has an element.
    pub(super) fn document(&mut self, element: MinimumElement, is_there: bool) {
        if is_there {
            self.present.push(element);
        }
    }

    /// Notes what a component has.
    pub(super) fn component(&mut self, component: Component) {
        let has = |element| match element {
            MinimumElement::Supplier => component.supplier,
            MinimumElement::Name => component.name,
            MinimumElement::Version => component.version,
            MinimumElement::UniqueId => component.unique_id,
            MinimumElement::Hash => component.hash,
            MinimumElement::Licence => component.licence,
            MinimumElement::Author
            | MinimumElement::Timestamp
            | MinimumElement::Relationships
            | MinimumElement::Tool => true,
        };
        for (lacking, element) in self.lacking.iter_mut().zip(MinimumElement::ALL) {
            *lacking += usize::from(!has(element));
        }
    }

    /// Returns what is missing.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let of_document = [
            MinimumElement::Author,
            MinimumElement::Timestamp,
            MinimumElement::Relationships,
            MinimumElement::Tool,
        ];
        MinimumElement::ALL
            .into_iter()
            .zip(self.lacking)
            .filter(|(element, lacking)| {
                *lacking > 0 || of_document.contains(element) && !self.present.contains(element)
            })
            .map(|(element, components)| Missing {
                element,
                components,
            })
            .collect()
    }
}
