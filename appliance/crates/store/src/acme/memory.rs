//! What memory holds of the ACME ledger: records in use, and what is under way.

use std::collections::{BTreeSet, HashMap};

use model::acme::{AuthorizationState, ChallengeId, ChallengeState, OrderId, OrderState};
use serde::{Deserialize, Serialize};

use super::codec::Record;
use super::key::{self, Name};
use super::status::AcmeCounts;

/// Octets of records that one generation of the cache holds, roughly.
const GENERATION: usize = 16 << 20;

/// The settled layer that memory holds, shared with readers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Accounts, kept as long as they are used.
    accounts: Generations,
    /// Orders and authorizations, kept for a while after they changed.
    recent: Generations,
    /// Counts the groups settled: what was read before one may be outdated.
    pub(crate) epoch: u64,
    /// Orders in `processing`.
    pub(crate) processing: BTreeSet<OrderId>,
    /// Challenges in `processing` of authorizations that are pending.
    pub(crate) validating: BTreeSet<ChallengeId>,
    /// Keys to leave the index with the next checkpoint.
    pub(crate) removals: BTreeSet<Vec<u8>>,
    /// What was recorded.
    pub(crate) summary: Summary,
}

/// What a checkpoint tells of what came before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// How much was ever recorded.
    pub(crate) counts: AcmeCounts,
    /// Time of the last act, in microseconds since the epoch.
    pub(crate) time: i64,
}

/// A record found in memory.
pub(crate) struct Cached {
    /// The record.
    pub(crate) record: Record,
    /// Whether it is about to be forgotten.
    pub(crate) is_old: bool,
}

impl Memory {
    /// Starts at a checkpoint.
    pub(crate) fn at(summary: Summary) -> Self {
        Self {
            summary,
            ..Self::default()
        }
    }

    /// Finds a record.
    pub(crate) fn find(&self, name: &Name) -> Option<Cached> {
        self.cache_of(name)?.find(name)
    }

    /// Returns the cache that holds records of a kind.
    const fn cache_of(&self, name: &Name) -> Option<&Generations> {
        match name {
            Name::Account(_) => Some(&self.accounts),
            Name::Order(_) | Name::Authorization(_) => Some(&self.recent),
            Name::EabKey(_) => None,
        }
    }

    /// Keeps a record.
    pub(crate) fn keep(&mut self, name: Name, record: Record) {
        match name {
            Name::Account(_) => self.accounts.insert(name, record),
            Name::Order(_) | Name::Authorization(_) => self.recent.insert(name, record),
            // Used once.
            Name::EabKey(_) => {}
        }
    }

    /// Forgets a record that leaves the index.
    pub(crate) fn forget(&mut self, name: &Name) {
        self.accounts.remove(name);
        self.recent.remove(name);
    }

    /// Takes a record in whose change is on disk and in the index.
    pub(crate) fn settle(&mut self, name: Name, record: Record) {
        match &record {
            Record::Order(order) => match order.state {
                OrderState::Processing(_) => {
                    self.processing.insert(order.id);
                }
                OrderState::Pending
                | OrderState::Ready
                | OrderState::Valid(_)
                | OrderState::Invalid { .. } => {
                    if self.processing.remove(&order.id) {
                        self.removals.insert(key::processing(&order.id));
                    }
                }
            },
            Record::Authorization(authorization) => {
                for challenge in &authorization.challenges {
                    let id = ChallengeId {
                        authorization: authorization.id,
                        kind: challenge.kind,
                    };
                    if is_open(authorization.state, &challenge.state) {
                        self.validating.insert(id);
                    } else if self.validating.remove(&id) {
                        self.removals.insert(key::validating(&id));
                    }
                }
            }
            Record::Account(_) | Record::EabKey(_) => {}
        }
        self.keep(name, record);
    }
}

/// Tells whether a challenge waits for its validation.
pub(crate) const fn is_open(authorization: AuthorizationState, challenge: &ChallengeState) -> bool {
    matches!(
        (authorization, challenge),
        (
            AuthorizationState::Pending,
            ChallengeState::Processing { .. }
        )
    )
}

/// A bounded cache of two generations: when the young one is full it becomes the
/// old one, and the old one is forgotten.
#[derive(Debug, Default)]
struct Generations {
    /// What came since the last change of generations.
    young: HashMap<Name, Record>,
    /// What came before.
    old: HashMap<Name, Record>,
    /// Octets of the young, roughly.
    weight: usize,
}

impl Generations {
    /// Finds a record.
    fn find(&self, name: &Name) -> Option<Cached> {
        let cached = |is_old| {
            move |record: &Record| Cached {
                record: record.clone(),
                is_old,
            }
        };
        let young = self.young.get(name).map(cached(false));
        young.or_else(|| self.old.get(name).map(cached(true)))
    }

    /// Adds or replaces a record.
    fn insert(&mut self, name: Name, record: Record) {
        self.weight += weigh(&record);
        self.old.remove(&name);
        self.young.insert(name, record);
        if self.weight >= GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
    }

    /// Forgets a record.
    fn remove(&mut self, name: &Name) {
        self.young.remove(name);
        self.old.remove(name);
    }
}

/// Estimates the octets that a record takes.
fn weigh(record: &Record) -> usize {
    match record {
        Record::Account(account) => {
            let contacts: usize = account
                .contacts
                .iter()
                .map(|contact| contact.len() + 32)
                .sum();
            512 + account.key.jwk_json.len() + contacts
        }
        Record::EabKey(_) => 512,
        Record::Order(order) => {
            let state: usize = match &order.state {
                OrderState::Processing(own) => own.csr_der.len(),
                OrderState::Valid(own) => own.chains_pem.iter().map(|chain| chain.len()).sum(),
                OrderState::Pending | OrderState::Ready | OrderState::Invalid { .. } => 0,
            };
            512 + 64 * order.identifiers.len() + state
        }
        Record::Authorization(authorization) => 384 + 128 * authorization.challenges.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::tests::order;

    #[test]
    fn the_cache_is_bounded_and_keeps_the_newest() {
        let mut cache = Generations::default();
        let one = weigh(&Record::Order(order(0).into()));
        let count = u32::try_from(GENERATION * 3 / one).unwrap();
        for number in 0..count {
            let order = order(number);
            cache.insert(Name::Order(order.id), Record::Order(order.into()));
        }
        assert!((cache.young.len() + cache.old.len()) * one <= 2 * GENERATION + one);
        assert!(cache.find(&Name::Order(order(count - 1).id)).is_some());
        assert!(cache.find(&Name::Order(order(0).id)).is_none());
    }
}
