//! Targets that tests control.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use model::acme::{ChallengeKind, Identifier};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::caa::CaaChecker;
use crate::name_server::NameServer;
use crate::validate::{
    Failure, KeyAuthorization, Proof, Task, ValidateChallenge, ValidationConfig, Validator,
};
use mesh::address::AddressConfig;

/// The token of RFC 8555, 8.3's example.
pub(super) const TOKEN: &str = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";

/// A thumbprint.
const THUMBPRINT: &str = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// The account that asks.
pub(super) const ACCOUNT_URL: &str = "https://example.com/acme/acct/ExampleAccount";

/// The path of http-01.
pub(super) fn path() -> String {
    format!("/.well-known/acme-challenge/{TOKEN}")
}

/// What must be found.
pub(super) fn key_authorization() -> KeyAuthorization {
    KeyAuthorization::new(TOKEN, THUMBPRINT)
}

/// A task.
pub(super) fn task(kind: ChallengeKind, identifier: &str) -> Task {
    let identifier = match identifier.parse() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::dns(identifier).unwrap(),
    };
    Task {
        kind,
        wildcard: identifier.is_wildcard(),
        identifier: identifier.base(),
        key_authorization: key_authorization(),
        account_url: ACCOUNT_URL.into(),
    }
}

/// A validator that asks a name server, dials 127.0.0.1 and ::1 alone, and ends
/// attempts soon; `change` has the last word.
pub(super) fn validator(
    names: &NameServer,
    change: impl FnOnce(&mut ValidationConfig),
) -> Validator {
    validator_with_caa(names, None, change)
}

/// A validator that asks CAA as well.
pub(super) fn validator_with_caa(
    names: &NameServer,
    caa: Option<CaaChecker>,
    change: impl FnOnce(&mut ValidationConfig),
) -> Validator {
    let mut config = ValidationConfig {
        methods: ["http-01", "dns-01", "tls-alpn-01", "dns-account-01"]
            .map(str::to_owned)
            .into(),
        addresses: AddressConfig {
            public: false,
            allow: vec!["127.0.0.1/32".parse().unwrap(), "::1/128".parse().unwrap()],
            deny: Vec::new(),
        },
        ..ValidationConfig::default()
    };
    change(&mut config);
    let checked = config.check().unwrap();
    checked.validator(names.resolver(), caa).unwrap()
}

/// Makes one attempt by http-01 at a port.
pub(super) async fn http_attempt(
    names: &NameServer,
    port: u16,
    identifier: &str,
) -> Result<Proof, Failure> {
    validator(names, |config| config.http_port = port)
        .validate(&task(ChallengeKind::Http01, identifier))
        .await
}

/// A request as a web server got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The path with its query.
    pub(super) path: String,
    /// The Host field.
    pub(super) host: String,
}

/// What a web server answers.
pub(super) type Answer = Arc<dyn Fn(&Asked) -> Vec<u8> + Send + Sync>;

/// A web server that ends with the test.
#[derive(Debug)]
pub(super) struct WebServer {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What it was asked.
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Its loop.
    _tasks: JoinSet<()>,
}

impl WebServer {
    /// Starts a server on an address, with port 0 any port; it sends the octets
    /// that `answer` returns and closes, or keeps the connection and says nothing
    /// more when there are none.
    pub(super) async fn start(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, tls, Arc::clone(&asked), Arc::new(answer)));
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    /// Returns what it was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns its port.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

/// Accepts connections until the test ends.
async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Answer,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, asked, answer) = (tls.clone(), Arc::clone(&asked), Arc::clone(&answer));
        connections.spawn(async move {
            match tls {
                None => exchange(stream, &asked, &answer).await,
                Some(config) => {
                    let stream = TlsAcceptor::from(config).accept(stream).await?;
                    exchange(stream, &asked, &answer).await
                }
            }
        });
    }
}

/// Reads one request and answers it.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    asked: &Mutex<Vec<Asked>>,
    answer: &Answer,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let host = head
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap_or_default();
    let request = Asked {
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        host: host.to_owned(),
    };
    asked.lock().unwrap().push(request.clone());
    let octets = answer(&request);
    if octets.is_empty() {
        // Says nothing until the client goes.
        let _gone = stream.read_u8().await;
        return Ok(());
    }
    stream.write_all(&octets).await?;
    stream.shutdown().await
}

/// An answer with a body.
pub(super) fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

/// A redirect.
pub(super) fn redirect(status: u16, to: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into()
}

/// A certificate with its key.
pub(super) struct TestCertificate {
    /// The certificate, DER.
    pub(super) der: CertificateDer<'static>,
    /// Its key, PKCS#8.
    pub(super) key: PrivatePkcs8KeyDer<'static>,
}

/// Configures a server that shows a certificate whatever is asked for, and agrees
/// to these protocols.
pub(super) fn tls_server(
    certificate: &TestCertificate,
    protocols: &[&[u8]],
) -> (Arc<ServerConfig>, Arc<OneCertificate>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = provider
        .key_provider
        .load_private_key(PrivateKeyDer::Pkcs8(certificate.key.clone_key()))
        .unwrap();
    let resolver = Arc::new(OneCertificate {
        certified: Arc::new(CertifiedKey::new(vec![certificate.der.clone()], key)),
        names: Mutex::default(),
    });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&resolver) as _);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (Arc::new(config), resolver)
}

/// Shows one certificate, and remembers what was asked for.
#[derive(Debug)]
pub(super) struct OneCertificate {
    /// The certificate.
    certified: Arc<CertifiedKey>,
    /// Server names, and protocols offered.
    names: Mutex<Vec<(String, Vec<Vec<u8>>)>>,
}

impl OneCertificate {
    /// Returns the server names asked for, and the protocols offered.
    pub(super) fn asked(&self) -> Vec<(String, Vec<Vec<u8>>)> {
        self.names.lock().unwrap().clone()
    }
}

impl ResolvesServerCert for OneCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default().to_owned();
        let protocols = hello
            .alpn()
            .into_iter()
            .flatten()
            .map(<[u8]>::to_vec)
            .collect();
        self.names.lock().unwrap().push((name, protocols));
        Some(Arc::clone(&self.certified))
    }
}

/// A listener that must not be connected to.
#[derive(Debug)]
pub(super) struct Trap(TcpListener);

impl Trap {
    /// Listens.
    pub(super) async fn at(address: SocketAddr) -> Self {
        Self(TcpListener::bind(address).await.unwrap())
    }

    /// Fails if anybody came; connections wait in the listener's own queue.
    pub(super) async fn assert_untouched(self) {
        let own = TcpStream::connect(self.0.local_addr().unwrap());
        let (own, first) = tokio::join!(own, self.0.accept());
        let (_, from) = first.unwrap();
        assert_eq!(
            from,
            own.unwrap().local_addr().unwrap(),
            "somebody connected"
        );
    }
}
