//! `chancery key list`: what a keystore holds.

use std::process::ExitCode;

use serde::Serialize;

use super::WhichStore;
use crate::cli::output;
use crate::config::Config;
use crate::failure::{Failure, Trying};

/// Arguments of `chancery key list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Which keystore.
    #[command(flatten)]
    store: WhichStore,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One id of the keystore.
#[derive(Debug, Serialize)]
struct Row {
    /// The name.
    id: String,
    /// The key's algorithm; absent where only a certificate is kept.
    algorithm: Option<String>,
    /// Whether the key was made where it is and cannot leave.
    protected: Option<bool>,
    /// Whether a certificate is kept beside it.
    certificate: bool,
}

/// Lists the keystore's keys.
///
/// # Errors
///
/// When the keystore cannot be opened or asked.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let store = args.store.open(config)?;
    let entries = store
        .list()
        .trying(|| format!("list the keys of {}", store.describe()))?;
    let rows: Vec<Row> = entries
        .into_iter()
        .map(|entry| Row {
            algorithm: entry.key.map(|algorithm| algorithm.to_string()),
            protected: entry
                .key
                .and_then(|_| store.get_private_key(&entry.id).ok())
                .map(|key| {
                    let provenance = key.provenance();
                    provenance.generated_locally && provenance.never_extractable
                }),
            certificate: entry.has_certificate,
            id: entry.id.to_string(),
        })
        .collect();
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(store.describe())?;
    let rows = rows
        .into_iter()
        .map(|row| {
            vec![
                row.id,
                row.algorithm.unwrap_or_else(|| "-".to_owned()),
                match row.protected {
                    Some(true) => "made here, cannot leave".to_owned(),
                    Some(false) => "imported or extractable".to_owned(),
                    None => "-".to_owned(),
                },
                if row.certificate { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    output::table(
        &["id", "key", "provenance", "certificate"],
        rows,
        "No keys yet; chancery init makes the CA's.",
    )?;
    Ok(ExitCode::SUCCESS)
}
