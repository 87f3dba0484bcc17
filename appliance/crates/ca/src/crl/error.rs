//! Why a CRL was not issued.

use pki::crl::{CrlLintFindings, CrlTooLong};
use pki::lint::AssembleError;

use crate::clock::ImplausibleClock;
use crate::error::is_keystore_transient;

/// Why a CRL was not issued. The one before is served on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// The clock cannot be believed.
    #[error(transparent)]
    Clock(#[from] ImplausibleClock),
    /// A time beyond what can be stated.
    #[error("the CRL's dates lie outside of what can be stated")]
    Time,
    /// It would be too long.
    #[error(transparent)]
    TooLong(#[from] CrlTooLong),
    /// It would be faulty.
    #[error("the CRL would be faulty")]
    Lint(#[from] CrlLintFindings),
    /// The store did not record it; nothing was signed.
    #[error("the store did not record the CRL")]
    Store(#[from] store::Error),
    /// The token did not sign.
    #[error("the token did not sign the CRL")]
    KeyStore(#[from] hsm_keystore::Error),
    /// What the token gave is no signature over it.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// It could not be kept as a file.
    #[error("the CRL could not be kept")]
    Kept(#[source] Box<crate::Error>),
    /// A thread that encodes CRLs ended by a fault of ours.
    #[error("the CRL was not encoded")]
    Task(#[from] tokio::task::JoinError),
}

impl CrlError {
    /// Tells whether the same may succeed later without anyone changing it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Clock(_) => true,
            Self::Store(error) => error.is_transient(),
            Self::KeyStore(error) => is_keystore_transient(error),
            Self::Time
            | Self::TooLong(_)
            | Self::Lint(_)
            | Self::Assemble(_)
            | Self::Kept(_)
            | Self::Task(_) => false,
        }
    }

    /// Returns the reason as metrics have it.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Clock(_) | Self::Time => "clock",
            Self::TooLong(_) => "too-long",
            Self::Lint(_) => "lint",
            Self::Store(_) => "store",
            Self::KeyStore(_) => "token",
            Self::Assemble(_) => "bad-signature",
            Self::Kept(_) => "file",
            Self::Task(_) => "internal",
        }
    }
}
