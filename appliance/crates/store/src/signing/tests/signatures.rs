//! The life of signatures.

use std::sync::Arc;

use ::model::signing::WithdrawalNote;
use tempfile::tempdir;

use super::*;
use crate::journal::verify;
use crate::signing::record::{SearchFilter, SignatureAbandonReason, SignatureState, Withdrawn};
use crate::signing::{SigningStoreError, rebuild};

#[tokio::test]
async fn a_signature_is_read_as_it_was_made_over_restarts_and_rebuilds() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let made = make(&store, 1).await;
    let id = signature_id(1);
    let new = new_signature(1);
    assert_eq!(made.signer, new.signer);
    assert_eq!(made.digests, new.digests);
    assert_eq!(made.name, new.name);
    assert_eq!(made.to_be_signed, new.to_be_signed);
    assert_eq!(made.verdict_json, new.verdict_json);
    assert_eq!(made.documents.len(), 7);
    let SignatureState::Signed { log_index, .. } = &made.state else {
        panic!("{made:?}");
    };
    assert_eq!(*log_index, Some(0..1));
    store.close();

    let store = open(directory.path());
    assert_eq!(store.signature(&id).await.unwrap(), Some(Arc::clone(&made)));
    store.close();
    rebuild(&config(directory.path()), SigningOptions::default()).unwrap();
    let store = open(directory.path());
    assert_eq!(store.signature(&id).await.unwrap(), Some(made));
    for (kind, document) in [new.documents, signed(1).documents].into_iter().flatten() {
        let read = read(&store, &id, kind).await;
        if let Some(octets) = document.octets() {
            assert_eq!(read, *octets, "{kind}");
        }
    }
    let lines = read(&store, &id, DocumentKind::Attestations).await;
    assert_eq!(lines.iter().filter(|octet| **octet == b'\n').count(), 2);
    assert_eq!(lines.len(), 100_000 + 900 + 2);
}

#[tokio::test]
async fn one_idempotency_key_signs_once() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    begin(&store, 1).await;
    let again = |request: u8| {
        let mut new = new_signature(2);
        new.idempotency = new_signature(1).idempotency;
        new.idempotency.as_mut().unwrap().1 = [request; 32];
        new
    };
    let running = store.begin(again(1)).await.unwrap();
    assert!(matches!(running, Begun::Running(id) if id == signature_id(1)));
    let conflict = store.begin(again(2)).await.unwrap();
    assert!(matches!(conflict, Begun::Conflict(id) if id == signature_id(1)));

    store.complete(&signature_id(1), signed(1)).await.unwrap();
    let repeated = store.begin(again(1)).await.unwrap();
    assert!(matches!(repeated, Begun::Repeated(own) if own.id == signature_id(1)));
    let conflict = store.begin(again(2)).await.unwrap();
    assert!(matches!(conflict, Begun::Conflict(_)));
    // Another signer's key of the same name is another key.
    let mut other = again(2);
    other.signer = signer("ci-2");
    assert!(matches!(store.begin(other).await.unwrap(), Begun::New));
}

#[tokio::test]
async fn an_abandoned_request_may_be_made_anew() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    begin(&store, 1).await;
    let id = signature_id(1);
    let reason = SignatureAbandonReason::TokenFailed;
    store.abandon(&id, reason, at(5)).await.unwrap();
    store.abandon(&id, reason, at(6)).await.unwrap();
    let refused = store.complete(&id, signed(1)).await;
    assert!(matches!(
        refused,
        Err(SigningStoreError::NotOpen {
            state: "abandoned",
            ..
        })
    ));
    let record = store.signature(&id).await.unwrap().unwrap();
    let abandoned = SignatureState::Abandoned { at: at(5), reason };
    assert_eq!(record.state, abandoned);

    let mut anew = new_signature(2);
    anew.idempotency = new_signature(1).idempotency;
    assert!(matches!(store.begin(anew).await.unwrap(), Begun::New));
    let found = store.search(SearchFilter::default(), None, 10).await;
    assert!(found.unwrap().items.is_empty(), "none is made");
}

#[tokio::test]
async fn what_was_begun_and_not_ended_is_open_work_after_a_restart() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    begin(&store, 1).await;
    begin(&store, 2).await;
    store
        .record_stage(&signature_id(2), stage(2))
        .await
        .unwrap();
    make(&store, 3).await;
    store.close();

    let store = open(directory.path());
    assert_eq!(store.recovered().open_intents, 2);
    let open_work = store.open_work().await.unwrap();
    let states: Vec<_> = open_work.iter().map(|own| (own.id, &own.state)).collect();
    assert_eq!(
        states,
        [
            (signature_id(1), &SignatureState::Open { staged: false }),
            (signature_id(2), &SignatureState::Open { staged: true }),
        ]
    );
    // The leaves of a stage belong to its signature, restart or not.
    let made = store.complete(&signature_id(2), signed(2)).await.unwrap();
    let SignatureState::Signed { log_index, .. } = &made.state else {
        panic!("{made:?}");
    };
    assert_eq!(*log_index, Some(0..1));
    assert_eq!(store.status().open, 1);
}

#[tokio::test]
async fn a_signature_is_completed_once_and_its_first_answer_stands() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let made = make(&store, 1).await;
    let mut other = signed(1);
    other.answer_json = Bytes::from_static(b"{}");
    other.deliveries = vec![new_delivery(9)];
    let again = store.complete(&signature_id(1), other).await.unwrap();
    assert_eq!(again, made);
    let delivery = store.delivery(&delivery_id(9)).await.unwrap();
    assert_eq!(delivery, None, "the repeat told nobody");
    let late = store.record_stage(&signature_id(1), stage(2)).await;
    assert!(matches!(
        late,
        Err(SigningStoreError::NotOpen {
            state: "signed",
            ..
        })
    ));
    let none = store.complete(&signature_id(7), signed(7)).await;
    assert!(matches!(none, Err(SigningStoreError::NoSignature { .. })));
}

#[tokio::test]
async fn a_stage_is_recorded_once_with_serial_numbers_never_used() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    begin(&store, 1).await;
    begin(&store, 2).await;
    let (first, second) = (signature_id(1), signature_id(2));
    store.record_stage(&first, stage(1)).await.unwrap();
    let again = store.record_stage(&first, stage(3)).await;
    assert!(matches!(again, Err(SigningStoreError::NotOpen { .. })));
    let taken = store.record_stage(&second, stage(1)).await;
    assert!(matches!(taken, Err(SigningStoreError::SerialTaken { .. })));
    let mut twice = stage(4);
    twice.timestamps.push(twice.timestamps[0].clone());
    let taken = store.record_stage(&second, twice).await;
    assert!(matches!(taken, Err(SigningStoreError::SerialTaken { .. })));
    assert_eq!(store.log_size(), 1, "a refused stage adds no leaf");
    store.begin_timestamp(new_timestamp(5)).await.unwrap();
    let taken = store.record_stage(&second, stage(5)).await;
    assert!(matches!(taken, Err(SigningStoreError::SerialTaken { .. })));
    let taken = store.begin_timestamp(new_timestamp(1)).await;
    assert!(matches!(taken, Err(SigningStoreError::SerialTaken { .. })));
    let of_signature = store.timestamp(&serial(1)).await.unwrap().unwrap();
    assert_eq!(
        of_signature.tst_info_der,
        stage(1).timestamps[0].tst_info_der
    );
}

#[tokio::test]
async fn a_signature_is_withdrawn_once_and_stays_readable() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    begin(&store, 1).await;
    let id = signature_id(1);
    let early = store.withdraw(&id, withdrawal(2)).await;
    assert!(matches!(early, Err(SigningStoreError::NotSigned { .. })));
    store.complete(&id, signed(1)).await.unwrap();
    let mut first = withdrawal(3);
    first.note = Some(WithdrawalNote::new("CVE-2026-1").unwrap());
    first.deliveries = vec![new_delivery(2)];
    let withdrawn = store.withdraw(&id, first).await.unwrap();
    let Withdrawn::New(record) = withdrawn else {
        panic!("{withdrawn:?}");
    };
    assert_eq!(record.withdrawal.as_ref().unwrap().at, at(3));
    assert!(store.delivery(&delivery_id(2)).await.unwrap().is_some());
    let again = store.withdraw(&id, withdrawal(4)).await.unwrap();
    let Withdrawn::Repeated(again) = again else {
        panic!("{again:?}");
    };
    assert_eq!(again, record, "the first record stands");
    assert_eq!(store.status().counts.withdrawn, 1);
    let found = store.by_artifact(&artifact(1), None, 10).await.unwrap();
    assert_eq!(found.items, [record]);
}

#[tokio::test]
async fn searches_find_by_every_property_newest_first_page_by_page() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    for number in 1..=6 {
        let mut new = new_signature(number);
        new.signer = signer(if number % 2 == 0 { "even" } else { "odd" });
        new.builder = (number % 3 == 0).then(|| "https://third.example".into());
        new.digests = vec![artifact(number / 4)];
        store.begin(new).await.unwrap();
        let mut own = signed(number);
        own.deliveries.clear();
        store.complete(&signature_id(number), own).await.unwrap();
    }
    let found = async |filter: SearchFilter| {
        let mut numbers = Vec::new();
        let mut after = None;
        loop {
            let page = store.search(filter.clone(), after, 2).await.unwrap();
            assert!(page.items.len() <= 2);
            numbers.extend(page.items.iter().map(|own| own.id));
            match page.next {
                Some(next) => after = Some(next),
                None => break numbers,
            }
        }
    };
    let ids = |numbers: &[u32]| -> Vec<SignatureId> {
        numbers.iter().map(|number| signature_id(*number)).collect()
    };
    let all = SearchFilter::default();
    assert_eq!(found(all.clone()).await, ids(&[6, 5, 4, 3, 2, 1]));
    let odd = SearchFilter {
        signer: Some(signer("odd")),
        ..all.clone()
    };
    assert_eq!(found(odd.clone()).await, ids(&[5, 3, 1]));
    let third = SearchFilter {
        builder: Some("https://third.example".into()),
        ..all.clone()
    };
    assert_eq!(found(third.clone()).await, ids(&[6, 3]));
    let both = SearchFilter {
        builder: third.builder,
        ..odd
    };
    assert_eq!(found(both).await, ids(&[3]));
    let of_artifact = SearchFilter {
        artifact: Some(artifact(0)),
        ..all.clone()
    };
    assert_eq!(found(of_artifact).await, ids(&[3, 2, 1]));
    let since = SearchFilter {
        since: Some(at(5)),
        profile: Some(SigningProfileName::new("releases").unwrap()),
        ..all.clone()
    };
    assert_eq!(found(since).await, ids(&[6, 5]));
    let none = SearchFilter {
        signer: Some(signer("nobody")),
        ..all
    };
    assert!(found(none).await.is_empty());
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_name_and_leaves_nothing() {
    let directory = tempdir().unwrap();
    let store = open(directory.path());
    let long = Bytes::from(vec![b'x'; 64 * 1024 + 1]);
    let mut new = new_signature(1);
    new.verdict_json = long.clone();
    let refused = store.begin(new).await;
    assert!(matches!(
        refused,
        Err(SigningStoreError::TooLong {
            what: "the verdict",
            ..
        })
    ));
    let mut new = new_signature(1);
    new.documents.insert(
        DocumentKind::Attestations,
        Document::lines(
            MediaType::new("a/b").unwrap(),
            &[(DocumentKind::Vsa, b"not there")],
        ),
    );
    let refused = store.begin(new).await;
    assert!(matches!(
        refused,
        Err(SigningStoreError::NoLine { kind: "vsa" })
    ));
    assert_eq!(store.status().sequence, 0);
    store.close();
    assert_eq!(verify(directory.path()).unwrap().frames, 0);
}
