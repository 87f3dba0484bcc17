//! Certificates with a forge's claims: for minutes, and nothing of the request's in them.

use jiff::SignedDuration;

use super::*;
use crate::forge::ForgeClaims;
use crate::oid;
use crate::support::forge_claims;

/// Issues for a build, with names and a validity that its request asks for.
fn issue_for_build(
    profile: &Profile,
    claims: Option<&ForgeClaims>,
    names: &[&str],
    validity_s: Option<u64>,
) -> Result<Certificate, ProfileRefusal> {
    let (key, authority) = (TestKey::p256(), authority());
    let names: Vec<AlternativeName> = names.iter().map(|name| name.parse().unwrap()).collect();
    let subject = "CN=www.example.org,O=Ignored".parse().unwrap();
    let public_key = key.public_key();
    let mut request = PlanRequest::new(&public_key, &subject, serial(7), now());
    request.forge = claims;
    request.names = &names;
    request.validity = validity_s.map(Duration::from_secs);
    if profile.grants_identity() {
        request.identity = Some(UriName::new("spiffe://chancery.internal/signer/ci").unwrap());
    }
    let planned = profile.plan(&request, &authority.facts)?;
    let linted = crate::lint::lint(planned, profile, &authority.facts).unwrap();
    Ok(crate::support::sign(linted, &authority.key))
}

/// Both kinds.
fn kinds() -> [Profile; 2] {
    [ProfileKind::CiClient, ProfileKind::CodeSigningForge]
        .map(|kind| Profile::built_in(kind).unwrap())
}

#[test]
fn claims_stand_in_the_certificate_as_they_were_verified() {
    let claims = forge_claims();
    let [client, signer] = kinds();
    let certificate = issue_for_build(&client, Some(&claims), &[], None).unwrap();
    assert_eq!(certificate.extensions().forge.as_ref(), Some(&claims));
    assert!(certificate.subject().is_empty());
    assert_eq!(
        names(&certificate),
        ["uri:spiffe://chancery.internal/signer/ci"]
    );
    let certificate = issue_for_build(&signer, Some(&claims), &[], None).unwrap();
    assert_eq!(certificate.extensions().forge.as_ref(), Some(&claims));
    assert!(certificate.subject().is_empty());
    assert_eq!(
        names(&certificate),
        [format!("uri:{}", claims.build_signer_uri())]
    );
    let critical = certificate.extensions().critical(oid::SUBJECT_ALT_NAME);
    assert_eq!(critical, Some(true));
    assert_eq!(
        certificate.extensions().critical(oid::FORGE_ISSUER),
        Some(false)
    );
}

#[test]
fn claims_stand_nowhere_else_and_these_kinds_need_them() {
    let claims = forge_claims();
    for profile in kinds() {
        assert_eq!(
            issue_for_build(&profile, None, &[], None).unwrap_err(),
            ProfileRefusal::ForgeClaims { wanted: true }
        );
    }
    let others = ProfileKind::ALL
        .into_iter()
        .filter(|kind| !kind.carries_forge_claims() && !kind.is_ca());
    for kind in others {
        let names: &[&str] = match kind {
            ProfileKind::TlsServer => &["dns:www.example.org"],
            _ => &[],
        };
        let profile = Profile::built_in(kind).unwrap();
        assert_eq!(
            issue_for_build(&profile, Some(&claims), names, None).unwrap_err(),
            ProfileRefusal::ForgeClaims { wanted: false },
            "{kind}"
        );
        assert!(
            issue_for_build(&profile, None, names, None).is_ok(),
            "{kind}"
        );
    }
}

#[test]
fn they_last_ten_minutes_and_no_request_makes_it_more() {
    let claims = forge_claims();
    for profile in kinds() {
        let certificate = issue_for_build(&profile, Some(&claims), &[], None).unwrap();
        let (from, to) = (certificate.not_before(), certificate.not_after());
        assert_eq!(now().duration_since(from), SignedDuration::from_secs(60));
        assert_eq!(to.duration_since(now()), SignedDuration::from_secs(599));
        let longer = issue_for_build(&profile, Some(&claims), &[], Some(601));
        let refused = ProfileRefusal::Validity {
            asked_s: 601,
            max_s: 600,
        };
        assert_eq!(longer.unwrap_err(), refused);
        let shorter = issue_for_build(&profile, Some(&claims), &[], Some(120));
        assert!(shorter.is_ok());
    }
}

#[test]
fn names_of_the_request_are_refused() {
    let claims = forge_claims();
    for profile in kinds() {
        let asked = ["uri:https://forge.example/other"];
        let refused = issue_for_build(&profile, Some(&claims), &asked, None);
        assert!(matches!(
            refused,
            Err(ProfileRefusal::NameForbidden { .. } | ProfileRefusal::NameCount { .. })
        ));
    }
}

#[test]
fn no_configuration_makes_them_static() {
    for (written, key) in [
        ("validity = \"11m\"\nmax_validity = \"12m\"", "max_validity"),
        ("max_validity = \"1d\"", "max_validity"),
        ("backdate = \"6m\"", "backdate"),
        ("names.max = 1\nnames.kinds = [\"uri\"]", "names.max"),
        ("subject.keep = [\"CN\"]", "subject"),
        ("subject.fixed = { O = \"Example\" }", "subject"),
        (
            "extended_key_usages = [\"client-auth\", \"code-signing\"]",
            "extended_key_usages",
        ),
        ("extended_key_usages = []", "extended_key_usages"),
    ] {
        for name in ["ci-client", "code-signing-forge"] {
            match profile(name, written) {
                Err(ProfileError::Rule { key: found, .. }) => assert_eq!(found, key, "{written}"),
                other => panic!("{name} {written}: {other:?}"),
            }
        }
    }
    assert!(matches!(
        profile("sub-ca", "embed_sct = true"),
        Err(ProfileError::Rule {
            key: "embed_sct",
            ..
        })
    ));
}
