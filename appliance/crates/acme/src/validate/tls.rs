//! TLS towards targets, none of which can prove who they are: that is what
//! validation is for.

use std::net::SocketAddr;
use std::sync::Arc;

use mesh::Excerpt;
use mesh::dial::Host;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::RawPublicKeyEntity;

use super::failure::{Failure, TlsProblem};
use super::tls_alpn::{ACME_TLS_1, ProofCertificate};

/// The two ways in which TLS is talked to targets.
#[derive(Debug)]
pub(super) struct TlsClients {
    /// For redirects of http-01 to https.
    pub(super) https: Arc<ClientConfig>,
    /// For tls-alpn-01.
    pub(super) acme: Arc<ClientConfig>,
    /// What certificates may be signed with.
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl TlsClients {
    /// Configures rustls.
    ///
    /// # Errors
    ///
    /// When rustls does not take its provider's own settings.
    pub(super) fn new() -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        // RFC 8555, 8.3 knows no trust in certificates: a name without one is what
        // is being validated. The contents prove themselves.
        let https = Arc::new(DangerAnyCertificate {
            algorithms,
            bound: false,
        });
        let acme = Arc::new(DangerAnyCertificate {
            algorithms,
            bound: true,
        });
        Ok(Self {
            https: Arc::new(client(&provider, https, b"http/1.1")?),
            acme: Arc::new(client(&provider, acme, ACME_TLS_1)?),
            algorithms,
        })
    }
}

/// Configures one client, which never resumes a session.
fn client(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<DangerAnyCertificate>,
    protocol: &[u8],
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        // RFC 8737, 3: TLS 1.2 or higher.
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes any certificate.
#[derive(Debug)]
struct DangerAnyCertificate {
    /// What handshakes may be signed with.
    algorithms: WebPkiSupportedAlgorithms,
    /// Whether the server must hold the certificate's key.
    bound: bool,
}

impl DangerAnyCertificate {
    /// Verifies the handshake's signature by the certificate's key.
    ///
    /// rustls's own functions read the whole certificate and refuse the critical
    /// extension that RFC 8737 asks for, so only the key is taken from it.
    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        if !self.bound {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let refused = TlsError::InvalidCertificate;
        let unreadable = || refused(rustls::CertificateError::BadEncoding);
        let certificate = ProofCertificate::parse(certificate).map_err(|_| unreadable())?;
        let key =
            RawPublicKeyEntity::try_from(certificate.public_key_der()).map_err(|_| unreadable())?;
        let possible = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .map_or(&[][..], |(_, algorithms)| algorithms);
        if possible.iter().any(|algorithm| {
            key.verify_signature(*algorithm, message, signed.signature())
                .is_ok()
        }) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(refused(rustls::CertificateError::BadSignature))
    }
}

impl ServerCertVerifier for DangerAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verify(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Shakes hands.
///
/// # Errors
///
/// `Tls` with what went wrong.
pub(super) async fn handshake(
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: TcpStream,
    host: &Host,
    address: SocketAddr,
) -> Result<TlsStream<TcpStream>, Failure> {
    let connector = TlsConnector::from(Arc::clone(config));
    connector
        .connect(name, stream)
        .await
        .map_err(|error| Failure::Tls {
            host: host.to_string().into(),
            address,
            problem: problem(&error),
        })
}

/// Says what became of a handshake.
fn problem(error: &std::io::Error) -> TlsProblem {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<TlsError>());
    match cause {
        Some(TlsError::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
            TlsProblem::Protocol
        }
        Some(TlsError::NoApplicationProtocol) => TlsProblem::Protocol,
        Some(TlsError::AlertReceived(alert)) => TlsProblem::Alert {
            alert: alert.as_str().unwrap_or("of an unknown kind").into(),
        },
        Some(other) => TlsProblem::Failed {
            reason: Excerpt::of(other.to_string().as_bytes()),
        },
        None => TlsProblem::BrokeOff(error.kind()),
    }
}
