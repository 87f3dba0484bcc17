//! Torn ends, broken middles, lost and foreign indexes.

use std::fs;
use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::certificates::{CertificateStore, RevocationStore, rebuild};
use crate::error::{Error, IndexFault};
use crate::journal::verify;

/// Fills a store with intents, one commit each, and closes it.
fn filled(count: u32) -> TempDir {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..count {
        wait(store.record_intent(intent(number))).unwrap();
    }
    directory
}

/// Returns a segment's path.
fn segment(directory: &TempDir, number: u32) -> PathBuf {
    directory
        .path()
        .join(format!("journal/{number:08}.segment"))
}

/// Removes the index, as if it had never been flushed.
fn lose_index(directory: &TempDir) {
    fs::remove_dir_all(directory.path().join("index")).unwrap();
}

/// Finds where each frame starts, and where the last one ends.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![64];
    loop {
        let start = starts[starts.len() - 1];
        if bytes[start..start + 4] != *b"CHF1" {
            return starts;
        }
        let len = u32::from_be_bytes(bytes[start + 4..start + 8].try_into().unwrap()) as usize;
        starts.push(start + (40 + len).next_multiple_of(8) + 32);
    }
}

#[test]
fn a_write_torn_at_any_byte_is_cut_off_and_the_rest_kept() {
    let directory = filled(2);
    let path = segment(&directory, 1);
    let whole = fs::read(&path).unwrap();
    let starts = frame_starts(&whole);
    assert_eq!(starts.len(), 3);
    // Every offset of the header and hash, some of the payload.
    let last = starts[1]..starts[2];
    let offsets = last
        .clone()
        .filter(|offset| offset - last.start < 48 || last.end - offset < 48 || (offset % 37 == 0));
    for offset in offsets {
        let mut torn = whole.clone();
        torn[offset..last.end].fill(0);
        if torn == whole {
            continue;
        }
        fs::write(&path, &torn).unwrap();
        lose_index(&directory);
        let found = verify(directory.path()).unwrap();
        assert_eq!(found.frames, 1, "offset {offset}");
        let store = open(directory.path());
        assert_eq!(store.recovered().torn_bytes, found.torn_bytes);
        assert_eq!(
            found.torn_bytes == 0,
            offset == last.start,
            "offset {offset}"
        );
        assert!(wait(store.certificate(&serial(0))).unwrap().is_some());
        assert!(wait(store.certificate(&serial(1))).unwrap().is_none());
        wait(store.record_intent(intent(7))).unwrap();
        store.close();
        let mended = verify(directory.path()).unwrap();
        assert_eq!(
            (mended.frames, mended.torn_bytes),
            (2, 0),
            "offset {offset}"
        );
    }
}

#[test]
fn a_torn_revocation_block_or_crl_never_happened() {
    type Write = fn(&Certificates);
    let acts: [Write; 3] = [
        |store| {
            let reason = RevocationReason::Superseded;
            wait(store.revoke(revocation(0, reason))).map(drop).unwrap();
        },
        |store| wait(store.block_key(block(9))).map(drop).unwrap(),
        |store| wait(store.record_crl(crl(5, None))).unwrap(),
    ];
    for act in acts {
        let directory = filled(1);
        let store = open(directory.path());
        act(&store);
        store.close();
        let path = segment(&directory, 1);
        let whole = fs::read(&path).unwrap();
        let starts = frame_starts(&whole);
        let last = starts[1]..starts[2];
        for offset in last.clone().step_by(5) {
            let mut torn = whole.clone();
            torn[offset..last.end].fill(0);
            if torn == whole {
                continue;
            }
            fs::write(&path, &torn).unwrap();
            // An index that knows more than the journal is refused.
            let ahead = Certificates::open(&config(directory.path()), StoreMetrics::default());
            if offset == last.start {
                assert!(matches!(ahead, Err(Error::Index { .. })), "{ahead:?}");
            }
            drop(ahead);
            lose_index(&directory);
            let store = open(directory.path());
            let status = store.status();
            assert_eq!((status.sequence, status.pending), (1, 1), "offset {offset}");
            assert_eq!((status.revoked, status.blocked_keys), (0, 0));
            let last = wait(store.last_crls(&issuer(), CrlScope::Whole)).unwrap();
            assert_eq!(last.number(), None);
            // Whoever asked was not answered and asks again.
            act(&store);
            store.close();
            assert_eq!(verify(directory.path()).unwrap().frames, 2);
        }
    }
}

#[test]
fn a_damaged_revocation_is_not_served() {
    let directory = filled(1);
    let store = open(directory.path());
    let reason = RevocationReason::Superseded;
    wait(store.revoke(revocation(0, reason))).unwrap();
    let path = segment(&directory, 1);
    let mut bytes = fs::read(&path).unwrap();
    let start = frame_starts(&bytes)[1];
    bytes[start + 60] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let refused = wait(store.certificate(&serial(0)));
    assert!(
        matches!(refused, Err(Error::BrokenChain { .. })),
        "{refused:?}"
    );
    // What counts is in the index, whose pages have their own checksums.
    let listed = wait(store.revocations(&issuer(), None, 10)).unwrap();
    assert!(listed[0].is_revoked());
}

#[test]
fn damage_before_a_later_commit_is_refused_with_its_place() {
    let directory = filled(4);
    let path = segment(&directory, 1);
    let whole = fs::read(&path).unwrap();
    let starts = frame_starts(&whole);
    for (frame, start) in starts.iter().enumerate().take(3) {
        let hash = starts[frame + 1] - start - 7;
        for offset in [0, 5, 9, 45, 200, hash] {
            let mut damaged = whole.clone();
            damaged[start + offset] ^= 0x20;
            fs::write(&path, &damaged).unwrap();
            lose_index(&directory);
            let refused = verify(directory.path());
            let Err(Error::BrokenChain { offset: place, .. }) = refused else {
                panic!("frame {frame}, offset {offset}: {refused:?}");
            };
            assert_eq!(place, *start as u64);
            let refused = Certificates::open(&config(directory.path()), StoreMetrics::default());
            assert!(
                matches!(refused, Err(Error::BrokenChain { .. })),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn a_frame_damaged_after_indexing_is_not_served() {
    let directory = filled(1);
    let path = segment(&directory, 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[64 + 100] ^= 1;
    let store = open(directory.path());
    fs::write(&path, &bytes).unwrap();
    let refused = wait(store.certificate(&serial(0)));
    assert!(
        matches!(refused, Err(Error::BrokenChain { offset: 64, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_lost_index_is_replayed_over_every_segment() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let big = |number| Intent {
        tbs_der: vec![number as u8; 90_000],
        ..intent(number)
    };
    for number in 0..40 {
        wait(store.record_intent(big(number))).unwrap();
        if number % 2 == 0 {
            wait(store.record_issued(&serial(number), certificate(number), at(1))).unwrap();
        }
    }
    let status = store.status();
    assert!(status.segments > 3, "{} segments", status.segments);
    store.close();
    lose_index(&directory);
    let store = open(directory.path());
    assert_eq!(store.recovered().frames_replayed, 60);
    assert_eq!(store.recovered().open_intents, 20);
    let again = store.status();
    assert_eq!(
        (again.sequence, again.chain_hash),
        (status.sequence, status.chain_hash)
    );
    assert_eq!(again.journal_bytes, status.journal_bytes);
    for number in 0..40 {
        let record = wait(store.certificate(&serial(number))).unwrap().unwrap();
        assert_eq!(record.intent, big(number));
        assert_eq!(record.certificate_der().is_some(), number % 2 == 0);
    }
    store.close();
    let found = verify(directory.path()).unwrap();
    assert_eq!((found.frames, found.bytes), (60, status.journal_bytes));

    fs::remove_file(segment(&directory, 2)).unwrap();
    let refused = verify(directory.path());
    assert!(
        matches!(refused, Err(Error::MissingSegment { .. })),
        "{refused:?}"
    );
}

#[test]
fn an_index_ahead_of_its_journal_is_refused_and_rebuilt() {
    let directory = filled(3);
    let store = open(directory.path());
    for number in 0..3 {
        wait(store.record_issued(&serial(number), certificate(number), at(1))).unwrap();
    }
    store.close();
    let path = segment(&directory, 1);
    let mut bytes = fs::read(&path).unwrap();
    let starts = frame_starts(&bytes);
    bytes[starts[5]..].fill(0);
    fs::write(&path, &bytes).unwrap();
    let refused = Certificates::open(&config(directory.path()), StoreMetrics::default());
    let Err(error @ Error::Index { .. }) = refused else {
        panic!("opened an index ahead of its journal: {refused:?}");
    };
    assert!(
        error.to_string().contains("chancery store rebuild"),
        "{error}"
    );
    let rebuilt = rebuild(&config(directory.path())).unwrap();
    assert_eq!((rebuilt.frames_replayed, rebuilt.open_intents), (5, 1));
    assert!(
        directory.path().join("index.aside-1").is_dir(),
        "the old index is kept"
    );
    let store = open(directory.path());
    assert_eq!(store.status().issued, 2);
}

#[test]
fn an_index_of_another_journal_is_refused() {
    let (one, two) = (filled(3), filled(3));
    lose_index(&one);
    fs::rename(two.path().join("index"), one.path().join("index")).unwrap();
    let refused = Certificates::open(&config(one.path()), StoreMetrics::default());
    let Err(Error::Index {
        fault: IndexFault::ForeignJournal { .. },
        ..
    }) = refused
    else {
        panic!("took a foreign index: {refused:?}");
    };
}

#[test]
fn a_garbled_index_is_refused_or_made_good_never_believed() {
    for (file, garbage) in [
        ("conf", &b"garbage"[..]),
        ("conf", b""),
        ("db", b""),
        ("db", b"garbage"),
        ("db", &[0xff; 70_000]),
        ("db", &[0x00; 70_000]),
    ] {
        let directory = filled(3);
        fs::write(directory.path().join("index").join(file), garbage).unwrap();
        match Certificates::open(&config(directory.path()), StoreMetrics::default()) {
            Ok(store) => assert_eq!(store.status().pending, 3, "{file}"),
            Err(Error::Index { .. }) => {
                rebuild(&config(directory.path())).unwrap();
                assert_eq!(open(directory.path()).status().pending, 3, "{file}");
            }
            Err(other) => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn an_index_that_does_not_open_names_the_rebuild() {
    let directory = filled(3);
    let database = directory.path().join("index/db");
    fs::remove_file(&database).unwrap();
    fs::create_dir(&database).unwrap();
    let refused = Certificates::open(&config(directory.path()), StoreMetrics::default());
    let Err(error @ Error::Index { .. }) = refused else {
        panic!("opened: {refused:?}");
    };
    assert!(
        error.to_string().contains("chancery store rebuild"),
        "{error}"
    );
    rebuild(&config(directory.path())).unwrap();
    assert_eq!(open(directory.path()).status().pending, 3);
}

#[test]
fn segments_of_two_journals_cannot_be_spliced() {
    let (one, two) = (filled(4), filled(4));
    let mut bytes = fs::read(segment(&one, 1)).unwrap();
    let other = fs::read(segment(&two, 1)).unwrap();
    let (ours, theirs) = (frame_starts(&bytes), frame_starts(&other));
    bytes[ours[1]..ours[2]].copy_from_slice(&other[theirs[1]..theirs[2]]);
    fs::write(segment(&one, 1), bytes).unwrap();
    let refused = verify(one.path());
    assert!(
        matches!(refused, Err(Error::BrokenChain { .. })),
        "{refused:?}"
    );
}
