//! `POST /revoke-cert`, `GET` and `POST /revocations`.

use std::sync::Arc;

use actix_web::web::{Data, Query};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use mesh::wire::{
    self, InvalidRevokeBody, RevocationFilter, RevocationImport, RevokeBody, RevokeOrder,
};
use mesh::{JsonBody, Peer, Problem, ProblemType, RequestContext};
use serde_json::json;

use super::authorize;
use super::problem::store_sentence;
use crate::completing::Completing;
use crate::grants::Call;
use crate::issue::{Ca, Requester};
use crate::refusal::chain;
use crate::revoke::{RevokeRefusal, RevokedBy, to_wire};

/// Revokes a certificate, or a key with all its certificates.
pub(super) async fn revoke(
    ca: Data<Ca>,
    peer: Peer,
    context: RequestContext,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    // Before the body is read: who may not call is not listened to.
    if authorize(&ca, &peer, Call::RevokeAny).is_err() {
        authorize(&ca, &peer, Call::Revoke).map_err(Problem::closing)?;
    }
    let body = JsonBody::<RevokeBody>::from_request(&request, &mut payload.into_inner()).await?;
    let order = body.0.check().map_err(|error| {
        let kind = match error {
            InvalidRevokeBody::Reason { .. } => ProblemType::BadRevocationReason,
            _ => ProblemType::MalformedRequest,
        };
        Problem::new(kind, error.to_string())
    })?;
    let by = revoked_by(&peer, context);
    let ca = ca.into_inner();
    let runtime = ca.runtime.clone();
    match order {
        RevokeOrder::Certificate(order) => {
            Completing::new(Arc::clone(&ca).revoke(order, by), runtime)
                .await
                .map(|record| HttpResponse::Ok().json(record))
        }
        RevokeOrder::Key(order) => Completing::new(Arc::clone(&ca).revoke_key(order, by), runtime)
            .await
            .map(|done| HttpResponse::Ok().json(done)),
    }
    .map_err(|refusal| revoke_problem(&refusal))
}

/// Takes revocations over from elsewhere.
pub(super) async fn import(
    ca: Data<Ca>,
    peer: Peer,
    context: RequestContext,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    authorize(&ca, &peer, Call::RevokeAny).map_err(Problem::closing)?;
    let body =
        JsonBody::<RevocationImport>::from_request(&request, &mut payload.into_inner()).await?;
    let by = revoked_by(&peer, context);
    let ca = ca.into_inner();
    let runtime = ca.runtime.clone();
    Completing::new(Arc::clone(&ca).import_revocations(body.0, by), runtime)
        .await
        .map(|outcome| HttpResponse::Ok().json(outcome))
        .map_err(|refusal| revoke_problem(&refusal))
}

/// Lists what is revoked.
pub(super) async fn list(
    ca: Data<Ca>,
    peer: Peer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    authorize(&ca, &peer, Call::Revocations)?;
    let filter =
        Query::<RevocationFilter>::from_query(request.query_string()).map_err(|error| {
            Problem::new(
                ProblemType::MalformedRequest,
                format!("the query cannot be read ({error}); it may hold issuer, limit and cursor"),
            )
        })?;
    ca.list_revocations(&filter)
        .await
        .map(|page| HttpResponse::Ok().json(page))
        .map_err(|refusal| revoke_problem(&refusal))
}

/// Notes who asks.
fn revoked_by(peer: &Peer, context: RequestContext) -> RevokedBy {
    RevokedBy {
        requester: Requester::Peer(peer.identity().clone()),
        request_id: context.request_id,
    }
}

/// Finds the kind of problem that a refusal is.
pub(crate) fn revoke_problem_type(refusal: &RevokeRefusal) -> ProblemType {
    match refusal {
        RevokeRefusal::RoleForbidden { .. } => ProblemType::RoleForbidden,
        RevokeRefusal::NotYours { .. } | RevokeRefusal::KeyNotYours { .. } => {
            ProblemType::RevocationForbidden
        }
        RevokeRefusal::SerialUnknown { .. }
        | RevokeRefusal::Store(store::Error::UnknownSerial { .. }) => ProblemType::SerialUnknown,
        RevokeRefusal::Certificate(_) | RevokeRefusal::BadCursor => ProblemType::MalformedRequest,
        RevokeRefusal::Dates(_) => ProblemType::BadInvalidityDate,
        RevokeRefusal::KeyReason => ProblemType::BadRevocationReason,
        RevokeRefusal::IssuerUnknown { .. } => ProblemType::IssuerUnknown,
        RevokeRefusal::TooMany { .. } => ProblemType::BodyTooLarge,
        RevokeRefusal::Clock(_) => ProblemType::ClockImplausible,
        RevokeRefusal::Store(store::Error::AlreadyRevoked { .. }) => ProblemType::AlreadyRevoked,
        RevokeRefusal::Store(store::Error::NotOnHold { .. }) => ProblemType::NotOnHold,
        RevokeRefusal::Store(store::Error::Busy { .. }) => ProblemType::QueueFull,
        RevokeRefusal::Store(store::Error::NoSpace { .. }) => ProblemType::DiskFull,
        RevokeRefusal::Store(_) => ProblemType::StoreFailed,
        RevokeRefusal::Task(_) => ProblemType::Internal,
    }
}

/// Tells a refusal to a peer: of our own parts only what a peer can use.
pub(crate) fn revoke_problem(refusal: &RevokeRefusal) -> Problem {
    let kind = revoke_problem_type(refusal);
    let detail = match refusal {
        RevokeRefusal::Store(error) if refusal.is_ours() => store_sentence(error).to_owned(),
        RevokeRefusal::Task(_) => {
            "not everything was revoked; ask again, and it goes on; the service's log has the \
             cause under this request id"
                .to_owned()
        }
        theirs => chain(theirs),
    };
    let mut problem = Problem::new(kind, detail);
    if let Some(delay) = refusal.retry_after() {
        problem = problem.retry_after(delay);
    }
    match refusal {
        RevokeRefusal::Store(store::Error::AlreadyRevoked { record }) => problem.with(
            wire::FIRST_REVOCATION,
            // Of plain members alone, so it has a JSON form.
            serde_json::to_value(to_wire(record, None)).unwrap_or_else(|_| json!({})),
        ),
        RevokeRefusal::SerialUnknown { serial }
        | RevokeRefusal::NotYours { serial, .. }
        | RevokeRefusal::Store(
            store::Error::UnknownSerial { serial } | store::Error::NotOnHold { serial },
        ) => problem.with("serial", serial.to_string()),
        _ => problem,
    }
}
