//! Searches and listings over the signing index. Blocks: called off the request
//! workers.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use model::signing::{ArtifactDigest, DeliveryId, EventId, SignatureId, WebhookName};

use super::codec::{QUEUE_DEAD, QUEUE_DONE, QUEUE_WAITING, SIGNED};
use super::key::{self, ID_LEN};
use super::queue::{DeliveryRecord, EventRecord, QueueState};
use super::record::{Listing, SearchFilter, SignatureRecord};
use super::view::View;
use crate::blobs::Sha256;
use crate::error::{Error, IndexFault};
use crate::writer::Sources;

/// Most records looked at for one page.
const LOOKED_AT: usize = 10_000;

/// Largest page.
pub(crate) const MAX_LIMIT: usize = 1_000;

/// Most octets of leaves read at once.
const LEAF_OCTETS: usize = 8 << 20;

/// Returns the index whose keys are fewest, as far as one can tell without looking:
/// what its keys begin with.
fn narrowest(filter: &SearchFilter) -> Vec<u8> {
    if let Some(artifact) = &filter.artifact {
        key::artifact(artifact)
    } else if let Some(builder) = &filter.builder {
        key::property(b'u', builder)
    } else if let Some(signer) = &filter.signer {
        key::property(b's', signer.as_str())
    } else if let Some(profile) = &filter.profile {
        key::property(b'p', profile.as_str())
    } else {
        b"S".to_vec()
    }
}

impl SearchFilter {
    /// Whether a signature is wanted.
    fn takes(&self, record: &SignatureRecord) -> bool {
        let Self {
            artifact,
            signer,
            builder,
            profile,
            since,
        } = self;
        artifact.is_none_or(|own: ArtifactDigest| record.digests.contains(&own))
            && signer.as_ref().is_none_or(|own| record.signer == *own)
            && builder
                .as_ref()
                .is_none_or(|own| record.builder.as_ref() == Some(own))
            && profile.as_ref().is_none_or(|own| record.profile == *own)
            && since.is_none_or(|since| record.begun_at >= since)
    }
}

/// Finds signatures that were made, newest first.
///
/// # Errors
///
/// `Index`, `BrokenChain` or `Io` when they cannot be read.
pub(crate) fn signatures(
    view: View<'_>,
    filter: &SearchFilter,
    after: Option<SignatureId>,
    limit: usize,
) -> Result<Listing<Arc<SignatureRecord>, SignatureId>, Error> {
    let prefix = narrowest(filter);
    let mut range = key::prefixed(prefix.clone());
    if let Some(after) = after {
        range.end = key::of_signature(prefix.clone(), &after);
    }
    if let Some(since) = filter.since {
        // Names begin with the time, to the millisecond.
        range.start = key::of_signature(prefix, &SignatureId::first_at(since));
    }
    pages(view, range, limit, |octets| {
        let id = SignatureId::from_octets(octets);
        let outcome = view.located(&key::tagged(b'O', &octets))?;
        if outcome.is_none_or(|outcome| outcome.code != SIGNED) {
            return Ok((id, None));
        }
        let record = view.signature(&id)?.filter(|record| filter.takes(record));
        Ok((id, record.map(Arc::new)))
    })
}

/// Walks keys backwards, page by page, until enough was found or looked at.
fn pages<T, C: Copy>(
    view: View<'_>,
    mut range: Range<Vec<u8>>,
    limit: usize,
    look: impl Fn([u8; ID_LEN]) -> Result<(C, Option<T>), Error>,
) -> Result<Listing<T, C>, Error> {
    let limit = limit.clamp(1, MAX_LIMIT);
    let mut items = Vec::new();
    let mut looked_at = 0;
    loop {
        let wanted = limit - items.len();
        let keys = view.keys_back(range.clone(), wanted)?;
        let is_last = keys.len() < wanted;
        let mut next = None;
        for found in keys {
            let id = key::trailing(&found).ok_or_else(|| view.unreadable())?;
            let (cursor, item) = look(id)?;
            next = Some(cursor);
            items.extend(item);
            range.end = found;
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

/// Whether a state of the index is the one wanted.
const fn is_wanted(code: u8, state: Option<QueueState>) -> bool {
    match state {
        None => true,
        Some(QueueState::Waiting) => code == QUEUE_WAITING,
        Some(QueueState::Done) => code == QUEUE_DONE,
        Some(QueueState::Dead) => code == QUEUE_DEAD,
    }
}

/// Lists events, newest first.
///
/// # Errors
///
/// As [`signatures`].
pub(crate) fn events(
    view: View<'_>,
    state: Option<QueueState>,
    after: Option<EventId>,
    limit: usize,
) -> Result<Listing<Arc<EventRecord>, EventId>, Error> {
    if state == Some(QueueState::Waiting) {
        let limit = limit.clamp(1, MAX_LIMIT);
        let waiting = view.memory().events.back(after, limit);
        let next = waiting.last().filter(|_| waiting.len() == limit).copied();
        let items = waiting.iter().map(|id| view.event(id));
        let items = items.filter_map(Result::transpose);
        let items: Result<_, _> = items.map(|item| item.map(Arc::new)).collect();
        return Ok(Listing {
            items: items?,
            next,
        });
    }
    let mut range = key::prefixed(b"e".to_vec());
    if let Some(after) = after {
        range.end = key::tagged(b'e', after.octets());
    }
    pages(view, range, limit, |octets| {
        let id = EventId::from_octets(octets);
        let located = view.located(&key::tagged(b'e', &octets))?;
        if located.is_none_or(|located| !is_wanted(located.code, state)) {
            return Ok((id, None));
        }
        Ok((id, view.event(&id)?.map(Arc::new)))
    })
}

/// Lists deliveries, newest first.
///
/// # Errors
///
/// As [`signatures`].
pub(crate) fn deliveries(
    view: View<'_>,
    state: Option<QueueState>,
    after: Option<DeliveryId>,
    limit: usize,
) -> Result<Listing<Arc<DeliveryRecord>, DeliveryId>, Error> {
    if state == Some(QueueState::Waiting) {
        let limit = limit.clamp(1, MAX_LIMIT);
        let waiting = view.memory().deliveries.back(after, limit);
        let next = waiting.last().filter(|_| waiting.len() == limit).copied();
        let items = waiting.iter().map(|id| view.delivery(id));
        let items = items.filter_map(Result::transpose);
        let items: Result<_, _> = items.map(|item| item.map(Arc::new)).collect();
        return Ok(Listing {
            items: items?,
            next,
        });
    }
    let mut range = key::prefixed(b"d".to_vec());
    if let Some(after) = after {
        range.end = key::tagged(b'd', after.octets());
    }
    pages(view, range, limit, |octets| {
        let id = DeliveryId::from_octets(octets);
        let located = view.located(&key::tagged(b'd', &octets))?;
        if located.is_none_or(|located| !is_wanted(located.code, state)) {
            return Ok((id, None));
        }
        Ok((id, view.delivery(&id)?.map(Arc::new)))
    })
}

/// Returns deliveries that are due, the longest first, but to webhooks that are busy.
///
/// # Errors
///
/// As [`signatures`].
pub(crate) fn deliveries_due(
    view: View<'_>,
    now: i64,
    limit: usize,
    busy: &BTreeSet<WebhookName>,
) -> Result<Vec<Arc<DeliveryRecord>>, Error> {
    let due = view.memory().deliveries.due(now, LOOKED_AT);
    let mut found = Vec::new();
    for id in due {
        if found.len() >= limit {
            break;
        }
        let known = view.memory().hooks.get(&id).cloned();
        if known.is_some_and(|hook| busy.iter().any(|own| own.as_str() == &*hook)) {
            continue;
        }
        let Some(record) = view.delivery(&id)? else {
            continue;
        };
        if busy.contains(&record.hook) {
            view.remember_hook(id, record.hook.as_str());
            continue;
        }
        found.push(Arc::new(record));
    }
    Ok(found)
}

/// Reads leaves of the log, up to the end of the range, of the log, or of what is
/// read at once.
///
/// # Errors
///
/// As [`signatures`].
pub(crate) fn leaves(view: View<'_>, range: Range<u64>) -> Result<Vec<Bytes>, Error> {
    let end = range.end.min(range.start.saturating_add(MAX_LIMIT as u64));
    let end = end.min(view.memory().log.size);
    let mut leaves = Vec::new();
    let mut octets = 0;
    for index in range.start..end {
        let leaf = view.leaf(index)?.ok_or_else(|| view.unreadable())?;
        octets += leaf.len();
        leaves.push(leaf);
        if octets >= LEAF_OCTETS {
            break;
        }
    }
    Ok(leaves)
}

/// Returns the documents in files of their own that records name, with their lengths.
///
/// # Errors
///
/// `Index` when they cannot be read.
pub(crate) fn recorded_blobs(sources: &Sources) -> Result<HashMap<Sha256, u64>, Error> {
    let unreadable = || sources.index.unusable(IndexFault::Entry);
    sources
        .index
        .range(key::prefixed(b"b".to_vec()))
        .map(|item| {
            let (key, value) = item?;
            let len = value[..].try_into().map(u64::from_be_bytes);
            let sha256 = key::sha256_of(&key).ok_or_else(unreadable)?;
            Ok((sha256, len.map_err(|_| unreadable())?))
        })
        .collect()
}
