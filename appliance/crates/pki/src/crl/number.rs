//! CRL numbers (RFC 5280, 5.2.3).

use std::fmt;

use num_bigint::BigUint;

/// The number of a CRL: a non-negative integer of at most 20 octets, ordered as such.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CrlNumber {
    /// Content octets of the DER INTEGER; the rest is zero.
    octets: [u8; Self::MAX_LEN],
    /// Number of content octets in use, 1 to 20.
    len: u8,
}

/// Why octets are no CRL number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCrlNumber {
    /// More than 20 octets, which RFC 5280 forbids.
    #[error("a CRL number has at most 20 octets, not {len}")]
    TooLong {
        /// Octets found.
        len: usize,
    },
    /// No octets, or a sign.
    #[error("a CRL number is an integer of zero or more")]
    Negative,
}

impl CrlNumber {
    /// Most content octets that RFC 5280 allows.
    pub const MAX_LEN: usize = 20;

    /// Takes the content octets of a DER INTEGER, minimal.
    ///
    /// # Errors
    ///
    /// `TooLong`, and `Negative` for none or a set top bit.
    pub fn from_der_content(content: &[u8]) -> Result<Self, InvalidCrlNumber> {
        if content.first().is_none_or(|first| first & 0x80 != 0) {
            return Err(InvalidCrlNumber::Negative);
        }
        // 5.2.3: conforming issuers MUST NOT use values longer than 20 octets.
        let len = content.len();
        let mut octets = [0; Self::MAX_LEN];
        octets
            .get_mut(..len)
            .ok_or(InvalidCrlNumber::TooLong { len })?
            .copy_from_slice(content);
        Ok(Self {
            octets,
            // At most MAX_LEN, checked above.
            len: len as u8,
        })
    }

    /// Returns the content octets of the DER INTEGER, 1 to 20, big-endian.
    #[must_use]
    pub fn as_der_content(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns the number if it is below 2^64, as those made here are.
    #[must_use]
    pub fn to_u64(&self) -> Option<u64> {
        let magnitude = match self.as_der_content() {
            [0, magnitude @ ..] => magnitude,
            magnitude => magnitude,
        };
        let fold = |value, octet: &u8| value << 8 | u64::from(*octet);
        (magnitude.len() <= 8).then(|| magnitude.iter().fold(0, fold))
    }
}

impl From<u64> for CrlNumber {
    fn from(number: u64) -> Self {
        // A zero octet in front keeps the sign clear.
        let mut content = [0; 9];
        content[1..].copy_from_slice(&number.to_be_bytes());
        let spare = content
            .windows(2)
            .take_while(|pair| matches!(pair, [0, next] if next & 0x80 == 0))
            .count();
        let mut octets = [0; Self::MAX_LEN];
        let len = content.len() - spare;
        for (octet, digit) in octets.iter_mut().zip(content.iter().skip(spare)) {
            *octet = *digit;
        }
        Self {
            octets,
            len: len as u8,
        }
    }
}

impl Ord for CrlNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Minimal and not negative: the longer one is the larger.
        (self.len, self.octets).cmp(&(other.len, other.octets))
    }
}

impl PartialOrd for CrlNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BigUint::from_bytes_be(self.as_der_content()).fmt(f)
    }
}

impl fmt::Debug for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrlNumber({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_and_negative_numbers_are_refused() {
        assert_eq!(
            CrlNumber::from_der_content(&[1; 21]),
            Err(InvalidCrlNumber::TooLong { len: 21 })
        );
        for content in [&[][..], &[0x80]] {
            assert_eq!(
                CrlNumber::from_der_content(content),
                Err(InvalidCrlNumber::Negative)
            );
        }
        let longest = CrlNumber::from_der_content(&[0x7f; 20]).unwrap();
        assert_eq!(longest.to_u64(), None);
        assert!(longest > CrlNumber::from(u64::MAX));
    }

    proptest! {
        #[test]
        fn numbers_keep_value_order_and_minimal_form(one: u64, two in prop_oneof![any::<u64>(), 0..300u64]) {
            let number = CrlNumber::from(one);
            prop_assert_eq!(number.to_u64(), Some(one));
            prop_assert_eq!(number.to_string(), one.to_string());
            prop_assert_eq!(number.cmp(&CrlNumber::from(two)), one.cmp(&two));
            let content = number.as_der_content();
            prop_assert!(!matches!(content, [0, next, ..] if next & 0x80 == 0));
            prop_assert_eq!(CrlNumber::from_der_content(content), Ok(number));
        }
    }
}
