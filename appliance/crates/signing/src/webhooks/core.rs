//! The signing core, as webhooks see it, and webhooks, as the signing core sees them.

use std::sync::Arc;

use async_trait::async_trait;
use model::signing::{HashAlgorithm, SignatureId, SigningProfileName};
use serde_json::json;
use store::signing::NewDelivery;

use super::sign::{SignArtifact, SignFailure, WantedSignature};
use super::{Announcement, Happening, Webhooks};
use crate::digests::ArtifactDigests;
use crate::problem::SigningProblem;
use crate::request::{Ask, Outcome, Requester, SignRequest};
use crate::seams::{Announce, SignatureEvent, SignatureEventKind};
use crate::service::Signing;

/// Has artifacts signed by the service itself: as a request by digest is, by the same
/// policy, for the signer `webhook/NAME`.
#[derive(Debug)]
struct Core(Arc<Signing>);

impl Signing {
    /// Returns the service as webhooks have artifacts signed by it.
    #[must_use]
    pub fn for_webhooks(self: &Arc<Self>) -> Arc<dyn SignArtifact> {
        Arc::new(Core(Arc::clone(self)))
    }
}

#[async_trait]
impl SignArtifact for Core {
    fn hashes(&self, profile: &SigningProfileName) -> Vec<HashAlgorithm> {
        let profile = self.0.config.profiles.get(profile);
        profile
            .and_then(|profile| profile.policy.hashes.first().copied())
            .into_iter()
            .collect()
    }

    async fn sign_artifact(&self, wanted: WantedSignature) -> Result<SignatureId, SignFailure> {
        let profile = wanted.profile.clone();
        let outcome = self.sign(wanted).await;
        outcome.map_err(|problem| {
            self.0.note_refused(profile.as_str(), &problem);
            SignFailure {
                transient: problem.is_transient(),
                code: problem.kind().slug().replace('-', "_"),
                detail: problem.to_string(),
            }
        })
    }
}

impl Core {
    /// Has an artifact signed.
    async fn sign(&self, wanted: WantedSignature) -> Result<SignatureId, SigningProblem> {
        let digests = ArtifactDigests::new(wanted.digests)
            .ok_or_else(|| SigningProblem::internal(NoDigest))?;
        let request = SignRequest {
            ask: Ask {
                requester: Requester::Webhook(wanted.hook),
                profile: Some(wanted.profile),
                claimed: None,
                algorithm: None,
                name: Some(wanted.name),
                media_type: None,
                formats: None,
                idempotency: Some(wanted.idempotency),
                request_id: wanted.request_id,
                dry_run: false,
            },
            artifact: (digests, Some(wanted.size)),
            sbom: wanted.sbom,
            provenance: wanted.provenance,
        };
        match self.0.sign(request).await? {
            Outcome::Signed { record, .. } => Ok(record.id),
            Outcome::DryRun(_) => Err(SigningProblem::internal(NothingSigned)),
        }
    }
}

/// An artifact without a digest, or with two of one hash.
#[derive(Debug, thiserror::Error)]
#[error("the artifact has not one digest of each hash")]
struct NoDigest;

/// A verdict where a signature was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the core judged the request and signed nothing")]
struct NothingSigned;

impl Announce for Webhooks {
    fn deliveries(&self, event: &SignatureEvent<'_>) -> Vec<NewDelivery> {
        let happening = match event.kind {
            SignatureEventKind::Created => Happening::SignatureCreated,
            SignatureEventKind::Withdrawn { .. } => Happening::SignatureWithdrawn,
            // Nothing is recorded of a refusal that a message could be queued with.
            SignatureEventKind::Refused { .. } => return Vec::new(),
        };
        let base = event.base_url.trim_end_matches('/');
        let mut data = json!({
            "artifactHash": event.digests.first().map(ToString::to_string),
            "artifactName": event.name.map(|name| name.as_str()),
            "signer": event.signer.as_str(),
            "profile": event.profile.as_str(),
            "requestId": event.request_id.as_str(),
        });
        if let Some(id) = event.id {
            let url = format!("{base}/v1/signatures/{id}");
            data["id"] = id.to_string().into();
            data["signatureURL"] = format!("{url}/signature").into();
            data["bundleURL"] = format!("{url}/bundle").into();
            data["url"] = url.into();
        }
        if let SignatureEventKind::Withdrawn { reason } = event.kind {
            data["reason"] = reason.as_str().into();
        }
        self.messages_of(&Announcement {
            happening,
            at: event.at,
            data,
        })
    }

    fn wake(&self) {
        self.look();
    }
}
