//! Why one certificate was not issued.

use std::time::Duration;

use model::{Identity, ProfileName, SerialNumber};
use pki::csr::CsrError;
use pki::lint::{AssembleError, LintFindings};
use pki::profile::{InvalidLifetime, ProfileRefusal};
use pki::sct::SctError;

use crate::clock::ImplausibleClock;
use crate::grants::Call;

/// Why a certificate was not issued. Nothing was handed out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    // Who asks.
    /// The peer's role may not make the call.
    #[error("{peer} may not call {}; its role is not granted that", call.as_str())]
    RoleForbidden {
        /// Who asked.
        peer: Identity,
        /// For what.
        call: Call,
    },
    /// The peer's role may not use the profile.
    #[error("{peer} may not use profile {profile}; its role is not granted that")]
    ProfileForbidden {
        /// Who asked.
        peer: Identity,
        /// For which profile.
        profile: ProfileName,
    },
    /// The peer may not have the identity certified.
    #[error("{peer} may not have the identity {wanted} certified")]
    IdentityForbidden {
        /// Who asked.
        peer: Identity,
        /// For which identity.
        wanted: Identity,
    },

    /// The peer's role may not say what a forge said.
    #[error(
        "{peer} may not vouch for a forge's claims; the signing service does, which verifies tokens"
    )]
    ForgeForbidden {
        /// Who asked.
        peer: Identity,
    },

    // What was asked.
    /// There is no such profile.
    #[error("there is no profile {profile}; `GET /profiles` lists those there are")]
    ProfileUnknown {
        /// Its name.
        profile: ProfileName,
    },
    /// The request is not sound.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// A validity that cannot be read.
    #[error(transparent)]
    Validity(#[from] InvalidLifetime),
    /// The profile does not issue that.
    #[error("profile {profile}: {source}")]
    Profile {
        /// The profile.
        profile: ProfileName,
        /// Which rule.
        source: ProfileRefusal,
    },
    /// The certificate would be faulty.
    #[error(transparent)]
    Lint(#[from] LintFindings),

    // The same request again.
    /// The first request of this key is still served.
    #[error("a request with this idempotency key is being served under serial {serial}")]
    InProgress {
        /// The first request's number.
        serial: SerialNumber,
    },

    // Not now.
    /// As many certificates are being issued as may.
    #[error("{limit} certificates are being issued, as many as may at a time")]
    QueueFull {
        /// How many.
        limit: usize,
    },
    /// The clock cannot be believed.
    #[error(transparent)]
    Clock(#[from] ImplausibleClock),
    /// The store did not record; a certificate that was signed is not used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The token did not sign.
    #[error("the token did not sign")]
    KeyStore(#[from] hsm_keystore::Error),
    /// What the token gave is no certificate timestamp.
    #[error(transparent)]
    Timestamp(#[from] SctError),
    /// What the token gave is no signature over what was linted.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// The system has no random bytes for a serial number.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// A thread that checks requests ended by a fault of ours.
    #[error("the check of the request ended early")]
    Check(#[from] tokio::task::JoinError),
}

impl Refusal {
    /// Returns when asking again may help; none where it will not.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        const SOON: Duration = Duration::from_secs(1);
        match self {
            Self::QueueFull { .. } | Self::InProgress { .. } => Some(SOON),
            Self::Clock(_) => Some(Duration::from_secs(30)),
            Self::Store(store::Error::Busy { .. }) => Some(SOON),
            Self::Store(store::Error::NoSpace { .. } | store::Error::Failed { .. }) => {
                Some(Duration::from_secs(30))
            }
            Self::KeyStore(hsm_keystore::Error::Busy { .. }) => Some(SOON),
            Self::KeyStore(hsm_keystore::Error::DeadlineExceeded { .. }) => {
                Some(Duration::from_secs(5))
            }
            // Also where an operator has to mend it: clients come back meanwhile.
            Self::KeyStore(hsm_keystore::Error::Unavailable(reason)) => {
                Some(reason.retry_after().unwrap_or(Duration::from_secs(60)))
            }
            Self::Store(_)
            | Self::KeyStore(_)
            | Self::RoleForbidden { .. }
            | Self::ProfileForbidden { .. }
            | Self::IdentityForbidden { .. }
            | Self::ForgeForbidden { .. }
            | Self::ProfileUnknown { .. }
            | Self::Csr(_)
            | Self::Validity(_)
            | Self::Profile { .. }
            | Self::Lint(_)
            | Self::Assemble(_)
            | Self::Timestamp(_)
            | Self::NoRandomness
            | Self::Check(_) => None,
        }
    }

    /// Tells whether the fault is ours or our parts', not the request's.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Store(
                store::Error::IdempotencyConflict { .. } | store::Error::KeyBlocked { .. },
            ) => false,
            Self::Clock(_)
            | Self::Store(_)
            | Self::KeyStore(_)
            | Self::Assemble(_)
            | Self::Timestamp(_)
            | Self::NoRandomness
            | Self::Check(_) => true,
            Self::RoleForbidden { .. }
            | Self::ProfileForbidden { .. }
            | Self::IdentityForbidden { .. }
            | Self::ForgeForbidden { .. }
            | Self::ProfileUnknown { .. }
            | Self::Csr(_)
            | Self::Validity(_)
            | Self::Profile { .. }
            | Self::Lint(_)
            | Self::InProgress { .. }
            | Self::QueueFull { .. } => false,
        }
    }
}

/// Writes an error and what caused it, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Transparent errors repeat the words of their cause.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
