//! The log over real records: entries prove themselves, checkpoints are shared, and what
//! was signed is never taken back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use attest::tlog::{SignedCheckpoint, verify_consistency, verify_inclusion};
use model::{ManualClock, TrustDomain};
use store::StoreConfig;
use store::signing::{SigningOptions, SigningRecords, SigningStoreMetrics};
use tempfile::TempDir;

use super::open::check_last;
use super::*;
use crate::tests::keystore::{TestKeyStore, Token};

/// A log and what it stands on.
struct Stage {
    /// Everything on disk.
    folder: TempDir,
    /// The token.
    keystore: Arc<TestKeyStore>,
    /// The records.
    store: Arc<dyn SigningStore>,
    /// The log.
    log: Arc<TransparencyLog>,
}

/// Opens the records of a directory.
fn open_store(folder: &Path) -> Arc<dyn SigningStore> {
    let config = StoreConfig {
        segment_mib: 4,
        min_free_mib: 0,
        ..StoreConfig::at(folder.join("store"))
    };
    let options = SigningOptions::default();
    Arc::new(SigningRecords::open(&config, options, SigningStoreMetrics::default()).unwrap())
}

/// Opens the log over records, under a name.
async fn open_log(
    keystore: &Arc<TestKeyStore>,
    store: &Arc<dyn SigningStore>,
    origin: &str,
    key: &str,
) -> Result<Arc<TransparencyLog>, LogError> {
    let config = LogConfig {
        enabled: true,
        origin: Some(origin.to_owned()),
        key: hsm_keystore::KeyId::new(key).unwrap(),
    };
    TransparencyLog::open(LogParts {
        config: config.check().unwrap().unwrap(),
        keystore: Arc::clone(keystore) as _,
        store: Arc::clone(store),
        domain: TrustDomain::new("test.internal").unwrap(),
        clock: Arc::new(ManualClock::at(at())),
        signing_timeout: Duration::from_secs(10),
    })
    .await
}

/// The time of every test.
fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

impl Stage {
    /// Sets it.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keystore = TestKeyStore::open(&folder.path().join("keys"));
        let store = open_store(folder.path());
        let log = open_log(&keystore, &store, "log.test.internal", "signing-log")
            .await
            .unwrap();
        Self {
            folder,
            keystore,
            store,
            log,
        }
    }

    /// Has the store take leaves, as a signature's stage does.
    async fn append(&self, count: u64) -> Vec<(u64, Bytes)> {
        let from = self.store.log_size();
        let leaf = |index: u64| Bytes::from(format!("{{\"leaf\":{index}}}"));
        let leaves: Vec<Bytes> = (from..from + count).map(leaf).collect();
        let range = self
            .store
            .append_leaves(leaves.clone(), at())
            .await
            .unwrap();
        range.zip(leaves).collect()
    }

    /// Ends everything and begins again on the same disk.
    async fn restart(self) -> Result<Self, LogError> {
        let Self {
            folder,
            keystore,
            store,
            log,
        } = self;
        drop((store, log));
        let store = open_store(folder.path());
        let log = open_log(&keystore, &store, "log.test.internal", "signing-log").await?;
        Ok(Self {
            folder,
            keystore,
            store,
            log,
        })
    }
}

/// Verifies an entry as its reader does, and returns the tree's size.
fn verified(log: &TransparencyLog, entry: &LogEntry) -> u64 {
    let proof = entry.inclusion_proof.as_ref().unwrap();
    let leaf = leaf_hash(&entry.canonicalized_body);
    let (index, size) = (proof.log_index, proof.tree_size);
    verify_inclusion(&leaf, index, size, &proof.hashes, &proof.root_hash).unwrap();
    let signed = SignedCheckpoint::parse(&proof.checkpoint).unwrap();
    let checkpoint = signed.verify(&log.note_key).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (size, proof.root_hash));
    size
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_prove_themselves_and_share_the_tokens_signatures() {
    let stage = Stage::new().await;
    let before = stage.keystore.signatures();
    let leaves = stage.append(50).await;
    let entries = leaves.into_iter().map(|(index, leaf)| {
        let log = Arc::clone(&stage.log);
        tokio::spawn(async move { log.entry(index, leaf).await })
    });
    for entry in futures_util::future::join_all(entries).await {
        let entry = entry.unwrap().unwrap();
        assert_eq!(verified(&stage.log, &entry), 50);
    }
    assert_eq!(stage.keystore.signatures() - before, 1, "one for all fifty");
}

#[tokio::test]
async fn the_log_goes_on_after_a_restart_and_continues_what_was_signed() {
    let stage = Stage::new().await;
    for (index, leaf) in stage.append(3).await {
        verified(&stage.log, &stage.log.entry(index, leaf).await.unwrap());
    }
    let before = SignedCheckpoint::parse(&stage.log.checkpoint().unwrap()).unwrap();
    // Leaves that were taken, and a crash before any checkpoint covers them.
    let cut_off = stage.append(4).await;
    let stage = stage.restart().await.unwrap();
    let after = SignedCheckpoint::parse(&stage.log.checkpoint().unwrap()).unwrap();
    let (before, after) = (before.checkpoint(), after.checkpoint());
    assert_eq!((before.size, after.size), (3, 7));
    let proof = stage.log.consistency(3, None).unwrap().unwrap();
    verify_consistency(3, &before.root, 7, &after.root, &proof.hashes).unwrap();
    let signatures = stage.keystore.signatures();
    for (index, leaf) in cut_off {
        let entry = stage.log.entry(index, leaf).await.unwrap();
        assert_eq!(verified(&stage.log, &entry), 7);
    }
    assert_eq!(
        stage.keystore.signatures(),
        signatures,
        "signed at the start"
    );
}

#[tokio::test]
async fn without_the_token_nothing_is_entered_and_afterwards_everything() {
    let stage = Stage::new().await;
    let (index, leaf) = stage.append(1).await.remove(0);
    stage.keystore.set(Token::Away);
    let problem = stage.log.entry(index, leaf.clone()).await.unwrap_err();
    assert!(problem.is_transient(), "{problem:?}");
    assert_eq!(stage.log.kept_leaf(index).await.unwrap(), None);
    stage.keystore.set(Token::Works);
    let entry = stage.log.entry(index, leaf.clone()).await.unwrap();
    assert_eq!(verified(&stage.log, &entry), 1);
    assert_eq!(stage.log.kept_leaf(index).await.unwrap(), Some(leaf));
}

#[tokio::test]
async fn a_leaf_that_is_not_the_one_kept_is_no_entry() {
    let stage = Stage::new().await;
    let (index, _) = stage.append(1).await.remove(0);
    let other = Bytes::from_static(b"another leaf");
    assert!(matches!(
        stage.log.entry(index, other).await,
        Err(SigningProblem::Internal(_))
    ));
}

#[tokio::test]
async fn proofs_are_given_of_what_is_signed_alone() {
    let stage = Stage::new().await;
    assert_eq!(stage.log.inclusion(0, None).unwrap(), None);
    let leaves = stage.append(5).await;
    assert_eq!(
        stage.log.inclusion(0, Some(5)).unwrap(),
        None,
        "not signed yet"
    );
    let (index, leaf) = leaves[4].clone();
    stage.log.entry(index, leaf).await.unwrap();
    for size in 1..=5 {
        for index in 0..size {
            let proof = stage.log.inclusion(index, Some(size)).unwrap().unwrap();
            let leaf = leaf_hash(&leaves[index as usize].1);
            verify_inclusion(&leaf, index, size, &proof.hashes, &proof.root).unwrap();
        }
        assert!(stage.log.consistency(size, Some(5)).unwrap().is_some());
    }
    assert_eq!(stage.log.inclusion(5, Some(6)).unwrap(), None);
    assert_eq!(stage.log.consistency(0, None).unwrap(), None);
    assert_eq!(stage.log.consistency(6, Some(6)).unwrap(), None);
}

#[tokio::test]
async fn neither_name_nor_key_of_a_log_may_change() {
    let stage = Stage::new().await;
    for (origin, key) in [
        ("other.test.internal", "signing-log"),
        ("log.test.internal", "another-key"),
    ] {
        let refused = open_log(&stage.keystore, &stage.store, origin, key).await;
        assert!(matches!(refused, Err(LogError::OtherLog)), "{origin} {key}");
    }
}

#[tokio::test]
async fn a_log_that_shrank_or_forked_is_refused() {
    let stage = Stage::new().await;
    let (index, leaf) = stage.append(3).await.remove(2);
    stage.log.entry(index, leaf).await.unwrap();
    let note = stage.log.checkpoint().unwrap();
    let key = &stage.log.note_key;
    let root_of = |size| tree_root(&Nodes(&*stage.store), size).map_err(proof_problem);
    assert!(check_last(&note, key, 3, root_of).is_ok());
    assert!(matches!(
        check_last(&note, key, 2, root_of),
        Err(LogError::Shrunk { size: 2, last: 3 })
    ));
    assert!(matches!(
        check_last(&note, key, 3, |_| Ok([0; 32])),
        Err(LogError::Forked { last: 3 })
    ));
    assert!(matches!(
        check_last("no note", key, 3, root_of),
        Err(LogError::Note(_))
    ));
}

#[tokio::test]
async fn a_key_of_another_kind_signs_no_checkpoints() {
    let stage = Stage::new().await;
    let id = hsm_keystore::KeyId::new("p256").unwrap();
    let algorithm = hsm_keystore::KeyAlgorithm::EcP256;
    hsm_keystore::KeyStore::generate_private_key(&*stage.keystore, &id, algorithm).unwrap();
    let refused = open_log(&stage.keystore, &stage.store, "log.test.internal", "p256").await;
    assert!(matches!(refused, Err(LogError::Algorithm { actual }) if actual == algorithm));
}
