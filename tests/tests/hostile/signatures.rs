//! Signatures, time-stamp requests and tokens that verify, to begin with.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use model::{NodePrefix, SerialNumber, Timestamp};
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm, digest_of};
use pki::certificate::Certificate;
use pki::cms::{self, CmsPlan, CmsSigner};
use pki::issuer::{IssuerFacts, IssuerUrls};
use pki::profile::{PlanRequest, Profile, ProfileKind};
use pki::public_key::PublicKey;
use pki::timestamp::{
    self, Accuracy, AuthoritySettings, FailureInfo, Precision, RequestPlan, TimeStampAuthority,
    TimeStampRequest, TimeStampToken,
};

/// How everything here is signed.
const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);

/// Seeds of every kind.
pub(crate) struct Signatures {
    /// Detached signatures.
    pub(crate) cms: Vec<Vec<u8>>,
    /// Time-stamp requests.
    pub(crate) requests: Vec<Vec<u8>>,
    /// Tokens, and responses with and without one.
    pub(crate) tokens: Vec<Vec<u8>>,
}

/// One key, which is the root's and everybody's.
struct Key {
    /// The key.
    pair: EcdsaKeyPair,
    /// Its public half.
    public: PublicKey,
    /// When everything happens.
    now: Timestamp,
}

impl Key {
    /// Makes a key.
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki = pair.public_key().as_der().unwrap();
        Self {
            public: PublicKey::from_spki_der(spki.as_ref()).unwrap(),
            pair,
            now: Timestamp::from_second(1_790_000_000).unwrap(),
        }
    }

    /// Signs.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), message).unwrap();
        signature.as_ref().to_vec()
    }

    /// Issues a certificate for itself by a profile.
    fn issue(&self, kind: ProfileKind, subject: &str, issuer: &IssuerFacts) -> Certificate {
        let profile = Profile::built_in(kind).unwrap();
        let subject = subject.parse().unwrap();
        let serial = SerialNumber::from_random(NodePrefix::default(), [7; 16]);
        let request = PlanRequest::new(&self.public, &subject, serial, self.now);
        let planned = profile.plan(&request, issuer).unwrap();
        let linted = pki::lint::lint(planned, &profile, issuer).unwrap();
        let signature = self.sign(linted.der());
        let issued = linted.assemble(&signature).unwrap();
        Certificate::from_der(issued.der()).unwrap()
    }

    /// Signs the digest of something.
    fn cms(&self, signer: &CmsSigner) -> Vec<u8> {
        let digest = digest_of(HashAlgorithm::Sha256, b"an artifact");
        let plan = CmsPlan {
            digest,
            signing_time: self.now,
        };
        let linted = cms::lint(plan.encode(signer), &digest, signer, self.now).unwrap();
        let signature = self.sign(linted.der());
        linted.assemble(&signature).unwrap()
    }

    /// Answers a request.
    fn stamp(&self, authority: &TimeStampAuthority, request_der: &[u8]) -> TimeStampToken {
        let request = TimeStampRequest::parse(request_der).unwrap();
        let serial = SerialNumber::from_random(NodePrefix::default(), [0xff; 16]);
        let planned = authority.plan(&request, &serial, self.now).unwrap();
        let linted = timestamp::lint(planned, &request, authority, self.now).unwrap();
        let signature = self.sign(linted.der());
        linted.assemble(&signature).unwrap()
    }
}

impl Signatures {
    /// Makes some of every kind.
    pub(crate) fn new() -> Self {
        let key = Key::new();
        let name = "CN=Root".parse().unwrap();
        let own = IssuerFacts::self_signed(&name, &key.public, ALGORITHM).unwrap();
        let root = key.issue(ProfileKind::RootCa, "CN=Root", &own);
        let urls = IssuerUrls::default();
        let issuer = IssuerFacts::from_certificate(&root, ALGORITHM, urls).unwrap();
        let leaf = key.issue(ProfileKind::CodeSigning, "CN=Signer", &issuer);
        let signer = CmsSigner::new(&[leaf.clone(), root], ALGORITHM).unwrap();
        let cms = key.cms(&signer);
        let settings = AuthoritySettings {
            policy: "1.3.6.1.4.1.99999.1".parse().unwrap(),
            accuracy: Some(Accuracy {
                seconds: 1,
                millis: 2,
                micros: 3,
            }),
            ordering: true,
            precision: Precision::Micros,
            named: true,
        };
        let certificate = key.issue(ProfileKind::TimeStamping, "CN=TSA", &issuer);
        let authority = TimeStampAuthority::new(&certificate, ALGORITHM, settings).unwrap();
        let signature = cms::SignedData::parse(&cms).unwrap().signature().to_vec();
        let full = RequestPlan {
            digest: digest_of(HashAlgorithm::Sha256, &signature),
            policy: Some(settings.policy),
            nonce: Some(&[0xff; 8]),
            certificate: true,
        };
        let bare = RequestPlan {
            digest: digest_of(HashAlgorithm::Sha512, &signature),
            policy: None,
            nonce: None,
            certificate: false,
        };
        let requests = vec![full.encode(), bare.encode()];
        let tokens: Vec<_> = requests
            .iter()
            .map(|request| key.stamp(&authority, request))
            .collect();
        let stamped = cms::add_time_stamp(&cms, tokens[0].der()).unwrap();
        let bare = tokens[1].to_response();
        Self {
            cms: vec![cms, stamped],
            requests,
            tokens: vec![
                tokens[0].der().to_vec(),
                tokens[0].to_response(),
                bare,
                timestamp::rejection(FailureInfo::SystemFailure, "why"),
            ],
        }
    }
}
