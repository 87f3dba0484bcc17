//! Who asks: the checks that every POST passes (RFC 8555, 6.2 to 6.5).

use std::net::IpAddr;
use std::sync::Arc;

use model::acme::{AccountId, AccountState};
use model::{Identity, RequestId, Timestamp};
use pki::key_check::KeyPolicy;
use store::acme::Account;

use super::Acme;
use super::refusal::store_problem;
use crate::jws::{AccountKey, Jws, KeyReference};
use crate::problem::{AcmeProblem, ErrorType, Occasion};
use crate::urls::ExternalUrl;

/// What is known of a request before its body is read.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where clients see this listener.
    pub(crate) urls: ExternalUrl,
    /// Whether new accounts must be bound.
    pub(crate) external_account_required: bool,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The client's identity, where it has a certificate.
    pub(crate) peer: Option<Identity>,
    /// The request's id.
    pub(crate) request_id: RequestId,
    /// When it came.
    pub(crate) now: Timestamp,
}

/// Which key a resource takes (RFC 8555, 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyRule {
    /// That of an account, by its URL.
    Account,
    /// One that comes with the request: newAccount.
    Jwk,
    /// Either: revokeCert.
    Either,
}

/// Who signed a request.
#[derive(Debug, Clone)]
pub(crate) enum Signer {
    /// A valid account.
    Account {
        /// The account.
        account: Arc<Account>,
        /// Its key.
        key: AccountKey,
    },
    /// A key that came with the request.
    Key(AccountKey),
}

/// A request whose signature, nonce and URL are good.
#[derive(Debug)]
pub(crate) struct Signed {
    /// Who signed it.
    pub(crate) signer: Signer,
    /// The URL that it is for.
    pub(crate) url: String,
    /// The payload.
    pub(crate) payload: Vec<u8>,
}

/// What the log tells of a request; never a body, never a secret.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// `alg` of the protected header.
    pub(crate) algorithm: Option<String>,
    /// `kid` of the protected header.
    pub(crate) kid: Option<String>,
    /// Thumbprint of the key that came or of the account's.
    pub(crate) thumbprint: Option<String>,
    /// `nonce` of the protected header.
    pub(crate) nonce: Option<String>,
    /// `url` of the protected header.
    pub(crate) url: Option<String>,
    /// The account.
    pub(crate) account: Option<String>,
    /// The order.
    pub(crate) order: Option<String>,
    /// The authorization.
    pub(crate) authorization: Option<String>,
    /// The challenge's kind.
    pub(crate) challenge: Option<&'static str>,
    /// The identifiers, at most [`MAX_NAMES`] of them.
    pub(crate) identifiers: Option<String>,
    /// The certificate's serial number.
    pub(crate) serial: Option<String>,
    /// The EAB key.
    pub(crate) eab_key: Option<String>,
}

/// Most identifiers that a line in the log has.
const MAX_NAMES: usize = 10;

impl Notes {
    /// Notes identifiers.
    pub(crate) fn identifiers<T: ToString>(&mut self, identifiers: &[T]) {
        let mut text = identifiers
            .iter()
            .take(MAX_NAMES)
            .map(T::to_string)
            .collect::<Vec<_>>()
            .join(" ");
        if identifiers.len() > MAX_NAMES {
            text.push_str(" …");
        }
        self.identifiers = Some(text);
    }
}

impl Signed {
    /// Returns the account that signed; resources of accounts take no other.
    ///
    /// # Errors
    ///
    /// `malformed` when a key signed that came with the request.
    pub(crate) fn account(&self) -> Result<(&Arc<Account>, &AccountKey), AcmeProblem> {
        match &self.signer {
            Signer::Account { account, key } => Ok((account, key)),
            Signer::Key(_) => Err(needs_kid()),
        }
    }

    /// Reads the payload as JSON.
    ///
    /// # Errors
    ///
    /// `malformed` when it is not the JSON that the resource takes.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, AcmeProblem> {
        serde_json::from_slice(&self.payload).map_err(|error| {
            AcmeProblem::malformed(format!(
                "the payload is not the JSON that this resource takes: {error}"
            ))
        })
    }

    /// Tells whether it is a POST-as-GET.
    pub(crate) fn is_get(&self) -> bool {
        // RFC 8555, 6.3: the payload is the empty octet string.
        self.payload.is_empty()
    }

    /// Holds a resource that is only read to POST-as-GET.
    ///
    /// # Errors
    ///
    /// `malformed` when there is a payload.
    pub(crate) fn expect_get(&self) -> Result<(), AcmeProblem> {
        if self.is_get() {
            Ok(())
        } else {
            Err(AcmeProblem::malformed(
                "this resource is only read: the payload must be the empty string (RFC 8555, 6.3)",
            ))
        }
    }
}

/// States that a resource takes accounts alone.
fn needs_kid() -> AcmeProblem {
    AcmeProblem::malformed(
        "this resource takes the account's URL as kid, not a jwk (RFC 8555, 6.2)",
    )
}

impl Acme {
    /// Verifies a request to `path`.
    ///
    /// # Errors
    ///
    /// The first check that fails, cheap ones first.
    pub(crate) async fn authenticate(
        &self,
        context: &Context,
        path: &str,
        rule: KeyRule,
        body: &[u8],
        notes: &mut Notes,
    ) -> Result<Signed, AcmeProblem> {
        let jws = Jws::parse(body)?;
        notes.algorithm = Some(jws.algorithm().chars().take(40).collect());
        notes.nonce = jws.nonce().map(str::to_owned);
        notes.url = Some(jws.url().to_owned());
        if let KeyReference::Kid(kid) = jws.key() {
            notes.kid = Some(kid.clone());
        }
        jws.signing_algorithm()?;
        // RFC 8555, 6.4: the url is the one the client asked, else the request is
        // rejected as unauthorized.
        let url = context.urls.of_path(path);
        if jws.url() != url {
            return Err(AcmeProblem::unauthorized(format!(
                "the JWS is for {:?} and came to {url:?} (RFC 8555, 6.4)",
                jws.url()
            ))
            .on(Occasion::UrlMismatch));
        }
        match (rule, jws.key()) {
            (KeyRule::Account, KeyReference::Jwk(_)) => return Err(needs_kid()),
            (KeyRule::Jwk, KeyReference::Kid(_)) => {
                return Err(AcmeProblem::malformed(
                    "this resource takes the key itself as jwk, not a kid (RFC 8555, 6.2)",
                ));
            }
            (KeyRule::Account | KeyRule::Either, KeyReference::Kid(_))
            | (KeyRule::Jwk | KeyRule::Either, KeyReference::Jwk(_)) => {}
        }
        self.redeem(jws.nonce(), jws.key())?;
        let signer = match jws.key() {
            KeyReference::Jwk(jwk) => {
                let key = AccountKey::from_jwk(jwk, &KeyPolicy::default())?;
                notes.thumbprint = Some(key.thumbprint().to_string());
                jws.verify(&key)?;
                Signer::Key(key)
            }
            KeyReference::Kid(kid) => {
                let account = self.account_of(kid).await?;
                notes.account = Some(account.id.to_string());
                let key = AccountKey::from_stored(&account.key.jwk_json)
                    .map_err(AcmeProblem::internal)?;
                notes.thumbprint = Some(key.thumbprint().to_string());
                jws.verify(&key)?;
                // RFC 8555, 7.3.6: all further requests are unauthorized.
                usable(&account)?;
                Signer::Account { account, key }
            }
        };
        Ok(Signed {
            signer,
            url,
            payload: jws.payload().to_vec(),
        })
    }

    /// Finds the account that a `kid` names, on whichever listener.
    async fn account_of(&self, kid: &str) -> Result<Arc<Account>, AcmeProblem> {
        let unknown = || {
            AcmeProblem::new(
                ErrorType::AccountDoesNotExist,
                "the kid names no account of this server",
            )
        };
        let id: AccountId = self
            .external_urls()
            .iter()
            .find_map(|urls| urls.read_account(kid))
            .ok_or_else(unknown)?;
        self.store
            .account(&id)
            .await
            .map_err(store_problem)?
            .ok_or_else(unknown)
    }
}

/// Refuses accounts that ended.
pub(super) fn usable(account: &Account) -> Result<(), AcmeProblem> {
    match account.state {
        AccountState::Valid => Ok(()),
        AccountState::Deactivated | AccountState::Revoked => {
            Err(AcmeProblem::unauthorized(format!(
                "the account is {}; it can do nothing any more",
                account.state.as_str()
            )))
        }
    }
}
