//! `chancery revocation export`: every revocation in one file.

use std::path::PathBuf;
use std::process::ExitCode;

use mesh::wire::RevocationPage;
use model::IssuerId;

use super::list::collect;
use crate::cli::operator::Operator;
use crate::cli::{files, output};
use crate::config::Config;
use crate::failure::{Failure, Trying};

/// Arguments of `chancery revocation export`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The file to write; without it, standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Only those of this authority.
    #[arg(long, value_name = "NAME")]
    issuer: Option<IssuerId>,
}

/// Exports revocations.
///
/// # Errors
///
/// When the CA cannot be reached or refuses, or the file cannot be written.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let page = RevocationPage {
        revocations: collect(&Operator::connect(config)?, args.issuer.as_ref())?,
        cursor: None,
    };
    match &args.out {
        None => output::json(&page)?,
        Some(path) => {
            let mut text = serde_json::to_string_pretty(&page)
                .trying(|| "render the revocations as JSON".to_owned())?;
            text.push('\n');
            files::write(path, &text)?;
            output::note(&format!(
                "{} revocations are in {}.",
                page.revocations.len(),
                path.display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
