//! Responses made, judged, signed and verified.

mod requests;

use std::time::Duration;

use model::{RevocationReason, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::algorithm::SignatureAlgorithm;
use crate::certificate::Certificate;
use crate::issuer::IssuerFacts;
use crate::name::DistinguishedName;
use crate::profile::{PlanRequest, Profile, ProfileKind};
use crate::support::{Authority, TestKey, now, serial};

/// Returns a time some seconds from now.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + seconds).unwrap()
}

/// An authority and its delegated responder.
struct Stage {
    /// The issuer of what is asked about.
    authority: Authority,
    /// Its hashes.
    hashes: IssuerHashes,
    /// The responder's key.
    key: TestKey,
    /// The responder.
    responder: Responder,
}

/// Issues a responder's certificate for a key.
fn responder_certificate(authority: &Authority, key: &TestKey) -> Certificate {
    let profile = Profile::built_in(ProfileKind::OcspResponder).unwrap();
    let subject: DistinguishedName = "CN=Example OCSP 1".parse().unwrap();
    let public_key = key.public_key();
    authority.issue(
        &profile,
        &PlanRequest::new(&public_key, &subject, serial(200), now()),
    )
}

impl Stage {
    /// Sets the stage with keys of a kind.
    fn new(make: impl Fn() -> TestKey) -> Self {
        let authority = Authority::root(make(), make().algorithm());
        let key = make();
        let certificate = responder_certificate(&authority, &key);
        let responder =
            Responder::delegated(&certificate, &authority.certificate, key.algorithm()).unwrap();
        Self {
            hashes: IssuerHashes::of(&authority.certificate),
            authority,
            key,
            responder,
        }
    }

    /// Signs a plan.
    fn sign(&self, plan: &ResponsePlan<'_>) -> SignedResponse {
        let linted = lint(plan.encode(&self.responder), &self.responder, now()).unwrap();
        let signature = self.key.sign(linted.signature_algorithm(), linted.der());
        linted.assemble(&signature).unwrap()
    }

    /// Asks what a response says of a certificate.
    fn ask(&self, response_der: &[u8], number: u8) -> Result<VerifiedAnswer, OcspRefused> {
        verify_response(
            response_der,
            &Question {
                serial: &serial(number),
                issuer: &self.authority.certificate,
                nonce: None,
                now: now(),
                skew: Duration::ZERO,
            },
        )
    }
}

/// An answer that holds for a day.
fn answer(cert_id_der: &[u8], status: CertStatus) -> Answer<'_> {
    Answer {
        cert_id: CertId::from_der(cert_id_der).unwrap(),
        status,
        this_update: now(),
        next_update: at(86_400),
        archive_cutoff: None,
    }
}

/// A response without nonce.
fn plan<'a>(answers: &'a [Answer<'a>]) -> ResponsePlan<'a> {
    ResponsePlan {
        produced_at: now(),
        answers,
        nonce: None,
        extended_revoke: false,
    }
}

#[test]
fn every_status_is_verified_and_survives_its_small_form() {
    let revoked = CertStatus::Revoked {
        at: at(-60),
        reason: RevocationReason::KeyCompromise,
    };
    let silent = CertStatus::Revoked {
        at: at(-60),
        reason: RevocationReason::Unspecified,
    };
    for make in [TestKey::p256, TestKey::p384, TestKey::ed25519] {
        let stage = Stage::new(make);
        for status in [CertStatus::Good, CertStatus::Unknown, revoked, silent] {
            for hash in CertIdHash::ALL {
                for archive_cutoff in [None, Some(at(-1000))] {
                    let cert_id = stage.hashes.cert_id_der(hash, &serial(7));
                    let answers = [Answer {
                        archive_cutoff,
                        ..answer(&cert_id, status)
                    }];
                    let signed = stage.sign(&plan(&answers));
                    let der = signed.to_der(&stage.responder);
                    assert_eq!(der.capacity(), der.len());
                    assert_eq!(stage.ask(&der, 7).unwrap().status, status);
                    assert_eq!(stage.ask(&der, 8), Err(OcspRefused::NoAnswer));
                    let ready = signed.compact(&stage.responder, &stage.hashes).unwrap();
                    let again = ready.to_der(&stage.responder, &stage.hashes, &serial(7));
                    assert_eq!(again, der);
                    assert_eq!(again.capacity(), again.len());
                    assert_eq!((ready.status(), ready.hash()), (status, hash));
                }
            }
        }
    }
}

/// Judges a plan.
fn judge(stage: &Stage, plan: &ResponsePlan<'_>) -> Vec<OcspLint> {
    match lint(plan.encode(&stage.responder), &stage.responder, now()) {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error.findings().to_vec()
        }
    }
}

#[test]
fn each_plan_that_is_wrong_is_told_by_its_rule() {
    let stage = Stage::new(TestKey::p256);
    let id = stage.hashes.cert_id_der(CertIdHash::Sha1, &serial(7));
    let right = answer(&id, CertStatus::Good);
    let (_, last) = stage.responder.validity().unwrap();
    let revoked = |at, reason| Answer {
        status: CertStatus::Revoked { at, reason },
        ..right
    };
    let superseded = RevocationReason::Superseded;
    for (answers, rules) in [
        (vec![right], vec![]),
        (vec![], vec![OcspLint::Answered]),
        (vec![right, right], vec![OcspLint::AnswerRepeated]),
        (
            vec![Answer {
                this_update: at(1),
                ..right
            }],
            vec![OcspLint::TimeOrder],
        ),
        (
            vec![Answer {
                next_update: now(),
                ..right
            }],
            vec![OcspLint::TimeOrder],
        ),
        (
            vec![Answer {
                next_update: last + Duration::from_secs(1),
                ..right
            }],
            vec![OcspLint::TimeOrder],
        ),
        (
            vec![Answer {
                archive_cutoff: Some(at(1)),
                ..right
            }],
            vec![OcspLint::ArchiveCutoff],
        ),
        (vec![revoked(now(), superseded)], vec![]),
        (vec![revoked(at(1), superseded)], vec![OcspLint::RevokedAt]),
        (
            vec![revoked(now(), RevocationReason::RemoveFromCrl)],
            vec![OcspLint::Reason],
        ),
        (
            vec![Answer {
                status: CertStatus::not_issued(),
                ..right
            }],
            vec![OcspLint::ExtendedRevoke],
        ),
    ] {
        assert_eq!(judge(&stage, &plan(&answers)), rules, "{answers:?}");
    }
    let answers = [right];
    for (nonce, rules) in [
        (&[][..], vec![OcspLint::Nonce]),
        (&[7; 1], vec![]),
        (&[7; 128], vec![]),
        (&[7; 129], vec![OcspLint::Nonce]),
    ] {
        let plan = ResponsePlan {
            nonce: Some(nonce),
            ..plan(&answers)
        };
        assert_eq!(judge(&stage, &plan), rules);
    }
    let late = ResponsePlan {
        produced_at: at(1),
        ..plan(&answers)
    };
    assert_eq!(judge(&stage, &late), [OcspLint::ProducedAt]);
    // Another responder's bytes.
    let own = Responder::issuer(&stage.authority.facts);
    let refused = lint(plan(&answers).encode(&own), &stage.responder, now()).unwrap_err();
    assert_eq!(refused.findings(), [OcspLint::ResponderId]);
}

#[test]
fn only_whom_the_issuer_chose_may_answer() {
    let stage = Stage::new(TestKey::p256);
    let issuer = &stage.authority.certificate;
    let certificate = responder_certificate(&stage.authority, &stage.key);
    let other = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    // The same name, another key.
    assert_eq!(
        Responder::delegated(&certificate, &other.certificate, stage.key.algorithm()).err(),
        Some(NotAResponder::Signature)
    );
    let below = stage
        .authority
        .subordinate(TestKey::p256(), &Default::default());
    assert_eq!(
        Responder::delegated(&certificate, &below.certificate, stage.key.algorithm()).err(),
        Some(NotAResponder::Issuer)
    );
    assert_eq!(
        Responder::delegated(issuer, issuer, stage.key.algorithm()).err(),
        Some(NotAResponder::Purpose)
    );
    let pss = crate::algorithm::SignatureAlgorithm::Ed25519;
    assert!(Responder::delegated(&certificate, issuer, pss).is_err());
}

#[test]
fn responses_are_refused_for_what_is_wrong_with_them() {
    let stage = Stage::new(TestKey::p256);
    let id = stage.hashes.cert_id_der(CertIdHash::Sha256, &serial(7));
    let answers = [answer(&id, CertStatus::Good)];
    let asked = plan(&answers);
    let signed = stage.sign(&asked);
    let der = signed.to_der(&stage.responder);
    let number = serial(7);
    let question = Question {
        serial: &number,
        issuer: &stage.authority.certificate,
        nonce: None,
        now: now(),
        skew: Duration::ZERO,
    };
    assert!(verify_response(&der, &question).is_ok());
    let at_time = |now| verify_response(&der, &Question { now, ..question });
    assert!(matches!(
        at_time(at(86_401)),
        Err(OcspRefused::Stale { .. })
    ));
    assert!(matches!(at_time(at(-1)), Err(OcspRefused::NotYet { .. })));
    let (_, last) = stage.responder.validity().unwrap();
    assert!(matches!(
        at_time(last + Duration::from_secs(1)),
        Err(OcspRefused::ResponderNotValid { .. })
    ));
    let with_nonce = |nonce| verify_response(&der, &Question { nonce, ..question });
    assert_eq!(with_nonce(Some(&[7; 32])), Err(OcspRefused::Nonce));
    let other = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let by_other = Question {
        issuer: &other.certificate,
        ..question
    };
    assert_eq!(
        verify_response(&der, &by_other),
        Err(OcspRefused::NotAResponder(NotAResponder::Signature))
    );
    // Without the responder's certificate nobody knows whose key it was.
    let own = Responder::issuer(&stage.authority.facts);
    assert_eq!(
        verify_response(&signed.to_der(&own), &question),
        Err(OcspRefused::NoResponder)
    );
    for status in ErrorStatus::ALL {
        assert_eq!(
            verify_response(status.der(), &question),
            Err(OcspRefused::Responder { status })
        );
    }
    // Every octet counts: none can be changed, and the answer stay good.
    for place in 0..der.len() {
        let mut altered = der.clone();
        altered[place] ^= 1;
        assert!(
            verify_response(&altered, &question).is_err(),
            "octet {place}"
        );
        assert!(verify_response(&der[..place], &question).is_err());
    }
}

#[test]
fn a_nonce_and_several_answers_are_signed_at_once() {
    let stage = Stage::new(TestKey::p256);
    let ids: Vec<Vec<u8>> = (1..=20)
        .map(|number| stage.hashes.cert_id_der(CertIdHash::Sha1, &serial(number)))
        .collect();
    let answers: Vec<Answer<'_>> = ids.iter().map(|id| answer(id, CertStatus::Good)).collect();
    let nonce = [9; 32];
    let several = ResponsePlan {
        nonce: Some(&nonce),
        ..plan(&answers)
    };
    let signed = stage.sign(&several);
    assert_eq!(signed.compact(&stage.responder, &stage.hashes), None);
    assert_eq!(signed.next_update(), at(86_400));
    let der = signed.to_der(&stage.responder);
    assert_eq!(der.capacity(), der.len());
    for number in 1..=20 {
        let question = Question {
            serial: &serial(number),
            issuer: &stage.authority.certificate,
            nonce: Some(&nonce),
            now: now(),
            skew: Duration::ZERO,
        };
        assert!(verify_response(&der, &question).is_ok());
    }
    // A CertID with NULL parameters, as openssl writes it, is not ours to write again.
    let mut foreign = Vec::new();
    let canonical = CertId::from_der(&ids[0]).unwrap();
    let sha256 = [
        0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
    ];
    let sha = stage.hashes.cert_id_der(CertIdHash::Sha256, &serial(1));
    let sha = CertId::from_der(&sha).unwrap();
    foreign.extend(der_of(
        0x30,
        &[
            &der_of(0x30, &[&sha256, &[0x05, 0x00]]),
            &der_of(0x04, &[sha.issuer_name_hash()]),
            &der_of(0x04, &[sha.issuer_key_hash()]),
            &der_of(0x02, &[canonical.serial_octets()]),
        ],
    ));
    let answers = [answer(&foreign, CertStatus::Good)];
    let signed = stage.sign(&plan(&answers));
    assert_eq!(signed.compact(&stage.responder, &stage.hashes), None);
    assert!(stage.ask(&signed.to_der(&stage.responder), 1).is_ok());
}

#[test]
fn a_golden_request_and_response_are_what_openssl_reads() {
    let key = crate::public_key::PublicKey::from_spki_der(
        &hex::decode(concat!(
            "302a300506032b6570032100",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        ))
        .unwrap(),
    )
    .unwrap();
    let subject: DistinguishedName = "CN=A".parse().unwrap();
    let hashes = IssuerHashes::new(&subject.to_der(), &key);
    let number = "0123".parse().unwrap();
    let id = hashes.cert_id_der(CertIdHash::Sha1, &number);
    // openssl asn1parse -inform DER -i
    //     0:d=0  hl=2 l=  92 cons: SEQUENCE
    //     2:d=1  hl=2 l=  90 cons:  SEQUENCE
    //     4:d=2  hl=2 l=  63 cons:   SEQUENCE
    //     6:d=3  hl=2 l=  61 cons:    SEQUENCE
    //     8:d=4  hl=2 l=  59 cons:     SEQUENCE
    //    10:d=5  hl=2 l=   9 cons:      SEQUENCE
    //    12:d=6  hl=2 l=   5 prim:       OBJECT            :sha1
    //    19:d=6  hl=2 l=   0 prim:       NULL
    //    21:d=5  hl=2 l=  20 prim:      OCTET STRING      [HEX DUMP]:FCE849C29523E7ECBC443402FC1871C28FE90351
    //    43:d=5  hl=2 l=  20 prim:      OCTET STRING      [HEX DUMP]:5B27AA5589179770E47575B162A1DED97B8BFC6D
    //    65:d=5  hl=2 l=   2 prim:      INTEGER           :0123
    //    69:d=2  hl=2 l=  23 cons:   cont [ 2 ]
    //    71:d=3  hl=2 l=  21 cons:    SEQUENCE
    //    73:d=4  hl=2 l=  19 cons:     SEQUENCE
    //    75:d=5  hl=2 l=   9 prim:      OBJECT            :OCSP Nonce
    //    86:d=5  hl=2 l=   6 prim:      OCTET STRING      [HEX DUMP]:040407070707
    assert_eq!(
        hex::encode(encode_request(&[&id], Some(&[7; 4]))),
        concat!(
            "305c305a303f303d303b",
            "300906052b0e03021a0500",
            "0414fce849c29523e7ecbc443402fc1871c28fe90351",
            "04145b27aa5589179770e47575b162a1ded97b8bfc6d",
            "02020123",
            "a2173015301306092b06010505073001020406040407070707",
        )
    );
    let answers = [Answer {
        this_update: Timestamp::UNIX_EPOCH,
        next_update: Timestamp::from_second(86_400).unwrap(),
        ..answer(
            &id,
            CertStatus::Revoked {
                at: Timestamp::UNIX_EPOCH,
                reason: RevocationReason::KeyCompromise,
            },
        )
    }];
    let plan = ResponsePlan {
        produced_at: Timestamp::UNIX_EPOCH,
        ..plan(&answers)
    };
    let issuer = IssuerFacts::self_signed(&subject, &key, SignatureAlgorithm::Ed25519).unwrap();
    //     0:d=0  hl=3 l= 166 cons: SEQUENCE
    //     3:d=1  hl=2 l=  22 cons:  cont [ 2 ]
    //     5:d=2  hl=2 l=  20 prim:   OCTET STRING      [HEX DUMP]:5B27AA5589179770E47575B162A1DED97B8BFC6D
    //    27:d=1  hl=2 l=  15 prim:  GENERALIZEDTIME   :19700101000000Z
    //    44:d=1  hl=2 l= 123 cons:  SEQUENCE
    //    46:d=2  hl=2 l= 121 cons:   SEQUENCE
    //    48:d=3  hl=2 l=  59 cons:    SEQUENCE
    //    50:d=4  hl=2 l=   9 cons:     SEQUENCE
    //    52:d=5  hl=2 l=   5 prim:      OBJECT            :sha1
    //    59:d=5  hl=2 l=   0 prim:      NULL
    //    61:d=4  hl=2 l=  20 prim:     OCTET STRING      [HEX DUMP]:FCE849C29523E7ECBC443402FC1871C28FE90351
    //    83:d=4  hl=2 l=  20 prim:     OCTET STRING      [HEX DUMP]:5B27AA5589179770E47575B162A1DED97B8BFC6D
    //   105:d=4  hl=2 l=   2 prim:     INTEGER           :0123
    //   109:d=3  hl=2 l=  22 cons:    cont [ 1 ]
    //   111:d=4  hl=2 l=  15 prim:     GENERALIZEDTIME   :19700101000000Z
    //   128:d=4  hl=2 l=   3 cons:     cont [ 0 ]
    //   130:d=5  hl=2 l=   1 prim:      ENUMERATED        :01
    //   133:d=3  hl=2 l=  15 prim:    GENERALIZEDTIME   :19700101000000Z
    //   150:d=3  hl=2 l=  17 cons:    cont [ 0 ]
    //   152:d=4  hl=2 l=  15 prim:     GENERALIZEDTIME   :19700102000000Z
    assert_eq!(
        hex::encode(plan.encode(&Responder::issuer(&issuer)).der()),
        concat!(
            "3081a6",
            "a21604145b27aa5589179770e47575b162a1ded97b8bfc6d",
            "180f31393730303130313030303030305a",
            "307b3079303b",
            "300906052b0e03021a0500",
            "0414fce849c29523e7ecbc443402fc1871c28fe90351",
            "04145b27aa5589179770e47575b162a1ded97b8bfc6d",
            "02020123",
            "a116180f31393730303130313030303030305aa0030a0101",
            "180f31393730303130313030303030305a",
            "a011180f31393730303130323030303030305a",
        )
    );
}

/// Writes one DER value around its contents.
fn der_of(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    crate::support::der(tag, parts)
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = OcspRequest::parse(&bytes, &RequestLimits::default());
        let _ = OcspResponse::parse(&bytes);
        let _ = CertId::from_der(&bytes);
        let _ = super::read::Data::parse(&bytes);
    }
}
