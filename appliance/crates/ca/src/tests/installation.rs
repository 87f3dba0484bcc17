//! One installation in a temporary directory, and clients of it.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hsm_keystore::{FileStore, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, PrivateKey};
use jiff::Timestamp;
use mesh::csr::{self, CsrContent};
use mesh::stapling::StaplingMetrics;
use mesh::{ClientTls, Health, HttpMetrics, Shared, SignRequest, TlsIdentity};
use model::{Clock, IdempotencyKey, Identity, ManualClock, ProfileName, RequestId};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use store::{Certificates, RevocationStore, StoreConfig, StoreMetrics};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::faulty::{FaultyKeyStore, FaultyStore, KeySwitches};
use crate::ceremony::{Ceremony, CeremonyReport};
use crate::{
    AuthorityCertificates, Ca, CaConfig, CaHandle, CaMetrics, CaParts, CaService, Error,
    IssueRequest, OcspMetrics, Publication, PublicationParts, Requester,
};

/// The system's time.
#[derive(Debug)]
pub(super) struct SystemTimeClock;

impl Clock for SystemTimeClock {
    fn now(&self) -> Timestamp {
        Timestamp::try_from(SystemTime::now()).unwrap()
    }
}

/// Keys, records and a clock that stay while the CA comes and goes.
pub(super) struct Installation {
    /// Everything on disk.
    pub(super) directory: TempDir,
    /// The configuration.
    pub(super) config: CaConfig,
    /// The keystore.
    pub(super) keystore: Arc<FaultyKeyStore>,
    /// Its switches.
    pub(super) keys: Arc<KeySwitches>,
    /// The CA's time, which stands still.
    pub(super) clock: Arc<ManualClock>,
}

/// Reads `[ca]`, on a port of its own.
pub(super) fn config(text: &str) -> CaConfig {
    let mut config: CaConfig = toml::from_str(text).unwrap();
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    // Clients here keep their connections to the end.
    config.limits.shutdown_grace = Duration::from_secs(1);
    config
}

/// Opens a keystore of files.
pub(super) fn file_store(directory: &Path) -> Arc<dyn KeyStore> {
    Arc::new(FileStore::open(directory, KeyStoreMetrics::default()).unwrap())
}

impl Installation {
    /// Makes an empty installation, configured by `[ca]` as `text` has it.
    pub(super) fn empty(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let inner = file_store(&directory.path().join("keys"));
        Self::on(text, directory, inner)
    }

    /// Makes an empty installation on a keystore.
    pub(super) fn on(text: &str, directory: TempDir, inner: Arc<dyn KeyStore>) -> Self {
        let keys = Arc::new(KeySwitches::default());
        Self {
            directory,
            config: config(text),
            keystore: Arc::new(FaultyKeyStore {
                inner,
                switches: Arc::clone(&keys),
            }),
            keys,
            clock: Arc::new(ManualClock::at(SystemTimeClock.now())),
        }
    }

    /// Makes an installation whose ceremony is done.
    pub(super) async fn ready(text: &str) -> Self {
        let installation = Self::empty(text);
        installation.perform().await.unwrap();
        installation
    }

    /// Opens the store; one at a time.
    pub(super) fn store(&self) -> Arc<Certificates> {
        let config = StoreConfig {
            segment_mib: 1,
            min_free_mib: 0,
            ..StoreConfig::at(self.directory.path().join("store"))
        };
        Arc::new(Certificates::open(&config, StoreMetrics::default()).unwrap())
    }

    /// Performs the ceremony.
    pub(super) async fn perform(&self) -> Result<CeremonyReport, Error> {
        let keystore = Arc::clone(&self.keystore);
        self.perform_with(&move |_| Ok(Arc::clone(&keystore) as _))
            .await
    }

    /// Performs the ceremony with keystores of one's own.
    pub(super) async fn perform_with(
        &self,
        keystores: &crate::ceremony::OpenKeyStore<'_>,
    ) -> Result<CeremonyReport, Error> {
        let config = self.config.check().unwrap();
        Ceremony {
            config: &config,
            keystores,
            store: self.store(),
            clock: Arc::clone(&self.clock) as _,
            progress: &|_| {},
        }
        .perform()
        .await
    }

    /// Opens the CA over a store with switches.
    pub(super) async fn open(&self) -> (Arc<Ca>, Arc<FaultyStore>) {
        let store = FaultyStore::over(self.store());
        let ca = self.open_over(Arc::clone(&store) as _).await.unwrap();
        (ca, store)
    }

    /// Opens the CA over any store.
    pub(super) async fn open_over(
        &self,
        store: Arc<dyn RevocationStore>,
    ) -> Result<Arc<Ca>, Error> {
        let publication = self.publication(&store).await?;
        Ca::open(CaParts {
            config: self.config.check().unwrap(),
            keystore: Arc::clone(&self.keystore) as _,
            store,
            publication,
            clock: Arc::clone(&self.clock) as _,
            metrics: CaMetrics::default(),
        })
        .await
    }

    /// Opens what is published, with the certificates on the keystore.
    pub(super) async fn publication(
        &self,
        store: &Arc<dyn RevocationStore>,
    ) -> Result<Arc<Publication>, Error> {
        let config = self.config.check().unwrap();
        let certificates = AuthorityCertificates::read(&config, self.keystore.inner.as_ref())?;
        Publication::open(PublicationParts {
            config,
            store: Arc::clone(store),
            clock: Arc::clone(&self.clock) as _,
            directory: self.published(),
            certificates,
            ocsp_metrics: OcspMetrics::default(),
        })
        .await
    }

    /// Returns the directory of what is published.
    pub(super) fn published(&self) -> std::path::PathBuf {
        self.directory.path().join("published")
    }

    /// Returns the CA's time.
    pub(super) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes a key that is no one's yet.
    pub(super) fn fresh_key(&self, algorithm: KeyAlgorithm) -> Arc<dyn PrivateKey> {
        let directory = tempfile::tempdir_in(self.directory.path()).unwrap();
        let id = KeyId::new("key").unwrap();
        let key = file_store(directory.path()).generate_private_key(&id, algorithm);
        // The handle has what it needs; the files go with the installation.
        let _ = directory.keep();
        key.unwrap()
    }

    /// Makes a request for a DNS name.
    pub(super) async fn csr(&self, dns: &str) -> Vec<u8> {
        let content = CsrContent {
            dns: vec![dns.to_owned()],
            ..CsrContent::default()
        };
        csr::build(self.fresh_key(KeyAlgorithm::EcP256).as_ref(), &content)
            .await
            .unwrap()
    }
}

/// Asks for a `tls-server` certificate as an operator.
pub(super) fn request(csr_der: Vec<u8>) -> IssueRequest {
    IssueRequest {
        csr_der,
        profile: None,
        validity: None,
        identity: None,
        forge: None,
        requester: Requester::Peer("operator/alice".parse().unwrap()),
        request_id: RequestId::new("test").unwrap(),
        idempotency: None,
    }
}

/// Makes an idempotency key.
pub(super) fn idempotency(text: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey::new(text).unwrap())
}

/// Waits until something holds; panics with its name when it never does.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

/// The CA API of an installation, served.
pub(super) struct Served {
    /// What is served.
    pub(super) ca: Arc<Ca>,
    /// Its store.
    pub(super) store: Arc<FaultyStore>,
    /// What `/readyz` asks.
    pub(super) health: Health,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Stops it.
    handle: CaHandle,
    /// Serves.
    running: JoinHandle<Result<(), Error>>,
}

impl Served {
    /// Serves an installation.
    pub(super) async fn start(installation: &Installation) -> Self {
        let (ca, store) = installation.open().await;
        let health = Health::new();
        let shared = Shared {
            metrics: HttpMetrics::default(),
            health: health.clone(),
            domain: installation.config.trust_domain.clone(),
            clock: Arc::new(SystemTimeClock),
        };
        let chain_file = installation.directory.path().join("ca-tls.pem");
        let stapling = StaplingMetrics::default();
        let service = CaService::bind(Arc::clone(&ca), &shared, chain_file, stapling)
            .await
            .unwrap();
        eventually("the OCSP responder signs", || async {
            let responder = ca.publication.responder.status();
            responder.certificate_expires.is_some()
        })
        .await;
        Self {
            ca,
            store,
            health,
            address: service.local_addr(),
            handle: service.handle(),
            running: tokio::spawn(service.run()),
        }
    }

    /// Stops it and waits for its end.
    pub(super) async fn stop(self) {
        self.handle.stop();
        self.running.await.unwrap().unwrap();
    }

    /// Returns the URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Makes an identity and a client that holds it.
    pub(super) async fn client(
        &self,
        installation: &Installation,
        identity: &str,
    ) -> reqwest::Client {
        let identity: Identity = identity.parse().unwrap();
        let key = installation.fresh_key(KeyAlgorithm::EcP256);
        let content = CsrContent {
            subject: format!("CN={}", identity.name),
            ..CsrContent::default()
        };
        let csr_der = csr::build(key.as_ref(), &content).await.unwrap();
        self.client_with(key, csr_der, "service", Some(identity))
            .await
    }

    /// Has a key certified by the CA itself and makes a client that holds it.
    pub(super) async fn client_with(
        &self,
        key: Arc<dyn PrivateKey>,
        csr_der: Vec<u8>,
        profile: &str,
        identity: Option<Identity>,
    ) -> reqwest::Client {
        let identity = self.identity_with(key, csr_der, profile, identity).await;
        self.client_as(Some(identity))
    }

    /// Has a key certified by the CA itself.
    pub(super) async fn identity_with(
        &self,
        key: Arc<dyn PrivateKey>,
        csr_der: Vec<u8>,
        profile: &str,
        identity: Option<Identity>,
    ) -> Arc<TlsIdentity> {
        let signed = self
            .ca
            .local_client()
            .sign(SignRequest {
                forge: None,
                csr_der,
                profile: Some(ProfileName::new(profile).unwrap()),
                validity: Some("1h".to_owned()),
                identity,
                idempotency: IdempotencyKey::new(&uuid()).unwrap(),
                request_id: None,
            })
            .await
            .unwrap();
        let chain = CertificateDer::pem_slice_iter(signed.chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        TlsIdentity::from_private_key(chain, key).unwrap()
    }

    /// Makes a client with an identity or none.
    pub(super) fn client_as(&self, identity: Option<Arc<TlsIdentity>>) -> reqwest::Client {
        let root = self.ca.authorities().root().der().to_vec();
        let tls = ClientTls {
            anchors: vec![CertificateDer::from(root)],
            identity,
            expected: None,
            staple: mesh::StaplePolicy::IfPresent,
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls.client_config().unwrap())
            .no_proxy()
            .build()
            .unwrap()
    }
}

/// Makes a name that is used once.
pub(super) fn uuid() -> String {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).unwrap();
    hex::encode(octets)
}
