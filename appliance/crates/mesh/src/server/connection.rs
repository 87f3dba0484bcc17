//! One connection: its facts, shared by its requests, and its stream.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use crate::peer::{Peer, PeerCertificate, Unidentified};

/// What is known about a connection, the same for all its requests.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The other end.
    pub(crate) peer_address: SocketAddr,
    /// The TLS version spoken, none for plain HTTP.
    pub(crate) tls_version: Option<&'static str>,
    /// Who the other end is.
    pub(crate) peer: PeerState,
    /// Requests whose head has arrived.
    requests: AtomicU64,
    /// Requests being served.
    in_flight: AtomicU32,
}

/// Who the other end of a connection is.
#[derive(Debug)]
pub(crate) enum PeerState {
    /// The listener asks for no certificate.
    NotAsked,
    /// It was asked for a certificate and sent none.
    Absent,
    /// Its certificate verified and names nobody here.
    Unidentified {
        /// Why not.
        why: Unidentified,
    },
    /// Its certificate verified and names an identity.
    Known(Peer),
}

impl PeerState {
    /// Judges the verified certificate of a connection.
    pub(crate) fn of(certificate_der: Option<&[u8]>, domain: &model::TrustDomain) -> Self {
        let Some(der) = certificate_der else {
            return Self::Absent;
        };
        let known = PeerCertificate::parse(der).and_then(|certificate| {
            let identity = certificate.identity(domain)?;
            Ok(Peer::new(identity, certificate))
        });
        match known {
            Ok(peer) => Self::Known(peer),
            Err(why) => Self::Unidentified { why },
        }
    }
}

impl Connection {
    /// Begins without requests.
    pub(crate) fn new(
        peer_address: SocketAddr,
        tls_version: Option<&'static str>,
        peer: PeerState,
    ) -> Self {
        Self {
            peer_address,
            tls_version,
            peer,
            requests: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
        }
    }

    /// Notes that a request's head is complete and its service begins.
    pub(crate) fn request_begins(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a request has been served or given up.
    pub(crate) fn request_ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns how many requests have begun, if none is being served.
    fn idle_after(&self) -> Option<u64> {
        (self.in_flight.load(Ordering::Relaxed) == 0).then(|| self.requests.load(Ordering::Relaxed))
    }
}

/// A TCP stream that can move to another runtime.
#[derive(Debug)]
pub(crate) struct Socket {
    /// The stream; none only while it moves.
    tcp: Option<TcpStream>,
    /// Octets written since the beginning.
    written: u64,
}

impl Socket {
    /// Takes a stream of the current runtime.
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp: Some(tcp),
            written: 0,
        }
    }

    /// Moves to the current runtime, whose reactor wakes it from now on.
    pub(crate) fn rehome(&mut self) -> io::Result<()> {
        if let Some(tcp) = self.tcp.take() {
            self.tcp = Some(TcpStream::from_std(tcp.into_std()?)?);
        }
        Ok(())
    }

    /// Borrows the stream for polling.
    fn tcp(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.tcp
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tcp()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = self.tcp()?.poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = poll {
            self.written += count as u64;
        }
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = self.tcp()?.poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(count)) = poll {
            self.written += count as u64;
        }
        poll
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp()?.poll_shutdown(cx)
    }
}

/// The two transports.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Plain TCP.
    Plain(Socket),
    /// TLS, its handshake done.
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Borrows the socket below.
    fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    /// Returns the octets written to the network so far.
    fn written(&self) -> u64 {
        match self {
            Self::Plain(socket) => socket.written,
            Self::Tls(stream) => stream.get_ref().0.written,
        }
    }
}

/// How long a peer may dawdle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a request's head, once begun.
    pub(crate) head: Duration,
    /// For progress in reading what we write.
    pub(crate) write: Duration,
}

/// A connection's stream, which gives up on peers that dawdle.
///
/// The HTTP server times the first head alone, and no reader of responses. One
/// timer a connection looks after the rest, so that a request costs no timer:
/// it fires every `head` and finds what has stood still since it fired before.
/// A peer therefore has between once and twice its time.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The bytes.
    transport: Transport,
    /// The facts.
    pub(crate) connection: Arc<Connection>,
    /// Whether the connection speaks HTTP/2, whose server pings idle peers.
    pub(crate) http2: bool,
    /// How long the peer may dawdle.
    patience: Patience,
    /// Fires every `patience.head`.
    tick: Pin<Box<Sleep>>,
    /// Requests that had begun when octets arrived between requests.
    head_begun_after: Option<u64>,
    /// The same, as the last tick saw it.
    head_seen_after: Option<u64>,
    /// Octets that had been written when writing stalled, and when that was.
    write_stalled: Option<(u64, Instant)>,
    /// Counts the connection for as long as it lives.
    _open: OpenConnection,
}

/// Holds a connection's place in the gauge.
#[derive(Debug)]
pub(crate) struct OpenConnection(Gauge);

impl OpenConnection {
    /// Counts one connection more.
    pub(crate) fn count(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Stream {
    /// Moves a transport to the current runtime and serves it from there.
    pub(crate) fn new(
        mut transport: Transport,
        connection: Arc<Connection>,
        http2: bool,
        patience: Patience,
        open: OpenConnection,
    ) -> io::Result<Self> {
        transport.socket_mut().rehome()?;
        Ok(Self {
            transport,
            connection,
            http2,
            patience,
            tick: Box::pin(sleep(patience.head)),
            head_begun_after: None,
            head_seen_after: None,
            write_stalled: None,
            _open: open,
        })
    }

    /// Notes octets that arrived: those between requests begin a head.
    fn note_read(&mut self) {
        if !self.http2 {
            self.head_begun_after = self.connection.idle_after();
        }
    }

    /// Notes that the peer does not take what we write.
    fn note_write_pending(&mut self) {
        let written = self.transport.written();
        if self.write_stalled.map(|(at, _)| at) != Some(written) {
            self.write_stalled = Some((written, Instant::now()));
        }
    }

    /// Fails once the peer has dawdled too long, and wakes the task to look again.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.tick.as_mut().poll(cx).is_ready() {
            let next = tokio::time::Instant::now() + self.patience.head;
            self.tick.as_mut().reset(next);
            // A head has begun, and no request since.
            let head = self
                .head_begun_after
                .filter(|begun| self.connection.idle_after() == Some(*begun));
            if head.is_some() && head == self.head_seen_after {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.head_seen_after = head;
            if let Some((written, since)) = self.write_stalled
                && written == self.transport.written()
                && since.elapsed() >= self.patience.write
            {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    /// Takes note of how writing went.
    fn wrote<T>(&mut self, poll: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if poll.is_pending() {
            self.note_write_pending();
            self.poll_patience(cx)?;
        } else {
            self.write_stalled = None;
        }
        poll
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        };
        if poll.is_pending() {
            self.poll_patience(cx)?;
        } else if buf.filled().len() > before {
            self.note_read();
        }
        poll
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        };
        self.wrote(poll, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        };
        self.wrote(poll, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        };
        self.wrote(poll, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = match &mut self.transport {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        };
        self.wrote(poll, cx)
    }
}
