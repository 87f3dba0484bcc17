//! The bounded queue between callers and the writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;

/// Where an act's answer goes.
pub(crate) type Reply<O> = oneshot::Sender<Result<O, Error>>;

/// An act and where its answer goes.
pub(crate) struct Queued<A, O> {
    /// What the caller wants.
    pub(crate) act: A,
    /// Where the answer goes.
    pub(crate) reply: Reply<O>,
}

/// What the writer finds in the queue.
pub(crate) enum Drained<A, O> {
    /// Everything that waited.
    Acts(VecDeque<Queued<A, O>>),
    /// Nothing came in time.
    Idle,
    /// Nothing waits and nothing will come.
    Closed,
}

/// A bounded queue with one reader, which is woken only when it sleeps: while
/// it syncs, acts gather at no cost.
pub(crate) struct Queue<A, O> {
    /// What waits.
    state: Mutex<State<A, O>>,
    /// Wakes the writer.
    wake: Condvar,
    /// Most acts that wait.
    capacity: usize,
}

/// The queue's content.
struct State<A, O> {
    /// Acts in the order they came.
    acts: VecDeque<Queued<A, O>>,
    /// Whether the writer waits to be woken.
    writer_sleeps: bool,
    /// Whether no more acts are taken.
    closed: bool,
}

impl<A, O> Queue<A, O> {
    /// Makes a queue for at most `capacity` acts, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                acts: VecDeque::new(),
                writer_sleeps: false,
                closed: false,
            }),
            wake: Condvar::new(),
            capacity: capacity.max(1),
        }
    }

    /// Queues an act and returns where its answer will come.
    ///
    /// # Errors
    ///
    /// `Busy` if the queue is full, `Closed` if it takes no more.
    pub(crate) fn push(&self, act: A) -> Result<oneshot::AsyncReceiver<Result<O, Error>>, Error> {
        let (reply, answer) = oneshot::async_channel();
        let mut state = self.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        if state.acts.len() >= self.capacity {
            return Err(Error::Busy {
                capacity: self.capacity,
            });
        }
        state.acts.push_back(Queued { act, reply });
        let sleeps = std::mem::take(&mut state.writer_sleeps);
        drop(state);
        if sleeps {
            self.wake.notify_one();
        }
        Ok(answer)
    }

    /// Takes everything that waits; waits for something when nothing does, at
    /// most `patience` long.
    pub(crate) fn drain(&self, patience: Option<Duration>) -> Drained<A, O> {
        let mut state = self.lock();
        loop {
            if !state.acts.is_empty() {
                return Drained::Acts(std::mem::take(&mut state.acts));
            }
            if state.closed {
                return Drained::Closed;
            }
            state.writer_sleeps = true;
            match patience {
                None => {
                    state = self
                        .wake
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Some(patience) => {
                    let (woken, timeout) = self
                        .wake
                        .wait_timeout(state, patience)
                        .unwrap_or_else(PoisonError::into_inner);
                    state = woken;
                    if timeout.timed_out() && state.acts.is_empty() && !state.closed {
                        state.writer_sleeps = false;
                        return Drained::Idle;
                    }
                }
            }
            state.writer_sleeps = false;
        }
    }

    /// Takes no more acts; those that wait are still answered.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Returns how many acts wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().acts.len()
    }

    /// Locks the state; a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State<A, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
