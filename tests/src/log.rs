//! What a service wrote, to be waited on.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The lines that a service wrote so far.
#[derive(Debug, Default)]
pub struct Log {
    /// The lines, and whether the service closed its output.
    state: Mutex<State>,
    /// Told of every line.
    changed: Condvar,
}

/// What was read so far.
#[derive(Debug, Default)]
struct State {
    /// Every line, without its end.
    lines: Vec<String>,
    /// Whether there will be more.
    closed: bool,
}

impl Log {
    /// Reads lines on a thread of its own until the other end is closed.
    pub(crate) fn follow(source: impl Read + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(source);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                shared.lock().lines.push(line);
                shared.changed.notify_all();
                bytes.clear();
            }
            shared.lock().closed = true;
            shared.changed.notify_all();
        });
        log
    }

    /// Returns every line so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// Returns the last lines as one text, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        let state = self.lock();
        let from = state.lines.len().saturating_sub(40);
        state.lines[from..].join("\n")
    }

    /// Waits until a line, read as JSON, is one that `wanted` looks for.
    #[must_use]
    pub fn wait_for(&self, at_most: Duration, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let until = Instant::now() + at_most;
        let mut seen = 0;
        let mut state = self.lock();
        loop {
            let found = state.lines[seen..]
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(&wanted);
            if found.is_some() || state.closed {
                return found;
            }
            seen = state.lines.len();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until the service has closed its output; false when time ran out.
    #[must_use]
    pub fn wait_closed(&self, at_most: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), at_most, |state| !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.closed
    }

    /// Locks the lines; nobody leaves them half-written.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
