//! A service of the mesh as commands see it: JSON over mutual TLS, as the configured
//! identity.

use std::time::Duration;

use mesh::wire::ProblemDocument;
use model::Role;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use tokio::runtime::{self, Runtime};

use super::operator::client_tls;
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};

/// Time for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest answer that is read, octets.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Which service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Which {
    /// The role that it must hold.
    pub(super) role: Role,
    /// Its name with the article.
    pub(super) title: &'static str,
    /// The section of its listener with client certificates.
    pub(super) section: &'static str,
}

/// A connection to a service as the configured identity.
#[derive(Debug)]
pub(super) struct ServiceClient {
    /// Which service.
    which: Which,
    /// Runs the client's futures.
    runtime: Runtime,
    /// Connections, kept and reused.
    client: reqwest::Client,
    /// `https://HOST:PORT/` of the listener with client certificates.
    address: Url,
}

impl ServiceClient {
    /// Reads the identity and prepares the client; connects with the first call.
    ///
    /// # Errors
    ///
    /// When the identity, or what it trusts, is not there or cannot be used.
    pub(super) fn connect(config: &Config, which: Which, url: &str) -> Result<Self, Failure> {
        let tried = || format!("prepare a connection to {} at {url}", which.title);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(
                client_tls(config, which.role)?
                    .client_config()
                    .trying(tried)?,
            )
            .https_only(true)
            // The identity goes to this service alone.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .trying(tried)?;
        Ok(Self {
            which,
            runtime: runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .trying(|| "start a runtime".to_owned())?,
            client,
            address: Url::parse(url).trying(tried)?,
        })
    }

    /// Begins a request.
    pub(super) fn request<'a>(
        &self,
        method: Method,
        path: impl IntoIterator<Item = &'a str>,
    ) -> RequestBuilder {
        let mut url = self.address.clone();
        // An https URL can always be a base.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        self.client.request(method, url)
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached or refuses.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        tried: &str,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        self.runtime.block_on(async {
            let response = request
                .send()
                .await
                .map_err(reqwest::Error::without_url)
                .trying(|| tried.to_owned())
                .advise(|| {
                    format!(
                        "start it with `chancery serve`, or name its listener in {}; {} was tried",
                        self.which.section, self.address
                    )
                })?;
            let success = response.status().is_success();
            let status = response.status();
            let body = read(response).await.trying(|| tried.to_owned())?;
            if success {
                return serde_json::from_slice(&body)
                    .trying(|| format!("{tried}: understand the answer of {}", self.address));
            }
            let problem: Option<ProblemDocument> = serde_json::from_slice(&body).ok();
            Err(match problem {
                Some(problem) => {
                    let failure = Failure::because(tried, self.refused(problem.detail));
                    match problem.request_id {
                        Some(id) => failure.next(format!(
                            "correct the request; the service's log has more under request_id {id}"
                        )),
                        None => failure.next("correct the request"),
                    }
                }
                None => Failure::because(tried, self.refused(status.to_string())),
            })
        })
    }

    /// Says what the service said against it.
    fn refused(&self, words: String) -> Refused {
        Refused {
            title: self.which.title,
            words,
        }
    }
}

/// What a service said against it.
#[derive(Debug, thiserror::Error)]
#[error("{title} refused: {words}")]
struct Refused {
    /// The service.
    title: &'static str,
    /// Its words.
    words: String,
}

/// Reads a body within bounds.
async fn read(mut response: Response) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why an answer was not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    /// The connection broke.
    #[error("the answer broke off")]
    Broken(#[from] reqwest::Error),
    /// It does not end.
    #[error("the answer is longer than {MAX_ANSWER} octets")]
    TooLong,
}
