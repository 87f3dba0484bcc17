//! `[[signing.oidc]]`: issuers of tokens, and what their builds may do.

mod preset;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use jiff::SignedDuration;
use model::PeerName;
use model::signing::{RuleName, SigningProfileName};
use pki::forge::{ForgeClaim, ForgeClaims};
use serde::{Deserialize, Serialize};
use url::Url;

use super::rule::Rule;
use super::template::{InvalidTemplate, Template};

/// `[[signing.oidc]]`: the issuers whose tokens are taken; none by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OidcConfig(pub Vec<OidcIssuerConfig>);

/// One issuer, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcIssuerConfig {
    /// What it is called in logs and metrics: `github`.
    pub name: String,
    /// The issuer as its tokens have it (`iss`), an https URL.
    pub issuer: String,
    /// Whose tokens they are: sets the defaults of `server`, `jwks_uri`,
    /// `required_claims` and `claims`.
    #[serde(default)]
    pub kind: OidcKind,
    /// Where people see repositories; by default `https://github.com`, or the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// What tokens must be made for (`aud`): one of these.
    pub audiences: Vec<String>,
    /// Where the issuer publishes its keys, over https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Its keys in a file (JWK Set, RFC 7517), where they are not fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// How long fetched keys are used before they are fetched again.
    #[serde(default = "default_refresh")]
    pub refresh: SignedDuration,
    /// The algorithms by which tokens may be signed.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<JwsAlgorithm>,
    /// How far the issuer's clock may be from ours.
    #[serde(default = "default_clock_skew")]
    pub clock_skew: SignedDuration,
    /// Longest life of a token, from `iat` to `exp`.
    #[serde(default = "default_max_lifetime")]
    pub max_lifetime: SignedDuration,
    /// Claims without which no token is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_claims: Option<Vec<String>>,
    /// What certificates say of a build, from the token's claims in braces:
    /// `{ build_signer_uri = "https://forge.example/{workflow_ref}" }`. Lays itself over
    /// the defaults of the kind; an empty text leaves one out.
    #[serde(default)]
    pub claims: BTreeMap<ForgeClaim, String>,
    /// Whose builds may sign; the first that matches counts.
    #[serde(default)]
    pub rules: Vec<OidcRuleConfig>,
}

/// Whose tokens an issuer makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OidcKind {
    /// GitHub Actions.
    Github,
    /// GitLab CI/CD.
    Gitlab,
    /// Another's: everything is written out.
    #[default]
    Custom,
}

/// How tokens may be signed. There is no `none` and no HMAC to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum JwsAlgorithm {
    /// RSA PKCS#1 with SHA-256 (RFC 7518, 3.3).
    RS256,
    /// RSA PKCS#1 with SHA-384.
    RS384,
    /// RSA PKCS#1 with SHA-512.
    RS512,
    /// RSA PSS with SHA-256 (RFC 7518, 3.5).
    PS256,
    /// RSA PSS with SHA-384.
    PS384,
    /// RSA PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256 (RFC 7518, 3.4).
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519 (RFC 8037, 3.1).
    EdDSA,
}

/// One rule, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcRuleConfig {
    /// Its name in logs.
    pub name: RuleName,
    /// The signer that matching builds become: `signer/NAME`.
    pub signer: PeerName,
    /// The signing profiles they may use.
    pub profiles: BTreeSet<SigningProfileName>,
    /// What each claim must be: a value, or a pattern in which `*` and `?` stand for
    /// anything but slashes and `**` for anything; or several of those.
    pub claims: BTreeMap<String, Values>,
}

/// One value, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// Any of these.
    Any(Vec<String>),
}

/// An hour.
fn default_refresh() -> SignedDuration {
    SignedDuration::from_hours(1)
}

/// What forges sign by.
fn default_algorithms() -> Vec<JwsAlgorithm> {
    vec![JwsAlgorithm::RS256, JwsAlgorithm::ES256]
}

/// Half a minute.
fn default_clock_skew() -> SignedDuration {
    SignedDuration::from_secs(30)
}

/// An hour.
fn default_max_lifetime() -> SignedDuration {
    SignedDuration::from_hours(1)
}

impl JwsAlgorithm {
    /// Every algorithm.
    pub(crate) const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// Returns the name in a token's header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Finds an algorithm by its name in a token's header, exactly.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }
}

/// Why `[[signing.oidc]]` cannot be worked with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcConfigError {
    /// A name that is none, or another's.
    #[error(
        "`oidc.name`: {name:?} is not 1 to 32 lower-case letters, digits and hyphens of its own"
    )]
    Name {
        /// The text given, cut at 40 characters.
        name: String,
    },
    /// A value that cannot be.
    #[error("`oidc` {name}: `{key}` {rule}")]
    Rule {
        /// The issuer's name.
        name: String,
        /// The key.
        key: &'static str,
        /// What it must be, as the rest of a sentence.
        rule: &'static str,
    },
    /// A template that is none.
    #[error("`oidc` {name}: `claims.{claim}`: {source}")]
    Template {
        /// The issuer's name.
        name: String,
        /// The claim.
        claim: ForgeClaim,
        /// Why.
        source: InvalidTemplate,
    },
    /// A rule whose profile is not there.
    #[error("`oidc` {name}: rule {rule}: there is no signing profile {profile}")]
    Profile {
        /// The issuer's name.
        name: String,
        /// The rule.
        rule: RuleName,
        /// The profile.
        profile: SigningProfileName,
    },
    /// A pattern that is none.
    #[error("`oidc` {name}: rule {rule}: `claims.{claim}`: {given:?} is no pattern: {source}")]
    Pattern {
        /// The issuer's name.
        name: String,
        /// The rule.
        rule: RuleName,
        /// The claim, cut at 80 characters.
        claim: String,
        /// The text given, cut at 80 characters.
        given: String,
        /// Why.
        source: Box<globset::Error>,
    },
    /// A rule under which anyone's builds would sign.
    #[error(
        "`oidc` {name}: rule {rule} would let anyone's builds sign: it must hold one of {} to a \
         value", anchors.join(", ")
    )]
    Anyone {
        /// The issuer's name.
        name: String,
        /// The rule.
        rule: RuleName,
        /// The claims of which one is needed.
        anchors: &'static [&'static str],
    },
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url(Url),
}

/// One issuer, found sound.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    /// What it is called in logs and metrics.
    pub(crate) name: String,
    /// The issuer as its tokens have it.
    pub(crate) issuer: String,
    /// What tokens must be made for.
    pub(crate) audiences: Vec<String>,
    /// Where its keys are.
    pub(crate) keys: KeySource,
    /// How long fetched keys are used before they are fetched again.
    pub(crate) refresh: Duration,
    /// How tokens may be signed.
    pub(crate) algorithms: Vec<JwsAlgorithm>,
    /// How far its clock may be from ours.
    pub(crate) clock_skew: SignedDuration,
    /// Longest life of a token.
    pub(crate) max_lifetime: SignedDuration,
    /// Claims without which no token is taken.
    pub(crate) required_claims: Vec<String>,
    /// What certificates say of a build.
    pub(crate) claims: BTreeMap<ForgeClaim, Template>,
    /// Whose builds may sign.
    pub(crate) rules: Vec<Rule>,
}

/// `[[signing.oidc]]`, found sound.
#[derive(Debug, Clone, Default)]
pub struct CheckedOidc {
    /// The issuers.
    pub(crate) issuers: Vec<Issuer>,
}

impl CheckedOidc {
    /// Tells whether no tokens are taken at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Tells whether a signer that was enrolled by a token may use a signing profile:
    /// a rule of that token's issuer makes that signer, and names the profile.
    ///
    /// A profile's own rules come besides.
    #[must_use]
    pub fn allows(
        &self,
        signer: &PeerName,
        claims: &ForgeClaims,
        profile: &SigningProfileName,
    ) -> bool {
        self.issuers
            .iter()
            .filter(|issuer| issuer.issuer == claims.issuer())
            .flat_map(|issuer| &issuer.rules)
            .any(|rule| rule.signer == *signer && rule.profiles.contains(profile))
    }
}

impl OidcConfig {
    /// Checks the issuers; `is_profile` tells which signing profiles there are.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(
        &self,
        is_profile: &dyn Fn(&SigningProfileName) -> bool,
    ) -> Result<CheckedOidc, OidcConfigError> {
        let mut issuers: Vec<Issuer> = Vec::with_capacity(self.0.len());
        for written in &self.0 {
            let issuer = written.check(is_profile)?;
            if issuers.iter().any(|before| before.name == issuer.name) {
                return Err(OidcConfigError::Name { name: issuer.name });
            }
            if issuers.iter().any(|before| before.issuer == issuer.issuer) {
                return Err(written.refuse("issuer", "must not be another one's too"));
            }
            issuers.push(issuer);
        }
        Ok(CheckedOidc { issuers })
    }
}

impl OidcIssuerConfig {
    /// States what is wrong with a key.
    fn refuse(&self, key: &'static str, rule: &'static str) -> OidcConfigError {
        OidcConfigError::Rule {
            name: self.name.clone(),
            key,
            rule,
        }
    }

    /// Checks one issuer.
    fn check(
        &self,
        is_profile: &dyn Fn(&SigningProfileName) -> bool,
    ) -> Result<Issuer, OidcConfigError> {
        let spelled =
            |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        if !(1..=32).contains(&self.name.len()) || !self.name.bytes().all(spelled) {
            return Err(OidcConfigError::Name {
                name: self.name.chars().take(40).collect(),
            });
        }
        let require = |holds: bool, key, rule| {
            if holds {
                Ok(())
            } else {
                Err(self.refuse(key, rule))
            }
        };
        require(
            is_plain_https(&self.issuer),
            "issuer",
            "must be an https URL without query and fragment, exactly as tokens have it",
        )?;
        let fits = |text: &String| !text.is_empty() && text.len() <= 512;
        require(
            !self.audiences.is_empty() && self.audiences.iter().all(fits),
            "audiences",
            "must name what tokens are made for: a text that no other service takes",
        )?;
        require(
            !self.algorithms.is_empty(),
            "algorithms",
            "must name at least one",
        )?;
        require(
            !self.clock_skew.is_negative() && self.clock_skew <= SignedDuration::from_mins(5),
            "clock_skew",
            "must be at most 5 minutes",
        )?;
        require(
            self.max_lifetime.is_positive() && self.max_lifetime <= SignedDuration::from_hours(24),
            "max_lifetime",
            "must be longer than nothing and at most a day",
        )?;
        require(
            self.refresh >= SignedDuration::from_mins(1)
                && self.refresh <= SignedDuration::from_hours(24),
            "refresh",
            "must be between a minute and a day",
        )?;
        let server = self.server.as_deref().unwrap_or(match self.kind {
            OidcKind::Github => preset::GITHUB,
            OidcKind::Gitlab | OidcKind::Custom => &self.issuer,
        });
        let server = server.trim_end_matches('/');
        require(
            is_plain_https(server) && !server.contains(['{', '}']),
            "server",
            "must be an https URL without query and fragment",
        )?;
        Ok(Issuer {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            audiences: self.audiences.clone(),
            keys: self.key_source()?,
            refresh: self.refresh.unsigned_abs(),
            algorithms: self.algorithms.clone(),
            clock_skew: self.clock_skew,
            max_lifetime: self.max_lifetime,
            required_claims: self.required_claims.clone().unwrap_or_else(|| {
                let names = preset::required_claims(self.kind).iter();
                names.map(|name| (*name).to_owned()).collect()
            }),
            claims: self.templates(server)?,
            rules: self
                .rules
                .iter()
                .map(|rule| rule.check(self, is_profile))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Finds where the keys are.
    fn key_source(&self) -> Result<KeySource, OidcConfigError> {
        let written = match (&self.jwks_file, &self.jwks_uri) {
            (Some(_), Some(_)) => {
                return Err(self.refuse("jwks_file", "must not stand beside `jwks_uri`"));
            }
            (Some(file), None) => return Ok(KeySource::File(file.clone())),
            (None, Some(uri)) => Some(uri.clone()),
            (None, None) => preset::jwks_uri(self.kind, &self.issuer),
        };
        let uri = written.ok_or_else(|| {
            self.refuse(
                "jwks_uri",
                "or `jwks_file` must tell where the issuer's keys are",
            )
        })?;
        Url::parse(&uri)
            .ok()
            .filter(|url| {
                url.scheme() == "https"
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none()
            })
            .map(KeySource::Url)
            .ok_or_else(|| self.refuse("jwks_uri", "must be an https URL"))
    }

    /// Lays what is written over the defaults of the kind.
    fn templates(&self, server: &str) -> Result<BTreeMap<ForgeClaim, Template>, OidcConfigError> {
        let mut texts = preset::claims(self.kind, server);
        texts.extend(self.claims.clone());
        // The issuer is the issuer.
        texts.remove(&ForgeClaim::Issuer);
        let templates = texts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(claim, text)| {
                let template =
                    Template::parse(&text).map_err(|source| OidcConfigError::Template {
                        name: self.name.clone(),
                        claim,
                        source,
                    })?;
                Ok((claim, template))
            })
            .collect::<Result<BTreeMap<_, _>, OidcConfigError>>()?;
        if !templates.contains_key(&ForgeClaim::BuildSignerUri) {
            return Err(self.refuse("claims", "must hold build_signer_uri"));
        }
        Ok(templates)
    }
}

impl OidcRuleConfig {
    /// Checks one rule.
    fn check(
        &self,
        issuer: &OidcIssuerConfig,
        is_profile: &dyn Fn(&SigningProfileName) -> bool,
    ) -> Result<Rule, OidcConfigError> {
        if let Some(profile) = self.profiles.iter().find(|profile| !is_profile(profile)) {
            return Err(OidcConfigError::Profile {
                name: issuer.name.clone(),
                rule: self.name.clone(),
                profile: profile.clone(),
            });
        }
        let anchors = preset::anchors(issuer.kind);
        let is_anchor = |claim: &String, values: &Values| {
            (anchors.is_empty() || anchors.contains(&claim.as_str()))
                && !values.list().is_empty()
                && values.list().iter().all(|value| !is_anything(value))
        };
        if !self
            .claims
            .iter()
            .any(|(claim, values)| is_anchor(claim, values))
        {
            return Err(OidcConfigError::Anyone {
                name: issuer.name.clone(),
                rule: self.name.clone(),
                anchors: if anchors.is_empty() {
                    &["a claim"]
                } else {
                    anchors
                },
            });
        }
        let claims = self
            .claims
            .iter()
            .map(|(claim, values)| {
                let patterns = values
                    .list()
                    .iter()
                    .map(|value| self.pattern(issuer, claim, value))
                    .collect::<Result<_, _>>()?;
                Ok((claim.clone(), patterns))
            })
            .collect::<Result<_, OidcConfigError>>()?;
        Ok(Rule {
            name: self.name.clone(),
            signer: self.signer.clone(),
            profiles: self.profiles.clone(),
            claims,
        })
    }

    /// Reads one pattern.
    fn pattern(
        &self,
        issuer: &OidcIssuerConfig,
        claim: &str,
        text: &str,
    ) -> Result<GlobMatcher, OidcConfigError> {
        GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map(|glob| glob.compile_matcher())
            .map_err(|source| OidcConfigError::Pattern {
                name: issuer.name.clone(),
                rule: self.name.clone(),
                claim: claim.chars().take(80).collect(),
                given: text.chars().take(80).collect(),
                source: Box::new(source),
            })
    }
}

impl Values {
    /// Returns them as a list.
    fn list(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Any(values) => values,
        }
    }
}

/// Tells whether a pattern matches whatever comes.
fn is_anything(pattern: &str) -> bool {
    pattern.chars().all(|c| matches!(c, '*' | '/' | '?'))
}

/// Tells whether a text is an https URL of host and path.
fn is_plain_https(text: &str) -> bool {
    !text.contains(['?', '#', '@'])
        && Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}
