//! A CA that keeps its promise of idempotency, and stops where it is told to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use mesh::wire::{
    CaStatus, CertificateFilter, CertificatePage, CertificateRecord, ImportOutcome, KeyRevocation,
    ProblemDocument, ProfileList, RevocationFilter, RevocationImport, RevocationPage,
    RevocationRecord, RevokeKeyRequest, RevokeRequest,
};
use mesh::{
    CaClient, CaClientError, CrlAnswer, CrlRequest, ProblemType, RevocationSource, SignRequest,
    SignedCertificate,
};
use model::SerialNumber;
use model::acme::Identifier;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tokio::sync::Notify;

use super::at;

/// What the CA does with a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Answers that it cannot now.
    Unavailable,
    /// Is not there.
    Unreachable,
    /// Answers that the first request is still served.
    InProgress,
    /// Refuses.
    Refuse(ProblemType),
    /// Never answers, and signed nothing.
    Hang,
    /// Signs, and the answer is lost.
    SignAndLose,
    /// Signs, and never answers.
    SignAndHang,
}

/// The CA.
#[derive(Debug)]
pub(super) struct TestCa {
    /// Its key and certificate.
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// What it knows.
    state: Mutex<State>,
    /// Told when it hangs.
    hangs: Notify,
}

/// What it knows.
#[derive(Debug, Default)]
struct State {
    /// What to do with the next requests; sign the others.
    steps: VecDeque<Step>,
    /// Names and key of each request it may get.
    prepared: HashMap<Vec<u8>, (Vec<Identifier>, KeyPair)>,
    /// Requests to take for others.
    confused: HashMap<Vec<u8>, Vec<u8>>,
    /// What it signed, by idempotency key.
    signed: HashMap<String, SignedCertificate>,
    /// Every request.
    requests: Vec<SignRequest>,
}

impl TestCa {
    /// Makes a CA.
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            state: Mutex::default(),
            hangs: Notify::new(),
        }
    }

    /// Says what to do with the next requests.
    pub(super) fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.lock().steps.extend(steps);
    }

    /// Makes a request that the CA will know how to sign.
    pub(super) fn prepare(&self, names: &[Identifier], key: KeyPair) -> Vec<u8> {
        let request = CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        let csr_der = request.der().to_vec();
        let prepared = (names.to_vec(), key);
        self.lock().prepared.insert(csr_der.clone(), prepared);
        csr_der
    }

    /// Has one request taken for another.
    pub(super) fn confuse(&self, csr_der: Vec<u8>, other: Vec<u8>) {
        self.lock().confused.insert(csr_der, other);
    }

    /// Waits until a request hangs.
    pub(super) async fn hung(&self) {
        self.hangs.notified().await;
    }

    /// Returns every request so far.
    pub(super) fn requests(&self) -> Vec<SignRequest> {
        self.lock().requests.clone()
    }

    /// Returns how many certificates were signed.
    pub(super) fn signatures(&self) -> usize {
        self.lock().signed.len()
    }

    /// Locks what it knows.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs, or answers what it signed before.
    fn issue(&self, request: &SignRequest) -> SignedCertificate {
        let mut state = self.lock();
        let key = request.idempotency.as_str().to_owned();
        if let Some(signed) = state.signed.get(&key) {
            return signed.clone();
        }
        let number = state.signed.len() as u64 + 1;
        let csr = state
            .confused
            .get(&request.csr_der)
            .unwrap_or(&request.csr_der);
        let (names, leaf) = &state.prepared[csr];
        let mut params = CertificateParams::default();
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(number.into());
        params.not_after = rcgen::date_time_ymd(2026, 9, 22);
        let end = at(86_405);
        params.not_after += std::time::Duration::from_secs(
            u64::try_from(end.as_second() - params.not_after.unix_timestamp()).unwrap(),
        );
        params.subject_alt_names = names
            .iter()
            .map(|name| match name {
                Identifier::Dns(name) => SanType::DnsName(name.to_string().try_into().unwrap()),
                Identifier::Ip(address) => SanType::IpAddress(*address),
                Identifier::PermanentIdentifier(_) => panic!("{name} is a device"),
            })
            .collect();
        let certificate = params.signed_by(leaf, &self.issuer).unwrap();
        let signed = SignedCertificate {
            serial: SerialNumber::from_unsigned(&number.to_be_bytes()).unwrap(),
            chain_pem: format!("{}{}", certificate.pem(), self.issuer.pem()),
        };
        state.signed.insert(key, signed.clone());
        signed
    }
}

/// Makes a problem document.
pub(super) fn problem(kind: ProblemType) -> Box<ProblemDocument> {
    Box::new(ProblemDocument {
        kind: kind.uri(),
        title: kind.title().to_owned(),
        status: kind.status().as_u16(),
        detail: format!("no: {}", kind.slug()),
        request_id: None,
        members: serde_json::Map::new(),
    })
}

/// Makes an error of the transport.
pub(super) fn unreachable() -> CaClientError {
    CaClientError::Unreachable {
        address: "https://ca.example/".to_owned(),
        source: reqwest::Proxy::all("http://[").unwrap_err(),
    }
}

#[async_trait]
impl CaClient for TestCa {
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError> {
        let step = {
            let mut state = self.lock();
            state.requests.push(request.clone());
            state.steps.pop_front()
        };
        let unavailable = |kind| CaClientError::Unavailable {
            problem: problem(kind),
            retry_after: None,
        };
        match step {
            None => Ok(self.issue(&request)),
            Some(Step::Unavailable) => Err(unavailable(ProblemType::TokenUnavailable)),
            Some(Step::InProgress) => Err(unavailable(ProblemType::InProgress)),
            Some(Step::Unreachable) => Err(unreachable()),
            Some(Step::Refuse(kind)) => Err(CaClientError::Refused {
                problem: problem(kind),
            }),
            Some(Step::SignAndLose) => {
                self.issue(&request);
                Err(unreachable())
            }
            Some(step @ (Step::Hang | Step::SignAndHang)) => {
                if matches!(step, Step::SignAndHang) {
                    self.issue(&request);
                }
                self.hangs.notify_one();
                std::future::pending().await
            }
        }
    }

    async fn certificate(&self, _: &SerialNumber) -> Result<CertificateRecord, CaClientError> {
        Err(unreachable())
    }

    async fn certificates(&self, _: &CertificateFilter) -> Result<CertificatePage, CaClientError> {
        Err(unreachable())
    }

    async fn profiles(&self) -> Result<ProfileList, CaClientError> {
        Err(unreachable())
    }

    async fn status(&self) -> Result<CaStatus, CaClientError> {
        Err(unreachable())
    }

    async fn revoke(&self, _: &RevokeRequest) -> Result<RevocationRecord, CaClientError> {
        Err(unreachable())
    }

    async fn revoke_key(&self, _: &RevokeKeyRequest) -> Result<KeyRevocation, CaClientError> {
        Err(unreachable())
    }

    async fn revocations(&self, _: &RevocationFilter) -> Result<RevocationPage, CaClientError> {
        Err(unreachable())
    }

    async fn import_revocations(
        &self,
        _: &RevocationImport,
    ) -> Result<ImportOutcome, CaClientError> {
        Err(unreachable())
    }
}

#[async_trait]
impl RevocationSource for TestCa {
    async fn crl(&self, _: CrlRequest) -> Result<CrlAnswer, CaClientError> {
        Err(unreachable())
    }

    async fn ocsp(&self, _: Vec<u8>) -> Result<Vec<u8>, CaClientError> {
        Err(unreachable())
    }
}
