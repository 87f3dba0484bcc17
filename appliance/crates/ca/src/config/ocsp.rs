//! `[ca.ocsp]`: the OCSP responder's configuration as written, and as checked.

use std::num::NonZeroUsize;
use std::time::Duration;

use hsm_keystore::{KeyAlgorithm, KeyId};
use jiff::SignedDuration;
use pki::ocsp::{CertIdHash, RequestLimits};
use serde::{Deserialize, Serialize};

use super::{ConfigError, name};

/// `[ca.ocsp]`: the OCSP responder. Durations are `10s`, `1h 30m` or ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OcspConfig {
    /// Name of the responder's key; made at the start if it is missing.
    pub key: KeyId,
    /// Algorithm of that key, should it have to be made.
    pub key_algorithm: KeyAlgorithm,
    /// How long an answer is valid: from thisUpdate to nextUpdate. It is made
    /// anew at half of it.
    pub validity: SignedDuration,
    /// Which certificates' answers are kept ready: `all`, or `queried` for those
    /// that were asked for once.
    pub ready: KeepReady,
    /// By which hashes of the issuer answers are kept ready: `sha1`, `sha256`.
    /// Answers by others, and by those not named, are signed when asked for.
    pub ready_hashes: Vec<ReadyHash>,
    /// Most certificates whose answers are kept ready; the rest is signed when
    /// asked for.
    pub max_ready: usize,
    /// What is done about nonces: `answer`, `ignore`, or `auto`, which answers
    /// them while the token is fast.
    pub nonce: NonceRule,
    /// What is answered about a serial number that was never issued: `unknown`,
    /// or `revoked` (RFC 6960, 2.2).
    pub never_issued: NeverIssued,
    /// How long an answer about a serial number is valid that was never issued:
    /// it may yet be.
    pub never_issued_validity: SignedDuration,
    /// How long HTTP caches may keep an answer, if it is valid as long.
    pub max_age: SignedDuration,
    /// How long after their expiry certificates are still answered for, with an
    /// archive cutoff (RFC 6960, 4.4.4).
    pub archive: SignedDuration,
    /// Most certificates in one request.
    pub max_certificates: usize,
    /// Most octets of one request.
    pub max_request_bytes: usize,
    /// Most signatures for queries at a time; more are answered `tryLater`.
    pub max_in_flight: usize,
    /// Time for the token to sign one answer, its queue included.
    pub sign_timeout: SignedDuration,
    /// Most certificates that one signature covers among answers made ahead:
    /// `auto` covers one while the token keeps up.
    pub batch: BatchSize,
    /// The part of the token's speed, in percent, that answers made ahead may take.
    pub token_percent: u8,
    /// How often the ready answers are written to disk, for a start without token.
    pub snapshot_every: SignedDuration,
}

/// Which certificates' answers are kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepReady {
    /// Every certificate that has not expired.
    All,
    /// Those that were asked for.
    Queried,
}

/// A hash by which answers are kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyHash {
    /// What nearly every client asks by.
    Sha1,
    /// What RFC 9919 asks clients to use.
    Sha256,
}

/// What is done about nonces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NonceRule {
    /// They are answered as by `Answer` while the token is fast, else ignored.
    Auto,
    /// A query with a nonce gets a signature of its own; when too many wait for
    /// one, or the token is away, the ready answer without it.
    Answer,
    /// The ready answer, without it.
    Ignore,
}

/// What is answered about a serial number that was never issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NeverIssued {
    /// `unknown`.
    Unknown,
    /// `revoked`, on hold since 1970, with the extended-revoke extension.
    Revoked,
}

/// How many certificates one signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BatchSize {
    /// So many.
    Count(NonZeroUsize),
    /// As few as the token's speed allows.
    Auto(ByTokenSpeed),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByTokenSpeed {
    /// `auto`.
    Auto,
}

impl Default for OcspConfig {
    fn default() -> Self {
        Self {
            key: name("ocsp", KeyId::new),
            key_algorithm: KeyAlgorithm::EcP256,
            validity: SignedDuration::from_hours(72),
            ready: KeepReady::All,
            ready_hashes: vec![ReadyHash::Sha1, ReadyHash::Sha256],
            max_ready: 2_000_000,
            nonce: NonceRule::Auto,
            never_issued: NeverIssued::Unknown,
            never_issued_validity: SignedDuration::from_mins(5),
            max_age: SignedDuration::from_hours(1),
            archive: SignedDuration::ZERO,
            max_certificates: 16,
            max_request_bytes: 4096,
            max_in_flight: 256,
            sign_timeout: SignedDuration::from_secs(5),
            batch: BatchSize::Auto(ByTokenSpeed::Auto),
            token_percent: 25,
            snapshot_every: SignedDuration::from_mins(30),
        }
    }
}

/// `[ca.ocsp]`, found sound.
#[derive(Debug, Clone)]
pub(crate) struct CheckedOcspConfig {
    /// Name of the responder's key.
    pub(crate) key: KeyId,
    /// Algorithm of that key.
    pub(crate) key_algorithm: KeyAlgorithm,
    /// How long an answer is valid.
    pub(crate) validity: SignedDuration,
    /// Which certificates' answers are kept ready.
    pub(crate) ready: KeepReady,
    /// By which hashes.
    pub(crate) ready_hashes: Vec<CertIdHash>,
    /// Most certificates held.
    pub(crate) max_ready: usize,
    /// What is done about nonces.
    pub(crate) nonce: NonceRule,
    /// What is answered about serial numbers never issued.
    pub(crate) never_issued: NeverIssued,
    /// How long such an answer is valid.
    pub(crate) never_issued_validity: SignedDuration,
    /// How long HTTP caches may keep an answer.
    pub(crate) max_age: SignedDuration,
    /// How long expired certificates are answered for.
    pub(crate) archive: SignedDuration,
    /// Bounds of one request.
    pub(crate) limits: RequestLimits,
    /// Most signatures for queries at a time.
    pub(crate) max_in_flight: usize,
    /// Time for the token to sign one answer.
    pub(crate) sign_timeout: Duration,
    /// Certificates that one signature covers; none: by the token's speed.
    pub(crate) batch: Option<NonZeroUsize>,
    /// Part of the token's speed for answers made ahead, 0 to 1.
    pub(crate) token_share: f64,
    /// How often ready answers are written to disk.
    pub(crate) snapshot_every: Duration,
}

/// Most certificates that one signature may cover.
pub(crate) const MAX_BATCH: usize = 64;

impl OcspConfig {
    /// Checks that it can be worked with.
    ///
    /// # Errors
    ///
    /// The first key that cannot.
    pub(crate) fn check(&self) -> Result<CheckedOcspConfig, ConfigError> {
        let refuse = |key, rule| ConfigError::Ocsp { key, rule };
        let within = |key, value: SignedDuration, least, most, rule| {
            if (least..=most).contains(&value) {
                Ok(value)
            } else {
                Err(refuse(key, rule))
            }
        };
        let count = |key, value: usize, most: usize, rule| {
            if (1..=most).contains(&value) {
                Ok(value)
            } else {
                Err(refuse(key, rule))
            }
        };
        let positive = |key, value: SignedDuration| {
            Duration::try_from(value)
                .ok()
                .filter(|duration| !duration.is_zero())
                .ok_or(refuse(key, "must be longer than nothing"))
        };
        let (minute, days) = (SignedDuration::from_mins(1), |days: i64| {
            SignedDuration::from_hours(24 * days)
        });
        if !(1..=100).contains(&self.token_percent) {
            return Err(refuse("token_percent", "must be between 1 and 100"));
        }
        let batch = match self.batch {
            BatchSize::Auto(ByTokenSpeed::Auto) => None,
            BatchSize::Count(size) if size.get() <= MAX_BATCH => Some(size),
            BatchSize::Count(_) => {
                return Err(refuse("batch", "must be \"auto\" or between 1 and 64"));
            }
        };
        Ok(CheckedOcspConfig {
            key: self.key.clone(),
            key_algorithm: self.key_algorithm,
            validity: within(
                "validity",
                self.validity,
                minute,
                days(10),
                "must be between 1m and 240h",
            )?,
            ready: self.ready,
            ready_hashes: self.check_ready_hashes()?,
            max_ready: self.max_ready,
            nonce: self.nonce,
            never_issued: self.never_issued,
            never_issued_validity: within(
                "never_issued_validity",
                self.never_issued_validity,
                SignedDuration::from_secs(10),
                days(10),
                "must be between 10s and 240h",
            )?,
            max_age: within(
                "max_age",
                self.max_age,
                SignedDuration::ZERO,
                days(10),
                "must be between 0s and 240h",
            )?,
            archive: within(
                "archive",
                self.archive,
                SignedDuration::ZERO,
                days(36_525),
                "must not be negative, nor longer than a hundred years",
            )?,
            limits: RequestLimits {
                max_bytes: count(
                    "max_request_bytes",
                    self.max_request_bytes,
                    64 * 1024,
                    "must be between 1 and 65536",
                )?,
                max_certificates: count(
                    "max_certificates",
                    self.max_certificates,
                    256,
                    "must be between 1 and 256",
                )?,
            },
            max_in_flight: count(
                "max_in_flight",
                self.max_in_flight,
                65_536,
                "must be between 1 and 65536",
            )?,
            sign_timeout: positive("sign_timeout", self.sign_timeout)?,
            batch,
            token_share: f64::from(self.token_percent) / 100.0,
            snapshot_every: positive("snapshot_every", self.snapshot_every)?,
        })
    }

    /// Takes the hashes, none of them twice.
    fn check_ready_hashes(&self) -> Result<Vec<CertIdHash>, ConfigError> {
        let mut hashes = Vec::new();
        for hash in &self.ready_hashes {
            let hash = match hash {
                ReadyHash::Sha1 => CertIdHash::Sha1,
                ReadyHash::Sha256 => CertIdHash::Sha256,
            };
            if hashes.contains(&hash) {
                return Err(ConfigError::Ocsp {
                    key: "ready_hashes",
                    rule: "must not name a hash twice",
                });
            }
            hashes.push(hash);
        }
        Ok(hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads and checks `[ca.ocsp]`.
    fn check(text: &str) -> Result<CheckedOcspConfig, ConfigError> {
        toml::from_str::<OcspConfig>(text).unwrap().check()
    }

    #[test]
    fn the_defaults_work_and_are_written_as_they_are_read() {
        let config = OcspConfig::default();
        assert!(config.check().is_ok());
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<OcspConfig>(&text).unwrap(), config);
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        for text in [
            "validity = '59s'",
            "validity = '241h'",
            "ready_hashes = ['sha1', 'sha1']",
            "never_issued_validity = '1s'",
            "max_age = '-1s'",
            "archive = '-1s'",
            "max_certificates = 0",
            "max_request_bytes = 65537",
            "max_in_flight = 0",
            "sign_timeout = '0s'",
            "batch = 65",
            "token_percent = 0",
            "token_percent = 101",
            "snapshot_every = '0s'",
        ] {
            let (key, _) = text.split_once(' ').unwrap();
            let error = check(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`ocsp.{key}` ")), "{error}");
        }
    }

    #[test]
    fn a_batch_is_a_number_or_auto() {
        assert_eq!(check("batch = 'auto'").unwrap().batch, None);
        assert_eq!(check("batch = 8").unwrap().batch, NonZeroUsize::new(8));
        for bad in ["batch = 0", "batch = 'many'", "batch = -1"] {
            assert!(toml::from_str::<OcspConfig>(bad).is_err(), "{bad}");
        }
    }
}
