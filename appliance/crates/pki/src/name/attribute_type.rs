//! The types of attributes that names are made of.

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use crate::oid;
use crate::tlv;

/// A type of attribute that names are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AttributeType {
    /// Two letters of ISO 3166.
    Country,
    /// State or province.
    State,
    /// Town.
    Locality,
    /// Street and number.
    Street,
    /// Postal code.
    PostalCode,
    /// Organization.
    Organization,
    /// Organizational unit.
    OrganizationalUnit,
    /// Identifier of an organization, such as a VAT number.
    OrganizationIdentifier,
    /// What kind of business it is.
    BusinessCategory,
    /// Common name.
    CommonName,
    /// Family name.
    Surname,
    /// Given name.
    GivenName,
    /// Title.
    Title,
    /// Serial number of a device or person.
    SerialNumber,
    /// What tells equal names apart.
    DnQualifier,
    /// Login.
    UserId,
    /// One label of a DNS domain.
    DomainComponent,
    /// E-mail address (PKCS#9; deprecated in subjects).
    EmailAddress,
    /// Anything else: read and shown, never issued.
    Other(ObjectIdentifier),
}

/// Why a text is no attribute type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no attribute type here: CN, O, OU, C, ST, L, STREET, postalCode, serialNumber, SN, GN, title, UID, DC, emailAddress, …"
)]
pub struct UnknownAttributeType {
    /// The text given, cut at 40 characters.
    pub given: String,
}

/// How an attribute's value is encoded and bounded.
pub(super) struct Rule {
    /// The type.
    kind: AttributeType,
    /// Its object identifier.
    oid: ObjectIdentifier,
    /// Its short name.
    name: &'static str,
    /// The string type it is issued with.
    pub(super) tag: u8,
    /// Most characters (RFC 5280, appendix A.1; X.520 for those it leaves out).
    pub(super) max: usize,
}

/// Every attribute type that is issued.
const RULES: &[Rule] = &{
    use AttributeType as A;
    /// One row.
    const fn row(kind: A, oid: ObjectIdentifier, name: &'static str, tag: u8, max: usize) -> Rule {
        Rule {
            kind,
            oid,
            name,
            tag,
            max,
        }
    }
    [
        row(A::CommonName, oid::COMMON_NAME, "CN", tlv::UTF8_STRING, 64),
        row(
            A::Organization,
            oid::ORGANIZATION,
            "O",
            tlv::UTF8_STRING,
            64,
        ),
        row(
            A::OrganizationalUnit,
            oid::ORGANIZATIONAL_UNIT,
            "OU",
            tlv::UTF8_STRING,
            64,
        ),
        row(A::Country, oid::COUNTRY, "C", tlv::PRINTABLE_STRING, 2),
        row(A::State, oid::STATE, "ST", tlv::UTF8_STRING, 128),
        row(A::Locality, oid::LOCALITY, "L", tlv::UTF8_STRING, 128),
        row(A::Street, oid::STREET, "STREET", tlv::UTF8_STRING, 128),
        row(
            A::PostalCode,
            oid::POSTAL_CODE,
            "postalCode",
            tlv::UTF8_STRING,
            40,
        ),
        row(
            A::OrganizationIdentifier,
            oid::ORGANIZATION_IDENTIFIER,
            "organizationIdentifier",
            tlv::UTF8_STRING,
            256,
        ),
        row(
            A::BusinessCategory,
            oid::BUSINESS_CATEGORY,
            "businessCategory",
            tlv::UTF8_STRING,
            128,
        ),
        row(A::Surname, oid::SURNAME, "SN", tlv::UTF8_STRING, 64),
        row(A::GivenName, oid::GIVEN_NAME, "GN", tlv::UTF8_STRING, 64),
        row(A::Title, oid::TITLE, "title", tlv::UTF8_STRING, 64),
        row(
            A::SerialNumber,
            oid::SERIAL_NUMBER,
            "serialNumber",
            tlv::PRINTABLE_STRING,
            64,
        ),
        row(
            A::DnQualifier,
            oid::DN_QUALIFIER,
            "dnQualifier",
            tlv::PRINTABLE_STRING,
            64,
        ),
        row(A::UserId, oid::USER_ID, "UID", tlv::UTF8_STRING, 256),
        row(
            A::DomainComponent,
            oid::DOMAIN_COMPONENT,
            "DC",
            tlv::IA5_STRING,
            63,
        ),
        row(
            A::EmailAddress,
            oid::EMAIL_ADDRESS,
            "emailAddress",
            tlv::IA5_STRING,
            255,
        ),
    ]
};

impl AttributeType {
    /// Finds the type of an object identifier.
    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Self {
        RULES
            .iter()
            .find(|rule| rule.oid == oid)
            .map_or(Self::Other(oid), |rule| rule.kind)
    }

    /// Finds how the type is issued; nothing for types that are not.
    pub(super) fn rule(self) -> Option<&'static Rule> {
        RULES.iter().find(|rule| rule.kind == self)
    }

    /// Returns the object identifier.
    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Other(oid) => oid,
            known => known.rule().map_or(oid::COMMON_NAME, |rule| rule.oid),
        }
    }

    /// Returns the tag of the string type this attribute is issued with.
    pub(crate) fn string_tag(self) -> u8 {
        self.rule().map_or(tlv::UTF8_STRING, |rule| rule.tag)
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.rule()) {
            (_, Some(rule)) => f.write_str(rule.name),
            (Self::Other(oid), None) => write!(f, "{oid}"),
            (known, None) => write!(f, "{}", known.oid()),
        }
    }
}

impl FromStr for AttributeType {
    type Err = UnknownAttributeType;

    fn from_str(text: &str) -> Result<Self, UnknownAttributeType> {
        let spelled = |rule: &&Rule| rule.name.eq_ignore_ascii_case(text);
        let named = RULES.iter().find(spelled).map(|rule| rule.kind);
        let long = || match text.to_ascii_lowercase().as_str() {
            "commonname" => Some(Self::CommonName),
            "organization" | "organizationname" => Some(Self::Organization),
            "organizationalunit" | "organizationalunitname" => Some(Self::OrganizationalUnit),
            "country" | "countryname" => Some(Self::Country),
            "state" | "stateorprovincename" => Some(Self::State),
            "locality" | "localityname" => Some(Self::Locality),
            "surname" => Some(Self::Surname),
            "givenname" => Some(Self::GivenName),
            "email" | "e" => Some(Self::EmailAddress),
            _ => None,
        };
        let dotted = || text.parse().ok().map(Self::from_oid);
        named
            .or_else(long)
            .or_else(dotted)
            .ok_or_else(|| UnknownAttributeType {
                given: text.chars().take(40).collect(),
            })
    }
}

impl TryFrom<String> for AttributeType {
    type Error = UnknownAttributeType;

    fn try_from(text: String) -> Result<Self, UnknownAttributeType> {
        text.parse()
    }
}

impl From<AttributeType> for String {
    fn from(kind: AttributeType) -> String {
        kind.to_string()
    }
}
