//! Why the CA cannot be made or started.

use std::path::PathBuf;

use hsm_keystore::{KeyAlgorithm, KeyId};
use model::IssuerId;

use crate::crl::CrlError;
use crate::refusal::Refusal;

/// Why a ceremony, an opening or the service did not go on.
///
/// What becomes of single requests is told by [`Refusal`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no authority yet.
    #[error("there is no authority {authority} on the token yet; run `chancery init` first")]
    NoCeremony {
        /// Which authority.
        authority: IssuerId,
        /// What the keystore said.
        source: hsm_keystore::Error,
    },
    /// The keystore did not do its part.
    #[error("could not {what}")]
    KeyStore {
        /// What was tried.
        what: &'static str,
        /// What stopped it.
        source: hsm_keystore::Error,
    },
    /// A keystore of the ceremony could not be opened.
    #[error("could not open the keystore of authority {authority}")]
    OpenKeyStore {
        /// Which authority's.
        authority: IssuerId,
        /// What stopped it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key that is there is not the one configured; nothing was changed.
    #[error(
        "the key {key} of authority {authority} is {found} and the configuration says {wanted}; \
         existing keys are never replaced: correct `ceremony`, or name another key"
    )]
    KeyDiffers {
        /// Which authority.
        authority: IssuerId,
        /// Its key.
        key: KeyId,
        /// What the configuration says.
        wanted: KeyAlgorithm,
        /// What is there.
        found: KeyAlgorithm,
    },
    /// A certificate that is there is not the one configured; nothing was changed.
    #[error(
        "the certificate of authority {authority} does not fit the configuration: its {what} is \
         {found}, not {wanted}; existing authorities are never replaced: correct `ceremony`, or \
         name another id and key"
    )]
    AuthorityDiffers {
        /// Which authority.
        authority: IssuerId,
        /// Which part of it.
        what: &'static str,
        /// What the configuration says.
        wanted: Box<str>,
        /// What is there.
        found: Box<str>,
    },
    /// A certificate that cannot be read.
    #[error("the certificate of authority {authority} cannot be read")]
    Certificate {
        /// Which authority.
        authority: IssuerId,
        /// What is wrong with it.
        source: pki::certificate::CertificateError,
    },
    /// The log key is of another kind than timestamps are signed by.
    #[error(
        "the key {key} that signs certificate timestamps is {found}, and must be p256; existing \
         keys are never replaced: name another one in `ct.key`"
    )]
    LogKeyDiffers {
        /// The key.
        key: KeyId,
        /// What is there.
        found: KeyAlgorithm,
    },
    /// The log key's public key cannot be read.
    #[error("the public key of {key}, which signs certificate timestamps, cannot be read")]
    LogKeyUnreadable {
        /// The key.
        key: KeyId,
        /// What is wrong with it.
        source: pki::public_key::InvalidPublicKey,
    },
    /// The file of blocked keys could not be read.
    #[error("could not read the blocked keys from {}; see `issuance.blocked_keys`", path.display())]
    ReadBlockedKeys {
        /// The file.
        path: PathBuf,
        /// What stopped it.
        source: std::io::Error,
    },
    /// The file of blocked keys holds something else.
    #[error("could not make sense of {}; see `issuance.blocked_keys`", path.display())]
    BlockedKeys {
        /// The file.
        path: PathBuf,
        /// The line that is no key.
        source: pki::key_check::BlockedKeysError,
    },
    /// What was published cannot be kept, or read again.
    #[error("could not {action} {}, where what is published is kept", path.display())]
    PublishedState {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What stopped it.
        source: std::io::Error,
    },
    /// What was kept is another installation's.
    #[error(
        "the certificates kept in {} are not those on the token; they were replaced, start again",
        directory.display()
    )]
    PublishedOther {
        /// Where they are kept.
        directory: PathBuf,
    },
    /// A CRL was not issued.
    #[error("a CRL of authority {authority} was not issued")]
    Crl {
        /// Which authority.
        authority: IssuerId,
        /// Why not.
        source: Box<CrlError>,
    },
    /// A certificate that no one can issue under.
    #[error("authority {authority} cannot issue")]
    NotAnIssuer {
        /// Which authority.
        authority: IssuerId,
        /// Why not.
        source: pki::issuer::NotAnIssuer,
    },
    /// A public key of a keystore that cannot be certified.
    #[error("the public key of {key} cannot be certified")]
    PublicKey {
        /// The key.
        key: KeyId,
        /// What is wrong with it.
        source: pki::public_key::InvalidPublicKey,
    },
    /// An authority's certificate was not issued.
    #[error("the certificate of authority {authority} was not issued")]
    NotIssued {
        /// Which authority.
        authority: IssuerId,
        /// Why not.
        source: Box<Refusal>,
    },
    /// The OCSP responder's certificate was not issued.
    #[error("the certificate of the OCSP responder of {authority} was not issued")]
    ResponderNotIssued {
        /// Whose responder.
        authority: IssuerId,
        /// Why not.
        source: Box<Refusal>,
    },
    /// The certificate beside the OCSP responder's key is of another key.
    #[error(
        "the certificate beside the OCSP responder's key {key} of authority {authority} is of \
         another key"
    )]
    ResponderKeyDiffers {
        /// Whose responder.
        authority: IssuerId,
        /// Its key.
        key: KeyId,
    },
    /// A certificate by which nobody accepts OCSP answers.
    #[error("the certificate of the OCSP responder of {authority} does not serve")]
    NotAResponder {
        /// Whose responder.
        authority: IssuerId,
        /// Why not.
        source: pki::ocsp::NotAResponder,
    },
    /// A name of ours that is none; only a fault of ours.
    #[error("a name that the CA gives is none")]
    Name(#[from] model::InvalidName),
    /// The store did not do its part.
    #[error("the store did not do its part")]
    Store(#[from] store::Error),
    /// A listener, TLS or the CA's own certificate could not be set up.
    #[error("the CA API could not be set up")]
    Mesh(#[from] mesh::Error),
    /// The system has no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// A task that waits for the token ended by a fault of ours.
    #[error("a task that waits for the token ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// Tells whether the same may succeed later without anyone changing it: the
    /// token is away, or the disk is full.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::KeyStore { source, .. } => is_keystore_transient(source),
            Self::NotIssued { source, .. } | Self::ResponderNotIssued { source, .. } => {
                source.retry_after().is_some()
            }
            Self::Crl { source, .. } => source.is_transient(),
            Self::Store(source) => source.is_transient(),
            Self::Mesh(mesh::Error::KeyStore(source)) => is_keystore_transient(source),
            Self::Mesh(mesh::Error::Ca(source)) => source.is_transient(),
            Self::NoCeremony { .. }
            | Self::OpenKeyStore { .. }
            | Self::KeyDiffers { .. }
            | Self::AuthorityDiffers { .. }
            | Self::Certificate { .. }
            | Self::NotAnIssuer { .. }
            | Self::ReadBlockedKeys { .. }
            | Self::BlockedKeys { .. }
            | Self::PublishedState { .. }
            | Self::PublishedOther { .. }
            | Self::PublicKey { .. }
            | Self::ResponderKeyDiffers { .. }
            | Self::LogKeyDiffers { .. }
            | Self::LogKeyUnreadable { .. }
            | Self::NotAResponder { .. }
            | Self::Name(_)
            | Self::Mesh(_)
            | Self::NoRandomness
            | Self::Task(_) => false,
        }
    }
}

/// Tells whether the token may do later what it did not do now.
pub(crate) fn is_keystore_transient(error: &hsm_keystore::Error) -> bool {
    match error {
        hsm_keystore::Error::Unavailable(reason) => reason.retry_after().is_some(),
        hsm_keystore::Error::Busy { .. } | hsm_keystore::Error::DeadlineExceeded { .. } => true,
        _ => false,
    }
}
