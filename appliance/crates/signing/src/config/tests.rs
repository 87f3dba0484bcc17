//! `[signing]`: defaults that work, and refusals that name their key.

use super::*;

/// Reads `[signing]`.
fn read(text: &str) -> SigningConfig {
    toml::from_str(text).unwrap()
}

#[test]
fn the_defaults_can_be_worked_with() {
    let checked = SigningConfig::default().check().unwrap();
    let port = |listener: Option<CheckedListener>| listener.unwrap().listener.listen.port();
    assert_eq!((port(checked.mesh), port(checked.open)), (8446, 8448));
    assert_eq!(checked.keys["default"].key.as_str(), "signing-default");
    let text = toml::to_string(&SigningConfig::default()).unwrap();
    assert_eq!(read(&text), SigningConfig::default());
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    for (text, key) in [
        ("[mesh]\nenabled = false", "mesh"),
        ("[mesh]\nexternal_url = \"http://a\"", "mesh.external_url"),
        ("default_profile = \"nobody\"", "default_profile"),
        ("[keys]", "keys"),
        (
            "[keys.default]\nalgorithm = \"ed25519\"",
            "keys.default.algorithm",
        ),
        (
            "[keys.default]\nalgorithm = \"rsa2048\"",
            "keys.default.algorithm",
        ),
        ("[keys.default]\nuri = \"urn:x\"", "keys.default.uri"),
        ("[keys.default]\nkey = \"signing-tls\"", "signing-tls"),
        ("[timestamps]\npolicy = \"mine\"", "timestamps.policy"),
        ("[limits]\nsbom_bytes = 1", "limits.sbom_bytes"),
        (
            "[limits]\nevidence_memory_bytes = 4096",
            "limits.evidence_memory_bytes",
        ),
        ("[limits]\nupload_grace = \"0s\"", "limits.upload_grace"),
        ("[profiles.default]\nkey = \"none\"", "profiles.default.key"),
        (
            "[profiles.default]\nhashes = [\"sha512\"]",
            "profiles.default.hashes",
        ),
        (
            "[profiles.default]\nclients = [\"[\"]",
            "profiles.default.clients",
        ),
        (
            "[profiles.default]\nformats = [\"zip\"]",
            "profiles.default.formats",
        ),
        (
            "[profiles.default.sbom]\nformats = [\"csv\"]",
            "profiles.default.sbom.formats",
        ),
        (
            "[profiles.default.sbom]\nelements = [\"joy\"]",
            "profiles.default.sbom.elements",
        ),
        (
            "[profiles.default.provenance]\nminimum_level = 4",
            "provenance.minimum_level",
        ),
        (
            "[[profiles.default.provenance.builders]]\nid = \"x\"\nmaximum_level = 3",
            "provenance.builders.maximum_level",
        ),
        (
            "[timestamps]\nenabled = false\n[profiles.default]\nformats = [\"timestamp\"]",
            "profiles.default.formats",
        ),
    ] {
        let error = read(text).check().unwrap_err().to_string();
        assert!(error.contains(key), "{text}: {error}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    for text in [
        "surprise = 1",
        "[limits]\nsbom = 1",
        "[profiles.a.sbom]\nneeded = true",
    ] {
        assert!(toml::from_str::<SigningConfig>(text).is_err(), "{text}");
    }
}
