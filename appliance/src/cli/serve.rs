//! `chancery serve`: runs the services.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::ValueEnum;
use tracing::error;

use crate::config::Config;
use crate::failure::Failure;
use crate::{telemetry, wire};

/// Arguments of `chancery serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which services; `all` is every one there is.
    #[arg(value_enum, default_value_t)]
    services: Services,
}

/// Which services a process runs.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Services {
    /// Every service.
    #[default]
    All,
    /// The CA alone.
    Ca,
    /// The ACME service alone; its CA runs elsewhere.
    Acme,
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
    let services = match args.services {
        Services::All => wire::Services::All,
        Services::Ca => wire::Services::Ca,
        Services::Acme => wire::Services::Acme,
    };
    match wire::serve(config, services) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // A person reads the report; anything else reads the log.
        Err(failure) if io::stderr().is_terminal() => Err(failure),
        Err(failure) => {
            error!("{}", failure.sentence());
            Ok(ExitCode::FAILURE)
        }
    }
}
