//! The resources that take signed requests.

use std::str::FromStr;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use mesh::{Body, Peer, Problem, ProblemType, RequestContext};
use model::acme::{AuthorizationState, ChallengeId, ChallengeState, OrderId, OrderState};
use store::acme::{Account, Authorization, Order};

use super::answer::Answer;
use super::{Listener, only_post};
use crate::problem::{AcmeProblem, Occasion};
use crate::service::request::{Context, KeyRule, Notes, Signed};
use crate::urls::Resource;
use crate::wire::answer::{
    AccountObject, AuthorizationObject, ChallengeObject, OrderObject, OrdersObject,
};

/// Media type of requests (RFC 8555, 6.2).
const JOSE_JSON: &str = "application/jose+json";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Account creation (7.3).
    NewAccount,
    /// An account (7.3.2).
    Account,
    /// An account's orders (7.1.2.1).
    Orders,
    /// Key change (7.3.5).
    KeyChange,
    /// Order creation (7.4).
    NewOrder,
    /// An order.
    Order,
    /// Finalization.
    Finalize,
    /// A certificate (7.4.2).
    Certificate,
    /// Pre-authorization (7.4.1).
    NewAuthorization,
    /// An authorization (7.5).
    Authorization,
    /// A challenge (7.5.1).
    Challenge,
    /// Revocation (7.6).
    Revoke,
}

/// Every call and its path.
const CALLS: [(&str, Call); 13] = [
    (Resource::NewAccount.path(), Call::NewAccount),
    ("/acme/account/{id}", Call::Account),
    ("/acme/account/{id}/orders", Call::Orders),
    (Resource::KeyChange.path(), Call::KeyChange),
    (Resource::NewOrder.path(), Call::NewOrder),
    ("/acme/order/{id}", Call::Order),
    ("/acme/order/{id}/finalize", Call::Finalize),
    ("/acme/cert/{id}", Call::Certificate),
    ("/acme/cert/{id}/{alternate}", Call::Certificate),
    (Resource::NewAuthorization.path(), Call::NewAuthorization),
    ("/acme/authz/{id}", Call::Authorization),
    ("/acme/chall/{id}", Call::Challenge),
    (Resource::RevokeCertificate.path(), Call::Revoke),
];

impl Call {
    /// Returns which key it takes (RFC 8555, 6.2).
    const fn key_rule(self) -> KeyRule {
        match self {
            Self::NewAccount => KeyRule::Jwk,
            Self::Revoke => KeyRule::Either,
            Self::Account
            | Self::Orders
            | Self::KeyChange
            | Self::NewOrder
            | Self::Order
            | Self::Finalize
            | Self::Certificate
            | Self::NewAuthorization
            | Self::Authorization
            | Self::Challenge => KeyRule::Account,
        }
    }
}

/// Adds the routes.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    for (path, call) in CALLS {
        let serve = move |listener: Data<Listener>,
                          request: HttpRequest,
                          body: Result<Body, Problem>,
                          peer: Option<Peer>,
                          known: RequestContext| {
            serve(call, listener, request, body, peer, known)
        };
        config.service(
            web::resource(path)
                .route(web::post().to(serve))
                .default_service(web::to(only_post)),
        );
    }
}

/// Serves one request.
async fn serve(
    call: Call,
    listener: Data<Listener>,
    request: HttpRequest,
    body: Result<Body, Problem>,
    peer: Option<Peer>,
    known: RequestContext,
) -> HttpResponse {
    let mut notes = Notes::default();
    let outcome = match listener.context(&request, peer.as_ref(), known) {
        Ok(context) => perform(call, &listener, &context, &request, body, &mut notes).await,
        Err(problem) => Err(problem),
    };
    listener.respond(&request, &notes, outcome, true)
}

/// Verifies a request and does what it asks for.
async fn perform(
    call: Call,
    listener: &Listener,
    context: &Context,
    request: &HttpRequest,
    body: Result<Body, Problem>,
    notes: &mut Notes,
) -> Result<Answer, AcmeProblem> {
    check_media_type(request)?;
    let Body(body) = body.map_err(unreadable)?;
    let acme = &listener.acme;
    let path = request
        .uri()
        .path_and_query()
        .map_or(request.path(), |whole| whole.as_str());
    let signed = acme
        .authenticate(context, path, call.key_rule(), &body, notes)
        .await?;
    let urls = &context.urls;
    match call {
        Call::NewAccount => {
            let (account, made) = acme.new_account(context, &signed, notes).await?;
            let answer = account_answer(context, &account);
            let url = urls.account(&account.id);
            Ok(if made {
                answer.created(url)
            } else {
                answer.at(url)
            })
        }
        Call::Account => {
            let id = named(request, "id")?;
            let account = acme.update_account(context, &signed, &id).await?;
            Ok(account_answer(context, &account))
        }
        Call::Orders => list_orders(listener, context, request, &signed).await,
        Call::KeyChange => {
            let account = acme.change_key(context, &signed).await?;
            Ok(account_answer(context, &account).at(urls.account(&account.id)))
        }
        Call::NewOrder => {
            let order = acme.new_order(context, &signed, notes).await?;
            let url = urls.order(&order.id);
            Ok(order_answer(listener, context, &order).created(url))
        }
        Call::Order => {
            let id = named(request, "id")?;
            let order = acme.show_order(context, &signed, &id, notes).await?;
            Ok(order_answer(listener, context, &order))
        }
        Call::Finalize => {
            let id = named(request, "id")?;
            let order = acme.finalize_order(context, &signed, &id, notes).await?;
            let url = urls.order(&order.id);
            Ok(order_answer(listener, context, &order).at(url))
        }
        Call::Certificate => {
            let id = named(request, "id")?;
            let order = acme.certificate_of(context, &signed, &id, notes).await?;
            certificate_answer(listener, context, request, &order)
        }
        Call::NewAuthorization => {
            let authorization = acme.new_authorization(context, &signed, notes).await?;
            let url = urls.authorization(&authorization.id);
            Ok(authorization_answer(listener, context, &authorization).created(url))
        }
        Call::Authorization => {
            let id = named(request, "id")?;
            let authorization = acme
                .update_authorization(context, &signed, &id, notes)
                .await?;
            Ok(authorization_answer(listener, context, &authorization))
        }
        Call::Challenge => {
            let id: ChallengeId = named(request, "id")?;
            let authorization = acme.challenge(context, &signed, &id, notes).await?;
            challenge_answer(listener, context, &authorization, &id)
        }
        Call::Revoke => {
            acme.revoke_certificate(context, &signed, notes).await?;
            // RFC 8555, 7.6: 200, no body.
            Ok(Answer::empty())
        }
    }
}

/// Holds a request to its media type (RFC 8555, 6.2).
fn check_media_type(request: &HttpRequest) -> Result<(), AcmeProblem> {
    let given = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if given.is_some_and(|given| given.eq_ignore_ascii_case(JOSE_JSON)) {
        return Ok(());
    }
    Err(
        AcmeProblem::malformed(format!("requests are of type {JOSE_JSON} (RFC 8555, 6.2)"))
            .on(Occasion::MediaType),
    )
}

/// States why a body cannot be read.
fn unreadable(problem: Problem) -> AcmeProblem {
    let stated = AcmeProblem::malformed(problem.detail().to_owned());
    match problem.kind() {
        ProblemType::BodyTooLarge => stated.on(Occasion::TooLarge),
        ProblemType::BodyTimeout => stated.on(Occasion::TooSlow),
        _ => stated,
    }
}

/// Reads what a path names; what is no name of ours is not there.
fn named<T: FromStr>(request: &HttpRequest, part: &str) -> Result<T, AcmeProblem>
where
    T::Err: std::fmt::Display,
{
    let text = request.match_info().get(part).unwrap_or_default();
    text.parse()
        .map_err(|error: T::Err| AcmeProblem::not_found(error.to_string()))
}

/// Shows an account.
fn account_answer(context: &Context, account: &Arc<Account>) -> Answer {
    Answer::json(&AccountObject::new(&context.urls, account))
}

/// Lists a page of orders.
async fn list_orders(
    listener: &Listener,
    context: &Context,
    request: &HttpRequest,
    signed: &Signed,
) -> Result<Answer, AcmeProblem> {
    let id = named(request, "id")?;
    let after: Option<OrderId> = match request.query_string() {
        "" => None,
        query => Some(
            query
                .strip_prefix("after=")
                .and_then(|after| after.parse().ok())
                .ok_or_else(|| AcmeProblem::malformed("the query names no page of the list"))?,
        ),
    };
    let page = listener
        .acme
        .account_orders(context, signed, &id, after)
        .await?;
    let urls = &context.urls;
    let answer = Answer::json(&OrdersObject {
        orders: page
            .items
            .iter()
            .map(|order| urls.order(&order.id))
            .collect(),
    });
    // RFC 8555, 7.1.2.1: a link with relation "next".
    Ok(match page.next {
        Some(after) => answer.link("next", urls.orders(&id, Some(&after))),
        None => answer,
    })
}

/// Shows an order.
fn order_answer(listener: &Listener, context: &Context, order: &Arc<Order>) -> Answer {
    let acme = &listener.acme;
    let as_processing = acme.shows_as_processing(order, context.now);
    let answer = Answer::json(&OrderObject::new(&context.urls, order, as_processing));
    // RFC 8555, 7.4: Retry-After while processing.
    if as_processing || matches!(order.state, OrderState::Processing(_)) {
        answer.retry_after(acme.config.poll_after)
    } else {
        answer
    }
}

/// Hands out a chain and names the others (RFC 8555, 7.4.2).
fn certificate_answer(
    listener: &Listener,
    context: &Context,
    request: &HttpRequest,
    order: &Arc<Order>,
) -> Result<Answer, AcmeProblem> {
    let wanted: usize = match request.match_info().get("alternate") {
        // One chain, one URL: the default has no number.
        Some(text) => text
            .parse()
            .ok()
            .filter(|number| *number > 0 && *text == format!("{number}"))
            .ok_or_else(no_chain)?,
        None => 0,
    };
    let chains = listener.acme.chains_of(order);
    let chain = chains.get(wanted).ok_or_else(no_chain)?;
    let others = (0..chains.len()).filter(|number| *number != wanted);
    Ok(others.fold(Answer::chain(chain), |answer, number| {
        answer.link("alternate", context.urls.certificate(&order.id, number))
    }))
}

/// States that there is no such chain.
fn no_chain() -> AcmeProblem {
    AcmeProblem::not_found("the certificate has no such chain")
}

/// Shows an authorization.
fn authorization_answer(
    listener: &Listener,
    context: &Context,
    authorization: &Arc<Authorization>,
) -> Answer {
    let answer = Answer::json(&AuthorizationObject::new(&context.urls, authorization));
    let validating = authorization.state == AuthorizationState::Pending
        && authorization
            .challenges
            .iter()
            .any(|challenge| matches!(challenge.state, ChallengeState::Processing { .. }));
    if validating {
        answer.retry_after(listener.acme.config.poll_after)
    } else {
        answer
    }
}

/// Shows a challenge.
fn challenge_answer(
    listener: &Listener,
    context: &Context,
    authorization: &Arc<Authorization>,
    id: &ChallengeId,
) -> Result<Answer, AcmeProblem> {
    let challenge = authorization
        .challenge(id.kind)
        .ok_or_else(|| AcmeProblem::not_found("the authorization offers no such challenge"))?;
    let urls = &context.urls;
    let answer = Answer::json(&ChallengeObject::new(urls, authorization, challenge))
        // RFC 8555, 7.1: "up" names the authorization.
        .link("up", urls.authorization(&authorization.id));
    Ok(
        if matches!(challenge.state, ChallengeState::Processing { .. }) {
            answer.retry_after(listener.acme.config.poll_after)
        } else {
            answer
        },
    )
}
