//! `[[signing.oidc]]` that cannot be, and what it becomes where it can.

use model::signing::SigningProfileName;

use super::super::OidcConfigError;
use super::super::config::KeySource;
use super::exchange::{config, written};

/// Checks a section.
fn check(text: &str) -> Result<super::super::CheckedOidc, OidcConfigError> {
    let is_profile = |name: &SigningProfileName| matches!(name.as_str(), "release" | "nightly");
    config(text).check(&is_profile)
}

/// A section of a kind, with one rule.
fn section(kind: &str, more: &str, claims: &str) -> String {
    format!(
        "[[oidc]]\nname = 'one'\nkind = '{kind}'\nissuer = 'https://forge.example'\n\
         audiences = ['us']\n{more}\n[[oidc.rules]]\nname = 'all'\nsigner = 'ci'\n\
         profiles = ['release']\nclaims = {claims}\n"
    )
}

#[test]
fn the_forges_defaults_are_there() {
    let checked = check(&written("")).unwrap();
    let KeySource::Url(url) = &checked.issuers[0].keys else {
        panic!("no URL");
    };
    let expected = "https://token.actions.githubusercontent.com/.well-known/jwks";
    assert_eq!(url.as_str(), expected);
    let checked = check(&section("gitlab", "", "{ project_path = 'acme/app' }")).unwrap();
    let KeySource::Url(url) = &checked.issuers[0].keys else {
        panic!("no URL");
    };
    assert_eq!(url.as_str(), "https://forge.example/oauth/discovery/keys");
    assert!(check("oidc = []").unwrap().is_empty());
}

#[test]
fn what_cannot_be_is_refused_by_its_key() {
    let custom = "jwks_uri = 'https://forge.example/keys'\n\
                  claims = { build_signer_uri = 'https://forge.example/{workflow}' }";
    let fine = "{ sub = 'x' }";
    assert!(check(&section("custom", custom, fine)).is_ok());
    for (text, expected) in [
        (written("algorithms = []"), "`algorithms`"),
        (written("clock_skew = '6m'"), "`clock_skew`"),
        (written("max_lifetime = '25h'"), "`max_lifetime`"),
        (written("refresh = '1s'"), "`refresh`"),
        (written("jwks_uri = 'http://forge.example/k'"), "`jwks_uri`"),
        (
            written("jwks_uri = 'https://u:p@forge.example/k'"),
            "`jwks_uri`",
        ),
        (
            written("jwks_file = '/a'\njwks_uri = 'https://forge.example/k'"),
            "`jwks_file`",
        ),
        (written("server = 'http://github.com'"), "`server`"),
        (
            written("claims = { build_trigger = '{' }"),
            "`claims.build_trigger`",
        ),
        (written("claims = { build_signer_uri = '' }"), "`claims`"),
        (section("custom", "", fine), "`jwks_uri`"),
        (
            section("custom", "jwks_uri = 'https://forge.example/k'", fine),
            "`claims`",
        ),
        (
            section("custom", custom, fine)
                .replace("'https://forge.example'\n", "'forge.example'\n"),
            "`issuer`",
        ),
        (
            section("custom", custom, fine).replace("['us']", "[]"),
            "`audiences`",
        ),
        (
            section("custom", custom, fine).replace("'one'", "'One!'"),
            "`oidc.name`",
        ),
        (
            section("custom", custom, fine).replace("'release'", "'other'"),
            "no signing profile other",
        ),
        (section("custom", custom, "{ sub = '[' }"), "is no pattern"),
        (written("") + &written(""), "`oidc.name`"),
        (
            written("") + &written("").replace("'github'\nkind", "'again'\nkind"),
            "`issuer`",
        ),
    ] {
        let error = check(&text).expect_err(&text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn no_rule_lets_anyones_builds_sign() {
    for (kind, claims) in [
        ("github", "{}"),
        ("github", "{ ref = 'refs/heads/main' }"),
        ("github", "{ repository = '**' }"),
        ("github", "{ repository = '*/*' }"),
        ("github", "{ repository = [] }"),
        ("github", "{ repository = ['acme/app', '**'] }"),
        ("gitlab", "{ ref = 'main' }"),
        ("gitlab", "{ namespace_path = '*' }"),
    ] {
        let refused = check(&section(kind, "", claims)).unwrap_err();
        assert!(
            matches!(refused, OidcConfigError::Anyone { .. }),
            "{kind} {claims}: {refused}"
        );
    }
    for claims in ["{ repository = 'acme/*' }", "{ repository_owner_id = '7' }"] {
        assert!(check(&section("github", "", claims)).is_ok(), "{claims}");
    }
}

#[test]
fn unknown_keys_and_secret_algorithms_do_not_read() {
    for text in [
        written("audience = 'x'"),
        written("algorithms = ['HS256']"),
        written("algorithms = ['none']"),
        written("claims = { nonsense = 'x' }"),
    ] {
        /// The section.
        #[derive(serde::Deserialize)]
        struct Section {
            /// The issuers.
            #[allow(dead_code, reason = "read for its errors alone")]
            oidc: super::super::OidcConfig,
        }
        assert!(toml::from_str::<Section>(&text).is_err(), "{text}");
    }
}
