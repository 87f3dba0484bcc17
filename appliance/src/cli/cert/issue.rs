//! `chancery cert issue`: a certificate from a request, or with a new key.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use hsm_keystore::{KeyAlgorithm, KeyId, PrivateKey};
use mesh::SignedCertificate;
use mesh::csr::CsrContent;
use model::ProfileName;

use crate::cli::operator::{Operator, Order};
use crate::cli::prompt::Terminal;
use crate::cli::{files, output, request};
use crate::config::Config;
use crate::failure::{Failure, Trying};
use crate::wire;

/// Arguments of `chancery cert issue`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A certificate request (PKCS#10, PEM or DER); without one, a key and a
    /// request are made from --dns, --ip, --uri and --subject.
    #[arg(conflicts_with_all = ["dns", "ip", "uri", "subject", "algorithm", "key"])]
    csr: Option<PathBuf>,

    /// The profile; the CA's default without it (chancery status, GET /profiles).
    #[arg(long, short)]
    profile: Option<ProfileName>,

    /// How long it is to be valid: 90d, 12h, or ISO 8601; the profile's default
    /// without it.
    #[arg(long, value_name = "DURATION")]
    validity: Option<String>,

    /// A DNS name; may be given several times.
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,

    /// An IP address; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,

    /// A URI; may be given several times.
    #[arg(long)]
    uri: Vec<String>,

    /// The subject, as RFC 4514 writes it: CN=Ada,O=Example.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,

    /// The new key's algorithm: p256, p384, rsa2048, rsa3072, rsa4096, ed25519.
    #[arg(long, short, default_value = "p256")]
    algorithm: KeyAlgorithm,

    /// Use, or make, this key of a configured keystore in place of a key file.
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,

    /// The keystore of --key: a name of [keystores], or the one of [keystore].
    #[arg(long, value_name = "NAME", requires = "key")]
    keystore: Option<String>,

    /// Where the files go: NAME-key.pem (mode 0600), NAME-cert.pem, NAME-chain.pem.
    #[arg(long, short, default_value = ".", value_name = "DIR")]
    out: PathBuf,

    /// What the files' names begin with; from the first name without it.
    #[arg(long)]
    name: Option<KeyId>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Issues a certificate and writes it.
///
/// # Errors
///
/// When the request or key cannot be had, the CA cannot be reached or refuses,
/// or the files cannot be written.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let operator = Operator::connect(config)?;
    let stem = stem(args)?;
    let (csr_der, key_path) = match &args.csr {
        Some(path) => (request::read(path)?, None),
        None => from_new_key(args, &stem, config)?,
    };
    let issued = operator.sign(Order {
        csr_der,
        profile: args.profile.clone(),
        validity: args.validity.clone(),
        identity: None,
    })?;
    let written = files::write_chain(&args.out, &stem, &issued.chain_pem)?;
    report(args, &issued, key_path.as_deref(), &written)?;
    Ok(ExitCode::SUCCESS)
}

/// Decides what the files' names begin with.
fn stem(args: &Args) -> Result<KeyId, Failure> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let from = args
        .csr
        .as_deref()
        .and_then(Path::file_stem)
        .and_then(std::ffi::OsStr::to_str)
        .map(str::to_owned)
        .or_else(|| args.dns.first().cloned())
        .or_else(|| args.ip.first().map(ToString::to_string))
        .or_else(|| args.key.as_ref().map(ToString::to_string))
        .or_else(|| args.subject.as_deref().map(common_name).map(str::to_owned))
        .ok_or_else(|| {
            Failure::new("issue a certificate for nothing")
                .next("name a request file, or at least one of --dns, --ip, --uri and --subject")
        })?;
    let plain: String = from
        .to_lowercase()
        .replace('*', "wildcard")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .take(KeyId::MAX_LEN)
        .collect();
    KeyId::new(plain.trim_start_matches(['.', '-']))
        .trying(|| format!("name files after {from:?}"))
        .map_err(|failure| failure.next("choose a name with --name"))
}

/// Finds the common name of a subject, or takes the subject whole.
fn common_name(subject: &str) -> &str {
    subject
        .split(',')
        .find_map(|part| part.trim().strip_prefix("CN="))
        .unwrap_or(subject)
}

/// Makes the request with a key of a keystore, or with one in a new file.
fn from_new_key(
    args: &Args,
    stem: &KeyId,
    config: &Config,
) -> Result<(Vec<u8>, Option<PathBuf>), Failure> {
    let content = CsrContent {
        subject: args.subject.clone().unwrap_or_default(),
        dns: args.dns.clone(),
        ips: args.ip.clone(),
        uris: args.uri.clone(),
    };
    let (key, path): (Arc<dyn PrivateKey>, _) = match &args.key {
        Some(id) => {
            let store = wire::open_keystore(config, args.keystore.as_deref(), &Terminal)?;
            (request::key_of(store.as_ref(), id, args.algorithm)?, None)
        }
        None => {
            let store = files::key_directory(&args.out)?;
            let key = request::key_of(&store, stem, args.algorithm)?;
            (key, Some(files::key_path(&args.out, stem)))
        }
    };
    Ok((request::make(key.as_ref(), &content)?, path))
}

/// Tells what was made.
fn report(
    args: &Args,
    issued: &SignedCertificate,
    key: Option<&Path>,
    written: &files::Written,
) -> Result<(), Failure> {
    let path = |path: &Path| path.display().to_string();
    if args.json {
        return output::json(&serde_json::json!({
            "serial": issued.serial,
            "key": key.map(path),
            "certificate": path(&written.certificate),
            "chain": path(&written.chain),
        }));
    }
    let mut facts = vec![("serial", issued.serial.to_string())];
    facts.extend(key.map(|key| ("key", path(key))));
    facts.push(("certificate", path(&written.certificate)));
    facts.push(("chain", path(&written.chain)));
    output::facts(&facts)
}
