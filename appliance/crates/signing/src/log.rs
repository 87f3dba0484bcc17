//! The service's own transparency log: every signature is a leaf of one tree that only
//! grows, whose root the token signs.
//!
//! The store keeps leaves and nodes; they are durable before anything is signed about
//! them. A checkpoint covers all leaves there are, so that many signatures at a time wait
//! for one of the token's. It is recorded before anybody sees it, and none is ever signed
//! whose tree is smaller than the last one or does not continue it.
//!
//! A log run by one operator proves that a signature was entered, not that everyone is
//! shown the same tree: the checkpoints are published for others to compare.

mod config;
mod open;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use attest::bundle::{InclusionProof, LogEntry};
use attest::tlog::{
    Checkpoint, Hash, HashedRekord, NoteKey, ProofError, ReadNodes, consistency_path,
    inclusion_path, leaf_hash, tree_root,
};
use attest::trusted_root::{LogInstance, TrustedRoot, Validity};
use bytes::Bytes;
use hsm_keystore::{Priority, PrivateKey, SignJob, SignatureScheme};
use model::signing::ArtifactDigest;
use model::{Clock, Timestamp};
use pki::certificate::Certificate;
use store::signing::{LogCheckpoint, SigningStore, SigningStoreError};
use tokio::sync::Mutex;

pub use config::{CheckedLog, LogConfig};
pub use open::{LogError, LogParts};

use crate::problem::SigningProblem;

/// The transparency log.
pub struct TransparencyLog {
    /// The key that signs checkpoints.
    key: Arc<dyn PrivateKey>,
    /// The log's name, and the same key as verifiers know it.
    note_key: NoteKey,
    /// Where leaves and nodes are.
    store: Arc<dyn SigningStore>,
    /// The time.
    clock: Arc<dyn Clock>,
    /// How long the token may take.
    timeout: Duration,
    /// Held by who signs; who waits for it finds the tree signed.
    turn: Mutex<()>,
    /// The last checkpoint, recorded.
    latest: ArcSwapOption<Published>,
}

/// A checkpoint that is recorded.
#[derive(Debug)]
struct Published {
    /// What it says.
    checkpoint: Checkpoint,
    /// The signed note.
    note: String,
}

/// How a leaf leads to a root, for who asks the log itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Leaves in the tree.
    pub(crate) tree_size: u64,
    /// Its root.
    pub(crate) root: Hash,
    /// The way.
    pub(crate) hashes: Vec<Hash>,
}

/// The store's nodes.
struct Nodes<'a>(&'a dyn SigningStore);

/// Why a node cannot be read.
#[derive(Debug, thiserror::Error)]
enum NodeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] SigningStoreError),
    /// It is not there, although its leaves are.
    #[error("node {index} of level {level} of the log is not in the store")]
    Absent {
        /// Above the leaves.
        level: u8,
        /// On that level.
        index: u64,
    },
}

impl ReadNodes for Nodes<'_> {
    type Error = NodeError;

    fn node(&self, level: u8, index: u64) -> Result<Hash, NodeError> {
        self.0
            .log_node(level, index)?
            .ok_or(NodeError::Absent { level, index })
    }
}

/// A fault that no request causes.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The store does not continue what was signed.
    #[error(
        "the log of {size} leaves does not continue its last checkpoint, of {last} leaves; \
         nothing is signed about it: restore the store from the backup"
    )]
    Forked {
        /// Leaves in the store.
        size: u64,
        /// Leaves in the checkpoint.
        last: u64,
    },
    /// The leaf that was handed in is not the one kept.
    #[error("leaf {index} of the log is another one than was handed in")]
    Leaf {
        /// Which.
        index: u64,
    },
    /// The token's signature does not verify.
    #[error("the token's signature of a checkpoint does not verify with the log's key")]
    Signature,
}

impl TransparencyLog {
    /// Returns the leaf of a signature: what is hashed into the tree; none for a key that
    /// logs have no name for.
    #[must_use]
    pub fn leaf(
        &self,
        digest: &ArtifactDigest,
        signature: &[u8],
        certificate: &Certificate,
    ) -> Option<Bytes> {
        let entry = HashedRekord::new(
            *digest,
            signature.to_vec(),
            certificate.der().to_vec(),
            certificate.public_key(),
        )?;
        Some(entry.to_canonical_json().into())
    }

    /// Returns the entry of a leaf that the store took at an index, once a checkpoint
    /// covers it.
    ///
    /// # Errors
    ///
    /// Why no checkpoint could be signed or recorded.
    pub async fn entry(&self, index: u64, leaf: Bytes) -> Result<LogEntry, SigningProblem> {
        let published = self.covering(index.saturating_add(1)).await?;
        let nodes = Nodes(&*self.store);
        if nodes.node(0, index).map_err(node_problem)? != leaf_hash(&leaf) {
            return Err(SigningProblem::internal(Fault::Leaf { index }));
        }
        let Checkpoint { size, root, .. } = published.checkpoint;
        Ok(LogEntry {
            log_index: index,
            log_id: self.note_key.key_id().to_vec(),
            kind: HashedRekord::KIND.to_owned(),
            version: HashedRekord::VERSION.to_owned(),
            integrated_time: None,
            inclusion_promise: None,
            inclusion_proof: Some(InclusionProof {
                log_index: index,
                tree_size: size,
                root_hash: root,
                hashes: inclusion_path(&nodes, index, size).map_err(proof_problem)?,
                checkpoint: published.note.clone(),
            }),
            canonicalized_body: leaf.to_vec(),
        })
    }

    /// Adds what verifiers need to a trusted root.
    pub fn describe(&self, root: &mut TrustedRoot) {
        // Entries bear no time of their own, so the key counts for all of it.
        let always = Validity::since(Timestamp::UNIX_EPOCH);
        root.logs
            .push(LogInstance::signatures(&self.note_key, always));
    }

    /// Returns the last checkpoint, a signed note.
    pub(crate) fn checkpoint(&self) -> Option<String> {
        let latest = self.latest.load();
        latest.as_ref().map(|published| published.note.clone())
    }

    /// Returns a leaf that a checkpoint covers.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub(crate) async fn kept_leaf(&self, index: u64) -> Result<Option<Bytes>, SigningProblem> {
        if index >= self.signed_size() {
            return Ok(None);
        }
        Ok(self.store.log_leaf(index).await?)
    }

    /// Proves a leaf to be in the tree of a size, that of the last checkpoint if none is
    /// given; none for what no checkpoint covers.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub(crate) fn inclusion(
        &self,
        index: u64,
        size: Option<u64>,
    ) -> Result<Option<Proof>, SigningProblem> {
        let signed = self.signed_size();
        let size = size.unwrap_or(signed);
        if index >= size || size > signed {
            return Ok(None);
        }
        let nodes = Nodes(&*self.store);
        Ok(Some(Proof {
            tree_size: size,
            root: tree_root(&nodes, size).map_err(proof_problem)?,
            hashes: inclusion_path(&nodes, index, size).map_err(proof_problem)?,
        }))
    }

    /// Proves a tree to be the beginning of another, that of the last checkpoint if none
    /// is given; none for what no checkpoint covers.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub(crate) fn consistency(
        &self,
        smaller: u64,
        size: Option<u64>,
    ) -> Result<Option<Proof>, SigningProblem> {
        let signed = self.signed_size();
        let size = size.unwrap_or(signed);
        if smaller == 0 || smaller > size || size > signed {
            return Ok(None);
        }
        let nodes = Nodes(&*self.store);
        Ok(Some(Proof {
            tree_size: size,
            root: tree_root(&nodes, size).map_err(proof_problem)?,
            hashes: consistency_path(&nodes, smaller, size).map_err(proof_problem)?,
        }))
    }

    /// Returns how many leaves the last checkpoint covers.
    fn signed_size(&self) -> u64 {
        let latest = self.latest.load();
        latest
            .as_ref()
            .map_or(0, |published| published.checkpoint.size)
    }

    /// Returns the last checkpoint, if it covers so many leaves.
    fn published(&self, size: u64) -> Option<Arc<Published>> {
        self.latest
            .load_full()
            .filter(|published| published.checkpoint.size >= size)
    }

    /// Returns a checkpoint that covers so many leaves, signing one if there is none yet.
    async fn covering(&self, size: u64) -> Result<Arc<Published>, SigningProblem> {
        if let Some(published) = self.published(size) {
            return Ok(published);
        }
        let _turn = self.turn.lock().await;
        // Who held the turn before may have signed for all who waited.
        match self.published(size) {
            Some(published) => Ok(published),
            None => self.advance().await,
        }
    }

    /// Has the tree as it is signed and recorded; by who holds the turn.
    async fn advance(&self) -> Result<Arc<Published>, SigningProblem> {
        let (size, nodes) = (self.store.log_size(), Nodes(&*self.store));
        let checkpoint = Checkpoint {
            origin: self.note_key.origin().to_owned(),
            size,
            root: tree_root(&nodes, size).map_err(proof_problem)?,
        };
        if let Some(last) = self.latest.load_full() {
            let last = &last.checkpoint;
            let continues = last.size <= size
                && tree_root(&nodes, last.size).map_err(proof_problem)? == last.root;
            if !continues {
                let last = last.size;
                return Err(SigningProblem::internal(Fault::Forked { size, last }));
            }
        }
        let text = checkpoint.text();
        let job = SignJob::message(SignatureScheme::Ed25519, text.as_bytes())
            .with_priority(Priority::Bulk)
            .with_timeout(self.timeout);
        let signature = self.key.sign(job).await?;
        let signed = checkpoint.clone().assemble(&self.note_key, &signature);
        if signed.verify(&self.note_key).is_err() {
            return Err(SigningProblem::internal(Fault::Signature));
        }
        let note = signed.to_string();
        // Recorded before anybody sees it: after a crash it is known again.
        self.store
            .record_checkpoint(LogCheckpoint {
                size,
                root: checkpoint.root,
                note: note.as_str().into(),
                at: self.clock.now(),
            })
            .await?;
        let published = Arc::new(Published { checkpoint, note });
        self.latest.store(Some(Arc::clone(&published)));
        Ok(published)
    }
}

impl std::fmt::Debug for TransparencyLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransparencyLog")
            .field("origin", &self.note_key.origin())
            .field("signed", &self.signed_size())
            .finish_non_exhaustive()
    }
}

/// Tells of a node that cannot be read.
fn node_problem(error: NodeError) -> SigningProblem {
    match error {
        NodeError::Store(error) => error.into(),
        absent @ NodeError::Absent { .. } => SigningProblem::internal(absent),
    }
}

/// Tells of a proof that cannot be made.
fn proof_problem(error: ProofError<NodeError>) -> SigningProblem {
    match error {
        ProofError::Node(error) => node_problem(error),
        ProofError::Outside(outside) => SigningProblem::internal(outside),
    }
}
