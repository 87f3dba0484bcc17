//! What is asked of the service, and what it answers.

use model::Timestamp;
use model::signing::ArtifactDigest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::evidence::Submitted;

/// One artifact to be signed.
#[derive(Debug)]
pub(super) struct Order {
    /// What it is called.
    pub(super) name: String,
    /// Its digest.
    pub(super) digest: ArtifactDigest,
    /// Its media type.
    pub(super) media_type: Option<String>,
    /// The signing profile.
    pub(super) profile: Option<String>,
    /// What to have made.
    pub(super) formats: Vec<String>,
    /// Bill of materials and provenance.
    pub(super) evidence: Submitted,
    /// Whether only to ask.
    pub(super) dry_run: bool,
    /// Names the request.
    pub(super) key: Option<String>,
}

impl Order {
    /// Returns the members that are the same for both ways of asking.
    pub(super) fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("artifactHash".to_owned(), json!(self.digest));
        members.insert("artifactName".to_owned(), json!(self.name));
        if let Some(media_type) = &self.media_type {
            members.insert("mediaType".to_owned(), json!(media_type));
        }
        if let Some(profile) = &self.profile {
            members.insert("profile".to_owned(), json!(profile));
        }
        if !self.formats.is_empty() {
            members.insert("formats".to_owned(), json!(self.formats));
        }
        members
    }
}

/// The service's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// The signature's id; none where it was only asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Where its record is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    /// The artifact's digest; empty where it was only asked.
    #[serde(default)]
    pub(super) artifact_hash: String,
    /// Who signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    /// Everything else.
    #[serde(flatten)]
    pub(super) members: Map<String, Value>,
}

impl Answer {
    /// Tells whether the service made something: `bundle`, `cms`, …
    pub(super) fn has(&self, what: &str) -> bool {
        self.members
            .get(&format!("{what}URL"))
            .is_some_and(Value::is_string)
    }

    /// Says who signed and when.
    pub(super) fn signer_and_time(&self) -> String {
        let signer = self.signer.as_deref().unwrap_or("the service");
        match self.created_at {
            Some(at) => format!("{signer} at {at:.0}"),
            None => signer.to_owned(),
        }
    }

    /// Says what the policy would decide.
    pub(super) fn decision(&self) -> String {
        let decision = self.members.get("decision").and_then(Value::as_str);
        decision.unwrap_or("unknown").to_owned()
    }
}
