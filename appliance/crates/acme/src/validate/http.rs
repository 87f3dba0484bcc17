//! http-01 (RFC 8555, 8.3), for IP addresses too (RFC 8738, 5).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use mesh::Excerpt;
use mesh::dial::Host;
use model::acme::Identifier;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use url::Url;

use super::Proof;
use super::config::CheckedValidation;
use super::failure::{Failure, HttpProblem, RedirectProblem, TlsProblem};
use super::task::Task;
use super::tls;
use super::validator::Validator;

/// Most octets of a body: a key authorization has less than 150.
const MAX_BODY: usize = 1024;

/// Most octets of an answer's head, and of what is buffered.
const MAX_HEAD: usize = 16 * 1024;

/// Most header fields of an answer.
const MAX_FIELDS: usize = 100;

/// Most octets of a URL that a redirect leads to.
const MAX_URL: usize = 2048;

/// What this client calls itself.
const AGENT: &str = concat!("Chancery/", env!("CARGO_PKG_VERSION"), " (ACME validation)");

/// Makes one attempt.
pub(super) async fn validate(validator: &Validator, task: &Task) -> Result<Proof, Failure> {
    let mut hop = Hop::first(task, &validator.config).ok_or(Failure::Internal)?;
    let mut seen = HashSet::from([hop.url.as_str().to_owned()]);
    loop {
        let (answer, address) = fetch(validator, &hop).await?;
        match answer {
            Answer::Body(body) => return judge(task, &hop.url, address, &body),
            Answer::Redirect(location) => {
                hop = follow(&hop, location.as_ref(), &mut seen, &validator.config)?;
            }
        }
    }
}

/// One request on the way.
#[derive(Debug)]
struct Hop {
    /// What is asked for.
    url: Url,
    /// Whom to connect to.
    host: Host,
    /// At which port.
    port: u16,
}

/// What a request came to.
enum Answer {
    /// Status 200.
    Body(Bytes),
    /// A redirect to this place.
    Redirect(Option<HeaderValue>),
}

impl Hop {
    /// Makes the first request; none if the identifier makes no URL.
    fn first(task: &Task, config: &CheckedValidation) -> Option<Self> {
        let host = match &task.identifier {
            // RFC 3986, 3.2.2: IPv6 addresses stand in brackets.
            Identifier::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            identifier => identifier.to_string(),
        };
        // RFC 8555, 8.3: "/.well-known/acme-challenge/{token}" by HTTP on port 80.
        let token = task.key_authorization.token();
        let mut url =
            Url::parse(&format!("http://{host}/.well-known/acme-challenge/{token}")).ok()?;
        url.set_port(Some(config.http_port)).ok()?;
        Some(Self {
            url,
            host: Host::from(&task.identifier),
            port: config.http_port,
        })
    }

    /// Takes the URL of a redirect, if it is one that is followed.
    fn redirected(url: Url, config: &CheckedValidation) -> Result<Self, RedirectProblem> {
        let usual = match url.scheme() {
            "http" => config.http_port,
            "https" => config.https_port,
            _ => return Err(RedirectProblem::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RedirectProblem::UserInformation);
        }
        // The port that a scheme has by itself is not in the URL, and tests may
        // have moved it.
        let port = url.port().unwrap_or(usual);
        if port != config.http_port
            && port != config.https_port
            && !config.redirect_ports.contains(&port)
        {
            return Err(RedirectProblem::Port { port });
        }
        let host = match url.host().ok_or(RedirectProblem::Host)? {
            url::Host::Ipv4(address) => Host::Ip(address.into()),
            url::Host::Ipv6(address) => Host::Ip(address.into()),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                if name.is_empty() {
                    return Err(RedirectProblem::Host);
                }
                Host::Name(name.into())
            }
        };
        Ok(Self { url, host, port })
    }

    /// Returns the Host field (RFC 9110, 7.2): the name being validated, or where
    /// a redirect led, with the port unless it is the scheme's own.
    fn host_field(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Makes the request.
    fn request(&self) -> Option<Request<Empty<Bytes>>> {
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        Request::get(path)
            .header(HOST, self.host_field())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Empty::new())
            .ok()
    }

    /// Says what went wrong with HTTP.
    fn failed(&self, address: SocketAddr, problem: HttpProblem) -> Failure {
        Failure::Http {
            url: self.url.as_str().into(),
            address,
            problem,
        }
    }
}

/// Makes one request on a connection of its own.
async fn fetch(validator: &Validator, hop: &Hop) -> Result<(Answer, SocketAddr), Failure> {
    let (stream, address) = validator.dialler.connect(&hop.host, hop.port).await?;
    let answer = if hop.url.scheme() == "https" {
        let name = match &hop.host {
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
            Host::Name(name) => {
                ServerName::try_from(name.to_string()).map_err(|_| Failure::Tls {
                    host: name.clone(),
                    address,
                    problem: TlsProblem::ServerName,
                })?
            }
        };
        let stream = tls::handshake(&validator.tls.https, name, stream, &hop.host, address).await?;
        exchange(hop, address, stream).await?
    } else {
        exchange(hop, address, stream).await?
    };
    Ok((answer, address))
}

/// Sends the request and reads what is needed of the answer.
async fn exchange<S>(hop: &Hop, address: SocketAddr, stream: S) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| hop.failed(address, problem(&error));
    let request = hop
        .request()
        .ok_or_else(|| hop.failed(address, HttpProblem::Request))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ends with this function, whatever becomes of it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    if is_redirect(status) {
        return Ok(Answer::Redirect(response.headers().get(LOCATION).cloned()));
    }
    if status != StatusCode::OK {
        return Err(Failure::Status {
            url: hop.url.as_str().into(),
            address,
            status: status.as_u16(),
        });
    }
    read_body(hop, address, response).await.map(Answer::Body)
}

/// Reads a body of bounded length.
async fn read_body(
    hop: &Hop,
    address: SocketAddr,
    response: Response<hyper::body::Incoming>,
) -> Result<Bytes, Failure> {
    match Limited::new(response.into_body(), MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::BodyTooLong {
            url: hop.url.as_str().into(),
            address,
            most: MAX_BODY,
        }),
        Err(error) => Err(hop.failed(
            address,
            error
                .downcast_ref::<hyper::Error>()
                .map_or(HttpProblem::Incomplete, problem),
        )),
    }
}

/// Tells whether a status leads elsewhere by its Location.
fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Says what hyper's error means.
fn problem(error: &hyper::Error) -> HttpProblem {
    if error.is_parse() {
        HttpProblem::Unreadable
    } else {
        HttpProblem::Incomplete
    }
}

/// Goes where a redirect leads, if that may be.
fn follow(
    hop: &Hop,
    location: Option<&HeaderValue>,
    seen: &mut HashSet<String>,
    config: &CheckedValidation,
) -> Result<Hop, Failure> {
    let location = location.map_or(&[][..], HeaderValue::as_bytes);
    let refused = |problem| Failure::Redirect {
        from: hop.url.as_str().into(),
        to: Excerpt::of(location),
        problem,
    };
    if seen.len() > config.max_redirects {
        return Err(refused(RedirectProblem::TooMany {
            most: config.max_redirects,
        }));
    }
    if location.len() > MAX_URL {
        return Err(refused(RedirectProblem::TooLong { most: MAX_URL }));
    }
    let mut url = std::str::from_utf8(location)
        .ok()
        .filter(|text| !text.is_empty())
        .and_then(|text| hop.url.join(text).ok())
        .ok_or_else(|| refused(RedirectProblem::NoUrl))?;
    url.set_fragment(None);
    if !seen.insert(url.as_str().to_owned()) {
        return Err(refused(RedirectProblem::Circle));
    }
    Hop::redirected(url, config).map_err(refused)
}

/// Compares the body with the key authorization.
fn judge(task: &Task, url: &Url, address: SocketAddr, body: &[u8]) -> Result<Proof, Failure> {
    // RFC 8555, 8.3: "The server SHOULD ignore whitespace characters at the end of
    // the body."
    let found = body.trim_ascii_end();
    let expected = task.key_authorization.as_str();
    if found == expected.as_bytes() {
        return Ok(Proof {
            address: Some(address),
            caa_checked: false,
        });
    }
    Err(Failure::Body {
        url: url.as_str().into(),
        address,
        found: Excerpt::of(found),
        expected: expected.into(),
    })
}
