//! What the signing service keeps: names of its objects, digests of artifacts,
//! and why a signature is withdrawn.

mod digest;
mod id;
mod withdrawal;

pub use digest::{ArtifactDigest, HashAlgorithm, InvalidDigest, UnknownHash};
pub use id::{DeliveryId, EventId, InvalidSigningId, SignatureId};
pub use withdrawal::{UnknownWithdrawalReason, WithdrawalNote, WithdrawalReason};

pub use crate::names::{
    ArtifactName, MediaType, RuleName, SenderDeliveryId, SignerLabel, SigningProfileName,
    WebhookName,
};
