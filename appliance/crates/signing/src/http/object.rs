//! Signatures as answers show them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::signing::{DocumentKind, SignatureRecord, SignatureState, Withdrawal};

use crate::facts::{Answer, Facts, ProvenanceSummary, SbomSummary};
use crate::urls::ExternalUrl;

/// One signature.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignatureObject {
    /// Its name.
    id: String,
    /// The digest that the raw signature is over.
    artifact_hash: String,
    /// Every digest that is known of the artifact.
    artifact_hashes: Vec<String>,
    /// The artifact's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_name: Option<String>,
    /// What the artifact is.
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    /// Octets of the artifact, where it was uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_size: Option<u64>,
    /// The profile.
    profile: String,
    /// How it is signed.
    algorithm: String,
    /// The key's name.
    key: String,
    /// What securesystemslib calls the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// The raw signature, base64; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    /// What was made.
    formats: Value,
    /// How many signatures of the token it took.
    token_signatures: u64,
    /// Who asked.
    signer: String,
    /// When it was recorded.
    created_at: String,
    /// The request.
    request_id: String,
    /// What policy says.
    policy: Value,
    /// The bill of materials.
    #[serde(skip_serializing_if = "Option::is_none")]
    sbom: Option<SbomSummary>,
    /// The provenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<ProvenanceSummary>,
    /// How it was withdrawn.
    withdrawal: Value,
    /// Where its documents are.
    #[serde(flatten)]
    urls: Map<String, Value>,
}

/// The documents that have a URL: the member that holds it, and the path below the
/// signature.
pub(super) const DOCUMENTS: [(DocumentKind, &str, &str); 12] = [
    (DocumentKind::Signature, "signatureURL", "signature"),
    (DocumentKind::Certificate, "certificateURL", "certificate"),
    (DocumentKind::Bundle, "bundleURL", "bundle"),
    (DocumentKind::Cms, "cmsURL", "cms"),
    (DocumentKind::Sbom, "sbomURL", "sbom"),
    (
        DocumentKind::SbomAttestation,
        "sbomAttestationURL",
        "sbom/attestation",
    ),
    (DocumentKind::Provenance, "provenanceURL", "provenance"),
    (
        DocumentKind::ProvenanceAttestation,
        "provenanceAttestationURL",
        "provenance/attestation",
    ),
    (DocumentKind::Timestamp, "timestampURL", "timestamp"),
    (DocumentKind::LogEntry, "logEntryURL", "log-entry"),
    (
        DocumentKind::Attestations,
        "attestationsURL",
        "attestations.jsonl",
    ),
    (DocumentKind::Vsa, "vsaURL", "vsa"),
];

impl SignatureObject {
    /// Shows a signature; none for one that was never made.
    pub(super) fn new(
        record: &SignatureRecord,
        signature: Option<&[u8]>,
        base: &ExternalUrl,
    ) -> Option<Self> {
        let SignatureState::Signed {
            at, answer_json, ..
        } = &record.state
        else {
            return None;
        };
        let answer = Answer::read(answer_json)?;
        let facts = Facts::read(&record.facts_json);
        let url = base.signature(&record.id);
        let mut urls = Map::new();
        urls.insert("statusURL".to_owned(), json!(format!("{url}/status")));
        for (kind, member, path) in DOCUMENTS {
            if record.documents.contains_key(&kind) {
                urls.insert(member.to_owned(), json!(format!("{url}/{path}")));
            }
        }
        if let Some(digest) = record.digests.first() {
            urls.insert("artifactURL".to_owned(), json!(base.artifact(digest)));
        }
        Some(Self {
            id: record.id.to_string(),
            artifact_hash: answer.artifact_hash.to_string(),
            artifact_hashes: record.digests.iter().map(ToString::to_string).collect(),
            artifact_name: record.name.as_ref().map(|name| name.as_str().to_owned()),
            media_type: record
                .media_type
                .as_ref()
                .map(|media_type| media_type.as_str().to_owned()),
            artifact_size: facts.size,
            profile: record.profile.to_string(),
            algorithm: answer.algorithm,
            key: answer.key,
            key_id: answer.key_id,
            signature: signature.map(|octets| STANDARD.encode(octets)),
            formats: json!(answer.formats),
            token_signatures: answer.token_signatures,
            signer: record.signer.as_str().to_owned(),
            created_at: at.to_string(),
            request_id: record.request_id.as_str().to_owned(),
            policy: serde_json::from_slice(&record.verdict_json).unwrap_or(Value::Null),
            sbom: facts.sbom,
            provenance: facts.provenance,
            withdrawal: record
                .withdrawal
                .as_ref()
                .map_or(Value::Null, withdrawal_object),
            urls,
        })
    }
}

/// Shows how a signature was withdrawn.
pub(super) fn withdrawal_object(withdrawal: &Withdrawal) -> Value {
    let mut object = json!({
        "reason": withdrawal.reason.as_str(),
        "at": withdrawal.at.to_string(),
        "by": withdrawal.by.as_str(),
    });
    if let Some(note) = &withdrawal.note {
        object["note"] = json!(note.as_str());
    }
    object
}
