//! Issuers' keys over https, by the address rules of `[signing.fetch]`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderValue};
use mesh::resolve::InvalidResolverConfig;
use rustls::ClientConfig;
use tokio::time::timeout;
use url::Url;

use super::keys::{FetchFailure, FetchKeys};
use crate::outside::{Ask, Outside, Target, TrustError, client_config};
use crate::webhooks::CheckedHooks;

/// Time for one fetch, name service and TLS included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time in which nothing may come.
const IDLE: Duration = Duration::from_secs(5);

/// Fetches keys over https.
#[derive(Debug)]
pub struct HttpsKeys {
    /// Connects by the address rules.
    outside: Outside,
    /// Whom to trust.
    tls: Arc<ClientConfig>,
}

/// Why keys cannot be fetched at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpsKeysError {
    /// By whom servers are trusted cannot be told.
    #[error("`fetch.ca_file`: whom to trust cannot be told")]
    Trust(#[from] TrustError),
    /// There are no name servers.
    #[error("`fetch.dns`: {0}")]
    Resolver(#[from] InvalidResolverConfig),
}

impl HttpsKeys {
    /// Prepares it by `[signing.fetch]`: addresses, name servers, trusted certificates.
    ///
    /// # Errors
    ///
    /// Which of them cannot be used.
    pub fn new(hooks: &CheckedHooks) -> Result<Self, HttpsKeysError> {
        let fetch = &hooks.fetch;
        Ok(Self {
            outside: Outside::new(fetch.dialler()?),
            tls: client_config(fetch.ca_file.as_deref())?,
        })
    }

    /// Fetches, however long it takes.
    async fn attempt(&self, url: &Url, max: usize) -> Result<Vec<u8>, FetchFailure> {
        let failed = |reason: &dyn std::fmt::Display| FetchFailure {
            reason: reason.to_string(),
        };
        let target = Target::of(url).map_err(|problem| failed(&problem))?;
        let json = HeaderValue::from_static("application/json");
        let ask = Ask::get(vec![(ACCEPT, json)]);
        let mut answer = self
            .outside
            .ask(&self.tls, &target, ask)
            .await
            .map_err(|error| failed(&error))?;
        // Redirects among them: the configuration says where the keys are.
        if answer.status != StatusCode::OK {
            return Err(failed(&format!("the answer is {}", answer.status)));
        }
        answer
            .whole(max, IDLE)
            .await
            .map_err(|error| failed(&error))
    }
}

#[async_trait]
impl FetchKeys for HttpsKeys {
    async fn fetch(&self, url: &Url, max: usize) -> Result<Vec<u8>, FetchFailure> {
        timeout(TIMEOUT, self.attempt(url, max))
            .await
            .unwrap_or_else(|_| {
                Err(FetchFailure {
                    reason: format!("it took more than {} s", TIMEOUT.as_secs()),
                })
            })
    }
}
