//! `chancery check`: the configuration, the tokens and the stores, without
//! starting anything.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::prompt::Terminal;
use super::{ConfigFile, output};
use crate::config::Config;
use crate::failure::Failure;
use crate::wire;

/// Arguments of `chancery check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// As it should be.
    Ok,
    /// Not there, and serving does not need it.
    Absent,
    /// In the way of serving.
    Failed,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    /// What was looked at.
    name: String,
    /// How it came out.
    outcome: Outcome,
    /// What was found, or what stopped it and what to do.
    detail: String,
}

impl Check {
    /// Reports what was found.
    fn found(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Ok,
            detail: detail.into(),
        }
    }

    /// Reports what stopped it.
    fn stopped(name: impl Into<String>, outcome: Outcome, failure: &Failure) -> Self {
        Self {
            name: name.into(),
            outcome,
            detail: failure.report().trim_end().to_owned(),
        }
    }
}

/// Where everything is, for scripts.
#[derive(Debug, Serialize)]
struct Places {
    /// The CA API.
    api: String,
    /// CRLs, OCSP and the authorities' certificates, as certificates point there.
    distribution: String,
    /// Metrics and health.
    telemetry: String,
    /// The directory of identities.
    identities: String,
    /// The CA's store.
    store: String,
    /// The directory for stock ACME clients, where that listener is on.
    acme: Option<String>,
    /// The ACME listener with client certificates, where it is on.
    acme_mesh: Option<String>,
    /// The port where http-01 looks for clients.
    acme_http_port: u16,
    /// The ACME service's store.
    acme_store: String,
    /// The signing service's listener with client certificates, where it is on.
    signing: Option<String>,
    /// The signing service's listener without, where it is on.
    signing_open: Option<String>,
    /// The signing service's store.
    signing_store: String,
}

/// What `chancery check --json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether the services could start.
    sound: bool,
    /// Every check.
    checks: Vec<Check>,
    /// Where everything is.
    places: Places,
}

/// Checks everything that can be checked without starting.
///
/// # Errors
///
/// When the configuration is refused.
pub(super) fn run(args: &Args, file: &ConfigFile) -> Result<ExitCode, Failure> {
    let config = file.load()?;
    let mut checks = vec![Check::found(
        "configuration",
        file.path().display().to_string(),
    )];
    checks.push(keystore(&config, None, "keystore", Outcome::Failed));
    for (name, _) in config.keystores() {
        let title = format!("keystore {name}");
        checks.push(keystore(&config, Some(name), &title, Outcome::Absent));
    }
    checks.push(journal("store", &config.ca_store().directory));
    checks.push(journal("ACME store", &config.acme_store().directory));
    checks.push(journal("signing store", &config.signing_store().directory));
    checks.push(identity(&config));
    let report = Report {
        sound: checks.iter().all(|check| check.outcome != Outcome::Failed),
        checks,
        places: Places {
            api: config.ca_url(),
            distribution: config.ca.distribution_url().to_owned(),
            telemetry: config.telemetry_url(),
            identities: config.identities().display().to_string(),
            store: config.ca_store().directory.display().to_string(),
            acme: config.acme_directory(),
            acme_mesh: config.acme_url(),
            acme_http_port: config.acme.validation.http_port(),
            acme_store: config.acme_store().directory.display().to_string(),
            signing: config.signing_url(),
            signing_open: config.signing_open_url(),
            signing_store: config.signing_store().directory.display().to_string(),
        },
    };
    show(args, &report)?;
    Ok(if report.sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Opens a keystore and counts what it holds.
fn keystore(config: &Config, name: Option<&str>, title: &str, otherwise: Outcome) -> Check {
    let store = match wire::open_keystore(config, name, &Terminal) {
        Ok(store) => store,
        Err(failure) => return Check::stopped(title, otherwise, &failure),
    };
    match store.list() {
        Ok(entries) => {
            let keys = entries.iter().filter(|entry| entry.key.is_some()).count();
            let certificates = entries.iter().filter(|entry| entry.has_certificate).count();
            Check::found(
                title,
                format!(
                    "{}: {keys} keys, {certificates} certificates",
                    store.describe()
                ),
            )
        }
        Err(error) => Check::stopped(title, otherwise, &Failure::because("list its keys", error)),
    }
}

/// Walks a journal, where there is one.
fn journal(name: &str, directory: &Path) -> Check {
    if !directory.exists() {
        return Check {
            name: name.to_owned(),
            outcome: Outcome::Absent,
            detail: format!("{} is made when it is first needed", directory.display()),
        };
    }
    match store::verify(directory) {
        Ok(verified) => Check::found(
            name,
            format!(
                "{}: the chain of {} frames is whole",
                directory.display(),
                verified.frames
            ),
        ),
        Err(error) => Check::stopped(
            name,
            Outcome::Failed,
            &Failure::because("verify the journal", error)
                .next("keep the directory as it is and see docs/storage.md"),
        ),
    }
}

/// Looks for the identity that commands log in with.
fn identity(config: &Config) -> Check {
    let key = super::files::key_path(&config.identities(), config.identity());
    if key.exists() {
        Check::found("identity", key.display().to_string())
    } else {
        Check {
            name: "identity".to_owned(),
            outcome: Outcome::Absent,
            detail: format!("{} is made by chancery init", key.display()),
        }
    }
}

/// Prints the report.
fn show(args: &Args, report: &Report) -> Result<(), Failure> {
    if args.json {
        return output::json(report);
    }
    let rows = report
        .checks
        .iter()
        .map(|check| {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::Absent => "absent",
                Outcome::Failed => "FAILED",
            };
            vec![outcome.to_owned(), check.name.clone(), check.detail.clone()]
        })
        .collect();
    output::table(&["", "check", "detail"], rows, "Nothing was checked.")
}
