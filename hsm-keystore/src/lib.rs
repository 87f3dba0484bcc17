//! Private keys and certificates behind one interface.
//!
//! A [`KeyStore`] holds private keys and, beside each, a certificate. A
//! [`PrivateKey`] is a handle: it tells its algorithm and public key and signs;
//! its bytes never leave the store. Two backends keep the same promises (the
//! conformance suite holds them to it): PKCS#11 tokens and a directory of files.

mod algorithm;
mod certificate;
mod config;
mod encoding;
mod error;
mod file;
mod key_id;
mod metrics;
mod pending;
pub mod pkcs11;
mod queue;
mod sign;
mod software;
pub mod tls;
mod verify;

use std::fmt;
use std::sync::Arc;

pub use algorithm::{KeyAlgorithm, SignatureScheme, UnknownAlgorithm};
pub use config::{FileConfig, KeyStoreConfig};
pub use error::{
    ConfigurationFault, Error, KeyFault, ObjectKind, TokenFailure, Unavailable, UnsupportedKind,
};
pub use file::FileStore;
pub use key_id::{InvalidKeyId, KeyId};
pub use metrics::KeyStoreMetrics;
pub use pending::PendingSignature;
pub use pkcs11::{Modules, Pkcs11Config, Pkcs11Store};
pub use sign::{Priority, SignInput, SignJob};

use zeroize::Zeroizing;

/// Keeps private keys and the certificates that belong to them.
///
/// Every method but [`PrivateKey::sign`] blocks, for as long as the token
/// takes; call them from a thread that may wait, never from a request worker.
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// Finds the private key called `id`.
    ///
    /// # Errors
    ///
    /// `NoKey` when there is none, `Ambiguous` when there are several,
    /// `Unavailable` when the token cannot be asked now.
    fn get_private_key(&self, id: &KeyId) -> Result<Arc<dyn PrivateKey>, Error>;

    /// Stores a private key, PKCS#8 in DER (RFC 5958), under `id`.
    ///
    /// The key is checked against its own public half first. Nothing existing
    /// is ever replaced.
    ///
    /// # Errors
    ///
    /// `KeyExists` when `id` is taken, `MalformedKey` or `UnsupportedKey` when
    /// the bytes are no key this store carries, `Unavailable`.
    fn import_private_key(
        &self,
        id: &KeyId,
        pkcs8_der: Zeroizing<Vec<u8>>,
    ) -> Result<Arc<dyn PrivateKey>, Error>;

    /// Generates a private key, sensitive and not extractable, under `id`.
    ///
    /// # Errors
    ///
    /// `KeyExists` when `id` is taken, `UnsupportedKey` when the store cannot
    /// make one of this algorithm, `Unavailable`.
    fn generate_private_key(
        &self,
        id: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<Arc<dyn PrivateKey>, Error>;

    /// Returns the certificate kept beside the key `id`, DER.
    ///
    /// # Errors
    ///
    /// `NoCertificate` when there is none, `Ambiguous`, `Unavailable`.
    fn get_certificate(&self, id: &KeyId) -> Result<Vec<u8>, Error>;

    /// Keeps a certificate, DER, beside the key `id`, replacing the one before.
    ///
    /// A crash in between leaves the old one or the new one, never neither.
    ///
    /// # Errors
    ///
    /// `MalformedCertificate` when the bytes are no certificate, `KeyMismatch`
    /// when a key `id` exists and is not the certificate's, `Unavailable`.
    fn import_certificate(&self, id: &KeyId, certificate_der: &[u8]) -> Result<(), Error>;

    /// Lists what the store holds, ordered by id.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    fn list(&self) -> Result<Vec<Entry>, Error>;

    /// Fills `bytes` with random bytes of the token (of the operating system
    /// for files).
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error>;

    /// Tells whether the store can serve now, without asking the token.
    ///
    /// # Errors
    ///
    /// The reason why not, for a readiness report.
    fn ready(&self) -> Result<(), Unavailable>;

    /// Names the store for people: the token's label and model, or the
    /// directory.
    fn describe(&self) -> String;
}

/// A private key as a handle.
///
/// Handles stay good over token loss and recovery; a signature asked for
/// meanwhile fails with `Unavailable`.
pub trait PrivateKey: Send + Sync + fmt::Debug {
    /// Returns the key's name in its store.
    fn id(&self) -> &KeyId;

    /// Returns the key's algorithm and size.
    fn algorithm(&self) -> KeyAlgorithm;

    /// Returns the public half, a DER SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    fn public_key_der(&self) -> &[u8];

    /// Asks for a signature and returns at once.
    ///
    /// The signature has been verified with the public key when it arrives. Its
    /// form is the one certificates carry: a DER Ecdsa-Sig-Value (RFC 3279,
    /// 2.2.3), the RSA integer as octets, or the 64 octets of Ed25519.
    ///
    /// The pending signature ends in `Busy` if the queue is full (nothing was
    /// sent to the token), `DeadlineExceeded` if it was not made in time,
    /// `Unavailable` if the token is away, `SchemeMismatch` if the key cannot
    /// sign that way.
    fn sign(&self, job: SignJob) -> PendingSignature;

    /// Describes where the key came from, as far as the token can tell.
    fn provenance(&self) -> Provenance;
}

/// Where a private key came from and whether it can leave, for evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Provenance {
    /// Held by a PKCS#11 token, not by a file.
    pub on_token: bool,
    /// Generated where it is (`CKA_LOCAL`).
    pub generated_locally: bool,
    /// Its bytes were never readable (`CKA_ALWAYS_SENSITIVE`).
    pub always_sensitive: bool,
    /// It could never be wrapped and taken out (`CKA_NEVER_EXTRACTABLE`).
    pub never_extractable: bool,
}

/// One id of a store: its key, its certificate, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub id: KeyId,
    /// Algorithm of the private key, where one is held that we can use.
    pub key: Option<KeyAlgorithm>,
    /// Whether a certificate is kept beside it.
    pub has_certificate: bool,
}
