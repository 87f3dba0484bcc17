//! External account binding (RFC 8555, 7.3.4): the inner JWS, authenticated by a
//! MAC.

use pki::key_check::KeyPolicy;

use super::{AccountKey, FlattenedJws, Jwk, Jws, JwsError, KeyReference};

/// A binding whose form was checked and whose MAC was not.
#[derive(Debug, Clone)]
pub struct BindingRequest(Jws);

/// Why a binding is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BindingError {
    /// Its JWS cannot be read, or its MAC does not verify.
    #[error("the external account binding is refused: {0}")]
    Jws(#[from] JwsError),
    /// Signed by a key of its own.
    #[error("the external account binding must name its key by kid (RFC 8555, 7.3.4)")]
    NoKid,
    /// A nonce.
    #[error("the external account binding must not have a nonce (RFC 8555, 7.3.4)")]
    Nonce,
    /// Another URL than the request's.
    #[error("the external account binding's url is not the request's (RFC 8555, 7.3.4)")]
    Url,
    /// Another key than the account's.
    #[error("the external account binding is not of the account's key (RFC 8555, 7.3.4)")]
    AccountKey,
}

impl BindingRequest {
    /// Reads a binding that came with a request to `url`.
    ///
    /// # Errors
    ///
    /// `Jws`, `NoKid`, `Nonce` or `Url`, by what is wrong with its form.
    pub fn parse(flattened: FlattenedJws, url: &str) -> Result<Self, BindingError> {
        let jws = Jws::from_flattened(flattened)?;
        // RFC 8555, 7.3.4: "kid" MUST be the key identifier, "nonce" MUST NOT be
        // present, "url" MUST be the outer one.
        if !matches!(jws.key(), KeyReference::Kid(_)) {
            return Err(BindingError::NoKid);
        }
        if jws.nonce().is_some() {
            return Err(BindingError::Nonce);
        }
        if jws.url() != url {
            return Err(BindingError::Url);
        }
        Ok(Self(jws))
    }

    /// Returns the identifier of the secret.
    #[must_use]
    pub fn key_id(&self) -> &str {
        match self.0.key() {
            KeyReference::Kid(kid) => kid,
            KeyReference::Jwk(_) => "",
        }
    }

    /// Verifies that the holder of the secret binds the account's key.
    ///
    /// # Errors
    ///
    /// `Jws` when the MAC does not verify, `AccountKey` when it is over another
    /// key.
    pub fn verify(&self, secret: &[u8], account: &AccountKey) -> Result<(), BindingError> {
        self.0.verify_mac(secret)?;
        // RFC 8555, 7.3.4: the payload is the account's key as a JWK.
        let jwk: Jwk =
            serde_json::from_slice(self.0.payload()).map_err(|_| BindingError::AccountKey)?;
        match AccountKey::from_jwk(&jwk, &KeyPolicy::default()) {
            Ok(bound) if bound.thumbprint() == account.thumbprint() => Ok(()),
            Ok(_) | Err(_) => Err(BindingError::AccountKey),
        }
    }
}
