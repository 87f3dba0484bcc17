//! `[acme.caa]`: whether CAA is asked, and what this CA answers to.

use std::time::Duration;

use jiff::SignedDuration;
use pki::names::DnsName;
use serde::{Deserialize, Serialize};

/// `[acme.caa]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaaConfig {
    /// Whether CAA records are asked for; a CA whose names are all private may
    /// switch it off.
    pub enabled: bool,
    /// The issuer domain names that mean this CA in CAA records, told to clients as
    /// `caaIdentities`. With none, any `issue` record forbids issuance here.
    pub identities: Vec<String>,
    /// Private name spaces that are not asked for: `corp.internal` and everything
    /// below it.
    pub exempt: Vec<String>,
    /// How old the check of an authorization may be when its order is finalized;
    /// older ones are made again (RFC 8659, 3 and the CA/Browser Forum say 8 hours).
    pub max_age: SignedDuration,
}

impl Default for CaaConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            identities: Vec::new(),
            exempt: Vec::new(),
            max_age: SignedDuration::from_hours(8),
        }
    }
}

/// Why `[acme.caa]` cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCaaConfig {
    /// A name that is none.
    #[error("`{key}`: {given:?} is no DNS name")]
    Name {
        /// The key.
        key: &'static str,
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// An age that cannot work.
    #[error("`max_age` must be longer than nothing and at most 30 days")]
    MaxAge,
}

/// What CAA means here, found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedCaa {
    /// Whether CAA records are asked for.
    pub enabled: bool,
    /// What this CA answers to.
    pub identities: Vec<DnsName>,
    /// Name spaces that are not asked for.
    pub(super) exempt: Vec<DnsName>,
    /// How old a check may be.
    pub(super) max_age: Duration,
}

impl CaaConfig {
    /// Checks the section.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<CheckedCaa, InvalidCaaConfig> {
        Ok(CheckedCaa {
            enabled: self.enabled,
            identities: names("identities", &self.identities)?,
            exempt: names("exempt", &self.exempt)?,
            max_age: Duration::try_from(self.max_age)
                .ok()
                .filter(|age| !age.is_zero() && *age <= Duration::from_secs(30 * 24 * 3600))
                .ok_or(InvalidCaaConfig::MaxAge)?,
        })
    }
}

/// Reads DNS names without wildcards.
fn names(key: &'static str, given: &[String]) -> Result<Vec<DnsName>, InvalidCaaConfig> {
    given
        .iter()
        .map(|text| {
            DnsName::new(text)
                .ok()
                .filter(|name| !name.is_wildcard())
                .ok_or_else(|| InvalidCaaConfig::Name {
                    key,
                    given: text.chars().take(80).collect(),
                })
        })
        .collect()
}
