//! What time does: certificates expire, the responder's is renewed.

use model::{Clock, RevocationReason};
use pki::ocsp::{CertIdHash, CertStatus, ErrorStatus, OcspResponse};

use super::super::installation::eventually;
use super::{Answering, produced_at};

#[tokio::test(flavor = "multi_thread")]
async fn the_responder_renews_its_certificate_and_old_answers_stay_good() {
    let answering = Answering::start("validity = '240h'").await;
    let leaf = answering.issue("a.example").await;
    answering.is_ready().await;
    let expires = || answering.responder.status().certificate_expires.unwrap();
    let first = expires();
    // Thirty days; the answer of day 19 runs to day 29.
    answering.installation.clock.advance(19 * 86_400);
    let now = answering.installation.clock.now();
    eventually("the answer is of day 19", || async {
        let answer = answering.ask(CertIdHash::Sha1, leaf.serial()).await;
        produced_at(&answer) >= now
    })
    .await;
    assert_eq!(expires(), first, "before two thirds of its life");
    answering.installation.clock.advance(86_401);
    eventually("the certificate is renewed", || async { expires() > first }).await;
    let old = answering.ask(CertIdHash::Sha1, leaf.serial()).await;
    assert_eq!(produced_at(&old), now);
    assert!(answering.judge(&old, leaf.serial(), None).is_ok());
    // Under the new one: what is asked for now.
    let other = answering.issue("b.example").await;
    let new = answering.ask(CertIdHash::Sha1, other.serial()).await;
    let verified = answering.judge(&new, other.serial(), None).unwrap();
    assert!(verified.next_update.unwrap() <= expires());
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_key_and_certificate_are_kept_over_restarts() {
    let answering = Answering::start("").await;
    let expires = answering.responder.status().certificate_expires;
    let installation = answering.stop().await;
    let again = Answering::over(installation).await.run().signs().await;
    assert_eq!(again.responder.status().certificate_expires, expires);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_outlives_the_responder_s_certificate() {
    let answering = Answering::start("validity = '240h'").await;
    let leaf = answering.issue("a.example").await;
    answering.is_ready().await;
    answering.installation.clock.advance(25 * 86_400);
    let answer = answering.ask(CertIdHash::Sha384, leaf.serial()).await;
    let verified = answering.judge(&answer, leaf.serial(), None).unwrap();
    let OcspResponse::Basic(_) = OcspResponse::parse(answer.der()).unwrap() else {
        panic!("{answer:?}");
    };
    let life = verified
        .next_update
        .unwrap()
        .duration_since(verified.this_update);
    assert!(life.as_hours() <= 240);
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_certificates_are_answered_for_as_long_as_the_archive_goes_back() {
    let answering = Answering::start("archive = '720h'").await;
    let good = answering.issue("a.example").await;
    let bad = answering.issue("b.example").await;
    answering
        .revoke(bad.serial(), RevocationReason::KeyCompromise)
        .await;
    let life = good
        .not_after()
        .duration_since(answering.installation.clock.now());
    answering
        .installation
        .clock
        .advance(life.as_secs() + 86_400);
    // Its certificate has expired as well, and is renewed.
    let now = answering.installation.clock.now();
    eventually("it signs again", || async {
        answering.responder.status().certificate_expires > Some(now)
    })
    .await;
    let answer = answering.ask(CertIdHash::Sha1, bad.serial()).await;
    let verified = answering.judge(&answer, bad.serial(), None).unwrap();
    assert!(matches!(verified.status, CertStatus::Revoked { .. }));
    let OcspResponse::Basic(response) = OcspResponse::parse(answer.der()).unwrap() else {
        panic!("{answer:?}");
    };
    let cutoff = response.answers().next().unwrap().archive_cutoff.unwrap();
    let produced = response.produced_at();
    assert_eq!(produced.duration_since(cutoff).as_hours(), 720);
    assert_eq!(answering.status(good.serial()).await, Ok(CertStatus::Good));
    answering.installation.clock.advance(30 * 86_400);
    assert_eq!(
        answering.status(good.serial()).await,
        Err(ErrorStatus::Unauthorized)
    );
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_issued_is_told_as_configured() {
    let serial = "4711".parse().unwrap();
    let answering = Answering::start("").await;
    assert_eq!(answering.status(&serial).await, Ok(CertStatus::Unknown));
    answering.stop().await;

    let answering = Answering::start("never_issued = 'revoked'").await;
    let answer = answering.ask(CertIdHash::Sha1, &serial).await;
    let verified = answering.judge(&answer, &serial, None).unwrap();
    assert_eq!(verified.status, CertStatus::not_issued());
    let OcspResponse::Basic(response) = OcspResponse::parse(answer.der()).unwrap() else {
        panic!("{answer:?}");
    };
    assert!(response.extended_revoke());
    // It may yet be issued: for five minutes only.
    let life = verified
        .next_update
        .unwrap()
        .duration_since(verified.this_update);
    assert_eq!(life.as_mins(), 5);
    answering.stop().await;
}
