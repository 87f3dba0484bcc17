//! `[signing.notify.NAME]` and `[signing.delivery]`: whom we tell, and for how long we try.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use url::Url;

use super::InvalidHooks;
use super::bounds::{Place, bounded, https_url, time};
use crate::webhooks::secret::SecretSource;

/// What a target may be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Happening {
    /// A signature was made.
    #[serde(rename = "signature.created")]
    SignatureCreated,
    /// A signature was withdrawn.
    #[serde(rename = "signature.withdrawn")]
    SignatureWithdrawn,
    /// What a webhook started has failed for good.
    #[serde(rename = "event.failed")]
    EventFailed,
}

impl Happening {
    /// Returns it as messages name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignatureCreated => "signature.created",
            Self::SignatureWithdrawn => "signature.withdrawn",
            Self::EventFailed => "event.failed",
        }
    }
}

/// `[signing.notify.NAME]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// Where messages are posted, `https`.
    pub url: String,
    /// Where the secret is that they are signed with: `file:PATH`, `env:NAME`,
    /// `credential:NAME`. With two, each message carries two signatures.
    pub secrets: Vec<SecretSource>,
    /// What it is told of.
    pub events: Vec<Happening>,
    /// Certificates, PEM, by which it is trusted, in place of those of `[signing.fetch]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Most messages under way to it.
    pub concurrency: usize,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            secrets: Vec::new(),
            events: vec![
                Happening::SignatureCreated,
                Happening::SignatureWithdrawn,
                Happening::EventFailed,
            ],
            ca_file: None,
            concurrency: 4,
        }
    }
}

/// A target, found sound.
#[derive(Debug, Clone)]
pub(crate) struct CheckedNotify {
    /// Where messages are posted.
    pub(crate) url: Url,
    /// Where the secrets are.
    pub(crate) secrets: Vec<SecretSource>,
    /// What it is told of.
    pub(crate) events: Vec<Happening>,
    /// Certificates by which it is trusted.
    pub(crate) ca_file: Option<PathBuf>,
    /// Most messages under way to it.
    pub(crate) concurrency: usize,
}

impl NotifyConfig {
    /// Checks one target.
    pub(super) fn check(&self, place: &Place) -> Result<CheckedNotify, InvalidHooks> {
        if !(1..=2).contains(&self.secrets.len()) {
            return Err(place.rule(
                "secrets",
                "must name one secret, or two while one takes the other's place",
            ));
        }
        if self.events.is_empty() {
            return Err(place.rule("events", "must name what the target is told of"));
        }
        Ok(CheckedNotify {
            url: https_url(place, "url", &self.url)?,
            secrets: self.secrets.clone(),
            events: self.events.clone(),
            ca_file: self.ca_file.clone(),
            concurrency: bounded(
                place,
                "concurrency",
                self.concurrency,
                1..=64,
                "must be between 1 and 64",
            )?,
        })
    }
}

/// `[signing.delivery]`, as written: for messages and reports alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryConfig {
    /// Time for one attempt.
    pub timeout: SignedDuration,
    /// Time before the first further attempt; each pause is twice the last, give or take
    /// a quarter.
    pub retry_pause: SignedDuration,
    /// Longest time between two attempts.
    pub max_retry_pause: SignedDuration,
    /// Age at which what was not delivered becomes a dead letter.
    pub give_up_after: SignedDuration,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            timeout: SignedDuration::from_secs(30),
            retry_pause: SignedDuration::from_secs(5),
            max_retry_pause: SignedDuration::from_hours(1),
            give_up_after: SignedDuration::from_hours(72),
        }
    }
}

/// `[signing.delivery]`, found sound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckedDelivery {
    /// Time for one attempt.
    pub(crate) timeout: Duration,
    /// Time before the first further attempt.
    pub(crate) retry_pause: Duration,
    /// Longest time between two attempts.
    pub(crate) max_retry_pause: Duration,
    /// Age of a dead letter.
    pub(crate) give_up_after: Duration,
}

impl DeliveryConfig {
    /// Checks the section.
    pub(super) fn check(&self) -> Result<CheckedDelivery, InvalidHooks> {
        let place = Place::new("delivery");
        Ok(CheckedDelivery {
            timeout: time(&place, "timeout", self.timeout)?,
            retry_pause: time(&place, "retry_pause", self.retry_pause)?,
            max_retry_pause: time(&place, "max_retry_pause", self.max_retry_pause)?,
            give_up_after: time(&place, "give_up_after", self.give_up_after)?,
        })
    }
}
