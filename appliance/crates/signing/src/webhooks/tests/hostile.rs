//! Messages of every shape: nothing panics, and nothing is planned that the rules do not
//! let be fetched.

use model::signing::WebhookName;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::house::Sections;
use crate::webhooks::CheckedHooks;

/// Webhooks with every kind of condition, and hosts that files are fetched from.
fn hooks() -> CheckedHooks {
    let text = "
[fetch.hosts.forge]
origin = 'https://forge.test'
[webhooks.hub]
kind = 'github'
secrets = ['env:A']
[webhooks.hub.rules.product]
profile = 'release'
events = ['release']
when = [
  { pointer = '/action', one_of = ['published', true, 7] },
  { pointer = '/release/tag_name', matches = 'v*' },
]
[webhooks.hub.rules.product.artifacts]
within = ['https://forge.test/files/']
sbom = '{name}.cdx.json'
digest_from = ['message']
[webhooks.other]
secrets = ['env:A']
[webhooks.other.rules.product]
profile = 'release'
events = ['published']
";
    Sections::read(text).check().unwrap()
}

/// Texts that mean something here, and any others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("published".to_owned()),
        Just("v1.0".to_owned()),
        Just("a.tar.gz".to_owned()),
        Just("a.tar.gz.cdx.json".to_owned()),
        Just("https://forge.test/files/a".to_owned()),
        Just("https://forge.test/files/../secret".to_owned()),
        Just("https://forge.test@evil.test/files/".to_owned()),
        Just("https://evil.test/files/a".to_owned()),
        Just(format!("sha256:{}", "0".repeat(64))),
        "https?://[a-z./@:0-9]{0,30}",
        "\\PC{0,20}",
    ]
}

/// A file as a message may name it.
fn file() -> impl Strategy<Value = Value> {
    (text(), text(), prop::option::of(text()))
        .prop_map(|(name, url, digest)| json!({ "name": name, "url": url, "digest": digest }))
}

/// A message that may start something.
fn message() -> impl Strategy<Value = Value> {
    let files = prop::collection::vec(file(), 0..5);
    (text(), text(), files).prop_map(|(action, tag, files)| {
        json!({
            "type": "published",
            "action": action,
            "release": { "tag_name": tag, "assets": files.clone() },
            "data": { "artifacts": files },
        })
    })
}

proptest! {
    #[test]
    fn no_octets_panic(body: Vec<u8>, event in "\\PC{0,20}") {
        let hooks = hooks();
        for name in ["hub", "other"] {
            let name = WebhookName::new(name).unwrap();
            let _ = hooks.preview(&name, Some(&event), &body);
            let _ = hooks.preview(&name, None, &body);
        }
    }

    #[test]
    fn only_files_of_the_rules_places_are_planned(message in message()) {
        let hooks = hooks();
        let body = message.to_string();
        for (name, event, place) in [
            ("hub", Some("release"), "https://forge.test/files/"),
            ("other", None, "https://forge.test/"),
        ] {
            let name = WebhookName::new(name).unwrap();
            match hooks.preview(&name, event, body.as_bytes()) {
                Ok(Some((rule, plan))) => {
                    prop_assert_eq!(rule.as_str(), "product");
                    let plan: Value = serde_json::from_str(&plan).unwrap();
                    for wanted in plan["artifacts"].as_array().unwrap() {
                        for url in [&wanted["url"], &wanted["sbom"]] {
                            let url = url.as_str().unwrap_or(place);
                            prop_assert!(url.starts_with(place), "{}", url);
                        }
                        prop_assert!(wanted["digest"].is_string());
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    let told = error.to_string();
                    prop_assert!(told.len() < 1000, "{}", told);
                    prop_assert!(!told.contains(char::is_control), "{}", told);
                }
            }
        }
    }
}
