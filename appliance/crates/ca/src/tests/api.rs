//! The API over real connections: what each call answers to whom.

use std::sync::Arc;

use mesh::wire::{
    self, CaStatus, CertificatePage, CertificateRecord, CertificateStatus, ProfileList,
};
use pki::certificate::Certificate;
use reqwest::StatusCode;
use store::CertificateStore;
use tokio::sync::Semaphore;

use super::faulty::{Act, Acting};
use super::installation::{Installation, Served, eventually};
use super::requests::openssl;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_pem_becomes_a_chain_that_openssl_verifies() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let csr = installation.csr("www.example.org").await;
    let response = operator
        .post(served.url("/sign?profile=tls-server&validity=7d"))
        .header("content-type", wire::PEM_FILE)
        .body(pki::pem::write_request(&csr))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["content-type"], wire::PEM_CHAIN);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let chain_pem = response.text().await.unwrap();
    let chain = pki::pem::read_certificates(chain_pem.as_bytes()).unwrap();
    assert_eq!(chain.len(), 2, "leaf and issuing authority, no root");
    let leaf = Certificate::from_der(&chain[0]).unwrap();
    assert_eq!(location, format!("/certificates/{}", leaf.serial()));

    let path = installation.directory.path();
    let root = pki::pem::write_certificate(served.ca.authorities().root().der());
    std::fs::write(path.join("root.pem"), root).unwrap();
    std::fs::write(path.join("leaf.pem"), &chain_pem).unwrap();
    openssl(
        path,
        &[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "leaf.pem",
            "leaf.pem",
        ],
    );

    // The same certificate by its location, in every form.
    let get = async |accept: &str| {
        let request = operator.get(served.url(&location)).header("accept", accept);
        request.send().await.unwrap().error_for_status().unwrap()
    };
    let record: CertificateRecord = get("application/json").await.json().await.unwrap();
    assert_eq!(record.status, CertificateStatus::Valid);
    assert_eq!(record.names, ["dns:www.example.org"]);
    assert_eq!(record.requester.unwrap().to_string(), "operator/alice");
    assert_eq!(record.chain_pem.as_deref(), Some(chain_pem.as_str()));
    assert_eq!(get(wire::PEM_CHAIN).await.text().await.unwrap(), chain_pem);
    assert_eq!(
        get("text/html, application/pkix-cert;q=0.5")
            .await
            .bytes()
            .await
            .unwrap(),
        chain[0]
    );
    assert!(
        get("*/*").await.headers()["content-type"]
            .to_str()
            .unwrap()
            .contains("json")
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_filter_and_go_on_by_cursor() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    for name in ["a.example", "b.example", "c.example"] {
        let request = operator
            .post(served.url("/sign"))
            .header("content-type", wire::PKCS10);
        let response = request
            .body(installation.csr(name).await)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    let list = async |query: &str| -> CertificatePage {
        let url = served.url(&format!("/certificates?{query}"));
        operator
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let first = list("profile=tls-server&status=valid&limit=2").await;
    assert_eq!(first.certificates.len(), 2);
    let cursor = first.cursor.unwrap();
    let second = list(&format!(
        "profile=tls-server&status=valid&limit=2&cursor={cursor}"
    ))
    .await;
    assert_eq!(second.certificates.len(), 1);
    assert_eq!(list("subject=b.exam").await.certificates.len(), 1);
    assert_eq!(list("status=expired").await.certificates.len(), 0);
    assert_eq!(list("status=revoked").await.certificates.len(), 0);
    assert_eq!(list("profile=root-ca").await.certificates.len(), 1);
    let soon = list("expires_before=2020-01-01T00:00:00Z").await;
    assert!(soon.certificates.is_empty());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_profiles_and_authorities_are_told() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let auditor = served.client(&installation, "auditor/eve").await;
    let status: CaStatus = auditor
        .get(served.url("/status"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(status.parts.iter().all(|part| part.ready), "{status:?}");
    assert_eq!(status.issuers.len(), 2);
    assert!(status.certificates >= 3);
    let list: ProfileList = auditor
        .get(served.url("/profiles"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(
        list.profiles
            .iter()
            .any(|one| one.name.as_str() == "tls-server"
                && one.extended_key_usages.len() == 1
                && !one.key_algorithms.is_empty())
    );
    assert!(
        list.profiles.iter().all(|profile| !profile.allowed),
        "an auditor issues nothing"
    );
    let signer = served.client(&installation, "signer/bob").await;
    let chain = signer
        .get(served.url("/ca/chain.pem"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(
        pki::pem::read_certificates(chain.as_bytes()).unwrap().len(),
        2
    );
    let root = signer
        .get(served.url("/ca/root.cer"))
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(root, served.ca.authorities().root().der());

    installation.keys.away(true);
    let ready = signer.get(served.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.text().await.unwrap().contains("ca-token"));
    installation.keys.away(false);
    assert!(served.health.readiness().ready);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_renew_themselves_and_enrolment_makes_the_service() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    for (peer, query, expected) in [
        ("service:acme/a", "", Some("service:acme/a")),
        (
            "service:acme/a",
            "&identity=service:acme/a",
            Some("service:acme/a"),
        ),
        ("service:acme/a", "&identity=service:acme/b", None),
        ("enrol:acme/a", "", Some("service:acme/a")),
        ("enrol:acme/a", "&identity=enrol:acme/a", None),
        ("operator/o", "", None),
        ("operator/o", "&identity=auditor/x", Some("auditor/x")),
        ("operator/o", "&identity=service:ca/ca", None),
    ] {
        let client = served.client(&installation, peer).await;
        let request = client.post(served.url(&format!("/sign?profile=service{query}")));
        let body = installation.csr("a.example").await;
        let response = request
            .header("content-type", wire::PKCS10)
            .body(body)
            .send()
            .await
            .unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        match expected {
            Some(identity) => {
                assert_eq!(status, StatusCode::CREATED, "{peer}{query}: {text}");
                let chain = pki::pem::read_certificates(text.as_bytes()).unwrap();
                let names = Certificate::from_der(&chain[0]).unwrap().facts().names;
                let (role, name) = identity.split_once('/').unwrap();
                let uri = format!(
                    "uri:spiffe://chancery.internal/{}/{name}",
                    role.replace(':', "/")
                );
                assert!(names.contains(&uri), "{names:?}");
            }
            None => {
                assert_eq!(status, StatusCode::FORBIDDEN, "{peer}{query}: {text}");
                assert!(text.contains("identity-forbidden"), "{text}");
            }
        }
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuance_ends_although_its_client_hangs_up() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let before = served.store.status().issued;
    let begun = served.store.begun(Act::Issue);
    let gate = Arc::new(Semaphore::new(0));
    served
        .store
        .set(Act::Issue, Some(Acting::Waits(Arc::clone(&gate))));
    let request = operator
        .post(served.url("/sign"))
        .header("content-type", wire::PKCS10);
    let request = request.body(installation.csr("a.example").await);
    let task = tokio::spawn(request.send());
    eventually("the token has signed", || async {
        served.store.begun(Act::Issue) > begun
    })
    .await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    drop(operator);
    gate.add_permits(1);
    eventually("the certificate is recorded", || async {
        served.store.status().issued > before
    })
    .await;
    assert_eq!(served.store.status().pending, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_first_answer() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let acme = served.client(&installation, "service:acme/a").await;
    let csr = installation.csr("a.example").await;
    let ask = async |key: &'static str| {
        let request = acme
            .post(served.url("/sign"))
            .header("content-type", wire::PKCS10);
        request
            .header("idempotency-key", key)
            .body(csr.clone())
            .send()
            .await
            .unwrap()
    };
    let first = ask("order-1").await;
    let again = ask("\"order-1\"").await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(first.headers()["location"], again.headers()["location"]);
    assert_eq!(first.bytes().await.unwrap(), again.bytes().await.unwrap());
    // Another peer's key of the same name is another key.
    let other = served.client(&installation, "operator/o").await;
    let request = other
        .post(served.url("/sign"))
        .header("content-type", wire::PKCS10);
    let response = request
        .header("idempotency-key", "order-1")
        .body(csr.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(!response.headers().contains_key("idempotency-replayed"));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_make_exactly_its_calls() {
    use crate::Call;
    use crate::Grants;
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let grants: Grants = installation.config.check().unwrap().grants;
    served.ca.issue_crls().await.unwrap();
    for role in model::Role::ALL {
        let client = served.client(&installation, &format!("{role}/x")).await;
        for (call, path) in [
            (Call::Certificates, "/certificates"),
            (Call::Profiles, "/profiles"),
            (Call::Status, "/status"),
            (Call::Revocations, "/revocations"),
        ] {
            let status = client.get(served.url(path)).send().await.unwrap().status();
            let expected = if grants.allows_call(role, call) {
                StatusCode::OK
            } else {
                StatusCode::FORBIDDEN
            };
            assert_eq!(status, expected, "{role} {path}");
        }
        let revoking = [
            (Call::Revoke, "/revoke-cert", "{\"serial\":\"01\"}", 404),
            (
                Call::RevokeAny,
                "/revocations",
                "{\"issuer\":\"issuing\",\"revocations\":[]}",
                200,
            ),
            (Call::IssueCrl, "/crl", "{}", 200),
        ];
        for (call, path, body, done) in revoking {
            let request = client
                .post(served.url(path))
                .header("content-type", "application/json");
            let status = request.body(body).send().await.unwrap().status();
            let expected = if grants.allows_call(role, call) {
                done
            } else {
                403
            };
            assert_eq!(status.as_u16(), expected, "{role} {path}");
        }
        // Told to everybody.
        for path in ["/crl", "/crl/root", "/ca/chain.pem"] {
            let status = client.get(served.url(path)).send().await.unwrap().status();
            assert_eq!(status, StatusCode::OK, "{role} {path}");
        }
        let sign = client
            .post(served.url("/sign"))
            .header("content-type", wire::PKCS10);
        let response = sign.body("nothing").send().await.unwrap();
        let text = response.text().await.unwrap();
        let expected = match (grants.allows_call(role, Call::Sign), role) {
            (false, _) => "role-forbidden",
            (true, model::Role::Operator | model::Role::ServiceAcme) => "not-a-csr",
            (true, _) => "profile-forbidden",
        };
        assert!(text.contains(expected), "{role}: {text}");
    }
    served.stop().await;
}
