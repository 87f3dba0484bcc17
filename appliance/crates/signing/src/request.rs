//! What is to be signed, for whom, and how.

use std::sync::Arc;

use bytes::Bytes;
use mesh::Peer;
use model::signing::{
    ArtifactDigest, ArtifactName, MediaType, SignerLabel, SigningProfileName, WebhookName,
};
use model::{IdempotencyKey, RequestId};

use crate::digests::ArtifactDigests;
use crate::formats::Formats;
use crate::policy::Verdict;
use crate::problem::SigningProblem;

/// Who asks.
#[derive(Debug, Clone)]
pub enum Requester {
    /// A client, known by its certificate.
    Peer(Peer),
    /// A webhook of the configuration.
    Webhook(WebhookName),
}

impl Requester {
    /// Returns who it is, as records and patterns of profiles have it: `signer/alice`,
    /// `webhook/release`.
    ///
    /// # Errors
    ///
    /// `Internal` for a name that records do not take; no identity has one.
    pub fn label(&self) -> Result<SignerLabel, SigningProblem> {
        let label = match self {
            Self::Peer(peer) => SignerLabel::new(peer.label()),
            Self::Webhook(name) => SignerLabel::new(&format!("webhook/{name}")),
        };
        label.map_err(SigningProblem::internal)
    }

    /// Returns the peer, where it is one.
    pub(crate) fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Peer(peer) => Some(peer),
            Self::Webhook(_) => None,
        }
    }
}

/// What a request says before any evidence is read.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who asks.
    pub requester: Requester,
    /// The profile; the configured default where absent.
    pub profile: Option<SigningProfileName>,
    /// The digest that the artifact is said to have.
    pub claimed: Option<ArtifactDigest>,
    /// How the key is to sign, by its name; the key's own way where absent.
    pub algorithm: Option<String>,
    /// The artifact's name.
    pub name: Option<ArtifactName>,
    /// What the artifact is.
    pub media_type: Option<MediaType>,
    /// What is to be made; what the profile says where absent.
    pub formats: Option<Formats>,
    /// Makes a repeated request the same request.
    pub idempotency: Option<IdempotencyKey>,
    /// The request's id.
    pub request_id: RequestId,
    /// Whether policy is to be asked and nothing signed.
    pub dry_run: bool,
}

/// What is to be signed.
#[derive(Debug, Clone)]
pub struct SignRequest {
    /// Who asks, for what, and how.
    pub ask: Ask,
    /// The artifact's digests, and how many octets it has where that is known.
    pub artifact: (ArtifactDigests, Option<u64>),
    /// The bill of materials, octet for octet.
    pub sbom: Option<Bytes>,
    /// The provenance, octet for octet.
    pub provenance: Option<Bytes>,
}

/// What came of a request.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is signed and recorded.
    Signed {
        /// The record.
        record: Arc<store::signing::SignatureRecord>,
        /// Whether it was signed before, by the same request.
        repeated: bool,
    },
    /// What policy says; nothing was signed.
    DryRun(Verdict),
}
