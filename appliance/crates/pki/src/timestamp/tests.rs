//! Tokens asked for, made, judged, signed and verified.

mod golden;
mod hostile;
mod refused;

use model::Timestamp;
use model::signing::ArtifactDigest;

use super::*;
use crate::algorithm::{self, HashAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::profile::{PlanRequest, Profile, ProfileConfig, ProfileKind};
use crate::support::{Authority, TestKey, now, serial};

/// What is stamped.
const MESSAGE: &[u8] = b"a signature";

/// What the authority of tests says in every token.
fn settings() -> AuthoritySettings {
    AuthoritySettings {
        policy: "1.3.6.1.4.1.99999.1".parse().unwrap(),
        accuracy: Some(Accuracy {
            seconds: 1,
            millis: 500,
            micros: 0,
        }),
        ordering: false,
        precision: Precision::Seconds,
        named: false,
    }
}

/// Digests the message.
fn digest(hash: HashAlgorithm) -> ArtifactDigest {
    algorithm::digest_of(hash, MESSAGE)
}

/// Asks for a stamp of the message.
fn ask(hash: HashAlgorithm) -> Vec<u8> {
    RequestPlan {
        digest: digest(hash),
        policy: None,
        nonce: Some(&[0x80, 2, 3, 4]),
        certificate: true,
    }
    .encode()
}

/// Issues an authority's certificate.
fn stamping_certificate(authority: &Authority, key: &TestKey) -> Certificate {
    let profile = Profile::built_in(ProfileKind::TimeStamping).unwrap();
    let (public_key, subject) = (key.public_key(), "CN=Example TSA 1".parse().unwrap());
    authority.issue(
        &profile,
        &PlanRequest::new(&public_key, &subject, serial(60), now()),
    )
}

/// A root, an authority below and a time-stamping authority below that.
struct Stage {
    /// The root.
    root: Authority,
    /// Who issued the authority's certificate.
    issuing: Authority,
    /// The key that stamps.
    key: TestKey,
    /// Its certificate.
    certificate: Certificate,
    /// Who stamps.
    authority: TimeStampAuthority,
}

impl Stage {
    /// Sets the stage.
    fn new(key: TestKey, algorithm: SignatureAlgorithm, settings: AuthoritySettings) -> Self {
        let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
        let issuing = root.subordinate(TestKey::p256(), &ProfileConfig::default());
        let certificate = stamping_certificate(&issuing, &key);
        Self {
            authority: TimeStampAuthority::new(&certificate, algorithm, settings).unwrap(),
            root,
            issuing,
            key,
            certificate,
        }
    }

    /// The usual stage.
    fn p256() -> Self {
        let algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
        Self::new(TestKey::p256(), algorithm, settings())
    }

    /// Answers a request at a time.
    fn stamp_at(&self, request_der: &[u8], gen_time: Timestamp) -> TimeStampToken {
        let request = TimeStampRequest::parse(request_der).unwrap();
        let planned = self.authority.plan(&request, &serial(7), gen_time).unwrap();
        let linted = lint(planned, &request, &self.authority, gen_time).unwrap();
        let signature = self.key.sign(linted.signature_algorithm(), linted.der());
        linted.assemble(&signature).unwrap()
    }

    /// Answers a request.
    fn stamp(&self, request_der: &[u8]) -> TimeStampToken {
        self.stamp_at(request_der, now())
    }

    /// Verifies a token of the message by the root.
    fn verify(&self, token_der: &[u8]) -> Result<VerifiedTimeStamp, TimeStampRefused> {
        self.verify_by(token_der, |_| {})
    }

    /// Verifies a token by a changed question.
    fn verify_by(
        &self,
        token_der: &[u8],
        change: impl FnOnce(&mut TokenQuestion<'_>),
    ) -> Result<VerifiedTimeStamp, TimeStampRefused> {
        let roots = [self.root.certificate.clone()];
        let intermediates = [self.issuing.certificate.clone()];
        let mut question = TokenQuestion {
            stamped: Stamped::Message(MESSAGE),
            nonce: Some(&[0x80, 2, 3, 4]),
            policy: None,
            intermediates: &intermediates,
            roots: &roots,
        };
        change(&mut question);
        verify_token(token_der, &question)
    }
}

#[test]
fn tokens_of_every_algorithm_and_hash_are_verified() {
    use HashAlgorithm::{Sha256, Sha384};
    for (key, algorithm) in [
        (TestKey::p256(), SignatureAlgorithm::Ecdsa(Sha256)),
        (TestKey::p384(), SignatureAlgorithm::Ecdsa(Sha384)),
        (TestKey::rsa3072(), SignatureAlgorithm::RsaPkcs1(Sha256)),
        (TestKey::rsa3072(), SignatureAlgorithm::RsaPkcs1(Sha384)),
    ] {
        let stage = Stage::new(key, algorithm, settings());
        for hash in HashAlgorithm::ALL {
            let token = stage.stamp(&ask(hash));
            let verified = stage.verify(token.der()).unwrap();
            assert_eq!(verified.gen_time, now());
            assert_eq!(verified.hash, hash);
            assert_eq!(verified.serial.magnitude(), serial(7).as_der_content());
            assert_eq!(verified.policy, settings().policy);
            assert_eq!(verified.accuracy, settings().accuracy);
            assert!(!verified.ordering);
            assert_eq!(verified.chain.certificates().len(), 3);
            let response = token.to_response();
            assert_eq!(
                TimeStampResponse::parse(&response),
                Ok(TimeStampResponse::Granted(token.der()))
            );
        }
    }
}

#[test]
fn everything_an_authority_may_say_is_said_and_read() {
    for (precision, nanosecond, read_nanosecond) in [
        (Precision::Seconds, 123_456_789, 0),
        (Precision::Millis, 123_456_789, 123_000_000),
        (Precision::Millis, 120_000_000, 120_000_000),
        (Precision::Micros, 123_456_789, 123_456_000),
        (Precision::Micros, 0, 0),
    ] {
        let settings = AuthoritySettings {
            ordering: true,
            named: true,
            precision,
            accuracy: Some(Accuracy {
                seconds: 0,
                millis: 0,
                micros: 999,
            }),
            ..settings()
        };
        let algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha256);
        let stage = Stage::new(TestKey::p256(), algorithm, settings);
        let gen_time = Timestamp::new(now().as_second(), nanosecond).unwrap();
        let token = stage.stamp_at(&ask(HashAlgorithm::Sha256), gen_time);
        let verified = stage.verify(token.der()).unwrap();
        assert_eq!(verified.gen_time.subsec_nanosecond(), read_nanosecond);
        assert_eq!(verified.accuracy, settings.accuracy);
        assert!(verified.ordering);
        let read = TokenRead::parse(token.der()).unwrap();
        assert_eq!(read.info().name_der, Some(stage.certificate.subject_der()));
    }
}

#[test]
fn the_certificate_goes_along_exactly_where_it_is_asked_for() {
    let stage = Stage::p256();
    let token = stage.stamp(&ask(HashAlgorithm::Sha256));
    let read = TokenRead::parse(token.der()).unwrap();
    let embedded: Vec<&[u8]> = read.signed_data().certificates().collect();
    assert_eq!(embedded, [stage.certificate.der()], "no other than its own");
    let without = RequestPlan {
        digest: digest(HashAlgorithm::Sha256),
        policy: Some(settings().policy),
        nonce: None,
        certificate: false,
    }
    .encode();
    let token = stage.stamp(&without);
    let read = TokenRead::parse(token.der()).unwrap();
    assert_eq!(read.signed_data().certificates().count(), 0);
    // It must be given then.
    assert_eq!(
        stage
            .verify_by(token.der(), |question| question.nonce = None)
            .unwrap_err(),
        TimeStampRefused::Signature(crate::cms::CmsRefused::NoSigner)
    );
    let given = [stage.certificate.clone(), stage.issuing.certificate.clone()];
    let roots = [stage.root.certificate.clone()];
    let question = TokenQuestion {
        stamped: Stamped::Digest(digest(HashAlgorithm::Sha256)),
        nonce: None,
        policy: Some(settings().policy),
        intermediates: &given,
        roots: &roots,
    };
    assert!(verify_token(token.der(), &question).is_ok());
    assert!(verify_response(&token.to_response(), &question).is_ok());
}
