//! Every certificate that time-stamps were made under: verifiers need them for as
//! long as they look at such time-stamps.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use mesh::kept;
use pki::certificate::Certificate;
use pki::pem;

use super::KeysError;

/// Most octets of the file: thousands of certificates, of which years bring a few.
const MAX_BYTES: u64 = 4 << 20;

/// The certificates, in memory and in a file.
#[derive(Debug)]
pub(super) struct History {
    /// The file, PEM.
    path: PathBuf,
    /// What is in it, the oldest first.
    known: Mutex<Vec<Certificate>>,
}

impl History {
    /// Reads the file, where there is one.
    pub(super) fn open(path: PathBuf) -> Result<Self, KeysError> {
        let known = match kept::read(&path, MAX_BYTES).map_err(KeysError::Kept)? {
            None => Vec::new(),
            Some(text) => read(&text).ok_or_else(|| KeysError::Damaged { path: path.clone() })?,
        };
        Ok(Self {
            path,
            known: Mutex::new(known),
        })
    }

    /// Adds a certificate, unless it is there; durable when it returns.
    pub(super) fn add(&self, certificate: &Certificate) -> Result<(), KeysError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|one| one.der() == certificate.der()) {
            return Ok(());
        }
        let text = pem::write_chain(known.iter().chain([certificate]).map(Certificate::der));
        kept::write(&self.path, text.as_bytes()).map_err(KeysError::Kept)?;
        known.push(certificate.clone());
        Ok(())
    }

    /// Returns them, the oldest first.
    pub(super) fn certificates(&self) -> Vec<Certificate> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Reads certificates of PEM.
fn read(text: &[u8]) -> Option<Vec<Certificate>> {
    let chain = pem::read_certificates(text).ok()?;
    let read = chain.iter().map(|der| Certificate::from_der(der));
    read.collect::<Result<_, _>>().ok()
}
