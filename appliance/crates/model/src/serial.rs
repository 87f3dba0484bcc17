//! Certificate serial numbers (RFC 5280, 4.1.2.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A certificate serial number: a positive integer of at most 20 octets.
///
/// Held as the content octets of its DER INTEGER: big-endian, minimal, with a
/// leading zero octet where the top bit would otherwise make it negative.
/// Prints as lower-case hexadecimal of those octets and reads the same, colons
/// allowed as OpenSSL prints them.
// Stored on disk: change only by adding a version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SerialNumber {
    /// Content octets of the DER INTEGER; the rest of `octets` is zero.
    octets: [u8; Self::MAX_LEN],
    /// Number of content octets in use, 1 to 20.
    len: u8,
}

/// Why octets or text are not a serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSerial {
    /// No octets at all.
    #[error("a serial number needs at least one octet")]
    Empty,
    /// More than 20 content octets.
    #[error("a serial number has at most 20 octets, not {len}")]
    TooLong {
        /// Octets found, after leading zeros were dropped.
        len: usize,
    },
    /// Zero is not positive.
    #[error("a serial number must be positive")]
    Zero,
    /// The top bit of the first octet is set.
    #[error("a serial number must be positive; this one is negative")]
    Negative,
    /// A character that is neither hexadecimal nor a colon.
    #[error("a serial number is written in hexadecimal, with or without colons")]
    NotHex,
}

impl SerialNumber {
    /// Most content octets that RFC 5280 allows.
    pub const MAX_LEN: usize = 20;

    /// Random octets in a generated serial number: 128 bits.
    pub const RANDOM_LEN: usize = 16;

    /// Forms a serial number from 128 random bits behind a node prefix.
    ///
    /// The first octet is 0x40 plus the node's top four bits: positive and never
    /// zero, so that every generated number has the same length of 18 octets: two for
    /// marker and node, then the 16 random ones.
    #[must_use]
    pub fn from_random(node: NodePrefix, random: [u8; Self::RANDOM_LEN]) -> Self {
        let mut octets = [0; Self::MAX_LEN];
        let [high, low] = node.0.to_be_bytes();
        octets[0] = 0x40 | high;
        octets[1] = low;
        octets[2..2 + Self::RANDOM_LEN].copy_from_slice(&random);
        Self {
            octets,
            len: 2 + Self::RANDOM_LEN as u8,
        }
    }

    /// Reads the content octets of a DER INTEGER.
    ///
    /// # Errors
    ///
    /// `Empty`, `Zero`, `Negative`, or `TooLong` past 20 octets. Superfluous
    /// leading zeros are dropped.
    pub fn from_der_content(content: &[u8]) -> Result<Self, InvalidSerial> {
        match content.first() {
            None => return Err(InvalidSerial::Empty),
            Some(first) if first & 0x80 != 0 => return Err(InvalidSerial::Negative),
            Some(_) => {}
        }
        Self::from_unsigned(content)
    }

    /// Reads an unsigned big-endian integer, adding the sign octet it needs.
    ///
    /// # Errors
    ///
    /// `Empty`, `Zero`, or `TooLong` when its DER form passes 20 octets.
    pub fn from_unsigned(magnitude: &[u8]) -> Result<Self, InvalidSerial> {
        if magnitude.is_empty() {
            return Err(InvalidSerial::Empty);
        }
        let start = magnitude
            .iter()
            .position(|octet| *octet != 0)
            .ok_or(InvalidSerial::Zero)?;
        let magnitude = &magnitude[start..];
        let sign = usize::from(magnitude[0] & 0x80 != 0);
        let len = magnitude.len() + sign;
        if len > Self::MAX_LEN {
            return Err(InvalidSerial::TooLong { len });
        }
        let mut octets = [0; Self::MAX_LEN];
        octets[sign..len].copy_from_slice(magnitude);
        Ok(Self {
            octets,
            // At most MAX_LEN, checked above.
            len: len as u8,
        })
    }

    /// Returns the content octets of the DER INTEGER, 1 to 20, big-endian.
    #[must_use]
    pub fn as_der_content(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// The node part of generated serial numbers: 12 bits, so that nodes which
/// share an issuer never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct NodePrefix(u16);

impl NodePrefix {
    /// Largest node number.
    pub const MAX: u16 = 0x0fff;

    /// Takes a node number of at most 12 bits.
    ///
    /// # Errors
    ///
    /// The number itself when it is larger than [`Self::MAX`].
    pub const fn new(node: u16) -> Result<Self, NodeTooLarge> {
        if node > Self::MAX {
            return Err(NodeTooLarge { node });
        }
        Ok(Self(node))
    }
}

impl TryFrom<u16> for NodePrefix {
    type Error = NodeTooLarge;

    fn try_from(node: u16) -> Result<Self, NodeTooLarge> {
        Self::new(node)
    }
}

impl From<NodePrefix> for u16 {
    fn from(node: NodePrefix) -> u16 {
        node.0
    }
}

/// A node number that does not fit its 12 bits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node number is at most 4095, not {node}")]
pub struct NodeTooLarge {
    /// The number given.
    pub node: u16,
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_der_content()
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

impl FromStr for SerialNumber {
    type Err = InvalidSerial;

    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| *byte != b':')
            .map(|byte| match byte {
                b'0'..=b'9' => Ok(byte - b'0'),
                b'a'..=b'f' => Ok(byte - b'a' + 10),
                b'A'..=b'F' => Ok(byte - b'A' + 10),
                _ => Err(InvalidSerial::NotHex),
            })
            .collect::<Result<_, _>>()?;
        if digits.len() > 4 * Self::MAX_LEN {
            return Err(InvalidSerial::TooLong {
                len: digits.len().div_ceil(2),
            });
        }
        // An odd number of digits has an implied leading zero.
        let octets: Vec<u8> = digits
            .rchunks(2)
            .rev()
            .map(|pair| pair.iter().fold(0, |value, digit| value << 4 | digit))
            .collect();
        Self::from_unsigned(&octets)
    }
}

impl TryFrom<String> for SerialNumber {
    type Error = InvalidSerial;

    fn try_from(text: String) -> Result<Self, InvalidSerial> {
        text.parse()
    }
}

impl From<SerialNumber> for String {
    fn from(serial: SerialNumber) -> String {
        serial.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn openssl_colons_and_odd_digits_are_read() {
        let serial: SerialNumber = "1:02:03".parse().unwrap();
        assert_eq!(serial.as_der_content(), [1, 2, 3]);
        assert_eq!("F".parse::<SerialNumber>().unwrap().as_der_content(), [15]);
    }

    #[test]
    fn a_set_top_bit_gets_a_sign_octet() {
        let serial: SerialNumber = "ff".parse().unwrap();
        assert_eq!(serial.as_der_content(), [0, 0xff]);
        assert_eq!(serial.to_string(), "00ff");
        assert_eq!("00ff".parse::<SerialNumber>().unwrap(), serial);
    }

    #[test]
    fn zero_negative_long_and_garbled_are_refused() {
        assert_eq!("00".parse::<SerialNumber>(), Err(InvalidSerial::Zero));
        assert_eq!("".parse::<SerialNumber>(), Err(InvalidSerial::Empty));
        assert_eq!("zz".parse::<SerialNumber>(), Err(InvalidSerial::NotHex));
        assert_eq!(
            SerialNumber::from_der_content(&[0x80]),
            Err(InvalidSerial::Negative)
        );
        assert_eq!(
            SerialNumber::from_unsigned(&[0xff; 20]),
            Err(InvalidSerial::TooLong { len: 21 })
        );
        assert!("1".repeat(10_000).parse::<SerialNumber>().is_err());
    }

    #[test]
    fn nodes_never_share_a_prefix() {
        let one = SerialNumber::from_random(NodePrefix::new(1).unwrap(), [0xff; 16]);
        let two = SerialNumber::from_random(NodePrefix::new(0xfff).unwrap(), [0xff; 16]);
        assert_eq!(one.as_der_content()[..2], [0x40, 0x01]);
        assert_eq!(two.as_der_content()[..2], [0x4f, 0xff]);
        assert_eq!(one.as_der_content().len(), 18);
        assert!(NodePrefix::new(0x1000).is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(magnitude in prop::collection::vec(any::<u8>(), 1..19)) {
            prop_assume!(magnitude.iter().any(|octet| *octet != 0));
            let serial = SerialNumber::from_unsigned(&magnitude).unwrap();
            prop_assert_eq!(serial.to_string().parse::<SerialNumber>().unwrap(), serial.clone());
            prop_assert_eq!(SerialNumber::from_der_content(serial.as_der_content()).unwrap(), serial);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<SerialNumber>();
        }
    }
}
