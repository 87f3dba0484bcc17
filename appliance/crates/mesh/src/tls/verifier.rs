//! Which client certificates are let in, in the handshake and on every request.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme,
};

use crate::error::Error;
use crate::peer::PeerCertificate;

/// Decides whether a verified certificate still counts.
///
/// Asked in the handshake and again on every request, because open connections
/// outlive a revocation. Called on request workers: answers from memory.
pub trait AdmitPeer: Send + Sync + fmt::Debug {
    /// Lets the peer in or says why not.
    ///
    /// # Errors
    ///
    /// `Revoked` when the certificate was revoked, `Unknown` when that cannot
    /// be told and the configuration refuses then.
    fn admit(&self, peer: &PeerCertificate) -> Result<(), Refusal>;
}

/// Why a verified certificate does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It was revoked.
    #[error("the client certificate was revoked")]
    Revoked,
    /// Its revocation status cannot be told.
    #[error("whether the client certificate was revoked cannot be told")]
    Unknown,
    /// Its validity ended while the connection was open.
    #[error("the client certificate has expired")]
    Expired,
}

/// Admits every certificate that verifies.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAll;

impl AdmitPeer for AdmitAll {
    fn admit(&self, _: &PeerCertificate) -> Result<(), Refusal> {
        Ok(())
    }
}

impl<T: AdmitPeer + ?Sized> AdmitPeer for Arc<T> {
    fn admit(&self, peer: &PeerCertificate) -> Result<(), Refusal> {
        T::admit(self, peer)
    }
}

/// The verifier of one or more listeners: chain by rustls-webpki, then admission.
///
/// Both parts can be replaced while connections live. A client that sends no
/// certificate passes the handshake and is refused at its first request, so that
/// it can be told why; a certificate that does not verify fails the handshake.
#[derive(Debug)]
pub struct PeerVerifier {
    /// Verifies the chain.
    chain: ArcSwap<ChainVerifier>,
    /// Decides about verified certificates.
    admission: ArcSwap<Box<dyn AdmitPeer>>,
    /// Names of the trust anchors at the start, told to clients as a hint.
    hints: Vec<DistinguishedName>,
}

/// A sized home for the verifier that rustls makes.
#[derive(Debug)]
struct ChainVerifier(Arc<dyn ClientCertVerifier>);

impl PeerVerifier {
    /// Trusts what chains to `anchors` and `admission` lets in.
    ///
    /// # Errors
    ///
    /// `NoTrustAnchors` or `TrustAnchor` when the anchors cannot be used.
    pub fn new(
        anchors: &[CertificateDer<'_>],
        admission: Box<dyn AdmitPeer>,
    ) -> Result<Arc<Self>, Error> {
        let chain = chain_verifier(anchors)?;
        Ok(Arc::new(Self {
            hints: chain.0.root_hint_subjects().to_vec(),
            chain: ArcSwap::from_pointee(chain),
            admission: ArcSwap::from_pointee(admission),
        }))
    }

    /// Trusts other anchors from the next handshake on; hints stay.
    ///
    /// # Errors
    ///
    /// `NoTrustAnchors` or `TrustAnchor`; the ones before stay.
    pub fn replace_anchors(&self, anchors: &[CertificateDer<'_>]) -> Result<(), Error> {
        self.chain.store(Arc::new(chain_verifier(anchors)?));
        Ok(())
    }

    /// Decides differently from the next handshake and request on.
    pub fn replace_admission(&self, admission: Box<dyn AdmitPeer>) {
        self.admission.store(Arc::new(admission));
    }

    /// Asks again whether a peer counts, for every request.
    pub(crate) fn admit(&self, peer: &PeerCertificate) -> Result<(), Refusal> {
        self.admission.load().admit(peer)
    }
}

/// Builds the chain verifier: clientAuth purpose, validity, path, signatures.
fn chain_verifier(anchors: &[CertificateDer<'_>]) -> Result<ChainVerifier, Error> {
    let roots = Arc::new(super::root_store(anchors)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, super::provider())
        .allow_unauthenticated()
        .build()?;
    Ok(ChainVerifier(verifier))
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let chain = self.chain.load_full();
        let verified = chain.0.verify_client_cert(end_entity, intermediates, now)?;
        let peer = PeerCertificate::parse(end_entity)
            .map_err(|_| TlsError::InvalidCertificate(CertificateError::BadEncoding))?;
        self.admit(&peer).map_err(|refusal| {
            TlsError::InvalidCertificate(match refusal {
                Refusal::Revoked => CertificateError::Revoked,
                Refusal::Unknown => CertificateError::UnknownRevocationStatus,
                Refusal::Expired => CertificateError::Expired,
            })
        })?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain
            .load()
            .0
            .verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain
            .load()
            .0
            .verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.load().0.supported_verify_schemes()
    }
}
