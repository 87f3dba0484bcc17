//! Why a certificate or key was not revoked.

use std::time::Duration;

use model::{Identity, IssuerId, SerialNumber};
use pki::certificate::CertificateError;
use pki::crl::InvalidEntry;

use crate::clock::ImplausibleClock;
use crate::grants::Call;

/// Why nothing was revoked. Nothing was recorded, unless said otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeRefusal {
    // Who asks.
    /// The peer's role may not make the call.
    #[error("{peer} may not call {}; its role is not granted that", call.as_str())]
    RoleForbidden {
        /// Who asked.
        peer: Identity,
        /// For what.
        call: Call,
    },
    /// The certificate is not the peer's.
    #[error(
        "certificate {serial} was neither issued to {peer} nor put on hold by it; who may revoke \
         any certificate can revoke it"
    )]
    NotYours {
        /// Who asked.
        peer: Identity,
        /// The certificate.
        serial: SerialNumber,
    },
    /// Not every certificate of the key is the peer's.
    #[error(
        "{peer} does not own every certificate of this key; who may revoke any certificate can \
         revoke them"
    )]
    KeyNotYours {
        /// Who asked.
        peer: Identity,
    },

    // What was asked.
    /// Nothing is recorded under the serial number, or another certificate is.
    #[error("this CA has no certificate {serial} like that")]
    SerialUnknown {
        /// The number.
        serial: SerialNumber,
    },
    /// The certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Dates that a CRL cannot state.
    #[error(transparent)]
    Dates(#[from] InvalidEntry),
    /// A key that is only held, or released.
    #[error(
        "a key is revoked for good; certificates are put on hold and released one by one, by their \
         serial numbers"
    )]
    KeyReason,
    /// An authority that is not ours.
    #[error("this CA has no authority {issuer}")]
    IssuerUnknown {
        /// Its name.
        issuer: IssuerId,
    },
    /// A place in a listing that is none.
    #[error("the cursor is not one of this CA; start the listing again without it")]
    BadCursor,
    /// More revocations than one call takes.
    #[error("{count} revocations in one call; at most {max} are taken")]
    TooMany {
        /// How many came.
        count: usize,
        /// Most.
        max: usize,
    },

    // Not now, or not any more.
    /// The clock cannot be believed.
    #[error(transparent)]
    Clock(#[from] ImplausibleClock),
    /// The store did not record it, or had recorded another already.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A task that records ended by a fault of ours; the key is blocked, and
    /// asking again goes on.
    #[error("a part of the revocation ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl RevokeRefusal {
    /// Returns when asking again may help; none where it will not.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Clock(_) => Some(Duration::from_secs(30)),
            Self::Store(store::Error::Busy { .. }) => Some(Duration::from_secs(1)),
            Self::Store(store::Error::NoSpace { .. } | store::Error::Failed { .. }) => {
                Some(Duration::from_secs(30))
            }
            _ => None,
        }
    }

    /// Tells whether the fault is ours or our parts', not the request's.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Store(error) => !matches!(
                error,
                store::Error::UnknownSerial { .. }
                    | store::Error::AlreadyRevoked { .. }
                    | store::Error::NotOnHold { .. }
            ),
            Self::Clock(_) | Self::Task(_) => true,
            Self::RoleForbidden { .. }
            | Self::NotYours { .. }
            | Self::KeyNotYours { .. }
            | Self::SerialUnknown { .. }
            | Self::Certificate(_)
            | Self::Dates(_)
            | Self::KeyReason
            | Self::IssuerUnknown { .. }
            | Self::BadCursor
            | Self::TooMany { .. } => false,
        }
    }
}
