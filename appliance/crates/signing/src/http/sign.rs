//! `POST /v1/signatures`.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use mesh::{Peer, RequestContext};
use model::IdempotencyKey;
use model::signing::{ArtifactDigest, ArtifactName, MediaType, SigningProfileName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::json;
use super::evidence::octets;
use super::read::show;
use super::upload::{Form, Pace, read_whole};
use super::{Answered, may_sign, query};
use crate::digests::ArtifactDigests;
use crate::formats::Format;
use crate::memory::TakenMemory;
use crate::problem::SigningProblem;
use crate::request::{Ask, Outcome, Requester};
use crate::service::Signing;

/// What a request says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignatureRequest<'a> {
    /// The artifact's digest.
    #[serde(default)]
    artifact_hash: Option<String>,
    /// The artifact's name.
    #[serde(default)]
    artifact_name: Option<String>,
    /// What the artifact is.
    #[serde(default)]
    media_type: Option<String>,
    /// The profile.
    #[serde(default)]
    profile: Option<String>,
    /// How the key is to sign.
    #[serde(default)]
    algorithm: Option<String>,
    /// What is to be made.
    #[serde(default)]
    formats: Option<Vec<Format>>,
    /// The bill of materials.
    #[serde(default, borrow)]
    sbom: Option<&'a RawValue>,
    /// The provenance.
    #[serde(default, borrow)]
    provenance: Option<&'a RawValue>,
}

/// What the address may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignQuery {
    /// Whether policy is to be asked and nothing signed.
    #[serde(default)]
    dry_run: bool,
}

/// What comes beside the body.
struct Beside {
    /// Who asks.
    peer: Peer,
    /// The request's id.
    context: RequestContext,
    /// Makes a repeated request the same request.
    idempotency: Option<IdempotencyKey>,
    /// Whether nothing is to be signed.
    dry_run: bool,
}

/// A request that was read, its evidence taken out.
struct Taken {
    /// What is asked.
    ask: Ask,
    /// The bill of materials.
    sbom: Option<Bytes>,
    /// The provenance.
    provenance: Option<Bytes>,
}

/// Longest request without evidence.
const MAX_REQUEST: u64 = 64 * 1024;

/// `POST /v1/signatures`: by digest (JSON), or with the artifact (a form).
pub(super) async fn sign(
    signing: Data<Signing>,
    peer: Peer,
    context: RequestContext,
    request: HttpRequest,
    payload: Payload,
) -> Answered {
    may_sign(&peer)?;
    let signing = signing.into_inner();
    let query: SignQuery = query(&request, "dry_run=true or false")?;
    let beside = Beside {
        idempotency: idempotency_key(&request)?,
        dry_run: query.dry_run,
        peer,
        context,
    };
    let mut profile = String::new();
    let outcome = match media_type(&request) {
        Some("application/json") => {
            by_digest(&signing, beside, &request, payload, &mut profile).await
        }
        Some("multipart/form-data") => {
            with_artifact(&signing, beside, &request, payload, &mut profile).await
        }
        _ => Err(SigningProblem::MediaType {
            taken: "application/json or multipart/form-data",
        }),
    };
    match outcome {
        Ok(outcome) => Ok(answer(&signing, outcome, &profile).await?),
        Err(problem) => {
            signing.note_refused(&profile, &problem);
            let problem = mesh::Problem::from(problem);
            Err(match media_type(&request) {
                // A body that was read to its end leaves the connection as it was.
                Some("application/json") => problem,
                // What is left of an upload is not waited for.
                _ => problem.closing(),
            })
        }
    }
}

/// Returns the body's media type.
pub(super) fn media_type(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    [
        "application/json",
        "multipart/form-data",
        "application/timestamp-query",
    ]
    .into_iter()
    .find(|known| known.eq_ignore_ascii_case(essence))
}

/// Reads the idempotency key; quoted or not.
fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, SigningProblem> {
    let mut values = request.headers().get_all("idempotency-key");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let malformed = |detail: &str| SigningProblem::malformed(format!("Idempotency-Key: {detail}"));
    if values.next().is_some() {
        return Err(malformed("there are several"));
    }
    let text = value.to_str().map_err(|_| malformed("it is not ASCII"))?;
    let bare = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    IdempotencyKey::new(bare)
        .map(Some)
        .map_err(|error| malformed(&error.to_string()))
}

/// Takes a request apart.
fn take(
    signing: &Signing,
    beside: Beside,
    whole: &Bytes,
    profile: &mut String,
) -> Result<Taken, SigningProblem> {
    let read: SignatureRequest<'_> = serde_json::from_slice(whole).map_err(|error| {
        SigningProblem::malformed(format!(
            "the request is not the JSON this call takes: {error}"
        ))
    })?;
    let malformed = |name: &str, error: &dyn std::fmt::Display| {
        SigningProblem::malformed(format!("{name}: {error}"))
    };
    let wanted = read
        .profile
        .as_deref()
        .map(|text| {
            SigningProfileName::new(text).map_err(|_| SigningProblem::ProfileUnknown {
                given: text.chars().take(48).collect(),
            })
        })
        .transpose()?;
    let named = wanted.as_ref().unwrap_or(&signing.config.default_profile);
    if signing.config.profiles.contains_key(named) {
        // Metrics have no names that clients make up.
        named.as_str().clone_into(profile);
    }
    let limits = &signing.config.limits;
    let evidence = |value: Option<&RawValue>, what, limit: usize| {
        value
            .map(|value| octets(whole, value, what, limit as u64))
            .transpose()
    };
    Ok(Taken {
        sbom: evidence(read.sbom, SBOM, limits.sbom_bytes)?,
        provenance: evidence(read.provenance, PROVENANCE, limits.provenance_bytes)?,
        ask: Ask {
            requester: Requester::Peer(beside.peer),
            profile: wanted,
            claimed: read
                .artifact_hash
                .as_deref()
                .map(str::parse::<ArtifactDigest>)
                .transpose()?,
            algorithm: read.algorithm,
            name: read
                .artifact_name
                .as_deref()
                .map(ArtifactName::new)
                .transpose()
                .map_err(|error| malformed("artifactName", &error))?,
            media_type: read
                .media_type
                .as_deref()
                .map(MediaType::new)
                .transpose()
                .map_err(|error| malformed("mediaType", &error))?,
            formats: read.formats.map(|formats| formats.into_iter().collect()),
            idempotency: beside.idempotency,
            request_id: beside.context.request_id,
            dry_run: beside.dry_run,
        },
    })
}

/// What a bill of materials is called in sentences.
const SBOM: &str = "a bill of materials";

/// What provenance is called in sentences.
const PROVENANCE: &str = "provenance";

/// Signs by digest.
async fn by_digest(
    signing: &Arc<Signing>,
    beside: Beside,
    request: &HttpRequest,
    payload: Payload,
    profile: &mut String,
) -> Result<Outcome, SigningProblem> {
    let limits = &signing.config.limits;
    let evidence = (limits.sbom_bytes + limits.provenance_bytes) as u64;
    let limit = MAX_REQUEST + evidence.div_ceil(3) * 4;
    let mut memory = signing.memory.begin();
    let pace = Pace::of(limits);
    let whole = read_whole(request, payload, &pace, "a request", limit, &mut memory).await?;
    let read_by = Arc::clone(signing);
    // Megabytes of text: where waiting is allowed.
    let (taken, named) = tokio::task::spawn_blocking(move || {
        let mut named = String::new();
        (take(&read_by, beside, &whole, &mut named), named)
    })
    .await
    .map_err(SigningProblem::internal)?;
    *profile = named;
    let Taken {
        ask,
        sbom,
        provenance,
    } = taken?;
    let digest = ask.claimed.ok_or_else(|| {
        SigningProblem::malformed(
            "artifactHash: a request without the artifact itself names its digest",
        )
    })?;
    let admitted = signing.admit(ask)?;
    let admitted = signing.take_evidence(admitted, sbom, provenance).await?;
    let outcome = signing
        .sign_admitted(admitted, ArtifactDigests::one(digest), None)
        .await;
    drop(memory);
    outcome
}

/// The parts of a form, in words.
const ORDER: &str = "request, sbom, provenance and artifact";

/// Signs with the artifact at hand.
async fn with_artifact(
    signing: &Arc<Signing>,
    beside: Beside,
    request: &HttpRequest,
    payload: Payload,
    profile: &mut String,
) -> Result<Outcome, SigningProblem> {
    let limits = &signing.config.limits;
    let mut memory = signing.memory.begin();
    let mut form = Form::new(request, payload, Pace::of(limits));
    let whole = form
        .take("request", "a request", MAX_REQUEST, &mut memory)
        .await?
        .ok_or_else(|| {
            SigningProblem::malformed(format!(
                "the form's parts are {ORDER}; request is the first"
            ))
        })?;
    let taken = take(signing, beside, &whole, profile)?;
    if taken.sbom.is_some() || taken.provenance.is_some() {
        return Err(SigningProblem::malformed(
            "in a form, sbom and provenance are parts of their own",
        ));
    }
    let admitted = signing.admit(taken.ask)?;
    let sbom = part(&mut form, "sbom", SBOM, limits.sbom_bytes, &mut memory).await?;
    let provenance = part(
        &mut form,
        "provenance",
        PROVENANCE,
        limits.provenance_bytes,
        &mut memory,
    )
    .await?;
    let claimed = admitted.ask.claimed;
    if form.peek().await? != Some("artifact") {
        form.refuse_rest(ORDER).await?;
    }
    // Policy is asked before the artifact is read.
    let admitted = signing.take_evidence(admitted, sbom, provenance).await?;
    let hashes = admitted.hashes();
    let digested = form.digest_artifact(&hashes, limits.artifact_bytes).await?;
    let (digests, size) = match (digested, claimed) {
        (Some((digests, size)), _) => {
            signing.metrics.uploaded.inc_by(size);
            (digests, Some(size))
        }
        (None, Some(claimed)) => (ArtifactDigests::one(claimed), None),
        (None, None) => {
            return Err(SigningProblem::malformed(
                "the form has neither the artifact nor, in its request, artifactHash",
            ));
        }
    };
    let outcome = signing.sign_admitted(admitted, digests, size).await;
    drop(memory);
    outcome
}

/// Reads a part that may be there.
async fn part(
    form: &mut Form,
    name: &str,
    what: &'static str,
    limit: usize,
    memory: &mut TakenMemory,
) -> Result<Option<Bytes>, SigningProblem> {
    form.take(name, what, limit as u64, memory).await
}

/// Answers what came of it.
async fn answer(
    signing: &Signing,
    outcome: Outcome,
    profile: &str,
) -> Result<HttpResponse, SigningProblem> {
    match outcome {
        Outcome::DryRun(verdict) => {
            signing.metrics.request(profile, "dry_run");
            Ok(json(HttpResponse::Ok(), &verdict))
        }
        Outcome::Signed { record, repeated } => {
            if repeated {
                signing.metrics.request(profile, "repeated");
            }
            let object = show(signing, &record).await?;
            let mut response = HttpResponse::Created();
            let location = signing.url()?.signature(&record.id);
            response.insert_header((header::LOCATION, location));
            if repeated {
                response.insert_header(("idempotency-replayed", HeaderValue::from_static("true")));
            }
            Ok(json(response, &object))
        }
    }
}
