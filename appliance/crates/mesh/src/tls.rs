//! TLS as this installation speaks it: 1.2 and 1.3, one provider, certificates
//! that can be swapped while connections live, and no session resumption where
//! clients are known by their certificates.

mod client;
mod identity;
mod server;
mod verifier;
mod waiting;

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

pub use client::{ClientTls, ExpectedServer, StaplePolicy};
pub use identity::TlsIdentity;
pub use server::Security;
pub use verifier::{AdmitAll, AdmitPeer, PeerVerifier, Refusal};

pub(crate) use server::server_config;

use crate::error::Error;

/// The protocols offered, the better first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The versions spoken; everything older is refused.
const VERSIONS: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Returns the one cryptographic provider.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Lists [`ALPN`] as rustls wants it.
fn alpn() -> Vec<Vec<u8>> {
    ALPN.iter().map(|name| name.to_vec()).collect()
}

/// Collects trust anchors.
fn root_store(anchors: &[CertificateDer<'_>]) -> Result<RootCertStore, Error> {
    if anchors.is_empty() {
        return Err(Error::NoTrustAnchors);
    }
    let mut roots = RootCertStore::empty();
    for (index, anchor) in anchors.iter().enumerate() {
        roots
            .add(anchor.clone().into_owned())
            .map_err(|source| Error::TrustAnchor { index, source })?;
    }
    Ok(roots)
}

/// Reads the certificates of a PEM file, in its order.
///
/// # Errors
///
/// `File` when it cannot be read, `Pem` when it holds no certificate.
pub fn certificates_from_pem_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = std::fs::read(path).map_err(|source| Error::File {
        act: "read",
        path: path.to_owned(),
        source,
    })?;
    certificates_from_pem(&text).map_err(|source| Error::Pem {
        path: path.to_owned(),
        wanted: "certificate",
        source,
    })
}

/// Reads certificates in PEM, at least one.
pub(crate) fn certificates_from_pem(
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    let certificates = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err(rustls::pki_types::pem::Error::NoItemsFound);
    }
    Ok(certificates)
}
