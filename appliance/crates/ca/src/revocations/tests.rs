//! What memory tells after which records, and what goes on which CRL.

use pki::crl::{Crl, CrlNumber, CrlPlan};
use pki::issuer::IssuerFacts;

use super::*;

/// The authority.
fn issuer() -> IssuerId {
    IssuerId::new("issuing").unwrap()
}

/// A moment, in seconds since 1970.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A record about a serial number.
fn record(serial: u32, sequence: u64, reason: RevocationReason) -> Revoked {
    Revoked {
        serial: SerialNumber::from_unsigned(&serial.to_be_bytes()).unwrap(),
        sequence,
        reason,
        revoked_at: at(1_000),
        invalidity_date: None,
        not_after: Some(at(5_000)),
    }
}

/// Memory with some records; as many partitions as there are shards.
fn memory(partitions: u32, records: &[Revoked]) -> Arc<Revocations> {
    let memory = Arc::new(Revocations::empty([issuer()], partitions));
    memory.apply(&issuer(), records);
    memory
}

/// Lists serial numbers and reasons on a CRL.
fn listed(
    memory: &Revocations,
    selection: &Selection,
    kept: &Kept,
) -> Vec<(u64, RevocationReason)> {
    let snapshot = memory.snapshot(&issuer(), selection, kept);
    let key = pki_key();
    let plan = CrlPlan::full(CrlNumber::from(1_u64), at(2_000), at(9_000));
    let planned = plan.encode(&key, snapshot.der()).unwrap();
    // A signature of zeros reads as well as any.
    let mut content = planned.tbs_der().to_vec();
    let algorithm = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    content.extend(algorithm);
    content.extend([3, 2, 0, 0]);
    let mut der = vec![0x30, 0x84];
    der.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
    let header = minimal_header(content.len());
    der.clear();
    der.extend(header);
    der.extend(content);
    let crl = Crl::parse(&der).unwrap();
    assert_eq!(crl.len() as u64, snapshot.entries);
    let mut listed: Vec<_> = crl
        .entries()
        .map(|entry| {
            let number = entry
                .serial_octets()
                .iter()
                .fold(0, |value, octet| value << 8 | u64::from(*octet));
            (number, entry.reason())
        })
        .collect();
    listed.sort_by_key(|(serial, _)| *serial);
    listed
}

/// The header of a SEQUENCE.
fn minimal_header(len: usize) -> Vec<u8> {
    match len {
        0..=0x7f => vec![0x30, len as u8],
        0x80..=0xff => vec![0x30, 0x81, len as u8],
        _ => vec![0x30, 0x82, (len >> 8) as u8, len as u8],
    }
}

/// An authority with a key that is nobody's.
fn pki_key() -> IssuerFacts {
    let directory = tempfile::tempdir().unwrap();
    let store =
        hsm_keystore::FileStore::open(directory.path(), hsm_keystore::KeyStoreMetrics::default())
            .unwrap();
    let id = hsm_keystore::KeyId::new("key").unwrap();
    let key = hsm_keystore::KeyStore::generate_private_key(
        &store,
        &id,
        hsm_keystore::KeyAlgorithm::EcP256,
    )
    .unwrap();
    let public = pki::public_key::PublicKey::from_spki_der(key.public_key_der()).unwrap();
    let subject = "CN=Test".parse().unwrap();
    let scheme = pki::algorithm::SignatureAlgorithm::Ecdsa(pki::algorithm::HashAlgorithm::Sha256);
    IssuerFacts::self_signed(&subject, &public, scheme).unwrap()
}

/// Everything stays.
const ALL: Kept = Kept {
    last: None,
    expired_before: None,
};

use RevocationReason::{CertificateHold, KeyCompromise, RemoveFromCrl, Superseded};

#[test]
fn the_newest_record_counts_in_whatever_order_they_come() {
    let memory = memory(
        1,
        &[record(1, 8, KeyCompromise), record(1, 5, CertificateHold)],
    );
    let serial = record(1, 0, KeyCompromise).serial;
    let found = memory.lookup(&issuer(), &serial).unwrap();
    assert_eq!(found.reason, KeyCompromise);
    assert_eq!(
        listed(&memory, &Selection::Whole, &ALL),
        [(1, KeyCompromise)]
    );
    assert_eq!(memory.newest(&issuer()), 8);
    let other = IssuerId::new("root").unwrap();
    assert_eq!(memory.lookup(&other, &serial), None);
}

#[test]
fn a_released_certificate_is_on_deltas_alone() {
    let memory = memory(
        1,
        &[record(1, 2, CertificateHold), record(2, 3, Superseded)],
    );
    let before = memory.snapshot(&issuer(), &Selection::Whole, &ALL);
    assert_eq!((before.entries, before.through), (2, 3));
    memory.apply(&issuer(), &[record(1, 4, RemoveFromCrl)]);
    assert_eq!(listed(&memory, &Selection::Whole, &ALL), [(2, Superseded)]);
    let since = Selection::Since { through: 3 };
    assert_eq!(listed(&memory, &since, &ALL), [(1, RemoveFromCrl)]);
    // Held again and revoked for good, each takes the place of the one before.
    memory.apply(&issuer(), &[record(1, 5, CertificateHold)]);
    memory.apply(&issuer(), &[record(1, 6, KeyCompromise)]);
    assert_eq!(listed(&memory, &since, &ALL), [(1, KeyCompromise)]);
    assert_eq!(
        listed(&memory, &Selection::Whole, &ALL),
        [(1, KeyCompromise), (2, Superseded)]
    );
}

#[test]
fn an_expired_certificate_leaves_after_it_was_seen_expired() {
    let memory = memory(1, &[record(1, 2, Superseded), record(2, 3, Superseded)]);
    let kept = |this_update, through| Kept {
        last: Some((at(this_update), through)),
        expired_before: Some(at(9_000)),
    };
    let count = |kept: &Kept| listed(&memory, &Selection::Whole, kept).len();
    assert_eq!(count(&ALL), 2);
    assert_eq!(count(&kept(4_999, 3)), 2, "not expired on the last one");
    assert_eq!(count(&kept(5_001, 2)), 1, "the second one was not on it");
    assert_eq!(count(&kept(5_001, 3)), 0);
    let longer = Kept {
        expired_before: Some(at(5_000)),
        ..kept(5_001, 3)
    };
    assert_eq!(count(&longer), 2, "kept longer");
    memory.purge(&issuer(), &kept(5_001, 2));
    assert_eq!(count(&ALL), 1, "gone from memory");
    let serial = record(1, 0, Superseded).serial;
    assert!(memory.lookup(&issuer(), &serial).is_some(), "OCSP knows it");
}

#[test]
fn a_shard_has_what_it_ever_was_told_to_have() {
    let records: Vec<_> = (1..=40)
        .map(|serial| record(serial, u64::from(serial), Superseded))
        .collect();
    let memory = memory(4, &records);
    let shard = |shard, counts: &[u32]| {
        let selection = Selection::Shard {
            shard,
            counts: counts.to_vec(),
        };
        listed(&memory, &selection, &ALL)
            .into_iter()
            .map(|(serial, _)| serial)
            .collect::<Vec<_>>()
    };
    assert_eq!(shard(1, &[4]), [1, 5, 9, 13, 17, 21, 25, 29, 33, 37]);
    assert!((0..4).map(|k| shard(k, &[4]).len()).sum::<usize>() == 40);
    // There were three shards once: certificates of then name theirs.
    let expected: Vec<u64> = (1..=40)
        .filter(|serial| serial % 4 == 1 || serial % 3 == 1)
        .collect();
    assert_eq!(shard(1, &[4, 3]), expected);
    // There were eight: the seventh is on its own place.
    assert_eq!(shard(7, &[4, 8]), [7, 15, 23, 31, 39]);
    let serial = record(23, 0, Superseded).serial;
    assert_eq!((shard_of(&serial, 4), shard_of(&serial, 8)), (3, 7));
}

#[test]
fn a_snapshot_promises_nothing_about_acts_under_way() {
    let memory = memory(1, &[record(1, 2, Superseded)]);
    let through = || memory.snapshot(&issuer(), &Selection::Whole, &ALL).through;
    assert_eq!(through(), 2);
    let first = memory.begin(2);
    let second = memory.begin(2);
    // The second one ends first.
    memory.apply(&issuer(), &[record(3, 4, Superseded)]);
    drop(second);
    assert!(through() < 3, "the record 3 is not here yet");
    memory.apply(&issuer(), &[record(2, 3, Superseded)]);
    drop(first);
    assert_eq!(through(), 4);
}

#[test]
fn changes_wake_and_are_counted() {
    let memory = memory(1, &[]);
    let mut changes = memory.changes();
    changes.mark_unchanged();
    let before = *changes.borrow();
    let now = memory.apply(&issuer(), &[record(1, 1, Superseded)]);
    assert!(changes.has_changed().unwrap());
    assert_eq!((before + 1, *changes.borrow()), (now, now));
}

#[test]
fn many_entries_in_many_portions_are_all_there() {
    let memory = memory(1, &[]);
    let mut expected = Vec::new();
    let mut sequence = 0;
    for portion in [1_u32, 1, 7, 1, 300, 2, 1] {
        for _ in 0..portion {
            sequence += 1;
            let serial = u32::try_from(sequence).unwrap();
            memory.apply(&issuer(), &[record(serial, sequence, Superseded)]);
            expected.push((sequence, Superseded));
        }
        assert_eq!(listed(&memory, &Selection::Whole, &ALL), expected);
    }
}
