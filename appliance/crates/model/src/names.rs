//! Newtypes for the names that configuration, peers and logs use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing, or more than the kind allows.
    #[error("{kind} has 1 to {max} characters, not {len}")]
    Length {
        /// What the text was to be.
        kind: &'static str,
        /// Most characters allowed.
        max: usize,
        /// Characters given.
        len: usize,
    },
    /// A character outside the kind's alphabet.
    #[error("{kind} may not contain {character:?}: {allowed}")]
    Character {
        /// What the text was to be.
        kind: &'static str,
        /// The first character that does not belong.
        character: char,
        /// The alphabet in words.
        allowed: &'static str,
    },
}

/// Defines a checked text newtype with parsing, printing and serde.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $max:literal, $allowed:literal, $test:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Box<str>);

        impl $type {
            /// Most characters this kind of name has.
            pub const MAX_LEN: usize = $max;

            /// Checks and takes a name.
            ///
            /// # Errors
            ///
            /// `Length` when empty or too long, `Character` outside the alphabet.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                let len = text.chars().count();
                if len == 0 || len > $max {
                    return Err(InvalidName::Length { kind: $kind, max: $max, len });
                }
                let allowed: fn(char) -> bool = $test;
                match text.chars().find(|character| !allowed(*character)) {
                    Some(character) => Err(InvalidName::Character {
                        kind: $kind,
                        character,
                        allowed: $allowed,
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

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.into()
            }
        }
    };
}

name!(
    /// Names an issuing authority of this CA, as in `/crl/{issuer}.crl`.
    IssuerId, "an issuer's name", 32, "lower-case letters, digits and hyphens",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

name!(
    /// Names a certificate profile, as in `/sign?profile=tls-server`.
    ProfileName, "a profile's name", 48, "lower-case letters, digits and hyphens",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

name!(
    /// Names one holder of a role: a service instance or a person.
    PeerName, "a peer's name", 64, "letters, digits, full stops, hyphens and underscores",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
);

name!(
    /// Follows one request through every service's log.
    ///
    /// Taken from the peer's `X-Request-Id` when that is well formed, else made
    /// afresh.
    RequestId, "a request id", 64, "letters, digits, hyphens and underscores",
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
);

name!(
    /// Makes a repeated request the same request.
    ///
    /// The caller chooses it; the same key with the same content gets the
    /// stored answer, with other content a refusal.
    IdempotencyKey, "an idempotency key", 128, "printable ASCII without spaces",
    |c| c.is_ascii_graphic()
);

name!(
    /// Names a profile of the signing service: who may have what signed, and how.
    SigningProfileName, "a signing profile's name", 48, "lower-case letters, digits and hyphens",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

name!(
    /// Names a webhook of the configuration, as in `/v1/webhooks/{name}`.
    WebhookName, "a webhook's name", 48, "lower-case letters, digits and hyphens",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

name!(
    /// Names a rule that a webhook may start.
    RuleName, "a rule's name", 48, "lower-case letters, digits and hyphens",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);

name!(
    /// Names a delivery as its sender does: the same again is the same delivery.
    SenderDeliveryId, "a delivery's id", 128, "printable ASCII without spaces",
    |c| c.is_ascii_graphic()
);

name!(
    /// Names an artifact: a file name, or whatever its signer calls it.
    ArtifactName, "an artifact's name", 512, "no control characters",
    |c| !c.is_control()
);

name!(
    /// Says what an artifact or document is: `application/octet-stream`.
    MediaType, "a media type", 255, "printable ASCII and spaces",
    |c| c.is_ascii_graphic() || c == ' '
);

name!(
    /// Names who had something signed: a peer as it is printed, `signer/ci-1`, or
    /// a webhook, `webhook/releases`.
    SignerLabel, "a signer's label", 192, "printable ASCII without spaces",
    |c| c.is_ascii_graphic()
);

name!(
    /// Says in words why a signature is withdrawn.
    WithdrawalNote, "a withdrawal's note", 1000, "no control characters but line feeds",
    |c| !c.is_control() || c == '\n'
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_spelled_from_their_alphabet() {
        assert!(IssuerId::new("issuing-2").is_ok());
        assert!(matches!(
            IssuerId::new("../etc"),
            Err(InvalidName::Character { character: '.', .. })
        ));
        assert!(matches!(
            ProfileName::new(""),
            Err(InvalidName::Length { len: 0, .. })
        ));
        assert!(RequestId::new(&"x".repeat(65)).is_err());
        assert!(IdempotencyKey::new("order 1").is_err());
        assert!(PeerName::new("build.host_1").is_ok());
    }
}
