//! The root's CRL, by command: its key is seldom where the service is.

use std::sync::Arc;

use hsm_keystore::KeyStore;
use mesh::wire::CrlSummary;
use model::Clock;
use store::RevocationStore;

use super::{Cause, CrlKind, Publisher, PublisherParts};
use crate::authority::root_signer;
use crate::clock::ClockGuard;
use crate::config::CheckedCaConfig;
use crate::error::Error;
use crate::issue::newest_act;
use crate::metrics::CaMetrics;
use crate::publication::Publication;

/// What the root's CRL is issued with.
#[derive(Debug)]
pub struct RootCrl {
    /// The configuration.
    pub config: CheckedCaConfig,
    /// What is published; opened over the same store.
    pub publication: Arc<Publication>,
    /// Where CRLs are recorded. It is open in one process at a time: where the
    /// service runs, the service issues the CRL (`POST /crl`), or is stopped.
    pub store: Arc<dyn RevocationStore>,
    /// The root's keystore.
    pub keystore: Arc<dyn KeyStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl RootCrl {
    /// Issues the root's CRL and keeps it where it is served from.
    ///
    /// # Errors
    ///
    /// `KeyStore` when the root's key is not there, `Crl` when the CRL was not
    /// issued.
    pub async fn issue(self) -> Result<CrlSummary, Error> {
        let Self {
            config,
            publication,
            store,
            keystore,
            clock,
        } = self;
        let root_id = config.ceremony.root.id.clone();
        let finding = {
            let (config, root) = (config.clone(), publication.certificates.root.clone());
            move || root_signer(&config, &root, keystore.as_ref())
        };
        let root = tokio::task::spawn_blocking(finding).await??;
        let clock_guard = Arc::new(ClockGuard::new(
            newest_act(store.as_ref()).await?,
            config.clock_tolerance,
            config.max_clock_jump,
        ));
        let publisher = Publisher::new(PublisherParts {
            issuer: root.id,
            root: true,
            facts: Arc::new(root.facts),
            since: root.certificate.not_before(),
            key: root.key,
            scheme: root.scheme,
            publication: Arc::clone(&publication),
            store,
            clock,
            clock_guard,
            config: config.crl,
            node: config.node,
            sign_timeout: config.sign_timeout,
            metrics: CaMetrics::default(),
        });
        let not_issued = |source| Error::Crl {
            authority: root_id.clone(),
            source: Box::new(source),
        };
        publisher
            .publish(&publisher.kinds(), Cause::Due)
            .await
            .map_err(not_issued)?;
        publication
            .crl_list()
            .crls
            .into_iter()
            .find(|crl| crl.issuer == root_id)
            // Just put there.
            .ok_or_else(|| not_issued(super::CrlError::Time))
    }
}

impl Publication {
    /// Tells whether the root's CRL is there and counts.
    #[must_use]
    pub fn has_root_crl(&self) -> bool {
        self.board
            .get(&self.root_id, CrlKind::Whole)
            .is_some_and(|crl| crl.next_update > self.clock.now())
    }
}
