//! Renewal information and replacement (RFC 9773).

use model::acme::CertificateId;
use pki::certificate::Certificate;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, identifiers, leaf};
use super::server::TestServer;

/// Names a certificate as RFC 9773, 4.1 does.
fn certificate_id(chain_pem: &str) -> CertificateId {
    let certificate = Certificate::from_der(&leaf(chain_pem)).unwrap();
    CertificateId {
        issuer_key_id: certificate
            .extensions()
            .authority_key_identifier
            .clone()
            .unwrap()
            .into(),
        serial: certificate.serial().clone(),
    }
}

/// Reads the two ends of a window.
fn window(object: &Value) -> (model::Timestamp, model::Timestamp) {
    let end = |name: &str| {
        let text = object["suggestedWindow"][name].as_str().unwrap();
        text.parse().unwrap()
    };
    (end("start"), end("end"))
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_is_suggested_after_two_thirds_and_at_once_when_revoked() {
    let server = TestServer::start("[renewal]\nexplanation_url = \"https://ca.example/why\"").await;
    let client = Client::account(&server).await;
    let (_, chain, _) = client.obtain(&["a.example"]).await;
    let id = certificate_id(&chain);
    let url = client.url(&format!("/acme/renewal-info/{id}"));
    let reply = client.plain(Method::GET, &url).await;
    let object = reply.good(200);
    assert_eq!(object["explanationURL"], "https://ca.example/why");
    assert_eq!(reply.header("retry-after"), "21600");
    let (start, end) = window(&object);
    let certificate = Certificate::from_der(&leaf(&chain)).unwrap();
    assert!(start > certificate.not_before() && start < end && end < certificate.not_after());

    server.authority.revoke_silently(&id.serial);
    server.clock.advance(61);
    let object = client.plain(Method::GET, &url).await.good(200);
    let (_, end) = window(&object);
    assert!(end < certificate.not_before(), "in the past: at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_not_ours_have_no_renewal_information() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (_, chain, _) = client.obtain(&["a.example"]).await;
    let mut other = certificate_id(&chain);
    other.issuer_key_id = Box::new([1; 20]);
    for (id, status) in [
        (other.to_string(), 404),
        ("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".to_owned(), 404),
        ("nonsense".to_owned(), 400),
        ("AAAA.".to_owned(), 400),
    ] {
        let url = client.url(&format!("/acme/renewal-info/{id}"));
        let reply = client.plain(Method::GET, &url).await;
        assert_eq!(reply.status, status, "{id}");
        assert!(reply.body.contains("urn:ietf:params:acme:error:malformed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_once_by_its_own_account() {
    let server = TestServer::start("").await;
    let client = Client::account(&server).await;
    let (_, chain, _) = client.obtain(&["a.example"]).await;
    let id = certificate_id(&chain).to_string();
    let url = client.url("/acme/new-order");
    let order = |names: &[&str], replaces: &str| json!({"identifiers": identifiers(names), "replaces": replaces});
    client
        .post(&url, order(&["a.example"], "nonsense"))
        .await
        .problem(400, "malformed");
    client
        .post(
            &url,
            order(&["a.example"], "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"),
        )
        .await
        .problem(400, "malformed");
    client
        .post(&url, order(&["b.example"], &id))
        .await
        .problem(400, "malformed");
    let other = Client::account(&server).await;
    other
        .post(&url, order(&["a.example"], &id))
        .await
        .problem(403, "unauthorized");
    let made = client
        .post(&url, order(&["a.example", "c.example"], &id))
        .await;
    assert_eq!(made.good(201)["replaces"], id);
    client
        .post(&url, order(&["a.example", "d.example"], &id))
        .await
        .problem(409, "alreadyReplaced");
}
