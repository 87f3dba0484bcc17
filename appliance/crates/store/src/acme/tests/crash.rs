//! A process killed under load, again and again: nothing acknowledged is lost, no
//! order is finished twice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::tempdir;

use super::*;
use crate::acme::rebuild;
use crate::journal::verify;

/// Tells the re-executed test where to work.
const DIRECTORY: &str = "CHANCERY_ACME_CRASH_DIRECTORY";

/// Tells it where its numbers start.
const FIRST: &str = "CHANCERY_ACME_CRASH_FIRST";

/// Rounds of kill and restart.
const ROUNDS: u32 = 16;

/// Numbers of one round.
const PER_ROUND: u32 = 1_000_000;

/// Tasks that write at once.
const TASKS: u32 = 8;

/// Works as the child process: takes orders through their lives until killed.
fn write_until_killed(directory: &Path, first: u32) {
    let store = Arc::new(open(directory));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        store.create_account(new_account(1)).await.unwrap();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(write_as_one_task(Arc::clone(&store), first + task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Takes every eighth order through its life, telling each acknowledgement.
async fn write_as_one_task(store: Arc<AcmeRecords>, first: u32) {
    for number in (first..first + PER_ROUND).step_by(TASKS as usize) {
        create(&store, number).await;
        tell("pending", number);
        let id = challenge(number, 0);
        if number.is_multiple_of(5) {
            let validation = Validation::Failed { error: failure() };
            store
                .record_validation(&id, validation, at(1))
                .await
                .unwrap();
            tell("invalid", number);
            continue;
        }
        store.begin_challenge(&id, at(1)).await.unwrap();
        store
            .record_validation(&id, success(1), at(1))
            .await
            .unwrap();
        tell("ready", number);
        let finalization = finalization(number as u8, 2);
        store
            .begin_finalize(&order_id(number), finalization)
            .await
            .unwrap();
        tell("processing", number);
        let issued = certificate(number, number as u8, 3);
        store
            .record_certificate(&order_id(number), issued)
            .await
            .unwrap();
        tell("valid", number);
    }
}

/// Tells the parent of one acknowledgement, in one write.
fn tell(what: &str, number: u32) {
    let line = format!("ack {what} {number}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Returns how far a state is on an order's way.
fn rank(state: &str) -> u32 {
    let states = ["pending", "ready", "processing", "valid", "invalid"];
    states
        .iter()
        .zip(0..)
        .find(|(own, _)| **own == state)
        .unwrap()
        .1
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    if let (Some(directory), Ok(first)) = (std::env::var_os(DIRECTORY), std::env::var(FIRST)) {
        write_until_killed(&PathBuf::from(directory), first.parse().unwrap());
        return;
    }
    let directory = tempdir().unwrap();
    // The last state acknowledged of each order.
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "acme::tests::crash::nothing_acknowledged_is_lost_to_kill_9",
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
        check(&store, &acknowledged);
        finish(&store);
        store.close();
    }
    assert!(acknowledged.len() > 10 * ROUNDS as usize);
    rebuild(&config(directory.path()), Retention::default()).unwrap();
    let store = open(directory.path());
    check(&store, &acknowledged);
    assert!(wait(store.open_work()).unwrap().orders.is_empty());
}

/// Checks that every order is where it was acknowledged to be, or further.
fn check(store: &AcmeRecords, acknowledged: &BTreeMap<u32, String>) {
    for (number, what) in acknowledged {
        let order = wait(store.order(&order_id(*number), at(4))).unwrap();
        let order = order.unwrap_or_else(|| panic!("lost {what} {number}"));
        let state = order.state.as_str();
        assert!(
            rank(state) >= rank(what) && (state == "invalid") == number.is_multiple_of(5)
                || rank(state) == 0 && what == "pending",
            "{number} was {what}, found {state}"
        );
        if let OrderState::Valid(own) = &order.state {
            assert_eq!(*own, certificate(*number, *number as u8, 3));
        }
        let found = wait(store.order_of_certificate(&serial(*number))).unwrap();
        assert_eq!(found.is_some(), state == "valid", "{number}");
    }
}

/// Takes up what was open, as the next start of the service does.
fn finish(store: &AcmeRecords) {
    let work = wait(store.open_work()).unwrap();
    assert!(work.orders.len() + work.challenges.len() <= TASKS as usize);
    for id in work.challenges {
        wait(store.record_validation(&id, success(1), at(1))).unwrap();
    }
    for id in work.orders {
        let number = (0..ROUNDS * PER_ROUND)
            .find(|number| order_id(*number) == id)
            .unwrap();
        let issued = certificate(number, number as u8, 3);
        wait(store.record_certificate(&id, issued)).unwrap();
    }
    let left = wait(store.open_work()).unwrap();
    assert_eq!((left.orders.len(), left.challenges.len()), (0, 0));
}
