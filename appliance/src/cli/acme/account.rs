//! `chancery acme account`: who has certificates ordered.

use std::process::ExitCode;

use acme::operator::AccountView;
use clap::Subcommand;

use super::client::AcmeOperator;
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// The commands about accounts.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List accounts, oldest first.
    List(ListArgs),
    /// Show one account.
    Show(Args),
    /// Deactivate an account, as its holder could: it can do nothing any more.
    Deactivate(Args),
    /// Revoke an account, as the holder cannot: it can do nothing any more.
    Revoke(Args),
}

/// Arguments of `chancery acme account list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Most accounts to list; 0 lists all.
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of the commands about one account.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The account: the last part of its URL.
    account: String,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the service cannot be reached, refuses, or knows no such account.
pub(super) fn run(command: &Command, config: &Config) -> Result<ExitCode, Failure> {
    let service = AcmeOperator::connect(config)?;
    match command {
        Command::List(args) => list(args, &service)?,
        Command::Show(args) => {
            let tried = format!("look up account {}", args.account);
            show(args, &service.show(&tried, &["accounts", &args.account])?)?;
        }
        Command::Deactivate(args) => end(args, &service, "deactivate")?,
        Command::Revoke(args) => end(args, &service, "revoke")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends an account.
fn end(args: &Args, service: &AcmeOperator, act: &str) -> Result<(), Failure> {
    let tried = format!("{act} account {}", args.account);
    let path = ["accounts", &args.account, act];
    show(
        args,
        &service.change(&tried, &path, &serde_json::json!({}))?,
    )
}

/// Lists accounts.
fn list(args: &ListArgs, service: &AcmeOperator) -> Result<(), Failure> {
    let (accounts, more): (Vec<AccountView>, _) = service.list(
        "list accounts",
        &["accounts"],
        None,
        output::most(args.limit),
    )?;
    if args.json {
        return output::json(&accounts);
    }
    let rows = accounts
        .iter()
        .map(|account| {
            vec![
                account.id.clone(),
                account.status.clone(),
                account.contacts.join(" "),
                account.eab_key.clone().unwrap_or_default(),
                output::time(account.created_at),
            ]
        })
        .collect();
    output::table(
        &["account", "status", "contacts", "eab key", "made"],
        rows,
        "There is no account yet.",
    )?;
    output::note_more(more, "accounts", args.limit);
    Ok(())
}

/// Shows one account.
fn show(args: &Args, account: &AccountView) -> Result<(), Failure> {
    if args.json {
        return output::json(account);
    }
    let optional = [
        ("terms agreed", &account.terms_agreed),
        ("eab key", &account.eab_key),
        ("made by", &account.peer),
    ];
    let mut facts = vec![
        ("account", account.id.clone()),
        ("status", account.status.clone()),
        ("contacts", account.contacts.join("\n")),
        ("key", account.thumbprint.clone()),
        ("made", output::time(account.created_at)),
    ];
    facts.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?))),
    );
    facts.retain(|(_, value)| !value.is_empty());
    output::facts(&facts)
}
