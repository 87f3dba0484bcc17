//! Acts on orders (RFC 8555, 7.4).

use std::sync::Arc;

use model::Timestamp;
use model::acme::{
    AccountId, AuthorizationState, Failure, Finalization, Identifier, IssuedCertificate,
    OrderEvent, OrderId, OrderState,
};

use super::accounts::valid;
use super::{Decided, Plan, View};
use crate::acme::act::Done;
use crate::acme::codec::{Kind, Record};
use crate::acme::error::AcmeError;
use crate::acme::record::{
    Authorization, Challenge, NewAuthorization, NewOrder, Order, PreAuthorization,
};

/// Makes an order and the authorizations it lacks.
pub(super) fn create(view: View<'_>, new: &NewOrder) -> Result<Decided, AcmeError> {
    // 1. Who asks, and whether it was asked before.
    let account = valid(view, &new.account)?.id;
    if let Some(order) = view.order(&new.id)? {
        return Decided::answer(Done::OrderRepeated(order.at(new.at)));
    }
    let mut order = Order {
        id: new.id,
        account,
        state: OrderState::Pending,
        identifiers: new.identifiers.iter().map(|(own, _)| own.clone()).collect(),
        authorizations: Vec::with_capacity(new.identifiers.len()),
        profile: new.profile.clone(),
        not_before: new.not_before,
        not_after: new.not_after,
        replaces: new.replaces.clone(),
        created_at: new.at,
        expires_at: new.expires_at,
    };
    if let Some(repeated) = find_repeated(view, new, &order)? {
        return Decided::answer(Done::OrderRepeated(repeated));
    }

    // 2. RFC 9773, 5: a certificate is replaced by one order that is not invalid.
    if let Some(replaces) = &new.replaces
        && let Some(other) = view.order_that_replaces(&replaces.serial)?
    {
        let other = other.at(new.at);
        match other.state {
            OrderState::Invalid { .. } => {}
            OrderState::Pending
            | OrderState::Ready
            | OrderState::Processing(_)
            | OrderState::Valid(_) => {
                return Err(AcmeError::AlreadyReplaced { order: other.id });
            }
        }
    }

    // 3. An authorization for each identifier; the order ends with the first of them.
    let mut records = Vec::with_capacity(1 + new.identifiers.len());
    let mut all_valid = true;
    for (identifier, wanted) in &new.identifiers {
        let valid = find_valid(view, &account, identifier, new.at, new.reuse_valid_until)?;
        let (id, expires_at) = match valid {
            Some(valid) => (valid.id, valid.expires_at),
            None => {
                all_valid = false;
                let own = pending(account, Some(new.id), identifier, wanted, new.at);
                let found = (own.id, own.expires_at);
                records.push(Record::Authorization(Arc::new(own)));
                found
            }
        };
        order.authorizations.push(id);
        order.expires_at = order.expires_at.min(expires_at);
    }
    if all_valid {
        order.state = order.state.apply(&OrderEvent::AuthorizationsValid)?;
    }
    let order = Arc::new(order);
    records.insert(0, Record::Order(Arc::clone(&order)));
    Decided::record(Kind::OrderCreated, new.at, records, Done::Order(order))
}

/// Finds an order that the same request made, if it is still open.
fn find_repeated(
    view: View<'_>,
    new: &NewOrder,
    wanted: &Order,
) -> Result<Option<Arc<Order>>, AcmeError> {
    let Some(since) = new.repeat_since else {
        return Ok(None);
    };
    let found = view.order_requested_as(wanted)?;
    let open = found
        .filter(|order| order.created_at >= since)
        .map(|order| order.at(new.at))
        .filter(|order| match order.state {
            OrderState::Pending | OrderState::Ready => true,
            OrderState::Processing(_) | OrderState::Valid(_) | OrderState::Invalid { .. } => false,
        });
    Ok(open)
}

/// Finds an authorization that may be used again.
fn find_valid(
    view: View<'_>,
    account: &AccountId,
    identifier: &Identifier,
    now: Timestamp,
    valid_until: Option<Timestamp>,
) -> Result<Option<Arc<Authorization>>, AcmeError> {
    let Some(valid_until) = valid_until else {
        return Ok(None);
    };
    let found = view.valid_authorization(account, identifier, now)?;
    Ok(found.filter(|own| own.expires_at >= valid_until))
}

/// Makes an authorization that is to be shown.
fn pending(
    account: AccountId,
    order: Option<OrderId>,
    identifier: &Identifier,
    new: &NewAuthorization,
    at: Timestamp,
) -> Authorization {
    Authorization {
        id: new.id,
        account,
        order,
        identifier: identifier.base(),
        wildcard: identifier.is_wildcard(),
        state: AuthorizationState::Pending,
        token: new.token.clone(),
        challenges: new
            .challenges
            .iter()
            .map(|kind| Challenge {
                kind: *kind,
                state: model::acme::ChallengeState::Pending,
            })
            .collect(),
        created_at: at,
        expires_at: new.expires_at,
        attested_key: None,
    }
}

/// Makes an authorization before any order.
pub(super) fn create_authorization(
    view: View<'_>,
    new: &PreAuthorization,
) -> Result<Decided, AcmeError> {
    let account = valid(view, &new.account)?.id;
    if let Some(there) = view.authorization(&new.new.id)? {
        return Decided::answer(Done::Authorization(there.at(new.at)));
    }
    let valid = find_valid(
        view,
        &account,
        &new.identifier,
        new.at,
        new.reuse_valid_until,
    )?;
    if let Some(valid) = valid {
        return Decided::answer(Done::Authorization(valid));
    }
    let made = Arc::new(pending(account, None, &new.identifier, &new.new, new.at));
    let records = vec![Record::Authorization(Arc::clone(&made))];
    Decided::record(
        Kind::AuthorizationCreated,
        new.at,
        records,
        Done::Authorization(made),
    )
}

/// Takes an order to `processing`.
pub(super) fn finalize(
    view: View<'_>,
    id: &OrderId,
    finalization: &Finalization,
) -> Result<Decided, AcmeError> {
    let at = finalization.at;
    let order = view
        .order(id)?
        .ok_or(AcmeError::NoOrder { id: *id })?
        .at(at);
    let not_ready = |state| AcmeError::OrderNotReady { id: *id, state };
    let earlier = match &order.state {
        OrderState::Ready => None,
        OrderState::Processing(own) => Some(own.csr_sha256),
        OrderState::Valid(own) => Some(own.csr_sha256),
        OrderState::Pending | OrderState::Invalid { .. } => {
            return Err(not_ready(order.state.as_str()));
        }
    };
    if let Some(earlier) = earlier {
        // A client that lost the answer asks again; it gets the same certificate.
        if earlier == finalization.csr_sha256 {
            return Decided::answer(Done::OrderRepeated(order));
        }
        return Err(not_ready(order.state.as_str()));
    }
    // RFC 8555, 7.1.6: an authorization may have ended since the order was ready.
    if let Some(error) = find_ended(view, &order, at)? {
        let ended = changed(&order, &OrderEvent::AuthorizationFailed { error })?;
        let state = ended.state.as_str();
        let plan = Plan {
            kind: Kind::OrderFailed,
            at,
            records: vec![Record::Order(ended)],
        };
        return Ok(Decided::Record(plan, Err(not_ready(state))));
    }
    let order = changed(&order, &OrderEvent::Finalize(finalization.clone()))?;
    record(Kind::OrderFinalized, order, at)
}

/// Finds out whether an authorization of an order is not valid any more.
fn find_ended(view: View<'_>, order: &Order, at: Timestamp) -> Result<Option<Failure>, AcmeError> {
    for (id, identifier) in order.authorizations.iter().zip(&order.identifiers) {
        let state = match view.authorization(id)? {
            Some(authorization) => authorization.at(at).state,
            // It left the index long after it ended.
            None => AuthorizationState::Expired,
        };
        if state != AuthorizationState::Valid {
            let detail = format!("the authorization of {identifier} is {}", state.as_str());
            let failure = Failure::new("unauthorized", detail).about(identifier.clone());
            return Ok(Some(failure));
        }
    }
    Ok(None)
}

/// Takes an order to `valid`.
pub(super) fn issue(
    view: View<'_>,
    id: &OrderId,
    certificate: &IssuedCertificate,
) -> Result<Decided, AcmeError> {
    let order = view.order(id)?.ok_or(AcmeError::NoOrder { id: *id })?;
    if let OrderState::Valid(own) = &order.state
        && own.serial == certificate.serial
    {
        return Decided::answer(Done::OrderRepeated(order));
    }
    let order = changed(&order, &OrderEvent::Issued(certificate.clone()))?;
    record(Kind::CertificateIssued, order, certificate.at)
}

/// Takes an order to `invalid` at the CA's word.
pub(super) fn reject(
    view: View<'_>,
    id: &OrderId,
    error: &Failure,
    at: Timestamp,
) -> Result<Decided, AcmeError> {
    let order = view.order(id)?.ok_or(AcmeError::NoOrder { id: *id })?;
    if matches!(order.state, OrderState::Invalid { .. }) {
        return Decided::answer(Done::OrderRepeated(order));
    }
    let error = error.clone();
    let order = changed(&order, &OrderEvent::Rejected { error })?;
    record(Kind::OrderFailed, order, at)
}

/// Returns an order after an event.
///
/// # Errors
///
/// `Refused` if its state does not take it.
pub(super) fn changed(order: &Order, event: &OrderEvent) -> Result<Arc<Order>, AcmeError> {
    Ok(Arc::new(Order {
        state: order.state.apply(event)?,
        ..order.clone()
    }))
}

/// Records an order that changed.
fn record(kind: Kind, order: Arc<Order>, at: Timestamp) -> Result<Decided, AcmeError> {
    let records = vec![Record::Order(Arc::clone(&order))];
    Decided::record(kind, at, records, Done::Order(order))
}
