//! How a listener is configured.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of one listener, as the configuration file gives them.
///
/// Every key has a default; durations are `10s`, `1m 30s` or ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerLimits {
    /// Threads that serve requests; 0 is one for each processor.
    pub workers: usize,
    /// Threads that perform TLS handshakes, and so may wait for the token; at
    /// least two.
    pub handshake_threads: usize,
    /// Most connections at a time; more wait in the kernel's backlog.
    pub max_connections: usize,
    /// Most handshakes at a time; more wait their turn.
    pub max_handshakes: usize,
    /// Most requests being served at a time; more are answered 503.
    pub max_requests: usize,
    /// Time for a handshake, waiting its turn included.
    #[serde(with = "duration")]
    pub handshake_timeout: Duration,
    /// Time for a request's head.
    #[serde(with = "duration")]
    pub head_timeout: Duration,
    /// Time for a request's whole body.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// Time without progress after which a response that a client does not
    /// read is given up.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// Time that a connection may idle between requests.
    #[serde(with = "duration")]
    pub keep_alive: Duration,
    /// Most octets of a request's body, unless its route says otherwise.
    pub max_body_bytes: usize,
    /// Time that requests have to end when the service stops.
    #[serde(with = "duration")]
    pub shutdown_grace: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            workers: 0,
            handshake_threads: 4,
            max_connections: 4096,
            max_handshakes: 512,
            max_requests: 1024,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            max_body_bytes: 64 * 1024,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

impl ListenerLimits {
    /// Checks that the limits can be worked with.
    ///
    /// # Errors
    ///
    /// `ZeroLimit` names the first key that must not be zero and is;
    /// `TooManyWorkers` past 512.
    pub fn check(&self) -> Result<(), InvalidLimits> {
        let counts = [
            ("handshake_threads", self.handshake_threads),
            ("max_connections", self.max_connections),
            ("max_handshakes", self.max_handshakes),
            ("max_requests", self.max_requests),
            ("max_body_bytes", self.max_body_bytes),
        ];
        let durations = [
            ("handshake_timeout", self.handshake_timeout),
            ("head_timeout", self.head_timeout),
            ("body_timeout", self.body_timeout),
            ("write_timeout", self.write_timeout),
            ("keep_alive", self.keep_alive),
        ];
        let zero = counts
            .into_iter()
            .map(|(key, value)| (key, value == 0))
            .chain(durations.map(|(key, value)| (key, value.is_zero())))
            .find_map(|(key, zero)| zero.then_some(key));
        match zero {
            Some(key) => Err(InvalidLimits::ZeroLimit { key }),
            None if self.workers > MAX_WORKERS || self.handshake_threads > MAX_WORKERS => {
                Err(InvalidLimits::TooManyThreads { max: MAX_WORKERS })
            }
            None => Ok(()),
        }
    }

    /// Splits the handshake threads into those that run and those that take over
    /// while one of the former waits for the token.
    pub(crate) fn handshake_split(&self) -> (usize, usize) {
        let running = processors().min(self.handshake_threads.div_ceil(2));
        (
            running,
            self.handshake_threads.saturating_sub(running).max(1),
        )
    }

    /// Returns the number of request workers, one for each processor at 0.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => processors(),
            workers => workers,
        }
        .min(MAX_WORKERS)
    }
}

/// Counts the processors this process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Most worker threads the server takes.
const MAX_WORKERS: usize = 512;

/// Why limits cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimits {
    /// A limit that would let nothing through.
    #[error("{key} must not be zero")]
    ZeroLimit {
        /// The configuration's key.
        key: &'static str,
    },
    /// More threads than the server takes.
    #[error("workers and handshake_threads are at most {max}")]
    TooManyThreads {
        /// The most it takes.
        max: usize,
    },
}

/// Where a service listens and within which limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The limits.
    pub limits: ListenerLimits,
}

/// Durations as people write them: `10s`, `1m 30s`, `PT10S`.
pub(crate) mod duration {
    use std::time::Duration;

    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads a duration that is not negative.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let duration: SignedDuration = text
            .parse()
            .map_err(|error| D::Error::custom(format!("{text:?} is no duration: {error}")))?;
        Duration::try_from(duration)
            .map_err(|_| D::Error::custom(format!("{text:?} is a negative duration")))
    }

    /// Writes a duration in the friendly form.
    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        match SignedDuration::try_from(*value) {
            Ok(duration) => to.collect_str(&format_args!("{duration:#}")),
            Err(_) => to.serialize_str("PT0S"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let limits: ListenerLimits =
            serde_json::from_str(r#"{"head_timeout": "1m 30s", "keep_alive": "PT2M"}"#).unwrap();
        assert_eq!(limits.head_timeout, Duration::from_secs(90));
        assert_eq!(limits.keep_alive, Duration::from_secs(120));
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(
            serde_json::from_str::<ListenerLimits>(&text).unwrap(),
            limits
        );
    }

    #[test]
    fn unknown_keys_negative_times_and_zero_limits_are_refused() {
        for bad in [
            r#"{"head_timeoutt": "1s"}"#,
            r#"{"head_timeout": "-1s"}"#,
            r#"{"head_timeout": "soon"}"#,
        ] {
            assert!(
                serde_json::from_str::<ListenerLimits>(bad).is_err(),
                "{bad}"
            );
        }
        let limits = ListenerLimits {
            max_requests: 0,
            ..ListenerLimits::default()
        };
        assert_eq!(
            limits.check(),
            Err(InvalidLimits::ZeroLimit {
                key: "max_requests"
            })
        );
    }
}
