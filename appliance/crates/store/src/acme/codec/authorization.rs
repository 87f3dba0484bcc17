//! Authorizations and challenges on disk.
// Stored on disk: change only by adding a version.

use model::acme::{
    AccountId, AuthorizationId, AuthorizationState, ChallengeKind, ChallengeState, OrderId,
};
use serde::{Deserialize, Serialize};

use super::failure::{FailureV1, IdentifierV1};
use super::time;
use crate::acme::record::{Authorization, Challenge};

/// An authorization on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct AuthorizationV1<'a> {
    /// Its name.
    id: [u8; 16],
    /// Whose it is.
    account: [u8; 16],
    /// The order it was made for.
    order: Option<[u8; 16]>,
    /// What it is for.
    #[serde(borrow)]
    identifier: IdentifierV1<'a>,
    /// Whether for a wildcard.
    wildcard: bool,
    /// Pending 1, valid 2, invalid 3, deactivated 4, expired 5, revoked 6.
    state: u8,
    /// The challenges' token.
    token: &'a str,
    /// Kind ([`challenge_code`]) and state of each challenge.
    challenges: Vec<(u8, ChallengeStateV1<'a>)>,
    /// When it was made.
    created_at: i64,
    /// When it ends.
    expires_at: i64,
}

/// An authorization of which the device attested a key, on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct AttestedV1<'a> {
    /// The authorization.
    #[serde(borrow)]
    authorization: AuthorizationV1<'a>,
    /// SHA-256 of the key's SubjectPublicKeyInfo.
    key: [u8; 32],
}

impl<'a> AttestedV1<'a> {
    /// Puts key and authorization together.
    pub(super) fn new(authorization: &'a Authorization, key: [u8; 32]) -> Self {
        Self {
            authorization: authorization.into(),
            key,
        }
    }

    /// Reads the authorization.
    pub(super) fn read(self) -> Option<Authorization> {
        Some(Authorization {
            attested_key: Some(self.key),
            ..self.authorization.read()?
        })
    }
}

/// A challenge's state on disk.
#[derive(Serialize, Deserialize)]
enum ChallengeStateV1<'a> {
    /// Not responded to.
    Pending,
    /// Being validated.
    Processing {
        /// Since when.
        since: i64,
        /// Failed attempts.
        attempts: u32,
        /// What the last met.
        #[serde(borrow)]
        error: Option<FailureV1<'a>>,
    },
    /// When it succeeded.
    Valid(i64),
    /// Why it failed.
    #[serde(borrow)]
    Invalid(FailureV1<'a>),
}

/// Returns the number that stands for a kind of challenge on disk.
pub(crate) const fn challenge_code(kind: ChallengeKind) -> u8 {
    match kind {
        ChallengeKind::Http01 => 1,
        ChallengeKind::Dns01 => 2,
        ChallengeKind::TlsAlpn01 => 3,
        ChallengeKind::DnsAccount01 => 4,
        ChallengeKind::DeviceAttest01 => 5,
    }
}

/// Finds the kind of challenge of a number.
pub(crate) fn challenge_kind(code: u8) -> Option<ChallengeKind> {
    ChallengeKind::ALL
        .into_iter()
        .find(|kind| challenge_code(*kind) == code)
}

/// Returns the number that stands for an authorization's state on disk.
const fn authorization_code(state: AuthorizationState) -> u8 {
    match state {
        AuthorizationState::Pending => 1,
        AuthorizationState::Valid => 2,
        AuthorizationState::Invalid => 3,
        AuthorizationState::Deactivated => 4,
        AuthorizationState::Expired => 5,
        AuthorizationState::Revoked => 6,
    }
}

impl<'a> From<&'a Authorization> for AuthorizationV1<'a> {
    fn from(authorization: &'a Authorization) -> Self {
        Self {
            id: *authorization.id.octets(),
            account: *authorization.account.octets(),
            order: authorization.order.map(|id| *id.octets()),
            identifier: IdentifierV1::from(&authorization.identifier),
            wildcard: authorization.wildcard,
            state: authorization_code(authorization.state),
            token: &authorization.token,
            challenges: authorization
                .challenges
                .iter()
                .map(|own| (challenge_code(own.kind), ChallengeStateV1::from(&own.state)))
                .collect(),
            created_at: authorization.created_at.as_microsecond(),
            expires_at: authorization.expires_at.as_microsecond(),
        }
    }
}

impl<'a> From<&'a ChallengeState> for ChallengeStateV1<'a> {
    fn from(state: &'a ChallengeState) -> Self {
        match state {
            ChallengeState::Pending => Self::Pending,
            ChallengeState::Processing {
                since,
                attempts,
                error,
            } => Self::Processing {
                since: since.as_microsecond(),
                attempts: *attempts,
                error: error.as_ref().map(FailureV1::from),
            },
            ChallengeState::Valid { at } => Self::Valid(at.as_microsecond()),
            ChallengeState::Invalid { error } => Self::Invalid(error.into()),
        }
    }
}

impl AuthorizationV1<'_> {
    /// Reads the authorization.
    pub(super) fn read(self) -> Option<Authorization> {
        let challenges: Option<_> = self
            .challenges
            .into_iter()
            .map(|(kind, state)| {
                Some(Challenge {
                    kind: challenge_kind(kind)?,
                    state: state.read()?,
                })
            })
            .collect();
        Some(Authorization {
            id: AuthorizationId::from_octets(self.id),
            account: AccountId::from_octets(self.account),
            order: self.order.map(OrderId::from_octets),
            identifier: self.identifier.read()?,
            wildcard: self.wildcard,
            state: AuthorizationState::ALL
                .into_iter()
                .find(|state| authorization_code(*state) == self.state)?,
            token: self.token.into(),
            challenges: challenges?,
            created_at: time(self.created_at)?,
            expires_at: time(self.expires_at)?,
            attested_key: None,
        })
    }
}

impl ChallengeStateV1<'_> {
    /// Reads the state.
    fn read(self) -> Option<ChallengeState> {
        Some(match self {
            Self::Pending => ChallengeState::Pending,
            Self::Processing {
                since,
                attempts,
                error,
            } => ChallengeState::Processing {
                since: time(since)?,
                attempts,
                error: match error {
                    Some(error) => Some(error.read()?),
                    None => None,
                },
            },
            Self::Valid(at) => ChallengeState::Valid { at: time(at)? },
            Self::Invalid(error) => ChallengeState::Invalid {
                error: error.read()?,
            },
        })
    }
}
