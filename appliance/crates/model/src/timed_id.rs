//! Identifiers that sort by time.
//!
//! Sixteen octets: milliseconds since 1970 in the first six, random bits in the
//! rest. Listings and counts over a window of time are ranges; nobody can guess
//! them; nodes need not agree on them.

use jiff::Timestamp;

/// Octets of an identifier.
pub(crate) const LEN: usize = 16;

/// Octets of its time.
const TIME_LEN: usize = 6;

/// Octets of its randomness.
pub(crate) const RANDOM_LEN: usize = LEN - TIME_LEN;

/// Joins a time and randomness.
pub(crate) fn join(at: Timestamp, random: [u8; RANDOM_LEN]) -> [u8; LEN] {
    // Before 1970 counts as 1970; the year 10889 is the last that fits.
    let time = u64::try_from(at.as_millisecond())
        .unwrap_or(0)
        .to_be_bytes();
    let mut octets = [0; LEN];
    octets[..TIME_LEN].copy_from_slice(&time[2..]);
    octets[TIME_LEN..].copy_from_slice(&random);
    octets
}

/// Returns the time of an identifier, to the millisecond.
pub(crate) fn time(octets: &[u8; LEN]) -> Timestamp {
    let mut time = [0; 8];
    time[2..].copy_from_slice(&octets[..TIME_LEN]);
    i64::try_from(u64::from_be_bytes(time))
        .ok()
        .and_then(|time| Timestamp::from_millisecond(time).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Defines the identifier of one kind of object, all but its text.
macro_rules! timed_id {
    ($(#[$attribute:meta])* $type:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type([u8; $crate::timed_id::LEN]);

        impl $type {
            /// Makes an identifier for something that begins `at` a time.
            #[must_use]
            pub fn new(at: jiff::Timestamp, random: [u8; $crate::timed_id::RANDOM_LEN]) -> Self {
                Self($crate::timed_id::join(at, random))
            }

            /// Returns the smallest identifier of a time: where a range begins.
            #[must_use]
            pub fn first_at(at: jiff::Timestamp) -> Self {
                Self::new(at, [0; $crate::timed_id::RANDOM_LEN])
            }

            /// Returns the time it was made at, to the millisecond.
            #[must_use]
            pub fn time(&self) -> jiff::Timestamp {
                $crate::timed_id::time(&self.0)
            }

            /// Takes stored octets.
            #[must_use]
            pub const fn from_octets(octets: [u8; $crate::timed_id::LEN]) -> Self {
                Self(octets)
            }

            /// Returns its octets.
            #[must_use]
            pub const fn octets(&self) -> &[u8; $crate::timed_id::LEN] {
                &self.0
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }
    };
}

pub(crate) use timed_id;
