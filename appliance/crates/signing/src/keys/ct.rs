//! Every key by which the CA timestamped certificates: verifiers need them for as long as
//! they look at such certificates.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use attest::trusted_root::{LogInstance, Validity};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use mesh::wire::CtStatus;
use mesh::{CaClient, kept};
use pki::public_key::PublicKey;
use serde::{Deserialize, Serialize};

use super::KeysError;

/// Most octets of the file: thousands of keys, of which years bring a few.
const MAX_BYTES: u64 = 1 << 20;

/// Time between questions to a CA that answers.
const AFTER_ANSWER: SignedDuration = SignedDuration::from_secs(600);

/// Time between questions to a CA that does not.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_secs(30);

/// One key, as the file has it.
// Stored on disk: change only by adding a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    /// SubjectPublicKeyInfo, DER, in base64.
    public_key: String,
    /// Since when its timestamps count.
    since: Timestamp,
}

/// The keys, in memory and in a file.
#[derive(Debug)]
pub(super) struct CertificateLogs {
    /// The file, JSON.
    path: PathBuf,
    /// What verifiers are told of them.
    base_url: String,
    /// What is in it, the oldest first, and when to ask again.
    state: Mutex<State>,
}

/// What is known.
#[derive(Debug)]
struct State {
    /// As the file has them.
    kept: Vec<Kept>,
    /// The same, as verifiers need them.
    logs: Vec<LogInstance>,
    /// When to ask the CA again.
    due: Timestamp,
}

impl CertificateLogs {
    /// Reads the file, where there is one.
    pub(super) fn open(path: PathBuf, base_url: String) -> Result<Self, KeysError> {
        let damaged = || KeysError::Damaged { path: path.clone() };
        let kept: Vec<Kept> = match kept::read(&path, MAX_BYTES).map_err(KeysError::Kept)? {
            None => Vec::new(),
            Some(text) => serde_json::from_slice(&text).map_err(|_| damaged())?,
        };
        let logs = kept
            .iter()
            .map(|kept| describe(&base_url, kept).ok_or_else(damaged))
            .collect::<Result<_, _>>()?;
        let due = Timestamp::MIN;
        Ok(Self {
            state: Mutex::new(State { kept, logs, due }),
            path,
            base_url,
        })
    }

    /// Returns them, the oldest first.
    pub(super) fn logs(&self) -> Vec<LogInstance> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.logs.clone()
    }

    /// Asks the CA for the key of the moment, if it is time; what was known stays known.
    pub(super) async fn learn_if_due(&self, ca: &dyn CaClient, now: Timestamp) {
        let is_due = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            // A clock that was set back ends the wait.
            let is_due = now >= state.due || state.due.duration_since(now) > AFTER_ANSWER;
            if is_due {
                state.due = now + AFTER_FAILURE;
            }
            is_due
        };
        if !is_due {
            return;
        }
        let learnt = match ca.status().await {
            Ok(status) => status.ct.map_or(Ok(()), |ct| self.add(&ct)),
            // Who certifies with it tells of its failure elsewhere.
            Err(error) => {
                tracing::debug!(error = %error, "the CA did not tell of its log key");
                return;
            }
        };
        match learnt {
            Ok(()) => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.due = now + AFTER_ANSWER;
            }
            Err(error) => tracing::warn!(
                error = %error,
                "the key by which the CA timestamps certificates is not in the trusted root"
            ),
        }
    }

    /// Adds a key, unless it is there; durable when it returns.
    fn add(&self, told: &CtStatus) -> Result<(), KeysError> {
        let added = Kept {
            public_key: told.public_key.clone(),
            since: told.since,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .kept
            .iter()
            .any(|one| one.public_key == added.public_key)
        {
            return Ok(());
        }
        let unusable = |reason: &str| KeysError::Unusable {
            key: told.log_id.chars().take(64).collect(),
            reason: reason.to_owned(),
        };
        let log = describe(&self.base_url, &added)
            .ok_or_else(|| unusable("the CA's log key is no public key"))?;
        let mut kept = state.kept.clone();
        kept.push(added);
        let text = serde_json::to_vec(&kept)
            .map_err(|_| unusable("the CA's log key cannot be written"))?;
        kept::write(&self.path, &text).map_err(KeysError::Kept)?;
        state.kept = kept;
        state.logs.push(log);
        Ok(())
    }
}

/// Describes a key to verifiers; none if it is no key.
fn describe(base_url: &str, kept: &Kept) -> Option<LogInstance> {
    let spki_der = BASE64_STANDARD.decode(&kept.public_key).ok()?;
    let key = PublicKey::from_spki_der(&spki_der).ok()?;
    let validity = Validity::since(kept.since);
    Some(LogInstance::certificates(base_url, key, validity))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a CA tells of a key.
    fn told(since: i64) -> CtStatus {
        let key = rcgen::KeyPair::generate().unwrap();
        let spki_der = rcgen::PublicKeyData::subject_public_key_info(&key);
        CtStatus {
            log_id: "00".repeat(32),
            public_key: BASE64_STANDARD.encode(spki_der),
            since: Timestamp::from_second(since).unwrap(),
        }
    }

    #[test]
    fn a_log_key_once_learnt_stays_in_the_trusted_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificate-logs.json");
        let open = || {
            let url = "https://ct.test.internal".to_owned();
            CertificateLogs::open(path.clone(), url).unwrap()
        };
        let (first, second) = (told(1), told(2));
        let logs = open();
        for told in [&first, &first, &second] {
            logs.add(told).unwrap();
        }
        for logs in [logs, open()] {
            let logs = logs.logs();
            let since: Vec<i64> = logs
                .iter()
                .map(|log| log.valid_for.start.unwrap().as_second())
                .collect();
            assert_eq!(since, [1, 2]);
            assert_eq!(logs[0].log_id, logs[0].public_key.sha256());
        }
    }

    #[test]
    fn what_is_no_key_is_not_kept_and_a_damaged_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificate-logs.json");
        let logs = CertificateLogs::open(path.clone(), String::new()).unwrap();
        let broken = CtStatus {
            public_key: "AAAA".to_owned(),
            ..told(1)
        };
        assert!(matches!(logs.add(&broken), Err(KeysError::Unusable { .. })));
        assert!(logs.logs().is_empty() && !path.exists());
        kept::write(
            &path,
            b"[{\"publicKey\":\"AAAA\",\"since\":\"2026-01-01T00:00:00Z\"}]",
        )
        .unwrap();
        assert!(matches!(
            CertificateLogs::open(path, String::new()),
            Err(KeysError::Damaged { .. })
        ));
    }
}
