//! What the shell costs a request: `cargo bench -p mesh --bench shell`.
//!
//! Each variant is a child process with one request worker; the parent keeps 32
//! connections busy and reads the child's CPU time from `/proc`, so that the
//! client's own work is in no figure. `bare` is actix-web with the same handler
//! and nothing around it.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix_web::{App, HttpServer, web};
use mesh::{
    AdmitAll, ClientTls, Health, HttpMetrics, ListenerConfig, ListenerLimits, PeerVerifier,
    Security, Server, Shared, TlsIdentity,
};
use model::{ManualClock, Timestamp, TrustDomain};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The variants, in the order of the table.
const VARIANTS: [&str; 4] = ["bare", "shell", "shell-log", "shell-mtls-log"];

/// Connections kept busy.
const CONNECTIONS: usize = 32;

/// How long each variant is measured.
const DURATION: Duration = Duration::from_secs(4);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "serve") {
        Some(at) => serve(&arguments[at + 1], Path::new(&arguments[at + 2])),
        None => measure_all(),
    }
}

/// Measures every variant and prints the table.
fn measure_all() {
    println!("| variant | requests/s | server CPU a request | above bare |");
    println!("|---|---|---|---|");
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("key.pem");
    fs::write(
        &key_file,
        rcgen::KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let mut bare = None;
    for variant in VARIANTS {
        let (rate, cpu) = measure(variant, &key_file);
        let base = *bare.get_or_insert(cpu);
        println!(
            "| {variant} | {rate:.0} | {cpu:.2} µs | {:+.2} µs |",
            cpu - base
        );
    }
}

/// Runs one variant: requests a second, and server CPU for each in µs.
fn measure(variant: &str, key_file: &Path) -> (f64, f64) {
    let mut child = ServerProcess::start(variant, key_file);
    let address = child.address();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // Connections and caches first, then the clock.
        let clients = Clients::connect(variant, address, key_file).await;
        let clients = clients.run(Duration::from_millis(500)).await.0;
        let (before, started) = (child.cpu(), Instant::now());
        let (_, requests) = clients.run(DURATION).await;
        let (cpu, elapsed) = (child.cpu() - before, started.elapsed());
        (
            requests as f64 / elapsed.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / requests as f64,
        )
    })
}

/// A variant in a process of its own.
struct ServerProcess(Child);

impl ServerProcess {
    /// Starts this program again as a server.
    fn start(variant: &str, key_file: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", variant])
            .arg(key_file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Reads the address it tells.
    fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        line.trim().parse().unwrap()
    }

    /// Sums the CPU time of its threads.
    fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let nanoseconds = tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
            .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
            .sum();
        Duration::from_nanos(nanoseconds)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connections with one request each on its way.
struct Clients(Vec<Box<dyn Stream>>);

impl Clients {
    /// Connects, by mutual TLS where the variant has it.
    async fn connect(variant: &str, address: SocketAddr, key_file: &Path) -> Self {
        let mut streams: Vec<Box<dyn Stream>> = Vec::new();
        for _ in 0..CONNECTIONS {
            let tcp = TcpStream::connect(address).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            if variant.contains("mtls") {
                let mut config = identities(key_file).1.client_config().unwrap();
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
                let name = ServerName::try_from("localhost").unwrap();
                streams.push(Box::new(connector.connect(name, tcp).await.unwrap()));
            } else {
                streams.push(Box::new(tcp));
            }
        }
        Self(streams)
    }

    /// Keeps every connection busy for a while and counts the answers.
    async fn run(self, duration: Duration) -> (Self, u64) {
        let end = Instant::now() + duration;
        let mut tasks = JoinSet::new();
        for mut stream in self.0 {
            tasks.spawn(async move {
                let mut buffer = [0; 2048];
                let mut count = 0;
                while Instant::now() < end {
                    let request = b"GET /static HTTP/1.1\r\nhost: localhost\r\n\r\n";
                    stream.write_all(request).await.unwrap();
                    stream.flush().await.unwrap();
                    let mut have = 0;
                    while !buffer[..have].ends_with(b"0123456789abcdef") {
                        let read = stream.read(&mut buffer[have..]).await.unwrap();
                        assert!(read > 0, "the server closed");
                        have += read;
                    }
                    assert!(buffer.starts_with(b"HTTP/1.1 200"));
                    count += 1;
                }
                (stream, count)
            });
        }
        let done = tasks.join_all().await;
        let count = done.iter().map(|(_, count)| count).sum();
        (
            Self(done.into_iter().map(|(stream, _)| stream).collect()),
            count,
        )
    }
}

/// The handler that all variants have.
async fn answer() -> &'static str {
    "a body of some octets that ends 0123456789abcdef"
}

/// Is the server of one variant until killed.
fn serve(variant: &str, key_file: &Path) {
    if variant.ends_with("log") {
        tracing_subscriber::fmt()
            .json()
            .with_writer(std::io::sink)
            .init();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        if variant == "bare" {
            let app = || App::new().service(web::resource("/static").route(web::get().to(answer)));
            let server = HttpServer::new(app)
                .workers(1)
                .disable_signals()
                .bind((Ipv4Addr::LOCALHOST, 0))
                .unwrap();
            println!("{}", server.addrs()[0]);
            server.run().await.unwrap();
        } else {
            let server = shell(variant, key_file);
            println!("{}", server.local_addr());
            server.run().await.unwrap();
        }
    });
}

/// Binds the shell around the handler.
fn shell(variant: &str, key_file: &Path) -> Server {
    let config = ListenerConfig {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        limits: ListenerLimits {
            workers: 1,
            ..ListenerLimits::default()
        },
    };
    let security = if variant.contains("mtls") {
        let (identity, client) = identities(key_file);
        Security::Mutual {
            identity,
            clients: PeerVerifier::new(&client.anchors, Box::new(AdmitAll)).unwrap(),
        }
    } else {
        Security::Plain
    };
    let now = Timestamp::try_from(SystemTime::now()).unwrap();
    let shared = Shared {
        metrics: HttpMetrics::default(),
        health: Health::new(),
        domain: TrustDomain::new("bench.internal").unwrap(),
        clock: Arc::new(ManualClock::at(now)),
    };
    Server::bind("bench", &config, &security, &shared, |config| {
        config.service(web::resource("/static").route(web::get().to(answer)));
    })
    .unwrap()
}

/// Makes the one identity of both ends, the same in both processes because the
/// key is.
fn identities(key_file: &Path) -> (Arc<TlsIdentity>, ClientTls) {
    let read_key = || rcgen::KeyPair::from_pem(&fs::read_to_string(key_file).unwrap()).unwrap();
    let key = read_key();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let uri = "spiffe://bench.internal/operator/bench";
    params
        .subject_alt_names
        .push(rcgen::SanType::URI(uri.try_into().unwrap()));
    params.is_ca = rcgen::IsCa::NoCa;
    params.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let mut root = rcgen::CertificateParams::default();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = rcgen::CertifiedIssuer::self_signed(root, read_key());
    let root = root.unwrap();
    let leaf: CertificateDer<'static> = params.signed_by(&key, &root).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let identity = TlsIdentity::from_signing_key(vec![leaf], key).unwrap();
    let client = ClientTls {
        anchors: vec![root.der().clone()],
        identity: Some(Arc::clone(&identity)),
        expected: None,
        staple: mesh::StaplePolicy::IfPresent,
    };
    (identity, client)
}
