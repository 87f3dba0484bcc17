//! Hashes of leaves and nodes, and a tree that only grows.

use aws_lc_rs::digest;

/// A SHA-256: of a leaf, a node or a whole tree.
pub type Hash = [u8; 32];

/// What is hashed before a leaf (RFC 6962, 2.1).
const LEAF: [u8; 1] = [0x00];

/// What is hashed before two subtrees.
const NODE: [u8; 1] = [0x01];

/// Hashes parts one after another.
pub(super) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Hashes a leaf: SHA-256(0x00 ‖ data).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    sha256(&[&LEAF, data])
}

/// Hashes a node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&NODE, left, right])
}

/// Returns the root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// A tree reduced to what appending and its root need: the roots of its full subtrees.
///
/// Stored on disk through [`CompactTree::size`] and [`CompactTree::peaks`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactTree {
    /// How many leaves.
    size: u64,
    /// Roots of full subtrees, the largest first: one for each bit of `size`.
    peaks: Vec<Hash>,
}

/// Peaks that are not as many as the size has bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {expected} full subtrees, not {found}")]
pub struct WrongPeaks {
    /// Leaves.
    pub size: u64,
    /// Subtrees that it has.
    pub expected: usize,
    /// Subtrees that were given.
    pub found: usize,
}

/// A tree that has as many leaves as can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree is full")]
pub struct Full;

impl CompactTree {
    /// Makes the tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a tree where it was left.
    ///
    /// # Errors
    ///
    /// `WrongPeaks` when there are more or fewer peaks than the size says.
    pub fn resume(size: u64, peaks: Vec<Hash>) -> Result<Self, WrongPeaks> {
        let expected = size.count_ones() as usize;
        if peaks.len() != expected {
            return Err(WrongPeaks {
                size,
                expected,
                found: peaks.len(),
            });
        }
        Ok(Self { size, peaks })
    }

    /// Appends a leaf, handing every subtree that becomes full to `keep`: its level
    /// (0 for the leaf itself), its index on that level, its hash.
    ///
    /// # Errors
    ///
    /// `Full`; nothing was appended.
    pub fn append(
        &mut self,
        leaf: Hash,
        mut keep: impl FnMut(u8, u64, &Hash),
    ) -> Result<u64, Full> {
        let index = self.size;
        let size = index.checked_add(1).ok_or(Full)?;
        keep(0, index, &leaf);
        let mut hash = leaf;
        // Each trailing one bit of the old size is a full subtree that this one completes.
        for level in 1..=index.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            keep(level as u8, index >> level, &hash);
        }
        self.peaks.push(hash);
        self.size = size;
        Ok(index)
    }

    /// Returns how many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the roots of the full subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Returns the tree's root.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(&self.peaks).unwrap_or_else(empty_root)
    }
}

/// Joins full subtrees, the largest first, into the root above them; none for none.
pub(super) fn fold(subtrees: &[Hash]) -> Option<Hash> {
    let (last, before) = subtrees.split_last()?;
    Some(
        before
            .iter()
            .rev()
            .fold(*last, |right, left| node_hash(left, &right)),
    )
}
