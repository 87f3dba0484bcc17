//! Starting the CA service over its keystore and store, and stopping it.

use std::sync::Arc;
use std::time::Duration;

use ::store::{Certificates, RevocationStore};
use ca::{Ca, CaParts, CaService, Error};
use hsm_keystore::KeyStore;
use mesh::Shared;
use tracing::{error, info, warn};

use super::distribution::{self, Distribution};
use super::serve::{Metrics, Process, Running};
use crate::config::Config;
use crate::failure::{Failure, Trying};

/// How long a start waits before it tries again what may pass by itself.
const RETRY: Duration = Duration::from_secs(2);

/// The CA, from before its token is there until its store is closed.
pub(super) struct CaSide {
    /// Where everything is recorded.
    store: Arc<dyn RevocationStore>,
    /// Serves what is published.
    distribution: Option<Distribution>,
    /// The keys, once they are open.
    keystore: Option<Arc<dyn KeyStore>>,
    /// The CA API, once it is there.
    running: Option<Running>,
}

impl CaSide {
    /// Opens the store, and serves what was published before: without a token, if
    /// there ever was one, since relying parties wait for nobody.
    ///
    /// # Errors
    ///
    /// When the store cannot be opened or the listener not be had.
    pub(super) async fn open(process: &Process<'_>) -> Result<Self, Failure> {
        let store = open_store(process.config, process.metrics).await?;
        let parts = distribution::Parts {
            config: process.config,
            store: &store,
            shared: process.shared,
            metrics: &process.metrics.ca,
            ocsp_metrics: &process.metrics.ocsp,
        };
        let distribution = parts.start_kept().await?;
        Ok(Self {
            store,
            distribution,
            keystore: None,
            running: None,
        })
    }

    /// Opens the keystore and starts the CA over it. May be dropped at any time.
    ///
    /// # Errors
    ///
    /// When something stands in the way that does not pass by itself.
    pub(super) async fn start(&mut self, process: &Process<'_>) -> Result<(), Failure> {
        let name = process.config.issuing_keystore();
        let opened = process.keystores.open(process, name, "keystore").await?;
        let keystore = self.keystore.insert(opened);
        let running = start(
            process.config,
            keystore,
            &self.store,
            process.metrics,
            process.shared,
            &mut self.distribution,
        )
        .await?;
        self.running = Some(running);
        Ok(())
    }

    /// Waits for the end of a listener, which nobody asked for.
    pub(super) async fn ended(&mut self) -> Failure {
        match (&mut self.running, &mut self.distribution) {
            (Some(ca), Some(distribution)) => tokio::select! {
                failure = ca.ended() => failure,
                failure = distribution.running.ended() => failure,
            },
            _ => Failure::new("go on serving the CA API"),
        }
    }

    /// Lets requests end, closes the listeners, then store and keystore.
    ///
    /// # Errors
    ///
    /// When a listener did not end in order.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let mut outcome = Ok(());
        if let Some(mut running) = self.running {
            outcome = running.stop().await;
        }
        if let Some(mut distribution) = self.distribution {
            outcome = outcome.and(distribution.running.stop().await);
        }
        close(self.store, self.keystore).await;
        outcome
    }
}

/// Opens the CA and runs its API; waits while the token is away. Starts the
/// distribution listener first, if it is not there yet.
///
/// # Errors
///
/// When something stands in the way that does not pass by itself.
async fn start(
    config: &Config,
    keystore: &Arc<dyn KeyStore>,
    store: &Arc<dyn RevocationStore>,
    metrics: &Metrics,
    shared: &Shared,
    distribution: &mut Option<Distribution>,
) -> Result<Running, Failure> {
    let starting = Starting {
        config,
        keystore,
        store,
        metrics,
        shared,
    };
    let mut told = false;
    loop {
        match starting.open(distribution).await {
            Ok(service) => {
                let handle = service.handle();
                return Ok(Running::spawn(
                    "the CA API",
                    move || handle.stop(),
                    service.run(),
                ));
            }
            Err(error) if error.is_transient() => {
                let reason = Failure::because("start the CA", error).sentence();
                if !told {
                    warn!("{reason}; trying again until it works");
                    told = true;
                }
                shared.health.register("ca", move || Err(reason.clone()));
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                let advice = advice(&error);
                return Err(Failure::because("start the CA", error).next(advice));
            }
        }
    }
}

/// What a start has at hand.
struct Starting<'a> {
    /// The configuration.
    config: &'a Config,
    /// The keystore that signs.
    keystore: &'a Arc<dyn KeyStore>,
    /// Where everything is recorded.
    store: &'a Arc<dyn RevocationStore>,
    /// What is counted.
    metrics: &'a Metrics,
    /// What listeners share.
    shared: &'a Shared,
}

impl Starting<'_> {
    /// Opens the authorities, certifies the API's own key and binds the listeners.
    async fn open(&self, distribution: &mut Option<Distribution>) -> Result<CaService, Error> {
        let publication = match distribution {
            Some(distribution) => Arc::clone(&distribution.publication),
            None => {
                let parts = distribution::Parts {
                    config: self.config,
                    store: self.store,
                    shared: self.shared,
                    metrics: &self.metrics.ca,
                    ocsp_metrics: &self.metrics.ocsp,
                };
                let started = parts.start_from(self.keystore).await?;
                Arc::clone(&distribution.insert(started).publication)
            }
        };
        let ca = Ca::open(CaParts {
            config: self.config.ca.clone(),
            keystore: Arc::clone(self.keystore),
            store: Arc::clone(self.store),
            publication,
            clock: Arc::clone(&self.shared.clock),
            metrics: self.metrics.ca.clone(),
        })
        .await?;
        let stapling = self.metrics.stapling.clone();
        CaService::bind(ca, self.shared, self.config.tls_chain_file(), stapling).await
    }
}

/// Says what has to be done.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::NoCeremony { .. } => "run: chancery init",
        Error::Mesh(mesh::Error::Bind { .. }) => {
            "choose another port: [ca] listen or [ca.distribution] listen, or \
             CHANCERY__CA__LISTEN, CHANCERY__CA__DISTRIBUTION__LISTEN"
        }
        Error::Store(_) => {
            "keep the store's directory as it is; docs/storage.md tells what can be done"
        }
        Error::PublishedOther { .. } => "start the service again",
        _ => "chancery check tells what is wrong",
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
