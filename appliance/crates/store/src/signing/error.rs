//! Why an act on the signing store was refused.

use model::SerialNumber;
use model::signing::{DeliveryId, EventId, SignatureId};

use crate::error::Error;

/// Why an act was refused. Nothing was recorded.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SigningStoreError {
    // What is named is not there, or not any more.
    /// No such signature.
    #[error("there is no signature {id}")]
    NoSignature {
        /// Its name.
        id: SignatureId,
    },
    /// No such event.
    #[error("there is no event {id}")]
    NoEvent {
        /// Its name.
        id: EventId,
    },
    /// No such delivery.
    #[error("there is no delivery {id}")]
    NoDelivery {
        /// Its name.
        id: DeliveryId,
    },

    // The act does not fit what is recorded.
    /// The name is used.
    #[error("the identifier {id} is used already; draw another one")]
    IdTaken {
        /// The name.
        id: Box<str>,
    },
    /// The signature is further, or ended.
    #[error("signature {id} is {state}; this comes before that")]
    NotOpen {
        /// The signature.
        id: SignatureId,
        /// Its state.
        state: &'static str,
    },
    /// There is nothing to withdraw.
    #[error("signature {id} is {state}; only what is signed can be withdrawn")]
    NotSigned {
        /// The signature.
        id: SignatureId,
        /// Its state.
        state: &'static str,
    },
    /// A time-stamp has the serial number.
    #[error("time-stamp serial {serial} is already recorded; draw another serial number")]
    SerialTaken {
        /// The number.
        serial: SerialNumber,
    },
    /// The event ended before.
    #[error("event {id} is {state}; it is not tried again")]
    EventEnded {
        /// The event.
        id: EventId,
        /// Its state.
        state: &'static str,
    },
    /// The delivery ended before.
    #[error("delivery {id} is {state}; send it again first")]
    DeliveryEnded {
        /// The delivery.
        id: DeliveryId,
        /// Its state.
        state: &'static str,
    },
    /// A checkpoint of more leaves than there are.
    #[error("a checkpoint of {size} leaves is ahead of the log, which has {end}")]
    CheckpointAhead {
        /// Leaves in the checkpoint.
        size: u64,
        /// Leaves in the log.
        end: u64,
    },
    /// A checkpoint of fewer leaves than one recorded before.
    #[error("a checkpoint of {size} leaves is behind the last one, of {last}")]
    CheckpointBehind {
        /// Leaves in the checkpoint.
        size: u64,
        /// Leaves in the last one.
        last: u64,
    },
    /// A checkpoint with another root for the same leaves.
    #[error("the checkpoint's root is not that of the log's first {size} leaves")]
    CheckpointDiffers {
        /// Leaves in the checkpoint.
        size: u64,
    },
    /// Something is longer or more than the store takes.
    #[error("{what} may have at most {max}, not {len}")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length or number.
        len: u64,
        /// The most allowed.
        max: u64,
    },
    /// A document of lines names one that is not there.
    #[error("the document of lines names {kind}, which is not among the documents")]
    NoLine {
        /// The document missing.
        kind: &'static str,
    },

    // The store did not do it.
    /// Nothing was recorded, or could be read.
    #[error(transparent)]
    Store(#[from] Error),
}

impl SigningStoreError {
    /// Whether the same act may succeed later without anyone changing it.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }
}
