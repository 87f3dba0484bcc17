//! `chancery cert`: issuing certificates, looking at those issued, revoking them.

mod issue;
mod list;
mod revoke;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Config;
use crate::failure::Failure;

/// The commands about certificates.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Issue a certificate: from a request in a file, or with a new key.
    Issue(issue::Args),
    /// List certificates, newest first.
    List(list::Args),
    /// Show one certificate.
    Show(show::Args),
    /// Revoke a certificate, put it on hold, release it, or revoke all of a key.
    Revoke(revoke::Args),
}

/// Runs the command.
///
/// # Errors
///
/// When the CA cannot be reached or refuses; see each command.
pub(super) fn run(command: Command, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        Command::Issue(args) => issue::run(&args, config),
        Command::List(args) => list::run(args, config),
        Command::Show(args) => show::run(&args, config),
        Command::Revoke(args) => revoke::run(&args, config),
    }
}
