//! `[acme]`: the configuration as written, and as checked.

mod error;
mod listener;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use mesh::bounds::{bounded, not_negative, positive, span};
use mesh::member::{CheckedMember, MemberConfig, MemberDefaults};
use mesh::revocation::RevocationConfig;
use mesh::stapling::StaplingConfig;
use model::ProfileName;
use serde::{Deserialize, Serialize};

pub use error::ConfigError;
pub use listener::{AcmeListenerConfig, CheckedListener};

use crate::caa::{CaaConfig, CheckedCaa};
use crate::nonce::NonceLimits;
use crate::policy::{CheckedRateLimits, Policy, PolicyConfig, RateLimitConfig};
use crate::urls::ExternalUrl;
use crate::validate::{CheckedValidation, ValidationConfig};

/// What `[acme.service]` says where nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcmeMember;

impl MemberDefaults for AcmeMember {
    const NAME: &'static str = "acme";
    const TLS_KEY: &'static str = "acme-tls";
    const ENROLMENT_KEY: &'static str = "acme-enrolment";
}

/// `[acme]`, as written. Every key has a default; durations are `10s`, `1h 30m`,
/// `30d` or ISO 8601.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcmeConfig {
    /// Who the service is, where its keys are, and which CA signs for it.
    pub service: MemberConfig<AcmeMember>,
    /// How it learns which clients no longer count.
    pub revocation: RevocationConfig,
    /// How the OCSP response is kept fresh that both listeners staple.
    pub stapling: StaplingConfig,
    /// The listener for stock clients, without client certificates.
    pub open: AcmeListenerConfig,
    /// The listener for clients with certificates of this installation.
    pub mesh: AcmeListenerConfig,
    /// Where the terms of service are; accounts must agree to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// Where more is told about this CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// Bounds of nonces.
    pub nonces: NonceConfig,
    /// Accounts.
    pub accounts: AccountConfig,
    /// Orders and authorizations.
    pub orders: OrderConfig,
    /// The profiles that clients may choose, by the name they use.
    pub profiles: BTreeMap<ProfileName, ProfileOffer>,
    /// The profile of orders that name none.
    pub default_profile: ProfileName,
    /// Files of other paths above the issuing authority, in PEM, its certificate
    /// first: offered as alternate chains, in this order (RFC 8555, 7.4.2).
    pub alternate_chains: Vec<PathBuf>,
    /// Renewal information.
    pub renewal: RenewalConfig,
    /// Validation of challenges.
    pub validation: ValidationConfig,
    /// Certification Authority Authorization.
    pub caa: CaaConfig,
    /// Which names whom.
    pub policy: PolicyConfig,
    /// How often.
    pub rate_limits: RateLimitConfig,
    /// Faults for clients' own tests.
    pub torture: TortureConfig,
}

/// `[acme.nonces]`: bounds of nonces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NonceConfig {
    /// How long a nonce counts.
    pub lifetime: SignedDuration,
    /// How many of the newest nonces count; eight of them take one octet.
    pub window: u32,
    /// A file of 32 octets in hexadecimal that nodes share which take each
    /// other's nonces; absent, each node takes its own alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
}

impl Default for NonceConfig {
    fn default() -> Self {
        let limits = NonceLimits::default();
        Self {
            lifetime: SignedDuration::from_secs(3600),
            window: limits.window,
            secret_file: None,
        }
    }
}

/// `[acme.accounts]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountConfig {
    /// Most contacts of one account.
    pub max_contacts: usize,
    /// How many of an account's orders one page lists.
    pub orders_page: usize,
}

impl Default for AccountConfig {
    fn default() -> Self {
        Self {
            max_contacts: 10,
            orders_page: 100,
        }
    }
}

/// `[acme.orders]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderConfig {
    /// Until when an order must be finalized.
    pub lifetime: SignedDuration,
    /// Until when an authorization must be decided.
    pub pending_authorization_lifetime: SignedDuration,
    /// How long a valid authorization counts.
    pub authorization_lifetime: SignedDuration,
    /// Whether valid authorizations are used again by later orders.
    pub reuse_authorizations: bool,
    /// For how long the same order again is the one made before: a client whose
    /// answer was lost asks twice. Zero never.
    pub repeat_within: SignedDuration,
    /// Most identifiers of one order.
    pub max_identifiers: usize,
    /// How long finalize waits for the certificate before it answers
    /// `processing`.
    pub finalize_patience: SignedDuration,
    /// When clients are to ask again about what is going on.
    pub poll_after: SignedDuration,
}

impl Default for OrderConfig {
    fn default() -> Self {
        let hours = SignedDuration::from_hours;
        Self {
            lifetime: hours(7 * 24),
            pending_authorization_lifetime: hours(7 * 24),
            authorization_lifetime: hours(30 * 24),
            reuse_authorizations: true,
            repeat_within: SignedDuration::from_mins(10),
            max_identifiers: 100,
            finalize_patience: SignedDuration::from_secs(2),
            // Some clients wait as long as they are told, whatever happens meanwhile.
            poll_after: SignedDuration::from_secs(1),
        }
    }
}

/// `[acme.profiles.NAME]`: a profile that clients may choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileOffer {
    /// What it is, in the directory: a sentence or a URL.
    pub description: String,
    /// The CA's profile; the one of the same name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_profile: Option<ProfileName>,
}

/// `[acme.renewal]`: when clients are told to renew (RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RenewalConfig {
    /// When clients are to ask again, at most; less for short-lived certificates.
    pub poll_after: SignedDuration,
    /// Where the reason of an early renewal is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
}

impl Default for RenewalConfig {
    fn default() -> Self {
        Self {
            poll_after: SignedDuration::from_hours(6),
            explanation_url: None,
        }
    }
}

/// `[acme.torture]`: faults that the protocol allows, for clients' own tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TortureConfig {
    /// Whether faults are made at all.
    pub enabled: bool,
    /// How many of a hundred good nonces are refused; never the one that came with
    /// a refusal, and no client twice in a row.
    pub refuse_nonces_percent: u8,
    /// How long finalized orders stay `processing`.
    pub processing: SignedDuration,
    /// How long validation waits before it begins.
    pub validation_delay: SignedDuration,
}

impl Default for TortureConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            refuse_nonces_percent: 15,
            processing: SignedDuration::from_secs(3),
            validation_delay: SignedDuration::from_secs(2),
        }
    }
}

impl Default for AcmeConfig {
    fn default() -> Self {
        let default_profile = ProfileName::new("tls-server")
            .unwrap_or_else(|_| unreachable!("the default is a profile's name"));
        Self {
            service: MemberConfig::default(),
            revocation: RevocationConfig::default(),
            stapling: StaplingConfig::default(),
            open: AcmeListenerConfig::open(),
            mesh: AcmeListenerConfig::mesh(),
            terms_of_service: None,
            website: None,
            nonces: NonceConfig::default(),
            accounts: AccountConfig::default(),
            orders: OrderConfig::default(),
            profiles: BTreeMap::from([(
                default_profile.clone(),
                ProfileOffer {
                    description: "TLS servers: names and addresses".to_owned(),
                    ca_profile: None,
                },
            )]),
            default_profile,
            alternate_chains: Vec::new(),
            renewal: RenewalConfig::default(),
            validation: ValidationConfig::default(),
            caa: CaaConfig::default(),
            policy: PolicyConfig::default(),
            rate_limits: RateLimitConfig::default(),
            torture: TortureConfig::default(),
        }
    }
}

/// `[acme]`, found sound.
#[derive(Debug, Clone)]
pub struct CheckedAcmeConfig {
    /// Who the service is, where its keys are, and which CA signs for it.
    pub service: CheckedMember,
    /// How it learns which clients no longer count.
    pub revocation: RevocationConfig,
    /// How the OCSP response is kept fresh that both listeners staple.
    pub stapling: StaplingConfig,
    /// The listener for stock clients, where it is on.
    pub open: Option<CheckedListener>,
    /// The listener for clients with certificates, where it is on.
    pub mesh: Option<CheckedListener>,
    /// Where the terms of service are.
    pub(crate) terms_of_service: Option<Box<str>>,
    /// Where more is told.
    pub(crate) website: Option<String>,
    /// Bounds of nonces.
    pub(crate) nonces: NonceLimits,
    /// The file of the secret that nodes share.
    pub nonce_secret_file: Option<PathBuf>,
    /// Most contacts of one account.
    pub(crate) max_contacts: usize,
    /// How many orders one page lists.
    pub(crate) orders_page: usize,
    /// Until when an order must be finalized.
    pub(crate) order_lifetime: SignedDuration,
    /// Until when an authorization must be decided.
    pub(crate) pending_authorization_lifetime: SignedDuration,
    /// How long a valid authorization counts.
    pub authorization_lifetime: SignedDuration,
    /// Whether valid authorizations are used again.
    pub(crate) reuse_authorizations: bool,
    /// For how long the same order again is the same.
    pub(crate) repeat_within: SignedDuration,
    /// Most identifiers of one order.
    pub(crate) max_identifiers: usize,
    /// How long finalize waits.
    pub(crate) finalize_patience: Duration,
    /// When clients are to ask again.
    pub(crate) poll_after: Duration,
    /// The profiles, by the name that clients use.
    pub profiles: BTreeMap<ProfileName, CheckedProfileOffer>,
    /// The profile of orders that name none.
    pub default_profile: ProfileName,
    /// Files of other paths above the issuing authority.
    pub(crate) alternate_chains: Vec<PathBuf>,
    /// When clients are to ask for renewal information again.
    pub(crate) renewal_poll_after: Duration,
    /// Where the reason of an early renewal is told.
    pub(crate) explanation_url: Option<String>,
    /// Validation of challenges.
    pub validation: CheckedValidation,
    /// Certification Authority Authorization; none where it is not asked.
    pub caa: CheckedCaa,
    /// Which names whom.
    pub policy: Policy,
    /// How often.
    pub rate_limits: CheckedRateLimits,
    /// Faults to make.
    pub(crate) torture: Option<Torture>,
}

/// A profile that clients may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedProfileOffer {
    /// What it is.
    pub description: String,
    /// The CA's profile.
    pub ca_profile: ProfileName,
}

/// Faults to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torture {
    /// How many of a hundred good nonces are refused.
    pub(crate) refuse_nonces_percent: u8,
    /// How long finalized orders stay `processing`.
    pub(crate) processing: SignedDuration,
    /// How long validation waits.
    pub(crate) validation_delay: Duration,
}

impl CheckedAcmeConfig {
    /// Returns the CA's name of each profile by the one that clients use.
    #[must_use]
    pub fn ca_profiles(&self) -> BTreeMap<ProfileName, ProfileName> {
        self.profiles
            .iter()
            .map(|(name, offer)| (name.clone(), offer.ca_profile.clone()))
            .collect()
    }

    /// Returns the URL that accounts have in CAA records (RFC 8657, 3): that of
    /// the open listener, or of the other where it is off.
    #[must_use]
    pub fn canonical_url(&self) -> Option<ExternalUrl> {
        let listener = self.open.as_ref().or(self.mesh.as_ref())?;
        listener
            .external_url
            .clone()
            .or_else(|| ExternalUrl::of_address(listener.listener.listen))
    }
}

impl AcmeConfig {
    /// Checks everything that can be checked alone.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<CheckedAcmeConfig, ConfigError> {
        let open = self.open.check("open", listener::OPEN_PORT)?;
        let mesh = self.mesh.check("mesh", listener::MESH_PORT)?;
        if open.is_none() && mesh.is_none() {
            return Err(ConfigError::NoListener);
        }
        let orders = &self.orders;
        if !self.profiles.contains_key(&self.default_profile) {
            return Err(ConfigError::DefaultProfile {
                profile: self.default_profile.clone(),
            });
        }
        for (key, url) in [
            ("terms_of_service", &self.terms_of_service),
            ("website", &self.website),
            ("renewal.explanation_url", &self.renewal.explanation_url),
        ] {
            check_url(key, url.as_deref())?;
        }
        self.revocation.check()?;
        Ok(CheckedAcmeConfig {
            service: self.service.check()?,
            revocation: self.revocation.clone(),
            stapling: self.stapling.clone(),
            open,
            mesh,
            terms_of_service: self.terms_of_service.as_deref().map(Into::into),
            website: self.website.clone(),
            nonces: NonceLimits {
                lifetime: positive("nonces.lifetime", self.nonces.lifetime)?,
                window: bounded(
                    "nonces.window",
                    self.nonces.window,
                    64..=1 << 28,
                    "must be between 64 and 268435456",
                )?,
                ..NonceLimits::default()
            },
            nonce_secret_file: self.nonces.secret_file.clone(),
            max_contacts: bounded(
                "accounts.max_contacts",
                self.accounts.max_contacts,
                0..=100,
                "must be at most 100",
            )?,
            orders_page: bounded(
                "accounts.orders_page",
                self.accounts.orders_page,
                1..=1000,
                "must be between 1 and 1000",
            )?,
            order_lifetime: span("orders.lifetime", orders.lifetime)?,
            pending_authorization_lifetime: span(
                "orders.pending_authorization_lifetime",
                orders.pending_authorization_lifetime,
            )?,
            authorization_lifetime: span(
                "orders.authorization_lifetime",
                orders.authorization_lifetime,
            )?,
            reuse_authorizations: orders.reuse_authorizations,
            repeat_within: not_negative("orders.repeat_within", orders.repeat_within)?,
            max_identifiers: bounded(
                "orders.max_identifiers",
                orders.max_identifiers,
                1..=1000,
                "must be between 1 and 1000",
            )?,
            finalize_patience: not_negative("orders.finalize_patience", orders.finalize_patience)?
                .unsigned_abs(),
            poll_after: positive("orders.poll_after", orders.poll_after)?,
            profiles: self
                .profiles
                .iter()
                .map(|(name, offer)| {
                    let offer = CheckedProfileOffer {
                        description: offer.description.clone(),
                        ca_profile: offer.ca_profile.clone().unwrap_or_else(|| name.clone()),
                    };
                    (name.clone(), offer)
                })
                .collect(),
            default_profile: self.default_profile.clone(),
            alternate_chains: self.alternate_chains.clone(),
            renewal_poll_after: positive("renewal.poll_after", self.renewal.poll_after)?,
            explanation_url: self.renewal.explanation_url.clone(),
            validation: self.validation.check()?,
            caa: self.caa.check()?,
            policy: self.policy.check()?,
            rate_limits: self.rate_limits.check()?,
            torture: self.check_torture()?,
        })
    }

    /// Checks the faults to make.
    fn check_torture(&self) -> Result<Option<Torture>, ConfigError> {
        let torture = &self.torture;
        let checked = Torture {
            // Clients that repeat refused nonces must get through at last.
            refuse_nonces_percent: bounded(
                "torture.refuse_nonces_percent",
                torture.refuse_nonces_percent,
                0..=90,
                "must be at most 90",
            )?,
            processing: not_negative("torture.processing", torture.processing)?,
            validation_delay: not_negative("torture.validation_delay", torture.validation_delay)?
                .unsigned_abs(),
        };
        Ok(torture.enabled.then_some(checked))
    }
}

/// Cuts a text for an error.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Holds a URL to what browsers open.
fn check_url(key: &'static str, url: Option<&str>) -> Result<(), ConfigError> {
    let Some(url) = url else { return Ok(()) };
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| !rest.is_empty())
        && url
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'<' | b'>'));
    if good {
        Ok(())
    } else {
        Err(ConfigError::Url {
            key,
            given: cut(url, 80),
        })
    }
}

#[cfg(test)]
mod tests;
