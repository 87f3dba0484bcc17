//! `chancery ocsp`: asking a responder.

mod query;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Config;
use crate::failure::Failure;

/// The commands about OCSP.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask whether a certificate is good, and verify the answer.
    Query(query::Args),
}

/// Runs the command.
///
/// # Errors
///
/// When the responder cannot be reached, or its answer does not hold.
pub(super) fn run(command: Command, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        Command::Query(args) => query::run(&args, config),
    }
}
