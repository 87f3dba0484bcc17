//! Webhooks: what forges tell us starts signatures, and what we sign is told to others.
//!
//! The way of one message through this module:
//!
//! 1. `http` takes it; `authenticate` knows its sender by `signature` or token.
//! 2. `rule` finds the configured rule that it starts; `plan` works out what is to be
//!    fetched. Nothing in a message chooses key, profile or host.
//! 3. `receive` makes the event durable and answers 202.
//! 4. `event` works on it: `fetch` gets artifact, SBOM and provenance from configured hosts
//!    and digests them on the way; the digest must be the one that was told beforehand;
//!    the signing core signs.
//! 5. `delivery` posts the results back by `report`, and tells targets of `notify`.
//!
//! Both queues are the store's: a process that ends anywhere leaves work that the next one
//! does, and the same work done twice changes nothing.

mod authenticate;
mod checksums;
mod config;
mod core;
mod delivery;
mod event;
mod fetch;
pub mod http;
mod metrics;
mod notify;

mod plan;
mod queue;
mod receive;
mod report;
mod rule;
mod secret;
mod sign;
mod signature;
#[cfg(test)]
pub(crate) mod tests;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use mesh::resolve::InvalidResolverConfig;
use model::Clock;
use model::signing::WebhookName;
use store::signing::SigningStore;
use tokio::sync::Notify;

use crate::outside::{self, Outside};
use authenticate::Gate;
use config::CheckedWebhook;
use fetch::Fetcher;
use notify::Target;
use report::Reporter;

pub use crate::outside::{TrustError, UrlProblem};
pub use authenticate::GateError;
pub use checksums::{NoChecksum, find as find_checksum};
pub use config::{
    ArtifactsConfig, CheckedHooks, ConditionConfig, DeliveryConfig, DigestSource, Evidence,
    FetchConfig, Happening, HooksConfig, HostConfig, InvalidHooks, NotifyConfig, ReportConfig,
    ReportKind, RuleConfig, Scalar, TokenHeader, WebhookConfig, WebhookKind,
};
pub use metrics::HookMetrics;
pub use notify::Announcement;
pub use receive::PreviewError;
pub use secret::{SecretError, SecretSource};
pub use sign::{SignArtifact, SignFailure, WantedSignature};
pub use signature::NoKey;

/// The webhooks of one signing service.
pub struct Webhooks {
    /// Those that come in.
    hooks: BTreeMap<WebhookName, Hook>,
    /// Those that go out.
    targets: BTreeMap<WebhookName, Target>,
    /// How results are posted, by webhook.
    reporter: Reporter,
    /// Fetches files.
    fetcher: Fetcher,
    /// Asks servers of others.
    outside: Arc<Outside>,
    /// Everything that was found sound.
    config: CheckedHooks,
    /// Both queues.
    store: Arc<dyn SigningStore>,
    /// The time.
    clock: Arc<dyn Clock>,
    /// What is counted.
    metrics: HookMetrics,
    /// Where clients see the service, once it is bound.
    url: OnceLock<Box<str>>,
    /// Tells that an event was queued.
    wake_events: Notify,
    /// Tells that a delivery was queued.
    wake_deliveries: Notify,
}

/// A webhook that comes in.
#[derive(Debug)]
pub(crate) struct Hook {
    /// Knows its sender.
    gate: Gate,
    /// Its rules and limits.
    config: CheckedWebhook,
}

/// What the webhooks are made of.
#[derive(Debug)]
pub struct WebhooksParts {
    /// The configuration.
    pub config: CheckedHooks,
    /// Both queues.
    pub store: Arc<dyn SigningStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: HookMetrics,
}

/// Why the webhooks cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhooksError {
    /// A webhook's secrets.
    #[error("the secrets of [signing.webhooks.{webhook}] cannot be had")]
    Gate {
        /// The webhook.
        webhook: WebhookName,
        /// Why not.
        source: GateError,
    },
    /// The secrets of a target or a report.
    #[error("the secrets of [signing.{place}] cannot be had")]
    Secret {
        /// The section.
        place: String,
        /// Why not.
        source: GateError,
    },
    /// A host's token.
    #[error("a token of [signing.fetch.hosts] cannot be had")]
    Token(#[source] SecretError),
    /// The certificates by which servers are trusted.
    #[error("the servers of [signing.{place}] cannot be trusted")]
    Trust {
        /// The section.
        place: String,
        /// Why not.
        source: TrustError,
    },
    /// The name servers.
    #[error("the resolver of [signing.fetch.dns] cannot be made")]
    Dns(#[from] InvalidResolverConfig),
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("hooks", &self.hooks.keys())
            .field("targets", &self.targets.keys())
            .finish_non_exhaustive()
    }
}

impl Webhooks {
    /// Reads secrets and certificates.
    ///
    /// # Errors
    ///
    /// The first that cannot be had, and why.
    pub fn open(parts: WebhooksParts) -> Result<Arc<Self>, WebhooksError> {
        let WebhooksParts {
            config,
            store,
            clock,
            metrics,
        } = parts;
        let hooks = config
            .webhooks
            .iter()
            .map(|(name, webhook)| {
                let gate = Gate::open(webhook).map_err(|source| WebhooksError::Gate {
                    webhook: name.clone(),
                    source,
                })?;
                let config = webhook.clone();
                Ok((name.clone(), Hook { gate, config }))
            })
            .collect::<Result<_, WebhooksError>>()?;
        let fetch = &config.fetch;
        let tls = outside::client_config(fetch.ca_file.as_deref()).map_err(|source| {
            WebhooksError::Trust {
                place: "fetch".to_owned(),
                source,
            }
        })?;
        let outside = Arc::new(Outside::new(fetch.dialler()?));
        let fetcher = Fetcher::open(Arc::clone(&outside), Arc::clone(&tls), fetch)
            .map_err(WebhooksError::Token)?;
        let targets = config
            .notify
            .iter()
            .map(|(name, notify)| Ok((name.clone(), Target::open(name, notify, &tls)?)))
            .collect::<Result<_, WebhooksError>>()?;
        let reporter = Reporter::open(&config, &tls)?;
        metrics.tell_ages_by(&clock);
        Ok(Arc::new(Self {
            hooks,
            targets,
            reporter,
            fetcher,
            outside,
            config,
            store,
            clock,
            metrics,
            url: OnceLock::new(),
            wake_events: Notify::new(),
            wake_deliveries: Notify::new(),
        }))
    }

    /// Says where clients see the service, `https://HOST:PORT` without a slash at its end:
    /// messages name what they tell of by it. Without it they name paths.
    pub fn announce(&self, url: &str) {
        // Whoever says it first is the listener with client certificates.
        let _ = self.url.set(url.trim_end_matches('/').into());
    }

    /// Looks at the queues now, not when the next is due: after deliveries were queued
    /// by another act, and after the clock was set.
    pub fn look(&self) {
        self.wake_events.notify_one();
        self.wake_deliveries.notify_one();
    }

    /// Works on both queues for as long as it is polled. Dropped anywhere, it leaves
    /// nothing undone that the next one does not do.
    pub async fn work(self: &Arc<Self>, sign: Arc<dyn SignArtifact>) {
        let events = Arc::new(event::Events {
            webhooks: Arc::clone(self),
            sign,
        });
        let deliveries = Arc::new(delivery::Deliveries {
            webhooks: Arc::clone(self),
        });
        tokio::join!(
            queue::work_on(events, Arc::clone(&self.clock), &self.wake_events),
            queue::work_on(deliveries, Arc::clone(&self.clock), &self.wake_deliveries),
        );
    }

    /// Returns the URL of a path as clients see it.
    fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url.get().map_or("", |url| url))
    }
}
