//! What other parts of the service do for a signature, as the flow sees them.

use jiff::Timestamp;
use model::RequestId;
use model::signing::{
    ArtifactDigest, ArtifactName, SignatureId, SignerLabel, SigningProfileName, WithdrawalReason,
};
use store::signing::NewDelivery;

/// Something that others are told of.
#[derive(Debug, Clone)]
pub struct SignatureEvent<'a> {
    /// What happened.
    pub kind: SignatureEventKind<'a>,
    /// The signature, where there is one.
    pub id: Option<SignatureId>,
    /// The artifact's digests.
    pub digests: &'a [ArtifactDigest],
    /// The artifact's name.
    pub name: Option<&'a ArtifactName>,
    /// Who asked.
    pub signer: &'a SignerLabel,
    /// The profile.
    pub profile: &'a SigningProfileName,
    /// The request.
    pub request_id: &'a RequestId,
    /// When.
    pub at: Timestamp,
    /// Where the service is, as clients see it.
    pub base_url: &'a str,
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum SignatureEventKind<'a> {
    /// An artifact was signed.
    Created,
    /// A signature was withdrawn.
    Withdrawn {
        /// Why.
        reason: WithdrawalReason,
    },
    /// A request was refused.
    Refused {
        /// The problem's code.
        code: &'a str,
        /// The sentence.
        detail: &'a str,
    },
}

/// Tells others what happened.
pub trait Announce: Send + Sync + std::fmt::Debug {
    /// Returns the deliveries that an event makes: recorded in the same act.
    fn deliveries(&self, event: &SignatureEvent<'_>) -> Vec<NewDelivery>;

    /// Says that deliveries were recorded.
    fn wake(&self);
}
