//! Digests of artifacts, as requests and statements spell them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A hash that artifacts are digested by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Text that names no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no hash {given:?} here: sha256, sha384 and sha512 are")]
pub struct UnknownHash {
    /// The text given, cut at 40 characters.
    pub given: String,
}

impl HashAlgorithm {
    /// Every hash.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Returns the hash as digests spell it: `sha256`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns the octets of its digests.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HashAlgorithm {
    type Err = UnknownHash;

    /// Reads a hash's name. Text is hostile: never panics.
    fn from_str(text: &str) -> Result<Self, UnknownHash> {
        Self::ALL
            .into_iter()
            .find(|hash| hash.as_str() == text)
            .ok_or_else(|| UnknownHash {
                given: text.chars().take(40).collect(),
            })
    }
}

/// A digest of an artifact.
///
/// Prints as `sha256:` and lower-case hexadecimal, and is read from that spelling
/// alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactDigest {
    /// By which hash.
    algorithm: HashAlgorithm,
    /// The octets, then zeros.
    octets: [u8; Self::MAX_LEN],
}

/// Why text or octets are no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// No colon.
    #[error("a digest is written as `sha256:` and hexadecimal; there is no colon")]
    NoAlgorithm,
    /// Another hash.
    #[error(transparent)]
    Algorithm(#[from] UnknownHash),
    /// Too short or too long.
    #[error("a {algorithm} digest has {expected} hexadecimal characters, not {len}")]
    Length {
        /// The hash.
        algorithm: HashAlgorithm,
        /// Characters that it takes.
        expected: usize,
        /// Characters given.
        len: usize,
    },
    /// Another character.
    #[error("a digest is written in lower-case hexadecimal, without {character:?}")]
    Character {
        /// The first character that does not belong.
        character: char,
    },
}

impl ArtifactDigest {
    /// Most octets of a digest.
    pub const MAX_LEN: usize = 64;

    /// Takes a digest's octets.
    ///
    /// # Errors
    ///
    /// `Length` unless there are as many as the hash gives.
    pub fn new(algorithm: HashAlgorithm, digest: &[u8]) -> Result<Self, InvalidDigest> {
        let mut octets = [0; Self::MAX_LEN];
        match octets.get_mut(..algorithm.digest_len()) {
            Some(own) if own.len() == digest.len() => own.copy_from_slice(digest),
            Some(_) | None => {
                return Err(InvalidDigest::Length {
                    algorithm,
                    expected: 2 * algorithm.digest_len(),
                    len: 2 * digest.len(),
                });
            }
        }
        Ok(Self { algorithm, octets })
    }

    /// Takes a SHA-256 digest.
    #[must_use]
    pub fn sha256(digest: [u8; 32]) -> Self {
        let mut octets = [0; Self::MAX_LEN];
        octets[..32].copy_from_slice(&digest);
        Self {
            algorithm: HashAlgorithm::Sha256,
            octets,
        }
    }

    /// Returns the hash it is by.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Returns its octets, as many as its hash gives.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.algorithm.digest_len()]
    }

    /// Returns its octets in lower-case hexadecimal, without the hash's name.
    #[must_use]
    pub fn hex(&self) -> String {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
        self.octets()
            .iter()
            .flat_map(|octet| [digit(octet >> 4), digit(octet & 0x0f)])
            .collect()
    }
}

impl fmt::Display for ArtifactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl fmt::Debug for ArtifactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactDigest({self})")
    }
}

impl FromStr for ArtifactDigest {
    type Err = InvalidDigest;

    /// Reads a digest. Text is hostile: never panics, allocates nothing for what
    /// is no digest but a short excerpt.
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let (algorithm, hex) = text.split_once(':').ok_or(InvalidDigest::NoAlgorithm)?;
        let algorithm: HashAlgorithm = algorithm.parse()?;
        let is_digit = |character: &char| matches!(character, '0'..='9' | 'a'..='f');
        if let Some(character) = hex.chars().find(|character| !is_digit(character)) {
            return Err(InvalidDigest::Character { character });
        }
        let expected = 2 * algorithm.digest_len();
        if hex.len() != expected {
            return Err(InvalidDigest::Length {
                algorithm,
                expected,
                len: hex.len(),
            });
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            _ => digit.wrapping_sub(b'a').wrapping_add(10),
        };
        let mut octets = [0; Self::MAX_LEN];
        for (octet, pair) in octets.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *octet = (value(pair[0]) << 4) | value(pair[1]);
        }
        Ok(Self { algorithm, octets })
    }
}

impl TryFrom<String> for ArtifactDigest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<ArtifactDigest> for String {
    fn from(digest: ArtifactDigest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_spellings_are_refused_and_say_why() {
        let hex = "0f".repeat(32);
        let read = |text: &str| text.parse::<ArtifactDigest>();
        assert_eq!(
            read(&format!("sha256:{hex}")),
            Ok(ArtifactDigest::sha256([15; 32]))
        );
        assert_eq!(read(&hex), Err(InvalidDigest::NoAlgorithm));
        assert!(matches!(
            read(&format!("md5:{hex}")),
            Err(InvalidDigest::Algorithm(_))
        ));
        assert!(matches!(
            read(&format!("sha384:{hex}")),
            Err(InvalidDigest::Length {
                expected: 96,
                len: 64,
                ..
            })
        ));
        for (hex, character) in [
            (hex.to_uppercase(), 'F'),
            (format!(" {hex}"), ' '),
            ("é".repeat(32), 'é'),
        ] {
            assert_eq!(
                read(&format!("sha256:{hex}")),
                Err(InvalidDigest::Character { character })
            );
        }
    }

    proptest! {
        #[test]
        fn every_digest_is_read_as_printed(which in 0..3_usize, octets: [u8; 32]) {
            let algorithm = HashAlgorithm::ALL[which];
            let long = [octets, octets].concat();
            let digest = ArtifactDigest::new(algorithm, &long[..algorithm.digest_len()]).unwrap();
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
            prop_assert_eq!(digest.octets().len(), algorithm.digest_len());
        }

        #[test]
        fn no_text_panics(text in "(sha256:)?\\PC*") {
            let _ = text.parse::<ArtifactDigest>();
        }
    }
}
