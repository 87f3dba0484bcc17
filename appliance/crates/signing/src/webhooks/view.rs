//! What operators see of events and deliveries, in JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::signing::{DeliveryRecord, DeliveryState, EventRecord, EventState, QueueState};

use super::plan::Plan;

/// How a listing is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Which of them.
    pub(crate) state: Option<StateQuery>,
    /// The name that the last page ended with.
    pub(crate) after: Option<String>,
    /// Most of a page.
    pub(crate) limit: Option<usize>,
}

/// Which items of a queue are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateQuery {
    /// What waits for an attempt.
    Waiting,
    /// What is done.
    Done,
    /// What was given up.
    Dead,
}

impl From<StateQuery> for QueueState {
    fn from(state: StateQuery) -> Self {
        match state {
            StateQuery::Waiting => Self::Waiting,
            StateQuery::Done => Self::Done,
            StateQuery::Dead => Self::Dead,
        }
    }
}

/// A page of a listing.
#[derive(Debug, Serialize)]
pub(crate) struct PageView<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// What `after` is to be for the next page; none at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// An event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventView {
    /// Its name.
    id: String,
    /// The webhook.
    webhook: String,
    /// The rule.
    rule: String,
    /// What its sender calls it.
    delivery: String,
    /// The event's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<str>>,
    /// SHA-256 of the message.
    body_sha256: String,
    /// The request by which it came.
    request_id: String,
    /// When it came.
    accepted_at: Timestamp,
    /// Attempts that failed.
    attempts: u32,
    /// What became of it.
    #[serde(flatten)]
    state: StateView,
}

/// A delivery.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    /// Its name, the message's `webhook-id`.
    id: String,
    /// The target, or the webhook whose report it is.
    target: String,
    /// What it tells of.
    event: Box<str>,
    /// When it was queued.
    queued_at: Timestamp,
    /// Attempts that were made.
    attempts: u32,
    /// What became of it.
    #[serde(flatten)]
    state: StateView,
    /// What is sent, or worked out from.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
}

/// What became of an item.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct StateView {
    /// `waiting`, `done`, or `dead`.
    state: &'static str,
    /// When the next attempt is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// What stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Box<str>>,
    /// The only signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    /// What came of it besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    /// The status by which the other side took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl From<&EventRecord> for EventView {
    fn from(record: &EventRecord) -> Self {
        Self {
            id: record.id.to_string(),
            webhook: record.hook.to_string(),
            rule: record.rule.to_string(),
            delivery: record.delivery.to_string(),
            event: Plan::from_json(&record.work_json)
                .ok()
                .map(|plan| plan.event),
            body_sha256: hex::encode(record.body_sha256),
            request_id: record.request_id.to_string(),
            accepted_at: record.accepted_at,
            attempts: record.attempts,
            state: match &record.state {
                EventState::Waiting { due, error } => StateView {
                    state: "waiting",
                    due: Some(*due),
                    error: error.clone(),
                    ..StateView::default()
                },
                EventState::Done {
                    at,
                    signature,
                    detail_json,
                } => StateView {
                    state: "done",
                    ended_at: Some(*at),
                    signature: signature.map(|id| id.to_string()),
                    result: serde_json::from_slice(detail_json).ok(),
                    ..StateView::default()
                },
                EventState::Failed { at, error } => StateView {
                    state: "dead",
                    ended_at: Some(*at),
                    error: Some(error.clone()),
                    ..StateView::default()
                },
            },
        }
    }
}

impl DeliveryView {
    /// Shows a delivery as lists have it.
    pub(crate) fn of(record: &DeliveryRecord) -> Self {
        Self {
            id: record.id.to_string(),
            target: record.hook.to_string(),
            event: record.event.clone(),
            queued_at: record.queued_at,
            attempts: record.attempts,
            state: match &record.state {
                DeliveryState::Waiting { due, error } => StateView {
                    state: "waiting",
                    due: Some(*due),
                    error: error.clone(),
                    ..StateView::default()
                },
                DeliveryState::Delivered { at, status } => StateView {
                    state: "done",
                    ended_at: Some(*at),
                    status: Some(*status),
                    ..StateView::default()
                },
                DeliveryState::Dead { at, error } => StateView {
                    state: "dead",
                    ended_at: Some(*at),
                    error: Some(error.clone()),
                    ..StateView::default()
                },
            },
            body: None,
        }
    }

    /// Shows a delivery with its body.
    pub(crate) fn whole(record: &DeliveryRecord) -> Self {
        Self {
            body: serde_json::from_slice(&record.body).ok(),
            ..Self::of(record)
        }
    }
}
