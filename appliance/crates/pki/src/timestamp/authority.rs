//! Who stamps, and how.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use crate::algorithm::{HashAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::cms::{CmsSigner, NotASigner};
use crate::oid;
use crate::profile::{ExtendedKeyUsage, KeyUsage};

/// A policy under which time-stamps are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyOid(ObjectIdentifier);

/// Text that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no policy: it is written as an object identifier, such as 1.3.6.1.4.1.99999.1"
)]
pub struct InvalidPolicy {
    /// The text given, cut at 40 characters.
    pub given: String,
}

impl PolicyOid {
    /// Takes an object identifier.
    #[must_use]
    pub const fn new(oid: ObjectIdentifier) -> Self {
        Self(oid)
    }

    /// Returns the object identifier.
    #[must_use]
    pub const fn oid(&self) -> &ObjectIdentifier {
        &self.0
    }
}

impl fmt::Display for PolicyOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PolicyOid {
    type Err = InvalidPolicy;

    /// Reads a policy as numbers and dots. Text is hostile: never panics.
    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        text.parse().map(Self).map_err(|_| InvalidPolicy {
            given: text.chars().take(40).collect(),
        })
    }
}

impl TryFrom<String> for PolicyOid {
    type Error = InvalidPolicy;

    fn try_from(text: String) -> Result<Self, InvalidPolicy> {
        text.parse()
    }
}

impl From<PolicyOid> for String {
    fn from(policy: PolicyOid) -> Self {
        policy.to_string()
    }
}

/// How far a time may be from the true one (RFC 3161, 2.4.2): the sum of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Accuracy {
    /// Seconds.
    pub seconds: u32,
    /// Thousandths of a second, up to 999.
    pub millis: u16,
    /// Millionths of a second, up to 999.
    pub micros: u16,
}

/// How finely a time is written.
///
/// Some verifiers read whole seconds and exactly three digits alone, while DER drops
/// zeros at the end: `Seconds` is what everything reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Whole seconds.
    #[default]
    Seconds,
    /// Thousandths of a second.
    Millis,
    /// Millionths of a second.
    Micros,
}

impl Precision {
    /// Returns the most digits behind the point.
    #[must_use]
    pub const fn digits(self) -> usize {
        match self {
            Self::Seconds => 0,
            Self::Millis => 3,
            Self::Micros => 6,
        }
    }
}

/// What every token of an authority says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthoritySettings {
    /// The only policy it stamps under.
    pub policy: PolicyOid,
    /// How exact its times are.
    pub accuracy: Option<Accuracy>,
    /// Whether any two of its tokens are in the order of their times.
    pub ordering: bool,
    /// How finely its times are written.
    pub precision: Precision,
    /// Whether its name stands in its tokens.
    pub named: bool,
}

/// Why a certificate is none of a time-stamping authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAuthority {
    /// It is for something else, too, or not for time-stamps, or does not say so critically.
    #[error(
        "the certificate is not for time-stamps alone: its only extended key usage must be id-kp-timeStamping, and critical (RFC 3161, 2.3)"
    )]
    Purpose,
    /// Its key may do more than sign.
    #[error("the time-stamping authority's key may do more than sign contents")]
    KeyUsage,
    /// It cannot sign.
    #[error(transparent)]
    Signer(#[from] NotASigner),
    /// RSASSA-PSS, which much that verifies tokens does not know (OpenSSL's `ts` among it).
    #[error(
        "time-stamps are not signed by {algorithm}, which many cannot verify in them: choose PKCS#1 v1.5 or ECDSA"
    )]
    Algorithm {
        /// The algorithm chosen.
        algorithm: SignatureAlgorithm,
    },
    /// An accuracy that cannot be written.
    #[error("an accuracy has at most 999 milliseconds and 999 microseconds, and is not zero")]
    Accuracy,
}

/// Checks that a certificate is for time-stamps and nothing else (RFC 3161, 2.3).
pub(super) fn check_purpose(certificate: &Certificate) -> Result<(), NotAnAuthority> {
    let extensions = certificate.extensions();
    let alone = extensions.extended_key_usages == [ExtendedKeyUsage::TIME_STAMPING];
    if !alone || extensions.critical(oid::EXTENDED_KEY_USAGE) != Some(true) {
        return Err(NotAnAuthority::Purpose);
    }
    let signs_alone = extensions.key_usage.is_none_or(|usages| {
        KeyUsage::ALL
            .into_iter()
            .filter(|usage| usages.contains(*usage))
            .all(|usage| {
                matches!(
                    usage,
                    KeyUsage::DigitalSignature | KeyUsage::ContentCommitment
                )
            })
    });
    let is_ca = extensions.basic_constraints.is_some_and(|one| one.ca);
    if !signs_alone || is_ca {
        return Err(NotAnAuthority::KeyUsage);
    }
    Ok(())
}

/// A key that stamps, and what each token says of it.
#[derive(Debug, Clone)]
pub struct TimeStampAuthority {
    /// The signer, with its own certificate alone.
    signer: CmsSigner,
    /// What every token says.
    settings: AuthoritySettings,
    /// Its Name, where tokens have it.
    name_der: Option<Arc<[u8]>>,
}

impl TimeStampAuthority {
    /// Takes an authority by its certificate.
    ///
    /// # Errors
    ///
    /// Why nobody would accept its tokens. Validity is not checked, having no clock: the
    /// lint does.
    pub fn new(
        certificate: &Certificate,
        algorithm: SignatureAlgorithm,
        settings: AuthoritySettings,
    ) -> Result<Self, NotAnAuthority> {
        check_purpose(certificate)?;
        if let Some(accuracy) = settings.accuracy
            && (accuracy == Accuracy::default() || accuracy.millis > 999 || accuracy.micros > 999)
        {
            return Err(NotAnAuthority::Accuracy);
        }
        if matches!(algorithm, SignatureAlgorithm::RsaPss(_)) {
            return Err(NotAnAuthority::Algorithm { algorithm });
        }
        Ok(Self {
            signer: CmsSigner::new(std::slice::from_ref(certificate), algorithm)?,
            name_der: settings.named.then(|| certificate.subject_der().into()),
            settings,
        })
    }

    /// Returns its certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        self.signer.certificate()
    }

    /// Returns what every token says.
    #[must_use]
    pub fn settings(&self) -> &AuthoritySettings {
        &self.settings
    }

    /// Returns how it signs.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signer.signature_algorithm()
    }

    /// Returns the hash of what it signs.
    pub(super) fn hash(&self) -> HashAlgorithm {
        // A signer has none without.
        let algorithm = self.signature_algorithm();
        algorithm.hash().unwrap_or(HashAlgorithm::Sha256)
    }

    /// Returns the signer.
    pub(super) fn signer(&self) -> &CmsSigner {
        &self.signer
    }

    /// Returns its Name, where tokens have it.
    pub(super) fn name_der(&self) -> Option<&[u8]> {
        self.name_der.as_deref()
    }
}
