//! The engine over disks that fail.

mod attachments;

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::RwLock;

use model::{IssuerId, ProfileName, RequestId, RevocationReason, SerialNumber, Timestamp};
use tempfile::tempdir;

use super::super::open::assemble;
use super::*;
use crate::certificates::{
    Act, BlockedKey, CertificateLedger, CertificateStore, Certificates, CrlRecord, CrlScope,
    Intent, Outcome, Revocation, RevocationAct,
};
use crate::config::StoreConfig;
use crate::journal::verify;

/// Returns the configuration of a small store.
fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        segment_mib: 1,
        min_free_mib: 0,
        ..StoreConfig::at(directory)
    }
}

/// Assembles an engine that this test runs itself.
fn engine(directory: &Path) -> Engine<CertificateLedger> {
    let settled = Arc::new(RwLock::default());
    let (engine, _) = assemble(
        StoreDirectory::lock(directory).unwrap(),
        &config(directory),
        StoreMetrics::default(),
        |sources| CertificateLedger::new(sources, settled),
        CertificateLedger::count_open,
    )
    .unwrap();
    engine
}

/// Returns an act that begins something.
fn intend(number: u8) -> Act {
    Act::Intend(Box::new(Intent {
        serial: serial(number),
        issuer: IssuerId::new("issuing").unwrap(),
        profile: ProfileName::new("service").unwrap(),
        tbs_der: vec![number; 500],
        not_before: Timestamp::UNIX_EPOCH,
        not_after: Timestamp::UNIX_EPOCH,
        subject: String::new(),
        names: Vec::new(),
        public_key_sha256: [0; 32],
        requester: None,
        request_id: RequestId::new("r").unwrap(),
        idempotency: None,
        recorded_at: Timestamp::UNIX_EPOCH,
    }))
}

/// Returns a serial number.
fn serial(number: u8) -> SerialNumber {
    SerialNumber::from_unsigned(&[number]).unwrap()
}

/// Has a group of acts done and returns their answers.
fn run(engine: &mut Engine<CertificateLedger>, acts: Vec<Act>) -> Vec<Result<Outcome, Error>> {
    let (queued, answers): (VecDeque<_>, Vec<_>) = acts
        .into_iter()
        .map(|act| {
            let (reply, answer) = oneshot::channel();
            (Queued { act, reply }, answer)
        })
        .unzip();
    engine.work(queued, &mut Vec::new());
    answers
        .into_iter()
        .map(|answer| answer.try_recv().unwrap())
        .collect()
}

/// Opens a device for writing.
fn device(path: &str) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn after_a_failed_sync_nothing_is_taken_until_reopened() {
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    assert!(matches!(
        run(&mut engine, vec![intend(1)])[..],
        [Ok(Outcome::Done)]
    ));
    // Takes every write, refuses every sync.
    let real = engine.journal.append_to(device("/dev/null"));
    let refused = run(&mut engine, vec![intend(2), intend(2), intend(3)]);
    // The repeat as well: what it repeats did not happen.
    let failed = |answer: &Result<Outcome, Error>| matches!(answer, Err(Error::Failed { .. }));
    assert!(refused.iter().all(failed), "{refused:?}");
    engine.journal.append_to(real);
    let refused = run(&mut engine, vec![intend(4)]);
    assert!(
        matches!(refused[..], [Err(Error::Failed { .. })]),
        "{refused:?}"
    );
    assert!(matches!(engine.shared.health(), Health::Failed(_)));
    assert_eq!(engine.metrics.failed.get(), 1);
    drop(engine);

    let store = Certificates::open(&config(directory.path()), StoreMetrics::default()).unwrap();
    assert!(matches!(store.status().health, Health::Healthy));
    assert_eq!((store.status().pending, store.status().sequence), (1, 1));
}

#[test]
fn a_disk_that_fills_within_a_commit_refuses_the_group_and_recovers() {
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    let real = engine.journal.append_to(device("/dev/full"));
    let refused = run(&mut engine, vec![intend(1), intend(2)]);
    let full = |answer: &Result<Outcome, Error>| matches!(answer, Err(Error::NoSpace { .. }));
    assert!(refused.iter().all(full), "{refused:?}");
    assert!(matches!(engine.shared.health(), Health::NoSpace));
    engine.journal.append_to(real);
    engine.tidy();
    assert!(matches!(engine.shared.health(), Health::Healthy));
    // The serial numbers were not used up.
    let taken = run(&mut engine, vec![intend(2), intend(1)]);
    assert!(taken.iter().all(Result::is_ok), "{taken:?}");
    drop(engine);
    assert_eq!(verify(directory.path()).unwrap().frames, 2);
}

#[test]
fn one_group_may_begin_and_finish_the_same_thing() {
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    let issue = |content| Act::Issue {
        serial: serial(1),
        certificate_der: vec![content; 600],
        at: Timestamp::UNIX_EPOCH,
    };
    let answers = run(&mut engine, vec![intend(1), issue(1), issue(1), issue(2)]);
    assert!(
        matches!(
            answers[..],
            [
                Ok(Outcome::Done),
                Ok(Outcome::Done),
                Ok(Outcome::Done),
                Err(Error::AlreadySettled { .. })
            ]
        ),
        "{answers:?}"
    );
    drop(engine);
    let store = Certificates::open(&config(directory.path()), StoreMetrics::default()).unwrap();
    // Never checkpointed, as after a crash.
    assert_eq!(store.recovered().frames_replayed, 2);
    assert_eq!(store.status().issued, 1);
    assert_eq!(store.status().pending, 0);
}

/// Returns a step of the revocation of serial number 1, whose intent is record 1.
fn revoke(reason: RevocationReason) -> Act {
    Act::Revoke(Box::new(RevocationAct {
        issuer: IssuerId::new("issuing").unwrap(),
        record: Some(1),
        not_after: None,
        revocation: Revocation {
            serial: serial(1),
            reason,
            revoked_at: Timestamp::UNIX_EPOCH,
            invalidity_date: None,
            requester: None,
            request_id: RequestId::new("r").unwrap(),
            recorded_at: Timestamp::UNIX_EPOCH,
        },
    }))
}

#[test]
fn acts_of_one_group_see_each_other() {
    use RevocationReason::{CertificateHold, RemoveFromCrl, Superseded};
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    let block = || {
        Act::Block(Box::new(BlockedKey {
            public_key_sha256: [0; 32],
            requester: None,
            request_id: RequestId::new("r").unwrap(),
            recorded_at: Timestamp::UNIX_EPOCH,
        }))
    };
    let foreign = |number, reason| match revoke(reason) {
        Act::Revoke(mut act) => {
            act.record = None;
            act.revocation.serial = serial(number);
            Act::Revoke(act)
        }
        other => other,
    };
    let crl = |number| {
        Act::PlanCrl(Box::new(CrlRecord {
            issuer: IssuerId::new("issuing").unwrap(),
            scope: CrlScope::Whole,
            number,
            base: None,
            through: 0,
            entries: 0,
            this_update: Timestamp::UNIX_EPOCH,
            next_update: Timestamp::UNIX_EPOCH,
            tbs_sha256: [0; 32],
            recorded_at: Timestamp::UNIX_EPOCH,
        }))
    };
    let acts = vec![
        intend(1),
        revoke(RemoveFromCrl),
        revoke(CertificateHold),
        revoke(RemoveFromCrl),
        revoke(CertificateHold),
        revoke(Superseded),
        revoke(Superseded),
        foreign(1, Superseded),
        foreign(9, Superseded),
        intend(9),
        crl(2),
        crl(2),
        crl(3),
        block(),
        block(),
        intend(2),
    ];
    let answers = run(&mut engine, acts);
    assert!(
        matches!(
            answers[..],
            [
                Ok(Outcome::Done),
                Err(Error::NotOnHold { .. }),
                Ok(Outcome::Done),
                Ok(Outcome::Done),
                Ok(Outcome::Done),
                Ok(Outcome::Done),
                Ok(Outcome::Already),
                Ok(Outcome::Known),
                Ok(Outcome::Done),
                Err(Error::SerialTaken { .. }),
                Ok(Outcome::Done),
                Err(Error::CrlNumberUsed { number: 2, last: 2 }),
                Ok(Outcome::Done),
                Ok(Outcome::Done),
                Ok(Outcome::Already),
                Err(Error::KeyBlocked { .. }),
            ]
        ),
        "{answers:?}"
    );
    assert_eq!(engine.metrics.commits.get(), 1, "all in one group");
    drop(engine);
    let store = Certificates::open(&config(directory.path()), StoreMetrics::default()).unwrap();
    // Never checkpointed, as after a crash: the index knew all steps already.
    assert_eq!(store.recovered().frames_replayed, 9);
    let status = store.status();
    assert_eq!((status.revoked, status.blocked_keys), (2, 1));
    assert_eq!(status.pending, 1);
}

#[test]
fn what_a_full_disk_refuses_leaves_nothing_staged() {
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    run(&mut engine, vec![intend(1)]);
    let real = engine.journal.append_to(device("/dev/full"));
    let refused = run(&mut engine, vec![revoke(RevocationReason::Superseded)]);
    assert!(
        matches!(refused[..], [Err(Error::NoSpace { .. })]),
        "{refused:?}"
    );
    engine.journal.append_to(real);
    let hold = RevocationReason::CertificateHold;
    let answers = run(&mut engine, vec![revoke(hold), revoke(hold)]);
    assert!(
        matches!(answers[..], [Ok(Outcome::Done), Ok(Outcome::Already)]),
        "{answers:?}"
    );
}
