//! Waits before asking again.

use std::time::Duration;

/// Takes half to all of a wait, so that clients do not come in step.
pub(crate) fn jittered(backoff: Duration) -> Duration {
    let mut octet = [0];
    // Without randomness the wait is merely the same for everyone.
    let _ = aws_lc_rs::rand::fill(&mut octet);
    backoff / 2 + backoff / 2 * u32::from(octet[0]) / 255
}
