//! Blocked keys: which ones are never certified again.

use std::collections::HashMap;

use super::{CertificateLedger, Outcome};
use crate::certificates::blocked::BlockedKey;
use crate::certificates::entry;
use crate::error::{Error, IndexFault};
use crate::index::Additions;
use crate::journal::Place;
use crate::writer::{Decision, Sources};

/// The keys that a group blocks, each with its frame.
#[derive(Debug, Default)]
pub(super) struct StagedKeys {
    /// By SHA-256 of the SubjectPublicKeyInfo.
    blocked: HashMap<[u8; 32], Place>,
}

impl StagedKeys {
    /// Adds the keys that the blocks bring to the index.
    pub(super) fn index(&self, additions: &mut Additions) {
        for (key, place) in &self.blocked {
            additions.insert(entry::blocked_key(key), entry::encode(place));
        }
    }
}

impl CertificateLedger {
    /// Whether a public key is blocked, in all layers.
    ///
    /// # Errors
    ///
    /// Why it could not be read.
    pub(super) fn is_blocked(&self, public_key_sha256: &[u8; 32]) -> Result<bool, Error> {
        if self.keys.blocked.contains_key(public_key_sha256) {
            return Ok(true);
        }
        Ok(self.read().counts.blocked > 0
            && find_blocked(&self.sources, public_key_sha256)?.is_some())
    }

    /// Decides whether a block has to be recorded.
    ///
    /// # Errors
    ///
    /// Why state could not be read.
    pub(super) fn decide_block(&self, key: &BlockedKey) -> Result<Decision<Outcome>, Error> {
        if self.is_blocked(&key.public_key_sha256)? {
            return Ok(Decision::Answer(Outcome::Already));
        }
        Ok(Decision::Record(Outcome::Done))
    }

    /// Stages a block.
    pub(super) fn stage_block(&mut self, key: &BlockedKey, place: Place) {
        self.keys.blocked.insert(key.public_key_sha256, place);
    }

    /// Stages a block found in the journal.
    ///
    /// # Errors
    ///
    /// `Contradiction` if the key was blocked before, or why that could not be read.
    pub(super) fn replay_block(
        &mut self,
        key: &BlockedKey,
        sequence: u64,
        place: Place,
    ) -> Result<(), Error> {
        let hash = &key.public_key_sha256;
        let known = match self.keys.blocked.get(hash) {
            Some(staged) => Some(*staged),
            // The index may be ahead of its checkpoint and know this very frame.
            None => find_blocked(&self.sources, hash)?,
        };
        if known.is_some_and(|known| known != place) {
            return Err(Error::Contradiction { sequence });
        }
        self.stage_block(key, place);
        Ok(())
    }

    /// Moves the group's blocks into the settled layer.
    pub(super) fn settle_blocks(&mut self) {
        let staged = std::mem::take(&mut self.keys);
        if !staged.blocked.is_empty() {
            self.write().counts.blocked += staged.blocked.len() as u64;
        }
    }
}

/// Finds the frame that blocked a public key, in the index.
///
/// # Errors
///
/// `Index` if it cannot be read.
pub(crate) fn find_blocked(
    sources: &Sources,
    public_key_sha256: &[u8; 32],
) -> Result<Option<Place>, Error> {
    let index = &sources.index;
    match index.get(&entry::blocked_key(public_key_sha256))? {
        None => Ok(None),
        Some(value) => entry::decode(&value)
            .map(Some)
            .ok_or_else(|| index.unusable(IndexFault::Entry)),
    }
}
