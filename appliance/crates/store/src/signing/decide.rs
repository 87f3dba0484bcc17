//! What acts on the signing ledger mean: which are refused, what the others change.
//!
//! Every function reads through a [`View`], which includes what the acts before it
//! changed. None reads the journal: what a decision rests on is in memory and in
//! the index's values.

mod log;
mod queues;
mod signatures;

pub(crate) use queues::{seen, seen_body};
pub(crate) use signatures::idempotency;

use std::collections::HashSet;

use model::signing::DeliveryId;

use super::act::{Act, Done, Outcome};
use super::error::SigningStoreError;
use super::view::View;
use crate::blobs::Sha256;
use crate::error::Error;

/// What an act comes to that its own content does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// Index of the first leaf that it adds to the log, or of its signature's.
    pub(crate) first_leaf: u64,
    /// How many leaves its signature has in the log.
    pub(crate) leaves: u64,
    /// Attempts, this one included.
    pub(crate) attempts: u32,
    /// Since when they are counted, in microseconds since the epoch.
    pub(crate) since: i64,
    /// Deliveries that were queued before.
    pub(crate) queued: HashSet<DeliveryId>,
    /// Documents to attach: those of one frame together.
    pub(crate) packs: Vec<Vec<Sha256>>,
}

/// What an act comes to.
#[derive(Debug)]
pub(crate) enum Decided {
    /// Nothing changes.
    Answer(Done),
    /// This is recorded, then answered.
    Record(Plan, Done),
}

/// What deciding an act says.
type Decision = Result<Decided, SigningStoreError>;

/// How long deliveries that came in are remembered, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memorable(pub(crate) i64);

/// Decides an act.
///
/// # Errors
///
/// Why state could not be read; a refusal is an answer.
pub(crate) fn decide(
    view: View<'_>,
    act: &Act,
    remember: Memorable,
) -> Result<(Option<Plan>, Outcome), Error> {
    let decided = match act {
        Act::Begin(new) => signatures::begin(view, new),
        Act::Stage { id, stage } => signatures::stage(view, id, stage),
        Act::Complete { id, signed } => signatures::complete(view, id, signed),
        Act::Abandon { id, .. } => signatures::abandon(view, id),
        Act::Withdraw { id, withdrawal } => signatures::withdraw(view, id, withdrawal),
        Act::Timestamp(new) => log::timestamp(view, new),
        Act::Leaves { leaves, .. } => log::append(view, leaves),
        Act::Checkpoint(checkpoint) => log::checkpoint(view, checkpoint),
        Act::Accept(new) => queues::accept(view, new, remember),
        Act::RetryEvent { id, .. } => queues::retry_event(view, id),
        Act::FinishEvent { id, outcome, .. } => queues::finish_event(view, id, outcome),
        Act::Enqueue(deliveries) => queues::enqueue(view, deliveries),
        Act::Attempted { id, .. } => queues::attempted(view, id),
        Act::Resend { id, .. } => queues::resend(view, id),
    };
    match decided {
        Ok(Decided::Answer(done)) => Ok((None, Ok(done))),
        Ok(Decided::Record(plan, done)) => Ok((Some(plan), Ok(done))),
        Err(SigningStoreError::Store(error)) => Err(error),
        Err(refusal) => Ok((None, Err(refusal))),
    }
}

/// Most octets of a text or JSON that a record holds.
const MAX_TEXT: usize = 64 * 1024;

/// Refuses what is longer than a record holds.
///
/// # Errors
///
/// `TooLong`.
fn bounded(what: &'static str, len: usize, max: usize) -> Result<(), SigningStoreError> {
    if len <= max {
        return Ok(());
    }
    Err(SigningStoreError::TooLong {
        what,
        len: len as u64,
        max: max as u64,
    })
}

/// Refuses a name that is used.
///
/// # Errors
///
/// `IdTaken`; `Store` when that could not be read.
fn unused(view: View<'_>, key: &[u8], id: impl ToString) -> Result<(), SigningStoreError> {
    if view.has(key)? {
        return Err(SigningStoreError::IdTaken {
            id: id.to_string().into(),
        });
    }
    Ok(())
}
