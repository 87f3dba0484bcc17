//! `chancery token bench`: signatures a second, raw and through the keystore,
//! in the same run.

use std::process::ExitCode;
use std::time::Duration;

use hsm_keystore::pkcs11::{SignRate, keystore_sign_rate, raw_sign_rate};
use hsm_keystore::{KeyId, KeyStoreConfig, KeyStoreMetrics, Modules};
use serde::Serialize;

use crate::cli::output;
use crate::cli::prompt::Terminal;
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};
use crate::wire::keystore_failure;

/// Signatures that each caller keeps under way, so that no lane waits.
const UNDER_WAY: usize = 4;

/// Arguments of `chancery token bench`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The key to sign with; chancery key generate makes one for this.
    key: KeyId,

    /// Threads, each with a session of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,

    /// How long each of the two runs lasts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,

    /// The keystore: a name of [keystores], or the one of [keystore].
    #[arg(long, value_name = "NAME")]
    keystore: Option<String>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One run.
#[derive(Debug, Serialize)]
struct Run {
    /// Signatures a second.
    per_second: f64,
    /// Signatures for each second of this process's processor time.
    per_cpu_second: f64,
}

impl From<SignRate> for Run {
    fn from(rate: SignRate) -> Self {
        Self {
            per_second: rate.per_second(),
            per_cpu_second: rate.per_cpu_second(),
        }
    }
}

/// What `chancery token bench --json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// The key's name.
    key: String,
    /// Its algorithm.
    algorithm: String,
    /// How it signed.
    scheme: String,
    /// Threads, and sessions.
    threads: u16,
    /// Bare `C_SignInit` and `C_Sign`.
    raw: Run,
    /// Through the keystore, each signature verified.
    keystore: Run,
    /// The keystore's rate as a share of the raw one.
    share: f64,
}

/// Measures and reports.
///
/// # Errors
///
/// When the keystore is no token, cannot be opened, has no such key, or fails.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let name = args.keystore.as_deref();
    let KeyStoreConfig::Pkcs11(token) = config.keystore(name)? else {
        return Err(
            Failure::new("measure a token: this keystore is a directory of files")
                .next("name one of type \"pkcs11\" with --keystore"),
        );
    };
    let mut token = token.clone();
    token.sessions = Some(u64::from(args.threads));
    let modules = Modules::default();
    let configured = KeyStoreConfig::Pkcs11(token.clone());
    let store = configured
        .open(&modules, &Terminal, KeyStoreMetrics::default())
        .map_err(|error| keystore_failure(name, &configured, error))?;
    let key = store
        .get_private_key(&args.key)
        .trying(|| format!("find the key {} in {}", args.key, store.describe()))
        .advise(|| {
            format!(
                "make one to measure with: chancery key generate {}",
                args.key
            )
        })?;
    let scheme = key.algorithm().default_scheme();
    let (threads, duration) = (
        usize::from(args.threads),
        Duration::from_secs(u64::from(args.seconds)),
    );
    let raw = output::while_working("measuring bare C_Sign", || {
        raw_sign_rate(&token, &modules, &Terminal, &args.key, threads, duration)
    })
    .trying(|| "measure bare C_Sign".to_owned())?;
    let through = output::while_working("measuring the keystore", || {
        keystore_sign_rate(&key, scheme, threads, UNDER_WAY, duration)
    })
    .trying(|| "measure the keystore".to_owned())?;
    let (raw, through) = (Run::from(raw), Run::from(through));
    let report = Report {
        key: args.key.to_string(),
        algorithm: key.algorithm().to_string(),
        scheme: scheme.to_string(),
        threads: args.threads,
        share: through.per_second / raw.per_second.max(f64::MIN_POSITIVE),
        raw,
        keystore: through,
    };
    show(args, &report)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the report.
fn show(args: &Args, report: &Report) -> Result<(), Failure> {
    if args.json {
        return output::json(report);
    }
    output::line(format!(
        "{} ({}) by {} on {} threads, {} s each",
        report.key, report.algorithm, report.scheme, report.threads, args.seconds
    ))?;
    let row = |what: &str, run: &Run| {
        vec![
            what.to_owned(),
            format!("{:.0}", run.per_second),
            format!("{:.0}", run.per_cpu_second),
        ]
    };
    output::table(
        &["", "signatures/s", "for each CPU second"],
        vec![
            row("bare C_Sign", &report.raw),
            row("keystore, verified", &report.keystore),
        ],
        "",
    )?;
    output::line(format!(
        "The keystore reaches {:.0} % of the token's bare rate.",
        report.share * 100.0
    ))
}
