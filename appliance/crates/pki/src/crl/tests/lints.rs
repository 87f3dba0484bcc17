//! Each lint has a list that it alone objects to.

use super::*;

/// Plans, and says what the lint says after the bytes were changed.
fn judge(plan: &CrlPlan, authority: &Authority, entries: &[Box<[u8]>]) -> Vec<CrlLint> {
    let planned = plan
        .encode(&authority.facts, entries.iter().map(|entry| &**entry))
        .unwrap();
    findings(lint(planned, plan, &authority.facts, now()))
}

/// Takes the rules broken.
fn findings(result: Result<LintedCrl, CrlLintFindings>) -> Vec<CrlLint> {
    match result {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error.findings().iter().map(|found| found.lint).collect()
        }
    }
}

#[test]
fn each_entry_that_is_wrong_is_told_by_its_rule() {
    let authority = authority();
    let reason = |code: u8| extension(REASON, &[0x0a, 0x01, code]);
    let date = |text: &[u8]| extension(INVALIDITY, &der(0x18, &[text]));
    for (entry, rule) in [
        (
            odd_entry(PAST, &[reason(0)]),
            CrlLint::EntryReasonUnspecified,
        ),
        (odd_entry(PAST, &[reason(8)]), CrlLint::EntryReasonRemove),
        (
            odd_entry(b"\x18\x0f20240101000000Z", &[reason(1)]),
            CrlLint::EntryDateEncoding,
        ),
        (
            odd_entry(b"\x17\x0d490101000000Z", &[reason(1)]),
            CrlLint::EntryDate,
        ),
        (
            odd_entry(PAST, &[date(b"20240101000001Z")]),
            CrlLint::EntryInvalidityDate,
        ),
        (
            odd_entry(PAST, &[extension(&[0x06, 0x01, 0x2a], b"x")]),
            CrlLint::EntryExtensions,
        ),
    ] {
        assert_eq!(judge(&plan(), &authority, &[entry]), [rule]);
    }
    // The last second of a compromise may be that of the revocation.
    let same = odd_entry(PAST, &[date(b"20240101000000Z")]);
    assert_eq!(judge(&plan(), &authority, &[same]), []);
    let removed = odd_entry(PAST, &[reason(8)]);
    let mut delta = plan();
    delta.delta_base = Some(CrlNumber::from(6));
    assert_eq!(judge(&delta, &authority, &[removed]), []);
}

#[test]
fn each_plan_that_is_wrong_is_told_by_its_rule() {
    let authority = authority();
    type Change = fn(&mut CrlPlan);
    let wrong: [(Change, CrlLint); 8] = [
        (|plan| plan.this_update = at(60), CrlLint::TimeOrder),
        (|plan| plan.next_update = now(), CrlLint::TimeOrder),
        (
            |plan| plan.delta_base = Some(plan.number),
            CrlLint::DeltaBase,
        ),
        (
            |plan| plan.freshest = Some("ldap://a.example".to_owned()),
            CrlLint::FreshestCrl,
        ),
        (
            |plan| {
                plan.delta_base = Some(CrlNumber::from(1));
                plan.freshest = Some("http://a.example/d.crl".to_owned());
            },
            CrlLint::FreshestCrl,
        ),
        (
            |plan| {
                plan.issuing_point = Some(IssuingPoint {
                    urls: vec!["https://a.example/".to_owned()],
                    ..IssuingPoint::default()
                });
            },
            CrlLint::IssuingPoint,
        ),
        (
            |plan| plan.expired_certs_on_crl = Some(at(1)),
            CrlLint::ExpiredCerts,
        ),
        (
            |plan| plan.this_update = "2049-12-31T23:59:59Z".parse().unwrap(),
            CrlLint::TimeOrder,
        ),
    ];
    for (change, rule) in wrong {
        let mut plan = plan();
        change(&mut plan);
        assert_eq!(judge(&plan, &authority, &entries(1..4)), [rule]);
    }
    // An issuing distribution point that says nothing cannot even be read back.
    let mut plan = plan();
    plan.issuing_point = Some(IssuingPoint::default());
    let planned = plan.encode(&authority.facts, []).unwrap();
    assert!(matches!(
        lint(planned, &plan, &authority.facts, now()),
        Err(CrlLintFindings::Unreadable(_))
    ));
}

#[test]
fn each_promise_that_is_not_kept_is_told_by_its_rule() {
    let authority = authority();
    let promised = plan();
    let against = |change: fn(&mut CrlPlan, &mut IssuerFacts)| {
        let (mut plan, mut issuer) = (promised.clone(), authority.facts.clone());
        plan.freshest = Some("http://a.example/d.crl".to_owned());
        let planned = plan.encode(&issuer, []).unwrap();
        change(&mut plan, &mut issuer);
        findings(lint(planned, &plan, &issuer, now()))
    };
    assert_eq!(against(|_, _| {}), []);
    assert_eq!(
        against(|plan, _| plan.number = CrlNumber::from(8)),
        [CrlLint::Number]
    );
    assert_eq!(
        against(|plan, _| plan.delta_base = Some(CrlNumber::from(1))),
        [CrlLint::DeltaBase, CrlLint::FreshestCrl]
    );
    assert_eq!(
        against(|plan, _| plan.freshest = None),
        [CrlLint::FreshestCrl]
    );
    assert_eq!(
        against(|plan, _| plan.next_update = at(1)),
        [CrlLint::TimeOrder]
    );
    assert_eq!(
        against(|plan, _| plan.expired_certs_on_crl = Some(now())),
        [CrlLint::ExpiredCerts]
    );
    assert_eq!(
        against(|_, issuer| issuer.key_identifier = [7; 20]),
        [CrlLint::AuthorityKeyIdentifier]
    );
    assert_eq!(
        against(|_, issuer| issuer.may_sign_crls = false),
        [CrlLint::IssuerKeyUsage]
    );
    assert_eq!(
        against(|_, issuer| issuer.signature_algorithm =
            SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha512)),
        [CrlLint::SignatureAlgorithm]
    );
    assert_eq!(
        against(|_, issuer| issuer.subject_der = [0x30, 0x00].into()),
        [CrlLint::IssuerName]
    );
}

#[test]
fn a_serial_number_that_stands_twice_is_found_in_any_order() {
    let authority = authority();
    let twice = [CrlLint::EntryRepeated];
    assert_eq!(judge(&plan(), &authority, &entries([1, 2, 2])), twice);
    assert_eq!(judge(&plan(), &authority, &entries([2, 1, 2])), twice);
    assert_eq!(judge(&plan(), &authority, &entries([9, 3, 7, 1, 8])), []);
    let planned = plan()
        .encode(
            &authority.facts,
            entries([3, 1, 3]).iter().map(|entry| &**entry),
        )
        .unwrap();
    let refused = lint(planned, &plan(), &authority.facts, now()).unwrap_err();
    assert_eq!(refused.findings()[0].serial, Some(serial(3)));
}
