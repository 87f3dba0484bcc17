//! Key usages (RFC 5280, 4.2.1.3) and extended key usages (4.2.1.12).

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use crate::oid;
use crate::public_key::KeyType;

/// One bit of the keyUsage extension; its value is its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUsage {
    /// digitalSignature.
    DigitalSignature = 0,
    /// contentCommitment, once nonRepudiation.
    ContentCommitment = 1,
    /// keyEncipherment.
    KeyEncipherment = 2,
    /// dataEncipherment.
    DataEncipherment = 3,
    /// keyAgreement.
    KeyAgreement = 4,
    /// keyCertSign.
    KeyCertSign = 5,
    /// cRLSign.
    #[serde(rename = "crl-sign")]
    CrlSign = 6,
    /// encipherOnly.
    EncipherOnly = 7,
    /// decipherOnly.
    DecipherOnly = 8,
}

impl KeyUsage {
    /// Every usage.
    pub const ALL: [Self; 9] = [
        Self::DigitalSignature,
        Self::ContentCommitment,
        Self::KeyEncipherment,
        Self::DataEncipherment,
        Self::KeyAgreement,
        Self::KeyCertSign,
        Self::CrlSign,
        Self::EncipherOnly,
        Self::DecipherOnly,
    ];
}

/// A set of key usages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyUsages(u16);

impl KeyUsages {
    /// The bits that only keys which encipher may have.
    const ENCIPHERING: [KeyUsage; 2] = [KeyUsage::KeyEncipherment, KeyUsage::DataEncipherment];

    /// Tells whether a usage is in the set.
    #[must_use]
    pub const fn contains(self, usage: KeyUsage) -> bool {
        self.0 & (1 << usage as u16) != 0
    }

    /// Tells whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Leaves out what keys of a type cannot do (RFC 3279, 2.3.1; RFC 8813, 3;
    /// RFC 8410, 5).
    #[must_use]
    pub fn fitting(self, key_type: KeyType) -> Self {
        let cannot: &[KeyUsage] = match key_type {
            KeyType::Rsa { .. } => &[
                KeyUsage::KeyAgreement,
                KeyUsage::EncipherOnly,
                KeyUsage::DecipherOnly,
            ],
            KeyType::P256 | KeyType::P384 | KeyType::P521 => &Self::ENCIPHERING,
            KeyType::Ed25519 => &[
                KeyUsage::KeyEncipherment,
                KeyUsage::DataEncipherment,
                KeyUsage::KeyAgreement,
                KeyUsage::EncipherOnly,
                KeyUsage::DecipherOnly,
            ],
        };
        Self(
            cannot
                .iter()
                .fold(self.0, |bits, usage| bits & !(1 << *usage as u16)),
        )
    }

    /// Returns the octets of the named bit list, without trailing zero bits, and
    /// how many bits they hold (X.690, 11.2.2).
    pub(crate) fn to_bits(self) -> ([u8; 2], usize) {
        // The first named bit is the leftmost.
        let [low, high] = self.0.to_le_bytes();
        let len = 16 - self.0.leading_zeros() as usize;
        ([low.reverse_bits(), high.reverse_bits()], len)
    }

    /// Reads a named bit list of at most nine bits.
    pub(crate) fn from_bits(octets: &[u8]) -> Option<Self> {
        let (first, second) = match octets {
            [] => (0, 0),
            [first] => (*first, 0),
            [first, second] => (*first, *second),
            _ => return None,
        };
        let bits = u16::from_le_bytes([first.reverse_bits(), second.reverse_bits()]);
        (bits < 1 << 9).then_some(Self(bits))
    }
}

impl FromIterator<KeyUsage> for KeyUsages {
    fn from_iter<T: IntoIterator<Item = KeyUsage>>(usages: T) -> Self {
        Self(
            usages
                .into_iter()
                .fold(0, |bits, usage| bits | 1 << usage as u16),
        )
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExtendedKeyUsage(ObjectIdentifier);

/// Purposes by name.
const NAMED: [(&str, ObjectIdentifier); 6] = [
    ("server-auth", oid::SERVER_AUTH),
    ("client-auth", oid::CLIENT_AUTH),
    ("code-signing", oid::CODE_SIGNING),
    ("email-protection", oid::EMAIL_PROTECTION),
    ("time-stamping", oid::TIME_STAMPING),
    ("ocsp-signing", oid::OCSP_SIGNING),
];

/// A text that names no purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no extended key usage: server-auth, client-auth, code-signing, email-protection, time-stamping, ocsp-signing, or an object identifier"
)]
pub struct UnknownUsage {
    /// The text given, cut at 40 characters.
    pub given: String,
}

impl ExtendedKeyUsage {
    /// TLS servers.
    pub const SERVER_AUTH: Self = Self(oid::SERVER_AUTH);
    /// TLS clients.
    pub const CLIENT_AUTH: Self = Self(oid::CLIENT_AUTH);
    /// Code.
    pub const CODE_SIGNING: Self = Self(oid::CODE_SIGNING);
    /// Time-stamps.
    pub const TIME_STAMPING: Self = Self(oid::TIME_STAMPING);
    /// OCSP responses.
    pub const OCSP_SIGNING: Self = Self(oid::OCSP_SIGNING);
    /// Anything: never issued.
    pub const ANY: Self = Self(oid::ANY_EXTENDED_KEY_USAGE);

    /// Takes any purpose.
    #[must_use]
    pub const fn new(purpose: ObjectIdentifier) -> Self {
        Self(purpose)
    }

    /// Returns the object identifier.
    #[must_use]
    pub const fn oid(&self) -> &ObjectIdentifier {
        &self.0
    }
}

impl fmt::Display for ExtendedKeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMED.iter().find(|(_, oid)| *oid == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for ExtendedKeyUsage {
    type Err = UnknownUsage;

    fn from_str(text: &str) -> Result<Self, UnknownUsage> {
        NAMED
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, oid)| *oid)
            .or_else(|| text.parse().ok())
            .map(Self)
            .ok_or_else(|| UnknownUsage {
                given: text.chars().take(40).collect(),
            })
    }
}

impl TryFrom<String> for ExtendedKeyUsage {
    type Error = UnknownUsage;

    fn try_from(text: String) -> Result<Self, UnknownUsage> {
        text.parse()
    }
}

impl From<ExtendedKeyUsage> for String {
    fn from(usage: ExtendedKeyUsage) -> String {
        usage.to_string()
    }
}
