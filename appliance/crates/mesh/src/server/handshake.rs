//! TLS handshakes, on threads of their own: one may wait for the token.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{Clock, TrustDomain};
use rustls::{AlertDescription, CertificateError, Error as TlsError, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::info;

use super::connection::{Connection, PeerState, Socket};
use crate::metrics::ListenerMetrics;
use crate::problem::{PROBLEM_JSON, ProblemType};

/// What the handshakes of one listener share.
#[derive(Debug)]
pub(crate) struct Handshakes {
    /// The TLS configuration.
    pub(crate) config: Arc<rustls::ServerConfig>,
    /// Whether clients are asked for certificates.
    pub(crate) mutual: bool,
    /// Whose identities count.
    pub(crate) domain: TrustDomain,
    /// Bounds how many go on at a time.
    pub(crate) turns: Semaphore,
    /// Time for one, waiting its turn included.
    pub(crate) timeout: Duration,
    /// Where they are counted.
    pub(crate) metrics: ListenerMetrics,
    /// Keeps failures from flooding the log.
    pub(crate) log: LogBudget,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Shaken {
    /// The stream, still of the handshake threads' runtime.
    pub(crate) stream: Box<TlsStream<Socket>>,
    /// The facts.
    pub(crate) connection: Arc<Connection>,
    /// Whether HTTP/2 was agreed on.
    pub(crate) http2: bool,
}

impl Handshakes {
    /// Performs one handshake; a failure has been told, counted and logged.
    pub(crate) async fn perform(
        &self,
        tcp: std::net::TcpStream,
        address: SocketAddr,
    ) -> Option<Shaken> {
        let started = Instant::now();
        let outcome = match timeout(self.timeout, self.shake(tcp, address)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Timeout),
        };
        match outcome {
            Ok(shaken) => {
                self.metrics.handshake_done(started.elapsed());
                Some(shaken)
            }
            Err(failure) => {
                self.metrics.handshake_outcome(failure.label());
                self.log(address, &failure);
                None
            }
        }
    }

    /// Waits for a turn, then for the peer's first octet, then shakes hands.
    async fn shake(
        &self,
        tcp: std::net::TcpStream,
        address: SocketAddr,
    ) -> Result<Shaken, Failure> {
        let _turn = self.turns.acquire().await.map_err(|_| Failure::Closed)?;
        let tcp = TcpStream::from_std(tcp).map_err(Failure::Io)?;
        if speaks_plain_http(&tcp).await? {
            refuse_plain_http(tcp).await;
            return Err(Failure::PlainHttp);
        }
        let accept = TlsAcceptor::from(Arc::clone(&self.config)).accept(Socket::new(tcp));
        let stream = match accept.into_fallible().await {
            Ok(stream) => stream,
            Err((error, socket)) => {
                let failure = Failure::from(error);
                linger(socket).await;
                return Err(failure);
            }
        };
        let (_, session) = stream.get_ref();
        let peer = if self.mutual {
            let leaf = session.peer_certificates().and_then(|chain| chain.first());
            PeerState::of(leaf.map(AsRef::as_ref), &self.domain)
        } else {
            PeerState::NotAsked
        };
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "1.2",
            _ => "1.3",
        };
        Ok(Shaken {
            http2: session.alpn_protocol() == Some(b"h2"),
            connection: Arc::new(Connection::new(address, Some(version), peer)),
            stream: Box::new(stream),
        })
    }

    /// Tells the log of a failure, unless it has been told enough this second.
    fn log(&self, address: SocketAddr, failure: &Failure) {
        let Some(unlogged) = self.log.take() else {
            return;
        };
        let service = self.metrics.service();
        info!(
            service,
            peer.address = %address,
            tls.failure = failure.label(),
            tls.unlogged = unlogged,
            "TLS handshake with {address} failed on {service}: {failure}"
        );
    }
}

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It took too long.
    Timeout,
    /// The listener is closing.
    Closed,
    /// The peer speaks plain HTTP.
    PlainHttp,
    /// The connection broke.
    Io(io::Error),
    /// TLS did not come to terms.
    Tls(TlsError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.downcast::<TlsError>() {
            Ok(error) => Self::Tls(error),
            Err(error) => Self::Io(error),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout => f.write_str("it was not done in time"),
            Self::Closed => f.write_str("the listener is closing"),
            Self::PlainHttp => f.write_str("the client speaks HTTP without TLS"),
            Self::Io(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl Failure {
    /// Names the failure for metrics and log.
    fn label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closing",
            Self::PlainHttp => "plain-http",
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => "closed-by-peer",
            Self::Io(_) => "connection-broken",
            Self::Tls(error) => tls_label(error),
        }
    }
}

/// Names what rustls says in few words.
fn tls_label(error: &TlsError) -> &'static str {
    match error {
        TlsError::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => "unknown-issuer",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "not-yet-valid"
            }
            CertificateError::Revoked => "revoked",
            CertificateError::UnknownRevocationStatus => "revocation-unknown",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "wrong-purpose"
            }
            _ => "bad-certificate",
        },
        TlsError::PeerIncompatible(_) => "no-common-ground",
        TlsError::AlertReceived(AlertDescription::UnknownCA) => "we-are-untrusted",
        TlsError::AlertReceived(_) => "refused-by-peer",
        TlsError::PeerMisbehaved(_) => "peer-misbehaved",
        TlsError::InvalidMessage(_) => "not-tls",
        // What the signing key reports when the token does not sign.
        TlsError::Other(_) | TlsError::General(_) => "no-signature",
        _ => "other",
    }
}

/// Tells by the first octet whether the peer speaks HTTP without TLS.
async fn speaks_plain_http(tcp: &TcpStream) -> Result<bool, Failure> {
    let mut first = [0];
    let count = tcp.peek(&mut first).await.map_err(Failure::Io)?;
    if count == 0 {
        return Err(Failure::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    // A handshake record begins with 22 (RFC 8446, 5.1), a method with a letter.
    Ok(first[0].is_ascii_uppercase())
}

/// Answers plain HTTP with a sentence that helps, and closes.
async fn refuse_plain_http(mut tcp: TcpStream) {
    let body = format!(
        "{{\"type\":\"{}\",\"title\":\"{}\",\"status\":400,\"detail\":\"this port speaks HTTPS; \
         use https:// in the URL\"}}",
        ProblemType::MalformedRequest.uri(),
        ProblemType::MalformedRequest.title()
    );
    let response = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    // The peer may be gone; there is nobody else to tell.
    if tcp.write_all(response.as_bytes()).await.is_ok() {
        linger(Socket::new(tcp)).await;
    }
}

/// Closes so that the last words arrive: closing with unread input resets the
/// connection, and a reset overtakes the alert.
async fn linger(mut socket: Socket) {
    /// Most octets read before giving up.
    const MOST: usize = 64 * 1024;
    /// Longest time spent reading.
    const LONGEST: Duration = Duration::from_secs(1);

    if socket.shutdown().await.is_err() {
        return;
    }
    let mut sink = [0; 4096];
    let mut total = 0;
    // In time or not: the socket closes either way.
    let _ = timeout(LONGEST, async {
        while total < MOST {
            match socket.read(&mut sink).await {
                Ok(count) if count > 0 => total += count,
                _ => break,
            }
        }
    })
    .await;
}

/// Lets a few lines a second through and counts the rest.
#[derive(Debug)]
pub(crate) struct LogBudget {
    /// Tells the second.
    clock: Arc<dyn Clock>,
    /// The second that `left` belongs to.
    second: AtomicI64,
    /// Lines that may still be written in it.
    left: AtomicI64,
    /// Lines kept back since the last one written.
    unlogged: AtomicU64,
}

impl LogBudget {
    /// Lines let through each second.
    const LINES: i64 = 10;

    /// Begins with a full second.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            second: AtomicI64::new(i64::MIN),
            left: AtomicI64::new(0),
            unlogged: AtomicU64::new(0),
        }
    }

    /// Takes one line: the number kept back before it, or none if it is kept back.
    fn take(&self) -> Option<u64> {
        let now = self.clock.now().as_second();
        if self.second.swap(now, Ordering::Relaxed) != now {
            self.left.store(Self::LINES, Ordering::Relaxed);
        }
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            Some(self.unlogged.swap(0, Ordering::Relaxed))
        } else {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn a_flood_of_failures_writes_few_lines_and_tells_how_many_it_kept_back() {
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let budget = LogBudget::new(Arc::clone(&clock) as _);
        let written = (0..1000).filter_map(|_| budget.take()).count();
        assert_eq!(written, 10);
        clock.advance(1);
        assert_eq!(budget.take(), Some(990));
        assert_eq!(budget.take(), Some(0));
    }
}
