//! A disk without room: nothing new is begun, what has begun is finished, and
//! nothing is left of what was refused.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::tempdir;

use super::*;
use crate::error::{Error, Health};
use crate::journal::verify;
use crate::signing::SigningStoreError;
use crate::signing::document::INLINE_MAX;
use crate::signing::queue::{Attempt, EventOutcome};
use crate::signing::record::SignatureState;

/// Tells the re-executed test where to work.
const DIRECTORY: &str = "CHANCERY_SIGNING_SPACE_DIRECTORY";

/// Whether an act was refused for want of space.
fn is_full<T>(answer: &Result<T, SigningStoreError>) -> bool {
    matches!(answer, Err(SigningStoreError::Store(Error::NoSpace { .. })))
}

/// Lists the files of long documents, those being received included.
fn files(directory: &Path) -> usize {
    let blobs = directory.join("blobs");
    let of = |directory: PathBuf| {
        let entries = fs::read_dir(directory).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().is_file())
            .count()
    };
    of(blobs.clone()) + of(blobs.join("incoming"))
}

/// Returns a small signature to be begun.
fn small(number: u32) -> NewSignature {
    NewSignature {
        documents: Documents::from([(DocumentKind::Sbom, sbom(number))]),
        room: 4000,
        ..new_signature(number)
    }
}

/// Returns what was signed for a small one.
fn small_signed(number: u32) -> Signed {
    Signed {
        documents: Documents::from([(DocumentKind::Signature, document(&format!("{number}"), 71))]),
        deliveries: Vec::new(),
        ..signed(number)
    }
}

#[test]
fn below_the_reserve_nothing_is_begun_and_everything_finished() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(begin(&store, 1));
    wait(make(&store, 2));
    wait(store.accept_event(new_event(1))).unwrap();
    store.close();
    let greedy = StoreConfig {
        min_free_mib: u32::MAX,
        ..config(directory.path())
    };
    let options = SigningOptions::default();
    let store = SigningRecords::open(&greedy, options, SigningStoreMetrics::default()).unwrap();
    assert!(is_full(&wait(store.begin(new_signature(3)))));
    assert!(is_full(&wait(store.begin_timestamp(new_timestamp(9)))));
    assert!(is_full(&wait(store.accept_event(new_event(2)))));
    assert!(is_full(&wait(store.append_leaves(vec![leaf(1)], at(1)))));
    let media_type = MediaType::new("a/b").unwrap();
    let mut writer = store.document_writer(media_type, 1 << 30);
    assert!(is_full(&wait(writer.write(&vec![1; INLINE_MAX + 1]))));
    drop(writer);
    assert_eq!(files(directory.path()), 0);
    assert!(matches!(store.status().health, Health::NoSpace));

    let id = signature_id(1);
    wait(store.record_stage(&id, stage(1))).unwrap();
    let made = wait(store.complete(&id, signed(1))).unwrap();
    assert!(matches!(made.state, SignatureState::Signed { .. }));
    // What protects others, and what only ends something, is recorded as well.
    wait(store.withdraw(&signature_id(2), withdrawal(1))).unwrap();
    let failed = EventOutcome::Failed { error: "".into() };
    wait(store.finish_event(&event_id(1), failed, at(1))).unwrap();
    let taken = Attempt::Delivered { status: 200 };
    wait(store.record_attempt(&delivery_id(2), taken, at(1))).unwrap();
}

/// Limits how large this process may make a file.
fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: bytes,
            maximum,
        },
    )
    .unwrap();
}

/// Works as the child process, the only one whose files are limited.
fn fill_and_recover(directory: &Path) {
    // The first segment has 1 MiB, later ones 2 MiB: with the limit between, the
    // system refuses every further segment as a full disk would.
    open(directory).close();
    let config = StoreConfig {
        segment_mib: 2,
        ..config(directory)
    };
    let options = SigningOptions::default();
    let store = SigningRecords::open(&config, options, SigningStoreMetrics::default()).unwrap();
    limit_files(Some(3 << 19));
    let mut begun = 0;
    while wait(store.begin(small(begun))).is_ok() {
        begun += 1;
        assert!(begun < 10_000, "never full");
    }
    assert!(begun > 5, "{begun} begun");
    assert!(is_full(&wait(store.begin(small(begun)))));
    assert_eq!(wait(store.signature(&signature_id(begun))).unwrap(), None);
    // A long document meets the limit while it is written.
    let mut long = small(begun);
    let document = document("long", 2 << 20);
    long.documents.insert(DocumentKind::Provenance, document);
    assert!(is_full(&wait(store.begin(long))));
    assert_eq!(files(directory), 0, "nothing is left of it");
    assert_eq!(store.status().blob_bytes, 0);

    // Signed already, whatever the disk says: each outcome still fits.
    for number in 0..begun {
        let id = signature_id(number);
        wait(store.record_stage(&id, stage(number))).unwrap();
        wait(store.complete(&id, small_signed(number))).unwrap();
    }
    assert_eq!(store.status().counts.signed, u64::from(begun));

    limit_files(None);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !matches!(store.status().health, Health::Healthy) {
        assert!(Instant::now() < deadline, "room was not noticed");
        std::thread::yield_now();
    }
    for number in begun..begun + 400 {
        wait(store.begin(small(number))).unwrap();
    }
    assert!(store.status().segments > 1);
    store.close();
    verify(directory).unwrap();
    println!("recovered");
}

#[test]
fn a_disk_without_room_refuses_the_new_and_finishes_the_begun() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        fill_and_recover(&PathBuf::from(directory));
        return;
    }
    let directory = tempdir().unwrap();
    let name = "signing::tests::space::a_disk_without_room_refuses_the_new_and_finishes_the_begun";
    // A file past the limit raises SIGXFSZ unless ignored; then it is an error.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complained}");
    assert!(told.contains("recovered"), "the child did its part: {told}");
}
