//! What is on disk stays readable, and hostile bytes are only refused.

use model::acme::{
    AuthorizationState, ChallengeKind, ChallengeState, Failure, FailurePart, Identifier, OrderState,
};
use proptest::prelude::*;

use super::*;
use crate::acme::record::{Challenge, EabKeyState};
use crate::acme::tests as given;
use crate::journal::FrameHeader;

/// Wraps a payload in a frame.
fn frame(kind: u16, version: u16, payload: &[u8]) -> Frame<'_> {
    Frame {
        header: FrameHeader {
            sequence: 1,
            group: 1,
            time: 0,
            kind,
            version,
        },
        payload,
        hash: [0; 32],
    }
}

/// Returns records with every field and state there is.
fn records() -> Vec<Record> {
    let error = Failure {
        subproblems: vec![FailurePart {
            kind: "caa".into(),
            detail: "forbidden".into(),
            identifier: Some(Identifier::Ip([0x20; 16].into())),
        }],
        ..Failure::new("compound", "two").about(Identifier::Ip([192, 0, 2, 1].into()))
    };
    let order = given::order(1);
    let states = [
        OrderState::Pending,
        OrderState::Ready,
        OrderState::Processing(given::finalization(1, 2)),
        OrderState::Valid(given::certificate(3, 1, 2)),
        OrderState::Invalid {
            error: error.clone(),
        },
    ];
    let mut records: Vec<Record> = states
        .into_iter()
        .map(|state| {
            let order = Order {
                state,
                replaces: Some(given::certificate_id(4)),
                not_before: Some(given::at(1)),
                ..order.clone()
            };
            Record::Order(Arc::new(order))
        })
        .collect();
    let challenges = [
        (ChallengeKind::Http01, ChallengeState::Pending),
        (
            ChallengeKind::Dns01,
            ChallengeState::Processing {
                since: given::at(1),
                attempts: 2,
                error: Some(error.clone()),
            },
        ),
        (
            ChallengeKind::TlsAlpn01,
            ChallengeState::Valid { at: given::at(2) },
        ),
        (
            ChallengeKind::DnsAccount01,
            ChallengeState::Invalid { error },
        ),
        (
            ChallengeKind::DeviceAttest01,
            ChallengeState::Processing {
                since: given::at(1),
                attempts: 0,
                error: None,
            },
        ),
    ];
    for state in AuthorizationState::ALL {
        let authorization = Authorization {
            id: given::authorization_id(1, 0),
            account: given::account_id(1),
            order: Some(given::order_id(1)),
            identifier: given::name(1, 0),
            wildcard: true,
            state,
            token: "token".into(),
            challenges: challenges
                .iter()
                .cloned()
                .map(|(kind, state)| Challenge { kind, state })
                .collect(),
            created_at: given::at(0),
            expires_at: given::at(9),
            attested_key: None,
        };
        records.push(Record::Authorization(Arc::new(authorization)));
    }
    records.push(Record::Authorization(Arc::new(attested())));
    for state in [
        EabKeyState::Unused,
        EabKeyState::Bound {
            account: given::account_id(1),
            at: given::at(3),
        },
        EabKeyState::Revoked,
    ] {
        let key = EabKey {
            state,
            ..given::eab_key("printers-1")
        };
        records.push(Record::EabKey(Arc::new(key)));
    }
    records
}

/// Returns an authorization of a device that attested a key.
fn attested() -> Authorization {
    Authorization {
        id: model::acme::AuthorizationId::from_octets([0xbb; 16]),
        account: model::acme::AccountId::from_octets([0xaa; 16]),
        order: None,
        identifier: Identifier::permanent("C02X/1.2.3").unwrap(),
        wildcard: false,
        state: AuthorizationState::Valid,
        token: "t".into(),
        challenges: vec![Challenge {
            kind: ChallengeKind::DeviceAttest01,
            state: ChallengeState::Valid {
                at: Timestamp::from_microsecond(1).unwrap(),
            },
        }],
        created_at: Timestamp::from_microsecond(1).unwrap(),
        expires_at: Timestamp::from_microsecond(-1).unwrap(),
        attested_key: Some([0xcc; 32]),
    }
}

#[test]
fn every_record_is_read_as_written() {
    let records = records();
    for (kind, code) in Kind::CODES {
        let mut payload = Vec::new();
        encode(&records, &mut payload);
        let frame = frame(code, VERSION, &payload);
        assert_eq!(decode(&frame).unwrap(), (kind, records.clone()));
        for (part, record) in (0..).zip(&records) {
            assert_eq!(decode_part(&frame, part).unwrap(), *record);
        }
        assert!(decode_part(&frame, 999).is_err());
    }
}

#[test]
fn version_1_is_these_bytes() {
    let order = Order {
        account: model::acme::AccountId::from_octets([0xaa; 16]),
        id: model::acme::OrderId::from_octets([0x0d; 16]),
        authorizations: vec![model::acme::AuthorizationId::from_octets([0xbb; 16])],
        identifiers: vec![Identifier::dns("a.example").unwrap()],
        created_at: Timestamp::from_microsecond(1).unwrap(),
        expires_at: Timestamp::from_microsecond(-1).unwrap(),
        ..given::order(1)
    };
    let mut payload = Vec::new();
    encode(&[Record::Order(Arc::new(order))], &mut payload);
    let golden = [
        "01",                       // one record
        "03",                       // an order
        "44",                       // of 68 octets
        &"0d".repeat(16),           // its name
        &"aa".repeat(16),           // its account
        "00",                       // pending
        "010009612e6578616d706c65", // one identifier: dns, a.example
        "01",                       // one authorization
        &"bb".repeat(16),           //
        "00000000",                 // no profile, no times, replaces nothing
        "02",                       // made at 1 µs
        "01",                       // until -1 µs
    ];
    assert_eq!(hex::encode(&payload), golden.concat());
}

#[test]
fn an_attested_authorization_is_these_bytes() {
    let mut payload = Vec::new();
    encode(&[Record::Authorization(Arc::new(attested()))], &mut payload);
    let golden = [
        "01",                       // one record
        "05",                       // an authorization with its attested key
        "57",                       // of 87 octets
        &"bb".repeat(16),           // its name
        &"aa".repeat(16),           // its account
        "00",                       // no order
        "030a433032582f312e322e33", // permanent identifier C02X/1.2.3
        "00",                       // no wildcard
        "02",                       // valid
        "0174",                     // token t
        "01050202",                 // one challenge: device-attest-01, valid at 1 µs
        "02",                       // made at 1 µs
        "01",                       // until -1 µs
        &"cc".repeat(32),           // SHA-256 of the key
    ];
    assert_eq!(hex::encode(&payload), golden.concat());
}

#[test]
fn other_kinds_versions_and_lengths_are_unreadable() {
    let mut payload = Vec::new();
    encode(&records(), &mut payload);
    for (kind, version) in [(15, 1), (25, 1), (19, 2), (19, 0)] {
        let frame = frame(kind, version, &payload);
        assert!(decode(&frame).is_err(), "{kind} {version}");
        assert!(decode_part(&frame, 0).is_err(), "{kind} {version}");
    }
    let longer = [&payload[..], &[0]].concat();
    assert!(decode(&frame(19, 1, &longer)).is_err());
    for end in 0..payload.len() {
        assert!(decode(&frame(19, 1, &payload[..end])).is_err(), "{end}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), part in 0..4_u16) {
        let _ = decode(&frame(19, 1, &bytes));
        let _ = decode_part(&frame(19, 1, &bytes), part);
    }

    #[test]
    fn no_change_of_an_octet_panics(at in any::<prop::sample::Index>(), octet: u8) {
        let mut payload = Vec::new();
        encode(&records(), &mut payload);
        let place = at.index(payload.len());
        payload[place] = octet;
        let _ = decode(&frame(19, 1, &payload));
    }
}
