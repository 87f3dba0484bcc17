//! Alternate chains (RFC 8555, 7.4.2): other paths from the same issuing
//! authority, as the configuration has them.

use std::path::Path;
use std::sync::Arc;

use pki::certificate::{Certificate, CertificateError};
use pki::pem::{self, PemError};
use store::acme::Order;

/// Why a file is no alternate chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It cannot be read.
    #[error("it cannot be read")]
    File(#[from] std::io::Error),
    /// It holds no certificates in PEM.
    #[error("it holds no certificates in PEM")]
    Pem(#[from] PemError),
    /// A certificate in it cannot be read.
    #[error("a certificate in it cannot be read")]
    Certificate(#[from] CertificateError),
}

/// A path above the issuing authority, its certificate for that authority first.
#[derive(Debug, Clone)]
pub(crate) struct AlternateChain {
    /// The first certificate.
    issuer: Certificate,
    /// All of them, in PEM.
    chain_pem: Box<str>,
}

impl AlternateChain {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// `File`, `Pem` or `Certificate`.
    pub(crate) fn read(path: &Path) -> Result<Self, ChainError> {
        let chain = pem::read_certificates(&std::fs::read(path)?)?;
        for certificate in &chain {
            Certificate::from_der(certificate)?;
        }
        let issuer = Certificate::from_der(chain.first().map_or(&[][..], Vec::as_slice))?;
        let chain_pem = pem::write_chain(chain.iter().map(Vec::as_slice)).into();
        Ok(Self { issuer, chain_pem })
    }

    /// Tells whether a certificate can be under it.
    fn certifies(&self, leaf: &Certificate) -> bool {
        let (above, below) = (self.issuer.extensions(), leaf.extensions());
        leaf.issuer_der() == self.issuer.subject_der()
            && above.subject_key_identifier == below.authority_key_identifier
    }
}

/// Returns an order's chains: those it was issued with, then those that the
/// configuration has besides, in its order.
pub(crate) fn chains_of(order: &Order, alternates: &[Arc<AlternateChain>]) -> Vec<Box<str>> {
    let Some(certificate) = order.state.certificate() else {
        return Vec::new();
    };
    let mut chains = certificate.chains_pem.clone();
    if alternates.is_empty() {
        return chains;
    }
    let leaf_der = chains
        .first()
        .and_then(|chain| pem::read_certificates(chain.as_bytes()).ok())
        .and_then(|chain| chain.into_iter().next());
    let Some((leaf_der, leaf)) =
        leaf_der.and_then(|der| Certificate::from_der(&der).ok().map(|leaf| (der, leaf)))
    else {
        return chains;
    };
    for alternate in alternates {
        if alternate.certifies(&leaf) {
            let chain = pem::write_certificate(&leaf_der) + &alternate.chain_pem;
            chains.push(chain.into());
        }
    }
    chains
}
