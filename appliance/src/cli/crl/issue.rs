//! `chancery crl issue`: CRLs now, whatever the timer says.

use std::process::ExitCode;

use model::IssuerId;

use crate::cli::operator::Operator;
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// Arguments of `chancery crl issue`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The authority; without it, the one that issues.
    #[arg(long, value_name = "NAME")]
    issuer: Option<IssuerId>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Has CRLs issued.
///
/// # Errors
///
/// When the CA cannot be reached or refuses, or the token is away: the CRLs
/// before stay published.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let (issuing, root) = (config.ca.issuing_authority(), config.ca.root_authority());
    let issued = match &args.issuer {
        Some(issuer) if issuer == root => super::root::issue(config)?,
        Some(issuer) if issuer != issuing => {
            return Err(Failure::new(format!("find an authority called {issuer}"))
                .next(format!("name {issuing} or {root}")));
        }
        Some(_) | None => Operator::connect(config)?.issue_crls()?,
    };
    if args.json {
        output::json(&issued)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = issued
        .crls
        .iter()
        .map(|crl| {
            vec![
                crl.issuer.to_string(),
                crl.scope.to_string(),
                crl.number.clone(),
                crl.entries.to_string(),
                output::time(crl.this_update),
                output::time(crl.next_update),
            ]
        })
        .collect();
    output::table(
        &["issuer", "crl", "number", "entries", "issued", "next at"],
        rows,
        "No CRL was issued.",
    )?;
    Ok(ExitCode::SUCCESS)
}
