//! The distribution listener and the CRLs of the CA API, over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh::wire::{self, CrlList, ProblemDocument};
use mesh::{
    ClientTls, CrlAnswer, CrlRequest, Health, HttpMetrics, ProblemType, RevocationSource, Shared,
    StaplePolicy,
};
use mesh::{CrlScope, ServerHandle};
use model::Timestamp;
use pki::certificate::Certificate;
use pki::crl::Crl as ParsedCrl;
use pki::ocsp::{
    CertIdHash, CertStatus, ErrorStatus, IssuerHashes, OcspRefused, Question, encode_request,
    verify_response,
};
use reqwest::{Client, Method, Response, StatusCode};
use tokio::task::JoinHandle;

use super::faulty::{Signing, unavailable};
use super::installation::{Installation, Served, SystemTimeClock, request};
use crate::local::LocalClient;
use crate::{AuthorityCertificates, CaMetrics, DistributionService, Error, Publication};

/// The distribution listener of a publication.
struct Distributed {
    /// Asks it.
    client: Client,
    /// Where it listens.
    address: SocketAddr,
    /// Stops it.
    handle: ServerHandle,
    /// Serves.
    running: JoinHandle<Result<(), Error>>,
}

impl Distributed {
    /// Serves what is published.
    fn start(installation: &Installation, publication: &Arc<Publication>) -> Self {
        let shared = Shared {
            metrics: HttpMetrics::default(),
            health: Health::new(),
            domain: installation.config.trust_domain.clone(),
            clock: Arc::new(SystemTimeClock),
        };
        let mut config = installation.config.clone();
        config.distribution.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let service = DistributionService::bind(
            &config.check().unwrap(),
            Arc::clone(publication),
            &shared,
            CaMetrics::default(),
        )
        .unwrap();
        // Without TLS, but the client's library wants to be ready for it.
        let root = publication.certificates.root().der().to_vec();
        let tls = ClientTls {
            anchors: vec![root.into()],
            identity: None,
            expected: None,
            staple: StaplePolicy::IfPresent,
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls.client_config().unwrap())
            .no_proxy()
            .build()
            .unwrap();
        Self {
            client,
            address: service.local_addr(),
            handle: service.handle(),
            running: tokio::spawn(service.run()),
        }
    }

    /// Asks for a path.
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self
            .client
            .request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Stops it.
    async fn stop(self) {
        self.handle.stop();
        self.running.await.unwrap().unwrap();
    }
}

/// Returns a header's text.
fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certificates_point_to_is_there_with_its_headers() {
    let installation = Installation::ready("[crl]\nshards = 2").await;
    let (ca, _store) = installation.open().await;
    ca.issue_crls().await.unwrap();
    let distributed = Distributed::start(&installation, &ca.publication);
    for path in [
        "/crl/issuing.crl",
        "/crl/issuing-0.crl",
        "/crl/issuing-1.crl",
        "/crl/root.crl",
    ] {
        let response = distributed.ask(Method::GET, path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "content-type"), wire::PKIX_CRL);
        let cache = header(&response, "cache-control");
        assert!(
            cache.starts_with("max-age=") && cache.contains("public"),
            "{cache}"
        );
        for name in ["etag", "last-modified", "expires"] {
            assert!(!header(&response, name).is_empty(), "{path} {name}");
        }
        let etag = header(&response, "etag");
        let modified = header(&response, "last-modified");
        let length = header(&response, "content-length");
        let der = response.bytes().await.unwrap();
        assert_eq!(length, der.len().to_string());
        ParsedCrl::parse(&der).unwrap();
        for (name, value) in [("if-none-match", &etag), ("if-modified-since", &modified)] {
            let again = distributed.ask(Method::GET, path, &[(name, value)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{name}");
            assert_eq!(header(&again, "etag"), etag);
            assert!(again.bytes().await.unwrap().is_empty());
        }
        let head = distributed.ask(Method::HEAD, path, &[]).await;
        assert_eq!(header(&head, "content-length"), length);
        assert!(head.bytes().await.unwrap().is_empty());
    }
    let response = distributed.ask(Method::GET, "/ca/issuing.cer", &[]).await;
    assert_eq!(header(&response, "content-type"), wire::PKIX_CERT);
    let issuing = Certificate::from_der(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(
        issuing.der(),
        ca.authorities().issuing().certificate().der()
    );
    let response = distributed.ask(Method::GET, "/ca/chain.pem", &[]).await;
    let chain = response.bytes().await.unwrap();
    assert_eq!(pki::pem::read_certificates(&chain).unwrap().len(), 2);

    for (path, kind) in [
        ("/crl/nobody.crl", ProblemType::CrlUnknown),
        ("/crl/issuing-2.crl", ProblemType::CrlUnknown),
        ("/crl/issuing-delta.crl", ProblemType::CrlUnknown),
        ("/ca/nobody.cer", ProblemType::IssuerUnknown),
        ("/certificates", ProblemType::NotFound),
        ("/revoke-cert", ProblemType::NotFound),
    ] {
        let response = distributed.ask(Method::GET, path, &[]).await;
        let document: ProblemDocument = response.json().await.unwrap();
        assert_eq!(document.kind, kind.uri(), "{path}");
    }
    let response = distributed.ask(Method::POST, "/crl/issuing.crl", &[]).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    distributed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_a_token_serves_what_was_published() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    ca.issue_crls().await.unwrap();
    drop((ca, store));
    installation.keys.sign(Signing::Fails(unavailable()));
    let publication = reopen(&installation).await;
    assert!(publication.has_root_crl());
    assert!(publication.runway().left.unwrap() > Duration::from_secs(3_600));
    let distributed = Distributed::start(&installation, &publication);
    for path in ["/crl/issuing.crl", "/crl/root.crl", "/ca/issuing.cer"] {
        let response = distributed.ask(Method::GET, path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    distributed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_not_the_tokens_are_replaced() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    drop((ca, store));
    let other = Installation::ready("").await;
    let (ca, store) = other.open().await;
    drop((ca, store));
    for name in ["root.cer", "issuing.cer"] {
        std::fs::copy(
            other.published().join(name),
            installation.published().join(name),
        )
        .unwrap();
    }
    let config = installation.config.check().unwrap();
    let kept = || AuthorityCertificates::kept(&config, &installation.published()).unwrap();
    let store: Arc<dyn store::RevocationStore> = installation.store();
    let publication = Publication::open(crate::PublicationParts {
        config: config.clone(),
        store: Arc::clone(&store),
        clock: Arc::clone(&installation.clock) as _,
        directory: installation.published(),
        certificates: kept().unwrap(),
        ocsp_metrics: crate::OcspMetrics::default(),
    })
    .await
    .unwrap();
    let parts = crate::CaParts {
        config: config.clone(),
        keystore: Arc::clone(&installation.keystore) as _,
        store,
        publication,
        clock: Arc::clone(&installation.clock) as _,
        metrics: CaMetrics::default(),
    };
    let error = crate::Ca::open(parts).await.unwrap_err();
    assert!(matches!(error, Error::PublishedOther { .. }), "{error}");
    let on_token = AuthorityCertificates::read(&config, installation.keystore.as_ref()).unwrap();
    assert_eq!(kept().unwrap().root().der(), on_token.root().der());
    let (_ca, _store) = installation.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_of_a_new_crl_at_once() {
    let installation = Installation::ready("[crl]\non_revocation = 'at-once'").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    served.ca.issue_crls().await.unwrap();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = operator.get(served.url("/crl/issuing"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    let first = ask(&[("prefer", "wait=30")]).await;
    assert_eq!(first.status(), StatusCode::OK, "nothing is known yet");
    let etag = header(&first, "etag");
    let known = [("if-none-match", etag.as_str()), ("prefer", "wait=1")];
    let began = Instant::now();
    assert_eq!(ask(&known).await.status(), StatusCode::NOT_MODIFIED);
    assert!(began.elapsed() >= Duration::from_millis(990));

    // While one waits, a revocation comes.
    let csr = installation.csr("www.example.org").await;
    let issued = Arc::clone(&served.ca).issue(request(csr)).await.unwrap();
    let began = Instant::now();
    let known = [("if-none-match", etag.as_str()), ("prefer", "wait=30")];
    let revoking = async {
        // Not before the other one waits.
        super::installation::eventually("one waits", || async {
            served.ca.waiters.available_permits() < 256
        })
        .await;
        operator
            .post(served.url("/revoke-cert"))
            .json(&serde_json::json!({ "serial": issued.serial.to_string() }))
            .send()
            .await
            .unwrap()
    };
    let (waited, revoked) = tokio::join!(ask(&known), revoking);
    assert_eq!(revoked.status(), StatusCode::OK);
    assert_eq!(waited.status(), StatusCode::OK);
    assert!(began.elapsed() < Duration::from_secs(20));
    let der = waited.bytes().await.unwrap();
    assert!(
        ParsedCrl::parse(&der)
            .unwrap()
            .find(&issued.serial)
            .is_some()
    );

    // The same without the network.
    let local = LocalClient(Arc::clone(&served.ca));
    let wanted = |known: Option<String>| CrlRequest {
        issuer: served.ca.publication.issuing_id.clone(),
        scope: CrlScope::Full,
        known,
        wait: Some(Duration::from_millis(1)),
    };
    let CrlAnswer::Crl(fetched) = local.crl(wanted(Some(etag))).await.unwrap() else {
        panic!("there is another one");
    };
    assert_eq!(fetched.der, der);
    assert_eq!(
        local.crl(wanted(fetched.etag)).await.unwrap(),
        CrlAnswer::NotModified
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ends_keeps_nobody_waiting() {
    let installation = Installation::ready("[limits]\nshutdown_grace = '30s'").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    served.ca.issue_crls().await.unwrap();
    let url = served.url("/crl");
    let first = operator.get(&url).send().await.unwrap();
    let waiting = operator
        .get(&url)
        .header("if-none-match", header(&first, "etag"))
        .header("prefer", "wait=60");
    let waiting = tokio::spawn(waiting.send());
    super::installation::eventually("one waits", || async {
        served.ca.waiters.available_permits() < 256
    })
    .await;
    let began = Instant::now();
    served.stop().await;
    assert!(began.elapsed() < Duration::from_secs(20));
    // Told that there is nothing new, or that the connection ended.
    if let Ok(response) = waiting.await.unwrap() {
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_order_crls_and_see_them_in_the_status() {
    let installation = Installation::ready("").await;
    let served = Served::start(&installation).await;
    let operator = served.client(&installation, "operator/alice").await;
    let auditor = served.client(&installation, "auditor/eve").await;
    let order = async |client: &Client| client.post(served.url("/crl")).send().await.unwrap();
    assert_eq!(order(&auditor).await.status(), StatusCode::FORBIDDEN);
    let list: CrlList = order(&operator).await.json().await.unwrap();
    let scopes: Vec<_> = list
        .crls
        .iter()
        .map(|crl| (crl.issuer.as_str(), crl.scope))
        .collect();
    assert_eq!(
        scopes,
        [("issuing", CrlScope::Full), ("root", CrlScope::Full)]
    );
    assert_eq!(
        list.crls[0].url.as_deref(),
        Some("http://127.0.0.1:8080/crl/issuing.crl")
    );
    let status: wire::CaStatus = auditor
        .get(served.url("/status"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(status.crls, list.crls);
    let runway = status.runway.unwrap();
    assert!(runway.seconds > 0, "{runway:?}");
    for (path, kind) in [
        ("/crl/nobody", ProblemType::IssuerUnknown),
        ("/crl/issuing/delta", ProblemType::CrlUnknown),
        ("/crl/issuing/shards/0", ProblemType::CrlUnknown),
        ("/crl/issuing/shards/x", ProblemType::CrlUnknown),
    ] {
        let response = auditor.get(served.url(path)).send().await.unwrap();
        let document: ProblemDocument = response.json().await.unwrap();
        assert_eq!(document.kind, kind.uri(), "{path}");
    }
    installation.keys.sign(Signing::Fails(unavailable()));
    let response = order(&operator).await;
    let document: ProblemDocument = response.json().await.unwrap();
    assert_eq!(document.kind, ProblemType::TokenUnavailable.uri());
    installation.keys.sign(Signing::Works);
    served.stop().await;
}

/// What the root's OCSP answers are about, and who gave them.
struct RootQuestion {
    /// The issuing authority.
    certificate: Certificate,
    /// The root.
    root: Certificate,
}

impl RootQuestion {
    /// Asks about the issuing authority.
    fn of(ca: &crate::Ca) -> Self {
        let certificates = &ca.publication.certificates;
        Self {
            certificate: certificates.issuing().clone(),
            root: certificates.root().clone(),
        }
    }

    /// Asks a responder, and verifies what it answers.
    async fn ask(
        &self,
        publication: &Publication,
        hash: CertIdHash,
        now: Timestamp,
    ) -> Result<CertStatus, OcspRefused> {
        let serial = self.certificate.serial();
        let id = IssuerHashes::of(&self.root).cert_id_der(hash, serial);
        let request = encode_request(&[&id], None);
        let answer = publication.responder.query(&request).await;
        let question = Question {
            issuer: &self.root,
            serial,
            nonce: None,
            now,
            skew: Duration::ZERO,
        };
        verify_response(answer.der(), &question).map(|answer| answer.status)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_answers_for_the_issuing_authority_with_its_crl_and_without_its_key() {
    let installation = Installation::ready("").await;
    let (ca, store) = installation.open().await;
    ca.issue_crls().await.unwrap();
    let now = || model::Clock::now(installation.clock.as_ref());
    let question = RootQuestion::of(&ca);
    for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
        let said = question.ask(&ca.publication, hash, now()).await;
        assert_eq!(said, Ok(CertStatus::Good), "{hash:?}");
    }
    // A certificate that the root did not issue.
    let csr = installation.csr("www.example.org").await;
    let leaf = Arc::clone(&ca).issue(request(csr)).await.unwrap();
    let other = RootQuestion {
        certificate: Certificate::from_der(&leaf.certificate_der).unwrap(),
        root: question.root.clone(),
    };
    let said = other.ask(&ca.publication, CertIdHash::Sha256, now()).await;
    let unauthorized = Err(OcspRefused::Responder {
        status: ErrorStatus::Unauthorized,
    });
    assert_eq!(said, unauthorized);

    // A start without the token has them from the file.
    drop((ca, store));
    installation.keys.sign(Signing::Fails(unavailable()));
    let reopened = reopen(&installation).await;
    let said = question.ask(&reopened, CertIdHash::Sha1, now()).await;
    assert_eq!(said, Ok(CertStatus::Good));
    drop(reopened);

    // A file that somebody wrote into is left out.
    let file = installation.published().join("root-ocsp-answers");
    let mut octets = std::fs::read(&file).unwrap();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    std::fs::write(&file, octets).unwrap();
    let reopened = reopen(&installation).await;
    let said = question.ask(&reopened, CertIdHash::Sha256, now()).await;
    assert_eq!(said, unauthorized);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_says_nothing_that_is_no_longer_true() {
    let installation = Installation::ready("[crl]\non_revocation = 'timer'").await;
    let (ca, _store) = installation.open().await;
    ca.issue_crls().await.unwrap();
    let now = || model::Clock::now(installation.clock.as_ref());
    let question = RootQuestion::of(&ca);
    super::crl::revoke(
        &ca,
        question.certificate.serial(),
        model::RevocationReason::CaCompromise,
    )
    .await;
    let said = question
        .ask(&ca.publication, CertIdHash::Sha256, now())
        .await;
    let later = Err(OcspRefused::Responder {
        status: ErrorStatus::TryLater,
    });
    assert_eq!(said, later);
    installation.clock.advance(1);
    ca.issue_crls().await.unwrap();
    let said = question
        .ask(&ca.publication, CertIdHash::Sha256, now())
        .await;
    assert!(
        matches!(said, Ok(CertStatus::Revoked { reason, .. })
            if reason == model::RevocationReason::CaCompromise),
        "{said:?}"
    );
}

/// Opens what was published again, no token asked.
async fn reopen(installation: &Installation) -> Arc<Publication> {
    let config = installation.config.check().unwrap();
    let certificates = AuthorityCertificates::kept(&config, &installation.published())
        .unwrap()
        .unwrap();
    Publication::open(crate::PublicationParts {
        config,
        store: installation.store(),
        clock: Arc::clone(&installation.clock) as _,
        directory: installation.published(),
        certificates,
        ocsp_metrics: crate::OcspMetrics::default(),
    })
    .await
    .unwrap()
}
