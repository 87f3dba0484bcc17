//! What every request passes: identity, request id, limits, metrics, log.

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_service::{Service, Transform};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use model::{Clock, RequestId};
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use super::Shared;
use super::connection::{Connection, PeerState};
use super::unread::Unread;
use crate::metrics::ListenerMetrics;
use crate::peer::{Peer, certificate_required, unidentified};
use crate::problem::{Problem, ProblemType};
use crate::tls::{PeerVerifier, Refusal, Security};

/// Carries a request's id from service to service.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the shell knows about a request, for handlers and the calls they make.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Its id, in its log lines and in the calls made for it.
    pub request_id: RequestId,
}

impl FromRequest for RequestContext {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = request.extensions().get::<Self>().cloned();
        ready(context.ok_or_else(|| Problem::internal(OutsideShell)))
    }
}

/// A handler that runs outside a listener of ours.
#[derive(Debug, thiserror::Error)]
#[error("the request did not pass the shell")]
struct OutsideShell;

/// A span whose fields a handler adds to the request's line in the log.
///
/// Handlers put it into the request's extensions; the shell writes the line
/// inside it. What a span says of `problem.type` stands in the line where the
/// shell itself knows of no problem.
#[derive(Debug, Clone)]
pub struct RequestSpan(pub Span);

/// What logs and metrics call a request, where its handler says so: put among the
/// request's extensions. Without it they name the route that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteName(pub &'static str);

/// The middleware of one listener.
#[derive(Debug, Clone)]
pub(crate) struct Shell(Arc<Settings>);

/// What its instances share.
#[derive(Debug)]
struct Settings {
    /// Where requests are counted.
    metrics: ListenerMetrics,
    /// Asks again about peers, on mutual listeners.
    clients: Option<Arc<PeerVerifier>>,
    /// Whether answers that went well are logged for debugging only.
    quiet: bool,
    /// Tells whether a peer's certificate is still valid.
    clock: Arc<dyn Clock>,
    /// Most requests at a time.
    max_requests: usize,
    /// Requests at this moment.
    requests: AtomicUsize,
}

impl Shell {
    /// Builds the middleware of one listener.
    pub(crate) fn new(
        metrics: &ListenerMetrics,
        security: &Security,
        shared: &Shared,
        max_requests: usize,
    ) -> Self {
        let clients = match security {
            Security::Mutual { clients, .. } => Some(Arc::clone(clients)),
            Security::Plain | Security::Open { .. } => None,
        };
        Self(Arc::new(Settings {
            metrics: metrics.clone(),
            clients,
            // Anyone may ask, and by the thousand: distribution and telemetry. A
            // line would cost more than the answer, and fill the disk.
            quiet: matches!(security, Security::Plain),
            clock: Arc::clone(&shared.clock),
            max_requests,
            requests: AtomicUsize::new(0),
        }))
    }
}

impl Settings {
    /// Decides whether a request reaches its handler at all.
    fn admit(&self, connection: Option<&Connection>, active: usize) -> Result<(), Problem> {
        match connection.map(|connection| &connection.peer) {
            Some(PeerState::Absent) => return Err(certificate_required()),
            Some(PeerState::Known(peer)) => self.admit_peer(peer)?,
            Some(PeerState::Unidentified { why }) => return Err(unidentified(why)),
            Some(PeerState::NotAsked) | None => {}
        }
        if active > self.max_requests {
            return Err(Problem::new(
                ProblemType::Overloaded,
                format!(
                    "{} requests are being served, as many as may",
                    self.max_requests
                ),
            )
            .retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    /// Asks again whether a peer counts: connections outlive revocations.
    fn admit_peer(&self, peer: &Peer) -> Result<(), Problem> {
        let certificate = peer.certificate();
        let refused = if certificate.not_after < self.clock.now() {
            Err(Refusal::Expired)
        } else {
            match &self.clients {
                Some(clients) => clients.admit(certificate),
                None => Ok(()),
            }
        };
        refused.map_err(|refusal| match refusal {
            // Not the peer's fault, and nothing that another connection mends.
            Refusal::Unknown => Problem::new(
                ProblemType::RevocationUnknown,
                "this service has no fresh CRL and refuses all clients until it has one",
            )
            .retry_after(CRL_RETRY)
            .coded("crl_stale"),
            Refusal::Revoked | Refusal::Expired => Problem::new(
                ProblemType::PeerRefused,
                format!("{refusal}; connect with one that counts"),
            )
            .coded(match refusal {
                Refusal::Revoked => "client_revoked",
                Refusal::Expired | Refusal::Unknown => "client_expired",
            })
            .closing(),
        })
    }
}

impl<S, B> Transform<S, ServiceRequest> for Shell
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = ShellService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(ShellService {
            service: Rc::new(service),
            settings: Arc::clone(&self.0),
        }))
    }
}

/// The middleware around one worker's application.
pub(crate) struct ShellService<S> {
    /// The application.
    service: Rc<S>,
    /// What the listener's workers share.
    settings: Arc<Settings>,
}

impl<S, B> Service<ServiceRequest> for ShellService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let unread = Unread::of(&mut request);
        let mut exchange = Exchange::begin(&self.settings, &request);
        request.extensions_mut().insert(RequestContext {
            request_id: exchange.request_id.clone(),
        });
        let admitted = self
            .settings
            .admit(exchange.connection.as_deref(), exchange.active);
        if let Err(problem) = admitted {
            let response = exchange.refuse(&problem);
            return Box::pin(async move {
                discard(unread).await;
                Ok(request.into_response(response))
            });
        }
        let service = Rc::clone(&self.service);
        let span = info_span!("request", request_id = %exchange.request_id);
        Box::pin(async move {
            let outcome = service.call(request).instrument(span).await;
            discard(unread).await;
            exchange.finish(outcome)
        })
    }
}

/// Reads what a handler left of the body, where there is a hand on it.
async fn discard(unread: Option<Unread>) {
    if let Some(unread) = unread {
        unread.discard().await;
    }
}

/// One request from its head to its answer's head, counted and logged once.
struct Exchange {
    /// What the listener's workers share.
    settings: Arc<Settings>,
    /// The connection, where there is one.
    connection: Option<Arc<Connection>>,
    /// When the head was complete.
    started: Instant,
    /// The request's id.
    request_id: RequestId,
    /// The method.
    method: actix_web::http::Method,
    /// The path, cut at [`MAX_PATH`] characters.
    path: String,
    /// Requests at that moment, this one included.
    active: usize,
    /// Whether the answer was logged.
    done: bool,
}

/// When a service without a fresh CRL may have one again.
const CRL_RETRY: Duration = Duration::from_secs(5);

/// Most octets of a path that the log has.
const MAX_PATH: usize = 256;

/// What the log and metrics call a request that no route took.
const UNMATCHED: &str = "unmatched";

/// What nginx and others log for a client that left before its answer.
const CLIENT_LEFT: u16 = 499;

impl Exchange {
    /// Begins: takes or makes the id, counts the request in.
    fn begin(settings: &Arc<Settings>, request: &ServiceRequest) -> Self {
        let connection = request
            .request()
            .conn_data::<Arc<Connection>>()
            .map(Arc::clone);
        if let Some(connection) = &connection {
            connection.request_begins();
        }
        settings.metrics.in_flight.inc();
        let known = connection
            .as_deref()
            .is_some_and(|connection| matches!(connection.peer, PeerState::Known(_)));
        // Only peers we know may name requests in our log.
        let given = known
            .then(|| request.headers().get(&REQUEST_ID))
            .flatten()
            .and_then(|value| value.to_str().ok())
            .and_then(|text| RequestId::new(text).ok());
        let path = request.path();
        let end = path.floor_char_boundary(path.len().min(MAX_PATH));
        Self {
            active: settings.requests.fetch_add(1, Ordering::Relaxed) + 1,
            settings: Arc::clone(settings),
            connection,
            started: Instant::now(),
            request_id: given.unwrap_or_else(crate::request_id::fresh),
            method: request.method().clone(),
            path: path.get(..end).unwrap_or_default().to_owned(),
            done: false,
        }
    }

    /// Answers a request that reaches no handler.
    fn refuse(&mut self, problem: &Problem) -> HttpResponse {
        let mut response = problem.to_response(Some(&self.request_id));
        self.stamp(response.headers_mut());
        self.log(
            UNMATCHED,
            response.status(),
            response.body().size(),
            Some(problem),
        );
        response
    }

    /// Turns whatever came from below into the answer.
    fn finish<B: MessageBody + 'static>(
        mut self,
        outcome: Result<ServiceResponse<B>, Error>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let response = match outcome {
            Ok(response) => response.map_into_boxed_body(),
            Err(error) => {
                // From a middleware between the shell and the handlers.
                let fallback = Problem::new(
                    ProblemType::for_status(error.as_response_error().status_code()),
                    sentence(&error),
                );
                let problem = error.as_error::<Problem>().unwrap_or(&fallback);
                let answer = self.refuse(problem);
                return Err(InternalError::from_response("refused", answer).into());
            }
        };
        let (request, response) = response.into_parts();
        let span = request.extensions_mut().remove::<RequestSpan>();
        // Entered for the lines below alone: nothing here waits.
        let _entered = span.as_ref().map(|RequestSpan(span)| span.enter());
        let named = request.extensions().get::<RouteName>().copied();
        let pattern = match named {
            Some(_) => None,
            None => request.match_pattern(),
        };
        let route = named
            .map(|RouteName(name)| name)
            .or(pattern.as_deref())
            .unwrap_or(UNMATCHED);
        let stated = response
            .error()
            .and_then(|error| error.as_error::<Problem>());
        let made = match stated {
            Some(_) => None,
            None => self.explain(&response),
        };
        let problem = stated.or(made.as_ref());
        let answer = problem.map(|problem| {
            let mut answer = problem.to_response(Some(&self.request_id));
            if let Some(allow) = response.headers().get(header::ALLOW) {
                answer.headers_mut().insert(header::ALLOW, allow.clone());
            }
            answer
        });
        let told = answer.as_ref().unwrap_or(&response);
        let (status, size) = (told.status(), told.body().size());
        self.log(route, status, size, problem);
        let mut response = answer.unwrap_or(response);
        self.stamp(response.headers_mut());
        Ok(ServiceResponse::new(request, response))
    }

    /// Finds the problem of an error that came without a document.
    fn explain(&self, response: &HttpResponse) -> Option<Problem> {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return None;
        }
        let kind = ProblemType::for_status(status);
        if let Some(error) = response.error() {
            return Some(Problem::new(kind, sentence(error)));
        }
        // Handlers that wrote a body of their own knew what they did.
        matches!(response.body().size(), BodySize::None | BodySize::Sized(0))
            .then(|| Problem::new(kind, self.bare_sentence(kind)))
    }

    /// Says in a sentence what a bare status means for this request.
    fn bare_sentence(&self, kind: ProblemType) -> String {
        match kind {
            ProblemType::NotFound => format!("this service has nothing at {}", self.path),
            ProblemType::MethodNotAllowed => {
                format!("{} does not take {}", self.path, self.method)
            }
            other => other.meaning().to_owned(),
        }
    }

    /// Tells the request's id in the answer.
    fn stamp(&self, headers: &mut header::HeaderMap) {
        // A request id is letters, digits, hyphens and underscores.
        if let Ok(value) = HeaderValue::from_str(self.request_id.as_str()) {
            headers.insert(REQUEST_ID, value);
        }
    }

    /// Counts and logs the answer.
    fn log(&mut self, route: &str, status: StatusCode, size: BodySize, problem: Option<&Problem>) {
        let bytes = match size {
            BodySize::None => Some(0),
            BodySize::Sized(bytes) => Some(bytes),
            BodySize::Stream => None,
        };
        self.record(route, status.as_u16(), bytes, problem);
    }

    /// Writes the one line and the metrics.
    fn record(&mut self, route: &str, status: u16, bytes: Option<u64>, problem: Option<&Problem>) {
        self.done = true;
        let elapsed = self.started.elapsed();
        let metrics = &self.settings.metrics;
        metrics.answered(route, self.method.as_str(), status, elapsed);
        let connection = self.connection.as_deref();
        let peer = connection.and_then(|connection| match &connection.peer {
            PeerState::Known(peer) => Some(peer.label()),
            PeerState::NotAsked | PeerState::Absent | PeerState::Unidentified { .. } => None,
        });
        let address = connection.map(|connection| tracing::field::display(connection.peer_address));
        let tls = connection.and_then(|connection| connection.tls_version);
        let duration_ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
        /// Writes the line at a level.
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    service = metrics.service(),
                    request_id = self.request_id.as_str(),
                    http.method = self.method.as_str(),
                    http.route = route,
                    http.path = self.path.as_str(),
                    http.status = status,
                    http.response.bytes = bytes,
                    duration_ms,
                    peer.identity = peer,
                    peer.address = address,
                    tls.version = tls,
                    problem.r#type = problem.map(|problem| problem.kind().slug()),
                    problem.detail = problem.map(Problem::detail),
                    error.cause = problem.and_then(Problem::cause_chain),
                    "{} {} {}",
                    self.method.as_str(),
                    self.path,
                    status
                )
            };
        }
        match status {
            500 => line!(error),
            501.. => line!(warn),
            200..=399 if self.settings.quiet => line!(debug),
            _ => line!(info),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.done {
            self.record(UNMATCHED, CLIENT_LEFT, Some(0), None);
        }
        self.settings.metrics.in_flight.dec();
        self.settings.requests.fetch_sub(1, Ordering::Relaxed);
        if let Some(connection) = &self.connection {
            connection.request_ends();
        }
    }
}

/// Says in a sentence what an extractor of the framework found wrong.
fn sentence(error: &Error) -> String {
    if error.as_response_error().status_code().is_client_error() {
        error.to_string().chars().take(200).collect()
    } else {
        ProblemType::Internal.meaning().to_owned()
    }
}
