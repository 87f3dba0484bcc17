//! The CA over mutual TLS: requests, retries, and answers within bounds.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::{IssuerId, RequestId, SerialNumber};
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::source::{CrlAnswer, CrlRequest, CrlScope, FetchedCrl, RevocationSource};
use super::{CaClient, CaClientError, SignRequest, SignedCertificate};
use crate::backoff::jittered;
use crate::error::Error;
use crate::problem::PROBLEM_JSON;
use crate::server::REQUEST_ID;
use crate::tls::ClientTls;
use crate::wire::{
    self, CaStatus, CertificateFilter, CertificatePage, CertificateRecord, CrlList, ImportOutcome,
    KeyRevocation, ProblemDocument, ProfileList, RevocationFilter, RevocationImport,
    RevocationPage, RevocationRecord, RevokeBody, RevokeKeyRequest, RevokeRequest, SignBody,
    SignQuery,
};

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
            // An answer that is held back is told apart from a CA that is gone.
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(5))
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
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
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
        let status = response.status().as_u16();
        let too_long = move || CaClientError::Protocol {
            what: "it is too long",
            status,
        };
        let length = usize::try_from(response.content_length().unwrap_or(0));
        let length = length.ok().filter(|length| *length <= most);
        // Reserved as announced, within bounds: a large CRL is then copied once.
        let mut body = Vec::with_capacity(length.ok_or_else(too_long)?);
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.unreachable(source))?
        {
            if body.len() + chunk.len() > most {
                return Err(too_long());
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

/// Most octets of any answer but CRLs.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Most octets of a CRL: about five million entries.
const MAX_CRL: usize = 256 * 1024 * 1024;

/// Most octets of an OCSP response.
const MAX_OCSP: usize = 64 * 1024;

/// Longest time that a server is asked to hold an answer back.
const MAX_WAIT: Duration = Duration::from_secs(300);

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
            .header(ACCEPT, wire::PEM_CHAIN)
            .header(wire::IDEMPOTENCY_KEY, request.idempotency.as_str());
        post = match request.forge {
            None => post
                .header(CONTENT_TYPE, wire::PKCS10)
                .body(request.csr_der),
            // A type that is set stays when JSON is the body.
            Some(forge) => post
                .header(CONTENT_TYPE, wire::SIGN_REQUEST)
                .json(&SignBody {
                    csr: BASE64.encode(&request.csr_der),
                    forge,
                }),
        };
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

    async fn revoke(&self, request: &RevokeRequest) -> Result<RevocationRecord, CaClientError> {
        self.order(&RevokeBody::from(request), request.request_id.as_ref())
            .await
    }

    async fn revoke_key(&self, request: &RevokeKeyRequest) -> Result<KeyRevocation, CaClientError> {
        self.order(&RevokeBody::from(request), request.request_id.as_ref())
            .await
    }

    async fn revocations(
        &self,
        filter: &RevocationFilter,
    ) -> Result<RevocationPage, CaClientError> {
        self.json(self.request(Method::GET, &["revocations"]).query(filter))
            .await
    }

    async fn import_revocations(
        &self,
        import: &RevocationImport,
    ) -> Result<ImportOutcome, CaClientError> {
        self.json(self.request(Method::POST, &["revocations"]).json(import))
            .await
    }
}

impl HttpCaClient {
    /// Has every CRL of the issuing authority issued anew.
    ///
    /// # Errors
    ///
    /// `Refused`, or there was no answer: asking again issues others.
    pub async fn issue_crls(&self) -> Result<CrlList, CaClientError> {
        self.json(self.request(Method::POST, &["crl"])).await
    }

    /// Fetches an authority's certificate, DER.
    ///
    /// # Errors
    ///
    /// `Refused`, of type `issuer-unknown` when there is no such authority; or as
    /// for [`sign`](CaClient::sign).
    pub async fn issuer_certificate(&self, issuer: &IssuerId) -> Result<Vec<u8>, CaClientError> {
        let file = format!("{issuer}.cer");
        let get = self
            .request(Method::GET, &["ca", &file])
            .header(ACCEPT, wire::PKIX_CERT);
        let response = self.ask(get).await?;
        self.read(response, MAX_PROBLEM).await
    }

    /// Sends a `POST /revoke-cert`.
    async fn order<T: DeserializeOwned>(
        &self,
        body: &RevokeBody,
        request_id: Option<&RequestId>,
    ) -> Result<T, CaClientError> {
        let mut post = self.request(Method::POST, &["revoke-cert"]).json(body);
        if let Some(id) = request_id {
            post = post.header(REQUEST_ID.as_str(), id.as_str());
        }
        self.json(post).await
    }
}

#[async_trait]
impl RevocationSource for HttpCaClient {
    /// Asks once: whoever follows a CRL asks again by itself.
    async fn crl(&self, request: CrlRequest) -> Result<CrlAnswer, CaClientError> {
        let issuer = request.issuer.as_str();
        let mut get = match request.scope {
            CrlScope::Full => self.request(Method::GET, &["crl", issuer]),
            CrlScope::Delta => self.request(Method::GET, &["crl", issuer, "delta"]),
            CrlScope::Shard(shard) => {
                let shard = shard.to_string();
                self.request(Method::GET, &["crl", issuer, "shards", &shard])
            }
        };
        get = get.header(ACCEPT, wire::PKIX_CRL);
        if let Some(etag) = &request.known {
            get = get.header(IF_NONE_MATCH, etag);
        }
        let mut patience = self.persistence.attempt_timeout;
        if let Some(wait) = request.wait {
            // RFC 7240, 4.3: whole seconds, and a wish, not a demand.
            let seconds = wait.min(MAX_WAIT).as_secs();
            get = get.header(wire::PREFER, format!("wait={seconds}"));
            patience += Duration::from_secs(seconds);
        }
        let response = self.attempt(get.timeout(patience)).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(CrlAnswer::NotModified);
        }
        let etag = response
            .headers()
            .get(ETAG)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let der = self.read(response, MAX_CRL).await?;
        Ok(CrlAnswer::Crl(FetchedCrl { der, etag }))
    }

    async fn ocsp(&self, request_der: Vec<u8>) -> Result<Vec<u8>, CaClientError> {
        let post = self
            .request(Method::POST, &["ocsp"])
            .header(CONTENT_TYPE, wire::OCSP_REQUEST)
            .header(ACCEPT, wire::OCSP_RESPONSE)
            .body(request_der);
        let response = self.ask(post).await?;
        self.read(response, MAX_OCSP).await
    }
}
