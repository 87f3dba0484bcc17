//! The command line: one file for each command.

mod acme;
mod cert;
mod check;
mod completions;
mod crl;
mod enrolment;
mod files;
mod identity;
mod init;
mod key;
mod ocsp;
mod operator;
mod output;
pub(crate) mod prompt;
#[cfg(test)]
mod reference;
mod request;
mod revocation;
mod serve;
mod service;
mod sign;
mod status;
mod store;
mod token;
mod verify;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::failure::Failure;
use crate::telemetry::{self, LogFormat};

/// Environment variable that names the configuration file.
const CONFIG_VARIABLE: &str = "CHANCERY_CONFIG";

/// What stands below every command's help.
const AFTER_HELP: &str = "\
Exit status: 0 done, 1 refused or failed, 2 wrong usage.
PINs are never arguments: they come from the source that the configuration names
(a file, an environment variable, a systemd credential) or from a prompt.";

/// A certificate authority that keeps every private key on a PKCS#11 token.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = CONFIG_VARIABLE,
        hide_env_values = true,
        default_value = "chancery.toml",
        value_name = "FILE"
    )]
    config: PathBuf,

    /// Log what happens underneath, to standard error; twice for more.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// Every command there is.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make the keys on the token and the CA certificates, as the ceremony section says.
    Init(init::Args),
    /// Check the configuration, the tokens and the stores, without starting anything.
    Check(check::Args),
    /// Run the services until SIGTERM or Ctrl-C.
    Serve(serve::Args),
    /// Show the services, the token, the authorities and what expires next.
    Status(status::Args),
    /// Look at tokens: what is there, what it can carry, how fast it is.
    #[command(subcommand)]
    Token(token::Command),
    /// Look after the keys of a keystore.
    #[command(subcommand)]
    Key(key::Command),
    /// Issue certificates, look at those that were issued, revoke them.
    #[command(subcommand)]
    Cert(cert::Command),
    /// Look at CRLs, and have them issued.
    #[command(subcommand)]
    Crl(crl::Command),
    /// Ask OCSP responders.
    #[command(subcommand)]
    Ocsp(ocsp::Command),
    /// List what was revoked; take it to and from files.
    #[command(subcommand)]
    Revocation(revocation::Command),
    /// Look after the ACME service's accounts, orders and EAB keys.
    #[command(subcommand)]
    Acme(acme::Command),
    /// Make identities with which people and services log in.
    #[command(subcommand)]
    Identity(identity::Command),
    /// Have artifacts signed, with their bill of materials and provenance.
    Sign(Box<sign::Args>),
    /// Check what was signed: offline, every check named.
    Verify(Box<verify::Args>),
    /// Check a store, or rebuild its database from its journal.
    #[command(subcommand)]
    Store(store::Command),
    /// Print the completions for a shell.
    Completions(completions::Args),
}

impl Cli {
    /// Runs the command and reports its failure, if it fails.
    pub(crate) fn run(self) -> ExitCode {
        match self.dispatch() {
            Ok(code) => code,
            Err(failure) => {
                report(&failure);
                ExitCode::FAILURE
            }
        }
    }

    /// Hands each command what it needs.
    fn dispatch(self) -> Result<ExitCode, Failure> {
        let file = ConfigFile { path: self.config };
        if !matches!(self.command, Command::Serve(_)) {
            let filter = match self.verbose {
                0 => "error",
                1 => "info",
                _ => "debug",
            };
            telemetry::start_logging(filter, LogFormat::Text)?;
        }
        match self.command {
            Command::Init(args) => init::run(&args, &file.load()?),
            Command::Check(args) => check::run(&args, &file),
            Command::Serve(args) => serve::run(&args, file.load()?, self.verbose),
            Command::Status(args) => status::run(&args, &file.load()?),
            Command::Token(command) => token::run(command, &file),
            Command::Key(command) => key::run(command, &file.load()?),
            Command::Cert(command) => cert::run(command, &file.load()?),
            Command::Crl(command) => crl::run(command, &file.load()?),
            Command::Ocsp(command) => ocsp::run(command, &file.load()?),
            Command::Revocation(command) => revocation::run(command, &file.load()?),
            Command::Acme(command) => acme::run(command, &file.load()?),
            Command::Identity(command) => identity::run(command, &file.load()?),
            Command::Sign(args) => sign::run(&args, &file),
            Command::Verify(args) => verify::run(&args, &file),
            Command::Store(command) => store::run(&command, &file.load()?),
            Command::Completions(args) => completions::run(&args),
        }
    }
}

/// The configuration file that a command was given.
#[derive(Debug)]
struct ConfigFile {
    /// Its path.
    path: PathBuf,
}

impl ConfigFile {
    /// Reads and checks the configuration.
    fn load(&self) -> Result<Config, Failure> {
        Config::load(&self.path).map_err(|error| {
            let advice = if self.path.exists() {
                "correct the file (docs/configuration.md lists every key), then run: chancery check"
                    .to_owned()
            } else {
                format!(
                    "name the file with --config FILE or ${CONFIG_VARIABLE}; ./quickstart writes one to begin with"
                )
            };
            let tried = format!("read the configuration {}", self.path.display());
            match error {
                // These name no more than the path, which stands there already.
                ConfigError::Unreadable { source, .. } => Failure::because(tried, source),
                ConfigError::Syntax { source, .. } => Failure::because(tried, source),
                refused @ ConfigError::Refused { .. } => Failure::because(tried, refused),
            }
            .next(advice)
        })
    }

    /// Returns the path.
    fn path(&self) -> &Path {
        &self.path
    }
}

/// Prints a failure to standard error, in colour on a terminal.
fn report(failure: &Failure) {
    let label = if colours(std::io::stderr().is_terminal()) {
        "\u{1b}[1;31merror\u{1b}[0m"
    } else {
        "error"
    };
    // Nowhere is left to report that standard error is closed.
    let _ = write!(std::io::stderr(), "{label}: {}", failure.report());
}

/// Tells whether to use colours: on a terminal, unless `NO_COLOR` is set
/// (no-color.org: to anything but the empty string).
fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
