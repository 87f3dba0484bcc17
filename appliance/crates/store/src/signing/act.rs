//! Acts on the signing ledger, and what is answered.

use std::ops::Range;

use bytes::Bytes;
use model::Timestamp;
use model::signing::{DeliveryId, EventId, SignatureId};

use super::document::Documents;
use super::error::SigningStoreError;
use super::queue::{Attempt, EventOutcome, NewDelivery, NewEvent};
use super::record::{
    LogCheckpoint, NewSignature, NewTimestamp, NewWithdrawal, SignatureAbandonReason, Signed, Stage,
};

/// What callers ask for. Each is a method of the store's trait.
#[derive(Debug)]
pub(crate) enum Act {
    /// Begin a signature.
    Begin(Box<NewSignature>),
    /// Note what its second stage will sign.
    Stage {
        /// The signature.
        id: SignatureId,
        /// The stage.
        stage: Stage,
    },
    /// Note what was signed.
    Complete {
        /// The signature.
        id: SignatureId,
        /// What was made.
        signed: Box<Signed>,
    },
    /// Note that nothing will come of it.
    Abandon {
        /// The signature.
        id: SignatureId,
        /// Why.
        reason: SignatureAbandonReason,
        /// When.
        at: Timestamp,
    },
    /// Withdraw it.
    Withdraw {
        /// The signature.
        id: SignatureId,
        /// Why, by whom.
        withdrawal: Box<NewWithdrawal>,
    },
    /// Note a time-stamp that will be signed.
    Timestamp(Box<NewTimestamp>),
    /// Add leaves to the log.
    Leaves {
        /// The leaves.
        leaves: Vec<Bytes>,
        /// When.
        at: Timestamp,
    },
    /// Note the log's signed state.
    Checkpoint(LogCheckpoint),
    /// Queue an event.
    Accept(Box<NewEvent>),
    /// Note that an attempt at an event failed.
    RetryEvent {
        /// The event.
        id: EventId,
        /// When to try again.
        due: Timestamp,
        /// What stopped it.
        error: Box<str>,
        /// When.
        at: Timestamp,
    },
    /// Note how an event ended.
    FinishEvent {
        /// The event.
        id: EventId,
        /// How.
        outcome: EventOutcome,
        /// When.
        at: Timestamp,
    },
    /// Queue deliveries.
    Enqueue(Vec<NewDelivery>),
    /// Note how an attempt at a delivery ended.
    Attempted {
        /// The delivery.
        id: DeliveryId,
        /// How.
        attempt: Attempt,
        /// When.
        at: Timestamp,
    },
    /// Send a delivery again.
    Resend {
        /// The delivery.
        id: DeliveryId,
        /// When to.
        due: Timestamp,
        /// When.
        at: Timestamp,
    },
}

impl Act {
    /// Returns when it happened.
    pub(crate) fn at(&self) -> Timestamp {
        match self {
            Self::Begin(new) => new.at,
            Self::Stage { stage, .. } => stage.at,
            Self::Complete { signed, .. } => signed.at,
            Self::Withdraw { withdrawal, .. } => withdrawal.at,
            Self::Timestamp(new) => new.at,
            Self::Checkpoint(checkpoint) => checkpoint.at,
            Self::Accept(new) => new.at,
            Self::Enqueue(deliveries) => deliveries
                .first()
                .map_or(Timestamp::UNIX_EPOCH, |delivery| delivery.at),
            Self::Abandon { at, .. }
            | Self::Leaves { at, .. }
            | Self::RetryEvent { at, .. }
            | Self::FinishEvent { at, .. }
            | Self::Attempted { at, .. }
            | Self::Resend { at, .. } => *at,
        }
    }

    /// Returns the documents it brings.
    pub(crate) fn documents(&self) -> Option<&Documents> {
        match self {
            Self::Begin(new) => Some(&new.documents),
            Self::Complete { signed, .. } => Some(&signed.documents),
            Self::Stage { .. }
            | Self::Abandon { .. }
            | Self::Withdraw { .. }
            | Self::Timestamp(_)
            | Self::Leaves { .. }
            | Self::Checkpoint(_)
            | Self::Accept(_)
            | Self::RetryEvent { .. }
            | Self::FinishEvent { .. }
            | Self::Enqueue(_)
            | Self::Attempted { .. }
            | Self::Resend { .. } => None,
        }
    }
}

/// What was done.
#[derive(Debug)]
pub(crate) enum Done {
    /// It is recorded, or was before.
    Recorded,
    /// It was recorded before; nothing changed.
    Repeated,
    /// The request was answered before, as this signature.
    Answered(SignatureId),
    /// The request is being worked on, as this signature.
    Running(SignatureId),
    /// The idempotency key is another request's, of this signature.
    Conflict(SignatureId),
    /// Leaves are in the log.
    Logged(Option<Range<u64>>),
    /// The delivery came before.
    Duplicate {
        /// As this event.
        id: EventId,
        /// Whether with the same body.
        same_body: bool,
    },
}

/// What a caller is told: what was done, or why it was refused.
pub(crate) type Outcome = Result<Done, SigningStoreError>;
