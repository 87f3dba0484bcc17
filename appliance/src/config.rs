//! The configuration: one TOML file, the environment over it, every room's own
//! type in it.
//!
//! A key is overridden by a variable: `CHANCERY__CA__LISTEN` for `ca.listen`.
//! What is unknown is refused with the nearest known name. [`RawConfig`] is what
//! was written, [`Config`] what was found sound.

mod client;
mod member;
mod refusal;
mod source;
mod telemetry;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ::store::StoreConfig;
use acme::{AcmeConfig, CheckedAcmeConfig};
use ca::{CaConfig, CheckedCaConfig};
use hsm_keystore::{KeyId, KeyStoreConfig};
use model::TrustDomain;
use serde::Deserialize;
use signing::{CheckedSigningConfig, SigningConfig};

use self::client::ClientConfig;
pub(crate) use self::member::Member;
pub(crate) use self::refusal::ConfigError;
use self::refusal::Refusal;
use self::source::Source;
pub(crate) use self::telemetry::TelemetryConfig;
use crate::failure::Failure;

/// The file, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    /// Directory of everything that must survive and is on no token.
    #[serde(default = "default_state_dir")]
    state_dir: PathBuf,
    /// The keystore of every key, unless a further one is named for it.
    keystore: KeyStoreConfig,
    /// Further keystores by name, for instance an offline root's.
    #[serde(default)]
    keystores: BTreeMap<String, KeyStoreConfig>,
    /// The CA service.
    #[serde(default)]
    ca: CaConfig,
    /// The ACME service.
    #[serde(default)]
    acme: AcmeConfig,
    /// The signing service.
    #[serde(default)]
    signing: SigningConfig,
    /// The stores.
    #[serde(default)]
    store: RawStore,
    /// Logs, metrics and health.
    #[serde(default)]
    telemetry: TelemetryConfig,
    /// As whom the command line talks to the CA.
    #[serde(default)]
    client: ClientConfig,
}

/// `[store]`: what each store may use; their places follow from `state_dir`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStore {
    /// Size of one journal segment in MiB.
    segment_mib: u32,
    /// Memory for the index's pages in MiB.
    index_cache_mib: u32,
    /// Most acts waiting for the writer.
    queue: usize,
    /// Free space in MiB below which nothing new is begun.
    min_free_mib: u32,
}

impl Default for RawStore {
    fn default() -> Self {
        let store = StoreConfig::at("");
        Self {
            segment_mib: store.segment_mib,
            index_cache_mib: store.index_cache_mib,
            queue: store.queue,
            min_free_mib: store.min_free_mib,
        }
    }
}

/// Keeps state below the working directory.
fn default_state_dir() -> PathBuf {
    PathBuf::from("state")
}

/// A configuration that was found sound.
#[derive(Debug)]
pub(crate) struct Config {
    /// Directory of everything that must survive and is on no token.
    state_dir: PathBuf,
    /// The keystore of every key, unless a further one is named for it.
    keystore: KeyStoreConfig,
    /// Further keystores by name.
    keystores: BTreeMap<String, KeyStoreConfig>,
    /// The CA service.
    pub(crate) ca: CheckedCaConfig,
    /// The ACME service.
    pub(crate) acme: CheckedAcmeConfig,
    /// The signing service.
    pub(crate) signing: CheckedSigningConfig,
    /// The keystore of the issuing authority, if not that of `[keystore]`.
    issuing_keystore: Option<String>,
    /// The keystore of the root, if not that of `[keystore]`.
    root_keystore: Option<String>,
    /// What each store may use.
    store: RawStore,
    /// Logs, metrics and health.
    pub(crate) telemetry: TelemetryConfig,
    /// As whom the command line talks to the CA.
    client: ClientConfig,
    /// The identity of `client`, checked.
    identity: KeyId,
}

impl Config {
    /// Reads the file at `path` and checks everything in it that can be checked
    /// without a token.
    ///
    /// # Errors
    ///
    /// Each thing that is wrong, with its place.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::from_source(&Source::read(path)?)
    }

    /// Checks a configuration that was read.
    fn from_source(source: &Source) -> Result<Self, ConfigError> {
        let raw: RawConfig = source.extract()?;
        let mut refusals = Vec::new();
        let mut refuse = |keys: &[&str], error: &dyn std::error::Error| {
            refusals.push(Refusal::of_section(keys, error, source));
        };
        if let Err(error) = raw.keystore.check() {
            refuse(&["keystore"], &error);
        }
        for (name, keystore) in &raw.keystores {
            if let Err(error) = keystore.check() {
                refuse(&["keystores", name], &error);
            }
        }
        let identity = KeyId::new(&raw.client.identity);
        if let Err(error) = &identity {
            refuse(&["client", "identity"], error);
        }
        let ca = raw.ca.check();
        if let Err(error) = &ca {
            refuse(&["ca"], error);
        }
        for (place, authority) in [
            ("root", &raw.ca.ceremony.root),
            ("issuing", &raw.ca.ceremony.issuing),
        ] {
            if let Some(name) = &authority.keystore
                && !raw.keystores.contains_key(name)
            {
                refuse(
                    &["ca", "ceremony", place, "keystore"],
                    &NoSuchKeystore { name: name.clone() },
                );
            }
        }
        let acme = raw.acme.check();
        if let Err(error) = &acme {
            refuse(&["acme"], error);
        }
        let signing = raw.signing.check();
        if let Err(error) = &signing {
            refuse(&["signing"], error);
        }
        for (service, keystore) in [
            ("acme", &raw.acme.service.keystore),
            ("signing", &raw.signing.service.keystore),
        ] {
            if let Some(name) = keystore
                && !raw.keystores.contains_key(name)
            {
                refuse(
                    &[service, "service", "keystore"],
                    &NoSuchKeystore { name: name.clone() },
                );
            }
        }
        match (identity, ca, acme, signing) {
            (Ok(identity), Ok(ca), Ok(acme), Ok(signing)) if refusals.is_empty() => Ok(Self {
                identity,
                state_dir: raw.state_dir,
                keystore: raw.keystore,
                keystores: raw.keystores,
                ca,
                acme,
                signing,
                issuing_keystore: raw.ca.ceremony.issuing.keystore,
                root_keystore: raw.ca.ceremony.root.keystore,
                store: raw.store,
                telemetry: raw.telemetry,
                client: raw.client,
            }),
            _ => Err(ConfigError::Refused { refusals }),
        }
    }

    /// Finds the keystore of `[keystores.NAME]`, or of `[keystore]` for none.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub(crate) fn keystore(&self, name: Option<&str>) -> Result<&KeyStoreConfig, Failure> {
        match name {
            None => Ok(&self.keystore),
            Some(name) => self.keystores.get(name).ok_or_else(|| {
                let known: Vec<&str> = self.keystores.keys().map(String::as_str).collect();
                Failure::new(format!(
                    "find a keystore called {name:?} in the configuration"
                ))
                .next(if known.is_empty() {
                    "leave --keystore out for the one of [keystore]; there are no others".to_owned()
                } else {
                    format!("name one of [keystores]: {}", known.join(", "))
                })
            }),
        }
    }

    /// Returns every further keystore with its name.
    pub(crate) fn keystores(&self) -> impl Iterator<Item = (&str, &KeyStoreConfig)> {
        self.keystores
            .iter()
            .map(|(name, keystore)| (name.as_str(), keystore))
    }

    /// Returns the name of the keystore that issues: the issuing authority's.
    pub(crate) fn issuing_keystore(&self) -> Option<&str> {
        self.issuing_keystore.as_deref()
    }

    /// Returns where the chain of the CA API's own certificate is kept.
    pub(crate) fn tls_chain_file(&self) -> PathBuf {
        self.state_dir.join("ca-tls-chain.pem")
    }

    /// Returns the name of the root's keystore.
    pub(crate) fn root_keystore(&self) -> Option<&str> {
        self.root_keystore.as_deref()
    }

    /// Returns where what is published is kept.
    pub(crate) fn published(&self) -> PathBuf {
        self.state_dir.join("published")
    }

    /// Returns where the CA's store lies and what it may use.
    pub(crate) fn ca_store(&self) -> StoreConfig {
        self.store_in("ca")
    }

    /// Returns where the ACME service's store lies and what it may use.
    pub(crate) fn acme_store(&self) -> StoreConfig {
        self.store_in("acme")
    }

    /// Returns where the signing service's store lies and what it may use.
    pub(crate) fn signing_store(&self) -> StoreConfig {
        self.store_in("signing")
    }

    /// Returns where the chains of the keys are kept that sign artifacts and time-stamps.
    pub(crate) fn signing_chains(&self) -> PathBuf {
        self.state_dir.join("signing-keys")
    }

    /// Returns a store's place below the state directory, and what it may use.
    fn store_in(&self, directory: &str) -> StoreConfig {
        StoreConfig {
            directory: self.state_dir.join(directory),
            segment_mib: self.store.segment_mib,
            index_cache_mib: self.store.index_cache_mib,
            queue: self.store.queue,
            min_free_mib: self.store.min_free_mib,
        }
    }

    /// Returns the directory of identities: keys and certificates of people
    /// and of commands.
    pub(crate) fn identities(&self) -> PathBuf {
        if self.client.identities.as_os_str().is_empty() {
            self.state_dir.join("identities")
        } else {
            self.client.identities.clone()
        }
    }

    /// Returns the name of the identity that commands log in with.
    pub(crate) fn identity(&self) -> &KeyId {
        &self.identity
    }

    /// Returns the PEM file of the authorities that commands trust.
    pub(crate) fn trust(&self) -> PathBuf {
        if self.client.trust.as_os_str().is_empty() {
            self.identities().join("ca.pem")
        } else {
            self.client.trust.clone()
        }
    }

    /// Returns the URL of the CA API: the one configured, or that of this
    /// machine where `[ca]` listens.
    pub(crate) fn ca_url(&self) -> String {
        if !self.client.url.is_empty() {
            return self.client.url.clone();
        }
        url_of(self.ca.listen())
    }

    /// Returns the URL of the ACME service's listener with client certificates:
    /// the one configured, or that of this machine where `[acme.mesh]` listens;
    /// none where that is switched off.
    pub(crate) fn acme_url(&self) -> Option<String> {
        if !self.client.acme_url.is_empty() {
            return Some(self.client.acme_url.clone());
        }
        let mesh = self.acme.mesh.as_ref()?;
        Some(url_of(mesh.listener.listen))
    }

    /// Returns the URL of the ACME service's directory for stock clients; none where
    /// that listener is switched off.
    pub(crate) fn acme_directory(&self) -> Option<String> {
        let open = self.acme.open.as_ref()?;
        let outside = open.external_url.as_ref().map(ToString::to_string);
        let url = outside.unwrap_or_else(|| url_of(open.listener.listen));
        Some(format!("{url}/directory"))
    }

    /// Returns the URL of the signing service's listener with client certificates:
    /// the one configured, or that of this machine where `[signing.mesh]` listens;
    /// none where that is switched off.
    pub(crate) fn signing_url(&self) -> Option<String> {
        if !self.client.signing_url.is_empty() {
            return Some(self.client.signing_url.clone());
        }
        let mesh = self.signing.mesh.as_ref()?;
        Some(url_of(mesh.listener.listen))
    }

    /// Returns the URL of the signing service's listener without client certificates;
    /// none where that is switched off.
    pub(crate) fn signing_open_url(&self) -> Option<String> {
        let open = self.signing.open.as_ref()?;
        let outside = open.external_url.as_ref().map(ToString::to_string);
        Some(outside.unwrap_or_else(|| url_of(open.listener.listen)))
    }

    /// Returns the URL of metrics and health.
    pub(crate) fn telemetry_url(&self) -> String {
        format!("http://{}", self.telemetry.listen)
    }

    /// Returns the trust domain of this installation's identities.
    pub(crate) fn trust_domain(&self) -> &TrustDomain {
        self.ca.trust_domain()
    }
}

/// Returns the URL by which this machine reaches a listener.
fn url_of(listen: SocketAddr) -> String {
    let host = match listen.ip() {
        // Listening everywhere includes loopback, which the certificate names.
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("https://{}", SocketAddr::new(host, listen.port()))
}

/// A key is to be on a keystore that is not configured.
#[derive(Debug, thiserror::Error)]
#[error("no section [keystores.{name}]; add it, or leave `keystore` out for [keystore]")]
struct NoSuchKeystore {
    /// The name written.
    name: String,
}
