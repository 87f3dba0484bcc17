//! What is handed out: every document of a signature, assembled from what was signed.

use attest::bundle::Bundle;
use attest::dsse::{self, Envelope};
use bytes::Bytes;
use model::signing::ArtifactDigest;
use pki::certificate::Certificate;
use store::signing::{Document, DocumentKind, Documents};

use super::media;
use super::plan::Plan;
use crate::formats::Format;
use crate::problem::SigningProblem;

/// One signature of the first stage and what proves its time.
#[derive(Debug)]
pub(super) struct Proven {
    /// The signature.
    pub(super) signature: Vec<u8>,
    /// The time-stamp, DER TimeStampResp.
    pub(super) time_stamp: Option<Vec<u8>>,
    /// The same as a bare token.
    pub(super) token: Option<Vec<u8>>,
    /// The entry in the log.
    pub(super) log_entry: Option<attest::bundle::LogEntry>,
}

/// Media types of what is made.
pub(crate) mod media_types {
    /// Raw signatures.
    pub(crate) const OCTETS: &str = "application/octet-stream";
    /// Chains of certificates (RFC 8555, 9.1).
    pub(crate) const CHAIN: &str = "application/pem-certificate-chain";
    /// Detached CMS signatures (RFC 8551, 3.2.1).
    pub(crate) const CMS: &str = "application/pkcs7-signature";
    /// Time-stamp responses (RFC 3161, 3.4).
    pub(crate) const TIMESTAMP: &str = "application/timestamp-reply";
    /// JSON lines.
    pub(crate) const LINES: &str = "application/jsonl";
    /// DSSE envelopes.
    pub(crate) const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
}

impl Plan {
    /// Puts everything together.
    ///
    /// `proven` has what [`Plan::wanted`] asked for, in its order.
    pub(super) fn assemble(self, proven: Vec<Proven>) -> Result<Documents, SigningProblem> {
        let mut proven = proven.into_iter();
        let mut next = || proven.next().ok_or_else(|| SigningProblem::internal(Short));
        let mut made = Documents::new();
        let mut lines: Vec<(DocumentKind, Bytes)> = Vec::new();
        let raw = next()?;
        let leaf = self.key.leaf();
        put(
            &mut made,
            DocumentKind::Certificate,
            media_types::CHAIN,
            Bytes::copy_from_slice(self.key.chain_pem().as_bytes()),
        )?;
        if self.formats.has(Format::Bundle) {
            let bundle = Bundle::message(leaf.der(), self.digest, raw.signature.clone());
            let json = proven_bundle(bundle, &raw).to_json();
            put(
                &mut made,
                DocumentKind::Bundle,
                attest::bundle::MEDIA_TYPE,
                json.into(),
            )?;
        }
        if let Some(response) = &raw.time_stamp {
            put(
                &mut made,
                DocumentKind::Timestamp,
                media_types::TIMESTAMP,
                Bytes::copy_from_slice(response),
            )?;
        }
        if let Some(entry) = &raw.log_entry {
            put(
                &mut made,
                DocumentKind::LogEntry,
                "application/json",
                Bytes::copy_from_slice(&entry.canonicalized_body),
            )?;
        }
        put(
            &mut made,
            DocumentKind::Signature,
            media_types::OCTETS,
            raw.signature.into(),
        )?;
        if let Some(cms) = self.cms {
            let signed = next()?;
            let mut cms_der = cms
                .assemble(&signed.signature)
                .map_err(SigningProblem::internal)?;
            if let Some(token) = &signed.token {
                cms_der =
                    pki::cms::add_time_stamp(&cms_der, token).map_err(SigningProblem::internal)?;
            }
            put(
                &mut made,
                DocumentKind::Cms,
                media_types::CMS,
                cms_der.into(),
            )?;
        }
        for attestation in self.attestations {
            let signed = next()?;
            let signature = dsse::Signature {
                keyid: self.key.key_id().map(str::to_owned),
                sig: signed.signature.clone(),
            };
            let envelope = Envelope::signed(dsse::IN_TOTO, attestation.statement, signature);
            let bundle =
                Bundle::envelope(leaf.der(), envelope).map_err(SigningProblem::internal)?;
            let json = Bytes::from(proven_bundle(bundle, &signed).to_json());
            let kind = attestation.about.attestation();
            put(&mut made, kind, attest::bundle::MEDIA_TYPE, json.clone())?;
            lines.push((kind, json));
        }
        let mut sent = Vec::new();
        if let Some((media_type, octets)) = self.attested {
            sent = sent_lines(media_type, &octets);
            put(
                &mut made,
                DocumentKind::ProvenanceAttestation,
                media_type,
                octets,
            )?;
        }
        if let Some(document) = all_lines(&lines, &sent)? {
            made.insert(DocumentKind::Attestations, document);
        }
        Ok(made)
    }

    /// Returns what the log hashes of each signature; the digest of an envelope is that
    /// of its pre-authentication encoding.
    pub(super) fn logged(&self) -> Vec<Option<ArtifactDigest>> {
        let cms = self.cms.as_ref().map(|_| None);
        std::iter::once(Some(self.digest))
            .chain(cms)
            .chain(self.attestations.iter().map(|one| Some(one.digest)))
            .collect()
    }

    /// Returns the certificate that signs.
    pub(super) fn leaf(&self) -> &Certificate {
        self.key.leaf()
    }
}

/// Returns the bundles of provenance that came signed, one a line.
fn sent_lines(media_type: &str, octets: &[u8]) -> Vec<u8> {
    if media_type == media_types::LINES {
        let mut lines = octets.trim_ascii_end().to_vec();
        lines.push(b'\n');
        return lines;
    }
    if media_type != attest::bundle::MEDIA_TYPE {
        // An envelope alone is no line that readers of bundles take.
        return Vec::new();
    }
    let mut line = match octets.contains(&b'\n') {
        false => octets.to_vec(),
        // Written over several lines: the same on one. What is signed in it is base64.
        true => serde_json::from_slice::<serde_json::Value>(octets)
            .map(|value| value.to_string().into_bytes())
            .unwrap_or_default(),
    };
    if !line.is_empty() {
        line.push(b'\n');
    }
    line
}

/// Puts bundles together, one a line: those made here, then those that were sent.
fn all_lines(
    made: &[(DocumentKind, Bytes)],
    sent: &[u8],
) -> Result<Option<Document>, SigningProblem> {
    let media_type = media(media_types::LINES)?;
    if sent.is_empty() {
        let lines: Vec<(DocumentKind, &[u8])> =
            made.iter().map(|(kind, json)| (*kind, &json[..])).collect();
        return Ok((!lines.is_empty()).then(|| Document::lines(media_type, &lines)));
    }
    let mut all = Vec::new();
    for (_, json) in made {
        all.extend_from_slice(json);
        all.push(b'\n');
    }
    all.extend_from_slice(sent);
    Ok(Some(Document::new(media_type, all.into())))
}

/// Fewer signatures than were asked for.
#[derive(Debug, thiserror::Error)]
#[error("there are fewer signatures than were asked for")]
struct Short;

/// Adds what proves its time to a bundle.
fn proven_bundle(bundle: Bundle, proven: &Proven) -> Bundle {
    let bundle = match &proven.time_stamp {
        Some(response) => bundle.with_time_stamp(response.clone()),
        None => bundle,
    };
    match &proven.log_entry {
        Some(entry) => bundle.with_log_entry(entry.clone()),
        None => bundle,
    }
}

/// Adds a document.
fn put(
    documents: &mut Documents,
    kind: DocumentKind,
    media_type: &str,
    octets: Bytes,
) -> Result<(), SigningProblem> {
    documents.insert(kind, Document::new(media(media_type)?, octets));
    Ok(())
}
