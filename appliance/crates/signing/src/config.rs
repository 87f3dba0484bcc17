//! `[signing]`: the configuration as written, and as checked.

mod error;
mod keys;
mod limits;
mod listener;
mod profile;

use std::collections::{BTreeMap, BTreeSet};

use mesh::bounds::{bounded, not_negative, positive, span};
use mesh::member::{CheckedMember, MemberConfig, MemberDefaults};
use mesh::revocation::RevocationConfig;
use mesh::stapling::StaplingConfig;
use model::signing::SigningProfileName;
use serde::{Deserialize, Serialize};

use crate::log::{CheckedLog, LogConfig};
use crate::oidc::{CheckedOidc, OidcConfig};
use crate::webhooks::{
    CheckedHooks, DeliveryConfig, FetchConfig, HooksConfig, NotifyConfig, WebhookConfig,
};

pub use error::ConfigError;
pub use keys::{ArtifactKeyConfig, CheckedKey, CheckedTimestamps, TimestampConfig};
pub use limits::{CheckedLimits, LimitConfig};
pub use listener::{CheckedListener, SigningListenerConfig};
pub use profile::{
    BuilderConfig, CheckedProfile, ProfileConfig, ProvenancePolicyConfig, SbomPolicyConfig,
};

/// `[signing.service]`: who the service is, where its keys are, and which CA signs
/// for it.
pub type ServiceConfig = MemberConfig<SigningMember>;

/// What `[signing.service]` says where nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningMember;

impl MemberDefaults for SigningMember {
    const NAME: &'static str = "signing";
    const TLS_KEY: &'static str = "signing-tls";
    const ENROLMENT_KEY: &'static str = "signing-enrolment";
}

/// The name of the key and of the profile that are there where none is written.
const DEFAULT: &str = "default";

/// `[signing]`, as written. Every key has a default; durations are `10s`, `1h 30m`,
/// `30d` or ISO 8601.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigningConfig {
    /// Who the service is, where its keys are, and which CA signs for it.
    pub service: ServiceConfig,
    /// How it learns which clients no longer count.
    pub revocation: RevocationConfig,
    /// How the OCSP response is kept fresh that both listeners staple.
    pub stapling: StaplingConfig,
    /// The listener for clients with certificates of this installation.
    pub mesh: SigningListenerConfig,
    /// The listener for forges and time-stamp clients, without client certificates.
    pub open: SigningListenerConfig,
    /// What a request may bring.
    pub limits: LimitConfig,
    /// The keys that sign artifacts, by the name that profiles use.
    pub keys: BTreeMap<String, ArtifactKeyConfig>,
    /// Time-stamps.
    pub timestamps: TimestampConfig,
    /// The transparency log.
    pub log: LogConfig,
    /// Who may have what signed.
    pub profiles: BTreeMap<SigningProfileName, ProfileConfig>,
    /// The profile of requests that name none.
    pub default_profile: SigningProfileName,
    /// The issuers whose builds are enrolled for a token.
    pub oidc: OidcConfig,
    /// Who may start signatures by telling of a release.
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// From where artifacts are fetched.
    pub fetch: FetchConfig,
    /// Who is told of signatures.
    pub notify: BTreeMap<String, NotifyConfig>,
    /// How messages and reports are delivered.
    pub delivery: DeliveryConfig,
}

/// Makes a name from a literal of this crate; a test reads every default.
pub(crate) fn name<T, E>(text: &str, make: impl FnOnce(&str) -> Result<T, E>) -> T {
    make(text).unwrap_or_else(|_| unreachable!("the default {text:?} is a name of its kind"))
}

impl Default for SigningConfig {
    fn default() -> Self {
        let default_profile = name(DEFAULT, SigningProfileName::new);
        Self {
            service: ServiceConfig::default(),
            revocation: RevocationConfig::default(),
            stapling: StaplingConfig::default(),
            mesh: SigningListenerConfig::on(listener::MESH_PORT),
            open: SigningListenerConfig::on(listener::OPEN_PORT),
            limits: LimitConfig::default(),
            keys: BTreeMap::from([(DEFAULT.to_owned(), ArtifactKeyConfig::default())]),
            timestamps: TimestampConfig::default(),
            log: LogConfig::default(),
            profiles: BTreeMap::from([(
                default_profile.clone(),
                ProfileConfig {
                    description: "Artifacts of this installation's signers".to_owned(),
                    ..ProfileConfig::default()
                },
            )]),
            default_profile,
            oidc: OidcConfig::default(),
            webhooks: BTreeMap::new(),
            fetch: FetchConfig::default(),
            notify: BTreeMap::new(),
            delivery: DeliveryConfig::default(),
        }
    }
}

/// `[signing]`, found sound.
#[derive(Debug, Clone)]
pub struct CheckedSigningConfig {
    /// Who the service is, where its keys are, and which CA signs for it.
    pub service: CheckedMember,
    /// How it learns which clients no longer count.
    pub revocation: RevocationConfig,
    /// How the OCSP response is kept fresh that both listeners staple.
    pub stapling: StaplingConfig,
    /// The listener for clients with certificates, where it is on.
    pub mesh: Option<CheckedListener>,
    /// The listener without, where it is on.
    pub open: Option<CheckedListener>,
    /// What a request may bring.
    pub limits: CheckedLimits,
    /// The keys that sign artifacts.
    pub keys: BTreeMap<String, CheckedKey>,
    /// Time-stamps, where they are made.
    pub timestamps: Option<CheckedTimestamps>,
    /// The transparency log, where there is one.
    pub log: Option<CheckedLog>,
    /// Who may have what signed.
    pub profiles: BTreeMap<SigningProfileName, CheckedProfile>,
    /// The profile of requests that name none.
    pub default_profile: SigningProfileName,
    /// The issuers whose builds are enrolled for a token.
    pub oidc: CheckedOidc,
    /// What comes in by webhooks and what goes out.
    pub hooks: CheckedHooks,
}

impl SigningConfig {
    /// Checks everything that can be checked alone.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<CheckedSigningConfig, ConfigError> {
        let mesh = self.mesh.check("mesh", listener::MESH_PORT)?;
        let open = self.open.check("open", listener::OPEN_PORT)?;
        if mesh.is_none() {
            return Err(ConfigError::NoListener);
        }
        self.revocation.check()?;
        let service = self.service.check()?;
        let keys = keys::check_keys(&self.keys)?;
        let timestamps = self.timestamps.check()?;
        let log = self.log.check()?;
        check_distinct(&service, &keys, timestamps.as_ref(), log.as_ref())?;
        let profiles = self
            .profiles
            .iter()
            .map(|(name, profile)| {
                let checked = profile.check(name, &keys, timestamps.is_some())?;
                Ok((name.clone(), checked))
            })
            .collect::<Result<BTreeMap<_, _>, ConfigError>>()?;
        if !profiles.contains_key(&self.default_profile) {
            return Err(ConfigError::DefaultProfile {
                profile: self.default_profile.clone(),
            });
        }
        let oidc = self.oidc.check(&|name| profiles.contains_key(name))?;
        if !oidc.is_empty() && open.is_none() {
            return Err(ConfigError::OidcListener);
        }
        let hooks = HooksConfig {
            webhooks: &self.webhooks,
            fetch: &self.fetch,
            notify: &self.notify,
            delivery: &self.delivery,
        }
        .check(&|profile| profiles.contains_key(profile))?;
        Ok(CheckedSigningConfig {
            oidc,
            service,
            revocation: self.revocation.clone(),
            stapling: self.stapling.clone(),
            mesh,
            open,
            limits: self.limits.check()?,
            keys,
            timestamps,
            log,
            profiles,
            default_profile: self.default_profile.clone(),
            hooks,
        })
    }
}

/// Refuses one key for two purposes.
fn check_distinct(
    service: &CheckedMember,
    keys: &BTreeMap<String, CheckedKey>,
    timestamps: Option<&CheckedTimestamps>,
    log: Option<&CheckedLog>,
) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::from([service.tls_key.as_str(), service.enrolment_key.as_str()]);
    let signing = keys.values().chain(timestamps.map(|stamps| &stamps.key));
    let signing = signing.map(|key| &key.key);
    for key in signing.chain(log.map(|log| &log.key)) {
        if !seen.insert(key.as_str()) {
            return Err(ConfigError::KeyTwice {
                key: key.to_string(),
            });
        }
    }
    Ok(())
}

/// Cuts a text for an error.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests;
