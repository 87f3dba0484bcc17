//! Identifiers of the signing service's objects.
//!
//! They sort by time (`timed_id`), as octets and as text.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32HEX_NOPAD;
use serde::{Deserialize, Serialize};

use crate::timed_id::{LEN, timed_id};

/// Characters of an identifier behind its prefix: 128 bits, five each.
const TEXT_LEN: usize = 26;

/// Text that is no identifier of an object of the signing service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text names no {kind}: `{prefix}` and 26 characters of 0-9 and a-v")]
pub struct InvalidSigningId {
    /// What it was to name: "signature".
    pub kind: &'static str,
    /// What such a name begins with.
    pub prefix: &'static str,
}

/// Reads the text behind a prefix; none for any spelling but the one that is written.
fn read_text(text: &str) -> Option<[u8; LEN]> {
    if text.len() != TEXT_LEN || text.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return None;
    }
    let octets = BASE32HEX_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .ok()?;
    octets.try_into().ok()
}

/// Defines the identifier of one kind of object.
macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $prefix:literal) => {
        timed_id!(
            $(#[$doc])*
            #[doc = concat!(
                "\n\nPrints as `", $prefix,
                "` and 26 characters of base32hex in lower case (RFC 4648, 7), which sort as \
                 the octets do."
            )]
            #[derive(Serialize, Deserialize)]
            #[serde(try_from = "String", into = "String")]
            $type
        );

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = BASE32HEX_NOPAD.encode(&self.0).to_ascii_lowercase();
                write!(f, "{}{text}", $prefix)
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
    use jiff::Timestamp;
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
