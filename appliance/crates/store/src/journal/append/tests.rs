//! The journal against devices that misbehave by their nature.

use tempfile::tempdir;

use super::*;
use crate::journal::{verify, walk};

/// Begins a journal in a directory.
fn begin(store: &std::path::Path) -> Journal {
    let directory = store.join("journal");
    std::fs::create_dir(&directory).unwrap();
    let nowhere = End {
        position: None,
        torn_bytes: 0,
    };
    Journal::open(directory, 1 << 20, &nowhere, 0).unwrap()
}

/// Opens a device for writing.
fn device(path: &str) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn a_full_device_refuses_the_group_and_the_chain_goes_on() {
    let store = tempdir().unwrap();
    let mut journal = begin(store.path());
    journal.stage(1, 1, 1, b"one");
    journal.commit().unwrap();
    let before = journal.end();
    let real = std::mem::replace(&mut journal.file, device("/dev/full"));
    journal.stage(2, 1, 1, b"two");
    assert!(matches!(journal.commit(), Err(CommitError::NoSpace)));
    assert_eq!(journal.end(), before);
    journal.file = real;
    journal.stage(3, 1, 1, b"three");
    journal.commit().unwrap();
    drop(journal);
    let found = verify(store.path()).unwrap();
    assert_eq!((found.frames, found.torn_bytes), (2, 0));
}

#[test]
fn a_failed_sync_is_a_fault_and_never_an_acknowledgement() {
    let store = tempdir().unwrap();
    let mut journal = begin(store.path());
    // Takes every write, refuses every sync.
    journal.file = device("/dev/null");
    journal.stage(1, 1, 1, b"one");
    let refused = journal.commit();
    let Err(CommitError::Fault(Fault::Journal { action: "sync", .. })) = refused else {
        panic!("synced nothing and said: {refused:?}");
    };
    assert_eq!(journal.end().next, 1);
}

#[test]
fn frames_keep_their_place_over_segments_and_reopening() {
    let store = tempdir().unwrap();
    let mut journal = begin(store.path());
    let payload = vec![7; 300 << 10];
    let mut places = Vec::new();
    for time in 0..8 {
        if !journal.fits(payload.len()) {
            journal.roll().unwrap();
        }
        places.push(journal.stage(time, 9, 2, &payload));
        journal.commit().unwrap();
    }
    assert!(journal.end().place.segment > 2);
    let end = journal.end();
    drop(journal);
    let directory = store.path().join("journal");
    let mut seen = Vec::new();
    let walked = walk(&directory, None, |frame, place| {
        assert_eq!((frame.payload, frame.header.kind), (&payload[..], 9));
        seen.push(place);
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, places);
    assert_eq!(walked.position, Some(end));
    let journal = Journal::open(directory, 1 << 20, &walked, 0).unwrap();
    assert_eq!(journal.end(), end);
}

#[test]
fn what_is_set_aside_is_given_back_at_the_end() {
    let store = tempdir().unwrap();
    let mut journal = begin(store.path());
    journal.set_aside(4 << 20).unwrap();
    let count = || {
        std::fs::read_dir(store.path().join("journal"))
            .unwrap()
            .count()
    };
    assert!(count() > 4, "{} files", count());
    drop(journal);
    assert_eq!(count(), 1);
}
