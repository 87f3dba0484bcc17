//! `chancery crl show`: what a CRL says, and whether it holds.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use mesh::CrlScope;
use model::{Clock, IssuerId, SerialNumber, Timestamp};
use pki::certificate::Certificate;
use pki::crl::{Crl, CrlEntry};
use serde::Serialize;

use crate::cli::operator::Operator;
use crate::cli::{files, output};
use crate::config::Config;
use crate::failure::{Failure, Trying};
use crate::telemetry::SystemClock;

/// Difference between clocks that is nobody's fault.
const SKEW: Duration = Duration::from_secs(300);

/// Arguments of `chancery crl show`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A CRL in a file, DER or PEM, in place of the CA's.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["shard", "delta"])]
    file: Option<PathBuf>,

    /// The authority; without it, the one that issues.
    #[arg(long, value_name = "NAME")]
    issuer: Option<IssuerId>,

    /// One shard's CRL.
    #[arg(long, value_name = "NUMBER", conflicts_with = "delta")]
    shard: Option<u32>,

    /// The delta CRL.
    #[arg(long)]
    delta: bool,

    /// The authority's certificate, PEM or DER; without it, the CA is asked.
    #[arg(long, value_name = "FILE")]
    issuer_certificate: Option<PathBuf>,

    /// Only what stands there about this serial number.
    #[arg(long, value_name = "SERIAL")]
    serial: Option<SerialNumber>,

    /// Most entries to show; 0 shows all.
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    limit: usize,

    /// Write the CRL to this file, DER.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `chancery crl show --json` prints.
#[derive(Debug, Serialize)]
struct Shown {
    /// The issuer's name.
    issuer: String,
    /// The CRL number.
    number: Option<String>,
    /// The base's number, for a delta.
    delta_base: Option<String>,
    /// When it was issued.
    this_update: Timestamp,
    /// When the next one is there at the latest.
    next_update: Option<Timestamp>,
    /// How many entries it has.
    entries: usize,
    /// Its size in octets.
    size: usize,
    /// Whether signature, issuer and time are as they must be.
    valid: bool,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The entries shown.
    revoked: Vec<Row>,
}

/// One entry as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    /// The serial number.
    serial: SerialNumber,
    /// When it stopped to count.
    revoked_at: Timestamp,
    /// Why.
    reason: &'static str,
    /// Since when it was not to be trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    invalidity_date: Option<Timestamp>,
}

impl From<CrlEntry<'_>> for Row {
    fn from(entry: CrlEntry<'_>) -> Self {
        Self {
            serial: entry.serial(),
            revoked_at: entry.revoked_at(),
            reason: entry.reason().as_str(),
            invalidity_date: entry.invalidity_date(),
        }
    }
}

/// Shows a CRL; fails when it does not verify or is not fresh.
///
/// # Errors
///
/// When the CRL, or its issuer's certificate, cannot be had or read.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let issuer = args
        .issuer
        .clone()
        .unwrap_or_else(|| config.ca.issuing_authority().clone());
    let operator = Operator::connect(config)?;
    let der = fetch(args, &issuer, &operator)?;
    let crl = Crl::parse(&der).trying(|| "read the CRL".to_owned())?;
    let certificate_der = match &args.issuer_certificate {
        Some(path) => files::read_certificate(path)?,
        None => operator.issuer_certificate(&issuer)?,
    };
    let certificate = Certificate::from_der(&certificate_der)
        .trying(|| format!("read the certificate of {issuer}"))?;
    if let Some(path) = &args.out {
        fs::write(path, &der).trying(|| format!("write {}", path.display()))?;
    }
    let problem = crl
        .verify_issued_by(&certificate)
        .and_then(|()| crl.check_fresh(SystemClock.now(), SKEW))
        .err();
    let shown = Shown {
        issuer: crl
            .issuer()
            .map_or_else(|_| "(not readable)".to_owned(), |name| name.to_string()),
        number: crl.number().map(|number| number.to_string()),
        delta_base: crl.delta_base().map(|number| number.to_string()),
        this_update: crl.this_update(),
        next_update: crl.next_update(),
        entries: crl.len(),
        size: der.len(),
        valid: problem.is_none(),
        problem: problem.map(|refused| refused.to_string()),
        revoked: rows(args, &crl),
    };
    show(args, &shown)?;
    Ok(if shown.valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Reads the CRL from its file, or fetches it.
fn fetch(args: &Args, issuer: &IssuerId, operator: &Operator) -> Result<Vec<u8>, Failure> {
    if let Some(path) = &args.file {
        let octets = fs::read(path).trying(|| format!("read the CRL {}", path.display()))?;
        return if pki::pem::is_pem(&octets) {
            pki::pem::read_crl(&octets).trying(|| format!("read a CRL from {}", path.display()))
        } else {
            Ok(octets)
        };
    }
    let scope = match (args.shard, args.delta) {
        (Some(shard), _) => CrlScope::Shard(shard),
        (None, true) => CrlScope::Delta,
        (None, false) => CrlScope::Full,
    };
    operator.crl(issuer, scope)
}

/// Chooses the entries to show.
fn rows(args: &Args, crl: &Crl<'_>) -> Vec<Row> {
    if let Some(serial) = &args.serial {
        return crl.find(serial).into_iter().map(Row::from).collect();
    }
    let most = match args.limit {
        0 => usize::MAX,
        limit => limit,
    };
    crl.entries().take(most).map(Row::from).collect()
}

/// Prints it.
fn show(args: &Args, shown: &Shown) -> Result<(), Failure> {
    if args.json {
        return output::json(shown);
    }
    let time = |time: Option<Timestamp>| time.map_or_else(|| "none".to_owned(), output::time);
    let mut facts = vec![
        ("issuer", shown.issuer.clone()),
        (
            "number",
            shown.number.clone().unwrap_or_else(|| "none".to_owned()),
        ),
    ];
    if let Some(base) = &shown.delta_base {
        facts.push(("delta to", base.clone()));
    }
    facts.extend([
        ("issued", output::time(shown.this_update)),
        ("next at", time(shown.next_update)),
        ("entries", shown.entries.to_string()),
        ("size", format!("{} octets", shown.size)),
        (
            "verified",
            match &shown.problem {
                None => "signature, issuer and time are right".to_owned(),
                Some(problem) => format!("NO: {problem}"),
            },
        ),
    ]);
    output::facts(&facts)?;
    output::line("")?;
    let rows = shown
        .revoked
        .iter()
        .map(|row| {
            vec![
                row.serial.to_string(),
                output::time(row.revoked_at),
                row.reason.to_owned(),
                row.invalidity_date.map(output::time).unwrap_or_default(),
            ]
        })
        .collect();
    let empty = match &args.serial {
        Some(serial) => format!("{serial} is not on it."),
        None => "Nothing is revoked on it.".to_owned(),
    };
    output::table(
        &["serial", "revoked", "reason", "invalid since"],
        rows,
        &empty,
    )?;
    if args.serial.is_none() && shown.entries > shown.revoked.len() {
        output::note(&format!(
            "{} more entries; --limit 0 shows all, --serial finds one.",
            shown.entries - shown.revoked.len()
        ));
    }
    Ok(())
}
