//! What the keeper of a token and its lanes share.
//!
//! ```text
//!              report (a lane lost the token)          recovered
//!   Up(link) ────────────────────────────────▶ Down ───────────────▶ Up(link + 1)
//!      └────────────────── stop ────────────────┴──▶ Over
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use cryptoki::error::{Error as CallError, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use secrecy::SecretString;

use super::config::Settings;
use super::fault::{Fault, Remedy, Trouble};
use super::keeper::Command;
use super::module::Module;
use super::objects::KeyReference;
use crate::KeyStoreMetrics;
use crate::error::{Error, Unavailable};
use crate::queue::Queue;

/// What the keeper and the lanes of one token share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The module.
    pub(super) module: Arc<Module>,
    /// The configuration.
    pub(super) settings: Settings,
    /// The jobs.
    pub(super) queue: Queue<KeyReference>,
    /// What is counted.
    pub(super) metrics: KeyStoreMetrics,
    /// How many lanes there are; the keeper is the caller after the last.
    pub(super) lanes: usize,
    /// Orders to the keeper.
    commands: mpsc::Sender<Command>,
    /// The PIN; none for tokens with a pad of their own, or none at all.
    pin: Option<SecretString>,
    /// Set for good when the token did not take the PIN.
    pin_refused: AtomicBool,
    /// The connection, for those who wait for it.
    link: Mutex<LinkState>,
    /// Rung when the connection changes.
    changed: Condvar,
    /// The connection's generation, for those who only compare it; 0 while down.
    generation: AtomicU64,
    /// Lanes that have a session.
    sessions: AtomicUsize,
}

/// A logged-in connection to the token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// Counts connections and logins: handles of an earlier one are dead.
    pub(super) generation: u64,
    /// The module's start that it was made in.
    pub(super) module_generation: u64,
    /// Where the token is now.
    pub(super) slot: Slot,
}

/// The state of the connection.
#[derive(Debug, Clone, Copy)]
enum LinkState {
    /// There is one.
    Up(Link),
    /// There is none now.
    Down,
    /// There will be none again.
    Over,
}

impl Shared {
    /// Makes the shared part of a store that is not connected yet.
    pub(super) fn new(
        module: Arc<Module>,
        settings: Settings,
        lanes: usize,
        pin: Option<SecretString>,
        metrics: KeyStoreMetrics,
    ) -> (Arc<Self>, mpsc::Receiver<Command>) {
        let (commands, orders) = mpsc::channel();
        let shared = Self {
            module,
            queue: Queue::new(settings.queue, lanes + 1, metrics.clone()),
            settings,
            metrics,
            lanes,
            commands,
            pin,
            pin_refused: AtomicBool::new(false),
            link: Mutex::new(LinkState::Down),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            sessions: AtomicUsize::new(0),
        };
        (Arc::new(shared), orders)
    }

    /// Waits for a connection; none when it is over.
    pub(super) fn wait_link(&self) -> Option<Link> {
        let mut link = self.lock();
        loop {
            match *link {
                LinkState::Up(link) => return Some(link),
                LinkState::Over => return None,
                LinkState::Down => {
                    link = self
                        .changed
                        .wait(link)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits until the connection is another than this one, or some time.
    pub(super) fn wait_change(&self, generation: u64, at_most: Duration) {
        let link = self.lock();
        let same = |state: &mut LinkState| matches!(state, LinkState::Up(link) if link.generation == generation);
        // Whether time ran out makes no difference to the caller.
        drop(self.changed.wait_timeout_while(link, at_most, same));
    }

    /// Returns the connection's generation, 0 while there is none.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Publishes a new connection.
    pub(super) fn publish(&self, link: Link) {
        let mut state = self.lock();
        if !matches!(*state, LinkState::Over) {
            *state = LinkState::Up(link);
            self.generation.store(link.generation, Ordering::Release);
            self.changed.notify_all();
        }
    }

    /// Takes the connection of a generation down, unless it is another by now.
    pub(super) fn take_down(&self, generation: u64) -> bool {
        let mut state = self.lock();
        match *state {
            LinkState::Up(link) if link.generation == generation => {
                *state = LinkState::Down;
                self.generation.store(0, Ordering::Release);
                true
            }
            _ => false,
        }
    }

    /// Tells the keeper that a lane lost the token; one lane's word is enough.
    pub(super) fn report(&self, generation: u64, fault: Fault) {
        if self.take_down(generation) {
            self.command(Command::Mend { generation, fault });
        }
    }

    /// Ends everything: lanes and keeper return.
    pub(super) fn stop(&self) {
        *self.lock() = LinkState::Over;
        self.generation.store(0, Ordering::Release);
        self.changed.notify_all();
        self.queue.stop();
        self.command(Command::Stop);
    }

    /// Sends an order to the keeper.
    fn command(&self, command: Command) {
        // A keeper that is gone has nothing left to do.
        let _ = self.commands.send(command);
    }

    /// Does work on the keeper's session and waits for what comes of it, no
    /// longer than `limit`.
    ///
    /// Work that is `repeatable` is done again after a remedy; other work is
    /// not, for it may have been done although the answer was lost.
    ///
    /// # Errors
    ///
    /// What the work found, `Unavailable`, or `DeadlineExceeded`.
    pub(super) fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        repeatable: bool,
        mut work: impl FnMut(&Session) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Error> {
        self.queue.ready()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        self.command(Command::Work(Box::new(move |keeper| {
            // Who asked may have stopped waiting.
            let _ = sender.send(keeper.perform(limit, repeatable, &mut work));
        })));
        match receiver.recv_timeout(limit.saturating_add(self.settings.call_timeout)) {
            Ok(outcome) => outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.queue.ready()?;
                Err(Error::DeadlineExceeded { after: limit })
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Unavailable::Closed.into()),
        }
    }

    /// Offers the PIN, unless the token refused it before.
    ///
    /// # Errors
    ///
    /// `PinRefused`, now and for good, or the failed call.
    pub(super) fn login(&self, session: &Session, user: UserType) -> Result<(), Trouble> {
        // No token is offered a PIN again that one did not take: three wrong
        // ones lock a smart card for good.
        if self.pin_refused.load(Ordering::Acquire) {
            return Err(
                Error::from(self.queue.ready().err().unwrap_or(Unavailable::Closed)).into(),
            );
        }
        self.metrics.login();
        let Err(error) = session.login(user, self.pin.as_ref()) else {
            return Ok(());
        };
        if matches!(error, CallError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) {
            return Ok(());
        }
        let fault = Fault::of(&error);
        match fault.remedy {
            Remedy::Operator | Remedy::None => {
                self.pin_refused.store(true, Ordering::Release);
                let reason = Unavailable::PinRefused {
                    failure: fault.failure,
                };
                self.queue.refuse(&reason);
                Err(Error::from(reason).into())
            }
            _ => Err(Trouble::Call(fault)),
        }
    }

    /// Tells whether the PIN was refused for good.
    pub(super) fn is_pin_refused(&self) -> bool {
        self.pin_refused.load(Ordering::Acquire)
    }

    /// Notes that a lane has a session; the first one opens a starved queue.
    pub(super) fn session_opened(&self) {
        self.metrics.session_opened();
        if self.sessions.fetch_add(1, Ordering::AcqRel) == 0 {
            self.queue
                .admit_if(|reason| matches!(reason, Unavailable::NoSession { .. }));
        }
    }

    /// Notes that a lane has none any more.
    pub(super) fn session_closed(&self) {
        self.metrics.session_closed();
        self.sessions.fetch_sub(1, Ordering::AcqRel);
    }

    /// Tells whether any lane has a session.
    pub(super) fn has_session(&self) -> bool {
        self.sessions.load(Ordering::Acquire) > 0
    }

    /// Locks the connection; every step leaves it whole, so poison means nothing.
    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
