//! Logs, the panic rule and the system's clock.
//!
//! Log lines go to standard error, each by one write, before the call that
//! logged returns: none is lost, whatever happens next. A reader that stops
//! reading stops the service; journald, Docker and files do not.

mod json;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;

use model::{Clock, Timestamp};
use serde::Deserialize;
use tracing::error;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::failure::{Failure, Trying};

/// The system's clock: the one place where the time of day is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "every other place is handed this clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON anywhere else.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// What libraries log and nobody can act on, unless the filter names them.
const QUIET: [(&str, &str); 3] = [
    // Calls each mechanism that it has no name for an error.
    ("cryptoki", "cryptoki::mechanism=off"),
    // Tells of threads what our own lines tell of services.
    ("actix_server", "actix_server=warn"),
    // Calls it an error when a stranger sends what is no HTTP; such a connection
    // is answered 400 or 431 and ended.
    ("actix_http", "actix_http::h1::dispatcher=off"),
];

/// Starts logging for the rest of the process.
///
/// # Errors
///
/// When `filter` is no filter of tracing's (`info`, `info,ca=debug`), or when
/// logging has been started before.
pub(crate) fn start_logging(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)
        .trying(|| format!("read the log filter {filter:?}"))
        .map_err(|failure| {
            failure.next("write a level (error, warn, info, debug, trace), or levels by room: \"info,ca=debug\"")
        })?;
    let written = filter.to_string();
    let filter = QUIET
        .iter()
        .filter(|(room, _)| !written.contains(room))
        .filter_map(|(_, directive)| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let json = match format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let lines = if json {
        json::JsonLines::new(io::stderr).boxed()
    } else {
        fmt::layer()
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_writer(io::stderr)
            .boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .trying(|| "start logging".to_owned())?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs a panic and, unless it is confined to one connection, ends the process.
///
/// The rule: a panic while a request is answered or a connection is accepted
/// costs that connection and nothing else. A panic anywhere else – a token's
/// lane, a store's writer, a background task's thread of ours – leaves a
/// service that cannot keep its promises: the process aborts, and whoever
/// supervises it starts it again. What was acknowledged is on disk.
fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let message = info.payload_as_str().unwrap_or("no message");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    let confined = serves_connections(name);
    error!(
        panic.location = location,
        panic.thread = name,
        panic.confined = confined,
        panic.backtrace = backtrace.map(tracing::field::display),
        "panic: {message}"
    );
    if !confined {
        std::process::abort();
    }
}

/// Tells whether a thread of this name runs nothing but connections' tasks,
/// where the runtime catches a panic at the task's edge.
fn serves_connections(thread: &str) -> bool {
    thread.starts_with("actix-server worker")
        || thread.starts_with("actix-rt")
        || thread.starts_with("tokio-")
        || thread.ends_with("-tls")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_or_a_lane_that_panics_ends_the_process() {
        for thread in ["main", "store-writer", "keystore-lane-0", "unnamed"] {
            assert!(!serves_connections(thread), "{thread}");
        }
        assert!(serves_connections("actix-server worker 1"));
    }

    #[test]
    fn a_filter_that_is_none_is_refused_with_advice() {
        let failure = start_logging("info,=loud", LogFormat::Json).unwrap_err();
        assert!(failure.report().contains("next: write a level"));
    }
}
