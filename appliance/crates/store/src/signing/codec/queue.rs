//! The webhooks' queues on disk.
// Stored on disk: change only by adding a version.

use bytes::Bytes;
use model::signing::{DeliveryId, EventId, RuleName, SenderDeliveryId, SignatureId, WebhookName};
use model::{RequestId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Octets, optional, time};
use crate::signing::queue::{
    Attempt, DeliveryRecord, DeliveryState, EventOutcome, EventRecord, EventState, NewDelivery,
    NewEvent,
};

/// State in the index: it waits.
pub(crate) const QUEUE_WAITING: u8 = 1;

/// State in the index: it is done.
pub(crate) const QUEUE_DONE: u8 = 2;

/// State in the index: it was given up.
pub(crate) const QUEUE_DEAD: u8 = 3;

/// Most octets of an error that are kept.
const MAX_ERROR: usize = 2048;

/// An event on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventV1<'a> {
    /// Its name.
    pub(crate) id: [u8; 16],
    /// By which webhook.
    pub(crate) hook: &'a str,
    /// What its sender calls the delivery.
    pub(crate) delivery: &'a str,
    /// SHA-256 of the body.
    pub(crate) body_sha256: [u8; 32],
    /// Whether the body alone makes a delivery the same.
    pub(crate) body_unique: bool,
    /// The rule.
    rule: &'a str,
    /// What the rule has to know.
    #[serde(borrow)]
    work_json: Octets<'a>,
    /// The request.
    request_id: &'a str,
    /// When.
    pub(crate) at: i64,
}

impl<'a> From<&'a NewEvent> for EventV1<'a> {
    fn from(new: &'a NewEvent) -> Self {
        Self {
            id: *new.id.octets(),
            hook: new.hook.as_str(),
            delivery: new.delivery.as_str(),
            body_sha256: new.body_sha256,
            body_unique: new.body_unique,
            rule: new.rule.as_str(),
            work_json: Octets(&new.work_json),
            request_id: new.request_id.as_str(),
            at: new.at.as_microsecond(),
        }
    }
}

impl EventV1<'_> {
    /// Reads the event as it was when it came.
    pub(crate) fn read(&self) -> Option<EventRecord> {
        let accepted_at = time(self.at)?;
        Some(EventRecord {
            id: EventId::from_octets(self.id),
            hook: WebhookName::new(self.hook).ok()?,
            delivery: SenderDeliveryId::new(self.delivery).ok()?,
            body_sha256: self.body_sha256,
            rule: RuleName::new(self.rule).ok()?,
            work_json: Bytes::copy_from_slice(self.work_json.0),
            request_id: RequestId::new(self.request_id).ok()?,
            accepted_at,
            attempts: 0,
            state: EventState::Waiting {
                due: accepted_at,
                error: None,
            },
        })
    }
}

/// What became of an event, on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventProgressV1<'a> {
    /// The event.
    pub(crate) id: [u8; 16],
    /// Attempts that ended.
    pub(crate) attempts: u32,
    /// When.
    pub(crate) at: i64,
    /// Its state.
    #[serde(borrow)]
    state: EventStateV1<'a>,
}

/// An event's state on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum EventStateV1<'a> {
    /// It waits until a time, after an error.
    Waiting(i64, &'a str),
    /// It is done.
    Done {
        /// What was signed.
        signature: Option<[u8; 16]>,
        /// What else there is to tell.
        #[serde(borrow)]
        detail_json: Octets<'a>,
    },
    /// It was given up.
    Failed(&'a str),
}

impl<'a> EventProgressV1<'a> {
    /// Writes that another attempt will follow.
    pub(crate) fn retry(
        id: &EventId,
        attempts: u32,
        due: Timestamp,
        error: &'a str,
        at: Timestamp,
    ) -> Self {
        Self {
            id: *id.octets(),
            attempts,
            at: at.as_microsecond(),
            state: EventStateV1::Waiting(due.as_microsecond(), cut(error)),
        }
    }

    /// Writes how the event ended.
    pub(crate) fn finish(
        id: &EventId,
        attempts: u32,
        outcome: &'a EventOutcome,
        at: Timestamp,
    ) -> Self {
        Self {
            id: *id.octets(),
            attempts,
            at: at.as_microsecond(),
            state: match outcome {
                EventOutcome::Done {
                    signature,
                    detail_json,
                } => EventStateV1::Done {
                    signature: signature.map(|id| *id.octets()),
                    detail_json: Octets(detail_json),
                },
                EventOutcome::Failed { error } => EventStateV1::Failed(cut(error)),
            },
        }
    }

    /// Returns its state in the index, and until when or since when it is in it.
    pub(crate) const fn code(&self) -> (u8, i64) {
        match self.state {
            EventStateV1::Waiting(due, _) => (QUEUE_WAITING, due),
            EventStateV1::Done { .. } => (QUEUE_DONE, self.at),
            EventStateV1::Failed(_) => (QUEUE_DEAD, self.at),
        }
    }

    /// Brings an event up to date.
    pub(crate) fn progress(self, record: &mut EventRecord) -> Option<()> {
        let at = time(self.at)?;
        record.attempts = self.attempts;
        record.state = match self.state {
            EventStateV1::Waiting(due, error) => EventState::Waiting {
                due: time(due)?,
                error: Some(error.into()),
            },
            EventStateV1::Done {
                signature,
                detail_json,
            } => EventState::Done {
                at,
                signature: signature.map(SignatureId::from_octets),
                detail_json: Bytes::copy_from_slice(detail_json.0),
            },
            EventStateV1::Failed(error) => EventState::Failed {
                at,
                error: error.into(),
            },
        };
        Some(())
    }
}

/// A delivery on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeliveryV1<'a> {
    /// Its name.
    pub(crate) id: [u8; 16],
    /// To which webhook.
    pub(crate) hook: &'a str,
    /// What it tells of.
    event: &'a str,
    /// Its body.
    #[serde(borrow)]
    body: Octets<'a>,
    /// Not before.
    pub(crate) due: i64,
    /// When.
    pub(crate) at: i64,
}

impl<'a> From<&'a NewDelivery> for DeliveryV1<'a> {
    fn from(new: &'a NewDelivery) -> Self {
        Self {
            id: *new.id.octets(),
            hook: new.hook.as_str(),
            event: &new.event,
            body: Octets(&new.body),
            due: new.due.as_microsecond(),
            at: new.at.as_microsecond(),
        }
    }
}

impl DeliveryV1<'_> {
    /// Reads the delivery as it was when queued.
    pub(crate) fn read(&self) -> Option<DeliveryRecord> {
        Some(DeliveryRecord {
            id: DeliveryId::from_octets(self.id),
            hook: WebhookName::new(self.hook).ok()?,
            event: self.event.into(),
            body: Bytes::copy_from_slice(self.body.0),
            queued_at: time(self.at)?,
            waiting_since: time(self.at)?,
            attempts: 0,
            state: DeliveryState::Waiting {
                due: time(self.due)?,
                error: None,
            },
        })
    }
}

/// What became of a delivery, on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeliveryProgressV1<'a> {
    /// The delivery.
    pub(crate) id: [u8; 16],
    /// Attempts that ended.
    pub(crate) attempts: u32,
    /// Since when they are counted.
    pub(crate) since: i64,
    /// When.
    pub(crate) at: i64,
    /// Its state.
    #[serde(borrow)]
    state: DeliveryStateV1<'a>,
}

/// A delivery's state on disk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum DeliveryStateV1<'a> {
    /// It waits until a time, perhaps after an error.
    Waiting(i64, Option<&'a str>),
    /// It was taken.
    Delivered(u16),
    /// It was given up.
    Dead(&'a str),
}

impl<'a> DeliveryProgressV1<'a> {
    /// Writes how an attempt ended.
    pub(crate) fn attempt(
        id: &DeliveryId,
        (attempts, since): (u32, i64),
        attempt: &'a Attempt,
        at: Timestamp,
    ) -> Self {
        Self {
            id: *id.octets(),
            attempts,
            since,
            at: at.as_microsecond(),
            state: match attempt {
                Attempt::Delivered { status } => DeliveryStateV1::Delivered(*status),
                Attempt::Retry { due, error } => {
                    DeliveryStateV1::Waiting(due.as_microsecond(), Some(cut(error)))
                }
                Attempt::Dead { error } => DeliveryStateV1::Dead(cut(error)),
            },
        }
    }

    /// Writes that it is to be sent again.
    pub(crate) fn resend(id: &DeliveryId, due: Timestamp, at: Timestamp) -> Self {
        Self {
            id: *id.octets(),
            attempts: 0,
            since: at.as_microsecond(),
            at: at.as_microsecond(),
            state: DeliveryStateV1::Waiting(due.as_microsecond(), None),
        }
    }

    /// Returns its state in the index, and until when or since when it is in it.
    pub(crate) const fn code(&self) -> (u8, i64) {
        match self.state {
            DeliveryStateV1::Waiting(due, _) => (QUEUE_WAITING, due),
            DeliveryStateV1::Delivered(_) => (QUEUE_DONE, self.at),
            DeliveryStateV1::Dead(_) => (QUEUE_DEAD, self.at),
        }
    }

    /// Brings a delivery up to date.
    pub(crate) fn progress(self, record: &mut DeliveryRecord) -> Option<()> {
        let at = time(self.at)?;
        record.attempts = self.attempts;
        record.waiting_since = time(self.since)?;
        record.state = match self.state {
            DeliveryStateV1::Waiting(due, error) => DeliveryState::Waiting {
                due: time(due)?,
                error: optional(error, |error| Some(error.into()))?,
            },
            DeliveryStateV1::Delivered(status) => DeliveryState::Delivered { at, status },
            DeliveryStateV1::Dead(error) => DeliveryState::Dead {
                at,
                error: error.into(),
            },
        };
        Some(())
    }
}

/// Cuts an error at what is kept.
fn cut(error: &str) -> &str {
    let end = (0..=MAX_ERROR.min(error.len()))
        .rev()
        .find(|end| error.is_char_boundary(*end));
    error.get(..end.unwrap_or(0)).unwrap_or_default()
}
