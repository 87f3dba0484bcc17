//! A CA in memory that plans, lints and signs by our profiles, and remembers idempotency
//! keys as ours does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use mesh::wire::{
    CaStatus, CertificateFilter, CertificatePage, CertificateRecord, ImportOutcome, KeyRevocation,
    ProblemDocument, ProfileList, RevocationFilter, RevocationImport, RevocationPage,
    RevocationRecord, RevokeKeyRequest, RevokeRequest,
};
use mesh::{
    CaClient, CaClientError, CrlAnswer, CrlRequest, ProblemType, RevocationSource, SignRequest,
    SignedCertificate,
};
use model::{Clock, ManualClock, NodePrefix, SerialNumber, Timestamp, TrustDomain};
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
use pki::certificate::Certificate;
use pki::csr::{CheckedCsr, CsrLimits};
use pki::issuer::{IssuerFacts, IssuerUrls};
use pki::key_check::KeyPolicy;
use pki::lint::lint;
use pki::name::DistinguishedName;
use pki::names::UriName;
use pki::pem;
use pki::profile::{PlanRequest, Profile, ProfileKind};
use pki::public_key::PublicKey;

/// How it signs.
const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);

/// A CA in memory.
pub(super) struct TestCa {
    /// Its key.
    key: EcdsaKeyPair,
    /// Its certificate.
    pub(super) root: Certificate,
    /// What its certificates depend on.
    facts: IssuerFacts,
    /// The time.
    pub(super) clock: Arc<ManualClock>,
    /// What it signed, by idempotency key.
    signed: Mutex<HashMap<String, (SignRequest, SignedCertificate)>>,
    /// Whether it is away.
    pub(super) away: Mutex<bool>,
}

impl std::fmt::Debug for TestCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestCa")
    }
}

impl TestCa {
    /// Makes one, now.
    pub(super) fn new(clock: Arc<ManualClock>) -> Arc<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public_key = {
            use aws_lc_rs::encoding::AsDer;
            let der = key.public_key().as_der().unwrap();
            PublicKey::from_spki_der(der.as_ref()).unwrap()
        };
        let profile = Profile::built_in(ProfileKind::RootCa).unwrap();
        let subject: DistinguishedName = "CN=Test Root,O=Example".parse().unwrap();
        let facts = IssuerFacts::self_signed(&subject, &public_key, ALGORITHM).unwrap();
        let request = PlanRequest::new(&public_key, &subject, serial(), clock.now());
        let root = issue(&key, &profile, &request, &facts);
        let facts = IssuerFacts::from_certificate(&root, ALGORITHM, IssuerUrls::default()).unwrap();
        Arc::new(Self {
            key,
            root,
            facts,
            clock,
            signed: Mutex::default(),
            away: Mutex::new(false),
        })
    }

    /// Returns what it was asked to sign, and signed.
    pub(super) fn signed(&self) -> Vec<SignRequest> {
        let signed = self.signed.lock().unwrap();
        signed
            .values()
            .map(|(request, _)| request.clone())
            .collect()
    }
}

/// Draws a serial number.
fn serial() -> SerialNumber {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).unwrap();
    SerialNumber::from_random(NodePrefix::default(), octets)
}

/// Plans, lints, signs, assembles.
fn issue(
    key: &EcdsaKeyPair,
    profile: &Profile,
    request: &PlanRequest<'_>,
    facts: &IssuerFacts,
) -> Certificate {
    let planned = profile.plan(request, facts).unwrap();
    let linted = lint(planned, profile, facts).unwrap();
    let signature = key.sign(&SystemRandom::new(), linted.der()).unwrap();
    let issued = linted.assemble(signature.as_ref()).unwrap();
    Certificate::from_der(issued.der()).unwrap()
}

/// Tells a problem.
fn refused(kind: ProblemType) -> CaClientError {
    CaClientError::Refused {
        problem: Box::new(document(kind)),
    }
}

/// Writes a problem.
fn document(kind: ProblemType) -> ProblemDocument {
    ProblemDocument {
        kind: kind.uri(),
        title: kind.title().to_owned(),
        status: kind.status().as_u16(),
        detail: "as a test has it".to_owned(),
        request_id: None,
        members: serde_json::Map::new(),
    }
}

#[async_trait]
impl CaClient for TestCa {
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError> {
        if *self.away.lock().unwrap() {
            return Err(CaClientError::Unavailable {
                problem: Box::new(document(ProblemType::TokenUnavailable)),
                retry_after: None,
            });
        }
        let mut signed = self.signed.lock().unwrap();
        if let Some((before, certificate)) = signed.get(request.idempotency.as_str()) {
            return if before.csr_der == request.csr_der && before.forge == request.forge {
                Ok(certificate.clone())
            } else {
                Err(refused(ProblemType::IdempotencyConflict))
            };
        }
        let kind: ProfileKind = request.profile.as_ref().unwrap().as_str().parse().unwrap();
        let profile = Profile::built_in(kind).unwrap();
        let csr = CheckedCsr::parse(
            &request.csr_der,
            &CsrLimits::default(),
            &KeyPolicy::default(),
        )
        .unwrap();
        let domain = TrustDomain::new("chancery.internal").unwrap();
        let identity = request
            .identity
            .as_ref()
            .map(|identity| UriName::new(&identity.to_uri(&domain)).unwrap());
        let serial = serial();
        let plan = PlanRequest {
            identity,
            forge: request.forge.as_ref(),
            ..PlanRequest::from_csr(&csr, serial.clone(), self.clock.now())
        };
        if profile.plan(&plan, &self.facts).is_err() {
            return Err(refused(ProblemType::KeyForbidden));
        }
        let leaf = issue(&self.key, &profile, &plan, &self.facts);
        let certificate = SignedCertificate {
            serial,
            chain_pem: pem::write_chain([leaf.der()]),
        };
        let key = request.idempotency.as_str().to_owned();
        signed.insert(key, (request, certificate.clone()));
        Ok(certificate)
    }

    async fn certificate(&self, _: &SerialNumber) -> Result<CertificateRecord, CaClientError> {
        Err(refused(ProblemType::SerialUnknown))
    }

    async fn certificates(&self, _: &CertificateFilter) -> Result<CertificatePage, CaClientError> {
        Err(refused(ProblemType::RoleForbidden))
    }

    async fn profiles(&self) -> Result<ProfileList, CaClientError> {
        Err(refused(ProblemType::RoleForbidden))
    }

    async fn status(&self) -> Result<CaStatus, CaClientError> {
        Err(refused(ProblemType::RoleForbidden))
    }

    async fn revoke(&self, _: &RevokeRequest) -> Result<RevocationRecord, CaClientError> {
        Err(refused(ProblemType::RoleForbidden))
    }

    async fn revoke_key(&self, _: &RevokeKeyRequest) -> Result<KeyRevocation, CaClientError> {
        Err(refused(ProblemType::RoleForbidden))
    }

    async fn revocations(&self, _: &RevocationFilter) -> Result<RevocationPage, CaClientError> {
        Err(refused(ProblemType::RoleForbidden))
    }

    async fn import_revocations(
        &self,
        _: &RevocationImport,
    ) -> Result<ImportOutcome, CaClientError> {
        Err(refused(ProblemType::RoleForbidden))
    }
}

#[async_trait]
impl RevocationSource for TestCa {
    async fn crl(&self, _: CrlRequest) -> Result<CrlAnswer, CaClientError> {
        Err(refused(ProblemType::CrlUnknown))
    }

    async fn ocsp(&self, _: Vec<u8>) -> Result<Vec<u8>, CaClientError> {
        Err(refused(ProblemType::NotFound))
    }
}

/// Returns the time of this run, in whole seconds.
pub(super) fn run_time() -> Timestamp {
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap();
    Timestamp::from_second(now.as_second()).unwrap()
}
