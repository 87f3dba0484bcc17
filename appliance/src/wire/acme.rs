//! The ACME service's own: its records, the protocol's parts, and its listeners.

use std::sync::Arc;

use ::acme::caa::CaaChecker;
use ::acme::finalize::{FinalizeMetrics, FinalizeSettings, Finalizer};
use ::acme::policy::RateLimits;
use ::acme::validate::metrics::ValidationMetrics;
use ::acme::validate::scheduler::{Parts, Scheduler};
use ::acme::{Acme, AcmeMetrics, AcmeParts, AcmeService, OpenError};
use ::store::StoreMetrics;
use ::store::acme::{AcmeError, AcmeRecords, AcmeStore, Retention};
use mesh::CaClient;
use prometheus_client::registry::Registry;
use tracing::info;

use super::member::{Bound, Joined, MemberSide, MeshService, StartError};
use super::serve::Process;
use crate::config::{Config, Member};
use crate::failure::{Cause, Failure, Trying};

/// What the ACME service counts.
#[derive(Debug, Default)]
pub(super) struct AcmeCounts {
    /// Of the protocol.
    acme: AcmeMetrics,
    /// Of issuance.
    finalize: FinalizeMetrics,
    /// Of validation.
    validation: ValidationMetrics,
    /// Of its store.
    store: StoreMetrics,
}

impl AcmeCounts {
    /// Gathers them for `/metrics`.
    pub(super) fn register(&self, registry: &mut Registry) {
        self.acme.register(registry);
        self.finalize.register(registry);
        self.validation.register(registry);
        self.store.register_as(registry, "chancery_acme_store");
    }
}

/// The ACME service, as it is started and stopped.
pub(super) type AcmeSide = MemberSide<AcmeOwn>;

/// What is the ACME service's own.
pub(super) struct AcmeOwn {
    /// Its records.
    store: Arc<dyn AcmeStore>,
}

/// Why the service's own parts could not be had.
#[derive(Debug, thiserror::Error)]
enum AcmeStartError {
    /// The records.
    #[error("the ACME store did not do it")]
    Store(#[from] AcmeError),
    /// The service's parts.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A part that cannot work as configured.
    #[error("{part} cannot be set up")]
    Part {
        /// Which.
        part: &'static str,
        /// Why.
        source: Cause,
    },
}

impl From<AcmeStartError> for StartError {
    fn from(error: AcmeStartError) -> Self {
        let passes = match &error {
            AcmeStartError::Store(AcmeError::Store(error)) => error.is_transient(),
            AcmeStartError::Store(_) | AcmeStartError::Open(_) => false,
            // The system's name servers may not be known yet.
            AcmeStartError::Part { .. } => true,
        };
        let advice = matches!(error, AcmeStartError::Store(_)).then_some(
            "keep the store's directory as it is; docs/storage.md tells what can be done",
        );
        Self::Own {
            source: error.into(),
            passes,
            advice,
        }
    }
}

/// Opens the ACME service's records.
///
/// # Errors
///
/// When the store cannot be opened.
pub(super) async fn open(process: &Process<'_>) -> Result<AcmeSide, Failure> {
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
    let store = Arc::new(opened);
    Ok(MemberSide::new(process, AcmeOwn { store }))
}

impl MeshService for AcmeOwn {
    const TITLE: &'static str = "the ACME service";

    fn member(config: &Config) -> Member<'_> {
        config.acme_member()
    }

    async fn bind(&self, process: &Process<'_>, joined: &Joined) -> Result<Bound, StartError> {
        let acme = self.protocol(process, Arc::clone(&joined.ca)).await?;
        let service = AcmeService::bind(&acme, process.shared, &joined.identity, &joined.clients)?;
        for url in service.external_urls() {
            info!(url = %url, "ACME clients find the directory at {url}/directory");
        }
        Ok(Bound {
            handles: service.handles(),
            serving: Box::pin(service.run()),
        })
    }
}

impl AcmeOwn {
    /// Puts the protocol's parts together and takes up what was left unfinished.
    async fn protocol(
        &self,
        process: &Process<'_>,
        ca: Arc<dyn CaClient>,
    ) -> Result<Arc<Acme>, AcmeStartError> {
        let config = process.config.acme.clone();
        let clock = Arc::clone(&process.shared.clock);
        let counts = &process.metrics.acme;
        let limits = Arc::new(RateLimits::new(config.rate_limits.clone()));
        let resolver = config
            .validation
            .resolver()
            .map_err(|error| AcmeStartError::Part {
                part: "the resolver of [acme.validation.dns]",
                source: error.into(),
            })?;
        let caa = config
            .caa
            .enabled
            .then(|| CaaChecker::new(Arc::clone(&resolver), config.caa.clone()));
        let validator = config
            .validation
            .validator(resolver, caa.clone())
            .map_err(|error| AcmeStartError::Part {
                part: "the validator",
                source: error.into(),
            })?;
        let prefix = config
            .canonical_url()
            .map_or_else(String::new, |url| format!("{url}/acme/account/"));
        let scheduler = Scheduler::start(Parts {
            validator: Arc::new(validator),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&clock),
            limits: config.validation.limits().clone(),
            account_url_prefix: prefix.into(),
            authorization_lifetime: config.authorization_lifetime.unsigned_abs(),
            metrics: counts.validation.clone(),
            on_failure: Some(Arc::clone(&limits) as _),
        });
        scheduler.resume().await?;
        let finalizer = Finalizer::start(
            Arc::clone(&self.store),
            Arc::clone(&ca),
            Arc::clone(&clock),
            &FinalizeSettings {
                profiles: config.ca_profiles(),
                ..FinalizeSettings::default()
            },
            counts.finalize.clone(),
        );
        finalizer.resume().await?;
        Ok(Acme::open(AcmeParts {
            policy: Arc::new(config.policy.clone()),
            config,
            store: Arc::clone(&self.store),
            ca,
            scheduler,
            finalizer,
            caa,
            limits,
            clock,
            metrics: counts.acme.clone(),
        })?)
    }
}
