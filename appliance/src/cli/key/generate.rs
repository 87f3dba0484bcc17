//! `chancery key generate`: a new key, made where it is kept.

use std::process::ExitCode;

use hsm_keystore::{KeyAlgorithm, KeyId};

use super::attest::Attestation;
use super::{WhichStore, advice};
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// Arguments of `chancery key generate`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The key's name: lower-case letters, digits, hyphens, full stops.
    id: KeyId,

    /// p256, p384, rsa2048, rsa3072, rsa4096 or ed25519.
    #[arg(long, short, default_value = "p256")]
    algorithm: KeyAlgorithm,

    /// Which keystore.
    #[command(flatten)]
    store: WhichStore,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Generates a key and tells its public half.
///
/// # Errors
///
/// When the keystore cannot be opened, the name is taken or the token cannot
/// make such a key.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let store = args.store.open(config)?;
    let key = output::while_working(&format!("generating a {} key", args.algorithm), || {
        store.generate_private_key(&args.id, args.algorithm)
    })
    .map_err(|error| {
        let advice = advice(&error);
        Failure::because(
            format!(
                "generate a {} key {} in {}",
                args.algorithm,
                args.id,
                store.describe()
            ),
            error,
        )
        .next(advice)
    })?;
    Attestation::of(store.as_ref(), key.as_ref()).print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
