//! `chancery crl`: looking at CRLs, and having them issued.

mod issue;
mod root;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Config;
use crate::failure::Failure;

/// The commands about CRLs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the CRL that the CA publishes, or one in a file; verified.
    Show(show::Args),
    /// Have CRLs issued now, whatever the timer says.
    Issue(issue::Args),
}

/// Runs the command.
///
/// # Errors
///
/// When the CA cannot be reached or refuses; see each command.
pub(super) fn run(command: Command, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        Command::Show(args) => show::run(&args, config),
        Command::Issue(args) => issue::run(&args, config),
    }
}
