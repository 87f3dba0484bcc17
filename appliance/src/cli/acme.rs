//! `chancery acme`: the accounts, orders and EAB keys of the ACME service.

mod account;
mod client;
mod eab;
mod order;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Config;
use crate::failure::Failure;

/// The commands about the ACME service.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look at accounts, and end them.
    #[command(subcommand)]
    Account(account::Command),
    /// Look at orders, and revoke their certificates.
    #[command(subcommand)]
    Order(order::Command),
    /// Make, list and revoke the keys that bind accounts (external account binding).
    #[command(subcommand)]
    Eab(eab::Command),
}

/// Runs the command.
///
/// # Errors
///
/// When the ACME service cannot be reached or refuses; see each command.
pub(super) fn run(command: Command, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        Command::Account(command) => account::run(&command, config),
        Command::Order(command) => order::run(&command, config),
        Command::Eab(command) => eab::run(&command, config),
    }
}
