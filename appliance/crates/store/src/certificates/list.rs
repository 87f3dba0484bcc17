//! Listings in pages.

use std::fmt;
use std::str::FromStr;

use model::{ProfileName, Timestamp};

use super::record::CertificateRecord;
use crate::error::Error;

/// Which records a listing shows, and in which order.
///
/// With `expires_before` the order is that of expiry, soonest first; without,
/// it is that of recording of the intent, newest first. Records abandoned or
/// pending have no expiry that matters and appear only in the order of recording.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateFilter {
    /// Only records in this state.
    pub state: Option<StateFilter>,
    /// Only records of this profile.
    pub profile: Option<ProfileName>,
    /// Only records whose subject or a name contains this text, in any case.
    pub subject_contains: Option<String>,
    /// Only issued certificates that expire before this time.
    pub expires_before: Option<Timestamp>,
}

/// The states to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateFilter {
    /// Not settled yet.
    Pending,
    /// The certificate exists, revoked or not.
    Issued,
    /// Nothing was handed out.
    Abandoned,
    /// Revoked or on hold, whatever came of the intent.
    Revoked,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records, possibly fewer than asked for: a page ends early rather
    /// than search the whole store for rare matches.
    pub records: Vec<CertificateRecord>,
    /// Where the next page starts; none after the last.
    pub next: Option<Cursor>,
}

/// Where a listing goes on: opaque to callers, stable over restarts and
/// rebuilds, unmoved by records added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub(crate) Position);

/// The last record a listing looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// In the order of recording: its sequence number.
    Recorded {
        /// The sequence number.
        sequence: u64,
    },
    /// In the order of expiry.
    Expiry {
        /// Its expiry in microseconds since the epoch.
        not_after: i64,
        /// Its sequence number.
        sequence: u64,
    },
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Position::Recorded { sequence } => write!(f, "r{sequence:x}"),
            Position::Expiry {
                not_after,
                sequence,
            } => write!(f, "e{:x}-{sequence:x}", not_after.cast_unsigned()),
        }
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// Reads a cursor. Text is hostile: never panics.
    fn from_str(text: &str) -> Result<Self, Error> {
        let hex = |digits: &str| {
            let spelled = digits
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            match u64::from_str_radix(digits, 16) {
                Ok(number) if spelled => Ok(number),
                Ok(_) | Err(_) => Err(Error::BadCursor),
            }
        };
        if let Some(sequence) = text.strip_prefix('r') {
            let sequence = hex(sequence)?;
            return Ok(Self(Position::Recorded { sequence }));
        }
        let (not_after, sequence) = text
            .strip_prefix('e')
            .and_then(|rest| rest.split_once('-'))
            .ok_or(Error::BadCursor)?;
        Ok(Self(Position::Expiry {
            not_after: hex(not_after)?.cast_signed(),
            sequence: hex(sequence)?,
        }))
    }
}
