//! Starting the ACME service: its keys, its certificate from the CA over mutual
//! TLS, its records, and its listeners.

mod enrolment;
mod service;

use std::sync::Arc;
use std::time::Duration;

use ::acme::AcmeMetrics;
use ::acme::finalize::FinalizeMetrics;
use ::acme::validate::metrics::ValidationMetrics;
use ::store::StoreMetrics;
use ::store::acme::{AcmeRecords, AcmeStore, Retention};
use hsm_keystore::KeyStore;
use mesh::revocation::RevocationMetrics;
use prometheus_client::registry::Registry;
use tracing::{info, warn};

use self::service::{Opened, Starting};
use super::serve::{Process, Running, open_keystore};
use crate::failure::{Failure, Trying};

/// How long a start waits before it tries again what may pass by itself.
const RETRY: Duration = Duration::from_secs(2);

/// What the ACME service counts.
#[derive(Debug, Default)]
pub(super) struct AcmeCounts {
    /// Of the protocol.
    acme: AcmeMetrics,
    /// Of issuance.
    finalize: FinalizeMetrics,
    /// Of validation.
    validation: ValidationMetrics,
    /// Of the CRLs that tell which clients count.
    revocation: RevocationMetrics,
    /// Of its store.
    store: StoreMetrics,
}

impl AcmeCounts {
    /// Gathers them for `/metrics`.
    pub(super) fn register(&self, registry: &mut Registry) {
        self.acme.register(registry);
        self.finalize.register(registry);
        self.validation.register(registry);
        self.revocation.register(registry);
        self.store.register_as(registry, "chancery_acme_store");
    }
}

/// The ACME service, from before its listeners are there until its store is closed.
pub(super) struct AcmeSide {
    /// Its records.
    store: Arc<dyn AcmeStore>,
    /// Its keys, once they are open.
    keystore: Option<Arc<dyn KeyStore>>,
    /// Its listeners, once they are there.
    running: Option<Running>,
}

impl AcmeSide {
    /// Opens the records; `keystore` is that of the CA in the same process, where
    /// the same is configured.
    ///
    /// # Errors
    ///
    /// When the store cannot be opened.
    pub(super) async fn open(
        process: &Process<'_>,
        keystore: Option<Arc<dyn KeyStore>>,
    ) -> Result<Self, Failure> {
        process
            .shared
            .health
            .register("acme", || Err("the ACME service is starting".to_owned()));
        let config = process.config.acme_store();
        let metrics = process.metrics.acme.store.clone();
        let directory = config.directory.clone();
        let tried = || format!("open the ACME store in {}", directory.display());
        let opening = move || AcmeRecords::open(&config, metrics, Retention::default());
        let opened = tokio::task::spawn_blocking(opening)
            .await
            .trying(tried)?
            .trying(tried)?;
        let recovered = opened.recovered();
        info!(
            store.frames_replayed = recovered.frames_replayed,
            store.torn_bytes = recovered.torn_bytes,
            "the ACME store is open"
        );
        Ok(Self {
            store: Arc::new(opened),
            keystore,
            running: None,
        })
    }

    /// Brings the listeners up, however long token and CA are away; then waits for
    /// their end, which nobody asked for. May be dropped at any time.
    pub(super) async fn ended(&mut self, process: &Process<'_>) -> Failure {
        if self.running.is_none()
            && let Err(failure) = self.start(process).await
        {
            return failure;
        }
        match &mut self.running {
            Some(running) => running.ended().await,
            None => Failure::new("go on serving the ACME service"),
        }
    }

    /// Brings the listeners up, unless they are there.
    ///
    /// # Errors
    ///
    /// When something stands in the way that does not pass by itself.
    pub(super) async fn start(&mut self, process: &Process<'_>) -> Result<(), Failure> {
        if self.running.is_some() {
            return Ok(());
        }
        let keystore = match &self.keystore {
            Some(keystore) => Arc::clone(keystore),
            None => {
                let name = process.config.acme.service.keystore.as_deref();
                let opened = open_keystore(process, name, "acme-keystore").await?;
                Arc::clone(self.keystore.insert(opened))
            }
        };
        let starting = Starting {
            process,
            keystore: &keystore,
            store: &self.store,
        };
        let mut told = String::new();
        loop {
            match starting.open().await {
                Ok(opened) => {
                    self.running = Some(run(opened));
                    process.shared.health.register("acme", || Ok(()));
                    return Ok(());
                }
                Err(error) if error.is_transient() => {
                    let reason = error.into_failure(process.config).sentence();
                    if told != reason {
                        warn!("{reason}; trying again until it works");
                        told.clone_from(&reason);
                    }
                    process
                        .shared
                        .health
                        .register("acme", move || Err(reason.clone()));
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error.into_failure(process.config)),
            }
        }
    }

    /// Lets requests end, closes the listeners, then the records.
    ///
    /// # Errors
    ///
    /// When the listeners did not end in order.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let outcome = match self.running {
            Some(mut running) => running.stop().await,
            None => Ok(()),
        };
        let (store, keystore) = (self.store, self.keystore);
        // Each closes with its last handle, and the service's are gone by now.
        let closed = tokio::task::spawn_blocking(move || {
            drop(store);
            drop(keystore);
        });
        outcome.and(
            closed
                .await
                .trying(|| "close the ACME store in order".to_owned()),
        )
    }
}

/// Serves, keeping certificate, staple and CRLs current.
fn run(opened: Opened) -> Running {
    let Opened {
        service,
        enrolment,
        enrolled,
        identity,
        stapler,
        checker,
        source,
    } = opened;
    let handles = service.handles();
    let stop = move || handles.iter().for_each(mesh::ServerHandle::stop);
    Running::spawn("the ACME service", stop, async move {
        tokio::select! {
            outcome = service.run() => outcome,
            () = enrolment.keep_current(identity, enrolled) => Ok(()),
            () = stapler.run() => Ok(()),
            () = checker.follow(source) => Ok(()),
        }
    })
}
