//! The limits, by a clock that stands still until it is moved.

use model::acme::{AccountId, EabKeyId, Identifier};
use proptest::prelude::*;

use super::*;

/// When the tests begin.
fn start() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

/// So many seconds later.
fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// Limits as a configuration has them, all others off.
fn limits(text: &str) -> RateLimits {
    let mut config: RateLimitConfig = toml::from_str(text).unwrap();
    let default = RateLimitConfig::default();
    let off = RateConfig {
        count: 0,
        per: SignedDuration::from_secs(1),
    };
    for (own, usual) in [
        (
            &mut config.accounts_per_address,
            default.accounts_per_address,
        ),
        (&mut config.orders_per_account, default.orders_per_account),
        (&mut config.failures_per_name, default.failures_per_name),
    ] {
        if *own == usual {
            *own = off;
        }
    }
    RateLimits::new(config.check().unwrap())
}

/// An account.
fn account(number: u8) -> AccountId {
    AccountId::from_octets([number; 16])
}

/// Makes an order of an account, from an address, for a name.
fn order(
    limits: &RateLimits,
    number: u8,
    client: &str,
    name: &str,
    renewal: bool,
    now: Timestamp,
) -> Result<(), Limited> {
    limits.new_order(
        &Requester::default(),
        &account(number),
        client.parse().unwrap(),
        &[Identifier::dns(name).unwrap()],
        renewal,
        now,
    )
}

#[test]
fn a_bucket_gives_its_count_at_once_and_refills_evenly() {
    let limits = limits("accounts_per_address = { count = 3, per = '60s' }");
    let client = "192.0.2.1".parse().unwrap();
    for _ in 0..3 {
        limits.new_account(client, None, start()).unwrap();
    }
    let limited = limits.new_account(client, None, start()).unwrap_err();
    assert_eq!(limited.retry_after, Duration::from_secs(20));
    assert_eq!(
        limited.to_string(),
        "too many new accounts from 192.0.2.1; try again in 20 s"
    );
    assert!(limits.new_account(client, None, after(19)).is_err());
    limits.new_account(client, None, after(20)).unwrap();
    assert!(limits.new_account(client, None, after(20)).is_err());
    // Others have their own.
    limits
        .new_account("192.0.2.2".parse().unwrap(), None, start())
        .unwrap();
    for _ in 0..3 {
        limits.new_account(client, None, after(600)).unwrap();
    }
}

#[test]
fn ipv6_addresses_count_by_their_network_and_mapped_ones_as_ipv4() {
    let limits = limits("accounts_per_address = { count = 1, per = '1h' }");
    let new = |text: &str| limits.new_account(text.parse().unwrap(), None, start());
    new("2001:db8::1").unwrap();
    assert!(new("2001:db8::ffff:2").is_err());
    new("2001:db8:0:1::1").unwrap();
    new("192.0.2.1").unwrap();
    assert!(new("::ffff:192.0.2.1").is_err());
}

#[test]
fn orders_count_by_account_address_and_registered_name() {
    let by_account = limits("orders_per_account = { count = 1, per = '1h' }");
    order(&by_account, 1, "192.0.2.1", "a.test", false, start()).unwrap();
    assert!(order(&by_account, 1, "192.0.2.2", "b.test", false, start()).is_err());
    order(&by_account, 2, "192.0.2.1", "a.test", false, start()).unwrap();

    let by_address = limits("orders_per_address = { count = 1, per = '1h' }");
    order(&by_address, 1, "192.0.2.1", "a.test", false, start()).unwrap();
    assert!(order(&by_address, 2, "192.0.2.1", "b.test", false, start()).is_err());

    let by_name = limits("orders_per_registered_name = { count = 1, per = '1h' }");
    order(&by_name, 1, "192.0.2.1", "a.example.co.uk", false, start()).unwrap();
    let limited = order(&by_name, 2, "192.0.2.2", "b.example.co.uk", false, start());
    assert_eq!(&*limited.unwrap_err().subject, "example.co.uk");
    order(&by_name, 2, "192.0.2.2", "b.other.co.uk", false, start()).unwrap();
    // RFC 9773, 5: renewals are not to be held up.
    order(&by_name, 2, "192.0.2.2", "b.example.co.uk", true, start()).unwrap();
}

#[test]
fn an_order_that_is_refused_counts_nowhere() {
    let limits = limits(
        "orders_per_account = { count = 2, per = '1h' }\norders_per_registered_name = { count = 1, per = '1h' }",
    );
    order(&limits, 1, "192.0.2.1", "a.test", false, start()).unwrap();
    for _ in 0..5 {
        assert!(order(&limits, 1, "192.0.2.1", "a.test", false, start()).is_err());
    }
    order(&limits, 1, "192.0.2.1", "b.other", false, start()).unwrap();
}

#[test]
fn failed_validations_hold_up_further_orders_of_that_name() {
    let limits = limits("failures_per_name = { count = 2, per = '1h' }");
    let name = Identifier::dns("a.test").unwrap();
    for _ in 0..2 {
        order(&limits, 1, "192.0.2.1", "*.a.test", false, start()).unwrap();
        limits.note_failure(&account(1), &name, start());
    }
    let limited = order(&limits, 1, "192.0.2.1", "*.a.test", false, start()).unwrap_err();
    assert_eq!(limited.limit, Limit::FailuresPerName);
    order(&limits, 1, "192.0.2.1", "b.test", false, start()).unwrap();
    order(&limits, 2, "192.0.2.1", "a.test", false, start()).unwrap();
    order(&limits, 1, "192.0.2.1", "a.test", false, after(1800)).unwrap();
}

#[test]
fn exempt_addresses_and_keys_do_not_count() {
    let limits = limits(
        "accounts_per_address = { count = 1, per = '1h' }\nexempt_networks = ['10.0.0.0/8']\nexempt_eab_keys = ['fleet']",
    );
    let fleet = EabKeyId::new("fleet").unwrap();
    for _ in 0..3 {
        limits
            .new_account("10.1.2.3".parse().unwrap(), None, start())
            .unwrap();
        limits
            .new_account("::ffff:10.1.2.3".parse().unwrap(), None, start())
            .unwrap();
        limits
            .new_account("192.0.2.1".parse().unwrap(), Some(&fleet), start())
            .unwrap();
    }
}

#[test]
fn a_clock_set_back_holds_nobody_up_longer_than_a_window() {
    let limits = limits("accounts_per_address = { count = 1, per = '60s' }");
    let client = "192.0.2.1".parse().unwrap();
    limits.new_account(client, None, after(1_000_000)).unwrap();
    let limited = limits.new_account(client, None, start()).unwrap_err();
    assert!(limited.retry_after <= Duration::from_secs(60));
}

#[test]
fn memory_is_bounded() {
    let limits = limits("accounts_per_address = { count = 2, per = '1h' }");
    for number in 0..(MAX_BUCKETS as u32 + 1000) {
        let client = std::net::Ipv4Addr::from_bits(number).into();
        limits
            .new_account(client, None, after(number.into()))
            .unwrap();
    }
    assert!(limits.buckets.lock().unwrap().len() <= MAX_BUCKETS);
}

#[test]
fn windows_and_keys_that_cannot_work_are_refused() {
    for text in [
        "accounts_per_address = { count = 1, per = '0s' }",
        "orders_per_account = { count = 1, per = '10000h' }",
        "exempt_eab_keys = ['a b']",
    ] {
        let config: RateLimitConfig = toml::from_str(text).unwrap();
        assert!(config.check().is_err(), "{text}");
    }
    assert!(RateLimitConfig::default().check().is_ok());
}

proptest! {
    #[test]
    fn no_window_lets_through_more_than_twice_its_count(
        count in 1u32..20, window in 1i64..1000, steps in prop::collection::vec(0i64..50, 0..300)
    ) {
        let limits = limits(&format!("accounts_per_address = {{ count = {count}, per = '{window}s' }}"));
        let client = "192.0.2.1".parse().unwrap();
        let mut now = 0;
        let mut taken = Vec::new();
        for step in steps {
            now += step;
            match limits.new_account(client, None, after(now)) {
                Ok(()) => taken.push(now),
                Err(limited) => {
                    // What is promised holds.
                    let later = after(now) + SignedDuration::try_from(limited.retry_after).unwrap();
                    prop_assert!(limits.peek(Limit::AccountsPerAddress, "192.0.2.1".into(), later).is_ok());
                }
            }
        }
        for from in &taken {
            let within = taken.iter().filter(|at| (*from..from + window).contains(at)).count();
            prop_assert!(within <= 2 * count as usize, "{within} in {window} s");
        }
    }
}
