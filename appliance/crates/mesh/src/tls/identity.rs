//! A certificate and key that can be swapped while connections live.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hsm_keystore::PrivateKey;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error as TlsError, SignatureScheme};
use tokio::sync::watch;

use super::waiting::WaitingKey;
use crate::error::Error;
use crate::peer::Fingerprint;

/// Who we are in TLS, as a server and as a client.
///
/// [`replace`](Self::replace) and [`staple`](Self::staple) take effect with the
/// next handshake; connections that exist go on.
pub struct TlsIdentity {
    /// What the next handshake presents.
    current: ArcSwap<CertifiedKey>,
    /// Wakes those who care for the certificate when it is replaced.
    replaced: watch::Sender<()>,
}

impl TlsIdentity {
    /// Presents `chain`, leaf first, with a key of a keystore.
    ///
    /// # Errors
    ///
    /// `EmptyChain`, `KeyMismatch` when the leaf is not the key's.
    pub fn from_private_key(
        chain: Vec<CertificateDer<'static>>,
        key: Arc<dyn PrivateKey>,
    ) -> Result<Arc<Self>, Error> {
        Self::from_signing_key(chain, hsm_keystore::tls::signing_key(key))
    }

    /// Presents `chain`, leaf first, with any key that rustls can use.
    ///
    /// # Errors
    ///
    /// `EmptyChain`, `KeyMismatch` when the leaf is not the key's.
    pub fn from_signing_key(
        chain: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
    ) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(certified(chain, key)?),
            replaced: watch::Sender::new(()),
        }))
    }

    /// Presents the chain and the key of two PEM files: for identities of people
    /// and machines that hold no token.
    ///
    /// # Errors
    ///
    /// `File` or `Pem` when one cannot be read, `KeyMismatch` when they do not
    /// belong together, `Tls` when the key is of no known kind.
    pub fn from_pem_files(chain: &Path, key: &Path) -> Result<Arc<Self>, Error> {
        let certificates = super::certificates_from_pem_file(chain)?;
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|source| match source {
            rustls::pki_types::pem::Error::Io(source) => Error::File {
                act: "read",
                path: key.to_owned(),
                source,
            },
            source => Error::Pem {
                path: key.to_owned(),
                wanted: "private key",
                source,
            },
        })?;
        let key = super::provider().key_provider.load_private_key(key_der)?;
        Self::from_signing_key(certificates, key)
    }

    /// Presents another chain and key from the next handshake on, without a
    /// staple until one is given.
    ///
    /// # Errors
    ///
    /// `EmptyChain` or `KeyMismatch`; the one before stays.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
    ) -> Result<(), Error> {
        self.current.store(Arc::new(certified(chain, key)?));
        self.replaced.send_replace(());
        Ok(())
    }

    /// Like [`replace`](Self::replace), with a key of a keystore.
    ///
    /// # Errors
    ///
    /// `EmptyChain` or `KeyMismatch`; the one before stays.
    pub fn replace_private_key(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: Arc<dyn PrivateKey>,
    ) -> Result<(), Error> {
        self.replace(chain, hsm_keystore::tls::signing_key(key))
    }

    /// Staples an OCSP response, DER, from the next handshake on; none removes
    /// it. Does nothing and returns false when the leaf is no longer `leaf`.
    pub fn staple(&self, leaf: &Fingerprint, response_der: Option<Vec<u8>>) -> bool {
        let mut stapled = false;
        self.current.rcu(|current| {
            stapled = current.cert.first().map(|der| Fingerprint::of(der)) == Some(*leaf);
            if stapled {
                let mut next = CertifiedKey::clone(current);
                next.ocsp.clone_from(&response_der);
                Arc::new(next)
            } else {
                Arc::clone(current)
            }
        });
        stapled
    }

    /// Returns the OCSP response that is stapled now, DER.
    #[must_use]
    pub fn stapled(&self) -> Option<Vec<u8>> {
        self.current.load().ocsp.clone()
    }

    /// Wakes whenever the certificate is replaced.
    pub(crate) fn replaced(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// Returns the chain presented now, leaf first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current.load().cert.clone()
    }
}

/// Pairs chain and key after checking that they belong together.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
) -> Result<CertifiedKey, Error> {
    if chain.is_empty() {
        return Err(Error::EmptyChain);
    }
    let certified = CertifiedKey::new(chain, Arc::new(WaitingKey(key)));
    match certified.keys_match() {
        // A key that cannot tell its public half is shown by the first handshake.
        Ok(()) | Err(TlsError::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(TlsError::InconsistentKeys(_)) => Err(Error::KeyMismatch),
        Err(error) => Err(Error::Tls(error)),
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl ResolvesClientCert for TlsIdentity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let current = self.current.load_full();
        current
            .key
            .choose_scheme(schemes)
            .is_some()
            .then_some(current)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current.load();
        f.debug_struct("TlsIdentity")
            .field(
                "leaf",
                &current.cert.first().map(|der| Fingerprint::of(der)),
            )
            .field("stapled", &current.ocsp.is_some())
            .finish_non_exhaustive()
    }
}
