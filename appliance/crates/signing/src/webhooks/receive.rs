//! A message that came in: verified, matched with a rule, planned, and made durable before
//! it is answered.

use attest::json;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use model::RequestId;
use model::signing::{EventId, RuleName, WebhookName};
use store::signing::{Accepted, NewEvent, SigningStoreError};

use super::authenticate::{Message, Refused};
use super::config::{CheckedFetch, CheckedHooks, CheckedRule, CheckedWebhook, WebhookKind};
use super::plan::{Plan, Unplannable};
use super::{Hook, Webhooks};

/// Most values of a message, names of members not counted.
const MAX_VALUES: usize = 200_000;

/// Most lists and objects of a message within each other.
const MAX_DEPTH: usize = 32;

/// What became of a genuine message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    /// It is queued.
    Accepted {
        /// As this event.
        id: EventId,
        /// The rule it starts.
        rule: RuleName,
    },
    /// It came before.
    Duplicate {
        /// As this event.
        id: EventId,
    },
    /// No rule is for it.
    Ignored {
        /// The event's name.
        event: Box<str>,
    },
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReceived {
    /// It is not genuine.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It is genuine and cannot be read.
    #[error("the message is not the JSON that was expected: {0}")]
    Json(#[from] json::JsonError),
    /// It names no event.
    #[error("the message has no text at /type that names its event")]
    NoEvent,
    /// It is genuine and cannot be worked on.
    #[error(transparent)]
    Unplannable(#[from] Unplannable),
    /// The delivery came before, as another message.
    #[error("the delivery {delivery} came before as event {id}, with another body")]
    Replayed {
        /// What the sender calls it.
        delivery: Box<str>,
        /// The event it came as.
        id: EventId,
    },
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] SigningStoreError),
    /// No randomness for its name.
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl NotReceived {
    /// Returns the outcome as metrics name it.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Refused(Refused::Header { .. }) => "malformed",
            Self::Refused(Refused::Address { .. } | Refused::Client) => "source",
            Self::Refused(Refused::Forged) => "forged",
            Self::Refused(Refused::Stale { .. }) => "stale",
            Self::Json(_) | Self::NoEvent => "malformed",
            Self::Unplannable(_) => "unprocessable",
            Self::Replayed { .. } => "replayed",
            Self::Store(_) | Self::NoRandomness => "failed",
        }
    }
}

impl Received {
    /// Returns the outcome as metrics name it.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Duplicate { .. } => "duplicate",
            Self::Ignored { .. } => "ignored",
        }
    }
}

/// What a genuine message starts.
enum Judged<'a> {
    /// This rule, to do this.
    Starts {
        /// The rule.
        rule: &'a CheckedRule,
        /// What is to be done.
        plan: Plan,
    },
    /// Nothing.
    Ignored {
        /// The event's name.
        event: Box<str>,
    },
}

/// Finds out what a message starts, by its body and the event that its header names.
///
/// The body is hostile still: never panics, allocates no more than the limits let it.
fn judge<'a>(
    hook: &'a CheckedWebhook,
    fetch: &CheckedFetch,
    event: Option<&str>,
    body: &[u8],
) -> Result<Judged<'a>, NotReceived> {
    let limits = json::Limits {
        max_len: hook.max_body_bytes,
        max_depth: MAX_DEPTH,
        max_nodes: MAX_VALUES,
    };
    let payload = json::parse(body, &limits)?;
    let event: Box<str> = match event {
        Some(event) => event.into(),
        None => payload
            .get("type")
            .and_then(serde_json::Value::as_str)
            .ok_or(NotReceived::NoEvent)?
            .into(),
    };
    match hook.rules.iter().find(|rule| rule.fits(&event, &payload)) {
        Some(rule) => {
            let plan = Plan::of(hook.kind, rule, fetch, &event, &payload)?;
            Ok(Judged::Starts { rule, plan })
        }
        None => Ok(Judged::Ignored { event }),
    }
}

impl CheckedHooks {
    /// Tells what a genuine message would start, without anything being done: the rule's
    /// name and what would be fetched, in JSON; none where no rule is for it.
    ///
    /// # Errors
    ///
    /// What would be answered.
    pub fn preview(
        &self,
        webhook: &WebhookName,
        event: Option<&str>,
        body: &[u8],
    ) -> Result<Option<(RuleName, String)>, PreviewError> {
        let hook = self.webhooks.get(webhook).ok_or(PreviewError::NoWebhook)?;
        let refused = |error: NotReceived| PreviewError::Refused {
            detail: error.to_string(),
        };
        match judge(hook, &self.fetch, event, body).map_err(refused)? {
            Judged::Starts { rule, plan } => {
                let json = plan.to_json().map_err(|error| refused(error.into()))?;
                let json = String::from_utf8_lossy(&json).into_owned();
                Ok(Some((rule.name.clone(), json)))
            }
            Judged::Ignored { .. } => Ok(None),
        }
    }
}

/// Why a message would not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreviewError {
    /// There is no such webhook.
    #[error("there is no webhook of this name")]
    NoWebhook,
    /// It would be refused.
    #[error("{detail}")]
    Refused {
        /// What would be answered.
        detail: String,
    },
}

impl Webhooks {
    /// Takes a message. Bytes are hostile until [`admit`](super::authenticate::Gate::admit)
    /// knows their sender.
    ///
    /// # Errors
    ///
    /// Why it was not taken; nothing was recorded.
    pub(crate) async fn receive(
        &self,
        name: &WebhookName,
        hook: &Hook,
        message: &Message<'_>,
        request_id: RequestId,
    ) -> Result<Received, NotReceived> {
        let genuine = hook.gate.admit(message)?;
        let fetch = self.fetcher.config();
        let judged = judge(&hook.config, fetch, genuine.event.as_deref(), message.body)?;
        let (rule, plan) = match judged {
            Judged::Starts { rule, plan } => (rule, plan),
            Judged::Ignored { event } => return Ok(Received::Ignored { event }),
        };
        let mut body_sha256 = [0; 32];
        body_sha256.copy_from_slice(digest(&SHA256, message.body).as_ref());
        let accepted = self
            .store
            .accept_event(NewEvent {
                id: EventId::new(message.now, self.random()?),
                hook: name.clone(),
                delivery: genuine.delivery.clone(),
                body_sha256,
                // GitHub's ids are not under its signature: a message that was listened
                // to could come again under another one.
                body_unique: hook.config.kind == WebhookKind::Github,
                rule: rule.name.clone(),
                work_json: Bytes::from(plan.to_json()?),
                request_id,
                at: message.now,
            })
            .await?;
        match accepted {
            Accepted::New(id) => {
                self.wake_events.notify_one();
                Ok(Received::Accepted {
                    id,
                    rule: rule.name.clone(),
                })
            }
            Accepted::Duplicate {
                id,
                same_body: true,
            } => Ok(Received::Duplicate { id }),
            Accepted::Duplicate {
                id,
                same_body: false,
            } => Err(NotReceived::Replayed {
                delivery: genuine.delivery.as_str().into(),
                id,
            }),
        }
    }

    /// Returns random octets for a name.
    fn random(&self) -> Result<[u8; 10], NotReceived> {
        let mut octets = [0; 10];
        aws_lc_rs::rand::fill(&mut octets).map_err(|_| NotReceived::NoRandomness)?;
        Ok(octets)
    }
}
