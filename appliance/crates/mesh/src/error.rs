//! What can go wrong with the mesh's own machinery.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::InvalidLimits;

/// Why TLS, a listener or an enrolment could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for {service}; is another process using the port?")]
    Bind {
        /// The service.
        service: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The server or its handshake threads could not be started.
    #[error("cannot start the server of {service}")]
    Start {
        /// The service.
        service: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The server ended by a fault.
    #[error("the server of {service} ended")]
    Serve {
        /// The service.
        service: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// Limits that nothing fits through.
    #[error("the limits of {service} cannot be worked with")]
    Limits {
        /// The service.
        service: &'static str,
        /// Which and why.
        source: InvalidLimits,
    },
    /// No trust anchors were given.
    #[error("no CA certificate to trust was given")]
    NoTrustAnchors,
    /// A certificate that cannot anchor trust.
    #[error("trust anchor {index} is no certificate that can be trusted")]
    TrustAnchor {
        /// Its place in what was given, from 0.
        index: usize,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The verifier could not be built.
    #[error("the verifier of peer certificates could not be built")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A chain without certificates.
    #[error("the certificate chain is empty")]
    EmptyChain,
    /// Key and certificate do not belong together.
    #[error("the private key is not the one in the certificate")]
    KeyMismatch,
    /// rustls refused the configuration.
    #[error("the TLS configuration was refused")]
    Tls(#[from] rustls::Error),
    /// A file cannot be read or written.
    #[error("cannot {act} {path:?}")]
    File {
        /// Read or write.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that does not hold the PEM it should.
    #[error("{path:?} holds no {wanted} in PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What the reader says.
        source: rustls::pki_types::pem::Error,
    },
    /// Text that should have been certificates in PEM.
    #[error("the chain is not certificates in PEM")]
    ChainPem(#[from] rustls::pki_types::pem::Error),
    /// The keystore did not do it.
    #[error("the keystore did not do it")]
    KeyStore(#[from] hsm_keystore::Error),
    /// A name that cannot stand in a certificate request.
    #[error("{given:?} cannot stand in a certificate request as {kind}")]
    Name {
        /// DNS name, IP address or URI.
        kind: &'static str,
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A certificate or request that cannot be encoded or decoded.
    #[error("the certificate or request cannot be encoded or read")]
    Der(#[from] der::Error),
    /// A certificate whose dates or serial number cannot be worked with.
    #[error("the certificate cannot be worked with")]
    Certificate(#[from] crate::peer::Unidentified),
    /// The CA did not issue.
    #[error("the CA did not issue the certificate")]
    Ca(#[from] crate::ca_client::CaClientError),
    /// A setting of the revocation check that cannot be worked with.
    #[error("the revocation check of {service} cannot be set up so")]
    RevocationConfig {
        /// The service.
        service: &'static str,
        /// Which setting, and why.
        source: crate::revocation::InvalidRevocationConfig,
    },
    /// No authority was given whose CRL could be followed.
    #[error("{service} was given no authority whose CRL tells which clients count")]
    NothingToFollow {
        /// The service.
        service: &'static str,
    },
    /// A certificate of an authority that cannot be worked with.
    #[error("the certificate of {issuer} cannot be worked with")]
    IssuerCertificate {
        /// The authority.
        issuer: model::IssuerId,
        /// What is wrong with it.
        source: pki::certificate::CertificateError,
    },
    /// The client's HTTP machinery could not be built.
    #[error("the HTTP client could not be built")]
    HttpClient(#[from] reqwest::Error),
    /// The CA's address is no `https` URL.
    #[error("{given:?} is not the address of a CA: https://HOST:PORT")]
    CaAddress {
        /// The text given.
        given: String,
    },
}

/// Writes an error and its causes in one line, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        chain = format!("{chain}: {cause}");
        next = cause.source();
    }
    chain
}
