//! What is on disk stays readable, and hostile bytes are only refused.

use model::signing::{ArtifactDigest, DeliveryId, EventId, MediaType, SignatureId, WithdrawalNote};
use model::{SerialNumber, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::journal::FrameHeader;
use crate::signing::document::{Document, DocumentKind, Documents};
use crate::signing::queue::{Attempt, EventOutcome};
use crate::signing::record::{
    LogCheckpoint, NewTimestamp, SignatureAbandonReason, SignatureState, TimestampIntent,
};
use crate::signing::tests as given;

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

/// Gives records with every field and state there is to `take`.
fn with_records<T>(take: impl FnOnce(&[Record<'_>]) -> T) -> T {
    let id = given::signature_id(1);
    let (new, signed, stage) = (given::new_signature(1), given::signed(1), given::stage(1));
    let mut withdrawal = given::withdrawal(2);
    withdrawal.note = Some(WithdrawalNote::new("a note").unwrap());
    let timestamp = NewTimestamp {
        requester: Some(given::signer("ci-1")),
        request_id: Some(model::RequestId::new("r").unwrap()),
        ..given::new_timestamp(1)
    };
    let checkpoint = LogCheckpoint {
        size: 1,
        root: [4; 32],
        note: "note\n".into(),
        at: given::at(1),
    };
    let (event, delivery) = (given::new_event(1), given::new_delivery(1));
    let done = EventOutcome::Done {
        signature: Some(id),
        detail_json: bytes::Bytes::from_static(b"{}"),
    };
    let failed = EventOutcome::Failed { error: "no".into() };
    let (event_id, delivery_id) = (given::event_id(1), given::delivery_id(1));
    let attempts = [
        Attempt::Delivered { status: 204 },
        Attempt::Retry {
            due: given::at(9),
            error: "503".into(),
        },
        Attempt::Dead {
            error: "410".into(),
        },
    ];
    let mut records = vec![
        Record::Request((&new).into()),
        Record::Stage(StageV1::new(&id, Some(&(3..5)))),
        Record::Outcome(OutcomeV1::signed(&id, &signed, Some(&(3..5)))),
        Record::Outcome(OutcomeV1::abandoned(
            &id,
            SignatureAbandonReason::Interrupted,
            given::at(1),
        )),
        Record::Withdrawal(WithdrawalV1::new(&id, &withdrawal)),
        Record::Timestamp((&timestamp).into()),
        Record::Timestamp(TimestampV1::of_signature(
            &id,
            &stage.timestamps[0],
            given::at(1),
        )),
        Record::Leaf(7, b"leaf"),
        Record::Checkpoint((&checkpoint).into()),
        Record::Event((&event).into()),
        Record::EventProgress(EventProgressV1::retry(
            &event_id,
            1,
            given::at(5),
            "error",
            given::at(1),
        )),
        Record::EventProgress(EventProgressV1::finish(&event_id, 2, &done, given::at(1))),
        Record::EventProgress(EventProgressV1::finish(&event_id, 2, &failed, given::at(1))),
        Record::Delivery((&delivery).into()),
        Record::DeliveryProgress(DeliveryProgressV1::resend(
            &delivery_id,
            given::at(1),
            given::at(0),
        )),
        Record::Document([9; 32], b"document"),
    ];
    for attempt in &attempts {
        records.push(Record::DeliveryProgress(DeliveryProgressV1::attempt(
            &delivery_id,
            (3, 1),
            attempt,
            given::at(1),
        )));
    }
    take(&records)
}

#[test]
fn every_record_is_read_as_written() {
    with_records(|records| {
        for (kind, code) in Kind::CODES {
            let mut payload = Vec::new();
            encode(records, &mut payload);
            let frame = frame(code, VERSION, &payload);
            let (found, decoded) = decode(&frame).unwrap();
            assert_eq!(found, kind);
            assert_eq!(decoded, records);
            for (part, record) in (0..).zip(records) {
                assert_eq!(decode_part(&frame, part).unwrap(), *record);
            }
            assert!(decode_part(&frame, 999).is_err());
        }
    });
}

#[test]
fn every_reason_and_kind_is_numbered_once() {
    let kinds = DocumentKind::CODES.map(|(kind, code)| (DocumentKind::of(code), kind.code()));
    for ((kind, code), found) in DocumentKind::CODES.iter().zip(kinds) {
        assert_eq!(found, (Some(*kind), *code));
    }
    for (reason, code) in SignatureAbandonReason::CODES {
        let mut record = with_records(|records| match &records[0] {
            Record::Request(_) => {
                let new = given::new_signature(1);
                RequestV1::from(&new).read().unwrap()
            }
            other => panic!("{other:?}"),
        });
        let own = OutcomeV1::abandoned(&record.id.clone(), reason, given::at(3));
        assert_eq!(own.code(), ABANDONED, "{code}");
        own.complete(&mut record).unwrap();
        let at = given::at(3);
        assert_eq!(record.state, SignatureState::Abandoned { at, reason });
    }
}

/// Returns a time of so many microseconds.
fn micros(number: i64) -> Timestamp {
    Timestamp::from_microsecond(number).unwrap()
}

/// Returns hexadecimal of a payload of one record.
fn encoded(record: Record<'_>) -> String {
    let mut payload = Vec::new();
    encode(&[record], &mut payload);
    hex::encode(payload)
}

#[test]
fn version_1_of_a_request_is_these_bytes() {
    let media_type = MediaType::new("a/b").unwrap();
    let new = crate::signing::NewSignature {
        id: SignatureId::from_octets([0x0d; 16]),
        signer: model::signing::SignerLabel::new("signer/a").unwrap(),
        idempotency: Some((model::IdempotencyKey::new("k").unwrap(), [0x11; 32])),
        profile: model::signing::SigningProfileName::new("p").unwrap(),
        request_id: model::RequestId::new("r").unwrap(),
        digests: vec![ArtifactDigest::sha256([0x22; 32])],
        name: Some(model::signing::ArtifactName::new("n").unwrap()),
        media_type: None,
        builder: Some("b".into()),
        verdict_json: bytes::Bytes::from_static(b"{}"),
        facts_json: bytes::Bytes::new(),
        to_be_signed: vec![crate::signing::ToBeSigned {
            label: "l".into(),
            key: "k".into(),
            content: crate::signing::Intended::Octets(bytes::Bytes::from_static(b"x")),
        }],
        documents: Documents::from([(
            DocumentKind::Sbom,
            Document::new(media_type, bytes::Bytes::new()),
        )]),
        room: 300,
        at: micros(1),
    };
    let golden = [
        "01",                               // one record
        "01",                               // a request
        "a101",                             // of 161 octets
        &"0d".repeat(16),                   // its name
        "087369676e65722f61",               // signer/a
        "01016b",                           // idempotency key
        &"11".repeat(32),                   // digest of the request
        "0170",                             // profile
        "0172",                             // request
        "010120",                           // one digest: SHA-256 of 32 octets
        &"22".repeat(32),                   //
        "01016e",                           // name
        "00",                               // no media type
        "010162",                           // builder
        "027b7d",                           // verdict
        "00",                               // no facts
        "01016c016b010178",                 // one thing to be signed: octets
        "010503612f62",                     // one document: SBOM, a/b
        "e3b0c44298fc1c149afbf4c8996fb924", //
        "27ae41e4649b934ca495991b7852b855", // its SHA-256
        "0000",                             // its length, in the journal
        "ac02",                             // room
        "02",                               // begun at 1 µs
    ];
    assert_eq!(encoded(Record::Request((&new).into())), golden.concat());
}

#[test]
fn version_1_of_other_records_is_these_bytes() {
    let id = SignatureId::from_octets([0x0d; 16]);
    let name = "0d".repeat(16);
    let documents = Documents::from([(
        DocumentKind::Attestations,
        Document::lines(
            MediaType::new("a/b").unwrap(),
            &[(DocumentKind::Vsa, b""), (DocumentKind::Sbom, b"")],
        ),
    )]);
    let signed = crate::signing::Signed {
        documents,
        answer_json: bytes::Bytes::from_static(b"{}"),
        deliveries: Vec::new(),
        at: micros(-1),
    };
    let lf_lf = "75a11da44c802486bc6f65640aa48a730f0f684c5c07a42ba3cd1735eb3fb070";
    assert_eq!(
        encoded(Record::Outcome(OutcomeV1::signed(
            &id,
            &signed,
            Some(&(5..6))
        ))),
        // Attestations of VSA and SBOM, two octets long; leaf 5, one.
        [
            "010343",
            &name,
            "01",
            "00",
            "010a03612f62",
            lf_lf,
            "0202020b05",
            "027b7d",
            "010501"
        ]
        .concat()
    );
    let interrupted = OutcomeV1::abandoned(&id, SignatureAbandonReason::Interrupted, micros(1));
    assert_eq!(
        encoded(Record::Outcome(interrupted)),
        ["010313", &name, "02", "01", "04"].concat()
    );
    assert_eq!(
        encoded(Record::Stage(StageV1::new(&id, None))),
        ["010211", &name, "00"].concat()
    );
    let intent = TimestampIntent {
        label: "a".into(),
        serial: SerialNumber::from_unsigned(&[1, 2]).unwrap(),
        tst_info_der: bytes::Bytes::from_static(b"0\0"),
    };
    assert_eq!(
        encoded(Record::Timestamp(TimestampV1::of_signature(
            &id,
            &intent,
            micros(1)
        ))),
        // Serial number, TSTInfo, of a signature's "a".
        ["01051a", "020102", "023000", "00", &name, "0161", "02"].concat()
    );
    assert_eq!(
        encoded(Record::Leaf(7, b"leaf")),
        "01060c00000000000000076c656166"
    );
    assert_eq!(
        encoded(Record::Document([9; 32], b"x")),
        ["010c21", &"09".repeat(32), "78"].concat()
    );
    let event = EventId::from_octets([0x0d; 16]);
    let retry = EventProgressV1::retry(&event, 2, micros(2), "e", micros(1));
    assert_eq!(
        encoded(Record::EventProgress(retry)),
        // Two attempts, at 1 µs; waits until 2 µs after "e".
        ["010916", &name, "02", "02", "00", "04", "0165"].concat()
    );
    let delivery = DeliveryId::from_octets([0x0d; 16]);
    let attempt = Attempt::Delivered { status: 200 };
    let taken = DeliveryProgressV1::attempt(&delivery, (1, 1), &attempt, micros(2));
    assert_eq!(
        encoded(Record::DeliveryProgress(taken)),
        // One attempt, counted since 1 µs, at 2 µs; taken with 200.
        ["010b16", &name, "01", "02", "04", "01", "c801"].concat()
    );
}

#[test]
fn other_kinds_versions_and_lengths_are_unreadable() {
    let mut payload = Vec::new();
    with_records(|records| encode(records, &mut payload));
    for (kind, version) in [(31, 1), (45, 1), (33, 2), (33, 0)] {
        let frame = frame(kind, version, &payload);
        assert!(decode(&frame).is_err(), "{kind} {version}");
        assert!(decode_part(&frame, 0).is_err(), "{kind} {version}");
    }
    let longer = [&payload[..], &[0]].concat();
    assert!(decode(&frame(33, 1, &longer)).is_err());
    for end in 0..payload.len() {
        assert!(decode(&frame(33, 1, &payload[..end])).is_err(), "{end}");
    }
}

/// Reads a frame and everything in it as callers get it.
fn read(frame: &Frame<'_>) {
    let Ok((_, records)) = decode(frame) else {
        return;
    };
    let mut signature = RequestV1::from(&given::new_signature(1)).read().unwrap();
    let mut event = EventV1::from(&given::new_event(1)).read().unwrap();
    let mut delivery = DeliveryV1::from(&given::new_delivery(1)).read().unwrap();
    for record in records {
        match record {
            Record::Request(own) => drop(own.read()),
            Record::Stage(own) => drop(own.range()),
            Record::Outcome(own) => drop(own.complete(&mut signature)),
            Record::Withdrawal(own) => drop(own.read()),
            Record::Timestamp(own) => drop(own.read()),
            Record::Checkpoint(own) => drop(own.read()),
            Record::Event(own) => drop(own.read()),
            Record::EventProgress(own) => drop(own.progress(&mut event)),
            Record::Delivery(own) => drop(own.read()),
            Record::DeliveryProgress(own) => drop(own.progress(&mut delivery)),
            Record::Leaf(..) | Record::Document(..) => {}
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), part in 0..4_u16) {
        read(&frame(33, 1, &bytes));
        let _ = decode_part(&frame(33, 1, &bytes), part);
    }

    #[test]
    fn no_change_of_an_octet_panics(at in any::<prop::sample::Index>(), octet: u8) {
        let mut payload = Vec::new();
        with_records(|records| encode(records, &mut payload));
        let place = at.index(payload.len());
        payload[place] = octet;
        read(&frame(33, 1, &payload));
    }
}
