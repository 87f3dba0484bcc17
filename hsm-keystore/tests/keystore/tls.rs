//! Keys of a store in TLS handshakes.

use std::sync::Arc;

use hsm_keystore::{Error, KeyAlgorithm, KeyId, KeyStore, tls};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use crate::{backend, openssl};

/// Carries bytes between the two until both are done.
fn shake_hands(client: &mut ClientConnection, server: &mut ServerConnection) {
    while client.is_handshaking() || server.is_handshaking() {
        let mut octets = Vec::new();
        client.write_tls(&mut octets).unwrap();
        server.read_tls(&mut octets.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut octets = Vec::new();
        server.write_tls(&mut octets).unwrap();
        client.read_tls(&mut octets.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
}

/// Shakes hands by both versions of TLS with a key of each algorithm.
fn serves(store: &dyn KeyStore) {
    for (algorithm, options) in [
        (
            KeyAlgorithm::EcP256,
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        ),
        (
            KeyAlgorithm::EcP384,
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        ),
        (
            KeyAlgorithm::Rsa2048,
            "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        ),
        (KeyAlgorithm::Ed25519, "-algorithm ED25519"),
    ] {
        let pkcs8_der = openssl::key(options);
        let certificate = CertificateDer::from(openssl::certificate(&pkcs8_der, "host.example"));
        let id = KeyId::new(&format!("tls-{algorithm}")).unwrap();
        let key = store.import_private_key(&id, pkcs8_der).unwrap();
        let certified = tls::certified_key(key, vec![certificate.clone()]).unwrap();
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        for version in [&TLS12, &TLS13] {
            let provider = Arc::new(aws_lc_rs::default_provider());
            let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(resolver.clone());
            let client = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Pinned::new(certificate.clone()))
                .with_no_client_auth();
            let name = ServerName::try_from("host.example").unwrap();
            shake_hands(
                &mut ClientConnection::new(Arc::new(client), name).unwrap(),
                &mut ServerConnection::new(Arc::new(server)).unwrap(),
            );
        }
    }
}

/// Takes one certificate, and checks the handshake's signature as ever.
#[derive(Debug)]
struct Pinned {
    /// The certificate.
    certificate: CertificateDer<'static>,
    /// Checks signatures.
    provider: rustls::crypto::CryptoProvider,
}

impl Pinned {
    /// Pins a certificate.
    fn new(certificate: CertificateDer<'static>) -> Arc<Self> {
        Arc::new(Self {
            certificate,
            provider: aws_lc_rs::default_provider(),
        })
    }
}

impl rustls::client::danger::ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        assert_eq!(*end_entity, self.certificate);
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[test]
fn a_key_on_a_token_serves_tls_12_and_13() {
    serves(&*backend::softhsm().store);
}

#[test]
fn a_key_in_a_file_serves_tls_12_and_13() {
    serves(&*backend::file().store);
}

#[test]
fn another_keys_certificate_is_refused_before_any_handshake() {
    let backend = backend::file();
    let id = KeyId::new("tls").unwrap();
    let key = backend
        .store
        .generate_private_key(&id, KeyAlgorithm::EcP256)
        .unwrap();
    let other = openssl::key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let certificate = CertificateDer::from(openssl::certificate(&other, "host.example"));
    assert!(matches!(
        tls::certified_key(key, vec![certificate]),
        Err(Error::KeyMismatch { .. })
    ));
}
