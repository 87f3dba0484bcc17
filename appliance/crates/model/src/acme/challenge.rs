//! Challenges (RFC 8555, 7.1.6, 8).

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::{Failure, Refused};

/// How control over an identifier is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChallengeKind {
    /// A resource over HTTP (RFC 8555, 8.3).
    Http01,
    /// A TXT record (RFC 8555, 8.4).
    Dns01,
    /// A certificate over ALPN (RFC 8737).
    TlsAlpn01,
    /// A TXT record at a name of the account's own (draft-ietf-acme-dns-account-label).
    DnsAccount01,
    /// A device's attestation (draft-ietf-acme-device-attest).
    DeviceAttest01,
}

/// Text that is no kind of challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such kind of challenge")]
pub struct UnknownChallengeKind;

impl ChallengeKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Http01,
        Self::Dns01,
        Self::TlsAlpn01,
        Self::DnsAccount01,
        Self::DeviceAttest01,
    ];

    /// Returns the kind as the protocol spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::DnsAccount01 => "dns-account-01",
            Self::DeviceAttest01 => "device-attest-01",
        }
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChallengeKind {
    type Err = UnknownChallengeKind;

    fn from_str(text: &str) -> Result<Self, UnknownChallengeKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownChallengeKind)
    }
}

/// The state of a challenge.
///
/// ```text
///             pending
///                |
///                | client responds
///                V
///            processing <-+
///                |   |    | server or client
///                |   +----+ asks for a retry
///         +------+------+
///         | succeeds    | fails
///         V             V
///       valid        invalid
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChallengeState {
    /// Waits for the client.
    Pending,
    /// Being validated.
    Processing {
        /// Since the client responded.
        since: Timestamp,
        /// Attempts that failed and will be repeated.
        attempts: u32,
        /// What the last of them met (RFC 8555, 8.2).
        error: Option<Failure>,
    },
    /// Validated.
    Valid {
        /// When.
        at: Timestamp,
    },
    /// Failed for good.
    Invalid {
        /// Why.
        error: Failure,
    },
}

/// What may happen to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChallengeEvent {
    /// The client says it is ready.
    Respond {
        /// When.
        at: Timestamp,
    },
    /// An attempt failed; another will follow.
    Retry {
        /// What it met.
        error: Failure,
    },
    /// An attempt succeeded.
    Succeed {
        /// When.
        at: Timestamp,
    },
    /// No attempt will follow.
    Fail {
        /// Why.
        error: Failure,
    },
}

impl ChallengeState {
    /// Takes an event.
    ///
    /// # Errors
    ///
    /// `Refused` if the diagram has no such arrow.
    pub fn apply(&self, event: &ChallengeEvent) -> Result<Self, Refused> {
        use ChallengeEvent as Event;
        match (self, event) {
            (Self::Pending, Event::Respond { at }) => Ok(Self::Processing {
                since: *at,
                attempts: 0,
                error: None,
            }),
            // RFC 8555, 8.2: a client may ask for a retry by responding again.
            (Self::Processing { .. }, Event::Respond { .. }) => Ok(self.clone()),
            (
                Self::Processing {
                    since, attempts, ..
                },
                Event::Retry { error },
            ) => Ok(Self::Processing {
                since: *since,
                attempts: attempts.saturating_add(1),
                error: Some(error.clone()),
            }),
            (Self::Processing { .. }, Event::Succeed { at }) => Ok(Self::Valid { at: *at }),
            (Self::Processing { .. }, Event::Fail { error }) => Ok(Self::Invalid {
                error: error.clone(),
            }),
            (Self::Pending, Event::Retry { .. } | Event::Succeed { .. } | Event::Fail { .. })
            | (
                Self::Valid { .. } | Self::Invalid { .. },
                Event::Respond { .. }
                | Event::Retry { .. }
                | Event::Succeed { .. }
                | Event::Fail { .. },
            ) => Err(Refused {
                object: "a challenge",
                state: self.as_str(),
                event: event.as_str(),
            }),
        }
    }

    /// Returns the state as the protocol spells it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing { .. } => "processing",
            Self::Valid { .. } => "valid",
            Self::Invalid { .. } => "invalid",
        }
    }

    /// Returns what it tells as its `error`.
    #[must_use]
    pub const fn error(&self) -> Option<&Failure> {
        match self {
            Self::Processing { error, .. } => error.as_ref(),
            Self::Invalid { error } => Some(error),
            Self::Pending | Self::Valid { .. } => None,
        }
    }
}

impl ChallengeEvent {
    /// Returns the event in words.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Respond { .. } => "processing",
            Self::Retry { .. } => "retried",
            Self::Succeed { .. } => "valid",
            Self::Fail { .. } => "invalid",
        }
    }
}
