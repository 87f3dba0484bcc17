//! Who sent a message: nothing of it is believed before.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use model::Identity;
use model::signing::SenderDeliveryId;
use secrecy::SecretString;

use super::config::{CheckedWebhook, WebhookKind};
use super::secret::{SecretError, read_all, same_secret};
use super::signature::{NoKey, SharedKey, Unsigned, verify_github, verify_standard};
use crate::outside::UrlProblem;

/// Most characters of an event's name.
const MAX_EVENT: usize = 64;

/// What a message came with, before anything of it is believed.
pub(crate) struct Message<'a> {
    /// Finds a header field; none if it is missing, repeated or no text.
    pub(crate) header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The raw body.
    pub(crate) body: &'a [u8],
    /// The address it came from.
    pub(crate) client: IpAddr,
    /// Whose client certificate it came with.
    pub(crate) peer: Option<&'a Identity>,
    /// The time it came.
    pub(crate) now: Timestamp,
}

/// What is known of a genuine message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Genuine {
    /// What the sender calls it; the same again is the same message.
    pub(crate) delivery: SenderDeliveryId,
    /// The event that its header names; none where the body does.
    pub(crate) event: Option<Box<str>>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// A header field that must be there once.
    #[error("the message has not one field {name} that can be read")]
    Header {
        /// The field.
        name: &'static str,
    },
    /// A comes-from that is not configured.
    #[error("messages of this webhook do not come from {client}")]
    Address {
        /// The address.
        client: IpAddr,
    },
    /// A client certificate that is missing or another's.
    #[error(
        "this webhook takes messages with certain client certificates alone, on the listener \
         that asks for them"
    )]
    Client,
    /// No signature by any secret.
    #[error(
        "the message is not signed by a secret of this webhook: compare the secret at both ends, \
         and that nothing in between rewrites the body"
    )]
    Forged,
    /// A time too far from ours.
    #[error("the message's time lies {seconds} s {direction} and may differ by 300 s")]
    Stale {
        /// How far.
        seconds: u64,
        /// In which direction.
        direction: &'static str,
    },
}

/// Verifies the messages of one webhook.
#[derive(Debug)]
pub(crate) struct Gate {
    /// What a message proves itself by.
    proof: Proof,
    /// Blocks it may come from; none listed asks nothing.
    addresses: Vec<IpNet>,
    /// Identities it must come with; none listed asks nothing.
    clients: Vec<Identity>,
}

/// What a message proves itself by.
#[derive(Debug)]
enum Proof {
    /// GitHub's HMAC.
    Github(Vec<SharedKey>),
    /// GitLab's token.
    Gitlab(Vec<SecretString>),
    /// Standard Webhooks.
    Generic(Vec<SharedKey>),
}

/// Why what a webhook, a target or a report needs cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum GateError {
    /// A secret that cannot be read.
    Secret(#[from] SecretError),
    /// A secret of which no key can be made.
    Key(#[from] NoKey),
    /// A URL that is never asked for.
    Url(#[from] UrlProblem),
}

impl Gate {
    /// Reads the secrets of a webhook.
    ///
    /// # Errors
    ///
    /// When one cannot be had.
    pub(crate) fn open(config: &CheckedWebhook) -> Result<Self, GateError> {
        let secrets = read_all(&config.secrets)?;
        let proof = match config.kind {
            WebhookKind::Github => Proof::Github(secrets.iter().map(SharedKey::of_text).collect()),
            WebhookKind::Gitlab => Proof::Gitlab(secrets),
            WebhookKind::Generic => Proof::Generic(
                secrets
                    .iter()
                    .map(SharedKey::of_standard)
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Self {
            proof,
            addresses: config.addresses.clone(),
            clients: config.clients.clone(),
        })
    }

    /// Verifies a message. Bytes are hostile: never panics, and allocates no more than
    /// the signatures in the header take.
    ///
    /// # Errors
    ///
    /// Why it is not taken; where it comes from is judged first.
    pub(crate) fn admit(&self, message: &Message<'_>) -> Result<Genuine, Refused> {
        let from = |block: &IpNet| block.contains(&message.client);
        if !self.addresses.is_empty() && !self.addresses.iter().any(from) {
            return Err(Refused::Address {
                client: message.client,
            });
        }
        let known = |peer: &Identity| self.clients.contains(peer);
        if !self.clients.is_empty() && !message.peer.is_some_and(known) {
            return Err(Refused::Client);
        }
        match &self.proof {
            Proof::Github(keys) => {
                let signature = message.field("x-hub-signature-256")?;
                verify_github(keys, signature, message.body).map_err(Refused::from)?;
                Ok(Genuine {
                    delivery: message.delivery("x-github-delivery")?,
                    event: Some(message.event("x-github-event")?),
                })
            }
            Proof::Gitlab(tokens) => {
                let given = message.field("x-gitlab-token")?.as_bytes();
                let mut known = false;
                for token in tokens {
                    known |= same_secret(token, given);
                }
                if !known {
                    return Err(Refused::Forged);
                }
                // The idempotency key stays through retries; versions before 17.4 have
                // only the event's UUID.
                let delivery = match message.delivery("idempotency-key") {
                    Ok(delivery) => delivery,
                    Err(_) => message.delivery("x-gitlab-event-uuid")?,
                };
                Ok(Genuine {
                    delivery,
                    event: Some(message.event("x-gitlab-event")?),
                })
            }
            Proof::Generic(keys) => {
                let delivery = message.delivery("webhook-id")?;
                if delivery.as_str().contains('.') {
                    // What is signed is joined by full stops: one in the id would let it
                    // be cut elsewhere.
                    return Err(Refused::Header { name: "webhook-id" });
                }
                let timestamp = message.field("webhook-timestamp")?;
                let signatures = message.field("webhook-signature")?;
                verify_standard(
                    keys,
                    delivery.as_str(),
                    timestamp,
                    signatures,
                    message.body,
                    message.now,
                )
                .map_err(Refused::from)?;
                Ok(Genuine {
                    delivery,
                    event: None,
                })
            }
        }
    }
}

impl From<Unsigned> for Refused {
    fn from(unsigned: Unsigned) -> Self {
        match unsigned {
            Unsigned::Forged => Self::Forged,
            Unsigned::NoTime => Self::Header {
                name: "webhook-timestamp",
            },
            Unsigned::Stale(apart) => Self::Stale {
                seconds: apart.unsigned_abs(),
                direction: if apart < 0 { "back" } else { "ahead" },
            },
        }
    }
}

impl<'a> Message<'a> {
    /// Returns a field that must be there.
    fn field(&self, name: &'static str) -> Result<&'a str, Refused> {
        (self.header)(name).ok_or(Refused::Header { name })
    }

    /// Returns what the sender calls its delivery.
    fn delivery(&self, name: &'static str) -> Result<SenderDeliveryId, Refused> {
        SenderDeliveryId::new(self.field(name)?).map_err(|_| Refused::Header { name })
    }

    /// Returns the event's name.
    fn event(&self, name: &'static str) -> Result<Box<str>, Refused> {
        let event = self.field(name)?;
        let printable = event
            .bytes()
            .all(|octet| octet.is_ascii_graphic() || octet == b' ');
        if event.is_empty() || event.len() > MAX_EVENT || !printable {
            return Err(Refused::Header { name });
        }
        Ok(event.into())
    }
}
