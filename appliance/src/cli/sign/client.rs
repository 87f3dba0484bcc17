//! The signing service as commands see it: over mutual TLS.

use std::time::Duration;

use mesh::PROBLEM_JSON;
use mesh::wire::ProblemDocument;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::runtime::{self, Runtime};
use tokio::time::{Instant, sleep};

use super::artifact::Artifact;
use super::evidence::Submitted;
use super::order::{Answer, Order};
use crate::failure::{Failure, Trying};

/// How long a command goes on asking a service that answers "not now".
const PATIENCE: Duration = Duration::from_secs(60);

/// First wait before asking again, where the service names none.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Time to connect, TLS included.
const CONNECTING: Duration = Duration::from_secs(10);

/// Longest silence of the service.
const SILENCE: Duration = Duration::from_secs(60);

/// Longest answer that is read, octets.
const MAX_ANSWER: usize = 256 << 20;

/// A connection to the signing service.
#[derive(Debug)]
pub(in crate::cli) struct SigningClient {
    /// Connections, kept and reused.
    client: reqwest::Client,
    /// `https://HOST:PORT/`.
    address: Url,
}

/// One try that did not end well.
enum Missed {
    /// The same may go well later.
    Later {
        /// Why it did not.
        failure: Failure,
        /// When the service says that it may.
        after: Option<Duration>,
    },
    /// It will not.
    Final(Failure),
}

impl SigningClient {
    /// Prepares a client; connects with the first call.
    ///
    /// # Errors
    ///
    /// Unless `server` is an `https` URL.
    pub(super) fn new(server: &str, mut tls: rustls::ClientConfig) -> Result<Self, Failure> {
        let tried = || format!("prepare a connection to the signing service at {server}");
        let address = Url::parse(server).trying(tried)?;
        if address.scheme() != "https" || !address.has_host() {
            return Err(
                Failure::new(tried()).next("--server takes an https URL: https://HOST:8446")
            );
        }
        // An artifact is sent whole, and HTTP/1.1 has no window to wait for.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            // The identity goes to this service alone.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECTING)
            .read_timeout(SILENCE)
            .http1_only()
            .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
            .build()
            .trying(tried)?;
        Ok(Self { client, address })
    }

    /// Makes the runtime that calls run on.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub(in crate::cli) fn runtime(&self) -> Result<Runtime, Failure> {
        runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .trying(|| "start a runtime".to_owned())
    }

    /// Has an artifact signed by its digest.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached, refuses, or cannot sign now.
    pub(super) async fn sign(&self, order: &Order) -> Result<Answer, Failure> {
        let mut members = order.members();
        for (name, document) in order.evidence.list() {
            members.insert(name.to_owned(), Submitted::in_json(document));
        }
        let body = serde_json::Value::Object(members).to_string();
        let key = key_of(order)?;
        let tried = format!("have {} signed", order.name);
        let response = self
            .insist(&tried, || {
                let request = self.request(Method::POST, &["v1", "signatures"]);
                Ok(marked(request, order, &key)
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone()))
            })
            .await?;
        self.answer(&tried, order, response).await
    }

    /// Has an artifact signed that is sent along.
    ///
    /// # Errors
    ///
    /// As [`SigningClient::sign`], and when the file cannot be read.
    pub(super) async fn upload(
        &self,
        order: &Order,
        artifact: &Artifact,
    ) -> Result<Answer, Failure> {
        let key = key_of(order)?;
        let tried = format!("have {} signed", order.name);
        let Some(path) = artifact.path() else {
            return Err(Failure::new(format!(
                "send {}: it is elsewhere",
                order.name
            )));
        };
        let request_json = serde_json::Value::Object(order.members()).to_string();
        let reading = || format!("read the artifact {}", path.display());
        let response = self
            .insist(&tried, || {
                let file = std::fs::File::open(path).trying(reading)?;
                let length = file.metadata().trying(reading)?.len();
                let mut form = Form::new().part("request", json_part(request_json.clone()));
                for (name, document) in order.evidence.list() {
                    let part = Part::bytes(document.to_vec());
                    form = form.part(name, part.file_name(name));
                }
                let body = Body::from(tokio::fs::File::from_std(file));
                let part = Part::stream_with_length(body, length).file_name(order.name.clone());
                form = form.part("artifact", part);
                let request = self.request(Method::POST, &["v1", "signatures"]);
                Ok(marked(request, order, &key).multipart(form))
            })
            .await?;
        self.answer(&tried, order, response).await
    }

    /// Fetches what belongs to a signature: its bundle, its CMS signature, …
    ///
    /// # Errors
    ///
    /// When the service cannot be reached or has no such thing.
    pub(super) async fn fetch(&self, id: &str, what: &str) -> Result<Vec<u8>, Failure> {
        let tried = format!("fetch the {what} of {id}");
        let path = ["v1", "signatures", id, what];
        let response = self
            .insist(&tried, || Ok(self.request(Method::GET, &path)))
            .await?;
        self.octets(&tried, response).await
    }

    /// Fetches whom the service says to trust, as sigstore clients read it.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached.
    pub(super) async fn trusted_root(&self) -> Result<Vec<u8>, Failure> {
        let tried = "fetch the trusted root";
        let path = ["v1", "trusted-root"];
        let response = self
            .insist(tried, || Ok(self.request(Method::GET, &path)))
            .await?;
        self.octets(tried, response).await
    }

    /// Returns the URL of a signature's record.
    pub(super) fn url_of(&self, id: &str) -> String {
        self.url(&["v1", "signatures", id]).into()
    }

    /// Returns a URL of the service.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.address.clone();
        // An https URL with a host can always be a base.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Begins a request.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Asks until there is an answer, the answer is final, or patience ends.
    async fn insist(
        &self,
        tried: &str,
        request: impl Fn() -> Result<RequestBuilder, Failure>,
    ) -> Result<Response, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut wait = FIRST_WAIT;
        loop {
            let (failure, after) = match self.attempt(tried, request()?).await {
                Ok(response) => return Ok(response),
                Err(Missed::Final(failure)) => return Err(failure),
                Err(Missed::Later { failure, after }) => (failure, after),
            };
            let delay = after.unwrap_or(wait).min(LONGEST_WAIT);
            if Instant::now() + delay >= deadline {
                return Err(failure);
            }
            sleep(delay).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Asks once.
    async fn attempt(&self, tried: &str, request: RequestBuilder) -> Result<Response, Missed> {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(Missed::Final(self.unreachable(tried, error))),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = retry_after(response.headers());
        let failure = self.refused(tried, response).await;
        // 409 with Retry-After: the first request of this key is still served.
        let is_busy = status == StatusCode::CONFLICT && after.is_some();
        if status == StatusCode::SERVICE_UNAVAILABLE
            || status == StatusCode::TOO_MANY_REQUESTS
            || is_busy
        {
            Err(Missed::Later { failure, after })
        } else {
            Err(Missed::Final(failure))
        }
    }

    /// Says what to do about a service that does not answer.
    fn unreachable(&self, tried: &str, error: reqwest::Error) -> Failure {
        let advice = if is_about_tls(&error) {
            "check that --trust holds the root of this service, and that the identity is neither \
             expired nor revoked: openssl x509 -noout -enddate -in FILE"
                .to_owned()
        } else {
            format!(
                "start it with `chancery serve`, or name where it runs with --server; {} was tried",
                self.address
            )
        };
        Failure::because(tried, error).next(advice)
    }

    /// Says what the service refused, and why.
    async fn refused(&self, tried: &str, response: Response) -> Failure {
        let status = response.status();
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|given| given.as_bytes().starts_with(PROBLEM_JSON.as_bytes()));
        let octets = self.octets(tried, response).await.unwrap_or_default();
        let document = serde_json::from_slice::<ProblemDocument>(&octets)
            .ok()
            .filter(|_| is_problem);
        let Some(document) = document else {
            return Failure::new(format!("{tried}: the answer is {status} and no problem")).next(
                format!("check that {} is the signing service", self.address),
            );
        };
        Refused(document).into_failure(tried)
    }

    /// Reads the answer to a request for a signature.
    async fn answer(
        &self,
        tried: &str,
        order: &Order,
        response: Response,
    ) -> Result<Answer, Failure> {
        let octets = self.octets(tried, response).await?;
        let mut answer: Answer = serde_json::from_slice(&octets).trying(|| tried.to_owned())?;
        if answer.artifact_hash.is_empty() {
            answer.artifact_hash = order.digest.to_string();
        }
        answer.url = answer.id.as_deref().map(|id| self.url_of(id));
        Ok(answer)
    }

    /// Reads a body within bounds.
    async fn octets(&self, tried: &str, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut octets = Vec::new();
        while let Some(chunk) = response.chunk().await.trying(|| tried.to_owned())? {
            if octets.len() + chunk.len() > MAX_ANSWER {
                return Err(Failure::new(format!(
                    "{tried}: the answer is longer than {MAX_ANSWER} octets"
                )));
            }
            octets.extend_from_slice(&chunk);
        }
        Ok(octets)
    }
}

/// A problem document as an error, its checks and figures told.
#[derive(Debug)]
struct Refused(ProblemDocument);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let document = &self.0;
        let code = document.kind.rsplit(':').next().unwrap_or(&document.kind);
        write!(f, "{} ({code})", document.detail)?;
        for name in ["expected", "actual"] {
            if let Some(value) = document.members.get(name) {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                write!(f, "\n{name} {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Says it to a person.
    fn into_failure(self, tried: &str) -> Failure {
        let document = &self.0;
        let log = document
            .request_id
            .as_ref()
            .map(|id| format!("; the service's log has more under request_id {id}"))
            .unwrap_or_default();
        let advice = match document.status {
            403 => format!("an operator grants it in the profile's `clients`{log}"),
            409 => format!("give another request another --idempotency-key{log}"),
            429 | 503 => format!("try again shortly{log}"),
            500.. => format!("tell the operator{log}"),
            _ => format!("correct what is refused and sign again{log}"),
        };
        Failure::because(tried, self).next(advice)
    }
}

/// Returns the idempotency key of an order: the one given, with the digest where
/// several artifacts share it, or a new one.
fn key_of(order: &Order) -> Result<String, Failure> {
    match &order.key {
        Some(key) => {
            let hex = order.digest.hex();
            let start = hex.get(..16).unwrap_or(&hex);
            Ok(format!("{key}-{start}"))
        }
        None => {
            let mut random = [0; 16];
            aws_lc_rs::rand::fill(&mut random).trying(|| "draw a random number".to_owned())?;
            Ok(format!("cli-{}", hex::encode(random)))
        }
    }
}

/// Marks a request so that it counts once.
fn marked(request: RequestBuilder, order: &Order, key: &str) -> RequestBuilder {
    if order.dry_run {
        request.query(&[("dry_run", "true")])
    } else {
        request.header("idempotency-key", key)
    }
}

/// Makes a part of JSON.
fn json_part(text: String) -> Part {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        reqwest::header::HeaderValue::from_static("application/json"),
    );
    Part::text(text).headers(headers)
}

/// Reads how long to wait (RFC 9110, 10.2.3), in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Tells whether TLS stopped a connection: what wraps its errors differs from one way of
/// failing to another, its words do not.
fn is_about_tls(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(found) = cause {
        let text = found.to_string();
        if found.is::<rustls::Error>() || text.contains("certificate") || text.contains("alert") {
            return true;
        }
        cause = found.source();
    }
    false
}
