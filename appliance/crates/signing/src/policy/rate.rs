//! How often: a bucket for each profile and client, filled evenly over a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::signing::SigningProfileName;

/// Most buckets that are kept: full ones are dropped first.
const MAX_BUCKETS: usize = 100_000;

/// One minute in nanoseconds.
const MINUTE_NS: i64 = 60_000_000_000;

/// Counts signatures by profile and client (the generic cell rate algorithm: one
/// time stamp a bucket). Buckets live in memory: a restart fills them.
#[derive(Debug, Default)]
pub struct RateLimiter {
    /// When each bucket will be full again.
    buckets: Mutex<HashMap<(SigningProfileName, Box<str>), Timestamp>>,
}

impl RateLimiter {
    /// Takes one from a bucket.
    ///
    /// # Errors
    ///
    /// How long to wait, where it is empty; nothing was taken then.
    pub fn take(
        &self,
        profile: &SigningProfileName,
        client: &str,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Duration> {
        if per_minute == 0 {
            return Ok(());
        }
        let step = SignedDuration::from_nanos(MINUTE_NS / i64::from(per_minute));
        let window = SignedDuration::from_nanos(MINUTE_NS);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain(|_, full| *full > now);
        }
        let known = buckets.contains_key(&(profile.clone(), client.into()));
        if !known && buckets.len() >= MAX_BUCKETS {
            // All of them in use: rather refuse a newcomer than forget who had enough.
            return Err(window.unsigned_abs());
        }
        let full = buckets
            .entry((profile.clone(), client.into()))
            .or_insert(now);
        // A clock set back must not lock a client out for longer than a window: what was
        // taken by another clock counts as taken now.
        *full = (*full).min(now + window);
        let next = (*full).max(now) + step;
        let wait = next.duration_since(now) - window;
        if wait.is_positive() {
            return Err(wait.unsigned_abs());
        }
        *full = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_as_many_as_it_may_and_again_after_a_while() {
        let limiter = RateLimiter::default();
        let profile = SigningProfileName::new("release").unwrap();
        let now = Timestamp::from_second(1_000_000).unwrap();
        for _ in 0..6 {
            assert_eq!(limiter.take(&profile, "signer/a", 6, now), Ok(()));
        }
        let wait = limiter.take(&profile, "signer/a", 6, now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(10));
        assert_eq!(limiter.take(&profile, "signer/b", 6, now), Ok(()));
        let later = now + SignedDuration::from_secs(10);
        assert_eq!(limiter.take(&profile, "signer/a", 6, later), Ok(()));
        assert!(limiter.take(&profile, "signer/a", 6, later).is_err());
        assert_eq!(limiter.take(&profile, "signer/a", 0, later), Ok(()));
        let before = now - SignedDuration::from_hours(24);
        let wait = limiter.take(&profile, "signer/a", 6, before).unwrap_err();
        assert!(wait <= Duration::from_secs(60), "{wait:?}");
        let soon = before + SignedDuration::from_secs(60);
        assert_eq!(limiter.take(&profile, "signer/a", 6, soon), Ok(()));
    }
}
