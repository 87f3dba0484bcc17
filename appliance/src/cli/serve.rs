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
