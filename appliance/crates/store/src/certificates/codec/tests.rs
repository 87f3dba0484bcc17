//! The payloads' bytes, and bytes that are none.

use model::RevocationReason;
use proptest::prelude::*;

use super::*;
use crate::certificates::crl::CrlScope;
use crate::certificates::revocation::Revocation;
use crate::journal::{FrameHeader, HASH_LEN};

/// Labels a payload as a frame.
fn frame(kind: u16, payload: &[u8]) -> Frame<'_> {
    let header = FrameHeader {
        sequence: 1,
        group: 1,
        time: 0,
        kind,
        version: VERSION,
    };
    Frame {
        header,
        payload,
        hash: [0; HASH_LEN],
    }
}

/// Returns an intent with every field set.
fn intent() -> Intent {
    let time = |second| Timestamp::from_second(second).unwrap();
    Intent {
        serial: "0a0b".parse().unwrap(),
        issuer: IssuerId::new("iss").unwrap(),
        profile: ProfileName::new("tls").unwrap(),
        tbs_der: vec![0x30, 0x00],
        not_before: time(1),
        not_after: time(2),
        subject: "CN=a".to_owned(),
        names: vec!["b".to_owned()],
        public_key_sha256: [0xcc; 32],
        requester: Some(Identity {
            role: Role::Operator,
            name: PeerName::new("eve").unwrap(),
        }),
        request_id: RequestId::new("r1").unwrap(),
        idempotency: Some(Idempotency {
            key: IdempotencyKey::new("k").unwrap(),
            scope: "s".to_owned(),
            fingerprint: [0xdd; 32],
        }),
        recorded_at: time(-1),
    }
}

#[test]
fn version_1_of_an_intent_is_these_bytes() {
    let mut payload = Vec::new();
    encode_intent(&intent(), &mut payload);
    let golden = [
        "020a0b",                       // serial
        "03697373",                     // issuer "iss"
        "03746c73",                     // profile "tls"
        "023000",                       // TBS
        "80897a",                       // not before: 1,000,000 µs
        "8092f401",                     // not after: 2,000,000 µs
        "04434e3d61",                   // subject "CN=a"
        "010162",                       // names ["b"]
        &"cc".repeat(32),               // public key
        "01086f70657261746f7203657665", // requester operator, eve
        "027231",                       // request "r1"
        "01016b0173",                   // idempotency key "k", scope "s"
        &"dd".repeat(32),               // fingerprint
        "ff887a",                       // recorded at: -1,000,000 µs
    ];
    assert_eq!(hex::encode(&payload), golden.concat());
    let event = decode(&frame(INTENT, &payload)).unwrap();
    assert_eq!(event, Event::Intent(Box::new(intent())));
}

#[test]
fn version_1_of_the_outcomes_is_these_bytes() {
    let (serial, at) = ("0a0b".parse().unwrap(), Timestamp::from_second(1).unwrap());
    let mut payload = Vec::new();
    encode_issued(&serial, &[0x30, 0x01], at, &mut payload);
    assert_eq!(hex::encode(&payload), "020a0b02300180897a");
    let mut payload = Vec::new();
    encode_abandoned(&serial, AbandonReason::BadSignature, at, &mut payload);
    assert_eq!(hex::encode(&payload), "020a0b0380897a");
    for why in AbandonReason::ALL {
        payload.clear();
        encode_abandoned(&serial, why, at, &mut payload);
        let event = decode(&frame(ABANDONED, &payload)).unwrap();
        let serial = serial.clone();
        assert_eq!(event, Event::Abandoned { serial, why, at });
    }
}

/// Returns a revocation with every field set.
fn revocation() -> RevocationAct {
    let time = |second| Timestamp::from_second(second).unwrap();
    RevocationAct {
        issuer: IssuerId::new("iss").unwrap(),
        record: Some(9),
        not_after: Some(time(2)),
        revocation: Revocation {
            serial: "0a0b".parse().unwrap(),
            reason: RevocationReason::KeyCompromise,
            revoked_at: time(1),
            invalidity_date: Some(time(-1)),
            requester: intent().requester,
            request_id: RequestId::new("r1").unwrap(),
            recorded_at: time(1),
        },
    }
}

#[test]
fn version_1_of_a_revocation_is_these_bytes() {
    let mut payload = Vec::new();
    encode_revocation(&revocation(), &mut payload);
    let golden = [
        "020a0b",                       // serial
        "03697373",                     // issuer "iss"
        "0109",                         // record 9
        "018092f401",                   // not after: 2,000,000 µs
        "01",                           // keyCompromise
        "80897a",                       // revoked at: 1,000,000 µs
        "01ff887a",                     // invalidity date: -1,000,000 µs
        "01086f70657261746f7203657665", // requester operator, eve
        "027231",                       // request "r1"
        "80897a",                       // recorded at: 1,000,000 µs
    ];
    assert_eq!(hex::encode(&payload), golden.concat());
    let event = decode(&frame(REVOCATION, &payload)).unwrap();
    assert_eq!(event, Event::Revocation(Box::new(revocation())));

    let foreign = RevocationAct {
        record: None,
        not_after: None,
        ..revocation()
    };
    for reason in RevocationReason::ALL {
        let mut act = foreign.clone();
        act.revocation.reason = reason;
        payload.clear();
        encode_revocation(&act, &mut payload);
        assert_eq!(&payload[7..10], [0, 0, reason.code()]);
        let event = decode(&frame(REVOCATION, &payload)).unwrap();
        assert_eq!(event, Event::Revocation(Box::new(act)));
    }
    payload[9] = 7; // not a reason
    assert!(decode(&frame(REVOCATION, &payload)).is_err());
}

#[test]
fn version_1_of_a_blocked_key_is_these_bytes() {
    let key = BlockedKey {
        public_key_sha256: [0xcc; 32],
        requester: None,
        request_id: RequestId::new("r1").unwrap(),
        recorded_at: Timestamp::from_second(1).unwrap(),
    };
    let mut payload = Vec::new();
    encode_blocked(&key, &mut payload);
    let golden = format!("{}0002723180897a", "cc".repeat(32));
    assert_eq!(hex::encode(&payload), golden);
    let event = decode(&frame(KEY_BLOCKED, &payload)).unwrap();
    assert_eq!(event, Event::KeyBlocked(Box::new(key)));
}

#[test]
fn version_1_of_a_crl_is_these_bytes() {
    let time = |second| Timestamp::from_second(second).unwrap();
    let crl = CrlRecord {
        issuer: IssuerId::new("iss").unwrap(),
        scope: CrlScope::Shard(3),
        number: 300,
        base: Some(2),
        through: 77,
        entries: 5,
        this_update: time(1),
        next_update: time(2),
        tbs_sha256: [0xcc; 32],
        recorded_at: time(-1),
    };
    let mut payload = Vec::new();
    encode_crl(&crl, &mut payload);
    let golden = [
        "03697373",       // issuer "iss"
        "0103",           // shard 3
        "ac02",           // number 300
        "0102",           // delta to 2
        "4d",             // through act 77
        "05",             // entries
        "80897a",         // this update: 1,000,000 µs
        "8092f401",       // next update: 2,000,000 µs
        &"cc".repeat(32), // SHA-256 of the TBS
        "ff887a",         // recorded at: -1,000,000 µs
    ];
    assert_eq!(hex::encode(&payload), golden.concat());
    let event = decode(&frame(CRL, &payload)).unwrap();
    assert_eq!(event, Event::Crl(Box::new(crl.clone())));
    let whole = CrlRecord {
        scope: CrlScope::Whole,
        base: None,
        ..crl
    };
    payload.clear();
    encode_crl(&whole, &mut payload);
    let event = decode(&frame(CRL, &payload)).unwrap();
    assert_eq!(event, Event::Crl(Box::new(whole)));
}

#[test]
fn version_1_of_a_certificate_timestamp_is_these_bytes() {
    let record = TimestampRecord {
        serial: "0a0b".parse().unwrap(),
        issuer: IssuerId::new("iss").unwrap(),
        log_id: [0xcc; 32],
        timestamp_ms: 300,
        tbs_der: vec![0x30, 0x00],
        recorded_at: Timestamp::from_second(1).unwrap(),
    };
    let mut payload = Vec::new();
    encode_timestamp(&record, &mut payload);
    let golden = [
        "020a0b",         // serial
        "03697373",       // issuer "iss"
        &"cc".repeat(32), // the log
        "ac02",           // 300 ms
        "023000",         // TBS
        "80897a",         // recorded at: 1,000,000 µs
    ];
    assert_eq!(hex::encode(&payload), golden.concat());
    let event = decode(&frame(TIMESTAMP, &payload)).unwrap();
    assert_eq!(event, Event::Timestamp(Box::new(record)));
}

#[test]
fn other_kinds_versions_and_trailing_bytes_are_unreadable() {
    let mut payload = Vec::new();
    encode_intent(&intent(), &mut payload);
    assert!(decode(&frame(8, &payload)).is_err());
    let mut newer = frame(INTENT, &payload);
    newer.header.version = 2;
    assert!(matches!(
        decode(&newer),
        Err(Error::UnreadableRecord { version: 2, .. })
    ));
    payload.push(0);
    assert!(decode(&frame(INTENT, &payload)).is_err());
}

proptest! {
    #[test]
    fn no_payload_panics(kind in 0..9_u16, payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&frame(kind, &payload));
    }

    #[test]
    fn no_damaged_payload_panics(
        kind in prop::sample::select(vec![INTENT, REVOCATION]),
        at: prop::sample::Index,
        value: u8,
        cut: prop::sample::Index,
    ) {
        let mut payload = Vec::new();
        match kind {
            INTENT => encode_intent(&intent(), &mut payload),
            _ => encode_revocation(&revocation(), &mut payload),
        }
        let at = at.index(payload.len());
        payload[at] = value;
        payload.truncate(cut.index(payload.len() + 1));
        let _ = decode(&frame(kind, &payload));
    }
}
