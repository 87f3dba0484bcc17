//! A token and a store that do what they should not.

use pki::ocsp::{CertIdHash, CertStatus, ErrorStatus};

use super::super::faulty::Signing;
use super::Answering;

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_are_no_signature_are_never_given_out() {
    let answering = Answering::start("ready = 'queried'").await;
    let leaf = answering.issue("a.example").await;
    answering.installation.keys.sign(Signing::Garbage);
    assert_eq!(
        answering.status(leaf.serial()).await,
        Err(ErrorStatus::InternalError)
    );
    answering.installation.keys.sign(Signing::Works);
    assert_eq!(answering.status(leaf.serial()).await, Ok(CertStatus::Good));
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_ignored_where_it_is_configured() {
    let answering = Answering::start("nonce = 'ignore'").await;
    let leaf = answering.issue("a.example").await;
    answering.is_ready().await;
    let signatures = answering.installation.keys.asked();
    let with = answering.request(CertIdHash::Sha1, &[leaf.serial()], Some(&[5; 32]));
    let answer = answering.responder.query(&with).await;
    assert!(answering.judge(&answer, leaf.serial(), None).is_ok());
    assert!(
        answering
            .judge(&answer, leaf.serial(), Some(&[5; 32]))
            .is_err()
    );
    assert_eq!(answering.installation.keys.asked(), signatures);
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_may_be_kept_for_few_certificates() {
    let answering = Answering::start("max_ready = 2").await;
    let mut leafs = Vec::new();
    for number in 0..4 {
        leafs.push(answering.issue(&format!("{number}.example")).await);
    }
    for leaf in &leafs {
        assert_eq!(answering.status(leaf.serial()).await, Ok(CertStatus::Good));
    }
    assert_eq!(answering.responder.status().certificates, 2);
    answering.stop().await;
}
