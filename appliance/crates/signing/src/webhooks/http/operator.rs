//! What came in and what goes out, for operators; auditors read.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{self, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use mesh::{Peer, Problem, ProblemType, RequestContext};
use model::Role;
use model::signing::{DeliveryId, EventId};
use serde::Serialize;
use store::signing::SigningStoreError;
use tracing::info;

use crate::webhooks::Webhooks;
use crate::webhooks::view::{DeliveryView, EventView, ListQuery, PageView};

/// How many items a page has, unless asked otherwise.
const DEFAULT_LIMIT: usize = 100;

/// Adds the routes; before those of senders, whose names they would be.
pub(super) fn routes(config: &mut web::ServiceConfig, webhooks: &Data<Webhooks>) {
    let resource = |path: &str| web::resource(path).app_data(webhooks.clone());
    config
        .service(resource("/v1/webhooks/events").route(web::get().to(events)))
        .service(resource("/v1/webhooks/events/{id}").route(web::get().to(event)))
        .service(resource("/v1/webhooks/deliveries").route(web::get().to(deliveries)))
        .service(resource("/v1/webhooks/deliveries/{id}").route(web::get().to(delivery)))
        .service(resource("/v1/webhooks/deliveries/{id}/resend").route(web::post().to(resend)));
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
fn list_query(request: &HttpRequest) -> Result<(ListQuery, usize), Problem> {
    let malformed = |detail: String| Problem::new(ProblemType::MalformedRequest, detail);
    let query = Query::<ListQuery>::from_query(request.query_string())
        .map_err(|error| {
            malformed(format!(
                "the query cannot be read ({error}); it may hold state (waiting, done, dead), \
                 after and limit"
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

/// Says why the store did not do it.
pub(super) fn store_problem(error: SigningStoreError) -> Problem {
    match error {
        SigningStoreError::NoEvent { .. } => no_event(),
        SigningStoreError::NoDelivery { .. } => no_delivery(),
        error if error.is_transient() => Problem::new(
            ProblemType::StoreFailed,
            "the store takes nothing now; nothing was recorded",
        )
        .retry_after(Duration::from_secs(1))
        .caused_by(error),
        error => Problem::internal(error),
    }
}

/// Says that there is no such event.
fn no_event() -> Problem {
    Problem::new(
        ProblemType::EventUnknown,
        "no event of this name came by a webhook, or it ended long ago",
    )
}

/// Says that there is no such delivery.
fn no_delivery() -> Problem {
    Problem::new(
        ProblemType::DeliveryUnknown,
        "no delivery has this name, or it ended long ago",
    )
}

/// Answers JSON that is true now.
fn json(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body)
}

/// `GET /v1/webhooks/events?state=&after=&limit=`.
async fn events(
    webhooks: Data<Webhooks>,
    request: HttpRequest,
    peer: Peer,
) -> Result<HttpResponse, Problem> {
    allow(&peer, &[Role::Operator, Role::Auditor])?;
    let (query, limit) = list_query(&request)?;
    let after: Option<EventId> = query.after.as_deref().map(named).transpose()?;
    let listing = webhooks
        .store
        .events(query.state.map(Into::into), after, limit)
        .await
        .map_err(store_problem)?;
    Ok(json(&PageView {
        items: listing
            .items
            .iter()
            .map(|event| EventView::from(&**event))
            .collect(),
        next: listing.next.map(|id| id.to_string()),
    }))
}

/// `GET /v1/webhooks/events/{id}`.
async fn event(
    webhooks: Data<Webhooks>,
    id: Path<String>,
    peer: Peer,
) -> Result<HttpResponse, Problem> {
    allow(&peer, &[Role::Operator, Role::Auditor])?;
    let id: EventId = named(&id)?;
    let event = webhooks
        .store
        .event(&id)
        .await
        .map_err(store_problem)?
        .ok_or_else(no_event)?;
    Ok(json(&EventView::from(&*event)))
}

/// `GET /v1/webhooks/deliveries?state=&after=&limit=`.
async fn deliveries(
    webhooks: Data<Webhooks>,
    request: HttpRequest,
    peer: Peer,
) -> Result<HttpResponse, Problem> {
    allow(&peer, &[Role::Operator, Role::Auditor])?;
    let (query, limit) = list_query(&request)?;
    let after: Option<DeliveryId> = query.after.as_deref().map(named).transpose()?;
    let listing = webhooks
        .store
        .deliveries(query.state.map(Into::into), after, limit)
        .await
        .map_err(store_problem)?;
    Ok(json(&PageView {
        items: listing
            .items
            .iter()
            .map(|delivery| DeliveryView::of(delivery))
            .collect(),
        next: listing.next.map(|id| id.to_string()),
    }))
}

/// `GET /v1/webhooks/deliveries/{id}`.
async fn delivery(
    webhooks: Data<Webhooks>,
    id: Path<String>,
    peer: Peer,
) -> Result<HttpResponse, Problem> {
    allow(&peer, &[Role::Operator, Role::Auditor])?;
    let id: DeliveryId = named(&id)?;
    let delivery = webhooks
        .store
        .delivery(&id)
        .await
        .map_err(store_problem)?
        .ok_or_else(no_delivery)?;
    Ok(json(&DeliveryView::whole(&delivery)))
}

/// `POST /v1/webhooks/deliveries/{id}/resend`.
async fn resend(
    webhooks: Data<Webhooks>,
    id: Path<String>,
    peer: Peer,
    context: RequestContext,
) -> Result<HttpResponse, Problem> {
    allow(&peer, &[Role::Operator])?;
    let id: DeliveryId = named(&id)?;
    let now = webhooks.clock.now();
    let delivery = webhooks
        .store
        .resend(&id, now, now)
        .await
        .map_err(store_problem)?;
    webhooks.wake_deliveries.notify_one();
    info!(
        delivery.id = %id,
        delivery.target = %delivery.hook,
        request.id = %context.request_id,
        peer = peer.label(),
        "{} has delivery {id} sent again", peer.label()
    );
    Ok(HttpResponse::Accepted()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(DeliveryView::of(&delivery)))
}
