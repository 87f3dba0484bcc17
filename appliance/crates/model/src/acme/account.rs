//! Accounts (RFC 8555, 7.1.2, 7.1.6).

use super::Refused;

/// The state of an account.
///
/// ```text
///           valid
///             |
///     +-------+-------+
///     | client        | server
///     | deactivates   | revokes
///     V               V
///  deactivated     revoked
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountState {
    /// May be used.
    Valid,
    /// Its holder gave it up (7.3.6).
    Deactivated,
    /// The operator took it away.
    Revoked,
}

/// What may happen to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountEvent {
    /// The client deactivates it.
    Deactivate,
    /// The server revokes it.
    Revoke,
}

impl AccountState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Valid, Self::Deactivated, Self::Revoked];

    /// Takes an event.
    ///
    /// # Errors
    ///
    /// `Refused` if the account is not valid any more.
    pub const fn apply(&self, event: &AccountEvent) -> Result<Self, Refused> {
        match (self, event) {
            (Self::Valid, AccountEvent::Deactivate) => Ok(Self::Deactivated),
            (Self::Valid, AccountEvent::Revoke) => Ok(Self::Revoked),
            (
                Self::Deactivated | Self::Revoked,
                AccountEvent::Deactivate | AccountEvent::Revoke,
            ) => Err(Refused {
                object: "an account",
                state: self.as_str(),
                event: event.as_str(),
            }),
        }
    }

    /// Returns the state as the protocol spells it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
        }
    }
}

impl AccountEvent {
    /// Every event.
    pub const ALL: [Self; 2] = [Self::Deactivate, Self::Revoke];

    /// Returns the event in words.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Deactivate => "deactivated",
            Self::Revoke => "revoked",
        }
    }
}
