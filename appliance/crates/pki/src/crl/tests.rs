//! CRLs made, judged, signed and read back.

use std::time::Duration;

use model::{RevocationReason, Timestamp};

use super::*;
use crate::support::{Authority, TestKey, now, serial};

/// Returns a time some seconds from now.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + seconds).unwrap()
}

/// A plan that begins now and lasts a day.
fn plan() -> CrlPlan {
    CrlPlan::full(CrlNumber::from(7), now(), at(86_400))
}

/// One entry for each number, revoked a minute ago.
fn entries(numbers: impl IntoIterator<Item = u8>) -> Vec<Box<[u8]>> {
    numbers
        .into_iter()
        .map(|number| {
            encode_entry(
                &serial(number),
                at(-60),
                RevocationReason::KeyCompromise,
                None,
            )
            .unwrap()
        })
        .collect()
}

/// Plans, lints, signs and assembles.
fn issue(plan: &CrlPlan, authority: &Authority, entries: &[Box<[u8]>]) -> Vec<u8> {
    let planned = plan
        .encode(&authority.facts, entries.iter().map(|entry| &**entry))
        .unwrap();
    let linted = lint(planned, plan, &authority.facts, now()).unwrap();
    let signature = authority
        .key
        .sign(linted.signature_algorithm(), linted.tbs_der());
    linted.assemble(&signature).unwrap()
}

/// A P-256 root.
fn authority() -> Authority {
    Authority::root(TestKey::p256(), TestKey::p256().algorithm())
}

#[test]
fn what_is_issued_is_read_back() {
    let authority = authority();
    let der = issue(&plan(), &authority, &entries(1..=9));
    let crl = Crl::parse(&der).unwrap();
    assert_eq!(crl.len(), 9);
    assert_eq!(crl.number(), Some(CrlNumber::from(7)));
    assert_eq!(crl.next_update(), Some(at(86_400)));
    crl.verify_issued_by(&authority.certificate).unwrap();
    crl.check_fresh(now(), Duration::ZERO).unwrap();
    let entry = crl.find(&serial(4)).unwrap();
    assert_eq!(entry.reason(), RevocationReason::KeyCompromise);
    assert_eq!(entry.serial(), serial(4));
    assert_eq!(crl.find(&serial(10)), None);
    assert_eq!(crl.entries().count(), 9);
}
