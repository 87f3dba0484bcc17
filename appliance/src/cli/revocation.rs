//! `chancery revocation`: what was revoked, to and from files.

mod export;
mod import;
mod list;
mod read;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Config;
use crate::failure::Failure;

/// The commands about revocations.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what was revoked.
    List(list::Args),
    /// Write every revocation to a revocations.json.
    Export(export::Args),
    /// Take over the revocations of another CA: a revocations.json, or the
    /// index.txt of `openssl ca`.
    Import(import::Args),
}

/// Runs the command.
///
/// # Errors
///
/// When the CA cannot be reached or refuses; see each command.
pub(super) fn run(command: Command, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        Command::List(args) => list::run(&args, config),
        Command::Export(args) => export::run(&args, config),
        Command::Import(args) => import::run(&args, config),
    }
}
