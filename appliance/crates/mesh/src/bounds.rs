//! Numbers and times of a configuration, held to what can work.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::SignedDuration;

/// A number or time outside what can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {rule}")]
pub struct OutOfBounds {
    /// The key, by its path below its service's section.
    pub key: &'static str,
    /// What it must be, as the rest of a sentence.
    pub rule: &'static str,
}

/// Longest time that makes sense in a configuration.
const MAX_SPAN: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

/// Holds a number to its bounds.
///
/// # Errors
///
/// `OutOfBounds` with `rule`.
pub fn bounded<T: PartialOrd>(
    key: &'static str,
    value: T,
    bounds: RangeInclusive<T>,
    rule: &'static str,
) -> Result<T, OutOfBounds> {
    if bounds.contains(&value) {
        Ok(value)
    } else {
        Err(OutOfBounds { key, rule })
    }
}

/// Takes a time that is longer than nothing and at most ten years.
///
/// # Errors
///
/// `OutOfBounds` for any other.
pub fn span(key: &'static str, value: SignedDuration) -> Result<SignedDuration, OutOfBounds> {
    if value.is_positive() && value <= MAX_SPAN {
        Ok(value)
    } else {
        Err(OutOfBounds {
            key,
            rule: "must be longer than nothing and at most ten years",
        })
    }
}

/// Takes a time as [`span`] does, in the standard library's form.
///
/// # Errors
///
/// As [`span`].
pub fn positive(key: &'static str, value: SignedDuration) -> Result<Duration, OutOfBounds> {
    span(key, value).map(SignedDuration::unsigned_abs)
}

/// Takes a time of at most ten years, or none at all.
///
/// # Errors
///
/// As [`span`].
pub fn not_negative(
    key: &'static str,
    value: SignedDuration,
) -> Result<SignedDuration, OutOfBounds> {
    if value.is_zero() {
        return Ok(value);
    }
    span(key, value)
}
