//! `chancery key attest`: what the token says about a key.

use std::process::ExitCode;

use aws_lc_rs::digest;
use hsm_keystore::{KeyId, KeyStore, PrivateKey, Provenance};
use serde::Serialize;

use super::{WhichStore, find};
use crate::cli::output;
use crate::config::Config;
use crate::failure::Failure;

/// Arguments of `chancery key attest`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The key's name.
    id: KeyId,

    /// Which keystore.
    #[command(flatten)]
    store: WhichStore,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What can be said about a key.
#[derive(Debug, Serialize)]
pub(super) struct Attestation {
    /// The keystore that holds it.
    keystore: String,
    /// Its name there.
    id: String,
    /// Its algorithm and size.
    algorithm: String,
    /// SHA-256 of its SubjectPublicKeyInfo, hexadecimal.
    public_key_sha256: String,
    /// Its SubjectPublicKeyInfo in PEM.
    public_key_pem: String,
    /// What the token's attributes say.
    provenance: Provenance,
    /// A statement signed by the token's maker; none can be had through PKCS#11.
    vendor_attestation: Option<String>,
}

impl Attestation {
    /// Asks the key.
    pub(super) fn of(store: &dyn KeyStore, key: &dyn PrivateKey) -> Self {
        let public_key_der = key.public_key_der();
        Self {
            keystore: store.describe(),
            id: key.id().to_string(),
            algorithm: key.algorithm().to_string(),
            public_key_sha256: output::hex(
                digest::digest(&digest::SHA256, public_key_der).as_ref(),
            ),
            public_key_pem: pki::pem::write_public_key(public_key_der),
            provenance: key.provenance(),
            vendor_attestation: None,
        }
    }

    /// Prints it.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            return output::json(self);
        }
        let Provenance {
            on_token,
            generated_locally,
            always_sensitive,
            never_extractable,
        } = self.provenance;
        let say = |yes: bool, words: [&str; 2]| words[usize::from(!yes)].to_owned();
        output::facts(&[
            ("keystore", self.keystore.clone()),
            ("id", self.id.clone()),
            ("algorithm", self.algorithm.clone()),
            ("public key", format!("SHA-256 {}", self.public_key_sha256)),
            ("held by", say(on_token, ["a PKCS#11 token", "a file"])),
            (
                "made",
                say(
                    generated_locally,
                    ["where it is (CKA_LOCAL)", "elsewhere, and imported"],
                ),
            ),
            (
                "readable",
                say(
                    always_sensitive,
                    ["never was (CKA_ALWAYS_SENSITIVE)", "was, or may have been"],
                ),
            ),
            (
                "extractable",
                say(
                    never_extractable,
                    ["never was (CKA_NEVER_EXTRACTABLE)", "was, or may have been"],
                ),
            ),
            (
                "attestation",
                "the token's own word; PKCS#11 carries no statement signed by its maker".to_owned(),
            ),
        ])?;
        output::print(&self.public_key_pem)
    }
}

/// Shows a key's provenance.
///
/// # Errors
///
/// When the keystore cannot be opened or holds no such key.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let store = args.store.open(config)?;
    let key = find(store.as_ref(), &args.id)?;
    Attestation::of(store.as_ref(), key.as_ref()).print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
