//! `[signing.keys.NAME]` and `[signing.timestamps]`: what signs, and by which
//! certificate.

use std::collections::BTreeMap;

use hsm_keystore::{KeyAlgorithm, KeyId};
use jiff::SignedDuration;
use model::ProfileName;
use pki::timestamp::PolicyOid;
use serde::{Deserialize, Serialize};

use super::{ConfigError, cut, span};

/// One key for artifacts, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactKeyConfig {
    /// Name of the key in the keystore; `signing-NAME` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// Algorithm of the key, should it have to be made.
    #[serde(default = "p256")]
    pub algorithm: KeyAlgorithm,
    /// The CA's profile of its certificate.
    #[serde(default = "code_signing")]
    pub profile: ProfileName,
    /// The certificate's subject (RFC 4514).
    #[serde(default = "artifact_subject")]
    pub subject: String,
    /// The https URI that the certificate names; `https://TRUST-DOMAIN/service/signing/NAME`
    /// where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// What takes most verifiers along.
const fn p256() -> KeyAlgorithm {
    KeyAlgorithm::EcP256
}

/// The CA's profile for signers of code.
fn code_signing() -> ProfileName {
    super::name("code-signing", ProfileName::new)
}

/// The CA's profile for time-stamp authorities.
fn time_stamping() -> ProfileName {
    super::name("time-stamping", ProfileName::new)
}

/// The subject of keys for artifacts.
fn artifact_subject() -> String {
    "CN=Chancery artifact signing".to_owned()
}

impl Default for ArtifactKeyConfig {
    fn default() -> Self {
        Self {
            key: None,
            algorithm: p256(),
            profile: code_signing(),
            subject: artifact_subject(),
            uri: None,
        }
    }
}

/// `[signing.timestamps]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimestampConfig {
    /// Whether signatures are time-stamped and `/v1/timestamps` answers.
    pub enabled: bool,
    /// Whether the open listener answers it too.
    pub open: bool,
    /// Name of the key in the keystore.
    pub key: KeyId,
    /// Algorithm of the key, should it have to be made.
    pub algorithm: KeyAlgorithm,
    /// The CA's profile of its certificate.
    pub profile: ProfileName,
    /// The certificate's subject (RFC 4514).
    pub subject: String,
    /// The policy that time-stamps are made under, an object identifier.
    pub policy: String,
    /// How far the clock may be from true time; zero says nothing of it.
    pub accuracy: SignedDuration,
}

impl Default for TimestampConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            open: true,
            key: super::name("signing-timestamps", KeyId::new),
            algorithm: p256(),
            profile: time_stamping(),
            subject: "CN=Chancery time-stamps".to_owned(),
            policy: DEFAULT_POLICY.to_owned(),
            accuracy: SignedDuration::from_secs(1),
        }
    }
}

/// The policy of time-stamps where none is configured: the sample of OpenSSL's own
/// configuration, which claims nothing. What a policy claims is the operator's to say.
const DEFAULT_POLICY: &str = "1.2.3.4.1";

/// One key that signs, found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedKey {
    /// Name of the key in the keystore.
    pub key: KeyId,
    /// Algorithm of the key.
    pub algorithm: KeyAlgorithm,
    /// The CA's profile of its certificate.
    pub profile: ProfileName,
    /// The certificate's subject.
    pub subject: String,
    /// The URI that the certificate names, where it is written.
    pub uri: Option<String>,
}

/// `[signing.timestamps]`, found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedTimestamps {
    /// The key.
    pub key: CheckedKey,
    /// Whether the open listener answers it too.
    pub open: bool,
    /// The policy that time-stamps are made under.
    pub policy: PolicyOid,
    /// How far the clock may be from true time.
    pub accuracy: Option<SignedDuration>,
}

/// Checks the keys for artifacts.
pub(super) fn check_keys(
    keys: &BTreeMap<String, ArtifactKeyConfig>,
) -> Result<BTreeMap<String, CheckedKey>, ConfigError> {
    if keys.is_empty() {
        return Err(ConfigError::NoKey);
    }
    keys.iter()
        .map(|(name, key)| Ok((name.clone(), check_key(name, key)?)))
        .collect()
}

/// Checks one key for artifacts.
fn check_key(name: &str, config: &ArtifactKeyConfig) -> Result<CheckedKey, ConfigError> {
    let key = match &config.key {
        Some(key) => key.clone(),
        None => KeyId::new(&format!("signing-{name}")).map_err(|_| ConfigError::KeyName {
            name: cut(name, 40),
        })?,
    };
    check_algorithm(name, config.algorithm)?;
    if let Some(uri) = &config.uri {
        let good = url::Url::parse(uri).is_ok_and(|url| url.scheme() == "https" && url.has_host());
        if !good || !uri.is_ascii() {
            return Err(ConfigError::KeyUri {
                name: cut(name, 40),
                given: cut(uri, 80),
            });
        }
    }
    Ok(CheckedKey {
        key,
        algorithm: config.algorithm,
        profile: config.profile.clone(),
        subject: config.subject.clone(),
        uri: config.uri.clone(),
    })
}

/// Refuses keys that verifiers do not take or that cannot sign a digest.
fn check_algorithm(name: &str, algorithm: KeyAlgorithm) -> Result<(), ConfigError> {
    match algorithm {
        KeyAlgorithm::EcP256
        | KeyAlgorithm::EcP384
        | KeyAlgorithm::Rsa3072
        | KeyAlgorithm::Rsa4096 => Ok(()),
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Ed25519 => Err(ConfigError::KeyAlgorithm {
            name: cut(name, 40),
            algorithm,
        }),
    }
}

impl TimestampConfig {
    /// Checks it, if time-stamps are made.
    pub(super) fn check(&self) -> Result<Option<CheckedTimestamps>, ConfigError> {
        if !self.enabled {
            return Ok(None);
        }
        check_algorithm("timestamps", self.algorithm)?;
        let policy = self
            .policy
            .parse::<PolicyOid>()
            .map_err(|_| ConfigError::Policy {
                given: cut(&self.policy, 80),
            })?;
        let accuracy = if self.accuracy.is_zero() {
            None
        } else {
            Some(span("timestamps.accuracy", self.accuracy)?)
        };
        Ok(Some(CheckedTimestamps {
            key: CheckedKey {
                key: self.key.clone(),
                algorithm: self.algorithm,
                profile: self.profile.clone(),
                subject: self.subject.clone(),
                uri: None,
            },
            open: self.open,
            policy,
            accuracy,
        }))
    }
}
