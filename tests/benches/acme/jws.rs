//! A client's key, and what it signs (RFC 7515, RFC 7638; ES256).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Encodes as JOSE does.
pub(crate) fn base64url(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// An account's key.
#[derive(Debug)]
pub(crate) struct AccountKey {
    /// Signs.
    pair: EcdsaKeyPair,
    /// The public key.
    jwk: Value,
    /// Its thumbprint.
    thumbprint: String,
    /// Randomness for signatures.
    random: SystemRandom,
}

impl AccountKey {
    /// Makes a key.
    pub(crate) fn generate() -> Result<Self, Unspecified> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        // 0x04 ‖ x ‖ y, 32 octets each (SEC 1, 2.3.3).
        let point = pair.public_key().as_ref().get(1..).ok_or(Unspecified)?;
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (base64url(x), base64url(y));
        // RFC 7638, 3: the required members in the order of their names, no white space.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Ok(Self {
            jwk: json!({"crv": "P-256", "kty": "EC", "x": x, "y": y}),
            thumbprint: base64url(digest(&SHA256, canonical.as_bytes())),
            pair,
            random: SystemRandom::new(),
        })
    }

    /// Returns what answers a challenge (RFC 8555, 8.1).
    pub(crate) fn authorize(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint)
    }

    /// Signs a request: as the account, or with the key itself where there is none yet.
    /// No payload is a POST-as-GET (RFC 8555, 6.2 and 6.3).
    pub(crate) fn sign(
        &self,
        account: Option<&str>,
        nonce: &str,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Vec<u8>, Unspecified> {
        let mut header = json!({"alg": "ES256", "nonce": nonce, "url": url});
        match account {
            Some(account) => header["kid"] = json!(account),
            None => header["jwk"] = self.jwk.clone(),
        }
        let header = base64url(header.to_string());
        let payload = payload.map_or_else(String::new, |payload| base64url(payload.to_string()));
        let input = format!("{header}.{payload}");
        let signature = base64url(self.pair.sign(&self.random, input.as_bytes())?);
        Ok(
            format!(
                r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
            )
            .into_bytes(),
        )
    }
}
