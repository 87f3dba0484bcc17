//! Proofs that a leaf is in a tree, and that one tree is the beginning of another.

use super::tree::{Hash, fold, node_hash};

/// Where the hashes of full subtrees are kept.
pub trait ReadNodes {
    /// Why one cannot be read.
    type Error;

    /// Reads the root of the full subtree over the leaves from `index << level` on,
    /// `1 << level` of them.
    ///
    /// # Errors
    ///
    /// The keeper's own.
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// Why a proof cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E> {
    /// The leaf or the smaller tree is not in the tree.
    #[error(transparent)]
    Outside(#[from] OutsideTree),
    /// A subtree's hash cannot be read.
    #[error("a hash of the tree cannot be read")]
    Node(#[source] E),
}

/// A leaf or a smaller tree that is not within the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked} is not within a tree of {size} leaves")]
pub struct OutsideTree {
    /// The leaf's index, or the smaller tree's size.
    pub asked: u64,
    /// The tree's size.
    pub size: u64,
}

/// A proof of inclusion that leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the inclusion proof does not lead from the entry to the tree's root")]
pub struct NotIncluded;

/// A proof of consistency that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the smaller tree is not the beginning of the larger one")]
pub struct NotConsistent;

/// Returns the root of the tree's first `size` leaves.
///
/// # Errors
///
/// `Node` for a hash that cannot be read.
pub fn tree_root<R: ReadNodes>(nodes: &R, size: u64) -> Result<Hash, ProofError<R::Error>> {
    range_root(nodes, 0, size)
}

/// Returns the hashes that lead from a leaf to the root of the tree's first `size`
/// leaves, the leaf's sibling first (RFC 6962, 2.1.1).
///
/// # Errors
///
/// `Outside` for a leaf that the tree has not, `Node` for a hash that cannot be read.
pub fn inclusion_path<R: ReadNodes>(
    nodes: &R,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofError<R::Error>> {
    if index >= size {
        return Err(OutsideTree { asked: index, size }.into());
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Returns the hashes that show the first `smaller` leaves to be the beginning of the
/// first `size` (RFC 6962, 2.1.2).
///
/// # Errors
///
/// `Outside` when `smaller` is nothing or more than `size`, `Node` for a hash that
/// cannot be read.
pub fn consistency_path<R: ReadNodes>(
    nodes: &R,
    smaller: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofError<R::Error>> {
    if smaller == 0 || smaller > size {
        return Err(OutsideTree {
            asked: smaller,
            size,
        }
        .into());
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while smaller != end {
        let middle = start + split(end - start);
        if smaller <= middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    // A whole old tree needs no hash of its own: the verifier has it.
    if start != 0 {
        path.push(range_root(nodes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Verifies that a leaf is the one at `index` in the tree of `size` leaves under `root`
/// (RFC 9162, 2.1.3.2).
///
/// # Errors
///
/// `NotIncluded`.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), NotIncluded> {
    if index >= size {
        return Err(NotIncluded);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(NotIncluded);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root {
        Ok(())
    } else {
        Err(NotIncluded)
    }
}

/// Verifies that the tree of `smaller` leaves under `smaller_root` is the beginning of
/// the tree of `size` leaves under `root` (RFC 9162, 2.1.4.2).
///
/// # Errors
///
/// `NotConsistent`.
pub fn verify_consistency(
    smaller: u64,
    smaller_root: &Hash,
    size: u64,
    root: &Hash,
    path: &[Hash],
) -> Result<(), NotConsistent> {
    if smaller == size {
        let same = path.is_empty() && smaller_root == root;
        return if same { Ok(()) } else { Err(NotConsistent) };
    }
    if smaller == 0 || smaller > size {
        return Err(NotConsistent);
    }
    // A power of two is a subtree of the larger tree as it is.
    let mut hashes = path.iter();
    let first = if smaller.is_power_of_two() {
        smaller_root
    } else {
        hashes.next().ok_or(NotConsistent)?
    };
    let (mut node, mut last) = (smaller - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut small, mut large) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(NotConsistent);
        }
        if node & 1 == 1 || node == last {
            small = node_hash(hash, &small);
            large = node_hash(hash, &large);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            large = node_hash(&large, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && small == *smaller_root && large == *root {
        Ok(())
    } else {
        Err(NotConsistent)
    }
}

/// Returns the largest power of two that is smaller than `len`, which is at least two.
fn split(len: u64) -> u64 {
    1 << (u64::BITS - 1 - (len - 1).leading_zeros())
}

/// Returns the root over a range of leaves that begins where a subtree does.
fn range_root<R: ReadNodes>(
    nodes: &R,
    mut start: u64,
    end: u64,
) -> Result<Hash, ProofError<R::Error>> {
    let mut subtrees = Vec::new();
    while start < end {
        let level = (end - start).ilog2();
        let subtree = nodes
            .node(level as u8, start >> level)
            .map_err(ProofError::Node)?;
        subtrees.push(subtree);
        start += 1 << level;
    }
    Ok(fold(&subtrees).unwrap_or_else(super::empty_root))
}
