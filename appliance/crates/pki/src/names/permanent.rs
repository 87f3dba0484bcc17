//! What a manufacturer calls a device: PermanentIdentifier (RFC 4043), as
//! draft-ietf-acme-device-attest has it.

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;

use super::InvalidAlternativeName;
use crate::oid;
use crate::public_key::read_oid;
use crate::tlv::{self, Malformed, Tlv};

/// A device's permanent identifier: a value and perhaps who assigned it.
///
/// Prints as the draft's `permanent-identifier-value`, `C02X` or `C02X/1.2.3`, and reads
/// the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermanentIdentifier {
    /// identifierValue: printable ASCII without spaces and slashes.
    value: Box<str>,
    /// assigner.
    assigner: Option<ObjectIdentifier>,
}

impl PermanentIdentifier {
    /// Most octets of a value.
    pub const MAX_LEN: usize = 128;

    /// Checks a value and takes it as it stands: serial numbers are not to be normalized.
    ///
    /// # Errors
    ///
    /// `PermanentIdentifier` if it is empty, too long, or holds anything but printable
    /// ASCII, a space or a slash.
    pub fn new(
        value: &str,
        assigner: Option<ObjectIdentifier>,
    ) -> Result<Self, InvalidAlternativeName> {
        let is_taken = (1..=Self::MAX_LEN).contains(&value.len())
            && value
                .bytes()
                .all(|octet| octet.is_ascii_graphic() && octet != b'/');
        if !is_taken {
            return Err(InvalidAlternativeName::PermanentIdentifier);
        }
        Ok(Self {
            value: value.into(),
            assigner,
        })
    }

    /// Returns identifierValue.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns who assigned it.
    #[must_use]
    pub fn assigner(&self) -> Option<&ObjectIdentifier> {
        self.assigner.as_ref()
    }

    /// Reads an otherName's contents. Bytes are hostile: never panics, allocates no more
    /// than the input's length.
    ///
    /// # Errors
    ///
    /// `UnsupportedType` for an otherName of another type, `PermanentIdentifier` for one
    /// that is not as RFC 4043, 2 has it, or has no value of its own.
    pub(super) fn from_other_name(other_name: Tlv<'_>) -> Result<Self, InvalidAlternativeName> {
        let malformed = |_: Malformed| InvalidAlternativeName::PermanentIdentifier;
        // RFC 5280, 4.2.1.6: type-id, value [0] EXPLICIT.
        let mut fields = other_name.reader();
        let kind = read_oid(&mut fields).map_err(malformed)?;
        if kind != oid::PERMANENT_IDENTIFIER {
            return Err(InvalidAlternativeName::UnsupportedType { tag: 0 });
        }
        let tagged = fields
            .expect(tlv::context_constructed(0))
            .map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        let mut tagged = tagged.reader();
        let mut identifier = tagged.sequence().map_err(malformed)?;
        tagged.finish().map_err(malformed)?;
        // RFC 4043 lets identifierValue be the subject's serialNumber instead; the draft
        // wants it here.
        let value = identifier.expect(tlv::UTF8_STRING).map_err(malformed)?;
        let assigner = if identifier.is_empty() {
            None
        } else {
            Some(read_oid(&mut identifier).map_err(malformed)?)
        };
        identifier.finish().map_err(malformed)?;
        std::str::from_utf8(value.content)
            .map_err(|_| InvalidAlternativeName::PermanentIdentifier)
            .and_then(|value| Self::new(value, assigner))
    }
}

impl fmt::Display for PermanentIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.assigner {
            Some(assigner) => write!(f, "{}/{assigner}", self.value),
            None => f.write_str(&self.value),
        }
    }
}

impl FromStr for PermanentIdentifier {
    type Err = InvalidAlternativeName;

    fn from_str(text: &str) -> Result<Self, InvalidAlternativeName> {
        match text.split_once('/') {
            Some((value, assigner)) => {
                let assigner = ObjectIdentifier::new(assigner)
                    .ok()
                    // One spelling: 1.02.3 is not taken.
                    .filter(|oid| oid.to_string() == assigner)
                    .ok_or(InvalidAlternativeName::PermanentIdentifier)?;
                Self::new(value, Some(assigner))
            }
            None => Self::new(text, None),
        }
    }
}
