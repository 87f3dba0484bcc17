//! `chancery identity`: keys and certificates by which people and services
//! prove who they are.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use hsm_keystore::{KeyAlgorithm, KeyId};
use mesh::csr::CsrContent;
use model::{Identity, PeerName, ProfileName, Role};

use super::operator::{Operator, Order};
use super::prompt::Terminal;
use super::{enrolment, files, output, request};
use crate::config::{Config, Member};
use crate::failure::{Failure, Trying};
use crate::wire;

/// The profile of identities.
const PROFILE: &str = "service";

/// The commands about identities.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key and have its certificate issued.
    Issue(IssueArgs),
}

/// Arguments of `chancery identity issue`.
#[derive(Debug, clap::Args)]
pub(super) struct IssueArgs {
    /// What it is to be: operator, auditor, signer, acme or signing (the
    /// enrolment of such a service), or a role in full, such as service:acme.
    #[arg(long, value_parser = role)]
    role: Role,

    /// Its name: letters, digits, full stops, hyphens, underscores.
    name: PeerName,

    /// Where NAME-key.pem (mode 0600), NAME-cert.pem, NAME-chain.pem and ca.pem
    /// go; without it, the directory of identities, but for the enrolment of a
    /// configured service, which goes into that service's keystore.
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,

    /// The key's algorithm: p256, p384, rsa2048, rsa3072, rsa4096, ed25519.
    #[arg(long, short, default_value = "p256")]
    algorithm: KeyAlgorithm,

    /// How long it is to be valid: 90d, 12h, or ISO 8601; without it the profile's
    /// default, a day for an enrolment.
    #[arg(long, value_name = "DURATION")]
    validity: Option<String>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads a role: in full, or as a service's name for that service's enrolment.
fn role(text: &str) -> Result<Role, String> {
    let full = match text {
        "acme" => "enrol:acme",
        "signing" => "enrol:signing",
        other => other,
    };
    full.parse().map_err(|_| {
        let roles: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        format!(
            "no such role; there are: acme, signing, {}",
            roles.join(", ")
        )
    })
}

/// Runs the command.
///
/// # Errors
///
/// When the key cannot be made, or the CA cannot be reached or refuses.
pub(super) fn run(command: Command, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        Command::Issue(args) => issue(&args, config),
    }
}

impl IssueArgs {
    /// Returns how long it is to be valid: an enrolment only until it is used.
    fn validity(&self) -> Option<String> {
        let is_enrolment = matches!(self.role, Role::EnrolAcme | Role::EnrolSigning);
        self.validity
            .clone()
            .or_else(|| is_enrolment.then(|| enrolment::VALIDITY.to_owned()))
    }
}

/// Leaves a service of this installation an enrolment identity in its keystore.
fn enrol(
    args: &IssueArgs,
    config: &Config,
    member: &Member<'_>,
    operator: &Operator,
) -> Result<ExitCode, Failure> {
    let name = member.service.keystore.as_deref();
    let keystore = wire::open_keystore(config, name, &Terminal)?;
    let place = enrolment::Place {
        member,
        keystore: keystore.as_ref(),
    };
    let key = place.key(args.algorithm)?;
    let identity = member.enrolment_identity();
    let issued = operator.sign(Order {
        csr_der: request::make(key.as_ref(), &place.content())?,
        profile: Some(ProfileName::new(PROFILE).trying(|| "name the profile".to_owned())?),
        validity: args.validity(),
        identity: Some(identity.clone()),
    })?;
    let chain = pki::pem::read_certificates(issued.chain_pem.as_bytes())
        .trying(|| "read the CA's answer".to_owned())?;
    let leaf = chain
        .first()
        .ok_or_else(|| Failure::new("find a certificate in the CA's answer"))?;
    place.leave(leaf)?;
    if args.json {
        output::json(&serde_json::json!({
            "identity": identity.to_string(),
            "serial": issued.serial,
            "key": place.key_id().to_string(),
            "keystore": place.keystore.describe(),
        }))?;
    } else {
        output::facts(&[
            ("identity", identity.to_string()),
            ("serial", issued.serial.to_string()),
            ("key", place.key_id().to_string()),
            ("kept on", place.keystore.describe()),
        ])?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Issues an identity.
fn issue(args: &IssueArgs, config: &Config) -> Result<ExitCode, Failure> {
    let operator = Operator::connect(config)?;
    let identity = Identity {
        role: args.role,
        name: args.name.clone(),
    };
    let members = config.members();
    let enrols = |member: &&Member<'_>| member.enrolment_identity() == identity;
    if args.out.is_none()
        && let Some(member) = members.iter().find(enrols)
    {
        return enrol(args, config, member, &operator);
    }
    let id = KeyId::new(&args.name.as_str().to_lowercase().replace('_', "-"))
        .trying(|| format!("name files after {}", args.name))?;
    let directory = args.out.clone().unwrap_or_else(|| config.identities());
    let store = files::key_directory(&directory)?;
    let key = request::key_of(&store, &id, args.algorithm)?;
    let content = CsrContent {
        // A peer's name has no character that RFC 4514 would want escaped.
        subject: format!("CN={}", args.name),
        ..CsrContent::default()
    };
    let csr_der = request::make(key.as_ref(), &content)?;
    let issued = operator.sign(Order {
        csr_der,
        profile: Some(ProfileName::new(PROFILE).trying(|| "name the profile".to_owned())?),
        validity: args.validity(),
        identity: Some(identity.clone()),
    })?;
    let written = files::write_chain(&directory, &id, &issued.chain_pem)?;
    let trust = directory.join("ca.pem");
    if !trust.exists() {
        let from = config.trust();
        let pem = fs::read_to_string(&from)
            .trying(|| format!("read the authorities to trust from {}", from.display()))?;
        files::write(&trust, &pem)?;
    }
    let key_path = files::key_path(&directory, &id);
    if args.json {
        output::json(&serde_json::json!({
            "identity": identity.to_string(),
            "serial": issued.serial,
            "key": key_path.display().to_string(),
            "certificate": written.certificate.display().to_string(),
            "chain": written.chain.display().to_string(),
            "ca": trust.display().to_string(),
        }))?;
    } else {
        output::facts(&[
            ("identity", identity.to_string()),
            ("serial", issued.serial.to_string()),
            ("key", key_path.display().to_string()),
            ("certificate", written.certificate.display().to_string()),
            ("chain", written.chain.display().to_string()),
            ("trust", trust.display().to_string()),
        ])?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_in_full_and_services_by_their_enrolment() {
        assert_eq!(role("operator"), Ok(Role::Operator));
        assert_eq!(role("acme"), Ok(Role::EnrolAcme));
        assert_eq!(role("service:acme"), Ok(Role::ServiceAcme));
        assert!(role("root").unwrap_err().contains("auditor"));
    }
}
