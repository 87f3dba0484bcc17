//! What one OCSP answer costs without the token.
//!
//! `cargo bench -p pki --bench ocsp`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use model::{RevocationReason, Timestamp};
use pki::name::DistinguishedName;
use pki::ocsp::{
    self, Answer, CertId, CertIdHash, CertStatus, IssuerHashes, OcspRequest, Question, ReadyAnswer,
    RequestLimits, Responder, ResponsePlan, SignedResponse,
};
use pki::profile::{PlanRequest, Profile, ProfileKind};
use support::{Authority, TestKey, now, serial};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A P-256 authority and its responder.
struct Stage {
    /// The authority.
    authority: Authority,
    /// Its hashes.
    hashes: IssuerHashes,
    /// The responder's key.
    key: TestKey,
    /// The responder.
    responder: Responder,
    /// The CertID of serial number 7.
    cert_id: Vec<u8>,
}

impl Stage {
    /// Sets it.
    fn new() -> Self {
        let key = TestKey::p256();
        let authority = Authority::root(TestKey::p256(), key.algorithm());
        let profile = Profile::built_in(ProfileKind::OcspResponder).unwrap();
        let subject: DistinguishedName = "CN=Example OCSP 1".parse().unwrap();
        let public_key = key.public_key();
        let request = PlanRequest::new(&public_key, &subject, serial(200), now());
        let certificate = authority.issue(&profile, &request);
        let issuer = &authority.certificate;
        let responder = Responder::delegated(&certificate, issuer, key.algorithm()).unwrap();
        let hashes = IssuerHashes::of(issuer);
        Self {
            cert_id: hashes.cert_id_der(CertIdHash::Sha1, &serial(7)),
            hashes,
            authority,
            key,
            responder,
        }
    }

    /// An answer for a day.
    fn answer(&self) -> Answer<'_> {
        Answer {
            cert_id: CertId::from_der(&self.cert_id).unwrap(),
            status: CertStatus::Revoked {
                at: now(),
                reason: RevocationReason::Superseded,
            },
            this_update: now(),
            next_update: Timestamp::from_second(now().as_second() + 86_400).unwrap(),
            archive_cutoff: None,
        }
    }

    /// Signs it.
    fn signed(&self) -> SignedResponse {
        let answers = [self.answer()];
        let plan = plan(&answers);
        let planned = plan.encode(&self.responder);
        let linted = ocsp::lint(planned, &self.responder, now()).unwrap();
        let signature = self.key.sign(linted.signature_algorithm(), linted.der());
        linted.assemble(&signature).unwrap()
    }

    /// Keeps it.
    fn ready(&self) -> ReadyAnswer {
        self.signed()
            .compact(&self.responder, &self.hashes)
            .unwrap()
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

/// Reads a request about one certificate, and tells whom it is about.
#[divan::bench]
fn parse_request(bencher: Bencher<'_, '_>) {
    let stage = Stage::new();
    let der = ocsp::encode_request(&[&stage.cert_id], Some(&[7; 32]));
    let limits = RequestLimits::default();
    bencher.bench(|| {
        let request = OcspRequest::parse(black_box(&der), &limits).unwrap();
        let cert_id = request.first();
        (stage.hashes.matches(&cert_id), cert_id.serial())
    });
}

/// Writes a response that was signed in advance.
#[divan::bench]
fn ready_response(bencher: Bencher<'_, '_>) {
    let stage = Stage::new();
    let (ready, serial) = (stage.ready(), serial(7));
    bencher.bench(|| black_box(&ready).to_der(&stage.responder, &stage.hashes, &serial));
}

/// Plans, lints and assembles a response; all but the signature.
#[divan::bench]
fn fresh_response(bencher: Bencher<'_, '_>) {
    let stage = Stage::new();
    let answers = [stage.answer()];
    let signature = stage.key.sign(stage.key.algorithm(), b"any");
    bencher.bench(|| {
        let planned = plan(&answers).encode(&stage.responder);
        let linted = ocsp::lint(planned, &stage.responder, now()).unwrap();
        let signed = linted.assemble(&signature).unwrap();
        signed.to_der(&stage.responder)
    });
}

/// Shrinks a response to be kept.
#[divan::bench]
fn compact(bencher: Bencher<'_, '_>) {
    let stage = Stage::new();
    let signed = stage.signed();
    bencher.bench(|| {
        black_box(&signed)
            .compact(&stage.responder, &stage.hashes)
            .unwrap()
    });
}

/// Verifies a response, its responder's certificate included, as a stapler does.
#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    let stage = Stage::new();
    let der = stage.signed().to_der(&stage.responder);
    bencher.bench(|| {
        let question = Question {
            serial: &serial(7),
            issuer: &stage.authority.certificate,
            nonce: None,
            now: now(),
            skew: Duration::ZERO,
        };
        ocsp::verify_response(black_box(&der), &question).unwrap()
    });
}
