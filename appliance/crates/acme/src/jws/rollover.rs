//! Key change (RFC 8555, 7.3.5): the inner JWS, signed by the new key.

use pki::key_check::KeyPolicy;
use serde::Deserialize;

use super::{AccountKey, Jwk, JwkError, Jws, JwsError, KeyReference};

/// What the inner JWS says.
#[derive(Debug, Deserialize)]
struct RawKeyChange {
    /// The account's URL.
    account: String,
    /// The key it has now.
    #[serde(rename = "oldKey")]
    old_key: Jwk,
}

/// A change of keys to which the new key agreed.
#[derive(Debug, Clone)]
pub struct KeyChange {
    /// The new key.
    pub new_key: AccountKey,
}

/// Why a change of keys is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RolloverError {
    /// The inner JWS cannot be read or does not verify.
    #[error("the inner JWS is refused: {0}")]
    Jws(#[from] JwsError),
    /// No key of its own.
    #[error("the inner JWS must carry the new key as jwk (RFC 8555, 7.3.5)")]
    NoJwk,
    /// The new key cannot be taken.
    #[error("the new key is refused: {0}")]
    Key(#[from] JwkError),
    /// A nonce.
    #[error("the inner JWS must not have a nonce (RFC 8555, 7.3.5)")]
    Nonce,
    /// Another URL than the request's.
    #[error("the inner JWS's url is not the request's (RFC 8555, 7.3.5)")]
    Url,
    /// A payload that is no key change.
    #[error("the inner payload is no key change with account and oldKey: {source}")]
    Payload {
        /// What the reader says.
        source: serde_json::Error,
    },
    /// Another account than the one that asks.
    #[error("the inner payload's account is not the one that signed the request")]
    Account,
    /// Another key than the account has.
    #[error("the inner payload's oldKey is not the key that the account has")]
    OldKey,
}

impl KeyChange {
    /// Reads and verifies the payload of a request to `url`, made with `old_key` by
    /// the account of whose URLs `is_account` tells.
    ///
    /// # Errors
    ///
    /// The first of the RFC's checks that fails.
    pub fn verify(
        payload: &[u8],
        url: &str,
        is_account: impl Fn(&str) -> bool,
        old_key: &AccountKey,
        policy: &KeyPolicy,
    ) -> Result<Self, RolloverError> {
        // RFC 8555, 7.3.5, steps 2 to 8 in order: the payload is a well-formed
        // JWS; it has a jwk; it verifies with it; its payload is a key change; its
        // url is the outer one; account and oldKey match.
        let inner = Jws::parse(payload)?;
        let KeyReference::Jwk(jwk) = inner.key() else {
            return Err(RolloverError::NoJwk);
        };
        let new_key = AccountKey::from_jwk(jwk, policy)?;
        inner.verify(&new_key)?;
        if inner.nonce().is_some() {
            return Err(RolloverError::Nonce);
        }
        let change: RawKeyChange = serde_json::from_slice(inner.payload())
            .map_err(|source| RolloverError::Payload { source })?;
        if inner.url() != url {
            return Err(RolloverError::Url);
        }
        if !is_account(&change.account) {
            return Err(RolloverError::Account);
        }
        match AccountKey::from_jwk(&change.old_key, &KeyPolicy::default()) {
            Ok(named) if named.thumbprint() == old_key.thumbprint() => Ok(Self { new_key }),
            Ok(_) | Err(_) => Err(RolloverError::OldKey),
        }
    }
}
