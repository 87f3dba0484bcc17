//! The rules, by configurations as operators write them.

use model::acme::{EabKeyId, Identifier};
use model::{Identity, ProfileName};

use super::*;

/// Reads a configuration.
fn policy(text: &str) -> Policy {
    config(text).check().unwrap()
}

/// Reads a configuration, unchecked.
fn config(text: &str) -> PolicyConfig {
    toml::from_str(text).unwrap()
}

/// Reads identifiers.
fn identifiers(texts: &[&str]) -> Vec<Identifier> {
    let read = |text: &&str| match text.parse() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::dns(text).unwrap(),
    };
    texts.iter().map(read).collect()
}

/// Asks for one identifier; says why it is refused.
fn ask(policy: &Policy, requester: &Requester<'_>, identifier: &str) -> Option<NameRefusal> {
    match policy.allows(requester, &identifiers(&[identifier]), None) {
        Ok(()) => None,
        Err(Refusal::Identifiers { refused }) => Some(refused[0].1),
        Err(other) => panic!("{other}"),
    }
}

/// Nobody in particular.
const ANYBODY: Requester<'_> = Requester {
    eab_key: None,
    eab_policy: None,
    peer: None,
};

#[test]
fn by_default_whatever_is_controlled_may_be_had() {
    let policy = policy("");
    for identifier in [
        "www.example.org",
        "*.example.org",
        "localhost",
        "10.0.0.1",
        "::1",
    ] {
        assert_eq!(ask(&policy, &ANYBODY, identifier), None, "{identifier}");
    }
}

#[test]
fn suffixes_end_at_labels_and_a_dot_leaves_what_is_below() {
    let policy = policy(
        "default = { suffixes = ['corp.internal', '.below.test'], names = ['one.test'], wildcards = true }",
    );
    for allowed in [
        "corp.internal",
        "a.corp.internal",
        "*.corp.internal",
        "a.below.test",
        "*.below.test",
        "one.test",
    ] {
        assert_eq!(ask(&policy, &ANYBODY, allowed), None, "{allowed}");
    }
    for refused in [
        "evilcorp.internal",
        "corp.internal.evil.test",
        "below.test",
        "a.one.test",
        "*.one.test",
        "internal",
    ] {
        assert_eq!(
            ask(&policy, &ANYBODY, refused),
            Some(NameRefusal::Name),
            "{refused}"
        );
    }
    assert_eq!(
        ask(&policy, &ANYBODY, "10.0.0.1"),
        Some(NameRefusal::Address)
    );
}

#[test]
fn wildcards_must_be_allowed_or_listed() {
    let policy = policy("default = { suffixes = ['corp.test'], names = ['*.apps.corp.test'] }");
    assert_eq!(ask(&policy, &ANYBODY, "a.corp.test"), None);
    assert_eq!(ask(&policy, &ANYBODY, "*.apps.corp.test"), None);
    assert_eq!(
        ask(&policy, &ANYBODY, "*.corp.test"),
        Some(NameRefusal::Wildcard)
    );
}

#[test]
fn networks_are_blocks_of_either_family() {
    let policy = policy("default = { networks = ['10.1.0.0/16', 'fd00::/8'] }");
    assert_eq!(ask(&policy, &ANYBODY, "10.1.2.3"), None);
    assert_eq!(ask(&policy, &ANYBODY, "fd12::1"), None);
    for refused in ["10.2.0.1", "2001:db8::1", "::ffff:10.1.2.3"] {
        assert_eq!(
            ask(&policy, &ANYBODY, refused),
            Some(NameRefusal::Address),
            "{refused}"
        );
    }
}

#[test]
fn blocked_names_are_refused_to_all_and_under_wildcards() {
    let policy = policy(
        "blocked = ['secret.corp.test', 'bank.test']\n[rules.root]\nclients = ['operator/root']\nany_name = true\nwildcards = true",
    );
    let root: Identity = "operator/root".parse().unwrap();
    let requester = Requester {
        peer: Some(&root),
        ..ANYBODY
    };
    for requester in [&ANYBODY, &requester] {
        for blocked in [
            "bank.test",
            "a.b.bank.test",
            "*.bank.test",
            "secret.corp.test",
        ] {
            assert_eq!(
                ask(&policy, requester, blocked),
                Some(NameRefusal::Blocked),
                "{blocked}"
            );
        }
        assert_eq!(
            ask(&policy, requester, "*.corp.test"),
            Some(NameRefusal::CoversBlocked)
        );
        for free in [
            "mybank.test",
            "public.corp.test",
            "*.public.corp.test",
            "*.test.example",
        ] {
            assert_eq!(ask(&policy, requester, free), None, "{free}");
        }
    }
}

#[test]
fn wildcards_for_a_whole_public_suffix_need_a_word() {
    let refused = policy("");
    for wildcard in ["*.com", "*.co.uk"] {
        assert_eq!(
            ask(&refused, &ANYBODY, wildcard),
            Some(NameRefusal::PublicSuffix)
        );
    }
    // Private name spaces are no public suffixes.
    assert_eq!(ask(&refused, &ANYBODY, "*.internal"), None);
    let allowed = policy("public_suffix_wildcards = true");
    assert_eq!(ask(&allowed, &ANYBODY, "*.co.uk"), None);
}

/// Two teams, each by another kind of name.
const TEAMS: &str = "
    default = { any_name = false, networks = [] }
    [rules.web]
    eab_keys = ['web-1', 'web-2']
    suffixes = ['web.test']
    profiles = ['tls-server']
    [rules.ops]
    clients = ['operator/alice']
    suffixes = ['ops.test', 'shared.test']
    wildcards = true
    [rules.short]
    eab_keys = ['web-1']
    suffixes = ['shared.test']
    profiles = ['short-lived']
";

#[test]
fn rules_apply_to_the_accounts_they_name() {
    let policy = policy(TEAMS);
    let web_1 = EabKeyId::new("web-1").unwrap();
    let other = EabKeyId::new("web-3").unwrap();
    let alice: Identity = "operator/alice".parse().unwrap();
    let bob: Identity = "operator/bob".parse().unwrap();
    let eab = |key| Requester {
        eab_key: Some(key),
        ..ANYBODY
    };
    let peer = |identity| Requester {
        peer: Some(identity),
        ..ANYBODY
    };
    let named = Requester {
        eab_policy: Some("ops"),
        ..eab(&other)
    };
    assert_eq!(ask(&policy, &eab(&web_1), "a.web.test"), None);
    assert_eq!(ask(&policy, &eab(&web_1), "a.shared.test"), None);
    assert_eq!(
        ask(&policy, &eab(&web_1), "a.ops.test"),
        Some(NameRefusal::Name)
    );
    assert_eq!(
        ask(&policy, &eab(&other), "a.web.test"),
        Some(NameRefusal::Name)
    );
    assert_eq!(ask(&policy, &peer(&alice), "*.ops.test"), None);
    assert_eq!(
        ask(&policy, &peer(&bob), "a.ops.test"),
        Some(NameRefusal::Name)
    );
    assert_eq!(ask(&policy, &named, "*.ops.test"), None);
    // Both at once: either rule serves.
    let both = Requester {
        peer: Some(&alice),
        ..eab(&web_1)
    };
    assert_eq!(ask(&policy, &both, "a.web.test"), None);
    assert_eq!(ask(&policy, &both, "a.ops.test"), None);
    assert_eq!(
        ask(&policy, &both, "*.web.test"),
        Some(NameRefusal::Wildcard)
    );
}

#[test]
fn a_name_needs_a_rule_that_has_the_profile_too() {
    let policy = policy(TEAMS);
    let web_1 = EabKeyId::new("web-1").unwrap();
    let requester = Requester {
        eab_key: Some(&web_1),
        ..ANYBODY
    };
    let profile = |name: &str| ProfileName::new(name).unwrap();
    let ask = |names: &[&str], name: &str| {
        policy.allows(&requester, &identifiers(names), Some(&profile(name)))
    };
    assert_eq!(ask(&["a.web.test"], "tls-server"), Ok(()));
    assert_eq!(ask(&["a.shared.test"], "short-lived"), Ok(()));
    let refused = ask(&["a.shared.test", "a.web.test"], "tls-server").unwrap_err();
    let shared = Identifier::dns("a.shared.test").unwrap();
    assert_eq!(
        refused,
        Refusal::Identifiers {
            refused: vec![(shared, NameRefusal::Profile)]
        }
    );
    let unknown = ask(&["a.web.test"], "code-signing").unwrap_err();
    assert_eq!(unknown.to_problem().kind(), ErrorType::InvalidProfile);
    let (server, short, code) = (
        profile("tls-server"),
        profile("short-lived"),
        profile("code-signing"),
    );
    assert_eq!(
        policy.profiles(&requester, [&server, &short, &code]),
        [&server, &short]
    );
}

#[test]
fn refusals_name_each_identifier() {
    let policy = policy("default = { suffixes = ['a.test'] }");
    let names = identifiers(&["x.a.test", "b.test", "192.0.2.1"]);
    let refusal = policy.allows(&ANYBODY, &names, None).unwrap_err();
    let problem = refusal.to_problem();
    assert_eq!(problem.kind(), ErrorType::RejectedIdentifier);
    let Refusal::Identifiers { refused } = refusal else {
        panic!("{refusal}");
    };
    let refused: Vec<_> = refused.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(refused, ["b.test", "192.0.2.1"]);
}

#[test]
fn configurations_that_cannot_be_meant_are_refused() {
    let refused = |text: &str| config(text).check().unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            refused("blocked = ['*.a.test']"),
            refused("default = { eab_keys = ['x'] }"),
            refused("[rules.web]\neab_keys = ['a']"),
            refused("[rules.web]\nany_name = true\neab_keys = ['a b']"),
            refused("[rules.web]\nany_name = true\nclients = ['alice']"),
            refused("[rules.web]\nsuffixes = ['a..b']"),
            refused("[rules.web]\nnames = ['a_b']"),
        ]
        .join("\n"),
        @r#"
        `blocked`: "*.a.test" is no DNS name
        `default` is for accounts that no rule names: write `eab_keys` and `clients` in a rule
        `rules.web` allows nothing: give it `any_name`, `names`, `suffixes`, `networks`, `any_device` or `devices`
        `rules.web.eab_keys`: "a b" is no EAB key's name
        `rules.web.clients`: "alice" is no identity; write ROLE/NAME, such as operator/alice
        `rules.web.suffixes`: "a..b" is no DNS name
        `rules.web.names`: "a_b" is no DNS name
        "#
    );
}

#[test]
fn registered_names_follow_the_public_suffix_list() {
    for (name, registered) in [
        ("www.example.com", "example.com"),
        ("*.a.b.example.co.uk", "example.co.uk"),
        ("host.corp.internal", "corp.internal"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
    ] {
        assert_eq!(&*registered_name(&identifiers(&[name])[0]), registered);
    }
}
