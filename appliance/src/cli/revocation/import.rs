//! `chancery revocation import`: revocations of a CA that was there before.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use mesh::wire::{ImportOutcome, RevocationImport};
use model::IssuerId;

use super::read;
use crate::cli::operator::Operator;
use crate::cli::output;
use crate::config::Config;
use crate::failure::{Failure, Trying};

/// Revocations sent in one call; a call's body stays below the CA's limit.
const BATCH: usize = 200;

/// Arguments of `chancery revocation import`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A revocations.json, or the index.txt of `openssl ca`.
    file: PathBuf,

    /// The authority that issued those which do not say; without it, the one
    /// that issues.
    #[arg(long, value_name = "NAME")]
    issuer: Option<IssuerId>,

    /// Read the file and tell what is in it, without asking the CA.
    #[arg(long)]
    dry_run: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Imports revocations. Run again it goes on: what is recorded stays.
///
/// # Errors
///
/// When the file cannot be read as a whole: then nothing is sent; or the CA
/// cannot be reached or refuses.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let text = fs::read_to_string(&args.file).trying(|| format!("read {}", args.file.display()))?;
    let revocations = read::revocations(&text)
        .trying(|| format!("read revocations from {}", args.file.display()))?;
    if args.dry_run {
        return if args.json {
            output::json(&revocations)
        } else {
            output::line(format!("{} revocations would be sent.", revocations.len()))
        }
        .map(|()| ExitCode::SUCCESS);
    }
    let issuer = args
        .issuer
        .clone()
        .unwrap_or_else(|| config.ca.issuing_authority().clone());
    let operator = Operator::connect(config)?;
    let outcome = output::while_working("importing revocations", || {
        let mut total = ImportOutcome::default();
        for batch in revocations.chunks(BATCH) {
            let outcome = operator.import_revocations(&RevocationImport {
                issuer: issuer.clone(),
                revocations: batch.to_vec(),
            })?;
            total.imported += outcome.imported;
            total.already_revoked += outcome.already_revoked;
        }
        Ok::<_, Failure>(total)
    })?;
    if args.json {
        output::json(&outcome)?;
    } else {
        output::facts(&[
            ("imported", outcome.imported.to_string()),
            ("revoked before", outcome.already_revoked.to_string()),
        ])?;
    }
    Ok(ExitCode::SUCCESS)
}
