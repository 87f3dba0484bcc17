//! What the process says to systemd, and what ends it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::failure::{Failure, Trying};

/// The signals that end the services.
#[derive(Debug)]
pub(super) struct StopSignals {
    /// What systemd, Docker and `kill` send.
    terminate: Signal,
    /// Ctrl-C.
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to catch the signals.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(super) fn catch() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).trying(|| "catch signals".to_owned());
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    pub(super) async fn recv(&mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "stopping after {name}");
    }
}

/// Tells systemd, if it started us; anything else does not hear it.
pub(super) fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(error = %error, "systemd could not be told");
    }
}

/// Answers systemd's watchdog, if it has one, until dropped: from a task, so
/// that a runtime that no longer runs tasks is noticed.
#[derive(Debug)]
pub(super) struct Watchdog(Option<JoinHandle<()>>);

impl Watchdog {
    /// Begins to answer.
    pub(super) fn start() -> Self {
        Self(sd_notify::watchdog_enabled().map(|limit| {
            let mut ticks = tokio::time::interval((limit / 2).max(Duration::from_millis(100)));
            tokio::spawn(async move {
                loop {
                    ticks.tick().await;
                    tell(&[NotifyState::Watchdog]);
                }
            })
        }))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
