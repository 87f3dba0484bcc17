//! A service's own certificate: obtained, kept beside its key, and renewed.
//!
//! The key is made in the keystore if it is missing and stays there; the leaf
//! is kept beside it, the chain in a file. At two thirds of its life the
//! certificate is renewed and swapped into the [`TlsIdentity`]; connections go on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::{KeyStore, PrivateKey};
use jiff::Timestamp;
use model::{Clock, IdempotencyKey, Identity, ProfileName, RequestId};
use rustls::pki_types::CertificateDer;
use tracing::{error, info, warn};

// What names a service's key, for services that reach the keystore through here alone.
pub use hsm_keystore::{KeyAlgorithm, KeyId};

use crate::ca_client::{CaClient, SignRequest};
use crate::csr::{self, CsrContent};
use crate::error::Error;
use crate::peer::PeerCertificate;
use crate::tls::TlsIdentity;

/// What a service wants to be certified as, and by whom.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// Where the key is.
    pub keystore: Arc<dyn KeyStore>,
    /// The key's name.
    pub key: KeyId,
    /// The algorithm, should it have to be made.
    pub algorithm: KeyAlgorithm,
    /// The names to be certified.
    pub content: CsrContent,
    /// The profile.
    pub profile: ProfileName,
    /// How long; the profile's default where absent.
    pub validity: Option<String>,
    /// The identity to be certified.
    pub identity: Identity,
    /// Where the chain is kept, PEM.
    pub chain_file: PathBuf,
    /// Who certifies: the CA over mutual TLS, or the CA itself for its own key.
    pub ca: Arc<dyn CaClient>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A key and the chain that certifies it, leaf first.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The key.
    pub key: Arc<dyn PrivateKey>,
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// When it is time to renew: two thirds of the leaf's life.
    pub renew_at: Timestamp,
    /// Last moment of the leaf.
    pub not_after: Timestamp,
}

impl Enrolled {
    /// Presents it in TLS.
    ///
    /// # Errors
    ///
    /// `KeyMismatch` when key and chain do not belong together.
    pub fn tls_identity(&self) -> Result<Arc<TlsIdentity>, Error> {
        TlsIdentity::from_private_key(self.chain.clone(), Arc::clone(&self.key))
    }
}

impl Enrolment {
    /// Returns what is kept while it is good for more than a third of its life,
    /// else enrols.
    ///
    /// # Errors
    ///
    /// `KeyStore` when the key cannot be had, `Ca` when the CA does not issue,
    /// `File` when the chain cannot be kept.
    pub async fn obtain(&self) -> Result<Enrolled, Error> {
        let key = self.key().await?;
        match self.kept(&key) {
            Ok(Some(kept)) if self.clock.now() < kept.renew_at => return Ok(kept),
            Ok(_) => {}
            Err(error) => warn!(
                path = ?self.chain_file,
                "enrolling anew, because the kept chain cannot be used: {error}"
            ),
        }
        self.enrol_key(key).await
    }

    /// Enrols now, whatever is kept.
    ///
    /// # Errors
    ///
    /// As for [`obtain`](Self::obtain).
    pub async fn enrol(&self) -> Result<Enrolled, Error> {
        let key = self.key().await?;
        self.enrol_key(key).await
    }

    /// Renews in time, for as long as it is polled, and swaps the new certificate
    /// into `tls`. Failures are logged and tried again, the one before staying.
    pub async fn keep_current(self, tls: Arc<TlsIdentity>, mut current: Enrolled) {
        let mut backoff = FIRST_RETRY;
        loop {
            while self.clock.now() < current.renew_at {
                // In short naps: the clock may be set meanwhile.
                tokio::time::sleep(NAP).await;
            }
            let renewed = async {
                let next = self.enrol().await?;
                tls.replace_private_key(next.chain.clone(), Arc::clone(&next.key))?;
                Ok::<_, Error>(next)
            };
            match renewed.await {
                Ok(next) => {
                    info!(
                        peer.identity = %self.identity,
                        cert.not_after = %next.not_after,
                        "renewed the TLS certificate of {}", self.identity
                    );
                    current = next;
                    backoff = FIRST_RETRY;
                    // A CA whose clock lags behind ours would be asked without end.
                    tokio::time::sleep(FIRST_RETRY).await;
                }
                Err(failure) => {
                    self.report(&failure, current.not_after);
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(LAST_RETRY);
                }
            }
        }
    }

    /// Logs a renewal that failed: for someone to act on once time is short.
    fn report(&self, failure: &Error, not_after: Timestamp) {
        let chain = crate::error::chain(failure);
        let left = not_after.duration_since(self.clock.now());
        if left < jiff::SignedDuration::from_hours(24) {
            error!(peer.identity = %self.identity, cert.not_after = %not_after,
                "the TLS certificate of {} ends at {not_after} and cannot be renewed: {chain}",
                self.identity);
        } else {
            warn!(peer.identity = %self.identity, cert.not_after = %not_after,
                "could not renew the TLS certificate of {}, trying again: {chain}",
                self.identity);
        }
    }

    /// Finds the key, or makes it.
    async fn key(&self) -> Result<Arc<dyn PrivateKey>, Error> {
        let (store, id, algorithm) = (Arc::clone(&self.keystore), self.key.clone(), self.algorithm);
        blocking(move || match store.get_private_key(&id) {
            Err(hsm_keystore::Error::NoKey { .. }) => store.generate_private_key(&id, algorithm),
            outcome => outcome,
        })
        .await
    }

    /// Reads what is kept, if it certifies this key and these names.
    fn kept(&self, key: &Arc<dyn PrivateKey>) -> Result<Option<Enrolled>, Error> {
        match std::fs::metadata(&self.chain_file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let chain = crate::tls::certificates_from_pem_file(&self.chain_file)?;
        let enrolled = self.enrolled(Arc::clone(key), chain)?;
        let leaf = enrolled.chain.first().ok_or(Error::EmptyChain)?;
        let certificate = PeerCertificate::parse(leaf)?;
        Ok(certificate.names_all(&self.content).then_some(enrolled))
    }

    /// Has the key certified, and keeps leaf and chain.
    async fn enrol_key(&self, key: Arc<dyn PrivateKey>) -> Result<Enrolled, Error> {
        let request = SignRequest {
            csr_der: csr::build(key.as_ref(), &self.content).await?,
            profile: Some(self.profile.clone()),
            validity: self.validity.clone(),
            identity: Some(self.identity.clone()),
            forge: None,
            idempotency: fresh_key(),
            request_id: None::<RequestId>,
        };
        let signed = self.ca.sign(request).await?;
        let chain = crate::tls::certificates_from_pem(signed.chain_pem.as_bytes())?;
        let enrolled = self.enrolled(key, chain)?;
        let leaf = enrolled.chain.first().ok_or(Error::EmptyChain)?.to_vec();
        let (store, id) = (Arc::clone(&self.keystore), self.key.clone());
        blocking(move || store.import_certificate(&id, &leaf)).await?;
        crate::kept::write(&self.chain_file, signed.chain_pem.as_bytes())?;
        Ok(enrolled)
    }

    /// Checks that a chain certifies the key and the identity, and finds its times.
    fn enrolled(
        &self,
        key: Arc<dyn PrivateKey>,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Enrolled, Error> {
        // Checks as well that the leaf is the key's.
        TlsIdentity::from_private_key(chain.clone(), Arc::clone(&key))?;
        let leaf = PeerCertificate::parse(chain.first().ok_or(Error::EmptyChain)?)?;
        let life = leaf.not_after.duration_since(leaf.not_before);
        Ok(Enrolled {
            key,
            renew_at: leaf.not_before + life * 2 / 3,
            not_after: leaf.not_after,
            chain,
        })
    }
}

/// Longest sleep between looks at the clock.
const NAP: Duration = Duration::from_secs(1);

/// First wait after a renewal that failed.
const FIRST_RETRY: Duration = Duration::from_secs(10);

/// Longest wait after renewals that failed.
const LAST_RETRY: Duration = Duration::from_secs(600);

/// Runs a keystore call where waiting for the token is allowed.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, hsm_keystore::Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(call).await {
        Ok(outcome) => Ok(outcome?),
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Makes a key under which this enrolment signs once.
fn fresh_key() -> IdempotencyKey {
    IdempotencyKey::new(&format!("enrol-{}", crate::request_id::fresh()))
        .expect("hexadecimal digits after a prefix are an idempotency key")
}
