//! `chancery acme eab`: the keys that bind accounts (RFC 8555, 7.3.4).

use std::process::ExitCode;

use acme::operator::{CreatedEab, EabView, NewEab};
use clap::Subcommand;
use model::Timestamp;

use super::client::AcmeOperator;
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// The commands about EAB keys.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List EAB keys.
    List(ListArgs),
    /// Make an EAB key; its secret is shown this once.
    Create(CreateArgs),
    /// Revoke an EAB key: it binds no account any more.
    Revoke(RevokeArgs),
}

/// Arguments of `chancery acme eab list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `chancery acme eab create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// What to call it: whose it is, what it is for.
    label: String,

    /// Its name, the client's `kid`; drawn without it.
    #[arg(long, value_name = "NAME")]
    id: Option<String>,

    /// The rule of [acme.policy.rules] that its accounts fall under.
    #[arg(long, value_name = "RULE")]
    policy: Option<String>,

    /// Until when it may be used (RFC 3339); for ever without it.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `chancery acme eab revoke`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RevokeArgs {
    /// Its name, the client's `kid`.
    id: String,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the service cannot be reached, refuses, or knows no such key.
pub(super) fn run(command: &Command, config: &Config) -> Result<ExitCode, Failure> {
    let service = AcmeOperator::connect(config)?;
    match command {
        Command::List(args) => list(args, &service)?,
        Command::Create(args) => create(args, &service)?,
        Command::Revoke(args) => {
            let tried = format!("revoke EAB key {}", args.id);
            let path = ["eab", &args.id, "revoke"];
            let key: EabView = service.change(&tried, &path, &serde_json::json!({}))?;
            if args.json {
                output::json(&key)?;
            } else {
                output::facts(&facts(&key))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists EAB keys.
fn list(args: &ListArgs, service: &AcmeOperator) -> Result<(), Failure> {
    let (keys, _): (Vec<EabView>, _) = service.list("list EAB keys", &["eab"], None, usize::MAX)?;
    if args.json {
        return output::json(&keys);
    }
    let rows = keys
        .iter()
        .map(|key| {
            vec![
                key.id.clone(),
                key.status.clone(),
                key.label.clone(),
                key.policy.clone().unwrap_or_default(),
                key.account.clone().unwrap_or_default(),
                key.expires_at.map(output::time).unwrap_or_default(),
            ]
        })
        .collect();
    output::table(
        &["kid", "status", "label", "policy", "account", "expires"],
        rows,
        "There is no EAB key yet.",
    )
}

/// Makes an EAB key and shows its secret.
fn create(args: &CreateArgs, service: &AcmeOperator) -> Result<(), Failure> {
    let created: CreatedEab = service.change(
        "make an EAB key",
        &["eab"],
        &NewEab {
            id: args.id.clone(),
            label: args.label.clone(),
            policy: args.policy.clone(),
            expires_at: args.expires_at,
        },
    )?;
    if args.json {
        return output::json(&created);
    }
    let mut facts = facts(&created.key);
    facts.push(("hmac key", created.hmac_key));
    output::facts(&facts)?;
    output::note(
        "The HMAC key is shown this once. For certbot: --eab-kid KID --eab-hmac-key KEY; \
         for lego: --eab --kid KID --hmac KEY.",
    );
    Ok(())
}

/// Collects what a person reads about a key.
fn facts(key: &EabView) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("kid", key.id.clone()),
        ("status", key.status.clone()),
        ("label", key.label.clone()),
        ("policy", key.policy.clone().unwrap_or_default()),
        ("account", key.account.clone().unwrap_or_default()),
        ("made", output::time(key.created_at)),
        (
            "expires",
            key.expires_at.map(output::time).unwrap_or_default(),
        ),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    facts
}
