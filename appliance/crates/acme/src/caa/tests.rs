//! The examples of RFC 8659 and RFC 8657, and what DNS may do besides.

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use model::acme::ChallengeKind;
use pki::names::DnsName;
use proptest::prelude::*;

use super::*;
use crate::name_server::NameServer;

/// The account of RFC 8657's examples.
const ACCOUNT: &str = "https://example.net/account/1234";

/// One record.
fn record(critical: bool, tag: &str, value: &str) -> CaaRecord {
    CaaRecord {
        critical,
        tag: tag.into(),
        value: value.as_bytes().into(),
    }
}

/// Asks about a set, as the CA `ca1.example.net`.
fn judge(
    records: &[(bool, &str, &str)],
    wildcard: bool,
    kind: ChallengeKind,
) -> Result<(), CaaRefused> {
    let records: Vec<_> = records
        .iter()
        .map(|(critical, tag, value)| record(*critical, tag, value))
        .collect();
    evaluate(
        "certs.example.com",
        &records,
        &[DnsName::new("ca1.example.net").unwrap()],
        &CaaQuestion {
            name: "certs.example.com",
            wildcard,
            account_url: ACCOUNT,
            kind,
        },
    )
}

/// Tells whether a set lets a certificate be issued, by dns-01.
fn allows(records: &[(bool, &str, &str)], wildcard: bool) -> bool {
    judge(records, wildcard, ChallengeKind::Dns01).is_ok()
}

#[test]
fn issue_restricts_to_the_cas_it_names() {
    // RFC 8659, 4.2.
    let two = [
        (false, "issue", "ca1.example.net"),
        (false, "issue", "ca2.example.org"),
    ];
    assert!(allows(&two, false));
    assert!(!allows(&[(false, "issue", "ca2.example.org")], false));
    assert!(!allows(&[(false, "issue", ";")], false));
    assert!(!allows(&[(false, "issue", "")], false));
    // "%%%%%" is malformed and forbids everybody.
    assert!(!allows(&[(false, "issue", "%%%%%")], false));
    // A malformed one beside a good one takes nothing away.
    assert!(allows(
        &[
            (false, "issue", "%%%%%"),
            (false, "issue", "ca1.example.net")
        ],
        false
    ));
    assert!(allows(
        &[(false, "issue", "ca1.example.net; account=230123")],
        false
    ));
    assert!(allows(&[(false, "ISSUE", " CA1.example.net \t; ")], false));
    // Tags and domains that only look alike.
    assert!(!allows(
        &[(false, "issue", "ca1.example.net.evil.example")],
        false
    ));
    assert!(!allows(&[(false, "issue", "ca1.example.net.")], false));
}

#[test]
fn issuewild_takes_the_place_of_issue_for_wildcards_alone() {
    // RFC 8659, 4.3, the three examples.
    let wild = [
        (false, "issue", "ca1.example.net"),
        (false, "issuewild", "ca2.example.org"),
    ];
    assert!(allows(&wild, false) && !allows(&wild, true));
    let plain = [
        (false, "issue", "ca2.example.org"),
        (false, "issuewild", "ca1.example.net"),
    ];
    assert!(!allows(&plain, false) && allows(&plain, true));
    let none = [
        (false, "issue", "ca1.example.net"),
        (false, "issuewild", ";"),
    ];
    assert!(allows(&none, false) && !allows(&none, true));
    // Without issuewild, issue is for wildcards too; without issue, issuewild says
    // nothing of other names.
    assert!(!allows(&[(false, "issue", "ca2.example.org")], true));
    assert!(allows(&[(false, "issuewild", ";")], false));
}

#[test]
fn an_unknown_critical_property_forbids() {
    // RFC 8659, 4.5.
    let critical = [
        (false, "issue", "ca1.example.net"),
        (true, "tbs", "Unknown"),
    ];
    assert!(matches!(
        judge(&critical, false, ChallengeKind::Dns01),
        Err(CaaRefused::CriticalProperty { .. })
    ));
    assert!(allows(
        &[
            (false, "issue", "ca1.example.net"),
            (false, "tbs", "Unknown")
        ],
        false
    ));
    // Known properties may be critical.
    assert!(allows(
        &[
            (true, "issue", "ca1.example.net"),
            (true, "iodef", "mailto:a@b.test")
        ],
        false
    ));
    // Nothing but others does not restrict issuance.
    assert!(allows(&[(false, "iodef", "mailto:a@b.test")], false));
}

#[test]
fn accounturi_binds_to_accounts() {
    // RFC 8657, 3 and its examples.
    let property = |uri: &str| format!("ca1.example.net; accounturi={uri}");
    assert!(allows(&[(false, "issue", &property(ACCOUNT))], false));
    let other = property("https://example.net/account/2345");
    assert!(matches!(
        judge(&[(false, "issue", &other)], false, ChallengeKind::Dns01),
        Err(CaaRefused::OtherAccount { .. })
    ));
    assert!(allows(
        &[
            (false, "issue", &other),
            (false, "issue", &property(ACCOUNT))
        ],
        false
    ));
    // Several in one property are unsatisfiable.
    let twice = format!("ca1.example.net; accounturi={ACCOUNT}; accounturi={ACCOUNT}");
    assert!(!allows(&[(false, "issue", &twice)], false));
    assert!(!allows(
        &[(false, "issue", "ca1.example.net; accounturi=")],
        false
    ));
}

#[test]
fn validationmethods_bind_to_methods() {
    // RFC 8657, 4 and its examples.
    let by = |value: &str, kind| judge(&[(false, "issue", value)], false, kind);
    let dns = "ca1.example.net; validationmethods=dns-01";
    assert!(by(dns, ChallengeKind::Dns01).is_ok());
    assert!(matches!(
        by(dns, ChallengeKind::Http01),
        Err(CaaRefused::OtherMethod { .. })
    ));
    let list = "ca1.example.net; validationmethods=ca-foo,tls-alpn-01,http-01";
    assert!(by(list, ChallengeKind::TlsAlpn01).is_ok());
    assert!(by(list, ChallengeKind::Dns01).is_err());
    for malformed in [
        "ca1.example.net; validationmethods=",
        "ca1.example.net; validationmethods=dns-01,",
        "ca1.example.net; validationmethods=dns-01,dns_01",
        "ca1.example.net; validationmethods=dns-01; validationmethods=dns-01",
    ] {
        assert!(by(malformed, ChallengeKind::Dns01).is_err(), "{malformed}");
    }
    let both = format!("ca1.example.net; accounturi={ACCOUNT}; validationmethods=dns-01");
    assert!(by(&both, ChallengeKind::Dns01).is_ok());
}

/// Asks DNS as `ca1.example.net`, by http-01.
async fn check(server: &NameServer, name: &str) -> Result<(), CaaRefused> {
    checker(server, |_| {})
        .check(&CaaQuestion {
            name,
            wildcard: false,
            account_url: ACCOUNT,
            kind: ChallengeKind::Http01,
        })
        .await
}

/// A checker with a configuration.
fn checker(server: &NameServer, change: impl FnOnce(&mut CaaConfig)) -> CaaChecker {
    let mut config = CaaConfig {
        identities: vec!["ca1.example.net".to_owned()],
        ..CaaConfig::default()
    };
    change(&mut config);
    CaaChecker::new(server.resolver(), config.check().unwrap())
}

#[tokio::test]
async fn the_nearest_records_up_the_tree_count() {
    let server = NameServer::start().await;
    server.caa("example.com", false, "issue", "ca2.example.org");
    server.caa("ours.example.com", false, "issue", "ca1.example.net");
    assert_eq!(check(&server, "a.b.ours.example.com").await, Ok(()));
    let refused = check(&server, "theirs.example.com").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "CAA at example.com lets no certificate be issued here: none of its issue properties \
         names this CA (ca1.example.net); they say \"ca2.example.org\""
    );
    assert_eq!(refused.error_type(), ErrorType::Caa);
    // RFC 8659, 3: up to the top-level domain, and no further.
    assert_eq!(check(&server, "a.test").await, Ok(()));
    let asked = server.asked(RecordType::CAA);
    assert!(asked.contains(&"test".to_owned()) && !asked.contains(&String::new()));
}

#[tokio::test]
async fn an_alias_has_the_records_of_what_it_names() {
    let server = NameServer::start().await;
    server.alias("www.example.com", "host.elsewhere.test");
    server.caa("host.elsewhere.test", false, "issue", ";");
    // RFC 8659, 3: the target's parents are not climbed, the alias's are.
    server.alias("b.example.com", "other.elsewhere.test");
    server.address_records("other.elsewhere.test", &["192.0.2.1"]);
    server.caa("elsewhere.test", false, "issue", ";");
    assert!(check(&server, "www.example.com").await.is_err());
    assert_eq!(check(&server, "b.example.com").await, Ok(()));
}

#[tokio::test]
async fn a_failed_lookup_forbids_unless_a_nearer_answer_came() {
    let server = NameServer::start().await;
    server.error("example.com", ResponseCode::ServFail);
    server.caa("ours.example.com", false, "issue", "ca1.example.net");
    let refused = check(&server, "www.example.com").await.unwrap_err();
    assert!(matches!(refused, CaaRefused::Lookup { .. }));
    assert_eq!(refused.error_type(), ErrorType::Dns);
    assert_eq!(check(&server, "ours.example.com").await, Ok(()));
}

#[tokio::test]
async fn private_name_spaces_and_addresses_are_not_asked_for() {
    let server = NameServer::start().await;
    server.caa("internal", false, "issue", ";");
    let exempt = checker(&server, |config| {
        config.exempt = vec!["corp.internal".to_owned()]
    });
    assert!(!exempt.applies_to("a.corp.internal") && !exempt.applies_to("corp.internal"));
    assert!(exempt.applies_to("acorp.internal") && !exempt.applies_to("192.0.2.1"));
    let question = CaaQuestion {
        name: "a.corp.internal",
        wildcard: false,
        account_url: ACCOUNT,
        kind: ChallengeKind::Http01,
    };
    assert_eq!(exempt.check(&question).await, Ok(()));
    let off = checker(&server, |config| config.enabled = false);
    assert_eq!(off.check(&question).await, Ok(()));
    assert!(server.asked(RecordType::CAA).is_empty());
    assert!(checker(&server, |_| {}).check(&question).await.is_err());
}

proptest! {
    #[test]
    fn no_value_panics(value: Vec<u8>, tag in "\\PC*", wildcard: bool) {
        let records = [CaaRecord { critical: false, tag: tag.into(), value: value.into() }];
        let question = CaaQuestion {
            name: "a.test",
            wildcard,
            account_url: ACCOUNT,
            kind: ChallengeKind::Http01,
        };
        let _ = evaluate("a.test", &records, &[], &question);
    }

    #[test]
    fn with_an_issue_property_nobody_unnamed_is_allowed(value in "[a-z0-9.;= -]{0,40}") {
        prop_assume!(!value.contains("ca1.example.net"));
        prop_assert!(!allows(&[(false, "issue", &value)], false));
    }
}
