//! Starting the CA service over its keystore and store.

use std::sync::Arc;
use std::time::Duration;

use ::store::CertificateStore;
use ca::{Ca, CaMetrics, CaParts, CaService, Error};
use hsm_keystore::KeyStore;
use mesh::Shared;
use tracing::warn;

use super::serve::Running;
use crate::config::Config;
use crate::failure::Failure;

/// How long a start waits before it tries again what may pass by itself.
const RETRY: Duration = Duration::from_secs(2);

/// Opens the CA and runs its API; waits while the token is away.
///
/// # Errors
///
/// When something stands in the way that does not pass by itself.
pub(super) async fn start(
    config: &Config,
    keystore: &Arc<dyn KeyStore>,
    store: &Arc<dyn CertificateStore>,
    metrics: &CaMetrics,
    shared: &Shared,
) -> Result<Running, Failure> {
    let mut told = false;
    loop {
        let parts = CaParts {
            config: config.ca.clone(),
            keystore: Arc::clone(keystore),
            store: Arc::clone(store),
            clock: Arc::clone(&shared.clock),
            metrics: metrics.clone(),
        };
        match open(parts, config, shared).await {
            Ok(service) => {
                return Ok(Running::spawn(
                    "the CA API",
                    service.handle(),
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

/// Opens the authorities, certifies the API's own key and binds the listener.
async fn open(parts: CaParts, config: &Config, shared: &Shared) -> Result<CaService, Error> {
    let ca = Ca::open(parts).await?;
    CaService::bind(ca, shared, config.tls_chain_file()).await
}

/// Says what has to be done.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::NoCeremony { .. } => "run: chancery init",
        Error::Mesh(mesh::Error::Bind { .. }) => {
            "choose another port: [ca] listen, or CHANCERY__CA__LISTEN"
        }
        Error::Store(_) => {
            "keep the store's directory as it is; docs/storage.md tells what can be done"
        }
        _ => "chancery check tells what is wrong",
    }
}
