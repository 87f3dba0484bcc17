//! Webhooks over HTTP: senders on both listeners, operators on the one with client
//! certificates.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mesh::{
    AdmitAll, ClientTls, Health, HttpMetrics, ListenerConfig, ListenerLimits, PeerVerifier,
    Security, Server, ServerHandle, Shared, StaplePolicy, TlsIdentity,
};
use model::{ManualClock, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use store::signing::DeliveryState;

use super::house::{House, Running, start};
use super::inbound::{Sent, release, sha256};
use crate::webhooks::http::routes;
use crate::webhooks::{Announcement, Happening};

/// A CA of this installation.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes it.
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Certifies an identity.
    fn identity(&self, peer: &str) -> Arc<TlsIdentity> {
        let uri = format!("spiffe://test.internal/{peer}");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::URI(uri.as_str().try_into().unwrap()),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        TlsIdentity::from_signing_key(
            vec![certificate.der().clone()],
            rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap(),
        )
        .unwrap()
    }
}

/// Webhooks on both listeners.
struct Served {
    /// The CA of its clients.
    authority: Authority,
    /// Where each listens.
    mesh: SocketAddr,
    /// Where the other does.
    open: SocketAddr,
    /// Stops them.
    handles: Vec<ServerHandle>,
}

impl Served {
    /// Serves.
    fn start(running: &Running) -> Self {
        let authority = Authority::new();
        let anchor = CertificateDer::from(authority.0.der().to_vec());
        let clients = PeerVerifier::new(&[anchor], Box::new(AdmitAll)).unwrap();
        let identity = authority.identity("service/signing/signing");
        let shared = Shared {
            metrics: HttpMetrics::default(),
            health: Health::new(),
            domain: TrustDomain::new("test.internal").unwrap(),
            clock: Arc::new(ManualClock::at(start())),
        };
        let config = ListenerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            limits: ListenerLimits {
                workers: 1,
                body_timeout: Duration::from_millis(300),
                shutdown_grace: Duration::from_secs(1),
                ..ListenerLimits::default()
            },
        };
        let mutual = Security::Mutual {
            identity: Arc::clone(&identity),
            clients,
        };
        let open = Security::Open { identity };
        let mut handles = Vec::new();
        let mut bind = |name, security: &Security, mesh| {
            let routes = routes(&running.webhooks, mesh);
            let server = Server::bind(name, &config, security, &shared, routes).unwrap();
            let address = server.local_addr();
            handles.push(server.handle());
            tokio::spawn(server.run());
            address
        };
        Self {
            mesh: bind("signing", &mutual, true),
            open: bind("signing-open", &open, false),
            handles,
            authority,
        }
    }

    /// Makes a client, with an identity or none.
    fn client(&self, peer: Option<&str>) -> reqwest::Client {
        let tls = ClientTls {
            anchors: vec![CertificateDer::from(self.authority.0.der().to_vec())],
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

    /// Posts a message.
    async fn post(&self, path: &str, sent: Sent, content_type: &str) -> (u16, Value) {
        let request = self
            .client(None)
            .post(format!("https://{}{path}", self.open))
            .header("content-type", content_type);
        read(sent.onto(request).send().await.unwrap()).await
    }

    /// Asks as an identity.
    async fn ask(&self, peer: &str, method: reqwest::Method, path: &str) -> (u16, Value) {
        let url = format!("https://{}{path}", self.mesh);
        let response = self.client(Some(peer)).request(method, url).send().await;
        read(response.unwrap()).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for handle in &self.handles {
            handle.stop();
        }
    }
}

/// Reads an answer.
async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["cache-control"], "no-store");
    (status, response.json().await.unwrap())
}

/// Starts a service of one webhook and one target, without workers.
async fn service() -> (House, Running, Served) {
    let house = House::new().await;
    let secret = house.secret("secret");
    let toml = format!(
        "{}\n[webhooks.hub]\nkind = 'github'\nsecrets = [{secret:?}]\nmax_body_bytes = 2000\n\
         [webhooks.hub.rules.product]\nprofile = 'release'\nevents = ['release']\n\
         [webhooks.far]\nkind = 'github'\nsecrets = [{secret:?}]\naddresses = ['192.0.2.0/24']\n\
         [webhooks.far.rules.product]\nprofile = 'release'\nevents = ['release']\n\
         [webhooks.peer]\nsecrets = [{secret:?}]\nclients = ['signer/gitlab']\n\
         [webhooks.peer.rules.product]\nprofile = 'release'\nevents = ['release']\n\
         [notify.chat]\nurl = 'https://chat.test/'\nsecrets = [{secret:?}]\n",
        house.fetch(&["https://forge.test".to_owned()]),
    );
    let running = house.open(&toml).await;
    let served = Served::start(&running);
    (house, running, served)
}

/// A genuine message.
fn genuine() -> Sent {
    let payload = release("https://forge.test", Some(&sha256("app")));
    Sent::github("release", "d-1", &payload)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_answered_202_once_it_is_durable_and_200_again() {
    let (_house, running, served) = service().await;
    let (status, body) = served
        .post(
            "/v1/webhooks/hub",
            genuine(),
            "application/json; charset=utf-8",
        )
        .await;
    assert_eq!(status, 202, "{body}");
    assert_eq!(body["status"], "accepted");
    assert_eq!(body["rule"], "product");
    let id = body["event"].as_str().unwrap().to_owned();
    let event = running.store.event(&id.parse().unwrap()).await.unwrap();
    assert!(event.is_some());
    let (status, body) = served
        .post("/v1/webhooks/hub", genuine(), "application/json")
        .await;
    assert_eq!((status, &body["event"]), (200, &json!(id)));
    assert_eq!(body["status"], "duplicate");
    let ping = Sent::github(
        "ping",
        "d-2",
        &json!({ "zen": "Keep it logically awesome." }),
    );
    let (status, body) = served
        .post("/v1/webhooks/hub", ping, "application/json")
        .await;
    assert_eq!((status, &body["status"]), (200, &json!("ignored")));
    for line in [
        "chancery_signing_webhooks_received_total{webhook=\"hub\",outcome=\"accepted\"} 1",
        "chancery_signing_webhooks_received_total{webhook=\"hub\",outcome=\"duplicate\"} 1",
        "chancery_signing_webhooks_received_total{webhook=\"hub\",outcome=\"ignored\"} 1",
    ] {
        running.counted(line).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_a_problem_and_leaves_nothing() {
    let (_house, running, served) = service().await;
    let json = "application/json";
    let hub = "/v1/webhooks/hub";
    let forged = || genuine().field("x-hub-signature-256", "sha256=00");
    let large = Sent::github("release", "d-1", &json!({ "x": "x".repeat(2000) }));
    let evil = Sent::github("release", "d-1", &release("https://evil.test", None));
    for (path, sent, content_type, status, kind) in [
        (
            "/v1/webhooks/nobody",
            genuine(),
            json,
            404,
            "webhook-unknown",
        ),
        (
            "/v1/webhooks/NO%20BODY",
            genuine(),
            json,
            404,
            "webhook-unknown",
        ),
        (hub, forged(), json, 403, "webhook-signature-invalid"),
        (
            hub,
            genuine().without("x-github-event"),
            json,
            400,
            "malformed-request",
        ),
        (
            hub,
            genuine(),
            "application/x-www-form-urlencoded",
            415,
            "unsupported-media-type",
        ),
        (hub, large, json, 413, "body-too-large"),
        (hub, evil, json, 422, "webhook-unprocessable"),
        (
            "/v1/webhooks/far",
            genuine(),
            json,
            403,
            "webhook-source-forbidden",
        ),
        (
            "/v1/webhooks/peer",
            genuine(),
            json,
            403,
            "webhook-source-forbidden",
        ),
    ] {
        let (found, body) = served.post(path, sent, content_type).await;
        assert_eq!(found, status, "{path}: {body}");
        assert_eq!(
            body["type"],
            format!("urn:chancery:problem:{kind}"),
            "{body}"
        );
        assert!(body["request_id"].is_string());
    }
    assert_eq!(running.store.status().events_waiting, 0);
    running
        .counted("chancery_signing_webhooks_received_total{webhook=\"hub\",outcome=\"forged\"} 1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_too_slowly_is_given_up() {
    let (_house, running, served) = service().await;
    let parts = futures_util::stream::unfold(0, |part: u8| async move {
        if part == 1 {
            // The rest never comes.
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, std::io::Error>("{"), part + 1))
    });
    let response = served
        .client(None)
        .post(format!("https://{}/v1/webhooks/hub", served.open))
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(parts))
        .send()
        .await
        .unwrap();
    let (status, body) = read(response).await;
    assert_eq!(status, 408, "{body}");
    running
        .counted("chancery_signing_webhooks_received_total{webhook=\"hub\",outcome=\"unread\"} 1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_queues_and_send_again_auditors_see_and_nobody_else() {
    let (_house, running, served) = service().await;
    let get = reqwest::Method::GET;
    let post = reqwest::Method::POST;
    let event = running
        .accept(
            "hub",
            "release",
            &release("https://forge.test", Some(&sha256("app"))),
        )
        .await;
    let announcement = Announcement {
        happening: Happening::SignatureCreated,
        at: start(),
        data: json!({ "id": "sig-1" }),
    };
    let delivery = running.webhooks.messages_of(&announcement);
    let id = delivery[0].id;
    running.store.enqueue_deliveries(delivery).await.unwrap();

    let (status, body) = served
        .ask(
            "auditor/eve",
            get.clone(),
            "/v1/webhooks/events?state=waiting&limit=5",
        )
        .await;
    assert_eq!(status, 200, "{body}");
    let item = &body["items"][0];
    assert_eq!(item["id"], event.to_string());
    assert_eq!(item["webhook"], "hub");
    assert_eq!(item["rule"], "product");
    assert_eq!(item["event"], "release");
    assert_eq!(item["delivery"], "d-1");
    assert_eq!(item["state"], "waiting");
    let path = format!("/v1/webhooks/events/{event}");
    let (status, body) = served.ask("operator/al", get.clone(), &path).await;
    assert_eq!((status, &body["id"]), (200, &json!(event.to_string())));

    // It is given up; an operator finds it among the dead, and has it sent again.
    let attempt = store::signing::Attempt::Dead {
        error: "nobody there".into(),
    };
    running
        .store
        .record_attempt(&id, attempt, start())
        .await
        .unwrap();
    let (status, body) = served
        .ask(
            "operator/al",
            get.clone(),
            "/v1/webhooks/deliveries?state=dead",
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(body["items"][0]["id"], id.to_string());
    assert_eq!(body["items"][0]["error"], "nobody there");
    assert_eq!(body["items"][0]["target"], "chat");
    let path = format!("/v1/webhooks/deliveries/{id}");
    let (_, body) = served.ask("operator/al", get.clone(), &path).await;
    assert_eq!(body["body"]["data"]["id"], "sig-1");
    let resend = format!("{path}/resend");
    let (status, body) = served.ask("auditor/eve", post.clone(), &resend).await;
    assert_eq!(status, 403, "{body}");
    assert_eq!(body["type"], "urn:chancery:problem:role-forbidden");
    let (status, body) = served.ask("operator/al", post.clone(), &resend).await;
    assert_eq!((status, &body["state"]), (202, &json!("waiting")));
    let record = running.store.delivery(&id).await.unwrap().unwrap();
    assert!(matches!(record.state, DeliveryState::Waiting { .. }));

    for (method, path, status, kind) in [
        (
            &get,
            "/v1/webhooks/events?state=all",
            400,
            "malformed-request",
        ),
        (
            &get,
            "/v1/webhooks/events?limit=0",
            400,
            "malformed-request",
        ),
        (&get, "/v1/webhooks/events/evt-1", 400, "malformed-request"),
        (
            &get,
            "/v1/webhooks/events/evt-00000000000000000000000000",
            404,
            "event-unknown",
        ),
        (
            &post,
            "/v1/webhooks/deliveries/dlv-00000000000000000000000000/resend",
            404,
            "delivery-unknown",
        ),
    ] {
        let (found, body) = served.ask("operator/al", method.clone(), path).await;
        assert_eq!(found, status, "{path}: {body}");
        assert_eq!(body["type"], format!("urn:chancery:problem:{kind}"));
    }
    let (status, _) = served
        .ask("signer/ci", get.clone(), "/v1/webhooks/events")
        .await;
    assert_eq!(status, 403);
    // The listener without client certificates has nothing of it.
    let response = served
        .client(None)
        .get(format!("https://{}/v1/webhooks/deliveries", served.open))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 405);
}
