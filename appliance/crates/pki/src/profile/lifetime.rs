//! Spans of validity as text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use serde::{Deserialize, Serialize};

/// How long something is valid: whole seconds, written as `90d`, `12h`, `2w`,
/// `10m`, `1d 12h`, `20y` or ISO 8601 (`P90D`).
///
/// A day has 24 hours and a year 365 days; months are refused, since they have
/// no one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lifetime(Duration);

/// A text that is no span of validity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no span of time: write 90d, 12h, 1d 12h, 20y or P90D (no months, not below zero)"
)]
pub struct InvalidLifetime {
    /// The text given, cut at 40 characters.
    pub given: String,
}

impl Lifetime {
    /// Longest span that is taken: a thousand years.
    const MAX: Duration = Duration::from_secs(1000 * 365 * 86_400);

    /// Takes so many days.
    #[must_use]
    pub const fn days(days: u32) -> Self {
        Self(Duration::from_secs(days as u64 * 86_400))
    }

    /// Takes so many seconds.
    #[must_use]
    pub const fn seconds(seconds: u32) -> Self {
        Self(Duration::from_secs(seconds as u64))
    }

    /// Returns the span.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Lifetime {
    type Err = InvalidLifetime;

    fn from_str(text: &str) -> Result<Self, InvalidLifetime> {
        let refused = || InvalidLifetime {
            given: text.chars().take(40).collect(),
        };
        let span: Span = text.parse().map_err(|_| refused())?;
        if span.get_months() != 0 {
            return Err(refused());
        }
        let years = i64::from(span.get_years());
        let rest = span
            .try_years(0)
            .and_then(|rest| rest.to_duration(SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| refused())?;
        let seconds = years
            .checked_mul(365 * 86_400)
            .and_then(|whole| whole.checked_add(rest.as_secs()))
            .filter(|_| rest.subsec_nanos() == 0)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .ok_or_else(refused)?;
        let duration = Duration::from_secs(seconds);
        if duration > Self::MAX {
            return Err(refused());
        }
        Ok(Self(duration))
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        for (unit, letter) in [(86_400, "d"), (3600, "h"), (60, "m")] {
            if seconds >= unit && seconds.is_multiple_of(unit) {
                return write!(f, "{}{letter}", seconds / unit);
            }
        }
        write!(f, "{seconds}s")
    }
}

impl TryFrom<String> for Lifetime {
    type Error = InvalidLifetime;

    fn try_from(text: String) -> Result<Self, InvalidLifetime> {
        text.parse()
    }
}

impl From<Lifetime> for String {
    fn from(lifetime: Lifetime) -> String {
        lifetime.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print() {
        for (text, seconds, printed) in [
            ("90d", 7_776_000, "90d"),
            ("12h", 43_200, "12h"),
            ("2w", 1_209_600, "14d"),
            ("10m", 600, "10m"),
            ("1d 12h", 129_600, "36h"),
            ("20y", 630_720_000, "7300d"),
            ("P90D", 7_776_000, "90d"),
            ("90s", 90, "90s"),
            ("0s", 0, "0s"),
        ] {
            let lifetime: Lifetime = text.parse().unwrap();
            assert_eq!(lifetime.duration().as_secs(), seconds, "{text}");
            assert_eq!(lifetime.to_string(), printed);
            assert_eq!(printed.parse::<Lifetime>().unwrap(), lifetime);
        }
    }

    #[test]
    fn months_signs_fractions_and_nonsense_are_refused() {
        for text in [
            "", "3mo", "P1M", "-1d", "1.5s", "ever", "90", "9999y", "1d ago",
        ] {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
    }
}
