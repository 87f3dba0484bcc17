//! A process killed under load, again and again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::tempdir;

use super::*;
use crate::certificates::{
    AbandonReason, CertificateStore, RevocationRecord, RevocationStore, rebuild,
};
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
        match number % 7 {
            0 => revoke_as_one_task(&store, number).await,
            1 => {
                let key = key(number);
                store.block_key(key).await.unwrap();
                tell("blocked", number);
            }
            2 => {
                let crl = shard_crl(number);
                store.record_crl(crl).await.unwrap();
                tell("crl", number);
            }
            3 => {
                let taken = taken_over(number);
                store.import_revocation(taken).await.unwrap();
                tell("taken", number);
            }
            _ => {}
        }
    }
}

/// Puts a number on hold, releases it and revokes it, telling each.
async fn revoke_as_one_task(store: &Certificates, number: u32) {
    for (what, reason) in STEPS {
        store.revoke(revocation(number, reason)).await.unwrap();
        tell(what, number);
    }
}

/// The steps of a revocation and what they are called.
const STEPS: [(&str, RevocationReason); 3] = [
    ("held", RevocationReason::CertificateHold),
    ("released", RevocationReason::RemoveFromCrl),
    ("revoked", RevocationReason::KeyCompromise),
];

/// Returns a key of no intent.
fn key(number: u32) -> BlockedKey {
    let mut key = block(0);
    key.public_key_sha256[..4].copy_from_slice(&number.to_be_bytes());
    key.public_key_sha256[31] = 1;
    key
}

/// Returns a CRL of a task's shard.
fn shard_crl(number: u32) -> CrlRecord {
    CrlRecord {
        scope: CrlScope::Shard(number % TASKS),
        ..crl(u64::from(number), None)
    }
}

/// Returns the revocation of a number that is never used.
fn taken_over(number: u32) -> ForeignRevocation {
    foreign(u32::MAX / 2 + number, RevocationReason::Superseded)
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
    let mut revoked = 0;
    for (number, what) in acknowledged {
        if check_revocation(store, *number, what) {
            revoked += u64::from(matches!(what.as_str(), "revoked" | "taken"));
            continue;
        }
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
    let counted = store.status().revoked;
    assert!(revoked <= counted, "{counted} of {revoked} are revoked");
    let listed = wait(store.revocations(&issuer(), None, 65_536)).unwrap();
    let listed = listed.iter().filter(|own| own.is_revoked()).count();
    assert_eq!(listed as u64, counted);
}

/// Checks what the store says if this is about a revocation, a key or a CRL.
fn check_revocation(store: &Certificates, number: u32, what: &str) -> bool {
    let history = |record: Option<RevocationRecord>| {
        let record = record.unwrap_or_else(|| panic!("lost {what} {number}"));
        assert_eq!(record.history.last().unwrap().reason, record.current.reason);
        record.history
    };
    match what {
        "held" | "released" | "revoked" => {
            let record = wait(store.certificate(&serial(number))).unwrap().unwrap();
            let told: Vec<_> = history(record.revocation)
                .iter()
                .map(|step| step.reason)
                .collect();
            let steps = STEPS.map(|(_, reason)| reason);
            assert_eq!(told, steps[..told.len()]);
            let at_least = STEPS.iter().position(|(name, _)| *name == what).unwrap();
            assert!(told.len() > at_least, "lost {what} {number}");
        }
        "taken" => {
            let serial = taken_over(number).revocation.serial;
            let record = wait(store.revocation(&issuer(), &serial)).unwrap();
            assert_eq!(history(record).len(), 1);
        }
        "blocked" => {
            let own = key(number);
            let found = wait(store.blocked_key(&own.public_key_sha256)).unwrap();
            assert_eq!(found, Some(own), "lost {what} {number}");
        }
        "crl" => {
            let scope = shard_crl(number).scope;
            let last = wait(store.last_crls(&issuer(), scope)).unwrap().complete;
            let last = last.unwrap_or_else(|| panic!("lost {what} {number}"));
            assert!(last.number >= u64::from(number), "lost {what} {number}");
        }
        _ => return false,
    }
    true
}
