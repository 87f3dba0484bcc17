//! Accounts and EAB keys on disk.
// Stored on disk: change only by adding a version.

use model::acme::{AccountId, AccountState, EabKeyId};
use model::{Identity, PeerName, Role};
use serde::{Deserialize, Serialize};

use super::{optional_time, time};
use crate::acme::record::{Account, AccountKey, Binding, EabKey, EabKeyState, MacKey};

/// An account on disk. Times are microseconds since the epoch.
#[derive(Serialize, Deserialize)]
pub(super) struct AccountV1<'a> {
    /// Its name.
    id: [u8; 16],
    /// Valid 1, deactivated 2, revoked 3.
    state: u8,
    /// Thumbprint of its key.
    thumbprint: [u8; 32],
    /// Its key.
    jwk_json: &'a str,
    /// Contact URLs.
    #[serde(borrow)]
    contacts: Vec<&'a str>,
    /// Terms agreed to.
    terms_agreed: Option<&'a str>,
    /// EAB key and object.
    binding: Option<(&'a str, &'a str)>,
    /// Role and name of the peer.
    peer: Option<(&'a str, &'a str)>,
    /// When it was made.
    created_at: i64,
}

impl<'a> From<&'a Account> for AccountV1<'a> {
    fn from(account: &'a Account) -> Self {
        let binding = account.binding.as_ref();
        let peer = account.peer.as_ref();
        Self {
            id: *account.id.octets(),
            state: match account.state {
                AccountState::Valid => 1,
                AccountState::Deactivated => 2,
                AccountState::Revoked => 3,
            },
            thumbprint: account.key.thumbprint,
            jwk_json: &account.key.jwk_json,
            contacts: account.contacts.iter().map(|contact| &**contact).collect(),
            terms_agreed: account.terms_agreed.as_deref(),
            binding: binding.map(|own| (own.key.as_str(), &*own.jws_json)),
            peer: peer.map(|peer| (peer.role.as_str(), peer.name.as_str())),
            created_at: account.created_at.as_microsecond(),
        }
    }
}

impl AccountV1<'_> {
    /// Reads the account.
    pub(super) fn read(self) -> Option<Account> {
        let binding = match self.binding {
            Some((key, jws)) => Some(Binding {
                key: EabKeyId::new(key).ok()?,
                jws_json: jws.into(),
            }),
            None => None,
        };
        let peer = match self.peer {
            Some((role, name)) => Some(Identity {
                role: role.parse::<Role>().ok()?,
                name: PeerName::new(name).ok()?,
            }),
            None => None,
        };
        Some(Account {
            id: AccountId::from_octets(self.id),
            state: match self.state {
                1 => AccountState::Valid,
                2 => AccountState::Deactivated,
                3 => AccountState::Revoked,
                _ => return None,
            },
            key: AccountKey {
                thumbprint: self.thumbprint,
                jwk_json: self.jwk_json.into(),
            },
            contacts: self.contacts.into_iter().map(Box::from).collect(),
            terms_agreed: self.terms_agreed.map(Box::from),
            binding,
            peer,
            created_at: time(self.created_at)?,
        })
    }
}

/// An EAB key on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct EabKeyV1<'a> {
    /// Its `kid`.
    id: &'a str,
    /// The MAC key.
    secret: &'a [u8],
    /// The operator's name for it.
    label: &'a str,
    /// Its policy.
    policy: Option<&'a str>,
    /// When it was made.
    created_at: i64,
    /// Until when it may be used.
    expires_at: Option<i64>,
    /// Whether it may be.
    state: EabKeyStateV1,
}

/// An EAB key's state on disk.
#[derive(Serialize, Deserialize)]
enum EabKeyStateV1 {
    /// May bind.
    Unused,
    /// Account and time.
    Bound([u8; 16], i64),
    /// Taken back.
    Revoked,
}

impl<'a> From<&'a EabKey> for EabKeyV1<'a> {
    fn from(key: &'a EabKey) -> Self {
        Self {
            id: key.id.as_str(),
            secret: key.secret.octets(),
            label: &key.label,
            policy: key.policy.as_deref(),
            created_at: key.created_at.as_microsecond(),
            expires_at: key.expires_at.map(|at| at.as_microsecond()),
            state: match key.state {
                EabKeyState::Unused => EabKeyStateV1::Unused,
                EabKeyState::Bound { account, at } => {
                    EabKeyStateV1::Bound(*account.octets(), at.as_microsecond())
                }
                EabKeyState::Revoked => EabKeyStateV1::Revoked,
            },
        }
    }
}

impl EabKeyV1<'_> {
    /// Reads the key.
    pub(super) fn read(self) -> Option<EabKey> {
        Some(EabKey {
            id: EabKeyId::new(self.id).ok()?,
            secret: MacKey::new(self.secret),
            label: self.label.into(),
            policy: self.policy.map(Box::from),
            created_at: time(self.created_at)?,
            expires_at: optional_time(self.expires_at)?,
            state: match self.state {
                EabKeyStateV1::Unused => EabKeyState::Unused,
                EabKeyStateV1::Bound(account, at) => EabKeyState::Bound {
                    account: AccountId::from_octets(account),
                    at: time(at)?,
                },
                EabKeyStateV1::Revoked => EabKeyState::Revoked,
            },
        })
    }
}
