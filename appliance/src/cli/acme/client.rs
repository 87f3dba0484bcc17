//! The ACME service as commands see it: `/operator/…` over mutual TLS.

use std::time::Duration;

use acme::operator::{Page, PageQuery};
use mesh::wire::ProblemDocument;
use model::Role;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{self, Runtime};

use crate::cli::operator::client_tls;
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};

/// Time for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest answer that is read, octets.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Items asked for at a time.
const PAGE: usize = 500;

/// A connection to the ACME service as the configured identity.
#[derive(Debug)]
pub(super) struct AcmeOperator {
    /// Runs the client's futures.
    runtime: Runtime,
    /// Connections, kept and reused.
    client: reqwest::Client,
    /// `https://HOST:PORT/` of the listener with client certificates.
    address: Url,
}

impl AcmeOperator {
    /// Reads the identity and prepares the client; connects with the first call.
    ///
    /// # Errors
    ///
    /// When the identity, or what it trusts, is not there or cannot be used, or
    /// the service has no listener with client certificates.
    pub(super) fn connect(config: &Config) -> Result<Self, Failure> {
        let url = config.acme_url().ok_or_else(|| {
            Failure::new("find the ACME service's listener with client certificates")
                .next("operators reach it by that listener alone: give [acme.mesh] an address")
        })?;
        let tried = || format!("prepare a connection to the ACME service at {url}");
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(
                client_tls(config, Role::ServiceAcme)?
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
            runtime: runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .trying(|| "start a runtime".to_owned())?,
            client,
            address: Url::parse(&url).trying(tried)?,
        })
    }

    /// Reads one thing.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached, refuses, or knows no such thing.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        tried: &str,
        path: &[&str],
    ) -> Result<T, Failure> {
        self.ask(tried, self.request(Method::GET, path))
    }

    /// Reads a listing, page after page, until `most` items or its end; tells
    /// whether there are more.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached or refuses.
    pub(super) fn list<T: DeserializeOwned>(
        &self,
        tried: &str,
        path: &[&str],
        account: Option<&str>,
        most: usize,
    ) -> Result<(Vec<T>, bool), Failure> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let query = PageQuery {
                after: after.take(),
                limit: Some((most - items.len()).min(PAGE)),
                account: account.map(str::to_owned),
            };
            let page: Page<T> = self.ask(tried, self.request(Method::GET, path).query(&query))?;
            items.extend(page.items);
            match page.next {
                None => return Ok((items, false)),
                Some(_) if items.len() >= most => return Ok((items, true)),
                next => after = next,
            }
        }
    }

    /// Changes something.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached or refuses.
    pub(super) fn change<T: DeserializeOwned>(
        &self,
        tried: &str,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(tried, self.request(Method::POST, path).json(body))
    }

    /// Begins a request below `/operator`.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.address.clone();
        // An https URL can always be a base.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("operator").extend(path);
        }
        self.client.request(method, url)
    }

    /// Asks, and reads the answer.
    fn ask<T: DeserializeOwned>(&self, tried: &str, request: RequestBuilder) -> Result<T, Failure> {
        self.runtime.block_on(async {
            let response = request
                .send()
                .await
                .map_err(reqwest::Error::without_url)
                .trying(|| tried.to_owned())
                .advise(|| {
                    format!(
                        "start it with `chancery serve`, or name its listener in [acme.mesh]; {} \
                         was tried",
                        self.address
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
                    let failure = Failure::because(tried, Refused(problem.detail));
                    match problem.request_id {
                        Some(id) => failure.next(format!(
                            "correct the request; the service's log has more under request_id {id}"
                        )),
                        None => failure.next("correct the request"),
                    }
                }
                None => Failure::because(tried, Refused(status.to_string())),
            })
        })
    }
}

/// What the service said against it.
#[derive(Debug, thiserror::Error)]
#[error("the ACME service refused: {0}")]
struct Refused(String);

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
