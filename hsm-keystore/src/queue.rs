//! The queue between those who ask for signatures and the lanes that make them.
//!
//! A lane is a thread that owns one way to sign. It takes the most urgent
//! ticket, signs, settles it. A watchdog keeps the promises of time: a ticket is
//! answered by its deadline even while every lane is stuck in a foreign call,
//! and a call that does not come back closes the queue until it does.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Unavailable};
use crate::metrics::KeyStoreMetrics;
use crate::pending::{Answer, PendingSignature};
use crate::sign::{Priority, SignJob};
use crate::verify::Verifier;

/// Tickets in order of urgency, and what every lane is doing; `K` is what a
/// lane needs to know of a key.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    /// Everything that changes.
    state: Mutex<State<K>>,
    /// Rung for lanes: there is a ticket, or it is over.
    work: Condvar,
    /// Rung for the watchdog: something ends sooner than it looks next.
    bell: Condvar,
    /// Most tickets that wait in each line: bulk never shuts revocation out.
    capacity: usize,
    /// What is counted.
    metrics: KeyStoreMetrics,
}

/// What changes in a queue.
#[derive(Debug)]
struct State<K> {
    /// Tickets by priority.
    waiting: [VecDeque<Ticket<K>>; 3],
    /// The call each lane is in, by its number; the last ones are not lanes.
    calls: Vec<Option<Call>>,
    /// Lanes that wait for a ticket.
    idle: usize,
    /// Why no ticket is taken now.
    refusing: Option<Unavailable>,
    /// Set while a call does not come back.
    hung: Option<Unavailable>,
    /// No more tickets, ever.
    stopped: bool,
    /// When the watchdog looks next; none while nothing can end.
    next_look: Option<Instant>,
}

/// One signature to be made.
#[derive(Debug)]
pub(crate) struct Ticket<K> {
    /// The key.
    pub(crate) key: Arc<K>,
    /// What it is to sign.
    pub(crate) job: Arc<SignJob>,
    /// How often a lane has failed at it.
    pub(crate) failures: u8,
    /// Where the answer goes.
    answer: Arc<Answer>,
    /// When it was asked for.
    asked: Instant,
    /// When it must be answered.
    deadline: Instant,
}

impl<K> Ticket<K> {
    /// Answers it.
    pub(crate) fn settle(self, outcome: Result<Vec<u8>, Error>) {
        self.answer.settle(outcome);
    }
}

/// A call that is out.
#[derive(Debug)]
struct Call {
    /// When it went out.
    began: Instant,
    /// How long it may take before it counts as hung.
    limit: Duration,
    /// Whose signature it makes; none for other calls.
    ticket: Option<(Arc<Answer>, Instant, Duration)>,
}

/// Marks a call as back when dropped.
#[derive(Debug)]
pub(crate) struct CallGuard<'a, K> {
    /// The queue told.
    queue: &'a Queue<K>,
    /// Who called.
    caller: usize,
}

impl<K> Drop for CallGuard<'_, K> {
    fn drop(&mut self) {
        self.queue.end_call(self.caller);
    }
}

impl<K> Queue<K> {
    /// Makes an open queue for so many `callers`: lanes first, then others.
    pub(crate) fn new(capacity: usize, callers: usize, metrics: KeyStoreMetrics) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: Default::default(),
                calls: std::iter::repeat_with(|| None).take(callers).collect(),
                idle: 0,
                refusing: None,
                hung: None,
                stopped: false,
                next_look: None,
            }),
            work: Condvar::new(),
            bell: Condvar::new(),
            capacity,
            metrics,
        }
    }

    /// Puts a job in the queue, or answers why not.
    pub(crate) fn ask(
        &self,
        key: &Arc<K>,
        verifier: &Arc<Verifier>,
        job: SignJob,
    ) -> PendingSignature {
        let refuse = |job: &SignJob, error| {
            let outcome = Err(error);
            self.metrics.count(job, verifier.algorithm(), &outcome);
            PendingSignature::settled(outcome)
        };
        if let Err(error) = verifier.admit(job.scheme()) {
            return refuse(&job, error);
        }
        let asked = Instant::now();
        let deadline = asked
            .checked_add(job.timeout())
            .unwrap_or_else(|| asked + Duration::from_secs(86_400));
        let answer = Answer::new();
        let job = Arc::new(job);
        {
            let mut state = self.lock();
            if let Err(reason) = state.admits() {
                drop(state);
                return refuse(&job, reason.into());
            }
            let place = job.priority().place();
            if state.waits(place) >= self.capacity {
                state.sweep();
                let waiting = state.waits(place);
                if waiting >= self.capacity {
                    drop(state);
                    return refuse(&job, Error::Busy { waiting });
                }
            }
            if let Some(line) = state.waiting.get_mut(place) {
                line.push_back(Ticket {
                    key: Arc::clone(key),
                    job: Arc::clone(&job),
                    failures: 0,
                    answer: Arc::clone(&answer),
                    asked,
                    deadline,
                });
            }
            self.metrics.depth(state.depth());
            self.look_by(&mut state, deadline);
            if state.idle > 0 {
                self.work.notify_one();
            }
        }
        PendingSignature::pending(answer, job, Arc::clone(verifier), self.metrics.clone())
    }

    /// Waits for the most urgent ticket; none when it is over.
    ///
    /// Ends the lane's call before, and begins the one for this ticket, which
    /// counts as hung after `limit`.
    pub(crate) fn next(&self, lane: usize, limit: Duration) -> Option<Ticket<K>> {
        let mut state = self.lock();
        self.call_is_back(&mut state, lane);
        loop {
            if state.stopped {
                return None;
            }
            let Some(ticket) = state.take() else {
                state.idle += 1;
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            let now = Instant::now();
            if ticket.deadline <= now {
                let after = ticket.job.timeout();
                drop(state);
                ticket.settle(Err(Error::DeadlineExceeded { after }));
                state = self.lock();
                continue;
            }
            if !ticket.answer.is_open() {
                continue;
            }
            if let Some(call) = state.calls.get_mut(lane) {
                *call = Some(Call {
                    began: now,
                    limit,
                    ticket: Some((
                        Arc::clone(&ticket.answer),
                        ticket.deadline,
                        ticket.job.timeout(),
                    )),
                });
            }
            self.look_by(&mut state, now + limit);
            self.metrics.depth(state.depth());
            drop(state);
            if ticket.failures == 0 {
                self.metrics
                    .waited(ticket.job.priority(), now.duration_since(ticket.asked));
            }
            return Some(ticket);
        }
    }

    /// Puts a ticket that a lane could not serve back at the head of its line;
    /// the lane counts its failures.
    ///
    /// It is answered at once if the queue refuses meanwhile.
    pub(crate) fn give_back(&self, lane: usize, ticket: Ticket<K>) {
        let mut state = self.lock();
        self.call_is_back(&mut state, lane);
        if let Err(reason) = state.admits() {
            drop(state);
            ticket.settle(Err(reason.into()));
            return;
        }
        let deadline = ticket.deadline;
        if let Some(line) = state.waiting.get_mut(ticket.job.priority().place()) {
            line.push_front(ticket);
        }
        self.look_by(&mut state, deadline);
        if state.idle > 0 {
            self.work.notify_one();
        }
    }

    /// Notes that `caller` is in a foreign call until the guard is dropped.
    pub(crate) fn begin_call(&self, caller: usize, limit: Duration) -> CallGuard<'_, K> {
        let mut state = self.lock();
        let began = Instant::now();
        if let Some(call) = state.calls.get_mut(caller) {
            *call = Some(Call {
                began,
                limit,
                ticket: None,
            });
        }
        self.look_by(&mut state, began + limit);
        CallGuard {
            queue: self,
            caller,
        }
    }

    /// Notes that the caller's call came back.
    pub(crate) fn end_call(&self, caller: usize) {
        let mut state = self.lock();
        self.call_is_back(&mut state, caller);
    }

    /// Takes no more tickets, and answers all that wait, until `admit`.
    pub(crate) fn refuse(&self, reason: &Unavailable) {
        let tickets = {
            let mut state = self.lock();
            state.refusing = Some(reason.clone());
            self.metrics.ready(false);
            state.drain()
        };
        for ticket in tickets {
            ticket.settle(Err(reason.clone().into()));
        }
    }

    /// Takes tickets again.
    pub(crate) fn admit(&self) {
        let mut state = self.lock();
        state.refusing = None;
        self.metrics.ready(state.admits().is_ok());
    }

    /// Takes tickets again if the reason why not is such a one.
    pub(crate) fn admit_if(&self, is_over: impl FnOnce(&Unavailable) -> bool) {
        let mut state = self.lock();
        if state.refusing.take_if(|reason| is_over(reason)).is_some() {
            self.metrics.ready(state.admits().is_ok());
        }
    }

    /// Tells whether tickets are taken now.
    ///
    /// # Errors
    ///
    /// The reason why not.
    pub(crate) fn ready(&self) -> Result<(), Unavailable> {
        self.lock().admits()
    }

    /// Ends the queue: lanes and the watchdog return, whatever waits is answered.
    pub(crate) fn stop(&self) {
        let tickets = {
            let mut state = self.lock();
            state.stopped = true;
            self.work.notify_all();
            self.bell.notify_all();
            state.drain()
        };
        self.metrics.ready(false);
        self.metrics.depth(0);
        for ticket in tickets {
            ticket.settle(Err(Unavailable::Closed.into()));
        }
    }

    /// Keeps watch until the queue is stopped; a thread of its own runs this.
    pub(crate) fn watch(&self) {
        let mut state = self.lock();
        while !state.stopped {
            let now = Instant::now();
            let due = state.due(now);
            if !due.is_empty() {
                drop(state);
                for (answer, error) in due {
                    answer.settle(Err(error));
                }
                state = self.lock();
                continue;
            }
            if state.hung.is_some() {
                self.metrics.ready(false);
            }
            state.next_look = state.next_end();
            state = match state.next_look {
                None => self
                    .bell
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    self.bell
                        .wait_timeout(state, next.saturating_duration_since(now))
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    /// Makes sure that the watchdog looks by then.
    fn look_by(&self, state: &mut State<K>, when: Instant) {
        if state.next_look.is_none_or(|next| when < next) {
            state.next_look = Some(when);
            self.bell.notify_one();
        }
    }

    /// Takes a call off the list and opens a queue that it alone had closed.
    fn call_is_back(&self, state: &mut State<K>, caller: usize) {
        let Some(Some(call)) = state.calls.get_mut(caller).map(Option::take) else {
            return;
        };
        let now = Instant::now();
        if call.ticket.is_some() {
            self.metrics.worked(now.duration_since(call.began));
        }
        if state.hung.is_some() && state.longest_over(now).is_none() {
            state.hung = None;
            self.metrics.ready(state.admits().is_ok());
            tracing::info!("the token answers again");
        }
    }

    /// Locks the state; every step leaves it whole, so poison means nothing.
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> State<K> {
    /// Tells whether tickets are taken now.
    fn admits(&self) -> Result<(), Unavailable> {
        if self.stopped {
            return Err(Unavailable::Closed);
        }
        match self.hung.as_ref().or(self.refusing.as_ref()) {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// Counts the tickets that wait.
    fn depth(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    /// Counts the tickets that wait in one line.
    fn waits(&self, place: usize) -> usize {
        self.waiting.get(place).map_or(0, VecDeque::len)
    }

    /// Takes the most urgent ticket.
    fn take(&mut self) -> Option<Ticket<K>> {
        // `Priority::ALL` is in the order of the lines.
        debug_assert_eq!(Priority::ALL.len(), self.waiting.len());
        self.waiting.iter_mut().find_map(VecDeque::pop_front)
    }

    /// Drops the tickets that nobody waits for.
    fn sweep(&mut self) {
        for line in &mut self.waiting {
            line.retain(|ticket| ticket.answer.is_open());
        }
    }

    /// Takes out every ticket that waits.
    fn drain(&mut self) -> Vec<Ticket<K>> {
        self.waiting.iter_mut().flat_map(std::mem::take).collect()
    }

    /// Finds how long the longest call is out that is over its limit.
    fn longest_over(&self, now: Instant) -> Option<Duration> {
        self.calls
            .iter()
            .flatten()
            .filter(|call| now >= call.began + call.limit)
            .map(|call| now.duration_since(call.began))
            .max()
    }

    /// Collects every answer that is due to be an error now, and closes the
    /// queue if a call is over its limit.
    fn due(&mut self, now: Instant) -> Vec<(Arc<Answer>, Error)> {
        let mut due = Vec::new();
        for line in &mut self.waiting {
            // One pass, in place: nearly always nothing is due.
            if line.iter().any(|ticket| ticket.deadline <= now) {
                let (late, rest) = std::mem::take(line)
                    .into_iter()
                    .partition::<VecDeque<_>, _>(|ticket| ticket.deadline <= now);
                *line = rest;
                due.extend(late.into_iter().map(|ticket| {
                    let after = ticket.job.timeout();
                    (ticket.answer, Error::DeadlineExceeded { after })
                }));
            }
        }
        for call in self.calls.iter_mut().flatten() {
            if let Some((answer, _, after)) =
                call.ticket.take_if(|(_, deadline, _)| *deadline <= now)
            {
                due.push((answer, Error::DeadlineExceeded { after }));
            }
        }
        if let Some(since) = self.longest_over(now)
            && self.hung.is_none()
        {
            let reason = Unavailable::Hung { since };
            tracing::error!("{reason}");
            self.hung = Some(reason.clone());
            let waiting = self.drain().into_iter().map(|ticket| ticket.answer);
            let working = self
                .calls
                .iter_mut()
                .flatten()
                .filter_map(|call| call.ticket.take())
                .map(|(answer, _, _)| answer);
            due.extend(
                waiting
                    .chain(working)
                    .map(|answer| (answer, reason.clone().into())),
            );
        }
        due
    }

    /// Finds the next moment at which something ends.
    fn next_end(&self) -> Option<Instant> {
        let tickets = self.waiting.iter().flatten().map(|ticket| ticket.deadline);
        let calls = self.calls.iter().flatten().flat_map(|call| {
            let over = self.hung.is_none().then_some(call.began + call.limit);
            let ticket = call.ticket.as_ref().map(|(_, deadline, _)| *deadline);
            over.into_iter().chain(ticket)
        });
        tickets.chain(calls).min()
    }
}

#[cfg(test)]
mod tests;
