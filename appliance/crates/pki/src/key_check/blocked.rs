//! Keys that are not certified again: known by the SHA-256 of their SPKI.

use std::collections::HashSet;

/// A set of blocked keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockedKeys {
    /// SHA-256 of each SubjectPublicKeyInfo.
    fingerprints: HashSet<[u8; 32]>,
}

/// A line that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} of the blocked keys is no SHA-256 of a SubjectPublicKeyInfo in 64 hexadecimal digits"
)]
pub struct BlockedKeysError {
    /// Its number, from 1.
    pub line: usize,
}

impl BlockedKeys {
    /// Reads one fingerprint a line in hexadecimal; what follows a `#` and blank
    /// lines are ignored.
    ///
    /// # Errors
    ///
    /// The first line that is no fingerprint.
    pub fn parse(text: &str) -> Result<Self, BlockedKeysError> {
        let mut blocked = Self::default();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or("").trim();
            if entry.is_empty() {
                continue;
            }
            let mut fingerprint = [0; 32];
            hex::decode_to_slice(entry, &mut fingerprint)
                .map_err(|_| BlockedKeysError { line: index + 1 })?;
            blocked.insert(fingerprint);
        }
        Ok(blocked)
    }

    /// Adds a key by the SHA-256 of its SubjectPublicKeyInfo.
    pub fn insert(&mut self, spki_sha256: [u8; 32]) {
        self.fingerprints.insert(spki_sha256);
    }

    /// Tells whether a key is blocked.
    #[must_use]
    pub fn contains(&self, spki_sha256: &[u8; 32]) -> bool {
        self.fingerprints.contains(spki_sha256)
    }

    /// Counts the keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }
}
