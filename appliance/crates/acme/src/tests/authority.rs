//! A CA that signs in memory, and can be away or refuse.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use crate::validate::attest_testing::device_names;
use async_trait::async_trait;
use mesh::wire::{
    CaStatus, CertificateFilter, CertificatePage, CertificateRecord, CertificateStatus,
    ImportOutcome, KeyRevocation, ProblemDocument, ProfileList, RevocationFilter, RevocationImport,
    RevocationPage, RevocationRecord, RevokeKeyRequest, RevokeRequest, RevokeTarget,
};
use mesh::{
    CaClient, CaClientError, CrlAnswer, CrlRequest, ProblemType, RevocationSource, SignRequest,
    SignedCertificate,
};
use model::{NodePrefix, SerialNumber, Timestamp};
use pki::certificate::Certificate;
use pki::csr::{CheckedCsr, CsrLimits};
use pki::key_check::KeyPolicy;
use pki::names::AlternativeName;
use pki::public_key::{KeyType, PublicKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SignatureAlgorithm,
};

/// How the CA answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mood {
    /// It signs.
    Well,
    /// It is away.
    Away,
    /// It refuses for good.
    Refusing(ProblemType),
}

/// A CA in memory.
pub(super) struct TestAuthority {
    /// Its certificate and key.
    pub(super) issuer: CertifiedIssuer<'static, KeyPair>,
    /// What changes.
    state: Mutex<State>,
}

/// What changes.
struct State {
    /// How it answers.
    mood: Mood,
    /// What it signed, by idempotency key.
    signed: HashMap<String, SignedCertificate>,
    /// What was asked, in order.
    asked: Vec<SignRequest>,
    /// What is revoked.
    revoked: HashSet<SerialNumber>,
    /// Which keys are never certified again, by the SHA-256 of their SPKI.
    blocked: HashSet<[u8; 32]>,
    /// How long certificates live, in seconds.
    life_s: i64,
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

impl TestAuthority {
    /// Makes a CA.
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(issuer_params(), key).unwrap(),
            state: Mutex::new(State {
                mood: Mood::Well,
                signed: HashMap::new(),
                asked: Vec::new(),
                revoked: HashSet::new(),
                blocked: HashSet::new(),
                life_s: 90 * 86_400,
            }),
        }
    }

    /// Says how it answers from now on.
    pub(super) fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// Returns what it was asked to sign.
    pub(super) fn asked(&self) -> Vec<SignRequest> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Counts the certificates it signed.
    pub(super) fn signed(&self) -> usize {
        self.state.lock().unwrap().signed.len()
    }

    /// Tells whether a certificate is revoked.
    pub(super) fn is_revoked(&self, serial: &SerialNumber) -> bool {
        self.state.lock().unwrap().revoked.contains(serial)
    }

    /// Counts the keys that are never certified again.
    pub(super) fn blocked_keys(&self) -> usize {
        self.state.lock().unwrap().blocked.len()
    }

    /// Revokes a certificate without anyone asking.
    pub(super) fn revoke_silently(&self, serial: &SerialNumber) {
        self.state.lock().unwrap().revoked.insert(serial.clone());
    }

    /// Returns another root's certificate for its name and key, and that root.
    pub(super) fn cross_certified(&self) -> String {
        let other = Self::new();
        let mut params = issuer_params();
        params.use_authority_key_identifier_extension = true;
        let cross = params.signed_by(self.issuer.key(), &other.issuer).unwrap();
        format!("{}{}", cross.pem(), other.issuer.pem())
    }

    /// Signs a certificate.
    fn issue(&self, csr_der: &[u8], life_s: i64) -> SignedCertificate {
        let csr = CheckedCsr::parse(csr_der, &CsrLimits::default(), &KeyPolicy::default()).unwrap();
        let mut random = [0; SerialNumber::RANDOM_LEN];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        let serial = SerialNumber::from_random(NodePrefix::default(), random);
        let mut params = CertificateParams::default();
        let devices: Vec<String> = csr
            .names()
            .iter()
            .filter(|name| matches!(name, AlternativeName::Permanent(_)))
            .map(AlternativeName::value)
            .collect();
        params.subject_alt_names = csr
            .names()
            .iter()
            .filter(|_| devices.is_empty())
            .map(|name| match name {
                AlternativeName::Dns(name) => SanType::DnsName(name.as_str().try_into().unwrap()),
                AlternativeName::Ip(address) => SanType::IpAddress(*address),
                AlternativeName::Permanent(_)
                | AlternativeName::Email(_)
                | AlternativeName::Uri(_) => panic!("{name}"),
            })
            .collect();
        if !devices.is_empty() {
            let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
            params.custom_extensions = vec![device_names(&devices, &[])];
        } else if params.subject_alt_names.is_empty() {
            let name = csr.subject().attributes()[0].value();
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        }
        params.serial_number = Some(serial.as_der_content().to_vec().into());
        params.use_authority_key_identifier_extension = true;
        let now = std::time::SystemTime::now();
        params.not_before = now.into();
        params.not_after = (now + std::time::Duration::from_secs(life_s.unsigned_abs())).into();
        let certificate = params
            .signed_by(&RequestKey(csr.public_key()), &self.issuer)
            .unwrap();
        SignedCertificate {
            serial,
            chain_pem: format!("{}{}", certificate.pem(), self.issuer.pem()),
        }
    }
}

/// Returns what is certified of an authority.
fn issuer_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Test Root");
    params
}

/// States a problem as the CA tells it.
fn told(kind: ProblemType) -> Box<ProblemDocument> {
    Box::new(ProblemDocument {
        kind: kind.uri(),
        title: kind.title().to_owned(),
        status: kind.status().as_u16(),
        detail: kind.meaning().to_owned(),
        request_id: None,
        members: serde_json::Map::new(),
    })
}

/// States that the CA is away.
fn away() -> CaClientError {
    CaClientError::Unavailable {
        problem: told(ProblemType::TokenUnavailable),
        retry_after: None,
    }
}

#[async_trait]
impl CaClient for TestAuthority {
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(request.clone());
        match &state.mood {
            Mood::Well => {}
            Mood::Away => return Err(away()),
            Mood::Refusing(kind) => {
                return Err(CaClientError::Refused {
                    problem: told(*kind),
                });
            }
        }
        let key = request.idempotency.to_string();
        let life_s = state.life_s;
        Ok(state
            .signed
            .entry(key)
            .or_insert_with(|| self.issue(&request.csr_der, life_s))
            .clone())
    }

    async fn certificate(&self, serial: &SerialNumber) -> Result<CertificateRecord, CaClientError> {
        let state = self.state.lock().unwrap();
        if state.mood == Mood::Away {
            return Err(away());
        }
        let signed = state
            .signed
            .values()
            .find(|signed| signed.serial == *serial);
        let Some(signed) = signed else {
            return Err(CaClientError::Refused {
                problem: told(ProblemType::SerialUnknown),
            });
        };
        Ok(CertificateRecord {
            serial: serial.clone(),
            status: if state.revoked.contains(serial) {
                CertificateStatus::Revoked
            } else {
                CertificateStatus::Valid
            },
            issuer: "issuing".parse().unwrap(),
            profile: "tls-server".parse().unwrap(),
            subject: String::new(),
            names: Vec::new(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::UNIX_EPOCH,
            public_key_sha256: String::new(),
            requester: None,
            request_id: None,
            recorded_at: Timestamp::UNIX_EPOCH,
            issued_at: None,
            revocation: None,
            chain_pem: Some(signed.chain_pem.clone()),
        })
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

    async fn revoke(&self, request: &RevokeRequest) -> Result<RevocationRecord, CaClientError> {
        let RevokeTarget::Certificate(certificate_der) = &request.target else {
            panic!("the whole certificate is named: {request:?}");
        };
        let certificate = Certificate::from_der(certificate_der).unwrap();
        let mut state = self.state.lock().unwrap();
        if state.mood == Mood::Away {
            return Err(away());
        }
        let known = state.signed.values().any(|signed| {
            let chain = pki::pem::read_certificates(signed.chain_pem.as_bytes()).unwrap();
            chain[0] == *certificate_der
        });
        let refused = |kind| {
            let problem = told(kind);
            Err(CaClientError::Refused { problem })
        };
        if !known {
            return refused(ProblemType::SerialUnknown);
        }
        if !state.revoked.insert(certificate.serial().clone()) {
            return refused(ProblemType::AlreadyRevoked);
        }
        Ok(RevocationRecord {
            serial: certificate.serial().clone(),
            issuer: "issuing".parse().unwrap(),
            revoked_at: Timestamp::UNIX_EPOCH,
            reason: request.reason,
            invalidity_date: None,
            not_after: None,
            public_key_sha256: None,
            revoked_by: None,
        })
    }

    async fn revoke_key(&self, request: &RevokeKeyRequest) -> Result<KeyRevocation, CaClientError> {
        let mut state = self.state.lock().unwrap();
        if state.mood == Mood::Away {
            return Err(away());
        }
        let serials: Vec<SerialNumber> = state
            .signed
            .values()
            .filter_map(|signed| {
                let chain = pki::pem::read_certificates(signed.chain_pem.as_bytes()).unwrap();
                let certificate = Certificate::from_der(&chain[0]).unwrap();
                let spki = certificate.public_key().spki_der();
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki);
                (hash.as_ref() == request.public_key_sha256).then(|| certificate.serial().clone())
            })
            .collect();
        let (mut revoked, mut already_revoked) = (Vec::new(), Vec::new());
        for serial in serials {
            let record = RevocationRecord {
                serial: serial.clone(),
                issuer: "issuing".parse().unwrap(),
                revoked_at: Timestamp::UNIX_EPOCH,
                reason: request.reason,
                invalidity_date: None,
                not_after: None,
                public_key_sha256: None,
                revoked_by: None,
            };
            if state.revoked.insert(serial) {
                revoked.push(record);
            } else {
                already_revoked.push(record);
            }
        }
        state.blocked.insert(request.public_key_sha256);
        Ok(KeyRevocation {
            public_key_sha256: String::new(),
            blocked: true,
            revoked,
            already_revoked,
        })
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
