//! Profiles as people write them.

use std::fmt;
use std::str::FromStr;

use model::IssuerId;
use serde::{Deserialize, Serialize};

use super::lifetime::Lifetime;
use super::usage::{ExtendedKeyUsage, KeyUsage};
use crate::name::AttributeType;
use crate::name_constraints::{Cidr, NameConstraints};
use crate::names::NameKind;
use crate::public_key::KeyType;

/// What kind of certificate a profile makes: sets defaults and hard rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileKind {
    /// TLS servers.
    TlsServer,
    /// TLS clients.
    TlsClient,
    /// Services and people of this installation: clients and servers of the mesh
    /// with one SPIFFE identity.
    Service,
    /// Signers of code.
    CodeSigning,
    /// Builds of a forge as clients of the mesh, for minutes, after the forge's token.
    CiClient,
    /// Keys of ours that sign code for such a build, for minutes.
    CodeSigningForge,
    /// Delegated OCSP responders (RFC 6960, 4.2.2.2).
    OcspResponder,
    /// Time-stamping authorities (RFC 3161, 2.3).
    TimeStamping,
    /// Subordinate CAs.
    SubCa,
    /// Roots, which sign themselves.
    RootCa,
}

/// A text that names no kind of profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such kind of profile: tls-server, tls-client, service, code-signing, ci-client, code-signing-forge, ocsp-responder, time-stamping, sub-ca or root-ca"
)]
pub struct UnknownKind;

impl ProfileKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::TlsServer,
        Self::TlsClient,
        Self::Service,
        Self::CodeSigning,
        Self::CiClient,
        Self::CodeSigningForge,
        Self::OcspResponder,
        Self::TimeStamping,
        Self::SubCa,
        Self::RootCa,
    ];

    /// Returns the name, which is also that of the built-in profile.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsServer => "tls-server",
            Self::TlsClient => "tls-client",
            Self::Service => "service",
            Self::CodeSigning => "code-signing",
            Self::CiClient => "ci-client",
            Self::CodeSigningForge => "code-signing-forge",
            Self::OcspResponder => "ocsp-responder",
            Self::TimeStamping => "time-stamping",
            Self::SubCa => "sub-ca",
            Self::RootCa => "root-ca",
        }
    }

    /// Tells whether certificates of this kind are CAs'.
    #[must_use]
    pub const fn is_ca(self) -> bool {
        matches!(self, Self::SubCa | Self::RootCa)
    }

    /// Tells whether peers match the certificate by its names (RFC 9525).
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(
            self,
            Self::TlsServer | Self::TlsClient | Self::Service | Self::CiClient
        )
    }

    /// Tells whether certificates of this kind say what a forge said of a build, and
    /// so live for minutes: nothing else ever carries that.
    #[must_use]
    pub const fn carries_forge_claims(self) -> bool {
        matches!(self, Self::CiClient | Self::CodeSigningForge)
    }

    /// Tells whether certificates of this kind sign code.
    #[must_use]
    pub const fn signs_code(self) -> bool {
        matches!(self, Self::CodeSigning | Self::CodeSigningForge)
    }
}

impl fmt::Display for ProfileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProfileKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}

/// A kind of key that a profile takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyClass {
    /// RSA of at least `rsa_min_bits`.
    Rsa,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519.
    Ed25519,
}

impl From<KeyType> for KeyClass {
    fn from(key_type: KeyType) -> Self {
        match key_type {
            KeyType::Rsa { .. } => Self::Rsa,
            KeyType::P256 => Self::P256,
            KeyType::P384 => Self::P384,
            KeyType::P521 => Self::P521,
            KeyType::Ed25519 => Self::Ed25519,
        }
    }
}

/// When certificates carry OCSP must-staple (RFC 7633).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MustStaple {
    /// Never, even if asked for.
    Never,
    /// If the request asks for it.
    Requested,
    /// Always.
    Always,
}

/// A profile, every key optional: what is missing comes from the built-in
/// profile of its kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// Kind; may be left out where the profile is called as a built-in one.
    pub kind: Option<ProfileKind>,
    /// Issuer; default: the CA's own choice.
    pub issuer: Option<IssuerId>,
    /// Kinds of keys taken.
    pub keys: Option<Vec<KeyClass>>,
    /// Fewest bits of RSA keys, at least 2048.
    pub rsa_min_bits: Option<u32>,
    /// Validity from now on, unless the request asks for another.
    pub validity: Option<Lifetime>,
    /// Longest validity, back-dating included.
    pub max_validity: Option<Lifetime>,
    /// How far notBefore lies in the past, for clocks that are behind.
    pub backdate: Option<Lifetime>,
    /// Key usages. Encipherment is left out for keys that cannot encipher.
    pub key_usages: Option<Vec<KeyUsage>>,
    /// Extended key usages, by name or object identifier.
    pub extended_key_usages: Option<Vec<ExtendedKeyUsage>>,
    /// Marks the extended key usages critical.
    pub extended_key_usages_critical: Option<bool>,
    /// Subject alternative names.
    pub names: NameRulesConfig,
    /// The subject.
    pub subject: SubjectRulesConfig,
    /// CA kinds: how many CA certificates may follow.
    pub path_length: Option<u8>,
    /// CA kinds: the names that may be certified below.
    pub name_constraints: Option<NameConstraints>,
    /// Certificate policies.
    pub policies: Option<Vec<PolicyConfig>>,
    /// Names where the issuer's certificate is (AIA).
    pub ca_issuers: Option<bool>,
    /// Names the OCSP responder (AIA).
    pub ocsp: Option<bool>,
    /// Names the CRL (CDP).
    pub crl: Option<bool>,
    /// OCSP responders: relying parties need not check their certificate.
    pub ocsp_no_check: Option<bool>,
    /// OCSP must-staple.
    pub must_staple: Option<MustStaple>,
    /// Embeds a signed certificate timestamp of the CA's own log key (RFC 6962); by
    /// default where the kind signs code and `[ca.ct]` is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embed_sct: Option<bool>,
}

/// Rules for subject alternative names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameRulesConfig {
    /// Kinds of names taken.
    pub kinds: Option<Vec<NameKind>>,
    /// Fewest names.
    pub min: Option<usize>,
    /// Most names.
    pub max: Option<usize>,
    /// Wildcard DNS names are taken.
    pub wildcards: Option<bool>,
    /// Domains, with all below, that DNS names must be in; empty: any.
    pub allowed_domains: Option<Vec<String>>,
    /// Domains, with all below, that DNS names must not be in.
    pub forbidden_domains: Option<Vec<String>>,
    /// Addresses that are taken; empty: any.
    pub allowed_addresses: Option<Vec<Cidr>>,
    /// Addresses that are refused.
    pub forbidden_addresses: Option<Vec<Cidr>>,
    /// Domains that e-mail addresses must be in, with all below; empty: any.
    pub allowed_email_domains: Option<Vec<String>>,
    /// What URIs must begin with; empty: any. `spiffe:` is never taken from a
    /// request, whatever stands here.
    pub allowed_uri_prefixes: Option<Vec<String>>,
}

/// Rules for the subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubjectRulesConfig {
    /// Attributes taken from the request; others are dropped.
    pub keep: Option<Vec<AttributeType>>,
    /// Attributes without which a request is refused.
    pub require: Option<Vec<AttributeType>>,
    /// Attributes set whatever the request says: `{ O = "Example" }`.
    pub fixed: Option<std::collections::BTreeMap<AttributeType, String>>,
    /// The common name must be one of the names; one that is missing among them
    /// is added (RFC 9525 knows no common name, old software does).
    pub common_name_is_a_name: Option<bool>,
}

/// One certificate policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// Object identifier, dotted.
    pub oid: String,
    /// URL of the certification practice statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cps: Option<String>,
}
