//! The HTTP server shell: listeners, their limits, and what every request passes.
//!
//! ```text
//! accept thread ──► request worker ──► handshake threads ──► request worker
//!   (kernel's         (hands the          (TLS, may wait       (HTTP/1.1 and 2,
//!    backlog)          socket on)          for the token)       middleware, handlers)
//! ```
//!
//! A handshake that waits for a slow token holds a handshake thread and no
//! request. After it the socket moves to its worker's reactor, so that requests
//! wake no other thread.

mod body;
mod client;
pub(crate) mod connection;
mod express;
mod handshake;
mod shell;
mod unread;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::KeepAlive;
use actix_web::{App, web};
use model::{Clock, TrustDomain};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tracing::info;

use crate::config::ListenerConfig;
use crate::error::Error;
use crate::health::Health;
use crate::metrics::HttpMetrics;
use crate::tls::{self, Security};

pub use body::{Body, BodyLimits, JsonBody};
pub use client::client_address;
pub use express::{Express, ExpressRoute};
pub(crate) use shell::REQUEST_ID;
pub use shell::{RequestContext, RequestSpan, RouteName};

use connection::{Connection, OpenConnection, Patience, PeerState, Socket, Stream, Transport};
use express::Before;
use handshake::{Handshakes, LogBudget, Shaken};
use shell::Shell;

/// What the listeners of one process share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The shell's metrics.
    pub metrics: HttpMetrics,
    /// The readiness checks.
    pub health: Health,
    /// Whose identities peers may have.
    pub domain: TrustDomain,
    /// Tells whether a peer's certificate is still valid.
    pub clock: Arc<dyn Clock>,
}

/// A listener that is bound, to be [run](Self::run).
#[derive(Debug)]
pub struct Server {
    /// Its name in logs and metrics.
    service: &'static str,
    /// The server with its sockets.
    builder: Builder,
    /// The address it is bound to.
    address: SocketAddr,
    /// The threads of its handshakes, where it speaks TLS.
    handshake_threads: Option<HandshakeThreads>,
    /// Stops it.
    handle: ServerHandle,
    /// Tells it to stop.
    stopped: watch::Receiver<bool>,
}

/// Hides the builder, which has no `Debug`.
struct Builder(ServerBuilder);

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerBuilder")
    }
}

/// A runtime that may be dropped on a thread of another one: whoever waits for
/// the token there is not waited for.
#[derive(Debug)]
struct HandshakeThreads(Option<Runtime>);

impl Drop for HandshakeThreads {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// Stops a [`Server`] from anywhere.
#[derive(Debug, Clone)]
pub struct ServerHandle(Arc<watch::Sender<bool>>);

impl ServerHandle {
    /// Stops accepting, lets requests end within the grace, then closes.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Binds a listener; it answers once it is [run](Self::run).
    ///
    /// `routes` are those of the service; `/healthz` and `/readyz` come besides.
    /// `service` names it in logs and metrics. Routes are `web::resource`s, so that
    /// a wrong method is answered 405 and not 404.
    ///
    /// # Errors
    ///
    /// `Limits` when nothing would fit through them, `Bind` when the address
    /// cannot be had, `Start` when threads cannot, or what TLS refuses.
    pub fn bind(
        service: &'static str,
        config: &ListenerConfig,
        security: &Security,
        shared: &Shared,
        routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> Result<Self, Error> {
        Self::bind_with(service, config, security, shared, routes, None)
    }

    /// Binds a listener whose `express` answers first, where it can.
    ///
    /// It knows no peers: for listeners that anyone may ask.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_with(
        service: &'static str,
        config: &ListenerConfig,
        security: &Security,
        shared: &Shared,
        routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
        express: Option<Arc<dyn Express>>,
    ) -> Result<Self, Error> {
        let limits = &config.limits;
        limits
            .check()
            .map_err(|source| Error::Limits { service, source })?;
        let bind_error = |source| Error::Bind {
            service,
            address: config.listen,
            source,
        };
        let listener = bind(config.listen).map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;

        let metrics = shared.metrics.listener(service);
        let (handshakes, handshake_threads) = match tls::server_config(security)? {
            None => (None, None),
            Some(tls_config) => {
                let (running, relief) = limits.handshake_split();
                let threads = runtime::Builder::new_multi_thread()
                    .worker_threads(running)
                    .max_blocking_threads(relief)
                    .thread_name(format!("{service}-tls"))
                    .enable_all()
                    .build()
                    .map_err(|source| Error::Start { service, source })?;
                let handshakes = Arc::new(Handshakes {
                    config: tls_config,
                    mutual: matches!(security, Security::Mutual { .. }),
                    domain: shared.domain.clone(),
                    turns: Semaphore::new(limits.max_handshakes),
                    timeout: limits.handshake_timeout,
                    metrics: metrics.clone(),
                    log: LogBudget::new(Arc::clone(&shared.clock)),
                });
                (
                    Some((handshakes, threads.handle().clone())),
                    Some(HandshakeThreads(Some(threads))),
                )
            }
        };

        let shell = Shell::new(&metrics, security, shared, limits.max_requests);
        let body_limits = BodyLimits {
            max_bytes: limits.max_body_bytes,
            timeout: limits.body_timeout,
        };
        let patience = Patience {
            head: limits.head_timeout,
            write: limits.write_timeout,
        };
        let keep_alive = KeepAlive::Timeout(limits.keep_alive);
        let head_timeout = limits.head_timeout;
        let health = shared.health.clone();
        let connections = metrics.connections.clone();

        let workers = limits.worker_count();
        let builder = ServerBuilder::new()
            .workers(workers)
            .max_concurrent_connections(limits.max_connections.div_ceil(workers))
            .shutdown_timeout(limits.shutdown_grace.as_secs_f64().ceil() as u64)
            .disable_signals();
        let draining = builder.graceful_shutdown_signal();
        let factory = move || {
            let routes = routes.clone();
            let health = health.clone();
            let app = App::new()
                .app_data(body_limits)
                .configure(move |config| health_routes(config, health))
                .configure(routes)
                .wrap(shell.clone());
            let draining = draining.clone();
            let http = HttpService::build()
                .keep_alive(keep_alive)
                .client_request_timeout(head_timeout)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                // Bodies are small here: as much as one may have is enough ahead.
                .h2_initial_window_size(H2_WINDOW)
                .h2_initial_connection_window_size(H2_CONNECTION_WINDOW)
                // Lets idle connections go at once when the listener drains.
                .graceful_shutdown_signal(move || {
                    let draining = draining.clone();
                    async move { draining.notified().await }
                })
                .on_connect_ext(|stream: &Stream, data| {
                    data.insert(Arc::clone(&stream.connection));
                })
                .finish(Before {
                    application: map_config(app.into_factory(), |()| AppConfig::default()),
                    express: express.clone(),
                    metrics: metrics.clone(),
                });
            let handshakes = handshakes.clone();
            let connections = connections.clone();
            fn_service(move |tcp: TcpStream| {
                let open = OpenConnection::count(&connections);
                establish(tcp, handshakes.clone(), patience, open)
            })
            .and_then(http.map_err(drop))
        };
        let builder = builder
            .listen(service, listener, factory)
            .map_err(bind_error)?;
        let (stop, stopped) = watch::channel(false);
        Ok(Self {
            service,
            builder: Builder(builder),
            address,
            handshake_threads,
            handle: ServerHandle(Arc::new(stop)),
            stopped,
        })
    }

    /// Returns the address it is bound to, its port never 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns a handle that stops it.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until stopped; requests in flight have the grace to end.
    ///
    /// # Errors
    ///
    /// `Serve` when the accept thread or a worker could not go on.
    pub async fn run(self) -> Result<(), Error> {
        let Self {
            service,
            builder,
            address,
            handshake_threads,
            handle,
            mut stopped,
        } = self;
        info!(service, listen = %address, "{service} listens on {address}");
        let outcome = builder
            .0
            .shutdown_signal(async move {
                // Ends as well when every handle is gone; `handle` here is one.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            })
            .run()
            .await;
        drop(handle);
        drop(handshake_threads);
        outcome.map_err(|source| Error::Serve { service, source })?;
        info!(service, "{service} has stopped");
        Ok(())
    }
}

/// Time for a peer to take the end of a connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Octets of a request's body that an HTTP/2 peer may send ahead.
const H2_WINDOW: u32 = 64 * 1024;

/// The same over all requests of a connection.
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Binds a socket that can be bound again right after a restart.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    // On Unix the standard library sets SO_REUSEADDR.
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Routes that every listener has.
pub(crate) fn health_routes(config: &mut web::ServiceConfig, health: Health) {
    config
        .service(web::resource("/healthz").route(web::get().to(healthz)))
        .service(
            web::resource("/readyz")
                .app_data(web::Data::new(health))
                .route(web::get().to(readyz)),
        );
}

/// Answers that the process lives.
async fn healthz() -> web::Json<serde_json::Value> {
    web::Json(serde_json::json!({ "status": "alive" }))
}

/// Answers whether the process serves, and if not, why not.
async fn readyz(health: web::Data<Health>) -> actix_web::HttpResponse {
    let readiness = health.readiness();
    let mut response = if readiness.ready {
        actix_web::HttpResponse::Ok()
    } else {
        actix_web::HttpResponse::ServiceUnavailable()
    };
    response
        .insert_header(("cache-control", "no-store"))
        .json(readiness)
}

/// Ends a task with the one that waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes a connection of an accepted socket: shakes hands elsewhere, returns here.
async fn establish(
    tcp: TcpStream,
    handshakes: Option<(Arc<Handshakes>, runtime::Handle)>,
    patience: Patience,
    open: OpenConnection,
) -> Result<(Stream, Protocol, Option<SocketAddr>), ()> {
    // A peer that is gone already is nobody's error.
    let address = tcp.peer_addr().map_err(drop)?;
    tcp.set_nodelay(true).map_err(drop)?;
    let (transport, connection, http2) = match handshakes {
        None => {
            let connection = Connection::new(address, None, PeerState::NotAsked);
            (
                Transport::Plain(Socket::new(tcp)),
                Arc::new(connection),
                false,
            )
        }
        Some((handshakes, threads)) => {
            let tcp = tcp.into_std().map_err(drop)?;
            let mut task =
                AbortOnDrop(threads.spawn(async move { handshakes.perform(tcp, address).await }));
            let Shaken {
                stream,
                connection,
                http2,
            } = (&mut task.0).await.ok().flatten().ok_or(())?;
            (Transport::Tls(stream), connection, http2)
        }
    };
    let protocol = if http2 {
        Protocol::Http2
    } else {
        Protocol::Http1
    };
    let stream = Stream::new(transport, connection, http2, patience, open).map_err(drop)?;
    Ok((stream, protocol, Some(address)))
}
