//! Acts on accounts and EAB keys (RFC 8555, 7.3).

use std::sync::Arc;

use model::Timestamp;
use model::acme::{AccountEvent, AccountId, AccountState, EabKeyId};

use super::{Decided, View};
use crate::acme::act::Done;
use crate::acme::codec::{Kind, Record};
use crate::acme::error::AcmeError;
use crate::acme::record::{
    Account, AccountKey, AccountUpdate, Binding, EabKey, EabKeyState, NewAccount,
};

/// Makes an account, unless its key has one.
pub(super) fn create(view: View<'_>, new: &NewAccount) -> Result<Decided, AcmeError> {
    // RFC 8555, 7.3.1: the key of an account finds that account.
    if let Some(account) = view.account_by_key(&new.key.thumbprint)? {
        return Decided::answer(Done::AccountExists(account));
    }
    let account = Arc::new(Account {
        id: new.id,
        state: AccountState::Valid,
        key: new.key.clone(),
        contacts: new.contacts.clone(),
        terms_agreed: new.terms_agreed.clone(),
        binding: new.binding.clone(),
        peer: new.peer.clone(),
        created_at: new.at,
    });
    let mut records = vec![Record::Account(Arc::clone(&account))];
    if let Some(binding) = &new.binding {
        let key = bind(view, binding, new)?;
        records.push(Record::EabKey(Arc::new(key)));
    }
    Decided::record(
        Kind::AccountCreated,
        new.at,
        records,
        Done::Account(account),
    )
}

/// Uses an EAB key up for a new account.
fn bind(view: View<'_>, binding: &Binding, new: &NewAccount) -> Result<EabKey, AcmeError> {
    let id = &binding.key;
    let key = view
        .eab_key(id)?
        .ok_or_else(|| AcmeError::NoEabKey { id: id.clone() })?;
    match key.state {
        EabKeyState::Unused => {}
        EabKeyState::Bound { .. } | EabKeyState::Revoked => {
            return Err(AcmeError::EabKeySpent {
                id: id.clone(),
                state: key.state.as_str(),
            });
        }
    }
    if key.expires_at.is_some_and(|end| end <= new.at) {
        return Err(AcmeError::EabKeyExpired { id: id.clone() });
    }
    Ok(EabKey {
        state: EabKeyState::Bound {
            account: new.id,
            at: new.at,
        },
        ..EabKey::clone(&key)
    })
}

/// Finds an account that may act.
///
/// # Errors
///
/// `NoAccount`, `AccountNotValid`.
pub(super) fn valid(view: View<'_>, id: &AccountId) -> Result<Arc<Account>, AcmeError> {
    let account = view.account(id)?.ok_or(AcmeError::NoAccount { id: *id })?;
    match account.state {
        AccountState::Valid => Ok(account),
        AccountState::Deactivated | AccountState::Revoked => Err(AcmeError::AccountNotValid {
            id: *id,
            state: account.state.as_str(),
        }),
    }
}

/// Changes contacts or terms.
pub(super) fn update(
    view: View<'_>,
    id: &AccountId,
    update: &AccountUpdate,
    at: Timestamp,
) -> Result<Decided, AcmeError> {
    let before = valid(view, id)?;
    let mut account = Account::clone(&before);
    if let Some(contacts) = &update.contacts {
        account.contacts.clone_from(contacts);
    }
    if update.terms_agreed.is_some() {
        account.terms_agreed.clone_from(&update.terms_agreed);
    }
    if account == *before {
        return Decided::answer(Done::Account(before));
    }
    record(account, at)
}

/// Gives an account another key.
pub(super) fn change_key(
    view: View<'_>,
    id: &AccountId,
    old_thumbprint: &[u8; 32],
    new: &AccountKey,
    at: Timestamp,
) -> Result<Decided, AcmeError> {
    let before = valid(view, id)?;
    if before.key.thumbprint == new.thumbprint {
        return Decided::answer(Done::Account(before));
    }
    if before.key.thumbprint != *old_thumbprint {
        return Err(AcmeError::KeyChanged { id: *id });
    }
    // RFC 8555, 7.3.5: no other account has the new key.
    if let Some(other) = view.account_by_key(&new.thumbprint)? {
        return Decided::answer(Done::KeyInUse(other.id));
    }
    let account = Account {
        key: new.clone(),
        ..Account::clone(&before)
    };
    record(account, at)
}

/// Ends an account.
pub(super) fn end(
    view: View<'_>,
    id: &AccountId,
    event: AccountEvent,
    at: Timestamp,
) -> Result<Decided, AcmeError> {
    let before = view.account(id)?.ok_or(AcmeError::NoAccount { id: *id })?;
    let state = match before.state.apply(&event) {
        Ok(state) => state,
        // The same again.
        Err(_) if AccountState::Valid.apply(&event) == Ok(before.state) => {
            return Decided::answer(Done::Account(before));
        }
        Err(refused) => return Err(refused.into()),
    };
    let account = Account {
        state,
        ..Account::clone(&before)
    };
    record(account, at)
}

/// Records an account that changed.
fn record(account: Account, at: Timestamp) -> Result<Decided, AcmeError> {
    let account = Arc::new(account);
    let records = vec![Record::Account(Arc::clone(&account))];
    Decided::record(Kind::AccountChanged, at, records, Done::Account(account))
}

/// Makes an EAB key.
pub(super) fn create_eab_key(view: View<'_>, key: &EabKey) -> Result<Decided, AcmeError> {
    if let Some(there) = view.eab_key(&key.id)? {
        if *there == *key {
            return Decided::answer(Done::EabKey(there));
        }
        return Err(AcmeError::EabKeyTaken { id: key.id.clone() });
    }
    record_eab_key(key.clone(), key.created_at)
}

/// Takes an EAB key back.
pub(super) fn revoke_eab_key(
    view: View<'_>,
    id: &EabKeyId,
    at: Timestamp,
) -> Result<Decided, AcmeError> {
    let before = view
        .eab_key(id)?
        .ok_or_else(|| AcmeError::NoEabKey { id: id.clone() })?;
    match before.state {
        EabKeyState::Revoked => return Decided::answer(Done::EabKey(before)),
        EabKeyState::Unused | EabKeyState::Bound { .. } => {}
    }
    let key = EabKey {
        state: EabKeyState::Revoked,
        ..EabKey::clone(&before)
    };
    record_eab_key(key, at)
}

/// Records an EAB key that changed.
fn record_eab_key(key: EabKey, at: Timestamp) -> Result<Decided, AcmeError> {
    let key = Arc::new(key);
    let records = vec![Record::EabKey(Arc::clone(&key))];
    Decided::record(Kind::EabKeyChanged, at, records, Done::EabKey(key))
}
