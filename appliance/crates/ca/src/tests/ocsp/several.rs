//! Several certificates: in one request, and under one signature.

use model::RevocationReason;
use pki::ocsp::{CertIdHash, CertStatus, OcspResponse};

use super::super::installation::eventually;
use super::Answering;

#[tokio::test(flavor = "multi_thread")]
async fn each_certificate_of_a_request_is_answered() {
    // A busy machine makes the token slow, which would leave nonces out.
    let answering = Answering::start("nonce = 'answer'").await;
    let good = answering.issue("a.example").await;
    let bad = answering.issue("b.example").await;
    answering
        .revoke(bad.serial(), RevocationReason::Superseded)
        .await;
    let never = "4711".parse().unwrap();
    let serials = [good.serial(), bad.serial(), &never];
    let request = answering.request(CertIdHash::Sha256, &serials, Some(&[3; 32]));
    let answer = answering.responder.query(&request).await;
    let OcspResponse::Basic(response) = OcspResponse::parse(answer.der()).unwrap() else {
        panic!("{answer:?}");
    };
    assert_eq!(response.nonce(), Some(&[3; 32][..]));
    let statuses: Vec<_> = response.answers().map(|answer| answer.status).collect();
    assert!(
        matches!(
            statuses.as_slice(),
            [
                CertStatus::Good,
                CertStatus::Revoked { .. },
                CertStatus::Unknown
            ]
        ),
        "{statuses:?}"
    );
    for serial in serials {
        assert!(answering.judge(&answer, serial, Some(&[3; 32])).is_ok());
    }
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_asked_about_twice_is_answered_once() {
    let answering = Answering::start("").await;
    let (one, other) = (
        answering.issue("a.example").await,
        answering.issue("b.example").await,
    );
    for serials in [
        &[one.serial(), one.serial()][..],
        &[one.serial(), other.serial(), one.serial()],
    ] {
        let request = answering.request(CertIdHash::Sha256, serials, None);
        let answer = answering.responder.query(&request).await;
        let OcspResponse::Basic(response) = OcspResponse::parse(answer.der()).unwrap() else {
            panic!("{answer:?}");
        };
        assert_eq!(response.answers().count(), serials.len() - 1);
        assert!(answering.judge(&answer, one.serial(), None).is_ok());
    }
    answering.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signature_covers_several_and_a_revocation_is_still_told_at_once() {
    let answering = Answering::start("validity = '24h'\nbatch = 8\nready_hashes = ['sha1']").await;
    let mut leafs = Vec::new();
    for number in 0..6 {
        leafs.push(answering.issue(&format!("{number}.example")).await);
    }
    let status = || answering.responder.status();
    eventually("all is ready", || async {
        status().ready == status().certificates
    })
    .await;
    // A batch holds those that were found due together.
    answering.installation.clock.advance(13 * 3600);
    let answers_of = async |serial| {
        let answer = answering.ask(CertIdHash::Sha1, serial).await;
        assert!(answering.judge(&answer, serial, None).is_ok());
        match OcspResponse::parse(answer.der()).unwrap() {
            OcspResponse::Basic(response) => response.answers().count(),
            OcspResponse::Refused(status) => panic!("{status:?}"),
        }
    };
    eventually("they are made anew together", || async {
        answers_of(leafs[0].serial()).await > 1
    })
    .await;
    answering
        .revoke(leafs[0].serial(), RevocationReason::KeyCompromise)
        .await;
    let told = answering.status(leafs[0].serial()).await;
    assert!(matches!(told, Ok(CertStatus::Revoked { .. })), "{told:?}");
    for leaf in &leafs[1..] {
        let told = answering.status(leaf.serial()).await;
        assert_eq!(told, Ok(CertStatus::Good));
    }
    // The others' soon say no longer that the first one is good.
    eventually("the others are made anew", || async {
        let answer = answering.ask(CertIdHash::Sha1, leafs[1].serial()).await;
        answering
            .judge(&answer, leafs[0].serial(), None)
            .map_or(true, |verified| verified.status != CertStatus::Good)
    })
    .await;
    answering.stop().await;
}
