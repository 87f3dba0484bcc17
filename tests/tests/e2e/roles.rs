//! What each role may do, over real connections.

use chancery_tests::{Appliance, Curl, Profile, Request};

/// Who is who, and what each call answers: `GET /certificates`, `/profiles`, `/status`.
const READS: [(&str, u16); 6] = [
    ("operator", 200),
    ("auditor", 200),
    ("service:acme", 200),
    ("service:signing", 200),
    ("enrol:acme", 403),
    ("signer", 403),
];

/// The profiles that each role may have certificates issued by.
const PROFILES: [(&str, &[Profile]); 6] = [
    ("operator", &Profile::LEAVES),
    ("auditor", &[]),
    ("service:acme", &[Profile::TlsServer]),
    (
        "service:signing",
        &[Profile::CodeSigning, Profile::TimeStamping],
    ),
    ("enrol:acme", &[]),
    ("signer", &[]),
];

#[test]
fn every_role_reads_what_it_may_and_nothing_else() {
    let ca = Appliance::start().unwrap();
    for (role, status) in READS {
        let name = role.replace(':', "-");
        let identity = ca.issue_identity(role, &format!("{name}-1")).unwrap();
        for target in ["/certificates", "/profiles", "/status"] {
            let reply = Curl::with(&identity).get(&ca.url(target)).unwrap();
            assert_eq!(reply.status, status, "{role} {target}: {reply}");
            if status == 403 {
                assert_eq!(
                    reply.problem().as_deref(),
                    Some("role-forbidden"),
                    "{reply}"
                );
            }
        }
    }
}

#[test]
fn every_role_uses_its_profiles_and_no_others() {
    let ca = Appliance::start().unwrap();
    for (role, allowed) in PROFILES {
        let name = role.replace(':', "-");
        let identity = ca.issue_identity(role, &format!("{name}-1")).unwrap();
        for profile in Profile::LEAVES {
            let request = match profile {
                Profile::TlsServer | Profile::TlsClient => Request::new("a.example.internal"),
                _ => Request::with(chancery_tests::KeyKind::P256, "/O=Example/CN=A", &[]),
            };
            let reply = Curl::with(&identity)
                .post_pem(&ca.sign_url(profile), request.unwrap().pem())
                .unwrap();
            let what = format!("{role} {}: {reply}", profile.name());
            if allowed.contains(&profile) {
                assert_eq!(reply.status, 201, "{what}");
            } else {
                assert_eq!(reply.status, 403, "{what}");
                let problem = reply.problem().unwrap();
                assert!(
                    problem == "role-forbidden" || problem == "profile-forbidden",
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn nobody_becomes_another_by_a_request() {
    let ca = Appliance::start().unwrap();
    let acme = ca.issue_identity("service:acme", "acme-1").unwrap();
    let uri = "URI:spiffe://chancery.internal/operator/mallory";
    let request = Request::with(chancery_tests::KeyKind::P256, "/CN=mallory", &[uri]).unwrap();
    for target in [
        "/sign?profile=service",
        "/sign?profile=service&identity=operator/mallory",
        "/sign?profile=service&identity=service:acme/acme-2",
        "/sign?profile=tls-server&identity=operator/mallory",
        "/sign?profile=tls-server",
        "/sign?profile=tls-client",
    ] {
        let reply = Curl::with(&acme)
            .post_pem(&ca.url(target), request.pem())
            .unwrap();
        assert!((400..500).contains(&reply.status), "{target}: {reply}");
    }
    // Not even the operator may certify another CA service.
    let plain = Request::with(chancery_tests::KeyKind::P256, "/CN=ca", &[]).unwrap();
    let target = "/sign?profile=service&identity=service:ca/mallory";
    let reply = ca.curl().post_pem(&ca.url(target), plain.pem()).unwrap();
    assert_eq!(
        reply.problem().as_deref(),
        Some("identity-forbidden"),
        "{reply}"
    );
}

#[test]
fn an_enrolment_identity_obtains_its_own_service_certificate_alone() {
    let ca = Appliance::start().unwrap();
    let enrol = ca.issue_identity("enrol:acme", "acme-1").unwrap();
    let request = Request::with(chancery_tests::KeyKind::P256, "/CN=acme-1", &[]).unwrap();
    let post = |target: &str| {
        Curl::with(&enrol)
            .post_pem(&ca.url(target), request.pem())
            .unwrap()
    };
    let reply = post("/sign?profile=service&identity=service:acme/acme-1");
    assert_eq!(reply.status, 201, "{reply}");
    for other in [
        "service:acme/acme-2",
        "service:signing/acme-1",
        "operator/acme-1",
    ] {
        let reply = post(&format!("/sign?profile=service&identity={other}"));
        assert_eq!(
            reply.problem().as_deref(),
            Some("identity-forbidden"),
            "{reply}"
        );
    }
}
