//! A strict reader of DER's tag, length and content (X.690, 8.1 and 10.1).
//!
//! Bytes are hostile: never panics, allocates nothing. Indefinite lengths,
//! lengths longer than need be, high tag numbers and trailing octets are
//! refused, so that what was read has one encoding only.

use std::fmt;

/// BOOLEAN.
pub(crate) const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// NULL.
pub(crate) const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub(crate) const OID: u8 = 0x06;
/// ENUMERATED.
pub(crate) const ENUMERATED: u8 = 0x0a;
/// UTF8String.
pub(crate) const UTF8_STRING: u8 = 0x0c;
/// NumericString.
pub(crate) const NUMERIC_STRING: u8 = 0x12;
/// PrintableString.
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
/// IA5String.
pub(crate) const IA5_STRING: u8 = 0x16;
/// UTCTime.
pub(crate) const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
/// SEQUENCE and SEQUENCE OF.
pub(crate) const SEQUENCE: u8 = 0x30;
/// SET and SET OF.
pub(crate) const SET: u8 = 0x31;

/// Returns the tag octet of a primitive, implicitly tagged `[number]`.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// Returns the tag octet of a constructed `[number]`.
pub(crate) const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}

/// Where bytes stop being the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at octet {offset}")]
pub struct Malformed {
    /// Octets before the offending one.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What may be wrong with an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The bytes end within a value.
    Truncated,
    /// Octets follow the end of a value.
    TrailingOctets,
    /// An indefinite length, which DER forbids (X.690, 10.1).
    IndefiniteLength,
    /// A length in more octets than it needs (X.690, 10.1).
    LongLength,
    /// A tag number of 31 or more; none is used here.
    HighTag,
    /// Another tag than the structure has in this place.
    UnexpectedTag {
        /// The tag octet found.
        found: u8,
        /// The tag octet wanted.
        wanted: u8,
    },
    /// Contents that their type does not allow, or not in this form.
    Content(&'static str),
    /// Structures within structures beyond any that this product knows.
    TooDeep,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the bytes end within a value"),
            Self::TrailingOctets => f.write_str("octets follow the end of a value"),
            Self::IndefiniteLength => {
                f.write_str("an indefinite length (BER), which DER does not allow")
            }
            Self::LongLength => f.write_str("a length in more octets than it needs"),
            Self::HighTag => f.write_str("a tag number above 30"),
            Self::UnexpectedTag { found, wanted } => {
                write!(f, "tag {found:#04x} where {wanted:#04x} belongs")
            }
            Self::Content(what) => f.write_str(what),
            Self::TooDeep => f.write_str("structures nested too deeply"),
        }
    }
}

/// One value: its tag, its contents, and both with the length between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tlv<'a> {
    /// The tag octet.
    pub(crate) tag: u8,
    /// The contents octets.
    pub(crate) content: &'a [u8],
    /// Tag, length and contents as they stood.
    pub(crate) whole: &'a [u8],
    /// Offset of the contents in the outermost input.
    pub(crate) content_at: usize,
}

impl<'a> Tlv<'a> {
    /// Reads the contents as a run of values.
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader {
            rest: self.content,
            offset: self.content_at,
        }
    }

    /// Complains about the contents.
    pub(crate) fn refuse(self, what: &'static str) -> Malformed {
        Malformed {
            offset: self.content_at,
            problem: Problem::Content(what),
        }
    }

    /// Reads the contents of a BOOLEAN (X.690, 11.1: TRUE is FF).
    pub(crate) fn boolean(self) -> Result<bool, Malformed> {
        match self.content {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(self.refuse("a BOOLEAN that is neither 00 nor FF")),
        }
    }

    /// Returns the contents of an INTEGER, minimal (X.690, 8.3.2).
    pub(crate) fn integer(self) -> Result<&'a [u8], Malformed> {
        match self.content {
            [] => Err(self.refuse("an INTEGER without contents")),
            [0x00, next, ..] if next & 0x80 == 0 => {
                Err(self.refuse("an INTEGER with a superfluous zero"))
            }
            [0xff, next, ..] if next & 0x80 != 0 => {
                Err(self.refuse("an INTEGER with a superfluous FF"))
            }
            content => Ok(content),
        }
    }

    /// Reads an INTEGER from 0 to 255.
    pub(crate) fn small_integer(self) -> Result<u8, Malformed> {
        match self.integer()? {
            [value] if value & 0x80 == 0 => Ok(*value),
            [0x00, value] => Ok(*value),
            _ => Err(self.refuse("an INTEGER outside 0 to 255")),
        }
    }

    /// Returns the magnitude of a positive INTEGER, without a sign octet.
    pub(crate) fn positive_integer(self) -> Result<&'a [u8], Malformed> {
        match self.integer()? {
            [0x00] => Err(self.refuse("an INTEGER of zero where it must be positive")),
            [0x00, magnitude @ ..] => Ok(magnitude),
            [first, ..] if first & 0x80 != 0 => {
                Err(self.refuse("a negative INTEGER where it must be positive"))
            }
            magnitude => Ok(magnitude),
        }
    }

    /// Returns the octets of a BIT STRING that fills them.
    pub(crate) fn whole_octets(self) -> Result<&'a [u8], Malformed> {
        match self.content {
            [0x00, octets @ ..] => Ok(octets),
            _ => Err(self.refuse("a BIT STRING that does not fill its octets")),
        }
    }

    /// Returns unused bits and octets of a BIT STRING (X.690, 11.2: unused bits
    /// are zero).
    pub(crate) fn bits(self) -> Result<(u8, &'a [u8]), Malformed> {
        match self.content {
            [0x00] => Ok((0, &[])),
            [unused @ 0..=7, octets @ .., last] if last.trailing_zeros() >= u32::from(*unused) => {
                let _ = octets;
                Ok((*unused, self.content.get(1..).unwrap_or(&[])))
            }
            _ => Err(self.refuse("a BIT STRING with set or miscounted unused bits")),
        }
    }
}

/// Reads one value after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    /// What has not been read.
    rest: &'a [u8],
    /// Offset of `rest` in the outermost input.
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Begins at the first octet of `der`.
    pub(crate) fn new(der: &'a [u8]) -> Self {
        Self {
            rest: der,
            offset: 0,
        }
    }

    /// Returns what has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes over octets that were read as they stand in [`Self::rest`].
    pub(crate) fn skip(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or(&[]);
        self.offset += len;
    }

    /// Tells whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the next tag octet without reading it.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Complains about the octet that comes next.
    pub(crate) fn refuse(&self, problem: Problem) -> Malformed {
        Malformed {
            offset: self.offset,
            problem,
        }
    }

    /// Reads the next value, whatever it is.
    pub(crate) fn next(&mut self) -> Result<Tlv<'a>, Malformed> {
        let truncated = self.refuse(Problem::Truncated);
        let tag = *self.rest.first().ok_or(truncated)?;
        if tag & 0x1f == 0x1f {
            return Err(self.refuse(Problem::HighTag));
        }
        let first = *self.rest.get(1).ok_or(truncated)?;
        let (length, header) = match first {
            0x00..=0x7f => (usize::from(first), 2),
            0x80 => return Err(self.refuse(Problem::IndefiniteLength)),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let octets = self.rest.get(2..2 + count).ok_or(truncated)?;
                let length = octets
                    .iter()
                    .fold(0usize, |length, octet| length << 8 | usize::from(*octet));
                let leading_zero = octets.first() == Some(&0);
                if length < 0x80 || leading_zero {
                    return Err(self.refuse(Problem::LongLength));
                }
                (length, 2 + count)
            }
            _ => return Err(truncated),
        };
        let end = header.checked_add(length).ok_or(truncated)?;
        let (whole, rest) = self.rest.split_at_checked(end).ok_or(truncated)?;
        let tlv = Tlv {
            tag,
            content: whole.get(header..).unwrap_or(&[]),
            whole,
            content_at: self.offset + header,
        };
        self.rest = rest;
        self.offset += end;
        Ok(tlv)
    }

    /// Reads the next value, which must have this tag.
    pub(crate) fn expect(&mut self, wanted: u8) -> Result<Tlv<'a>, Malformed> {
        match self.peek() {
            None => Err(self.refuse(Problem::Truncated)),
            Some(found) if found != wanted => {
                Err(self.refuse(Problem::UnexpectedTag { found, wanted }))
            }
            Some(_) => self.next(),
        }
    }

    /// Reads the next value if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, Malformed> {
        match self.peek() {
            Some(found) if found == tag => self.next().map(Some),
            _ => Ok(None),
        }
    }

    /// Reads a SEQUENCE and returns a reader of what is in it.
    pub(crate) fn sequence(&mut self) -> Result<Reader<'a>, Malformed> {
        self.expect(SEQUENCE).map(Tlv::reader)
    }

    /// Ends reading: nothing may be left.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.refuse(Problem::TrailingOctets))
        }
    }
}

/// Reads `der` as exactly one value with this tag.
pub(crate) fn read_only(der: &[u8], tag: u8) -> Result<Tlv<'_>, Malformed> {
    let mut reader = Reader::new(der);
    let tlv = reader.expect(tag)?;
    reader.finish()?;
    Ok(tlv)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ber_forms_are_refused_by_name() {
        let problem = |der: &[u8]| Reader::new(der).next().unwrap_err().problem;
        assert_eq!(problem(&[0x30, 0x80, 0, 0]), Problem::IndefiniteLength);
        assert_eq!(problem(&[0x30, 0x81, 0x01, 0]), Problem::LongLength);
        assert_eq!(problem(&[0x30, 0x82, 0, 0x80]), Problem::LongLength);
        assert_eq!(problem(&[0x3f, 0x20, 0]), Problem::HighTag);
        assert_eq!(
            problem(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
            Problem::Truncated
        );
        assert_eq!(problem(&[0x30, 0x02, 0]), Problem::Truncated);
        assert_eq!(problem(&[]), Problem::Truncated);
    }

    #[test]
    fn contents_have_one_form() {
        let tlv = |tag, content: &'static [u8]| Tlv {
            tag,
            content,
            whole: content,
            content_at: 0,
        };
        assert!(tlv(INTEGER, &[0, 0x7f]).integer().is_err());
        assert!(tlv(INTEGER, &[0xff, 0x80]).integer().is_err());
        assert!(tlv(INTEGER, &[]).integer().is_err());
        assert_eq!(tlv(INTEGER, &[0, 0x80]).positive_integer().unwrap(), [0x80]);
        assert!(tlv(BOOLEAN, &[1]).boolean().is_err());
        assert!(tlv(BIT_STRING, &[7, 0x80]).bits().is_ok());
        assert!(tlv(BIT_STRING, &[7, 0xc0]).bits().is_err());
        assert!(tlv(BIT_STRING, &[8, 0x00]).bits().is_err());
        assert!(tlv(BIT_STRING, &[1]).bits().is_err());
    }

    #[test]
    fn offsets_count_from_the_outermost_octet() {
        let der = [0x30, 0x03, 0x02, 0x02, 0x01];
        let mut reader = Reader::new(&der).sequence().unwrap();
        assert_eq!(reader.next().unwrap_err().offset, 2);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while let Ok(tlv) = reader.next() {
                let _ = (tlv.boolean(), tlv.integer(), tlv.bits(), tlv.small_integer());
                prop_assert!(tlv.whole.len() >= 2);
            }
        }
    }
}
