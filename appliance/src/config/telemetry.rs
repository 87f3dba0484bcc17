//! `[telemetry]`: logs, metrics and health.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use crate::telemetry::LogFormat;

/// How the process is watched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetryConfig {
    /// Where `/metrics`, `/healthz` and `/readyz` are served, without TLS.
    pub(crate) listen: SocketAddr,
    /// Which log lines are written: a level, or levels by room (`info,ca=debug`).
    pub(crate) log: String,
    /// How they are written.
    pub(crate) log_format: LogFormat,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
            log: "info".to_owned(),
            log_format: LogFormat::Auto,
        }
    }
}
