//! `[signing.limits]`: how much a request may bring, and how slowly.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{ConfigError, bounded, positive};

/// `[signing.limits]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// Most octets of a bill of materials.
    pub sbom_bytes: u64,
    /// Most octets of a provenance.
    pub provenance_bytes: u64,
    /// Most octets of an artifact that is uploaded.
    pub artifact_bytes: u64,
    /// Most octets of bills of materials and provenance that are held in memory at a
    /// time, over all requests; more are answered 503.
    pub evidence_memory_bytes: u64,
    /// Time that an upload has before its rate counts.
    pub upload_grace: SignedDuration,
    /// Slowest rate of an upload after that, octets a second.
    pub upload_min_bytes_per_second: u64,
    /// How long the token may take for the signatures of one request.
    pub signing_timeout: SignedDuration,
    /// Most signatures that one page of a search lists.
    pub search_page: usize,
}

/// One mebibyte.
const MIB: u64 = 1 << 20;

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            sbom_bytes: 64 * MIB,
            provenance_bytes: 16 * MIB,
            artifact_bytes: 64 << 30,
            evidence_memory_bytes: 512 * MIB,
            upload_grace: SignedDuration::from_secs(10),
            upload_min_bytes_per_second: 64 << 10,
            signing_timeout: SignedDuration::from_secs(10),
            search_page: 100,
        }
    }
}

/// `[signing.limits]`, found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedLimits {
    /// Most octets of a bill of materials.
    pub sbom_bytes: usize,
    /// Most octets of a provenance.
    pub provenance_bytes: usize,
    /// Most octets of an artifact that is uploaded.
    pub artifact_bytes: u64,
    /// Most octets of evidence in memory at a time.
    pub evidence_memory_bytes: u64,
    /// Time that an upload has before its rate counts.
    pub upload_grace: Duration,
    /// Slowest rate of an upload after that.
    pub upload_min_bytes_per_second: u64,
    /// How long the token may take for the signatures of one request.
    pub signing_timeout: Duration,
    /// Most signatures that one page of a search lists.
    pub search_page: usize,
}

impl LimitConfig {
    /// Checks it.
    pub(super) fn check(&self) -> Result<CheckedLimits, ConfigError> {
        let evidence = "must be between 1024 and 1073741824";
        let octets = |key, value: u64| {
            bounded(key, value, 1024..=1 << 30, evidence).map(|value| value as usize)
        };
        let sbom_bytes = octets("limits.sbom_bytes", self.sbom_bytes)?;
        let provenance_bytes = octets("limits.provenance_bytes", self.provenance_bytes)?;
        let least = (sbom_bytes as u64 + provenance_bytes as u64) * 3;
        Ok(CheckedLimits {
            sbom_bytes,
            provenance_bytes,
            artifact_bytes: bounded(
                "limits.artifact_bytes",
                self.artifact_bytes,
                1..=1 << 50,
                "must be between 1 and 1125899906842624",
            )?,
            // A request by digest holds its JSON, the text of its evidence and the
            // evidence itself for a moment.
            evidence_memory_bytes: bounded(
                "limits.evidence_memory_bytes",
                self.evidence_memory_bytes,
                least..=1 << 40,
                "must be at least three times `limits.sbom_bytes` and `limits.provenance_bytes` together",
            )?,
            upload_grace: positive("limits.upload_grace", self.upload_grace)?,
            upload_min_bytes_per_second: bounded(
                "limits.upload_min_bytes_per_second",
                self.upload_min_bytes_per_second,
                1..=1 << 40,
                "must be at least 1",
            )?,
            signing_timeout: positive("limits.signing_timeout", self.signing_timeout)?,
            search_page: bounded(
                "limits.search_page",
                self.search_page,
                1..=1000,
                "must be between 1 and 1000",
            )?,
        })
    }
}
