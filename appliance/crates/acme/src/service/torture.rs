//! Whom the torture mode refused a good nonce, and does not refuse again at once.
//!
//! Some clients repeat a request once, and with another nonce than the one that came
//! with `badNonce`; no server refuses the same request over and over.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::jws::KeyReference;

/// Most signers remembered.
const MOST: usize = 4096;

/// Signers whose last request was refused.
#[derive(Debug, Default)]
pub(super) struct Spared {
    /// Hashes of their keys' references.
    signers: Mutex<HashSet<u64>>,
    /// Makes these hashes.
    hasher: RandomState,
}

impl Spared {
    /// Remembers a signer; forgets all others once they are too many.
    pub(super) fn spare(&self, signer: &KeyReference) {
        let hash = self.hash(signer);
        let mut signers = self.signers();
        if signers.len() >= MOST {
            signers.clear();
        }
        signers.insert(hash);
    }

    /// Tells whether a signer is to be spared, this once.
    pub(super) fn takes(&self, signer: &KeyReference) -> bool {
        let hash = self.hash(signer);
        self.signers().remove(&hash)
    }

    /// Hashes what names a key.
    fn hash(&self, signer: &KeyReference) -> u64 {
        self.hasher.hash_one(signer)
    }

    /// Locks the signers.
    fn signers(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.signers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
