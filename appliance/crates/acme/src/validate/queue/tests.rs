//! The queue by itself: letters are accounts, and targets have numbers.

use proptest::prelude::*;

use super::*;

/// A queue of numbered entries.
type Numbers = Queue<u32, char, u32, u32>;

/// A queue with these limits.
fn queue(workers: usize, per_account: usize, per_target: usize) -> Numbers {
    Queue::new(Limits {
        attempts: 3,
        retry_pause: Duration::from_secs(2),
        max_retry_pause: Duration::from_secs(60),
        workers,
        workers_per_account: per_account,
        workers_per_target: per_target,
        max_waiting: 1000,
    })
}

/// Takes all that may be under way.
fn take_all(queue: &mut Numbers) -> Vec<u32> {
    std::iter::from_fn(|| queue.take().map(|(key, _)| key)).collect()
}

#[test]
fn accounts_take_turns() {
    let mut queue = queue(100, 100, 100);
    for key in 0..6 {
        queue.push(key, 'a', key, key);
    }
    queue.push(6, 'b', 6, 6);
    queue.push(7, 'c', 7, 7);
    assert_eq!(take_all(&mut queue), [0, 6, 7, 1, 2, 3, 4, 5]);
}

#[test]
fn an_account_holds_no_more_than_its_share() {
    let mut queue = queue(100, 2, 100);
    for key in 0..5 {
        queue.push(key, 'a', key, key);
    }
    queue.push(5, 'b', 5, 5);
    assert_eq!(take_all(&mut queue), [0, 5, 1]);
    queue.done(&1, None);
    assert_eq!(take_all(&mut queue), [2]);
}

#[test]
fn a_target_holds_no_more_than_its_share_and_others_overtake() {
    let mut queue = queue(100, 100, 1);
    for key in 0..3 {
        queue.push(key, 'a', 9, key);
    }
    queue.push(3, 'a', 8, 3);
    queue.push(4, 'b', 9, 4);
    queue.push(5, 'b', 7, 5);
    assert_eq!(take_all(&mut queue), [0, 5, 3]);
    queue.done(&0, None);
    assert_eq!(take_all(&mut queue).len(), 1);
    assert_eq!(queue.running(), 3);
}

#[test]
fn entries_behind_a_full_target_come_up_however_many_wait_for_it() {
    let mut queue = queue(100, 100, 1);
    for key in 0..500 {
        queue.push(key, 'a', 9, key);
    }
    queue.push(500, 'a', 8, 500);
    assert_eq!(take_all(&mut queue), [0, 500]);
    queue.done(&0, None);
    assert_eq!(take_all(&mut queue), [1]);
}

#[test]
fn what_waits_for_its_time_is_woken_or_brought_forward() {
    let mut queue = queue(1, 1, 1);
    let start = Instant::now();
    queue.push(1, 'a', 1, 1);
    let (key, job) = queue.take().unwrap();
    let later = start + Duration::from_secs(10);
    queue.done(&key, Some((job, later)));
    assert_eq!((queue.waiting(), queue.running()), (1, 0));
    assert_eq!(queue.next_wake(), Some(later));
    queue.wake(start);
    assert!(queue.take().is_none());
    queue.wake(later);
    let (key, job) = queue.take().unwrap();
    queue.done(&key, Some((job, later + Duration::from_secs(10))));
    queue.push(1, 'a', 1, 99);
    // The job that was there is the one done.
    assert_eq!(queue.take(), Some((1, 1)));
    assert_eq!(queue.next_wake(), None);
}

#[test]
fn an_entry_is_there_once() {
    let mut queue = queue(10, 10, 10);
    queue.push(1, 'a', 1, 1);
    queue.push(1, 'a', 1, 1);
    assert_eq!(take_all(&mut queue), [1]);
    queue.push(1, 'a', 1, 1);
    assert_eq!(take_all(&mut queue), [0; 0]);
    queue.done(&1, None);
    assert_eq!((queue.waiting(), queue.running()), (0, 0));
}

#[test]
fn pauses_double_up_to_the_longest() {
    let limits = queue(1, 1, 1).limits;
    let pauses = [1, 2, 3, 5, 6, 40, u32::MAX].map(|made| limits.pause_after(made).as_secs());
    assert_eq!(pauses, [2, 4, 8, 32, 60, 60, 60]);
}

/// What may happen to a queue.
#[derive(Debug, Clone)]
enum Step {
    Push(u32, char, u32),
    Take,
    Done(u32),
    Again(u32, u64),
    Remove(u32),
    Wake(u64),
}

/// Any step among few keys.
fn step() -> impl Strategy<Value = Step> {
    let key = 0u32..12;
    prop_oneof![
        (key.clone(), prop::char::range('a', 'c'), 0u32..4)
            .prop_map(|(key, account, target)| Step::Push(key, account, target)),
        Just(Step::Take),
        key.clone().prop_map(Step::Done),
        (key.clone(), 0u64..100).prop_map(|(key, at)| Step::Again(key, at)),
        key.prop_map(Step::Remove),
        (0u64..100).prop_map(Step::Wake),
    ]
}

proptest! {
    #[test]
    fn bounds_hold_and_nothing_is_lost(steps in prop::collection::vec(step(), 0..200)) {
        let mut queue = queue(4, 3, 2);
        let start = Instant::now();
        let mut known: HashMap<u32, (char, u32)> = HashMap::new();
        let mut running: Vec<u32> = Vec::new();
        for step in steps {
            match step {
                Step::Push(key, account, target) => {
                    known.entry(key).or_insert((account, target));
                    queue.push(key, account, target, key);
                }
                Step::Take => if let Some((key, _)) = queue.take() {
                    prop_assert!(known.contains_key(&key) && !running.contains(&key));
                    running.push(key);
                },
                Step::Done(key) => if running.contains(&key) {
                    queue.done(&key, None);
                    running.retain(|other| *other != key);
                    known.remove(&key);
                },
                Step::Again(key, at) => if running.contains(&key) {
                    queue.done(&key, Some((key, start + Duration::from_secs(at))));
                    running.retain(|other| *other != key);
                },
                Step::Remove(key) => {
                    queue.remove(&key);
                    running.retain(|other| *other != key);
                    known.remove(&key);
                }
                Step::Wake(at) => queue.wake(start + Duration::from_secs(at)),
            }
            prop_assert_eq!(queue.running(), running.len());
            prop_assert_eq!(queue.waiting() + queue.running(), known.len());
            let of = |pick: &dyn Fn(&(char, u32)) -> bool| {
                running.iter().filter(|key| pick(&known[key])).count()
            };
            prop_assert!(running.len() <= 4);
            for account in 'a'..='c' {
                prop_assert!(of(&|entry| entry.0 == account) <= 3);
            }
            for target in 0..4 {
                prop_assert!(of(&|entry| entry.1 == target) <= 2);
            }
        }
        // Everything comes to its turn in the end.
        queue.wake(start + Duration::from_secs(1000));
        while let Some(key) = running.pop() {
            queue.done(&key, None);
            known.remove(&key);
        }
        while let Some((key, _)) = queue.take() {
            queue.done(&key, None);
            known.remove(&key);
        }
        prop_assert!(known.is_empty(), "{known:?} never came");
        prop_assert!(queue.ready.is_empty() && queue.turns.is_empty() && queue.later.is_empty());
        prop_assert!(queue.parked.is_empty());
        prop_assert!(queue.account_running.is_empty() && queue.target_running.is_empty());
    }
}
