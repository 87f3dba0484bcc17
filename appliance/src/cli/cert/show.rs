//! `chancery cert show`: what the CA knows about one certificate.

use std::process::ExitCode;

use model::SerialNumber;

use crate::cli::operator::Operator;
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// Arguments of `chancery cert show`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The serial number in hexadecimal, with or without colons.
    serial: SerialNumber,

    /// Print the certificate and its issuers in PEM and nothing else.
    #[arg(long, conflicts_with = "json")]
    pem: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Shows a certificate.
///
/// # Errors
///
/// When the CA cannot be reached, refuses, or knows no such serial number.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let record = Operator::connect(config)?.certificate(&args.serial)?;
    if args.json {
        output::json(&record)?;
    } else if args.pem {
        match &record.chain_pem {
            Some(pem) => output::print(pem)?,
            None => {
                return Err(Failure::new(format!(
                    "print certificate {}: it was never signed",
                    args.serial
                )));
            }
        }
    } else {
        let mut facts = vec![
            ("serial", record.serial.to_string()),
            ("status", format!("{:?}", record.status).to_lowercase()),
            ("issuer", record.issuer.to_string()),
            ("profile", record.profile.to_string()),
            ("subject", record.subject),
            ("names", record.names.join("\n")),
            ("valid from", output::time(record.not_before)),
            ("valid until", output::time(record.not_after)),
            (
                "public key",
                format!("SHA-256 {}", record.public_key_sha256),
            ),
            ("recorded", output::time(record.recorded_at)),
        ];
        let optional = [
            ("issued", record.issued_at.map(output::time)),
            (
                "requested by",
                record.requester.map(|peer| peer.to_string()),
            ),
            ("request", record.request_id.map(|id| id.to_string())),
            (
                "revoked",
                record
                    .revocation
                    .map(|revoked| format!("{}, {}", output::time(revoked.at), revoked.reason)),
            ),
        ];
        facts.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        facts.retain(|(_, value)| !value.is_empty());
        output::facts(&facts)?;
    }
    Ok(ExitCode::SUCCESS)
}
