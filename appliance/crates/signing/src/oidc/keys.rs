//! An issuer's keys: read from a file or fetched, kept, and fetched again when old or
//! when a token names one that is not among them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use jiff::SignedDuration;
use model::{Clock, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use tracing::{info, warn};
use url::Url;

use super::config::{Issuer, KeySource};
use super::jwk::{IssuerKey, Jwk};
use super::metrics::OidcMetrics;

/// Most octets of a set of keys.
pub(crate) const MAX_SET: usize = 256 * 1024;

/// Most keys of a set that are kept.
const MAX_KEYS: usize = 64;

/// Shortest time between two fetches that unknown keys cause.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// Longest time that keys are used which could not be fetched again.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// Fetches a set of keys.
#[async_trait]
pub trait FetchKeys: Send + Sync + std::fmt::Debug {
    /// Fetches what is at an https URL: at most `max` octets, no redirects followed,
    /// from addresses alone that the configuration opens.
    ///
    /// # Errors
    ///
    /// Why it was not had, fit for the log.
    async fn fetch(&self, url: &Url, max: usize) -> Result<Vec<u8>, FetchFailure>;
}

/// Why keys were not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FetchFailure {
    /// What was tried and what stopped it.
    pub reason: String,
}

/// Why an issuer's keys cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The file cannot be read.
    #[error("the keys cannot be read from {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What stopped it.
        reason: String,
    },
    /// The fetch failed.
    #[error("the keys cannot be fetched from {url}: {source}")]
    Fetch {
        /// The URL.
        url: String,
        /// Why.
        source: FetchFailure,
    },
    /// The octets are no set of keys.
    #[error("what was found is no JWK Set (RFC 7517, 5): {reason}")]
    Set {
        /// What is wrong with it.
        reason: String,
    },
    /// No key of the set can be used.
    #[error(
        "the set holds no key that can be used: RSA of 2048 bits or more, P-256, P-384, Ed25519, for signatures"
    )]
    Empty,
}

/// A set of keys, by their names.
#[derive(Debug, Default)]
pub struct KeySet {
    /// Keys with a name.
    named: BTreeMap<String, Arc<IssuerKey>>,
    /// Keys without.
    nameless: Vec<Arc<IssuerKey>>,
}

impl KeySet {
    /// Reads a JWK Set; keys of other kinds, for other uses, or too weak are passed over.
    ///
    /// Bytes are hostile: never panics, allocates a small multiple of their length.
    ///
    /// # Errors
    ///
    /// `Set` unless it is one, `Empty` when no key can be used.
    pub fn parse(octets: &[u8]) -> Result<Self, KeysError> {
        /// The set, its members not yet read.
        #[derive(Deserialize)]
        struct Raw {
            /// The keys.
            keys: Vec<Value>,
        }
        let refused = |reason: String| KeysError::Set { reason };
        if octets.len() > MAX_SET {
            return Err(refused(format!("it has more than {MAX_SET} octets")));
        }
        let raw: Raw =
            serde_json::from_slice(octets).map_err(|error| refused(error.to_string()))?;
        let mut set = Self::default();
        for member in raw.keys.into_iter().take(MAX_KEYS) {
            // RFC 7517, 5: members that are not understood are ignored.
            let Ok(jwk) = serde_json::from_value::<Jwk>(member) else {
                continue;
            };
            let Some(key) = jwk.usable().map(Arc::new) else {
                continue;
            };
            match jwk.kid {
                // The first of two with one name counts.
                Some(name) => {
                    set.named.entry(name).or_insert(key);
                }
                None => set.nameless.push(key),
            }
        }
        if set.named.is_empty() && set.nameless.is_empty() {
            return Err(KeysError::Empty);
        }
        Ok(set)
    }

    /// Finds the key that a token names. One that names none gets the only key there is.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<Arc<IssuerKey>> {
        match name {
            Some(name) => self.named.get(name).cloned(),
            None => {
                let mut all = self.named.values().chain(&self.nameless);
                let only = all.next()?;
                all.next().is_none().then(|| Arc::clone(only))
            }
        }
    }
}

/// What is known of an issuer's keys.
#[derive(Debug, Default)]
struct Held {
    /// The keys, and since when.
    keys: Option<(Arc<KeySet>, Timestamp)>,
    /// When they were last asked for, with or without success.
    asked: Option<Timestamp>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct KeyRing {
    /// What is known.
    held: RwLock<Held>,
    /// One fetch at a time.
    fetching: tokio::sync::Mutex<()>,
}

/// What a ring reads its keys by.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// Fetches.
    pub(crate) fetch: Arc<dyn FetchKeys>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What is counted.
    pub(crate) metrics: OidcMetrics,
}

impl KeyRing {
    /// Begins with nothing.
    pub(crate) fn new() -> Self {
        Self {
            held: RwLock::default(),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// Returns the keys if they are not too old.
    fn current(&self, now: Timestamp, oldest: SignedDuration) -> Option<Arc<KeySet>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let (keys, since) = held.keys.as_ref()?;
        (now.duration_since(*since) <= oldest).then(|| Arc::clone(keys))
    }

    /// Tells whether they may be asked for again.
    fn may_ask(&self, now: Timestamp) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.asked
            .is_none_or(|asked| now.duration_since(asked).abs() >= PATIENCE)
    }

    /// Finds the key that a token names, reading the keys where they are old or do not
    /// hold it; none if the issuer has no such key.
    ///
    /// # Errors
    ///
    /// Why there are no keys at all that can be relied on.
    pub(crate) async fn find(
        &self,
        issuer: &Issuer,
        name: Option<&str>,
        reading: &Reading,
    ) -> Result<Option<Arc<IssuerKey>>, KeysError> {
        let fresh = SignedDuration::try_from(issuer.refresh).unwrap_or(STALE);
        let now = reading.clock.now();
        if let Some(key) = self.current(now, fresh).and_then(|keys| keys.find(name)) {
            return Ok(Some(key));
        }
        let _one = self.fetching.lock().await;
        // Another may have read them meanwhile.
        if let Some(key) = self.current(now, fresh).and_then(|keys| keys.find(name)) {
            return Ok(Some(key));
        }
        let mut failure = None;
        if self.may_ask(now) {
            failure = self.read(issuer, reading).await.err();
        }
        match (self.current(now, STALE), failure) {
            (Some(keys), _) => Ok(keys.find(name)),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(KeysError::Empty),
        }
    }

    /// Reads them where they are old, so that no token waits for that.
    pub(crate) async fn refresh(&self, issuer: &Issuer, reading: &Reading) {
        let fresh = SignedDuration::try_from(issuer.refresh).unwrap_or(STALE);
        let _one = self.fetching.lock().await;
        let now = reading.clock.now();
        if self.current(now, fresh).is_none() && self.may_ask(now) {
            // What went wrong is logged.
            let _outcome = self.read(issuer, reading).await;
        }
    }

    /// Reads the keys anew and keeps them; the ones before stay where that fails.
    async fn read(&self, issuer: &Issuer, reading: &Reading) -> Result<(), KeysError> {
        let now = reading.clock.now();
        let outcome = read_keys(&issuer.keys, reading.fetch.as_ref()).await;
        reading.metrics.fetched(&issuer.name, outcome.is_ok());
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.asked = Some(now);
        match outcome {
            Ok(keys) => {
                let count = keys.named.len() + keys.nameless.len();
                info!(
                    oidc.issuer = issuer.name,
                    keys = count,
                    "read {count} keys of the token issuer {}",
                    issuer.name
                );
                held.keys = Some((Arc::new(keys), now));
                Ok(())
            }
            Err(failure) => {
                warn!(
                    oidc.issuer = issuer.name,
                    "could not read the keys of the token issuer {}: {failure}", issuer.name
                );
                Err(failure)
            }
        }
    }
}

/// Reads keys from where they are.
async fn read_keys(source: &KeySource, fetch: &dyn FetchKeys) -> Result<KeySet, KeysError> {
    let octets = match source {
        KeySource::File(path) => read_file(path).await?,
        KeySource::Url(url) => {
            fetch
                .fetch(url, MAX_SET)
                .await
                .map_err(|source| KeysError::Fetch {
                    url: url.to_string(),
                    source,
                })?
        }
    };
    KeySet::parse(&octets)
}

/// Reads a file of bounded length.
async fn read_file(path: &Path) -> Result<Vec<u8>, KeysError> {
    use tokio::io::AsyncReadExt as _;
    let failed = |error: std::io::Error| KeysError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut octets = Vec::new();
    file.take(MAX_SET as u64 + 1)
        .read_to_end(&mut octets)
        .await
        .map_err(failed)?;
    Ok(octets)
}
