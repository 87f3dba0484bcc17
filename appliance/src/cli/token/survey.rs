//! `chancery token list` and `check`: a module's tokens, looked at without a
//! PIN.

use std::path::PathBuf;
use std::process::ExitCode;

use hsm_keystore::pkcs11::{ModuleSurvey, SlotSurvey, TokenSurvey, survey};
use hsm_keystore::{KeyAlgorithm, KeyStoreConfig, Modules};

use crate::cli::{ConfigFile, output};
use crate::failure::{Advise, Failure, Trying};

/// Arguments of `chancery token list` and `check`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The PKCS#11 module; without it, the one of [keystore].
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Looks at the module.
    fn survey(&self, file: &ConfigFile) -> Result<ModuleSurvey, Failure> {
        let module = match &self.module {
            Some(module) => module.clone(),
            None => configured(file)?,
        };
        output::while_working("asking the module", || survey(&module, &Modules::default()))
            .trying(|| format!("look at the tokens of {}", module.display()))
            .advise(|| "name a PKCS#11 module with --module FILE".to_owned())
    }
}

/// Finds the module of the configuration.
fn configured(file: &ConfigFile) -> Result<PathBuf, Failure> {
    let advice = "name a PKCS#11 module with --module FILE";
    let config = file.load()?;
    match config.keystore(None)? {
        KeyStoreConfig::Pkcs11(config) => config
            .uri
            .as_ref()
            .and_then(|uri| uri.module_path.clone())
            .or_else(|| config.module.clone())
            .ok_or_else(|| {
                Failure::new("find a PKCS#11 module in the configuration's [keystore]").next(advice)
            }),
        KeyStoreConfig::File(_) => {
            Err(Failure::new("look at tokens: [keystore] is a directory of files").next(advice))
        }
    }
}

/// Lists slots and tokens.
///
/// # Errors
///
/// When the module cannot be loaded or does not answer.
pub(super) fn list(args: &Args, file: &ConfigFile) -> Result<ExitCode, Failure> {
    let survey = args.survey(file)?;
    if args.json {
        output::json(&survey)?;
        return Ok(ExitCode::SUCCESS);
    }
    introduce(&survey)?;
    let rows = survey.slots.iter().map(row).collect();
    output::table(
        &["slot", "token", "serial", "model", "state"],
        rows,
        "The module has no slots.",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Names the module.
fn introduce(survey: &ModuleSurvey) -> Result<(), Failure> {
    let says = survey.library.as_ref().map_or_else(String::new, |library| {
        format!(
            ": {}, version {}, PKCS#11 {}",
            library.description.trim(),
            library.version,
            library.cryptoki_version
        )
    });
    output::line(format!("{}{says}", survey.module.display()))
}

/// Renders one slot as a row.
fn row(slot: &SlotSurvey) -> Vec<String> {
    let number = slot.slot_id.to_string();
    match &slot.token {
        None => vec![
            number,
            "-".to_owned(),
            String::new(),
            slot.description.trim().to_owned(),
            "no token".to_owned(),
        ],
        Some(token) => vec![
            number,
            token.label.clone(),
            token.serial.clone(),
            token.model.clone(),
            state(token).to_owned(),
        ],
    }
}

/// Tells how a token stands, the worst first.
fn state(token: &TokenSurvey) -> &'static str {
    if !token.initialized {
        "not initialized"
    } else if token.pin_locked {
        "PIN LOCKED"
    } else if token.pin_last_try {
        "one PIN try left"
    } else if token.login_required && !token.pin_set {
        "no PIN set"
    } else {
        "ready"
    }
}

/// Tells what each token can carry; fails when one has an obstacle.
///
/// # Errors
///
/// When the module cannot be loaded or does not answer.
pub(super) fn check(args: &Args, file: &ConfigFile) -> Result<ExitCode, Failure> {
    let survey = args.survey(file)?;
    let tokens: Vec<&TokenSurvey> = survey
        .slots
        .iter()
        .filter_map(|slot| slot.token.as_ref())
        .filter(|token| token.initialized)
        .collect();
    let sound = !tokens.is_empty() && tokens.iter().all(|token| token.obstacles.is_empty());
    if args.json {
        output::json(&survey)?;
    } else {
        introduce(&survey)?;
        if tokens.is_empty() {
            output::line("No slot holds a token that is initialized.")?;
        }
        for token in tokens {
            show(token)?;
        }
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints what one token can carry.
fn show(token: &TokenSurvey) -> Result<(), Failure> {
    output::line("")?;
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    output::facts(&[
        ("token", token.label.clone()),
        ("address", token.uri.clone()),
        ("made by", format!("{} {}", token.manufacturer, token.model)),
        ("state", state(token).to_owned()),
        (
            "sessions",
            token.most_sessions.map_or_else(
                || "does not tell".to_owned(),
                |most| format!("at most {most}"),
            ),
        ),
        ("random", yes_no(token.random)),
        ("PIN pad", yes_no(token.pin_pad)),
    ])?;
    let rows = KeyAlgorithm::ALL
        .into_iter()
        .map(|algorithm| {
            let carried = token
                .carries
                .iter()
                .find(|capability| capability.algorithm == algorithm);
            let schemes = carried.map_or_else(String::new, |capability| {
                capability
                    .signs
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            });
            vec![
                algorithm.to_string(),
                yes_no(carried.is_some_and(|capability| capability.generates)),
                if schemes.is_empty() {
                    "no".to_owned()
                } else {
                    schemes
                },
            ]
        })
        .collect();
    output::line("")?;
    output::table(
        &["key", "made here", "signs by"],
        rows,
        "It carries no key.",
    )?;
    for obstacle in &token.obstacles {
        output::line(format!("In the way: {obstacle}"))?;
    }
    Ok(())
}
