//! `[acme.rate_limits]`: how often.
//!
//! Each limit is a bucket for each of what it counts by, filled evenly over its
//! window (the generic cell rate algorithm: one time stamp a bucket). Buckets live
//! in memory: a restart fills them, and each node has its own.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use model::acme::{AccountId, EabKeyId, Identifier};
use serde::{Deserialize, Serialize};

use super::Requester;
use super::registered::registered_name;
use crate::problem::{AcmeProblem, ErrorType};
use crate::validate::scheduler::NoteFailure;

/// Most buckets that are kept; an even share of them for each limit.
const MAX_BUCKETS: usize = 200_000;

/// One limit: so many within such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// How many at once, and within one window.
    pub count: u32,
    /// The window.
    pub per: SignedDuration,
}

/// `[acme.rate_limits]`, as written. A limit with `count = 0` is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// Addresses whose requests do not count, such as a fleet's own.
    pub exempt_networks: Vec<IpNet>,
    /// EAB keys whose accounts do not count.
    pub exempt_eab_keys: Vec<String>,
    /// New accounts from one address (of IPv6, one /64).
    pub accounts_per_address: RateConfig,
    /// New orders from one address.
    pub orders_per_address: RateConfig,
    /// New orders of one account.
    pub orders_per_account: RateConfig,
    /// New orders that hold a name, by registered name; renewals do not count.
    pub orders_per_registered_name: RateConfig,
    /// Failed validations of one account at one name or address.
    pub failures_per_name: RateConfig,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        let limit = |count, hours| RateConfig {
            count,
            per: SignedDuration::from_hours(hours),
        };
        Self {
            accounts_per_address: limit(500, 3),
            orders_per_address: limit(0, 1),
            orders_per_account: limit(10_000, 1),
            orders_per_registered_name: limit(0, 168),
            failures_per_name: limit(60, 1),
            exempt_networks: Vec::new(),
            exempt_eab_keys: Vec::new(),
        }
    }
}

/// Why `[acme.rate_limits]` cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRateLimits {
    /// A window that cannot work.
    #[error("`{key}.per` must be longer than nothing and at most 366 days")]
    Window {
        /// The limit.
        key: &'static str,
    },
    /// A text that names no EAB key.
    #[error("`exempt_eab_keys`: {given:?} is no EAB key's name")]
    EabKey {
        /// The text given, cut at 80 characters.
        given: String,
    },
}

/// `[acme.rate_limits]`, found sound.
#[derive(Debug, Clone)]
pub struct CheckedRateLimits {
    /// Each limit's rate; none is off.
    rates: [Option<Rate>; Limit::ALL.len()],
    /// Addresses that do not count.
    exempt_networks: Vec<IpNet>,
    /// EAB keys that do not count.
    exempt_eab_keys: Vec<EabKeyId>,
}

/// A rate in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    /// Time that one takes to come back.
    interval: i128,
    /// Time that all take to come back.
    window: i128,
}

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// New accounts from one address.
    AccountsPerAddress,
    /// New orders from one address.
    OrdersPerAddress,
    /// New orders of one account.
    OrdersPerAccount,
    /// New orders by registered name.
    OrdersPerRegisteredName,
    /// Failed validations of one account at one name or address.
    FailuresPerName,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 5] = [
        Self::AccountsPerAddress,
        Self::OrdersPerAddress,
        Self::OrdersPerAccount,
        Self::OrdersPerRegisteredName,
        Self::FailuresPerName,
    ];

    /// Returns the key in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountsPerAddress => "accounts_per_address",
            Self::OrdersPerAddress => "orders_per_address",
            Self::OrdersPerAccount => "orders_per_account",
            Self::OrdersPerRegisteredName => "orders_per_registered_name",
            Self::FailuresPerName => "failures_per_name",
        }
    }

    /// Returns what is too many, as the beginning of a sentence.
    const fn subject(self) -> &'static str {
        match self {
            Self::AccountsPerAddress => "too many new accounts from",
            Self::OrdersPerAddress => "too many new orders from",
            Self::OrdersPerAccount => "too many new orders of account",
            Self::OrdersPerRegisteredName => "too many new orders for",
            Self::FailuresPerName => "too many failed validations of",
        }
    }
}

/// A limit was reached; nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// Which.
    pub limit: Limit,
    /// What it counts by.
    pub subject: Box<str>,
    /// When one more will be let through.
    pub retry_after: Duration,
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.retry_after.as_secs().max(1);
        write!(
            f,
            "{} {}; try again in {seconds} s",
            self.limit.subject(),
            self.subject
        )
    }
}

impl std::error::Error for Limited {}

impl Limited {
    /// Returns the problem that the client is told (RFC 8555, 6.6).
    #[must_use]
    pub fn to_problem(&self) -> AcmeProblem {
        AcmeProblem::new(ErrorType::RateLimited, self.to_string()).retry_after(self.retry_after)
    }
}

impl RateLimitConfig {
    /// Checks the section.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<CheckedRateLimits, InvalidRateLimits> {
        let mut rates = [None; Limit::ALL.len()];
        for (rate, limit) in rates.iter_mut().zip(Limit::ALL) {
            let config = match limit {
                Limit::AccountsPerAddress => self.accounts_per_address,
                Limit::OrdersPerAddress => self.orders_per_address,
                Limit::OrdersPerAccount => self.orders_per_account,
                Limit::OrdersPerRegisteredName => self.orders_per_registered_name,
                Limit::FailuresPerName => self.failures_per_name,
            };
            if config.count == 0 {
                continue;
            }
            let window = config.per.as_nanos();
            let longest = SignedDuration::from_hours(366 * 24).as_nanos();
            if window <= 0 || window > longest {
                return Err(InvalidRateLimits::Window {
                    key: limit.as_str(),
                });
            }
            let count = i128::from(config.count);
            let interval = (window / count).max(1);
            *rate = Some(Rate {
                interval,
                window: interval * count,
            });
        }
        let exempt_eab_keys = self
            .exempt_eab_keys
            .iter()
            .map(|given| {
                EabKeyId::new(given).map_err(|_| InvalidRateLimits::EabKey {
                    given: given.chars().take(80).collect(),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(CheckedRateLimits {
            rates,
            exempt_networks: self.exempt_networks.clone(),
            exempt_eab_keys,
        })
    }
}

/// Counts. Clocks set back let nobody wait longer than one window.
#[derive(Debug)]
pub struct RateLimits {
    /// The limits.
    config: CheckedRateLimits,
    /// Of each bucket that is not full the time at which it will be.
    buckets: Mutex<HashMap<(Limit, Box<str>), Timestamp>>,
}

impl RateLimits {
    /// Makes the limits, all buckets full.
    #[must_use]
    pub fn new(config: CheckedRateLimits) -> Self {
        Self {
            config,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Counts a new account.
    ///
    /// # Errors
    ///
    /// `Limited` when there were too many.
    pub fn new_account(
        &self,
        client: IpAddr,
        eab_key: Option<&EabKeyId>,
        now: Timestamp,
    ) -> Result<(), Limited> {
        if self.is_exempt(Some(client), eab_key) {
            return Ok(());
        }
        self.spend(&[(Limit::AccountsPerAddress, address_key(client))], now)
    }

    /// Counts a new order by account, address and registered names; a renewal
    /// (RFC 9773, 5) not by names. Either all are counted or none.
    ///
    /// # Errors
    ///
    /// `Limited` when one of them had too many, or too many validations of one of
    /// the identifiers failed.
    pub fn new_order(
        &self,
        requester: &Requester<'_>,
        account: &AccountId,
        client: IpAddr,
        identifiers: &[Identifier],
        renewal: bool,
        now: Timestamp,
    ) -> Result<(), Limited> {
        if self.is_exempt(Some(client), requester.eab_key) {
            return Ok(());
        }
        for identifier in identifiers {
            self.peek(
                Limit::FailuresPerName,
                failure_key(account, identifier),
                now,
            )?;
        }
        let mut spent = vec![
            (Limit::OrdersPerAccount, account.to_string().into()),
            (Limit::OrdersPerAddress, address_key(client)),
        ];
        if !renewal {
            let mut names: Vec<_> = identifiers.iter().map(registered_name).collect();
            names.sort_unstable();
            names.dedup();
            spent.extend(
                names
                    .into_iter()
                    .map(|name| (Limit::OrdersPerRegisteredName, name)),
            );
        }
        self.spend(&spent, now)
    }

    /// Tells whether neither address nor EAB key counts.
    fn is_exempt(&self, client: Option<IpAddr>, eab_key: Option<&EabKeyId>) -> bool {
        let client = client.map(|client| client.to_canonical());
        client.is_some_and(|client| {
            self.config
                .exempt_networks
                .iter()
                .any(|block| block.contains(&client))
        }) || eab_key.is_some_and(|key| self.config.exempt_eab_keys.contains(key))
    }

    /// Returns the rate of a limit; none is off.
    fn rate(&self, limit: Limit) -> Option<Rate> {
        self.config.rates.get(limit as usize).copied().flatten()
    }

    /// Tells whether a bucket would give one more.
    fn peek(&self, limit: Limit, key: Box<str>, now: Timestamp) -> Result<(), Limited> {
        let Some(rate) = self.rate(limit) else {
            return Ok(());
        };
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = (limit, key);
        let full_at = buckets.get(&bucket).copied();
        take_one(rate, full_at, now)
            .map(drop)
            .map_err(|retry_after| Limited {
                limit,
                subject: bucket.1,
                retry_after,
            })
    }

    /// Takes one out of each bucket, or out of none.
    fn spend(&self, spent: &[(Limit, Box<str>)], now: Timestamp) -> Result<(), Limited> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = Vec::with_capacity(spent.len());
        for bucket in spent {
            let Some(rate) = self.rate(bucket.0) else {
                continue;
            };
            let full_at =
                take_one(rate, buckets.get(bucket).copied(), now).map_err(|retry_after| {
                    Limited {
                        limit: bucket.0,
                        subject: bucket.1.clone(),
                        retry_after,
                    }
                })?;
            after.push((bucket.clone(), full_at));
        }
        if buckets.len() + after.len() > MAX_BUCKETS {
            make_room(&mut buckets, now);
        }
        buckets.extend(after);
        Ok(())
    }
}

impl NoteFailure for RateLimits {
    fn note_failure(&self, account: &AccountId, identifier: &Identifier, now: Timestamp) {
        // A bucket that is empty already has nothing more to lose.
        let _empty = self.spend(
            &[(Limit::FailuresPerName, failure_key(account, identifier))],
            now,
        );
    }
}

/// Takes one out of a bucket, and returns when it will be full again.
///
/// # Errors
///
/// The time until it holds one.
fn take_one(rate: Rate, full_at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Duration> {
    let now_ns = now.as_nanosecond();
    let full_ns = full_at
        .map_or(now_ns, Timestamp::as_nanosecond)
        // Never fuller than full, and never emptier than empty: a clock that was
        // set back would otherwise keep everybody waiting.
        .clamp(now_ns, now_ns.saturating_add(rate.window));
    let after = full_ns.saturating_add(rate.interval);
    let over = after - now_ns - rate.window;
    if over > 0 {
        let nanoseconds = u64::try_from(over).unwrap_or(u64::MAX);
        return Err(Duration::from_nanos(nanoseconds));
    }
    Ok(Timestamp::from_nanosecond(after).unwrap_or(Timestamp::MAX))
}

/// Forgets buckets that are full, and, should that not be enough, the half that
/// will be full first.
fn make_room(buckets: &mut HashMap<(Limit, Box<str>), Timestamp>, now: Timestamp) {
    buckets.retain(|_, full_at| *full_at > now);
    if buckets.len() < MAX_BUCKETS / 2 {
        return;
    }
    let mut times: Vec<_> = buckets.values().copied().collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    buckets.retain(|_, full_at| *full_at > median);
}

/// Returns what requests of one address are counted by.
fn address_key(client: IpAddr) -> Box<str> {
    network_of(client).to_string().into()
}

/// Returns an IPv4 address by itself, an IPv6 address by its /64: who has one has
/// them all.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << 64;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Returns what failures are counted by.
fn failure_key(account: &AccountId, identifier: &Identifier) -> Box<str> {
    format!("{} by account {account}", identifier.base()).into()
}
