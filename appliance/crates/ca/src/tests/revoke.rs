//! Revoking over the network: who may, what is answered, what it changes.

use std::sync::Arc;

use hsm_keystore::KeyAlgorithm;
use mesh::wire::{
    self, CertificateRecord, CertificateStatus, ImportOutcome, KeyRevocation, ProblemDocument,
    RevocationImport, RevocationPage, RevocationRecord,
};
use mesh::{ProblemType, csr};
use model::RevocationReason;
use pki::certificate::Certificate;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::installation::{Installation, Served, request};
use crate::{IssueRequest, Requester};

/// Orders a revocation.
async fn order(served: &Served, client: &Client, body: &Value) -> Response {
    client
        .post(served.url("/revoke-cert"))
        .json(body)
        .send()
        .await
        .unwrap()
}

/// Orders a revocation that is done.
async fn revoke(served: &Served, client: &Client, body: &Value) -> RevocationRecord {
    let response = order(served, client, body).await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    response.json().await.unwrap()
}

/// Orders a revocation that is refused.
async fn refused(
    served: &Served,
    client: &Client,
    body: &Value,
    kind: ProblemType,
) -> ProblemDocument {
    let response = order(served, client, body).await;
    let status = response.status();
    let document: ProblemDocument = response.json().await.unwrap();
    assert_eq!(document.kind, kind.uri(), "{body}: {document:?}");
    assert_eq!(status.as_u16(), kind.status().as_u16());
    document
}

/// Issues a certificate to a peer.
async fn issue(installation: &Installation, served: &Served, peer: &str) -> Certificate {
    let csr = installation.csr("www.example.org").await;
    let issued = Arc::clone(&served.ca)
        .issue(IssueRequest {
            requester: Requester::Peer(peer.parse().unwrap()),
            ..request(csr)
        })
        .await
        .unwrap();
    Certificate::from_der(&issued.certificate_der).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_is_taken_and_the_first_record_stands() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    for reason in RevocationReason::ALL {
        let serial = issue(&installation, &served, "operator/bob")
            .await
            .serial()
            .to_string();
        let body = json!({ "serial": serial, "reason": reason.as_str() });
        if reason == RevocationReason::RemoveFromCrl {
            refused(&served, &operator, &body, ProblemType::NotOnHold).await;
            continue;
        }
        let first = revoke(&served, &operator, &body).await;
        assert_eq!(
            (first.reason, first.serial.to_string()),
            (reason, serial.clone())
        );
        assert_eq!(first.revoked_by.unwrap().to_string(), "operator/alice");
        let record: CertificateRecord = operator
            .get(served.url(&format!("/certificates/{serial}")))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(record.status, CertificateStatus::Revoked);
        assert_eq!(record.revocation.unwrap().reason, reason);
        let again = json!({ "serial": serial, "reason": "superseded" });
        if reason == RevocationReason::CertificateHold {
            // From hold to revoked for good; the date stays.
            let final_record = revoke(&served, &operator, &again).await;
            assert_eq!(final_record.revoked_at, first.revoked_at);
            continue;
        }
        let document = refused(&served, &operator, &again, ProblemType::AlreadyRevoked).await;
        let told: RevocationRecord =
            serde_json::from_value(document.members[wire::FIRST_REVOCATION].clone()).unwrap();
        assert_eq!((told.reason, told.revoked_at), (reason, first.revoked_at));
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_can_be_lifted_and_the_certificate_counts_again() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let certificate = issue(&installation, &served, "service:acme/a").await;
    let serial = certificate.serial().to_string();
    let hold = json!({ "serial": serial, "reason": "certificateHold" });
    let release = json!({ "serial": serial, "reason": 8 });
    revoke(&served, &operator, &hold).await;
    // Its owner does not lift a hold that somebody else ordered.
    let acme = served.client(&installation, "service:acme/a").await;
    refused(&served, &acme, &release, ProblemType::RevocationForbidden).await;
    let record = revoke(&served, &operator, &release).await;
    assert_eq!(record.reason, RevocationReason::RemoveFromCrl);
    let issuing = served.ca.authorities().issuing().id();
    let revocations = served.ca.publication.revocations();
    assert_eq!(revocations.lookup(issuing, certificate.serial()), None);
    refused(&served, &operator, &release, ProblemType::NotOnHold).await;
    // Its own hold it lifts itself.
    revoke(&served, &acme, &hold).await;
    revoke(&served, &acme, &release).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_revoke_their_own_and_operators_everybodys() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let acme = served.client(&installation, "service:acme/a").await;
    let other = served.client(&installation, "service:acme/b").await;
    let auditor = served.client(&installation, "auditor/eve").await;
    let certificate = issue(&installation, &served, "service:acme/a").await;
    let by_serial = json!({ "serial": certificate.serial().to_string() });
    let by_octets = json!({
        "certificate": pki::pem::write_certificate(certificate.der()),
        "reason": "keyCompromise",
    });
    refused(&served, &auditor, &by_serial, ProblemType::RoleForbidden).await;
    refused(
        &served,
        &other,
        &by_serial,
        ProblemType::RevocationForbidden,
    )
    .await;
    refused(
        &served,
        &other,
        &by_octets,
        ProblemType::RevocationForbidden,
    )
    .await;
    revoke(&served, &acme, &by_octets).await;
    for (body, kind) in [
        (json!({ "serial": "0123" }), ProblemType::SerialUnknown),
        (json!({ "serial": "xyz" }), ProblemType::MalformedRequest),
        (json!({}), ProblemType::MalformedRequest),
        (
            json!({ "serial": "01", "reason": "boredom" }),
            ProblemType::BadRevocationReason,
        ),
        (
            json!({ "serial": certificate.serial().to_string(), "reason": 7 }),
            ProblemType::BadRevocationReason,
        ),
        (
            json!({ "certificate": "AAAA" }),
            ProblemType::MalformedRequest,
        ),
    ] {
        refused(&served, &acme, &body, kind).await;
    }
    let second = issue(&installation, &served, "service:acme/a").await;
    let late = json!({
        "serial": second.serial().to_string(),
        "invalidity_date": "2099-01-01T00:00:00Z",
    });
    refused(&served, &acme, &late, ProblemType::BadInvalidityDate).await;
    let early = json!({
        "serial": second.serial().to_string(),
        "reason": "keyCompromise",
        "invalidity_date": "2020-01-01T00:00:00Z",
    });
    let record = revoke(&served, &acme, &early).await;
    assert_eq!(
        record.invalidity_date,
        Some("2020-01-01T00:00:00Z".parse().unwrap())
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_key_takes_its_certificates_along_and_is_never_certified_again() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let acme = served.client(&installation, "service:acme/a").await;
    let key = installation.fresh_key(KeyAlgorithm::EcP256);
    let content = csr::CsrContent {
        dns: vec!["www.example.org".to_owned()],
        ..csr::CsrContent::default()
    };
    let csr_der = csr::build(key.as_ref(), &content).await.unwrap();
    let mut serials = Vec::new();
    for _ in 0..3 {
        let issued = Arc::clone(&served.ca)
            .issue(request(csr_der.clone()))
            .await
            .unwrap();
        serials.push(issued.serial);
    }
    revoke(
        &served,
        &operator,
        &json!({ "serial": serials[0].to_string() }),
    )
    .await;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.public_key_der());
    let spki = hex::encode(digest.as_ref());
    let body = json!({ "public_key_sha256": spki });
    refused(&served, &acme, &body, ProblemType::RevocationForbidden).await;
    let held = json!({ "public_key_sha256": spki, "reason": "certificateHold" });
    refused(&served, &operator, &held, ProblemType::BadRevocationReason).await;

    let done: KeyRevocation = order(&served, &operator, &body).await.json().await.unwrap();
    assert_eq!((done.revoked.len(), done.already_revoked.len()), (2, 1));
    assert!(done.blocked);
    assert!(
        done.revoked
            .iter()
            .all(|record| record.reason == RevocationReason::KeyCompromise)
    );
    let again: KeyRevocation = order(&served, &operator, &body).await.json().await.unwrap();
    assert_eq!((again.revoked.len(), again.already_revoked.len()), (0, 3));

    let response = operator
        .post(served.url("/sign"))
        .header("content-type", wire::PKCS10)
        .body(csr_der.clone())
        .send()
        .await
        .unwrap();
    let document: ProblemDocument = response.json().await.unwrap();
    assert_eq!(document.kind, ProblemType::WeakKey.uri());
    served.stop().await;

    // It stays blocked.
    let (ca, _store) = installation.open().await;
    let refusal = ca.issue(request(csr_der)).await.unwrap_err();
    assert_eq!(crate::http::problem_type(&refusal), ProblemType::WeakKey);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cas_list_is_taken_over_and_given_back() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let acme = served.client(&installation, "service:acme/a").await;
    let ours = issue(&installation, &served, "operator/bob").await;
    let import = json!({
        "issuer": "issuing",
        "revocations": [
            { "serial": "0a01", "revoked_at": "2024-01-01T00:00:00Z", "reason": "keyCompromise",
              "not_after": "2030-01-01T00:00:00Z" },
            { "serial": "0a02", "revoked_at": "2024-01-02T00:00:00Z" },
            { "serial": "0a03", "revoked_at": "2024-01-02T00:00:00Z", "reason": "removeFromCRL" },
            { "serial": ours.serial().to_string(), "revoked_at": "2026-01-01T00:00:00Z",
              "reason": "superseded" },
        ],
    });
    let send = async |client: &Client, body: &Value| {
        client
            .post(served.url("/revocations"))
            .json(body)
            .send()
            .await
            .unwrap()
    };
    let response = send(&acme, &import).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let outcome: ImportOutcome = send(&operator, &import).await.json().await.unwrap();
    assert_eq!((outcome.imported, outcome.already_revoked), (3, 0));
    let outcome: ImportOutcome = send(&operator, &import).await.json().await.unwrap();
    assert_eq!((outcome.imported, outcome.already_revoked), (0, 3));
    let nobodys = json!({ "issuer": "nobody", "revocations": import["revocations"] });
    let document: ProblemDocument = send(&operator, &nobodys).await.json().await.unwrap();
    assert_eq!(document.kind, ProblemType::IssuerUnknown.uri());

    // Listed a page at a time, and taken over by the next CA as it is.
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let url = served.url(&format!("/revocations?limit=2{cursor}"));
        let page: RevocationPage = operator
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        listed.extend(page.revocations);
        match page.cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed.len(), 3);
    let exported: RevocationImport =
        serde_json::from_value(json!({ "issuer": "issuing", "revocations": listed })).unwrap();
    served.stop().await;
    let elsewhere = Installation::ready("").await;
    let (ca, _store) = elsewhere.open().await;
    let by = crate::RevokedBy {
        requester: Requester::Ca,
        request_id: model::RequestId::new("test").unwrap(),
    };
    let outcome = Arc::clone(&ca)
        .import_revocations(exported, by)
        .await
        .unwrap();
    assert_eq!(outcome.imported, 3);
    let page = ca
        .list_revocations(&wire::RevocationFilter::default())
        .await
        .unwrap();
    let facts = |records: &[RevocationRecord]| {
        records
            .iter()
            .map(|one| {
                (
                    one.serial.clone(),
                    one.revoked_at,
                    one.reason,
                    one.not_after,
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(facts(&page.revocations), facts(&listed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_peer_is_refused_on_its_open_connection_and_on_new_ones() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let key = installation.fresh_key(KeyAlgorithm::EcP256);
    let content = csr::CsrContent {
        subject: "CN=a".to_owned(),
        ..csr::CsrContent::default()
    };
    let csr_der = csr::build(key.as_ref(), &content).await.unwrap();
    let identity = "service:acme/a".parse().unwrap();
    let identity = served
        .identity_with(key, csr_der, "service", Some(identity))
        .await;
    let acme = served.client_as(Some(Arc::clone(&identity)));
    let url = served.url("/profiles");
    assert_eq!(
        acme.get(&url).send().await.unwrap().status(),
        StatusCode::OK
    );
    let page: wire::CertificatePage = operator
        .get(served.url("/certificates?limit=1"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    // The newest one is the service's.
    let serial = page.certificates[0].serial.to_string();
    revoke(&served, &operator, &json!({ "serial": serial })).await;
    let response = acme.get(&url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let document: ProblemDocument = response.json().await.unwrap();
    assert_eq!(document.kind, ProblemType::PeerRefused.uri());
    // Another connection is not made.
    let anew = served.client_as(Some(identity));
    assert!(anew.get(&url).send().await.is_err());
    served.stop().await;
}
