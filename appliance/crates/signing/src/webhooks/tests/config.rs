//! What is refused of a configuration, and how it is told.

use std::fmt::Write as _;

use super::house::Sections;

/// A configuration that is taken.
const GOOD: &str = "
[fetch.hosts.forge]
origin = 'https://forge.test'
[webhooks.hub]
kind = 'github'
secrets = ['env:A']
[webhooks.hub.rules.product]
profile = 'release'
events = ['release']
when = [{ pointer = '/action', equals = 'published' }]
[webhooks.hub.rules.product.artifacts]
checksums = 'SHA256SUMS'
[webhooks.hub.rules.product.reports.files]
kind = 'github-release'
token = 'env:B'
[notify.chat]
url = 'https://chat.test/hook'
secrets = ['env:C']
";

/// Says what is wrong with the good configuration after a change.
fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replace(from, to);
    match toml::from_str::<Sections>(&text) {
        Ok(sections) => match sections.check() {
            Ok(_) => panic!("{to} is taken"),
            Err(error) => error.to_string(),
        },
        Err(error) => error.message().to_owned(),
    }
}

#[test]
fn the_good_one_is_taken() {
    let checked = Sections::read(GOOD).check().unwrap();
    assert!(!checked.is_empty());
    assert!(Sections::default().check().unwrap().is_empty());
}

#[test]
fn refusals_name_the_section_and_the_key() {
    let mut told = String::new();
    for (from, to) in [
        ("profile = 'release'", "profile = 'nobodys'"),
        ("secrets = ['env:A']", "secrets = []"),
        ("secrets = ['env:A']", "secrets = ['hunter2hunter2hunter2']"),
        ("kind = 'github'\n", "kind = 'gitlab'\n"),
        ("kind = 'github'\n", "kind = 'generic'\n"),
        (
            "kind = 'github'\n",
            "kind = 'github'\nclients = ['nobody']\n",
        ),
        ("kind = 'github'\n", "kind = 'github'\nmax_body_bytes = 1\n"),
        ("events = ['release']", "events = []"),
        ("/action", "action"),
        ("/action", "/a~2"),
        (", equals = 'published'", ""),
        (", equals = 'published'", ", equals = 'a', matches = 'b'"),
        (", equals = 'published'", ", matches = '['"),
        ("checksums = 'SHA256SUMS'", "digest_from = []"),
        ("checksums = 'SHA256SUMS'", "digest_from = ['checksums']"),
        ("checksums = 'SHA256SUMS'", "digest_from = ['provenance']"),
        ("checksums = 'SHA256SUMS'", "max = 65"),
        (
            "checksums = 'SHA256SUMS'",
            "within = ['https://evil.test/a/']",
        ),
        (
            "checksums = 'SHA256SUMS'",
            "within = ['https://forge.test/a']",
        ),
        (
            "origin = 'https://forge.test'",
            "origin = 'http://forge.test'",
        ),
        (
            "origin = 'https://forge.test'",
            "origin = 'https://forge.test/a'",
        ),
        ("[fetch.hosts.forge]\norigin = 'https://forge.test'\n", ""),
        ("token = 'env:B'", ""),
        ("token = 'env:B'", "token = 'env:B'\nfiles = []"),
        ("kind = 'github-release'", "kind = 'gitlab-release'"),
        ("kind = 'github-release'", "kind = 'callback'"),
        (
            "kind = 'github-release'",
            "kind = 'github-release'\npackage = '../x'",
        ),
        ("https://chat.test/hook", "https://user:word@chat.test/"),
        ("secrets = ['env:C']", "secrets = ['env:C']\nevents = []"),
        (
            "secrets = ['env:C']",
            "secrets = ['env:C']\nevents = ['all']",
        ),
        ("[notify.chat]", "[notify.hub]"),
        ("webhooks.hub", "webhooks.events"),
        ("webhooks.hub", "webhooks.HUB"),
        ("[notify.chat]", "[delivery]\ntimeout = '0s'\n[notify.chat]"),
    ] {
        writeln!(told, "{}", refused(from, to)).unwrap();
    }
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told);
}
