//! The CA's client against a listener, and enrolment against a CA of openssl.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actix_web::{HttpRequest, HttpResponse, web};
use async_trait::async_trait;
use hsm_keystore::{FileStore, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics};
use mesh::csr::{self, CsrContent};
use mesh::enrol::Enrolment;
use mesh::tls::ExpectedServer;
use mesh::wire::{
    CaStatus, CertificateFilter, CertificatePage, CertificateRecord, ImportOutcome, KeyRevocation,
    ProfileList, RevocationFilter, RevocationImport, RevocationPage, RevocationRecord,
    RevokeKeyRequest, RevokeRequest, SignQuery,
};
use mesh::{
    Body, CaClient, CaClientError, CrlAnswer, CrlRequest, HttpCaClient, Persistence, Problem,
    ProblemType, RevocationSource, SignRequest, SignedCertificate,
};
use model::{Clock, Identity, ManualClock, PeerName, Role, SerialNumber, Timestamp};
use tempfile::TempDir;

use crate::support::{Ca, Fixture, Setup, domain, until};

fn quick() -> Persistence {
    Persistence {
        total: Duration::from_secs(20),
        ..Persistence::default()
    }
}

fn request() -> SignRequest {
    SignRequest {
        forge: None,
        csr_der: vec![0x30, 0],
        profile: Some("tls-server".parse().unwrap()),
        validity: Some("90d".to_owned()),
        identity: Some(Identity {
            role: Role::ServiceAcme,
            name: PeerName::new("acme-1").unwrap(),
        }),
        idempotency: "order-1".parse().unwrap(),
        request_id: Some("r-7".parse().unwrap()),
    }
}

/// What a fake CA was asked: key, request id and query.
type Asked = Arc<Mutex<Vec<(String, String, SignQuery)>>>;

/// A CA that answers as `answer` says, by the number of the request.
fn fake_ca(
    asked: &Asked,
    answer: impl Fn(usize) -> Result<HttpResponse, Problem> + Clone + Send + Sync + 'static,
) -> Fixture {
    let asked = Arc::clone(asked);
    Fixture::with_routes(Setup::default(), move |config| {
        let (asked, answer) = (Arc::clone(&asked), answer.clone());
        let sign = move |request: HttpRequest, query: web::Query<SignQuery>, _: Body| {
            let header = |name| {
                request
                    .headers()
                    .get(name)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned()
            };
            let mut asked = asked.lock().unwrap();
            asked.push((header("idempotency-key"), header("x-request-id"), query.0));
            std::future::ready(answer(asked.len()))
        };
        config.service(web::resource("/sign").route(web::post().to(sign)));
    })
}

fn client(fixture: &Fixture) -> HttpCaClient {
    HttpCaClient::new(&fixture.url("/"), &fixture.operator(), quick()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_cannot_now_is_asked_again_with_the_same_key() {
    let asked = Asked::default();
    let pem = Ca::new("signer").pem();
    let fixture = fake_ca(&asked, move |count| match count {
        1 => Err(
            Problem::new(ProblemType::TokenUnavailable, "the token is away")
                .retry_after(Duration::from_secs(1)),
        ),
        2 => Err(Problem::new(ProblemType::InProgress, "still being served")
            .retry_after(Duration::from_secs(1))),
        _ => Ok(HttpResponse::Created()
            .insert_header(("location", "/certificates/4001ab"))
            .content_type("application/pem-certificate-chain")
            .body(pem.clone())),
    });
    let signed = client(&fixture).sign(request()).await.unwrap();
    assert_eq!(signed.serial.to_string(), "4001ab");
    assert!(signed.chain_pem.starts_with("-----BEGIN CERTIFICATE-----"));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 3);
    for (key, id, query) in asked.iter() {
        assert_eq!((key.as_str(), id.as_str()), ("order-1", "r-7"));
        assert_eq!(query.identity.as_deref(), Some("service:acme/acme-1"));
        assert_eq!(query.validity.as_deref(), Some("90d"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_type_and_not_asked_again() {
    let asked = Asked::default();
    let fixture = fake_ca(&asked, |_| {
        Err(Problem::new(
            ProblemType::WeakKey,
            "the modulus has a small factor",
        ))
    });
    let refused = client(&fixture).sign(request()).await.unwrap_err();
    assert_eq!(refused.problem_type(), Some(ProblemType::WeakKey));
    assert!(refused.to_string().contains("small factor"), "{refused}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_chain_is_a_protocol_error() {
    let asked = Asked::default();
    let fixture = fake_ca(&asked, |_| {
        Ok(HttpResponse::Created()
            .insert_header(("location", "/certificates/01"))
            .body("hello"))
    });
    let refused = client(&fixture).sign(request()).await.unwrap_err();
    assert!(matches!(
        refused,
        CaClientError::Protocol { status: 201, .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_another_role_cannot_play_the_ca() {
    let fixture = Fixture::start();
    let expecting = |role| {
        let mut tls = fixture.operator();
        tls.expected = Some(ExpectedServer {
            domain: domain(),
            role,
        });
        HttpCaClient::new(&fixture.url("/"), &tls, quick()).unwrap()
    };
    let refused = expecting(Role::ServiceAcme).status().await.unwrap_err();
    assert!(matches!(refused, CaClientError::Unreachable { .. }));
    assert!(!refused.is_transient());
    // The right role is talked to, and has no such call here.
    let refused = expecting(Role::ServiceCa).status().await.unwrap_err();
    assert_eq!(refused.problem_type(), Some(ProblemType::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_not_there_is_unreachable_and_may_come_back() {
    let fixture = Fixture::start();
    // A port that was free a moment ago.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let persistence = Persistence {
        total: Duration::from_millis(300),
        ..Persistence::default()
    };
    let address = format!("https://localhost:{port}/");
    let client = HttpCaClient::new(&address, &fixture.operator(), persistence).unwrap();
    let error = client.profiles().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(HttpCaClient::new("http://localhost/", &fixture.operator(), quick()).is_err());
}

/// A CA that is the openssl command.
#[derive(Debug)]
struct OpensslCa {
    directory: TempDir,
    signed: AtomicUsize,
}

impl OpensslCa {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = Ca::new("openssl root");
        std::fs::write(directory.path().join("ca.pem"), ca.pem()).unwrap();
        std::fs::write(directory.path().join("ca.key"), ca.key_pem()).unwrap();
        Self {
            directory,
            signed: AtomicUsize::new(0),
        }
    }
}

/// Runs openssl and returns what it says.
fn openssl(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("openssl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {text}");
    text
}

#[async_trait]
impl RevocationSource for OpensslCa {
    async fn crl(&self, _: CrlRequest) -> Result<CrlAnswer, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }

    async fn ocsp(&self, _: Vec<u8>) -> Result<Vec<u8>, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }
}

#[async_trait]
impl CaClient for OpensslCa {
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError> {
        let count = self.signed.fetch_add(1, Ordering::SeqCst) + 1;
        let directory = self.directory.path();
        std::fs::write(directory.join("request.der"), request.csr_der).unwrap();
        let serial = count.to_string();
        openssl(
            directory,
            &[
                "x509",
                "-req",
                "-inform",
                "DER",
                "-in",
                "request.der",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-copy_extensions",
                "copy",
                "-days",
                "30",
                "-set_serial",
                &serial,
                "-out",
                "leaf.pem",
            ],
        );
        let read = |name| std::fs::read_to_string(directory.join(name)).unwrap();
        Ok(SignedCertificate {
            serial: serial.parse().unwrap(),
            chain_pem: read("leaf.pem") + &read("ca.pem"),
        })
    }

    async fn certificate(&self, _: &SerialNumber) -> Result<CertificateRecord, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }

    async fn certificates(&self, _: &CertificateFilter) -> Result<CertificatePage, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }

    async fn profiles(&self) -> Result<ProfileList, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }

    async fn status(&self) -> Result<CaStatus, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }

    async fn revoke(&self, _: &RevokeRequest) -> Result<RevocationRecord, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }

    async fn revoke_key(&self, _: &RevokeKeyRequest) -> Result<KeyRevocation, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }

    async fn revocations(&self, _: &RevocationFilter) -> Result<RevocationPage, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }

    async fn import_revocations(
        &self,
        _: &RevocationImport,
    ) -> Result<ImportOutcome, CaClientError> {
        unreachable!("enrolment only has certificates signed")
    }
}

fn store(directory: &TempDir) -> Arc<dyn KeyStore> {
    let path = directory.path().join("keys");
    Arc::new(FileStore::open(&path, KeyStoreMetrics::default()).unwrap())
}

fn content() -> CsrContent {
    CsrContent {
        subject: "CN=acme-1,O=Test".to_owned(),
        dns: vec!["localhost".to_owned()],
        ips: vec![Ipv4Addr::LOCALHOST.into(), "::1".parse().unwrap()],
        uris: vec!["spiffe://test.internal/service/acme/acme-1".to_owned()],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_reads_and_verifies_requests_of_every_key_algorithm() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory);
    for algorithm in [
        KeyAlgorithm::EcP256,
        KeyAlgorithm::EcP384,
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Ed25519,
    ] {
        let id = KeyId::new(algorithm.as_str()).unwrap();
        let key = store.generate_private_key(&id, algorithm).unwrap();
        let request = csr::build(key.as_ref(), &content()).await.unwrap();
        std::fs::write(directory.path().join("request.der"), request).unwrap();
        let text = openssl(
            directory.path(),
            &[
                "req",
                "-inform",
                "DER",
                "-in",
                "request.der",
                "-verify",
                "-noout",
                "-text",
            ],
        );
        for expected in [
            "Certificate request self-signature verify OK",
            "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, \
             URI:spiffe://test.internal/service/acme/acme-1",
        ] {
            assert!(text.contains(expected), "{algorithm}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolment_keeps_what_it_got_and_renews_it_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Arc::new(OpensslCa::new());
    let now = Timestamp::try_from(SystemTime::now()).unwrap();
    let clock = Arc::new(ManualClock::at(now));
    let enrolment = Enrolment {
        keystore: store(&directory),
        key: KeyId::new("acme-tls").unwrap(),
        algorithm: KeyAlgorithm::EcP256,
        content: content(),
        profile: "service".parse().unwrap(),
        validity: None,
        identity: Identity {
            role: Role::ServiceAcme,
            name: PeerName::new("acme-1").unwrap(),
        },
        chain_file: directory.path().join("acme-tls.pem"),
        ca: Arc::clone(&ca) as _,
        clock: Arc::clone(&clock) as _,
    };
    let first = enrolment.obtain().await.unwrap();
    assert_eq!(first.chain.len(), 2);
    let again = enrolment.obtain().await.unwrap();
    assert_eq!(again.chain, first.chain);
    assert_eq!(ca.signed.load(Ordering::SeqCst), 1, "kept, not asked again");

    // A name more is a reason to enrol anew.
    let mut renamed = enrolment.clone();
    renamed.content.dns.push("acme.test.internal".to_owned());
    let second = renamed.obtain().await.unwrap();
    assert_eq!(ca.signed.load(Ordering::SeqCst), 2);

    let tls = second.tls_identity().unwrap();
    let renewing = tokio::spawn(renamed.keep_current(Arc::clone(&tls), second.clone()));
    assert!(clock.now() < second.renew_at);
    clock.advance(21 * 86_400);
    until("the certificate is renewed", || tls.chain() != second.chain).await;
    assert_eq!(ca.signed.load(Ordering::SeqCst), 3);
    renewing.abort();
}
