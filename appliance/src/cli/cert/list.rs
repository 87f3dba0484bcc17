//! `chancery cert list`: certificates by page and filter.

use std::process::ExitCode;

use mesh::wire::{CertificateFilter, CertificateRecord, CertificateStatus};
use model::{ProfileName, Timestamp};

use crate::cli::operator::Operator;
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// Most records asked for at a time.
const PAGE: u32 = 500;

/// Arguments of `chancery cert list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only those that stand so now.
    #[arg(long, value_parser = status)]
    status: Option<CertificateStatus>,

    /// Only those whose subject or a name contains this text.
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,

    /// Only those of this profile.
    #[arg(long)]
    profile: Option<ProfileName>,

    /// Only those that expire before this time (RFC 3339: 2026-12-31T00:00:00Z).
    #[arg(long, value_name = "TIME")]
    expires_before: Option<Timestamp>,

    /// Most certificates to list; 0 lists all.
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: u32,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads a status as JSON spells it.
fn status(text: &str) -> Result<CertificateStatus, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "one of pending, valid, expired, revoked, abandoned".to_owned())
}

/// Lists certificates.
///
/// # Errors
///
/// When the CA cannot be reached or refuses.
pub(super) fn run(args: Args, config: &Config) -> Result<ExitCode, Failure> {
    let operator = Operator::connect(config)?;
    let (certificates, more) = collect(&args, &operator)?;
    if args.json {
        output::json(&certificates)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = certificates.iter().map(row).collect();
    output::table(
        &["serial", "status", "profile", "names", "expires"],
        rows,
        "No certificate matches.",
    )?;
    if more {
        output::note(&format!(
            "More than {} certificates match; --limit 0 lists all.",
            args.limit
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for page after page until the limit is reached; tells whether there
/// are more.
fn collect(args: &Args, operator: &Operator) -> Result<(Vec<CertificateRecord>, bool), Failure> {
    let wanted = match args.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let mut certificates = Vec::new();
    let mut cursor = None;
    loop {
        let left = u32::try_from(wanted - certificates.len()).unwrap_or(u32::MAX);
        let page = operator.certificates(&CertificateFilter {
            status: args.status,
            subject: args.subject.clone(),
            profile: args.profile.clone(),
            expires_before: args.expires_before,
            limit: Some(left.min(PAGE)),
            cursor: cursor.take(),
        })?;
        certificates.extend(page.certificates);
        match page.cursor {
            None => return Ok((certificates, false)),
            Some(_) if certificates.len() >= wanted => return Ok((certificates, true)),
            next => cursor = next,
        }
    }
}

/// Renders one certificate as a row.
fn row(certificate: &CertificateRecord) -> Vec<String> {
    vec![
        certificate.serial.to_string(),
        format!("{:?}", certificate.status).to_lowercase(),
        certificate.profile.to_string(),
        if certificate.names.is_empty() {
            certificate.subject.clone()
        } else {
            certificate.names.join(" ")
        },
        output::time(certificate.not_after),
    ]
}
