//! `GET /v1/signatures/{id}` and what is below it.

use std::str::FromStr;

use actix_web::body::SizedStream;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use attest::bundle::{Bundle, Content};
use attest::dsse::{self, Envelope};
use bytes::Bytes;
use futures_util::stream;
use mesh::Peer;
use model::signing::SignatureId;
use store::signing::{
    DocumentKind, SignatureRecord, SignatureState, SigningStoreError, StoredContent, StoredDocument,
};

use super::answer::{Cache, negotiate, tagged, tagged_head, unchanged};
use super::object::{DOCUMENTS, SignatureObject};
use super::{Answered, may_read};
use crate::facts::Answer;
use crate::problem::SigningProblem;
use crate::service::Signing;
use crate::sign::media_types;

/// Longest raw signature: RSA of 16384 bits and a good deal more.
const MAX_SIGNATURE: u64 = 1 << 16;

/// Longest attestation that an envelope is taken out of.
const MAX_ATTESTATION: u64 = attest::bundle::MAX_LEN as u64;

/// Reads a signature's name.
pub(super) fn id(text: &str) -> Result<SignatureId, SigningProblem> {
    SignatureId::from_str(text).map_err(|_| SigningProblem::SignatureUnknown {
        given: text.chars().take(64).collect(),
    })
}

/// Shows one signature with its raw octets.
pub(super) async fn show(
    signing: &Signing,
    record: &SignatureRecord,
) -> Result<SignatureObject, SigningProblem> {
    let document = signing
        .store
        .document(&record.id, DocumentKind::Signature)
        .await?
        .ok_or_else(|| SigningProblem::internal(Incomplete))?;
    let signature = document.content.read(MAX_SIGNATURE).await?;
    SignatureObject::new(record, Some(&signature), signing.url()?)
        .ok_or_else(|| SigningProblem::internal(Incomplete))
}

/// A record without what every signature has.
#[derive(Debug, thiserror::Error)]
#[error("the record of a signature lacks what every signature has")]
pub(super) struct Incomplete;

/// `GET /v1/signatures/{id}`.
pub(super) async fn signature(
    signing: Data<Signing>,
    peer: Peer,
    request: HttpRequest,
    path: Path<String>,
) -> Answered {
    may_read(&peer)?;
    let record = signing.signed(&id(&path)?).await?;
    let object = show(&signing, &record).await?;
    let body = serde_json::to_vec(&object).map_err(SigningProblem::internal)?;
    // It changes when it is withdrawn.
    Ok(tagged(&request, "application/json", body, Cache::Asked))
}

/// `GET /v1/signatures/{id}/{document}`.
pub(super) async fn document(
    signing: Data<Signing>,
    peer: Peer,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Answered {
    may_read(&peer)?;
    let (signature, name) = path.into_inner();
    let kind = DOCUMENTS
        .iter()
        .find(|(_, _, path)| *path == name)
        .map(|(kind, ..)| *kind)
        .ok_or_else(|| {
            mesh::Problem::new(
                mesh::ProblemType::NotFound,
                "a signature has no such document",
            )
        })?;
    if kind == DocumentKind::Vsa {
        return attested(&signing, &request, &id(&signature)?, kind).await;
    }
    let stored = find(&signing, &id(&signature)?, kind).await?;
    Ok(whole(&request, stored))
}

/// `GET /v1/signatures/{id}/sbom/attestation` and `…/provenance/attestation`.
pub(super) async fn attestation(
    signing: Data<Signing>,
    peer: Peer,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Answered {
    may_read(&peer)?;
    let (signature, about) = path.into_inner();
    let kind = match about.as_str() {
        "sbom" => DocumentKind::SbomAttestation,
        _ => DocumentKind::ProvenanceAttestation,
    };
    attested(&signing, &request, &id(&signature)?, kind).await
}

/// Answers with an attestation: the bundle, or its envelope alone.
async fn attested(
    signing: &Signing,
    request: &HttpRequest,
    id: &SignatureId,
    kind: DocumentKind,
) -> Answered {
    let record = signing.signed(id).await?;
    let stored = find(signing, id, kind).await?;
    if stored.info.media_type.as_str() != attest::bundle::MEDIA_TYPE {
        // Provenance that came signed, as it came.
        return Ok(whole(request, stored));
    }
    let offered = [
        (attest::bundle::MEDIA_TYPE, true),
        (media_types::ENVELOPE, false),
        ("application/json", true),
    ];
    let (media_type, is_bundle) = negotiate(request, &offered)?;
    if is_bundle {
        return Ok(vary(whole(request, stored)));
    }
    let bundle = stored
        .content
        .read(MAX_ATTESTATION)
        .await
        .map_err(problem)?;
    let key_id = key_id(&record);
    let envelope = tokio::task::spawn_blocking(move || {
        let bundle = Bundle::parse(&bundle).map_err(SigningProblem::internal)?;
        match bundle.content {
            Content::Envelope(envelope) => Ok(with_key_id(&envelope, key_id)),
            Content::Message(_) => Err(SigningProblem::internal(Incomplete)),
        }
    })
    .await
    .map_err(SigningProblem::internal)??;
    Ok(vary(tagged(
        request,
        media_type,
        envelope,
        Cache::Immutable,
    )))
}

/// Returns what securesystemslib calls the key that made a signature.
fn key_id(record: &SignatureRecord) -> Option<String> {
    match &record.state {
        SignatureState::Signed { answer_json, .. } => Answer::read(answer_json)?.key_id,
        SignatureState::Open { .. } | SignatureState::Abandoned { .. } => None,
    }
}

/// Writes an envelope with the id of its key, which bundles leave out: in-toto's tools
/// find keys by it, and it is not signed.
fn with_key_id(envelope: &Envelope, key_id: Option<String>) -> Vec<u8> {
    match envelope.signatures() {
        [signature] => {
            let signature = dsse::Signature {
                keyid: key_id,
                sig: signature.sig.clone(),
            };
            let payload = envelope.payload().to_vec();
            Envelope::signed(envelope.payload_type(), payload, signature).to_json()
        }
        _ => envelope.to_json(),
    }
}

/// Says that the answer depends on what was asked for.
fn vary(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(
        actix_web::http::header::VARY,
        actix_web::http::header::HeaderValue::from_static("accept"),
    );
    response
}

/// Finds a document of a signature that was made.
pub(super) async fn find(
    signing: &Signing,
    id: &SignatureId,
    kind: DocumentKind,
) -> Result<StoredDocument, SigningProblem> {
    let record = signing.signed(id).await?;
    let absent = || SigningProblem::EvidenceAbsent {
        id: record.id,
        kind,
    };
    let found = signing.store.document(id, kind).await?;
    found.ok_or_else(absent)
}

/// States what the store says of a document.
fn problem(error: SigningStoreError) -> SigningProblem {
    error.into()
}

/// Answers with a document, octet for octet.
fn whole(request: &HttpRequest, stored: StoredDocument) -> HttpResponse {
    let StoredDocument { info, content } = stored;
    let tag = hex::encode(info.sha256);
    if let Some(response) = unchanged(request, &tag, Cache::Immutable) {
        return response;
    }
    let mut response = tagged_head(&tag, info.media_type.as_str(), Cache::Immutable);
    match content {
        StoredContent::Octets(octets) => response.body(octets),
        StoredContent::Stream(reader) => {
            let chunks = stream::try_unfold(reader, |mut reader| async move {
                let next: Option<Bytes> = reader.next().await?;
                Ok::<_, SigningStoreError>(next.map(|chunk| (chunk, reader)))
            });
            response.body(SizedStream::new(
                info.len,
                Box::pin(futures_util::TryStreamExt::map_err(chunks, |error| {
                    // The connection ends: what was sent is not the whole document.
                    Box::<dyn std::error::Error>::from(error)
                })),
            ))
        }
    }
}
