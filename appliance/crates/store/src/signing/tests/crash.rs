//! A process killed under load, again and again: nothing acknowledged is lost,
//! nothing is signed or logged twice, and no document is left without a record.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::tempdir;

use super::*;
use crate::journal::verify;
use crate::signing::document::INLINE_MAX;
use crate::signing::queue::{Attempt, DeliveryState, EventOutcome, EventState};
use crate::signing::rebuild;
use crate::signing::record::{SignatureAbandonReason, SignatureState};

/// Tells the re-executed test where to work.
const DIRECTORY: &str = "CHANCERY_SIGNING_CRASH_DIRECTORY";

/// Tells it where its numbers start.
const FIRST: &str = "CHANCERY_SIGNING_CRASH_FIRST";

/// Rounds of kill and restart.
const ROUNDS: u32 = 16;

/// Numbers of one round.
const PER_ROUND: u32 = 10_000;

/// Tasks that write at once.
const TASKS: u32 = 8;

/// Returns the SBOM of a number: now and then one with a file of its own.
fn sbom_of(number: u32) -> Document {
    let len = if number.is_multiple_of(7) {
        INLINE_MAX + 1 + number as usize % 1000
    } else {
        2000
    };
    document(&format!("sbom {number} "), len)
}

/// Returns a signature to be begun.
fn new(number: u32) -> NewSignature {
    NewSignature {
        documents: Documents::from([(DocumentKind::Sbom, sbom_of(number))]),
        ..new_signature(number)
    }
}

/// Works as the child process: makes signatures until killed.
fn write_until_killed(directory: &Path, first: u32) {
    let store = Arc::new(open(directory));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(write_as_one_task(Arc::clone(&store), first + task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Takes every eighth signature through its life, telling each acknowledgement.
async fn write_as_one_task(store: Arc<SigningRecords>, first: u32) {
    for number in (first..first + PER_ROUND).step_by(TASKS as usize) {
        let id = signature_id(number);
        store.accept_event(new_event(number)).await.unwrap();
        tell("accepted", number);
        store.begin(new(number)).await.unwrap();
        tell("begun", number);
        store.record_stage(&id, stage(number)).await.unwrap();
        tell("staged", number);
        store.complete(&id, signed(number)).await.unwrap();
        tell("signed", number);
        let done = EventOutcome::Done {
            signature: Some(id),
            detail_json: Bytes::new(),
        };
        let event = event_id(number);
        store.finish_event(&event, done, at(1)).await.unwrap();
        tell("done", number);
        let taken = Attempt::Delivered { status: 200 };
        let delivery = delivery_id(number);
        store.record_attempt(&delivery, taken, at(1)).await.unwrap();
        tell("told", number);
    }
}

/// Tells the parent of one acknowledgement, in one write.
fn tell(what: &str, number: u32) {
    let line = format!("ack {what} {number}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Returns how far something is.
fn rank(what: &str) -> usize {
    let steps = ["accepted", "begun", "staged", "signed", "done", "told"];
    steps.iter().position(|own| *own == what).unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    if let (Some(directory), Ok(first)) = (std::env::var_os(DIRECTORY), std::env::var(FIRST)) {
        write_until_killed(&PathBuf::from(directory), first.parse().unwrap());
        return;
    }
    let directory = tempdir().unwrap();
    // The last step acknowledged of each number.
    let mut acknowledged = BTreeMap::new();
    let mut abandoned = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "signing::tests::crash::nothing_acknowledged_is_lost_to_kill_9",
            ])
            .args(["--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .env(FIRST, (round * PER_ROUND).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Killed after another number of acknowledgements each time, hence at
        // another instant of a commit; what was told before dying counts too.
        let after = 30 + (round * 37) % 150;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for told in 0.. {
            let Some(line) = lines.next().transpose().unwrap() else {
                break;
            };
            // The harness prints on the first line, before the child's own text.
            if let Some((_, rest)) = line.split_once("ack ")
                && let Some((what, number)) = rest.split_once(' ')
            {
                acknowledged.insert(number.parse::<u32>().unwrap(), what.to_owned());
            }
            if told == after {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert!(!status.success(), "round {round} ended by itself");

        let found = verify(directory.path()).unwrap();
        let store = open(directory.path());
        assert_eq!(store.status().sequence, found.frames);
        check(&store, &acknowledged, &abandoned);
        check_files(&store, directory.path());
        settle(&store, &mut abandoned);
        store.close();
    }
    assert!(acknowledged.len() > 4 * ROUNDS as usize);
    rebuild(&config(directory.path()), SigningOptions::default()).unwrap();
    let store = open(directory.path());
    check(&store, &acknowledged, &abandoned);
    check_files(&store, directory.path());
    assert!(wait(store.open_work()).unwrap().is_empty());
}

/// Checks that everything is where it was acknowledged to be, or further.
fn check(
    store: &SigningRecords,
    acknowledged: &BTreeMap<u32, String>,
    abandoned: &BTreeSet<SignatureId>,
) {
    let mut leaves = BTreeSet::new();
    for (number, what) in acknowledged {
        let reached = rank(what);
        let event = wait(store.event(&event_id(*number))).unwrap();
        let event = event.unwrap_or_else(|| panic!("lost {what} {number}"));
        let is_done = matches!(event.state, EventState::Done { .. });
        assert!(is_done || reached < rank("done"), "{number} was {what}");
        let id = signature_id(*number);
        let Some(record) = wait(store.signature(&id)).unwrap() else {
            assert!(reached < rank("begun"), "lost {what} {number}");
            continue;
        };
        let delivery = wait(store.delivery(&delivery_id(*number))).unwrap();
        match &record.state {
            SignatureState::Signed { log_index, .. } => {
                let index = log_index.clone().unwrap().start;
                assert!(leaves.insert(index), "leaf {index} twice");
                let own = wait(store.log_leaf(index)).unwrap();
                assert_eq!(own, Some(leaf(*number)));
                for (kind, document) in signed(*number).documents {
                    let stored = wait(read(store, &id, kind));
                    assert_eq!(stored.len() as u64, document.len());
                    assert!(document.octets().is_none_or(|own| *own == stored));
                }
                // The delivery is queued in the same act.
                let delivery = delivery.unwrap();
                let is_told = matches!(delivery.state, DeliveryState::Delivered { .. });
                assert!(is_told || reached < rank("told"), "{number} was {what}");
            }
            SignatureState::Abandoned { .. } => {
                assert!(
                    abandoned.contains(&id) && reached < rank("signed"),
                    "{number}"
                );
                assert_eq!(delivery, None);
            }
            SignatureState::Open { staged } => {
                assert!(reached < rank("signed"), "{number} was {what}");
                assert!(*staged || reached < rank("staged"), "{number} was {what}");
                assert_eq!(delivery, None);
            }
        }
        let sbom = wait(read(store, &id, DocumentKind::Sbom));
        assert!(sbom == *sbom_of(*number).octets().unwrap(), "{number}");
    }
}

/// Checks that every file belongs to a record.
fn check_files(store: &SigningRecords, directory: &Path) {
    let blobs = directory.join("blobs");
    assert_eq!(fs::read_dir(blobs.join("incoming")).unwrap().count(), 0);
    let mut bytes = 0;
    for entry in fs::read_dir(&blobs).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            let mut key = b"b".to_vec();
            key.extend(hex::decode(entry.file_name().to_str().unwrap()).unwrap());
            let recorded = store.sources_of_test().index.get(&key).unwrap();
            assert!(recorded.is_some(), "{}", entry.path().display());
            bytes += entry.metadata().unwrap().len();
        }
    }
    assert_eq!(store.status().blob_bytes, bytes);
}

/// Settles what was open, as the next start of the service does.
fn settle(store: &SigningRecords, abandoned: &mut BTreeSet<SignatureId>) {
    let work = wait(store.open_work()).unwrap();
    assert!(work.len() <= TASKS as usize);
    assert_eq!(store.recovered().open_intents, work.len() as u64);
    for record in work {
        let reason = SignatureAbandonReason::Interrupted;
        wait(store.abandon(&record.id, reason, at(1))).unwrap();
        abandoned.insert(record.id);
        // A retry with the same key starts anew, with another name.
        let mut anew = new_signature(0);
        anew.id = SignatureId::new(at(0), record.id.octets()[6..].try_into().unwrap());
        anew.idempotency.clone_from(&record.idempotency);
        anew.documents.clear();
        let id = anew.id;
        if id != record.id {
            let begun = wait(store.begin(anew)).unwrap();
            assert!(matches!(begun, Begun::New), "{begun:?}");
            wait(store.abandon(&id, reason, at(1))).unwrap();
        }
    }
}
