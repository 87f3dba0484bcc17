//! Profiles: what a kind of certificate is, as data and one pure function.
//!
//! [`ProfileConfig`] is what people write; [`Profile`] is that, checked against
//! its kind's hard rules. [`Profile::plan`] decides every field of one
//! certificate.

mod built_in;
mod check;
mod config;
mod lifetime;
mod plan;
mod rules;
mod usage;

use std::time::Duration;

use const_oid::ObjectIdentifier;
use model::{IssuerId, ProfileName};

pub use check::ProfileError;
pub use config::{
    KeyClass, MustStaple, NameRulesConfig, PolicyConfig, ProfileConfig, ProfileKind,
    SubjectRulesConfig,
};
pub use lifetime::{InvalidLifetime, Lifetime};
pub(crate) use plan::Fields;
pub(crate) use plan::Timestamped;
pub use plan::{PlanRequest, PlannedCertificate, ProfileRefusal, Timestamps};
pub use usage::{ExtendedKeyUsage, KeyUsage, KeyUsages, UnknownUsage};

pub use crate::name_constraints::{Cidr, NameConstraints, Subtree};
pub(crate) use rules::{NameRules, SubjectRules};

/// A certificate policy (RFC 5280, 4.2.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Which policy.
    pub(crate) oid: ObjectIdentifier,
    /// Where its practice statement is.
    pub(crate) cps: Option<String>,
}

/// A checked profile.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub(crate) name: ProfileName,
    /// What kind of certificate it makes.
    pub(crate) kind: ProfileKind,
    /// Who issues; the CA's default issuer if none.
    pub(crate) issuer: Option<IssuerId>,
    /// Kinds of keys taken.
    pub(crate) keys: Vec<KeyClass>,
    /// Fewest bits of an RSA modulus.
    pub(crate) rsa_min_bits: u32,
    /// Validity unless asked otherwise.
    pub(crate) validity: Duration,
    /// Longest period from notBefore to notAfter, both included.
    pub(crate) max_validity: Duration,
    /// How far notBefore lies before now.
    pub(crate) backdate: Duration,
    /// Key usages; those that a key type cannot have are left out.
    pub(crate) key_usages: KeyUsages,
    /// Extended key usages.
    pub(crate) extended_key_usages: Vec<ExtendedKeyUsage>,
    /// Whether they are critical.
    pub(crate) extended_key_usages_critical: bool,
    /// Which subject alternative names.
    pub(crate) names: NameRules,
    /// What becomes of the subject.
    pub(crate) subject: SubjectRules,
    /// Whether an identity (SPIFFE ID) is granted by it.
    pub(crate) identity: bool,
    /// How many CA certificates may follow; CA profiles only.
    pub(crate) path_length: Option<u8>,
    /// The names a CA under it may certify.
    pub(crate) name_constraints: NameConstraints,
    /// Policies.
    pub(crate) policies: Vec<Policy>,
    /// Points to the issuer's certificate.
    pub(crate) ca_issuers: bool,
    /// Points to the OCSP responder.
    pub(crate) ocsp: bool,
    /// Points to the CRL.
    pub(crate) crl: bool,
    /// Carries id-pkix-ocsp-nocheck.
    pub(crate) ocsp_no_check: bool,
    /// Carries the TLS feature status_request.
    pub(crate) must_staple: MustStaple,
    /// Carries a signed certificate timestamp, where the CA has a log key.
    pub(crate) embed_sct: bool,
    /// The configuration with every default filled in.
    pub(crate) effective: ProfileConfig,
}

impl Profile {
    /// Returns the profile's name.
    #[must_use]
    pub fn name(&self) -> &ProfileName {
        &self.name
    }

    /// Returns what kind of certificate it makes.
    #[must_use]
    pub fn kind(&self) -> ProfileKind {
        self.kind
    }

    /// Returns who issues, if the profile says so.
    #[must_use]
    pub fn issuer(&self) -> Option<&IssuerId> {
        self.issuer.as_ref()
    }

    /// Tells whether its certificates are CAs'.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.kind.is_ca()
    }

    /// Tells whether it grants an identity, and so must be given one.
    #[must_use]
    pub fn grants_identity(&self) -> bool {
        self.identity
    }

    /// Tells whether its certificates carry a signed certificate timestamp, where the
    /// CA has a log key.
    #[must_use]
    pub fn embeds_sct(&self) -> bool {
        self.embed_sct
    }

    /// Returns how long certificates last unless asked otherwise.
    #[must_use]
    pub fn validity(&self) -> Duration {
        self.validity
    }

    /// Returns the configuration with every default filled in, for showing.
    #[must_use]
    pub fn effective_config(&self) -> &ProfileConfig {
        &self.effective
    }
}

#[cfg(test)]
mod tests;
