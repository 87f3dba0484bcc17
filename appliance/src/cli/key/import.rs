//! `chancery key import`: a private key from a file into a keystore.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use hsm_keystore::KeyId;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::{self, PemObject};
use zeroize::{Zeroize, Zeroizing};

use super::attest::Attestation;
use super::{WhichStore, advice};
use crate::cli::output;
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};

/// How to turn any private key into what we read.
const CONVERT: &str = "convert it first: openssl pkcs8 -topk8 -nocrypt -in KEY -out pkcs8.pem";

/// Arguments of `chancery key import`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The key's name: lower-case letters, digits, hyphens, full stops.
    id: KeyId,

    /// The private key: PKCS#8, unencrypted, PEM or DER.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,

    /// Which keystore.
    #[command(flatten)]
    store: WhichStore,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Imports a key and tells its provenance. The file is left where it is.
///
/// # Errors
///
/// When the file holds no key, the keystore cannot be opened, the name is taken
/// or the token cannot carry such a key.
pub(super) fn run(args: &Args, config: &Config) -> Result<ExitCode, Failure> {
    let octets = fs::read(&args.file)
        .map(Zeroizing::new)
        .trying(|| format!("read the key file {}", args.file.display()))?;
    let pkcs8_der = if octets.starts_with(b"-----BEGIN") {
        from_pem(&octets)
            .trying(|| format!("read a PKCS#8 private key from {}", args.file.display()))
            .advise(|| CONVERT.to_owned())?
    } else {
        octets
    };
    let store = args.store.open(config)?;
    let key = store
        .import_private_key(&args.id, pkcs8_der)
        .map_err(|error| {
            let advice = match &error {
                hsm_keystore::Error::MalformedKey { .. } => CONVERT,
                other => advice(other),
            };
            Failure::because(
                format!("import {} into {}", args.id, store.describe()),
                error,
            )
            .next(advice)
        })?;
    Attestation::of(store.as_ref(), key.as_ref()).print(args.json)?;
    output::note(&format!(
        "{} still holds the key: a copy outside the token. Destroy it when it is needed no longer.",
        args.file.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Reads the first PKCS#8 block; the copy that is made on the way is wiped.
fn from_pem(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, pem::Error> {
    let mut key = PrivatePkcs8KeyDer::from_pem_slice(text)?;
    let pkcs8_der = Zeroizing::new(key.secret_pkcs8_der().to_vec());
    key.zeroize();
    Ok(pkcs8_der)
}
