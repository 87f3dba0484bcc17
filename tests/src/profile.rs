//! What certificates are issued by, and the files by which peers show who they are.

use std::path::PathBuf;

/// The profiles that are there without configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// `tls-server`.
    TlsServer,
    /// `tls-client`.
    TlsClient,
    /// `service`.
    Service,
    /// `code-signing`.
    CodeSigning,
    /// `ocsp-responder`.
    OcspResponder,
    /// `time-stamping`.
    TimeStamping,
    /// `sub-ca`.
    SubCa,
}

impl Profile {
    /// The profiles of end entities that a plain request can be issued by.
    pub const LEAVES: [Self; 5] = [
        Self::TlsServer,
        Self::TlsClient,
        Self::CodeSigning,
        Self::OcspResponder,
        Self::TimeStamping,
    ];

    /// Returns the profile's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsServer => "tls-server",
            Self::TlsClient => "tls-client",
            Self::Service => "service",
            Self::CodeSigning => "code-signing",
            Self::OcspResponder => "ocsp-responder",
            Self::TimeStamping => "time-stamping",
            Self::SubCa => "sub-ca",
        }
    }

    /// Returns the purpose by which OpenSSL verifies its certificates, where it knows one.
    #[must_use]
    pub const fn purpose(self) -> Option<&'static str> {
        match self {
            Self::TlsServer => Some("sslserver"),
            Self::TlsClient => Some("sslclient"),
            Self::OcspResponder => Some("ocsphelper"),
            Self::TimeStamping => Some("timestampsign"),
            Self::Service | Self::CodeSigning | Self::SubCa => None,
        }
    }
}

/// Files by which a peer shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and its issuers, PEM.
    pub chain: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities that it trusts, PEM.
    pub trust: PathBuf,
}
