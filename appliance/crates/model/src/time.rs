//! Time as an argument: the [`Clock`] seam and a clock for tests.

use std::sync::atomic::{AtomicI64, Ordering};

pub use jiff::Timestamp;

/// A source of the current time.
///
/// The composition root hands the system's clock to every service; tests hand
/// in a [`ManualClock`].
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the current time, UTC.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    /// Seconds since the Unix epoch.
    seconds: AtomicI64,
}

impl ManualClock {
    /// Starts the clock at `now`, rounded down to a whole second.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            seconds: AtomicI64::new(now.as_second()),
        }
    }

    /// Moves the clock by `seconds`, backwards if negative.
    pub fn advance(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        // Out of jiff's range (year ±9999) only after a test moved it there.
        Timestamp::from_second(self.seconds.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
}
