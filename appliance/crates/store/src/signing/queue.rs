//! The webhooks' queues: what others told us, and what we owe others.

use model::signing::{DeliveryId, EventId, RuleName, SenderDeliveryId, SignatureId, WebhookName};
use model::{RequestId, Timestamp};

use bytes::Bytes;

/// An event that came in by a webhook and was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its name.
    pub id: EventId,
    /// By which webhook.
    pub hook: WebhookName,
    /// What its sender calls the delivery.
    pub delivery: SenderDeliveryId,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// Whether the body alone makes a delivery the same: for senders whose
    /// authentication does not cover what they call it.
    pub body_unique: bool,
    /// The rule it starts.
    pub rule: RuleName,
    /// What the rule has to know; at most 64 KiB.
    pub work_json: Bytes,
    /// The request, to find it in every log.
    pub request_id: RequestId,
    /// When it came.
    pub at: Timestamp,
}

/// What became of an event that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is queued.
    New(EventId),
    /// The delivery came before.
    Duplicate {
        /// As this event.
        id: EventId,
        /// Whether with the same body.
        same_body: bool,
    },
}

/// What is to be listed of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// What waits for an attempt.
    Waiting,
    /// What is done.
    Done,
    /// What was given up.
    Dead,
}

/// An event as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Its name.
    pub id: EventId,
    /// By which webhook.
    pub hook: WebhookName,
    /// What its sender calls the delivery.
    pub delivery: SenderDeliveryId,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// The rule it starts.
    pub rule: RuleName,
    /// What the rule has to know.
    pub work_json: Bytes,
    /// The request.
    pub request_id: RequestId,
    /// When it came.
    pub accepted_at: Timestamp,
    /// Attempts that ended.
    pub attempts: u32,
    /// What became of it.
    pub state: EventState,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventState {
    /// It waits for an attempt.
    Waiting {
        /// Not before.
        due: Timestamp,
        /// What stopped the last one.
        error: Option<Box<str>>,
    },
    /// Its rule did what it had to.
    Done {
        /// When.
        at: Timestamp,
        /// What was signed.
        signature: Option<SignatureId>,
        /// What else there is to tell.
        detail_json: Bytes,
    },
    /// It was given up.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        error: Box<str>,
    },
}

/// How an event ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// Its rule did what it had to.
    Done {
        /// What was signed.
        signature: Option<SignatureId>,
        /// What else there is to tell; at most 64 KiB.
        detail_json: Bytes,
    },
    /// It is given up.
    Failed {
        /// Why; at most 2,048 octets are kept.
        error: Box<str>,
    },
}

/// A delivery that we owe somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its name.
    pub id: DeliveryId,
    /// To which webhook.
    pub hook: WebhookName,
    /// What it tells of: `signature.created`; at most 128 octets.
    pub event: Box<str>,
    /// Its body.
    pub body: Bytes,
    /// Not before.
    pub due: Timestamp,
    /// When it was queued.
    pub at: Timestamp,
}

/// How an attempt to deliver ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It was taken.
    Delivered {
        /// The answer's status.
        status: u16,
    },
    /// It was not; another attempt will follow.
    Retry {
        /// Not before.
        due: Timestamp,
        /// What stopped it; at most 2,048 octets are kept.
        error: Box<str>,
    },
    /// It was not; no attempt will follow.
    Dead {
        /// What stopped it; at most 2,048 octets are kept.
        error: Box<str>,
    },
}

/// A delivery as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its name.
    pub id: DeliveryId,
    /// To which webhook.
    pub hook: WebhookName,
    /// What it tells of.
    pub event: Box<str>,
    /// Its body.
    pub body: Bytes,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// Since when attempts are counted: when it was queued, or last sent again.
    pub waiting_since: Timestamp,
    /// Attempts that ended.
    pub attempts: u32,
    /// What became of it.
    pub state: DeliveryState,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for an attempt.
    Waiting {
        /// Not before.
        due: Timestamp,
        /// What stopped the last one.
        error: Option<Box<str>>,
    },
    /// It was taken.
    Delivered {
        /// When.
        at: Timestamp,
        /// The answer's status.
        status: u16,
    },
    /// It was given up.
    Dead {
        /// When.
        at: Timestamp,
        /// Why.
        error: Box<str>,
    },
}
