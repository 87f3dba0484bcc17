//! `[ca.crl]` and `[ca.distribution]`: what is published, when and where.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use mesh::{InvalidLimits, ListenerConfig, ListenerLimits};
use serde::{Deserialize, Serialize};

/// `[ca.crl]`, as written. Durations are `10s`, `1h 30m` or ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrlConfig {
    /// How often every CRL is issued anew, whether anything changed or not.
    pub interval: SignedDuration,
    /// How long each counts. It is longer than the interval, so that the one
    /// before still counts when the next one is late.
    pub validity: SignedDuration,
    /// When a revocation brings new CRLs: `at-once`, before the revocation is
    /// answered; so long after it, many together; or `timer`, with the interval.
    pub on_revocation: OnRevocation,
    /// Number of shards; each certificate then names the CRL of its shard. 0: none.
    pub shards: u32,
    /// Whether the full CRL names its own address (IssuingDistributionPoint), where
    /// every profile's certificates do. Relying parties then use it for those
    /// certificates alone: `false` where there are others, taken over from elsewhere.
    pub issuing_point: bool,
    /// How often a delta CRL is issued; none without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta_interval: Option<SignedDuration>,
    /// How long certificates stay on CRLs after they expired: a time, or
    /// `forever`. Each is on one CRL after that in any case.
    pub keep_expired: KeepExpired,
    /// How long the root's CRL counts; it is issued anew when a third is left,
    /// if the root's key is there.
    pub root_validity: SignedDuration,
    /// Clients that may wait for the next CRL at a time; more are answered at once.
    pub max_waiters: usize,
    /// How long one may wait.
    pub max_wait: SignedDuration,
}

impl Default for CrlConfig {
    fn default() -> Self {
        Self {
            interval: SignedDuration::from_hours(1),
            validity: SignedDuration::from_hours(72),
            on_revocation: OnRevocation::After(SignedDuration::from_millis(250)),
            shards: 0,
            issuing_point: true,
            delta_interval: None,
            keep_expired: KeepExpired::For(SignedDuration::ZERO),
            root_validity: SignedDuration::from_hours(180 * 24),
            max_waiters: 256,
            max_wait: SignedDuration::from_secs(60),
        }
    }
}

/// When a revocation brings new CRLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OnRevocation {
    /// Before the revocation is answered.
    AtOnce,
    /// So long after it; what is revoked meanwhile is on them as well.
    After(SignedDuration),
    /// With the interval alone.
    Timer,
}

/// How long expired certificates stay on CRLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeepExpired {
    /// So long.
    For(SignedDuration),
    /// They never leave.
    Forever,
}

/// A text that is none of what a key takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is neither {words} nor a time such as \"30s\"")]
pub struct InvalidChoice {
    /// The text given, cut at 40 characters.
    given: String,
    /// The words that it may be.
    words: &'static str,
}

/// Reads a time that is not negative.
fn time(text: &str, words: &'static str) -> Result<SignedDuration, InvalidChoice> {
    text.parse()
        .ok()
        .filter(|time: &SignedDuration| !time.is_negative())
        .ok_or_else(|| InvalidChoice {
            given: text.chars().take(40).collect(),
            words,
        })
}

impl FromStr for OnRevocation {
    type Err = InvalidChoice;

    fn from_str(text: &str) -> Result<Self, InvalidChoice> {
        match text {
            "at-once" => Ok(Self::AtOnce),
            "timer" => Ok(Self::Timer),
            text => time(text, "\"at-once\" or \"timer\"").map(Self::After),
        }
    }
}

impl fmt::Display for OnRevocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("at-once"),
            Self::After(delay) => write!(f, "{delay:#}"),
            Self::Timer => f.write_str("timer"),
        }
    }
}

impl FromStr for KeepExpired {
    type Err = InvalidChoice;

    fn from_str(text: &str) -> Result<Self, InvalidChoice> {
        match text {
            "forever" => Ok(Self::Forever),
            text => time(text, "\"forever\"").map(Self::For),
        }
    }
}

impl fmt::Display for KeepExpired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(time) => write!(f, "{time:#}"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// Reads and writes a choice as its text.
macro_rules! as_text {
    ($($choice:ty),+) => {$(
        impl TryFrom<String> for $choice {
            type Error = InvalidChoice;

            fn try_from(text: String) -> Result<Self, InvalidChoice> {
                text.parse()
            }
        }

        impl From<$choice> for String {
            fn from(choice: $choice) -> Self {
                choice.to_string()
            }
        }
    )+};
}

as_text!(OnRevocation, KeepExpired);

/// `[ca.distribution]`, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistributionConfig {
    /// Address of the distribution listener, plain HTTP; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its limits.
    pub limits: ListenerLimits,
}

impl Default for DistributionConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            limits: ListenerLimits::default(),
        }
    }
}

/// Why `[ca.crl]` cannot be worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {rule}")]
pub struct CrlConfigError {
    /// The key.
    pub key: &'static str,
    /// What it must be, as the rest of a sentence.
    pub rule: &'static str,
}

/// `[ca.crl]`, found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedCrlConfig {
    /// How often every CRL is issued anew.
    pub(crate) interval: SignedDuration,
    /// How long each counts.
    pub(crate) validity: SignedDuration,
    /// When a revocation brings new CRLs.
    pub(crate) on_revocation: OnRevocation,
    /// Number of shards; 0: none.
    pub(crate) shards: u32,
    /// Whether the full CRL names its own address.
    pub(crate) issuing_point: bool,
    /// How often a delta CRL is issued; none without.
    pub(crate) delta_interval: Option<SignedDuration>,
    /// How long certificates stay after they expired.
    pub(crate) keep_expired: KeepExpired,
    /// How long the root's CRL counts.
    pub(crate) root_validity: SignedDuration,
    /// Clients that may wait at a time.
    pub(crate) max_waiters: usize,
    /// How long one may wait.
    pub(crate) max_wait: Duration,
}

/// Most shards: each is a file, a signature and a cache entry.
const MAX_SHARDS: u32 = 1_024;

/// Longest time anything counts: ten years and a bit, so that dates can be added.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3_660);

impl CrlConfig {
    /// Checks that the times fit each other.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub(crate) fn check(&self) -> Result<CheckedCrlConfig, CrlConfigError> {
        let refuse = |key, rule| Err(CrlConfigError { key, rule });
        // RFC 5280, 5.1.2.5: nextUpdate lies after the next issue, or relying
        // parties have none for a while. CRLs state whole seconds.
        const SECOND: SignedDuration = SignedDuration::from_secs(1);
        if self.interval < SECOND {
            return refuse("interval", "must be at least a second");
        }
        if self.validity <= self.interval || self.validity > LONGEST {
            return refuse(
                "validity",
                "must be longer than the interval and at most ten years",
            );
        }
        if self.root_validity < SECOND || self.root_validity > LONGEST {
            return refuse("root_validity", "must be between a second and ten years");
        }
        if self.shards > MAX_SHARDS {
            return refuse("shards", "must be at most 1024");
        }
        if let Some(delta) = self.delta_interval
            && (delta < SECOND || delta >= self.interval)
        {
            return refuse(
                "delta_interval",
                "must be at least a second and shorter than the interval",
            );
        }
        if let KeepExpired::For(time) = self.keep_expired
            && time > LONGEST * 10
        {
            return refuse("keep_expired", "must be at most a hundred years");
        }
        if let OnRevocation::After(delay) = self.on_revocation
            && delay >= self.interval
        {
            return refuse(
                "on_revocation",
                "must be shorter than the interval; \"timer\" waits for that",
            );
        }
        let Ok(max_wait) = Duration::try_from(self.max_wait) else {
            return refuse("max_wait", "must not be negative");
        };
        if max_wait > Duration::from_secs(600) {
            return refuse("max_wait", "must be at most ten minutes");
        }
        Ok(CheckedCrlConfig {
            interval: self.interval,
            validity: self.validity,
            on_revocation: self.on_revocation,
            shards: self.shards,
            issuing_point: self.issuing_point,
            delta_interval: self.delta_interval,
            keep_expired: self.keep_expired,
            root_validity: self.root_validity,
            max_waiters: self.max_waiters,
            max_wait,
        })
    }
}

impl DistributionConfig {
    /// Checks the limits.
    ///
    /// # Errors
    ///
    /// When nothing would fit through them.
    pub(crate) fn check(&self) -> Result<ListenerConfig, InvalidLimits> {
        self.limits.check()?;
        Ok(ListenerConfig {
            listen: self.listen,
            limits: self.limits.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written_as_text() {
        for text in ["at-once", "timer", "1s", "30m"] {
            let choice: OnRevocation = text.parse().unwrap();
            assert_eq!(choice.to_string(), text);
        }
        for text in ["forever", "0s", "2160h"] {
            let choice: KeepExpired = text.parse().unwrap();
            assert_eq!(choice.to_string(), text);
        }
        for text in ["", "soon", "-1s"] {
            assert!(text.parse::<OnRevocation>().is_err(), "{text}");
            assert!(text.parse::<KeepExpired>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_that_leave_relying_parties_without_a_crl_are_refused() {
        let hours = SignedDuration::from_hours;
        let refused = |change: &dyn Fn(&mut CrlConfig)| {
            let mut config = CrlConfig::default();
            change(&mut config);
            config.check().unwrap_err().key
        };
        assert!(CrlConfig::default().check().is_ok());
        assert_eq!(refused(&|config| config.validity = hours(1)), "validity");
        assert_eq!(
            refused(&|config| config.interval = hours(0)),
            "interval",
            "no interval"
        );
        assert_eq!(
            refused(&|config| config.delta_interval = Some(hours(1))),
            "delta_interval"
        );
        assert_eq!(
            refused(&|config| config.on_revocation = OnRevocation::After(hours(2))),
            "on_revocation"
        );
        assert_eq!(refused(&|config| config.shards = 1_025), "shards");
        assert_eq!(
            refused(&|config| config.max_wait = SignedDuration::from_mins(11)),
            "max_wait"
        );
    }
}
