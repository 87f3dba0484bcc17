//! From a written profile to a checked one.

use std::time::Duration;

use const_oid::ObjectIdentifier;
use model::ProfileName;

use super::config::{KeyClass, MustStaple, ProfileConfig, ProfileKind};
use super::rules::{NameRules, SubjectRules};
use super::usage::{ExtendedKeyUsage, KeyUsage, KeyUsages};
use super::{Policy, Profile, built_in};
use crate::name::{AttributeType, InvalidName};
use crate::names::UriName;
use crate::oid;

/// Why a profile's configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A name of one's own without a kind.
    #[error(
        "profile {name} needs `kind`: tls-server, tls-client, service, code-signing, ci-client, code-signing-forge, ocsp-responder, time-stamping or sub-ca"
    )]
    NoKind {
        /// The profile.
        name: ProfileName,
    },
    /// The name of a built-in profile with another's kind.
    #[error("profile {name} is built in and cannot be of kind {kind}; give it another name")]
    OtherKind {
        /// The profile.
        name: ProfileName,
        /// The kind written.
        kind: ProfileKind,
    },
    /// A value that the profile's kind does not allow.
    #[error("profile {name}: `{key}` {rule}")]
    Rule {
        /// The profile.
        name: ProfileName,
        /// The configuration key.
        key: &'static str,
        /// What the key must be, as the rest of a sentence.
        rule: &'static str,
    },
    /// A fixed subject attribute that cannot be issued.
    #[error("profile {name}: `subject.fixed`: {problem}")]
    FixedAttribute {
        /// The profile.
        name: ProfileName,
        /// What is wrong with it.
        problem: InvalidName,
    },
}

/// Longest period RFC 3161 authorities and all but CAs get: keeps arithmetic on
/// times far from its ends.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

impl Profile {
    /// Checks a profile's configuration, laid over the built-in one of its kind.
    ///
    /// # Errors
    ///
    /// The first key that its kind does not allow.
    pub fn from_config(name: ProfileName, written: &ProfileConfig) -> Result<Self, ProfileError> {
        let named = name.as_str().parse::<ProfileKind>().ok();
        let kind = match (written.kind, named) {
            (Some(kind), Some(named)) if kind != named => {
                return Err(ProfileError::OtherKind { name, kind });
            }
            (Some(kind), _) | (None, Some(kind)) => kind,
            (None, None) => return Err(ProfileError::NoKind { name }),
        };
        let config = built_in::merge(built_in::config(kind), written);
        check(name, kind, config)
    }

    /// Returns the built-in profile of a kind.
    ///
    /// # Errors
    ///
    /// None: a test holds every built-in profile to its own rules.
    pub fn built_in(kind: ProfileKind) -> Result<Self, ProfileError> {
        let name = ProfileName::new(kind.as_str());
        // Every kind's text is a profile name; a test says so.
        let name = name.unwrap_or_else(|_| unreachable!("kinds are spelled as profile names"));
        check(name, kind, built_in::config(kind))
    }
}

/// Checks every key and builds the profile.
fn check(
    name: ProfileName,
    kind: ProfileKind,
    config: ProfileConfig,
) -> Result<Profile, ProfileError> {
    let effective = config.clone();
    let require = |holds: bool, key: &'static str, rule: &'static str| {
        if holds {
            Ok(())
        } else {
            Err(ProfileError::Rule {
                name: name.clone(),
                key,
                rule,
            })
        }
    };
    let is_ca = kind.is_ca();
    let keys = config.keys.unwrap_or_default();
    require(
        !keys.is_empty(),
        "keys",
        "must name at least one kind of key",
    )?;
    let rsa_min_bits = config.rsa_min_bits.unwrap_or(2048);
    require(
        (2048..=8192).contains(&rsa_min_bits),
        "rsa_min_bits",
        "must be between 2048 and 8192",
    )?;

    let duration = |lifetime: Option<super::Lifetime>| {
        lifetime.map_or(Duration::ZERO, super::Lifetime::duration)
    };
    let (validity, max_validity) = (duration(config.validity), duration(config.max_validity));
    let backdate = duration(config.backdate);
    require(
        validity >= Duration::from_secs(60),
        "validity",
        "must be at least one minute",
    )?;
    require(
        validity <= max_validity,
        "validity",
        "must not exceed max_validity",
    )?;
    require(
        max_validity <= LONGEST,
        "max_validity",
        "must not exceed a hundred years",
    )?;
    require(
        backdate <= Duration::from_secs(7 * 86_400),
        "backdate",
        "must not exceed 7 days",
    )?;
    require(
        kind != ProfileKind::CodeSigning || max_validity <= built_in::CODE_SIGNING_MAX.duration(),
        "max_validity",
        "must not exceed 460 days for code signing (CA/B Forum code signing requirements, 6.3.2)",
    )?;

    check_forge_times(kind, max_validity, backdate, &require)?;

    let key_usages: KeyUsages = config.key_usages.unwrap_or_default().into_iter().collect();
    require(
        !key_usages.is_empty(),
        "key_usages",
        "must name at least one usage",
    )?;
    // RFC 5280, 4.2.1.3: keyCertSign goes with cA, and only with it.
    require(
        key_usages.contains(KeyUsage::KeyCertSign) == is_ca,
        "key_usages",
        "must hold key-cert-sign for CAs, and only for CAs",
    )?;
    require(
        !key_usages.contains(KeyUsage::CrlSign) || is_ca,
        "key_usages",
        "must not hold crl-sign for anything but CAs",
    )?;
    let signs = key_usages.contains(KeyUsage::DigitalSignature);
    require(signs || is_ca, "key_usages", "must hold digital-signature")?;

    let purposes = config.extended_key_usages.unwrap_or_default();
    let purposes_critical = config.extended_key_usages_critical.unwrap_or(false);
    check_purposes(kind, &purposes, purposes_critical, &require)?;

    require(
        config.path_length.is_none() || is_ca,
        "path_length",
        "is for CAs alone",
    )?;
    let name_constraints = config.name_constraints.unwrap_or_default();
    require(
        name_constraints.is_empty() || is_ca,
        "name_constraints",
        "are for CAs alone",
    )?;
    let no_check = config.ocsp_no_check.unwrap_or(false);
    // RFC 6960, 4.2.2.2.1: for OCSP responders' certificates.
    require(
        !no_check || kind == ProfileKind::OcspResponder,
        "ocsp_no_check",
        "is for OCSP responders alone",
    )?;
    let must_staple = config.must_staple.unwrap_or(MustStaple::Never);
    require(
        must_staple == MustStaple::Never || kind.is_tls(),
        "must_staple",
        "is for TLS alone",
    )?;
    require(
        config.embed_sct != Some(true) || !is_ca,
        "embed_sct",
        "is not for CAs",
    )?;
    let policies = read_policies(config.policies.unwrap_or_default(), &require)?;
    let names = NameRules::from_config(config.names, &require)?;
    let subject = SubjectRules::from_config(config.subject, &name)?;
    check_forge_names(kind, &names, &subject, &require)?;
    require(
        !is_ca
            || subject.always_has(AttributeType::CommonName)
            || subject.always_has(AttributeType::Organization),
        "subject",
        "must require or fix CN or O: a CA needs a name (RFC 5280, 4.1.2.6)",
    )?;
    require(
        kind != ProfileKind::TlsServer || names.min >= 1,
        "names.min",
        "must be at least 1: TLS servers are known by their names (RFC 9525)",
    )?;
    Ok(Profile {
        name: name.clone(),
        kind,
        issuer: config.issuer,
        keys: dedup(keys),
        rsa_min_bits,
        validity,
        max_validity,
        backdate,
        key_usages,
        extended_key_usages: purposes,
        extended_key_usages_critical: purposes_critical,
        names,
        subject,
        identity: matches!(kind, ProfileKind::Service | ProfileKind::CiClient),
        path_length: config.path_length,
        name_constraints,
        policies,
        ca_issuers: config.ca_issuers.unwrap_or(true),
        ocsp: config.ocsp.unwrap_or(true),
        crl: config.crl.unwrap_or(true),
        ocsp_no_check: no_check,
        must_staple,
        embed_sct: config.embed_sct.unwrap_or(kind.signs_code()),
        effective,
    })
}

/// Holds kinds that carry a forge's claims to minutes.
fn check_forge_times(
    kind: ProfileKind,
    max_validity: Duration,
    backdate: Duration,
    require: &impl Fn(bool, &'static str, &'static str) -> Result<(), ProfileError>,
) -> Result<(), ProfileError> {
    let brief = kind.carries_forge_claims();
    require(
        !brief || backdate <= built_in::FORGE_MAX_BACKDATE.duration(),
        "backdate",
        "must not exceed 5 minutes where a forge's claims are carried",
    )?;
    require(
        !brief || max_validity <= built_in::FORGE_MAX.duration() + backdate,
        "max_validity",
        "must not exceed 10 minutes and `backdate` where a forge's claims are carried",
    )
}

/// Keeps names and subject of kinds that carry a forge's claims to what those say.
fn check_forge_names(
    kind: ProfileKind,
    names: &NameRules,
    subject: &SubjectRules,
    require: &impl Fn(bool, &'static str, &'static str) -> Result<(), ProfileError>,
) -> Result<(), ProfileError> {
    let claimed = kind.carries_forge_claims();
    require(
        !claimed || names.max == 0,
        "names.max",
        "must be 0 where a forge's claims are carried: names come from those",
    )?;
    require(
        !claimed || subject.is_always_empty(),
        "subject",
        "must keep, require and fix nothing where a forge's claims are carried",
    )
}

/// Drops repetitions, keeping the order.
fn dedup(keys: Vec<KeyClass>) -> Vec<KeyClass> {
    let mut kept = Vec::with_capacity(keys.len());
    for key in keys {
        if !kept.contains(&key) {
            kept.push(key);
        }
    }
    kept
}

/// Checks the purposes against the kind.
fn check_purposes(
    kind: ProfileKind,
    purposes: &[ExtendedKeyUsage],
    critical: bool,
    require: &impl Fn(bool, &'static str, &'static str) -> Result<(), ProfileError>,
) -> Result<(), ProfileError> {
    const KEY: &str = "extended_key_usages";
    let needed: &[ExtendedKeyUsage] = match kind {
        ProfileKind::TlsServer => &[ExtendedKeyUsage::SERVER_AUTH],
        ProfileKind::TlsClient => &[ExtendedKeyUsage::CLIENT_AUTH],
        ProfileKind::Service => &[ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH],
        ProfileKind::CodeSigning | ProfileKind::CodeSigningForge => {
            &[ExtendedKeyUsage::CODE_SIGNING]
        }
        ProfileKind::CiClient => &[ExtendedKeyUsage::CLIENT_AUTH],
        ProfileKind::OcspResponder => &[ExtendedKeyUsage::OCSP_SIGNING],
        ProfileKind::TimeStamping => &[ExtendedKeyUsage::TIME_STAMPING],
        ProfileKind::SubCa | ProfileKind::RootCa => &[],
    };
    require(
        needed.iter().all(|purpose| purposes.contains(purpose)),
        KEY,
        "must hold what the profile's kind is for",
    )?;
    require(
        !purposes.contains(&ExtendedKeyUsage::ANY),
        KEY,
        "must not hold anyExtendedKeyUsage",
    )?;
    let repeated = purposes
        .iter()
        .enumerate()
        .any(|(place, purpose)| purposes.iter().take(place).any(|before| before == purpose));
    require(!repeated, KEY, "must not name a purpose twice")?;
    // RFC 6960, 4.2.2.2: whoever has this may speak for the CA on revocation.
    require(
        kind == ProfileKind::OcspResponder
            || kind.is_ca()
            || !purposes.contains(&ExtendedKeyUsage::OCSP_SIGNING),
        KEY,
        "must not hold ocsp-signing for anything but OCSP responders",
    )?;
    // RFC 3161, 2.3: the only purpose, and critical.
    let stamps = purposes.contains(&ExtendedKeyUsage::TIME_STAMPING) && !kind.is_ca();
    require(
        !stamps || (purposes.len() == 1 && critical),
        KEY,
        "must hold time-stamping alone, and critical (RFC 3161, 2.3)",
    )?;
    require(
        !kind.carries_forge_claims() || purposes.len() == 1,
        KEY,
        "must hold one purpose alone where a forge's claims are carried",
    )?;
    require(
        kind != ProfileKind::OcspResponder || purposes.len() == 1,
        KEY,
        "must hold ocsp-signing alone for OCSP responders",
    )?;
    // CA/B Forum TLS requirements, 7.1.2.1: roots carry none.
    require(
        kind != ProfileKind::RootCa || purposes.is_empty(),
        KEY,
        "must be empty for roots",
    )
}

/// Reads the policies.
fn read_policies(
    written: Vec<super::PolicyConfig>,
    require: &impl Fn(bool, &'static str, &'static str) -> Result<(), ProfileError>,
) -> Result<Vec<Policy>, ProfileError> {
    let mut policies: Vec<Policy> = Vec::with_capacity(written.len());
    for policy in written {
        let parsed: Option<ObjectIdentifier> = policy.oid.parse().ok();
        require(
            parsed.is_some(),
            "policies",
            "must each have a dotted `oid`",
        )?;
        let cps_fits = policy.cps.as_deref().is_none_or(|cps| {
            UriName::new(cps).is_ok_and(|uri| matches!(uri.scheme(), "http" | "https"))
        });
        require(
            cps_fits,
            "policies",
            "must each have an http or https URL as `cps`, or none",
        )?;
        if let Some(oid) = parsed {
            require(
                policies.iter().all(|before| before.oid != oid),
                "policies",
                "must not name a policy twice (RFC 5280, 4.2.1.4)",
            )?;
            require(
                oid != oid::ANY_POLICY || policy.cps.is_none(),
                "policies",
                "must not give anyPolicy a `cps`",
            )?;
            policies.push(Policy {
                oid,
                cps: policy.cps,
            });
        }
    }
    Ok(policies)
}
