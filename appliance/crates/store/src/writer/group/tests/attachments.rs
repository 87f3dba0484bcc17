//! Acts that bring frames before their own.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use model::signing::{ArtifactDigest, MediaType, SignatureId, SignerLabel, SigningProfileName};

use super::*;
use crate::blobs::Blobs;
use crate::journal::walk;
use crate::signing::{
    Act as SigningAct, Document, DocumentKind, NewSignature, Outcome as SigningOutcome,
    SigningLedger, SigningOptions, SigningRecords, SigningStore, SigningStoreMetrics,
};

/// Assembles an engine that this test runs itself.
fn engine(directory: &Path) -> Engine<SigningLedger> {
    let (engine, _) = assemble(
        StoreDirectory::lock(directory).unwrap(),
        &config(directory),
        StoreMetrics::default(),
        |sources| {
            let (options, metrics) = (SigningOptions::default(), SigningStoreMetrics::default());
            SigningLedger::new(sources, Arc::default(), options, metrics)
        },
        SigningLedger::count_open,
    )
    .unwrap();
    engine
}

/// Returns a signature's name.
fn id(number: u8) -> SignatureId {
    SignatureId::from_octets([number; 16])
}

/// Returns an act with documents of these lengths, each of another octet.
fn begin(number: u8, documents: &[(u8, usize)]) -> SigningAct {
    let kinds = [
        DocumentKind::Sbom,
        DocumentKind::Provenance,
        DocumentKind::Vsa,
    ];
    let documents = kinds
        .into_iter()
        .zip(documents)
        .map(|(kind, (octet, len))| {
            let media_type = MediaType::new("a/b").unwrap();
            (kind, Document::new(media_type, vec![*octet; *len].into()))
        });
    SigningAct::Begin(Box::new(NewSignature {
        id: id(number),
        signer: SignerLabel::new("signer/a").unwrap(),
        idempotency: None,
        profile: SigningProfileName::new("p").unwrap(),
        request_id: RequestId::new("r").unwrap(),
        digests: vec![ArtifactDigest::sha256([number; 32])],
        name: None,
        media_type: None,
        builder: None,
        verdict_json: Bytes::new(),
        facts_json: Bytes::new(),
        to_be_signed: Vec::new(),
        documents: documents.collect::<BTreeMap<_, _>>(),
        room: 0,
        at: Timestamp::UNIX_EPOCH,
    }))
}

/// Has a group of acts done and returns their answers.
fn run(
    engine: &mut Engine<SigningLedger>,
    acts: Vec<SigningAct>,
) -> Vec<Result<SigningOutcome, Error>> {
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

/// Returns kind, segment and first frame of the commit of every frame.
fn frames(directory: &Path) -> Vec<(u16, u32, u64)> {
    let mut frames = Vec::new();
    walk(&directory.join("journal"), None, |frame, place| {
        frames.push((frame.header.kind, place.segment, frame.header.group));
        Ok(())
    })
    .unwrap();
    frames
}

/// Checks that a signature's documents have these octets and lengths.
fn check(directory: &Path, number: u8, documents: &[(u8, usize)]) {
    let options = SigningOptions::default();
    let metrics = SigningStoreMetrics::default();
    let store = SigningRecords::open(&config(directory), options, metrics).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let record = store.signature(&id(number)).await.unwrap().unwrap();
        assert_eq!(record.documents.len(), documents.len());
        for (kind, (octet, len)) in record.documents.keys().zip(documents) {
            let stored = store.document(&id(number), *kind).await.unwrap().unwrap();
            let read = stored.content.read(u64::MAX).await.unwrap();
            assert!(read == vec![*octet; *len], "{kind}");
        }
    });
}

#[test]
fn attachments_lie_before_what_names_them_and_once_in_a_group() {
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    let acts = vec![
        begin(1, &[(1, 100_000), (2, 50)]),
        begin(2, &[(1, 100_000), (3, 50)]),
        begin(1, &[(9, 100_000)]),
    ];
    let answers = run(&mut engine, acts);
    assert!(
        matches!(answers[..], [Ok(Ok(_)), Ok(Ok(_)), Ok(Err(_))]),
        "{answers:?}"
    );
    assert_eq!(engine.metrics.commits.get(), 1, "all in one group");
    drop(engine);
    // Long, short, request; short, request; nothing of what was refused.
    let kinds: Vec<_> = frames(directory.path()).iter().map(|own| own.0).collect();
    assert_eq!(kinds, [32, 32, 33, 32, 33]);
    check(directory.path(), 2, &[(1, 100_000), (3, 50)]);
}

#[test]
fn an_act_may_end_its_segment_and_its_group_between_its_frames() {
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    // Segments of 1 MiB: two documents of 500 KiB fill one, three do not fit.
    let large = [(1, 500_000), (2, 500_000), (3, 500_000)];
    let acts = vec![begin(1, &[(7, 100)]), begin(2, &large), begin(3, &large)];
    let answers = run(&mut engine, acts);
    assert!(
        answers.iter().all(|own| matches!(own, Ok(Ok(_)))),
        "{answers:?}"
    );
    drop(engine);
    let found = frames(directory.path());
    let kinds: Vec<_> = found.iter().map(|own| own.0).collect();
    assert_eq!(kinds, [32, 33, 32, 32, 32, 33, 33], "each document once");
    assert_eq!(found.last().unwrap().1, 2, "segments");
    check(directory.path(), 1, &[(7, 100)]);
    check(directory.path(), 2, &large);
    check(directory.path(), 3, &large);
}

#[test]
fn a_disk_that_fills_between_an_acts_frames_refuses_it_and_recovers() {
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    let large = [(1, 500_000), (2, 500_000), (3, 500_000)];
    let real = engine.journal.append_to(device("/dev/full"));
    let refused = run(&mut engine, vec![begin(1, &[(7, 100)]), begin(2, &large)]);
    let full = |own: &Result<SigningOutcome, Error>| matches!(own, Err(Error::NoSpace { .. }));
    assert!(refused.iter().all(full), "{refused:?}");
    engine.journal.append_to(real);
    engine.tidy();
    let taken = run(&mut engine, vec![begin(2, &large), begin(1, &[(7, 100)])]);
    assert!(
        taken.iter().all(|own| matches!(own, Ok(Ok(_)))),
        "{taken:?}"
    );
    drop(engine);
    check(directory.path(), 2, &large);
    check(directory.path(), 1, &[(7, 100)]);
}

#[test]
fn a_file_stays_where_its_record_may_be_on_disk_and_goes_where_it_is_not() {
    for (broken, stays) in [("/dev/full", false), ("/dev/null", true)] {
        let directory = tempdir().unwrap();
        let mut engine = engine(directory.path());
        let (blobs, _) = Blobs::open(directory.path(), 0, u64::MAX, HashMap::new()).unwrap();
        let mut incoming = blobs.receive(u64::MAX).unwrap();
        incoming.write(&[7; 1000]).unwrap();
        let blob = incoming.finish().unwrap();
        let file = directory
            .path()
            .join("blobs")
            .join(hex::encode(blob.sha256()));
        let document = Document::from_blob(MediaType::new("a/b").unwrap(), blob);
        let mut act = begin(1, &[]);
        if let SigningAct::Begin(new) = &mut act {
            new.documents.insert(DocumentKind::Sbom, document);
        }
        // One takes no write, the other every write and no sync.
        let real = engine.journal.append_to(device(broken));
        let refused = run(&mut engine, vec![act]);
        assert!(matches!(refused[..], [Err(_)]), "{refused:?}");
        assert_eq!(file.exists(), stays, "{broken}");
        engine.journal.append_to(real);
    }
}

#[test]
fn documents_without_their_record_change_nothing_and_are_found_again() {
    let directory = tempdir().unwrap();
    let mut engine = engine(directory.path());
    let documents = [(1, 300_000), (2, 300_000)];
    assert!(matches!(
        run(&mut engine, vec![begin(1, &documents)])[..],
        [Ok(Ok(_))]
    ));
    drop(engine);
    // The request's frame is torn off; its documents were written before it.
    let segment = directory.path().join("journal/00000001.segment");
    let mut journal = std::fs::read(&segment).unwrap();
    let end = journal.iter().rposition(|octet| *octet != 0).unwrap();
    journal[end - 100..=end].fill(0);
    std::fs::write(&segment, journal).unwrap();
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();

    let mut engine = self::engine(directory.path());
    assert_eq!(engine.ledger.count_open(), 0);
    let answers = run(&mut engine, vec![begin(1, &documents)]);
    assert!(matches!(answers[..], [Ok(Ok(_))]), "{answers:?}");
    drop(engine);
    let kinds: Vec<_> = frames(directory.path()).iter().map(|own| own.0).collect();
    assert_eq!(kinds, [32, 32, 33], "the documents were there");
    check(directory.path(), 1, &documents);
}
