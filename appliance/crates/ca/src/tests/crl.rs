//! CRLs: what is on them, when they come, and what stays when something fails.

use std::sync::Arc;
use std::time::Duration;

use mesh::wire::RevokeRequest;
use model::{RequestId, RevocationReason, SerialNumber};
use pki::certificate::Certificate;
use pki::crl::Crl as ParsedCrl;
use store::{CrlScope, Error as StoreError};

use super::faulty::{Act, Acting, FaultyStore, Signing, unavailable};
use super::installation::{Installation, request};
use super::requests::openssl;
use crate::crl::{Cause, Crl, CrlKind};
use crate::{Ca, Requester, RevokedBy};

/// Issues a certificate and returns it.
async fn issue(installation: &Installation, ca: &Arc<Ca>) -> Certificate {
    let csr = installation.csr("www.example.org").await;
    let issued = Arc::clone(ca).issue(request(csr)).await.unwrap();
    Certificate::from_der(&issued.certificate_der).unwrap()
}

/// Revokes a certificate.
pub(super) async fn revoke(ca: &Arc<Ca>, serial: &SerialNumber, reason: RevocationReason) {
    let order = RevokeRequest {
        target: mesh::wire::RevokeTarget::Serial(serial.clone()),
        reason,
        invalidity_date: None,
        request_id: None,
    };
    let by = RevokedBy {
        requester: Requester::Ca,
        request_id: RequestId::new("test").unwrap(),
    };
    Arc::clone(ca).revoke(order, by).await.unwrap();
}

/// Returns the CRL that is published.
fn published(ca: &Ca, kind: CrlKind) -> Option<Arc<Crl>> {
    let publication = &ca.publication;
    publication.board.get(&publication.issuing_id, kind)
}

/// Lists the serial numbers on a CRL that the issuing authority signed.
fn serials(ca: &Ca, crl: &Crl) -> Vec<SerialNumber> {
    let parsed = ParsedCrl::parse(&crl.der).unwrap();
    parsed
        .verify_issued_by(ca.authorities().issuing().certificate())
        .unwrap();
    assert_eq!(parsed.number().unwrap().to_u64(), Some(crl.number));
    parsed.entries().map(|entry| entry.serial()).collect()
}

/// Issues all CRLs of the issuing authority.
async fn publish(ca: &Ca) -> Result<(), crate::CrlError> {
    let publisher = ca.publisher(&ca.publication.issuing_id).unwrap();
    publisher.publish(&publisher.kinds(), Cause::Due).await
}

/// Stops the CA and starts it again over the same files.
async fn restart(
    installation: &Installation,
    ca: Arc<Ca>,
    store: Arc<FaultyStore>,
) -> (Arc<Ca>, Arc<FaultyStore>) {
    drop(ca);
    assert_eq!(Arc::strong_count(&store), 1, "somebody holds the store");
    drop(store);
    installation.open().await
}

/// Tells whether a start issues the full CRL. What is due or wanted within the second is
/// waited for; that nothing is before its time, the publisher says by how long it waits.
async fn issues_at_start(ca: &Arc<Ca>) -> bool {
    let publisher = Arc::clone(ca.publisher(&ca.publication.issuing_id).unwrap());
    if publisher.wait() > Duration::from_secs(1) {
        return false;
    }
    let before = published(ca, CrlKind::Whole).map(|crl| crl.number);
    let issued = async {
        let mut swaps = ca.publication.board.swaps();
        while published(ca, CrlKind::Whole).map(|crl| crl.number) == before {
            swaps.changed().await.unwrap();
        }
    };
    tokio::select! {
        () = publisher.run() => unreachable!("it runs until it is dropped"),
        () = issued => true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_finds_the_revoked_and_the_valid_one() {
    let installation = Installation::ready("[crl]\non_revocation = 'at-once'").await;
    let (ca, _store) = installation.open().await;
    let good = issue(&installation, &ca).await;
    let bad = issue(&installation, &ca).await;
    revoke(&ca, bad.serial(), RevocationReason::KeyCompromise).await;
    let crl = published(&ca, CrlKind::Whole).unwrap();
    assert_eq!(serials(&ca, &crl), [bad.serial().clone()]);
    ca.issue_crls().await.unwrap();

    let path = installation.directory.path();
    let root = pki::pem::write_certificate(ca.authorities().root().der());
    std::fs::write(path.join("root.pem"), root).unwrap();
    let issuing = ca.authorities().issuing().certificate();
    std::fs::write(
        path.join("issuing.pem"),
        pki::pem::write_certificate(issuing.der()),
    )
    .unwrap();
    for name in ["issuing", "root"] {
        let file = installation.published().join(format!("{name}.crl"));
        let file = file.to_str().unwrap();
        let out = format!("{name}-crl.pem");
        openssl(path, &["crl", "-inform", "DER", "-in", file, "-out", &out]);
    }
    let crls: String = ["issuing-crl.pem", "root-crl.pem"]
        .map(|name| std::fs::read_to_string(path.join(name)).unwrap())
        .concat();
    std::fs::write(path.join("crls.pem"), crls).unwrap();
    let verify = |certificate: &Certificate| {
        std::fs::write(
            path.join("leaf.pem"),
            pki::pem::write_certificate(certificate.der()),
        )
        .unwrap();
        std::process::Command::new("openssl")
            .args([
                "verify",
                "-x509_strict",
                "-crl_check_all",
                "-CRLfile",
                "crls.pem",
                "-CAfile",
                "root.pem",
                "-untrusted",
                "issuing.pem",
                "leaf.pem",
            ])
            .current_dir(path)
            .output()
            .unwrap()
    };
    let outcome = verify(&good);
    assert!(outcome.status.success(), "{outcome:?}");
    let outcome = verify(&bad);
    let words = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(words.contains("certificate revoked"), "{words}");
    let text = openssl(path, &["crl", "-in", "issuing-crl.pem", "-noout", "-text"]);
    let text = String::from_utf8(text).unwrap();
    for wanted in [
        "X509v3 CRL Number",
        "X509v3 Authority Key Identifier",
        "X509v3 Issuing Distribution Point: critical",
        "Key Compromise",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_grow_over_restarts_and_a_clock_set_back() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    let mut last = 0;
    let mut check = |ca: &Ca| {
        let number = published(ca, CrlKind::Whole).unwrap().number;
        assert!(number > last, "{number} after {last}");
        last = number;
    };
    publish(&ca).await.unwrap();
    check(&ca);
    // The clock stands still, and goes back by less than what is noticed.
    publish(&ca).await.unwrap();
    check(&ca);
    installation.clock.advance(-30);
    publish(&ca).await.unwrap();
    check(&ca);
    let (ca, _store) = restart(&installation, ca, store).await;
    publish(&ca).await.unwrap();
    check(&ca);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_before_the_record_nothing_is_signed() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    publish(&ca).await.unwrap();
    let before = published(&ca, CrlKind::Whole).unwrap();
    let asked = installation.keys.asked();
    store.set(
        Act::RecordCrl,
        Some(Acting::Fails(StoreError::Busy { capacity: 1 })),
    );
    publish(&ca).await.unwrap_err();
    assert_eq!(installation.keys.asked(), asked);
    assert_eq!(published(&ca, CrlKind::Whole).unwrap(), before);
    let (ca, _store) = restart(&installation, ca, store).await;
    assert_eq!(published(&ca, CrlKind::Whole).unwrap().der, before.der);
    assert!(!issues_at_start(&ca).await, "the last one is current");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_between_record_signature_and_file_the_next_start_issues_anew() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    publish(&ca).await.unwrap();
    let before = published(&ca, CrlKind::Whole).unwrap();

    // Recorded, and no signature.
    installation.keys.sign(Signing::Fails(unavailable()));
    publish(&ca).await.unwrap_err();
    installation.keys.sign(Signing::Garbage);
    publish(&ca).await.unwrap_err();
    installation.keys.sign(Signing::Works);
    assert_eq!(published(&ca, CrlKind::Whole).unwrap(), before, "served on");
    let recorded = store
        .inner
        .last_crls(&ca.publication.issuing_id, CrlScope::Whole)
        .await
        .unwrap()
        .number()
        .unwrap();
    assert!(recorded > before.number);
    let (ca, store) = restart(&installation, ca, store).await;
    assert_eq!(
        published(&ca, CrlKind::Whole).unwrap().number,
        before.number
    );
    assert!(issues_at_start(&ca).await);
    let after = published(&ca, CrlKind::Whole).unwrap();
    assert!(after.number > recorded, "a number is used once");

    // Signed, and no file: a directory is in its place.
    let file = installation.published().join("issuing.crl.new");
    std::fs::create_dir(&file).unwrap();
    publish(&ca).await.unwrap_err();
    std::fs::remove_dir(&file).unwrap();
    let (ca, _store) = restart(&installation, ca, store).await;
    assert_eq!(published(&ca, CrlKind::Whole).unwrap().der, after.der);
    assert!(issues_at_start(&ca).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_no_crl_has_brings_one_at_the_next_start() {
    let installation = Installation::ready("[crl]\non_revocation = 'timer'").await;
    let (ca, store) = installation.open().await;
    let certificate = issue(&installation, &ca).await;
    publish(&ca).await.unwrap();
    let (ca, store) = restart(&installation, ca, store).await;
    assert!(!issues_at_start(&ca).await);
    revoke(&ca, certificate.serial(), RevocationReason::Superseded).await;
    let (ca, _store) = restart(&installation, ca, store).await;
    let issuing = &ca.publication.issuing_id;
    assert!(
        ca.publication
            .revocations()
            .lookup(issuing, certificate.serial())
            .is_some(),
        "loaded"
    );
    assert!(issues_at_start(&ca).await);
    let crl = published(&ca, CrlKind::Whole).unwrap();
    assert_eq!(serials(&ca, &crl), [certificate.serial().clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crl_of_another_configuration_is_issued_anew_at_the_start() {
    let mut installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    publish(&ca).await.unwrap();
    let (ca, store) = restart(&installation, ca, store).await;
    assert!(!issues_at_start(&ca).await, "nothing changed");
    drop((ca, store));
    installation.config.crl.shards = 4;
    let (ca, store) = installation.open().await;
    // It names a shard, which a full CRL that names its own place does not cover.
    let certificate = issue(&installation, &ca).await;
    assert!(issues_at_start(&ca).await);
    let whole = published(&ca, CrlKind::Whole).unwrap();
    ParsedCrl::parse(&whole.der)
        .unwrap()
        .check_covers(&certificate)
        .unwrap();
    drop((ca, store));
    installation.config.crl.delta_interval = Some(jiff::SignedDuration::from_mins(10));
    let (ca, _store) = installation.open().await;
    assert!(issues_at_start(&ca).await);
    let whole = published(&ca, CrlKind::Whole).unwrap();
    let parsed = ParsedCrl::parse(&whole.der).unwrap();
    assert_eq!(parsed.freshest().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_away_stops_no_revocation() {
    let installation = Installation::ready("[crl]\non_revocation = 'at-once'").await;
    let (ca, _store) = installation.open().await;
    let certificate = issue(&installation, &ca).await;
    publish(&ca).await.unwrap();
    let before = ca.publication.runway();
    installation.keys.sign(Signing::Fails(unavailable()));
    revoke(&ca, certificate.serial(), RevocationReason::KeyCompromise).await;
    let crl = published(&ca, CrlKind::Whole).unwrap();
    assert!(serials(&ca, &crl).is_empty(), "the last good one");
    installation.clock.advance(3_600);
    let now = ca.publication.runway();
    assert_eq!(now.until, before.until);
    assert_eq!(
        before.left.unwrap() - now.left.unwrap(),
        Duration::from_secs(3_600)
    );
    // Once it is back, what was wanted comes by itself.
    installation.keys.sign(Signing::Works);
    assert!(issues_at_start(&ca).await);
    let crl = published(&ca, CrlKind::Whole).unwrap();
    assert_eq!(serials(&ca, &crl), [certificate.serial().clone()]);
    assert!(ca.publication.runway().until > now.until);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_crl_of_ours_is_left_out() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    ca.issue_crls().await.unwrap();
    let (ours, roots) = (
        installation.published().join("issuing.crl"),
        installation.published().join("root.crl"),
    );
    std::fs::copy(&roots, &ours).unwrap();
    let (ca, store) = restart(&installation, ca, store).await;
    assert!(published(&ca, CrlKind::Whole).is_none());
    assert!(issues_at_start(&ca).await);
    std::fs::write(&ours, b"nothing").unwrap();
    let (ca, _store) = restart(&installation, ca, store).await;
    assert!(published(&ca, CrlKind::Whole).is_none());
    assert_eq!(ca.publication.runway().left, Some(Duration::ZERO));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_has_what_changed_and_the_number_of_its_full_crl() {
    let installation = Installation::ready(
        "[crl]\non_revocation = 'at-once'\ndelta_interval = '10m'\ninterval = '1h'",
    )
    .await;
    let (ca, _store) = installation.open().await;
    let mut certificates = Vec::new();
    for _ in 0..3 {
        certificates.push(issue(&installation, &ca).await);
    }
    let [first, second, held] = certificates.as_slice() else {
        unreachable!()
    };
    revoke(&ca, held.serial(), RevocationReason::CertificateHold).await;
    revoke(&ca, first.serial(), RevocationReason::Superseded).await;
    publish(&ca).await.unwrap();
    let base = published(&ca, CrlKind::Whole).unwrap();
    installation.clock.advance(60);
    revoke(&ca, second.serial(), RevocationReason::Superseded).await;
    revoke(&ca, held.serial(), RevocationReason::RemoveFromCrl).await;
    let (whole, delta) = (
        published(&ca, CrlKind::Whole).unwrap(),
        published(&ca, CrlKind::Delta).unwrap(),
    );
    assert_eq!(
        (delta.number, delta.base),
        (whole.number, Some(base.number))
    );
    assert_eq!(delta.this_update, whole.this_update);
    assert_eq!(whole.entries, 2);
    let parsed = ParsedCrl::parse(&delta.der).unwrap();
    let mut reasons: Vec<_> = parsed
        .entries()
        .map(|entry| (entry.serial(), entry.reason()))
        .collect();
    reasons.sort_by_key(|(_, reason)| reason.code());
    assert_eq!(
        reasons,
        [
            (second.serial().clone(), RevocationReason::Superseded),
            (held.serial().clone(), RevocationReason::RemoveFromCrl),
        ]
    );
    let parsed = ParsedCrl::parse(&whole.der).unwrap();
    assert_eq!(
        parsed.freshest(),
        ["http://127.0.0.1:8080/crl/issuing-delta.crl"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_names_its_shard_and_is_on_it_when_the_count_changed() {
    let mut installation =
        Installation::ready("[crl]\non_revocation = 'at-once'\nshards = 3").await;
    let (ca, store) = installation.open().await;
    publish(&ca).await.unwrap();
    let certificate = issue(&installation, &ca).await;
    let shard = crate::revocations::shard_of(certificate.serial(), 3);
    let url = format!("http://127.0.0.1:8080/crl/issuing-{shard}.crl");
    assert!(
        String::from_utf8_lossy(certificate.der()).contains(&url),
        "the certificate names {url}"
    );
    drop(store);
    drop(ca);
    installation.config.crl.shards = 5;
    let (ca, _store) = installation.open().await;
    publish(&ca).await.unwrap();
    revoke(&ca, certificate.serial(), RevocationReason::Superseded).await;
    for kind in [CrlKind::Shard(shard), CrlKind::Whole] {
        let crl = published(&ca, kind).unwrap();
        assert_eq!(serials(&ca, &crl), [certificate.serial().clone()], "{kind}");
        let parsed = ParsedCrl::parse(&crl.der).unwrap();
        parsed.check_covers(&certificate).unwrap();
    }
    let others = (0..5)
        .filter(|other| {
            *other != shard && *other != crate::revocations::shard_of(certificate.serial(), 5)
        })
        .map(|other| published(&ca, CrlKind::Shard(other)).unwrap().entries);
    assert_eq!(others.sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_on_one_more_crl() {
    let installation = Installation::ready("[issuance]\nmax_clock_jump = '87600h'").await;
    let (ca, _store) = installation.open().await;
    let certificate = issue(&installation, &ca).await;
    revoke(&ca, certificate.serial(), RevocationReason::Superseded).await;
    let entries = async || {
        publish(&ca).await.unwrap();
        published(&ca, CrlKind::Whole).unwrap().entries
    };
    assert_eq!(entries().await, 1);
    installation.clock.advance(400 * 86_400);
    assert_eq!(entries().await, 1, "expired, for the first time");
    installation.clock.advance(3_600);
    assert_eq!(entries().await, 0);
}
