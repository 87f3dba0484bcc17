//! `[signing.mesh]` and `[signing.open]`: where the service listens.

use std::net::{Ipv4Addr, SocketAddr};

use mesh::{ListenerConfig, ListenerLimits};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::urls::ExternalUrl;

/// One listener, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningListenerConfig {
    /// Whether it is there.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// The address; port 0 takes a free one. Absent, loopback: port 8446 for the
    /// listener with client certificates, 8448 for the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The URL by which clients reach it, `https://HOST[:PORT][/PREFIX]`; the
    /// address it listens on where absent. A proxy takes the prefix off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// Limits of connections and requests.
    #[serde(default)]
    pub limits: ListenerLimits,
}

/// The port of the listener for clients with certificates.
pub(super) const MESH_PORT: u16 = 8446;

/// The port of the listener for forges and time-stamp clients.
pub(super) const OPEN_PORT: u16 = 8448;

/// Says that a listener is there unless it is switched off.
const fn enabled() -> bool {
    true
}

impl SigningListenerConfig {
    /// A listener on loopback.
    pub(super) fn on(port: u16) -> Self {
        Self {
            enabled: true,
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            external_url: None,
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
}
