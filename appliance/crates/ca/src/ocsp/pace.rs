//! How fast answers are made ahead, and how many under one signature.
//!
//! Several signatures are under way at a time; after each its maker rests, so
//! that of every lane of the token a fixed share is taken, however many lanes it
//! has and however busy they are. While certificates are being issued the share
//! is a quarter of that.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Signatures under way at a time.
pub(crate) const MAKERS: usize = 4;

/// The part of its share that is taken while certificates are being issued.
const WHILE_ISSUING: f64 = 0.25;

/// Weight of the newest of the measured times.
const NEWEST: f64 = 0.1;

/// Rests shorter than this are saved up: timers are no finer.
const SHORTEST_REST: Duration = Duration::from_millis(5);

/// Longest rest after one signature.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Signatures a second from which on a token is fast enough for nonces.
pub(crate) const FAST: f64 = 200.0;

/// What is known of the token's speed.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Seconds of the token for one signature, by the newest measurements.
    seconds_each: Mutex<Option<f64>>,
}

impl Pace {
    /// Takes note of a signature that took so long while `under_way` were.
    pub(crate) fn measured(&self, took: Duration, under_way: usize) {
        let each = took.as_secs_f64() / under_way.max(1) as f64;
        let mut mean = self
            .seconds_each
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *mean = Some(mean.map_or(each, |mean| mean + (each - mean) * NEWEST));
    }

    /// Returns signatures a second; none before the first was made.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let mean = *self
            .seconds_each
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        mean.filter(|mean| *mean > 0.0).map(|mean| 1.0 / mean)
    }

    /// Chooses how many certificates one signature covers, so that `answers` can
    /// be made anew within `time` by this share of the token: one, if it can.
    pub(crate) fn batch(&self, answers: usize, time: Duration, share: f64, most: usize) -> usize {
        let Some(per_second) = self.per_second() else {
            return 1;
        };
        let within_reach = per_second * share * time.as_secs_f64();
        if within_reach <= 0.0 {
            return most;
        }
        // A float too large for the type becomes its largest value.
        ((answers as f64 / within_reach).ceil() as usize).clamp(1, most)
    }
}

/// The rest that one maker owes.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// What it has not rested yet.
    owed: Duration,
}

impl Rest {
    /// Owes the rest after a signature that took so long; returns the rest to be
    /// had now, if it is long enough for a timer.
    pub(crate) fn after(
        &mut self,
        took: Duration,
        share: f64,
        is_issuing: bool,
    ) -> Option<Duration> {
        let share = if is_issuing {
            share * WHILE_ISSUING
        } else {
            share
        };
        let rest = took.as_secs_f64() * (1.0 / share.clamp(0.001, 1.0) - 1.0);
        let rest = Duration::try_from_secs_f64(rest).unwrap_or(LONGEST_REST);
        self.owed = (self.owed + rest).min(LONGEST_REST);
        (self.owed >= SHORTEST_REST).then(|| std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds.
    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_quarter_of_a_lane_means_three_parts_of_rest() {
        let mut rest = Rest::default();
        assert_eq!(rest.after(ms(10), 0.25, false), Some(ms(30)));
        assert_eq!(rest.after(ms(10), 0.25, true), Some(ms(150)));
        assert_eq!(rest.after(ms(10), 1.0, false), None);
    }

    #[test]
    fn short_rests_are_saved_up() {
        let mut rest = Rest::default();
        assert_eq!(rest.after(ms(1), 0.25, false), None);
        assert_eq!(rest.after(ms(1), 0.25, false), Some(ms(6)));
        assert_eq!(rest.after(ms(1), 0.25, false), None);
    }

    #[test]
    fn a_token_that_keeps_up_signs_for_one_and_a_slow_one_for_several() {
        let half_a_day = Duration::from_secs(43_200);
        let pace = Pace::default();
        assert_eq!(pace.batch(2_000_000, half_a_day, 0.25, 64), 1, "unknown");
        // 1,000 a second: 4 ms each while four are under way.
        pace.measured(ms(4), 4);
        assert_eq!(pace.per_second().map(f64::round), Some(1_000.0));
        assert_eq!(pace.batch(2_000_000, half_a_day, 0.25, 64), 1);
        let slow = Pace::default();
        slow.measured(ms(100), 1);
        // 108,000 within half a day.
        assert_eq!(slow.batch(100_000, half_a_day, 0.25, 64), 1);
        assert_eq!(slow.batch(1_000_000, half_a_day, 0.25, 64), 10);
        assert_eq!(slow.batch(100_000_000, half_a_day, 0.25, 64), 64);
    }
}
