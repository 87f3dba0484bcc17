//! The keys that sign, and the certificates that say whose they are.
//!
//! At the start what is missing is generated in the keystore, certified by the CA
//! over mutual TLS and kept beside the key; at two thirds of a certificate's life the
//! key is certified anew. Signatures in flight keep the certificate they began with.

mod certified;
mod certify;
mod ct;
mod history;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use attest::trusted_root::LogInstance;
use hsm_keystore::{KeyAlgorithm, KeyId, KeyStore, PrivateKey};
use mesh::CaClient;
use model::{Clock, Identity, ProfileName, SerialNumber, Timestamp, TrustDomain};
use pki::certificate::Certificate;

pub use certified::CertifiedKey;

use self::certified::Purpose;
use self::certify::Certifier;
use self::ct::CertificateLogs;
use self::history::History;
use crate::config::{CheckedKey, CheckedSigningConfig};

/// What keys are obtained with.
#[derive(Debug, Clone)]
pub struct KeyPlan {
    /// Where the keys are.
    pub keystore: Arc<dyn KeyStore>,
    /// Who certifies them: the CA, as this service over mutual TLS.
    pub ca: Arc<dyn CaClient>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who this service is.
    pub identity: Identity,
    /// The domain of its identity.
    pub domain: TrustDomain,
    /// Where chains are kept, in PEM.
    pub directory: PathBuf,
}

/// Why a key or its certificate cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The keystore did not do it.
    #[error("the keystore did not do what the key {key} needs")]
    KeyStore {
        /// The key's name.
        key: String,
        /// Why.
        source: hsm_keystore::Error,
    },
    /// A key of another algorithm is there.
    #[error(
        "the key {key} is {actual}, and the configuration says {wanted}; \
         name another key or correct `algorithm`"
    )]
    Algorithm {
        /// The key's name.
        key: String,
        /// What the configuration says.
        wanted: hsm_keystore::KeyAlgorithm,
        /// What it is.
        actual: hsm_keystore::KeyAlgorithm,
    },
    /// The CA did not certify it.
    #[error("the CA did not certify the key {key} by its profile {profile}")]
    Ca {
        /// The key's name.
        key: String,
        /// The CA's profile.
        profile: String,
        /// Why.
        source: mesh::CaClientError,
    },
    /// What the CA certified cannot be used for it.
    #[error("the certificate that the CA issued for the key {key} cannot be used: {reason}")]
    Unusable {
        /// The key's name.
        key: String,
        /// Why.
        reason: String,
    },
    /// The request for a certificate could not be made.
    #[error("the request that the key {key} be certified could not be made")]
    Request {
        /// The key's name.
        key: String,
        /// Why.
        source: mesh::Error,
    },
    /// A file could not be read or written.
    #[error("the certificates of this service's keys could not be kept")]
    Kept(#[source] mesh::Error),
    /// A file that does not hold what it should.
    #[error("{path:?} does not hold certificates in PEM; restore it from the backup")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A task ended by a fault.
    #[error("a task ended by a fault")]
    Task(#[from] tokio::task::JoinError),
}

impl KeysError {
    /// Tells whether the same may succeed later: token or CA are away.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::KeyStore { source, .. } => source.retry_after().is_some(),
            // The CA may be of this very process, and an operator may grant the
            // profile meanwhile.
            Self::Ca { .. } => true,
            Self::Request { source, .. } => match source {
                mesh::Error::KeyStore(error) => error.retry_after().is_some(),
                _ => false,
            },
            Self::Algorithm { .. }
            | Self::Unusable { .. }
            | Self::Kept(_)
            | Self::Damaged { .. }
            | Self::Task(_) => false,
        }
    }
}

/// One key with its certificate of the moment.
#[derive(Debug)]
struct Slot {
    /// What the configuration says of it.
    wanted: CheckedKey,
    /// What it is for.
    purpose: Purpose,
    /// Its handle.
    key: Arc<dyn PrivateKey>,
    /// What it signs with.
    current: ArcSwap<CertifiedKey>,
}

/// Every key that signs.
#[derive(Debug)]
pub struct SigningKeys {
    /// Obtains certificates.
    certifier: Certifier,
    /// The keys for artifacts, by the name that profiles use.
    artifacts: BTreeMap<String, Slot>,
    /// The key for time-stamps.
    timestamps: Option<Slot>,
    /// Every time-stamp authority's certificate there ever was.
    history: History,
    /// Every key by which the CA timestamped certificates.
    certificate_logs: CertificateLogs,
}

impl SigningKeys {
    /// Makes and has certified what is missing.
    ///
    /// # Errors
    ///
    /// The first key that cannot be had, and why; [`KeysError::is_transient`] tells
    /// whether to try again.
    pub async fn obtain(
        config: &CheckedSigningConfig,
        plan: KeyPlan,
    ) -> Result<Arc<Self>, KeysError> {
        let history = History::open(plan.directory.join("timestamps-past.pem"))?;
        let certificate_logs = CertificateLogs::open(
            plan.directory.join("certificate-logs.json"),
            format!("https://ct.{}", plan.domain),
        )?;
        let certifier = Certifier::new(plan);
        let mut artifacts = BTreeMap::new();
        for (name, wanted) in &config.keys {
            let slot = certifier.slot(wanted, Purpose::Artifacts).await?;
            artifacts.insert(name.clone(), slot);
        }
        let timestamps = match &config.timestamps {
            Some(stamps) => {
                let purpose = Purpose::TimeStamps {
                    policy: stamps.policy,
                    accuracy: stamps.accuracy,
                };
                let slot = certifier.slot(&stamps.key, purpose).await?;
                history.add(slot.current.load().leaf())?;
                Some(slot)
            }
            None => None,
        };
        certificate_logs
            .learn_if_due(certifier.ca(), certifier.now())
            .await;
        Ok(Arc::new(Self {
            certifier,
            artifacts,
            timestamps,
            history,
            certificate_logs,
        }))
    }

    /// Returns a key for artifacts, by the name that profiles use.
    #[must_use]
    pub fn artifact_key(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.artifacts
            .get(name)
            .map(|slot| slot.current.load_full())
    }

    /// Returns every key for artifacts.
    pub fn artifact_keys(&self) -> impl Iterator<Item = (&str, Arc<CertifiedKey>)> {
        self.artifacts
            .iter()
            .map(|(name, slot)| (name.as_str(), slot.current.load_full()))
    }

    /// Returns the key for time-stamps, where they are made.
    #[must_use]
    pub fn timestamp_key(&self) -> Option<Arc<CertifiedKey>> {
        self.timestamps
            .as_ref()
            .map(|slot| slot.current.load_full())
    }

    /// Returns every certificate that time-stamps were ever made under.
    #[must_use]
    pub fn timestamp_certificates(&self) -> Vec<Certificate> {
        self.history.certificates()
    }

    /// Returns every key by which the CA ever timestamped certificates.
    #[must_use]
    pub fn certificate_logs(&self) -> Vec<LogInstance> {
        self.certificate_logs.logs()
    }

    /// Tells of every key and its certificate, for `chancery status`.
    #[must_use]
    pub fn report(&self) -> Vec<KeyReport> {
        let artifacts = self
            .artifacts
            .iter()
            .map(|(name, slot)| KeyReport::of(name, slot));
        let timestamps = self
            .timestamps
            .iter()
            .map(|slot| KeyReport::of("timestamps", slot));
        artifacts.chain(timestamps).collect()
    }

    /// Renews certificates in time, for as long as it is polled. Failures are logged
    /// and tried again, the certificate before staying.
    pub async fn keep_current(self: Arc<Self>) {
        let mut pauses = BTreeMap::new();
        loop {
            tokio::time::sleep(certify::NAP).await;
            for slot in self.artifacts.values().chain(&self.timestamps) {
                self.renew_if_due(slot, &mut pauses).await;
            }
            let now = self.certifier.now();
            let logs = &self.certificate_logs;
            logs.learn_if_due(self.certifier.ca(), now).await;
        }
    }

    /// Renews one certificate, where it is time and the last attempt is long enough ago.
    async fn renew_if_due(&self, slot: &Slot, pauses: &mut BTreeMap<String, certify::Pause>) {
        let now = self.certifier.now();
        let current = slot.current.load_full();
        if now < current.renew_at() {
            return;
        }
        let pause = pauses.entry(slot.wanted.key.to_string()).or_default();
        if !pause.is_over(now) {
            return;
        }
        let renewed = self.certifier.certify(slot).await.and_then(|next| {
            if matches!(slot.purpose, Purpose::TimeStamps { .. }) {
                // Relying parties must know it before anything is stamped by it.
                self.history.add(next.leaf())?;
            }
            Ok(next)
        });
        match renewed {
            Ok(next) => {
                tracing::info!(
                    key.id = %slot.wanted.key,
                    cert.not_after = %next.leaf().not_after(),
                    "renewed the certificate of the key {}", slot.wanted.key
                );
                slot.current.store(Arc::new(next));
                // A CA whose clock lags behind ours would be asked without end.
                *pause = certify::Pause::after_success(now);
            }
            Err(error) => {
                pause.lengthen(now);
                certify::report(&error, &slot.wanted.key, current.leaf().not_after(), now);
            }
        }
    }
}

/// One key and its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    /// Its name in the configuration; `timestamps` for that of time-stamps.
    pub name: String,
    /// Its name in the keystore.
    pub key: KeyId,
    /// Its algorithm.
    pub algorithm: KeyAlgorithm,
    /// The CA's profile of its certificate.
    pub profile: ProfileName,
    /// The certificate's serial number.
    pub serial: SerialNumber,
    /// Last moment of the certificate.
    pub not_after: Timestamp,
    /// When it is to be certified anew.
    pub renew_at: Timestamp,
}

impl KeyReport {
    /// Tells of one.
    fn of(name: &str, slot: &Slot) -> Self {
        let current = slot.current.load();
        Self {
            name: name.to_owned(),
            key: slot.wanted.key.clone(),
            algorithm: slot.wanted.algorithm,
            profile: slot.wanted.profile.clone(),
            serial: current.leaf().serial().clone(),
            not_after: current.leaf().not_after(),
            renew_at: current.renew_at(),
        }
    }
}
