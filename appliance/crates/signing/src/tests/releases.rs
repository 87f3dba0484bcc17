//! A release with no hand anywhere: a forge tells of it, the service fetches, signs, posts
//! back, and tells others.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use store::signing::{EventState, SigningStore};
use tempfile::TempDir;

use super::evidence::{ARTIFACT, artifact_hash, cyclonedx, provenance};
use super::server::TestServer;
use crate::name_server::NameServer;
use crate::webhooks::tests::forge::{Asked, Forge, Reply, World};

/// The secret of everybody here.
const SECRET: &str = "a-secret-of-thirty-two-characters";

/// A forge with one release, and everything a service needs to work with it.
struct Scene {
    /// Secrets and certificates.
    directory: TempDir,
    /// DNS.
    names: NameServer,
    /// The forge, which is who is told of signatures as well.
    forge: Forge,
    /// What was posted to it, by the request's line.
    posted: Arc<Mutex<BTreeMap<String, Asked>>>,
}

impl Scene {
    /// Sets it; the artifact at the forge is `artifact`.
    async fn new(artifact: &'static [u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World::new();
        fs::write(directory.path().join("ca.pem"), world.pem()).unwrap();
        let secret = directory.path().join("secret");
        fs::write(&secret, SECRET).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let names = NameServer::start().await;
        names.address_records("forge.test", &["127.0.0.1"]);
        let posted: Arc<Mutex<BTreeMap<String, Asked>>> = Arc::default();
        let kept = Arc::clone(&posted);
        let forge = Forge::start(&world, &["forge.test"], move |asked| {
            match asked.line.as_str() {
                "GET /assets/1" => Reply::new(200, artifact),
                "GET /assets/2" => Reply::json(200, &cyclonedx(ARTIFACT)),
                "GET /assets/3" => Reply::json(200, &provenance(ARTIFACT)),
                line if line.starts_with("GET /api/") => Reply::json(200, &json!([])),
                line => {
                    kept.lock().unwrap().insert(line.to_owned(), asked.clone());
                    Reply::json(201, &json!({}))
                }
            }
        })
        .await;
        Self {
            directory,
            names,
            forge,
            posted,
        }
    }

    /// Returns the forge's origin.
    fn origin(&self) -> String {
        format!("https://forge.test:{}", self.forge.port())
    }

    /// Writes `[signing]`, the webhook's profile with these keys.
    fn config(&self, profile: &str) -> String {
        let origin = self.origin();
        let secret = format!("file:{}", self.directory.path().join("secret").display());
        let ca = self.directory.path().join("ca.pem");
        let dns = &self.names.config().servers[0];
        format!(
            "
default_profile = 'release'
[profiles.release]
{profile}
[webhooks.product]
kind = 'github'
secrets = [{secret:?}]
[webhooks.product.rules.release]
profile = 'release'
events = ['release']
when = [{{ pointer = '/action', equals = 'published' }}]
[webhooks.product.rules.release.artifacts]
include = ['*.tar.gz']
sbom = '{{name}}.cdx.json'
provenance = '{{name}}.intoto.json'
digest_from = ['message', 'provenance']
[webhooks.product.rules.release.reports.files]
kind = 'github-release'
url = '{origin}/api'
uploads_url = '{origin}/uploads'
token = {secret:?}
[fetch]
ca_file = {ca:?}
addresses = {{ public = false, allow = ['127.0.0.1/32'] }}
dns = {{ servers = [{dns:?}] }}
[fetch.hosts.forge]
origin = {origin:?}
[notify.chat]
url = '{origin}/chat'
secrets = [{secret:?}]
"
        )
    }

    /// Returns what the forge tells of its release.
    fn message(&self) -> Value {
        let asset = |number: u8, name: &str, digest: Option<String>| {
            json!({
                "url": format!("{}/assets/{number}", self.origin()),
                "name": name,
                "digest": digest,
            })
        };
        json!({
            "action": "published",
            "repository": { "full_name": "team/app" },
            "release": { "id": 7, "tag_name": "v1.0", "assets": [
                asset(1, "app.tar.gz", Some(artifact_hash(ARTIFACT))),
                asset(2, "app.tar.gz.cdx.json", None),
                asset(3, "app.tar.gz.intoto.json", None),
            ] },
        })
    }

    /// Posts it to a service as GitHub does, and returns the event.
    async fn tell(&self, server: &TestServer) -> store::signing::EventRecord {
        let body = self.message().to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let signature = hex::encode(hmac::sign(&key, body.as_bytes()));
        let response = server
            .http(None)
            .post(format!("{}/v1/webhooks/product", server.open))
            .header("content-type", "application/json")
            .header("x-github-event", "release")
            .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
            .header("x-hub-signature-256", format!("sha256={signature}"))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 202);
        let answer: Value = response.json().await.unwrap();
        let id = answer["event"].as_str().unwrap().parse().unwrap();
        let ended = async {
            loop {
                let event = server.store.event(&id).await.unwrap().unwrap();
                if !matches!(event.state, EventState::Waiting { .. }) {
                    return (*event).clone();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .unwrap()
    }

    /// Waits until something was posted to the forge.
    async fn posted(&self, line: &str) -> Asked {
        let waiting = async {
            loop {
                if let Some(asked) = self.posted.lock().unwrap().get(line) {
                    return asked.clone();
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(30), waiting).await {
            Ok(asked) => asked,
            Err(_) => panic!("{line} is not in {:?}", self.posted.lock().unwrap().keys()),
        }
    }
}

/// Starts a service and its workers.
async fn serve(scene: &Scene, profile: &str) -> TestServer {
    let server = TestServer::start(&scene.config(profile)).await;
    let webhooks = Arc::clone(server.webhooks.as_ref().unwrap());
    let core = server.signing.for_webhooks();
    tokio::spawn(async move { webhooks.work(core).await });
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_fetched_signed_and_posted_back_with_no_hand() {
    let scene = Scene::new(ARTIFACT).await;
    let server = serve(&scene, "clients = ['webhook/product']").await;
    let event = scene.tell(&server).await;
    let EventState::Done {
        signature: Some(id),
        ..
    } = &event.state
    else {
        panic!("{event:?}");
    };

    // What the forge's release has is what the service hands out.
    let client = server.http(Some("auditor/eve"));
    let url = server.url(&format!("/v1/signatures/{id}"));
    let told: Value = client.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(told["signer"], "webhook/product");
    assert_eq!(told["artifactHash"], artifact_hash(ARTIFACT));
    for (file, document) in [("sig", "signature"), ("bundle.json", "bundle")] {
        let line = format!("POST /uploads/repos/team/app/releases/7/assets?name=app.tar.gz.{file}");
        let posted = scene.posted(&line).await;
        let response = client
            .get(format!("{url}/{document}"))
            .send()
            .await
            .unwrap();
        let handed_out = response.bytes().await.unwrap();
        assert_eq!(posted.body, handed_out, "{document}");
    }
    // The evidence came along, byte for byte.
    let response = client.get(format!("{url}/sbom")).send().await.unwrap();
    let sbom = response.bytes().await.unwrap();
    assert_eq!(sbom, cyclonedx(ARTIFACT).to_string());

    let message = scene.posted("POST /chat").await.json();
    assert_eq!(message["type"], "signature.created");
    assert_eq!(message["data"]["id"], id.to_string());
    assert_eq!(message["data"]["signer"], "webhook/product");
    assert_eq!(message["data"]["artifactName"], "app.tar.gz");
    assert!(
        message["data"]["bundleURL"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/v1/signatures/{id}/bundle")),
        "{message}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_does_not_let_the_webhook_sign_fails_the_event() {
    let scene = Scene::new(ARTIFACT).await;
    let server = serve(&scene, "clients = ['signer/*']").await;
    let event = scene.tell(&server).await;
    let EventState::Failed { error, .. } = &event.state else {
        panic!("{event:?}");
    };
    assert!(error.starts_with("profile_denied: "), "{error}");
    assert_eq!(server.store.status().counts.begun, 0);
    let message = scene.posted("POST /chat").await.json();
    assert_eq!(message["type"], "event.failed");
    assert_eq!(message["data"]["code"], "profile_denied");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_altered_at_the_forge_is_not_signed() {
    let scene = Scene::new(b"altered").await;
    let server = serve(&scene, "clients = ['webhook/product']").await;
    let event = scene.tell(&server).await;
    let EventState::Failed { error, .. } = &event.state else {
        panic!("{event:?}");
    };
    assert!(error.starts_with("artifact_digest_mismatch: "), "{error}");
    assert_eq!(server.store.status().counts.begun, 0);
    server.stop().await;
}
