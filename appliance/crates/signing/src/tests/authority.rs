//! A CA that certifies in memory: a root, an issuing authority, and what they sign.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mesh::wire::{
    CaStatus, CertificateFilter, CertificatePage, CertificateRecord, ImportOutcome, KeyRevocation,
    ProblemDocument, ProfileList, RevocationFilter, RevocationImport, RevocationPage,
    RevocationRecord, RevokeKeyRequest, RevokeRequest,
};
use mesh::{
    CaClient, CaClientError, CrlAnswer, CrlRequest, ProblemType, RevocationSource, SignRequest,
    SignedCertificate, TlsIdentity,
};
use model::{NodePrefix, SerialNumber};
use pki::csr::{CheckedCsr, CsrLimits};
use pki::key_check::KeyPolicy;
use pki::names::AlternativeName;
use pki::public_key::{KeyType, PublicKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A CA in memory.
pub(super) struct TestAuthority {
    /// The root.
    pub(super) root: CertifiedIssuer<'static, KeyPair>,
    /// What certifies.
    pub(super) issuing: CertifiedIssuer<'static, KeyPair>,
    /// Whether it is away.
    away: AtomicBool,
    /// How long certificates live, in seconds.
    life_s: AtomicI64,
    /// How many certificates it signed.
    signed: AtomicUsize,
    /// What was asked, in order.
    asked: Mutex<Vec<SignRequest>>,
}

impl std::fmt::Debug for TestAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestAuthority")
    }
}

/// The key of a request, as rcgen certifies one.
struct RequestKey<'a>(&'a PublicKey);

impl PublicKeyData for RequestKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.key_octets()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.0.key_type() {
            KeyType::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyType::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyType::P521 => &rcgen::PKCS_ECDSA_P521_SHA512,
            KeyType::Ed25519 => &rcgen::PKCS_ED25519,
            KeyType::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// Returns what is certified of an authority.
fn authority(name: &str, constraint: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(constraint);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    let (name_type, name) = (DnType::CommonName, name.to_owned());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(name_type, name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Test");
    params
}

impl TestAuthority {
    /// Makes a CA.
    pub(super) fn new() -> Self {
        let root_params = authority("Test Root", BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root_params, KeyPair::generate().unwrap()).unwrap();
        let issuing_params = authority("Test Issuing", BasicConstraints::Constrained(0));
        let issuing =
            CertifiedIssuer::signed_by(issuing_params, KeyPair::generate().unwrap(), &root)
                .unwrap();
        Self {
            root,
            issuing,
            away: AtomicBool::new(false),
            life_s: AtomicI64::new(90 * 86_400),
            signed: AtomicUsize::new(0),
            asked: Mutex::default(),
        }
    }

    /// Says whether it is away from now on.
    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Says how long certificates live from now on.
    pub(super) fn set_life(&self, seconds: i64) {
        self.life_s.store(seconds, Ordering::SeqCst);
    }

    /// Counts the certificates it signed for keys.
    pub(super) fn signed(&self) -> usize {
        self.signed.load(Ordering::SeqCst)
    }

    /// Returns what it was asked to sign.
    pub(super) fn asked(&self) -> Vec<SignRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns root and issuing authority, PEM.
    pub(super) fn authorities_pem(&self) -> (String, String) {
        (self.root.pem(), self.issuing.pem())
    }

    /// Signs a certificate for a request.
    fn issue(&self, csr_der: &[u8], profile: &str) -> SignedCertificate {
        let csr = CheckedCsr::parse(csr_der, &CsrLimits::default(), &KeyPolicy::default()).unwrap();
        let mut random = [0; SerialNumber::RANDOM_LEN];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        let serial = SerialNumber::from_random(NodePrefix::default(), random);
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = csr.subject().attributes()[0].value().to_owned();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = csr
            .names()
            .iter()
            .map(|name| match name {
                AlternativeName::Uri(uri) => SanType::URI(uri.as_str().try_into().unwrap()),
                other => panic!("{other}"),
            })
            .collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        match profile {
            "code-signing" => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
            }
            "time-stamping" => {
                // RFC 3161, 2.3: critical, id-kp-timeStamping alone.
                let usage = vec![0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 8];
                let mut usage = CustomExtension::from_oid_content(&[2, 5, 29, 37], usage);
                usage.set_criticality(true);
                params.custom_extensions = vec![usage];
            }
            other => panic!("{other}"),
        }
        params.serial_number = Some(serial.as_der_content().to_vec().into());
        params.use_authority_key_identifier_extension = true;
        let now = SystemTime::now() - Duration::from_secs(60);
        let life = Duration::from_secs(self.life_s.load(Ordering::SeqCst).unsigned_abs());
        params.not_before = now.into();
        params.not_after = (now + life).into();
        let certificate = params
            .signed_by(&RequestKey(csr.public_key()), &self.issuing)
            .unwrap();
        SignedCertificate {
            serial,
            chain_pem: format!(
                "{}{}{}",
                certificate.pem(),
                self.issuing.pem(),
                self.root.pem()
            ),
        }
    }

    /// Certifies an identity for TLS.
    pub(super) fn identity(&self, peer: &str) -> Arc<TlsIdentity> {
        let uri = format!("spiffe://test.internal/{peer}");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into().unwrap()),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::URI(uri.as_str().try_into().unwrap()),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuing).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        TlsIdentity::from_signing_key(
            vec![
                certificate.der().clone(),
                CertificateDer::from(self.issuing.der().to_vec()),
            ],
            rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap(),
        )
        .unwrap()
    }
}

/// States that the CA is away.
fn away() -> CaClientError {
    let kind = ProblemType::TokenUnavailable;
    CaClientError::Unavailable {
        problem: Box::new(ProblemDocument {
            kind: kind.uri(),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail: kind.meaning().to_owned(),
            request_id: None,
            members: serde_json::Map::new(),
        }),
        retry_after: None,
    }
}

#[async_trait]
impl CaClient for TestAuthority {
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError> {
        self.asked.lock().unwrap().push(request.clone());
        if self.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        self.signed.fetch_add(1, Ordering::SeqCst);
        let profile = request.profile.as_ref().unwrap();
        Ok(self.issue(&request.csr_der, profile.as_str()))
    }

    async fn certificate(&self, _: &SerialNumber) -> Result<CertificateRecord, CaClientError> {
        Err(away())
    }

    async fn certificates(&self, _: &CertificateFilter) -> Result<CertificatePage, CaClientError> {
        Err(away())
    }

    async fn profiles(&self) -> Result<ProfileList, CaClientError> {
        Err(away())
    }

    async fn status(&self) -> Result<CaStatus, CaClientError> {
        Err(away())
    }

    async fn revoke(&self, _: &RevokeRequest) -> Result<RevocationRecord, CaClientError> {
        Err(away())
    }

    async fn revoke_key(&self, _: &RevokeKeyRequest) -> Result<KeyRevocation, CaClientError> {
        Err(away())
    }

    async fn revocations(&self, _: &RevocationFilter) -> Result<RevocationPage, CaClientError> {
        Err(away())
    }

    async fn import_revocations(
        &self,
        _: &RevocationImport,
    ) -> Result<ImportOutcome, CaClientError> {
        Err(away())
    }
}

#[async_trait]
impl RevocationSource for TestAuthority {
    async fn crl(&self, _: CrlRequest) -> Result<CrlAnswer, CaClientError> {
        Err(away())
    }

    async fn ocsp(&self, _: Vec<u8>) -> Result<Vec<u8>, CaClientError> {
        Err(away())
    }
}
