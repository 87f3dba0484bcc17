//! `[acme.validation]`: methods, ports, limits and the scheduler.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use mesh::address::{AddressConfig, AddressRules, InvalidAddressConfig};
use mesh::resolve::{CheckedResolver, InvalidResolverConfig, Resolve, ResolverConfig};
use model::acme::{ChallengeKind, Identifier};
use serde::{Deserialize, Serialize};

use super::attest::{CheckedDeviceAttest, DeviceAttestConfig, InvalidDeviceAttestConfig};
use super::method::fits;
use super::scheduler::Limits;
use super::validator::Validator;
use crate::caa::CaaChecker;

/// `[acme.validation]`, as written. Durations are `10s`, `1h 30m` or ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// The methods that are offered, each where it fits the identifier. Some
    /// clients choke on others than `http-01`, `dns-01` and `tls-alpn-01`; there is
    /// `dns-account-01` besides.
    pub methods: Vec<String>,
    /// The port of http-01; other than 80 only for tests.
    pub http_port: u16,
    /// The port of https URLs that name none, reached by redirects.
    pub https_port: u16,
    /// The port of tls-alpn-01; other than 443 only for tests.
    pub tls_alpn_port: u16,
    /// Further ports that redirects may lead to.
    pub redirect_ports: Vec<u16>,
    /// Most redirects that are followed; 0 follows none.
    pub max_redirects: usize,
    /// Time to connect to one address.
    pub connect_timeout: SignedDuration,
    /// Time for one attempt, redirects and name service included.
    pub attempt_timeout: SignedDuration,
    /// Most attempts at a challenge before it is invalid.
    pub attempts: u32,
    /// Time between the first two attempts; each further pause is twice as long.
    pub retry_pause: SignedDuration,
    /// Longest time between two attempts.
    pub max_retry_pause: SignedDuration,
    /// Most attempts under way.
    pub workers: usize,
    /// Most attempts under way for one account.
    pub workers_per_account: usize,
    /// Most attempts under way at one name or address.
    pub workers_per_target: usize,
    /// Most challenges that wait; more are refused until later.
    pub max_waiting: usize,
    /// Which addresses may be dialled.
    pub addresses: AddressConfig,
    /// Whom to ask in DNS.
    pub dns: ResolverConfig,
    /// Whether devices may attest.
    pub device_attest: DeviceAttestConfig,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self {
            methods: [
                ChallengeKind::Http01,
                ChallengeKind::Dns01,
                ChallengeKind::TlsAlpn01,
            ]
            .map(|kind| kind.to_string())
            .into(),
            http_port: 80,
            https_port: 443,
            tls_alpn_port: 443,
            redirect_ports: Vec::new(),
            max_redirects: 10,
            connect_timeout: SignedDuration::from_secs(5),
            attempt_timeout: SignedDuration::from_secs(15),
            attempts: 4,
            retry_pause: SignedDuration::from_secs(2),
            max_retry_pause: SignedDuration::from_mins(1),
            workers: 512,
            workers_per_account: 64,
            workers_per_target: 8,
            max_waiting: 20_000,
            addresses: AddressConfig::default(),
            dns: ResolverConfig::default(),
            device_attest: DeviceAttestConfig::default(),
        }
    }
}

/// The kinds of challenge that are done here.
const OFFERABLE: [ChallengeKind; 4] = [
    ChallengeKind::Http01,
    ChallengeKind::Dns01,
    ChallengeKind::TlsAlpn01,
    ChallengeKind::DnsAccount01,
];

/// Why `[acme.validation]` cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValidationConfig {
    /// No method at all.
    #[error("`methods` must name at least one method")]
    NoMethod,
    /// A method that is not done here.
    #[error(
        "`methods`: {given:?} is none of http-01, dns-01, tls-alpn-01 and dns-account-01; `device_attest.enabled` switches device-attest-01 on"
    )]
    Method {
        /// The text given, cut at 40 characters.
        given: String,
    },
    /// A number or time outside what can work.
    #[error("`{key}` {rule}")]
    Bounds {
        /// The key.
        key: &'static str,
        /// What it must be, as the rest of a sentence.
        rule: &'static str,
    },
    /// The address rules.
    #[error("`addresses`: {0}")]
    Addresses(#[from] InvalidAddressConfig),
    /// The name servers.
    #[error("`dns`: {0}")]
    Dns(#[from] InvalidResolverConfig),
    /// Attestations.
    #[error("`device_attest`: {0}")]
    DeviceAttest(#[from] InvalidDeviceAttestConfig),
}

/// `[acme.validation]`, found sound.
#[derive(Debug, Clone)]
pub struct CheckedValidation {
    /// The methods offered, in the order configured.
    pub(super) methods: Vec<ChallengeKind>,
    /// The port of http-01.
    pub(super) http_port: u16,
    /// The port of https URLs that name none.
    pub(super) https_port: u16,
    /// The port of tls-alpn-01.
    pub(super) tls_alpn_port: u16,
    /// Further ports that redirects may lead to.
    pub(super) redirect_ports: Vec<u16>,
    /// Most redirects that are followed.
    pub(super) max_redirects: usize,
    /// Time to connect to one address.
    pub(super) connect_timeout: Duration,
    /// Time for one attempt.
    pub(super) attempt_timeout: Duration,
    /// The scheduler's.
    pub(super) limits: Limits,
    /// Which addresses may be dialled.
    pub(super) addresses: AddressRules,
    /// Whom to ask in DNS.
    dns: CheckedResolver,
    /// How devices attest; none where they may not.
    device_attest: Option<CheckedDeviceAttest>,
}

impl ValidationConfig {
    /// Checks everything that can be checked without the network.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<CheckedValidation, InvalidValidationConfig> {
        if self.methods.is_empty() {
            return Err(InvalidValidationConfig::NoMethod);
        }
        let mut methods = Vec::new();
        for given in &self.methods {
            let kind = OFFERABLE
                .into_iter()
                .find(|kind| kind.as_str() == given)
                .ok_or_else(|| InvalidValidationConfig::Method {
                    given: given.chars().take(40).collect(),
                })?;
            if !methods.contains(&kind) {
                methods.push(kind);
            }
        }
        for (key, port) in [
            ("http_port", self.http_port),
            ("https_port", self.https_port),
            ("tls_alpn_port", self.tls_alpn_port),
        ] {
            bounded(
                key,
                usize::from(port),
                1..=65_535,
                "must be a port from 1 to 65535",
            )?;
        }
        let rule = "must be between 1 and 65536";
        let most = 1..=65_536;
        Ok(CheckedValidation {
            methods,
            http_port: self.http_port,
            https_port: self.https_port,
            tls_alpn_port: self.tls_alpn_port,
            redirect_ports: self.redirect_ports.clone(),
            max_redirects: bounded(
                "max_redirects",
                self.max_redirects,
                0..=20,
                "must be at most 20",
            )?,
            connect_timeout: pause("connect_timeout", self.connect_timeout)?,
            attempt_timeout: pause("attempt_timeout", self.attempt_timeout)?,
            limits: Limits {
                attempts: bounded(
                    "attempts",
                    self.attempts,
                    1..=100,
                    "must be between 1 and 100",
                )?,
                retry_pause: pause("retry_pause", self.retry_pause)?,
                max_retry_pause: pause("max_retry_pause", self.max_retry_pause)?,
                workers: bounded("workers", self.workers, most.clone(), rule)?,
                workers_per_account: bounded(
                    "workers_per_account",
                    self.workers_per_account,
                    most.clone(),
                    rule,
                )?,
                workers_per_target: bounded(
                    "workers_per_target",
                    self.workers_per_target,
                    most,
                    rule,
                )?,
                max_waiting: bounded(
                    "max_waiting",
                    self.max_waiting,
                    1..=1_000_000,
                    "must be between 1 and 1000000",
                )?,
            },
            addresses: self.addresses.check()?,
            dns: self.dns.check()?,
            device_attest: self.device_attest.check()?,
        })
    }
}

impl CheckedValidation {
    /// Returns the challenges offered for an identifier of an order, in the order
    /// configured.
    pub fn methods_for(&self, identifier: &Identifier) -> impl Iterator<Item = ChallengeKind> {
        let attested = self
            .device_attest
            .is_some()
            .then_some(ChallengeKind::DeviceAttest01);
        self.methods
            .iter()
            .copied()
            .chain(attested)
            .filter(|kind| fits(*kind, identifier, identifier.is_wildcard()))
    }

    /// Returns how devices attest; none where they may not.
    #[must_use]
    pub fn device_attest(&self) -> Option<&CheckedDeviceAttest> {
        self.device_attest.as_ref()
    }

    /// Returns the scheduler's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes the resolver, which CAA checks share.
    ///
    /// # Errors
    ///
    /// `System` when no name servers are configured and the system names none.
    pub fn resolver(&self) -> Result<Arc<dyn Resolve>, InvalidResolverConfig> {
        self.dns.resolver()
    }

    /// Returns the port of http-01.
    #[must_use]
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// Makes the validator over a resolver; with a CAA checker, that is asked in
    /// the same attempt.
    ///
    /// # Errors
    ///
    /// When rustls does not take its provider's own settings, which is a fault of
    /// ours.
    pub fn validator(
        &self,
        resolve: Arc<dyn Resolve>,
        caa: Option<CaaChecker>,
    ) -> Result<Validator, rustls::Error> {
        Validator::new(self.clone(), resolve, caa)
    }
}

/// Checks that a number lies in a range.
fn bounded<N: PartialOrd>(
    key: &'static str,
    value: N,
    range: std::ops::RangeInclusive<N>,
    rule: &'static str,
) -> Result<N, InvalidValidationConfig> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(InvalidValidationConfig::Bounds { key, rule })
    }
}

/// Checks a time: longer than nothing, at most an hour.
fn pause(key: &'static str, value: SignedDuration) -> Result<Duration, InvalidValidationConfig> {
    Duration::try_from(value)
        .ok()
        .filter(|time| !time.is_zero() && *time <= Duration::from_secs(3600))
        .ok_or(InvalidValidationConfig::Bounds {
            key,
            rule: "must be longer than nothing and at most an hour",
        })
}
