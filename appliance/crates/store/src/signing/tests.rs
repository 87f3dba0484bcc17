//! The signing store against real directories.

mod crash;
mod documents;
mod log;
mod model;
mod queues;
mod signatures;
mod space;

use std::path::Path;

use ::model::signing::{
    ArtifactDigest, ArtifactName, DeliveryId, EventId, HashAlgorithm, MediaType, RuleName,
    SenderDeliveryId, SignatureId, SignerLabel, SigningProfileName, WebhookName, WithdrawalReason,
};
use ::model::{IdempotencyKey, RequestId, SerialNumber, Timestamp};
use bytes::Bytes;

use super::document::{Document, DocumentKind, Documents};
use super::queue::{NewDelivery, NewEvent};
use super::record::{
    Begun, Intended, NewSignature, NewTimestamp, NewWithdrawal, SignatureRecord, Signed, Stage,
    TimestampIntent, ToBeSigned,
};
use super::{SigningOptions, SigningRecords, SigningStore, SigningStoreMetrics};
use crate::config::StoreConfig;

/// Returns a small store's configuration.
fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        segment_mib: 1,
        index_cache_mib: 4,
        min_free_mib: 0,
        ..StoreConfig::at(directory)
    }
}

/// Opens a small store.
fn open(directory: &Path) -> SigningRecords {
    SigningRecords::open(
        &config(directory),
        SigningOptions::default(),
        SigningStoreMetrics::default(),
    )
    .unwrap()
}

/// Returns a time.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// Returns random octets that a number stands for.
fn octets(number: u32) -> [u8; 10] {
    let mut octets = [0xab; 10];
    octets[..4].copy_from_slice(&number.to_be_bytes());
    octets
}

/// Returns a signature's name.
pub(crate) fn signature_id(number: u32) -> SignatureId {
    SignatureId::new(at(number.into()), octets(number))
}

/// Returns an event's name.
pub(crate) fn event_id(number: u32) -> EventId {
    EventId::new(at(number.into()), octets(number))
}

/// Returns a delivery's name.
pub(crate) fn delivery_id(number: u32) -> DeliveryId {
    DeliveryId::new(at(number.into()), octets(number))
}

/// Returns an artifact's digest.
fn artifact(number: u32) -> ArtifactDigest {
    let mut digest = [7; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    ArtifactDigest::sha256(digest)
}

/// Returns a serial number.
fn serial(number: u32) -> SerialNumber {
    SerialNumber::from_unsigned(&(u64::from(number) + 1).to_be_bytes()).unwrap()
}

/// Returns a document of some text repeated to a length.
fn document(text: &str, len: usize) -> Document {
    let octets: Vec<u8> = text.bytes().cycle().take(len).collect();
    let media_type = MediaType::new("application/json").unwrap();
    Document::new(media_type, octets.into())
}

/// Returns an SBOM that belongs to a number.
fn sbom(number: u32) -> Document {
    document(&format!("sbom {number} "), 3000)
}

/// Returns who asks.
pub(crate) fn signer(name: &str) -> SignerLabel {
    SignerLabel::new(&format!("signer/{name}")).unwrap()
}

/// Returns a signature to be begun.
pub(crate) fn new_signature(number: u32) -> NewSignature {
    NewSignature {
        id: signature_id(number),
        signer: signer("ci-1"),
        idempotency: Some((
            IdempotencyKey::new(&format!("key-{number}")).unwrap(),
            [1; 32],
        )),
        profile: SigningProfileName::new("releases").unwrap(),
        request_id: RequestId::new("r1").unwrap(),
        digests: vec![
            artifact(number),
            ArtifactDigest::new(HashAlgorithm::Sha512, &[5; 64]).unwrap(),
        ],
        name: Some(ArtifactName::new("app-1.0.tar.gz").unwrap()),
        media_type: Some(MediaType::new("application/gzip").unwrap()),
        builder: Some("https://builder.example/ci".into()),
        verdict_json: Bytes::from_static(br#"{"decision":"allow"}"#),
        facts_json: Bytes::from_static(b"{}"),
        to_be_signed: vec![
            ToBeSigned {
                label: "artifact".into(),
                key: "default".into(),
                content: Intended::Digest(artifact(number)),
            },
            ToBeSigned {
                label: "cms".into(),
                key: "default".into(),
                content: Intended::Octets(Bytes::from_static(b"1\x82attributes")),
            },
        ],
        documents: Documents::from([
            (DocumentKind::Sbom, sbom(number)),
            (
                DocumentKind::Provenance,
                document(&format!("provenance {number} "), 70_000),
            ),
        ]),
        room: 200_000,
        at: at(number.into()),
    }
}

/// Returns a stage with a time-stamp and a leaf.
pub(crate) fn stage(number: u32) -> Stage {
    Stage {
        timestamps: vec![TimestampIntent {
            label: "artifact".into(),
            serial: serial(number),
            tst_info_der: Bytes::from_static(b"0\x03\x02\x01\x01"),
        }],
        leaves: vec![leaf(number)],
        at: at(number.into()),
    }
}

/// Returns a leaf.
fn leaf(number: u32) -> Bytes {
    format!("leaf {number}").into()
}

/// Returns what was signed.
pub(crate) fn signed(number: u32) -> Signed {
    let attestation = document(&format!("attestation {number} "), 100_000);
    let vsa = document(&format!("vsa {number} "), 900);
    let lines = {
        let octets = |document: &Document| document.octets().unwrap().clone();
        let (attestation, vsa) = (octets(&attestation), octets(&vsa));
        Document::lines(
            MediaType::new("application/jsonl").unwrap(),
            &[
                (DocumentKind::SbomAttestation, &attestation),
                (DocumentKind::Vsa, &vsa),
            ],
        )
    };
    Signed {
        documents: Documents::from([
            (DocumentKind::Signature, document(&format!("{number}"), 71)),
            (DocumentKind::Certificate, document("chain", 2000)),
            (DocumentKind::SbomAttestation, attestation),
            (DocumentKind::Vsa, vsa),
            (DocumentKind::Attestations, lines),
        ]),
        answer_json: Bytes::from_static(br#"{"algorithm":"ecdsa"}"#),
        deliveries: vec![new_delivery(number)],
        at: at(number.into()),
    }
}

/// Returns a delivery to be queued.
pub(crate) fn new_delivery(number: u32) -> NewDelivery {
    NewDelivery {
        id: delivery_id(number),
        hook: WebhookName::new("chat").unwrap(),
        event: "signature.created".into(),
        body: format!(r#"{{"number":{number}}}"#).into(),
        due: at(number.into()),
        at: at(number.into()),
    }
}

/// Returns an event that came in.
pub(crate) fn new_event(number: u32) -> NewEvent {
    NewEvent {
        id: event_id(number),
        hook: WebhookName::new("github").unwrap(),
        delivery: SenderDeliveryId::new(&format!("72d3162e-{number}")).unwrap(),
        body_sha256: [number as u8; 32],
        body_unique: false,
        rule: RuleName::new("release").unwrap(),
        work_json: format!(r#"{{"release":{number}}}"#).into(),
        request_id: RequestId::new("r2").unwrap(),
        at: at(number.into()),
    }
}

/// Returns a time-stamp asked for by itself.
pub(crate) fn new_timestamp(number: u32) -> NewTimestamp {
    NewTimestamp {
        serial: serial(number),
        imprint: artifact(number),
        gen_time: at(number.into()),
        tst_info_der: Bytes::from_static(b"0\x03\x02\x01\x02"),
        requester: None,
        request_id: None,
        at: at(number.into()),
    }
}

/// Returns a withdrawal.
pub(crate) fn withdrawal(second: i64) -> NewWithdrawal {
    NewWithdrawal {
        reason: WithdrawalReason::Vulnerable,
        note: None,
        by: signer("ci-1"),
        deliveries: Vec::new(),
        at: at(second),
    }
}

/// Begins a signature.
async fn begin(store: &SigningRecords, number: u32) {
    let begun = store.begin(new_signature(number)).await.unwrap();
    assert!(matches!(begun, Begun::New), "{begun:?}");
}

/// Makes a signature.
async fn make(store: &SigningRecords, number: u32) -> std::sync::Arc<SignatureRecord> {
    begin(store, number).await;
    let id = signature_id(number);
    store.record_stage(&id, stage(number)).await.unwrap();
    store.complete(&id, signed(number)).await.unwrap()
}

/// Reads a whole document.
async fn read(store: &SigningRecords, id: &SignatureId, kind: DocumentKind) -> Bytes {
    let stored = store.document(id, kind).await.unwrap().unwrap();
    let read = stored.content.read(u64::MAX).await.unwrap();
    assert_eq!(read.len() as u64, stored.info.len);
    let own = Document::new(stored.info.media_type.clone(), read.clone());
    assert_eq!(*own.sha256(), stored.info.sha256);
    read
}

/// Runs a future to its end.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
