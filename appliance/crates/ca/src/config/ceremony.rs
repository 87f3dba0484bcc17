//! `[ca.ceremony]`: the authorities that `chancery init` makes.

use std::collections::BTreeMap;

use hsm_keystore::{KeyAlgorithm, KeyId, SignatureScheme};
use model::{IssuerId, ProfileName};
use pki::name::{DistinguishedName, InvalidName};
use pki::name_constraints::NameConstraints;
use pki::profile::{KeyClass, Lifetime, Profile, ProfileConfig, ProfileError, ProfileKind};
use serde::{Deserialize, Serialize};

use super::{ConfigError, name};

/// `[ca.ceremony]`, as written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CeremonyConfig {
    /// The root, which signs itself and the issuing authority.
    pub root: AuthorityConfig,
    /// The issuing authority, which signs everything else.
    pub issuing: AuthorityConfig,
}

/// One authority, as written; what is missing takes the default of its place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorityConfig {
    /// Its name in URLs and records; `root` or `issuing` by default.
    pub id: Option<IssuerId>,
    /// Name of its key; `ca-root` or `ca-issuing` by default.
    pub key: Option<KeyId>,
    /// Which of `[keystores]` holds the key; `[keystore]` by default.
    pub keystore: Option<String>,
    /// Algorithm of its key; `p384` for the root, `p256` for the issuing one.
    pub algorithm: Option<KeyAlgorithm>,
    /// How it signs; the key's usual scheme by default.
    pub scheme: Option<SignatureScheme>,
    /// Its subject (RFC 4514).
    pub subject: Option<String>,
    /// Validity of its certificate; `20y` for the root, `10y` for the issuing one.
    pub validity: Option<Lifetime>,
    /// How many CA certificates may follow it; 0 for the issuing one.
    pub path_length: Option<u8>,
    /// The names it may certify.
    pub name_constraints: Option<NameConstraints>,
}

/// What is wrong with one key of an authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityProblem {
    /// A subject that is none.
    #[error(transparent)]
    Subject(#[from] InvalidName),
    /// A CA without a name.
    #[error("a CA needs a name (RFC 5280, 4.1.2.6)")]
    NoSubject,
    /// A scheme of another kind of key.
    #[error("a {algorithm} key cannot sign by {scheme}")]
    Scheme {
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
        /// The scheme.
        scheme: SignatureScheme,
    },
    /// A certificate that cannot be.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// No room for the issuing authority.
    #[error("a root of path length 0 cannot have an issuing authority with CAs below it")]
    PathLength,
}

/// Both authorities, found sound.
#[derive(Debug, Clone)]
pub(crate) struct CeremonyPlan {
    /// The root.
    pub(crate) root: AuthorityPlan,
    /// The issuing authority.
    pub(crate) issuing: AuthorityPlan,
}

/// One authority, found sound.
#[derive(Debug, Clone)]
pub(crate) struct AuthorityPlan {
    /// Its name.
    pub(crate) id: IssuerId,
    /// Name of its key.
    pub(crate) key: KeyId,
    /// Which keystore; none for the default one.
    pub(crate) keystore: Option<String>,
    /// Algorithm of its key.
    pub(crate) algorithm: KeyAlgorithm,
    /// How it signs.
    pub(crate) scheme: SignatureScheme,
    /// Its subject.
    pub(crate) subject: DistinguishedName,
    /// Validity of its certificate.
    pub(crate) validity: Lifetime,
    /// The profile of its certificate.
    pub(crate) profile: Profile,
}

/// What an authority is unless written otherwise.
struct Place {
    /// Its place in the configuration.
    name: &'static str,
    /// Its name.
    id: &'static str,
    /// Its key's name.
    key: &'static str,
    /// Its key's algorithm.
    algorithm: KeyAlgorithm,
    /// Its subject.
    subject: &'static str,
    /// Days its certificate is valid.
    days: u32,
    /// CA certificates that may follow.
    path_length: Option<u8>,
    /// Kind of its certificate.
    kind: ProfileKind,
}

/// The root unless written otherwise.
const ROOT: Place = Place {
    name: "root",
    id: "root",
    key: "ca-root",
    algorithm: KeyAlgorithm::EcP384,
    subject: "CN=Chancery Root CA",
    days: 20 * 365,
    path_length: None,
    kind: ProfileKind::RootCa,
};

/// The issuing authority unless written otherwise.
const ISSUING: Place = Place {
    name: "issuing",
    id: "issuing",
    key: "ca-issuing",
    algorithm: KeyAlgorithm::EcP256,
    subject: "CN=Chancery Issuing CA",
    days: 10 * 365,
    path_length: Some(0),
    kind: ProfileKind::SubCa,
};

impl CeremonyConfig {
    /// Checks both authorities; `profiles` may change `root-ca` and `sub-ca`.
    pub(super) fn check(
        &self,
        profiles: &BTreeMap<ProfileName, ProfileConfig>,
    ) -> Result<CeremonyPlan, ConfigError> {
        let root = self.root.check(&ROOT, profiles)?;
        let issuing = self.issuing.check(&ISSUING, profiles)?;
        if root.id == issuing.id {
            return Err(ConfigError::SameAuthority { key: "id" });
        }
        if root.key == issuing.key {
            // In one keystore, or copied into one when the root's is away.
            return Err(ConfigError::SameAuthority { key: "key" });
        }
        // RFC 5280, 4.2.1.9: the root's counts the authorities below its issuing one.
        let below = self
            .issuing
            .path_length
            .or(ISSUING.path_length)
            .unwrap_or(0);
        if self.root.path_length.is_some_and(|root| root <= below) {
            return Err(ConfigError::Authority {
                authority: ROOT.name,
                key: "path_length",
                problem: AuthorityProblem::PathLength,
            });
        }
        Ok(CeremonyPlan { root, issuing })
    }
}

impl AuthorityConfig {
    /// Checks one authority against its place.
    fn check(
        &self,
        place: &Place,
        profiles: &BTreeMap<ProfileName, ProfileConfig>,
    ) -> Result<AuthorityPlan, ConfigError> {
        let refuse = |key, problem| ConfigError::Authority {
            authority: place.name,
            key,
            problem,
        };
        let algorithm = self.algorithm.unwrap_or(place.algorithm);
        let scheme = self.scheme.unwrap_or(algorithm.default_scheme());
        if !algorithm.schemes().contains(&scheme) {
            return Err(refuse(
                "scheme",
                AuthorityProblem::Scheme { algorithm, scheme },
            ));
        }
        let subject: DistinguishedName =
            self.subject
                .as_deref()
                .unwrap_or(place.subject)
                .parse()
                .map_err(|error: InvalidName| refuse("subject", error.into()))?;
        subject
            .check_issuable()
            .map_err(|error| refuse("subject", error.into()))?;
        if subject.is_empty() {
            return Err(refuse("subject", AuthorityProblem::NoSubject));
        }
        let validity = self.validity.unwrap_or(Lifetime::days(place.days));
        let profile_name = ProfileName::new(place.kind.as_str())?;
        let written = profiles.get(&profile_name).cloned().unwrap_or_default();
        let profile = self
            .profile(place, profile_name, written, algorithm, validity)
            .map_err(|error| refuse("validity", error.into()))?;
        Ok(AuthorityPlan {
            id: self
                .id
                .clone()
                .unwrap_or_else(|| name(place.id, IssuerId::new)),
            key: self
                .key
                .clone()
                .unwrap_or_else(|| name(place.key, KeyId::new)),
            keystore: self.keystore.clone(),
            algorithm,
            scheme,
            subject,
            validity,
            profile,
        })
    }

    /// Narrows `root-ca` or `sub-ca` to this authority.
    fn profile(
        &self,
        place: &Place,
        name: ProfileName,
        written: ProfileConfig,
        algorithm: KeyAlgorithm,
        validity: Lifetime,
    ) -> Result<Profile, ProfileError> {
        // Room for the back-dating, rounded up to days.
        let days = validity.duration().as_secs() / 86_400 + 8;
        let config = ProfileConfig {
            kind: Some(place.kind),
            validity: Some(validity),
            max_validity: Some(Lifetime::days(u32::try_from(days).unwrap_or(u32::MAX))),
            keys: Some(vec![key_class(algorithm)]),
            path_length: self.path_length.or(place.path_length),
            name_constraints: self
                .name_constraints
                .clone()
                .or(written.name_constraints.clone()),
            ..written
        };
        Profile::from_config(name, &config)
    }
}

/// Returns the class of a key's algorithm.
const fn key_class(algorithm: KeyAlgorithm) -> KeyClass {
    match algorithm {
        KeyAlgorithm::EcP256 => KeyClass::P256,
        KeyAlgorithm::EcP384 => KeyClass::P384,
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => KeyClass::Rsa,
        KeyAlgorithm::Ed25519 => KeyClass::Ed25519,
    }
}
