//! Starting the services, watching over them, and stopping them in order.
//!
//! Telemetry comes first and goes last, so that `/readyz` can tell what the
//! rest waits for. A token that is away at the start is waited for; what only a
//! person can mend ends the process at once, with advice.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::store::{Certificates, RevocationStore, StoreMetrics};
use hsm_keystore::pkcs11::AskPin;
use hsm_keystore::{KeyStore, KeyStoreMetrics, Modules};
use mesh::stapling::StaplingMetrics;
use mesh::{Health, HttpMetrics, ListenerConfig, ListenerLimits, Security, Server, Shared};
use prometheus_client::registry::Registry;
use sd_notify::NotifyState;
use secrecy::SecretString;
use tokio::runtime;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::distribution::{self, Distribution};
use super::keystore::keystore_failure;
use super::supervisor::{StopSignals, Watchdog, tell};
use crate::cli::prompt::Terminal;
use crate::config::Config;
use crate::failure::{Advise, Cause, Failure, Trying};
use crate::telemetry::SystemClock;

/// How long a start waits before it asks for an absent token again.
const TOKEN_RETRY: Duration = Duration::from_secs(2);

/// Time that threads have to end after everything was stopped.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// Everything that counts, made before anything runs.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Of all listeners.
    http: HttpMetrics,
    /// Of the keystore that signs.
    keystore: KeyStoreMetrics,
    /// Of the CA's store.
    store: StoreMetrics,
    /// Of the CA.
    pub(super) ca: ca::CaMetrics,
    /// Of the OCSP responder.
    pub(super) ocsp: ca::OcspMetrics,
    /// Of OCSP stapling.
    pub(super) stapling: StaplingMetrics,
}

impl Metrics {
    /// Gathers them for `/metrics`.
    fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        self.http.register(&mut registry);
        self.keystore.register(&mut registry);
        self.store.register(&mut registry);
        self.ca.register(&mut registry);
        self.ocsp.register(&mut registry);
        self.stapling.register(&mut registry);
        registry
    }
}

/// Runs every service until a signal ends them.
///
/// # Errors
///
/// When a service cannot start, or ends by itself.
pub(crate) fn serve(config: Config) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .trying(|| "start the runtime".to_owned())?;
    let outcome = runtime.block_on(run(config));
    runtime.shutdown_timeout(LAST_GRACE);
    outcome
}

/// Starts everything in order, waits, and stops it in the reverse order.
async fn run(config: Config) -> Result<(), Failure> {
    let mut signals = StopSignals::catch()?;
    let metrics = Metrics::default();
    let shared = Shared {
        metrics: metrics.http.clone(),
        health: Health::new(),
        domain: config.trust_domain().clone(),
        clock: Arc::new(SystemClock),
    };
    shared
        .health
        .register(SERVICES, || Err("the services are starting".to_owned()));
    let mut telemetry = start_telemetry(&config, &metrics, &shared)?;
    let _watchdog = Watchdog::start();

    let store = open_store(&config, &metrics).await?;
    // Without a token, if there ever was one: relying parties wait for nobody.
    let parts = distribution::Parts {
        config: &config,
        store: &store,
        shared: &shared,
        metrics: &metrics.ca,
        ocsp_metrics: &metrics.ocsp,
    };
    let mut distribution = parts.start_kept().await?;
    let started = tokio::select! {
        started = start_ca(&config, &metrics, &shared, &store, &mut distribution) => Some(started?),
        () = signals.recv() => None,
    };
    let (Some((mut ca, keystore)), Some(mut distribution)) = (started, distribution.take()) else {
        if let Some(mut distribution) = distribution {
            distribution.running.stop().await?;
        }
        close(store, None).await;
        return telemetry.stop().await;
    };
    shared.health.register(SERVICES, || Ok(()));
    tell(&[NotifyState::Ready]);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        "chancery {} serves",
        env!("CARGO_PKG_VERSION")
    );

    let failure = tokio::select! {
        () = signals.recv() => None,
        failure = ca.ended() => Some(failure),
        failure = distribution.running.ended() => Some(failure),
        failure = telemetry.ended() => Some(failure),
    };
    tell(&[NotifyState::Stopping]);
    shared
        .health
        .register(SERVICES, || Err("the services are stopping".to_owned()));
    let stopped = ca.stop().await.and(distribution.running.stop().await);
    drop(distribution);
    close(store, Some(keystore)).await;
    let outcome = telemetry.stop().await;
    info!("stopped");
    failure.map_or(Ok(()), Err).and(stopped).and(outcome)
}

/// The readiness check of the start and the end.
const SERVICES: &str = "services";

/// Opens the keystore and starts the CA over it.
async fn start_ca(
    config: &Config,
    metrics: &Metrics,
    shared: &Shared,
    store: &Arc<dyn RevocationStore>,
    distribution: &mut Option<Distribution>,
) -> Result<(Running, Arc<dyn KeyStore>), Failure> {
    let keystore = open_keystore(config, metrics, &shared.health).await?;
    let ca = super::ca::start(config, &keystore, store, metrics, shared, distribution).await?;
    Ok((ca, keystore))
}

/// A listener that runs.
pub(super) struct Running {
    /// Its name, for messages.
    service: &'static str,
    /// Stops it.
    stop: Box<dyn Fn() + Send + Sync>,
    /// Its end.
    task: JoinHandle<Result<(), Cause>>,
}

impl Running {
    /// Runs a bound listener.
    pub(super) fn spawn<E: Into<Cause>>(
        service: &'static str,
        stop: impl Fn() + Send + Sync + 'static,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Self {
        Self {
            service,
            stop: Box::new(stop),
            task: tokio::spawn(async move { run.await.map_err(Into::into) }),
        }
    }

    /// Waits for its end, which nobody asked for.
    async fn ended(&mut self) -> Failure {
        let cause: Cause = match (&mut self.task).await {
            Ok(Ok(())) => return Failure::new(format!("go on serving {}", self.service)),
            Ok(Err(cause)) => cause,
            Err(panic) => panic.into(),
        };
        Failure::because(format!("go on serving {}", self.service), cause)
    }

    /// Lets requests end, then closes it; does nothing once it has ended.
    async fn stop(&mut self) -> Result<(), Failure> {
        (self.stop)();
        if self.task.is_finished() {
            return Ok(());
        }
        let tried = || format!("stop {} in order", self.service);
        (&mut self.task).await.trying(tried)?.trying(tried)
    }
}

/// Serves `/metrics`, `/healthz` and `/readyz`.
fn start_telemetry(
    config: &Config,
    metrics: &Metrics,
    shared: &Shared,
) -> Result<Running, Failure> {
    let listener = ListenerConfig {
        listen: config.telemetry.listen,
        limits: ListenerLimits {
            workers: 1,
            max_connections: 64,
            max_requests: 16,
            ..ListenerLimits::default()
        },
    };
    let routes = mesh::telemetry::routes(Arc::new(metrics.registry()));
    let server = Server::bind("telemetry", &listener, &Security::Plain, shared, routes)
        .trying(|| "serve metrics and health".to_owned())
        .advise(|| {
            "choose another port: [telemetry] listen, or CHANCERY__TELEMETRY__LISTEN".to_owned()
        })?;
    let handle = server.handle();
    Ok(Running::spawn("telemetry", move || handle.stop(), server.run()))
}

/// Opens the keystore; waits for a token that is away, and says so on
/// `/readyz`.
async fn open_keystore(
    config: &Config,
    metrics: &Metrics,
    health: &Health,
) -> Result<Arc<dyn KeyStore>, Failure> {
    let modules = Modules::default();
    let prompt = Arc::new(AskOnce::default());
    let mut told = false;
    loop {
        let configured = config.keystore(config.signing_keystore())?.clone();
        let (modules, prompt, metrics) = (
            modules.clone(),
            Arc::clone(&prompt),
            metrics.keystore.clone(),
        );
        let attempt = tokio::task::spawn_blocking(move || {
            let outcome = configured.open(&modules, prompt.as_ref(), metrics);
            (configured, outcome)
        });
        let (configured, outcome) = attempt.await.trying(|| "open the keystore".to_owned())?;
        match outcome {
            Ok(keystore) => {
                let watched = Arc::clone(&keystore);
                health.register("keystore", move || {
                    watched.ready().map_err(|reason| reason.to_string())
                });
                info!(keystore = keystore.describe(), "the keystore is open");
                return Ok(keystore);
            }
            Err(error) if error.retry_after().is_some() => {
                let reason = error.to_string();
                if !told {
                    warn!(error = %reason, "waiting for the token: {reason}");
                    told = true;
                }
                health.register("keystore", move || Err(reason.clone()));
                tokio::time::sleep(TOKEN_RETRY).await;
            }
            Err(error) => {
                return Err(keystore_failure(
                    config.signing_keystore(),
                    &configured,
                    error,
                ));
            }
        }
    }
}

/// Asks for the PIN on the terminal, once, however often a token is tried.
#[derive(Debug, Default)]
struct AskOnce(Mutex<Option<SecretString>>);

impl AskPin for AskOnce {
    fn ask_pin(&self, token: &str) -> io::Result<SecretString> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.as_ref() {
            Some(pin) => Ok(pin.clone()),
            None => Ok(known.insert(Terminal.ask_pin(token)?).clone()),
        }
    }
}

/// Opens the CA's store and tells what had to be mended.
async fn open_store(
    config: &Config,
    metrics: &Metrics,
) -> Result<Arc<dyn RevocationStore>, Failure> {
    let store = config.ca_store();
    let metrics = metrics.store.clone();
    let directory = store.directory.clone();
    let tried = || format!("open the store in {}", directory.display());
    let opened = tokio::task::spawn_blocking(move || Certificates::open(&store, metrics))
        .await
        .trying(tried)?
        .trying(tried)?;
    let recovered = opened.recovered();
    info!(
        store.frames_replayed = recovered.frames_replayed,
        store.torn_bytes = recovered.torn_bytes,
        store.open_intents = recovered.open_intents,
        "the store is open"
    );
    Ok(Arc::new(opened))
}

/// Closes the store, then the keystore; both may have to wait.
async fn close(store: Arc<dyn RevocationStore>, keystore: Option<Arc<dyn KeyStore>>) {
    let closed = tokio::task::spawn_blocking(move || {
        // Each closes with its last handle, and the services' are gone by now.
        drop(store);
        drop(keystore);
    });
    if let Err(error) = closed.await {
        error!(error = %error, "store and keystore could not be closed in order");
    }
}
