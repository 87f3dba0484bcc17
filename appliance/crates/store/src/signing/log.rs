//! The transparency log's tree (RFC 6962, 2.1): hashes of what is complete.

use aws_lc_rs::digest;

/// A hash of the tree.
pub(crate) type Hash = [u8; 32];

/// A complete subtree: its level (0 for a leaf), its index there, its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// How many times two leaves or nodes were joined.
    pub(crate) level: u8,
    /// Its number among those of its level.
    pub(crate) index: u64,
    /// Its hash.
    pub(crate) hash: Hash,
}

/// The right edge of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Edge {
    /// Leaves in the tree.
    pub(crate) size: u64,
    /// Hashes of the complete subtrees that it falls into, the largest first: one
    /// for each bit set in `size`.
    pub(crate) peaks: Vec<Hash>,
}

impl Edge {
    /// Adds a leaf and returns the subtrees that it completes, the leaf first.
    pub(crate) fn append(&mut self, leaf: &[u8]) -> Vec<Node> {
        let mut node = Node {
            level: 0,
            index: self.size,
            hash: leaf_hash(leaf),
        };
        let mut completed = vec![node];
        while node.index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            node = Node {
                level: node.level + 1,
                index: node.index >> 1,
                hash: node_hash(&left, &node.hash),
            };
            completed.push(node);
        }
        self.peaks.push(node.hash);
        self.size += 1;
        completed
    }

    /// Returns the tree's root.
    pub(crate) fn root(&self) -> Hash {
        root(self.peaks.iter().copied())
    }
}

/// Returns level and index of the complete subtrees that a tree falls into, the
/// largest first.
pub(crate) fn peaks(size: u64) -> Vec<(u8, u64)> {
    let mut start = 0;
    let mut peaks = Vec::new();
    for level in (0..64_u8).rev() {
        if size >> level & 1 == 1 {
            peaks.push((level, start >> level));
            start += 1 << level;
        }
    }
    peaks
}

/// Returns the root over the complete subtrees of a tree, the largest first.
pub(crate) fn root(peaks: impl DoubleEndedIterator<Item = Hash>) -> Hash {
    let joined = peaks.rev().reduce(|right, left| node_hash(&left, &right));
    // RFC 6962, 2.1: the hash of an empty list is that of an empty string.
    joined.unwrap_or_else(|| hash(&[]))
}

/// Hashes a leaf.
fn leaf_hash(leaf: &[u8]) -> Hash {
    hash(&[&[0], leaf])
}

/// Hashes two nodes.
fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

/// Hashes parts as one.
fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    // SHA-256 gives 32 octets.
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition of RFC 6962, 2.1, word for word.
    fn tree_hash(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => hash(&[]),
            [leaf] => leaf_hash(leaf),
            leaves => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&tree_hash(&leaves[..split]), &tree_hash(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_empty_tree_and_the_first_leaves_have_their_known_roots() {
        // RFC 6962 implementations' common test vectors.
        let mut edge = Edge::default();
        assert_eq!(
            hex::encode(edge.root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        edge.append(b"");
        assert_eq!(
            hex::encode(edge.root()),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        edge.append(&[0]);
        assert_eq!(
            hex::encode(edge.root()),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
    }

    proptest! {
        #[test]
        fn the_edge_gives_the_root_and_the_nodes_of_the_definition(
            leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..70),
        ) {
            let mut edge = Edge::default();
            let mut nodes = std::collections::BTreeMap::new();
            for (leaf, size) in leaves.iter().zip(1..) {
                for node in edge.append(leaf) {
                    nodes.insert((node.level, node.index), node.hash);
                }
                let expected = tree_hash(&leaves[..size]);
                prop_assert_eq!(edge.root(), expected);
                let own = peaks(size as u64).into_iter().map(|peak| nodes[&peak]);
                prop_assert_eq!(root(own.collect::<Vec<_>>().into_iter()), expected);
            }
            for ((level, index), hash) in nodes {
                let span = 1 << level;
                let start = index as usize * span;
                prop_assert_eq!(hash, tree_hash(&leaves[start..start + span]));
            }
        }
    }
}
