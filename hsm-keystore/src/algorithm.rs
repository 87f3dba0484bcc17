//! Key algorithms and the ways keys sign.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// A key's algorithm and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// ECDSA on NIST P-256 (FIPS 186-5).
    #[serde(rename = "p256")]
    EcP256,
    /// ECDSA on NIST P-384 (FIPS 186-5).
    #[serde(rename = "p384")]
    EcP384,
    /// RSA, 2048-bit modulus.
    #[serde(rename = "rsa2048")]
    Rsa2048,
    /// RSA, 3072-bit modulus.
    #[serde(rename = "rsa3072")]
    Rsa3072,
    /// RSA, 4096-bit modulus.
    #[serde(rename = "rsa4096")]
    Rsa4096,
    /// Ed25519 (RFC 8032).
    #[serde(rename = "ed25519")]
    Ed25519,
}

/// A text that names no key algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no key algorithm here: p256, p384, rsa2048, rsa3072, rsa4096 or ed25519")]
pub struct UnknownAlgorithm {
    /// The text given, cut at 40 characters.
    pub given: String,
}

impl KeyAlgorithm {
    /// Every algorithm a store may carry.
    pub const ALL: [Self; 6] = [
        Self::EcP256,
        Self::EcP384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Ed25519,
    ];

    /// Returns the name used in configuration and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcP256 => "p256",
            Self::EcP384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Returns the scheme that certificates signed by such a key use.
    #[must_use]
    pub const fn default_scheme(self) -> SignatureScheme {
        match self {
            Self::EcP256 => SignatureScheme::EcdsaP256Sha256,
            Self::EcP384 => SignatureScheme::EcdsaP384Sha384,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => SignatureScheme::RsaPkcs1Sha256,
            Self::Ed25519 => SignatureScheme::Ed25519,
        }
    }

    /// Returns every scheme such a key can sign by, the default first.
    #[must_use]
    pub const fn schemes(self) -> &'static [SignatureScheme] {
        match self {
            Self::EcP256 => &[SignatureScheme::EcdsaP256Sha256],
            Self::EcP384 => &[SignatureScheme::EcdsaP384Sha384],
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                SignatureScheme::RsaPkcs1Sha256,
                SignatureScheme::RsaPkcs1Sha384,
                SignatureScheme::RsaPkcs1Sha512,
                SignatureScheme::RsaPssSha256,
                SignatureScheme::RsaPssSha384,
                SignatureScheme::RsaPssSha512,
            ],
            Self::Ed25519 => &[SignatureScheme::Ed25519],
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| UnknownAlgorithm {
                given: text.chars().take(40).collect(),
            })
    }
}

/// A signature algorithm with its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignatureScheme {
    /// ECDSA on P-256 over SHA-256.
    #[serde(rename = "ecdsa-p256-sha256")]
    EcdsaP256Sha256,
    /// ECDSA on P-384 over SHA-384.
    #[serde(rename = "ecdsa-p384-sha384")]
    EcdsaP384Sha384,
    /// RSASSA-PKCS1-v1_5 over SHA-256 (RFC 8017, 8.2).
    #[serde(rename = "rsa-pkcs1-sha256")]
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 over SHA-384.
    #[serde(rename = "rsa-pkcs1-sha384")]
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 over SHA-512.
    #[serde(rename = "rsa-pkcs1-sha512")]
    RsaPkcs1Sha512,
    /// RSASSA-PSS over SHA-256, salt of 32 octets (RFC 8017, 8.1).
    #[serde(rename = "rsa-pss-sha256")]
    RsaPssSha256,
    /// RSASSA-PSS over SHA-384, salt of 48 octets.
    #[serde(rename = "rsa-pss-sha384")]
    RsaPssSha384,
    /// RSASSA-PSS over SHA-512, salt of 64 octets.
    #[serde(rename = "rsa-pss-sha512")]
    RsaPssSha512,
    /// Pure Ed25519 (RFC 8032, 5.1).
    #[serde(rename = "ed25519")]
    Ed25519,
}

impl SignatureScheme {
    /// Returns the hash that is signed, none for Ed25519, which signs messages.
    #[must_use]
    pub fn digest(self) -> Option<&'static digest::Algorithm> {
        match self {
            Self::EcdsaP256Sha256 | Self::RsaPkcs1Sha256 | Self::RsaPssSha256 => {
                Some(&digest::SHA256)
            }
            Self::EcdsaP384Sha384 | Self::RsaPkcs1Sha384 | Self::RsaPssSha384 => {
                Some(&digest::SHA384)
            }
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 => Some(&digest::SHA512),
            Self::Ed25519 => None,
        }
    }
}

impl SignatureScheme {
    /// Returns the name used in configuration, reports and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
            Self::RsaPkcs1Sha384 => "rsa-pkcs1-sha384",
            Self::RsaPkcs1Sha512 => "rsa-pkcs1-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::RsaPssSha384 => "rsa-pss-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
