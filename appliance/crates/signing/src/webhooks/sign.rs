//! The seam to the signing core: a webhook has an artifact signed and sees no key.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use model::signing::{
    ArtifactDigest, ArtifactName, HashAlgorithm, RuleName, SignatureId, SigningProfileName,
    WebhookName,
};
use model::{IdempotencyKey, RequestId};

/// Has artifacts signed.
#[async_trait]
pub trait SignArtifact: Send + Sync + fmt::Debug {
    /// Returns the algorithms of the digests that a signature by a profile needs.
    fn hashes(&self, profile: &SigningProfileName) -> Vec<HashAlgorithm>;

    /// Has an artifact signed; the same idempotency key never signs twice.
    ///
    /// # Errors
    ///
    /// Why nothing was signed, and whether asking again may help.
    async fn sign_artifact(&self, wanted: WantedSignature) -> Result<SignatureId, SignFailure>;
}

/// A signature that a webhook's rule wants.
#[derive(Debug, Clone)]
pub struct WantedSignature {
    /// The webhook: the signer is `webhook/NAME`.
    pub hook: WebhookName,
    /// The rule.
    pub rule: RuleName,
    /// The rule's profile.
    pub profile: SigningProfileName,
    /// The artifact's name.
    pub name: ArtifactName,
    /// Its digests, worked out here of what was fetched.
    pub digests: Vec<ArtifactDigest>,
    /// Its octets.
    pub size: u64,
    /// The SBOM, exactly.
    pub sbom: Option<Bytes>,
    /// The provenance, exactly.
    pub provenance: Option<Bytes>,
    /// Makes a repeated request the same request.
    pub idempotency: IdempotencyKey,
    /// The request by which the message came.
    pub request_id: RequestId,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct SignFailure {
    /// Whether asking again may help.
    pub transient: bool,
    /// The problem's stable code.
    pub code: String,
    /// What was expected, and what there was.
    pub detail: String,
}
