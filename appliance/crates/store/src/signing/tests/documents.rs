//! Documents, short and long.

use std::fs;
use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::error::Error;
use crate::signing::document::{INLINE_MAX, StoredContent};
use crate::signing::{SigningStoreError, rebuild};

/// Lists the files of long documents, those being received included.
fn files(directory: &TempDir) -> Vec<PathBuf> {
    let blobs = directory.path().join("blobs");
    [blobs.clone(), blobs.join("incoming")]
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect()
}

/// Returns octets that compress badly, of a length.
fn long(len: usize) -> Bytes {
    let octets = (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8);
    octets.collect::<Vec<_>>().into()
}

/// Begins a signature with another SBOM.
async fn begin_with(store: &SigningRecords, number: u32, sbom: Document) {
    let mut new = new_signature(number);
    new.documents.insert(DocumentKind::Sbom, sbom);
    let begun = store.begin(new).await.unwrap();
    assert!(matches!(begun, Begun::New), "{begun:?}");
}

/// Returns a document that is no text.
fn binary(octets: Bytes) -> Document {
    Document::new(MediaType::new("application/octet-stream").unwrap(), octets)
}

#[tokio::test]
async fn documents_of_every_length_come_back_byte_for_byte() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let lengths = [0, 1, 3000, INLINE_MAX, INLINE_MAX + 1, 3_000_000];
    for (number, len) in (1..).zip(lengths) {
        begin_with(&store, number, binary(long(len))).await;
    }
    assert_eq!(files(&directory).len(), 2, "only what is too long");
    store.close();
    rebuild(&config(directory.path()), SigningOptions::default()).unwrap();
    let store = open(directory.path());
    assert_eq!(files(&directory).len(), 2, "and they stay");
    for (number, len) in (1..).zip(lengths) {
        let id = signature_id(number);
        let stored = store.document(&id, DocumentKind::Sbom).await.unwrap();
        let stored = stored.unwrap();
        assert_eq!(stored.info.sha256, *binary(long(len)).sha256());
        let streams = matches!(stored.content, StoredContent::Stream(_));
        assert_eq!(streams, len > INLINE_MAX);
        assert!(
            read(&store, &id, DocumentKind::Sbom).await == long(len),
            "{len}"
        );
        let none = store.document(&id, DocumentKind::Vsa).await.unwrap();
        assert!(none.is_none());
    }
    let none = store.document(&signature_id(99), DocumentKind::Sbom).await;
    assert!(none.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_is_received_in_bounded_memory_and_bounded_length() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let media_type = || MediaType::new("application/octet-stream").unwrap();
    let content = long(2_500_000);
    let mut writer = store.document_writer(media_type(), 2_500_000);
    for part in content.chunks(60_000) {
        writer.write(part).await.unwrap();
    }
    let document = writer.finish().await.unwrap();
    assert_eq!(*document.sha256(), *binary(content.clone()).sha256());
    assert_eq!(document.octets(), None, "it is in a file");
    begin_with(&store, 1, document).await;
    assert!(read(&store, &signature_id(1), DocumentKind::Sbom).await == content);

    let mut short = store.document_writer(media_type(), INLINE_MAX as u64);
    short.write(&content[..INLINE_MAX]).await.unwrap();
    let document = short.finish().await.unwrap();
    assert_eq!(document.octets().unwrap().len(), INLINE_MAX);

    let mut over = store.document_writer(media_type(), 1_000_000);
    over.write(&content[..999_999]).await.unwrap();
    let refused = over.write(b"xx").await;
    assert!(matches!(
        refused,
        Err(SigningStoreError::TooLong {
            max: 1_000_000,
            len: 1_000_001,
            ..
        })
    ));
    drop(over);
    assert_eq!(files(&directory).len(), 1, "nothing is left of it");
}

#[tokio::test]
async fn a_document_that_is_not_recorded_leaves_nothing_behind() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let content = long(INLINE_MAX + 1);
    begin(&store, 1).await;
    let mut conflict = new_signature(2);
    conflict.idempotency = Some((new_signature(1).idempotency.unwrap().0, [9; 32]));
    conflict
        .documents
        .insert(DocumentKind::Sbom, binary(content.clone()));
    let begun = store.begin(conflict).await.unwrap();
    assert!(matches!(begun, Begun::Conflict(_)));
    assert!(files(&directory).is_empty());
    assert_eq!(store.status().blob_bytes, 0);
}

#[tokio::test]
async fn the_same_document_is_kept_once() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let (short, large) = (long(100_000), long(INLINE_MAX + 1));
    begin_with(&store, 1, binary(short.clone())).await;
    begin_with(&store, 2, binary(large.clone())).await;
    let before = store.status();
    for number in 3..13 {
        begin_with(&store, number, binary(short.clone())).await;
        begin_with(&store, 100 + number, binary(large.clone())).await;
    }
    let after = store.status();
    // Provenance differs each time: 70,000 octets; the SBOM costs its name only.
    let grown = (after.journal_bytes - before.journal_bytes) / 20;
    assert!(grown < 75_000, "{grown}");
    assert_eq!(after.blob_bytes, INLINE_MAX as u64 + 1);
    assert_eq!(files(&directory).len(), 1);
    assert!(read(&store, &signature_id(12), DocumentKind::Sbom).await == short);
    assert!(read(&store, &signature_id(112), DocumentKind::Sbom).await == large);
}

#[tokio::test]
async fn lines_are_read_from_the_documents_they_are_made_of() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    begin(&store, 1).await;
    let (one, other) = (long(INLINE_MAX + 5), Bytes::from_static(b"{}"));
    let media_type = MediaType::new("application/jsonl").unwrap();
    let lines = [
        (DocumentKind::SbomAttestation, &one[..]),
        (DocumentKind::Vsa, &other[..]),
    ];
    let mut own = signed(1);
    own.documents = Documents::from([
        (DocumentKind::SbomAttestation, binary(one.clone())),
        (DocumentKind::Vsa, binary(other.clone())),
        (
            DocumentKind::Attestations,
            Document::lines(media_type, &lines),
        ),
    ]);
    store.complete(&signature_id(1), own).await.unwrap();
    let read = read(&store, &signature_id(1), DocumentKind::Attestations).await;
    assert!(read == [&one[..], b"\n", &other, b"\n"].concat());
}

#[tokio::test]
async fn what_was_changed_on_disk_is_not_given_away() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let (short, large) = (long(100_000), long(INLINE_MAX + 1));
    begin_with(&store, 1, binary(short.clone())).await;
    begin_with(&store, 2, binary(large)).await;
    let segment = directory.path().join("journal/00000001.segment");
    let mut journal = fs::read(&segment).unwrap();
    let place = journal.windows(1000).position(|own| *own == short[..1000]);
    journal[place.unwrap() + 50_000] ^= 1;
    fs::write(&segment, journal).unwrap();
    let refused = store.document(&signature_id(1), DocumentKind::Sbom).await;
    assert!(matches!(
        refused,
        Err(SigningStoreError::Store(Error::BrokenChain { .. }))
    ));
    // The record beside it is whole.
    let record = store.signature(&signature_id(1)).await.unwrap();
    assert!(record.is_some());

    let file = files(&directory).remove(0);
    let mut changed = fs::read(&file).unwrap();
    changed[7] ^= 1;
    fs::write(&file, changed).unwrap();
    let stored = store.document(&signature_id(2), DocumentKind::Sbom).await;
    let read = stored.unwrap().unwrap().content.read(u64::MAX).await;
    assert!(matches!(
        read,
        Err(SigningStoreError::Store(Error::DamagedDocument { .. }))
    ));
    store.close();

    // A start reads what the index does not know yet, and finds it.
    fs::remove_dir_all(directory.path().join("index")).unwrap();
    let refused = SigningRecords::open(
        &config(directory.path()),
        SigningOptions::default(),
        SigningStoreMetrics::default(),
    );
    assert!(matches!(refused, Err(Error::BrokenChain { .. })));
}
