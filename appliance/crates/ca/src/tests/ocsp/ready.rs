//! Answers that are there before they are asked for.

use std::sync::Arc;

use model::RevocationReason;
use pki::ocsp::{CertIdHash, CertStatus, ErrorStatus};

use super::super::faulty::{Signing, unavailable};
use super::super::installation::eventually;
use super::{Answering, produced_at};
use crate::ocsp::Begun;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_ready_answers_go_on_and_misses_try_later() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    answering.is_ready().await;
    answering
        .installation
        .keys
        .sign(Signing::Fails(unavailable()));
    assert_eq!(answering.status(leaf.serial()).await, Ok(CertStatus::Good));
    let sha256 = answering.ask(CertIdHash::Sha256, leaf.serial()).await;
    assert!(answering.judge(&sha256, leaf.serial(), None).is_ok());
    // With a nonce: the ready answer, without it (RFC 9919, 4).
    let with = answering.request(CertIdHash::Sha1, &[leaf.serial()], Some(&[9; 32]));
    let answer = answering.responder.query(&with).await;
    assert!(answering.judge(&answer, leaf.serial(), None).is_ok());
    assert!(answering.responder.next_expiry().is_some());
    // By a hash that is not kept ready, and of a number never issued.
    let later = ErrorStatus::TryLater.der();
    let sha384 = answering.ask(CertIdHash::Sha384, leaf.serial()).await;
    assert_eq!(sha384.der(), later);
    let unknown = answering.status(&"4711".parse().unwrap()).await;
    assert_eq!(unknown, Err(ErrorStatus::TryLater));
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_replaces_both_answers_before_it_is_told() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    answering.is_ready().await;
    answering
        .revoke(leaf.serial(), RevocationReason::CertificateHold)
        .await;
    let signatures = answering.installation.keys.asked();
    for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
        let answer = answering.ask(hash, leaf.serial()).await;
        let verified = answering.judge(&answer, leaf.serial(), None).unwrap();
        assert!(
            matches!(
                verified.status,
                CertStatus::Revoked {
                    reason: RevocationReason::CertificateHold,
                    ..
                }
            ),
            "{verified:?}"
        );
    }
    assert_eq!(
        answering.installation.keys.asked(),
        signatures,
        "both were ready"
    );
    // Released, it is good again.
    answering
        .revoke(leaf.serial(), RevocationReason::RemoveFromCrl)
        .await;
    assert_eq!(answering.status(leaf.serial()).await, Ok(CertStatus::Good));
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_without_the_token_takes_the_old_answer_away() {
    let answering = Answering::start("").await;
    let leaf = answering.issue("a.example").await;
    answering.is_ready().await;
    answering
        .installation
        .keys
        .sign(Signing::Fails(unavailable()));
    answering
        .revoke(leaf.serial(), RevocationReason::Superseded)
        .await;
    assert_eq!(
        answering.status(leaf.serial()).await,
        Err(ErrorStatus::TryLater)
    );
    answering.installation.keys.sign(Signing::Works);
    let status = answering.status(leaf.serial()).await;
    assert!(
        matches!(status, Ok(CertStatus::Revoked { .. })),
        "{status:?}"
    );
    answering.stop().await;
}

/// On one thread: nothing is signed between the queries.
#[tokio::test]
async fn a_thousand_who_miss_the_same_cost_one_signature() {
    let answering = Answering::start("ready = 'queried'").await;
    let leaf = answering.issue("a.example").await;
    let request = answering.request(CertIdHash::Sha256, &[leaf.serial()], None);
    let before = answering.installation.keys.asked();
    let waiting: Vec<_> = (0..1_000)
        .map(|_| match answering.responder.begin(&request) {
            Begun::Awaited(awaited) => awaited,
            Begun::Answered(answer) => panic!("{answer:?}"),
        })
        .collect();
    let mut answers = Vec::new();
    for awaited in waiting {
        answers.push(awaited.wait().await);
    }
    assert_eq!(answering.installation.keys.asked(), before + 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.der() == answers[0].der())
    );
    // And whoever comes later finds it ready.
    assert!(matches!(
        answering.responder.begin(&request),
        Begun::Answered(_)
    ));
    answering.stop().await;
}

/// On one thread: nothing is signed between the queries.
#[tokio::test]
async fn more_misses_than_may_wait_try_later() {
    let answering = Answering::start("ready = 'queried'\nmax_in_flight = 2").await;
    let mut begun = Vec::new();
    for name in ["a.example", "b.example", "c.example"] {
        let leaf = answering.issue(name).await;
        let request = answering.request(CertIdHash::Sha1, &[leaf.serial()], None);
        begun.push(request);
    }
    let begun: Vec<_> = begun
        .iter()
        .map(|request| answering.responder.begin(request))
        .collect();
    assert!(matches!(
        begun.as_slice(),
        [Begun::Awaited(_), Begun::Awaited(_), Begun::Answered(answer)]
            if answer.der() == ErrorStatus::TryLater.der()
    ));
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_made_anew_at_half_their_life() {
    let answering = Answering::start("validity = '24h'").await;
    let leaf = answering.issue("a.example").await;
    answering.is_ready().await;
    let first = produced_at(&answering.ask(CertIdHash::Sha1, leaf.serial()).await);
    answering.installation.clock.advance(12 * 3600 + 1);
    eventually("it is made anew", || async {
        let answer = answering.ask(CertIdHash::Sha1, leaf.serial()).await;
        produced_at(&answer) > first
    })
    .await;
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_comes_back_is_taken_up() {
    let answering = Answering::start("").await;
    answering
        .installation
        .keys
        .sign(Signing::Fails(unavailable()));
    let serial = "4711".parse().unwrap();
    assert_eq!(answering.status(&serial).await, Err(ErrorStatus::TryLater));
    answering.installation.keys.sign(Signing::Works);
    answering.issue("a.example").await;
    answering.is_ready().await;
    assert_eq!(answering.status(&serial).await, Ok(CertStatus::Unknown));
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_goes_on_with_what_is_true_and_without_token() {
    let answering = Answering::start("validity = '24h'").await;
    let goes_on = answering.issue("a.example").await;
    let revoked = answering.issue("b.example").await;
    answering
        .revoke(revoked.serial(), RevocationReason::KeyCompromise)
        .await;
    answering.is_ready().await;
    let saving = Arc::clone(&answering.responder);
    tokio::task::spawn_blocking(move || saving.save())
        .await
        .unwrap();
    // Revoked after the snapshot.
    let since = answering.issue("c.example").await;
    answering.is_ready().await;
    let installation = answering.stop().await;

    let again = super::without_token(installation).await;
    let (good, bad) = (
        again.status(goes_on.serial()).await,
        again.status(revoked.serial()).await,
    );
    assert_eq!(good, Ok(CertStatus::Good));
    assert!(matches!(
        bad,
        Ok(CertStatus::Revoked {
            reason: RevocationReason::KeyCompromise,
            ..
        })
    ));
    assert!(again.responder.next_expiry().is_some());
    assert_eq!(
        again.status(since.serial()).await,
        Err(ErrorStatus::TryLater)
    );
    again
        .revoke(goes_on.serial(), RevocationReason::Superseded)
        .await;
    let installation = again.stop().await;

    // What was revoked while nobody could sign is not told from the snapshot.
    let again = super::without_token(installation).await;
    assert_eq!(
        again.status(goes_on.serial()).await,
        Err(ErrorStatus::TryLater)
    );
    // And a day later nothing of it is.
    again.installation.clock.advance(24 * 3600);
    let installation = again.stop().await;
    let again = super::without_token(installation).await;
    assert_eq!(
        again.status(revoked.serial()).await,
        Err(ErrorStatus::TryLater)
    );
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_done_without() {
    let answering = Answering::start("").await;
    answering.issue("a.example").await;
    answering.is_ready().await;
    let saving = Arc::clone(&answering.responder);
    tokio::task::spawn_blocking(move || saving.save())
        .await
        .unwrap();
    let installation = answering.stop().await;
    let path = installation.directory.path().join("ocsp-answers");
    let whole = std::fs::read(&path).unwrap();
    let mut installation = Some(installation);
    for damage in [
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        [
            &whole[..whole.len() / 2],
            &[0xff],
            &whole[whole.len() / 2 + 1..],
        ]
        .concat(),
        [&whole[..], &[0]].concat(),
    ] {
        std::fs::write(&path, damage).unwrap();
        let again = super::without_token(installation.take().unwrap()).await;
        assert_eq!(again.responder.next_expiry(), None);
        installation = Some(again.stop().await);
    }
    std::fs::write(&path, whole).unwrap();
    let again = super::without_token(installation.take().unwrap()).await;
    assert!(again.responder.next_expiry().is_some());
    again.stop().await;
}
