//! Acts on challenges and authorizations (RFC 8555, 7.5).

use std::sync::Arc;

use model::Timestamp;
use model::acme::{
    AuthorizationEvent, AuthorizationId, AuthorizationState, ChallengeEvent, ChallengeId,
    ChallengeState, Failure, OrderEvent, OrderId, OrderState,
};

use super::orders::changed;
use super::{Decided, View};
use crate::acme::act::Done;
use crate::acme::codec::{Kind, Record};
use crate::acme::error::AcmeError;
use crate::acme::record::{Authorization, Order, Validated, Validation};

/// Most identifiers, over all orders, of the orders that become invalid together
/// with an authorization they used again: they share one frame. Any further ones
/// are found out when they are finalized.
const MAX_DEPENDENTS: usize = 2000;

/// A challenge to be changed.
struct Found {
    /// Its authorization, as it is now.
    authorization: Arc<Authorization>,
    /// Its place there.
    position: usize,
}

impl Found {
    /// Returns the challenge's state.
    fn state(&self) -> &ChallengeState {
        // `find` took the position from this list.
        self.authorization
            .challenges
            .get(self.position)
            .map_or(&ChallengeState::Pending, |own| &own.state)
    }

    /// Tells whether the challenge is decided.
    fn is_decided(&self) -> bool {
        match self.state() {
            ChallengeState::Valid { .. } | ChallengeState::Invalid { .. } => true,
            ChallengeState::Pending | ChallengeState::Processing { .. } => false,
        }
    }

    /// Checks that the authorization waits for its challenges.
    fn must_be_pending(&self) -> Result<(), AcmeError> {
        match self.authorization.state {
            AuthorizationState::Pending => Ok(()),
            AuthorizationState::Valid
            | AuthorizationState::Invalid
            | AuthorizationState::Deactivated
            | AuthorizationState::Expired
            | AuthorizationState::Revoked => Err(AcmeError::AuthorizationNotPending {
                id: self.authorization.id,
                state: self.authorization.state.as_str(),
            }),
        }
    }

    /// Returns the authorization with the challenge in another state.
    fn with(&self, state: ChallengeState) -> Authorization {
        let mut authorization = Authorization::clone(&self.authorization);
        if let Some(challenge) = authorization.challenges.get_mut(self.position) {
            challenge.state = state;
        }
        authorization
    }
}

/// Finds a challenge.
fn find(view: View<'_>, id: &ChallengeId, at: Timestamp) -> Result<Found, AcmeError> {
    let missing = AcmeError::NoChallenge { id: *id };
    let Some(authorization) = view.authorization(&id.authorization)? else {
        return Err(missing);
    };
    let mut challenges = authorization.challenges.iter();
    match challenges.position(|own| own.kind == id.kind) {
        Some(position) => Ok(Found {
            authorization: authorization.at(at),
            position,
        }),
        None => Err(missing),
    }
}

/// Notes that the client responded.
pub(super) fn begin(view: View<'_>, id: &ChallengeId, at: Timestamp) -> Result<Decided, AcmeError> {
    let found = find(view, id, at)?;
    if found.is_decided() {
        return Decided::answer(Done::Authorization(found.authorization));
    }
    found.must_be_pending()?;
    let state = found.state().apply(&ChallengeEvent::Respond { at })?;
    if state == *found.state() {
        return Decided::answer(Done::Authorization(found.authorization));
    }
    let authorization = Arc::new(found.with(state));
    let records = vec![Record::Authorization(Arc::clone(&authorization))];
    Decided::record(
        Kind::AuthorizationChanged,
        at,
        records,
        Done::Authorization(authorization),
    )
}

/// Notes what an attempt at validation showed.
pub(super) fn validate(
    view: View<'_>,
    id: &ChallengeId,
    validation: &Validation,
    at: Timestamp,
) -> Result<Decided, AcmeError> {
    let found = find(view, id, at)?;
    let order = match &found.authorization.order {
        Some(order) => view.order(order)?.map(|order| order.at(at)),
        None => None,
    };
    if found.is_decided() {
        let authorization = found.authorization;
        return Decided::answer(Done::Validated(Validated {
            authorization,
            order,
        }));
    }
    found.must_be_pending()?;

    // 1. The challenge; the client's response may not have been recorded yet.
    let responded = found.state().apply(&ChallengeEvent::Respond { at })?;
    let state = responded.apply(&match validation {
        Validation::Succeeded { .. } => ChallengeEvent::Succeed { at },
        Validation::Retrying { error } => ChallengeEvent::Retry {
            error: error.clone(),
        },
        Validation::Failed { error } => ChallengeEvent::Fail {
            error: error.clone(),
        },
    })?;
    let mut authorization = found.with(state);

    // 2. The authorization, and 3. the order that waits for it.
    let event = match validation {
        Validation::Succeeded {
            valid_until,
            attested_key,
        } => {
            let event = AuthorizationEvent::ChallengeValid;
            authorization.state = authorization.state.apply(&event)?;
            authorization.expires_at = *valid_until;
            authorization.attested_key = *attested_key;
            match &order {
                Some(order) if are_others_valid(view, order, &authorization, at)? => {
                    Some(OrderEvent::AuthorizationsValid)
                }
                Some(_) | None => None,
            }
        }
        Validation::Retrying { .. } => None,
        Validation::Failed { error } => {
            let event = AuthorizationEvent::ChallengeFailed;
            authorization.state = authorization.state.apply(&event)?;
            let error = error.clone().about(authorization.ordered());
            Some(OrderEvent::AuthorizationFailed { error })
        }
    };
    let authorization = Arc::new(authorization);
    let mut records = vec![Record::Authorization(Arc::clone(&authorization))];
    let order = match (order, event) {
        (Some(order), Some(event)) => match changed(&order, &event) {
            Ok(after) => {
                records.push(Record::Order(Arc::clone(&after)));
                Some(after)
            }
            // It is final already, perhaps by another authorization.
            Err(_) => Some(order),
        },
        (order, _) => order,
    };
    let done = Done::Validated(Validated {
        authorization,
        order,
    });
    Decided::record(Kind::AuthorizationChanged, at, records, done)
}

/// Tells whether all authorizations of an order but one are valid.
fn are_others_valid(
    view: View<'_>,
    order: &Order,
    but: &Authorization,
    at: Timestamp,
) -> Result<bool, AcmeError> {
    for id in order.authorizations.iter().filter(|id| **id != but.id) {
        match view.authorization(id)? {
            Some(own) if own.clone().at(at).state == AuthorizationState::Valid => {}
            Some(_) | None => return Ok(false),
        }
    }
    Ok(true)
}

/// Deactivates an authorization and fails the orders that depend on it.
pub(super) fn deactivate(
    view: View<'_>,
    id: &AuthorizationId,
    at: Timestamp,
) -> Result<Decided, AcmeError> {
    let before = view
        .authorization(id)?
        .ok_or(AcmeError::NoAuthorization { id: *id })?
        .at(at);
    if before.state == AuthorizationState::Deactivated {
        return Decided::answer(Done::Authorization(before));
    }
    let state = before.state.apply(&AuthorizationEvent::Deactivate)?;
    let authorization = Arc::new(Authorization {
        state,
        ..Authorization::clone(&before)
    });
    let mut records = vec![Record::Authorization(Arc::clone(&authorization))];
    let mut orders: Vec<OrderId> = view.dependents(id, MAX_DEPENDENTS)?;
    orders.extend(before.order);
    orders.sort_unstable();
    orders.dedup();
    let detail = format!("the authorization of {} was deactivated", before.ordered());
    let error = Failure::new("unauthorized", detail).about(before.ordered());
    let mut identifiers = 0;
    for order in orders.into_iter().rev() {
        let Some(order) = view.order(&order)? else {
            continue;
        };
        let order = order.at(at);
        match order.state {
            OrderState::Pending | OrderState::Ready => {
                identifiers += order.identifiers.len();
                if identifiers > MAX_DEPENDENTS {
                    break;
                }
                let error = error.clone();
                let event = OrderEvent::AuthorizationFailed { error };
                records.push(Record::Order(changed(&order, &event)?));
            }
            // What is finalized no longer depends on it.
            OrderState::Processing(_) | OrderState::Valid(_) | OrderState::Invalid { .. } => {}
        }
    }
    Decided::record(
        Kind::AuthorizationChanged,
        at,
        records,
        Done::Authorization(authorization),
    )
}
