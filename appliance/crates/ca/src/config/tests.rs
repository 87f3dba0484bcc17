//! Configurations that work and that do not.

use super::*;

/// Reads `[ca]`.
fn read(text: &str) -> Result<CaConfig, toml::de::Error> {
    toml::from_str(text)
}

/// Reads and checks `[ca]`.
fn check(text: &str) -> Result<CheckedCaConfig, ConfigError> {
    read(text).unwrap().check()
}

#[test]
fn every_key_has_a_default_that_works() {
    let config = check("").unwrap();
    assert_eq!(config.listen().port(), 8443);
    assert_eq!(config.profiles.len(), ProfileKind::ALL.len());
    assert_eq!(config.ceremony.root.key.as_str(), "ca-root");
    let urls = config.issuer_urls(&config.ceremony.issuing.id, false);
    assert_eq!(
        urls.crl.as_deref(),
        Some("http://127.0.0.1:8080/crl/issuing.crl")
    );
}

#[test]
fn unknown_keys_are_refused_at_every_depth() {
    for text in [
        "lisen = '127.0.0.1:1'",
        "[limits]\nworker = 1",
        "[issuance]\nmax = 1",
        "[ceremony]\nsub = 1",
        "[ceremony.root]\nalgorithmm = 'p256'",
        "[roles.operator]\ncall = []",
        "[roles.king]\ncalls = []",
        "[profiles.tls-server]\nkeyss = []",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn what_cannot_work_is_refused_by_its_key() {
    for (text, expected) in [
        ("server_names = []", "`server_names`"),
        ("server_names = ['no name']", "`server_names`"),
        ("distribution_url = 'ftp://a.example'", "`distribution_url`"),
        (
            "distribution_url = 'http://a.example/?x'",
            "`distribution_url`",
        ),
        ("default_profile = 'none'", "`default_profile`"),
        ("[limits]\nmax_requests = 0", "`limits`"),
        ("[issuance]\nmax_in_flight = 0", "`issuance.max_in_flight`"),
        ("[issuance]\nsign_timeout = '0s'", "`issuance.sign_timeout`"),
        (
            "[issuance]\nclock_tolerance = '-1s'",
            "`issuance.clock_tolerance`",
        ),
        (
            "[roles.operator]\nprofiles = ['none']",
            "`roles.\"operator\".profiles`",
        ),
        (
            "[roles.operator]\nprofiles = ['root-ca']",
            "`roles.\"operator\".profiles`",
        ),
        ("[profiles.mine]\n", "`profiles`"),
        (
            "[profiles.tls-server]\nissuer = 'root'",
            "`profiles.tls-server.issuer`",
        ),
        ("[ceremony.root]\nsubject = ''", "`ceremony.root.subject`"),
        (
            "[ceremony.root]\nsubject = 'nonsense'",
            "`ceremony.root.subject`",
        ),
        (
            "[ceremony.root]\nscheme = 'ed25519'",
            "`ceremony.root.scheme`",
        ),
        (
            "[ceremony.root]\npath_length = 0",
            "`ceremony.root.path_length`",
        ),
        (
            "[profiles.tls-server]\nembed_sct = true",
            "`profiles.tls-server.embed_sct`",
        ),
        (
            "[roles.operator]\nprofiles = ['ci-client']",
            "`roles.\"operator\".profiles`",
        ),
        (
            "[roles.operator.certifies]\nci-client = ['signer']",
            "`roles.\"operator\".certifies`",
        ),
        (
            "[roles.'service:signing'.certifies]\nci-client = ['operator']",
            "`roles.\"service:signing\".certifies`",
        ),
        (
            "[roles.'service:signing'.certifies]\nservice = ['signer']",
            "`roles.\"service:signing\".certifies`",
        ),
        ("[ceremony.root]\nid = 'issuing'", "`id`"),
        ("[ceremony.root]\nkey = 'ca-issuing'", "`key`"),
    ] {
        let error = check(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_profile_of_ones_own_is_there_and_granted_to_the_operator() {
    let config = check("[profiles.router]\nkind = 'tls-server'\nvalidity = '7d'").unwrap();
    let name = ProfileName::new("router").unwrap();
    assert!(config.profiles.contains_key(&name));
    assert!(config.grants.allows_profile(Role::Operator, &name));
    assert!(!config.grants.allows_profile(Role::ServiceAcme, &name));
}
