use super::*;
use crate::profile::{PlanRequest, Profile, ProfileConfig, ProfileKind};
use crate::support::{Authority, TestKey, der, now, serial};
use crate::tlv;

/// Issues a signer's certificate.
fn leaf(authority: &Authority) -> Certificate {
    let profile = Profile::built_in(ProfileKind::CodeSigning).unwrap();
    let (key, subject) = (TestKey::p256().public_key(), "CN=A".parse().unwrap());
    authority.issue(
        &profile,
        &PlanRequest::new(&key, &subject, serial(5), now()),
    )
}

/// A P-256 root.
fn root() -> Authority {
    Authority::root(TestKey::p256(), TestKey::p256().algorithm())
}

/// A CA below another, by changes to its profile.
fn below(authority: &Authority, config: &str) -> Authority {
    authority.subordinate(TestKey::p256(), &toml::from_str(config).unwrap())
}

/// Asks for a path now, for signing code.
fn find(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &[Certificate],
) -> Result<Chain, PathError> {
    find_path(
        leaf,
        &PathQuestion {
            intermediates,
            roots,
            at: now(),
            purpose: Some(ExtendedKeyUsage::CODE_SIGNING),
        },
    )
}

#[test]
fn a_path_is_found_among_others_in_any_order() {
    let (root, stranger) = (root(), root());
    let upper = below(&root, "path_length = 1");
    let lower = below(&upper, "");
    let other = below(&stranger, "");
    let leaf = leaf(&lower);
    let heap = [
        other.certificate.clone(),
        upper.certificate.clone(),
        leaf.clone(),
        root.certificate.clone(),
        lower.certificate.clone(),
    ];
    let roots = [stranger.certificate.clone(), root.certificate.clone()];
    let chain = find(&leaf, &heap, &roots).unwrap();
    let found: Vec<&[u8]> = chain.certificates().iter().map(Certificate::der).collect();
    assert_eq!(
        found,
        [
            leaf.der(),
            lower.certificate.der(),
            upper.certificate.der(),
            root.certificate.der()
        ]
    );
    // Any certificate that is trusted ends a path, were it the first one.
    let roots = [lower.certificate.clone()];
    assert_eq!(find(&leaf, &[], &roots).unwrap().certificates().len(), 2);
    let roots = [leaf.clone()];
    assert_eq!(find(&leaf, &[], &roots).unwrap().certificates().len(), 1);
}

#[test]
fn the_farthest_way_tells_what_is_missing() {
    let root = root();
    let issuing = below(&root, "");
    let leaf = leaf(&issuing);
    let (intermediate, roots) = ([issuing.certificate.clone()], [root.certificate.clone()]);
    assert_eq!(
        find(&leaf, &[], &roots).unwrap_err(),
        PathError::NoIssuer { place: 0 }
    );
    assert_eq!(
        find(&leaf, &intermediate, &[]).unwrap_err(),
        PathError::NoIssuer { place: 1 }
    );
    // A root of the same name that is another.
    let namesake = [self::root().certificate];
    assert_eq!(
        find(&leaf, &intermediate, &namesake).unwrap_err(),
        PathError::Chain(ChainError::Signature { place: 1 })
    );
    let both = [namesake[0].clone(), root.certificate];
    assert!(find(&leaf, &intermediate, &both).is_ok());
}

#[test]
fn every_certificate_is_valid_at_the_time() {
    let root = root();
    let issuing = below(&root, "validity = \"2d\"");
    let leaf = leaf(&issuing);
    let (intermediates, roots) = ([issuing.certificate.clone()], [root.certificate.clone()]);
    let at = |at: Timestamp| {
        find_path(
            &leaf,
            &PathQuestion {
                intermediates: &intermediates,
                roots: &roots,
                at,
                purpose: None,
            },
        )
    };
    let second = std::time::Duration::from_secs(1);
    let last = leaf.not_after();
    assert!(at(last).is_ok());
    let within = last + std::time::Duration::from_millis(999);
    assert!(at(within).is_ok(), "the last second counts to its end");
    assert!(matches!(
        at(last + second).unwrap_err(),
        PathError::NotValid { place: 0, .. }
    ));
    assert!(at(leaf.not_before()).is_ok());
    assert!(matches!(
        at(leaf.not_before() - second).unwrap_err(),
        PathError::NotValid { place: 0, .. }
    ));
}

#[test]
fn an_authority_that_has_run_out_leads_nowhere() {
    let root = root();
    let issuing = below(&root, "");
    let leaf = leaf(&issuing);
    let long = issuing.certificate;
    // The same name and key, certified for a day.
    let short = root.subordinate(issuing.key, &toml::from_str("validity = \"1d\"").unwrap());
    let roots = [root.certificate.clone()];
    let tomorrow = now() + std::time::Duration::from_secs(2 * 86_400);
    let by = |intermediates: &[Certificate], roots: &[Certificate]| {
        find_path(
            &leaf,
            &PathQuestion {
                intermediates,
                roots,
                at: tomorrow,
                purpose: None,
            },
        )
    };
    let short = short.certificate;
    assert!(matches!(
        by(std::slice::from_ref(&short), &roots).unwrap_err(),
        PathError::NotValid { place: 1, not_after, .. } if not_after == short.not_after()
    ));
    // Nor does being trusted help.
    assert!(matches!(
        by(&[], std::slice::from_ref(&short)).unwrap_err(),
        PathError::NotValid { place: 1, .. }
    ));
    assert!(by(&[short, long], &roots).is_ok());
}

#[test]
fn purposes_count_below_the_root() {
    let root = root();
    let wrong = below(&root, "extended_key_usages = [\"time-stamping\"]");
    let right = below(
        &root,
        "extended_key_usages = [\"code-signing\", \"time-stamping\"]",
    );
    let free = below(&root, "");
    let roots = [root.certificate.clone()];
    let purpose = ExtendedKeyUsage::CODE_SIGNING;
    let through = |authority: &Authority| {
        find(
            &leaf(authority),
            std::slice::from_ref(&authority.certificate),
            &roots,
        )
    };
    assert!(through(&right).is_ok());
    assert!(through(&free).is_ok());
    assert_eq!(
        through(&wrong).unwrap_err(),
        PathError::Purpose { place: 1, purpose }
    );
    // Who is trusted is trusted for it.
    assert!(find(&leaf(&wrong), &[], std::slice::from_ref(&wrong.certificate)).is_ok());
    // The first certificate must have it.
    assert_eq!(
        find(&free.certificate, &[], &roots).unwrap_err(),
        PathError::Purpose { place: 0, purpose }
    );
}

#[test]
fn what_breaks_a_chain_breaks_a_path() {
    let root = root();
    let free = below(&root, "");
    let profile = Profile::built_in(ProfileKind::CodeSigning).unwrap();
    let (key, subject) = (TestKey::p256().public_key(), "CN=A".parse().unwrap());
    let mut request = PlanRequest::new(&key, &subject, serial(5), now());
    let names = ["dns:example.com".parse().unwrap()];
    request.names = &names;
    // The free authority's name and key, constrained.
    let outside = free.issue(&profile, &request);
    let narrow = root.subordinate(
        free.key,
        &toml::from_str::<ProfileConfig>("name_constraints.permitted = [\"dns:example.org\"]")
            .unwrap(),
    );
    let roots = [root.certificate.clone()];
    assert_eq!(
        find(&outside, std::slice::from_ref(&narrow.certificate), &roots).unwrap_err(),
        PathError::Chain(ChainError::NameConstraints { place: 1 })
    );
    // Certified twice, once without constraints: that way leads on.
    let both = [narrow.certificate, free.certificate];
    assert!(find(&outside, &both, &roots).is_ok());
}

/// Signs a certificate again with other extensions.
pub(crate) fn sign_again(
    authority: &Authority,
    certificate: &Certificate,
    change: impl FnOnce(&mut Vec<Vec<u8>>),
) -> Certificate {
    let tbs = tlv::read_only(certificate.tbs_der(), tlv::SEQUENCE).unwrap();
    let mut fields = tbs.reader();
    let mut before = Vec::new();
    let mut list = loop {
        let field = fields.next().unwrap();
        if field.tag == tlv::context_constructed(3) {
            break field.reader().sequence().unwrap();
        }
        before.extend_from_slice(field.whole);
    };
    let mut extensions = Vec::new();
    while let Ok(extension) = list.next() {
        extensions.push(extension.whole.to_vec());
    }
    change(&mut extensions);
    let list = der(0x30, &[&extensions.concat()]);
    let tbs = der(0x30, &[&before, &der(0xa3, &[&list])]);
    let algorithm = authority.key.algorithm();
    let signature = authority.key.sign(algorithm, &tbs);
    let bits = der(0x03, &[&[0], &signature]);
    let whole = der(0x30, &[&tbs, algorithm.identifier_der(), &bits]);
    Certificate::from_der(&whole).unwrap()
}

/// Signs a certificate again with one more extension.
fn with_extension(
    authority: &Authority,
    certificate: &Certificate,
    extension: &[u8],
) -> Certificate {
    sign_again(authority, certificate, |extensions| {
        extensions.push(extension.to_vec());
    })
}

#[test]
fn an_unknown_critical_extension_stops_every_way() {
    let root = root();
    let leaf = leaf(&root);
    let roots = [root.certificate.clone()];
    // 1.2.3.4: critical, and not.
    let critical = b"\x30\x0c\x06\x03\x2a\x03\x04\x01\x01\xff\x04\x02\x05\x00";
    let free = b"\x30\x09\x06\x03\x2a\x03\x04\x04\x02\x05\x00";
    assert!(find(&with_extension(&root, &leaf, free), &[], &roots).is_ok());
    assert_eq!(
        find(&with_extension(&root, &leaf, critical), &[], &roots).unwrap_err(),
        PathError::CriticalExtension { place: 0 }
    );
    let issuing = below(&root, "");
    let odd = with_extension(&root, &issuing.certificate, critical);
    assert_eq!(
        find(&self::leaf(&issuing), &[odd], &roots).unwrap_err(),
        PathError::CriticalExtension { place: 1 }
    );
}

#[test]
fn crowds_of_namesakes_are_given_up() {
    let root = root();
    let crowd: Vec<Certificate> = (0..70).map(|_| self::root().certificate).collect();
    let leaf = leaf(&root);
    assert_eq!(find(&leaf, &[], &crowd).unwrap_err(), PathError::TooMany);
    assert!(find(&leaf, &crowd, &[root.certificate]).is_ok());
}
