//! What is taken as a CRL, and what is not.

use pki::crl::{CoveredKinds, IssuingPoint};

use super::*;
use crate::authority::{Authority, CrlSpec, issuing, later, serial};

const HOLD: RevocationReason = RevocationReason::CertificateHold;
const RELEASED: RevocationReason = RevocationReason::RemoveFromCrl;

/// Takes a CRL of the test's authority, an hour after the first was issued.
fn offer(
    authority: &Authority,
    held: Option<&Held>,
    scope: CrlScope,
    spec: &CrlSpec,
) -> Result<Taken, CrlRejected> {
    take(held, &authority.crl(spec), &wanted(authority, scope))
}

fn wanted(authority: &Authority, scope: CrlScope) -> Expectation<'_> {
    Expectation {
        issuer: Box::leak(Box::new(issuing())),
        certificate: &authority.certificate,
        role: WatchedRole::Clients,
        scope,
        now: later(3600),
        max_skew: Duration::from_secs(300),
    }
}

fn newer(taken: Result<Taken, CrlRejected>) -> Held {
    match taken {
        Ok(Taken::Newer(held)) => held,
        other => panic!("not taken: {other:?}"),
    }
}

#[test]
fn a_newer_crl_replaces_and_an_older_one_never() {
    let authority = Authority::new("a");
    let take = |held, spec: &CrlSpec| offer(&authority, held, CrlScope::Full, spec);
    let first = newer(take(None, &CrlSpec::full(7, &[serial(1)])));
    assert!(first.names(&serial(1)) && !first.names(&serial(2)));
    let same = take(Some(&first), &CrlSpec::full(7, &[serial(1)]));
    assert_eq!(same, Ok(Taken::Same));
    let next = CrlSpec::full(8, &[serial(2)]).at(later(60));
    let second = newer(take(Some(&first), &next));
    assert!(!second.names(&serial(1)) && second.names(&serial(2)));
    let back = take(Some(&second), &CrlSpec::full(7, &[]).at(later(120)));
    assert!(matches!(back, Err(CrlRejected::NumberWentBack { .. })));
    let reused = take(Some(&second), &CrlSpec::full(8, &[]).at(later(120)));
    assert!(matches!(reused, Err(CrlRejected::NumberReused { .. })));
}

#[test]
fn crls_of_others_of_the_future_and_garbage_are_rejected() {
    let (authority, other) = (Authority::new("a"), Authority::new("a"));
    let wanted = wanted(&authority, CrlScope::Full);
    let spec = CrlSpec::full(1, &[]);
    let foreign = take(None, &other.crl(&spec), &wanted);
    assert!(matches!(foreign, Err(CrlRejected::Untrusted(_))));
    let mut tampered = authority.crl(&spec);
    *tampered.last_mut().unwrap() ^= 1;
    assert!(take(None, &tampered, &wanted).is_err());
    let early = authority.crl(&CrlSpec::full(1, &[]).at(later(3600 + 301)));
    let early = take(None, &early, &wanted);
    assert!(matches!(early, Err(CrlRejected::Untrusted(_))));
    for garbage in [&b""[..], b"\x30\x80", b"<html>", &[0x30; 4096]] {
        assert!(matches!(
            take(None, garbage, &wanted),
            Err(CrlRejected::Malformed(_))
        ));
    }
}

#[test]
fn a_delta_adds_and_releases_until_a_complete_crl_comes() {
    let authority = Authority::new("a");
    let reason = RevocationReason::Superseded;
    let complete = newer(offer(
        &authority,
        None,
        CrlScope::Full,
        &CrlSpec::full(10, &[serial(1), serial(2)]),
    ));
    let spec = CrlSpec::delta(12, 10, &[(serial(3), reason), (serial(2), RELEASED)]);
    let held = newer(offer(&authority, Some(&complete), CrlScope::Delta, &spec));
    assert!(held.names(&serial(1)) && held.names(&serial(3)) && !held.names(&serial(2)));
    // The next delta is about the base again, not about the delta before.
    let spec = CrlSpec::delta(13, 10, &[(serial(3), reason), (serial(4), HOLD)]).at(later(60));
    let held = newer(offer(&authority, Some(&held), CrlScope::Delta, &spec));
    assert!(held.names(&serial(2)) && held.names(&serial(4)));
    assert_eq!(held.newest().number.to_u64(), Some(13));
    assert_eq!(held.fresh_until(), later(60 + 86_400));

    // A complete one in between keeps the delta, one behind it drops it.
    let spec = CrlSpec::full(12, &[serial(1), serial(3)]).at(later(30));
    let between = newer(offer(&authority, Some(&held), CrlScope::Full, &spec));
    assert!(between.names(&serial(4)));
    let spec = CrlSpec::full(14, &[serial(1)]).at(later(90));
    let behind = newer(offer(&authority, Some(&between), CrlScope::Full, &spec));
    assert!(behind.delta.is_none() && !behind.names(&serial(4)));
}

#[test]
fn a_delta_without_its_base_and_one_for_a_complete_crl_are_rejected() {
    let authority = Authority::new("a");
    let delta = CrlSpec::delta(12, 11, &[]);
    let alone = offer(&authority, None, CrlScope::Delta, &delta);
    assert!(matches!(alone, Err(CrlRejected::BaseNotHeld { .. })));
    let spec = CrlSpec::full(10, &[]);
    let complete = newer(offer(&authority, None, CrlScope::Full, &spec));
    let ahead = offer(&authority, Some(&complete), CrlScope::Delta, &delta);
    assert!(matches!(ahead, Err(CrlRejected::BaseNotHeld { .. })));
    let swapped = offer(&authority, Some(&complete), CrlScope::Full, &delta);
    assert!(matches!(swapped, Err(CrlRejected::Kind { .. })));
    let swapped = offer(&authority, Some(&complete), CrlScope::Delta, &spec);
    assert!(matches!(swapped, Err(CrlRejected::Kind { .. })));
    let old = CrlSpec::delta(10, 9, &[(serial(9), HOLD)]);
    let old = offer(&authority, Some(&complete), CrlScope::Delta, &old);
    assert_eq!(old, Ok(Taken::Same));
}

#[test]
fn a_crl_that_covers_other_certificates_is_rejected() {
    let authority = Authority::new("a");
    let point = |url: &str, only| {
        let urls = vec![url.to_owned()];
        CrlSpec {
            point: Some(IssuingPoint { urls, only }),
            ..CrlSpec::full(1, &[])
        }
    };
    let shard = point("http://x/crl/issuing-3.crl", CoveredKinds::All);
    let full = point("http://x/crl/issuing.crl", CoveredKinds::UserCertificates);
    let authorities = point("http://x/crl/issuing.crl", CoveredKinds::CaCertificates);
    for (scope, spec, taken) in [
        (CrlScope::Shard(3), &shard, true),
        (CrlScope::Shard(2), &shard, false),
        (CrlScope::Full, &shard, false),
        (CrlScope::Full, &full, true),
        (CrlScope::Full, &authorities, false),
        (CrlScope::Shard(3), &CrlSpec::full(1, &[]), false),
    ] {
        let outcome = offer(&authority, None, scope, spec);
        assert_eq!(outcome.is_ok(), taken, "{scope:?} {outcome:?}");
    }
}
