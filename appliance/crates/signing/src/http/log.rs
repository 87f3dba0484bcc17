//! The transparency log: its checkpoint, its entries and its proofs, for anyone.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mesh::ProblemType;
use serde::{Deserialize, Serialize};

use super::answer::{Cache, json, tagged};
use super::{Answered, query};
use crate::log::{Proof, TransparencyLog};

/// A proof, as it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProofObject {
    /// Leaves in the tree, a string as in bundles.
    tree_size: String,
    /// Its root, base64.
    root_hash: String,
    /// The way, base64.
    hashes: Vec<String>,
}

impl From<Proof> for ProofObject {
    fn from(proof: Proof) -> Self {
        let base64 = |hash: &[u8; 32]| BASE64_STANDARD.encode(hash);
        Self {
            tree_size: proof.tree_size.to_string(),
            root_hash: base64(&proof.root),
            hashes: proof.hashes.iter().map(base64).collect(),
        }
    }
}

/// What a proof of inclusion is asked by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InclusionQuery {
    /// The leaf.
    index: u64,
    /// The tree; the last checkpoint's where absent.
    size: Option<u64>,
}

/// What a proof of consistency is asked by.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsistencyQuery {
    /// The smaller tree.
    from: u64,
    /// The larger one; the last checkpoint's where absent.
    to: Option<u64>,
}

/// States that no checkpoint covers what is asked for.
fn uncovered(what: &str) -> mesh::Problem {
    mesh::Problem::new(
        ProblemType::LogEntryUnknown,
        format!("no checkpoint of the log covers {what}"),
    )
}

/// `GET /v1/log/checkpoint`: the last one, a signed note.
pub(super) async fn checkpoint(log: Data<TransparencyLog>, request: HttpRequest) -> Answered {
    let note = log.checkpoint().ok_or_else(|| uncovered("anything yet"))?;
    let media_type = "text/plain; charset=utf-8";
    Ok(tagged(
        &request,
        media_type,
        note.into_bytes(),
        Cache::Asked,
    ))
}

/// `GET /v1/log/entries/{index}`: a leaf, octet for octet.
pub(super) async fn entry(
    log: Data<TransparencyLog>,
    request: HttpRequest,
    index: Path<String>,
) -> Answered {
    let unknown = || {
        uncovered(&format!(
            "an entry {:?}",
            index.chars().take(24).collect::<String>()
        ))
    };
    let number: u64 = index.parse().map_err(|_| unknown())?;
    let leaf = log.kept_leaf(number).await?.ok_or_else(unknown)?;
    Ok(tagged(
        &request,
        "application/json",
        leaf.to_vec(),
        Cache::Immutable,
    ))
}

/// `GET /v1/log/inclusion?index=&size=`.
pub(super) async fn inclusion(log: Data<TransparencyLog>, request: HttpRequest) -> Answered {
    let asked: InclusionQuery = query(&request, "index and size")?;
    let proof = log
        .inclusion(asked.index, asked.size)?
        .ok_or_else(|| uncovered("such an entry in such a tree"))?;
    Ok(json(
        actix_web::HttpResponse::Ok(),
        &ProofObject::from(proof),
    ))
}

/// `GET /v1/log/consistency?from=&to=`.
pub(super) async fn consistency(log: Data<TransparencyLog>, request: HttpRequest) -> Answered {
    let asked: ConsistencyQuery = query(&request, "from and to")?;
    let proof = log
        .consistency(asked.from, asked.to)?
        .ok_or_else(|| uncovered("such trees"))?;
    Ok(json(
        actix_web::HttpResponse::Ok(),
        &ProofObject::from(proof),
    ))
}
