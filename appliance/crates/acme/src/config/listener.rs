//! `[acme.open]` and `[acme.mesh]`: where the service listens.

use std::net::{Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use mesh::{ListenerConfig, ListenerLimits};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::urls::ExternalUrl;

/// One listener, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeListenerConfig {
    /// Whether it is there.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// The address; port 0 takes a free one. Absent, loopback: port 8445 for the
    /// open listener, 8444 for the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The URL by which clients reach it, `https://HOST[:PORT][/PREFIX]`; the
    /// address it listens on where absent. A proxy takes the prefix off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// Whether new accounts must be bound to an external one (RFC 8555, 7.3.4).
    #[serde(default)]
    pub external_account_required: bool,
    /// Proxies whose `X-Forwarded-For` tells the client's address, for limits by
    /// address and for the log.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
    /// Limits of connections and requests.
    #[serde(default)]
    pub limits: ListenerLimits,
}

/// The port of the listener for stock clients.
pub(super) const OPEN_PORT: u16 = 8445;

/// The port of the listener for clients with certificates.
pub(super) const MESH_PORT: u16 = 8444;

/// Says that a listener is there unless it is switched off.
const fn enabled() -> bool {
    true
}

impl AcmeListenerConfig {
    /// The listener for stock clients.
    pub(super) fn open() -> Self {
        Self::on(OPEN_PORT)
    }

    /// The listener for clients with certificates.
    pub(super) fn mesh() -> Self {
        Self::on(MESH_PORT)
    }

    /// A listener on loopback.
    fn on(port: u16) -> Self {
        Self {
            enabled: true,
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            external_url: None,
            external_account_required: false,
            trusted_proxies: Vec::new(),
            limits: ListenerLimits::default(),
        }
    }

    /// Checks it, if it is there.
    pub(super) fn check(
        &self,
        listener: &'static str,
        port: u16,
    ) -> Result<Option<CheckedListener>, ConfigError> {
        if !self.enabled {
            return Ok(None);
        }
        self.limits
            .check()
            .map_err(|source| ConfigError::Limits { listener, source })?;
        let external_url = self
            .external_url
            .as_deref()
            .map(ExternalUrl::new)
            .transpose()
            .map_err(|source| ConfigError::ExternalUrl { listener, source })?;
        Ok(Some(CheckedListener {
            listener: ListenerConfig {
                listen: self
                    .listen
                    .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
                limits: self.limits.clone(),
            },
            external_url,
            external_account_required: self.external_account_required,
            trusted_proxies: self.trusted_proxies.clone(),
        }))
    }
}

/// One listener, found sound.
#[derive(Debug, Clone)]
pub struct CheckedListener {
    /// Address and limits.
    pub listener: ListenerConfig,
    /// The URL by which clients reach it, where it is written.
    pub external_url: Option<ExternalUrl>,
    /// Whether new accounts must be bound.
    pub(crate) external_account_required: bool,
    /// Proxies that tell the client's address.
    pub(crate) trusted_proxies: Vec<IpNet>,
}
