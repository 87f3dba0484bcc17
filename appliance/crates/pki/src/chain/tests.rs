use super::*;
use crate::name::DistinguishedName;
use crate::profile::{PlanRequest, Profile, ProfileConfig, ProfileKind};
use crate::support::{Authority, TestKey, now, serial};

/// Issues a server certificate.
fn leaf(authority: &Authority, name: &str) -> Certificate {
    let profile = Profile::built_in(ProfileKind::TlsServer).unwrap();
    let (key, subject) = (TestKey::p256().public_key(), DistinguishedName::default());
    let names = [name.parse().unwrap()];
    let mut request = PlanRequest::new(&key, &subject, serial(5), now());
    request.names = &names;
    authority.issue(&profile, &request)
}

/// A P-256 root.
fn root() -> Authority {
    Authority::root(TestKey::p256(), TestKey::p256().algorithm())
}

#[test]
fn leaf_issuing_and_root_are_a_chain_in_that_order() {
    let root = root();
    let issuing = root.subordinate(TestKey::p384(), &ProfileConfig::default());
    let leaf = leaf(&issuing, "dns:a.org");
    let (i, r) = (issuing.certificate.clone(), root.certificate.clone());
    let chain = Chain::new(vec![leaf.clone(), i.clone(), r.clone()]).unwrap();
    assert_eq!(chain.to_pem().matches("BEGIN CERTIFICATE").count(), 2);
    assert!(Chain::new(vec![leaf.clone(), i.clone()]).is_ok());
    assert!(Chain::new(vec![leaf.clone()]).is_ok());
    assert_eq!(Chain::new(vec![]).unwrap_err(), ChainError::Empty);
    assert_eq!(
        Chain::new(vec![leaf.clone(), r.clone(), i.clone()]).unwrap_err(),
        ChainError::Name { place: 0 }
    );
    assert_eq!(
        Chain::new(vec![i, leaf]).unwrap_err(),
        ChainError::Name { place: 0 }
    );
}

#[test]
fn namesakes_with_other_keys_are_told_apart() {
    let (one, other) = (root(), root());
    let leaf = leaf(&one, "dns:a.org");
    assert_eq!(
        Chain::new(vec![leaf, other.certificate]).unwrap_err(),
        ChainError::KeyIdentifier { place: 0 }
    );
}

#[test]
fn path_lengths_count_the_cas_between() {
    let root = root();
    let one: ProfileConfig = toml::from_str("path_length = 1").unwrap();
    let upper = root.subordinate(TestKey::p256(), &one);
    let lower = upper.subordinate(TestKey::p256(), &ProfileConfig::default());
    let leaf = leaf(&lower, "dns:a.org");
    let chain = vec![leaf, lower.certificate, upper.certificate, root.certificate];
    assert!(Chain::new(chain).is_ok());
    // An issuing CA that forgets its own path length of 0.
    let mut forgetful = root_below();
    forgetful.facts.path_length = None;
    let below = forgetful.subordinate(TestKey::p256(), &ProfileConfig::default());
    let leaf = self::leaf(&below, "dns:a.org");
    assert_eq!(
        Chain::new(vec![leaf, below.certificate, forgetful.certificate]).unwrap_err(),
        ChainError::PathLength { place: 2 }
    );
}

/// An issuing CA below a root of its own, path length 0.
fn root_below() -> Authority {
    root().subordinate(TestKey::p256(), &ProfileConfig::default())
}

#[test]
fn a_leaf_vouches_for_nobody() {
    let mut issuing = root_below();
    let profile = Profile::built_in(ProfileKind::CodeSigning).unwrap();
    let key = TestKey::p256();
    let (public_key, subject) = (key.public_key(), "CN=Eve".parse().unwrap());
    let request = PlanRequest::new(&public_key, &subject, serial(6), now());
    let eve = issuing.issue(&profile, &request);
    // Eve signs as if she were a CA.
    issuing.facts.subject_der = subject.to_der().into();
    issuing.facts.key_identifier = public_key.key_identifier();
    issuing.key = key;
    let forged = leaf(&issuing, "dns:a.org");
    assert_eq!(
        Chain::new(vec![forged, eve, issuing.certificate]).unwrap_err(),
        ChainError::NotACa { place: 1 }
    );
}

#[test]
fn names_outside_the_constraints_above_break_the_chain() {
    let root = root();
    let free = root.subordinate(TestKey::p256(), &ProfileConfig::default());
    let outside = leaf(&free, "dns:a.example.com");
    // The same CA certified again, now constrained: same name and key.
    let constrained: ProfileConfig =
        toml::from_str("name_constraints.permitted = [\"dns:example.org\"]").unwrap();
    let narrow = root.subordinate(free.key, &constrained);
    assert_eq!(
        Chain::new(vec![outside, narrow.certificate.clone()]).unwrap_err(),
        ChainError::NameConstraints { place: 1 }
    );
    let inside = leaf(&narrow, "dns:a.example.org");
    assert!(Chain::new(vec![inside, narrow.certificate, root.certificate]).is_ok());
}
