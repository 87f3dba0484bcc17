//! A client that signs what it is told to, right or wrong.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::server::TestServer;
use crate::jws::base64url;
use crate::testing::TestKey;

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Reply {
    /// The status.
    pub(super) status: StatusCode,
    /// The headers.
    pub(super) headers: reqwest::header::HeaderMap,
    /// The body.
    pub(super) body: String,
}

impl Reply {
    /// Reads an answer whole.
    pub(super) async fn read(response: reqwest::Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    /// Returns a header, empty where it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the targets of links with a relation.
    pub(super) fn links(&self, relation: &str) -> Vec<String> {
        self.headers
            .get_all("link")
            .iter()
            .filter_map(|value| {
                let (target, rel) = value.to_str().unwrap().split_once(';')?;
                (rel == format!("rel=\"{relation}\""))
                    .then(|| target.trim_matches(['<', '>']).to_owned())
            })
            .collect()
    }

    /// Reads the body as JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Reads the body as JSON after a good status.
    #[track_caller]
    pub(super) fn good(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// Reads the problem, and holds it to what every problem has.
    #[track_caller]
    pub(super) fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let document: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(
            document["type"],
            format!("urn:ietf:params:acme:error:{kind}"),
            "{self:?}"
        );
        assert_eq!(document["status"], status);
        assert!(document["detail"].as_str().unwrap().len() > 5);
        if let Some(parts) = document.get("subproblems") {
            assert!(!parts.as_array().unwrap().is_empty());
        }
        assert!(!self.header("replay-nonce").is_empty(), "{self:?}");
        assert_eq!(self.links("index").len(), 1);
        document
    }
}

/// An ACME client.
pub(super) struct Client {
    /// The connection.
    pub(super) http: reqwest::Client,
    /// Where the listener is seen.
    pub(super) base: String,
    /// The account's key.
    pub(super) key: TestKey,
    /// The account's URL.
    pub(super) kid: Option<String>,
    /// The nonce to be used next.
    nonce: Mutex<Option<String>>,
}

impl Client {
    /// Makes a client of the open listener that has no account yet.
    pub(super) fn stranger(server: &TestServer) -> Self {
        Self::with(server, TestKey::es256())
    }

    /// Makes a client with a key.
    pub(super) fn with(server: &TestServer, key: TestKey) -> Self {
        Self {
            http: server.http(None),
            base: server.open.clone(),
            key,
            kid: None,
            nonce: Mutex::new(None),
        }
    }

    /// Makes a client and its account.
    pub(super) async fn account(server: &TestServer) -> Self {
        Self::stranger(server).register(json!({})).await
    }

    /// Makes the account.
    pub(super) async fn register(mut self, payload: Value) -> Self {
        let reply = self.new_account(payload).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        self.kid = Some(reply.header("location").to_owned());
        self
    }

    /// Returns the URL of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Asks without a signature.
    pub(super) async fn plain(&self, method: Method, url: &str) -> Reply {
        Reply::read(self.http.request(method, url).send().await.unwrap()).await
    }

    /// Takes a nonce.
    pub(super) async fn nonce(&self) -> String {
        if let Some(nonce) = self.nonce.lock().await.take() {
            return nonce;
        }
        let reply = self.plain(Method::HEAD, &self.url("/acme/new-nonce")).await;
        reply.header("replay-nonce").to_owned()
    }

    /// Returns the header of a request to a URL, by the account or else the key.
    pub(super) async fn header(&self, url: &str) -> Value {
        let mut header = json!({
            "alg": self.key.algorithm(), "url": url, "nonce": self.nonce().await,
        });
        match &self.kid {
            Some(kid) => header["kid"] = json!(kid),
            None => header["jwk"] = self.key.jwk(),
        }
        header
    }

    /// Sends a JWS as it stands.
    pub(super) async fn send(&self, url: &str, jws: &Value) -> Reply {
        self.send_as(url, "application/jose+json", jws.to_string())
            .await
    }

    /// Sends a body of a media type.
    pub(super) async fn send_as(&self, url: &str, media_type: &str, body: String) -> Reply {
        let request = self
            .http
            .post(url)
            .header("content-type", media_type)
            .body(body);
        let reply = Reply::read(request.send().await.unwrap()).await;
        let nonce = reply.header("replay-nonce").to_owned();
        *self.nonce.lock().await = (!nonce.is_empty()).then_some(nonce);
        reply
    }

    /// Signs and sends octets, repeating what is refused for its nonce.
    pub(super) async fn post_octets(&self, url: &str, payload: &[u8]) -> Reply {
        loop {
            let jws = self.key.jws_of(&self.header(url).await, payload);
            let reply = self.send(url, &jws).await;
            if !reply.body.contains(":badNonce") {
                return reply;
            }
        }
    }

    /// Signs and sends JSON.
    pub(super) async fn post(&self, url: &str, payload: Value) -> Reply {
        self.post_octets(url, payload.to_string().as_bytes()).await
    }

    /// Reads by POST-as-GET.
    pub(super) async fn get(&self, url: &str) -> Reply {
        self.post_octets(url, b"").await
    }

    /// Asks for an account.
    pub(super) async fn new_account(&self, payload: Value) -> Reply {
        self.post(&self.url("/acme/new-account"), payload).await
    }

    /// Asks for an order of names and addresses.
    pub(super) async fn new_order(&self, names: &[&str]) -> Reply {
        self.post(
            &self.url("/acme/new-order"),
            json!({ "identifiers": identifiers(names) }),
        )
        .await
    }

    /// Has every authorization of an order validated; returns the order's URL and
    /// the order as it is then.
    pub(super) async fn authorize(&self, names: &[&str]) -> (String, Value) {
        let reply = self.new_order(names).await;
        let order = reply.good(201);
        for authorization in order["authorizations"].as_array().unwrap() {
            self.answer(authorization.as_str().unwrap()).await;
        }
        let url = reply.header("location").to_owned();
        let order = self.settled(&url, &["pending"]).await;
        (url, order)
    }

    /// Responds to the first challenge of an authorization and waits for its end.
    pub(super) async fn answer(&self, authorization: &str) -> Value {
        let found = self.get(authorization).await.good(200);
        if found["status"] == "pending" {
            let challenge = found["challenges"][0]["url"].as_str().unwrap().to_owned();
            self.post(&challenge, json!({})).await.good(200);
        }
        self.settled(authorization, &["pending"]).await
    }

    /// Reads a resource until its status is none of these.
    pub(super) async fn settled(&self, url: &str, not: &[&str]) -> Value {
        let waiting = async {
            loop {
                let object = self.get(url).await.good(200);
                if !not.contains(&object["status"].as_str().unwrap()) {
                    return object;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), waiting)
            .await
            .unwrap()
    }

    /// Finalizes an order with a request.
    pub(super) async fn finalize(&self, order: &Value, csr_der: &[u8]) -> Reply {
        let url = order["finalize"].as_str().unwrap();
        self.post(url, json!({ "csr": base64url::encode(csr_der) }))
            .await
    }

    /// Goes through a whole order; returns the order, its certificate chain and
    /// the certificate's key.
    pub(super) async fn obtain(&self, names: &[&str]) -> (Value, String, TestKey) {
        let (url, order) = self.authorize(names).await;
        let key = TestKey::es256();
        let reply = self.finalize(&order, &csr(&key, names)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let order = self.settled(&url, &["processing"]).await;
        let certificate = order["certificate"].as_str().unwrap();
        let chain = self.get(certificate).await;
        assert_eq!(chain.status, 200, "{chain:?}");
        (order, chain.body, key)
    }
}

/// Writes identifiers: addresses as `ip`, everything else as `dns`.
pub(super) fn identifiers(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| {
            let kind = if name.parse::<std::net::IpAddr>().is_ok() {
                "ip"
            } else {
                "dns"
            };
            json!({ "type": kind, "value": name })
        })
        .collect()
}

/// Makes a certificate request, DER.
pub(super) fn csr(key: &TestKey, names: &[&str]) -> Vec<u8> {
    csr_of(key, names, None)
}

/// Makes a certificate request with a common name, DER.
pub(super) fn csr_of(key: &TestKey, names: &[&str], common_name: Option<&str>) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
    }
    let key = rcgen::KeyPair::try_from(key.pkcs8().as_slice()).unwrap();
    params.serialize_request(&key).unwrap().der().to_vec()
}

/// Returns the first certificate of a chain, DER.
pub(super) fn leaf(chain_pem: &str) -> Vec<u8> {
    pki::pem::read_certificates(chain_pem.as_bytes())
        .unwrap()
        .remove(0)
}
