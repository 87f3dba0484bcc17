//! Taking the log up where it was left.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use attest::tlog::{CheckpointError, Hash, NoteKey, SignedCheckpoint, UnsuitableKey, tree_root};
use hsm_keystore::{KeyAlgorithm, KeyStore, PrivateKey};
use model::{Clock, TrustDomain};
use pki::public_key::{InvalidPublicKey, PublicKey};
use store::signing::{SigningStore, SigningStoreError};
use tokio::sync::Mutex;

use super::{CheckedLog, Nodes, Published, TransparencyLog, proof_problem};
use crate::problem::SigningProblem;

/// What the log is made of.
#[derive(Debug, Clone)]
pub struct LogParts {
    /// Its name and key.
    pub config: CheckedLog,
    /// Where the key is, or is made.
    pub keystore: Arc<dyn KeyStore>,
    /// Where leaves and nodes are.
    pub store: Arc<dyn SigningStore>,
    /// The domain that gives the log its name where none is written.
    pub domain: TrustDomain,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long the token may take for one checkpoint.
    pub signing_timeout: Duration,
}

/// Why the log cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The keystore.
    #[error("the keystore did not do what the log's key needs")]
    KeyStore(#[from] hsm_keystore::Error),
    /// A key of another algorithm is there.
    #[error("the log's key is {actual}, and checkpoints are signed by ed25519; name another key")]
    Algorithm {
        /// What it is.
        actual: KeyAlgorithm,
    },
    /// A key that cannot be read.
    #[error("the log's public key cannot be used")]
    PublicKey(#[from] InvalidPublicKey),
    /// A name that checkpoints cannot hold.
    #[error("the log's name or key cannot be used")]
    Unsuitable(#[from] UnsuitableKey),
    /// The store.
    #[error("the store did not tell of the log")]
    Store(#[from] SigningStoreError),
    /// A checkpoint that is none.
    #[error("the last checkpoint of the log, as recorded, cannot be used")]
    Note(#[source] CheckpointError),
    /// The last checkpoint is another log's.
    #[error(
        "the last checkpoint of the log is not signed by this key under this name; \
         restore `log.key` and `log.origin`: a log never changes them"
    )]
    OtherLog,
    /// Leaves that were signed are not there.
    #[error(
        "the log has {size} leaves, and its last checkpoint covers {last}; \
         restore the store from the backup: a log never shrinks"
    )]
    Shrunk {
        /// Leaves in the store.
        size: u64,
        /// Leaves in the checkpoint.
        last: u64,
    },
    /// Other leaves than were signed are there.
    #[error(
        "the first {last} leaves of the log are not those of its last checkpoint; \
         restore the store from the backup: a log never forks"
    )]
    Forked {
        /// Leaves in the checkpoint.
        last: u64,
    },
    /// The first checkpoint could not be signed, or the tree not be read.
    #[error("the log's tree could not be read and signed")]
    Checkpoint(#[from] SigningProblem),
    /// A task ended by a fault.
    #[error("a task ended by a fault")]
    Task(#[from] tokio::task::JoinError),
}

impl LogError {
    /// Tells whether the same may succeed later: the token or the disk is away.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::KeyStore(error) => error.retry_after().is_some(),
            Self::Store(error) => error.is_transient(),
            Self::Checkpoint(problem) => problem.is_transient(),
            Self::Algorithm { .. }
            | Self::PublicKey(_)
            | Self::Unsuitable(_)
            | Self::Note(_)
            | Self::OtherLog
            | Self::Shrunk { .. }
            | Self::Forked { .. }
            | Self::Task(_) => false,
        }
    }
}

impl TransparencyLog {
    /// Takes the log up: finds or makes its key, holds the store to the last checkpoint,
    /// and signs one for the leaves that have none.
    ///
    /// # Errors
    ///
    /// Each as it says; [`LogError::is_transient`] tells whether to try again.
    pub async fn open(parts: LogParts) -> Result<Arc<Self>, LogError> {
        let LogParts {
            config,
            keystore,
            store,
            domain,
            clock,
            signing_timeout,
        } = parts;
        let key = find_key(keystore, config.key).await?;
        let public_key = PublicKey::from_spki_der(key.public_key_der())?;
        let origin = config.origin.unwrap_or_else(|| format!("log.{domain}"));
        let note_key = NoteKey::new(&origin, public_key)?;
        let last = match store.latest_checkpoint().await? {
            Some(last) => {
                let root_of = |size| tree_root(&Nodes(&*store), size).map_err(proof_problem);
                Some(check_last(
                    &last.note,
                    &note_key,
                    store.log_size(),
                    root_of,
                )?)
            }
            None => None,
        };
        let log = Arc::new(Self {
            key,
            note_key,
            store,
            clock,
            timeout: signing_timeout,
            turn: Mutex::new(()),
            latest: ArcSwapOption::from_pointee(last),
        });
        // Leaves of signatures that a crash cut off; and the first checkpoint of all.
        let size = log.store.log_size();
        if log.latest.load().is_none() {
            let _turn = log.turn.lock().await;
            log.advance().await?;
        } else {
            log.covering(size).await?;
        }
        Ok(log)
    }
}

/// Finds the log's key, or makes it.
async fn find_key(
    keystore: Arc<dyn KeyStore>,
    id: hsm_keystore::KeyId,
) -> Result<Arc<dyn PrivateKey>, LogError> {
    let found = tokio::task::spawn_blocking(move || match keystore.get_private_key(&id) {
        Err(hsm_keystore::Error::NoKey { .. }) => {
            tracing::info!(key.id = %id, "generating the key {id} of the transparency log");
            keystore.generate_private_key(&id, KeyAlgorithm::Ed25519)
        }
        outcome => outcome,
    });
    let key = found.await??;
    match key.algorithm() {
        KeyAlgorithm::Ed25519 => Ok(key),
        actual => Err(LogError::Algorithm { actual }),
    }
}

/// Holds a log of `size` leaves, whose roots are told, to the last checkpoint.
pub(super) fn check_last(
    note: &str,
    key: &NoteKey,
    size: u64,
    root_of: impl FnOnce(u64) -> Result<Hash, SigningProblem>,
) -> Result<Published, LogError> {
    let signed = SignedCheckpoint::parse(note).map_err(LogError::Note)?;
    let checkpoint = match signed.verify(key) {
        Ok(checkpoint) => checkpoint.clone(),
        Err(CheckpointError::Unsigned | CheckpointError::BadSignature) => {
            return Err(LogError::OtherLog);
        }
        Err(error) => return Err(LogError::Note(error)),
    };
    let last = checkpoint.size;
    if last > size {
        return Err(LogError::Shrunk { size, last });
    }
    if root_of(last)? != checkpoint.root {
        return Err(LogError::Forked { last });
    }
    Ok(Published {
        checkpoint,
        note: note.to_owned(),
    })
}
