//! Detached signatures made, judged, signed and verified.

mod golden;
mod hostile;

use model::Timestamp;
use model::signing::ArtifactDigest;

use super::*;
use crate::algorithm::{self, HashAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::chain::ChainError;
use crate::lint::AssembleError;
use crate::name::DistinguishedName;
use crate::path::{PathError, PathQuestion};
use crate::profile::{ExtendedKeyUsage, PlanRequest, Profile, ProfileConfig, ProfileKind};
use crate::support::{Authority, TestKey, now, serial};

/// The artifact.
const ARTIFACT: &[u8] = b"an artifact";

/// Returns a time some seconds from now.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + seconds).unwrap()
}

/// Issues a signer's certificate.
fn signer_certificate(authority: &Authority, key: &TestKey, number: u8) -> Certificate {
    let profile = Profile::built_in(ProfileKind::CodeSigning).unwrap();
    let subject: DistinguishedName = "CN=Example Signer,O=Example,C=DE".parse().unwrap();
    let public_key = key.public_key();
    authority.issue(
        &profile,
        &PlanRequest::new(&public_key, &subject, serial(number), now()),
    )
}

/// A root, an authority below and a signer below that.
struct Stage {
    /// The root.
    root: Authority,
    /// Who issued the signer's certificate.
    issuing: Authority,
    /// The signer's key.
    key: TestKey,
    /// The signer.
    signer: CmsSigner,
}

impl Stage {
    /// Sets the stage for a signer's key and algorithm.
    fn new(key: TestKey, algorithm: SignatureAlgorithm) -> Self {
        let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
        let issuing = root.subordinate(TestKey::p256(), &ProfileConfig::default());
        let certificate = signer_certificate(&issuing, &key, 50);
        let chain = [
            certificate,
            issuing.certificate.clone(),
            root.certificate.clone(),
        ];
        let signer = CmsSigner::new(&chain, algorithm).unwrap();
        Self {
            root,
            issuing,
            key,
            signer,
        }
    }

    /// The usual stage.
    fn p256() -> Self {
        Self::new(
            TestKey::p256(),
            SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256),
        )
    }

    /// Signs a digest.
    fn sign(&self, digest: &ArtifactDigest) -> Vec<u8> {
        let plan = CmsPlan {
            digest: *digest,
            signing_time: now(),
        };
        let linted = lint(plan.encode(&self.signer), digest, &self.signer, now()).unwrap();
        let signature = self.key.sign(linted.signature_algorithm(), linted.der());
        linted.assemble(&signature).unwrap()
    }

    /// Verifies a signature of a digest by the root.
    fn verify(&self, cms_der: &[u8], digest: ArtifactDigest) -> Result<VerifiedCms, CmsRefused> {
        self.verify_at(cms_der, digest, now())
    }

    /// Verifies at another time.
    fn verify_at(
        &self,
        cms_der: &[u8],
        digest: ArtifactDigest,
        at: Timestamp,
    ) -> Result<VerifiedCms, CmsRefused> {
        let roots = [self.root.certificate.clone()];
        let path = PathQuestion {
            intermediates: &[],
            roots: &roots,
            at,
            purpose: Some(ExtendedKeyUsage::CODE_SIGNING),
        };
        verify_detached(cms_der, &CmsQuestion { digest, path })
    }
}

/// Digests the artifact.
fn digest(hash: HashAlgorithm) -> ArtifactDigest {
    algorithm::digest_of(hash, ARTIFACT)
}

#[test]
fn signatures_of_every_algorithm_are_verified() {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    for (key, algorithm, hashes) in [
        (
            TestKey::p256(),
            SignatureAlgorithm::Ecdsa(Sha256),
            &[Sha256][..],
        ),
        (
            TestKey::p384(),
            SignatureAlgorithm::Ecdsa(Sha384),
            &[Sha384],
        ),
        (
            TestKey::rsa3072(),
            SignatureAlgorithm::RsaPkcs1(Sha256),
            &[Sha256, Sha384, Sha512],
        ),
        (
            TestKey::rsa3072(),
            SignatureAlgorithm::RsaPss(Sha256),
            &[Sha256, Sha384, Sha512],
        ),
    ] {
        let stage = Stage::new(key, algorithm);
        for hash in hashes {
            let digest = digest(*hash);
            let cms = stage.sign(&digest);
            let read = SignedData::parse(&cms).unwrap();
            assert_eq!(read.digest_algorithm(), *hash);
            assert_eq!(read.message_digest(), digest.octets());
            assert_eq!(read.content(), None);
            let verified = stage.verify(&cms, digest).unwrap();
            assert_eq!(verified.signing_time, Some(now()));
            assert_eq!(verified.chain.certificates().len(), 3);
            assert_eq!(
                verified.signature_algorithm,
                stage.signer.algorithm_for(*hash)
            );
            assert!(verified.certificate_bound);
        }
    }
}

#[test]
fn certificates_are_leaf_and_intermediates_ascending_and_once() {
    let stage = Stage::p256();
    let cms = stage.sign(&digest(HashAlgorithm::Sha256));
    let read = SignedData::parse(&cms).unwrap();
    let embedded: Vec<&[u8]> = read.certificates().collect();
    let mut expected = [
        stage.signer.certificate().der(),
        stage.issuing.certificate.der(),
    ];
    expected.sort_unstable();
    assert_eq!(embedded, expected);
    assert!(embedded.is_sorted());
}

#[test]
fn whoever_cannot_sign_is_no_signer() {
    let stage = Stage::p256();
    let leaf = stage.signer.certificate().clone();
    let ecdsa = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
    assert_eq!(
        CmsSigner::new(&[], ecdsa).unwrap_err(),
        NotASigner::Chain(ChainError::Empty)
    );
    assert_eq!(
        CmsSigner::new(&[leaf.clone(), stage.root.certificate.clone()], ecdsa).unwrap_err(),
        NotASigner::Chain(ChainError::Name { place: 0 })
    );
    let rsa = SignatureAlgorithm::RsaPss(HashAlgorithm::Sha256);
    assert!(matches!(
        CmsSigner::new(std::slice::from_ref(&leaf), rsa),
        Err(NotASigner::Algorithm { .. })
    ));
    let key = TestKey::ed25519();
    let profile: ProfileConfig = toml::from_str(
        "kind = \"code-signing\"\nkeys = [\"ed25519\"]\nkey_usages = [\"digital-signature\"]",
    )
    .unwrap();
    let profile = Profile::from_config("code-signing".parse().unwrap(), &profile).unwrap();
    let (public_key, subject) = (key.public_key(), "CN=Ed".parse().unwrap());
    let request = PlanRequest::new(&public_key, &subject, serial(51), now());
    let certificate = stage.issuing.issue(&profile, &request);
    assert!(matches!(
        CmsSigner::new(&[certificate], SignatureAlgorithm::Ed25519),
        Err(NotASigner::Algorithm { .. })
    ));
}

#[test]
fn each_plan_that_is_wrong_is_told_by_its_rule() {
    let stage = Stage::p256();
    let sha256 = digest(HashAlgorithm::Sha256);
    let other = algorithm::digest_of(HashAlgorithm::Sha256, b"another");
    let (not_before, not_after) = {
        let certificate = stage.signer.certificate();
        (certificate.not_before(), certificate.not_after())
    };
    let judge = |signing_time, planned_for, now| {
        let plan = CmsPlan {
            digest: planned_for,
            signing_time,
        };
        match lint(plan.encode(&stage.signer), &sha256, &stage.signer, now) {
            Ok(_) => Vec::new(),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                error.findings().to_vec()
            }
        }
    };
    assert_eq!(judge(now(), sha256, now()), []);
    assert_eq!(judge(now(), other, now()), [CmsLint::MessageDigest]);
    assert_eq!(judge(at(1), sha256, now()), [CmsLint::SigningTime]);
    let early = not_before - std::time::Duration::from_secs(1);
    assert_eq!(judge(early, sha256, now()), [CmsLint::SigningTime]);
    let late = not_after + std::time::Duration::from_secs(1);
    assert_eq!(judge(late, sha256, late), [CmsLint::SigningTime]);
    // Another signer's bytes.
    let stranger = Stage::p256();
    let plan = CmsPlan {
        digest: sha256,
        signing_time: now(),
    };
    let refused = lint(plan.encode(&stranger.signer), &sha256, &stage.signer, now()).unwrap_err();
    assert_eq!(refused.findings(), [CmsLint::SigningCertificate]);
}

#[test]
fn attributes_that_do_not_belong_are_told_by_their_rules() {
    let stage = Stage::p256();
    let sha256 = digest(HashAlgorithm::Sha256);
    let attributes = crate::encode::cms::SignedAttributes {
        content_type: crate::oid::TST_INFO,
        message_digest: sha256.octets(),
        signing_time: Some(now()),
        signing_certificate: stage.signer.signing_certificate_der(),
    };
    let judge = |attributes_der: Vec<u8>| {
        let planned = PlannedCms { attributes_der };
        lint(planned, &sha256, &stage.signer, now()).unwrap_err()
    };
    assert_eq!(
        judge(attributes.to_der()).findings(),
        [CmsLint::ContentType]
    );
    let untimed = crate::encode::cms::SignedAttributes {
        content_type: crate::oid::DATA,
        signing_time: None,
        ..attributes
    };
    assert_eq!(judge(untimed.to_der()).findings(), [CmsLint::SigningTime]);
    // One more, of a kind that is not known: 1.2.3.4 with a NULL.
    let unknown = b"\x30\x09\x06\x03\x2a\x03\x04\x31\x02\x05\x00";
    let timed = crate::encode::cms::SignedAttributes {
        content_type: crate::oid::DATA,
        ..attributes
    };
    let der = timed.to_der();
    let set = crate::tlv::read_only(&der, crate::tlv::SET).unwrap();
    let more = crate::support::der(0x31, &[unknown, set.content]);
    assert_eq!(judge(more).findings(), [CmsLint::Attributes]);
    let unsorted = crate::support::der(0x31, &[set.content, unknown]);
    assert!(matches!(judge(unsorted), CmsLintFindings::Encoding(_)));
    // A P-256 key signs no content that is digested otherwise than it can.
    assert!(matches!(
        judge(crate::support::der(0x31, &[])),
        CmsLintFindings::Unreadable(CmsError::MissingAttribute { .. })
    ));
}

#[test]
fn a_signature_of_another_form_is_not_assembled() {
    let stage = Stage::p256();
    let sha256 = digest(HashAlgorithm::Sha256);
    let plan = CmsPlan {
        digest: sha256,
        signing_time: now(),
    };
    let linted = lint(plan.encode(&stage.signer), &sha256, &stage.signer, now()).unwrap();
    assert!(matches!(
        linted.assemble(&[7; 64]),
        Err(AssembleError::Form { .. })
    ));
}

#[test]
fn what_does_not_fit_the_question_is_refused_by_its_reason() {
    let stage = Stage::p256();
    let sha256 = digest(HashAlgorithm::Sha256);
    let cms = stage.sign(&sha256);
    let other = algorithm::digest_of(HashAlgorithm::Sha256, b"altered");
    assert_eq!(stage.verify(&cms, other).unwrap_err(), CmsRefused::Digest);
    assert_eq!(
        stage
            .verify(&cms, digest(HashAlgorithm::Sha512))
            .unwrap_err(),
        CmsRefused::Hash {
            signed: HashAlgorithm::Sha256,
            given: HashAlgorithm::Sha512
        }
    );
    let stranger = Stage::p256();
    assert!(matches!(
        stranger.verify(&cms, sha256).unwrap_err(),
        CmsRefused::Path(PathError::Chain(_) | PathError::NoIssuer { .. })
    ));
    let year = 366 * 86_400;
    assert!(matches!(
        stage.verify_at(&cms, sha256, at(year)).unwrap_err(),
        CmsRefused::Path(PathError::NotValid { place: 0, .. })
    ));
    assert!(matches!(
        stage.verify_at(&cms, sha256, at(-year)).unwrap_err(),
        CmsRefused::Path(PathError::NotValid { place: 0, .. })
    ));
    let roots = [stage.root.certificate.clone()];
    let path = PathQuestion {
        intermediates: &[],
        roots: &roots,
        at: now(),
        purpose: Some(ExtendedKeyUsage::TIME_STAMPING),
    };
    let question = CmsQuestion {
        digest: sha256,
        path,
    };
    assert_eq!(
        verify_detached(&cms, &question).unwrap_err(),
        CmsRefused::Path(PathError::Purpose {
            place: 0,
            purpose: ExtendedKeyUsage::TIME_STAMPING
        })
    );
}

#[test]
fn every_octet_of_a_signature_counts() {
    let stage = Stage::p256();
    let sha256 = digest(HashAlgorithm::Sha256);
    let cms = stage.sign(&sha256);
    let read = SignedData::parse(&cms).unwrap();
    // Certificates and digestAlgorithms are covered by nothing but the path and the
    // signer's own digestAlgorithm.
    let signer_len = cms.len() - find(&cms, read.signer.before_unsigned);
    for place in cms.len() - signer_len..cms.len() {
        let mut altered = cms.clone();
        altered[place] ^= 0x01;
        assert!(stage.verify(&altered, sha256).is_err(), "octet {place}");
    }
}

/// Finds a part.
fn find(whole: &[u8], part: &[u8]) -> usize {
    whole
        .windows(part.len())
        .position(|window| window == part)
        .unwrap()
}

#[test]
fn a_signer_whose_certificate_is_not_the_one_signed_is_refused() {
    let stage = Stage::p256();
    let sha256 = digest(HashAlgorithm::Sha256);
    // The same key certified twice under one name and number: the signature fits both.
    let twin = signer_certificate(&stage.issuing, &stage.key, 50);
    let reissued = {
        let profile = Profile::built_in(ProfileKind::CodeSigning).unwrap();
        let subject = "CN=Somebody Else,O=Example,C=DE".parse().unwrap();
        let public_key = stage.key.public_key();
        let request = PlanRequest::new(&public_key, &subject, serial(50), now());
        stage.issuing.issue(&profile, &request)
    };
    assert_ne!(twin.der(), reissued.der());
    let signed = crate::encode::cms::SignedAttributes {
        content_type: crate::oid::DATA,
        message_digest: sha256.octets(),
        signing_time: Some(now()),
        signing_certificate: stage.signer.signing_certificate_der(),
    }
    .to_der();
    let certificates = [
        reissued.der().to_vec(),
        stage.issuing.certificate.der().to_vec(),
    ];
    let algorithm = stage.key.algorithm();
    let signature = stage.key.sign(algorithm, &signed);
    let cms = crate::encode::cms::SignedData {
        content_type: crate::oid::DATA,
        content: None,
        certificates: &crate::encode::cms::set_of(0xa0, certificates.to_vec()),
        issuer_and_serial: stage.signer.issuer_and_serial_der(),
        hash: HashAlgorithm::Sha256,
        signed_attributes: &signed,
        algorithm,
        signature: &signature,
    };
    assert_eq!(
        stage.verify(&cms.to_der(), sha256).unwrap_err(),
        CmsRefused::SigningCertificate
    );
}

#[test]
fn intermediates_may_be_given_instead_of_embedded() {
    let stage = Stage::p256();
    let leaf = [stage.signer.certificate().clone()];
    let signer = CmsSigner::new(&leaf, stage.key.algorithm()).unwrap();
    let alone = Stage { signer, ..stage };
    let sha256 = digest(HashAlgorithm::Sha256);
    let cms = alone.sign(&sha256);
    assert_eq!(
        alone.verify(&cms, sha256).unwrap_err(),
        CmsRefused::Path(PathError::NoIssuer { place: 0 })
    );
    let (roots, intermediates) = (
        [alone.root.certificate.clone()],
        [alone.issuing.certificate.clone()],
    );
    let path = PathQuestion {
        intermediates: &intermediates,
        roots: &roots,
        at: now(),
        purpose: None,
    };
    let question = CmsQuestion {
        digest: sha256,
        path,
    };
    assert!(verify_detached(&cms, &question).is_ok());
}
