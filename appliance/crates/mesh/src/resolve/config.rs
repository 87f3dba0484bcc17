//! Whom to ask: `[acme.validation.dns]`, `[signing.fetch.dns]`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{DnsResolver, Resolve};

/// The section, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResolverConfig {
    /// Recursive name servers: `192.0.2.53` or `192.0.2.53:5353`. None takes those
    /// of `/etc/resolv.conf`.
    pub servers: Vec<String>,
    /// Time for one question to one server.
    pub timeout: SignedDuration,
    /// How often a question is asked again that got no answer.
    pub attempts: usize,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: SignedDuration::from_secs(3),
            attempts: 2,
        }
    }
}

/// Why the section cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResolverConfig {
    /// A server that is none.
    #[error("`servers`: {given:?} is neither an address nor an address and port")]
    Server {
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A timeout that cannot work.
    #[error("`timeout` must be longer than nothing and at most 60 s")]
    Timeout,
    /// A count that cannot work.
    #[error("`attempts` must be between 1 and 10")]
    Attempts,
    /// The system's own configuration cannot be read.
    #[error(
        "`servers` is empty and the system's name servers cannot be read from /etc/resolv.conf; \
         list servers"
    )]
    System,
}

/// The name servers, found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedResolver {
    /// Whom to ask; none asks the system's.
    pub(super) servers: Vec<SocketAddr>,
    /// Time for one question to one server.
    pub(super) timeout: Duration,
    /// How often a question is asked again.
    pub(super) attempts: usize,
}

impl ResolverConfig {
    /// Checks the section.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<CheckedResolver, InvalidResolverConfig> {
        let servers = self
            .servers
            .iter()
            .map(|given| {
                given
                    .parse::<SocketAddr>()
                    .or_else(|_| given.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
                    .map_err(|_| InvalidResolverConfig::Server {
                        given: given.chars().take(80).collect(),
                    })
            })
            .collect::<Result<_, _>>()?;
        let timeout = Duration::try_from(self.timeout)
            .ok()
            .filter(|timeout| !timeout.is_zero() && *timeout <= Duration::from_secs(60))
            .ok_or(InvalidResolverConfig::Timeout)?;
        if !(1..=10).contains(&self.attempts) {
            return Err(InvalidResolverConfig::Attempts);
        }
        Ok(CheckedResolver {
            servers,
            timeout,
            attempts: self.attempts,
        })
    }
}

impl CheckedResolver {
    /// Makes the resolver.
    ///
    /// # Errors
    ///
    /// `System` when no name servers are configured and the system names none.
    pub fn resolver(&self) -> Result<Arc<dyn Resolve>, InvalidResolverConfig> {
        Ok(Arc::new(DnsResolver::new(self)?))
    }
}
