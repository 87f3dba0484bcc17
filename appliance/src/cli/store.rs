//! `chancery store`: checking a store's journal, rebuilding its index.

use std::process::ExitCode;

use ::store::StoreConfig;
use ::store::acme::Retention;
use ::store::signing::SigningOptions;
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::output;
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};

/// The commands about stores.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Walk the journal's hash chain from its first frame to its last.
    Verify(VerifyArgs),
    /// Make the index anew from the journal; the old one is moved aside.
    Rebuild(RebuildArgs),
}

/// Which store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Which {
    /// The CA's.
    #[default]
    Ca,
    /// The ACME service's.
    Acme,
    /// The signing service's.
    Signing,
}

impl Which {
    /// Returns where it lies and what it may use.
    fn config(self, config: &Config) -> StoreConfig {
        match self {
            Self::Ca => config.ca_store(),
            Self::Acme => config.acme_store(),
            Self::Signing => config.signing_store(),
        }
    }
}

/// Arguments of `chancery store verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Which store.
    #[arg(long, value_enum, default_value_t)]
    store: Which,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `chancery store rebuild`.
#[derive(Debug, clap::Args)]
pub(super) struct RebuildArgs {
    /// Which store.
    #[arg(long, value_enum, default_value_t)]
    store: Which,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `chancery store verify --json` prints.
#[derive(Debug, Serialize)]
struct Verified {
    /// The store's directory.
    directory: String,
    /// Frames in the journal.
    frames: u64,
    /// Files it is in.
    segments: u32,
    /// Octets of those frames.
    bytes: u64,
    /// The chain's last hash, hexadecimal: keep it elsewhere, and a later
    /// verification shows that nothing before it was changed.
    chain_hash: String,
    /// Octets of a frame that a crash cut off; the next start removes them.
    torn_bytes: u64,
}

/// What `chancery store rebuild --json` prints.
#[derive(Debug, Serialize)]
struct Rebuilt {
    /// The store's directory.
    directory: String,
    /// Frames the index was made from.
    frames_replayed: u64,
    /// Intents that no outcome was recorded for; the next start settles them.
    open_intents: u64,
}

/// Runs the command.
///
/// # Errors
///
/// When the journal is damaged, or the store is in use.
pub(super) fn run(command: &Command, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        Command::Verify(args) => verify(args, config),
        Command::Rebuild(args) => rebuild(args, config),
    }
}

/// Verifies a journal. Works beside a running service, which appends while
/// we read.
fn verify(args: &VerifyArgs, config: &Config) -> Result<ExitCode, Failure> {
    let directory = args.store.config(config).directory;
    let verified = output::while_working("walking the journal", || ::store::verify(&directory))
        .trying(|| format!("verify the journal in {}", directory.display()))
        .advise(|| {
            "if the service has never run here there is nothing to verify; otherwise keep the \
             directory as it is and see docs/storage.md"
                .to_owned()
        })?;
    let verified = Verified {
        directory: directory.display().to_string(),
        frames: verified.frames,
        segments: verified.segments,
        bytes: verified.bytes,
        chain_hash: output::hex(&verified.chain_hash),
        torn_bytes: verified.torn_bytes,
    };
    if args.json {
        output::json(&verified)?;
    } else {
        output::facts(&[
            ("journal", verified.directory),
            ("chain", "whole".to_owned()),
            ("frames", verified.frames.to_string()),
            ("segments", verified.segments.to_string()),
            ("bytes", verified.bytes.to_string()),
            ("last hash", verified.chain_hash),
        ])?;
        if verified.torn_bytes > 0 {
            output::line(format!(
                "{} octets at the end belong to a frame that was never acknowledged; the next start removes them.",
                verified.torn_bytes
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Rebuilds an index.
fn rebuild(args: &RebuildArgs, config: &Config) -> Result<ExitCode, Failure> {
    let store = args.store.config(config);
    let rebuild = || match args.store {
        Which::Ca => ::store::rebuild(&store),
        Which::Acme => ::store::acme::rebuild(&store, Retention::default()),
        Which::Signing => ::store::signing::rebuild(&store, SigningOptions::default()),
    };
    let recovered = output::while_working("rebuilding the index", rebuild)
        .trying(|| format!("rebuild the index in {}", store.directory.display()))
        .advise(|| {
            "stop the service first: its store is open in one process at a time".to_owned()
        })?;
    let rebuilt = Rebuilt {
        directory: store.directory.display().to_string(),
        frames_replayed: recovered.frames_replayed,
        open_intents: recovered.open_intents,
    };
    if args.json {
        output::json(&rebuilt)?;
    } else {
        output::line(format!(
            "Rebuilt the index in {} from {} frames; {} interrupted attempts are left for the next start to settle.",
            rebuilt.directory, rebuilt.frames_replayed, rebuilt.open_intents
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
