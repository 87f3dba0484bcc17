//! Distinguished names: their text (RFC 4514) and their DER (RFC 5280, 4.1.2.4).

mod attribute_type;
mod text;

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use crate::encode;
use crate::tlv::{self, Malformed, Problem, Tlv};

pub use attribute_type::{AttributeType, UnknownAttributeType};

/// One attribute of a name, checked: its value fits its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// What it states.
    kind: AttributeType,
    /// The statement; where `opaque`, `#` and the hexadecimal DER (RFC 4514, 2.4).
    value: String,
    /// Of a type or encoding that is shown but never issued.
    opaque: bool,
    /// Stands in one RDN with the attribute before it.
    joined: bool,
}

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not a DER Name.
    #[error("the name is no DER Name: {0}")]
    Encoding(#[from] Malformed),
    /// Text that RFC 4514 does not know.
    #[error(
        "the name is not written as type=value, type=value (RFC 4514); stopped at character {at}"
    )]
    Text {
        /// Characters read before.
        at: usize,
    },
    /// A type without a name here.
    #[error(transparent)]
    UnknownType(#[from] UnknownAttributeType),
    /// An attribute that is never issued.
    #[error("attributes of type {kind} are not issued")]
    NotIssued {
        /// The type.
        kind: AttributeType,
    },
    /// Nothing in it.
    #[error("{kind} is empty")]
    Empty {
        /// The type.
        kind: AttributeType,
    },
    /// More characters than the type may have.
    #[error("{kind} has {len} characters; at most {max} are allowed (RFC 5280, appendix A.1)")]
    TooLong {
        /// The type.
        kind: AttributeType,
        /// Characters found.
        len: usize,
        /// Most characters allowed.
        max: usize,
    },
    /// A character that the type's string cannot hold, or a control character.
    #[error("{kind} may not contain {character:?}")]
    Character {
        /// The type.
        kind: AttributeType,
        /// The first offending character.
        character: char,
    },
    /// Not two capital letters.
    #[error("C is a country's two capital letters (ISO 3166), such as DE")]
    Country,
    /// Several attributes in one relative name.
    #[error("{kind} shares a relative name with another attribute; give each its own")]
    Joined {
        /// The second type.
        kind: AttributeType,
    },
    /// More attributes than any name needs.
    #[error("the name has more than {max} attributes")]
    TooMany {
        /// Most attributes allowed.
        max: usize,
    },
}

/// Tells whether PrintableString can hold the character (X.680, 41.4).
pub(crate) fn is_printable(character: char) -> bool {
    character.is_ascii_alphanumeric() || " '()+,-./:=?".contains(character)
}

impl Attribute {
    /// Checks a value and takes it.
    ///
    /// # Errors
    ///
    /// `NotIssued`, `Empty`, `TooLong`, `Character` or `Country`.
    pub fn new(kind: AttributeType, value: &str) -> Result<Self, InvalidName> {
        let rule = kind.rule().ok_or(InvalidName::NotIssued { kind })?;
        let len = value.chars().count();
        if value.trim().is_empty() {
            return Err(InvalidName::Empty { kind });
        }
        if kind == AttributeType::Country {
            let letters = len == 2 && value.bytes().all(|octet| octet.is_ascii_uppercase());
            if !letters {
                return Err(InvalidName::Country);
            }
        }
        if len > rule.max {
            return Err(InvalidName::TooLong {
                kind,
                len,
                max: rule.max,
            });
        }
        let allowed = |character: char| match rule.tag {
            tlv::PRINTABLE_STRING => is_printable(character),
            tlv::IA5_STRING => character.is_ascii() && !character.is_ascii_control(),
            _ => !character.is_control() && character != char::REPLACEMENT_CHARACTER,
        };
        match value.chars().find(|character| !allowed(*character)) {
            Some(character) => Err(InvalidName::Character { kind, character }),
            None => Ok(Self {
                kind,
                value: value.to_owned(),
                opaque: false,
                joined: false,
            }),
        }
    }

    /// Reads an AttributeTypeAndValue; what is not text is kept in hexadecimal.
    fn from_tlv(tlv: Tlv<'_>, joined: bool) -> Result<Self, Malformed> {
        let mut reader = tlv.reader();
        let oid_tlv = reader.expect(tlv::OID)?;
        let oid = ObjectIdentifier::from_bytes(oid_tlv.content)
            .map_err(|_| oid_tlv.refuse("an object identifier that is none"))?;
        let value = reader.next()?;
        reader.finish()?;
        let kind = AttributeType::from_oid(oid);
        let text = match value.tag {
            tlv::UTF8_STRING => Some(
                std::str::from_utf8(value.content)
                    .map_err(|_| value.refuse("a UTF8String that is not UTF-8"))?,
            ),
            tlv::PRINTABLE_STRING => {
                let text = ascii(value)?;
                if !text.chars().all(is_printable) {
                    return Err(value.refuse("a PrintableString with other characters"));
                }
                Some(text)
            }
            tlv::IA5_STRING | tlv::NUMERIC_STRING => Some(ascii(value)?),
            _ => None,
        };
        let text = text.filter(|_| kind.rule().is_some());
        Ok(Self {
            kind,
            value: text.map_or_else(|| format!("#{}", hex::encode(value.whole)), str::to_owned),
            opaque: text.is_none(),
            joined,
        })
    }

    /// Checks that the attribute could be issued, alone.
    ///
    /// # Errors
    ///
    /// What [`Attribute::new`] refuses.
    pub fn check_issuable(&self) -> Result<(), InvalidName> {
        if self.opaque {
            return Err(InvalidName::NotIssued { kind: self.kind });
        }
        Self::new(self.kind, &self.value).map(drop)
    }

    /// Returns the type.
    #[must_use]
    pub fn kind(&self) -> AttributeType {
        self.kind
    }

    /// Returns the value as text.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Reads the contents of a string of ASCII characters.
fn ascii(tlv: Tlv<'_>) -> Result<&str, Malformed> {
    std::str::from_utf8(tlv.content)
        .ok()
        .filter(|text| text.is_ascii())
        .ok_or_else(|| tlv.refuse("a string with octets outside ASCII"))
}

/// A distinguished name, its attributes in the order of their encoding.
///
/// Text runs the other way, as RFC 4514 has it: `CN=Root,O=Example,C=DE` is
/// encoded country first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DistinguishedName {
    /// The attributes, most general first.
    attributes: Vec<Attribute>,
}

impl DistinguishedName {
    /// Most attributes in one name.
    pub const MAX_ATTRIBUTES: usize = 32;

    /// Makes a name of attributes, most general first, each its own RDN.
    #[must_use]
    pub fn new(attributes: Vec<Attribute>) -> Self {
        Self {
            attributes: attributes
                .into_iter()
                .map(|attribute| Attribute {
                    joined: false,
                    ..attribute
                })
                .collect(),
        }
    }

    /// Reads a DER Name, whoever wrote it.
    ///
    /// Bytes are hostile: never panics, allocates little more than twice the
    /// input's length. Strings in retired types (T61String, BMPString) and
    /// unknown attributes are kept in hexadecimal.
    ///
    /// # Errors
    ///
    /// `Encoding`, or `TooMany` past [`Self::MAX_ATTRIBUTES`].
    pub fn from_der(name_der: &[u8]) -> Result<Self, InvalidName> {
        let mut reader = tlv::read_only(name_der, tlv::SEQUENCE)?.reader();
        let mut attributes = Vec::new();
        while !reader.is_empty() {
            let mut set = reader.expect(tlv::SET)?.reader();
            if set.is_empty() {
                return Err(set
                    .refuse(Problem::Content("an empty relative name"))
                    .into());
            }
            let mut joined = false;
            let mut before: &[u8] = &[];
            while !set.is_empty() {
                let tlv = set.expect(tlv::SEQUENCE)?;
                // X.690, 11.6: the members of a SET OF are in ascending order.
                if tlv.whole < before {
                    return Err(tlv.refuse("a SET OF out of order").into());
                }
                before = tlv.whole;
                if attributes.len() == Self::MAX_ATTRIBUTES {
                    return Err(InvalidName::TooMany {
                        max: Self::MAX_ATTRIBUTES,
                    });
                }
                attributes.push(Attribute::from_tlv(tlv, joined)?);
                joined = true;
            }
        }
        Ok(Self { attributes })
    }

    /// Encodes the name as it is issued (see [`Attribute::new`]).
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        encode::name(self)
    }

    /// Checks that every attribute could be issued.
    ///
    /// # Errors
    ///
    /// `Joined` for several attributes in one RDN, and what [`Attribute::new`]
    /// refuses.
    pub fn check_issuable(&self) -> Result<(), InvalidName> {
        self.attributes.iter().try_for_each(|attribute| {
            if attribute.joined {
                return Err(InvalidName::Joined {
                    kind: attribute.kind,
                });
            }
            attribute.check_issuable()
        })
    }

    /// Returns the attributes, most general first.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Tells whether there is no attribute at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// Returns the first value of a type.
    #[must_use]
    pub fn first(&self, kind: AttributeType) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.kind == kind)
            .map(Attribute::value)
    }
}

impl TryFrom<String> for DistinguishedName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<DistinguishedName> for String {
    fn from(name: DistinguishedName) -> String {
        name.to_string()
    }
}

#[cfg(test)]
mod tests;
