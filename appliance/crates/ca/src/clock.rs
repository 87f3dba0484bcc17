//! Whether the clock can be believed.
//!
//! Certificates carry the time, so a wrong clock makes wrong certificates; and a
//! record from the future would block every later one. Issuing stops while
//!
//! - the clock lies further behind the newest recorded act than the tolerance, or
//! - it has run ahead of elapsed time by more than the greatest jump while the
//!   service runs: somebody set it. Right or wrong, an operator looks and restarts.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use model::Timestamp;

/// Why the clock cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImplausibleClock {
    /// It lies before what was recorded.
    #[error(
        "the clock says {now}, and the newest recorded act is of {newest}; \
         set the clock, issuing goes on by itself"
    )]
    Behind {
        /// What the clock says.
        now: Timestamp,
        /// The newest recorded act.
        newest: Timestamp,
    },
    /// It jumped ahead.
    #[error(
        "the clock says {now}, and by elapsed time it should be about {expected}; \
         set the clock back, or restart the service if it is right now"
    )]
    Ahead {
        /// What the clock says.
        now: Timestamp,
        /// What it should say.
        expected: Timestamp,
    },
}

/// Holds the clock to what was recorded and to elapsed time.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    /// How far it may lie behind the newest act.
    tolerance: SignedDuration,
    /// How far it may run ahead of elapsed time.
    max_jump: SignedDuration,
    /// What was seen last.
    seen: Mutex<Seen>,
}

/// What the guard remembers.
#[derive(Debug)]
struct Seen {
    /// The newest recorded act.
    newest: Option<Timestamp>,
    /// The last believed time and the moment it was read.
    believed: Option<(Timestamp, Instant)>,
}

impl ClockGuard {
    /// Begins after the newest act of the store.
    pub(crate) fn new(newest: Option<Timestamp>, tolerance: Duration, max_jump: Duration) -> Self {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Self {
            tolerance: signed(tolerance),
            max_jump: signed(max_jump),
            seen: Mutex::new(Seen {
                newest,
                believed: None,
            }),
        }
    }

    /// Judges `now`, read at `instant`, for an act that is about to be recorded.
    pub(crate) fn check(&self, now: Timestamp, instant: Instant) -> Result<(), ImplausibleClock> {
        // Every step leaves the state whole, so poison means nothing.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = seen.newest
            && newest.duration_since(now) > self.tolerance
        {
            return Err(ImplausibleClock::Behind { now, newest });
        }
        if let Some((believed, read_at)) = seen.believed {
            let elapsed = instant.saturating_duration_since(read_at);
            let expected = SignedDuration::try_from(elapsed)
                .ok()
                .and_then(|elapsed| believed.checked_add(elapsed).ok())
                .unwrap_or(Timestamp::MAX);
            if now.duration_since(expected) > self.max_jump {
                return Err(ImplausibleClock::Ahead { now, expected });
            }
        }
        seen.believed = Some((now, instant));
        seen.newest = seen.newest.max(Some(now));
        Ok(())
    }

    /// Judges `now` without taking note of it, for readiness reports.
    pub(crate) fn peek(&self, now: Timestamp, instant: Instant) -> Result<(), ImplausibleClock> {
        let copy = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            Seen {
                newest: seen.newest,
                believed: seen.believed,
            }
        };
        Self {
            tolerance: self.tolerance,
            max_jump: self.max_jump,
            seen: Mutex::new(copy),
        }
        .check(now, instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guard with a minute's tolerance and a day's jump.
    fn guard(newest: Option<Timestamp>) -> ClockGuard {
        ClockGuard::new(newest, Duration::from_secs(60), Duration::from_secs(86_400))
    }

    /// Noon.
    fn noon() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_clock_behind_the_store_stops_until_it_catches_up() {
        let guard = guard(Some(noon()));
        let instant = Instant::now();
        let behind = noon() - SignedDuration::from_secs(61);
        assert_eq!(
            guard.check(behind, instant),
            Err(ImplausibleClock::Behind {
                now: behind,
                newest: noon()
            })
        );
        let tolerable = noon() - SignedDuration::from_secs(60);
        assert_eq!(guard.check(tolerable, instant), Ok(()));
    }

    #[test]
    fn a_clock_that_jumps_ahead_stops_until_it_is_set_back() {
        let guard = guard(None);
        let instant = Instant::now();
        guard.check(noon(), instant).unwrap();
        let ahead = noon() + SignedDuration::from_hours(25);
        assert!(matches!(
            guard.check(ahead, instant),
            Err(ImplausibleClock::Ahead { .. })
        ));
        let soon = noon() + SignedDuration::from_secs(1);
        assert_eq!(guard.check(soon, instant), Ok(()));
        // Elapsed time counts: a day later, a day more is no jump.
        let later = instant + Duration::from_secs(86_400);
        assert_eq!(guard.check(ahead, later), Ok(()));
    }

    #[test]
    fn looking_changes_nothing() {
        let guard = guard(None);
        let instant = Instant::now();
        guard.peek(noon(), instant).unwrap();
        let before = noon() - SignedDuration::from_hours(1);
        assert_eq!(guard.check(before, instant), Ok(()));
    }
}
