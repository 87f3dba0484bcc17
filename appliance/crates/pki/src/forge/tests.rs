//! Claims that can stand in a certificate, and claims that cannot.

use std::collections::HashSet;

use super::*;
use crate::support::forge_claims;

/// Replaces or adds one claim.
fn with(claim: ForgeClaim, value: &str) -> Result<ForgeClaims, InvalidForgeClaims> {
    let mut values: BTreeMap<ForgeClaim, String> = forge_claims().into();
    values.insert(claim, value.to_owned());
    ForgeClaims::new(values)
}

#[test]
fn names_and_identifiers_are_unique_and_found_again() {
    let mut seen = HashSet::new();
    for (place, claim) in ForgeClaim::ALL.into_iter().enumerate() {
        assert_eq!(claim.as_str().parse(), Ok(claim));
        assert_eq!(
            claim.oid().to_string(),
            format!("1.3.6.1.4.1.57264.1.{}", place + 8)
        );
        assert_eq!(ForgeClaim::from_oid(&claim.oid()), Some(claim));
        assert!(seen.insert(claim.as_str()));
    }
    assert_eq!(ForgeClaim::from_oid(&oid::KEY_USAGE), None);
    assert!("repository".parse::<ForgeClaim>().is_err());
}

#[test]
fn claims_print_and_read_as_a_json_object() {
    let claims = forge_claims();
    let json = toml::to_string(&claims).unwrap();
    assert!(json.contains("source_repository_uri = \"https://forge.example/acme/app\""));
    assert_eq!(toml::from_str::<ForgeClaims>(&json).unwrap(), claims);
    assert!(toml::from_str::<ForgeClaims>("issuer = 'https://forge.example'").is_err());
    assert!(toml::from_str::<ForgeClaims>(&format!("{json}\nother = 'x'")).is_err());
}

#[test]
fn what_cannot_stand_in_a_certificate_is_refused_by_name() {
    use ForgeClaim::{BuildSignerUri, BuildTrigger, Issuer, SourceRepositoryUri};
    let missing = |claim| {
        let mut values: BTreeMap<ForgeClaim, String> = forge_claims().into();
        values.remove(&claim);
        assert_eq!(
            ForgeClaims::new(values),
            Err(InvalidForgeClaims::Missing { claim })
        );
    };
    missing(Issuer);
    missing(BuildSignerUri);
    assert_eq!(
        with(BuildTrigger, ""),
        Err(InvalidForgeClaims::Length {
            claim: BuildTrigger,
            len: 0
        })
    );
    let long = "a".repeat(ForgeClaims::MAX_LEN + 1);
    assert!(with(BuildTrigger, &long).is_err());
    assert_eq!(
        with(BuildTrigger, "push\n"),
        Err(InvalidForgeClaims::ControlCharacter {
            claim: BuildTrigger
        })
    );
    for uri in [
        "acme/app",
        "spiffe://forge.example/acme",
        "javascript:alert(1)",
        "https:///acme",
        "https://forge.example/ä",
        "https://user@forge.example/acme",
    ] {
        let refused = with(SourceRepositoryUri, uri);
        assert_eq!(
            refused,
            Err(InvalidForgeClaims::Uri {
                claim: SourceRepositoryUri
            }),
            "{uri}"
        );
    }
    let twice = [
        (Issuer, "https://forge.example".to_owned()),
        (Issuer, "https://forge.example".to_owned()),
    ];
    assert_eq!(
        ForgeClaims::new(twice),
        Err(InvalidForgeClaims::Repeated { claim: Issuer })
    );
}
