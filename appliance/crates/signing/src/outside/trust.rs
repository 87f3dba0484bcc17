//! By whom servers of others are trusted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pki::pem::{PemError, read_certificates};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// Why it cannot be told whom to trust.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file cannot be read.
    #[error("the CA file {} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What stopped it.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("the CA file {} holds no certificates in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it holds.
        source: PemError,
    },
    /// The system trusts nobody.
    #[error(
        "the system has no CA certificates: install them (`ca-certificates`), or name a `ca_file`"
    )]
    NoAnchors,
    /// A certificate that cannot be trusted, or a fault of ours.
    #[error("the CA certificates cannot be used")]
    Tls(#[from] rustls::Error),
}

/// Configures TLS towards servers that certificates of a file vouch for, or those of the
/// system.
///
/// # Errors
///
/// When they cannot be had or used.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for anchor in read_file(path)? {
                roots.add(anchor)?;
            }
        }
        None => {
            // One odd certificate of the system's must not keep the others out.
            let loaded = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(loaded.certs);
        }
    }
    if roots.is_empty() {
        return Err(TrustError::NoAnchors);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Reads certificates of a PEM file.
fn read_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let pem = std::fs::read(path).map_err(|source| TrustError::File {
        path: path.to_owned(),
        source,
    })?;
    let certificates = read_certificates(&pem).map_err(|source| TrustError::Pem {
        path: path.to_owned(),
        source,
    })?;
    Ok(certificates.into_iter().map(CertificateDer::from).collect())
}
