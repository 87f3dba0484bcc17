mod forge;

use std::time::Duration;

use model::{ProfileName, Timestamp};

use super::*;
use crate::certificate::Certificate;
use crate::name::DistinguishedName;
use crate::names::{AlternativeName, UriName};
use crate::public_key::KeyType;
use crate::support::{Authority, TestKey, now, serial};

/// Checks a profile written in TOML.
fn profile(name: &str, written: &str) -> Result<Profile, ProfileError> {
    let config: ProfileConfig = toml::from_str(written).unwrap();
    Profile::from_config(ProfileName::new(name).unwrap(), &config)
}

/// A CA on P-256 below a root, both made now.
fn authority() -> Authority {
    Authority::root(TestKey::p256(), TestKey::p256().algorithm())
        .subordinate(TestKey::p256(), &ProfileConfig::default())
}

/// What is asked of a profile in a test.
struct Ask<'a> {
    /// Subject as text.
    subject: &'a str,
    /// Names as text.
    names: &'a [&'a str],
    /// Changes to the request.
    change: fn(&mut PlanRequest<'_>),
}

/// Asks for a subject and names.
fn ask<'a>(subject: &'a str, names: &'a [&'a str]) -> Ask<'a> {
    Ask {
        subject,
        names,
        change: |_| {},
    }
}

impl Ask<'_> {
    /// Changes the request.
    fn with(self, change: fn(&mut PlanRequest<'_>)) -> Self {
        Self { change, ..self }
    }

    /// Issues, planning, linting and signing, for a P-256 key.
    fn of(&self, profile: &Profile, authority: &Authority) -> Result<Certificate, ProfileRefusal> {
        self.for_key(profile, authority, &TestKey::p256())
    }

    /// Issues for a key.
    fn for_key(
        &self,
        profile: &Profile,
        authority: &Authority,
        key: &TestKey,
    ) -> Result<Certificate, ProfileRefusal> {
        let key = key.public_key();
        let subject: DistinguishedName = self.subject.parse().unwrap();
        let names: Vec<AlternativeName> = self
            .names
            .iter()
            .map(|name| name.parse().unwrap())
            .collect();
        let mut request = PlanRequest::new(&key, &subject, serial(3), now());
        request.names = &names;
        (self.change)(&mut request);
        let planned = profile.plan(&request, &authority.facts)?;
        let linted = crate::lint::lint(planned, profile, &authority.facts).unwrap();
        Ok(crate::support::sign(linted, &authority.key))
    }
}

/// Returns the names of a certificate as text.
fn names(certificate: &Certificate) -> Vec<String> {
    certificate.facts().names
}

#[test]
fn every_built_in_profile_keeps_its_own_rules() {
    for kind in ProfileKind::ALL {
        let built_in = Profile::built_in(kind).unwrap();
        assert_eq!(built_in.name().as_str(), kind.as_str());
        // What is shown can be written back and means the same.
        let shown = toml::to_string(built_in.effective_config()).unwrap();
        let again = profile(kind.as_str(), &shown).unwrap();
        assert_eq!(again.effective_config(), built_in.effective_config());
    }
}

#[test]
fn unknown_keys_are_refused_and_missing_ones_defaulted() {
    assert!(toml::from_str::<ProfileConfig>("validty = \"1d\"").is_err());
    assert!(toml::from_str::<ProfileConfig>("names.wildcard = true").is_err());
    let changed = profile("tls-server", "validity = \"7d\"").unwrap();
    assert_eq!(changed.validity(), Duration::from_secs(7 * 86_400));
    assert_eq!(changed.max_validity, Duration::from_secs(398 * 86_400));
    assert!(matches!(
        profile("web", ""),
        Err(ProfileError::NoKind { .. })
    ));
    assert!(profile("web", "kind = \"tls-server\"").is_ok());
    assert!(matches!(
        profile("tls-server", "kind = \"code-signing\""),
        Err(ProfileError::OtherKind { .. })
    ));
}

#[test]
fn a_profile_cannot_promise_what_its_kind_forbids() {
    for (name, written, key) in [
        (
            "tls-server",
            "key_usages = [\"digital-signature\", \"key-cert-sign\"]",
            "key_usages",
        ),
        ("tls-server", "key_usages = []", "key_usages"),
        ("tls-server", "path_length = 1", "path_length"),
        (
            "tls-server",
            "extended_key_usages = [\"client-auth\"]",
            "extended_key_usages",
        ),
        (
            "tls-server",
            "extended_key_usages = [\"server-auth\", \"2.5.29.37.0\"]",
            "extended_key_usages",
        ),
        (
            "tls-server",
            "extended_key_usages = [\"server-auth\", \"ocsp-signing\"]",
            "extended_key_usages",
        ),
        ("tls-server", "ocsp_no_check = true", "ocsp_no_check"),
        ("tls-server", "validity = \"399d\"", "validity"),
        ("tls-server", "names.min = 0", "names.min"),
        (
            "tls-server",
            "names.allowed_domains = [\"*.example.org\"]",
            "names",
        ),
        (
            "tls-server",
            "name_constraints.permitted = [\"dns:a.org\"]",
            "name_constraints",
        ),
        (
            "tls-server",
            "policies = [{ oid = \"1.2.3\" }, { oid = \"1.2.3\" }]",
            "policies",
        ),
        ("tls-server", "policies = [{ oid = \"x\" }]", "policies"),
        ("tls-server", "rsa_min_bits = 1024", "rsa_min_bits"),
        ("tls-server", "keys = []", "keys"),
        ("tls-server", "backdate = \"30d\"", "backdate"),
        ("code-signing", "max_validity = \"461d\"", "max_validity"),
        ("code-signing", "must_staple = \"always\"", "must_staple"),
        (
            "time-stamping",
            "extended_key_usages_critical = false",
            "extended_key_usages",
        ),
        (
            "time-stamping",
            "extended_key_usages = [\"time-stamping\", \"code-signing\"]",
            "extended_key_usages",
        ),
        ("sub-ca", "key_usages = [\"crl-sign\"]", "key_usages"),
        ("sub-ca", "subject.require = []", "subject"),
        (
            "root-ca",
            "extended_key_usages = [\"server-auth\"]",
            "extended_key_usages",
        ),
    ] {
        match profile(name, written) {
            Err(ProfileError::Rule { key: found, .. }) => assert_eq!(found, key, "{written}"),
            other => panic!("{name}: {written}: {other:?}"),
        }
    }
    assert!(matches!(
        profile("tls-server", "subject.fixed = { C = \"Germany\" }"),
        Err(ProfileError::FixedAttribute { .. })
    ));
}

#[test]
fn the_common_name_becomes_one_of_the_names() {
    let (authority, profile) = (
        authority(),
        Profile::built_in(ProfileKind::TlsServer).unwrap(),
    );
    let issued = ask("CN=WWW.example.org,O=dropped", &["dns:example.org"])
        .of(&profile, &authority)
        .unwrap();
    assert_eq!(issued.facts().subject, "CN=www.example.org");
    assert_eq!(names(&issued), ["dns:www.example.org", "dns:example.org"]);
    let issued = ask("CN=192.0.2.7", &[]).of(&profile, &authority).unwrap();
    assert_eq!(names(&issued), ["ip:192.0.2.7"]);
    assert!(matches!(
        ask("CN=Our Web Server", &["dns:a.org"]).of(&profile, &authority),
        Err(ProfileRefusal::CommonNameNotAName { .. })
    ));
    let nameless = ask("", &["dns:a.org"]).of(&profile, &authority).unwrap();
    assert_eq!(nameless.facts().subject, "");
    assert_eq!(
        nameless.extensions().critical(crate::oid::SUBJECT_ALT_NAME),
        Some(true)
    );
    assert!(matches!(
        ask("", &[]).of(&profile, &authority),
        Err(ProfileRefusal::NameCount { count: 0, .. })
    ));
}

#[test]
fn name_rules_hold_for_wildcards_domains_and_addresses() {
    let authority = authority();
    let profile = profile(
        "tls-server",
        r#"
        names.allowed_domains = ["example.org", ".example.net"]
        names.forbidden_domains = ["secret.example.org"]
        names.allowed_addresses = ["192.0.2.0/24"]
        names.forbidden_addresses = ["192.0.2.255"]
        "#,
    )
    .unwrap();
    for name in [
        "dns:example.org",
        "dns:a.b.example.org",
        "dns:*.a.example.org",
        "dns:a.example.net",
        "dns:*.example.net",
        "ip:192.0.2.1",
    ] {
        assert!(ask("", &[name]).of(&profile, &authority).is_ok(), "{name}");
    }
    for name in [
        "dns:example.com",
        "dns:example.net",
        "dns:notexample.org",
        "dns:secret.example.org",
        "dns:a.secret.example.org",
        "dns:*.example.org",
        "ip:192.0.2.255",
        "ip:198.51.100.1",
        "ip:2001:db8::1",
        "email:a@example.org",
        "uri:https://example.org/",
    ] {
        assert!(
            matches!(
                ask("", &[name]).of(&profile, &authority),
                Err(ProfileRefusal::NameForbidden { .. })
            ),
            "{name}"
        );
    }
    let client = Profile::built_in(ProfileKind::TlsClient).unwrap();
    assert!(ask("", &["dns:*.a.org"]).of(&client, &authority).is_err());
}

#[test]
fn devices_are_certified_where_a_profile_has_their_kind_of_name() {
    let authority = authority();
    let device = "permanent-identifier:C02X/1.2.3.4";
    let devices = profile(
        "device",
        "kind = 'tls-client'\nnames.kinds = ['permanent-identifier']\nnames.min = 1",
    )
    .unwrap();
    let certificate = ask("CN=C02X", &[device]).of(&devices, &authority).unwrap();
    assert_eq!(names(&certificate), [device]);
    // SEQUENCE of one otherName: UTF8String and assigner.
    assert_eq!(
        hex::encode(
            certificate
                .extension_value(&crate::oid::SUBJECT_ALT_NAME)
                .unwrap()
        ),
        "301ba01906082b06010505070803a00d300b0c044330325806032a0304"
    );
    assert_eq!(certificate.extension_value(&crate::oid::TLS_FEATURE), None);
    for kind in ProfileKind::ALL {
        let built_in = Profile::built_in(kind).unwrap();
        let refused = built_in.check_names(&[device.parse().unwrap()]);
        assert!(
            matches!(refused, Err(ProfileRefusal::NameForbidden { .. })),
            "{kind}: {refused:?}"
        );
    }
}

#[test]
fn a_device_is_no_dns_name_whatever_it_is_called() {
    let authority = authority();
    let both = profile(
        "both",
        "kind = 'tls-server'\nnames.kinds = ['dns', 'permanent-identifier']",
    )
    .unwrap();
    let refused = ask(
        "CN=www.example.org",
        &["permanent-identifier:www.example.org"],
    )
    .of(&both, &authority);
    assert!(
        matches!(refused, Err(ProfileRefusal::CommonNameNotAName { .. })),
        "{refused:?}"
    );
    let named = ask(
        "CN=www.example.org",
        &["dns:www.example.org", "permanent-identifier:C02X"],
    );
    assert_eq!(
        names(&named.of(&both, &authority).unwrap()),
        ["dns:www.example.org", "permanent-identifier:C02X"]
    );
}

#[test]
fn nobody_gets_an_identity_by_asking_in_a_request() {
    let authority = authority();
    for kind in [
        ProfileKind::TlsClient,
        ProfileKind::TlsServer,
        ProfileKind::Service,
        ProfileKind::CodeSigning,
    ] {
        let profile = Profile::built_in(kind).unwrap();
        for uri in [
            "uri:spiffe://chancery.internal/operator/eve",
            "uri:SPIFFE://x/y",
        ] {
            assert!(
                matches!(
                    ask("CN=eve", &[uri]).with(grant).of(&profile, &authority),
                    Err(ProfileRefusal::IdentityInRequest { .. }
                        | ProfileRefusal::CommonNameNotAName { .. })
                ),
                "{kind} {uri}"
            );
        }
    }
    // Not even where URIs are let in by configuration.
    let open = profile("tls-client", "names.allowed_uri_prefixes = [\"spiffe://\"]").unwrap();
    assert!(matches!(
        ask("CN=eve", &["uri:spiffe://chancery.internal/operator/eve"]).of(&open, &authority),
        Err(ProfileRefusal::IdentityInRequest { .. })
    ));
}

/// Grants an identity.
fn grant(request: &mut PlanRequest<'_>) {
    request.identity = Some(UriName::new("spiffe://chancery.internal/operator/alice").unwrap());
}

#[test]
fn identities_are_certified_by_the_service_profile_alone() {
    let authority = authority();
    let service = Profile::built_in(ProfileKind::Service).unwrap();
    assert!(service.grants_identity());
    let issued = ask("CN=alice", &["dns:alice.example.org"])
        .with(grant)
        .of(&service, &authority)
        .unwrap();
    assert_eq!(
        names(&issued),
        [
            "dns:alice.example.org",
            "uri:spiffe://chancery.internal/operator/alice"
        ]
    );
    assert_eq!(
        ask("CN=alice", &[]).of(&service, &authority).unwrap_err(),
        ProfileRefusal::Identity { wanted: true }
    );
    let client = Profile::built_in(ProfileKind::TlsClient).unwrap();
    assert_eq!(
        ask("CN=alice", &[])
            .with(grant)
            .of(&client, &authority)
            .unwrap_err(),
        ProfileRefusal::Identity { wanted: false }
    );
    let https = |request: &mut PlanRequest<'_>| {
        request.identity = Some(UriName::new("https://a.org/").unwrap());
    };
    assert_eq!(
        ask("CN=alice", &[])
            .with(https)
            .of(&service, &authority)
            .unwrap_err(),
        ProfileRefusal::IdentityNotSpiffe
    );
}

#[test]
fn validity_counts_from_now_backdated_and_bounded() {
    let authority = authority();
    let profile = profile("tls-server", "max_validity = \"90d\"\nbackdate = \"1h\"").unwrap();
    let second = jiff::SignedDuration::from_secs(1);
    let names: &[&str] = &["dns:a.org"];
    let ten_days = ask("", names)
        .with(|request| request.validity = Some(Duration::from_secs(864_000)))
        .of(&profile, &authority)
        .unwrap();
    // The issuer was made now, so nothing is valid earlier than its notBefore.
    assert_eq!(ten_days.not_before(), authority.certificate.not_before());
    assert_eq!(
        ten_days.not_after(),
        now() + jiff::SignedDuration::from_hours(240) - second
    );
    // All of 90 days is given; back-dating gives way.
    let whole = ask("", names).of(&profile, &authority).unwrap();
    assert_eq!(whole.not_before(), now());
    assert_eq!(
        whole.not_after(),
        now() + jiff::SignedDuration::from_hours(90 * 24) - second
    );
    for seconds in [0, 59, 90 * 86_400 + 1] {
        let key = TestKey::p256().public_key();
        let subject = DistinguishedName::default();
        let names = ["dns:a.org".parse().unwrap()];
        let mut request = PlanRequest::new(&key, &subject, serial(3), now());
        request.names = &names;
        request.validity = Some(Duration::from_secs(seconds));
        assert!(matches!(
            profile.plan(&request, &authority.facts),
            Err(ProfileRefusal::Validity { .. })
        ));
    }
}

#[test]
fn nothing_outlives_its_issuer() {
    let authority = authority();
    let server = profile("tls-server", "").unwrap();
    let last = authority.certificate.not_after();
    let (first, names) = (
        authority.certificate.not_before(),
        ["dns:a.org".parse().unwrap()],
    );
    let key = TestKey::p256().public_key();
    let subject = DistinguishedName::default();
    let plan = |at: Timestamp, validity: Option<Duration>| {
        let mut request = PlanRequest::new(&key, &subject, serial(3), at);
        request.names = &names;
        request.validity = validity;
        let planned = server.plan(&request, &authority.facts)?;
        Ok(crate::lint::lint(planned, &server, &authority.facts)
            .unwrap()
            .facts()
            .not_after)
    };
    let late = last - jiff::SignedDuration::from_hours(24);
    // By default cut at the issuer's end; refused if asked for.
    assert_eq!(plan(late, None), Ok(last));
    assert!(matches!(
        plan(late, Some(Duration::from_secs(10 * 86_400))),
        Err(ProfileRefusal::BeyondIssuer { .. })
    ));
    for outside in [
        last + jiff::SignedDuration::from_secs(1),
        first - jiff::SignedDuration::from_secs(1),
    ] {
        assert!(matches!(
            plan(outside, None),
            Err(ProfileRefusal::IssuerNotValid { .. })
        ));
    }
}

#[test]
fn times_past_2049_are_generalized() {
    let root_profile = profile("root-ca", "validity = \"24y\"\nmax_validity = \"25y\"").unwrap();
    let key = TestKey::p256();
    let subject: DistinguishedName = "CN=Far Root".parse().unwrap();
    let facts =
        crate::issuer::IssuerFacts::self_signed(&subject, &key.public_key(), key.algorithm())
            .unwrap();
    let public_key = key.public_key();
    let request = PlanRequest::new(&public_key, &subject, serial(4), now());
    let linted = crate::lint::lint(
        root_profile.plan(&request, &facts).unwrap(),
        &root_profile,
        &facts,
    )
    .unwrap();
    let root = crate::support::sign(linted, &key);
    let time = jiff::tz::Offset::UTC.to_datetime(root.not_after());
    assert!(time.year() > 2049);
    let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
    let encoded = crate::support::der(0x18, &[text.as_bytes()]);
    assert!(
        root.der()
            .windows(encoded.len())
            .any(|window| window == encoded)
    );
}

#[test]
fn keys_are_of_the_kinds_and_sizes_the_profile_takes() {
    let authority = authority();
    let code = Profile::built_in(ProfileKind::CodeSigning).unwrap();
    let asked = ask("CN=Example Release", &[]);
    assert!(
        asked
            .for_key(&code, &authority, &TestKey::rsa3072())
            .is_ok()
    );
    let short = TestKey::rsa(aws_lc_rs::rsa::KeySize::Rsa2048);
    for key in [short, TestKey::ed25519(), TestKey::p521()] {
        match asked.for_key(&code, &authority, &key) {
            Err(ProfileRefusal::KeyForbidden { key_type, .. }) => {
                assert_eq!(key_type, key.public_key().key_type());
            }
            other => panic!("{other:?}"),
        }
    }
    let with_521 = profile("tls-server", "keys = [\"p521\"]").unwrap();
    let issued = ask("", &["dns:a.org"])
        .for_key(&with_521, &authority, &TestKey::p521())
        .unwrap();
    assert_eq!(issued.public_key().key_type(), KeyType::P521);
}

#[test]
fn encipherment_is_for_keys_that_encipher() {
    let authority = authority();
    let old = profile(
        "tls-server",
        "key_usages = [\"digital-signature\", \"key-encipherment\"]",
    )
    .unwrap();
    let usage = |key: &TestKey| {
        let issued = ask("", &["dns:a.org"])
            .for_key(&old, &authority, key)
            .unwrap();
        issued
            .extensions()
            .key_usage
            .unwrap()
            .contains(KeyUsage::KeyEncipherment)
    };
    assert!(usage(&TestKey::rsa3072()));
    assert!(!usage(&TestKey::p256()));
    assert!(!usage(&TestKey::ed25519()));
}

#[test]
fn leaf_profiles_never_make_a_ca_and_roots_sign_themselves() {
    let authority = authority();
    let server = Profile::built_in(ProfileKind::TlsServer).unwrap();
    assert_eq!(
        ask("", &["dns:a.org"])
            .with(|request| request.asks_for_ca = true)
            .of(&server, &authority)
            .unwrap_err(),
        ProfileRefusal::AsksToBeCa
    );
    let root = Profile::built_in(ProfileKind::RootCa).unwrap();
    assert_eq!(
        ask("CN=x", &[]).of(&root, &authority).unwrap_err(),
        ProfileRefusal::SelfSigned
    );
    // The issuing CA has path length 0: no CA below it.
    let sub = Profile::built_in(ProfileKind::SubCa).unwrap();
    assert_eq!(
        ask("CN=x", &[]).of(&sub, &authority).unwrap_err(),
        ProfileRefusal::PathLength
    );
}

#[test]
fn nobody_gets_the_issuers_own_name() {
    let authority = authority();
    let client = Profile::built_in(ProfileKind::TlsClient).unwrap();
    let name = authority.certificate.subject().to_string();
    assert_eq!(
        ask(&name, &[]).of(&client, &authority).unwrap_err(),
        ProfileRefusal::IssuersName
    );
}

#[test]
fn shards_staples_and_no_check_stand_where_they_should() {
    let authority = authority();
    let server = Profile::built_in(ProfileKind::TlsServer).unwrap();
    let issued = ask("", &["dns:a.org"])
        .with(|request| {
            request.crl_shard = Some(17);
            request.asks_for_must_staple = true;
        })
        .of(&server, &authority)
        .unwrap();
    assert_eq!(
        issued.extensions().crl,
        ["http://127.0.0.1:8080/crl/issuing-17.crl"]
    );
    assert_eq!(issued.extensions().tls_features, [5]);
    let responder = Profile::built_in(ProfileKind::OcspResponder).unwrap();
    let issued = ask("CN=OCSP 1", &[]).of(&responder, &authority).unwrap();
    let extensions = issued.extensions();
    assert!(extensions.ocsp_no_check && extensions.ocsp.is_empty() && extensions.crl.is_empty());
    assert_eq!(
        extensions.extended_key_usages,
        [ExtendedKeyUsage::OCSP_SIGNING]
    );
}

#[test]
fn fixed_attributes_and_constraints_bind_what_is_below() {
    let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let constrained: ProfileConfig =
        toml::from_str("name_constraints.permitted = [\"dns:example.org\"]").unwrap();
    let authority = root.subordinate(TestKey::p256(), &constrained);
    let server = profile(
        "tls-server",
        "subject.fixed = { O = \"Example\", C = \"DE\" }",
    )
    .unwrap();
    let issued = ask("CN=a.example.org,O=Other", &[])
        .of(&server, &authority)
        .unwrap();
    assert_eq!(issued.facts().subject, "CN=a.example.org,O=Example,C=DE");
    assert!(matches!(
        ask("", &["dns:a.example.com"]).of(&server, &authority),
        Err(ProfileRefusal::NameConstrained { .. })
    ));
}
