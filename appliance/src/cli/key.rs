//! `chancery key`: the keys of a keystore.

mod attest;
mod generate;
mod import;
mod list;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use hsm_keystore::{Error, KeyId, KeyStore, PrivateKey};

use crate::cli::prompt::Terminal;
use crate::config::Config;
use crate::failure::{Failure, Trying};
use crate::wire;

/// The commands about keys.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List keys and the certificates beside them.
    List(list::Args),
    /// Generate a key where it is kept; it never leaves.
    Generate(generate::Args),
    /// Import a private key from a PKCS#8 file.
    Import(import::Args),
    /// Show where a key came from and whether it can leave its token.
    Attest(attest::Args),
}

/// Which keystore is meant.
#[derive(Debug, clap::Args)]
struct WhichStore {
    /// The keystore: a name of [keystores], or the one of [keystore].
    #[arg(long, value_name = "NAME")]
    keystore: Option<String>,
}

impl WhichStore {
    /// Opens the keystore, asking for its PIN if it has to be typed.
    fn open(&self, config: &Config) -> Result<Arc<dyn KeyStore>, Failure> {
        wire::open_keystore(config, self.keystore.as_deref(), &Terminal)
    }
}

/// Runs the command.
///
/// # Errors
///
/// When the keystore cannot be opened or refuses; see each command.
pub(super) fn run(command: Command, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        Command::List(args) => list::run(&args, config),
        Command::Generate(args) => generate::run(&args, config),
        Command::Import(args) => import::run(&args, config),
        Command::Attest(args) => attest::run(&args, config),
    }
}

/// Finds a key.
fn find(store: &dyn KeyStore, id: &KeyId) -> Result<Arc<dyn PrivateKey>, Failure> {
    store
        .get_private_key(id)
        .trying(|| format!("find the key {id} in {}", store.describe()))
}

/// Says what to do about a refusal to make a key.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::KeyExists { .. } => "chancery key list shows which names are taken",
        Error::UnsupportedKey { .. } => {
            "chancery token check tells which keys this token can carry"
        }
        _ => "chancery token check tells what is wrong with the token, if it is the token",
    }
}
