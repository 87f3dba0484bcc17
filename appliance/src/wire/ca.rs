//! Starting the CA service over its keystore and store.

use std::sync::Arc;
use std::time::Duration;

use ::store::RevocationStore;
use ca::{Ca, CaParts, CaService, Error};
use hsm_keystore::KeyStore;
use mesh::Shared;
use tracing::warn;

use super::distribution::{self, Distribution};
use super::serve::{Metrics, Running};
use crate::config::Config;
use crate::failure::Failure;

/// How long a start waits before it tries again what may pass by itself.
const RETRY: Duration = Duration::from_secs(2);

/// Opens the CA and runs its API; waits while the token is away. Starts the
/// distribution listener first, if it is not there yet.
///
/// # Errors
///
/// When something stands in the way that does not pass by itself.
pub(super) async fn start(
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
