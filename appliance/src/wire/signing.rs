//! The signing service's own: its records, the keys that sign, and its listeners.

use std::sync::Arc;

use ::signing::keys::{KeyPlan, KeysError, SigningKeys};
use ::signing::log::{LogError, LogParts, TransparencyLog};
use ::signing::oidc::{self, ForgeLeaves, HttpsKeys, HttpsKeysError, Oidc, OidcMetrics, OidcParts};
use ::signing::webhooks::{
    self, HookMetrics, SignArtifact, Webhooks, WebhooksError, WebhooksParts,
};
use ::signing::{
    Announce, FollowedLists, OpenError, Signing, SigningMetrics, SigningParts, SigningService,
};
use ::store::signing::{
    SigningOptions, SigningRecords, SigningStore, SigningStoreError, SigningStoreMetrics,
};
use pki::certificate::{Certificate, CertificateError};
use prometheus_client::registry::Registry;
use tracing::info;

use super::member::{Bound, Joined, MemberSide, MeshService, StartError};
use super::serve::Process;
use crate::config::{Config, Member};
use crate::failure::{Failure, Trying};

/// What the signing service counts.
#[derive(Debug, Default)]
pub(super) struct SigningCounts {
    /// Of signatures, time-stamps and refusals.
    signing: SigningMetrics,
    /// Of webhooks, both ways.
    hooks: HookMetrics,
    /// Of builds that are enrolled for a forge's token.
    oidc: OidcMetrics,
    /// Of its store.
    store: SigningStoreMetrics,
}

impl SigningCounts {
    /// Gathers them for `/metrics`.
    pub(super) fn register(&self, registry: &mut Registry) {
        self.signing.register(registry);
        self.hooks.register(registry);
        self.oidc.register(registry);
        self.store.register(registry);
    }
}

/// The signing service, as it is started and stopped.
pub(super) type SigningSide = MemberSide<SigningOwn>;

/// What is the signing service's own.
pub(super) struct SigningOwn {
    /// Its records.
    store: Arc<dyn SigningStore>,
}

/// Why the service's own parts could not be had.
#[derive(Debug, thiserror::Error)]
enum SigningStartError {
    /// The keys that sign, and their certificates.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The transparency log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The records.
    #[error("the signing store did not do it")]
    Store(#[from] SigningStoreError),
    /// The service's parts.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The webhooks.
    #[error(transparent)]
    Webhooks(#[from] WebhooksError),
    /// The keys of forges.
    #[error("the keys of token issuers cannot be fetched")]
    IssuerKeys(#[from] HttpsKeysError),
    /// A certificate that everything leads to.
    #[error("an authority's certificate cannot be worked with")]
    Authority(#[from] CertificateError),
}

impl From<SigningStartError> for StartError {
    fn from(error: SigningStartError) -> Self {
        let passes = match &error {
            SigningStartError::Keys(error) => error.is_transient(),
            SigningStartError::Log(error) => error.is_transient(),
            SigningStartError::Store(error) => error.is_transient(),
            SigningStartError::Open(_)
            | SigningStartError::Webhooks(_)
            | SigningStartError::IssuerKeys(_)
            | SigningStartError::Authority(_) => false,
        };
        let advice = match &error {
            SigningStartError::Store(_) => {
                Some("keep the store's directory as it is; docs/storage.md tells what can be done")
            }
            SigningStartError::Keys(KeysError::Ca { .. }) => Some(
                "start the CA with `chancery serve`; if it refuses, its profile and the role \
                 service:signing must allow what [signing.keys] and [signing.timestamps] ask for",
            ),
            SigningStartError::Webhooks(_) | SigningStartError::IssuerKeys(_) => {
                Some("correct the section, or what it names; docs/configuration.md lists its keys")
            }
            SigningStartError::Keys(_)
            | SigningStartError::Log(_)
            | SigningStartError::Open(_)
            | SigningStartError::Authority(_) => None,
        };
        Self::Own {
            source: error.into(),
            passes,
            advice,
        }
    }
}

/// Opens the signing service's records.
///
/// # Errors
///
/// When the store cannot be opened.
pub(super) async fn open(process: &Process<'_>) -> Result<SigningSide, Failure> {
    let config = process.config.signing_store();
    let metrics = process.metrics.signing.store.clone();
    let directory = config.directory.clone();
    let tried = || format!("open the signing store in {}", directory.display());
    let opening = move || SigningRecords::open(&config, SigningOptions::default(), metrics);
    let opened = tokio::task::spawn_blocking(opening)
        .await
        .trying(tried)?
        .trying(tried)?;
    let recovered = opened.recovered();
    info!(
        store.frames_replayed = recovered.frames_replayed,
        store.torn_bytes = recovered.torn_bytes,
        "the signing store is open"
    );
    let store = Arc::new(opened);
    Ok(MemberSide::new(process, SigningOwn { store }))
}

impl MeshService for SigningOwn {
    const TITLE: &'static str = "the signing service";

    fn member(config: &Config) -> Member<'_> {
        config.signing_member()
    }

    async fn bind(&self, process: &Process<'_>, joined: &Joined) -> Result<Bound, StartError> {
        let Parts {
            signing,
            keys,
            webhooks,
            oidc,
        } = self.parts(process, joined).await?;
        // Operators find the queues on the listener with client certificates.
        let [mesh, open] = [true, false].map(|mesh| {
            let webhooks = webhooks.as_ref();
            webhooks.map(|webhooks| webhooks::http::routes(webhooks, mesh))
        });
        let enrolment = oidc.as_ref().map(oidc::routes);
        let service = SigningService::bind_with(
            &signing,
            process.shared,
            &joined.identity,
            &joined.clients,
            move |config| mesh.iter().for_each(|add| add(config)),
            move |config| {
                open.iter().for_each(|add| add(config));
                enrolment.iter().for_each(|add| add(config));
            },
        )?;
        if let Some(url) = service.external_url() {
            if let Some(webhooks) = &webhooks {
                webhooks.announce(url.as_str());
            }
            info!(url = %url, "artifacts are signed at {url}/v1/signatures");
        }
        let core = signing.for_webhooks();
        Ok(Bound {
            handles: service.handles(),
            serving: Box::pin(async move {
                tokio::select! {
                    outcome = service.run() => outcome,
                    () = keys.keep_current() => Ok(()),
                    Some(()) = work(webhooks, core) => Ok(()),
                    Some(()) = refresh(oidc) => Ok(()),
                }
            }),
        })
    }
}

/// What the service is made of.
struct Parts {
    /// The core: it signs.
    signing: Arc<Signing>,
    /// The keys, to be kept current.
    keys: Arc<SigningKeys>,
    /// What comes in by webhooks and what goes out, where there is any.
    webhooks: Option<Arc<Webhooks>>,
    /// Enrolment of builds for a forge's token, where there is any.
    oidc: Option<Arc<Oidc>>,
}

/// Keeps the keys of token issuers fresh; at once for none.
async fn refresh(oidc: Option<Arc<Oidc>>) -> Option<()> {
    oidc?.refresh().await;
    Some(())
}

/// Works on the queues of webhooks; at once for none.
async fn work(webhooks: Option<Arc<Webhooks>>, core: Arc<dyn SignArtifact>) -> Option<()> {
    let webhooks = webhooks?;
    webhooks.work(core).await;
    Some(())
}

impl SigningOwn {
    /// Has the keys, puts the parts together, and settles what was left unfinished.
    async fn parts(
        &self,
        process: &Process<'_>,
        joined: &Joined,
    ) -> Result<Parts, SigningStartError> {
        let config = process.config.signing.clone();
        let clock = Arc::clone(&process.shared.clock);
        let identity = process.config.signing_member().identity();
        let domain = process.config.trust_domain().clone();
        let plan = KeyPlan {
            keystore: Arc::clone(&joined.keystore),
            ca: Arc::clone(&joined.ca),
            clock: Arc::clone(&clock),
            identity: identity.clone(),
            domain: domain.clone(),
            directory: process.config.signing_chains(),
        };
        let keys = SigningKeys::obtain(&config, plan).await?;
        let authorities = joined
            .authorities
            .iter()
            .map(|certificate| Certificate::from_der(certificate))
            .collect::<Result<Vec<_>, _>>()?;
        let lists = FollowedLists {
            checker: Arc::clone(&joined.checker),
            clock: Arc::clone(&clock),
        };
        let webhooks = if config.hooks.is_empty() {
            None
        } else {
            Some(Webhooks::open(WebhooksParts {
                config: config.hooks.clone(),
                store: Arc::clone(&self.store),
                clock: Arc::clone(&clock),
                metrics: process.metrics.signing.hooks.clone(),
            })?)
        };
        let oidc = if config.oidc.is_empty() {
            None
        } else {
            Some(Oidc::new(OidcParts {
                config: config.oidc.clone(),
                ca: Arc::clone(&joined.ca),
                fetch: Arc::new(HttpsKeys::new(&config.hooks)?),
                clock: Arc::clone(&clock),
                metrics: process.metrics.signing.oidc.clone(),
            }))
        };
        let log = match config.log.clone() {
            Some(log) => Some(
                TransparencyLog::open(LogParts {
                    signing_timeout: config.limits.signing_timeout,
                    config: log,
                    keystore: Arc::clone(&joined.keystore),
                    store: Arc::clone(&self.store),
                    domain: domain.clone(),
                    clock: Arc::clone(&clock),
                })
                .await?,
            ),
            None => None,
        };
        let signing = Signing::open(SigningParts {
            config,
            store: Arc::clone(&self.store),
            keys: Arc::clone(&keys),
            authorities,
            crl: Some(Arc::new(lists)),
            identity,
            domain,
            clock,
            metrics: process.metrics.signing.signing.clone(),
            log,
            forge: Some(Arc::new(ForgeLeaves::new(
                Arc::clone(&joined.ca),
                Arc::clone(&process.shared.clock),
            ))),
            announce: webhooks
                .clone()
                .map(|webhooks| webhooks as Arc<dyn Announce>),
        })?;
        signing.settle().await?;
        Ok(Parts {
            signing,
            keys,
            webhooks,
            oidc,
        })
    }
}
