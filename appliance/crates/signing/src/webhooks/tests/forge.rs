//! A server of somebody else's: HTTPS on a socket, which answers what the test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A CA of the outside world.
pub(crate) struct World {
    /// It.
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl World {
    /// Makes it.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// Returns its certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Certifies a server.
    fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Arc::new(config)
    }
}

/// A request as a server got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `GET /path?query`.
    pub(crate) line: String,
    /// Header fields, their names in lower case.
    pub(crate) fields: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// Returns a header field, empty where it is not there.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Reads the body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What a server answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The octets, head and all.
    octets: Vec<u8>,
    /// What follows them.
    then: Then,
}

/// What follows an answer.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The end of the connection.
    Close,
    /// Nothing, for as long as the client waits.
    Hang,
    /// One octet after the other, so far apart.
    Trickle(Duration),
}

impl Reply {
    /// Answers with a body.
    pub(crate) fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::with(status, &[], body)
    }

    /// Answers with header fields and a body.
    pub(crate) fn with(status: u16, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut octets = format!("{head}\r\n").into_bytes();
        octets.extend_from_slice(body);
        Self {
            octets,
            then: Then::Close,
        }
    }

    /// Answers JSON.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string())
    }

    /// Leads elsewhere.
    pub(crate) fn redirect(to: &str) -> Self {
        Self::with(302, &[("location", to)], "")
    }

    /// Sends other octets behind the head, whose length it does not tell.
    pub(crate) fn undeclared(mut self, body: &str) -> Self {
        let head = String::from_utf8(self.octets).unwrap();
        self.octets = head.replace("content-length: 0\r\n", "").into_bytes();
        self.octets.extend_from_slice(body.as_bytes());
        self
    }

    /// Sends no more than the first octets of it.
    pub(crate) fn cut(mut self, missing: usize) -> Self {
        self.octets.truncate(self.octets.len() - missing);
        self
    }

    /// Says nothing more, and keeps the connection.
    pub(crate) fn hanging(mut self) -> Self {
        self.then = Then::Hang;
        self
    }

    /// Sends one octet after the other.
    pub(crate) fn trickling(mut self, pause: Duration) -> Self {
        self.then = Then::Trickle(pause);
        self
    }
}

/// What a server answers to a request.
type Answer = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A server that ends with the test.
pub(crate) struct Forge {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it was asked.
    asked: Arc<Mutex<Vec<Asked>>>,
    /// How often it was asked.
    count: watch::Receiver<usize>,
    /// Its loop.
    _tasks: JoinSet<()>,
}

impl Forge {
    /// Serves names on 127.0.0.1.
    pub(crate) async fn start(
        world: &World,
        names: &[&str],
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        let (counting, count) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(
            listener,
            TlsAcceptor::from(world.server(names)),
            Arc::clone(&asked),
            Arc::new(counting),
            Arc::new(answer),
        ));
        Self {
            address,
            asked,
            count,
            _tasks: tasks,
        }
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns what it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so often.
    pub(crate) async fn asked_times(&self, times: usize) -> Vec<Asked> {
        let mut count = self.count.clone();
        let waiting = count.wait_for(|count| *count >= times);
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap_or_else(|_| panic!("asked {} times, not {times}", self.asked().len()))
            .unwrap();
        self.asked()
    }
}

/// Accepts connections until the test ends.
async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    asked: Arc<Mutex<Vec<Asked>>>,
    count: Arc<watch::Sender<usize>>,
    answer: Answer,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, asked, answer) = (tls.clone(), Arc::clone(&asked), Arc::clone(&answer));
        let count = Arc::clone(&count);
        connections.spawn(async move {
            let stream = tls.accept(stream).await?;
            exchange(stream, &asked, &count, &answer).await
        });
    }
}

/// Reads one request and answers it.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    asked: &Mutex<Vec<Asked>>,
    count: &watch::Sender<usize>,
    answer: &Answer,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default();
    let fields: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let len = fields
        .get("content-length")
        .map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    let request = Asked {
        line: line.trim_end_matches(" HTTP/1.1").to_owned(),
        fields,
        body,
    };
    let reply = answer(&request);
    asked.lock().unwrap().push(request);
    count.send_modify(|count| *count += 1);
    match reply.then {
        Then::Close => {
            stream.write_all(&reply.octets).await?;
            stream.shutdown().await
        }
        Then::Hang => {
            stream.write_all(&reply.octets).await?;
            stream.flush().await?;
            let _gone = stream.read_u8().await;
            Ok(())
        }
        Then::Trickle(pause) => {
            let mut clock = tokio::time::interval(pause);
            for octet in reply.octets {
                clock.tick().await;
                stream.write_all(&[octet]).await?;
                stream.flush().await?;
            }
            stream.shutdown().await
        }
    }
}

/// A listener that must not be connected to.
pub(crate) struct Trap(TcpListener);

impl Trap {
    /// Listens.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        Self(TcpListener::bind(address).await.unwrap())
    }

    /// Fails if anybody came; connections wait in the listener's own queue.
    pub(crate) async fn assert_untouched(self) {
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
