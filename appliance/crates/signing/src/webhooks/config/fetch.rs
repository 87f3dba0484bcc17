//! `[signing.fetch]`: from where artifacts are fetched, and how long that may take.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use mesh::address::{AddressConfig, AddressRules};
use mesh::dial::Dialler;
use mesh::resolve::{CheckedResolver, InvalidResolverConfig, ResolverConfig};
use serde::{Deserialize, Serialize};
use url::{Origin, Url};

use super::InvalidHooks;
use super::bounds::{Place, bounded, https_url, time};
use crate::outside::UrlProblem;
use crate::webhooks::secret::SecretSource;

/// `[signing.fetch]`, as written. Durations are `10s`, `1h 30m` or ISO 8601.
///
/// Addresses, name servers and the CA file serve all connections that webhooks cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchConfig {
    /// Certificates, PEM, by which servers are trusted, in place of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Most octets of an artifact.
    pub max_artifact_bytes: u64,
    /// Time for one file, redirects and name service included.
    pub timeout: SignedDuration,
    /// Time to connect to one address.
    pub connect_timeout: SignedDuration,
    /// Time in which nothing may come.
    pub idle_timeout: SignedDuration,
    /// Fewest octets in a second, on average after the first ten seconds.
    pub min_bytes_per_second: u64,
    /// Most redirects that are followed; 0 follows none.
    pub max_redirects: usize,
    /// Most events that are worked on at once.
    pub workers: usize,
    /// Time before the first further attempt at an event; each pause is twice the last.
    pub retry_pause: SignedDuration,
    /// Longest time between two attempts.
    pub max_retry_pause: SignedDuration,
    /// Age at which an event that still fails has failed for good.
    pub give_up_after: SignedDuration,
    /// Which addresses may be dialled.
    pub addresses: AddressConfig,
    /// Whom to ask in DNS.
    pub dns: ResolverConfig,
    /// The hosts that files are fetched from, by names that say nothing.
    pub hosts: BTreeMap<String, HostConfig>,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            ca_file: None,
            max_artifact_bytes: 8 * 1024 * 1024 * 1024,
            timeout: SignedDuration::from_hours(1),
            connect_timeout: SignedDuration::from_secs(5),
            idle_timeout: SignedDuration::from_secs(30),
            min_bytes_per_second: 16 * 1024,
            max_redirects: 5,
            workers: 4,
            retry_pause: SignedDuration::from_secs(15),
            max_retry_pause: SignedDuration::from_mins(30),
            give_up_after: SignedDuration::from_hours(24),
            addresses: AddressConfig::default(),
            dns: ResolverConfig::default(),
            hosts: BTreeMap::new(),
        }
    }
}

/// `[signing.fetch.hosts.NAME]`, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostConfig {
    /// Scheme, host and port: `https://api.github.com`.
    pub origin: String,
    /// Where the token is that it is asked with: `file:PATH`, `env:NAME`,
    /// `credential:NAME`. No other host is sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSource>,
    /// The field that carries the token.
    pub token_header: TokenHeader,
}

/// The field that carries a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenHeader {
    /// `Authorization: Bearer` (GitHub, and most others).
    #[default]
    Bearer,
    /// `PRIVATE-TOKEN` (GitLab).
    PrivateToken,
}

/// A host that files are fetched from, found sound.
#[derive(Debug, Clone)]
pub(crate) struct CheckedHost {
    /// Scheme, host and port.
    pub(crate) origin: Origin,
    /// Where its token is.
    pub(crate) token: Option<SecretSource>,
    /// The field that carries it.
    pub(crate) token_header: TokenHeader,
}

/// `[signing.fetch]`, found sound.
#[derive(Debug, Clone)]
pub(crate) struct CheckedFetch {
    /// Certificates by which servers are trusted.
    pub(crate) ca_file: Option<PathBuf>,
    /// Most octets of an artifact.
    pub(crate) max_artifact_bytes: u64,
    /// Time for one file.
    pub(crate) timeout: Duration,
    /// Time to connect to one address.
    pub(crate) connect_timeout: Duration,
    /// Time in which nothing may come.
    pub(crate) idle_timeout: Duration,
    /// Fewest octets in a second.
    pub(crate) min_bytes_per_second: u64,
    /// Most redirects that are followed.
    pub(crate) max_redirects: usize,
    /// Most events that are worked on at once.
    pub(crate) workers: usize,
    /// Time before the first further attempt.
    pub(crate) retry_pause: Duration,
    /// Longest time between two attempts.
    pub(crate) max_retry_pause: Duration,
    /// Age at which an event has failed for good.
    pub(crate) give_up_after: Duration,
    /// Which addresses may be dialled.
    pub(crate) addresses: AddressRules,
    /// Whom to ask in DNS.
    pub(crate) dns: CheckedResolver,
    /// The hosts that files are fetched from.
    pub(crate) hosts: Vec<CheckedHost>,
}

impl CheckedFetch {
    /// Makes what connects by the address rules.
    ///
    /// # Errors
    ///
    /// `System` when no name servers are configured and the system names none.
    pub(crate) fn dialler(&self) -> Result<Dialler, InvalidResolverConfig> {
        Ok(Dialler::new(
            self.dns.resolver()?,
            self.addresses.clone(),
            self.connect_timeout,
        ))
    }

    /// Finds the host that a URL is of; none if files are not fetched from it.
    pub(crate) fn host_of(&self, url: &Url) -> Option<&CheckedHost> {
        let origin = url.origin();
        self.hosts.iter().find(|host| host.origin == origin)
    }
}

impl FetchConfig {
    /// Checks the section.
    pub(super) fn check(&self) -> Result<CheckedFetch, InvalidHooks> {
        let place = Place::new("fetch");
        let hosts = self
            .hosts
            .iter()
            .map(|(name, host)| host.check(&place.below(&format!("hosts.{name}"))))
            .collect::<Result<_, _>>()?;
        Ok(CheckedFetch {
            ca_file: self.ca_file.clone(),
            max_artifact_bytes: bounded(
                &place,
                "max_artifact_bytes",
                self.max_artifact_bytes,
                1..=1 << 50,
                "must be between 1 and 1 PiB",
            )?,
            timeout: time(&place, "timeout", self.timeout)?,
            connect_timeout: time(&place, "connect_timeout", self.connect_timeout)?,
            idle_timeout: time(&place, "idle_timeout", self.idle_timeout)?,
            min_bytes_per_second: self.min_bytes_per_second,
            max_redirects: bounded(
                &place,
                "max_redirects",
                self.max_redirects,
                0..=20,
                "must be at most 20",
            )?,
            workers: bounded(
                &place,
                "workers",
                self.workers,
                1..=256,
                "must be between 1 and 256",
            )?,
            retry_pause: time(&place, "retry_pause", self.retry_pause)?,
            max_retry_pause: time(&place, "max_retry_pause", self.max_retry_pause)?,
            give_up_after: time(&place, "give_up_after", self.give_up_after)?,
            addresses: self.addresses.check()?,
            dns: self.dns.check()?,
            hosts,
        })
    }
}

impl HostConfig {
    /// Checks one host.
    fn check(&self, place: &Place) -> Result<CheckedHost, InvalidHooks> {
        let url = https_url(place, "origin", &self.origin)?;
        if url.path() != "/" || url.query().is_some() {
            return Err(place.url("origin", &self.origin, UrlProblem::Path));
        }
        Ok(CheckedHost {
            origin: url.origin(),
            token: self.token.clone(),
            token_header: self.token_header,
        })
    }
}
