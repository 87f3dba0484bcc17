//! `POST /v1/verify`.

use std::str::FromStr;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use attest::bundle::Bundle;
use attest::verify::{Evidence, Policy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mesh::Peer;
use model::signing::{ArtifactDigest, HashAlgorithm};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::json;
use super::evidence::octets;
use super::sign::media_type;
use super::upload::{Form, Pace, read_whole};
use super::{Answered, may_read};
use crate::digests::ArtifactDigests;
use crate::problem::SigningProblem;
use crate::service::{Proof, Signing};

/// What a request says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerifyRequest<'a> {
    /// The artifact's digest.
    #[serde(default)]
    artifact_hash: Option<String>,
    /// More of its digests.
    #[serde(default)]
    artifact_hashes: Vec<String>,
    /// A bundle.
    #[serde(default, borrow)]
    bundle: Option<&'a RawValue>,
    /// A raw signature, base64.
    #[serde(default)]
    signature: Option<String>,
    /// The signer's certificate and perhaps those above it, PEM.
    #[serde(default)]
    certificate: Option<String>,
    /// A detached CMS signature, base64 of the DER.
    #[serde(default)]
    cms: Option<String>,
    /// A time-stamp response, base64 of the DER.
    #[serde(default)]
    timestamp: Option<String>,
    /// What is asked for.
    #[serde(default)]
    policy: Option<Policy>,
}

/// Longest request: a bundle of the longest bill of materials in base64, twice.
const MAX_REQUEST: u64 = attest::bundle::MAX_LEN as u64;

/// What is to be verified.
struct Question {
    /// The artifact, where the request names it.
    digests: Vec<ArtifactDigest>,
    /// What is to prove something about it.
    proof: Proof,
    /// What is asked for.
    policy: Policy,
}

/// `POST /v1/verify`: by digest (JSON), or with the artifact (a form).
pub(super) async fn verify(
    signing: Data<Signing>,
    peer: Peer,
    request: HttpRequest,
    payload: Payload,
) -> Answered {
    may_read(&peer)?;
    let outcome = match media_type(&request) {
        Some("application/json") => by_digest(&signing, &request, payload).await,
        Some("multipart/form-data") => with_artifact(&signing, &request, payload).await,
        _ => Err(SigningProblem::MediaType {
            taken: "application/json or multipart/form-data",
        }),
    };
    match outcome {
        Ok(report) => {
            signing.metrics.verification(report.verified);
            Ok(json(HttpResponse::Ok(), &report))
        }
        Err(problem) => Err(mesh::Problem::from(problem).closing()),
    }
}

/// Verifies by digest.
async fn by_digest(
    signing: &Data<Signing>,
    request: &HttpRequest,
    payload: Payload,
) -> Result<attest::verify::Report, SigningProblem> {
    let pace = Pace::of(&signing.config.limits);
    let mut memory = signing.memory.begin();
    let whole = read_whole(
        request,
        payload,
        &pace,
        "a request",
        MAX_REQUEST,
        &mut memory,
    )
    .await?;
    let question = blocking(move || Question::read(&whole)).await?;
    let digests = ArtifactDigests::new(question.digests).ok_or_else(|| {
        SigningProblem::malformed(
            "artifactHash: the artifact's digest is missing, or two of one hash are there",
        )
    })?;
    signing
        .verify(digests, question.proof, question.policy)
        .await
}

/// Verifies with the artifact at hand.
async fn with_artifact(
    signing: &Data<Signing>,
    request: &HttpRequest,
    payload: Payload,
) -> Result<attest::verify::Report, SigningProblem> {
    let limits = &signing.config.limits;
    let mut memory = signing.memory.begin();
    let mut form = Form::new(request, payload, Pace::of(limits));
    let whole = form
        .take("request", "a request", MAX_REQUEST, &mut memory)
        .await?
        .ok_or_else(|| SigningProblem::malformed("the form's first part is request"))?;
    let question = blocking(move || Question::read(&whole)).await?;
    let hashes = question.proof.hashes()?;
    let (digests, _) = form
        .digest_artifact(&hashes, limits.artifact_bytes)
        .await?
        .ok_or_else(|| SigningProblem::malformed("the form's parts are request and artifact"))?;
    for named in &question.digests {
        if digests
            .by(named.algorithm())
            .is_some_and(|actual| actual != named)
        {
            return Err(SigningProblem::malformed(
                "artifactHash: the artifact that came has another digest",
            ));
        }
    }
    signing
        .verify(digests, question.proof, question.policy)
        .await
}

/// Runs work where waiting is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SigningProblem> + Send + 'static,
) -> Result<T, SigningProblem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(SigningProblem::internal)?
}

impl Question {
    /// Takes a request apart.
    fn read(whole: &Bytes) -> Result<Self, SigningProblem> {
        let read: VerifyRequest<'_> = serde_json::from_slice(whole).map_err(|error| {
            SigningProblem::malformed(format!(
                "the request is not the JSON this call takes: {error}"
            ))
        })?;
        let digests = read
            .artifact_hash
            .iter()
            .chain(&read.artifact_hashes)
            .map(|text| ArtifactDigest::from_str(text))
            .collect::<Result<Vec<_>, _>>()?;
        let time_stamp = decoded("timestamp", read.timestamp.as_deref())?;
        let proof = match (read.bundle, read.signature, read.cms) {
            (Some(bundle), None, None) => {
                let octets = octets(whole, bundle, "a bundle", MAX_REQUEST)?;
                let bundle = Bundle::parse(&octets).map_err(|error| malformed("bundle", &error))?;
                Proof::Bundle {
                    bundle: Box::new(bundle),
                    octets,
                }
            }
            (None, Some(signature), None) => Proof::Raw {
                signature: decoded("signature", Some(&signature))?.unwrap_or_default(),
                chain: chain(read.certificate.as_deref())?,
                hash: digests.first().map(ArtifactDigest::algorithm),
                time_stamp,
            },
            (None, None, Some(cms)) => Proof::Cms {
                cms_der: decoded("cms", Some(&cms))?.unwrap_or_default(),
                time_stamp,
            },
            _ => {
                return Err(SigningProblem::EvidenceMalformed {
                    what: "one of bundle, signature and cms is to be verified".to_owned(),
                });
            }
        };
        Ok(Self {
            digests,
            proof,
            policy: read.policy.unwrap_or_default(),
        })
    }
}

/// States what cannot be read.
fn malformed(name: &str, error: &dyn std::fmt::Display) -> SigningProblem {
    SigningProblem::EvidenceMalformed {
        what: format!("{name}: {error}"),
    }
}

/// Reads base64.
fn decoded(name: &str, text: Option<&str>) -> Result<Option<Vec<u8>>, SigningProblem> {
    text.map(|text| {
        STANDARD
            .decode(text)
            .map_err(|error| malformed(name, &error))
    })
    .transpose()
}

/// Reads the signer's chain.
fn chain(text: Option<&str>) -> Result<Vec<Vec<u8>>, SigningProblem> {
    let text = text.ok_or_else(|| SigningProblem::EvidenceMalformed {
        what: "certificate: a raw signature comes with its signer's certificate, PEM".to_owned(),
    })?;
    pki::pem::read_certificates(text.as_bytes()).map_err(|error| malformed("certificate", &error))
}

impl Proof {
    /// Returns the hashes that verifying takes.
    fn hashes(&self) -> Result<Vec<HashAlgorithm>, SigningProblem> {
        let evidence: Evidence<'_> = self.evidence();
        evidence
            .hashes()
            .map_err(|error| malformed("evidence", &error))
    }
}
