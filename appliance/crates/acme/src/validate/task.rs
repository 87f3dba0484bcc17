//! What is to be proved, by which method, to which account.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::acme::{ChallengeKind, Identifier};

/// Token and key thumbprint, joined by a full stop (RFC 8555, 8.1).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyAuthorization {
    /// Both.
    text: Box<str>,
    /// Octets of the token.
    token_len: usize,
}

impl KeyAuthorization {
    /// Joins a challenge's token and the account key's thumbprint, both base64url.
    #[must_use]
    pub fn new(token: &str, thumbprint: &str) -> Self {
        Self {
            text: format!("{token}.{thumbprint}").into(),
            token_len: token.len(),
        }
    }

    /// Returns the token.
    #[must_use]
    pub fn token(&self) -> &str {
        self.text.get(..self.token_len).unwrap_or_default()
    }

    /// Returns token, full stop and thumbprint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the SHA-256 digest, raw: 32 bytes.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        digest(&SHA256, self.text.as_bytes()).as_ref().to_vec()
    }

    /// Returns what a TXT record holds: the digest in base64url (RFC 8555, 8.4).
    #[must_use]
    pub fn txt_value(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest())
    }
}

impl fmt::Debug for KeyAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyAuthorization").field(&self.text).finish()
    }
}

/// One challenge, as an attempt at it needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// How it is proved.
    pub kind: ChallengeKind,
    /// What is proved, without a wildcard.
    pub identifier: Identifier,
    /// Whether the authorization is for a wildcard of the name.
    pub wildcard: bool,
    /// What must be found.
    pub key_authorization: KeyAuthorization,
    /// The account's URL, as clients and CAA records know it.
    pub account_url: Box<str>,
}
