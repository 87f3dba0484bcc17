//! Algorithms of JWS (RFC 7518, 3; RFC 8037, 3.1), and verification.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self as aws, UnparsedPublicKey, VerificationAlgorithm};
use pki::public_key::{KeyType, PublicKey};

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl SigningAlgorithm {
    /// Every algorithm, as `badSignatureAlgorithm` lists them.
    pub const ALL: [Self; 4] = [Self::Es256, Self::Es384, Self::EdDsa, Self::Rs256];

    /// Returns the name in a header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// Finds the algorithm of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }

    /// Returns the one algorithm for keys of a type.
    #[must_use]
    pub fn for_key(key_type: KeyType) -> Option<Self> {
        match key_type {
            KeyType::Rsa { .. } => Some(Self::Rs256),
            KeyType::P256 => Some(Self::Es256),
            KeyType::P384 => Some(Self::Es384),
            KeyType::Ed25519 => Some(Self::EdDsa),
            // ES512 is not among those offered.
            KeyType::P521 => None,
        }
    }

    /// Tells whether a signature verifies; ECDSA's is raw r ‖ s, each as long as
    /// the curve's order, big-endian (RFC 7518, 3.4).
    pub(super) fn verifies(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            Self::Es256 => &aws::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &aws::ECDSA_P384_SHA384_FIXED,
            Self::EdDsa => &aws::ED25519,
            Self::Rs256 => &aws::RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, key.key_octets())
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an external account binding is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl MacAlgorithm {
    /// Finds the algorithm of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "HS384" => Some(Self::Hs384),
            "HS512" => Some(Self::Hs512),
            _ => None,
        }
    }

    /// Tells whether a MAC verifies, in constant time.
    pub(super) fn verifies(self, key: &[u8], message: &[u8], mac: &[u8]) -> bool {
        let algorithm = match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        };
        // RFC 8555, 7.3.4: the MAC is compared in constant time; aws-lc-rs does,
        // and takes the whole MAC alone.
        hmac::verify(&hmac::Key::new(algorithm, key), message, mac).is_ok()
    }
}
