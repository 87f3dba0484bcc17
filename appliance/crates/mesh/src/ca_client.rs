//! The CA as other services and the command line see it.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use model::{IdempotencyKey, Identity, ProfileName, RequestId, SerialNumber};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::error::Error;
use crate::problem::{PROBLEM_JSON, ProblemType};
use crate::server::REQUEST_ID;
use crate::tls::ClientTls;
use crate::wire::{
    self, CaStatus, CertificateFilter, CertificatePage, CertificateRecord, ProblemDocument,
    ProfileList, SignQuery,
};

/// What a CA does for its peers.
#[async_trait]
pub trait CaClient: Send + Sync + fmt::Debug {
    /// Has a certificate signed.
    ///
    /// # Errors
    ///
    /// `Refused` when the CA says no, with its reason; `Unreachable` or
    /// `Unavailable` when it did not answer in time: whether it signed is then
    /// unknown, and asking again with the same key signs no second time.
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError>;

    /// Tells what the CA knows of a certificate.
    ///
    /// # Errors
    ///
    /// `Refused`, of type `serial-unknown` when the CA never recorded it, or as
    /// for [`sign`](Self::sign).
    async fn certificate(&self, serial: &SerialNumber) -> Result<CertificateRecord, CaClientError>;

    /// Lists certificates, a page at a time.
    ///
    /// # Errors
    ///
    /// As for [`sign`](Self::sign).
    async fn certificates(
        &self,
        filter: &CertificateFilter,
    ) -> Result<CertificatePage, CaClientError>;

    /// Lists the profiles and which of them this peer may use.
    ///
    /// # Errors
    ///
    /// As for [`sign`](Self::sign).
    async fn profiles(&self) -> Result<ProfileList, CaClientError>;

    /// Tells how the CA is.
    ///
    /// # Errors
    ///
    /// As for [`sign`](Self::sign).
    async fn status(&self) -> Result<CaStatus, CaClientError>;
}

/// What is to be signed, and how.
#[derive(Debug, Clone)]
pub struct SignRequest {
    /// The certificate request, PKCS#10 in DER.
    pub csr_der: Vec<u8>,
    /// The profile; the CA's default where absent.
    pub profile: Option<ProfileName>,
    /// How long, as the CA reads it (`90d`); the profile's default where absent.
    pub validity: Option<String>,
    /// The identity to certify, for those who may grant it.
    pub identity: Option<Identity>,
    /// Makes a repeated request the same request.
    pub idempotency: IdempotencyKey,
    /// The request that this one is made for.
    pub request_id: Option<RequestId>,
}

/// What the CA signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCertificate {
    /// The certificate's serial number.
    pub serial: SerialNumber,
    /// The certificate, then its issuers, in PEM.
    pub chain_pem: String,
}

/// Why the CA's answer is not the one wanted.
#[derive(Debug, thiserror::Error)]
pub enum CaClientError {
    /// No connection, or it broke before the answer.
    #[error("the CA at {address} cannot be reached")]
    Unreachable {
        /// Its address.
        address: String,
        /// What stopped it.
        source: reqwest::Error,
    },
    /// The CA answered that it cannot now, as often as it was asked.
    #[error("the CA cannot now: {}", .problem.detail)]
    Unavailable {
        /// Its reason.
        problem: Box<ProblemDocument>,
        /// When it says that asking again may help.
        retry_after: Option<Duration>,
    },
    /// The CA said no.
    #[error("the CA refused: {}", .problem.detail)]
    Refused {
        /// Its reason.
        problem: Box<ProblemDocument>,
    },
    /// An answer that is not one of this API.
    #[error("the CA's answer is not one of its API: {what}")]
    Protocol {
        /// What is wrong with it.
        what: &'static str,
        /// The status it came with.
        status: u16,
    },
}

impl CaClientError {
    /// Returns the kind of problem the CA told, if it is one we know.
    #[must_use]
    pub fn problem_type(&self) -> Option<ProblemType> {
        match self {
            Self::Unavailable { problem, .. } | Self::Refused { problem } => {
                ProblemType::from_uri(&problem.kind)
            }
            Self::Unreachable { .. } | Self::Protocol { .. } => None,
        }
    }

    /// Tells whether asking again, with the same key, may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // A certificate that is not trusted stays so; a broken connection may mend.
            Self::Unreachable { source, .. } => !is_tls_refusal(source),
            Self::Unavailable { .. } => true,
            Self::Refused { .. } | Self::Protocol { .. } => false,
        }
    }

    /// Returns when the CA says that asking again may help.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Protocol { .. } => None,
        }
    }
}

/// Finds a TLS error that asking again will not mend.
fn is_tls_refusal(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` leaves what it wraps out of its chain of sources.
        next = match cause.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => cause.source(),
        };
    }
    false
}

/// How long and how often the client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persistence {
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time for one attempt.
    pub attempt_timeout: Duration,
    /// Time for all attempts of one call.
    pub total: Duration,
}

impl Default for Persistence {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(15),
            total: Duration::from_secs(30),
        }
    }
}

/// The CA over mutual TLS.
#[derive(Debug, Clone)]
pub struct HttpCaClient {
    /// `https://HOST:PORT/`.
    address: Url,
    /// Connections, kept and reused.
    client: reqwest::Client,
    /// How long it asks.
    persistence: Persistence,
}

impl HttpCaClient {
    /// Prepares a client; connects with the first call.
    ///
    /// # Errors
    ///
    /// `CaAddress` unless `address` is an `https` URL, or what TLS refuses.
    pub fn new(address: &str, tls: &ClientTls, persistence: Persistence) -> Result<Self, Error> {
        let url = Url::parse(address)
            .ok()
            .filter(|url| url.scheme() == "https" && url.has_host())
            .ok_or_else(|| Error::CaAddress {
                given: address.to_owned(),
            })?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.client_config()?)
            .https_only(true)
            // Credentials of ours go to the CA alone.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(persistence.connect_timeout)
            .timeout(persistence.attempt_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            address: url,
            client,
            persistence,
        })
    }

    /// Begins a request to `path`.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.address.clone();
        // An https URL with a host can always be a base.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        self.client.request(method, url)
    }

    /// Asks until there is an answer, the answer is final, or time is up.
    async fn ask(&self, request: RequestBuilder) -> Result<Response, CaClientError> {
        let deadline = Instant::now() + self.persistence.total;
        let mut backoff = FIRST_BACKOFF;
        loop {
            // Bodies here are bytes, which can always be sent again.
            let Some(attempt) = request.try_clone() else {
                return self.attempt(request).await;
            };
            let error = match self.attempt(attempt).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let delay = error.retry_after().unwrap_or_else(|| jittered(backoff));
            if !error.is_transient() || Instant::now() + delay >= deadline {
                return Err(error);
            }
            debug!(
                retry_ms = delay.as_millis() as u64,
                "asking the CA again: {error}"
            );
            sleep(delay).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Asks once.
    async fn attempt(&self, request: RequestBuilder) -> Result<Response, CaClientError> {
        let response = request
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let problem = Box::new(self.problem(response).await?);
        // 409 with Retry-After: the first request of this key is still served.
        if status.is_server_error() || (status == StatusCode::CONFLICT && retry_after.is_some()) {
            Err(CaClientError::Unavailable {
                problem,
                retry_after,
            })
        } else {
            Err(CaClientError::Refused { problem })
        }
    }

    /// Reads the problem document of an error.
    async fn problem(&self, response: Response) -> Result<ProblemDocument, CaClientError> {
        let status = response.status();
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(PROBLEM_JSON.as_bytes()));
        let body = self.read(response, MAX_PROBLEM).await?;
        if let (true, Ok(mut problem)) = (is_problem, serde_json::from_slice(&body)) {
            let document: &mut ProblemDocument = &mut problem;
            document.status = status.as_u16();
            return Ok(problem);
        }
        // From a server below the handlers, or a proxy.
        Ok(ProblemDocument {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: format!("{status}, without an explanation"),
            request_id: None,
            members: serde_json::Map::new(),
        })
    }

    /// Reads a body of at most `most` octets.
    async fn read(&self, mut response: Response, most: usize) -> Result<Vec<u8>, CaClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.unreachable(source))?
        {
            if body.len() + chunk.len() > most {
                return Err(CaClientError::Protocol {
                    what: "it is too long",
                    status: response.status().as_u16(),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Asks for JSON.
    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CaClientError> {
        let response = self.ask(request.header(ACCEPT, "application/json")).await?;
        let status = response.status().as_u16();
        let body = self.read(response, MAX_ANSWER).await?;
        serde_json::from_slice(&body).map_err(|_| CaClientError::Protocol {
            what: "it is not the JSON expected",
            status,
        })
    }

    /// States that the CA cannot be reached.
    fn unreachable(&self, source: reqwest::Error) -> CaClientError {
        CaClientError::Unreachable {
            address: self.address.to_string(),
            source: source.without_url(),
        }
    }
}

/// First wait before asking again, where the CA does not say.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Longest wait before asking again, where the CA does not say.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Most octets of a problem document.
const MAX_PROBLEM: usize = 64 * 1024;

/// Most octets of any answer.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Takes half to all of a wait, so that clients do not come in step.
fn jittered(backoff: Duration) -> Duration {
    let mut octet = [0];
    // Without randomness the wait is merely the same for everyone.
    let _ = aws_lc_rs::rand::fill(&mut octet);
    backoff / 2 + backoff / 2 * u32::from(octet[0]) / 255
}

/// Reads `Retry-After` in seconds (RFC 9110, 10.2.3); dates are not used here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[async_trait]
impl CaClient for HttpCaClient {
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError> {
        let query = SignQuery {
            profile: request.profile,
            validity: request.validity,
            identity: request.identity.map(|identity| identity.to_string()),
        };
        let mut post = self
            .request(Method::POST, &["sign"])
            .query(&query)
            .header(CONTENT_TYPE, wire::PKCS10)
            .header(ACCEPT, wire::PEM_CHAIN)
            .header(wire::IDEMPOTENCY_KEY, request.idempotency.as_str())
            .body(request.csr_der);
        if let Some(id) = &request.request_id {
            post = post.header(REQUEST_ID.as_str(), id.as_str());
        }
        let response = self.ask(post).await?;
        let status = response.status().as_u16();
        let protocol = |what| CaClientError::Protocol { what, status };
        let serial = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|location| location.rsplit('/').next())
            .and_then(|serial| serial.parse().ok())
            .ok_or_else(|| protocol("its Location names no certificate"))?;
        let chain = self.read(response, MAX_ANSWER).await?;
        let chain_pem = String::from_utf8(chain).map_err(|_| protocol("the chain is not PEM"))?;
        if crate::tls::certificates_from_pem(chain_pem.as_bytes()).is_err() {
            return Err(protocol("the chain is not PEM"));
        }
        Ok(SignedCertificate { serial, chain_pem })
    }

    async fn certificate(&self, serial: &SerialNumber) -> Result<CertificateRecord, CaClientError> {
        let serial = serial.to_string();
        self.json(self.request(Method::GET, &["certificates", &serial]))
            .await
    }

    async fn certificates(
        &self,
        filter: &CertificateFilter,
    ) -> Result<CertificatePage, CaClientError> {
        self.json(self.request(Method::GET, &["certificates"]).query(filter))
            .await
    }

    async fn profiles(&self) -> Result<ProfileList, CaClientError> {
        self.json(self.request(Method::GET, &["profiles"])).await
    }

    async fn status(&self) -> Result<CaStatus, CaClientError> {
        self.json(self.request(Method::GET, &["status"])).await
    }
}
