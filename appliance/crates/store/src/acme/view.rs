//! Reading through the layers: staged, memory, index and journal.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use model::acme::{AccountId, AuthorizationId, EabKeyId, Identifier, OrderId};
use model::{SerialNumber, Timestamp};

use super::codec::{self, Record};
use super::key::{self, Located, Name};
use super::memory::Memory;
use super::record::{Account, Authorization, EabKey, Order};
use crate::error::{Error, IndexFault};
use crate::writer::Sources;

/// What the acts of a group change before it is on disk.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Keys and values to add to the index.
    pub(crate) keys: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Records as the last act left them.
    pub(crate) records: HashMap<Name, Record>,
}

/// The state as one reader sees it: the writer with what is staged, others without.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// Index and journal.
    pub(crate) sources: &'a Sources,
    /// What memory holds.
    pub(crate) memory: &'a RwLock<Memory>,
    /// What is staged.
    pub(crate) staged: Option<&'a Staged>,
}

impl View<'_> {
    /// Looks a key up.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if let Some(value) = self.staged.and_then(|staged| staged.keys.get(key)) {
            return Ok(Some(value.clone()));
        }
        let value = self.sources.index.get(key)?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Looks up a key whose value is an identifier.
    fn get_id(&self, key: &[u8]) -> Result<Option<[u8; 16]>, Error> {
        match self.get(key)? {
            Some(value) => key::trailing(&value)
                .ok_or_else(|| self.unreadable())
                .map(Some),
            None => Ok(None),
        }
    }

    /// Says that the index cannot be read.
    fn unreadable(&self) -> Error {
        self.sources.index.unusable(IndexFault::Entry)
    }

    /// Finds a record, the newest layer first.
    ///
    /// # Errors
    ///
    /// `Index`, `BrokenChain` or `Io` when it cannot be read.
    pub(crate) fn record(&self, name: &Name) -> Result<Option<Record>, Error> {
        if let Some(record) = self.staged.and_then(|staged| staged.records.get(name)) {
            return Ok(Some(record.clone()));
        }
        let (cached, epoch) = {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            (memory.find(name), memory.epoch)
        };
        let record = match cached {
            Some(cached) if !cached.is_old => return Ok(Some(cached.record)),
            Some(cached) => cached.record,
            None => {
                let Some(value) = self.sources.index.get(&name.key())? else {
                    return Ok(None);
                };
                let located = Located::decode(&value).ok_or_else(|| self.unreadable())?;
                self.read(name, &located)?
            }
        };
        if matches!(name, Name::Account(_)) {
            // Accounts are read far more often than they change.
            let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
            // What was settled since may be newer than what was read.
            if memory.epoch == epoch {
                memory.keep(name.clone(), record.clone());
            }
        }
        Ok(Some(record))
    }

    /// Reads a record from the journal.
    fn read(&self, name: &Name, located: &Located) -> Result<Record, Error> {
        let record = self.sources.journal.read(located.place, |frame| {
            codec::decode_part(frame, located.part)
        })?;
        if Name::of(&record) == *name {
            Ok(record)
        } else {
            Err(self.unreadable())
        }
    }

    /// Finds an account.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn account(&self, id: &AccountId) -> Result<Option<Arc<Account>>, Error> {
        match self.record(&Name::Account(*id))? {
            Some(Record::Account(account)) => Ok(Some(account)),
            Some(_) => Err(self.unreadable()),
            None => Ok(None),
        }
    }

    /// Finds an EAB key.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn eab_key(&self, id: &EabKeyId) -> Result<Option<Arc<EabKey>>, Error> {
        match self.record(&Name::EabKey(id.clone()))? {
            Some(Record::EabKey(key)) => Ok(Some(key)),
            Some(_) => Err(self.unreadable()),
            None => Ok(None),
        }
    }

    /// Finds an order.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn order(&self, id: &OrderId) -> Result<Option<Arc<Order>>, Error> {
        match self.record(&Name::Order(*id))? {
            Some(Record::Order(order)) => Ok(Some(order)),
            Some(_) => Err(self.unreadable()),
            None => Ok(None),
        }
    }

    /// Finds an authorization.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn authorization(
        &self,
        id: &AuthorizationId,
    ) -> Result<Option<Arc<Authorization>>, Error> {
        match self.record(&Name::Authorization(*id))? {
            Some(Record::Authorization(authorization)) => Ok(Some(authorization)),
            Some(_) => Err(self.unreadable()),
            None => Ok(None),
        }
    }

    /// Finds the account that has a key.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn account_by_key(
        &self,
        thumbprint: &[u8; 32],
    ) -> Result<Option<Arc<Account>>, Error> {
        let Some(id) = self.get_id(&key::thumbprint(thumbprint))? else {
            return Ok(None);
        };
        let account = self.account(&AccountId::from_octets(id))?;
        // The index keeps the keys that accounts had before.
        Ok(account.filter(|account| account.key.thumbprint == *thumbprint))
    }

    /// Finds the last order that was asked for as this one.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn order_requested_as(&self, order: &Order) -> Result<Option<Arc<Order>>, Error> {
        self.order_under(&key::requested(order))
    }

    /// Finds the last order that replaces a certificate.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn order_that_replaces(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<Arc<Order>>, Error> {
        self.order_under(&key::replaced(serial))
    }

    /// Finds the order of a certificate.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn order_of_certificate(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<Arc<Order>>, Error> {
        self.order_under(&key::certificate(serial))
    }

    /// Finds the order that a key names.
    fn order_under(&self, key: &[u8]) -> Result<Option<Arc<Order>>, Error> {
        match self.get_id(key)? {
            Some(id) => self.order(&OrderId::from_octets(id)),
            None => Ok(None),
        }
    }

    /// Finds an account's valid authorization for an identifier as orders name it.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn valid_authorization(
        &self,
        account: &AccountId,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<Option<Arc<Authorization>>, Error> {
        let Some(id) = self.get_id(&key::authorized(account, identifier))? else {
            return Ok(None);
        };
        let found = self.authorization(&AuthorizationId::from_octets(id))?;
        Ok(found
            .map(|own| own.at(now))
            .filter(|own| own.state == model::acme::AuthorizationState::Valid))
    }

    /// Returns the newest orders that used an authorization again.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub(crate) fn dependents(
        &self,
        authorization: &AuthorizationId,
        most: usize,
    ) -> Result<Vec<OrderId>, Error> {
        let range = key::prefixed(key::dependents_of(authorization));
        let mut orders = Vec::new();
        if let Some(staged) = self.staged {
            orders.extend(
                staged
                    .keys
                    .range(range.clone())
                    .rev()
                    .map(|(key, _)| key.clone()),
            );
        }
        for item in self.sources.index.range(range).rev().take(most) {
            orders.push(item?.0.to_vec());
        }
        orders.truncate(most);
        orders
            .iter()
            .map(|key| key::trailing(key).map(OrderId::from_octets))
            .collect::<Option<_>>()
            .ok_or_else(|| self.unreadable())
    }

    /// Reads keys of the index in a range, backwards, at most `most`.
    ///
    /// # Errors
    ///
    /// `Index` when they cannot be read.
    pub(crate) fn keys_back(
        &self,
        range: Range<Vec<u8>>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let items = self.sources.index.range(range).rev().take(most);
        items.map(|item| Ok(item?.0.to_vec())).collect()
    }

    /// Reads keys of the index in a range, at most `most`.
    ///
    /// # Errors
    ///
    /// `Index` when they cannot be read.
    pub(crate) fn keys(&self, range: Range<Vec<u8>>, most: usize) -> Result<Vec<Vec<u8>>, Error> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let items = self.sources.index.range(range).take(most);
        items.map(|item| Ok(item?.0.to_vec())).collect()
    }
}
