//! `chancery serve`: runs the services.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::ValueEnum;
use tracing::error;

use crate::config::Config;
use crate::failure::Failure;
use crate::telemetry;
use crate::wire::{self, Services};

/// Arguments of `chancery serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which services, one or several; `all` is every one there is.
    #[arg(value_enum, default_value = "all", value_name = "SERVICE")]
    services: Vec<Service>,
}

/// A service that a process may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Service {
    /// Every service.
    All,
    /// The CA.
    Ca,
    /// The ACME service; without `ca`, its CA runs elsewhere.
    Acme,
    /// The signing service; without `ca`, its CA runs elsewhere.
    Signing,
}

impl Args {
    /// Returns which services the process runs.
    fn services(&self) -> Services {
        let named = |service| {
            self.services
                .iter()
                .any(|named| [Service::All, service].contains(named))
        };
        Services {
            ca: named(Service::Ca),
            acme: named(Service::Acme),
            signing: named(Service::Signing),
        }
    }
}

/// Runs the services until a signal ends them.
///
/// # Errors
///
/// When a service cannot start, or one ends by itself.
pub(super) fn run(args: &Args, config: Config, verbose: u8) -> Result<ExitCode, Failure> {
    let filter = match verbose {
        0 => config.telemetry.log.as_str(),
        1 => "debug",
        _ => "trace",
    };
    telemetry::start_logging(filter, config.telemetry.log_format)?;
    match wire::serve(config, args.services()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // A person reads the report; anything else reads the log.
        Err(failure) if io::stderr().is_terminal() => Err(failure),
        Err(failure) => {
            error!("{}", failure.sentence());
            Ok(ExitCode::FAILURE)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// The arguments alone.
    #[derive(Debug, Parser)]
    struct Line {
        /// What is tried.
        #[command(flatten)]
        args: Args,
    }

    /// Returns which services a command line runs: the CA, ACME, signing.
    fn services(words: &[&str]) -> [bool; 3] {
        let line = [&["serve"], words].concat();
        let Services { ca, acme, signing } = Line::parse_from(line).args.services();
        [ca, acme, signing]
    }

    #[test]
    fn every_service_runs_unless_some_are_named() {
        assert_eq!(services(&[]), [true; 3]);
        assert_eq!(services(&["all"]), [true; 3]);
        assert_eq!(services(&["ca"]), [true, false, false]);
        assert_eq!(services(&["acme", "signing"]), [false, true, true]);
        assert_eq!(services(&["signing", "all"]), [true; 3]);
    }
}
