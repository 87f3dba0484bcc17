//! How a service learns which clients no longer count.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::duration;

/// How a service follows the CA's CRL, as the configuration file gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationConfig {
    /// What happens to clients while no fresh CRL is there.
    pub no_fresh_crl: NoFreshCrl,
    /// How long the CA is asked to hold its answer back until there is a newer
    /// CRL, so that it arrives at once.
    #[serde(with = "duration")]
    pub wait: Duration,
    /// Time between questions where the CA does not hold answers back.
    #[serde(with = "duration")]
    pub refresh: Duration,
    /// Whether delta CRLs are followed: only where the CA issues one for every
    /// revocation.
    pub deltas: bool,
    /// Shards that the CA divides its CRL into and that are followed one by one;
    /// 0 follows the full CRL.
    pub shards: u32,
    /// How far the CA's clock may be ahead of ours.
    #[serde(with = "duration")]
    pub max_skew: Duration,
}

/// What happens to clients while no fresh CRL is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoFreshCrl {
    /// All are refused: nobody whose revocation is not known comes in.
    Refuse,
    /// Those that the last CRL does not name are admitted, with a warning in the
    /// log and a count in the metrics.
    Admit,
}

impl Default for RevocationConfig {
    fn default() -> Self {
        Self {
            no_fresh_crl: NoFreshCrl::Refuse,
            wait: Duration::from_secs(30),
            refresh: Duration::from_secs(60),
            deltas: false,
            shards: 0,
            max_skew: Duration::from_secs(300),
        }
    }
}

/// Why a [`RevocationConfig`] cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRevocationConfig {
    /// A time outside its bounds.
    #[error("{key} is {min_s} to {max_s} seconds")]
    Duration {
        /// The key.
        key: &'static str,
        /// The shortest, in seconds.
        min_s: u64,
        /// The longest, in seconds.
        max_s: u64,
    },
    /// More shards than are worth following.
    #[error("shards is at most {max}")]
    Shards {
        /// The most.
        max: u32,
    },
    /// Deltas are those of the full CRL.
    #[error("deltas and shards cannot both be followed: choose one")]
    DeltasOfShards,
}

impl RevocationConfig {
    /// Checks that it can be worked with.
    ///
    /// # Errors
    ///
    /// `Duration` names the first key outside its bounds, `Shards` past
    /// [`MAX_SHARDS`](Self::MAX_SHARDS), `DeltasOfShards` when both are wanted.
    pub fn check(&self) -> Result<(), InvalidRevocationConfig> {
        for (key, value, min_s, max_s) in [
            ("wait", self.wait, 1, 300),
            ("refresh", self.refresh, 1, 86_400),
            ("max_skew", self.max_skew, 0, 86_400),
        ] {
            if !(Duration::from_secs(min_s)..=Duration::from_secs(max_s)).contains(&value) {
                return Err(InvalidRevocationConfig::Duration { key, min_s, max_s });
            }
        }
        if self.shards > Self::MAX_SHARDS {
            return Err(InvalidRevocationConfig::Shards {
                max: Self::MAX_SHARDS,
            });
        }
        if self.deltas && self.shards > 0 {
            return Err(InvalidRevocationConfig::DeltasOfShards);
        }
        Ok(())
    }

    /// Most shards: each has a request of its own that waits, and is asked about
    /// every client.
    pub const MAX_SHARDS: u32 = 64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default_and_refuses() {
        let config: RevocationConfig = serde_json::from_str(r#"{"wait": "10s"}"#).unwrap();
        assert_eq!(config.no_fresh_crl, NoFreshCrl::Refuse);
        assert_eq!(config.wait, Duration::from_secs(10));
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn unknown_words_and_impossible_values_are_refused() {
        for bad in [r#"{"no_fresh_crl": "maybe"}"#, r#"{"delta": true}"#] {
            assert!(serde_json::from_str::<RevocationConfig>(bad).is_err());
        }
        let usual = RevocationConfig::default;
        for bad in [
            RevocationConfig {
                wait: Duration::ZERO,
                ..usual()
            },
            RevocationConfig {
                refresh: Duration::from_secs(1_000_000),
                ..usual()
            },
            RevocationConfig {
                shards: 65,
                ..usual()
            },
            RevocationConfig {
                shards: 2,
                deltas: true,
                ..usual()
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
