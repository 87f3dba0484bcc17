//! What operators ask for.

use std::sync::Arc;

use mesh::wire::{RevokeRequest, RevokeTarget};
use model::acme::{AccountEvent, AccountId, EabKeyId, OrderId};
use model::{RequestId, RevocationReason};
use pki::pem;
use store::acme::{Account, AcmeError, EabKey, EabKeyState, Listing, MacKey, Order, OrderFilter};
use zeroize::Zeroizing;

use super::{Acme, draw};
use crate::jws::{Thumbprint, base64url};
use crate::operator::{AccountView, EabView, NewEab, OrderView};
use crate::problem::AcmeProblem;

/// Octets of an EAB secret that is drawn here: as many as HMAC-SHA-256 gives.
const SECRET_LEN: usize = 32;

/// Why an operator's request is not met.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorRefusal {
    /// What is named is not there.
    #[error("there is no such {what}")]
    Missing {
        /// What was named.
        what: &'static str,
    },
    /// What is sent cannot be taken.
    #[error("{what}: {detail}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// The store said no.
    #[error(transparent)]
    Store(#[from] AcmeError),
    /// The CA said no.
    #[error("the CA did not revoke")]
    Ca(#[from] mesh::CaClientError),
    /// No randomness, or a record that cannot be read.
    #[error("the service failed")]
    Failed(#[from] AcmeProblem),
}

impl Acme {
    /// Lists accounts.
    ///
    /// # Errors
    ///
    /// `Store`.
    pub(crate) async fn list_accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Listing<Arc<Account>, AccountId>, OperatorRefusal> {
        Ok(self.store.accounts(after, limit).await?)
    }

    /// Finds an account.
    ///
    /// # Errors
    ///
    /// `Missing`, `Store`.
    pub(crate) async fn find_account(
        &self,
        id: &AccountId,
    ) -> Result<Arc<Account>, OperatorRefusal> {
        self.store
            .account(id)
            .await?
            .ok_or(OperatorRefusal::Missing { what: "account" })
    }

    /// Ends an account.
    ///
    /// # Errors
    ///
    /// `Store`.
    pub(crate) async fn end_account(
        &self,
        id: &AccountId,
        event: AccountEvent,
    ) -> Result<Arc<Account>, OperatorRefusal> {
        Ok(self.store.end_account(id, event, self.clock.now()).await?)
    }

    /// Lists orders.
    ///
    /// # Errors
    ///
    /// `Store`.
    pub(crate) async fn list_orders(
        &self,
        filter: OrderFilter,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Listing<Arc<Order>, OrderId>, OperatorRefusal> {
        let now = self.clock.now();
        Ok(self.store.orders(filter, after, limit, now).await?)
    }

    /// Finds an order.
    ///
    /// # Errors
    ///
    /// `Missing`, `Store`.
    pub(crate) async fn find_order(&self, id: &OrderId) -> Result<Arc<Order>, OperatorRefusal> {
        self.store
            .order(id, self.clock.now())
            .await?
            .ok_or(OperatorRefusal::Missing { what: "order" })
    }

    /// Has an order's certificate revoked.
    ///
    /// # Errors
    ///
    /// `Missing` where there is none, `Ca` when the CA does not.
    pub(crate) async fn revoke_order(
        &self,
        id: &OrderId,
        reason: RevocationReason,
        request_id: &RequestId,
    ) -> Result<Arc<Order>, OperatorRefusal> {
        let order = self.find_order(id).await?;
        let missing = || OperatorRefusal::Missing {
            what: "certificate: the order has none",
        };
        let certificate = order.state.certificate().ok_or_else(missing)?;
        let chain = certificate.chains_pem.first().ok_or_else(missing)?;
        let chain = pem::read_certificates(chain.as_bytes()).map_err(AcmeProblem::internal)?;
        let leaf = chain.into_iter().next().ok_or_else(missing)?;
        self.ca
            .revoke(&RevokeRequest {
                target: RevokeTarget::Certificate(leaf),
                reason,
                invalidity_date: None,
                request_id: Some(request_id.clone()),
            })
            .await?;
        self.forget_renewal(&certificate.serial);
        Ok(order)
    }

    /// Lists EAB keys.
    ///
    /// # Errors
    ///
    /// `Store`.
    pub(crate) async fn list_eab(
        &self,
        after: Option<EabKeyId>,
        limit: usize,
    ) -> Result<Listing<Arc<EabKey>, EabKeyId>, OperatorRefusal> {
        Ok(self.store.eab_keys(after, limit).await?)
    }

    /// Makes an EAB key; returns its secret as clients take it.
    ///
    /// # Errors
    ///
    /// `Malformed`, `Store`, or `Failed` without randomness.
    pub(crate) async fn create_eab(
        &self,
        new: NewEab,
    ) -> Result<(Arc<EabKey>, Zeroizing<String>), OperatorRefusal> {
        let id = match new.id {
            Some(id) => id,
            None => base64url::encode(draw_for_arguments::<12>()?.as_slice()),
        };
        let id = EabKeyId::new(&id).map_err(|error| OperatorRefusal::Malformed {
            what: "id",
            detail: error.to_string(),
        })?;
        if new.label.chars().count() > MAX_LABEL {
            return Err(OperatorRefusal::Malformed {
                what: "label",
                detail: format!("it has at most {MAX_LABEL} characters"),
            });
        }
        if let Some(policy) = &new.policy
            && !self.policy.has_rule(policy)
        {
            return Err(OperatorRefusal::Malformed {
                what: "policy",
                detail: format!("`[acme.policy.rules]` has no {policy:?}"),
            });
        }
        let secret = draw_for_arguments::<SECRET_LEN>()?;
        let shown = Zeroizing::new(base64url::encode(secret.as_slice()));
        let key = EabKey {
            id,
            secret: MacKey::new(secret.to_vec()),
            label: new.label.into(),
            policy: new.policy.map(Into::into),
            created_at: self.clock.now(),
            expires_at: new.expires_at,
            state: EabKeyState::Unused,
        };
        Ok((self.store.create_eab_key(key).await?, shown))
    }

    /// Takes an EAB key back.
    ///
    /// # Errors
    ///
    /// `Store`.
    pub(crate) async fn revoke_eab(&self, id: &EabKeyId) -> Result<Arc<EabKey>, OperatorRefusal> {
        Ok(self.store.revoke_eab_key(id, self.clock.now()).await?)
    }
}

/// Draws octets whose base64url begins with a letter: clients take it as an argument of
/// their command line, where a leading hyphen would make it an option. Costs one bit.
fn draw_for_arguments<const N: usize>() -> Result<Zeroizing<[u8; N]>, AcmeProblem> {
    let mut octets = Zeroizing::new(draw::<N>()?);
    if let Some(first) = octets.first_mut() {
        *first &= 0x7f;
    }
    Ok(octets)
}

/// Most characters of an EAB key's label.
const MAX_LABEL: usize = 200;

/// Shows an account.
pub(crate) fn account_view(account: &Account) -> AccountView {
    AccountView {
        id: account.id.to_string(),
        status: account.state.as_str().to_owned(),
        contacts: account.contacts.iter().map(ToString::to_string).collect(),
        thumbprint: Thumbprint::from_bytes(account.key.thumbprint).to_string(),
        terms_agreed: account.terms_agreed.as_ref().map(ToString::to_string),
        eab_key: account
            .binding
            .as_ref()
            .map(|binding| binding.key.to_string()),
        peer: account.peer.as_ref().map(ToString::to_string),
        created_at: account.created_at,
    }
}

/// Shows an order.
pub(crate) fn order_view(order: &Order) -> OrderView {
    let certificate = order.state.certificate();
    OrderView {
        id: order.id.to_string(),
        account: order.account.to_string(),
        status: order.state.as_str().to_owned(),
        identifiers: order
            .identifiers
            .iter()
            .map(|identifier| format!("{}:{}", identifier.kind(), identifier.value()))
            .collect(),
        profile: order.profile.clone(),
        error: order
            .state
            .error()
            .map(|error| format!("{}: {}", error.kind, error.detail)),
        serial: certificate.map(|certificate| certificate.serial.clone()),
        certificate_not_after: certificate.map(|certificate| certificate.not_after),
        created_at: order.created_at,
        expires_at: order.expires_at,
    }
}

/// Shows an EAB key without its secret.
pub(crate) fn eab_view(key: &EabKey) -> EabView {
    EabView {
        id: key.id.to_string(),
        label: key.label.to_string(),
        status: key.state.as_str().to_owned(),
        policy: key.policy.as_ref().map(ToString::to_string),
        account: match key.state {
            EabKeyState::Bound { account, .. } => Some(account.to_string()),
            EabKeyState::Unused | EabKeyState::Revoked => None,
        },
        created_at: key.created_at,
        expires_at: key.expires_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_for_command_lines_begins_with_a_letter() {
        for _ in 0..500 {
            let octets = draw_for_arguments::<SECRET_LEN>().unwrap();
            let shown = base64url::encode(octets.as_slice());
            assert!(
                shown.starts_with(|c: char| c.is_ascii_alphabetic()),
                "{shown}"
            );
        }
    }
}
