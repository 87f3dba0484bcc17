//! The service on free ports, and what its clients need.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mesh::{
    AdmitAll, ClientTls, Health, HttpMetrics, PeerVerifier, ServerHandle, Shared, StaplePolicy,
};
use model::{Clock, Timestamp, TrustDomain};
use prometheus_client::registry::Registry;
use rustls::pki_types::CertificateDer;
use store::StoreConfig;
use store::signing::{SigningOptions, SigningRecords, SigningStore, SigningStoreMetrics};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::authority::TestAuthority;
use super::faulty::FaultyStore;
use super::keystore::TestKeyStore;
use crate::keys::{KeyPlan, SigningKeys};
use crate::log::{LogParts, TransparencyLog};
use crate::revocation::RevocationLists;
use crate::webhooks::http::routes;
use crate::webhooks::{HookMetrics, Webhooks, WebhooksParts};
use crate::{
    Announce, SettledReport, Signing, SigningConfig, SigningMetrics, SigningParts, SigningService,
};

/// A clock that runs, and can be set forward and back.
#[derive(Debug, Default)]
pub(super) struct TestClock {
    /// Seconds ahead of the system's.
    ahead: Mutex<i64>,
}

impl TestClock {
    /// Sets the clock forward, or back.
    pub(super) fn advance(&self, seconds: i64) {
        *self.ahead.lock().unwrap() += seconds;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let now = Timestamp::try_from(SystemTime::now()).unwrap();
        now + jiff::SignedDuration::from_secs(*self.ahead.lock().unwrap())
    }
}

/// Revocation lists of a certain age.
#[derive(Debug, Default)]
pub(super) struct TestLists {
    /// How old they are.
    pub(super) age: Mutex<Duration>,
    /// What they are.
    pub(super) crls: Mutex<Vec<Vec<u8>>>,
}

impl RevocationLists for TestLists {
    fn crl_age(&self) -> Option<Duration> {
        Some(*self.age.lock().unwrap())
    }

    fn crls(&self) -> Vec<Vec<u8>> {
        self.crls.lock().unwrap().clone()
    }
}

/// The service, served.
pub(super) struct TestServer {
    /// Its CA.
    pub(super) authority: Arc<TestAuthority>,
    /// Its time.
    pub(super) clock: Arc<TestClock>,
    /// Its revocation lists.
    pub(super) lists: Arc<TestLists>,
    /// Everything on disk.
    pub(super) directory: Arc<TempDir>,
    /// Its records.
    pub(super) store: Arc<FaultyStore>,
    /// Its keys.
    pub(super) keystore: Arc<TestKeyStore>,
    /// The service itself.
    pub(super) signing: Arc<Signing>,
    /// Its webhooks, where any are configured.
    pub(super) webhooks: Option<Arc<Webhooks>>,
    /// What its start settled.
    pub(super) settled: SettledReport,
    /// Its metrics.
    registry: Registry,
    /// Where clients see the mesh listener.
    pub(super) mesh: String,
    /// Where clients see the open listener.
    pub(super) open: String,
    /// Stops the listeners.
    handles: Vec<ServerHandle>,
    /// Serves.
    running: JoinHandle<Result<(), mesh::Error>>,
}

/// Reads `[signing]`, both listeners on free ports.
fn config(text: &str) -> SigningConfig {
    let mut config: SigningConfig = toml::from_str(text).unwrap();
    for listener in [&mut config.open, &mut config.mesh] {
        listener.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        listener.limits.workers = 2;
        // Clients here keep their connections to the end.
        listener.limits.shutdown_grace = Duration::from_secs(1);
    }
    config
}

impl TestServer {
    /// Serves with `[signing]` as `text` has it.
    pub(super) async fn start(text: &str) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let authority = Arc::new(TestAuthority::new());
        Self::start_on(text, directory, authority, Arc::default()).await
    }

    /// Serves on a directory, which may hold records and keys already.
    pub(super) async fn start_on(
        text: &str,
        directory: Arc<TempDir>,
        authority: Arc<TestAuthority>,
        clock: Arc<TestClock>,
    ) -> Self {
        let config = config(text).check().unwrap();
        let store = FaultyStore::new(open_store(&directory.path().join("store")).await);
        let keystore = TestKeyStore::open(&directory.path().join("keys"));
        let domain = TrustDomain::new("test.internal").unwrap();
        let identity = model::Identity {
            role: model::Role::ServiceSigning,
            name: model::PeerName::new("signing").unwrap(),
        };
        let plan = KeyPlan {
            keystore: Arc::clone(&keystore) as _,
            ca: Arc::clone(&authority) as _,
            clock: Arc::clone(&clock) as _,
            identity: identity.clone(),
            domain: domain.clone(),
            directory: directory.path().join("chains"),
        };
        let keys = SigningKeys::obtain(&config, plan).await.unwrap();
        let metrics = SigningMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let lists: Arc<TestLists> = Arc::default();
        let root = pki::certificate::Certificate::from_der(authority.root.der()).unwrap();
        let log = match config.log.clone() {
            Some(log) => {
                let parts = LogParts {
                    config: log,
                    keystore: Arc::clone(&keystore) as _,
                    store: Arc::clone(&store) as _,
                    domain: domain.clone(),
                    clock: Arc::clone(&clock) as _,
                    signing_timeout: config.limits.signing_timeout,
                };
                Some(TransparencyLog::open(parts).await.unwrap())
            }
            None => None,
        };
        let webhooks = (!config.hooks.is_empty()).then(|| {
            Webhooks::open(WebhooksParts {
                config: config.hooks.clone(),
                store: Arc::clone(&store) as _,
                clock: Arc::clone(&clock) as _,
                metrics: HookMetrics::default(),
            })
            .unwrap()
        });
        let signing = Signing::open(SigningParts {
            config,
            store: Arc::clone(&store) as _,
            keys,
            authorities: vec![root],
            crl: Some(Arc::clone(&lists) as _),
            identity,
            domain: domain.clone(),
            clock: Arc::clone(&clock) as _,
            metrics,
            log,
            forge: None,
            announce: webhooks
                .clone()
                .map(|webhooks| webhooks as Arc<dyn Announce>),
        })
        .unwrap();
        let settled = signing.settle().await.unwrap();
        let shared = Shared {
            metrics: HttpMetrics::default(),
            health: Health::new(),
            domain,
            clock: Arc::clone(&clock) as _,
        };
        let anchor = CertificateDer::from(authority.root.der().to_vec());
        let clients = PeerVerifier::new(&[anchor], Box::new(AdmitAll)).unwrap();
        let tls = authority.identity("service/signing/signing");
        let routes = |mesh| {
            let own = webhooks.as_ref().map(|hooks| routes(hooks, mesh));
            move |config: &mut actix_web::web::ServiceConfig| {
                if let Some(own) = &own {
                    own(config);
                }
            }
        };
        let service = SigningService::bind_with(
            &signing,
            &shared,
            &tls,
            &clients,
            routes(true),
            routes(false),
        )
        .unwrap();
        let url = |address: Option<SocketAddr>| format!("https://{}", address.unwrap());
        Self {
            mesh: url(service.mesh_addr()),
            open: url(service.open_addr()),
            handles: service.handles(),
            running: tokio::spawn(service.run()),
            authority,
            clock,
            lists,
            directory,
            store,
            keystore,
            signing,
            webhooks,
            settled,
            registry,
        }
    }

    /// Stops the service and waits for its end.
    pub(super) async fn stop(self) {
        for handle in &self.handles {
            handle.stop();
        }
        self.running.await.unwrap().unwrap();
    }

    /// Makes an HTTP client, with an identity (`operator/alice`) or none.
    pub(super) fn http(&self, peer: Option<&str>) -> reqwest::Client {
        let tls = ClientTls {
            anchors: vec![CertificateDer::from(self.authority.root.der().to_vec())],
            identity: peer.map(|peer| self.authority.identity(peer)),
            expected: None,
            staple: StaplePolicy::default(),
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls.client_config().unwrap())
            .no_proxy()
            .build()
            .unwrap()
    }

    /// Returns a URL of the mesh listener.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.mesh)
    }

    /// Writes the metrics.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Copies everything on disk as it is now: what a crash would leave.
    pub(super) fn crash_image(&self) -> Arc<TempDir> {
        let image = tempfile::tempdir().unwrap();
        copy(self.directory.path(), image.path());
        Arc::new(image)
    }
}

/// Copies a directory.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Opens the records, once whoever had them before has let them go.
async fn open_store(directory: &Path) -> Arc<dyn SigningStore> {
    let config = StoreConfig {
        segment_mib: 4,
        min_free_mib: 0,
        ..StoreConfig::at(directory.to_owned())
    };
    let opening = async {
        loop {
            let metrics = SigningStoreMetrics::default();
            match SigningRecords::open(&config, SigningOptions::default(), metrics) {
                Ok(store) => return Arc::new(store) as Arc<dyn SigningStore>,
                Err(store::Error::Locked { .. }) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), opening)
        .await
        .unwrap()
}
