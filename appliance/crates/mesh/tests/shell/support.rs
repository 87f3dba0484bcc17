//! A CA of the test's own, listeners on free ports, and clients that speak raw
//! HTTP over TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::web;
use mesh::{
    AdmitAll, AdmitPeer, ClientTls, Health, HttpMetrics, JsonBody, ListenerConfig, ListenerLimits,
    Peer, PeerVerifier, RequestContext, Security, Server, ServerHandle, Shared, TlsIdentity,
};
use model::{ManualClock, Timestamp, TrustDomain};
use prometheus_client::registry::Registry;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::SigningKey;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a test waits for what must happen soon, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The trust domain of all tests.
pub(crate) fn domain() -> TrustDomain {
    TrustDomain::new("test.internal").unwrap()
}

/// A root that certifies for tests.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certified key, in the forms that clients and servers want.
pub(crate) struct Leaf {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Arc<dyn SigningKey>,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

/// What a leaf is for and when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Usual,
    Expired,
    ServerOnly,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Certifies an identity (`operator/alice`), or any URI.
    pub(crate) fn leaf(&self, identity: &str) -> Leaf {
        self.leaf_of(identity, Kind::Usual)
    }

    pub(crate) fn leaf_of(&self, identity: &str, kind: Kind) -> Leaf {
        let uri = if identity.contains("://") {
            identity.to_owned()
        } else {
            format!("spiffe://test.internal/{identity}")
        };
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into().unwrap()),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::URI(uri.as_str().try_into().unwrap()),
        ];
        params
            .distinguished_name
            .push(DnType::CommonName, "test leaf");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if kind != Kind::ServerOnly {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after =
            rcgen::date_time_ymd(if kind == Kind::Expired { 2021 } else { 2046 }, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key_der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Leaf {
            chain: vec![certificate.der().clone()],
            key: rustls::crypto::aws_lc_rs::sign::any_supported_type(&key_der).unwrap(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

impl Leaf {
    pub(crate) fn identity(&self) -> Arc<TlsIdentity> {
        TlsIdentity::from_signing_key(self.chain.clone(), Arc::clone(&self.key)).unwrap()
    }

    /// Writes certificate and key where command-line clients read them.
    pub(crate) fn files(&self, directory: &TempDir) -> (String, String) {
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        (
            write("leaf.pem", &self.certificate_pem),
            write("leaf.key", &self.key_pem),
        )
    }
}

/// A listener that runs, and everything to meet it with.
pub(crate) struct Fixture {
    pub(crate) ca: Ca,
    pub(crate) address: SocketAddr,
    pub(crate) handle: ServerHandle,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) identity: Arc<TlsIdentity>,
    pub(crate) verifier: Arc<PeerVerifier>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) running: JoinHandle<Result<(), mesh::Error>>,
}

/// How a fixture differs from the usual one.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) limits: ListenerLimits,
    pub(crate) admission: Option<Box<dyn AdmitPeer>>,
    pub(crate) server_key: Option<Arc<dyn SigningKey>>,
    pub(crate) plain: bool,
    pub(crate) open: bool,
}

/// The routes of the test service.
pub(crate) fn routes(gate: Arc<Gate>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        let gate = web::Data::from(Arc::clone(&gate));
        config
            .app_data(gate)
            .service(web::resource("/ping").route(web::get().to(async || "pong")))
            .service(web::resource("/whoami").route(web::get().to(
                async |peer: Peer, context: RequestContext| {
                    format!("{} {}", peer.label(), context.request_id)
                },
            )))
            .service(
                web::resource("/echo")
                    .route(web::post().to(async |body: mesh::Body| body.0.len().to_string())),
            )
            .service(web::resource("/json").route(
                web::post().to(async |JsonBody(value): JsonBody<Vec<u32>>| value.len().to_string()),
            ))
            .service(
                web::resource("/items/{number}")
                    .route(web::get().to(async |number: web::Path<u32>| number.to_string())),
            )
            .service(
                web::resource("/wait").route(web::get().to(async |gate: web::Data<Gate>| {
                    gate.entered.add_permits(1);
                    gate.open.acquire().await.unwrap().forget();
                    "done"
                })),
            )
            .service(
                web::resource("/large").route(web::get().to(async || vec![b'x'; 32 * 1024 * 1024])),
            );
    }
}

/// Holds `/wait` back until the test opens it.
pub(crate) struct Gate {
    pub(crate) entered: tokio::sync::Semaphore,
    pub(crate) open: tokio::sync::Semaphore,
}

impl Gate {
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self {
            entered: tokio::sync::Semaphore::new(0),
            open: tokio::sync::Semaphore::new(0),
        })
    }
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        Self::with_gate(setup, Gate::closed())
    }

    pub(crate) fn with_gate(setup: Setup, gate: Arc<Gate>) -> Self {
        Self::with_routes(setup, routes(gate))
    }

    pub(crate) fn with_routes(
        setup: Setup,
        routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        let ca = Ca::new("test root");
        let server = ca.leaf("service/ca/ca-1");
        let key = setup.server_key.unwrap_or_else(|| Arc::clone(&server.key));
        let identity = TlsIdentity::from_signing_key(server.chain.clone(), key).unwrap();
        let admission = setup.admission.unwrap_or_else(|| Box::new(AdmitAll));
        let verifier = PeerVerifier::new(&[ca.certificate()], admission).unwrap();
        let now = Timestamp::try_from(SystemTime::now()).unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let metrics = HttpMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let shared = Shared {
            metrics,
            health: Health::new(),
            domain: domain(),
            clock: Arc::clone(&clock) as _,
        };
        let config = ListenerConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            limits: setup.limits,
        };
        let security = if setup.plain {
            Security::Plain
        } else if setup.open {
            Security::Open {
                identity: Arc::clone(&identity),
            }
        } else {
            Security::Mutual {
                identity: Arc::clone(&identity),
                clients: Arc::clone(&verifier),
            }
        };
        let registry = Arc::new(registry);
        let telemetry = mesh::telemetry::routes(Arc::clone(&registry));
        let server = Server::bind("test", &config, &security, &shared, move |config| {
            routes(config);
            telemetry(config);
        })
        .unwrap();
        Self {
            ca,
            address: server.local_addr(),
            handle: server.handle(),
            clock,
            identity,
            verifier,
            registry,
            running: tokio::spawn(server.run()),
        }
    }

    /// A client of this identity; none comes without a certificate.
    pub(crate) fn tls(&self, leaf: Option<&Leaf>) -> ClientTls {
        ClientTls {
            anchors: vec![self.ca.certificate()],
            identity: leaf.map(Leaf::identity),
            expected: None,
            staple: mesh::StaplePolicy::IfPresent,
        }
    }

    pub(crate) fn operator(&self) -> ClientTls {
        self.tls(Some(&self.ca.leaf("operator/alice")))
    }

    pub(crate) async fn connect(&self, tls: &ClientTls) -> io::Result<TlsStream<TcpStream>> {
        connect(self.address, tls.client_config().unwrap(), b"http/1.1").await
    }

    /// A client of the stock kind.
    pub(crate) fn reqwest(&self, tls: &ClientTls) -> reqwest::Client {
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls.client_config().unwrap())
            .no_proxy()
            .build()
            .unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Waits until the metrics say so.
    pub(crate) async fn until_metrics(&self, line: &str) {
        until(line, || self.metrics().contains(line)).await;
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// Polls a condition that must come true soon.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    tokio::time::timeout(SOON, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("this did not come true: {what}"));
}

pub(crate) async fn connect(
    address: SocketAddr,
    mut config: rustls::ClientConfig,
    alpn: &[u8],
) -> io::Result<TlsStream<TcpStream>> {
    config.alpn_protocols = vec![alpn.to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

/// An answer, read to the end of its declared length.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn problem(&self) -> String {
        let document = self.json();
        let kind = document["type"].as_str().unwrap();
        kind.strip_prefix("urn:chancery:problem:")
            .unwrap()
            .to_owned()
    }

    pub(crate) fn has(&self, header: &str) -> bool {
        self.head.to_ascii_lowercase().contains(header)
    }
}

/// Reads one answer with a declared length.
pub(crate) async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            let mut body = bytes.split_off(end + 4);
            while body.len() < length {
                if stream.read_buf(&mut body).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            return Ok(Answer {
                status: head.split(' ').nth(1).unwrap().parse().unwrap(),
                head,
                body: String::from_utf8(body).unwrap(),
            });
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Sends octets and reads one answer.
pub(crate) async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    octets: &str,
) -> io::Result<Answer> {
    stream.write_all(octets.as_bytes()).await?;
    stream.flush().await?;
    read_answer(stream).await
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}
