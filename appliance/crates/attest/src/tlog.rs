//! The transparency log's formats: its Merkle tree (RFC 6962, 2.1), its checkpoints
//! (C2SP signed notes) and its entries (`hashedrekord` 0.0.2).
//!
//! Trees hash leaves and nodes under different prefixes, so that no node is a leaf.
//! [`CompactTree`] is all that appending needs; proofs read whole subtrees' hashes from
//! wherever they are kept, through [`ReadNodes`].

mod checkpoint;
mod entry;
mod proof;
mod tree;

pub use checkpoint::{
    Checkpoint, CheckpointError, NoteKey, NoteSignature, SignedCheckpoint, UnsuitableKey,
};
pub use entry::{EntryError, HashedRekord};
pub use proof::{
    NotConsistent, NotIncluded, OutsideTree, ProofError, ReadNodes, consistency_path,
    inclusion_path, tree_root, verify_consistency, verify_inclusion,
};
pub use tree::{CompactTree, Full, Hash, WrongPeaks, empty_root, leaf_hash, node_hash};

#[cfg(test)]
mod tests;
