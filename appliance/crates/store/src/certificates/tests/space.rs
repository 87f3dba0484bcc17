//! A disk without room: nothing new is begun, what has begun is finished, and
//! room is noticed.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::tempdir;

use super::*;
use crate::certificates::{CertificateStore, RevocationStore};
use crate::error::{Error, Health};
use crate::journal::verify;

/// Tells the re-executed test where to work.
const DIRECTORY: &str = "CHANCERY_STORE_SPACE_DIRECTORY";

#[test]
fn below_the_reserve_nothing_is_begun_and_everything_finished() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    wait(store.record_intent(intent(1))).unwrap();
    store.close();
    let greedy = StoreConfig {
        min_free_mib: u32::MAX,
        ..config(directory.path())
    };
    let store = Certificates::open(&greedy, StoreMetrics::default()).unwrap();
    let refused = wait(store.record_intent(intent(2)));
    assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    assert!(matches!(store.status().health, Health::NoSpace));
    wait(store.record_issued(&serial(1), certificate(1), at(1))).unwrap();
    assert_eq!(wait(store.certificate(&serial(2))).unwrap(), None);
    assert_eq!(store.status().sequence, 2);
    // What protects others is recorded as long as there is any room.
    let reason = RevocationReason::KeyCompromise;
    wait(store.revoke(revocation(1, reason))).unwrap();
    wait(store.block_key(block(1))).unwrap();
    wait(store.record_crl(crl(1, None))).unwrap();
    assert_eq!(store.status().sequence, 5);
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
    let store = Certificates::open(&config, StoreMetrics::default()).unwrap();
    limit_files(Some(3 << 19));
    let mut begun = 0;
    let refused = loop {
        match wait(store.record_intent(intent(begun))) {
            Ok(_) => begun += 1,
            Err(refused) => break refused,
        }
        assert!(begun < 10_000, "never full");
    };
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused:?}");
    assert!(begun > 10, "{begun} begun");
    let again = wait(store.record_intent(intent(begun)));
    assert!(matches!(again, Err(Error::NoSpace { .. })), "{again:?}");
    assert!(matches!(store.status().health, Health::NoSpace));
    assert_eq!(wait(store.certificate(&serial(begun))).unwrap(), None);

    // Revocations take what room is left, but none of what intents need.
    let reason = RevocationReason::KeyCompromise;
    let mut revoked = 0;
    let refused = loop {
        match wait(store.import_revocation(foreign(1_000_000 + revoked, reason))) {
            Ok(_) => revoked += 1,
            Err(refused) => break refused,
        }
        assert!(revoked < 100_000, "never full");
    };
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused:?}");
    assert!(revoked > 10, "{revoked} revoked");

    // Signed already, whatever the disk says: each certificate still fits.
    for number in 0..begun {
        wait(store.record_issued(&serial(number), certificate(number), at(1))).unwrap();
    }
    assert_eq!(store.status().issued, u64::from(begun));

    limit_files(None);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !matches!(store.status().health, Health::Healthy) {
        assert!(Instant::now() < deadline, "room was not noticed");
        std::thread::yield_now();
    }
    for number in begun..begun + 2000 {
        wait(store.record_intent(intent(number))).unwrap();
    }
    assert!(store.status().segments > 1);
    store.close();
    let found = verify(directory).unwrap();
    assert_eq!(found.frames, u64::from(2 * begun + revoked + 2000));
    println!("recovered");
}

#[test]
fn a_disk_without_room_refuses_the_new_and_finishes_the_begun() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        fill_and_recover(&PathBuf::from(directory));
        return;
    }
    let directory = tempdir().unwrap();
    let name =
        "certificates::tests::space::a_disk_without_room_refuses_the_new_and_finishes_the_begun";
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
