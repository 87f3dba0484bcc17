//! Authorizations (RFC 8555, 7.1.4, 7.1.6).

use super::Refused;

/// The state of an authorization.
///
/// ```text
///                 pending --------------------+
///                    |                        |
///  Challenge failure |                        |
///         or         |                        |
///        Error       |  Challenge valid       |
///          +---------+---------+              |
///          |                   |              |
///          V                   V              |
///       invalid              valid            |
///                              |              |
///               +--------------+--------------+
///               |              |              |
///        Server |       Client |   Time after |
///        revoke |   deactivate |    "expires" |
///               V              V              V
///            revoked      deactivated      expired
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizationState {
    /// No challenge is decided yet.
    Pending,
    /// Control over the identifier was shown.
    Valid,
    /// It was not.
    Invalid,
    /// The client gave it up (7.5.2).
    Deactivated,
    /// Its time is over.
    Expired,
    /// The server took it back.
    Revoked,
}

/// What may happen to an authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizationEvent {
    /// A challenge became valid.
    ChallengeValid,
    /// A challenge became invalid.
    ChallengeFailed,
    /// The client deactivates it.
    Deactivate,
    /// Its time is over.
    Expire,
    /// The server revokes it.
    Revoke,
}

impl AuthorizationState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Valid,
        Self::Invalid,
        Self::Deactivated,
        Self::Expired,
        Self::Revoked,
    ];

    /// Takes an event.
    ///
    /// # Errors
    ///
    /// `Refused` if the diagram has no such arrow.
    pub const fn apply(&self, event: &AuthorizationEvent) -> Result<Self, Refused> {
        use AuthorizationEvent as Event;
        match (self, event) {
            (Self::Pending, Event::ChallengeValid) => Ok(Self::Valid),
            (Self::Pending, Event::ChallengeFailed) => Ok(Self::Invalid),
            (Self::Pending | Self::Valid, Event::Deactivate) => Ok(Self::Deactivated),
            (Self::Pending | Self::Valid, Event::Expire) => Ok(Self::Expired),
            (Self::Pending | Self::Valid, Event::Revoke) => Ok(Self::Revoked),
            (Self::Valid, Event::ChallengeValid | Event::ChallengeFailed)
            | (
                Self::Invalid | Self::Deactivated | Self::Expired | Self::Revoked,
                Event::ChallengeValid
                | Event::ChallengeFailed
                | Event::Deactivate
                | Event::Expire
                | Event::Revoke,
            ) => Err(Refused {
                object: "an authorization",
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
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl AuthorizationEvent {
    /// Every event.
    pub const ALL: [Self; 5] = [
        Self::ChallengeValid,
        Self::ChallengeFailed,
        Self::Deactivate,
        Self::Expire,
        Self::Revoke,
    ];

    /// Returns the event in words.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ChallengeValid => "valid",
            Self::ChallengeFailed => "invalid",
            Self::Deactivate => "deactivated",
            Self::Expire => "expired",
            Self::Revoke => "revoked",
        }
    }
}
