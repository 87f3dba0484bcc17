//! Acts on the webhooks' queues.

use std::collections::HashSet;

use model::signing::{DeliveryId, EventId};

use super::{Decided, Decision, MAX_TEXT, Memorable, Plan, bounded, unused};
use crate::signing::act::Done;
use crate::signing::codec::{QUEUE_DEAD, QUEUE_DONE, QUEUE_WAITING};
use crate::signing::error::SigningStoreError;
use crate::signing::key::{self, Located, Seen};
use crate::signing::queue::{EventOutcome, NewDelivery, NewEvent};
use crate::signing::view::View;

/// Most deliveries that one act queues.
const MAX_DELIVERIES: usize = 64;

/// Most octets of all their bodies.
const MAX_BODIES: usize = 256 * 1024;

/// Most octets of what a delivery tells of.
const MAX_EVENT: usize = 128;

/// Queues an event.
pub(super) fn accept(view: View<'_>, new: &NewEvent, remember: Memorable) -> Decision {
    bounded("the event's work", new.work_json.len(), MAX_TEXT)?;
    let hook = new.hook.as_str();
    let mut keys = vec![seen(hook, new.delivery.as_str())];
    if new.body_unique {
        keys.push(seen_body(hook, &new.body_sha256));
    }
    for key in keys {
        let Some(value) = view.get(&key)? else {
            continue;
        };
        let seen = Seen::decode(&value).ok_or_else(|| view.unreadable())?;
        if new.at.as_microsecond() <= seen.at.saturating_add(remember.0) {
            return Ok(Decided::Answer(Done::Duplicate {
                id: EventId::from_octets(seen.id),
                same_body: seen.body_sha256 == new.body_sha256,
            }));
        }
    }
    unused(view, &key::tagged(b'E', new.id.octets()), new.id)?;
    Ok(Decided::Record(Plan::default(), Done::Recorded))
}

/// Returns the key of a delivery that came in.
pub(crate) fn seen(hook: &str, delivery: &str) -> Vec<u8> {
    let hash = key::hash(&[hook.as_bytes(), delivery.as_bytes()]);
    key::tagged(b'h', &hash)
}

/// Returns the key of the body of a delivery that came in.
pub(crate) fn seen_body(hook: &str, body_sha256: &[u8; 32]) -> Vec<u8> {
    let hash = key::hash(&[hook.as_bytes(), b"body", body_sha256]);
    key::tagged(b'h', &hash)
}

/// Notes that an attempt at an event failed.
pub(super) fn retry_event(view: View<'_>, id: &EventId) -> Decision {
    let progress = waiting_event(view, id)?;
    Ok(another_attempt(&progress))
}

/// Notes how an event ended.
pub(super) fn finish_event(view: View<'_>, id: &EventId, outcome: &EventOutcome) -> Decision {
    if let EventOutcome::Done { detail_json, .. } = outcome {
        bounded("what there is to tell", detail_json.len(), MAX_TEXT)?;
    }
    let progress = event(view, id)?;
    // A repeat after a lost answer.
    let is_repeat = match outcome {
        EventOutcome::Done { .. } => progress.code == QUEUE_DONE,
        EventOutcome::Failed { .. } => progress.code == QUEUE_DEAD,
    };
    if is_repeat {
        return Ok(Decided::Answer(Done::Repeated));
    }
    let progress = waiting_event(view, id)?;
    Ok(another_attempt(&progress))
}

/// Records an attempt.
fn another_attempt(progress: &Located) -> Decided {
    let plan = Plan {
        attempts: progress.attempts.saturating_add(1),
        since: progress.since,
        ..Plan::default()
    };
    Decided::Record(plan, Done::Recorded)
}

/// Looks up the state of an event.
fn event(view: View<'_>, id: &EventId) -> Result<Located, SigningStoreError> {
    view.located(&key::tagged(b'e', id.octets()))?
        .ok_or(SigningStoreError::NoEvent { id: *id })
}

/// Looks up the state of an event that waits.
fn waiting_event(view: View<'_>, id: &EventId) -> Result<Located, SigningStoreError> {
    let progress = event(view, id)?;
    match progress.code {
        QUEUE_WAITING => Ok(progress),
        code => Err(SigningStoreError::EventEnded {
            id: *id,
            state: if code == QUEUE_DONE { "done" } else { "failed" },
        }),
    }
}

/// Queues deliveries.
pub(super) fn enqueue(view: View<'_>, deliveries: &[NewDelivery]) -> Decision {
    check_sizes(deliveries)?;
    let mut plan = Plan::default();
    for delivery in deliveries {
        if view.has(&key::tagged(b'D', delivery.id.octets()))? {
            plan.queued.insert(delivery.id);
        }
    }
    if deliveries.iter().all(|own| plan.queued.contains(&own.id)) {
        return Ok(Decided::Answer(Done::Repeated));
    }
    Ok(Decided::Record(plan, Done::Recorded))
}

/// Checks deliveries that an act is to queue.
pub(super) fn check_deliveries(
    view: View<'_>,
    deliveries: &[NewDelivery],
) -> Result<(), SigningStoreError> {
    check_sizes(deliveries)?;
    for delivery in deliveries {
        unused(view, &key::tagged(b'D', delivery.id.octets()), delivery.id)?;
    }
    Ok(())
}

/// Checks how many deliveries there are, how long they are, and that each has a
/// name of its own.
fn check_sizes(deliveries: &[NewDelivery]) -> Result<(), SigningStoreError> {
    bounded("the deliveries", deliveries.len(), MAX_DELIVERIES)?;
    let octets = deliveries.iter().map(|delivery| delivery.body.len()).sum();
    bounded("the deliveries' bodies", octets, MAX_BODIES)?;
    let mut names = HashSet::new();
    for delivery in deliveries {
        bounded("a delivery's body", delivery.body.len(), MAX_TEXT)?;
        bounded("a delivery's event", delivery.event.len(), MAX_EVENT)?;
        if !names.insert(delivery.id) {
            return Err(SigningStoreError::IdTaken {
                id: delivery.id.to_string().into(),
            });
        }
    }
    Ok(())
}

/// Looks up the state of a delivery.
fn delivery(view: View<'_>, id: &DeliveryId) -> Result<Located, SigningStoreError> {
    view.located(&key::tagged(b'd', id.octets()))?
        .ok_or(SigningStoreError::NoDelivery { id: *id })
}

/// Notes how an attempt at a delivery ended.
pub(super) fn attempted(view: View<'_>, id: &DeliveryId) -> Decision {
    let progress = delivery(view, id)?;
    match progress.code {
        QUEUE_WAITING => Ok(another_attempt(&progress)),
        code => Err(SigningStoreError::DeliveryEnded {
            id: *id,
            state: if code == QUEUE_DONE {
                "delivered"
            } else {
                "dead"
            },
        }),
    }
}

/// Sends a delivery again; one that waits already still waits.
pub(super) fn resend(view: View<'_>, id: &DeliveryId) -> Decision {
    let progress = delivery(view, id)?;
    if progress.code == QUEUE_WAITING {
        return Ok(Decided::Answer(Done::Repeated));
    }
    Ok(Decided::Record(Plan::default(), Done::Recorded))
}
