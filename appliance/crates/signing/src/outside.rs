//! Requests to servers of others: over TLS that is verified, on a connection that was
//! dialled by the address rules, one request each.

mod target;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use mesh::Excerpt;
use mesh::dial::{DialFailure, Dialler};
use rustls::ClientConfig;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub use target::UrlProblem;
pub(crate) use target::{Target, shown};
pub use trust::TrustError;
pub(crate) use trust::client_config;

/// Most octets of an answer's head, and of what is buffered.
const MAX_HEAD: usize = 64 * 1024;

/// Most header fields of an answer.
const MAX_FIELDS: usize = 100;

/// What this client calls itself.
const AGENT: &str = concat!("Chancery/", env!("CARGO_PKG_VERSION"));

/// Asks servers of others.
#[derive(Debug)]
pub(crate) struct Outside {
    /// Connects by the address rules.
    dialler: Dialler,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The method.
    pub(crate) method: Method,
    /// Header fields besides those of every request.
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub(crate) body: Bytes,
}

/// What was answered; the connection ends with it.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The header fields.
    pub(crate) fields: HeaderMap,
    /// The body, as far as it was not read.
    body: Incoming,
    /// What was asked for, fit to be shown.
    shown: Box<str>,
    /// Drives the connection.
    _driver: JoinSet<()>,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutsideError {
    /// There was no connection.
    #[error(transparent)]
    Dial(#[from] DialFailure),
    /// TLS did not come about, or the server is not who it should be.
    #[error("TLS with {host} at {address}: {reason}")]
    Tls {
        /// The host.
        host: Box<str>,
        /// The address dialled.
        address: SocketAddr,
        /// What rustls or the system said.
        reason: Excerpt,
    },
    /// HTTP broke down.
    #[error("asking {url}: the connection ended before the answer did")]
    Incomplete {
        /// What was asked for.
        url: Box<str>,
    },
    /// The answer is no HTTP.
    #[error("asking {url}: the answer is no HTTP/1.1, or its head is too long")]
    Unreadable {
        /// What was asked for.
        url: Box<str>,
    },
    /// Nothing came for too long.
    #[error("{url} was too slow: {step} took more than {} s", limit.as_secs_f32())]
    Timeout {
        /// What was asked for.
        url: Box<str>,
        /// What was waited for.
        step: &'static str,
        /// The time given.
        limit: Duration,
    },
    /// A body longer than any that is read.
    #[error("the answer of {url} is longer than {max} octets")]
    TooLong {
        /// What was asked for.
        url: Box<str>,
        /// Most octets.
        max: usize,
    },
}

impl OutsideError {
    /// Tells whether another attempt may come to something else.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            // The name may get other addresses, but never by itself.
            Self::Dial(DialFailure::Address { .. }) | Self::TooLong { .. } => false,
            Self::Dial(DialFailure::Dns(_) | DialFailure::Connect { .. })
            | Self::Tls { .. }
            | Self::Incomplete { .. }
            | Self::Unreadable { .. }
            | Self::Timeout { .. } => true,
        }
    }
}

impl Ask {
    /// Asks for what is there.
    pub(crate) fn get(fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self {
            method: Method::GET,
            fields,
            body: Bytes::new(),
        }
    }

    /// Sends JSON.
    pub(crate) fn json(
        method: Method,
        mut fields: Vec<(HeaderName, HeaderValue)>,
        body: impl Into<Bytes>,
    ) -> Self {
        fields.push((
            hyper::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ));
        Self {
            method,
            fields,
            body: body.into(),
        }
    }

    /// Makes the request; none if something of it cannot be sent.
    fn request(self, target: &Target) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(target.path_and_query())
            .header(HOST, target.host_field())
            .header(USER_AGENT, AGENT)
            // What is digested is what the file holds.
            .header(ACCEPT_ENCODING, "identity")
            .header(CONNECTION, "close");
        for (name, value) in self.fields {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body)).ok()
    }
}

impl Outside {
    /// Asks by this dialler.
    pub(crate) fn new(dialler: Dialler) -> Self {
        Self { dialler }
    }

    /// Asks, and reads the head of the answer.
    ///
    /// Takes as long as the other side pleases: callers set an end to it.
    ///
    /// # Errors
    ///
    /// Why there was no answer.
    pub(crate) async fn ask(
        &self,
        tls: &Arc<ClientConfig>,
        target: &Target,
        ask: Ask,
    ) -> Result<Answer, OutsideError> {
        let (stream, address) = self.dialler.connect(target.host(), target.port()).await?;
        let failed = |reason: &dyn std::fmt::Display| OutsideError::Tls {
            host: target.host().to_string().into(),
            address,
            reason: Excerpt::of(reason.to_string().as_bytes()),
        };
        let name = target
            .server_name()
            .ok_or_else(|| failed(&"the host cannot be named in TLS"))?;
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await
            .map_err(|error| failed(&error))?;
        let broken = |error: hyper::Error| {
            let url = target.shown().into();
            if error.is_parse() {
                OutsideError::Unreadable { url }
            } else {
                OutsideError::Incomplete { url }
            }
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_FIELDS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let mut driver = JoinSet::new();
        driver.spawn(async {
            // What goes wrong with it is told to whoever asks and reads.
            let _told = connection.await;
        });
        let request = ask
            .request(target)
            .ok_or_else(|| OutsideError::Unreadable {
                url: target.shown().into(),
            })?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status,
            fields: head.headers,
            body,
            shown: target.shown().into(),
            _driver: driver,
        })
    }
}

impl Answer {
    /// Returns the next octets of the body; none at its end.
    ///
    /// # Errors
    ///
    /// `Timeout` when none come for so long, `Incomplete` when the connection ends first.
    pub(crate) async fn chunk(&mut self, idle: Duration) -> Result<Option<Bytes>, OutsideError> {
        loop {
            let frame = match timeout(idle, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    return Err(OutsideError::Incomplete {
                        url: self.shown.clone(),
                    });
                }
                Err(_) => {
                    return Err(OutsideError::Timeout {
                        url: self.shown.clone(),
                        step: "waiting for more of the body",
                        limit: idle,
                    });
                }
            };
            // Trailers say nothing that is wanted here.
            if let Ok(octets) = frame.into_data() {
                return Ok(Some(octets));
            }
        }
    }

    /// Reads a short body whole.
    ///
    /// # Errors
    ///
    /// As `chunk`, and `TooLong`.
    pub(crate) async fn whole(
        &mut self,
        max: usize,
        idle: Duration,
    ) -> Result<Vec<u8>, OutsideError> {
        let mut whole = Vec::new();
        while let Some(octets) = self.chunk(idle).await? {
            if whole.len() + octets.len() > max {
                return Err(OutsideError::TooLong {
                    url: self.shown.clone(),
                    max,
                });
            }
            whole.extend_from_slice(&octets);
        }
        Ok(whole)
    }
}
