//! Names as text (RFC 4514), printed and read.

use std::fmt;
use std::str::FromStr;

use super::{Attribute, DistinguishedName, InvalidName};

impl fmt::Display for DistinguishedName {
    /// Prints by RFC 4514: last attribute first, specials escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, rdn) in self
            .attributes
            .chunk_by(|_, next| next.joined)
            .rev()
            .enumerate()
        {
            if place > 0 {
                f.write_str(",")?;
            }
            for (member, attribute) in rdn.iter().enumerate() {
                if member > 0 {
                    f.write_str("+")?;
                }
                write!(f, "{}=", attribute.kind)?;
                write_value(f, attribute)?;
            }
        }
        Ok(())
    }
}

/// Writes a value with its specials escaped (RFC 4514, 2.4).
fn write_value(f: &mut fmt::Formatter<'_>, attribute: &Attribute) -> fmt::Result {
    let value = &attribute.value;
    if attribute.opaque {
        return f.write_str(value);
    }
    let last = value.chars().count().saturating_sub(1);
    for (place, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
            '#' | ' ' if place == 0 => write!(f, "\\{character}")?,
            ' ' if place == last => f.write_str("\\ ")?,
            control if control.is_control() => {
                let mut octets = [0; 4];
                for octet in control.encode_utf8(&mut octets).bytes() {
                    write!(f, "\\{octet:02x}")?;
                }
            }
            plain => write!(f, "{plain}")?,
        }
    }
    Ok(())
}

impl FromStr for DistinguishedName {
    type Err = InvalidName;

    /// Reads RFC 4514 text; every value must be one that can be issued.
    ///
    /// Spaces after a comma are taken as layout, several attributes in one
    /// relative name (`+`) are refused.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut attributes = Vec::new();
        let mut characters = text.chars().enumerate().peekable();
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        loop {
            let mut kind = String::new();
            let at = loop {
                match characters.next() {
                    Some((at, '=')) => break at,
                    Some((_, character)) => kind.push(character),
                    None => {
                        return Err(InvalidName::Text {
                            at: text.chars().count(),
                        });
                    }
                }
            };
            let kind = kind.trim().parse()?;
            let (value, more) = read_value(&mut characters, at)?;
            if attributes.len() == Self::MAX_ATTRIBUTES {
                return Err(InvalidName::TooMany {
                    max: Self::MAX_ATTRIBUTES,
                });
            }
            attributes.push(Attribute::new(kind, &value)?);
            if !more {
                break;
            }
        }
        attributes.reverse();
        Ok(Self { attributes })
    }
}

/// Reads a value to its comma or the end; tells whether a comma followed.
fn read_value(
    characters: &mut std::iter::Peekable<impl Iterator<Item = (usize, char)>>,
    mut at: usize,
) -> Result<(String, bool), InvalidName> {
    let mut octets: Vec<u8> = Vec::new();
    // Octets up to here were escaped or are no space: not to be trimmed.
    let mut kept = 0;
    let mut more = false;
    while characters
        .next_if(|(_, character)| *character == ' ')
        .is_some()
    {}
    while let Some((place, character)) = characters.next() {
        at = place;
        match character {
            ',' => {
                more = true;
                break;
            }
            '+' | ';' | '"' | '<' | '>' => return Err(InvalidName::Text { at }),
            '#' if octets.is_empty() => return Err(InvalidName::Text { at }),
            '\\' => {
                let (_, first) = characters.next().ok_or(InvalidName::Text { at })?;
                match first.to_digit(16) {
                    Some(high) => {
                        let low = characters
                            .next()
                            .and_then(|(_, second)| second.to_digit(16))
                            .ok_or(InvalidName::Text { at })?;
                        octets.extend(u8::try_from(high << 4 | low));
                    }
                    None if " \"#+,;<=>\\".contains(first) => {
                        octets.extend(first.encode_utf8(&mut [0; 4]).bytes());
                    }
                    None => return Err(InvalidName::Text { at }),
                }
                kept = octets.len();
            }
            ' ' => octets.push(b' '),
            plain => {
                octets.extend(plain.encode_utf8(&mut [0; 4]).bytes());
                kept = octets.len();
            }
        }
    }
    octets.truncate(kept);
    let value = String::from_utf8(octets).map_err(|_| InvalidName::Text { at })?;
    Ok((value, more))
}
