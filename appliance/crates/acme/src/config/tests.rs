//! `[acme]`: defaults that work, and refusals that name their key.

use super::*;

/// Reads `[acme]`.
fn read(text: &str) -> AcmeConfig {
    toml::from_str(text).unwrap()
}

#[test]
fn the_defaults_can_be_worked_with() {
    let checked = AcmeConfig::default().check().unwrap();
    assert!(checked.open.is_some() && checked.mesh.is_some());
    assert!(checked.torture.is_none());
    let text = toml::to_string(&AcmeConfig::default()).unwrap();
    assert_eq!(read(&text), AcmeConfig::default());
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    for (text, key) in [
        (
            "[open]\nlisten = \"127.0.0.1:1\"\nenabled = false\n[mesh]\nlisten = \"127.0.0.1:2\"\nenabled = false",
            "open",
        ),
        (
            "[open]\nlisten = \"127.0.0.1:1\"\nexternal_url = \"http://a\"",
            "open.external_url",
        ),
        ("terms_of_service = \"ftp://a\"", "terms_of_service"),
        ("default_profile = \"nobody\"", "default_profile"),
        ("[orders]\nlifetime = \"0s\"", "orders.lifetime"),
        ("[orders]\nmax_identifiers = 0", "orders.max_identifiers"),
        ("[nonces]\nwindow = 1", "nonces.window"),
        (
            "[torture]\nrefuse_nonces_percent = 100",
            "torture.refuse_nonces_percent",
        ),
    ] {
        let error = read(text).check().unwrap_err().to_string();
        assert!(error.contains(key), "{text}: {error}");
    }
}

#[test]
fn a_listener_keeps_its_port_whatever_else_is_written_of_it() {
    let text = "[open]\nexternal_url = \"https://a.example\"\n[mesh]\nenabled = true";
    let checked = read(text).check().unwrap();
    let port = |listener: Option<CheckedListener>| listener.unwrap().listener.listen.port();
    assert_eq!((port(checked.open), port(checked.mesh)), (8445, 8444));
}

#[test]
fn unknown_keys_are_refused() {
    assert!(toml::from_str::<AcmeConfig>("surprise = 1").is_err());
    assert!(toml::from_str::<AcmeConfig>("[orders]\nlifetimes = \"1h\"").is_err());
}
