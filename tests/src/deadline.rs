//! Waiting for a condition.

use std::time::{Duration, Instant};

use crate::error::Error;

/// How long anything may take that takes a moment on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How long to pause between two looks at a condition that cannot wake us.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` finds what it looks for. Each look tells what it saw instead.
///
/// # Errors
///
/// `Late` with what was seen last.
pub fn until<T>(
    awaited: &str,
    at_most: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(seen) if began.elapsed() >= at_most => {
                return Err(Error::Late {
                    awaited: awaited.to_owned(),
                    waited: at_most,
                    seen,
                });
            }
            Err(_) => std::thread::park_timeout(PAUSE),
        }
    }
}
