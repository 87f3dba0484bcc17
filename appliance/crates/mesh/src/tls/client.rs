//! How our clients connect: their identity, whom they trust and whom they expect.

use std::sync::Arc;

use model::{Role, TrustDomain};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
};

use super::{TlsIdentity, VERSIONS, alpn, provider, root_store};
use crate::error::Error;
use crate::peer::PeerCertificate;

/// What a client needs for TLS.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// The CA certificates it trusts, DER.
    pub anchors: Vec<CertificateDer<'static>>,
    /// Who it is; none connects without a certificate.
    pub identity: Option<Arc<TlsIdentity>>,
    /// Which service it expects behind the host name; none takes any.
    pub expected: Option<ExpectedServer>,
}

/// The role that a server must hold, besides the right host name.
///
/// Without it any service certificate for `localhost` could play the CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedServer {
    /// The trust domain.
    pub domain: TrustDomain,
    /// The role.
    pub role: Role,
}

impl ClientTls {
    /// Configures rustls.
    ///
    /// # Errors
    ///
    /// `NoTrustAnchors` or `TrustAnchor` when the anchors cannot be used.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let roots = Arc::new(root_store(&self.anchors)?);
        let chain = WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?;
        let verifier = Arc::new(ServerVerifier {
            chain,
            expected: self.expected.clone(),
        });
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)?
            // Stricter than the verifier it wraps, never laxer.
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::clone(identity) as _),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn();
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// Verifies chain and host name by rustls-webpki, then the expected role.
#[derive(Debug)]
struct ServerVerifier {
    /// Verifies chain, host name and staple.
    chain: Arc<WebPkiServerVerifier>,
    /// The role that must be there besides.
    expected: Option<ExpectedServer>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified = self.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        if let Some(expected) = &self.expected {
            let role = PeerCertificate::parse(end_entity)
                .and_then(|certificate| certificate.identity(&expected.domain))
                .map(|identity| identity.role);
            if role != Ok(expected.role) {
                return Err(TlsError::InvalidCertificate(
                    CertificateError::ApplicationVerificationFailure,
                ));
            }
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
