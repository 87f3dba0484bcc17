//! The root's CRL, issued here: its key is seldom where the service is.

use std::sync::Arc;

use ::store::{Certificates, Error as StoreError, RevocationStore, StoreMetrics};
use ca::{AuthorityCertificates, OcspMetrics, RootCrl};
use mesh::wire::{CrlList, CrlSummary};
use model::Clock;
use tokio::runtime;

use crate::cli::operator::Operator;
use crate::cli::prompt::Terminal;
use crate::config::Config;
use crate::failure::{Failure, Trying};
use crate::telemetry::SystemClock;
use crate::wire::{Keystores, publication};

/// Issues the root's CRL: by the service, where it runs and has the root's key;
/// else here, over the store of a service that is stopped.
///
/// # Errors
///
/// When the service runs and has no root key, the root's keystore is not there,
/// or the CRL cannot be signed or kept.
pub(super) fn issue(config: &Config) -> Result<CrlList, Failure> {
    let configured = config.ca_store();
    match Certificates::open(&configured, StoreMetrics::default()) {
        Ok(store) => {
            let runtime = runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .trying(|| "start a runtime".to_owned())?;
            let crl = runtime.block_on(issue_here(config, Arc::new(store)))?;
            Ok(CrlList { crls: vec![crl] })
        }
        Err(StoreError::Locked { .. }) => issue_by_service(config),
        Err(error) => Err(Failure::because(
            format!("open the store in {}", configured.directory.display()),
            error,
        )),
    }
}

/// Has the service issue every CRL, and finds the root's among them.
fn issue_by_service(config: &Config) -> Result<CrlList, Failure> {
    let root = config.ca.root_authority();
    let mut issued = Operator::connect(config)?.issue_crls()?;
    issued.crls.retain(|crl| crl.issuer == *root);
    let now = SystemClock.now();
    let fresh = std::time::Duration::from_secs(120);
    let is_new = |crl: &CrlSummary| {
        now.duration_since(crl.this_update)
            .unsigned_abs()
            .le(&fresh)
    };
    if issued.crls.iter().any(is_new) {
        return Ok(issued);
    }
    Err(Failure::new(format!(
        "issue the CRL of {root}: the service has no key of it"
    ))
    .next("stop the service, connect the root's token, run this again, and start the service"))
}

/// Issues it with the root's key over the store.
async fn issue_here(
    config: &Config,
    store: Arc<dyn RevocationStore>,
) -> Result<CrlSummary, Failure> {
    let tried = || format!("issue the CRL of {}", config.ca.root_authority());
    let keystores = Keystores::new(config, &Terminal);
    let signing = keystores.open(config.issuing_keystore())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let certificates = AuthorityCertificates::read(&config.ca, signing.as_ref()).trying(tried)?;
    let publication = publication(config, &store, &clock, certificates, OcspMetrics::default())
        .await
        .trying(tried)?;
    RootCrl {
        config: config.ca.clone(),
        publication,
        store,
        keystore: keystores.open(config.root_keystore())?,
        clock,
    }
    .issue()
    .await
    .trying(tried)
}
