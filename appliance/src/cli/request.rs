//! Certificate requests: those that people bring, and those we make.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hsm_keystore::{Error, KeyAlgorithm, KeyId, KeyStore, PrivateKey};
use mesh::csr::{self, CsrContent};
use tokio::runtime;

use super::output;
use crate::failure::{Advise, Failure, Trying};

/// Reads a request from a file, PEM or DER, and returns its DER.
///
/// # Errors
///
/// When the file cannot be read or holds no request in PEM; what is in the DER
/// is the CA's to judge.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let octets =
        fs::read(path).trying(|| format!("read the certificate request {}", path.display()))?;
    if pki::pem::is_pem(&octets) {
        pki::pem::read_request(&octets)
            .trying(|| format!("read a certificate request from {}", path.display()))
            .advise(|| {
                "make one: openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
                 -keyout key.pem -out request.pem -subj /CN=NAME"
                    .to_owned()
            })
    } else {
        Ok(octets)
    }
}

/// Takes the key called `id`, or makes it.
///
/// A key that is there already is used again, so that renewing and repeating
/// both work; its algorithm is its own.
///
/// # Errors
///
/// When the keystore cannot be asked or cannot make such a key.
pub(super) fn key_of(
    store: &dyn KeyStore,
    id: &KeyId,
    algorithm: KeyAlgorithm,
) -> Result<Arc<dyn PrivateKey>, Failure> {
    match store.get_private_key(id) {
        Ok(key) => {
            output::note(&format!(
                "Using the {} key {id} that is in {} already.",
                key.algorithm(),
                store.describe()
            ));
            Ok(key)
        }
        Err(Error::NoKey { .. }) => {
            output::while_working(&format!("generating a {algorithm} key"), || {
                store.generate_private_key(id, algorithm)
            })
            .trying(|| format!("generate a {algorithm} key {id} in {}", store.describe()))
        }
        Err(error) => Err(error).trying(|| format!("find the key {id} in {}", store.describe())),
    }
}

/// Makes a request for `content`, signed by the key, DER.
///
/// # Errors
///
/// When a name cannot be encoded, or the key does not sign.
pub(super) fn make(key: &dyn PrivateKey, content: &CsrContent) -> Result<Vec<u8>, Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .trying(|| "start a runtime".to_owned())?;
    runtime
        .block_on(csr::build(key, content))
        .trying(|| format!("make a certificate request with the key {}", key.id()))
}
