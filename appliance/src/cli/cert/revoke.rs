//! `chancery cert revoke`: a certificate, or a key and all that share it, no
//! longer counts.

use std::path::Path;
use std::process::ExitCode;

use aws_lc_rs::digest::{SHA256, digest};
use mesh::wire::{KeyRevocation, RevocationRecord, RevokeKeyRequest, RevokeRequest, RevokeTarget};
use model::{RevocationReason, SerialNumber, Timestamp};
use pki::certificate::Certificate;

use crate::cli::operator::Operator;
use crate::cli::{files, output};
use crate::config::Config;
use crate::failure::{Failure, Trying};

/// Arguments of `chancery cert revoke`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The serial number in hexadecimal, or a file with the certificate, PEM or
    /// DER; with --key also the SHA-256 of the public key in hexadecimal.
    certificate: String,

    /// Why, by name or code of RFC 5280: keyCompromise, superseded,
    /// cessationOfOperation, certificateHold, removeFromCRL to release …
    #[arg(long, default_value = "unspecified", value_name = "REASON")]
    reason: RevocationReason,

    /// Since when it was not to be trusted, if that is known (RFC 3339).
    #[arg(long, value_name = "TIME")]
    invalidity_date: Option<Timestamp>,

    /// Revoke every certificate of the same public key, and never certify that
    /// key again.
    #[arg(long)]
    key: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Revokes.
///
/// # Errors
///
/// When the CA cannot be reached or refuses: an unknown serial number, a
/// certificate that was revoked before.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let named = Named::read(&args.certificate)?;
    let operator = Operator::connect(config)?;
    if args.key {
        let outcome = operator.revoke_key(&RevokeKeyRequest {
            public_key_sha256: named.public_key(&operator)?,
            reason: args.reason,
            invalidity_date: args.invalidity_date,
            request_id: None,
        })?;
        if args.json {
            output::json(&outcome)?;
        } else {
            show_key(&outcome)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let record = operator.revoke(&RevokeRequest {
        target: named.target()?,
        reason: args.reason,
        invalidity_date: args.invalidity_date,
        request_id: None,
    })?;
    if args.json {
        output::json(&record)?;
    } else {
        output::facts(&facts(&record))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the argument names.
#[derive(Debug)]
enum Named {
    /// A serial number.
    Serial(SerialNumber),
    /// A certificate, DER.
    Certificate(Vec<u8>),
    /// The SHA-256 of a SubjectPublicKeyInfo.
    PublicKey([u8; 32]),
}

impl Named {
    /// Tells a file from a number, and a hash from a serial number by its length.
    fn read(text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        if path.is_file() {
            return files::read_certificate(path).map(Self::Certificate);
        }
        let text = text.strip_prefix("0x").unwrap_or(text);
        let digits = text.replace(':', "");
        // Serial numbers have at most 20 octets, the hash has 32.
        if digits.len() == 64
            && let Some(hash) = hex::decode(&digits)
                .ok()
                .and_then(|hash| hash.try_into().ok())
        {
            return Ok(Self::PublicKey(hash));
        }
        text.parse()
            .map(Self::Serial)
            .trying(|| format!("take {text:?} for a file or a serial number"))
            .map_err(|failure| {
                failure.next("name the certificate's file, or its serial number in hexadecimal: chancery cert list")
            })
    }

    /// Returns what is to be revoked alone.
    fn target(self) -> Result<RevokeTarget, Failure> {
        match self {
            Self::Serial(serial) => Ok(RevokeTarget::Serial(serial)),
            Self::Certificate(der) => Ok(RevokeTarget::Certificate(der)),
            Self::PublicKey(_) => Err(Failure::new("revoke one certificate by the hash of a key")
                .next("add --key: every certificate of that key is revoked and the key blocked")),
        }
    }

    /// Returns the hash of the key, asking the CA for that of a serial number.
    fn public_key(&self, operator: &Operator) -> Result<[u8; 32], Failure> {
        match self {
            Self::PublicKey(hash) => Ok(*hash),
            Self::Certificate(der) => {
                let certificate = Certificate::from_der(der)
                    .trying(|| "read the certificate's public key".to_owned())?;
                let mut hash = [0; 32];
                hash.copy_from_slice(digest(&SHA256, certificate.public_key().spki_der()).as_ref());
                Ok(hash)
            }
            Self::Serial(serial) => {
                let record = operator.certificate(serial)?;
                hex::decode(&record.public_key_sha256)
                    .ok()
                    .and_then(|hash| hash.try_into().ok())
                    .ok_or_else(|| {
                        Failure::new(format!(
                            "read the hash of the key of {serial}: the CA answered {:?}",
                            record.public_key_sha256
                        ))
                    })
            }
        }
    }
}

/// Collects what a person reads about a revocation.
fn facts(record: &RevocationRecord) -> Vec<(&'static str, String)> {
    let released = record.reason == RevocationReason::RemoveFromCrl;
    let mut facts = vec![
        ("serial", record.serial.to_string()),
        ("issuer", record.issuer.to_string()),
        (
            if released { "released" } else { "revoked" },
            output::time(record.revoked_at),
        ),
        ("reason", record.reason.to_string()),
    ];
    if let Some(time) = record.invalidity_date {
        facts.push(("not to be trusted since", output::time(time)));
    }
    if let Some(time) = record.not_after {
        facts.push(("would have ended", output::time(time)));
    }
    facts
}

/// Shows what became of a key and its certificates.
fn show_key(outcome: &KeyRevocation) -> Result<(), Failure> {
    output::facts(&[
        (
            "public key",
            format!("SHA-256 {}", outcome.public_key_sha256),
        ),
        (
            "blocked",
            if outcome.blocked { "yes" } else { "NO" }.to_owned(),
        ),
    ])?;
    let now = outcome.revoked.iter().map(|record| (record, "revoked"));
    let before = outcome
        .already_revoked
        .iter()
        .map(|record| (record, "revoked before"));
    let rows = now
        .chain(before)
        .map(|(record, what)| {
            vec![
                record.serial.to_string(),
                what.to_owned(),
                output::time(record.revoked_at),
                record.reason.to_string(),
            ]
        })
        .collect();
    output::table(
        &["serial", "", "at", "reason"],
        rows,
        "No certificate has this key.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_a_serial_number_and_nonsense_are_told_apart() {
        assert!(matches!(
            Named::read(&"ab".repeat(32)),
            Ok(Named::PublicKey(_))
        ));
        for serial in ["40:00:3b", "0x40003b"] {
            assert!(matches!(Named::read(serial), Ok(Named::Serial(_))));
        }
        let failure = Named::read("no-such-file.pem").unwrap_err().report();
        assert!(failure.contains("name the certificate's file"), "{failure}");
    }

    #[test]
    fn one_certificate_is_not_named_by_a_key() {
        let failure = Named::PublicKey([0; 32]).target().unwrap_err().report();
        assert!(failure.contains("add --key"), "{failure}");
    }
}
