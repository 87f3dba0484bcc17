//! `chancery revocation list`: what was revoked.

use std::process::ExitCode;

use mesh::wire::{RevocationFilter, RevocationRecord};
use model::IssuerId;

use crate::cli::operator::Operator;
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// Arguments of `chancery revocation list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only those of this authority.
    #[arg(long, value_name = "NAME")]
    issuer: Option<IssuerId>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Lists revocations.
///
/// # Errors
///
/// When the CA cannot be reached or refuses.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let revocations = collect(&Operator::connect(config)?, args.issuer.as_ref())?;
    if args.json {
        output::json(&revocations)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = revocations
        .iter()
        .map(|record| {
            vec![
                record.serial.to_string(),
                record.issuer.to_string(),
                output::time(record.revoked_at),
                record.reason.to_string(),
                record
                    .revoked_by
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ]
        })
        .collect();
    output::table(
        &["serial", "issuer", "revoked", "reason", "by"],
        rows,
        "Nothing was revoked.",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Asks for page after page.
pub(super) fn collect(
    operator: &Operator,
    issuer: Option<&IssuerId>,
) -> Result<Vec<RevocationRecord>, Failure> {
    let mut revocations = Vec::new();
    let mut cursor = None;
    loop {
        let page = operator.revocations(&RevocationFilter {
            issuer: issuer.cloned(),
            limit: None,
            cursor: cursor.take(),
        })?;
        revocations.extend(page.revocations);
        match page.cursor {
            None => return Ok(revocations),
            next => cursor = next,
        }
    }
}
