//! Identifiers of ACME objects.
//!
//! They sort by time (`timed_id`) and print as base64url.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ChallengeKind;
use crate::names::InvalidName;
use crate::timed_id::{LEN, timed_id};

/// Text that is no identifier of an ACME object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text names no {kind}")]
pub struct InvalidId {
    /// What it was to name: "order".
    pub kind: &'static str,
}

/// Defines the identifier of one kind of object.
macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        timed_id!(
            $(#[$doc])*
            ///
            /// Prints as 22 characters of base64url (RFC 4648, 5).
            $type
        );

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl FromStr for $type {
            type Err = InvalidId;

            /// Reads an identifier. Text is hostile: never panics.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut octets = [0; LEN];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut octets) {
                    Ok(LEN) => Ok(Self(octets)),
                    Ok(_) | Err(_) => Err(InvalidId { kind: $kind }),
                }
            }
        }
    };
}

id!(
    /// Names an account.
    AccountId, "account"
);

id!(
    /// Names an order; also the idempotency key of its certificate at the CA.
    OrderId, "order"
);

id!(
    /// Names an authorization.
    AuthorizationId, "authorization"
);

/// Names a challenge: its authorization and its kind, of which each
/// authorization has one at most.
///
/// Prints as `<authorization>.http-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChallengeId {
    /// The authorization.
    pub authorization: AuthorizationId,
    /// The kind.
    pub kind: ChallengeKind,
}

impl fmt::Display for ChallengeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.authorization, self.kind)
    }
}

impl FromStr for ChallengeId {
    type Err = InvalidId;

    /// Reads an identifier. Text is hostile: never panics.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let refused = InvalidId { kind: "challenge" };
        let (authorization, kind) = text.split_once('.').ok_or(refused)?;
        Ok(Self {
            authorization: authorization.parse().map_err(|_| refused)?,
            kind: kind.parse().map_err(|_| refused)?,
        })
    }
}

/// Names a key of external account binding: the `kid` of RFC 8555, 7.3.4.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EabKeyId(Box<str>);

impl EabKeyId {
    /// Most characters.
    pub const MAX_LEN: usize = 64;

    /// Checks and takes a name: 1 to 64 printable ASCII characters without spaces.
    ///
    /// # Errors
    ///
    /// `Length` when empty or too long, `Character` outside the alphabet.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let kind = "an EAB key's id";
        let len = text.chars().count();
        if len == 0 || len > Self::MAX_LEN {
            return Err(InvalidName::Length {
                kind,
                max: Self::MAX_LEN,
                len,
            });
        }
        match text.chars().find(|character| !character.is_ascii_graphic()) {
            Some(character) => Err(InvalidName::Character {
                kind,
                character,
                allowed: "printable ASCII without spaces",
            }),
            None => Ok(Self(text.into())),
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EabKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_sort_by_time_and_tell_it() {
        let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
        let early = OrderId::new(at(1_790_000_000_000), [0xff; 10]);
        let late = OrderId::new(at(1_790_000_000_001), [0; 10]);
        assert!(early < late);
        assert_eq!(late, OrderId::first_at(at(1_790_000_000_001)));
        assert_eq!(early.time(), at(1_790_000_000_000));
        assert_eq!(early.to_string(), "AaDEUGwA_____________w");
    }

    #[test]
    fn a_challenge_is_named_by_authorization_and_kind() {
        let authorization = AuthorizationId::from_octets([7; 16]);
        for kind in ChallengeKind::ALL {
            let id = ChallengeId {
                authorization,
                kind,
            };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert!(
            "BwcHBwcHBwcHBwcHBwcHBw.ftp-01"
                .parse::<ChallengeId>()
                .is_err()
        );
    }

    #[test]
    fn one_identifier_has_one_spelling() {
        assert!("BwcHBwcHBwcHBwcHBwcHBw".parse::<OrderId>().is_ok());
        // Trailing bits that say nothing, padding, other alphabets, other lengths.
        for text in [
            "BwcHBwcHBwcHBwcHBwcHBx",
            "BwcHBwcHBwcHBwcHBwcHBw==",
            "BwcHBwcHBwcHBwcHBwcHB+",
            "BwcHBwcHBwcHBwcHBwcH",
            "",
        ] {
            assert!(text.parse::<OrderId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_identifier_is_read_as_printed(octets: [u8; 16]) {
            let id = AccountId::from_octets(octets);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let _ = id.time();
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (text.parse::<OrderId>(), text.parse::<ChallengeId>(), EabKeyId::new(&text));
        }
    }
}
