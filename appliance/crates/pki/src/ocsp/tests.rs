//! Responses made, judged, signed and verified.

use std::time::Duration;

use model::{RevocationReason, Timestamp};

use super::*;
use crate::certificate::Certificate;
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
