//! Results posted back: files of a release, a commit's status, links, callbacks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::signing::EventId;
use secrecy::SecretString;
use serde_json::{Value, json};
use store::signing::DeliveryState;

use super::forge::{Asked, Forge, Reply};
use super::house::{House, Running, SECRET, TOKEN};
use super::inbound::{Sent, receive, release, sha256};
use crate::webhooks::receive::Received;
use crate::webhooks::signature::{SharedKey, verify_standard};

/// The artifact.
const ARTIFACT: &str = "the product, packed";

/// A commit.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a forge keeps, by name: state and octets.
type Files = Arc<Mutex<BTreeMap<String, (&'static str, Vec<u8>)>>>;

/// Answers as GitHub does, for one release.
fn github(asked: &Asked, files: &Files) -> Reply {
    assert_eq!(asked.field("authorization"), format!("Bearer {TOKEN}"));
    let release = "/repos/acme/product/releases/4711/assets";
    let mut files = files.lock().unwrap();
    let (method, path) = asked.line.split_once(' ').unwrap();
    match (method, path) {
        ("GET", path) if path == format!("/api{release}?per_page=100&page=1") => {
            let listed: Vec<Value> = files
                .iter()
                .map(|(name, (state, octets))| {
                    json!({
                        "id": 99, "name": name, "state": state, "size": octets.len(),
                        "digest": sha256(octets),
                    })
                })
                .collect();
            Reply::json(200, &listed.into())
        }
        ("POST", path) if path.starts_with(&format!("/uploads{release}?name=")) => {
            let (_, name) = path.split_once("?name=").unwrap();
            if files.contains_key(name) {
                return Reply::json(422, &json!({ "errors": [{ "code": "already_exists" }] }));
            }
            files.insert(name.to_owned(), ("uploaded", asked.body.clone()));
            Reply::json(201, &json!({ "id": 100 }))
        }
        ("DELETE", "/api/repos/acme/product/releases/assets/99") => {
            files.retain(|_, (state, _)| *state == "uploaded");
            Reply::new(204, "")
        }
        ("GET", "/api/repos/acme/product/commits/v1.2.3") => {
            assert_eq!(asked.field("accept"), "application/vnd.github.sha");
            Reply::new(200, COMMIT)
        }
        ("POST", path) if path == format!("/api/repos/acme/product/statuses/{COMMIT}") => {
            files.insert("status".to_owned(), ("uploaded", asked.body.clone()));
            Reply::json(201, &json!({}))
        }
        ("GET", "/repos/acme/product/releases/assets/1") => Reply::new(200, ARTIFACT),
        _ => Reply::new(404, asked.line.clone()),
    }
}

/// Starts a service whose rule posts reports, and a forge that takes them.
async fn service(
    answer: impl Fn(&Asked, &Files) -> Reply + Send + Sync + 'static,
    kind: &str,
    reports: &dyn Fn(&House, &str) -> String,
) -> (House, Forge, Files, Running, String) {
    let house = House::new().await;
    house.names.address_records("forge.test", &["127.0.0.1"]);
    let files: Files = Arc::default();
    let kept = Arc::clone(&files);
    let forge = Forge::start(&house.world, &["forge.test"], move |asked| {
        answer(asked, &kept)
    })
    .await;
    let origin = format!("https://forge.test:{}", forge.port());
    let toml = format!(
        "{}\n[webhooks.hub]\nkind = '{kind}'\nsecrets = [{:?}]\naddresses = ['0.0.0.0/0']\n\
         [webhooks.hub.rules.product]\nprofile = 'release'\n\
         events = ['release', 'Release Hook']\n{}\n",
        house.fetch(std::slice::from_ref(&origin)),
        house.secret("secret"),
        reports(&house, &origin),
    );
    let running = house.start(&toml).await;
    (house, forge, files, running, origin)
}

/// Waits until all deliveries ended, and returns how.
async fn all_ended(running: &Running, count: usize) -> Vec<DeliveryState> {
    let waiting = async {
        loop {
            let all = running.store.deliveries(None, None, 100).await.unwrap();
            let waits = |state: &DeliveryState| matches!(state, DeliveryState::Waiting { .. });
            if all.items.len() == count && !all.items.iter().any(|one| waits(&one.state)) {
                return all.items.iter().map(|one| one.state.clone()).collect();
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await {
        Ok(states) => states,
        Err(_) => panic!("{:?}", running.store.deliveries(None, None, 100).await),
    }
}

/// Takes a release of the artifact and waits for its end.
async fn signed(running: &Running, origin: &str) -> (EventId, Value) {
    let payload = release(origin, Some(&sha256(ARTIFACT)));
    let id = running.accept("hub", "release", &payload).await;
    let result = running.ended(&id).await.unwrap();
    (id, result)
}

#[tokio::test]
async fn signature_and_bundle_become_files_of_githubs_release_and_a_status() {
    let reports = |house: &House, origin: &str| {
        let token = house.secret("token");
        format!(
            "[webhooks.hub.rules.product.reports.files]\nkind = 'github-release'\n\
             url = '{origin}/api'\nuploads_url = '{origin}/uploads/'\ntoken = {token:?}\n\
             files = ['signature', 'bundle', 'cms']\n\
             [webhooks.hub.rules.product.reports.status]\nkind = 'github-status'\n\
             url = '{origin}/api'\ntoken = {token:?}\n"
        )
    };
    let (_house, forge, files, running, origin) = service(github, "github", &reports).await;
    let (_, result) = signed(&running, &origin).await;
    let id = result["signatures"][0]["id"].as_str().unwrap().to_owned();
    for state in all_ended(&running, 2).await {
        assert!(
            matches!(state, DeliveryState::Delivered { .. }),
            "{state:?}"
        );
    }
    let files = files.lock().unwrap().clone();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    // There is no CMS signature, and so no file of it.
    assert_eq!(
        names,
        ["product.tar.gz.bundle.json", "product.tar.gz.sig", "status"]
    );
    assert_eq!(
        files["product.tar.gz.sig"].1,
        format!("signature {id}").into_bytes()
    );
    let status: Value = serde_json::from_slice(&files["status"].1).unwrap();
    assert_eq!(
        status,
        json!({
            "state": "success",
            "context": "chancery/signed",
            "description": "1 artifact is signed",
        })
    );
    let uploads: Vec<Asked> = forge
        .asked()
        .into_iter()
        .filter(|asked| asked.line.contains("/uploads/"))
        .collect();
    assert_eq!(uploads.len(), 2);
    assert_eq!(uploads[0].field("x-github-api-version"), "2022-11-28");
    assert_eq!(uploads[0].field("content-type"), "application/octet-stream");
}

#[tokio::test]
async fn a_report_that_broke_off_goes_on_where_it_was() {
    let uploads = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&uploads);
    let answer = move |asked: &Asked, files: &Files| {
        let reply = github(asked, files);
        if asked.line.contains("/uploads/") {
            let mut uploads = counted.lock().unwrap();
            *uploads += 1;
            match *uploads {
                // Taken, and the answer lost.
                1 => return reply.cut(20),
                // Half of it arrived.
                2 => {
                    let mut files = files.lock().unwrap();
                    for (state, octets) in files.values_mut() {
                        if octets.starts_with(b"{") {
                            *state = "starter";
                            octets.clear();
                        }
                    }
                    return Reply::new(502, "");
                }
                _ => {}
            }
        }
        reply
    };
    let reports = |house: &House, origin: &str| {
        format!(
            "[webhooks.hub.rules.product.reports.files]\nkind = 'github-release'\n\
             url = '{origin}/api'\nuploads_url = '{origin}/uploads'\ntoken = {:?}\n",
            house.secret("token")
        )
    };
    let (_house, forge, files, running, origin) = service(answer, "github", &reports).await;
    signed(&running, &origin).await;
    let id = {
        let all = running.store.deliveries(None, None, 10).await.unwrap();
        all.items[0].id
    };
    for attempts in 1..3 {
        let waiting = async {
            while running.store.delivery(&id).await.unwrap().unwrap().attempts != attempts {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
            .await
            .unwrap();
        running.advance(60);
    }
    let states = all_ended(&running, 1).await;
    assert!(
        matches!(states[0], DeliveryState::Delivered { .. }),
        "{states:?}"
    );
    // The signature was posted once, the bundle again after its rest was removed.
    assert_eq!(*uploads.lock().unwrap(), 3);
    let removed = forge
        .asked()
        .iter()
        .filter(|asked| asked.line.starts_with("DELETE"))
        .count();
    assert_eq!(removed, 1);
    let files = files.lock().unwrap();
    assert!(files.values().all(|(state, _)| *state == "uploaded"));
    assert_eq!(files.len(), 2);
}

#[tokio::test]
async fn a_file_of_somebody_else_is_not_replaced() {
    let reports = |house: &House, origin: &str| {
        format!(
            "[webhooks.hub.rules.product.reports.files]\nkind = 'github-release'\n\
             url = '{origin}/api'\nuploads_url = '{origin}/uploads'\ntoken = {:?}\n",
            house.secret("token")
        )
    };
    let (_house, _forge, files, running, origin) = service(github, "github", &reports).await;
    let own = ("uploaded", b"by hand".to_vec());
    files
        .lock()
        .unwrap()
        .insert("product.tar.gz.sig".to_owned(), own.clone());
    signed(&running, &origin).await;
    let states = all_ended(&running, 1).await;
    let DeliveryState::Dead { error, .. } = &states[0] else {
        panic!("{states:?}");
    };
    assert!(error.contains("which is not replaced"), "{error}");
    assert_eq!(files.lock().unwrap()["product.tar.gz.sig"], own);
}

#[tokio::test]
async fn a_failure_is_told_by_status_callback_and_message() {
    let answer = |asked: &Asked, files: &Files| match asked.line.as_str() {
        "GET /repos/acme/product/releases/assets/1" => Reply::new(200, "altered"),
        "POST /callback" | "POST /chat" => Reply::new(200, ""),
        _ => github(asked, files),
    };
    let reports = |house: &House, origin: &str| {
        let (token, secret) = (house.secret("token"), house.secret("secret"));
        format!(
            "[webhooks.hub.rules.product.reports.files]\nkind = 'github-release'\n\
             url = '{origin}/api'\nuploads_url = '{origin}/uploads'\ntoken = {token:?}\n\
             [webhooks.hub.rules.product.reports.status]\nkind = 'github-status'\n\
             url = '{origin}/api'\ntoken = {token:?}\n\
             [webhooks.hub.rules.product.reports.call]\nurl = '{origin}/callback'\n\
             secrets = [{secret:?}]\n\
             [notify.chat]\nurl = '{origin}/chat'\nsecrets = [{secret:?}]\n"
        )
    };
    let (_house, forge, files, running, origin) = service(answer, "github", &reports).await;
    let payload = release(&origin, Some(&sha256(ARTIFACT)));
    let id = running.accept("hub", "release", &payload).await;
    running.ended(&id).await.unwrap_err();
    for state in all_ended(&running, 3).await {
        assert!(
            matches!(state, DeliveryState::Delivered { .. }),
            "{state:?}"
        );
    }
    let files = files.lock().unwrap().clone();
    let status: Value = serde_json::from_slice(&files["status"].1).unwrap();
    assert_eq!(status["state"], "failure");
    assert!(
        status["description"]
            .as_str()
            .unwrap()
            .starts_with("not signed: artifact_digest_mismatch"),
        "{status}"
    );
    for path in ["POST /callback", "POST /chat"] {
        let asked = forge.asked();
        let asked = asked.iter().find(|asked| asked.line == path).unwrap();
        let body = asked.json();
        assert_eq!(body["type"], "event.failed", "{path}");
        assert_eq!(body["data"]["event"], id.to_string());
        assert_eq!(body["data"]["rule"], "product");
        assert_eq!(body["data"]["code"], "artifact_digest_mismatch");
    }
}

#[tokio::test]
async fn a_callback_names_signatures_and_where_to_get_them() {
    let answer = |asked: &Asked, _: &Files| match asked.line.as_str() {
        "POST /callback" => Reply::new(204, ""),
        _ => Reply::new(200, ARTIFACT),
    };
    let reports = |house: &House, origin: &str| {
        format!(
            "[webhooks.hub.rules.product.reports.call]\nkind = 'callback'\n\
             url = '{origin}/callback'\nsecrets = [{:?}]\n",
            house.secret("secret")
        )
    };
    let (_house, forge, _, running, origin) = service(answer, "github", &reports).await;
    let (event, result) = signed(&running, &origin).await;
    all_ended(&running, 1).await;
    let asked = forge.asked();
    let asked = asked
        .iter()
        .find(|asked| asked.line == "POST /callback")
        .unwrap();
    let key = SharedKey::of_standard(&SecretString::from(SECRET)).unwrap();
    let verified = verify_standard(
        &[key],
        asked.field("webhook-id"),
        asked.field("webhook-timestamp"),
        asked.field("webhook-signature"),
        &asked.body,
        running.now(),
    );
    assert_eq!(verified, Ok(()));
    let body = asked.json();
    let id = result["signatures"][0]["id"].as_str().unwrap();
    assert_eq!(body["type"], "event.signed");
    assert_eq!(body["data"]["event"], event.to_string());
    assert_eq!(body["data"]["delivery"], "d-1");
    assert_eq!(
        body["data"]["signatures"][0],
        json!({
            "name": "product.tar.gz",
            "artifactHash": sha256(ARTIFACT),
            "id": id,
            "url": format!("https://signing.test/v1/signatures/{id}"),
            "signatureURL": format!("https://signing.test/v1/signatures/{id}/signature"),
            "bundleURL": format!("https://signing.test/v1/signatures/{id}/bundle"),
        })
    );
}

/// Answers as GitLab does, for one project.
fn gitlab(asked: &Asked, files: &Files) -> Reply {
    if asked.line == "GET /app" {
        return Reply::new(200, ARTIFACT);
    }
    if asked.line == "GET /sums" {
        let digest = sha256(ARTIFACT);
        return Reply::new(200, format!("{}  app\n", &digest["sha256:".len()..]));
    }
    assert_eq!(asked.field("private-token"), TOKEN);
    let mut files = files.lock().unwrap();
    let links = "/api/v4/projects/7/releases/v1%2F2/assets/links";
    let (method, path) = asked.line.split_once(' ').unwrap();
    match (method, path) {
        ("GET", path) if path == format!("{links}?per_page=100") => {
            let listed: Vec<Value> = files
                .iter()
                .filter(|(name, _)| !name.starts_with('/'))
                .map(
                    |(name, (_, url))| json!({ "name": name, "url": String::from_utf8_lossy(url) }),
                )
                .collect();
            Reply::json(200, &listed.into())
        }
        ("PUT", path) if path.starts_with("/api/v4/projects/7/packages/generic/") => {
            files.insert(path.to_owned(), ("", asked.body.clone()));
            Reply::json(201, &json!({}))
        }
        ("POST", path) if path == links => {
            let link = asked.json();
            let url = link["url"].as_str().unwrap().as_bytes().to_vec();
            files.insert(link["name"].as_str().unwrap().to_owned(), ("", url));
            Reply::json(201, &json!({}))
        }
        _ => Reply::new(404, asked.line.clone()),
    }
}

#[tokio::test]
async fn at_gitlab_files_of_a_package_are_linked_from_the_release() {
    let reports = |house: &House, origin: &str| {
        format!(
            "artifacts = {{ checksums = 'SHA256SUMS', digest_from = ['checksums'] }}\n\
             [webhooks.hub.rules.product.reports.files]\nkind = 'gitlab-release'\n\
             url = '{origin}/api/v4'\ntoken = {:?}\nfiles = ['bundle']\n",
            house.secret("token")
        )
    };
    let (_house, _forge, files, running, origin) = service(gitlab, "gitlab", &reports).await;
    let payload = json!({
        "object_kind": "release", "tag": "v1/2", "project": { "id": 7 },
        "assets": { "links": [
            { "name": "app", "url": format!("{origin}/app") },
            { "name": "SHA256SUMS", "url": format!("{origin}/sums") },
        ] },
    });
    let sent = Sent::gitlab("Release Hook", SECRET, &payload);
    let Ok(Received::Accepted { id, .. }) = receive(&running, "hub", &sent).await else {
        panic!("it is accepted");
    };
    running.ended(&id).await.unwrap();
    let states = all_ended(&running, 1).await;
    assert!(
        matches!(states[0], DeliveryState::Delivered { .. }),
        "{states:?}"
    );
    let files = files.lock().unwrap().clone();
    let package = "/api/v4/projects/7/packages/generic/signatures/v1-2/app.bundle.json";
    assert!(files[package].1.starts_with(b"{\"bundle\""));
    assert_eq!(
        String::from_utf8_lossy(&files["app.bundle.json"].1),
        format!("{origin}{package}")
    );
}
