//! Starting the services, watching over them, and stopping them in order.
//!
//! Telemetry comes first and goes last, so that `/readyz` can tell what the
//! rest waits for. A token that is away at the start is waited for; what only a
//! person can mend ends the process at once, with advice.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::store::StoreMetrics;
use hsm_keystore::pkcs11::AskPin;
use hsm_keystore::{KeyStore, KeyStoreMetrics, Modules};
use mesh::stapling::StaplingMetrics;
use mesh::{Health, HttpMetrics, ListenerConfig, ListenerLimits, Security, Server, Shared};
use prometheus_client::registry::Registry;
use sd_notify::NotifyState;
use secrecy::SecretString;
use tokio::runtime;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::acme::{AcmeCounts, AcmeSide};
use super::ca::CaSide;
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
    pub(super) store: StoreMetrics,
    /// Of the CA.
    pub(super) ca: ca::CaMetrics,
    /// Of the OCSP responder.
    pub(super) ocsp: ca::OcspMetrics,
    /// Of OCSP stapling.
    pub(super) stapling: StaplingMetrics,
    /// Of the ACME service.
    pub(super) acme: AcmeCounts,
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
        self.acme.register(&mut registry);
        registry
    }
}

/// Which services a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Services {
    /// Every one.
    All,
    /// The CA alone.
    Ca,
    /// The ACME service alone; its CA runs elsewhere.
    Acme,
}

/// What every service of a process is started with.
pub(super) struct Process<'a> {
    /// The configuration.
    pub(super) config: &'a Config,
    /// What is counted.
    pub(super) metrics: &'a Metrics,
    /// What listeners share.
    pub(super) shared: &'a Shared,
    /// PKCS#11 modules, each loaded once.
    pub(super) modules: Modules,
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
    shared
        .health
        .register(SERVICES, || Err("the services are starting".to_owned()));
    let mut telemetry = start_telemetry(&config, &metrics, &shared)?;
    let _watchdog = Watchdog::start();
    let process = Process {
        config: &config,
        metrics: &metrics,
        shared: &shared,
        modules: Modules::default(),
    };

    let mut parts = Parts::default();
    let failure = tokio::select! {
        failure = parts.serve(&process, services, &mut telemetry) => Some(failure),
        () = signals.recv() => None,
    };
    tell(&[NotifyState::Stopping]);
    shared
        .health
        .register(SERVICES, || Err("the services are stopping".to_owned()));
    let stopped = parts.stop().await;
    let outcome = telemetry.stop().await;
    info!("stopped");
    failure.map_or(Ok(()), Err).and(stopped).and(outcome)
}

/// The readiness check of the start and the end.
const SERVICES: &str = "services";

/// The services of a process.
#[derive(Default)]
struct Parts {
    /// The CA.
    ca: Option<CaSide>,
    /// The ACME service.
    acme: Option<AcmeSide>,
}

impl Parts {
    /// Starts the services in order and waits until one cannot go on. May be
    /// dropped at any time.
    async fn serve(
        &mut self,
        process: &Process<'_>,
        services: Services,
        telemetry: &mut Running,
    ) -> Failure {
        if let Err(failure) = self.start(process, services).await {
            return failure;
        }
        process.shared.health.register(SERVICES, || Ok(()));
        tell(&[NotifyState::Ready]);
        info!(
            version = env!("CARGO_PKG_VERSION"),
            "chancery {} serves",
            env!("CARGO_PKG_VERSION")
        );
        let Self { ca, acme } = self;
        tokio::select! {
            Some(failure) = ended(ca.as_mut().map(CaSide::ended)) => failure,
            Some(failure) = ended(acme.as_mut().map(|acme| acme.ended(process))) => failure,
            failure = telemetry.ended() => failure,
            else => Failure::new("serve: nothing runs"),
        }
    }

    /// Starts the services.
    ///
    /// Beside its CA the ACME service is not waited for, so that the CA counts as
    /// started even while nobody has enrolled the other.
    async fn start(&mut self, process: &Process<'_>, services: Services) -> Result<(), Failure> {
        let mut keystore = None;
        if services != Services::Acme {
            let ca = self.ca.insert(CaSide::open(process).await?);
            let opened = ca.start(process).await?;
            let name = process.config.acme.service.keystore.as_deref();
            keystore = (name == process.config.signing_keystore()).then_some(opened);
        }
        if services != Services::Ca {
            let acme = self.acme.insert(AcmeSide::open(process, keystore).await?);
            if services == Services::Acme {
                acme.start(process).await?;
            }
        }
        Ok(())
    }

    /// Stops them in the reverse order: the ACME service finishes with the CA there.
    async fn stop(self) -> Result<(), Failure> {
        let acme = match self.acme {
            Some(acme) => acme.stop().await,
            None => Ok(()),
        };
        let ca = match self.ca {
            Some(ca) => ca.stop().await,
            None => Ok(()),
        };
        acme.and(ca)
    }
}

/// Waits for a service's end; at once for one that is not there.
async fn ended(service: Option<impl Future<Output = Failure>>) -> Option<Failure> {
    match service {
        Some(ended) => Some(ended.await),
        None => None,
    }
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

/// Opens the keystore called `name`, or the one of `[keystore]`; waits for a token
/// that is away, and says so on `/readyz` under `check`.
///
/// # Errors
///
/// When something stands in the way that does not pass by itself.
pub(super) async fn open_keystore(
    process: &Process<'_>,
    name: Option<&str>,
    check: &str,
) -> Result<Arc<dyn KeyStore>, Failure> {
    let health = &process.shared.health;
    let prompt = Arc::new(AskOnce::default());
    let mut told = false;
    loop {
        let configured = process.config.keystore(name)?.clone();
        let (modules, prompt, metrics) = (
            process.modules.clone(),
            Arc::clone(&prompt),
            process.metrics.keystore.clone(),
        );
        let attempt = tokio::task::spawn_blocking(move || {
            let outcome = configured.open(&modules, prompt.as_ref(), metrics);
            (configured, outcome)
        });
        let (configured, outcome) = attempt.await.trying(|| "open the keystore".to_owned())?;
        match outcome {
            Ok(keystore) => {
                let watched = Arc::clone(&keystore);
                health.register(check, move || {
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
                health.register(check, move || Err(reason.clone()));
                tokio::time::sleep(TOKEN_RETRY).await;
            }
            Err(error) => return Err(keystore_failure(name, &configured, error)),
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
