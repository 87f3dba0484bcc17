//! A token as a store of keys.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;

use cryptoki::slot::{Limit, TokenInfo};
use zeroize::Zeroizing;

use super::config::{Pkcs11Config, Settings};
use super::fault::Trouble;
use super::keeper::Keeper;
use super::lane;
use super::link::Shared;
use super::module::{Module, Modules, find_token, within};
use super::objects::{self, FoundKey, KeyReference};
use super::pin::AskPin;
use crate::certificate::CertificateFacts;
use crate::error::{Error, Unavailable};
use crate::pending::PendingSignature;
use crate::sign::SignJob;
use crate::software::SoftwareKey;
use crate::verify::Verifier;
use crate::{Entry, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, PrivateKey, Provenance};

/// A token's keys and certificates.
///
/// The token is brought back when it is lost, for as long as the store or one
/// of its keys lives; meanwhile everything answers `Unavailable` at once.
#[derive(Debug)]
pub struct Pkcs11Store {
    /// The threads behind it.
    running: Arc<Running>,
    /// The token, in words.
    description: String,
}

impl Pkcs11Store {
    /// Loads the module, finds the token, logs in and starts the lanes.
    ///
    /// The PIN is offered to the token once. Blocks for as long as the module
    /// takes, and no longer than a few call timeouts.
    ///
    /// # Errors
    ///
    /// `Configuration`, `Module`, `Pin`; `Unavailable` when the token is not
    /// there, does not take the PIN or does not answer.
    pub fn open(
        config: &Pkcs11Config,
        modules: &Modules,
        prompt: &dyn AskPin,
        metrics: KeyStoreMetrics,
    ) -> Result<Self, Error> {
        let settings = config.settings()?;
        let Found {
            module,
            description,
            most_sessions,
            wants_pin,
            last_try,
        } = find(&settings, modules)?;
        let pin = if wants_pin {
            if last_try {
                tracing::warn!("{description} says that one more wrong PIN locks it");
            }
            Some(settings.pin_source.read(&description, prompt)?)
        } else {
            None
        };
        let wanted = settings
            .sessions
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        // One session is the keeper's.
        let lanes = wanted.min(most_sessions.saturating_sub(1)).max(1);
        let call_timeout = settings.call_timeout;
        let (shared, orders) = Shared::new(module, settings, lanes, pin, metrics);
        let running = Running::start(Arc::clone(&shared))?;
        let (opened, outcome) = mpsc::sync_channel(1);
        let keeper = Keeper::new(shared);
        running.spawn("token-keeper", move |_| keeper.run(&orders, &opened))?;
        match outcome.recv_timeout(call_timeout.saturating_mul(2)) {
            Ok(outcome) => outcome?,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let since = call_timeout.saturating_mul(2);
                return Err(Unavailable::Hung { since }.into());
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Unavailable::Closed.into()),
        }
        Ok(Self {
            running,
            description,
        })
    }

    /// Makes a handle of a key found.
    fn handle(&self, found: FoundKey) -> Arc<dyn PrivateKey> {
        let FoundKey {
            reference,
            spki_der,
            provenance,
        } = found;
        Arc::new(TokenKey {
            verifier: Arc::new(Verifier::new(
                reference.id.clone(),
                reference.algorithm,
                spki_der,
            )),
            reference: Arc::new(reference),
            provenance,
            running: Arc::clone(&self.running),
        })
    }

    /// Reads from the token.
    fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&cryptoki::session::Session) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = &self.running.shared;
        shared.run(shared.settings.call_timeout, true, work)
    }

    /// Changes the token.
    fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&cryptoki::session::Session) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = &self.running.shared;
        shared.run(shared.settings.generate_timeout, false, work)
    }
}

impl KeyStore for Pkcs11Store {
    fn get_private_key(&self, id: &KeyId) -> Result<Arc<dyn PrivateKey>, Error> {
        let id = id.clone();
        self.read(move |session| objects::find_key(session, &id))
            .map(|found| self.handle(found))
    }

    fn import_private_key(
        &self,
        id: &KeyId,
        pkcs8_der: Zeroizing<Vec<u8>>,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        let key = SoftwareKey::from_pkcs8(&pkcs8_der)?;
        let algorithm = key.algorithm();
        let parts = key
            .parts(&pkcs8_der)
            .map_err(|fault| Error::MalformedKey { fault })?;
        let id = id.clone();
        self.write(move |session| objects::import(session, &id, algorithm, &parts))
            .map(|found| self.handle(found))
    }

    fn generate_private_key(
        &self,
        id: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        let id = id.clone();
        self.write(move |session| objects::generate(session, &id, algorithm))
            .map(|found| self.handle(found))
    }

    fn get_certificate(&self, id: &KeyId) -> Result<Vec<u8>, Error> {
        let id = id.clone();
        self.read(move |session| objects::certificate(session, &id))
    }

    fn import_certificate(&self, id: &KeyId, certificate_der: &[u8]) -> Result<(), Error> {
        let facts = CertificateFacts::read(certificate_der)?;
        let id = id.clone();
        let der = certificate_der.to_vec();
        self.write(move |session| objects::put_certificate(session, &id, &der, &facts))
    }

    fn list(&self) -> Result<Vec<Entry>, Error> {
        self.read(objects::list)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let octets = bytes.len();
        let random = self.read(move |session| {
            let mut random = vec![0; octets];
            session.generate_random_slice(&mut random)?;
            Ok(Zeroizing::new(random))
        })?;
        bytes.copy_from_slice(&random);
        Ok(())
    }

    fn ready(&self) -> Result<(), Unavailable> {
        self.running.shared.queue.ready()
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// A token's key as a handle.
#[derive(Debug)]
struct TokenKey {
    /// What lanes need.
    reference: Arc<KeyReference>,
    /// Its public half.
    verifier: Arc<Verifier>,
    /// Where it came from.
    provenance: Provenance,
    /// The threads behind it.
    running: Arc<Running>,
}

impl PrivateKey for TokenKey {
    fn id(&self) -> &KeyId {
        self.verifier.id()
    }

    fn algorithm(&self) -> KeyAlgorithm {
        self.verifier.algorithm()
    }

    fn public_key_der(&self) -> &[u8] {
        self.verifier.spki_der()
    }

    fn sign(&self, job: SignJob) -> PendingSignature {
        self.running
            .shared
            .queue
            .ask(&self.reference, &self.verifier, job)
    }

    fn provenance(&self) -> Provenance {
        self.provenance
    }
}

/// The threads of a store, as long as the store or one of its keys lives.
struct Running {
    /// What the threads share.
    shared: Arc<Shared>,
    /// How many of them run.
    alive: Arc<(Mutex<usize>, Condvar)>,
}

impl Running {
    /// Starts the watchdog and the lanes, which wait for a connection.
    fn start(shared: Arc<Shared>) -> Result<Arc<Self>, Error> {
        let running = Arc::new(Self {
            alive: Arc::default(),
            shared,
        });
        running.spawn("token-watch", |shared| shared.queue.watch())?;
        for number in 0..running.shared.lanes {
            running.spawn(&format!("token-lane-{number}"), move |shared| {
                lane::run(shared, number);
            })?;
        }
        Ok(running)
    }

    /// Starts a thread.
    fn spawn(
        &self,
        name: &str,
        body: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let present = Present::enter(&self.alive);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                body(&shared);
                drop(shared);
                drop(present);
            })
            .map(drop)
            .map_err(|error| {
                Unavailable::ModuleFailed {
                    reason: format!("no thread can be started: {error}").into(),
                }
                .into()
            })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
        let (count, gone) = &*self.alive;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that hangs in the module is left behind: nothing can end it.
        let limit = self.shared.settings.call_timeout;
        let waited = gone.wait_timeout_while(count, limit, |count| *count > 0);
        if waited.is_ok_and(|(_, timeout)| timeout.timed_out()) {
            tracing::error!("the PKCS#11 module hangs; its threads are left behind");
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({:?})", self.shared.module)
    }
}

/// Counts a thread for as long as it lives, panic or not.
struct Present(Arc<(Mutex<usize>, Condvar)>);

impl Present {
    /// Counts one more.
    fn enter(alive: &Arc<(Mutex<usize>, Condvar)>) -> Self {
        *alive.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(Arc::clone(alive))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.1.notify_all();
    }
}

/// A token found, before anybody has logged in.
struct Found {
    /// Its module.
    module: Arc<Module>,
    /// The token, in words.
    description: String,
    /// Most sessions it allows us.
    most_sessions: usize,
    /// Whether it wants a PIN from us.
    wants_pin: bool,
    /// Whether one more wrong PIN locks it.
    last_try: bool,
}

/// Loads the module and finds the token.
fn find(settings: &Settings, modules: &Modules) -> Result<Found, Error> {
    let modules = modules.clone();
    let path = settings.module.clone();
    let pattern = settings.token.clone();
    let limit = settings.call_timeout.saturating_mul(2);
    within("token-find", limit, move || {
        let module = modules.load(&path)?;
        let info = {
            let inside = module.enter();
            find_token(inside.context, &pattern)
        };
        let (_, info) = info.map_err(Trouble::into_error)?;
        Ok(Found {
            description: describe(&info, &module),
            most_sessions: most_sessions(&info),
            wants_pin: info.login_required() && !info.protected_authentication_path(),
            last_try: info.user_pin_final_try(),
            module,
        })
    })
}

/// Reads how many sessions the token allows.
fn most_sessions(info: &TokenInfo) -> usize {
    let limit = |limit| match limit {
        Limit::Max(most) => usize::try_from(most).unwrap_or(usize::MAX),
        Limit::Unavailable | Limit::Infinite => usize::MAX,
    };
    limit(info.max_session_count())
}

/// Names a token for people.
fn describe(info: &TokenInfo, module: &Module) -> String {
    format!(
        "token {:?} ({} {}, serial {}) through {}",
        info.label().trim_end(),
        info.manufacturer_id().trim_end(),
        info.model().trim_end(),
        info.serial_number().trim_end(),
        module.path().display()
    )
}
