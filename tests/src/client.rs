//! A lean client of our own: HTTP/1.1 over TLS on one thread, for load and for odd behaviour.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::deadline::PATIENCE;
use crate::error::Error;
use crate::profile::Identity;

/// TLS as one peer speaks it.
#[derive(Debug, Clone)]
pub struct TlsClient {
    /// rustls' configuration.
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Shows an identity, and trusts its authorities.
    ///
    /// # Errors
    ///
    /// When its files cannot be read or used.
    pub fn with(identity: &Identity) -> Result<Self, Error> {
        let chain = certificates(&identity.chain)?;
        let key = PrivateKeyDer::from_pem_file(&identity.key)
            .map_err(|error| malformed(&identity.key, &error))?;
        let mut config = trusting(&identity.trust)?.with_client_auth_cert(chain, key)?;
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Shows no identity.
    ///
    /// # Errors
    ///
    /// When the authorities cannot be read.
    pub fn anonymous(trust: &Path) -> Result<Self, Error> {
        let config = trusting(trust)?.with_no_client_auth();
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Connects, the handshake completed.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or breaks the handshake off.
    pub fn connect(&self, address: SocketAddr) -> Result<Connection, Error> {
        let tcp = tcp(address)?;
        let name = ServerName::IpAddress(address.ip().into());
        let tls = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream
                .conn
                .complete_io(&mut stream.sock)
                .map_err(Error::connection("shake hands"))?;
        }
        Ok(Connection {
            wire: Wire::Tls(Box::new(stream)),
            buffer: Vec::with_capacity(16 * 1024),
        })
    }
}

/// Opens a socket whose reads end some time.
fn tcp(address: SocketAddr) -> Result<TcpStream, Error> {
    let tcp = TcpStream::connect(address).map_err(Error::connection("connect"))?;
    tcp.set_nodelay(true)
        .and_then(|()| tcp.set_read_timeout(Some(PATIENCE)))
        .map_err(Error::connection("set up the socket"))?;
    Ok(tcp)
}

/// Begins a configuration that trusts these authorities.
fn trusting(
    trust: &Path,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(trust)? {
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots))
}

/// Reads every certificate of a PEM file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| malformed(path, &error))
}

/// Makes an error about a PEM file.
fn malformed(path: &Path, error: &rustls::pki_types::pem::Error) -> Error {
    Error::Malformed {
        what: "a PEM file",
        seen: format!("{}: {error}", path.display()),
    }
}

/// What a connection goes over.
#[derive(Debug)]
enum Wire {
    /// TLS over TCP.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// TCP alone.
    Plain(TcpStream),
}

impl Wire {
    /// Sends all of it.
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.write_all(message).and_then(|()| stream.flush()),
            Self::Plain(stream) => stream.write_all(message),
        }
    }

    /// Reads what there is.
    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tls(stream) => stream.read(chunk),
            Self::Plain(stream) => stream.read(chunk),
        }
    }
}

/// One connection, kept alive from call to call.
#[derive(Debug)]
pub struct Connection {
    /// What it goes over.
    wire: Wire,
    /// What was read of the answer so far.
    buffer: Vec<u8>,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns a header field's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Connection {
    /// Connects without TLS.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached.
    pub fn plain(address: SocketAddr) -> Result<Self, Error> {
        Ok(Self {
            wire: Wire::Plain(tcp(address)?),
            buffer: Vec::new(),
        })
    }

    /// Returns the bytes of a POST.
    #[must_use]
    pub fn post(target: &str, media_type: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let mut message = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n\
             {headers}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        message.extend_from_slice(body);
        message
    }

    /// Returns the bytes of a GET.
    #[must_use]
    pub fn get(target: &str) -> Vec<u8> {
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.wire.send(message).map_err(Error::connection("send"))
    }

    /// Sends a message and reads the answer.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the answer is no HTTP/1.1 with a length or chunks.
    pub fn exchange(&mut self, message: &[u8]) -> Result<Answer, Error> {
        self.send(message)?;
        self.receive()
    }

    /// Reads one answer.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the answer is no HTTP/1.1 with a length or chunks.
    pub fn receive(&mut self) -> Result<Answer, Error> {
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            self.read_more()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let mut answer = Answer {
            status: head
                .get(9..12)
                .and_then(|code| code.parse().ok())
                .unwrap_or(0),
            head,
            body: Vec::new(),
        };
        let body_start = head_end + 4;
        // RFC 9112, 6.3.
        let end = if answer.status == 204 {
            body_start
        } else if answer.header("transfer-encoding").is_some() {
            self.receive_chunks(body_start, &mut answer.body)?
        } else {
            let length: usize = answer
                .header("content-length")
                .and_then(|length| length.parse().ok())
                .ok_or_else(|| malformed_length(&answer.head))?;
            let end = body_start + length;
            self.read_until(end)?;
            answer.body = self.buffer[body_start..end].to_vec();
            end
        };
        self.buffer.drain(..end);
        Ok(answer)
    }

    /// Reads a chunked body that begins at a place of the buffer, and returns where it
    /// ends (RFC 9112, 7.1; without trailers, which nobody here sends).
    fn receive_chunks(&mut self, begin: usize, body: &mut Vec<u8>) -> Result<usize, Error> {
        let mut at = begin;
        loop {
            let line_end = loop {
                if let Some(length) = find(&self.buffer[at..], b"\r\n") {
                    break at + length;
                }
                self.read_more()?;
            };
            let line = String::from_utf8_lossy(&self.buffer[at..line_end]).into_owned();
            let size = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16)
                .map_err(|_| malformed_length(&line))?;
            let (data, next) = (line_end + 2, line_end + 2 + size + 2);
            self.read_until(next)?;
            body.extend_from_slice(&self.buffer[data..data + size]);
            if size == 0 {
                return Ok(next);
            }
            at = next;
        }
    }

    /// Reads until the buffer holds this many octets.
    fn read_until(&mut self, length: usize) -> Result<(), Error> {
        while self.buffer.len() < length {
            self.read_more()?;
        }
        Ok(())
    }

    /// Reads what there is, at least one octet.
    fn read_more(&mut self) -> Result<(), Error> {
        let mut chunk = [0; 8192];
        match self.wire.read(&mut chunk) {
            Ok(0) => Err(Error::connection("read the answer")(
                io::ErrorKind::UnexpectedEof.into(),
            )),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) => Err(Error::connection("read the answer")(error)),
        }
    }
}

/// Makes an error about a body's length.
fn malformed_length(seen: &str) -> Error {
    Error::Malformed {
        what: "an HTTP answer's length",
        seen: seen.to_owned(),
    }
}

/// Finds a pattern in bytes.
fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}
