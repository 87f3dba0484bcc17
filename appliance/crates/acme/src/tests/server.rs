//! The service on free ports, and what its clients need.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mesh::{
    AdmitAll, ClientTls, Health, HttpMetrics, PeerVerifier, ServerHandle, Shared, StaplePolicy,
    TlsIdentity,
};
use model::acme::Identifier;
use model::{Clock, Timestamp, TrustDomain};
use prometheus_client::registry::Registry;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use store::acme::{AcmeRecords, AcmeStore, Retention};
use store::{StoreConfig, StoreMetrics};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::authority::TestAuthority;
use crate::caa::{CaaChecker, CaaRecord};
use crate::finalize::{FinalizeMetrics, FinalizeSettings, Finalizer};
use crate::policy::RateLimits;
use crate::validate::metrics::ValidationMetrics;
use crate::validate::scheduler::{Parts, Scheduler};
use crate::validate::{Failure, Proof, Task, ValidateChallenge};
use crate::{Acme, AcmeConfig, AcmeMetrics, AcmeParts, AcmeService};
use mesh::dial::DialFailure;
use mesh::resolve::{DnsFailure, Resolve};

/// A clock that runs, and can be set forward.
#[derive(Debug, Default)]
pub(super) struct TestClock {
    /// Seconds ahead of the system's.
    ahead: Mutex<i64>,
}

impl TestClock {
    /// Sets the clock forward.
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

/// Finds every proof, but for names that begin with `bad`.
#[derive(Debug)]
struct TestValidator;

#[async_trait]
impl ValidateChallenge for TestValidator {
    async fn validate(&self, task: &Task) -> Result<Proof, Failure> {
        match &task.identifier {
            Identifier::Dns(name) if name.starts_with("bad") => {
                Err(Failure::Dial(DialFailure::Connect {
                    host: name.clone(),
                    address: SocketAddr::from(([192, 0, 2, 1], 80)),
                    kind: std::io::ErrorKind::ConnectionRefused,
                }))
            }
            // Nothing but an attestation may make a device's authorization valid.
            Identifier::PermanentIdentifier(_) => Err(Failure::Internal),
            Identifier::Dns(_) | Identifier::Ip(_) => Ok(Proof {
                address: None,
                caa_checked: true,
            }),
        }
    }
}

/// A DNS where names that begin with `caa` forbid every CA.
#[derive(Debug)]
struct TestDns;

#[async_trait]
impl Resolve for TestDns {
    async fn addresses(&self, _: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        Ok(Vec::new())
    }

    async fn texts(&self, _: &str) -> Result<Vec<Vec<u8>>, DnsFailure> {
        Ok(Vec::new())
    }

    async fn caa(&self, name: &str) -> Result<Vec<CaaRecord>, DnsFailure> {
        let forbids = CaaRecord {
            critical: false,
            tag: "issue".into(),
            value: b";".as_slice().into(),
        };
        Ok(name
            .starts_with("caa")
            .then_some(forbids)
            .into_iter()
            .collect())
    }
}

/// The service, served.
pub(super) struct TestServer {
    /// Its CA.
    pub(super) authority: Arc<TestAuthority>,
    /// Its time.
    pub(super) clock: Arc<TestClock>,
    /// Everything on disk.
    pub(super) directory: Arc<TempDir>,
    /// Its metrics.
    registry: Registry,
    /// Where clients see the open listener.
    pub(super) open: String,
    /// Where clients see the mesh listener.
    pub(super) mesh: String,
    /// Where the open listener is bound.
    pub(super) open_addr: SocketAddr,
    /// Stops the listeners.
    handles: Vec<ServerHandle>,
    /// Serves.
    running: JoinHandle<Result<(), mesh::Error>>,
}

/// Reads `[acme]`, both listeners on free ports.
fn config(text: &str) -> AcmeConfig {
    let mut config: AcmeConfig = toml::from_str(text).unwrap();
    for listener in [&mut config.open, &mut config.mesh] {
        listener.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        listener.limits.workers = 2;
        // Clients here keep their connections to the end.
        listener.limits.shutdown_grace = Duration::from_secs(1);
    }
    config
}

impl TestServer {
    /// Serves with `[acme]` as `text` has it.
    pub(super) async fn start(text: &str) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        Self::start_on(
            text,
            directory,
            Arc::new(TestAuthority::new()),
            Arc::default(),
        )
        .await
    }

    /// Serves on a directory, which may hold records already.
    pub(super) async fn start_on(
        text: &str,
        directory: Arc<TempDir>,
        authority: Arc<TestAuthority>,
        clock: Arc<TestClock>,
    ) -> Self {
        let config = config(text).check().unwrap();
        let store_config = StoreConfig {
            segment_mib: 1,
            min_free_mib: 0,
            ..StoreConfig::at(directory.path().join("acme"))
        };
        let store = open_store(&store_config).await;
        let limits = Arc::new(RateLimits::new(config.rate_limits.clone()));
        let mut scheduling = config.validation.limits().clone();
        scheduling.retry_pause = Duration::from_millis(1);
        scheduling.max_retry_pause = Duration::from_millis(1);
        let scheduler = Scheduler::start(Parts {
            validator: Arc::new(TestValidator),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as _,
            limits: scheduling,
            account_url_prefix: "https://acme.test/acme/account/".into(),
            authorization_lifetime: Duration::from_secs(30 * 86_400),
            metrics: ValidationMetrics::default(),
            on_failure: None,
        });
        scheduler.resume().await.unwrap();
        let settings = FinalizeSettings {
            first_pause: Duration::from_millis(5),
            longest_pause: Duration::from_millis(20),
            profiles: config.ca_profiles(),
            ..FinalizeSettings::default()
        };
        let finalizer = Finalizer::start(
            Arc::clone(&store),
            Arc::clone(&authority) as _,
            Arc::clone(&clock) as _,
            &settings,
            FinalizeMetrics::default(),
        );
        finalizer.resume().await.unwrap();
        let metrics = AcmeMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let acme = Acme::open(AcmeParts {
            caa: Some(CaaChecker::new(Arc::new(TestDns), config.caa.clone())),
            policy: Arc::new(config.policy.clone()),
            config,
            store,
            ca: Arc::clone(&authority) as _,
            scheduler,
            finalizer,
            limits,
            clock: Arc::clone(&clock) as _,
            metrics,
        })
        .unwrap();
        let shared = Shared {
            metrics: HttpMetrics::default(),
            health: Health::new(),
            domain: TrustDomain::new("test.internal").unwrap(),
            clock: Arc::clone(&clock) as _,
        };
        let anchor = CertificateDer::from(authority.issuer.der().to_vec());
        let clients = PeerVerifier::new(&[anchor], Box::new(AdmitAll)).unwrap();
        let service = AcmeService::bind(
            &acme,
            &shared,
            &identity(&authority, "service/acme/acme"),
            &clients,
        )
        .unwrap();
        let url = |address: Option<SocketAddr>| {
            let external = service.external_urls().iter().find(|url| {
                address.is_some_and(|address| url.as_str().ends_with(&address.port().to_string()))
            });
            external.map(ToString::to_string).unwrap_or_default()
        };
        Self {
            authority,
            clock,
            directory,
            registry,
            open: url(service.open_addr()),
            mesh: url(service.mesh_addr()),
            open_addr: service.open_addr().unwrap(),
            handles: service.handles(),
            running: tokio::spawn(service.run()),
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
            anchors: vec![CertificateDer::from(self.authority.issuer.der().to_vec())],
            identity: peer.map(|peer| identity(&self.authority, peer)),
            expected: None,
            staple: StaplePolicy::default(),
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls.client_config().unwrap())
            .no_proxy()
            .build()
            .unwrap()
    }

    /// Writes the metrics.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Opens the records, once whoever had them before has let them go.
async fn open_store(config: &StoreConfig) -> Arc<dyn AcmeStore> {
    let opening = async {
        loop {
            match AcmeRecords::open(config, StoreMetrics::default(), Retention::default()) {
                Ok(store) => return Arc::new(store) as Arc<dyn AcmeStore>,
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

/// Certifies an identity.
fn identity(authority: &TestAuthority, peer: &str) -> Arc<TlsIdentity> {
    let uri = format!("spiffe://test.internal/{peer}");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into().unwrap()),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::URI(uri.as_str().try_into().unwrap()),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    TlsIdentity::from_signing_key(
        vec![certificate.der().clone()],
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap(),
    )
    .unwrap()
}
