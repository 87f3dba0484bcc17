//! Webhooks of a signing service, with everything real but the signing core.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use model::signing::{
    EventId, HashAlgorithm, MediaType, SignatureId, SignerLabel, SigningProfileName,
};
use model::{Clock, ManualClock, RequestId};
use prometheus_client::registry::Registry;
use serde::Deserialize;
use store::StoreConfig;
use store::signing::{
    Document, DocumentKind, EventRecord, EventState, NewSignature, Signed, SigningOptions,
    SigningRecords, SigningStore, SigningStoreMetrics,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::forge::World;
use crate::name_server::NameServer;
use crate::webhooks::{
    CheckedHooks, DeliveryConfig, FetchConfig, HookMetrics, HooksConfig, InvalidHooks,
    NotifyConfig, SignArtifact, SignFailure, WantedSignature, WebhookConfig, Webhooks,
    WebhooksParts,
};

/// The secret of every webhook and target here.
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The token of every forge here.
pub(super) const TOKEN: &str = "ghp_0123456789abcdefghij";

/// When the tests begin.
pub(super) fn start() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// The sections of webhooks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sections {
    /// Those that come in.
    webhooks: BTreeMap<String, WebhookConfig>,
    /// From where files are fetched.
    fetch: FetchConfig,
    /// Those that go out.
    notify: BTreeMap<String, NotifyConfig>,
    /// How they are delivered.
    delivery: DeliveryConfig,
}

impl Sections {
    /// Reads them.
    pub(super) fn read(toml: &str) -> Self {
        toml::from_str(toml).unwrap()
    }

    /// Checks them; `release` is the one profile there is.
    pub(super) fn check(&self) -> Result<CheckedHooks, InvalidHooks> {
        HooksConfig {
            webhooks: &self.webhooks,
            fetch: &self.fetch,
            notify: &self.notify,
            delivery: &self.delivery,
        }
        .check(&|profile| profile.as_str() == "release")
    }
}

/// A signing core that records what it was asked in the real store.
#[derive(Debug)]
pub(super) struct Core {
    /// The store.
    store: Arc<dyn SigningStore>,
    /// What it was asked.
    pub(super) asked: Mutex<Vec<WantedSignature>>,
    /// What it refuses with, in turn.
    pub(super) refusals: Mutex<Vec<SignFailure>>,
}

#[async_trait]
impl SignArtifact for Core {
    fn hashes(&self, _: &SigningProfileName) -> Vec<HashAlgorithm> {
        vec![HashAlgorithm::Sha256]
    }

    async fn sign_artifact(&self, wanted: WantedSignature) -> Result<SignatureId, SignFailure> {
        let refusal = self.refusals.lock().unwrap().pop();
        self.asked.lock().unwrap().push(wanted.clone());
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let mut random = [0; 10];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        let id = SignatureId::new(start(), random);
        let begun = self
            .store
            .begin(NewSignature {
                id,
                signer: SignerLabel::new(&format!("webhook/{}", wanted.hook)).unwrap(),
                idempotency: Some((wanted.idempotency, [7; 32])),
                profile: wanted.profile,
                request_id: wanted.request_id,
                digests: wanted.digests,
                name: Some(wanted.name),
                media_type: None,
                builder: None,
                verdict_json: Bytes::from_static(b"{}"),
                facts_json: Bytes::from_static(b"{}"),
                to_be_signed: Vec::new(),
                documents: BTreeMap::new(),
                room: 1000,
                at: start(),
            })
            .await
            .unwrap();
        match begun {
            store::signing::Begun::New => {}
            store::signing::Begun::Repeated(record) => return Ok(record.id),
            other => panic!("{other:?}"),
        }
        let document = |media_type: &str, text: String| {
            Document::new(MediaType::new(media_type).unwrap(), Bytes::from(text))
        };
        let documents = BTreeMap::from([
            (
                DocumentKind::Signature,
                document("application/octet-stream", format!("signature {id}")),
            ),
            (
                DocumentKind::Bundle,
                document("application/json", format!("{{\"bundle\":\"{id}\"}}")),
            ),
        ]);
        let signed = Signed {
            documents,
            answer_json: Bytes::from_static(b"{}"),
            deliveries: Vec::new(),
            at: start(),
        };
        self.store.complete(&id, signed).await.unwrap();
        Ok(id)
    }
}

/// Where everything of a service is kept, from one start to the next.
pub(super) struct House {
    /// Files and store.
    directory: TempDir,
    /// DNS.
    pub(super) names: NameServer,
    /// The CA of the outside world.
    pub(super) world: World,
    /// The time.
    pub(super) clock: Arc<ManualClock>,
}

/// A service that was started.
pub(super) struct Running {
    /// The webhooks.
    pub(super) webhooks: Arc<Webhooks>,
    /// Both queues.
    pub(super) store: Arc<dyn SigningStore>,
    /// The signing core.
    pub(super) core: Arc<Core>,
    /// The time.
    clock: Arc<ManualClock>,
    /// Everything that is counted.
    registry: Registry,
    /// The workers.
    workers: Option<JoinHandle<()>>,
}

impl House {
    /// Makes an empty one.
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World::new();
        fs::write(directory.path().join("ca.pem"), world.pem()).unwrap();
        for (name, text) in [("secret", SECRET), ("token", TOKEN)] {
            write_secret(&directory.path().join(name), text);
        }
        Self {
            directory,
            names: NameServer::start().await,
            world,
            clock: Arc::new(ManualClock::at(start())),
        }
    }

    /// Returns the source of a secret.
    pub(super) fn secret(&self, name: &str) -> String {
        format!("file:{}", self.directory.path().join(name).display())
    }

    /// Writes another secret.
    pub(super) fn write_secret(&self, name: &str, text: &str) {
        write_secret(&self.directory.path().join(name), text);
    }

    /// Writes `[fetch]` for hosts at 127.0.0.1; the token is the first one's.
    pub(super) fn fetch(&self, origins: &[String]) -> String {
        let mut text = format!(
            "[fetch]\nca_file = {:?}\nidle_timeout = '2s'\nconnect_timeout = '2s'\n\
             addresses = {{ public = false, allow = ['127.0.0.1/32'] }}\n\
             dns = {{ servers = [{:?}], timeout = '500ms', attempts = 1 }}\n",
            self.directory.path().join("ca.pem"),
            self.names.config().servers[0],
        );
        for (number, origin) in origins.iter().enumerate() {
            write!(text, "[fetch.hosts.h{number}]\norigin = {origin:?}\n").unwrap();
            if number == 0 {
                writeln!(text, "token = {:?}", self.secret("token")).unwrap();
            }
        }
        text
    }

    /// Starts a service, its workers too; whoever ran here before must have stopped.
    pub(super) async fn start(&self, toml: &str) -> Running {
        let mut running = self.open(toml).await;
        running.work();
        running
    }

    /// Starts a service without workers.
    pub(super) async fn open(&self, toml: &str) -> Running {
        let config = Sections::read(toml).check().unwrap();
        let store = self.store().await;
        let metrics = HookMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let webhooks = Webhooks::open(WebhooksParts {
            config,
            store: Arc::clone(&store),
            clock: Arc::clone(&self.clock) as _,
            metrics,
        })
        .unwrap();
        webhooks.announce("https://signing.test/");
        let core = Arc::new(Core {
            store: Arc::clone(&store),
            asked: Mutex::default(),
            refusals: Mutex::default(),
        });
        Running {
            webhooks,
            store,
            core,
            clock: Arc::clone(&self.clock),
            registry,
            workers: None,
        }
    }

    /// Opens the store, once whoever had it before has let it go.
    async fn store(&self) -> Arc<dyn SigningStore> {
        let config = StoreConfig {
            segment_mib: 1,
            min_free_mib: 0,
            ..StoreConfig::at(self.directory.path().join("signing"))
        };
        let opening = async {
            loop {
                let metrics = SigningStoreMetrics::default();
                match SigningRecords::open(&config, SigningOptions::default(), metrics) {
                    Ok(store) => return Arc::new(store) as Arc<dyn SigningStore>,
                    Err(store::Error::Locked { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), opening)
            .await
            .unwrap()
    }
}

/// Writes a secret as only its owner reads it.
fn write_secret(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Running {
    /// Starts the workers.
    pub(super) fn work(&mut self) {
        let webhooks = Arc::clone(&self.webhooks);
        let core = Arc::clone(&self.core);
        self.workers = Some(tokio::spawn(async move { webhooks.work(core).await }));
    }

    /// Ends everything where it stands, as a killed process does.
    pub(super) async fn kill(self) {
        if let Some(workers) = self.workers {
            workers.abort();
            let _ended = workers.await;
        }
    }

    /// Moves the time, and has the queues looked at.
    pub(super) fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.webhooks.look();
    }

    /// Takes an event as if a webhook had brought it.
    pub(super) async fn accept(
        &self,
        hook: &str,
        event: &str,
        payload: &serde_json::Value,
    ) -> EventId {
        use super::inbound::{Sent, receive};
        let sent = Sent::github(event, "d-1", payload);
        match receive(self, hook, &sent).await {
            Ok(crate::webhooks::receive::Received::Accepted { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until an event is as a condition wants it.
    pub(super) async fn event_until(
        &self,
        id: &EventId,
        is: impl Fn(&EventRecord) -> bool,
    ) -> Arc<EventRecord> {
        let mut last = None;
        let waiting = async {
            loop {
                let event = self.store.event(id).await.unwrap().unwrap();
                if is(&event) {
                    return event;
                }
                last = Some(event);
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        ended.unwrap_or_else(|_| panic!("the event stays {last:?}"))
    }

    /// Waits until an event ended, and returns why it failed, or nothing.
    pub(super) async fn ended(&self, id: &EventId) -> Result<serde_json::Value, String> {
        let ended = self
            .event_until(id, |event| {
                !matches!(event.state, EventState::Waiting { .. })
            })
            .await;
        match &ended.state {
            EventState::Done { detail_json, .. } => {
                Ok(serde_json::from_slice(detail_json).unwrap())
            }
            EventState::Failed { error, .. } => Err(error.to_string()),
            EventState::Waiting { .. } => unreachable!("it ended"),
        }
    }

    /// Waits until an event was put off, and returns why.
    pub(super) async fn put_off(&self, id: &EventId) -> String {
        let waiting = self
            .event_until(id, |event| {
                matches!(event.state, EventState::Waiting { error: Some(_), .. })
            })
            .await;
        match &waiting.state {
            EventState::Waiting {
                error: Some(error), ..
            } => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Writes the metrics.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Waits until the metrics have a line.
    pub(super) async fn counted(&self, line: &str) {
        let waiting = async {
            while !self.metrics().lines().any(|own| own == line) {
                tokio::task::yield_now().await;
            }
        };
        let counted = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(counted.is_ok(), "{line} is not in {}", self.metrics());
    }

    /// Returns the time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A request's id.
pub(super) fn request_id() -> RequestId {
    RequestId::new("r-1").unwrap()
}
