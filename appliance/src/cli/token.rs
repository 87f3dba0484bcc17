//! `chancery token`: what tokens there are, what they can carry, how fast.

mod bench;
mod survey;

use std::process::ExitCode;

use clap::Subcommand;

use super::ConfigFile;
use crate::failure::Failure;

/// The commands about tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the slots and tokens of a PKCS#11 module.
    List(survey::Args),
    /// Tell what of the product a token can carry, and what it cannot.
    Check(survey::Args),
    /// Measure signatures a second: raw, then through the keystore.
    Bench(bench::Args),
}

/// Runs the command.
///
/// # Errors
///
/// When the module or the token cannot be used; see each command.
pub(super) fn run(command: Command, file: &ConfigFile) -> Result<ExitCode, Failure> {
    match command {
        Command::List(args) => survey::list(&args, file),
        Command::Check(args) => survey::check(&args, file),
        Command::Bench(args) => bench::run(&args, &file.load()?),
    }
}
