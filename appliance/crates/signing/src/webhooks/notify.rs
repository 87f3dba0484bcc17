//! Messages to others: what happened, signed as Standard Webhooks has it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use model::signing::{DeliveryId, WebhookName};
use rustls::ClientConfig;
use serde_json::{Value, json};
use store::signing::NewDelivery;
use tracing::warn;

use super::authenticate::GateError;
use super::config::{CheckedNotify, Happening};
use super::delivery::{Delivered, Undelivered};
use super::secret::{SecretSource, read_all};
use super::signature::SharedKey;
use super::{Webhooks, WebhooksError};
use crate::outside::{self, Ask};

/// Most octets of a message that are stored.
const MAX_BODY: usize = 64 * 1024;

/// A target that is told of what happens.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where messages are posted.
    url: outside::Target,
    /// By whom it is trusted.
    tls: Arc<ClientConfig>,
    /// What messages are signed with.
    keys: Vec<SharedKey>,
    /// What it is told of.
    events: Vec<Happening>,
    /// Most messages under way to it.
    pub(crate) concurrency: usize,
}

/// Something that happened and others may want to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// What happened.
    pub happening: Happening,
    /// When.
    pub at: Timestamp,
    /// What happened to what: the message's `data`.
    pub data: Value,
}

impl Announcement {
    /// Writes the message, as Standard Webhooks recommends it.
    pub(crate) fn to_body(&self) -> Bytes {
        message(self.happening.as_str(), self.at, &self.data)
    }
}

/// Writes a message.
pub(crate) fn message(kind: &str, at: Timestamp, data: &Value) -> Bytes {
    let message = json!({ "type": kind, "timestamp": at.to_string(), "data": data });
    message.to_string().into()
}

/// Reads the keys that messages are signed with.
pub(crate) fn read_keys(sources: &[SecretSource]) -> Result<Vec<SharedKey>, GateError> {
    let secrets = read_all(sources)?;
    Ok(secrets
        .iter()
        .map(SharedKey::of_standard)
        .collect::<Result<_, _>>()?)
}

impl Target {
    /// Reads the secrets of a target, and by whom it is trusted.
    ///
    /// # Errors
    ///
    /// When they cannot be had.
    pub(crate) fn open(
        name: &WebhookName,
        config: &CheckedNotify,
        usual: &Arc<ClientConfig>,
    ) -> Result<Self, WebhooksError> {
        let place = || format!("notify.{name}");
        let keys = read_keys(&config.secrets).map_err(|source| WebhooksError::Secret {
            place: place(),
            source,
        })?;
        let tls = match &config.ca_file {
            Some(path) => {
                outside::client_config(Some(path)).map_err(|source| WebhooksError::Trust {
                    place: place(),
                    source,
                })?
            }
            None => Arc::clone(usual),
        };
        let url = outside::Target::of(&config.url).map_err(|source| WebhooksError::Secret {
            place: place(),
            source: GateError::Url(source),
        })?;
        Ok(Self {
            url,
            tls,
            keys,
            events: config.events.clone(),
            concurrency: config.concurrency,
        })
    }
}

impl Webhooks {
    /// Returns the messages by which targets are told, to be queued in the act that makes
    /// it happen; none if nobody wants to know. [`look`](Self::look) after that act.
    #[must_use]
    pub fn messages_of(&self, announcement: &Announcement) -> Vec<NewDelivery> {
        let random = |_: &WebhookName| {
            let mut octets = [0; 10];
            aws_lc_rs::rand::fill(&mut octets).ok().map(|()| octets)
        };
        self.messages(announcement, &random)
    }

    /// Returns the messages by which targets are told, their names from `random`.
    pub(super) fn messages(
        &self,
        announcement: &Announcement,
        random: &dyn Fn(&WebhookName) -> Option<[u8; 10]>,
    ) -> Vec<NewDelivery> {
        let body = announcement.to_body();
        let event = announcement.happening.as_str();
        if body.len() > MAX_BODY {
            warn!(
                "a message about {event} has {} octets and is not sent",
                body.len()
            );
            return Vec::new();
        }
        self.targets
            .iter()
            .filter(|(_, target)| target.events.contains(&announcement.happening))
            .filter_map(|(name, _)| {
                let Some(random) = random(name) else {
                    warn!("no randomness for a message about {event} to {name}: it is not sent");
                    return None;
                };
                Some(NewDelivery {
                    id: DeliveryId::new(announcement.at, random),
                    hook: name.clone(),
                    event: event.into(),
                    body: body.clone(),
                    due: announcement.at,
                    at: announcement.at,
                })
            })
            .collect()
    }

    /// Posts a message to a target.
    pub(super) async fn tell(&self, target: &Target, id: &DeliveryId, body: Bytes) -> Delivered {
        self.post_signed(&target.tls, &target.url, &target.keys, id, body)
            .await
    }

    /// Posts a signed message. Its id is the delivery's, the same at each attempt; its time
    /// is the attempt's.
    pub(super) async fn post_signed(
        &self,
        tls: &Arc<ClientConfig>,
        url: &outside::Target,
        keys: &[SharedKey],
        id: &DeliveryId,
        body: Bytes,
    ) -> Delivered {
        let now = self.clock.now().as_second();
        let id = id.to_string();
        let signatures: Vec<String> = keys.iter().map(|key| key.sign(&id, now, &body)).collect();
        let mut fields = Vec::new();
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", now.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ] {
            let value = HeaderValue::try_from(value)
                .map_err(|error| Undelivered::for_good(error.to_string()))?;
            fields.push((HeaderName::from_static(name), value));
        }
        let ask = Ask::json(Method::POST, fields, body);
        let answer = self.call(tls, url, ask).await?;
        match answer.status.as_u16() {
            status @ 200..=299 => Ok(status),
            // "410 Gone": the receiver wants no more of it (Standard Webhooks).
            410 => Err(Undelivered::for_good(answer.complaint())),
            _ => Err(Undelivered::again(answer.complaint(), answer.retry_after)),
        }
    }
}
