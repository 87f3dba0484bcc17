//! `/operator/…`: accounts, orders and EAB keys, for operators; auditors read.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::http::header;
use actix_web::web::{self, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use mesh::{JsonBody, Peer, Problem, ProblemType, RequestContext};
use model::acme::{AccountEvent, AccountId, EabKeyId};
use model::{RevocationReason, Role};
use serde::Serialize;
use store::acme::{AcmeError, Listing, OrderFilter};

use super::Listener;
use crate::operator::{CreatedEab, NewEab, Page, PageQuery, RevokeOrderCertificate};
use crate::service::operator::{OperatorRefusal, account_view, eab_view, order_view};

/// How many items a page has, unless asked otherwise.
const DEFAULT_LIMIT: usize = 100;

/// Adds the routes.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/operator/accounts").route(web::get().to(accounts)))
        .service(web::resource("/operator/accounts/{id}").route(web::get().to(account)))
        .service(
            web::resource("/operator/accounts/{id}/deactivate")
                .route(web::post().to(deactivate_account)),
        )
        .service(
            web::resource("/operator/accounts/{id}/revoke").route(web::post().to(revoke_account)),
        )
        .service(web::resource("/operator/orders").route(web::get().to(orders)))
        .service(web::resource("/operator/orders/{id}").route(web::get().to(order)))
        .service(web::resource("/operator/orders/{id}/revoke").route(web::post().to(revoke_order)))
        .service(
            web::resource("/operator/eab")
                .route(web::get().to(eab_keys))
                .route(web::post().to(create_eab)),
        )
        .service(web::resource("/operator/eab/{id}/revoke").route(web::post().to(revoke_eab)));
}

/// Lets operators and auditors read.
fn may_read(peer: &Peer) -> Result<(), Problem> {
    allow(peer, &[Role::Operator, Role::Auditor])
}

/// Lets operators change.
fn may_change(peer: &Peer) -> Result<(), Problem> {
    allow(peer, &[Role::Operator])
}

/// Lets a peer through that has one of the roles.
fn allow(peer: &Peer, roles: &[Role]) -> Result<(), Problem> {
    if roles.contains(&peer.identity().role) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::RoleForbidden,
        format!(
            "{} may not make this call; identities of the role operator may",
            peer.label()
        ),
    ))
}

/// Reads a query.
fn page_query(request: &HttpRequest) -> Result<(PageQuery, usize), Problem> {
    let malformed = |detail: String| Problem::new(ProblemType::MalformedRequest, detail);
    let query = Query::<PageQuery>::from_query(request.query_string())
        .map_err(|error| {
            malformed(format!(
                "the query cannot be read ({error}); it may hold after, limit and account"
            ))
        })?
        .into_inner();
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=1000).contains(&limit) {
        return Err(malformed("limit is between 1 and 1000".to_owned()));
    }
    Ok((query, limit))
}

/// Reads a name.
fn named<T: FromStr>(text: &str) -> Result<T, Problem>
where
    T::Err: Display,
{
    text.parse()
        .map_err(|error: T::Err| Problem::new(ProblemType::MalformedRequest, error.to_string()))
}

/// Reads the name of an EAB key.
fn eab_named(text: &str) -> Result<EabKeyId, Problem> {
    EabKeyId::new(text)
        .map_err(|error| Problem::new(ProblemType::MalformedRequest, error.to_string()))
}

/// Answers with JSON that is not kept.
fn json<T: Serialize>(object: &T) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(object)
}

/// Answers with a page.
fn page<T, C: Display, V: Serialize>(
    listing: Listing<T, C>,
    view: impl Fn(&T) -> V,
) -> HttpResponse {
    json(&Page {
        items: listing.items.iter().map(view).collect::<Vec<_>>(),
        next: listing.next.map(|next| next.to_string()),
    })
}

/// States why a request is not met.
fn problem(refusal: OperatorRefusal) -> Problem {
    let detail = refusal.to_string();
    let kind = match &refusal {
        OperatorRefusal::Missing { .. }
        | OperatorRefusal::Store(
            AcmeError::NoAccount { .. } | AcmeError::NoOrder { .. } | AcmeError::NoEabKey { .. },
        ) => ProblemType::AcmeUnknown,
        OperatorRefusal::Malformed { .. } => ProblemType::MalformedRequest,
        OperatorRefusal::Store(AcmeError::EabKeyTaken { .. } | AcmeError::Refused(_)) => {
            ProblemType::AcmeConflict
        }
        OperatorRefusal::Store(_) => ProblemType::StoreFailed,
        OperatorRefusal::Ca(error) => {
            // What the CA told is told on: it knows the reason best.
            error.problem_type().unwrap_or(ProblemType::NotReady)
        }
        OperatorRefusal::Failed(_) => ProblemType::Internal,
    };
    Problem::new(kind, detail).caused_by(refusal)
}

/// `GET /operator/accounts`.
async fn accounts(
    listener: Data<Listener>,
    peer: Peer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    may_read(&peer)?;
    let (query, limit) = page_query(&request)?;
    let after = query.after.as_deref().map(named).transpose()?;
    let listing = listener.acme.list_accounts(after, limit).await;
    Ok(page(listing.map_err(problem)?, |one| account_view(one)))
}

/// `GET /operator/accounts/{id}`.
async fn account(
    listener: Data<Listener>,
    peer: Peer,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    may_read(&peer)?;
    let found = listener.acme.find_account(&named(&id)?).await;
    let found = found.map_err(problem)?;
    Ok(json(&account_view(&found)))
}

/// `POST /operator/accounts/{id}/deactivate`.
async fn deactivate_account(
    listener: Data<Listener>,
    peer: Peer,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    end_account(&listener, &peer, &id, AccountEvent::Deactivate).await
}

/// `POST /operator/accounts/{id}/revoke`.
async fn revoke_account(
    listener: Data<Listener>,
    peer: Peer,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    end_account(&listener, &peer, &id, AccountEvent::Revoke).await
}

/// Ends an account.
async fn end_account(
    listener: &Listener,
    peer: &Peer,
    id: &str,
    event: AccountEvent,
) -> Result<HttpResponse, Problem> {
    may_change(peer)?;
    let id: AccountId = named(id)?;
    let ended = listener
        .acme
        .end_account(&id, event)
        .await
        .map_err(problem)?;
    tracing::info!(
        acme.account = %id,
        peer.identity = peer.label(),
        "{} {} account {id}",
        peer.label(),
        event.as_str()
    );
    Ok(json(&account_view(&ended)))
}

/// `GET /operator/orders`.
async fn orders(
    listener: Data<Listener>,
    peer: Peer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    may_read(&peer)?;
    let (query, limit) = page_query(&request)?;
    let after = query.after.as_deref().map(named).transpose()?;
    let filter = OrderFilter {
        account: query.account.as_deref().map(named).transpose()?,
        without_invalid: false,
    };
    let listing = listener.acme.list_orders(filter, after, limit).await;
    Ok(page(listing.map_err(problem)?, |one| order_view(one)))
}

/// `GET /operator/orders/{id}`.
async fn order(
    listener: Data<Listener>,
    peer: Peer,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    may_read(&peer)?;
    let found = listener.acme.find_order(&named(&id)?).await;
    let found = found.map_err(problem)?;
    Ok(json(&order_view(&found)))
}

/// `POST /operator/orders/{id}/revoke`.
async fn revoke_order(
    listener: Data<Listener>,
    peer: Peer,
    request: RequestContext,
    id: Path<String>,
    body: JsonBody<RevokeOrderCertificate>,
) -> Result<HttpResponse, Problem> {
    may_change(&peer)?;
    let reason = match &body.0.reason {
        Some(text) => named(text)?,
        None => RevocationReason::Unspecified,
    };
    let revoked = listener
        .acme
        .revoke_order(&named(&id)?, reason, &request.request_id)
        .await
        .map_err(problem)?;
    Ok(json(&order_view(&revoked)))
}

/// `GET /operator/eab`.
async fn eab_keys(
    listener: Data<Listener>,
    peer: Peer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    may_read(&peer)?;
    let (query, limit) = page_query(&request)?;
    let after = query.after.as_deref().map(eab_named).transpose()?;
    let listing = listener.acme.list_eab(after, limit).await;
    Ok(page(listing.map_err(problem)?, |one| eab_view(one)))
}

/// `POST /operator/eab`: the one answer that shows the secret.
async fn create_eab(
    listener: Data<Listener>,
    peer: Peer,
    body: JsonBody<NewEab>,
) -> Result<HttpResponse, Problem> {
    may_change(&peer)?;
    let (key, secret) = listener.acme.create_eab(body.0).await.map_err(problem)?;
    tracing::info!(
        acme.eab_key = %key.id,
        peer.identity = peer.label(),
        "{} made EAB key {}",
        peer.label(),
        key.id
    );
    Ok(HttpResponse::Created()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(CreatedEab {
            key: eab_view(&key),
            hmac_key: secret.to_string(),
        }))
}

/// `POST /operator/eab/{id}/revoke`.
async fn revoke_eab(
    listener: Data<Listener>,
    peer: Peer,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    may_change(&peer)?;
    let id = eab_named(&id)?;
    let revoked = listener.acme.revoke_eab(&id).await.map_err(problem)?;
    tracing::info!(
        acme.eab_key = %id,
        peer.identity = peer.label(),
        "{} revoked EAB key {id}",
        peer.label()
    );
    Ok(json(&eab_view(&revoked)))
}
