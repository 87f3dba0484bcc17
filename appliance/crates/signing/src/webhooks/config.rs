//! `[signing.webhooks.NAME]`, `[signing.fetch]`, `[signing.notify.NAME]` and
//! `[signing.delivery]`: who may start what, what is fetched from where, and whom we tell.

mod bounds;
mod error;
mod fetch;
mod notify;
mod rule;
use std::collections::BTreeMap;

use ipnet::IpNet;
use model::Identity;
use model::signing::{SigningProfileName, WebhookName};
use serde::{Deserialize, Serialize};

use super::secret::SecretSource;
use bounds::{Place, bounded};

pub use error::InvalidHooks;
pub(crate) use fetch::CheckedFetch;
pub use fetch::{FetchConfig, HostConfig, TokenHeader};
pub(crate) use notify::{CheckedDelivery, CheckedNotify};
pub use notify::{DeliveryConfig, Happening, NotifyConfig};
pub(crate) use rule::{ArtifactRule, CheckedReport, CheckedRule, Condition, Demand};
pub use rule::{
    ArtifactsConfig, ConditionConfig, DigestSource, Evidence, ReportConfig, ReportKind, RuleConfig,
    Scalar,
};

/// Names that are no webhook's: operators find something else there.
const RESERVED: [&str; 2] = ["events", "deliveries"];

/// How a webhook's sender proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookKind {
    /// GitHub, and what signs as it does: `X-Hub-Signature-256`.
    Github,
    /// GitLab: `X-Gitlab-Token`.
    Gitlab,
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[default]
    Generic,
}

impl WebhookKind {
    /// Returns the kind as the configuration has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Generic => "generic",
        }
    }
}

/// `[signing.webhooks.NAME]`, as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// How the sender proves itself: `github`, `gitlab` or `generic`.
    pub kind: WebhookKind,
    /// Where the secret is: `file:PATH`, `env:NAME`, `credential:NAME`. Two while one
    /// takes the other's place.
    pub secrets: Vec<SecretSource>,
    /// Blocks of addresses that it may come from; none listed lets it come from anywhere.
    pub addresses: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-For` tells the sender's address.
    pub trusted_proxies: Vec<IpNet>,
    /// Client identities that it must come with, on the listener with client
    /// certificates: `signer/gitlab`. None listed asks for none.
    pub clients: Vec<String>,
    /// Most octets of a message.
    pub max_body_bytes: usize,
    /// What it may start: rules by their names, the first that fits in their order.
    pub rules: BTreeMap<String, RuleConfig>,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            kind: WebhookKind::default(),
            secrets: Vec::new(),
            addresses: Vec::new(),
            trusted_proxies: Vec::new(),
            clients: Vec::new(),
            max_body_bytes: 2 * 1024 * 1024,
            rules: BTreeMap::new(),
        }
    }
}

/// The sections of webhooks, as written.
#[derive(Debug, Clone, Copy)]
pub struct HooksConfig<'a> {
    /// `[signing.webhooks.NAME]`.
    pub webhooks: &'a BTreeMap<String, WebhookConfig>,
    /// `[signing.fetch]`.
    pub fetch: &'a FetchConfig,
    /// `[signing.notify.NAME]`.
    pub notify: &'a BTreeMap<String, NotifyConfig>,
    /// `[signing.delivery]`.
    pub delivery: &'a DeliveryConfig,
}

/// A webhook, found sound.
#[derive(Debug, Clone)]
pub(crate) struct CheckedWebhook {
    /// How the sender proves itself.
    pub(crate) kind: WebhookKind,
    /// Where the secrets are.
    pub(crate) secrets: Vec<SecretSource>,
    /// Blocks that it may come from.
    pub(crate) addresses: Vec<IpNet>,
    /// Proxies that tell the sender's address.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Identities that it must come with.
    pub(crate) clients: Vec<Identity>,
    /// Most octets of a message.
    pub(crate) max_body_bytes: usize,
    /// What it may start, in the order of their names.
    pub(crate) rules: Vec<CheckedRule>,
}

/// Everything about webhooks, found sound.
#[derive(Debug, Clone)]
pub struct CheckedHooks {
    /// Those that come in.
    pub(crate) webhooks: BTreeMap<WebhookName, CheckedWebhook>,
    /// How artifacts are fetched.
    pub(crate) fetch: CheckedFetch,
    /// Those that go out.
    pub(crate) notify: BTreeMap<WebhookName, CheckedNotify>,
    /// How they are delivered.
    pub(crate) delivery: CheckedDelivery,
}

impl CheckedHooks {
    /// Tells whether nothing comes in and nothing goes out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.webhooks.is_empty() && self.notify.is_empty()
    }
}

impl HooksConfig<'_> {
    /// Checks everything that can be checked without secrets, files and network;
    /// `is_profile` tells whether a signing profile is configured.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(
        &self,
        is_profile: &dyn Fn(&SigningProfileName) -> bool,
    ) -> Result<CheckedHooks, InvalidHooks> {
        let fetch = self.fetch.check()?;
        let mut webhooks = BTreeMap::new();
        for (name, config) in self.webhooks {
            let place = Place::new(format!("webhooks.{name}"));
            if RESERVED.contains(&name.as_str()) {
                return Err(InvalidHooks::Reserved { name: name.clone() });
            }
            let name = WebhookName::new(name).map_err(|source| place.name(source))?;
            let checked = config.check(&place, &fetch, is_profile)?;
            webhooks.insert(name, checked);
        }
        let mut notify = BTreeMap::new();
        for (name, config) in self.notify {
            let place = Place::new(format!("notify.{name}"));
            let name = WebhookName::new(name).map_err(|source| place.name(source))?;
            if webhooks.contains_key(&name) {
                // Deliveries are listed, counted and held back by these names.
                return Err(InvalidHooks::SameName { name });
            }
            let checked = config.check(&place)?;
            notify.insert(name, checked);
        }
        Ok(CheckedHooks {
            webhooks,
            fetch,
            notify,
            delivery: self.delivery.check()?,
        })
    }
}

impl WebhookConfig {
    /// Checks one webhook.
    fn check(
        &self,
        place: &Place,
        fetch: &CheckedFetch,
        is_profile: &dyn Fn(&SigningProfileName) -> bool,
    ) -> Result<CheckedWebhook, InvalidHooks> {
        if !(1..=2).contains(&self.secrets.len()) {
            return Err(place.rule(
                "secrets",
                "must name one secret, or two while one takes the other's place",
            ));
        }
        let clients: Vec<Identity> = self
            .clients
            .iter()
            .map(|given| {
                given
                    .parse()
                    .map_err(|_| place.given("clients", given, "is no identity; write ROLE/NAME"))
            })
            .collect::<Result<_, _>>()?;
        if self.kind == WebhookKind::Gitlab && self.addresses.is_empty() && clients.is_empty() {
            // The token travels with each message and does not sign it.
            return Err(place.rule(
                "addresses",
                "or `clients` must say where GitLab's messages come from: its token alone signs \
                 nothing",
            ));
        }
        if self.rules.is_empty() {
            return Err(place.rule(
                "rules",
                "must hold a rule: without one the webhook starts nothing",
            ));
        }
        let rules = self
            .rules
            .iter()
            .map(|(name, rule)| rule.check(place, name, self.kind, fetch, is_profile))
            .collect::<Result<_, _>>()?;
        Ok(CheckedWebhook {
            kind: self.kind,
            secrets: self.secrets.clone(),
            addresses: self.addresses.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            clients,
            max_body_bytes: bounded(
                place,
                "max_body_bytes",
                self.max_body_bytes,
                1024..=32 * 1024 * 1024,
                "must be between 1 KiB and 32 MiB",
            )?,
            rules,
        })
    }
}
