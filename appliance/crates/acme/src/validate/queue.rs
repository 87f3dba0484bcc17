//! Whose turn it is: a pure queue, fair among accounts, bounded for each target.
//!
//! Accounts take turns, so that one with a thousand challenges delays another by
//! one place and not by a thousand; and no account or target holds more than its
//! share of the workers, so that slow targets hold up nobody else's.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Limits and pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most attempts at a challenge before it is invalid.
    pub attempts: u32,
    /// Time between the first two attempts; each further pause is twice as long.
    pub retry_pause: Duration,
    /// Longest time between two attempts.
    pub max_retry_pause: Duration,
    /// Most attempts under way.
    pub workers: usize,
    /// Most attempts under way for one account.
    pub workers_per_account: usize,
    /// Most attempts under way at one target.
    pub workers_per_target: usize,
    /// Most challenges that wait.
    pub max_waiting: usize,
}

impl Limits {
    /// Returns the pause after this many attempts.
    pub(super) fn pause_after(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        self.retry_pause
            .saturating_mul(1 << doublings)
            .min(self.max_retry_pause)
    }
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Waits for its turn.
    Ready,
    /// Had its turn and waits for room at its target.
    Parked,
    /// Waits until then.
    Later(Instant, u64),
    /// Is under way.
    Running,
}

/// An entry.
#[derive(Debug)]
struct Entry<A, T, J> {
    /// Whose.
    account: A,
    /// Where.
    target: T,
    /// Where it stands.
    place: Place,
    /// What is to be done; absent while it is under way.
    job: Option<J>,
}

/// The queue: keys `K`, accounts `A`, targets `T`, jobs `J`.
#[derive(Debug)]
pub(super) struct Queue<K, A, T, J> {
    /// Every entry.
    entries: HashMap<K, Entry<A, T, J>>,
    /// Keys that wait for their turn, by account; no list is empty.
    ready: HashMap<A, VecDeque<K>>,
    /// Accounts with something ready, the next one first.
    turns: VecDeque<A>,
    /// Keys that had their turn while their target was full; no list is empty.
    parked: HashMap<T, VecDeque<K>>,
    /// Keys that wait for their time.
    later: BTreeMap<(Instant, u64), K>,
    /// Attempts under way, by account; none is nought.
    account_running: HashMap<A, usize>,
    /// Attempts under way, by target; none is nought.
    target_running: HashMap<T, usize>,
    /// Attempts under way.
    running: usize,
    /// Tells entries of one time apart.
    sequence: u64,
    /// Its bounds.
    limits: Limits,
}

/// Most entries that come back when a target has room again; the rest follow with
/// the next that ends there.
const MAX_UNPARKED: usize = 64;

impl<K, A, T, J> Queue<K, A, T, J>
where
    K: Clone + Eq + Hash,
    A: Clone + Eq + Hash,
    T: Clone + Eq + Hash,
{
    /// Makes an empty queue.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            entries: HashMap::new(),
            ready: HashMap::new(),
            turns: VecDeque::new(),
            parked: HashMap::new(),
            later: BTreeMap::new(),
            account_running: HashMap::new(),
            target_running: HashMap::new(),
            running: 0,
            sequence: 0,
            limits,
        }
    }

    /// Returns how many entries wait.
    pub(super) fn waiting(&self) -> usize {
        self.entries.len() - self.running
    }

    /// Returns how many entries are under way.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Adds an entry to be done at once. One that waits for its time is brought
    /// forward; one that is ready or under way stays as it is.
    pub(super) fn push(&mut self, key: K, account: A, target: T, job: J) {
        match self.entries.get_mut(&key) {
            None => {
                self.entries.insert(
                    key.clone(),
                    Entry {
                        account: account.clone(),
                        target,
                        place: Place::Ready,
                        job: Some(job),
                    },
                );
                self.make_ready(key, account);
            }
            Some(entry) => {
                if let Place::Later(at, sequence) = entry.place {
                    entry.place = Place::Ready;
                    let account = entry.account.clone();
                    self.later.remove(&(at, sequence));
                    self.make_ready(key, account);
                }
            }
        }
    }

    /// Puts a ready entry at the end of its account's list.
    fn make_ready(&mut self, key: K, account: A) {
        let list = self.ready.entry(account.clone()).or_default();
        if list.is_empty() {
            self.turns.push_back(account);
        }
        list.push_back(key);
    }

    /// Makes ready whatever has waited long enough.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.place = Place::Ready;
                let account = entry.account.clone();
                self.make_ready(key, account);
            }
        }
    }

    /// Returns when something will have waited long enough.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next entry that may be under way now.
    pub(super) fn take(&mut self) -> Option<(K, J)> {
        if self.running >= self.limits.workers {
            return None;
        }
        // Each account once: whoever cannot go keeps its place in the circle.
        for _ in 0..self.turns.len() {
            let account = self.turns.pop_front()?;
            let taken = self.take_of(&account);
            if self.ready.contains_key(&account) {
                self.turns.push_back(account);
            }
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    /// Takes the first entry of an account whose target has room, and parks those
    /// before it.
    fn take_of(&mut self, account: &A) -> Option<(K, J)> {
        let held = self.account_running.get(account).copied().unwrap_or(0);
        if held >= self.limits.workers_per_account {
            return None;
        }
        loop {
            let list = self.ready.get_mut(account)?;
            let next = list.pop_front();
            if list.is_empty() {
                self.ready.remove(account);
            }
            let key = next?;
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            let at_target = self.target_running.entry(entry.target.clone()).or_default();
            if *at_target >= self.limits.workers_per_target {
                entry.place = Place::Parked;
                let target = entry.target.clone();
                self.parked.entry(target).or_default().push_back(key);
                continue;
            }
            *at_target += 1;
            *self.account_running.entry(account.clone()).or_default() += 1;
            self.running += 1;
            entry.place = Place::Running;
            return entry.job.take().map(|job| (key, job));
        }
    }

    /// Brings back entries that were parked for a target.
    fn unpark(&mut self, target: &T) {
        let Some(list) = self.parked.get_mut(target) else {
            return;
        };
        let many = list.len().min(MAX_UNPARKED);
        let back: Vec<K> = list.drain(..many).collect();
        if list.is_empty() {
            self.parked.remove(target);
        }
        for key in back {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.place = Place::Ready;
                let account = entry.account.clone();
                self.make_ready(key, account);
            }
        }
    }

    /// Lets go of an entry that was under way; with a job and a time it waits
    /// again.
    pub(super) fn done(&mut self, key: &K, again: Option<(J, Instant)>) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if entry.place != Place::Running {
            return;
        }
        self.running -= 1;
        release(&mut self.account_running, &entry.account);
        release(&mut self.target_running, &entry.target);
        let target = entry.target.clone();
        match again {
            None => {
                self.entries.remove(key);
            }
            Some((job, at)) => {
                self.sequence += 1;
                entry.place = Place::Later(at, self.sequence);
                entry.job = Some(job);
                self.later.insert((at, self.sequence), key.clone());
            }
        }
        self.unpark(&target);
    }

    /// Takes an entry out, wherever it stands.
    pub(super) fn remove(&mut self, key: &K) {
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        match entry.place {
            Place::Running => self.done(key, None),
            Place::Later(at, sequence) => {
                self.later.remove(&(at, sequence));
                self.entries.remove(key);
            }
            Place::Parked => {
                let target = entry.target.clone();
                self.entries.remove(key);
                if let Some(list) = self.parked.get_mut(&target) {
                    list.retain(|other| other != key);
                    if list.is_empty() {
                        self.parked.remove(&target);
                    }
                }
            }
            Place::Ready => {
                let account = entry.account.clone();
                self.entries.remove(key);
                if let Some(list) = self.ready.get_mut(&account) {
                    list.retain(|other| other != key);
                    if list.is_empty() {
                        self.ready.remove(&account);
                        self.turns.retain(|other| *other != account);
                    }
                }
            }
        }
    }
}

/// Takes one from a count, and the count away when nothing is left.
fn release<N: Eq + Hash>(counts: &mut HashMap<N, usize>, name: &N) {
    if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(name);
        }
    }
}
