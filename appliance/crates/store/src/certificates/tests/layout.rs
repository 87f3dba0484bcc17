//! Indexes of another release.

use tempfile::{TempDir, tempdir};

use super::*;
use crate::certificates::{CertificateStore, IssuedFrom, RevocationStore};
use crate::error::{Error, IndexFault};

/// Opens a closed store's index with sled itself.
fn sled_of(directory: &TempDir) -> sled::Db {
    let path = directory.path().join("index");
    loop {
        // sled lets go of a file a moment after it was closed.
        match sled::Config::new().path(&path).flush_every_ms(None).open() {
            Ok(db) => return db,
            Err(error) => assert!(error.to_string().contains("lock"), "{error}"),
        }
    }
}

/// Turns the index into one that layout 1 wrote: without the keys that came
/// since, values behind a 1, expiries without any.
fn make_first_layout(directory: &TempDir, with_checkpoint: bool) {
    let db = sled_of(directory);
    for item in db.iter() {
        let (key, mut value) = item.unwrap();
        match key[0] {
            b'l' | b'q' | b'v' | b'x' | b'b' | b'c' => {
                db.remove(key).unwrap();
            }
            b'e' => {
                db.insert(key, Vec::new()).unwrap();
            }
            b'm' | b'p' if !with_checkpoint => {
                db.remove(key).unwrap();
            }
            b'r' | b'i' | b'p' => {
                value[0] = 1;
                db.insert(key, value).unwrap();
            }
            _ => {}
        }
    }
    db.flush().unwrap();
}

/// Makes a store with some of everything that layout 1 had.
fn filled() -> TempDir {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..20 {
        let intent = Intent {
            idempotency: idempotency(number, 1),
            ..intent(number)
        };
        wait(store.record_intent(intent)).unwrap();
        if number % 4 != 0 {
            wait(store.record_issued(&serial(number), certificate(number), at(1))).unwrap();
        }
    }
    directory
}

#[test]
fn an_index_of_the_first_layout_is_made_anew_by_itself() {
    for with_checkpoint in [true, false] {
        let directory = filled();
        make_first_layout(&directory, with_checkpoint);
        let store = open(directory.path());
        assert_eq!(store.recovered().frames_replayed, 35);
        assert!(directory.path().join("index.aside-1").is_dir());
        assert_eq!(store.status().pending, 5);
        let issued = wait(store.issued(&issuer(), IssuedFrom::expiring(at(0)), 100)).unwrap();
        assert_eq!(issued.len(), 15);
        let sharing = wait(store.serials_of_key(&[4; 32], None, 10)).unwrap();
        assert_eq!(sharing, [serial(4)]);
        wait(store.revoke(revocation(4, RevocationReason::Superseded))).unwrap();
        store.close();
        // Once is enough.
        let store = open(directory.path());
        assert_eq!(store.recovered().frames_replayed, 0);
        assert!(!directory.path().join("index.aside-2").exists());
        let record = wait(store.certificate(&serial(4))).unwrap().unwrap();
        assert!(record.is_revoked());
    }
}

#[test]
fn a_start_interrupted_while_the_index_is_made_anew_goes_on_with_it() {
    let directory = filled();
    make_first_layout(&directory, true);
    // Stopped right after the old index was moved aside.
    let index = directory.path().join("index");
    std::fs::rename(index, directory.path().join("index.aside-1")).unwrap();
    let store = open(directory.path());
    assert_eq!(store.recovered().frames_replayed, 35);
    assert_eq!(store.status().issued, 15);
}

#[test]
fn an_index_of_a_later_layout_is_refused() {
    let directory = filled();
    let db = sled_of(&directory);
    db.insert(b"l", &[9]).unwrap();
    db.flush().unwrap();
    drop(db);
    let refused = Certificates::open(&config(directory.path()), StoreMetrics::default());
    let Err(Error::Index { fault, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        matches!(fault, IndexFault::Layout { found: 9, .. }),
        "{fault:?}"
    );
}
