//! Working on a durable queue: what is due, so much at a time, so much of each lane, until
//! nobody wants it any more. Nothing is held here that the store does not have.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand;
use jiff::{SignedDuration, Timestamp};
use model::Clock;
use model::signing::WebhookName;
use store::signing::SigningStoreError;
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tracing::{error, warn};

/// Longest time without a look at the queue, whatever the clock says.
const LONGEST: Duration = Duration::from_secs(60);

/// Time after which to look again while all that is due is under way, or the store fails.
const SHORTLY: Duration = Duration::from_secs(1);

/// Most items that are looked at together.
const BATCH: usize = 256;

/// A durable queue.
#[async_trait]
pub(crate) trait Backlog: Send + Sync + 'static {
    /// Names an item.
    type Key: Copy + Eq + Hash + Send + Sync + std::fmt::Display + 'static;
    /// An item.
    type Item: Send + 'static;

    /// Returns what is due, the first due first; perhaps without what is in lanes that
    /// are full.
    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        full: &BTreeSet<WebhookName>,
    ) -> Result<Vec<Self::Item>, SigningStoreError>;

    /// Returns when the next is due.
    fn next_due(&self) -> Option<Timestamp>;

    /// Returns the name of an item.
    fn key(item: &Self::Item) -> Self::Key;

    /// Returns the lane of an item.
    fn lane(item: &Self::Item) -> WebhookName;

    /// Returns how many of a lane may be under way at once.
    fn width(&self, lane: &WebhookName) -> usize;

    /// Returns how many may be under way at once.
    fn capacity(&self) -> usize;

    /// Works on an item and records what came of it.
    async fn work(&self, item: Self::Item);

    /// Records that working on an item ended in a fault of ours.
    async fn crashed(&self, key: Self::Key);

    /// Notes the state of the queue, for metrics. Short: no disk is waited for.
    fn observe(&self);
}

/// What is under way.
struct Running<K> {
    /// The tasks.
    tasks: JoinSet<()>,
    /// What each works on.
    items: HashMap<Id, (K, WebhookName)>,
    /// How many there are of each lane.
    lanes: HashMap<WebhookName, usize>,
}

impl<K: Copy + Eq> Running<K> {
    /// Tells whether an item is under way.
    fn has(&self, key: K) -> bool {
        self.items.values().any(|(running, _)| *running == key)
    }

    /// Forgets a task that ended, and returns what it worked on.
    fn forget(&mut self, id: Id) -> Option<K> {
        let (key, lane) = self.items.remove(&id)?;
        if let Some(count) = self.lanes.get_mut(&lane) {
            *count -= 1;
            if *count == 0 {
                self.lanes.remove(&lane);
            }
        }
        Some(key)
    }
}

/// Works on a queue for as long as it is polled; dropping it ends what is under way, and
/// another one goes on with it.
pub(crate) async fn work_on<B: Backlog>(backlog: Arc<B>, clock: Arc<dyn Clock>, wake: &Notify) {
    let mut running = Running {
        tasks: JoinSet::new(),
        items: HashMap::new(),
        lanes: HashMap::new(),
    };
    loop {
        let started = start(&backlog, &*clock, &mut running).await;
        backlog.observe();
        let pause = match started {
            Ok(()) => pause(&*backlog, &*clock, !running.items.is_empty()),
            Err(error) => {
                warn!("the queue of webhooks cannot be read: {error}");
                SHORTLY
            }
        };
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = running.tasks.join_next_with_id() => {
                settle(&*backlog, &mut running, ended).await;
            }
        }
    }
}

/// Starts what is due and has room.
async fn start<B: Backlog>(
    backlog: &Arc<B>,
    clock: &dyn Clock,
    running: &mut Running<B::Key>,
) -> Result<(), SigningStoreError> {
    let mut free = backlog.capacity().saturating_sub(running.items.len());
    if free == 0 {
        return Ok(());
    }
    let limit = running.items.len() + BATCH;
    let full = running
        .lanes
        .iter()
        .filter(|(lane, count)| **count >= backlog.width(lane))
        .map(|(lane, _)| lane.clone())
        .collect();
    for item in backlog.due(clock.now(), limit, &full).await? {
        let (key, lane) = (B::key(&item), B::lane(&item));
        let under_way = running.lanes.get(&lane).copied().unwrap_or(0);
        if running.has(key) || under_way >= backlog.width(&lane) {
            continue;
        }
        let own = Arc::clone(backlog);
        let task = running.tasks.spawn(async move { own.work(item).await });
        *running.lanes.entry(lane.clone()).or_insert(0) += 1;
        running.items.insert(task.id(), (key, lane));
        free -= 1;
        if free == 0 {
            break;
        }
    }
    Ok(())
}

/// Returns how long to wait, unless something happens.
fn pause<B: Backlog>(backlog: &B, clock: &dyn Clock, busy: bool) -> Duration {
    let Some(due) = backlog.next_due() else {
        return LONGEST;
    };
    let until = due.duration_since(clock.now());
    match Duration::try_from(until) {
        Ok(until) if !until.is_zero() => until.min(LONGEST),
        // What is due is under way, and its end wakes us; the next may be due meanwhile.
        _ if busy => SHORTLY,
        _ => SHORTLY / 10,
    }
}

/// Takes note of a task that ended.
async fn settle<B: Backlog>(
    backlog: &B,
    running: &mut Running<B::Key>,
    ended: Result<(Id, ()), tokio::task::JoinError>,
) {
    match ended {
        Ok((id, ())) => {
            running.forget(id);
        }
        Err(failed) => {
            if let Some(key) = running.forget(failed.id()) {
                error!("working on {key} failed in a way it should not: {failed}");
                backlog.crashed(key).await;
            }
        }
    }
}

/// How often and for how long something is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Time before the first further attempt; each pause is twice the last.
    pub(crate) pause: Duration,
    /// Longest pause.
    pub(crate) max_pause: Duration,
    /// Age at which it is given up.
    pub(crate) give_up_after: Duration,
}

impl Patience {
    /// Returns when to try again something that waits `since` a time and was tried so
    /// often before the attempt that just failed; none if it is given up: when it is too
    /// old, and was tried through pauses that add up to as much. So what waited while
    /// nobody worked, or is sent again later, has its tries all the same.
    ///
    /// The pause is longer or shorter by up to a quarter, so that what failed together
    /// does not come back together; never shorter than `wanted` by the other side.
    pub(crate) fn next(
        &self,
        since: Timestamp,
        attempts: u32,
        wanted: Option<Duration>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let doubled = self.pause.saturating_mul(1 << attempts.min(20));
        let pause = doubled.min(self.max_pause).mul_f64(0.75 + jitter() / 2.0);
        let wanted = wanted.unwrap_or_default().min(self.max_pause);
        let next = after(now, pause.max(wanted));
        let young = next <= after(since, self.give_up_after);
        (young || self.tried(attempts) < self.give_up_after).then_some(next)
    }

    /// Returns what the pauses after so many attempts and one more add up to.
    fn tried(&self, attempts: u32) -> Duration {
        let mut total = Duration::ZERO;
        let mut pause = self.pause.min(self.max_pause);
        for done in 0..=attempts {
            total = total.saturating_add(pause);
            if pause >= self.max_pause {
                let rest = self.max_pause.saturating_mul(attempts - done);
                return total.saturating_add(rest);
            }
            pause = pause.saturating_mul(2).min(self.max_pause);
        }
        total
    }
}

/// Returns a time so much later.
pub(crate) fn after(at: Timestamp, time: Duration) -> Timestamp {
    SignedDuration::try_from(time)
        .ok()
        .and_then(|time| at.checked_add(time).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Returns a number from 0 to 1, another each time.
fn jitter() -> f64 {
    let mut octet = [0x80];
    // Without randomness all come together: late, but rightly.
    let _filled = rand::fill(&mut octet);
    let [octet] = octet;
    f64::from(octet) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time.
    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Tried after about 10, 20, 40, 60, 60 s, for ten minutes.
    const PATIENCE: Patience = Patience {
        pause: Duration::from_secs(10),
        max_pause: Duration::from_secs(60),
        give_up_after: Duration::from_secs(600),
    };

    #[test]
    fn pauses_double_up_to_the_longest_give_or_take_a_quarter() {
        for (attempts, pause) in [(0, 10.0), (1, 20.0), (2, 40.0), (3, 60.0), (100, 60.0)] {
            for _ in 0..50 {
                let next = PATIENCE.next(at(1000), attempts, None, at(1000)).unwrap();
                let waited = next.duration_since(at(1000)).as_secs_f64();
                assert!(
                    (pause * 0.749..=pause * 1.251).contains(&waited),
                    "{attempts}: {waited}"
                );
            }
        }
    }

    #[test]
    fn what_the_other_side_wants_counts_within_reason() {
        let wanted = |seconds| Some(Duration::from_secs(seconds));
        let next = PATIENCE.next(at(0), 0, wanted(45), at(0)).unwrap();
        assert_eq!(next, at(45));
        let next = PATIENCE.next(at(0), 0, wanted(1_000_000), at(0)).unwrap();
        assert_eq!(next, at(60));
    }

    #[test]
    fn what_is_too_old_and_was_tried_for_as_long_is_given_up() {
        assert!(PATIENCE.next(at(0), 20, None, at(500)).is_some());
        assert_eq!(PATIENCE.next(at(0), 20, None, at(590)), None);
        // Sent again, or not worked on before: attempts count from nought.
        assert!(PATIENCE.next(at(0), 0, None, at(100_000)).is_some());
        assert!(PATIENCE.next(at(0), u32::MAX, None, at(100_000)).is_none());
    }

    #[test]
    fn pauses_are_added_up() {
        let tried = |attempts| PATIENCE.tried(attempts).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 12].map(tried), [10, 30, 70, 130, 190, 670]);
    }
}
