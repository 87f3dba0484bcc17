//! Starting the services, watching over them, and stopping them in order.
//!
//! Telemetry comes first and goes last, so that `/readyz` can tell what the
//! rest waits for. A token that is away at the start is waited for; what only a
//! person can mend ends the process at once, with advice.

use std::sync::Arc;
use std::time::Duration;

use ::store::StoreMetrics;
use hsm_keystore::KeyStoreMetrics;
use mesh::revocation::RevocationMetrics;
use mesh::stapling::StaplingMetrics;
use mesh::{Health, HttpMetrics, ListenerConfig, ListenerLimits, Security, Server, Shared};
use prometheus_client::registry::Registry;
use sd_notify::NotifyState;
use tokio::runtime;
use tokio::task::JoinHandle;
use tracing::info;

use super::acme::AcmeCounts;
use super::keyring::Keyring;
use super::services::{Parts, Services, say_unready};
use super::signing::SigningCounts;
use super::supervisor::{StopSignals, Watchdog, tell};
use crate::config::Config;
use crate::failure::{Advise, Cause, Failure, Trying};
use crate::telemetry::SystemClock;

/// Time that threads have to end after everything was stopped.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// Everything that counts, made before anything runs.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Of all listeners.
    http: HttpMetrics,
    /// Of the keystores.
    pub(super) keystore: KeyStoreMetrics,
    /// Of the CA's store.
    pub(super) store: StoreMetrics,
    /// Of the CA.
    pub(super) ca: ca::CaMetrics,
    /// Of the OCSP responder.
    pub(super) ocsp: ca::OcspMetrics,
    /// Of OCSP stapling.
    pub(super) stapling: StaplingMetrics,
    /// Of the CRLs that tell which clients count.
    pub(super) revocation: RevocationMetrics,
    /// Of the ACME service.
    pub(super) acme: AcmeCounts,
    /// Of the signing service.
    pub(super) signing: SigningCounts,
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
        self.revocation.register(&mut registry);
        self.acme.register(&mut registry);
        self.signing.register(&mut registry);
        registry
    }
}

/// What every service of a process is started with.
pub(super) struct Process<'a> {
    /// The configuration.
    pub(super) config: &'a Config,
    /// What is counted.
    pub(super) metrics: &'a Metrics,
    /// What listeners share.
    pub(super) shared: &'a Shared,
    /// The keystores, each opened once.
    pub(super) keystores: Keyring,
}

/// Runs services until a signal ends them.
///
/// # Errors
///
/// When a service cannot start, or ends by itself.
pub(crate) fn serve(config: Config, services: Services) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .trying(|| "start the runtime".to_owned())?;
    let outcome = runtime.block_on(run(config, services));
    runtime.shutdown_timeout(LAST_GRACE);
    outcome
}

/// Starts everything in order, waits, and stops it in the reverse order.
async fn run(config: Config, services: Services) -> Result<(), Failure> {
    let mut signals = StopSignals::catch()?;
    let metrics = Metrics::default();
    let shared = Shared {
        metrics: metrics.http.clone(),
        health: Health::new(),
        domain: config.trust_domain().clone(),
        clock: Arc::new(SystemClock),
    };
    say_unready(&shared.health, "the services are starting");
    let mut telemetry = start_telemetry(&config, &metrics, &shared)?;
    let _watchdog = Watchdog::start();
    let process = Process {
        config: &config,
        metrics: &metrics,
        shared: &shared,
        keystores: Keyring::default(),
    };

    let mut parts = Parts::default();
    let failure = tokio::select! {
        failure = parts.serve(&process, services, &mut telemetry) => Some(failure),
        () = signals.recv() => None,
    };
    tell(&[NotifyState::Stopping]);
    say_unready(&shared.health, "the services are stopping");
    let stopped = parts.stop().await;
    process.keystores.close().await;
    let outcome = telemetry.stop().await;
    info!("stopped");
    failure.map_or(Ok(()), Err).and(stopped).and(outcome)
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
    pub(super) async fn ended(&mut self) -> Failure {
        let cause: Cause = match (&mut self.task).await {
            Ok(Ok(())) => return Failure::new(format!("go on serving {}", self.service)),
            Ok(Err(cause)) => cause,
            Err(panic) => panic.into(),
        };
        Failure::because(format!("go on serving {}", self.service), cause)
    }

    /// Lets requests end, then closes it; does nothing once it has ended.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
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
    Ok(Running::spawn(
        "telemetry",
        move || handle.stop(),
        server.run(),
    ))
}
