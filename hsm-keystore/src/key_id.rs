//! Names of keys within a store.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A key's name: the stem of its files, the `CKA_LABEL` of its objects.
///
/// 1 to 64 lower-case letters, digits, hyphens and full stops, beginning with a
/// letter or digit, so that it is a safe file name everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(Box<str>);

/// A text that cannot name a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} cannot name a key: 1 to 64 lower-case letters, digits, hyphens and full stops, \
     beginning with a letter or digit"
)]
pub struct InvalidKeyId {
    /// The text given, cut at 80 characters.
    pub given: String,
}

impl KeyId {
    /// Most octets of a name.
    pub const MAX_LEN: usize = 64;

    /// Checks and takes a name.
    ///
    /// # Errors
    ///
    /// When the text is empty, too long or has other characters.
    pub fn new(text: &str) -> Result<Self, InvalidKeyId> {
        let spelled = text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        let begins = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !spelled || !begins || text.len() > Self::MAX_LEN {
            return Err(InvalidKeyId {
                given: text.chars().take(80).collect(),
            });
        }
        Ok(Self(text.into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        Self::new(text)
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidKeyId;

    fn try_from(text: String) -> Result<Self, InvalidKeyId> {
        Self::new(&text)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_no_key_id() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "A",
            "-x",
            "a b",
            &"x".repeat(65),
        ] {
            assert!(KeyId::new(bad).is_err(), "{bad}");
        }
        assert!(KeyId::new("ca-issuing.2").is_ok());
    }
}
