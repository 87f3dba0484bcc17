//! When which CRL is due.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use model::Timestamp;
use tokio::time::Instant;

use super::CrlKind;
use crate::config::CheckedCrlConfig;

/// How often one kind of CRL is issued and how long each counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cycle {
    /// From one to the next.
    pub(super) interval: SignedDuration,
    /// From thisUpdate to nextUpdate.
    pub(super) validity: SignedDuration,
}

impl Cycle {
    /// Returns the cycle of a kind of CRL; none for deltas where there are none.
    pub(super) fn of(kind: CrlKind, config: &CheckedCrlConfig, root: bool) -> Option<Self> {
        if root {
            return Some(Self {
                interval: config.root_validity / 3 * 2,
                validity: config.root_validity,
            });
        }
        match kind {
            CrlKind::Whole | CrlKind::Shard(_) => Some(Self {
                interval: config.interval,
                validity: config.validity,
            }),
            CrlKind::Delta => config.delta_interval.map(|interval| Self {
                interval,
                validity: interval + (config.validity - config.interval),
            }),
        }
    }

    /// Returns when the one after `this_update` is due.
    pub(super) fn next(&self, this_update: Timestamp) -> Timestamp {
        this_update
            .checked_add(self.interval)
            .unwrap_or(Timestamp::MAX)
    }
}

/// CRLs that are wanted before their time.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Which.
    kinds: BTreeSet<CrlKind>,
    /// When; all at once.
    at: Option<Instant>,
}

impl Wanted {
    /// Wants more after a delay; never later than was wanted before.
    pub(super) fn add(&mut self, kinds: impl IntoIterator<Item = CrlKind>, delay: Duration) {
        self.kinds.extend(kinds);
        let at = Instant::now() + delay;
        self.at = Some(self.at.map_or(at, |before| before.min(at)));
    }

    /// Returns how long it is until they are due; none where nothing is wanted.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.at
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Takes those that are due.
    pub(super) fn take_due(&mut self) -> BTreeSet<CrlKind> {
        if self.wait().is_some_and(|wait| wait.is_zero()) {
            self.at = None;
            return std::mem::take(&mut self.kinds);
        }
        BTreeSet::new()
    }
}

/// First wait after a CRL was not issued.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Longest wait: a token that is back is noticed by then.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Returns how long to wait after so many failures in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CrlConfig;

    #[test]
    fn every_crl_overlaps_the_one_before() {
        let config = CrlConfig {
            delta_interval: Some(SignedDuration::from_mins(10)),
            ..CrlConfig::default()
        }
        .check()
        .unwrap();
        for (kind, root) in [
            (CrlKind::Whole, false),
            (CrlKind::Whole, true),
            (CrlKind::Shard(1), false),
            (CrlKind::Delta, false),
        ] {
            let cycle = Cycle::of(kind, &config, root).unwrap();
            assert!(cycle.validity > cycle.interval, "{kind}");
        }
        let without = CrlConfig::default().check().unwrap();
        assert_eq!(Cycle::of(CrlKind::Delta, &without, false), None);
    }

    #[test]
    fn waits_double_and_end() {
        let waits = [1, 2, 3, 6, 7, 100].map(|failures| backoff(failures).as_secs());
        assert_eq!(waits, [1, 2, 4, 30, 30, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wanted_waits_for_the_earliest() {
        let mut wanted = Wanted::default();
        assert_eq!(wanted.wait(), None);
        wanted.add([CrlKind::Whole], Duration::from_secs(5));
        wanted.add([CrlKind::Shard(1)], Duration::from_secs(2));
        wanted.add([CrlKind::Delta], Duration::from_secs(9));
        assert_eq!(wanted.wait(), Some(Duration::from_secs(2)));
        assert!(wanted.take_due().is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(wanted.take_due().len(), 3);
        assert_eq!(wanted.wait(), None);
    }
}
