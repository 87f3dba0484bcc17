//! device-attest-01 on the wire (draft-ietf-acme-device-attest).

use serde_json::{Value, json};

use super::client::{Client, Reply, csr, leaf};
use super::server::TestServer;
use crate::jws::base64url;
use crate::testing::TestKey;
use crate::validate::attest_testing::{Maker, Says, device_csr, device_csr_of, sign, step};

/// The device of most tests, as orders name it, and as its certificate does.
const DEVICE: (&str, Says<'static>) = ("16909060", Says::Serial(0x0102_0304));

/// A server, a maker whose devices it takes, and the account of one of them.
struct Scene {
    /// The server.
    server: TestServer,
    /// Who makes devices.
    maker: Maker,
    /// The device's account.
    client: Client,
}

impl Scene {
    /// Serves with these devices allowed.
    async fn new(policy: &str) -> Self {
        let maker = Maker::new();
        let roots = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(roots.path(), maker.root_pem()).unwrap();
        let server = TestServer::start(&format!(
            "[validation.device_attest]\nenabled = true\nformats = ['step']\n\
             roots.step = '{}'\n[policy.default]\nany_name = true\n{policy}",
            roots.path().display()
        ))
        .await;
        let client = Client::account(&server).await;
        Self {
            server,
            maker,
            client,
        }
    }

    /// Asks for an order of a device.
    async fn order(&self, device: &str) -> Reply {
        let identifiers = json!([{ "type": "permanent-identifier", "value": device }]);
        self.order_of(identifiers).await
    }

    /// Asks for an order.
    async fn order_of(&self, identifiers: Value) -> Reply {
        self.client
            .post(
                &self.client.url("/acme/new-order"),
                json!({ "identifiers": identifiers }),
            )
            .await
    }

    /// Reads the first authorization of an order.
    async fn authorization(&self, order: &Value) -> Value {
        let url = order["authorizations"][0].as_str().unwrap();
        self.client.get(url).await.good(200)
    }

    /// Returns the object that attests a key in answer to a challenge.
    fn attestation(&self, challenge: &Value, key: &TestKey, says: Says<'_>) -> Vec<u8> {
        let leaf = self.maker.certify(key, says, |_| {});
        let message = self.key_authorization(challenge);
        let signature = sign(key, message.as_bytes());
        step(&[&leaf, &self.maker.issuing_der()], -7, &signature)
    }

    /// Returns the key authorization of a challenge.
    fn key_authorization(&self, challenge: &Value) -> String {
        let token = challenge["token"].as_str().unwrap();
        let thumbprint = self.client.key.thumbprint();
        format!("{token}.{}", base64url::encode(thumbprint.as_bytes()))
    }

    /// Responds to a challenge with an attestation.
    async fn respond(&self, challenge: &Value, object: &[u8]) -> Reply {
        let url = challenge["url"].as_str().unwrap();
        self.client
            .post(url, json!({ "attObj": base64url::encode(object) }))
            .await
    }

    /// Goes through an order up to its finalization.
    async fn attested(&self, device: &str, key: &TestKey, says: Says<'_>) -> (String, Value) {
        let reply = self.order(device).await;
        let order = reply.good(201);
        let challenge = self.authorization(&order).await["challenges"][0].clone();
        let object = self.attestation(&challenge, key, says);
        let answered = self.respond(&challenge, &object).await.good(200);
        assert_eq!(answered["status"], "valid", "{answered}");
        let url = reply.header("location").to_owned();
        let order = self.client.get(&url).await.good(200);
        assert_eq!(order["status"], "ready", "{order}");
        (url, order)
    }

    /// Holds an answer to a refused attestation: challenge, authorization and order are
    /// invalid, and say why.
    async fn refused(&self, order: &Value, challenge: &Value, object: &[u8], part: &str) {
        let reply = self.respond(challenge, object).await;
        let answered = reply.good(200);
        assert_eq!(answered["status"], "invalid", "{answered}");
        assert_eq!(
            answered["error"]["type"],
            "urn:ietf:params:acme:error:badAttestationStatement"
        );
        let detail = answered["error"]["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{part}: {detail}");
        assert_eq!(self.authorization(order).await["status"], "invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_attests_its_key_and_gets_a_certificate_for_it() {
    let scene = Scene::new("devices = ['16909060']").await;
    let reply = scene.order(DEVICE.0).await;
    let order = reply.good(201);
    assert_eq!(order["status"], "pending");
    assert_eq!(
        order["identifiers"],
        json!([{ "type": "permanent-identifier", "value": DEVICE.0 }])
    );
    let authorization = scene.authorization(&order).await;
    assert_eq!(
        authorization["identifier"],
        json!({ "type": "permanent-identifier", "value": DEVICE.0 })
    );
    // That challenge and no other.
    let challenges = authorization["challenges"].as_array().unwrap();
    let [challenge] = challenges.as_slice() else {
        panic!("{challenges:?}");
    };
    assert_eq!(challenge["type"], "device-attest-01");
    assert_eq!(challenge["status"], "pending");

    let key = TestKey::es256();
    let object = scene.attestation(challenge, &key, DEVICE.1);
    let url = challenge["url"].as_str().unwrap();
    // Further members are passed over.
    let response = json!({ "attObj": base64url::encode(&object), "error": "" });
    let reply = scene.client.post(url, response).await;
    let answered = reply.good(200);
    assert_eq!(answered["status"], "valid");
    assert!(answered["validated"].is_string());
    assert_eq!(reply.links("up").len(), 1);
    assert_eq!(scene.authorization(&order).await["status"], "valid");

    let csr = device_csr(&key, DEVICE.0, Some(DEVICE.0));
    let issued = scene.client.finalize(&order, &csr).await.good(200);
    assert_eq!(issued["status"], "valid", "{issued}");
    let certificate = issued["certificate"].as_str().unwrap();
    let chain = scene.client.get(certificate).await;
    let certificate = pki::certificate::Certificate::from_der(&leaf(&chain.body)).unwrap();
    assert_eq!(certificate.facts().names, ["permanent-identifier:16909060"]);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_for_the_attested_key_and_device_alone() {
    let scene = Scene::new("any_device = true").await;
    let key = TestKey::es256();
    let (_, order) = scene.attested(DEVICE.0, &key, DEVICE.1).await;
    let other_key = device_csr(&TestKey::es256(), DEVICE.0, None);
    let other_device = device_csr(&key, "16909061", None);
    let assigned = device_csr(&key, "16909060/1.2.3", None);
    let both = device_csr_of(&key, &[DEVICE.0, "16909061"], None);
    let unnamed = device_csr_of(&key, &[], None);
    let by_common_name = device_csr_of(&key, &[], Some(DEVICE.0));
    let other_common_name = device_csr(&key, DEVICE.0, Some("device.example"));
    let as_dns = csr(&key, &["device.example"]);
    for (csr, part) in [
        (
            other_key,
            "another key than the one that device 16909060 attested",
        ),
        (other_device, "missing: [16909060], not ordered: [16909061]"),
        (assigned, "not ordered: [16909060/1.2.3]"),
        (both, "not ordered: [16909061]"),
        (unnamed, "missing: [16909060]"),
        (by_common_name, "common name"),
        (other_common_name, "common name"),
        (as_dns, "missing: [16909060], not ordered: [device.example]"),
    ] {
        let problem = scene.client.finalize(&order, &csr).await;
        let problem = problem.problem(400, "badCSR");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{part}: {detail}");
    }
    // The account's key is no device's.
    assert_eq!(scene.server.authority.signed(), 0);
    let good = device_csr(&key, DEVICE.0, None);
    let issued = scene.client.finalize(&order, &good).await.good(200);
    assert_eq!(issued["status"], "valid");
    assert_eq!(scene.server.authority.signed(), 1);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_is_for_one_order() {
    let scene = Scene::new("any_device = true").await;
    let key = TestKey::es256();
    let (url, order) = scene.attested(DEVICE.0, &key, DEVICE.1).await;
    // Neither is the ready order given again nor its authorization used again.
    let reply = scene.order(DEVICE.0).await;
    let again = reply.good(201);
    assert_ne!(reply.header("location"), url);
    assert_eq!(again["status"], "pending");
    assert_ne!(again["authorizations"], order["authorizations"]);
    // What was signed for one challenge proves nothing at another.
    let first = scene.authorization(&order).await["challenges"][0].clone();
    let second = scene.authorization(&again).await["challenges"][0].clone();
    let replayed = scene.attestation(&first, &key, DEVICE.1);
    scene
        .refused(
            &again,
            &second,
            &replayed,
            "over this challenge's key authorization",
        )
        .await;
    // Nor may devices be authorized ahead of an order.
    let reply = scene
        .client
        .post(
            &scene.client.url("/acme/new-authz"),
            json!({ "identifier": { "type": "permanent-identifier", "value": DEVICE.0 } }),
        )
        .await;
    reply.problem(400, "malformed");
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attestations_that_prove_nothing_are_refused() {
    let scene = Scene::new("any_device = true").await;
    let key = TestKey::es256();
    let stranger = Maker::new();
    let issuing = scene.maker.issuing_der();
    for case in 0..7 {
        let order = scene.order(DEVICE.0).await.good(201);
        let challenge = scene.authorization(&order).await["challenges"][0].clone();
        let message = scene.key_authorization(&challenge);
        let leaf = scene.maker.certify(&key, DEVICE.1, |_| {});
        let signature = sign(&key, message.as_bytes());
        let (object, part) = match case {
            0 => {
                let leaf = stranger.certify(&key, DEVICE.1, |_| {});
                let chain = [&leaf[..], &stranger.issuing_der(), &stranger.root_der()];
                (
                    step(&chain, -7, &signature),
                    "does not lead to an attestation root",
                )
            }
            1 => {
                // Another account's key authorization.
                let token = challenge["token"].as_str().unwrap();
                let other = base64url::encode(TestKey::es256().thumbprint().as_bytes());
                let signature = sign(&key, format!("{token}.{other}").as_bytes());
                (
                    step(&[&leaf, &issuing], -7, &signature),
                    "key authorization",
                )
            }
            2 => (
                scene.attestation(&challenge, &key, Says::Serial(0x0102_0305)),
                "the attestation is for device 16909061, the order for 16909060",
            ),
            3 => (
                scene.attestation(&challenge, &key, Says::Nothing),
                "names no device",
            ),
            4 => {
                let leaf = scene.maker.certify(&key, DEVICE.1, |params| {
                    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
                });
                (step(&[&leaf, &issuing], -7, &signature), "is valid from")
            }
            5 => (b"{}".to_vec(), "no attestation object"),
            _ => (
                vec![0xa1, 0x63, b'f', b'm', b't', 0x64, b's', b't', b'e', b'p'],
                "it has no attStmt",
            ),
        };
        scene.refused(&order, &challenge, &object, part).await;
        // It is final: a good one comes too late.
        let good = scene.attestation(&challenge, &key, DEVICE.1);
        let late = scene.respond(&challenge, &good).await.good(200);
        assert_eq!(late["status"], "invalid");
    }
    assert_eq!(scene.server.authority.asked().len(), 0);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_without_an_attestation_change_nothing() {
    let scene = Scene::new("any_device = true").await;
    let order = scene.order(DEVICE.0).await.good(201);
    let challenge = scene.authorization(&order).await["challenges"][0].clone();
    let url = challenge["url"].as_str().unwrap();
    for response in [json!({}), json!({ "attObj": 1 }), json!([])] {
        let reply = scene.client.post(url, response).await;
        reply.problem(400, "malformed");
    }
    let shown = scene.client.get(url).await.good(200);
    assert_eq!(shown["status"], "pending");
    let reply = scene.client.post(url, json!({ "attObj": "a+b" })).await;
    assert_eq!(
        reply.good(200)["error"]["detail"],
        "attObj is not base64url without padding"
    );
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_says_which_devices() {
    let scene = Scene::new("devices = ['16909060', 'C02X/1.2.3']").await;
    assert_eq!(scene.order("C02X/1.2.3").await.status, 201);
    for device in ["16909061", "C02X", "c02x/1.2.3"] {
        let problem = scene.order(device).await.problem(400, "rejectedIdentifier");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("for this device"), "{detail}");
    }
    for malformed in ["", "12 34", "1/2/3", "1/x"] {
        scene.order(malformed).await.problem(400, "malformed");
    }
    let scene = Scene::new("").await;
    scene
        .order(DEVICE.0)
        .await
        .problem(400, "rejectedIdentifier");
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_and_its_name_are_authorized_each_by_its_own_challenge() {
    let scene = Scene::new("any_device = true").await;
    let identifiers = json!([
        { "type": "permanent-identifier", "value": DEVICE.0 },
        { "type": "dns", "value": "device.example" },
    ]);
    let order = scene.order_of(identifiers).await.good(201);
    let urls = order["authorizations"].as_array().unwrap();
    let mut kinds = Vec::new();
    for url in urls {
        let authorization = scene.client.get(url.as_str().unwrap()).await.good(200);
        let challenges = authorization["challenges"].as_array().unwrap();
        let of: Vec<_> = challenges
            .iter()
            .map(|challenge| challenge["type"].as_str().unwrap().to_owned())
            .collect();
        kinds.push((
            authorization["identifier"]["type"]
                .as_str()
                .unwrap()
                .to_owned(),
            of,
        ));
    }
    for (kind, challenges) in kinds {
        let attests = challenges.iter().any(|one| one == "device-attest-01");
        assert_eq!(attests, kind == "permanent-identifier");
        assert_eq!(challenges.len(), if attests { 1 } else { 3 });
    }
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_not_known_where_they_are_not_attested() {
    let server = TestServer::start("[policy.default]\nany_name = true\nany_device = true").await;
    let client = Client::account(&server).await;
    for value in [DEVICE.0, "12 34"] {
        let reply = client
            .post(
                &client.url("/acme/new-order"),
                json!({ "identifiers": [{ "type": "permanent-identifier", "value": value }] }),
            )
            .await;
        reply.problem(400, "unsupportedIdentifier");
    }
    server.stop().await;
}
