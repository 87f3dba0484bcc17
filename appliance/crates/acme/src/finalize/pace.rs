//! Holds workers back while the CA is away.
//!
//! While the CA answers, everyone may ask. Once it does not, one worker asks after
//! a pause that doubles each time; when it is answered, everyone may ask again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh::CaClientError;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

/// When the CA may be asked.
#[derive(Debug)]
pub(super) struct Pace {
    /// First pause.
    first: Duration,
    /// Longest pause.
    longest: Duration,
    /// 1 while the CA is away.
    gauge: Gauge,
    /// Whether it is.
    state: Mutex<State>,
    /// Wakes who waits for a turn.
    wake: Notify,
}

/// Whether the CA is away.
#[derive(Debug, Default)]
struct State {
    /// The outage, if there is one.
    outage: Option<Outage>,
}

/// An outage of the CA.
#[derive(Debug, Clone, Copy)]
struct Outage {
    /// Since when.
    since: Instant,
    /// When it may be asked again.
    until: Instant,
    /// The pause after that.
    pause: Duration,
    /// Whether somebody is asking.
    is_asked: bool,
}

/// Leave to ask the CA once. Dropped without a word it counts as unanswered.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// Whose pace.
    pace: &'a Pace,
    /// Whether it is the one that finds out about an outage.
    is_probe: bool,
}

impl Pace {
    /// Begins without an outage.
    pub(super) fn new(first: Duration, longest: Duration, gauge: Gauge) -> Self {
        Self {
            first,
            longest: longest.max(first),
            gauge,
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Tells whether the CA is away.
    pub(super) fn is_away(&self) -> bool {
        self.lock().outage.is_some()
    }

    /// Waits until the CA may be asked.
    pub(super) async fn turn(&self) -> Turn<'_> {
        loop {
            // Registered before the look, so that no change is missed.
            let changed = self.wake.notified();
            let until = match &mut self.lock().outage {
                None => {
                    return Turn {
                        pace: self,
                        is_probe: false,
                    };
                }
                Some(outage) if outage.is_asked => None,
                Some(outage) if outage.until <= Instant::now() => {
                    outage.is_asked = true;
                    return Turn {
                        pace: self,
                        is_probe: true,
                    };
                }
                Some(outage) => Some(outage.until),
            };
            match until {
                None => changed.await,
                Some(until) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
            }
        }
    }

    /// Locks the state; a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Notes that the CA answered.
    pub(super) fn answered(self) {
        let over = self.pace.lock().outage.take();
        if let Some(outage) = over {
            self.pace.gauge.set(0);
            info!(
                outage_ms = outage.since.elapsed().as_millis() as u64,
                "the CA answers again"
            );
            self.pace.wake.notify_waiters();
        }
    }

    /// Notes that it did not, and when it said it may.
    pub(super) fn away(self, retry_after: Option<Duration>, error: &CaClientError) {
        let now = Instant::now();
        let mut state = self.pace.lock();
        let pause = match &state.outage {
            Some(outage) if self.is_probe => outage.pause,
            // Others had begun before it was noticed; that says nothing new.
            Some(_) => return,
            None => self.pace.first,
        };
        let since = state.outage.map_or(now, |outage| outage.since);
        let wait = jittered(
            retry_after
                .unwrap_or(pause)
                .clamp(self.pace.first, self.pace.longest),
        );
        state.outage = Some(Outage {
            since,
            until: now + wait,
            pause: (pause * 2).min(self.pace.longest),
            is_asked: false,
        });
        drop(state);
        self.pace.gauge.set(1);
        if since == now {
            warn!(
                error = error as &dyn std::error::Error,
                "the CA does not issue now: orders wait in processing"
            );
        }
        self.pace.wake.notify_waiters();
    }
}

impl Drop for Turn<'_> {
    /// Lets another find out, if this one did not.
    fn drop(&mut self) {
        if !self.is_probe {
            return;
        }
        if let Some(outage) = &mut self.pace.lock().outage
            && outage.is_asked
        {
            outage.is_asked = false;
            self.pace.wake.notify_waiters();
        }
    }
}

/// Takes three quarters to all of a wait, so that services do not come in step.
fn jittered(wait: Duration) -> Duration {
    let mut octet = [0];
    // Without randomness the wait is merely the same for everyone.
    let _ = aws_lc_rs::rand::fill(&mut octet);
    wait - wait / 4 * u32::from(octet[0]) / 255
}
