//! Identifiers of the signing service's objects.
//!
//! Sixteen octets: milliseconds since 1970 in the first six, random bits in the
//! rest. They sort by time, as octets and as text; nobody can guess them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Octets of an identifier.
const LEN: usize = 16;

/// Octets of its time.
const TIME_LEN: usize = 6;

/// Characters of an identifier behind its prefix: 128 bits, five each.
const TEXT_LEN: usize = 26;

/// The alphabet, which sorts as the values do (RFC 4648, 7, in lower case).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Text that is no identifier of an object of the signing service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text names no {kind}: `{prefix}` and 26 characters of 0-9 and a-v")]
pub struct InvalidSigningId {
    /// What it was to name: "signature".
    pub kind: &'static str,
    /// What such a name begins with.
    pub prefix: &'static str,
}

/// Writes octets as text.
fn write_text(octets: [u8; LEN], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let number = u128::from_be_bytes(octets);
    let mut text = [0; TEXT_LEN];
    for (place, character) in (0..).zip(&mut text) {
        // RFC 4648, 6: the last character has its lower two bits zero.
        let shifted = match 123_u32.checked_sub(5 * place) {
            Some(shift) => number >> shift,
            None => number << 2,
        };
        *character = ALPHABET[(shifted & 0x1f) as usize];
    }
    f.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

/// Reads what [`write_text`] wrote; none for any other spelling.
fn read_text(text: &str) -> Option<[u8; LEN]> {
    if text.len() != TEXT_LEN {
        return None;
    }
    let mut number = 0_u128;
    for (place, character) in (0..).zip(text.bytes()) {
        let value = ALPHABET.iter().position(|own| *own == character)? as u128;
        match 123_u32.checked_sub(5 * place) {
            Some(shift) => number |= value << shift,
            None if value & 0b11 == 0 => number |= value >> 2,
            None => return None,
        }
    }
    Some(number.to_be_bytes())
}

/// Defines the identifier of one kind of object.
macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[doc = concat!(
            "\n\nPrints as `", $prefix,
            "` and 26 characters of base32hex in lower case (RFC 4648, 7)."
        )]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type([u8; LEN]);

        impl $type {
            /// Makes an identifier for something that begins `at` a time.
            #[must_use]
            pub fn new(at: Timestamp, random: [u8; LEN - TIME_LEN]) -> Self {
                let mut octets = Self::first_at(at).0;
                octets[TIME_LEN..].copy_from_slice(&random);
                Self(octets)
            }

            /// Returns the smallest identifier of a time: where a range begins.
            #[must_use]
            pub fn first_at(at: Timestamp) -> Self {
                // Before 1970 counts as 1970; the year 10889 is the last that fits.
                let time = u64::try_from(at.as_millisecond()).unwrap_or(0).to_be_bytes();
                let mut octets = [0; LEN];
                octets[..TIME_LEN].copy_from_slice(&time[2..]);
                Self(octets)
            }

            /// Returns the time it was made at, to the millisecond.
            #[must_use]
            pub fn time(&self) -> Timestamp {
                let mut time = [0; 8];
                time[2..].copy_from_slice(&self.0[..TIME_LEN]);
                i64::try_from(u64::from_be_bytes(time))
                    .ok()
                    .and_then(|time| Timestamp::from_millisecond(time).ok())
                    .unwrap_or(Timestamp::MAX)
            }

            /// Takes stored octets.
            #[must_use]
            pub const fn from_octets(octets: [u8; LEN]) -> Self {
                Self(octets)
            }

            /// Returns its octets.
            #[must_use]
            pub const fn octets(&self) -> &[u8; LEN] {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                write_text(self.0, f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }

        impl FromStr for $type {
            type Err = InvalidSigningId;

            /// Reads an identifier. Text is hostile: never panics.
            fn from_str(text: &str) -> Result<Self, InvalidSigningId> {
                text.strip_prefix($prefix)
                    .and_then(read_text)
                    .map(Self)
                    .ok_or(InvalidSigningId { kind: $kind, prefix: $prefix })
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidSigningId;

            fn try_from(text: String) -> Result<Self, InvalidSigningId> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.to_string()
            }
        }
    };
}

id!(
    /// Names a signature: an artifact, what was signed over it, and its evidence.
    SignatureId, "signature", "sig-"
);

id!(
    /// Names an event that a webhook told us.
    EventId, "event", "evt-"
);

id!(
    /// Names a delivery that we owe somebody else's webhook.
    DeliveryId, "delivery", "dlv-"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_sort_by_time_and_tell_it() {
        let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
        let early = SignatureId::new(at(1_790_000_000_000), [0xff; 10]);
        let late = SignatureId::new(at(1_790_000_000_001), [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(late, SignatureId::first_at(at(1_790_000_000_001)));
        assert_eq!(early.time(), at(1_790_000_000_000));
        assert_eq!(early.to_string(), "sig-06gc8k3c03vvvvvvvvvvvvvvvs");
    }

    #[test]
    fn the_text_is_base32hex() {
        // RFC 4648, 10, test vectors: BASE32HEX("fooba") = "CPNMUOJ1", and the zeros.
        let mut octets = [0; LEN];
        octets[..5].copy_from_slice(b"fooba");
        let text = "evt-cpnmuoj1000000000000000000";
        assert_eq!(EventId::from_octets(octets).to_string(), text);
    }

    #[test]
    fn one_identifier_has_one_spelling() {
        assert!(
            "dlv-0000000000000000000000000g"
                .parse::<DeliveryId>()
                .is_ok()
        );
        for text in [
            "dlv-0000000000000000000000000h",
            "dlv-0000000000000000000000000G",
            "dlv-000000000000000000000000g",
            "dlv-00000000000000000000000000g",
            "dlv-w000000000000000000000000g",
            "sig-0000000000000000000000000g",
            "0000000000000000000000000g",
            "dlv-",
            "",
        ] {
            assert!(text.parse::<DeliveryId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_identifier_is_read_as_printed(octets: [u8; 16], other: [u8; 16]) {
            let id = SignatureId::from_octets(octets);
            let other = SignatureId::from_octets(other);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_string().cmp(&other.to_string()), id.cmp(&other));
            let _ = id.time();
        }

        #[test]
        fn no_text_panics(text in "(sig-)?\\PC*") {
            let _ = text.parse::<SignatureId>();
        }
    }
}
