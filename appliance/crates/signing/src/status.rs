//! How the service is: what it stands on, its keys, and what waits.

use std::sync::Arc;

use jiff::Timestamp;
use mesh::Health;
use serde::{Deserialize, Serialize};
use store::Health as StoreHealth;

use crate::keys::CertifiedKey;
use crate::service::Signing;

/// What `GET /v1/status` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The software's version.
    pub version: String,
    /// The service's time.
    pub now: Timestamp,
    /// What it stands on.
    pub parts: Vec<PartReport>,
    /// The keys that sign.
    pub keys: Vec<KeyReport>,
    /// What was ever made.
    pub made: MadeReport,
    /// What waits.
    pub waiting: WaitingReport,
}

/// Something that the service stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartReport {
    /// Its name.
    pub name: String,
    /// Whether it serves.
    pub ready: bool,
    /// What it is, or why it does not serve.
    pub detail: String,
}

/// A key that signs, and its certificate of the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyReport {
    /// Its name in the configuration; `timestamps` for the one that stamps.
    pub name: String,
    /// Its name in the keystore.
    pub key: String,
    /// Its algorithm.
    pub algorithm: String,
    /// The certificate's subject.
    pub subject: String,
    /// The certificate's serial number.
    pub serial: String,
    /// When it is to be certified anew.
    pub renew_at: Timestamp,
    /// Last moment of the certificate.
    pub not_after: Timestamp,
}

/// How much was ever made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeReport {
    /// Signatures.
    pub signatures: u64,
    /// Signatures withdrawn since.
    pub withdrawn: u64,
    /// Time-stamps, those of signatures included.
    pub timestamps: u64,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingReport {
    /// Signatures being made.
    pub signatures: u64,
    /// Events of inbound webhooks.
    pub events: u64,
    /// Deliveries to outbound webhooks.
    pub deliveries: u64,
    /// Deliveries that were given up.
    pub deliveries_dead: u64,
}

/// A part that the service stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Its records.
    Store,
    /// The certificates of its keys.
    Keys,
}

impl Part {
    /// Every part.
    const ALL: [Self; 2] = [Self::Store, Self::Keys];

    /// Returns its name in status and readiness.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Keys => "keys",
        }
    }
}

/// Lets `/readyz` tell what the service stands on.
pub(crate) fn register_checks(signing: &Arc<Signing>, health: &Health) {
    for part in Part::ALL {
        let signing = Arc::clone(signing);
        health.register(&format!("signing-{}", part.as_str()), move || {
            signing.part(part).map(drop)
        });
    }
}

impl Signing {
    /// Tells how the service is.
    pub(crate) fn report(&self) -> StatusReport {
        let store = self.store.status();
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: self.clock.now(),
            parts: Part::ALL.map(|part| self.part_report(part)).into(),
            keys: self
                .certified_keys()
                .iter()
                .map(|(name, key)| key_report(name, key))
                .collect(),
            made: MadeReport {
                signatures: store.counts.signed,
                withdrawn: store.counts.withdrawn,
                timestamps: store.counts.timestamps,
            },
            waiting: WaitingReport {
                signatures: store.open,
                events: store.events_waiting,
                deliveries: store.deliveries_waiting,
                deliveries_dead: store.counts.deliveries_dead,
            },
        }
    }

    /// Returns every key that signs, by its name in the configuration.
    fn certified_keys(&self) -> Vec<(String, Arc<CertifiedKey>)> {
        let artifacts = self
            .keys
            .artifact_keys()
            .map(|(name, key)| (name.to_owned(), key));
        let timestamps = self
            .keys
            .timestamp_key()
            .map(|key| ("timestamps".to_owned(), key));
        artifacts.chain(timestamps).collect()
    }

    /// Tells how a part is.
    fn part_report(&self, part: Part) -> PartReport {
        let outcome = self.part(part);
        PartReport {
            name: part.as_str().to_owned(),
            ready: outcome.is_ok(),
            detail: outcome.unwrap_or_else(|reason| reason),
        }
    }

    /// Asks a part how it is: what it is if it serves, or why it does not.
    fn part(&self, part: Part) -> Result<String, String> {
        match part {
            Part::Store => match self.store.status().health {
                StoreHealth::Healthy => Ok("takes every record".to_owned()),
                StoreHealth::NoSpace => {
                    Err("the disk is full: nothing is signed until there is space".to_owned())
                }
                StoreHealth::Failed(fault) => Err(format!(
                    "takes no records until the service is restarted: {fault}"
                )),
            },
            Part::Keys => self.check_keys(),
        }
    }

    /// Tells which certificate ends first, or which one has ended.
    fn check_keys(&self) -> Result<String, String> {
        let now = self.clock.now();
        let keys = self.certified_keys();
        let first = keys.iter().min_by_key(|(_, key)| key.leaf().not_after());
        match first {
            None => Err("there is no key".to_owned()),
            Some((name, key)) => {
                let until = key.leaf().not_after();
                if now <= until {
                    Ok(format!("the certificate of {name} ends first, at {until}"))
                } else {
                    Err(format!(
                        "the certificate of {name} ended at {until} and could not be renewed"
                    ))
                }
            }
        }
    }
}

/// Tells of a key.
fn key_report(name: &str, key: &CertifiedKey) -> KeyReport {
    let leaf = key.leaf();
    KeyReport {
        name: name.to_owned(),
        key: key.key().id().to_string(),
        algorithm: key.key().algorithm().as_str().to_owned(),
        subject: leaf.subject().to_string(),
        serial: leaf.serial().to_string(),
        renew_at: key.renew_at(),
        not_after: leaf.not_after(),
    }
}
