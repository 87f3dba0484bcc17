//! The files that commands leave: keys, certificates and chains in PEM.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hsm_keystore::{FileStore, KeyId, KeyStoreMetrics};

use crate::failure::{Failure, Trying};

/// Where a certificate was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The certificate alone.
    pub(crate) certificate: PathBuf,
    /// The certificate and its issuers, leaf first, without the root.
    pub(crate) chain: PathBuf,
}

/// Makes the directory if it is missing (mode 0700) and opens it for keys.
///
/// # Errors
///
/// When it cannot be made, or its mode lets others at the keys.
pub(crate) fn key_directory(directory: &Path) -> Result<FileStore, Failure> {
    make_directory(directory)?;
    FileStore::open(directory, KeyStoreMetrics::default())
        .trying(|| format!("keep a key in {}", directory.display()))
}

/// Returns the path of the key called `id`.
pub(crate) fn key_path(directory: &Path, id: &KeyId) -> PathBuf {
    directory.join(format!("{id}-key.pem"))
}

/// Returns the path of the chain of the key called `id`.
pub(crate) fn chain_path(directory: &Path, id: &KeyId) -> PathBuf {
    directory.join(format!("{id}-chain.pem"))
}

/// Reads one certificate from a file, PEM or DER, and returns its DER.
///
/// # Errors
///
/// When the file cannot be read, or holds no certificate or several in PEM.
pub(crate) fn read_certificate(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut certificates = read_certificates(path)?;
    match (certificates.len(), certificates.pop()) {
        (1, Some(der)) => Ok(der),
        (count, _) => Err(Failure::new(format!(
            "read one certificate from {}: it holds {count}",
            path.display()
        ))
        .next("leave the one that is meant in a file of its own: openssl x509 -in FILE -out ONE")),
    }
}

/// Reads certificates from a file, PEM in its order or one in DER; at least one.
///
/// # Errors
///
/// When the file cannot be read, or holds no certificate in PEM.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let tried = || format!("read the certificate {}", path.display());
    let octets = fs::read(path).trying(tried)?;
    if pki::pem::is_pem(&octets) {
        pki::pem::read_certificates(&octets).trying(tried)
    } else {
        Ok(vec![octets])
    }
}

/// Writes a certificate, and the chain that begins with it, beside its key.
///
/// # Errors
///
/// When the chain is none, or a file cannot be written.
pub(crate) fn write_chain(
    directory: &Path,
    id: &KeyId,
    chain_pem: &str,
) -> Result<Written, Failure> {
    make_directory(directory)?;
    // The chain comes from our own CA, in canonical PEM.
    let end = "-----END CERTIFICATE-----\n";
    let leaf = chain_pem
        .find(end)
        .map(|at| &chain_pem[..at + end.len()])
        .ok_or_else(|| Failure::new("find a certificate in the CA's answer"))?;
    let written = Written {
        certificate: directory.join(format!("{id}-cert.pem")),
        chain: chain_path(directory, id),
    };
    write(&written.certificate, leaf)?;
    write(&written.chain, chain_pem)?;
    Ok(written)
}

/// Writes a public file in one step: a reader sees the old text or the new.
///
/// # Errors
///
/// When it cannot be written or put in its place.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    write_through(&partial, path, text).map_err(|error| {
        // What is left of it is of no use; that it is gone already is fine.
        let _ = fs::remove_file(&partial);
        Failure::because(format!("write {}", path.display()), error)
    })
}

/// Writes, syncs and renames.
fn write_through(partial: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(partial, path)?;
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

/// Makes a directory that only its owner enters, unless it is there.
fn make_directory(directory: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .trying(|| format!("make the directory {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_written_whole_and_its_leaf_alone() {
        let directory = tempfile::tempdir().unwrap();
        let block = |text: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        };
        let chain = block("leaf") + &block("issuer");
        let id = KeyId::new("www").unwrap();
        let written = write_chain(directory.path(), &id, &chain).unwrap();
        assert_eq!(
            fs::read_to_string(written.certificate).unwrap(),
            block("leaf")
        );
        assert_eq!(fs::read_to_string(written.chain).unwrap(), chain);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_answer_without_a_certificate_writes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let id = KeyId::new("www").unwrap();
        assert!(write_chain(directory.path(), &id, "no").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
