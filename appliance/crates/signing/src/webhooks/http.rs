//! Webhooks over HTTP.
//!
//! | resource | method | who |
//! |---|---|---|
//! | `/v1/webhooks/{name}` | `POST` | whoever can sign for the webhook |
//! | `/v1/webhooks/events`, `/v1/webhooks/events/{id}` | `GET` | operators, auditors |
//! | `/v1/webhooks/deliveries`, `/v1/webhooks/deliveries/{id}` | `GET` | operators, auditors |
//! | `/v1/webhooks/deliveries/{id}/resend` | `POST` | operators |

mod operator;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use mesh::{
    Body, BodyLimits, Peer, Problem, ProblemType, RequestContext, RequestSpan, client_address,
};
use model::signing::WebhookName;
use serde_json::json;
use tracing::{Span, field, info_span};

use super::authenticate::{Message, Refused};
use super::receive::{NotReceived, Received};
use super::{Hook, Webhooks};

/// Time for a body, on a listener that says nothing.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the routes of webhooks: those of senders, and on the listener with client
/// certificates those of operators.
pub fn routes(
    webhooks: &Arc<Webhooks>,
    mesh: bool,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let webhooks = Arc::clone(webhooks);
    move |config| {
        let data = Data::from(Arc::clone(&webhooks));
        if mesh {
            operator::routes(config, &data);
        }
        config.service(
            web::resource("/v1/webhooks/{name}")
                .app_data(data)
                .route(web::post().to(receive)),
        );
    }
}

/// `POST /v1/webhooks/{name}`.
async fn receive(
    webhooks: Data<Webhooks>,
    name: Path<String>,
    request: HttpRequest,
    peer: Option<Peer>,
    context: RequestContext,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let span = info_span!(
        "webhook",
        webhook.name = field::Empty,
        webhook.outcome = field::Empty,
        webhook.rule = field::Empty,
        event.id = field::Empty,
    );
    request.extensions_mut().insert(RequestSpan(span.clone()));
    let (name, hook) = WebhookName::new(&name)
        .ok()
        .and_then(|name| webhooks.hooks.get_key_value(&name))
        .ok_or_else(|| {
            webhooks.metrics.received("", "unknown");
            Problem::new(
                ProblemType::WebhookUnknown,
                "there is no webhook of this name",
            )
            .closing()
        })?;
    span.record("webhook.name", name.as_str());
    let outcome = take(&webhooks, name, hook, &request, peer, context, payload).await;
    let counted = match &outcome {
        Ok(received) => received.outcome(),
        Err(Failed::Unread(_)) => "unread",
        Err(Failed::NotReceived(error)) => error.outcome(),
    };
    span.record("webhook.outcome", counted);
    webhooks.metrics.received(name.as_str(), counted);
    match outcome {
        Ok(received) => Ok(answer(&span, &received)),
        Err(Failed::Unread(problem)) => Err(problem),
        Err(Failed::NotReceived(error)) => Err(problem(error)),
    }
}

/// Why a message was not taken.
enum Failed {
    /// Its body was not read.
    Unread(Problem),
    /// Its body was read.
    NotReceived(NotReceived),
}

/// Reads a message and takes it.
async fn take(
    webhooks: &Webhooks,
    name: &WebhookName,
    hook: &Hook,
    request: &HttpRequest,
    peer: Option<Peer>,
    context: RequestContext,
    payload: Payload,
) -> Result<Received, Failed> {
    let body = read(hook, request, payload).await.map_err(Failed::Unread)?;
    let header = |name: &str| {
        let mut values = request.headers().get_all(name);
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    };
    let message = Message {
        header: &header,
        body: &body,
        client: client_address(request, &hook.config.trusted_proxies),
        peer: peer.as_ref().map(Peer::identity),
        now: webhooks.clock.now(),
    };
    webhooks
        .receive(name, hook, &message, context.request_id)
        .await
        .map_err(Failed::NotReceived)
}

/// Reads the raw body, as long as the webhook takes and of JSON alone.
async fn read(hook: &Hook, request: &HttpRequest, payload: Payload) -> Result<web::Bytes, Problem> {
    let json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
    if !json {
        return Err(Problem::new(
            ProblemType::UnsupportedMediaType,
            "webhooks take application/json; GitHub's are set to it by their content type",
        )
        .closing());
    }
    let usual = request.app_data::<BodyLimits>().copied();
    let limits = BodyLimits {
        max_bytes: hook.config.max_body_bytes,
        timeout: usual.map_or(BODY_TIMEOUT, |usual| usual.timeout),
    };
    let Body(body) = Body::read(request, payload.into_inner(), limits).await?;
    Ok(body)
}

/// Answers a genuine message.
fn answer(span: &Span, received: &Received) -> HttpResponse {
    let mut response = match received {
        Received::Accepted { .. } => HttpResponse::Accepted(),
        Received::Duplicate { .. } | Received::Ignored { .. } => HttpResponse::Ok(),
    };
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match received {
        Received::Accepted { id, rule } => {
            span.record("event.id", id.to_string());
            span.record("webhook.rule", rule.as_str());
            response.json(json!({
                "status": "accepted",
                "event": id.to_string(),
                "rule": rule.as_str(),
            }))
        }
        Received::Duplicate { id } => {
            span.record("event.id", id.to_string());
            response.json(json!({ "status": "duplicate", "event": id.to_string() }))
        }
        Received::Ignored { event } => response.json(json!({
            "status": "ignored",
            "detail": format!(
                "no rule of this webhook is for the event {event}, or what a rule demands of the \
                 message does not hold"
            ),
        })),
    }
}

/// Says why a message was not taken.
fn problem(error: NotReceived) -> Problem {
    let detail = error.to_string();
    match error {
        NotReceived::Refused(refused) => {
            let kind = match refused {
                Refused::Header { .. } => ProblemType::MalformedRequest,
                Refused::Address { .. } | Refused::Client => ProblemType::WebhookSourceForbidden,
                Refused::Forged => ProblemType::WebhookSignatureInvalid,
                Refused::Stale { .. } => ProblemType::WebhookStale,
            };
            Problem::new(kind, detail)
        }
        NotReceived::Json(_) | NotReceived::NoEvent => {
            Problem::new(ProblemType::MalformedRequest, detail)
        }
        NotReceived::Unplannable(_) => Problem::new(ProblemType::WebhookUnprocessable, detail),
        NotReceived::Replayed { id, .. } => {
            Problem::new(ProblemType::WebhookReplayed, detail).with("event", id.to_string())
        }
        NotReceived::Store(error) => operator::store_problem(error),
        NotReceived::NoRandomness => Problem::internal(error),
    }
}
