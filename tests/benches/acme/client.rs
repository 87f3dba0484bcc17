//! An ACME client of few instructions, so that what is measured is the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use chancery_tests::{Answer, Connection, TlsClient};
use serde_json::{Value, json};

use crate::challenges::Challenges;
use crate::jws::{AccountKey, base64url};

/// How often a request is repeated whose nonce was refused.
const REPEATS: usize = 5;

/// The first pause before asking again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest pause before asking again.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why an order came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The connection.
    #[error("{}", whole(.0))]
    Connection(#[from] chancery_tests::Error),
    /// A key or a signature.
    #[error("the client's own cryptography")]
    Cryptography(#[from] aws_lc_rs::error::Unspecified),
    /// An answer that is not what the protocol has there.
    #[error("{step}: {seen}")]
    Unexpected {
        /// What was asked.
        step: &'static str,
        /// What came.
        seen: String,
    },
    /// No end in sight.
    #[error("{step}: still not so after {waited:?}")]
    Late {
        /// What was awaited.
        step: &'static str,
        /// For how long.
        waited: Duration,
    },
}

/// Writes an error with what caused it.
fn whole(error: &chancery_tests::Error) -> String {
    std::error::Error::source(error)
        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// How to speak TLS to it.
    pub(crate) tls: TlsClient,
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The directory's path.
    pub(crate) directory: &'static str,
}

/// Where the resources are that orders begin with.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    /// newNonce.
    pub(crate) new_nonce: String,
    /// newAccount.
    new_account: String,
    /// newOrder.
    new_order: String,
}

/// A connection that is made again when it was closed.
#[derive(Debug)]
pub(crate) struct Line {
    /// Where to.
    endpoint: Endpoint,
    /// While it is there.
    connection: Option<Connection>,
}

impl Line {
    /// Begins with none.
    pub(crate) const fn to(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            connection: None,
        }
    }

    /// Asks for what is at a URL of the server.
    pub(crate) fn get(&mut self, url: &str) -> Result<Answer, ClientError> {
        let (path, host) = (self.path(url)?, self.endpoint.address);
        let message = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.exchange(message.as_bytes())
    }

    /// Sends a signed request to a URL of the server.
    fn post(&mut self, url: &str, body: &[u8]) -> Result<Answer, ClientError> {
        let (path, host) = (self.path(url)?, self.endpoint.address);
        let mut message = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: chancery-bench\r\n\
             Content-Type: application/jose+json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        message.extend_from_slice(body);
        self.exchange(&message)
    }

    /// Reads the directory.
    pub(crate) fn directory(&mut self) -> Result<Directory, ClientError> {
        let url = format!(
            "https://{}{}",
            self.endpoint.address, self.endpoint.directory
        );
        let answer = self.get(&url)?;
        let directory = read("the directory", &answer, 200)?;
        let url = |name| text("the directory", &directory, name);
        Ok(Directory {
            new_nonce: url("newNonce")?,
            new_account: url("newAccount")?,
            new_order: url("newOrder")?,
        })
    }

    /// Returns a URL's path, if the URL is of this server.
    fn path<'u>(&self, url: &'u str) -> Result<&'u str, ClientError> {
        url.strip_prefix("https://")
            .and_then(|rest| rest.strip_prefix(&self.endpoint.address.to_string()))
            .ok_or_else(|| ClientError::Unexpected {
                step: "a URL of this server",
                seen: url.to_owned(),
            })
    }

    /// Sends a message and reads the answer.
    fn exchange(&mut self, message: &[u8]) -> Result<Answer, ClientError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.endpoint.tls.connect(self.endpoint.address)?,
        };
        let answer = connection.exchange(message)?;
        if !matches!(answer.header("connection"), Some(word) if word.eq_ignore_ascii_case("close"))
        {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

/// An account and its connection.
#[derive(Debug)]
pub(crate) struct Client {
    /// The connection.
    line: Line,
    /// The resources.
    directory: Directory,
    /// The account's key.
    key: AccountKey,
    /// The account's URL, once there is one.
    account: Option<String>,
    /// The nonce that came with the last answer.
    nonce: Option<String>,
    /// How many nonces were refused.
    pub(crate) refused_nonces: u64,
}

impl Client {
    /// Connects and makes an account.
    pub(crate) fn register(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let mut line = Line::to(endpoint.clone());
        let mut client = Self {
            directory: line.directory()?,
            line,
            key: AccountKey::generate()?,
            account: None,
            nonce: None,
            refused_nonces: 0,
        };
        let url = client.directory.new_account.clone();
        let answer = client.post(&url, Some(&json!({"termsOfServiceAgreed": true})))?;
        read("newAccount", &answer, 201)?;
        client.account = Some(location("newAccount", &answer)?);
        Ok(client)
    }

    /// Orders a certificate for an address, from newOrder to the chain.
    pub(crate) fn order(
        &mut self,
        identifier: Ipv4Addr,
        csr_der: &[u8],
        challenges: &Challenges,
    ) -> Result<(), ClientError> {
        let url = self.directory.new_order.clone();
        let wanted = json!({"identifiers": [{"type": "ip", "value": identifier.to_string()}]});
        let answer = self.post(&url, Some(&wanted))?;
        let order = read("newOrder", &answer, 201)?;
        let order_url = location("newOrder", &answer)?;
        let authorization_url = order["authorizations"][0].as_str().unwrap_or_default();
        self.prove(authorization_url, challenges)?;
        let finalize = text("newOrder", &order, "finalize")?;
        let answer = self.post(&finalize, Some(&json!({"csr": base64url(csr_der)})))?;
        let mut order = read("finalize", &answer, 200)?;
        if order["status"] != "valid" {
            order = self.until_valid("the order is valid", &order_url)?;
        }
        let certificate = text("the order", &order, "certificate")?;
        let answer = self.post(&certificate, None)?;
        if answer.status != 200 || !answer.body.starts_with(b"-----BEGIN CERTIFICATE-----") {
            return Err(unexpected("certificate", &answer));
        }
        Ok(())
    }

    /// Has control of the identifier validated by http-01.
    fn prove(&mut self, url: &str, challenges: &Challenges) -> Result<(), ClientError> {
        let answer = self.post(url, None)?;
        let authorization = read("authorization", &answer, 200)?;
        let challenge = authorization["challenges"]
            .as_array()
            .and_then(|all| all.iter().find(|challenge| challenge["type"] == "http-01"))
            .ok_or_else(|| unexpected("authorization", &answer))?;
        let token = text("challenge", challenge, "token")?;
        let challenge_url = text("challenge", challenge, "url")?;
        challenges.expect(&token, self.key.authorize(&token));
        let proven = self
            .post(&challenge_url, Some(&json!({})))
            .and_then(|answer| read("challenge", &answer, 200))
            .and_then(|_| self.until_valid("the authorization is valid", url));
        challenges.forget(&token);
        proven.map(drop)
    }

    /// Asks for a resource until it is valid, ever less often.
    fn until_valid(&mut self, step: &'static str, url: &str) -> Result<Value, ClientError> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.post(url, None)?;
            let resource = read(step, &answer, 200)?;
            match resource["status"].as_str() {
                Some("valid") => return Ok(resource),
                Some("pending" | "processing" | "ready") => (),
                _ => return Err(unexpected(step, &answer)),
            }
            if began.elapsed() >= PATIENCE {
                let waited = PATIENCE;
                return Err(ClientError::Late { step, waited });
            }
            std::thread::park_timeout(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Sends a signed request, again where its nonce is refused (RFC 8555, 6.5).
    fn post(&mut self, url: &str, payload: Option<&Value>) -> Result<Answer, ClientError> {
        let mut repeats = 0;
        loop {
            let nonce = match self.nonce.take() {
                Some(nonce) => nonce,
                None => {
                    let url = self.directory.new_nonce.clone();
                    let answer = self.line.get(&url)?;
                    nonce_of(&answer).ok_or_else(|| unexpected("newNonce", &answer))?
                }
            };
            let account = self.account.as_deref();
            let body = self.key.sign(account, &nonce, url, payload)?;
            let answer = self.line.post(url, &body)?;
            self.nonce = nonce_of(&answer);
            let refused = answer.status == 400
                && String::from_utf8_lossy(&answer.body).contains("acme:error:badNonce");
            if !refused || repeats == REPEATS {
                return Ok(answer);
            }
            repeats += 1;
            self.refused_nonces += 1;
        }
    }
}

/// Returns an answer's nonce.
pub(crate) fn nonce_of(answer: &Answer) -> Option<String> {
    answer.header("replay-nonce").map(str::to_owned)
}

/// Reads an answer that is to have this status.
fn read(step: &'static str, answer: &Answer, status: u16) -> Result<Value, ClientError> {
    if answer.status != status {
        return Err(unexpected(step, answer));
    }
    serde_json::from_slice(&answer.body).map_err(|_| unexpected(step, answer))
}

/// Returns the URL of what was made.
fn location(step: &'static str, answer: &Answer) -> Result<String, ClientError> {
    answer
        .header("location")
        .map(str::to_owned)
        .ok_or_else(|| unexpected(step, answer))
}

/// Returns a member that is to be text.
fn text(step: &'static str, object: &Value, name: &str) -> Result<String, ClientError> {
    object[name]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| ClientError::Unexpected {
            step,
            seen: format!("no {name} in {object}"),
        })
}

/// Makes an error of an answer.
fn unexpected(step: &'static str, answer: &Answer) -> ClientError {
    let body = String::from_utf8_lossy(&answer.body);
    ClientError::Unexpected {
        step,
        seen: format!("{} {}", answer.status, body.trim()),
    }
}
