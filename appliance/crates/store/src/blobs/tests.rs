//! Files of documents against real directories.

use std::fs;

use aws_lc_rs::digest;
use tempfile::{TempDir, tempdir};

use super::*;

/// Opens the blobs of a directory of which so many are recorded.
fn open(directory: &TempDir, recorded: &[(Sha256, u64)]) -> (Arc<Blobs>, Swept) {
    let recorded = recorded.iter().copied().collect();
    Blobs::open(directory.path(), 0, 1 << 20, recorded).unwrap()
}

/// Receives a document.
fn receive(blobs: &Arc<Blobs>, content: &[u8]) -> Result<Blob, Error> {
    let mut incoming = blobs.receive(u64::MAX)?;
    for part in content.chunks(1000) {
        incoming.write(part)?;
    }
    incoming.finish()
}

/// Lists every file there is.
fn all_files(directory: &TempDir) -> Vec<PathBuf> {
    let blobs = directory.path().join("blobs");
    let mut found = files(&blobs).unwrap();
    found.extend(files(&blobs.join("incoming")).unwrap());
    found
}

/// Reads a document.
fn read(blobs: &Blobs, sha256: &Sha256, len: u64) -> Result<Vec<u8>, Error> {
    let mut reader = blobs.read(sha256, len)?;
    let mut read = Vec::new();
    while let Some(part) = reader.next()? {
        read.extend_from_slice(&part);
    }
    Ok(read)
}

#[test]
fn a_document_is_named_by_its_hash_and_read_back() {
    let directory = tempdir().unwrap();
    let (blobs, _) = open(&directory, &[]);
    let content = vec![7; 700_000];
    let blob = receive(&blobs, &content).unwrap();
    let expected = digest::digest(&digest::SHA256, &content);
    assert_eq!(blob.sha256(), expected.as_ref());
    assert_eq!(read(&blobs, blob.sha256(), blob.len()).unwrap(), content);
    assert_eq!(blobs.bytes(), 700_000);
}

#[test]
fn what_nobody_holds_or_records_is_gone() {
    let directory = tempdir().unwrap();
    let (blobs, _) = open(&directory, &[]);
    let mut unfinished = blobs.receive(u64::MAX).unwrap();
    unfinished.write(&[1; 5000]).unwrap();
    assert_eq!(all_files(&directory).len(), 1);
    drop(unfinished);
    let held = receive(&blobs, &[2; 5000]).unwrap();
    let again = receive(&blobs, &[2; 5000]).unwrap();
    assert_eq!(all_files(&directory).len(), 1, "kept once");
    assert_eq!(blobs.bytes(), 5000);
    drop(held);
    assert_eq!(all_files(&directory).len(), 1, "still held");
    drop(again);
    assert!(all_files(&directory).is_empty());
    assert_eq!(blobs.bytes(), 0);
    let recorded = receive(&blobs, &[3; 5000]).unwrap();
    recorded.record();
    drop(recorded);
    let again = receive(&blobs, &[3; 5000]).unwrap();
    drop(again);
    assert_eq!(all_files(&directory).len(), 1, "recorded");
    assert_eq!(blobs.bytes(), 5000);
}

#[test]
fn an_opening_removes_what_no_record_names_and_misses_what_one_does() {
    let directory = tempdir().unwrap();
    let (blobs, _) = open(&directory, &[]);
    let one = receive(&blobs, &[1; 5000]).unwrap();
    let other = receive(&blobs, &[2; 5000]).unwrap();
    let mut unfinished = blobs.receive(u64::MAX).unwrap();
    unfinished.write(&[1; 5000]).unwrap();
    // As a crash leaves them.
    let (one_name, other_name) = (*one.sha256(), *other.sha256());
    std::mem::forget((one, other, unfinished));
    let missing = [9; 32];
    let (blobs, swept) = open(&directory, &[(one_name, 5000), (missing, 10)]);
    let expected = Swept {
        orphans: 2,
        missing: 1,
    };
    assert_eq!(swept, expected);
    assert_eq!(read(&blobs, &one_name, 5000).unwrap(), [1; 5000]);
    assert!(matches!(
        blobs.read(&other_name, 5000),
        Err(Error::Io { .. })
    ));
    assert_eq!(blobs.bytes(), 5000);
    // Sent again, what was missing is mended.
    let content = vec![4; 5000];
    let (again, _) = open(
        &directory,
        &[(one_name, 5000), {
            let mut name = [0; 32];
            name.copy_from_slice(digest::digest(&digest::SHA256, &content).as_ref());
            (name, 5000)
        }],
    );
    let mended = receive(&again, &content).unwrap();
    assert_eq!(read(&again, mended.sha256(), 5000).unwrap(), content);
}

#[test]
fn a_damaged_document_is_not_given_away_whole() {
    let directory = tempdir().unwrap();
    let (blobs, _) = open(&directory, &[]);
    let content = vec![7; 600_000];
    let blob = receive(&blobs, &content).unwrap();
    let path = blobs.path(blob.sha256());
    let mut changed = content.clone();
    changed[10] ^= 1;
    for damaged in [&changed[..], &content[..599_999]] {
        fs::write(&path, damaged).unwrap();
        let read = read(&blobs, blob.sha256(), blob.len());
        assert!(
            matches!(read, Err(Error::DamagedDocument { .. })),
            "{read:?}"
        );
    }
}

#[test]
fn bounds_refuse_cleanly_and_leave_nothing() {
    let directory = tempdir().unwrap();
    let (blobs, _) = open(&directory, &[]);
    let mut short = blobs.receive(1000).unwrap();
    short.write(&[1; 1000]).unwrap();
    let refused = short.write(&[1]);
    assert!(matches!(refused, Err(Error::TooLarge { max: 1000, .. })));
    drop(short);
    // More than all may have together.
    let refused = receive(&blobs, &vec![1; (1 << 20) + 1]);
    assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    assert!(all_files(&directory).is_empty());
    assert_eq!(blobs.bytes(), 0);
    receive(&blobs, &vec![1; 1 << 20]).unwrap();
    // Less free than is to be kept.
    let (blobs, _) = Blobs::open(directory.path(), u64::MAX / 2, u64::MAX, HashMap::new()).unwrap();
    let refused = receive(&blobs, &[1; 10]);
    assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    assert!(all_files(&directory).is_empty());
}
