//! The keystores of a process that serves: each opened once, its token waited for.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hsm_keystore::pkcs11::AskPin;
use hsm_keystore::{KeyStore, Modules};
use secrecy::SecretString;
use tokio::sync::OnceCell;
use tracing::{error, info, warn};

use super::keystore::keystore_failure;
use super::serve::Process;
use crate::cli::prompt::Terminal;
use crate::failure::{Failure, Trying};

/// How long a start waits before it asks for an absent token again.
const TOKEN_RETRY: Duration = Duration::from_secs(2);

/// A keystore, once it is open.
type Opening = Arc<OnceCell<Arc<dyn KeyStore>>>;

/// The keystores by the name in `[keystores]`; none for the one of `[keystore]`.
#[derive(Default)]
pub(super) struct Keyring {
    /// PKCS#11 modules, each loaded once.
    modules: Modules,
    /// Those that are open or being opened.
    keystores: Mutex<BTreeMap<Option<String>, Opening>>,
}

impl Keyring {
    /// Opens the keystore called `name`, or the one of `[keystore]`, unless it is
    /// open; waits for a token that is away, and says so on `/readyz` under `check`.
    ///
    /// # Errors
    ///
    /// When something stands in the way that does not pass by itself.
    pub(super) async fn open(
        &self,
        process: &Process<'_>,
        name: Option<&str>,
        check: &str,
    ) -> Result<Arc<dyn KeyStore>, Failure> {
        let opening = {
            let mut keystores = self
                .keystores
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(keystores.entry(name.map(str::to_owned)).or_default())
        };
        let opened = opening
            .get_or_try_init(|| self.wait_for(process, name, check))
            .await?;
        Ok(Arc::clone(opened))
    }

    /// Opens a keystore, however long its token is away.
    async fn wait_for(
        &self,
        process: &Process<'_>,
        name: Option<&str>,
        check: &str,
    ) -> Result<Arc<dyn KeyStore>, Failure> {
        let health = &process.shared.health;
        let prompt = Arc::new(AskOnce::default());
        let mut told = false;
        loop {
            let configured = process.config.keystore(name)?.clone();
            let (modules, prompt, metrics) = (
                self.modules.clone(),
                Arc::clone(&prompt),
                process.metrics.keystore.clone(),
            );
            let attempt = tokio::task::spawn_blocking(move || {
                let outcome = configured.open(&modules, prompt.as_ref(), metrics);
                (configured, outcome)
            });
            let (configured, outcome) = attempt.await.trying(|| "open the keystore".to_owned())?;
            match outcome {
                Ok(keystore) => {
                    let watched = Arc::clone(&keystore);
                    health.register(check, move || {
                        watched.ready().map_err(|reason| reason.to_string())
                    });
                    info!(keystore = keystore.describe(), "the keystore is open");
                    return Ok(keystore);
                }
                Err(error) if error.retry_after().is_some() => {
                    let reason = error.to_string();
                    if !told {
                        warn!(error = %reason, "waiting for the token: {reason}");
                        told = true;
                    }
                    health.register(check, move || Err(reason.clone()));
                    tokio::time::sleep(TOKEN_RETRY).await;
                }
                Err(error) => return Err(keystore_failure(name, &configured, error)),
            }
        }
    }

    /// Closes what nobody else holds any more; that may have to wait.
    pub(super) async fn close(self) {
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            error!(error = %error, "the keystores could not be closed in order");
        }
    }
}

/// Asks for the PIN on the terminal, once, however often a token is tried.
#[derive(Debug, Default)]
struct AskOnce(Mutex<Option<SecretString>>);

impl AskPin for AskOnce {
    fn ask_pin(&self, token: &str) -> io::Result<SecretString> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.as_ref() {
            Some(pin) => Ok(pin.clone()),
            None => Ok(known.insert(Terminal.ask_pin(token)?).clone()),
        }
    }
}
