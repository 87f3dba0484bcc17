//! PKCS#11 modules, each loaded and initialized once in a process.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak, mpsc};
use std::thread;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CallError, RvError};
use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo};

use super::single_part::SinglePart;
use super::uri::TokenPattern;
use crate::error::{Error, Unavailable};
use crate::pkcs11::fault::Trouble;

/// The modules loaded in this process; clones share them.
///
/// C_Initialize and C_Finalize are of the whole process, so stores on several
/// tokens of one module must share its entry: the composition root makes one
/// `Modules` and hands it to every store. A module is finalized when the last
/// store on it goes.
#[derive(Debug, Clone, Default)]
pub struct Modules(Arc<Mutex<HashMap<PathBuf, Weak<Module>>>>);

impl Modules {
    /// Loads and initializes a module, or returns the one that is.
    ///
    /// # Errors
    ///
    /// `Module` when the file cannot be loaded, `Unavailable` when the module
    /// does not initialize.
    pub(crate) fn load(&self, path: &Path) -> Result<Arc<Module>, Error> {
        // Two names of one file are one module. A bare name is left to the loader's search.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut modules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&path).and_then(Weak::upgrade) {
            return Ok(module);
        }
        let context = Pkcs11::new(&path).map_err(|reason| Error::Module {
            path: path.clone(),
            reason: Arc::new(reason),
        })?;
        let owned = initialize(&context).map_err(|error| Trouble::from(error).into_error())?;
        let module = Arc::new(Module {
            path: path.clone(),
            context,
            gate: RwLock::new(()),
            generation: AtomicU64::new(1),
            owned,
            single_part: OnceLock::new(),
            registry: Arc::downgrade(&self.0),
        });
        modules.insert(path, Arc::downgrade(&module));
        Ok(module)
    }
}

/// A loaded and initialized module.
pub(crate) struct Module {
    /// Where it was loaded from.
    path: PathBuf,
    /// Its functions.
    context: Pkcs11,
    /// Held for reading by whoever is in a call, for writing to start it again.
    gate: RwLock<()>,
    /// Counts its starts; handles and sessions of an earlier one are dead.
    generation: AtomicU64,
    /// Whether we initialized it, and so finalize it.
    owned: bool,
    /// Its `C_Sign` alone, looked up when a key first wants it.
    single_part: OnceLock<Option<SinglePart>>,
    /// Where it is listed.
    registry: Weak<Mutex<HashMap<PathBuf, Weak<Module>>>>,
}

/// The right to call into a module: it is not started again meanwhile.
pub(crate) struct Inside<'a> {
    /// The module's functions.
    pub(crate) context: &'a Pkcs11,
    /// Which start of the module this is.
    pub(crate) generation: u64,
    /// Keeps the gate.
    _gate: RwLockReadGuard<'a, ()>,
}

impl Module {
    /// Returns where it was loaded from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its `C_Sign` alone, if that can be had for this session.
    pub(super) fn single_part(&self, session: &Session) -> Option<&SinglePart> {
        self.single_part
            .get_or_init(|| SinglePart::look_up(&self.path))
            .as_ref()
            .filter(|functions| functions.knows(session))
    }

    /// Enters the module; never twice in one thread at a time.
    pub(crate) fn enter(&self) -> Inside<'_> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        Inside {
            context: &self.context,
            generation: self.generation.load(Ordering::Acquire),
            _gate: gate,
        }
    }

    /// Finalizes and initializes it, unless another thread has since `seen`.
    ///
    /// # Errors
    ///
    /// What C_Initialize answered.
    pub(crate) fn restart(&self, seen: u64) -> Result<(), CallError> {
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation.load(Ordering::Acquire) != seen {
            return Ok(());
        }
        if let Err(error) = self.context.clone().finalize() {
            tracing::debug!("finalizing the module {}: {error}", self.path.display());
        }
        initialize(&self.context)?;
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Closes a session, unless it died with an earlier start of the module.
    ///
    /// Sessions are never closed by being dropped: the same number may by then
    /// be another thread's session.
    pub(crate) fn close(&self, session: Session, generation: u64) {
        let inside = self.enter();
        if inside.generation == generation
            && let Err(error) = session.close()
        {
            tracing::debug!("closing a session: {error}");
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // The list is held meanwhile, so that nobody loads what is being finalized.
        let registry = self.registry.upgrade();
        let mut modules = registry
            .as_ref()
            .map(|registry| registry.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(modules) = &mut modules
            && modules
                .get(&self.path)
                .is_some_and(|module| module.strong_count() == 0)
        {
            modules.remove(&self.path);
        }
        if self.owned
            && let Err(error) = self.context.clone().finalize()
        {
            tracing::debug!("finalizing the module {}: {error}", self.path.display());
        }
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", self.path.display())
    }
}

/// Initializes a module; false when somebody else already had.
fn initialize(context: &Pkcs11) -> Result<bool, CallError> {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(true),
        Err(CallError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Finds the one token that the pattern describes.
///
/// # Errors
///
/// `NotFound` or `SeveralTokens`, or what the module answered.
pub(crate) fn find_token(
    context: &Pkcs11,
    pattern: &TokenPattern,
) -> Result<(Slot, TokenInfo), Trouble> {
    let mut present = 0;
    let mut found = Vec::new();
    for slot in context.get_slots_with_token()? {
        // A reader that loses its card between the two calls is no failure of ours.
        let Ok(info) = context.get_token_info(slot) else {
            continue;
        };
        if !info.token_initialized() {
            continue;
        }
        present += 1;
        if pattern.describes(slot, &info) {
            found.push((slot, info));
        }
    }
    let wanted = || pattern.to_string().into();
    match found.len() {
        1 => found.pop().ok_or(Unavailable::NotFound {
            wanted: wanted(),
            present,
        }),
        0 => Err(Unavailable::NotFound {
            wanted: wanted(),
            present,
        }),
        matching => Err(Unavailable::SeveralTokens {
            wanted: wanted(),
            matching,
        }),
    }
    .map_err(|reason| Trouble::Refusal(reason.into()))
}

/// Does work in a module on a thread that is left behind if the module hangs.
///
/// # Errors
///
/// What the work found, or `Hung`.
pub(crate) fn within<T: Send + 'static>(
    name: &str,
    limit: Duration,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let failed = |reason: String| Unavailable::ModuleFailed {
        reason: reason.into(),
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Who asked may have given up.
            let _ = sender.send(work());
        })
        .map_err(|error| failed(format!("no thread can be started: {error}")))?;
    match receiver.recv_timeout(limit) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Unavailable::Hung { since: limit }.into()),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(failed("a call into it panicked".to_owned()).into())
        }
    }
}

impl TokenPattern {
    /// Tells whether a token is one of those meant.
    fn describes(&self, slot: Slot, info: &TokenInfo) -> bool {
        let fits = |wanted: &Option<String>, shown: &str| {
            // The fields are padded with blanks (PKCS#11 v3.1, 3.3).
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted.trim_end_matches(' ') == shown.trim_end_matches(' '))
        };
        fits(&self.label, info.label())
            && fits(&self.serial, info.serial_number())
            && fits(&self.manufacturer, info.manufacturer_id())
            && fits(&self.model, info.model())
            && self.slot_id.is_none_or(|wanted| wanted == slot.id())
    }
}
