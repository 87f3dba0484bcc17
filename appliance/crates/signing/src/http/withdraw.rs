//! `POST /v1/signatures/{id}/revoke` and `GET …/status`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use mesh::{JsonBody, Peer, RequestContext};
use model::signing::{WithdrawalNote, WithdrawalReason};
use serde::Deserialize;
use serde_json::json;
use store::signing::SignatureRecord;

use super::answer::{Cache, json, tagged};
use super::object::withdrawal_object;
use super::read::id;
use super::{Answered, may_read, may_sign};
use crate::problem::SigningProblem;
use crate::service::Signing;

/// Why a signature is withdrawn.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WithdrawRequest {
    /// The reason.
    reason: String,
    /// The reason in words.
    #[serde(default)]
    note: Option<String>,
}

/// `POST /v1/signatures/{id}/revoke`.
pub(super) async fn withdraw(
    signing: Data<Signing>,
    peer: Peer,
    context: RequestContext,
    path: Path<String>,
    body: JsonBody<WithdrawRequest>,
) -> Answered {
    may_sign(&peer)?;
    let JsonBody(body) = body;
    let reason: WithdrawalReason = body
        .reason
        .parse()
        .map_err(|error| SigningProblem::malformed(format!("reason: {error}")))?;
    let note = body
        .note
        .map(|note| WithdrawalNote::new(&note))
        .transpose()
        .map_err(|error| SigningProblem::malformed(format!("note: {error}")))?;
    let record = signing
        .withdraw(&id(&path)?, &peer, reason, note, &context.request_id)
        .await?;
    Ok(json(HttpResponse::Ok(), &status_object(&record)))
}

/// `GET /v1/signatures/{id}/status`.
pub(super) async fn status(
    signing: Data<Signing>,
    peer: Peer,
    request: HttpRequest,
    path: Path<String>,
) -> Answered {
    may_read(&peer)?;
    let record = signing.signed(&id(&path)?).await?;
    let body = serde_json::to_vec(&status_object(&record)).map_err(SigningProblem::internal)?;
    Ok(tagged(&request, "application/json", body, Cache::Asked))
}

/// Shows whether a signature counts.
fn status_object(record: &SignatureRecord) -> serde_json::Value {
    match &record.withdrawal {
        None => json!({"id": record.id.to_string(), "status": "good"}),
        Some(withdrawal) => json!({
            "id": record.id.to_string(),
            "status": "withdrawn",
            "withdrawal": withdrawal_object(withdrawal),
        }),
    }
}
