//! The scheduler over a real store, with a validator that tests lead by the hand.

use std::collections::VecDeque;
use std::path::Path;

use async_trait::async_trait;
use model::ManualClock;
use model::acme::{AuthorizationId, OrderId, OrderState};
use store::acme::{
    AccountKey, AcmeRecords, NewAccount, NewAuthorization, NewOrder, OrderOutcome, Retention,
};
use store::{StoreConfig, StoreMetrics};
use tokio::sync::Semaphore;

use super::*;
use crate::policy::RateLimits;

/// More time than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A time.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// What an attempt at a name does.
#[derive(Debug, Clone)]
enum Deed {
    /// Finds the proof.
    Prove,
    /// Fails with a status.
    Fail(u16),
    /// Fails for good.
    Give,
    /// Never ends.
    Hang,
    /// Panics.
    Panic,
}

/// A validator that does for each name what it was told, the last deed for ever.
#[derive(Debug)]
struct Led {
    /// Deeds by name; proving where there is none.
    deeds: Mutex<HashMap<String, VecDeque<Deed>>>,
    /// Tasks in the order they came.
    tasks: Mutex<Vec<Task>>,
    /// One permit for each attempt that hangs.
    hanging: Semaphore,
    /// One permit for each attempt that hung and was ended.
    ended: Arc<Semaphore>,
}

/// Adds a permit when it is dropped.
struct Ending(Arc<Semaphore>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

#[async_trait]
impl ValidateChallenge for Led {
    async fn validate(&self, task: &Task) -> Result<Proof, Failure> {
        let name = task.identifier.to_string();
        self.tasks.lock().unwrap().push(task.clone());
        let deed = {
            let mut deeds = self.deeds.lock().unwrap();
            match deeds.get_mut(&name) {
                None => Deed::Prove,
                Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
                Some(queue) => queue[0].clone(),
            }
        };
        match deed {
            Deed::Prove => Ok(Proof {
                address: None,
                caa_checked: false,
            }),
            Deed::Fail(status) => Err(Failure::Status {
                url: name.into(),
                address: ([127, 0, 0, 1], 80).into(),
                status,
            }),
            Deed::Give => Err(Failure::Unsupported {
                kind: task.kind,
                identifier: name.into(),
            }),
            Deed::Hang => {
                let _ending = Ending(Arc::clone(&self.ended));
                self.hanging.add_permits(1);
                std::future::pending().await
            }
            Deed::Panic => panic!("as the test asked"),
        }
    }
}

/// Everything that a scheduler stands on.
struct World {
    /// The validator.
    led: Arc<Led>,
    /// The store.
    store: Arc<dyn AcmeStore>,
    /// The clock.
    clock: Arc<ManualClock>,
    /// Counts failures, and how many.
    limits: Arc<RateLimits>,
    /// Limits of the scheduler.
    scheduling: Limits,
}

impl World {
    /// Opens a store.
    fn at(directory: &Path) -> Self {
        let config = StoreConfig {
            segment_mib: 1,
            index_cache_mib: 4,
            min_free_mib: 0,
            ..StoreConfig::at(directory)
        };
        let store =
            AcmeRecords::open(&config, StoreMetrics::default(), Retention::default()).unwrap();
        Self {
            led: Arc::new(Led {
                deeds: Mutex::default(),
                tasks: Mutex::default(),
                hanging: Semaphore::new(0),
                ended: Arc::new(Semaphore::new(0)),
            }),
            store: Arc::new(store),
            clock: Arc::new(ManualClock::at(at(0))),
            limits: Arc::new(RateLimits::new(
                toml::from_str::<crate::policy::RateLimitConfig>(
                    "failures_per_name = { count = 2, per = '1h' }",
                )
                .unwrap()
                .check()
                .unwrap(),
            )),
            scheduling: Limits {
                attempts: 3,
                retry_pause: Duration::from_millis(1),
                max_retry_pause: Duration::from_millis(2),
                workers: 8,
                workers_per_account: 4,
                workers_per_target: 2,
                max_waiting: 100,
            },
        }
    }

    /// Says what attempts at a name do.
    fn lead(&self, name: &str, deeds: impl IntoIterator<Item = Deed>) {
        let deeds = deeds.into_iter().collect();
        self.led
            .deeds
            .lock()
            .unwrap()
            .insert(name.to_owned(), deeds);
    }

    /// Starts a scheduler.
    fn start(&self) -> Scheduler {
        Scheduler::start(Parts {
            validator: Arc::clone(&self.led) as _,
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock) as _,
            limits: self.scheduling.clone(),
            account_url_prefix: "https://acme.test/acme/account/".into(),
            authorization_lifetime: Duration::from_secs(86_400),
            metrics: ValidationMetrics::default(),
            on_failure: Some(Arc::clone(&self.limits) as _),
        })
    }

    /// Makes an order of an account, which is made as well; returns the order and
    /// its authorizations.
    async fn order(&self, account: u8, number: u8, names: &[&str]) -> Ordered {
        let id = AccountId::from_octets([account; 16]);
        let new_account = NewAccount {
            id,
            key: AccountKey {
                thumbprint: [account; 32],
                jwk_json: format!("{{\"number\":{account}}}").into(),
            },
            contacts: Vec::new(),
            terms_agreed: None,
            binding: None,
            peer: None,
            at: at(0),
        };
        self.store.create_account(new_account).await.unwrap();
        let identifiers = (0u8..).zip(names).map(|(place, name)| {
            let mut octets = [number; 16];
            (octets[14], octets[15]) = (account, place);
            let new = NewAuthorization {
                id: AuthorizationId::from_octets(octets),
                token: format!("{number:0>42}x").into(),
                challenges: vec![ChallengeKind::Http01, ChallengeKind::Dns01],
                expires_at: at(3600),
            };
            (Identifier::dns(name).unwrap(), new)
        });
        let mut octets = [number; 16];
        octets[15] = account;
        let made = self
            .store
            .create_order(NewOrder {
                id: OrderId::from_octets(octets),
                account: id,
                identifiers: identifiers.collect(),
                profile: None,
                not_before: None,
                not_after: None,
                replaces: None,
                at: at(0),
                expires_at: at(3600),
                reuse_valid_until: None,
                repeat_since: None,
            })
            .await
            .unwrap();
        let (OrderOutcome::Created(order) | OrderOutcome::Repeated(order)) = made;
        let mut authorizations = Vec::new();
        for id in &order.authorizations {
            authorizations.push(self.store.authorization(id, at(0)).await.unwrap().unwrap());
        }
        Ordered { authorizations }
    }

    /// Returns an authorization's http-01 challenge as the store has it.
    async fn challenge(&self, authorization: &Authorization) -> ChallengeState {
        let now = self.clock.now();
        let found = self.store.authorization(&authorization.id, now).await;
        let found = found.unwrap().unwrap();
        found
            .challenge(ChallengeKind::Http01)
            .unwrap()
            .state
            .clone()
    }

    /// Returns how many attempts at a name were begun.
    fn attempts(&self, name: &str) -> usize {
        let tasks = self.led.tasks.lock().unwrap();
        tasks
            .iter()
            .filter(|task| task.identifier.to_string() == name)
            .count()
    }
}

/// An order's authorizations.
struct Ordered {
    /// In the order's order.
    authorizations: Vec<Arc<Authorization>>,
}

/// Submits http-01 of an authorization and waits for the first result.
async fn validate(scheduler: &Scheduler, authorization: &Authorization) -> Option<Validated> {
    let ticket = scheduler.submit(authorization, ChallengeKind::Http01);
    ticket.unwrap().wait(PATIENCE).await
}

/// Waits for results until the challenge is decided.
async fn decided(scheduler: &Scheduler, authorization: &Authorization) -> Validated {
    loop {
        let validated = validate(scheduler, authorization).await.unwrap();
        match &validated
            .authorization
            .challenge(ChallengeKind::Http01)
            .unwrap()
            .state
        {
            ChallengeState::Valid { .. } | ChallengeState::Invalid { .. } => return validated,
            ChallengeState::Pending | ChallengeState::Processing { .. } => {}
        }
    }
}

#[tokio::test]
async fn a_proof_makes_authorization_and_order_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::at(directory.path());
    let ordered = world.order(1, 1, &["a.test"]).await;
    let scheduler = world.start();
    let validated = validate(&scheduler, &ordered.authorizations[0])
        .await
        .unwrap();
    assert_eq!(validated.authorization.state, AuthorizationState::Valid);
    assert_eq!(validated.authorization.expires_at, at(86_400));
    assert_eq!(validated.order.unwrap().state, OrderState::Ready);
    let tasks = world.led.tasks.lock().unwrap();
    let thumbprint = URL_SAFE_NO_PAD.encode([1; 32]);
    assert_eq!(
        tasks[0].key_authorization.as_str(),
        format!("{:0>42}x.{thumbprint}", 1)
    );
    let account = AccountId::from_octets([1; 16]);
    assert_eq!(
        *tasks[0].account_url,
        *format!("https://acme.test/acme/account/{account}")
    );
}

#[tokio::test]
async fn a_failure_is_readable_while_further_attempts_follow() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::at(directory.path());
    world.scheduling.retry_pause = Duration::from_secs(3600);
    world.scheduling.max_retry_pause = Duration::from_secs(3600);
    // The pause is longer than the authorization lives, save for a moved clock.
    world.lead("a.test", [Deed::Fail(404), Deed::Prove]);
    let ordered = world.order(1, 1, &["a.test"]).await;
    world.clock.advance(-10);
    let scheduler = world.start();
    let authorization = &ordered.authorizations[0];
    let validated = validate(&scheduler, authorization).await.unwrap();
    let challenge = validated
        .authorization
        .challenge(ChallengeKind::Http01)
        .unwrap();
    let ChallengeState::Processing {
        attempts, error, ..
    } = &challenge.state
    else {
        panic!("{challenge:?}");
    };
    let error = error.as_ref().unwrap();
    assert_eq!((*attempts, &*error.kind), (1, "incorrectResponse"));
    assert!(error.detail.contains("answered status 404"), "{error:?}");
    // RFC 8555, 8.2: the client asks for a retry, and does not wait for an hour.
    let validated = validate(&scheduler, authorization).await.unwrap();
    assert_eq!(validated.authorization.state, AuthorizationState::Valid);
    assert_eq!(world.attempts("a.test"), 2);
}

#[tokio::test]
async fn after_the_last_attempt_challenge_and_order_are_invalid() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::at(directory.path());
    world.lead("a.test", [Deed::Fail(500)]);
    let ordered = world.order(1, 1, &["a.test"]).await;
    let scheduler = world.start();
    let validated = decided(&scheduler, &ordered.authorizations[0]).await;
    assert_eq!(validated.authorization.state, AuthorizationState::Invalid);
    assert!(matches!(
        &validated.order.unwrap().state,
        OrderState::Invalid { error } if error.kind.as_ref() == "incorrectResponse"
    ));
    assert_eq!(world.attempts("a.test"), 3);
    // Failures count against further orders of the name.
    let name = [Identifier::dns("a.test").unwrap()];
    let account = AccountId::from_octets([1; 16]);
    let client = [127, 0, 0, 1].into();
    let limited = world.limits.new_order(
        &crate::policy::Requester::default(),
        &account,
        client,
        &name,
        false,
        at(0),
    );
    assert!(limited.is_err());
}

#[tokio::test]
async fn attempts_end_with_the_authorizations_life_and_with_final_failures() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::at(directory.path());
    world.lead("late.test", [Deed::Fail(404)]);
    world.lead("never.test", [Deed::Give]);
    let ordered = world
        .order(1, 1, &["late.test", "never.test", "over.test"])
        .await;
    let scheduler = world.start();
    // Not even the shortest pause is left.
    world.clock.advance(3599);
    for authorization in &ordered.authorizations[..2] {
        let validated = decided(&scheduler, authorization).await;
        assert_eq!(validated.authorization.state, AuthorizationState::Invalid);
    }
    world.clock.advance(10);
    assert_eq!(validate(&scheduler, &ordered.authorizations[2]).await, None);
    assert_eq!(world.attempts("over.test"), 0);
}

#[tokio::test]
async fn slow_targets_hold_up_neither_other_targets_nor_other_accounts() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::at(directory.path());
    world.lead("slow.test", [Deed::Hang]);
    let scheduler = world.start();
    // Far more challenges at one slow name than there are workers.
    for number in 1..=20 {
        let ordered = world.order(1, number, &["slow.test"]).await;
        let _ticket = scheduler.submit(&ordered.authorizations[0], ChallengeKind::Http01);
    }
    let _two = world.led.hanging.acquire_many(2).await.unwrap();
    let same = world.order(1, 100, &["quick.test"]).await;
    assert!(
        validate(&scheduler, &same.authorizations[0])
            .await
            .is_some()
    );
    // And an account all of whose names are slow, with more than its share.
    for number in 0..20 {
        let name = format!("slow-{number}.test");
        world.lead(&name, [Deed::Hang]);
        let ordered = world.order(2, 100 + number, &[&name]).await;
        let _ticket = scheduler.submit(&ordered.authorizations[0], ChallengeKind::Http01);
    }
    let _six = world.led.hanging.acquire_many(4).await.unwrap();
    let other = world.order(3, 200, &["b.test"]).await;
    assert!(
        validate(&scheduler, &other.authorizations[0])
            .await
            .is_some()
    );
    assert_eq!(world.attempts("slow.test"), 2);
}

#[tokio::test]
async fn a_challenge_that_is_given_up_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::at(directory.path());
    world.lead("a.test", [Deed::Hang, Deed::Prove]);
    let ordered = world.order(1, 1, &["a.test"]).await;
    let authorization = &ordered.authorizations[0];
    let key = ChallengeId {
        authorization: authorization.id,
        kind: ChallengeKind::Http01,
    };
    let scheduler = world.start();
    let ticket = scheduler
        .submit(authorization, ChallengeKind::Http01)
        .unwrap();
    let _hangs = world.led.hanging.acquire().await.unwrap();
    scheduler.cancel(&key);
    let _ended = world.led.ended.acquire().await.unwrap();
    assert_eq!(ticket.wait(PATIENCE).await, None);
    assert_eq!(
        world.challenge(authorization).await,
        ChallengeState::Pending
    );
    // It can be begun anew.
    assert!(validate(&scheduler, authorization).await.is_some());
}

#[tokio::test]
async fn what_was_under_way_is_taken_up_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let (begun, decided_before);
    {
        let world = World::at(directory.path());
        world.lead("a.test", [Deed::Fail(404), Deed::Hang]);
        let ordered = world.order(1, 1, &["a.test", "b.test"]).await;
        begun = Arc::clone(&ordered.authorizations[0]);
        decided_before = Arc::clone(&ordered.authorizations[1]);
        for authorization in [&begun, &decided_before] {
            let key = ChallengeId {
                authorization: authorization.id,
                kind: ChallengeKind::Http01,
            };
            world.store.begin_challenge(&key, at(0)).await.unwrap();
        }
        let scheduler = world.start();
        validate(&scheduler, &decided_before).await.unwrap();
        let _ticket = scheduler.submit(&begun, ChallengeKind::Http01);
        let _hangs = world.led.hanging.acquire().await.unwrap();
        drop(scheduler);
        // Dropping it ends what was under way.
        let _ended = world.led.ended.acquire().await.unwrap();
    }
    let world = World::at(directory.path());
    let scheduler = world.start();
    assert_eq!(scheduler.resume().await.unwrap(), 1);
    let validated = validate(&scheduler, &begun).await;
    // Its ticket may have come after the attempt that `resume` began.
    if let Some(validated) = validated {
        assert_eq!(validated.order.unwrap().state, OrderState::Ready);
    }
    assert!(matches!(
        world.challenge(&begun).await,
        ChallengeState::Valid { .. }
    ));
    assert_eq!(world.attempts("b.test"), 0);
}

#[tokio::test]
async fn a_full_queue_takes_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::at(directory.path());
    world.scheduling.max_waiting = 1;
    world.scheduling.workers = 1;
    world.lead("a.test", [Deed::Hang]);
    let ordered = world.order(1, 1, &["a.test", "b.test", "c.test"]).await;
    let scheduler = world.start();
    let submit =
        |place: usize| scheduler.submit(&ordered.authorizations[place], ChallengeKind::Http01);
    let _running = submit(0).unwrap();
    let _hangs = world.led.hanging.acquire().await.unwrap();
    let _waits = submit(1).unwrap();
    assert!(submit(2).is_err());
}

#[tokio::test]
async fn an_attempt_that_panics_lets_go_of_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::at(directory.path());
    world.lead("a.test", [Deed::Panic, Deed::Prove]);
    let ordered = world.order(1, 1, &["a.test"]).await;
    let scheduler = world.start();
    let authorization = &ordered.authorizations[0];
    assert_eq!(validate(&scheduler, authorization).await, None);
    assert!(validate(&scheduler, authorization).await.is_some());
}
