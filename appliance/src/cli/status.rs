//! `chancery status`: what runs, what it stands on and what expires next.

mod signing;

use std::process::ExitCode;

use mesh::wire::{CaStatus, CertificateFilter, CertificateRecord, CertificateStatus};
use serde::Serialize;

use self::signing::SigningService;
use super::operator::Operator;
use super::output;
use crate::config::Config;
use crate::failure::Failure;

/// Certificates shown that expire next.
const EXPIRING_SHOWN: u32 = 5;

/// Arguments of `chancery status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Everything that `chancery status --json` prints.
#[derive(Debug, Serialize)]
struct Status {
    /// The CA service.
    ca: CaStatus,
    /// The signing service; none where its listener is switched off.
    signing: Option<SigningService>,
    /// The valid certificates that expire within thirty days, soonest first.
    expiring: Vec<CertificateRecord>,
}

/// Shows the status; fails when a part of a service is not ready. A signing service that
/// cannot be reached may not be meant to run, and is told as such.
///
/// # Errors
///
/// When the CA cannot be reached or refuses.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let operator = Operator::connect(config)?;
    let ca = operator.status()?;
    let soon = ca
        .now
        .saturating_add(std::time::Duration::from_secs(30 * 86_400))
        .unwrap_or(ca.now);
    let mut expiring = operator
        .certificates(&CertificateFilter {
            status: Some(CertificateStatus::Valid),
            expires_before: Some(soon),
            limit: Some(100),
            ..CertificateFilter::default()
        })?
        .certificates;
    expiring.sort_by_key(|certificate| certificate.not_after);
    let signing = signing::ask(config)?;
    let ready = ca.parts.iter().all(|part| part.ready)
        && signing.as_ref().is_none_or(SigningService::is_ready);
    if args.json {
        output::json(&Status {
            ca,
            signing,
            expiring,
        })?;
    } else {
        show(&ca, &expiring)?;
        if let Some(signing) = &signing {
            output::line("")?;
            signing.show()?;
        }
    }
    Ok(if ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints what is published and for how long it counts.
fn show_published(ca: &CaStatus) -> Result<(), Failure> {
    let crls = ca
        .crls
        .iter()
        .map(|crl| {
            vec![
                format!("{} {}", crl.issuer, crl.scope),
                crl.number.clone(),
                crl.entries.to_string(),
                output::time(crl.this_update),
                output::time(crl.next_update),
            ]
        })
        .collect();
    output::table(
        &["crl", "number", "entries", "issued", "next at"],
        crls,
        "No CRL is published yet.",
    )?;
    let Some(runway) = &ca.runway else {
        return Ok(());
    };
    output::line(format!(
        "If the token were lost now, {} would expire first: in {:.1} hours, at {}.",
        runway.first,
        runway.seconds as f64 / 3_600.0,
        output::time(runway.until)
    ))
}

/// Prints the status for people.
fn show(ca: &CaStatus, expiring: &[CertificateRecord]) -> Result<(), Failure> {
    output::facts(&[
        ("version", ca.version.clone()),
        ("running since", output::time(ca.started_at)),
        ("certificates", ca.certificates.to_string()),
        ("being signed", ca.open_intents.to_string()),
    ])?;
    if ca.settled_intents > 0 {
        output::line(format!(
            "The last start settled {} interrupted attempts; none of them released a signature.",
            ca.settled_intents
        ))?;
    }
    output::line("")?;
    let parts = ca
        .parts
        .iter()
        .map(|part| {
            let state = if part.ready { "ready" } else { "NOT READY" };
            vec![part.name.clone(), state.to_owned(), part.detail.clone()]
        })
        .collect();
    output::table(&["part", "state", "detail"], parts, "No part reports.")?;
    output::line("")?;
    let issuers = ca
        .issuers
        .iter()
        .map(|issuer| {
            vec![
                issuer.id.to_string(),
                issuer.subject.clone(),
                issuer.key_algorithm.clone(),
                output::time(issuer.not_after),
            ]
        })
        .collect();
    output::table(
        &["authority", "subject", "key", "expires"],
        issuers,
        "There is no authority yet; run: chancery init",
    )?;
    output::line("")?;
    show_published(ca)?;
    output::line("")?;
    let rows = expiring
        .iter()
        .take(EXPIRING_SHOWN as usize)
        .map(|certificate| {
            vec![
                output::time(certificate.not_after),
                certificate.profile.to_string(),
                certificate.names.join(" "),
                certificate.serial.to_string(),
            ]
        })
        .collect();
    output::table(
        &["expires next", "profile", "names", "serial"],
        rows,
        "No certificate expires within thirty days.",
    )
}
