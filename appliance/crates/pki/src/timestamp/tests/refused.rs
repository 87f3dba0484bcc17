//! Tokens that are not made, and tokens that are not relied upon.

use super::*;
use crate::chain::ChainError;
use crate::cms::{CmsRefused, NotASigner};
use crate::encode::{cms as encode_cms, timestamp as encode};
use crate::oid;
use crate::path::PathError;
use crate::profile::ExtendedKeyUsage;
use crate::support::der;

/// Judges a planned token against a request.
fn judge(
    stage: &Stage,
    planned: PlannedToken,
    request_der: &[u8],
    at: Timestamp,
) -> Vec<TokenLint> {
    let request = TimeStampRequest::parse(request_der).unwrap();
    match lint(planned, &request, &stage.authority, at) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error.findings().to_vec()
        }
    }
}

/// Plans a token by a changed authority.
fn planned_by(stage: &Stage, settings: AuthoritySettings, at: Timestamp) -> PlannedToken {
    let algorithm = stage.key.algorithm();
    let authority = TimeStampAuthority::new(&stage.certificate, algorithm, settings).unwrap();
    let asked = ask(HashAlgorithm::Sha256);
    let request = TimeStampRequest::parse(&asked).unwrap();
    authority.plan(&request, &serial(7), at).unwrap()
}

#[test]
fn each_plan_that_is_wrong_is_told_by_its_rule() {
    let stage = Stage::p256();
    let asked = ask(HashAlgorithm::Sha256);
    let half = Timestamp::new(now().as_second() - 1, 500_000_000).unwrap();
    for (settings, at, rules) in [
        (settings(), now(), vec![]),
        (settings(), half, vec![]),
        (
            AuthoritySettings {
                policy: "1.2.3".parse().unwrap(),
                ..settings()
            },
            now(),
            vec![TokenLint::Policy],
        ),
        (
            AuthoritySettings {
                accuracy: None,
                ..settings()
            },
            now(),
            vec![TokenLint::Accuracy],
        ),
        (
            AuthoritySettings {
                ordering: true,
                ..settings()
            },
            now(),
            vec![TokenLint::Ordering],
        ),
        (
            AuthoritySettings {
                named: true,
                ..settings()
            },
            now(),
            vec![TokenLint::Name],
        ),
        (
            AuthoritySettings {
                precision: Precision::Millis,
                ..settings()
            },
            half,
            vec![TokenLint::Precision],
        ),
        (
            settings(),
            now() + std::time::Duration::from_secs(1),
            vec![TokenLint::GenTime],
        ),
        (
            settings(),
            stage.certificate.not_before() - std::time::Duration::from_secs(1),
            vec![TokenLint::GenTime],
        ),
    ] {
        let planned = planned_by(&stage, settings, at);
        assert_eq!(judge(&stage, planned, &asked, now()), rules, "{settings:?}");
    }
    let late = stage.certificate.not_after() + std::time::Duration::from_secs(1);
    let planned = planned_by(&stage, settings(), late);
    assert_eq!(judge(&stage, planned, &asked, late), [TokenLint::GenTime]);
}

#[test]
fn a_plan_for_another_request_is_told_by_its_rules() {
    let stage = Stage::p256();
    for (request, rules) in [
        (
            RequestPlan {
                digest: digest(HashAlgorithm::Sha512),
                policy: None,
                nonce: Some(&[0x80, 2, 3, 4]),
                certificate: true,
            },
            vec![TokenLint::Imprint],
        ),
        (
            RequestPlan {
                digest: digest(HashAlgorithm::Sha256),
                policy: None,
                nonce: None,
                certificate: true,
            },
            vec![TokenLint::Nonce],
        ),
        (
            RequestPlan {
                digest: digest(HashAlgorithm::Sha256),
                policy: Some("1.2.3.4".parse().unwrap()),
                nonce: Some(&[0x80, 2, 3, 5]),
                certificate: false,
            },
            vec![TokenLint::Policy, TokenLint::Nonce],
        ),
    ] {
        let planned = planned_by(&stage, settings(), now());
        assert_eq!(judge(&stage, planned, &request.encode(), now()), rules);
    }
}

#[test]
fn attributes_that_do_not_belong_are_told() {
    let stage = Stage::p256();
    let asked = ask(HashAlgorithm::Sha256);
    let request = TimeStampRequest::parse(&asked).unwrap();
    let planned = || planned_by(&stage, settings(), now());
    let info_digest = algorithm::digest_of(HashAlgorithm::Sha256, planned().tst_info_der());
    let attributes = encode_cms::SignedAttributes {
        content_type: oid::TST_INFO,
        message_digest: info_digest.octets(),
        signing_time: None,
        signing_certificate: stage.authority.signer().signing_certificate_der(),
    };
    let with = |attributes: encode_cms::SignedAttributes<'_>| PlannedToken {
        attributes_der: attributes.to_der(),
        ..planned()
    };
    let judge = |planned| lint(planned, &request, &stage.authority, now());
    assert!(judge(with(attributes)).is_ok());
    let timed = encode_cms::SignedAttributes {
        signing_time: Some(now()),
        ..attributes
    };
    assert_eq!(
        judge(with(timed)).unwrap_err().findings(),
        [TokenLint::SigningTime]
    );
    let of_data = encode_cms::SignedAttributes {
        content_type: oid::DATA,
        ..attributes
    };
    let refused = judge(with(of_data)).unwrap_err();
    assert!(matches!(refused, TokenLintFindings::Attributes(_)));
    assert!(refused.findings().is_empty());
    let broken = PlannedToken {
        info_der: vec![0x30, 0],
        ..planned()
    };
    assert!(matches!(
        judge(broken).unwrap_err(),
        TokenLintFindings::Unreadable(_)
    ));
    let ber = PlannedToken {
        info_der: vec![0x30, 0x80, 0, 0],
        ..planned()
    };
    assert!(matches!(
        judge(ber).unwrap_err(),
        TokenLintFindings::Encoding(_)
    ));
}

#[test]
fn a_policy_that_is_not_the_authoritys_is_not_planned() {
    let stage = Stage::p256();
    let wished: PolicyOid = "1.2.3.4".parse().unwrap();
    let asked = RequestPlan {
        digest: digest(HashAlgorithm::Sha256),
        policy: Some(wished),
        nonce: None,
        certificate: false,
    }
    .encode();
    let request = TimeStampRequest::parse(&asked).unwrap();
    let refused = stage
        .authority
        .plan(&request, &serial(1), now())
        .unwrap_err();
    assert_eq!(
        refused,
        UnacceptedPolicy {
            policy: settings().policy,
            wished
        }
    );
    assert!(refused.to_string().contains("1.2.3.4"));
}

/// Certificates for the stage's key that are nearly ones of an authority, and what is
/// wrong with each.
fn almost_authorities(stage: &Stage) -> Vec<(Certificate, NotAnAuthority)> {
    // 2.5.29.37, TRUE, { id-kp-timeStamping }; then without TRUE; then with
    // id-kp-codeSigning besides.
    let stamps: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x08";
    let signs: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x03";
    let purposes = |critical: &[u8], list: &[&[u8]]| {
        let value = der(4, &[&der(0x30, list)]);
        der(0x30, &[b"\x06\x03\x55\x1d\x25", critical, &value])
    };
    let usages = |bits: &[u8]| {
        let value = der(4, &[bits]);
        der(0x30, &[b"\x06\x03\x55\x1d\x0f", TRUE, &value])
    };
    let constraints = der(
        0x30,
        &[
            b"\x06\x03\x55\x1d\x13",
            TRUE,
            &der(4, &[&der(0x30, &[TRUE])]),
        ],
    );
    // Key usages: digitalSignature and contentCommitment; and keyAgreement besides.
    let both: &[u8] = &[3, 2, 6, 0xc0];
    let agrees: &[u8] = &[3, 2, 3, 0x88];
    let signed = |extensions: Vec<Vec<u8>>| {
        crate::path::tests::sign_again(&stage.issuing, &stage.certificate, |own| *own = extensions)
    };
    let good = signed(vec![purposes(TRUE, &[stamps]), usages(both)]);
    let algorithm = stage.key.algorithm();
    assert!(TimeStampAuthority::new(&good, algorithm, settings()).is_ok());
    [
        (vec![usages(both)], NotAnAuthority::Purpose),
        (vec![purposes(&[], &[stamps])], NotAnAuthority::Purpose),
        (vec![purposes(TRUE, &[signs])], NotAnAuthority::Purpose),
        (
            vec![purposes(TRUE, &[stamps, signs])],
            NotAnAuthority::Purpose,
        ),
        (
            vec![purposes(TRUE, &[stamps]), usages(agrees)],
            NotAnAuthority::KeyUsage,
        ),
        (
            vec![purposes(TRUE, &[stamps]), constraints],
            NotAnAuthority::KeyUsage,
        ),
    ]
    .map(|(extensions, refused)| (signed(extensions), refused))
    .into()
}

/// BOOLEAN TRUE.
const TRUE: &[u8] = &[1, 1, 0xff];

#[test]
fn only_a_certificate_for_time_stamps_alone_makes_an_authority() {
    let stage = Stage::p256();
    let ecdsa = stage.key.algorithm();
    let new = |certificate: &Certificate, algorithm, settings| {
        TimeStampAuthority::new(certificate, algorithm, settings).unwrap_err()
    };
    for (certificate, refused) in almost_authorities(&stage) {
        assert_eq!(new(&certificate, ecdsa, settings()), refused);
    }
    let rsa = SignatureAlgorithm::RsaPkcs1(HashAlgorithm::Sha256);
    assert!(matches!(
        new(&stage.certificate, rsa, settings()),
        NotAnAuthority::Signer(NotASigner::Algorithm { .. })
    ));
    let pss = SignatureAlgorithm::RsaPss(HashAlgorithm::Sha256);
    assert_eq!(
        new(&stage.certificate, pss, settings()),
        NotAnAuthority::Algorithm { algorithm: pss }
    );
    for (seconds, millis, micros) in [(0, 0, 0), (1, 1000, 0), (1, 0, 1000)] {
        let settings = AuthoritySettings {
            accuracy: Some(Accuracy {
                seconds,
                millis,
                micros,
            }),
            ..settings()
        };
        assert_eq!(
            new(&stage.certificate, ecdsa, settings),
            NotAnAuthority::Accuracy
        );
    }
    assert!("1.2.".parse::<PolicyOid>().is_err());
    assert!("".parse::<PolicyOid>().is_err());
}

#[test]
fn each_answer_that_does_not_fit_the_question_is_refused_by_its_reason() {
    let stage = Stage::p256();
    let token = stage.stamp(&ask(HashAlgorithm::Sha256));
    let refused =
        |change: fn(&mut TokenQuestion<'_>)| stage.verify_by(token.der(), change).unwrap_err();
    assert_eq!(
        refused(|question| question.stamped = Stamped::Message(b"altered")),
        TimeStampRefused::Imprint
    );
    assert_eq!(
        refused(|question| question.stamped = Stamped::Digest(digest(HashAlgorithm::Sha384))),
        TimeStampRefused::Hash {
            stamped: HashAlgorithm::Sha256,
            given: HashAlgorithm::Sha384
        }
    );
    assert_eq!(
        refused(|question| question.nonce = Some(&[0x80, 2, 3, 5])),
        TimeStampRefused::Nonce
    );
    assert!(matches!(
        refused(|question| question.policy = Some("1.2.3.4".parse().unwrap())),
        TimeStampRefused::Policy { .. }
    ));
    assert_eq!(
        refused(|question| question.roots = &[]),
        TimeStampRefused::Signature(CmsRefused::Path(PathError::NoIssuer { place: 1 }))
    );
    assert_eq!(
        refused(|question| question.intermediates = &[]),
        TimeStampRefused::Signature(CmsRefused::Path(PathError::NoIssuer { place: 0 }))
    );
    // A nonce may have leading zeros, as numbers do.
    assert!(
        stage
            .verify_by(token.der(), |question| question.nonce =
                Some(&[0, 0, 0x80, 2, 3, 4]))
            .is_ok()
    );
    let namesake = Stage::p256();
    let roots = [namesake.root.certificate];
    let mut question = TokenQuestion {
        stamped: Stamped::Message(MESSAGE),
        nonce: None,
        policy: None,
        intermediates: std::slice::from_ref(&stage.issuing.certificate),
        roots: &roots,
    };
    assert_eq!(
        verify_token(token.der(), &question).unwrap_err(),
        TimeStampRefused::Signature(CmsRefused::Path(PathError::Chain(ChainError::Signature {
            place: 1
        })))
    );
    question.nonce = Some(&[1]);
    assert_eq!(
        verify_token(token.der(), &question).unwrap_err(),
        TimeStampRefused::Nonce
    );
}

#[test]
fn the_chain_counts_at_the_time_that_is_stamped() {
    let stage = Stage::p256();
    let asked = ask(HashAlgorithm::Sha256);
    // Verified today, made in the last second of the certificate.
    let last = stage.certificate.not_after();
    let token = stage.stamp_at(&asked, last);
    assert_eq!(stage.verify(token.der()).unwrap().gen_time, last);
    let forged = Forged {
        gen_time: b"20990101000000Z",
        ..Forged::sound(&stage)
    };
    assert!(matches!(
        stage.verify(&forged.to_der()).unwrap_err(),
        TimeStampRefused::Signature(CmsRefused::Path(PathError::NotValid { place: 0, .. }))
    ));
}

/// A token whose parts can be wrong, signed all the same.
struct Forged<'a> {
    /// Whose key signs.
    stage: &'a Stage,
    /// Whose certificate it is said to be by.
    certificate: &'a Certificate,
    /// The SigningCertificateV2, if any.
    signing_certificate: Option<Vec<u8>>,
    /// What its digest is signed of, if not the TSTInfo.
    digested: Option<&'a [u8]>,
    /// genTime.
    gen_time: &'a [u8],
    /// The authority's name in it.
    name_der: Option<&'a [u8]>,
}

impl<'a> Forged<'a> {
    /// A token that is verified.
    fn sound(stage: &'a Stage) -> Self {
        Self {
            stage,
            certificate: &stage.certificate,
            signing_certificate: Some(stage.authority.signer().signing_certificate_der().to_vec()),
            digested: None,
            gen_time: &[],
            name_der: None,
        }
    }

    /// Says to be by another certificate.
    fn by(stage: &'a Stage, certificate: &'a Certificate) -> Self {
        Self {
            certificate,
            signing_certificate: Some(encode_cms::signing_certificate(
                &certificate.fingerprint(),
                certificate.issuer_der(),
                certificate.serial(),
            )),
            ..Self::sound(stage)
        }
    }

    /// Signs it.
    fn to_der(&self) -> Vec<u8> {
        let now = crate::time::digits(now());
        let policy = settings().policy;
        let info = encode::TstInfo {
            policy: policy.oid(),
            imprint_der: &encode::imprint(&digest(HashAlgorithm::Sha256)),
            serial: &serial(7),
            gen_time: match self.gen_time {
                [] => &now,
                given => given,
            },
            accuracy: None,
            ordering: false,
            nonce: Some(&[0, 0x80, 2, 3, 4]),
            name_der: self.name_der,
        }
        .to_der();
        let digested = self.digested.unwrap_or(&info);
        let digest = algorithm::digest_of(HashAlgorithm::Sha256, digested);
        let none = vec![0x30, 0];
        let signing_certificate = self.signing_certificate.clone().unwrap_or(none);
        let attributes = encode_cms::SignedAttributes {
            content_type: oid::TST_INFO,
            message_digest: digest.octets(),
            signing_time: None,
            signing_certificate: &signing_certificate,
        };
        let mut signed = attributes.to_der();
        if self.signing_certificate.is_none() {
            // Without the attribute, the last and longest but for its value.
            let set = crate::tlv::read_only(&signed, crate::tlv::SET).unwrap();
            let mut reader = set.reader();
            let mut kept = Vec::new();
            while let Ok(attribute) = reader.next() {
                let mut fields = attribute.reader();
                let kind = crate::public_key::read_oid(&mut fields).unwrap();
                if kind != oid::SIGNING_CERTIFICATE_V2 {
                    kept.push(attribute.whole.to_vec());
                }
            }
            signed = encode_cms::set_of(crate::tlv::SET, kept);
        }
        let algorithm = self.stage.key.algorithm();
        encode_cms::SignedData {
            content_type: oid::TST_INFO,
            content: Some(&info),
            certificates: &encode_cms::set_of(0xa0, vec![self.certificate.der().to_vec()]),
            issuer_and_serial: &encode_cms::issuer_and_serial(
                self.certificate.issuer_der(),
                self.certificate.serial(),
            ),
            hash: HashAlgorithm::Sha256,
            signed_attributes: &signed,
            algorithm,
            signature: &self.stage.key.sign(algorithm, &signed),
        }
        .to_der()
    }
}

#[test]
fn each_token_that_is_wrong_is_refused_by_its_reason() {
    let stage = Stage::p256();
    assert!(stage.verify(&Forged::sound(&stage).to_der()).is_ok());
    let refused = |forged: Forged<'_>| stage.verify(&forged.to_der()).unwrap_err();
    assert_eq!(
        refused(Forged {
            signing_certificate: None,
            ..Forged::sound(&stage)
        }),
        TimeStampRefused::Unbound
    );
    // The same key, certified twice: which of both is signed counts.
    let again = {
        let profile = Profile::built_in(ProfileKind::TimeStamping).unwrap();
        let (key, subject) = (stage.key.public_key(), "CN=Example TSA 2".parse().unwrap());
        let request = PlanRequest::new(&key, &subject, serial(62), now());
        stage.issuing.issue(&profile, &request)
    };
    assert_eq!(
        refused(Forged {
            certificate: &again,
            ..Forged::sound(&stage)
        }),
        TimeStampRefused::Signature(CmsRefused::SigningCertificate)
    );
    assert_eq!(
        refused(Forged {
            digested: Some(b"another TSTInfo"),
            ..Forged::sound(&stage)
        }),
        TimeStampRefused::Signature(CmsRefused::Digest)
    );
    assert_eq!(
        refused(Forged {
            name_der: Some(again.subject_der()),
            ..Forged::sound(&stage)
        }),
        TimeStampRefused::Name
    );
    assert!(
        stage
            .verify(
                &Forged {
                    name_der: Some(stage.certificate.subject_der()),
                    ..Forged::sound(&stage)
                }
                .to_der()
            )
            .is_ok()
    );
    let stranger = Stage::p256();
    assert_eq!(
        refused(Forged {
            stage: &stranger,
            ..Forged::sound(&stage)
        }),
        TimeStampRefused::Signature(CmsRefused::Signature)
    );
    assert_eq!(
        refused(Forged {
            signing_certificate: Some(
                stranger
                    .authority
                    .signer()
                    .signing_certificate_der()
                    .to_vec()
            ),
            ..Forged::sound(&stage)
        }),
        TimeStampRefused::Signature(CmsRefused::SigningCertificate)
    );
}

#[test]
fn whoever_stamps_without_being_an_authority_is_refused() {
    let stage = Stage::p256();
    for (certificate, refused) in almost_authorities(&stage) {
        let token = Forged::by(&stage, &certificate).to_der();
        let for_it = certificate
            .extensions()
            .extended_key_usages
            .contains(&ExtendedKeyUsage::TIME_STAMPING);
        let expected = match for_it {
            true => TimeStampRefused::NotAnAuthority(refused),
            false => TimeStampRefused::Signature(CmsRefused::Path(PathError::Purpose {
                place: 0,
                purpose: ExtendedKeyUsage::TIME_STAMPING,
            })),
        };
        assert_eq!(stage.verify(&token).unwrap_err(), expected);
    }
}

#[test]
fn what_is_no_answer_with_a_token_says_why() {
    let stage = Stage::p256();
    let roots = [stage.root.certificate.clone()];
    let question = TokenQuestion {
        stamped: Stamped::Message(MESSAGE),
        nonce: None,
        policy: None,
        intermediates: &[],
        roots: &roots,
    };
    let refused = verify_response(
        &rejection(FailureInfo::TimeNotAvailable, "the clock is wrong"),
        &question,
    )
    .unwrap_err();
    assert_eq!(
        refused,
        TimeStampRefused::Rejected {
            status: 2,
            failure: Some(FailureInfo::TimeNotAvailable)
        }
    );
    assert!(refused.to_string().contains("timeNotAvailable"));
    let response = encode::granted(&[0x30, 0]);
    assert!(matches!(
        verify_response(&response, &question).unwrap_err(),
        TimeStampRefused::Unreadable(_)
    ));
}
