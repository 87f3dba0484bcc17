//! The thread that keeps a token connected and logged in.
//!
//! It owns the anchor session, whose life keeps the login of every lane. It
//! alone logs in, starts the module again, and makes, imports and deletes
//! objects: one thread, so each of these happens once at a time.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;

use super::fault::{Fault, Remedy, Trouble};
use super::link::{Link, Shared};
use super::module::find_token;
use crate::error::{Error, Unavailable};

/// Shortest wait between two attempts to bring the token back.
const SHORTEST: Duration = Duration::from_millis(100);

/// Longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(5);

/// How often an idle token is asked whether it is still there.
const IDLE: Duration = Duration::from_secs(5);

/// A token that stays well this long has truly recovered.
const STEADY: Duration = Duration::from_secs(10);

/// An order to the keeper.
pub(super) enum Command {
    /// Do some work on the anchor session.
    Work(Box<dyn FnOnce(&mut Keeper) + Send>),
    /// A lane lost the connection of this generation.
    Mend {
        /// The connection's generation.
        generation: u64,
        /// What the lane saw.
        fault: Fault,
    },
    /// It is over.
    Stop,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work(_) => f.write_str("Work"),
            Self::Mend { generation, fault } => write!(f, "Mend({generation}, {fault:?})"),
            Self::Stop => f.write_str("Stop"),
        }
    }
}

/// Keeps a token connected and logged in.
pub(super) struct Keeper {
    /// What the lanes see too.
    shared: Arc<Shared>,
    /// The session that holds the login.
    anchor: Option<Anchor>,
    /// The last connection's generation.
    generation: u64,
    /// The module's start that the last connection was made in.
    module_generation: u64,
    /// Why there is no connection.
    away: Unavailable,
    /// When to try again, while there is none.
    next_attempt: Option<Instant>,
    /// The wait before the attempt after that.
    pause: Duration,
    /// When the last recovery succeeded.
    recovered: Option<Instant>,
    /// Whether the token shows its keys to nobody unknown.
    wants_login: bool,
}

/// The session that holds the login.
struct Anchor {
    /// The session, for reading and writing.
    session: Session,
    /// Where the token is.
    slot: Slot,
}

impl Keeper {
    /// Makes a keeper that has not connected yet.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            anchor: None,
            generation: 0,
            module_generation: 0,
            away: Unavailable::Closed,
            next_attempt: None,
            pause: SHORTEST,
            recovered: None,
            wants_login: true,
        }
    }

    /// Connects for the first time, tells how that went, and serves until stopped.
    pub(super) fn run(
        mut self,
        orders: &mpsc::Receiver<Command>,
        opened: &mpsc::SyncSender<Result<(), Error>>,
    ) {
        let outcome = self.connect().map_err(Trouble::into_error);
        let failed = outcome.is_err();
        if let Ok(slot) = outcome {
            self.publish(slot);
        }
        // Who opened the store may have given up.
        let _ = opened.send(outcome.map(drop));
        if !failed {
            self.serve(orders);
        }
        self.drop_anchor();
    }

    /// Serves until stopped.
    fn serve(&mut self, orders: &mpsc::Receiver<Command>) {
        loop {
            let wait = match self.next_attempt {
                Some(next) => next.saturating_duration_since(Instant::now()),
                None => IDLE,
            };
            match orders.recv_timeout(wait) {
                Ok(Command::Work(work)) => work(self),
                Ok(Command::Mend { generation, fault }) if generation == self.generation => {
                    self.mend(fault);
                }
                Ok(Command::Mend { .. }) => {}
                Err(mpsc::RecvTimeoutError::Timeout) if self.next_attempt.is_some() => {
                    self.attempt();
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.probe(),
                Ok(Command::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            // Work may keep coming while the token is away: it must not stop the search.
            if self.next_attempt.is_some_and(|next| next <= Instant::now()) {
                self.attempt();
            }
        }
    }

    /// Does a piece of work on the anchor session, with one remedy if it fails.
    pub(super) fn perform<T>(
        &mut self,
        limit: Duration,
        repeatable: bool,
        work: &mut dyn FnMut(&Session) -> Result<T, Trouble>,
    ) -> Result<T, Error> {
        if !repeatable {
            // What cannot be done twice begins on a session known to be good.
            self.probe();
        }
        let first = match self.try_once(limit, work)? {
            Ok(done) => return Ok(done),
            Err(fault) => fault,
        };
        match first.remedy {
            Remedy::None | Remedy::Wait | Remedy::Operator => {
                return Err(Trouble::Call(first).into_error());
            }
            Remedy::NewSession | Remedy::NewSessionFirst | Remedy::Login | Remedy::Restart => {
                self.shared.take_down(self.generation);
                self.mend(first);
            }
        }
        if !repeatable {
            return Err(first.away().into());
        }
        match self.try_once(limit, work)? {
            Ok(done) => Ok(done),
            Err(fault) => Err(Trouble::Call(fault).into_error()),
        }
    }

    /// Does a piece of work once; the inner error is a call that failed.
    fn try_once<T>(
        &self,
        limit: Duration,
        work: &mut dyn FnMut(&Session) -> Result<T, Trouble>,
    ) -> Result<Result<T, Fault>, Error> {
        let Some(anchor) = &self.anchor else {
            return Err(self.away.clone().into());
        };
        let _call = self.shared.queue.begin_call(self.shared.lanes, limit);
        let inside = self.shared.module.enter();
        if inside.generation != self.module_generation {
            return Ok(Err(Fault::stale()));
        }
        match work(&anchor.session) {
            Ok(done) => Ok(Ok(done)),
            Err(Trouble::Refusal(error)) => Err(error),
            Err(Trouble::Call(fault)) => Ok(Err(fault)),
        }
    }

    /// Asks an idle token whether it is still there and knows us.
    fn probe(&mut self) {
        let limit = self.shared.settings.call_timeout;
        let mut ask = |session: &Session| Ok(session.get_session_info()?.session_state());
        let fault = match self.try_once(limit, &mut ask) {
            Ok(Ok(SessionState::RwUser | SessionState::RoUser)) | Err(_) => return,
            // A token that wants no login is public for ever.
            Ok(Ok(_)) if !self.wants_login => return,
            Ok(Ok(_)) => Fault::logged_out(),
            Ok(Err(fault)) => fault,
        };
        self.shared.take_down(self.generation);
        self.mend(fault);
    }

    /// Brings a lost connection back by the gentlest remedy that works.
    fn mend(&mut self, fault: Fault) {
        tracing::warn!("the token failed ({}); mending", fault.failure);
        let gentle = match fault.remedy {
            Remedy::Login => self.login_again(),
            Remedy::NewSession => self.reconnect(),
            _ => false,
        };
        if gentle {
            return;
        }
        self.drop_anchor();
        self.away = fault.away();
        // A token that fails again and again is not started again and again.
        // Another store's restart says nothing of our token's health.
        if !self.is_stale() && self.recovered.is_some_and(|at| at.elapsed() < STEADY) {
            self.postpone();
        } else {
            self.pause = SHORTEST;
            self.attempt();
        }
    }

    /// Logs in once more on the anchor session.
    fn login_again(&mut self) -> bool {
        let Some(anchor) = &self.anchor else {
            return false;
        };
        let slot = anchor.slot;
        let login = {
            let _call = self
                .shared
                .queue
                .begin_call(self.shared.lanes, self.shared.settings.call_timeout);
            let inside = self.shared.module.enter();
            inside.generation == self.module_generation
                && self.shared.login(&anchor.session, UserType::User).is_ok()
        };
        if login {
            self.publish(slot);
        }
        login
    }

    /// Opens another anchor session on the same start of the module.
    fn reconnect(&mut self) -> bool {
        let before = self.anchor.take();
        let connected = self.connect();
        // The old one goes last: with the last session the login would go.
        if let Some(before) = before {
            self.shared
                .module
                .close(before.session, self.module_generation);
        }
        connected.map(|slot| self.publish(slot)).is_ok()
    }

    /// Starts the module again and looks for the token once.
    fn attempt(&mut self) {
        self.next_attempt = None;
        let by_another = self.is_stale();
        let restarted = {
            let _call = self
                .shared
                .queue
                .begin_call(self.shared.lanes, self.shared.settings.call_timeout);
            self.shared.module.restart(self.module_generation)
        };
        let outcome = restarted
            .map_err(Trouble::from)
            .and_then(|()| self.connect());
        match outcome {
            Ok(slot) => {
                tracing::info!("the token is back");
                if !by_another {
                    self.recovered = Some(Instant::now());
                }
                self.shared.metrics.recovered();
                self.publish(slot);
            }
            Err(_) if self.shared.is_pin_refused() => {
                // `login` has said so and closed the queue for good.
                if let Err(reason) = self.shared.queue.ready() {
                    self.away = reason;
                }
            }
            Err(trouble) => {
                if let Error::Unavailable(reason) = trouble.into_error() {
                    self.away = reason;
                }
                tracing::warn!("the token is not back yet: {}", self.away);
                // The module was started in vain: the next attempt starts it again.
                self.module_generation = self.shared.module.enter().generation;
                self.postpone();
            }
        }
    }

    /// Tells whether the module was started again since the last connection.
    fn is_stale(&self) -> bool {
        self.shared.module.enter().generation != self.module_generation
    }

    /// Says that the token is away, and sets the next attempt.
    fn postpone(&mut self) {
        self.shared.queue.refuse(&self.away);
        self.next_attempt = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Finds the token, opens the anchor session and logs in.
    fn connect(&mut self) -> Result<Slot, Trouble> {
        let shared = Arc::clone(&self.shared);
        let _call = shared
            .queue
            .begin_call(shared.lanes, shared.settings.call_timeout);
        let inside = shared.module.enter();
        self.module_generation = inside.generation;
        let (slot, info) = find_token(inside.context, &shared.settings.token)?;
        let session = inside.context.open_rw_session_no_drop(slot)?;
        self.wants_login = info.login_required();
        if self.wants_login
            && let Err(trouble) = shared.login(&session, UserType::User)
        {
            // The login's failure is the one to tell.
            let _ = session.close();
            return Err(trouble);
        }
        self.anchor = Some(Anchor { session, slot });
        Ok(slot)
    }

    /// Opens the queue, and tells the lanes of a new connection or login.
    fn publish(&mut self, slot: Slot) {
        self.generation += 1;
        self.shared.queue.admit();
        self.shared.publish(Link {
            generation: self.generation,
            module_generation: self.module_generation,
            slot,
        });
    }

    /// Lets the anchor session go.
    fn drop_anchor(&mut self) {
        if let Some(anchor) = self.anchor.take() {
            self.shared
                .module
                .close(anchor.session, self.module_generation);
        }
    }
}
