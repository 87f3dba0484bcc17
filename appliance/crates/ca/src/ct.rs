//! The CA's own log key, and the timestamps it signs (RFC 6962).
//!
//! 1. What the log sees, the certificate without timestamps, has passed every lint.
//! 2. The timestamp that is about to be signed is brought to disk. 3. The token signs
//!    it. 4. The certificate is planned again with the timestamp in it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hsm_keystore::{KeyAlgorithm, KeyStore, Priority, PrivateKey, SignJob, SignatureScheme};
use mesh::wire::CtStatus;
use model::{IssuerId, Timestamp};
use pki::lint::LintedPrecertificate;
use pki::public_key::PublicKey;
use pki::sct::{self, Sct, SctList};
use store::{CertificateStore, TimestampRecord};

use crate::config::CheckedCtConfig;
use crate::error::Error;
use crate::refusal::Refusal;

/// How a log signs here; verifiers of embedded timestamps take nothing else everywhere.
const SCHEME: SignatureScheme = SignatureScheme::EcdsaP256Sha256;

/// The log key.
#[derive(Debug)]
pub(crate) struct LogKey {
    /// The key.
    key: Arc<dyn PrivateKey>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    log_id: [u8; 32],
}

impl LogKey {
    /// Finds the key, or makes it.
    ///
    /// Blocks for as long as the token takes.
    ///
    /// # Errors
    ///
    /// `KeyStore` when it cannot be had, `LogKeyDiffers` when it is of another kind.
    pub(crate) fn open(config: &CheckedCtConfig, keystore: &dyn KeyStore) -> Result<Self, Error> {
        let key = match keystore.get_private_key(&config.key) {
            Err(hsm_keystore::Error::NoKey { .. }) => {
                keystore.generate_private_key(&config.key, KeyAlgorithm::EcP256)
            }
            outcome => outcome,
        }
        .map_err(|source| Error::KeyStore {
            what: "find or make the key that signs certificate timestamps",
            source,
        })?;
        if key.algorithm() != KeyAlgorithm::EcP256 {
            return Err(Error::LogKeyDiffers {
                key: config.key.clone(),
                found: key.algorithm(),
            });
        }
        let log_id = PublicKey::from_spki_der(key.public_key_der())
            .map(|public_key| sct::log_id(&public_key))
            .map_err(|source| Error::LogKeyUnreadable {
                key: config.key.clone(),
                source,
            })?;
        Ok(Self { key, log_id })
    }

    /// Tells what those who verify certificates need.
    pub(crate) fn status(&self, since: Timestamp) -> CtStatus {
        CtStatus {
            log_id: hex::encode(self.log_id),
            public_key: BASE64.encode(self.key.public_key_der()),
            since,
        }
    }

    /// Records the timestamp of what the log sees, then has it signed.
    ///
    /// # Errors
    ///
    /// `Store` when it was not recorded: nothing was signed. `KeyStore` when the token
    /// did not sign, `Timestamp` when what it gave is no such signature.
    pub(crate) async fn timestamp(
        &self,
        seen: &LintedPrecertificate,
        now: Timestamp,
        issuer: &IssuerId,
        store: &dyn CertificateStore,
        sign_timeout: Duration,
    ) -> Result<SctList, Refusal> {
        let timestamp_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
        store
            .record_timestamp(TimestampRecord {
                serial: seen.facts().serial.clone(),
                issuer: issuer.clone(),
                log_id: self.log_id,
                timestamp_ms,
                tbs_der: seen.der().to_vec(),
                recorded_at: now,
            })
            .await?;
        let job = SignJob::message(SCHEME, &seen.signed_octets(timestamp_ms))
            .with_priority(Priority::Bulk)
            .with_timeout(sign_timeout);
        let signature = self.key.sign(job).await?;
        Ok(SctList::of(Sct {
            log_id: self.log_id,
            timestamp_ms,
            extensions: Vec::new(),
            signature,
        })?)
    }
}
