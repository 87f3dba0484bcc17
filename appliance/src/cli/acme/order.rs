//! `chancery acme order`: what was ordered, and what came of it.

use std::process::ExitCode;

use acme::operator::{OrderView, RevokeOrderCertificate};
use clap::Subcommand;
use model::RevocationReason;

use super::client::AcmeOperator;
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// The commands about orders.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List orders, oldest first.
    List(ListArgs),
    /// Show one order.
    Show(ShowArgs),
    /// Revoke the certificate of an order.
    Revoke(RevokeArgs),
}

/// Arguments of `chancery acme order list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those of this account.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// Most orders to list; 0 lists all.
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `chancery acme order show`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// The order: the last part of its URL.
    order: String,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `chancery acme order revoke`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RevokeArgs {
    /// The order: the last part of its URL.
    order: String,

    /// Why, by name or code of RFC 5280: keyCompromise, superseded …
    #[arg(long, default_value = "unspecified", value_name = "REASON")]
    reason: RevocationReason,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the service cannot be reached, refuses, or knows no such order.
pub(super) fn run(command: &Command, config: &Config) -> Result<ExitCode, Failure> {
    let service = AcmeOperator::connect(config)?;
    match command {
        Command::List(args) => list(args, &service)?,
        Command::Show(args) => {
            let tried = format!("look up order {}", args.order);
            show(args.json, &service.show(&tried, &["orders", &args.order])?)?;
        }
        Command::Revoke(args) => {
            let tried = format!("revoke the certificate of order {}", args.order);
            let body = RevokeOrderCertificate {
                reason: Some(args.reason.to_string()),
            };
            let path = ["orders", &args.order, "revoke"];
            show(args.json, &service.change(&tried, &path, &body)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists orders.
fn list(args: &ListArgs, service: &AcmeOperator) -> Result<(), Failure> {
    let (orders, more): (Vec<OrderView>, _) = service.list(
        "list orders",
        &["orders"],
        args.account.as_deref(),
        output::most(args.limit),
    )?;
    if args.json {
        return output::json(&orders);
    }
    let rows = orders
        .iter()
        .map(|order| {
            vec![
                order.id.clone(),
                order.status.clone(),
                order.account.clone(),
                order.identifiers.join(" "),
                order
                    .serial
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                output::time(order.created_at),
            ]
        })
        .collect();
    output::table(
        &["order", "status", "account", "for", "serial", "made"],
        rows,
        "There is no order yet.",
    )?;
    output::note_more(more, "orders", args.limit);
    Ok(())
}

/// Shows one order.
fn show(json: bool, order: &OrderView) -> Result<(), Failure> {
    if json {
        return output::json(order);
    }
    let optional = [
        ("profile", order.profile.as_ref().map(ToString::to_string)),
        ("serial", order.serial.as_ref().map(ToString::to_string)),
        (
            "certificate ends",
            order.certificate_not_after.map(output::time),
        ),
        ("error", order.error.clone()),
    ];
    let mut facts = vec![
        ("order", order.id.clone()),
        ("status", order.status.clone()),
        ("account", order.account.clone()),
        ("for", order.identifiers.join("\n")),
        ("made", output::time(order.created_at)),
        ("to be finalized by", output::time(order.expires_at)),
    ];
    facts.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    output::facts(&facts)
}
