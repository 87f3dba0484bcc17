//! What comes in: genuine, forged, replayed, stale, and what cannot be worked on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aws_lc_rs::hmac;
use model::Identity;
use model::signing::WebhookName;
use serde_json::{Value, json};

use super::house::{House, Running, SECRET, request_id, start};
use crate::webhooks::authenticate::{Message, Refused};
use crate::webhooks::receive::{NotReceived, Received};
use crate::webhooks::signature::SharedKey;

/// A message as a sender made it.
pub(super) struct Sent {
    /// Header fields.
    fields: BTreeMap<String, String>,
    /// The body.
    body: Vec<u8>,
    /// The address it comes from.
    client: IpAddr,
    /// Whose certificate it comes with.
    peer: Option<Identity>,
}

impl Sent {
    /// A message of GitHub.
    pub(super) fn github(event: &str, delivery: &str, payload: &Value) -> Self {
        let body = payload.to_string().into_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = hex::encode(hmac::sign(&key, &body));
        Self::new(body)
            .field("x-github-event", event)
            .field("x-github-delivery", delivery)
            .field("x-hub-signature-256", &format!("sha256={tag}"))
    }

    /// A message of GitLab.
    pub(super) fn gitlab(event: &str, token: &str, payload: &Value) -> Self {
        Self::new(payload.to_string().into_bytes())
            .field("x-gitlab-event", event)
            .field("x-gitlab-token", token)
            .field(
                "x-gitlab-event-uuid",
                "13792a34-cac6-4fda-95a8-c58e00a3954e",
            )
    }

    /// A message of Standard Webhooks.
    fn standard(secret: &str, id: &str, second: i64, payload: &Value) -> Self {
        let body = payload.to_string().into_bytes();
        let key = SharedKey::of_standard(&secret.into()).unwrap();
        let signature = key.sign(id, second, &body);
        Self::new(body)
            .field("webhook-id", id)
            .field("webhook-timestamp", &second.to_string())
            .field("webhook-signature", &signature)
    }

    /// A message that proves nothing.
    fn new(body: Vec<u8>) -> Self {
        Self {
            fields: BTreeMap::new(),
            body,
            client: [192, 0, 2, 7].into(),
            peer: None,
        }
    }

    /// Sets a field.
    pub(super) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Puts it on a request.
    pub(super) fn onto(self, mut request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        for (name, value) in self.fields {
            request = request.header(name, value);
        }
        request.body(self.body)
    }

    /// Takes a field away.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.fields.remove(name);
        self
    }

    /// Comes from an address.
    fn from(mut self, address: &str) -> Self {
        self.client = address.parse().unwrap();
        self
    }
}

/// Has a message received.
pub(super) async fn receive(
    running: &Running,
    hook: &str,
    sent: &Sent,
) -> Result<Received, NotReceived> {
    let webhooks = &running.webhooks;
    let name = WebhookName::new(hook).unwrap();
    let header = |name: &str| sent.fields.get(name).map(String::as_str);
    let message = Message {
        header: &header,
        body: &sent.body,
        client: sent.client,
        peer: sent.peer.as_ref(),
        now: running.now(),
    };
    let hook = webhooks.hooks.get(&name).unwrap();
    webhooks.receive(&name, hook, &message, request_id()).await
}

/// The release that GitHub tells of; one artifact at `origin`.
pub(super) fn release(origin: &str, digest: Option<&str>) -> Value {
    json!({
        "action": "published",
        "repository": { "full_name": "acme/product", "private": false },
        "release": {
            "id": 4711,
            "tag_name": "v1.2.3",
            "assets": [{
                "name": "product.tar.gz",
                "url": format!("{origin}/repos/acme/product/releases/assets/1"),
                "digest": digest,
            }],
        },
    })
}

/// SHA-256 of `text`.
pub(super) fn sha256(text: impl AsRef<[u8]>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_ref());
    format!("sha256:{}", hex::encode(digest))
}

/// The webhooks of these tests: one of each kind.
fn webhooks(house: &House) -> String {
    let secret = house.secret("secret");
    let rule = "profile = 'release'\nevents = ['release', 'Release Hook', 'artifact.published']\n";
    format!(
        "{}
[webhooks.hub]
kind = 'github'
secrets = [{secret:?}]
[webhooks.hub.rules.product]
{rule}
when = [
  {{ pointer = '/action', one_of = ['published', 'released'] }},
  {{ pointer = '/repository/full_name', equals = 'acme/product' }},
  {{ pointer = '/repository/private', equals = false }},
  {{ pointer = '/release/tag_name', matches = 'v*' }},
]
[webhooks.lab]
kind = 'gitlab'
secrets = [{secret:?}]
addresses = ['192.0.2.0/24']
[webhooks.lab.rules.product]
{rule}
artifacts = {{ checksums = 'SHA256SUMS', digest_from = ['checksums'] }}
[webhooks.other]
secrets = [{secret:?}, {:?}]
[webhooks.other.rules.product]
{rule}
",
        house.fetch(&["https://forge.test".to_owned()]),
        house.secret("older"),
    )
}

/// Starts a service of them, without workers.
async fn service() -> (House, Running) {
    let house = House::new().await;
    house.write_secret("older", "an-older-secret-of-ours");
    let running = house.open(&webhooks(&house)).await;
    (house, running)
}

/// What a message of Standard Webhooks tells.
fn published() -> Value {
    json!({
        "type": "artifact.published",
        "timestamp": "2026-06-01T00:00:00Z",
        "data": { "artifacts": [{
            "name": "app", "url": "https://forge.test/app", "digest": sha256("app"),
        }] },
    })
}

#[tokio::test]
async fn a_genuine_message_of_each_kind_starts_its_rule() {
    let (_house, running) = service().await;
    let links = json!({
        "object_kind": "release", "tag": "v1", "project": { "id": 7 },
        "assets": { "links": [
            { "name": "app", "url": "https://forge.test/app" },
            { "name": "SHA256SUMS", "url": "https://forge.test/sums" },
        ] },
    });
    let digest = sha256("app");
    for (hook, sent) in [
        (
            "hub",
            Sent::github(
                "release",
                "d-1",
                &release("https://forge.test", Some(&digest)),
            ),
        ),
        ("lab", Sent::gitlab("Release Hook", SECRET, &links)),
        (
            "other",
            Sent::standard(SECRET, "msg_1", start().as_second(), &published()),
        ),
    ] {
        let received = receive(&running, hook, &sent).await.unwrap();
        let Received::Accepted { id, rule } = received else {
            panic!("{hook}: {received:?}");
        };
        assert_eq!(rule.as_str(), "product");
        let event = running.store.event(&id).await.unwrap().unwrap();
        assert_eq!(event.hook.as_str(), hook);
        assert_eq!(running.store.next_event_due(), Some(start()));
    }
    assert_eq!(running.store.status().events_waiting, 3);
}

#[tokio::test]
async fn the_same_delivery_again_is_answered_with_the_first_event() {
    let (_house, running) = service().await;
    let digest = sha256("app");
    let payload = release("https://forge.test", Some(&digest));
    let first = Sent::github("release", "d-1", &payload);
    let Ok(Received::Accepted { id, .. }) = receive(&running, "hub", &first).await else {
        panic!("the first is accepted");
    };
    // GitHub's id is not under its signature: what counts is the body.
    let renamed = Sent::github("release", "d-2", &payload);
    for again in [first, renamed] {
        let again = receive(&running, "hub", &again).await.unwrap();
        assert_eq!(again, Received::Duplicate { id });
    }
    assert_eq!(running.store.status().events_waiting, 1);
}

#[tokio::test]
async fn a_deliverys_id_with_another_body_is_a_replay() {
    let (_house, running) = service().await;
    let first = Sent::standard(SECRET, "msg_1", start().as_second(), &published());
    let Ok(Received::Accepted { id, .. }) = receive(&running, "other", &first).await else {
        panic!("the first is accepted");
    };
    let mut other = published();
    other["data"]["artifacts"][0]["name"] = "other".into();
    let second = Sent::standard(SECRET, "msg_1", start().as_second(), &other);
    let refused = receive(&running, "other", &second).await.unwrap_err();
    assert!(
        matches!(refused, NotReceived::Replayed { id: first, .. } if first == id),
        "{refused}"
    );
    assert_eq!(running.store.status().events_waiting, 1);
}

#[tokio::test]
async fn forged_messages_leave_nothing_behind() {
    let (_house, running) = service().await;
    let digest = sha256("app");
    let genuine = || {
        Sent::github(
            "release",
            "d-1",
            &release("https://forge.test", Some(&digest)),
        )
    };
    let mut changed = genuine();
    changed.body.push(b' ');
    let second = start().as_second();
    let old = Sent::standard(SECRET, "msg_1", second, &published());
    let other_secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (hook, sent) in [
        ("hub", changed),
        ("hub", genuine().field("x-hub-signature-256", "sha256=00")),
        (
            "lab",
            Sent::gitlab("Release Hook", "another-token-of-16", &json!({})),
        ),
        (
            "other",
            Sent::standard(other_secret, "msg_1", second, &published()),
        ),
        ("other", old.field("webhook-id", "msg_2")),
        (
            "other",
            Sent::standard(SECRET, "msg_1", second, &published())
                .field("webhook-timestamp", &(second + 1).to_string()),
        ),
    ] {
        let refused = receive(&running, hook, &sent).await.unwrap_err();
        assert!(
            matches!(refused, NotReceived::Refused(Refused::Forged)),
            "{refused}"
        );
    }
    assert_eq!(running.store.status().events_waiting, 0);
}

#[tokio::test]
async fn a_field_that_is_missing_or_moves_the_full_stops_is_named() {
    let (_house, running) = service().await;
    let payload = release("https://forge.test", None);
    let hub = |name: &str| Sent::github("release", "d-1", &payload).without(name);
    let second = start().as_second();
    let standard = |id: &str| Sent::standard(SECRET, id, second, &published());
    for (hook, sent, field) in [
        ("hub", hub("x-github-delivery"), "x-github-delivery"),
        ("hub", hub("x-github-event"), "x-github-event"),
        ("hub", hub("x-hub-signature-256"), "x-hub-signature-256"),
        (
            "other",
            standard("msg_1").without("webhook-id"),
            "webhook-id",
        ),
        ("other", standard("msg.1"), "webhook-id"),
    ] {
        let refused = receive(&running, hook, &sent).await.unwrap_err();
        assert!(
            matches!(refused, NotReceived::Refused(Refused::Header { name }) if name == field),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn stale_messages_are_refused_and_both_secrets_of_a_rotation_taken() {
    let (_house, running) = service().await;
    let second = start().as_second();
    for apart in [-301, 301] {
        let sent = Sent::standard(SECRET, "msg_1", second + apart, &published());
        let refused = receive(&running, "other", &sent).await.unwrap_err();
        assert_eq!(refused.outcome(), "stale", "{refused}");
    }
    for (id, secret) in [("msg_2", SECRET), ("msg_3", "an-older-secret-of-ours")] {
        let sent = Sent::standard(secret, id, second, &published());
        let received = receive(&running, "other", &sent).await.unwrap();
        assert!(matches!(received, Received::Accepted { .. }), "{id}");
    }
}

#[tokio::test]
async fn a_message_from_elsewhere_is_refused_before_its_token_is_looked_at() {
    let (_house, running) = service().await;
    for address in ["198.51.100.1", "::1"] {
        let sent = Sent::gitlab("Release Hook", SECRET, &json!({})).from(address);
        let refused = receive(&running, "lab", &sent).await.unwrap_err();
        assert_eq!(refused.outcome(), "source", "{refused}");
    }
}

#[tokio::test]
async fn what_no_rule_is_for_is_ignored_and_not_kept() {
    let (_house, running) = service().await;
    let digest = sha256("app");
    let good = release("https://forge.test", Some(&digest));
    let changed = |pointer: &str, value: Value| {
        let mut payload = good.clone();
        *payload.pointer_mut(pointer).unwrap() = value;
        payload
    };
    for (event, payload) in [
        ("ping", good.clone()),
        ("release", changed("/action", "edited".into())),
        (
            "release",
            changed("/repository/full_name", "acme/other".into()),
        ),
        (
            "release",
            changed("/repository/full_name", json!(["acme/product"])),
        ),
        ("release", changed("/repository/private", json!("false"))),
        ("release", changed("/release/tag_name", "nightly".into())),
        ("release", changed("/release/tag_name", json!(1))),
        ("release", json!([])),
    ] {
        let sent = Sent::github(event, "d-1", &payload);
        let received = receive(&running, "hub", &sent).await.unwrap();
        assert!(matches!(received, Received::Ignored { .. }), "{payload}");
    }
    assert_eq!(running.store.status().events_waiting, 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_worked_on_says_why() {
    let (_house, running) = service().await;
    let digest = sha256("app");
    let good = release("https://forge.test", Some(&digest));
    let asset = |change: &dyn Fn(&mut Value)| {
        let mut payload = good.clone();
        change(payload.pointer_mut("/release/assets").unwrap());
        payload
    };
    for (payload, says) in [
        (
            asset(&|assets| *assets = json!("none")),
            "no list of files at /release/assets",
        ),
        (
            asset(&|assets| *assets = json!([])),
            "names 0 files, none of which",
        ),
        (
            asset(&|assets| assets[0]["url"] = json!(null)),
            "no file's URL at /release/assets/…/url",
        ),
        (
            asset(&|assets| assets[0]["url"] = "http://forge.test/a".into()),
            "only https is asked",
        ),
        (
            asset(&|assets| assets[0]["url"] = "https://user:pass@forge.test/a".into()),
            "a name or a password",
        ),
        (
            asset(&|assets| assets[0]["url"] = "https://evil.test/a".into()),
            "its host is none of [signing.fetch.hosts]",
        ),
        (
            asset(&|assets| assets[0]["url"] = "https://forge.test:444/a".into()),
            "its host is none of [signing.fetch.hosts]",
        ),
        (
            asset(&|assets| assets[0]["digest"] = "sha256:00".into()),
            "is no digest",
        ),
        (
            asset(&|assets| assets[0]["digest"] = json!(null)),
            "tells no digest of",
        ),
        (
            asset(&|assets| {
                let again = assets[0].clone();
                assets.as_array_mut().unwrap().push(again);
            }),
            "names two files",
        ),
        (
            asset(&|assets| {
                let items = (0..17).map(|number| {
                    json!({
                        "name": format!("a{number}"),
                        "url": "https://forge.test/a",
                        "digest": digest,
                    })
                });
                *assets = items.collect();
            }),
            "names 17 files; at most 16",
        ),
    ] {
        let sent = Sent::github("release", "d-1", &payload);
        let refused = receive(&running, "hub", &sent).await.unwrap_err();
        assert_eq!(refused.outcome(), "unprocessable", "{refused}");
        assert!(refused.to_string().contains(says), "{refused}");
    }
    assert_eq!(running.store.status().events_waiting, 0);
}

#[tokio::test]
async fn a_genuine_message_that_is_no_json_is_refused() {
    let (_house, running) = service().await;
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for body in ["", "{", "{\"a\":1,\"a\":2}", "\u{feff}{}", &deep] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = hex::encode(hmac::sign(&key, body.as_bytes()));
        let sent = Sent::new(body.as_bytes().to_vec())
            .field("x-github-event", "release")
            .field("x-github-delivery", "d-1")
            .field("x-hub-signature-256", &format!("sha256={tag}"));
        let refused = receive(&running, "hub", &sent).await.unwrap_err();
        assert_eq!(refused.outcome(), "malformed", "{refused}");
    }
}
