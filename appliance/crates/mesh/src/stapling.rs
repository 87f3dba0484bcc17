//! OCSP stapling (RFC 6066, 8; RFC 8446, 4.4.2.1): our servers prove with every
//! handshake that their certificates still count.

mod metrics;
pub(crate) mod staple;
mod task;

pub use metrics::StaplingMetrics;
pub use task::{Stapler, StaplerParts, StaplingConfig};

#[cfg(test)]
mod tests;
