//! Starting the distribution listener: before the token is there, if it once was.

use std::sync::Arc;

use ::store::RevocationStore;
use ca::{
    AuthorityCertificates, CaMetrics, DistributionService, OcspMetrics, Publication,
    PublicationParts,
};
use hsm_keystore::KeyStore;
use mesh::Shared;
use model::Clock;
use tracing::{info, warn};

use super::serve::Running;
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};

/// What is published, and who serves it.
pub(super) struct Distribution {
    /// What is published.
    pub(super) publication: Arc<Publication>,
    /// The listener.
    pub(super) running: Running,
}

/// What a distribution is started with.
pub(super) struct Parts<'a> {
    /// The configuration.
    pub(super) config: &'a Config,
    /// Where revocations and CRLs are recorded.
    pub(super) store: &'a Arc<dyn RevocationStore>,
    /// What listeners share.
    pub(super) shared: &'a Shared,
    /// What the CA counts.
    pub(super) metrics: &'a CaMetrics,
    /// What the OCSP responder counts.
    pub(super) ocsp_metrics: &'a OcspMetrics,
}

impl Parts<'_> {
    /// Starts it with the certificates that an earlier start kept; none if there
    /// are none: then the token is needed first.
    ///
    /// # Errors
    ///
    /// When the address cannot be had or the state cannot be read.
    pub(super) async fn start_kept(&self) -> Result<Option<Distribution>, Failure> {
        let directory = self.config.published();
        let ca = self.config.ca.clone();
        let kept =
            tokio::task::spawn_blocking(move || AuthorityCertificates::kept(&ca, &directory))
                .await
                .trying(|| "read what is published".to_owned())?;
        match kept {
            Ok(None) => Ok(None),
            Ok(Some(certificates)) => {
                let started = self.start(certificates).await?;
                info!("serving what is published, while the token is looked for");
                Ok(Some(started))
            }
            // The token's certificates count; these are replaced once it is there.
            Err(error) => {
                let reason = Failure::because("read the kept certificates", error).sentence();
                warn!("{reason}; waiting for the token");
                Ok(None)
            }
        }
    }

    /// Starts it with the certificates on the token.
    ///
    /// # Errors
    ///
    /// When there are none, the address cannot be had, or the state cannot be read.
    pub(super) async fn start_from(
        &self,
        keystore: &Arc<dyn KeyStore>,
    ) -> Result<Distribution, ca::Error> {
        let (ca, keystore) = (self.config.ca.clone(), Arc::clone(keystore));
        let read = move || AuthorityCertificates::read(&ca, keystore.as_ref());
        let certificates = tokio::task::spawn_blocking(read).await??;
        self.open(certificates).await
    }

    /// Starts it, telling what stopped it to people.
    async fn start(&self, certificates: AuthorityCertificates) -> Result<Distribution, Failure> {
        self.open(certificates)
            .await
            .trying(|| "start the distribution listener".to_owned())
            .advise(|| {
                "choose another port: [ca.distribution] listen, or \
                 CHANCERY__CA__DISTRIBUTION__LISTEN"
                    .to_owned()
            })
    }

    /// Opens what is published and serves it.
    async fn open(&self, certificates: AuthorityCertificates) -> Result<Distribution, ca::Error> {
        let publication = publication(
            self.config,
            self.store,
            &self.shared.clock,
            certificates,
            self.ocsp_metrics.clone(),
        )
        .await?;
        let service = DistributionService::bind(
            &self.config.ca,
            Arc::clone(&publication),
            self.shared,
            self.metrics.clone(),
        )?;
        let handle = service.handle();
        Ok(Distribution {
            publication,
            running: Running::spawn("distribution", move || handle.stop(), service.run()),
        })
    }
}

/// Opens what is published.
///
/// # Errors
///
/// When the store or the directory cannot be read.
pub(crate) async fn publication(
    config: &Config,
    store: &Arc<dyn RevocationStore>,
    clock: &Arc<dyn Clock>,
    certificates: AuthorityCertificates,
    ocsp_metrics: OcspMetrics,
) -> Result<Arc<Publication>, ca::Error> {
    Publication::open(PublicationParts {
        config: config.ca.clone(),
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        directory: config.published(),
        certificates,
        ocsp_metrics,
    })
    .await
}
