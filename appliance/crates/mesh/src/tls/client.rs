//! How our clients connect: their identity, whom they trust and whom they expect.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
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
use crate::stapling::staple::{Standing, Subject};

/// What a client needs for TLS.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// The CA certificates it trusts, DER.
    pub anchors: Vec<CertificateDer<'static>>,
    /// Who it is; none connects without a certificate.
    pub identity: Option<Arc<TlsIdentity>>,
    /// Which service it expects behind the host name; none takes any.
    pub expected: Option<ExpectedServer>,
    /// What is demanded of the OCSP response that the server staples.
    pub staple: StaplePolicy,
}

/// What a client demands of a server's stapled OCSP response.
///
/// One that is there must be good: RFC 6066, 8 has the handshake aborted else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StaplePolicy {
    /// A server without one is taken: it may be starting, or its CA be away.
    #[default]
    IfPresent,
    /// A server without one is refused.
    Required,
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
            anchors: self.anchors.clone(),
            staple: self.staple,
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

/// Verifies chain and host name by rustls-webpki, then the expected role and the
/// staple.
#[derive(Debug)]
struct ServerVerifier {
    /// Verifies chain and host name.
    chain: Arc<WebPkiServerVerifier>,
    /// The role that must be there besides.
    expected: Option<ExpectedServer>,
    /// Where the issuer of a leaf may be found, if not in its chain.
    anchors: Vec<CertificateDer<'static>>,
    /// What is demanded of the staple.
    staple: StaplePolicy,
}

impl ServerVerifier {
    /// Judges the stapled OCSP response of a leaf whose chain was verified.
    fn judge_staple(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        if ocsp_response.is_empty() {
            return match self.staple {
                StaplePolicy::IfPresent => Ok(()),
                StaplePolicy::Required => Err(CertificateError::UnknownRevocationStatus),
            };
        }
        let now = i64::try_from(now.as_secs())
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or(CertificateError::UnknownRevocationStatus)?;
        let others = intermediates.iter().chain(&self.anchors);
        let staple = Subject::find(Some(end_entity), others)
            .map_err(|_| CertificateError::UnknownIssuer)?
            .read(ocsp_response, now, MAX_SKEW);
        match staple.map(|staple| staple.standing) {
            Ok(Standing::Good) => Ok(()),
            Ok(Standing::Revoked { .. }) => Err(CertificateError::Revoked),
            // RFC 6066, 8: bad_certificate_status_response.
            Err(_) => Err(CertificateError::InvalidOcspResponse),
        }
    }
}

/// How far a server's clock may be ahead of ours.
const MAX_SKEW: Duration = Duration::from_secs(300);

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
        self.judge_staple(end_entity, intermediates, ocsp_response, now)
            .map_err(TlsError::InvalidCertificate)?;
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
