//! Accounts (RFC 8555, 7.3).

use std::sync::Arc;

use model::acme::{AccountEvent, AccountId, EabKeyId, OrderId};
use pki::key_check::KeyPolicy;
use pki::names::EmailAddress;
use store::acme::{
    Account, AccountOutcome, AccountUpdate, Binding, KeyChange as KeyChangeOutcome, Listing,
    NewAccount, Order, OrderFilter,
};

use super::refusal::store_problem;
use super::request::{Context, Notes, Signed, Signer, usable};
use super::{Acme, draw};
use crate::jws::{AccountKey, BindingRequest, FlattenedJws, KeyChange};
use crate::problem::{AcmeProblem, ErrorType};
use crate::wire::{AccountUpdateRequest, NewAccountRequest};

/// Most octets of one contact URL.
const MAX_CONTACT: usize = 320;

impl Acme {
    /// Makes an account, or finds the one the key has (7.3, 7.3.1); tells whether
    /// it was made.
    ///
    /// # Errors
    ///
    /// What the request or the store stops at.
    pub(crate) async fn new_account(
        &self,
        context: &Context,
        signed: &Signed,
        notes: &mut Notes,
    ) -> Result<(Arc<Account>, bool), AcmeProblem> {
        let Signer::Key(key) = &signed.signer else {
            return Err(AcmeProblem::malformed(
                "an account is made by its key as jwk (RFC 8555, 7.3)",
            ));
        };
        let request: NewAccountRequest = signed.json()?;
        let existing = self
            .store
            .account_by_key(key.thumbprint().as_bytes())
            .await
            .map_err(store_problem)?;
        if let Some(account) = existing {
            notes.account = Some(account.id.to_string());
            usable(&account)?;
            // RFC 8555, 7.3: the existing account, whatever else was sent.
            return Ok((account, false));
        }
        if request.only_return_existing {
            // RFC 8555, 7.3.1.
            return Err(AcmeProblem::new(
                ErrorType::AccountDoesNotExist,
                "no account has this key",
            ));
        }
        let terms_agreed = self.agree(request.terms_of_service_agreed)?;
        let contacts = self.check_contacts(&request.contact)?;
        let binding = self
            .bind(
                context,
                signed,
                key,
                request.external_account_binding,
                notes,
            )
            .await?;
        let eab_key = binding.as_ref().map(|binding| &binding.key);
        self.limits
            .new_account(context.client, eab_key, context.now)
            .map_err(|limited| limited.to_problem())?;
        let new = NewAccount {
            id: AccountId::new(context.now, draw()?),
            key: kept(key),
            contacts,
            terms_agreed,
            binding,
            peer: context.peer.clone(),
            at: context.now,
        };
        match self
            .store
            .create_account(new)
            .await
            .map_err(store_problem)?
        {
            AccountOutcome::Created(account) => {
                self.metrics.accounts.inc();
                notes.account = Some(account.id.to_string());
                Ok((account, true))
            }
            AccountOutcome::Existing(account) => {
                notes.account = Some(account.id.to_string());
                usable(&account)?;
                Ok((account, false))
            }
        }
    }

    /// Shows, changes or deactivates an account (7.3.2, 7.3.6).
    ///
    /// # Errors
    ///
    /// What the request or the store stops at.
    pub(crate) async fn update_account(
        &self,
        context: &Context,
        signed: &Signed,
        id: &AccountId,
    ) -> Result<Arc<Account>, AcmeProblem> {
        let account = own_account(signed, id)?;
        if signed.is_get() {
            return Ok(Arc::clone(account));
        }
        let request: AccountUpdateRequest = signed.json()?;
        match request.status.as_deref() {
            None | Some("valid") => {}
            Some("deactivated") => {
                return self
                    .store
                    .end_account(id, AccountEvent::Deactivate, context.now)
                    .await
                    .map_err(store_problem);
            }
            Some(_) => {
                return Err(AcmeProblem::malformed(
                    "an account's status can only be set to deactivated (RFC 8555, 7.3.6)",
                ));
            }
        }
        let update = AccountUpdate {
            contacts: request
                .contact
                .map(|contacts| self.check_contacts(&contacts))
                .transpose()?,
            terms_agreed: match request.terms_of_service_agreed {
                Some(true) => self.config.terms_of_service.clone(),
                Some(false) | None => None,
            },
        };
        if update == AccountUpdate::default() {
            return Ok(Arc::clone(account));
        }
        self.store
            .update_account(id, update, context.now)
            .await
            .map_err(store_problem)
    }

    /// Lists a page of an account's orders (7.1.2.1).
    ///
    /// # Errors
    ///
    /// What the request or the store stops at.
    pub(crate) async fn account_orders(
        &self,
        context: &Context,
        signed: &Signed,
        id: &AccountId,
        after: Option<OrderId>,
    ) -> Result<Listing<Arc<Order>, OrderId>, AcmeProblem> {
        own_account(signed, id)?;
        signed.expect_get()?;
        let filter = OrderFilter {
            account: Some(*id),
            without_invalid: true,
        };
        self.store
            .orders(filter, after, self.config.orders_page, context.now)
            .await
            .map_err(store_problem)
    }

    /// Gives an account another key (7.3.5).
    ///
    /// # Errors
    ///
    /// What the request or the store stops at; 409 with the other account's URL
    /// when it has the key.
    pub(crate) async fn change_key(
        &self,
        context: &Context,
        signed: &Signed,
    ) -> Result<Arc<Account>, AcmeProblem> {
        let (account, key) = signed.account()?;
        // The account's URL may be another listener's.
        let is_own = |url: &str| {
            let mut known = self.external_urls().iter();
            known.any(|urls| urls.read_account(url) == Some(account.id))
        };
        let change = KeyChange::verify(
            &signed.payload,
            &signed.url,
            is_own,
            key,
            &KeyPolicy::default(),
        )?;
        let outcome = self
            .store
            .change_account_key(
                &account.id,
                key.thumbprint().as_bytes(),
                kept(&change.new_key),
                context.now,
            )
            .await
            .map_err(store_problem)?;
        match outcome {
            KeyChangeOutcome::Changed(account) => Ok(account),
            // RFC 8555, 7.3.5: 409 (Conflict), the account's URL as Location.
            KeyChangeOutcome::InUse(other) => {
                Err(AcmeProblem::malformed("the new key is another account's")
                    .conflict_with(context.urls.account(&other)))
            }
        }
    }

    /// Refuses accounts that have not agreed to the terms as they are now (7.3.3).
    ///
    /// # Errors
    ///
    /// `userActionRequired` with the terms' URL.
    pub(super) fn check_terms(&self, account: &Account) -> Result<(), AcmeProblem> {
        match &self.config.terms_of_service {
            Some(terms) if account.terms_agreed.as_ref() != Some(terms) => {
                Err(terms_required(terms))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes the agreement of a new account.
    fn agree(&self, agreed: bool) -> Result<Option<Box<str>>, AcmeProblem> {
        match &self.config.terms_of_service {
            Some(terms) if agreed => Ok(Some(terms.clone())),
            Some(terms) => Err(terms_required(terms)),
            None => Ok(None),
        }
    }

    /// Checks contact URLs (7.3).
    fn check_contacts(&self, given: &[String]) -> Result<Vec<Box<str>>, AcmeProblem> {
        let invalid = |detail: String| AcmeProblem::new(ErrorType::InvalidContact, detail);
        if given.len() > self.config.max_contacts {
            return Err(invalid(format!(
                "an account has at most {} contacts",
                self.config.max_contacts
            )));
        }
        let mut contacts: Vec<Box<str>> = Vec::new();
        for contact in given {
            let shown: String = contact.chars().take(80).collect();
            let Some(address) = contact.strip_prefix("mailto:") else {
                return Err(AcmeProblem::new(
                    ErrorType::UnsupportedContact,
                    format!("{shown:?}: contacts are mailto: URLs"),
                ));
            };
            // RFC 8555, 7.3: no hfields, no more than one address.
            let single = contact.len() <= MAX_CONTACT && !address.contains(['?', ',', '%']);
            if !single || EmailAddress::new(address).is_err() {
                return Err(invalid(format!(
                    "{shown:?} is not mailto: with exactly one address and no header fields"
                )));
            }
            if !contacts.iter().any(|known| **known == **contact) {
                contacts.push(contact.as_str().into());
            }
        }
        Ok(contacts)
    }

    /// Verifies an external account binding (7.3.4).
    async fn bind(
        &self,
        context: &Context,
        signed: &Signed,
        key: &AccountKey,
        binding: Option<serde_json::Value>,
        notes: &mut Notes,
    ) -> Result<Option<Binding>, AcmeProblem> {
        let Some(binding) = binding else {
            return if context.external_account_required {
                Err(AcmeProblem::new(
                    ErrorType::ExternalAccountRequired,
                    "accounts here are bound to external ones: ask the operator for a key \
                     identifier and HMAC key, and give both to your client",
                ))
            } else {
                Ok(None)
            };
        };
        let jws_json = binding.to_string().into();
        let flattened: FlattenedJws = serde_json::from_value(binding).map_err(|error| {
            AcmeProblem::malformed(format!(
                "externalAccountBinding is no flattened JWS: {error}"
            ))
        })?;
        let request = BindingRequest::parse(flattened, &signed.url)?;
        let unknown = || AcmeProblem::unauthorized("the external account's key is not known here");
        let id = EabKeyId::new(request.key_id()).map_err(|_| unknown())?;
        notes.eab_key = Some(id.to_string());
        let secret = self
            .store
            .eab_key(&id)
            .await
            .map_err(store_problem)?
            .ok_or_else(unknown)?;
        request.verify(secret.secret.octets(), key)?;
        Ok(Some(Binding { key: id, jws_json }))
    }
}

/// States that the terms must be agreed to.
fn terms_required(terms: &str) -> AcmeProblem {
    AcmeProblem::new(
        ErrorType::UserActionRequired,
        "the terms of service must be agreed to: read them, then update the account with termsOfServiceAgreed",
    )
    .visit(terms)
}

/// Returns the account if it is the one that signed.
fn own_account<'s>(signed: &'s Signed, id: &AccountId) -> Result<&'s Arc<Account>, AcmeProblem> {
    let (account, _) = signed.account()?;
    if account.id == *id {
        Ok(account)
    } else {
        Err(AcmeProblem::unauthorized(
            "an account is seen and changed by itself alone",
        ))
    }
}

/// Returns a key as the store keeps it.
fn kept(key: &AccountKey) -> store::acme::AccountKey {
    store::acme::AccountKey {
        thumbprint: *key.thumbprint().as_bytes(),
        jwk_json: key.jwk_json().into(),
    }
}
