//! Time-stamps asked for by themselves, and the transparency log.

use tempfile::tempdir;

use super::*;
use crate::signing::log::{Edge, peaks, root};
use crate::signing::record::{LogCheckpoint, TimestampSource};
use crate::signing::{SigningStoreError, rebuild};

/// Returns the edge of a log of so many leaves of [`leaf`].
fn edge(size: u32) -> Edge {
    let mut edge = Edge::default();
    for number in 0..size {
        edge.append(&leaf(number));
    }
    edge
}

/// Returns a checkpoint of a log of so many leaves of [`leaf`].
fn checkpoint(size: u32) -> LogCheckpoint {
    LogCheckpoint {
        size: size.into(),
        root: edge(size).root(),
        note: format!("log.example\n{size}\n").into(),
        at: at(size.into()),
    }
}

/// Checks that the store has exactly these leaves and nodes.
fn check(store: &SigningRecords, size: u32) {
    assert_eq!(store.log_size(), u64::from(size));
    let leaves = wait(store.log_leaves(0..u64::MAX)).unwrap();
    assert_eq!(leaves, (0..size).map(leaf).collect::<Vec<_>>());
    let nodes = peaks(size.into())
        .into_iter()
        .map(|(level, index)| store.log_node(level, index).unwrap().unwrap());
    let nodes: Vec<_> = nodes.collect();
    assert_eq!(nodes, edge(size).peaks);
    assert_eq!(root(nodes.into_iter()), edge(size).root());
    assert_eq!(wait(store.log_leaf(size.into())).unwrap(), None);
    assert_eq!(store.log_node(0, size.into()).unwrap(), None);
}

#[test]
fn the_log_grows_without_gaps_over_restarts_and_rebuilds() {
    let directory = tempdir().unwrap();
    let mut store = open(directory.path());
    let mut size = 0;
    for (round, count) in [1, 2, 5, 0, 9, 1].into_iter().enumerate() {
        let leaves: Vec<_> = (size..size + count).map(leaf).collect();
        let range = wait(store.append_leaves(leaves, at(1))).unwrap();
        assert_eq!(range, u64::from(size)..u64::from(size + count));
        size += count;
        check(&store, size);
        store.close();
        if round % 2 == 0 {
            rebuild(&config(directory.path()), SigningOptions::default()).unwrap();
        }
        store = open(directory.path());
        check(&store, size);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_added_at_once_get_an_index_each() {
    let directory = tempdir().unwrap();
    let store = std::sync::Arc::new(open(directory.path()));
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move {
                let range = store.append_leaves(vec![leaf(number)], at(1)).await;
                (number, range.unwrap())
            })
        })
        .collect();
    let mut edge = Edge::default();
    let mut added = std::collections::BTreeMap::new();
    for task in tasks {
        let (number, range) = task.await.unwrap();
        assert_eq!(range.end, range.start + 1);
        assert_eq!(added.insert(range.start, number), None);
    }
    for (index, (own, number)) in (0..).zip(added) {
        assert_eq!(own, index, "no gap");
        assert_eq!(store.log_leaf(own).await.unwrap(), Some(leaf(number)));
        edge.append(&leaf(number));
    }
    let mut own = checkpoint(0);
    own.size = edge.size;
    own.root = edge.root();
    store.record_checkpoint(own).await.unwrap();
}

#[test]
fn a_checkpoint_never_goes_back_and_says_what_the_log_says() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let empty = wait(store.record_checkpoint(checkpoint(0)));
    empty.unwrap();
    wait(store.append_leaves((0..11).map(leaf).collect(), at(1))).unwrap();
    let record = |own: LogCheckpoint| wait(store.record_checkpoint(own));
    let ahead = record(checkpoint(12)).unwrap_err();
    assert!(matches!(
        ahead,
        SigningStoreError::CheckpointAhead { end: 11, .. }
    ));
    // Of an earlier state of the log, whose root is made of its nodes.
    record(checkpoint(7)).unwrap();
    record(checkpoint(7)).unwrap();
    let behind = record(checkpoint(6)).unwrap_err();
    assert!(matches!(
        behind,
        SigningStoreError::CheckpointBehind { last: 7, .. }
    ));
    for size in [8, 11] {
        let mut other = checkpoint(size);
        other.root[3] ^= 1;
        let differs = record(other).unwrap_err();
        assert!(matches!(
            differs,
            SigningStoreError::CheckpointDiffers { .. }
        ));
    }
    record(checkpoint(11)).unwrap();
    store.close();
    let store = open(directory.path());
    let last = wait(store.latest_checkpoint()).unwrap();
    assert_eq!(last, Some(checkpoint(11)));
    let behind = wait(store.record_checkpoint(checkpoint(10)));
    assert!(matches!(
        behind,
        Err(SigningStoreError::CheckpointBehind { .. })
    ));
}

#[test]
fn a_time_stamp_is_on_disk_before_it_is_signed_and_no_serial_number_serves_twice() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(store.begin_timestamp(new_timestamp(1))).unwrap();
    let taken = wait(store.begin_timestamp(new_timestamp(1)));
    assert!(matches!(taken, Err(SigningStoreError::SerialTaken { .. })));
    store.close();
    let store = open(directory.path());
    let taken = wait(store.begin_timestamp(new_timestamp(1)));
    assert!(matches!(taken, Err(SigningStoreError::SerialTaken { .. })));
    let record = wait(store.timestamp(&serial(1))).unwrap().unwrap();
    let source = TimestampSource::Request {
        imprint: artifact(1),
        gen_time: at(1),
        requester: None,
        request_id: None,
    };
    assert_eq!(record.source, source);
    assert_eq!(wait(store.timestamp(&serial(2))).unwrap(), None);
    assert_eq!(store.status().counts.timestamps, 1);
}
