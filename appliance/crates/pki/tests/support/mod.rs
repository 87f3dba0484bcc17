//! Keys, requests and authorities for tests: real signatures, no files.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared by tests that each use a part; a test fails by panicking"
)]

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use model::{NodePrefix, ProfileName, SerialNumber, Timestamp};
use pki::algorithm::{HashAlgorithm, SignatureAlgorithm};
use pki::certificate::Certificate;
use pki::forge::{ForgeClaim, ForgeClaims};
use pki::issuer::{IssuerFacts, IssuerUrls};
use pki::lint::{LintedTbs, lint, lint_precertificate, lint_timestamped};
use pki::name::DistinguishedName;
use pki::profile::{PlanRequest, Profile, ProfileConfig, ProfileKind, Timestamps};
use pki::public_key::PublicKey;
use pki::sct::{self, Sct, SctList};

/// Returns the time of this run, in whole seconds, the same for all of it: tools
/// that cannot be told another time judge what is issued.
pub fn now() -> Timestamp {
    static NOW: OnceLock<Timestamp> = OnceLock::new();
    *NOW.get_or_init(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_second(since_epoch.as_secs() as i64).unwrap()
    })
}

/// Returns a serial number that differs by `number`.
pub fn serial(number: u8) -> SerialNumber {
    SerialNumber::from_random(NodePrefix::default(), [number; 16])
}

/// A private key in memory.
pub enum TestKey {
    /// ECDSA by a curve.
    Ecdsa(EcdsaKeyPair),
    /// RSA.
    Rsa(RsaKeyPair),
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
}

impl TestKey {
    /// Makes a P-256 key.
    pub fn p256() -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(&aws::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    /// Makes a P-384 key.
    pub fn p384() -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(&aws::ECDSA_P384_SHA384_ASN1_SIGNING).unwrap())
    }

    /// Makes a P-521 key.
    pub fn p521() -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(&aws::ECDSA_P521_SHA512_ASN1_SIGNING).unwrap())
    }

    /// Makes an Ed25519 key.
    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// Makes an RSA key.
    pub fn rsa(size: KeySize) -> Self {
        Self::Rsa(RsaKeyPair::generate(size).unwrap())
    }

    /// Makes an RSA key of 3072 bits.
    pub fn rsa3072() -> Self {
        Self::rsa(KeySize::Rsa3072)
    }

    /// Returns the algorithm the key signs by unless told otherwise.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::Ecdsa(key) => match key.public_key().as_ref().len() {
                65 => SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256),
                97 => SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha384),
                _ => SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha512),
            },
            Self::Rsa(_) => SignatureAlgorithm::RsaPkcs1(HashAlgorithm::Sha256),
            Self::Ed25519(_) => SignatureAlgorithm::Ed25519,
        }
    }

    /// Returns the SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> Vec<u8> {
        let der = match self {
            Self::Ecdsa(key) => key.public_key().as_der(),
            Self::Rsa(key) => key.public_key().as_der(),
            Self::Ed25519(key) => key.public_key().as_der(),
        };
        der.unwrap().as_ref().to_vec()
    }

    /// Returns the public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_spki_der(&self.spki_der()).unwrap()
    }

    /// Signs by an algorithm; ECDSA keys by their own hash alone.
    pub fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Rsa(key) => {
                use HashAlgorithm::{Sha256, Sha384, Sha512};
                let padding: &'static dyn aws::RsaEncoding = match algorithm {
                    SignatureAlgorithm::RsaPss(Sha256) => &aws::RSA_PSS_SHA256,
                    SignatureAlgorithm::RsaPss(Sha384) => &aws::RSA_PSS_SHA384,
                    SignatureAlgorithm::RsaPss(Sha512) => &aws::RSA_PSS_SHA512,
                    SignatureAlgorithm::RsaPkcs1(Sha384) => &aws::RSA_PKCS1_SHA384,
                    SignatureAlgorithm::RsaPkcs1(Sha512) => &aws::RSA_PKCS1_SHA512,
                    _ => &aws::RSA_PKCS1_SHA256,
                };
                let mut octets = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut octets).unwrap();
                octets
            }
        }
    }
}

/// Writes one DER value around its contents.
pub fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=0x7f => out.push(len as u8),
        len @ 0x80..=0xff => out.extend([0x81, len as u8]),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(content);
    out
}

/// Object identifier 2.5.29.17, encoded.
pub const SAN: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];
/// Object identifier 2.5.29.19, encoded.
pub const BASIC_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];
/// Object identifier of TLS features, encoded.
pub const TLS_FEATURE: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18];
/// Object identifier of extensionRequest, encoded.
pub const EXTENSION_REQUEST: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e,
];

/// Writes an Extension without a critical flag.
pub fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    der(0x30, &[oid, &der(0x04, &[value])])
}

/// Writes an extensionRequest attribute.
pub fn extension_request(extensions: &[Vec<u8>]) -> Vec<u8> {
    let list = der(0x30, &[&extensions.concat()]);
    der(0x30, &[EXTENSION_REQUEST, &der(0x31, &[&list])])
}

/// Writes a subjectAltName of DNS names.
pub fn dns_names(names: &[&str]) -> Vec<u8> {
    let list: Vec<u8> = names
        .iter()
        .flat_map(|name| der(0x82, &[name.as_bytes()]))
        .collect();
    extension(SAN, &der(0x30, &[&list]))
}

/// Signs a CertificationRequestInfo.
pub fn sign_request(key: &TestKey, info: &[u8]) -> Vec<u8> {
    let algorithm = key.algorithm();
    let signature = key.sign(algorithm, info);
    der(
        0x30,
        &[
            info,
            algorithm.identifier_der(),
            &der(0x03, &[&[0], &signature]),
        ],
    )
}

/// Writes the info of a request.
pub fn request_info(key: &TestKey, subject: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let subject: DistinguishedName = subject.parse().unwrap();
    der(
        0x30,
        &[
            &[0x02, 0x01, 0x00],
            &subject.to_der(),
            &key.spki_der(),
            &der(0xa0, &[&attributes.concat()]),
        ],
    )
}

/// Makes a request for DNS names.
pub fn request(key: &TestKey, subject: &str, names: &[&str]) -> Vec<u8> {
    let attributes = if names.is_empty() {
        Vec::new()
    } else {
        vec![extension_request(&[dns_names(names)])]
    };
    sign_request(key, &request_info(key, subject, &attributes))
}

/// A certificate authority in memory.
pub struct Authority {
    /// Its key.
    pub key: TestKey,
    /// Its certificate.
    pub certificate: Certificate,
    /// What plans need of it.
    pub facts: IssuerFacts,
}

/// What a forge said of a build.
pub fn forge_claims() -> ForgeClaims {
    use ForgeClaim as Claim;
    let workflow = "https://forge.example/acme/app/.forge/workflows/release.yml@refs/tags/v1.2";
    let claims = [
        (Claim::Issuer, "https://token.forge.example"),
        (Claim::BuildSignerUri, workflow),
        (
            Claim::BuildSignerDigest,
            "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        ),
        (Claim::RunnerEnvironment, "forge-hosted"),
        (Claim::SourceRepositoryUri, "https://forge.example/acme/app"),
        (
            Claim::SourceRepositoryDigest,
            "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        ),
        (Claim::SourceRepositoryRef, "refs/tags/v1.2"),
        (Claim::SourceRepositoryIdentifier, "1001"),
        (
            Claim::SourceRepositoryOwnerUri,
            "https://forge.example/acme",
        ),
        (Claim::SourceRepositoryOwnerIdentifier, "77"),
        (Claim::BuildConfigUri, workflow),
        (
            Claim::BuildConfigDigest,
            "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        ),
        (Claim::BuildTrigger, "push"),
        (
            Claim::RunInvocationUri,
            "https://forge.example/acme/app/actions/runs/5/attempts/1",
        ),
        (Claim::SourceRepositoryVisibility, "private"),
    ];
    ForgeClaims::new(claims.map(|(claim, value)| (claim, value.to_owned()))).unwrap()
}

/// Where test authorities publish.
pub fn urls() -> IssuerUrls {
    IssuerUrls {
        ca_issuers: Some("http://127.0.0.1:8080/ca/issuing.cer".to_owned()),
        ocsp: Some("http://127.0.0.1:8080/ocsp".to_owned()),
        crl: Some("http://127.0.0.1:8080/crl/issuing.crl".to_owned()),
        crl_shard: Some("http://127.0.0.1:8080/crl/issuing-{shard}.crl".to_owned()),
    }
}

impl Authority {
    /// Makes a root that signs itself.
    pub fn root(key: TestKey, algorithm: SignatureAlgorithm) -> Self {
        let profile = Profile::built_in(ProfileKind::RootCa).unwrap();
        let subject: DistinguishedName = "CN=Test Root,O=Example,C=DE".parse().unwrap();
        let public_key = key.public_key();
        let facts = IssuerFacts::self_signed(&subject, &public_key, algorithm).unwrap();
        let request = PlanRequest::new(&public_key, &subject, serial(1), now());
        let linted = lint(profile.plan(&request, &facts).unwrap(), &profile, &facts).unwrap();
        let certificate = sign(linted, &key);
        let facts = IssuerFacts::from_certificate(&certificate, algorithm, urls()).unwrap();
        Self {
            key,
            certificate,
            facts,
        }
    }

    /// Makes a CA below this one, by the sub-ca profile with changes.
    pub fn subordinate(&self, key: TestKey, config: &ProfileConfig) -> Self {
        let profile = Profile::from_config(ProfileName::new("sub-ca").unwrap(), config).unwrap();
        let public_key = key.public_key();
        // A key, a name: no two CAs of a test share one.
        let number = u32::from_be_bytes(*public_key.sha256().first_chunk().unwrap());
        let subject = format!("CN=Test Issuing {number},O=Example,C=DE");
        let subject: DistinguishedName = subject.parse().unwrap();
        let request = PlanRequest::new(&public_key, &subject, serial(2), now());
        let certificate = self.issue(&profile, &request);
        let facts = IssuerFacts::from_certificate(&certificate, key.algorithm(), urls()).unwrap();
        Self {
            key,
            certificate,
            facts,
        }
    }

    /// Plans, lints, signs and assembles.
    pub fn issue(&self, profile: &Profile, request: &PlanRequest<'_>) -> Certificate {
        let planned = profile.plan(request, &self.facts).unwrap();
        sign(lint(planned, profile, &self.facts).unwrap(), &self.key)
    }
}

impl Authority {
    /// Plans what a log sees, has the log sign a timestamp, plans again with it, lints,
    /// signs and assembles.
    pub fn issue_timestamped(
        &self,
        profile: &Profile,
        request: &PlanRequest<'_>,
        log: &TestKey,
        timestamp_ms: u64,
    ) -> Certificate {
        let mut request = request.clone();
        request.timestamps = Timestamps::Awaited;
        let awaited = profile.plan(&request, &self.facts).unwrap();
        let seen = lint_precertificate(awaited, profile, &self.facts).unwrap();
        let scts = SctList::of(Sct {
            log_id: sct::log_id(&log.public_key()),
            timestamp_ms,
            extensions: Vec::new(),
            signature: log.sign(log.algorithm(), &seen.signed_octets(timestamp_ms)),
        })
        .unwrap();
        request.timestamps = Timestamps::Embedded(&scts);
        let planned = profile.plan(&request, &self.facts).unwrap();
        let linted = lint_timestamped(planned, &seen, profile, &self.facts).unwrap();
        sign(linted, &self.key)
    }
}

/// Signs, assembles and reads back.
pub fn sign(linted: LintedTbs, key: &TestKey) -> Certificate {
    let signature = key.sign(linted.signature_algorithm(), linted.der());
    let issued = linted.assemble(&signature).unwrap();
    let certificate = Certificate::from_der(issued.der()).unwrap();
    assert_eq!(&certificate.facts(), issued.facts());
    certificate
}
