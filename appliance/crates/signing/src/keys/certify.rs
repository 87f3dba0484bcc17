//! Having keys certified by the CA, and keeping what it issued.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hsm_keystore::{KeyId, PrivateKey};
use jiff::{SignedDuration, Timestamp};
use mesh::csr::{self, CsrContent};
use mesh::{SignRequest, kept};
use model::IdempotencyKey;
use pki::certificate::Certificate;
use pki::pem;

use super::certified::{CertifiedKey, Purpose};
use super::{KeyPlan, KeysError, Slot};
use crate::config::CheckedKey;

/// Time between looks at the clock.
pub(super) const NAP: Duration = Duration::from_secs(1);

/// First wait after a renewal that failed.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(10);

/// Longest wait after renewals that failed.
const LAST_RETRY: SignedDuration = SignedDuration::from_secs(600);

/// Least time between two renewals of one certificate.
const AFTER_SUCCESS: SignedDuration = SignedDuration::from_secs(60);

/// Most octets of a chain.
const MAX_CHAIN: u64 = 1 << 20;

/// When to try again what failed.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// Not before.
    until: Option<Timestamp>,
    /// The wait after the next failure.
    next: Option<SignedDuration>,
}

impl Pause {
    /// Waits a while although all is well.
    pub(super) fn after_success(now: Timestamp) -> Self {
        Self {
            until: Some(now + AFTER_SUCCESS),
            next: None,
        }
    }

    /// Tells whether it is time; a clock that was set back ends the wait.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.until
            .is_none_or(|until| now >= until || until.duration_since(now) > LAST_RETRY)
    }

    /// Notes a failure.
    pub(super) fn lengthen(&mut self, now: Timestamp) {
        let wait = self.next.unwrap_or(FIRST_RETRY);
        self.until = Some(now + wait);
        self.next = Some((wait * 2).min(LAST_RETRY));
    }
}

/// Obtains keys and certificates.
#[derive(Debug)]
pub(super) struct Certifier(KeyPlan);

impl Certifier {
    /// Prepares.
    pub(super) fn new(plan: KeyPlan) -> Self {
        Self(plan)
    }

    /// Returns who certifies.
    pub(super) fn ca(&self) -> &dyn mesh::CaClient {
        &*self.0.ca
    }

    /// Returns the time.
    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Finds or makes a key and its certificate.
    pub(super) async fn slot(
        &self,
        wanted: &CheckedKey,
        purpose: Purpose,
    ) -> Result<Slot, KeysError> {
        let key = self.key(wanted).await?;
        let kept = self.kept(wanted, purpose, &key)?;
        let current = match kept {
            Some(kept) if self.now() < kept.renew_at() => kept,
            kept => match self.issue(wanted, purpose, &key).await {
                Ok(issued) => issued,
                // What still counts serves while the CA is away; renewal goes on.
                Err(error) => match kept {
                    Some(kept) if self.now() < kept.leaf().not_after() => {
                        report(&error, &wanted.key, kept.leaf().not_after(), self.now());
                        kept
                    }
                    Some(_) | None => return Err(error),
                },
            },
        };
        Ok(Slot {
            wanted: wanted.clone(),
            purpose,
            key,
            current: ArcSwap::from_pointee(current),
        })
    }

    /// Has a key certified anew.
    pub(super) async fn certify(&self, slot: &Slot) -> Result<CertifiedKey, KeysError> {
        self.issue(&slot.wanted, slot.purpose, &slot.key).await
    }

    /// Finds a key, or makes it.
    async fn key(&self, wanted: &CheckedKey) -> Result<Arc<dyn PrivateKey>, KeysError> {
        let (store, id, algorithm) = (
            Arc::clone(&self.0.keystore),
            wanted.key.clone(),
            wanted.algorithm,
        );
        let found = tokio::task::spawn_blocking(move || match store.get_private_key(&id) {
            Err(hsm_keystore::Error::NoKey { .. }) => {
                tracing::info!(key.id = %id, key.algorithm = algorithm.as_str(),
                    "generating the key {id}");
                store.generate_private_key(&id, algorithm)
            }
            outcome => outcome,
        });
        let key = found.await?.map_err(|source| KeysError::KeyStore {
            key: wanted.key.to_string(),
            source,
        })?;
        if key.algorithm() != wanted.algorithm {
            return Err(KeysError::Algorithm {
                key: wanted.key.to_string(),
                wanted: wanted.algorithm,
                actual: key.algorithm(),
            });
        }
        Ok(key)
    }

    /// Returns where a key's chain is kept.
    fn chain_file(&self, key: &KeyId) -> PathBuf {
        self.0.directory.join(format!("{key}-chain.pem"))
    }

    /// Reads what is kept, if it certifies this key for this purpose.
    fn kept(
        &self,
        wanted: &CheckedKey,
        purpose: Purpose,
        key: &Arc<dyn PrivateKey>,
    ) -> Result<Option<CertifiedKey>, KeysError> {
        let path = self.chain_file(&wanted.key);
        let Some(text) = kept::read(&path, MAX_CHAIN).map_err(KeysError::Kept)? else {
            return Ok(None);
        };
        let read = chain(&text).and_then(|chain| {
            let certified = CertifiedKey::new(Arc::clone(key), chain, purpose)?;
            match self.names(&certified, wanted, purpose) {
                true => Ok(certified),
                false => Err("it names something else than the configuration".to_owned()),
            }
        });
        match read {
            Ok(certified) => Ok(Some(certified)),
            Err(reason) => {
                tracing::warn!(path = ?path, key.id = %wanted.key,
                    "having the key {} certified anew, because the kept chain cannot be used: \
                     {reason}", wanted.key);
                Ok(None)
            }
        }
    }

    /// Tells whether a certificate names what the configuration says.
    fn names(&self, certified: &CertifiedKey, wanted: &CheckedKey, purpose: Purpose) -> bool {
        let content = self.content(wanted, purpose);
        let facts = certified.leaf().facts();
        content
            .uris
            .iter()
            .all(|uri| facts.names.iter().any(|name| *name == format!("uri:{uri}")))
    }

    /// Says what a key is to be certified as.
    fn content(&self, wanted: &CheckedKey, purpose: Purpose) -> CsrContent {
        let uris = match purpose {
            Purpose::TimeStamps { .. } => Vec::new(),
            Purpose::Artifacts => vec![match &wanted.uri {
                Some(uri) => uri.clone(),
                // The service's identity as an https URI: code-signing certificates
                // carry no SPIFFE ID.
                None => self
                    .0
                    .identity
                    .to_uri(&self.0.domain)
                    .replacen("spiffe://", "https://", 1),
            }],
        };
        CsrContent {
            subject: wanted.subject.clone(),
            uris,
            ..CsrContent::default()
        }
    }

    /// Has a key certified, and keeps leaf and chain.
    async fn issue(
        &self,
        wanted: &CheckedKey,
        purpose: Purpose,
        key: &Arc<dyn PrivateKey>,
    ) -> Result<CertifiedKey, KeysError> {
        let name = || wanted.key.to_string();
        let request_error = |source| KeysError::Request {
            key: name(),
            source,
        };
        let unusable = |reason| KeysError::Unusable {
            key: name(),
            reason,
        };
        let csr_der = csr::build(key.as_ref(), &self.content(wanted, purpose))
            .await
            .map_err(request_error)?;
        let request = SignRequest {
            csr_der,
            profile: Some(wanted.profile.clone()),
            validity: None,
            identity: None,
            forge: None,
            idempotency: fresh_key().map_err(unusable)?,
            request_id: None,
        };
        let signed = self
            .0
            .ca
            .sign(request)
            .await
            .map_err(|source| KeysError::Ca {
                key: name(),
                profile: wanted.profile.to_string(),
                source,
            })?;
        let chain = chain(signed.chain_pem.as_bytes()).map_err(unusable)?;
        let certified = CertifiedKey::new(Arc::clone(key), chain, purpose).map_err(unusable)?;
        let (store, id) = (Arc::clone(&self.0.keystore), wanted.key.clone());
        let leaf = certified.leaf().der().to_vec();
        let path = self.chain_file(&wanted.key);
        tokio::task::spawn_blocking(move || {
            store
                .import_certificate(&id, &leaf)
                .map_err(|source| KeysError::KeyStore {
                    key: id.to_string(),
                    source,
                })?;
            kept::write(&path, signed.chain_pem.as_bytes()).map_err(KeysError::Kept)
        })
        .await??;
        tracing::info!(
            key.id = %wanted.key,
            cert.serial = %certified.leaf().serial(),
            cert.not_after = %certified.leaf().not_after(),
            "the CA certified the key {}", wanted.key
        );
        Ok(certified)
    }
}

/// Makes a key under which the CA signs once.
fn fresh_key() -> Result<IdempotencyKey, String> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| "the system gave no randomness".to_owned())?;
    IdempotencyKey::new(&format!("signing-key-{}", hex::encode(octets)))
        .map_err(|error| error.to_string())
}

/// Reads a chain.
fn chain(text: &[u8]) -> Result<Vec<Certificate>, String> {
    let chain = pem::read_certificates(text).map_err(|error| error.to_string())?;
    let read = chain.iter().map(|der| Certificate::from_der(der));
    read.collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Logs a certificate that could not be had: for someone to act on once time is short.
pub(super) fn report(error: &KeysError, key: &KeyId, not_after: Timestamp, now: Timestamp) {
    let mut chain = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        chain = format!("{chain}: {cause}");
        source = cause.source();
    }
    if not_after.duration_since(now) < SignedDuration::from_hours(24) {
        tracing::error!(key.id = %key, cert.not_after = %not_after,
            "the certificate of the key {key} ends at {not_after} and cannot be renewed: {chain}");
    } else {
        tracing::warn!(key.id = %key, cert.not_after = %not_after,
            "could not renew the certificate of the key {key}, trying again: {chain}");
    }
}
