//! Listings and counts over the ACME index. Blocks: called off the request workers.

use std::sync::Arc;

use model::Timestamp;
use model::acme::{AccountId, EabKeyId, Identifier, OrderId, OrderState};

use super::key::{self, Name};
use super::record::{Account, Count, EabKey, Listing, Order, OrderFilter};
use super::view::View;
use crate::error::{Error, IndexFault};

/// Most records looked at for one page.
const LOOKED_AT: usize = 10_000;

/// Largest page.
const MAX_LIMIT: usize = 1_000;

/// Lists accounts, newest first.
///
/// # Errors
///
/// `Index`, `BrokenChain` or `Io` when they cannot be read.
pub(crate) fn accounts(
    view: View<'_>,
    after: Option<AccountId>,
    limit: usize,
) -> Result<Listing<Arc<Account>, AccountId>, Error> {
    let mut range = key::prefixed(b"A".to_vec());
    if let Some(after) = after {
        range.end = Name::Account(after).key();
    }
    let limit = limit.clamp(1, MAX_LIMIT);
    let mut items = Vec::new();
    for found in view.keys_back(range, limit)? {
        let id = AccountId::from_octets(id_of(view, &found)?);
        items.extend(view.account(&id)?);
    }
    let is_full = items.len() == limit;
    let next = items.last().filter(|_| is_full).map(|account| account.id);
    Ok(Listing { items, next })
}

/// Lists EAB keys by name.
///
/// # Errors
///
/// As [`accounts`].
pub(crate) fn eab_keys(
    view: View<'_>,
    after: Option<EabKeyId>,
    limit: usize,
) -> Result<Listing<Arc<EabKey>, EabKeyId>, Error> {
    let mut range = key::prefixed(b"E".to_vec());
    if let Some(after) = after {
        range.start = Name::EabKey(after).key();
        // The key after the cursor's.
        range.start.push(0);
    }
    let limit = limit.clamp(1, MAX_LIMIT);
    let mut items = Vec::new();
    for found in view.keys(range, limit)? {
        let text = found
            .get(1..)
            .and_then(|name| std::str::from_utf8(name).ok());
        let id = text.and_then(|text| EabKeyId::new(text).ok());
        items.extend(view.eab_key(&id.ok_or_else(|| unreadable(view))?)?);
    }
    let is_full = items.len() == limit;
    let next = items.last().filter(|_| is_full).map(|key| key.id.clone());
    Ok(Listing { items, next })
}

/// Lists orders, newest first.
///
/// # Errors
///
/// As [`accounts`].
pub(crate) fn orders(
    view: View<'_>,
    filter: OrderFilter,
    after: Option<OrderId>,
    limit: usize,
    now: Timestamp,
) -> Result<Listing<Arc<Order>, OrderId>, Error> {
    let mut range = match &filter.account {
        Some(account) => key::prefixed(key::listed_of(account)),
        None => key::prefixed(b"O".to_vec()),
    };
    if let Some(after) = after {
        range.end = match &filter.account {
            Some(account) => key::listed(account, &after),
            None => Name::Order(after).key(),
        };
    }
    let limit = limit.clamp(1, MAX_LIMIT);
    let mut items = Vec::new();
    let mut looked_at = 0;
    loop {
        let wanted = limit - items.len();
        let keys = view.keys_back(range.clone(), wanted)?;
        let is_last = keys.len() < wanted;
        let mut next = None;
        for found in keys {
            let id = OrderId::from_octets(id_of(view, &found)?);
            next = Some(id);
            range.end = found;
            let order = view.order(&id)?.map(|order| order.at(now));
            items.extend(order.filter(|order| {
                !filter.without_invalid || !matches!(order.state, OrderState::Invalid { .. })
            }));
        }
        looked_at += wanted;
        if is_last {
            return Ok(Listing { items, next: None });
        }
        if items.len() >= limit || looked_at >= LOOKED_AT {
            return Ok(Listing { items, next });
        }
    }
}

/// Counts an account's orders.
///
/// # Errors
///
/// `Index` when they cannot be read.
pub(crate) fn count_orders(
    view: View<'_>,
    account: &AccountId,
    since: Timestamp,
    most: usize,
) -> Result<Count, Error> {
    let start = key::listed(account, &OrderId::first_at(since));
    let keys = view.keys_back(start..key::prefixed(key::listed_of(account)).end, most)?;
    let oldest = match keys.last() {
        Some(oldest) => Some(OrderId::from_octets(id_of(view, oldest)?).time()),
        None => None,
    };
    Ok(Count {
        number: keys.len(),
        oldest,
    })
}

/// Counts certificates for an identifier.
///
/// # Errors
///
/// `Index` when they cannot be read.
pub(crate) fn count_certificates(
    view: View<'_>,
    identifier: &Identifier,
    since: Timestamp,
    most: usize,
) -> Result<Count, Error> {
    let start = key::issued_since(identifier, since);
    let keys = view.keys_back(start..key::prefixed(key::issued_for(identifier)).end, most)?;
    let oldest = match keys.last() {
        Some(oldest) => {
            let time = key::issued_time(oldest).and_then(|at| Timestamp::from_microsecond(at).ok());
            Some(time.ok_or_else(|| unreadable(view))?)
        }
        None => None,
    };
    Ok(Count {
        number: keys.len(),
        oldest,
    })
}

/// Reads the identifier at the end of a key.
fn id_of(view: View<'_>, found: &[u8]) -> Result<[u8; 16], Error> {
    key::trailing(found).ok_or_else(|| unreadable(view))
}

/// Says that the index cannot be read.
fn unreadable(view: View<'_>) -> Error {
    view.sources.index.unusable(IndexFault::Entry)
}
