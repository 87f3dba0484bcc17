//! A process killed under load, again and again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::tempdir;

use super::*;
use crate::certificates::{AbandonReason, CertificateStore, rebuild};
use crate::journal::verify;

/// Tells the re-executed test where to work.
const DIRECTORY: &str = "CHANCERY_STORE_CRASH_DIRECTORY";

/// Tells it where its numbers start.
const FIRST: &str = "CHANCERY_STORE_CRASH_FIRST";

/// Rounds of kill and restart.
const ROUNDS: u32 = 24;

/// Numbers of one round.
const PER_ROUND: u32 = 1_000_000;

/// Tasks that write at once.
const TASKS: u32 = 8;

/// Works as the child process: writes until killed, telling each acknowledgement.
fn write_until_killed(directory: &Path, first: u32) {
    let store = Arc::new(open(directory));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(write_as_one_task(Arc::clone(&store), first, task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Writes every eighth number, telling each acknowledgement.
async fn write_as_one_task(store: Arc<Certificates>, first: u32, task: u32) {
    for number in (first + task..first + PER_ROUND).step_by(TASKS as usize) {
        store.record_intent(intent(number)).await.unwrap();
        tell("intent", number);
        if number.is_multiple_of(5) {
            let why = AbandonReason::NotSigned;
            store
                .abandon_intent(&serial(number), why, at(1))
                .await
                .unwrap();
            tell("abandoned", number);
        } else {
            let der = certificate(number);
            store
                .record_issued(&serial(number), der, at(1))
                .await
                .unwrap();
            tell("issued", number);
        }
    }
}

/// Tells the parent of one acknowledgement, in one write.
fn tell(what: &str, number: u32) {
    use std::io::Write;
    let line = format!("ack {what} {number}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    if let (Some(directory), Ok(first)) = (std::env::var_os(DIRECTORY), std::env::var(FIRST)) {
        write_until_killed(&PathBuf::from(directory), first.parse().unwrap());
        return;
    }
    let directory = tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "certificates::tests::crash::nothing_acknowledged_is_lost_to_kill_9",
            ])
            .args(["--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .env(FIRST, (round * PER_ROUND).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Killed after another number of acknowledgements each time, hence at
        // another instant of a commit; what was told before dying counts too.
        let after = 40 + (round * 97) % 400;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for told in 0.. {
            let Some(line) = lines.next().transpose().unwrap() else {
                break;
            };
            // The harness prints on the first line, before the child's own text.
            if let Some((_, rest)) = line.split_once("ack ")
                && let Some((what, number)) = rest.split_once(' ')
            {
                acknowledged.insert((number.parse::<u32>().unwrap(), what.to_owned()));
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
        check(&store, &acknowledged);
        let status = store.status();
        let open = wait(store.open_intents()).unwrap();
        assert_eq!(open.len() as u64, status.pending);
        assert!(
            open.len() <= (TASKS * (round + 1)) as usize,
            "at most one for each task killed"
        );
        store.close();
    }
    assert!(acknowledged.len() > 40 * ROUNDS as usize);
    rebuild(&config(directory.path())).unwrap();
    check(&open(directory.path()), &acknowledged);
}

/// Checks that everything acknowledged is there.
fn check(store: &Certificates, acknowledged: &BTreeSet<(u32, String)>) {
    use crate::certificates::CertificateState;
    for (number, what) in acknowledged {
        let record = wait(store.certificate(&serial(*number))).unwrap();
        let record = record.unwrap_or_else(|| panic!("lost {what} {number}"));
        assert_eq!(record.intent, intent(*number));
        match (what.as_str(), &record.state) {
            ("intent", _) | ("abandoned", CertificateState::Abandoned { .. }) => {}
            (
                "issued",
                CertificateState::Issued {
                    certificate_der, ..
                },
            ) => {
                assert_eq!(*certificate_der, certificate(*number));
            }
            (_, state) => panic!("{what} {number} was acknowledged, found {state:?}"),
        }
    }
}
