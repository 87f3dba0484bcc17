//! `[ca]`: the configuration as written, and as checked.

mod ceremony;
mod crl;
mod ct;
mod ocsp;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::{KeyAlgorithm, KeyId};
use jiff::SignedDuration;
use mesh::csr::CsrContent;
use mesh::stapling::StaplingConfig;
use mesh::{InvalidLimits, ListenerConfig, ListenerLimits};
use model::{InvalidName, IssuerId, NodePrefix, PeerName, ProfileName, Role, TrustDomain};
use pki::csr::CsrLimits;
use pki::issuer::IssuerUrls;
use pki::names::{DnsName, UriName};
use pki::profile::{Profile, ProfileConfig, ProfileError, ProfileKind};
use serde::{Deserialize, Serialize};

pub use ceremony::{AuthorityConfig, CeremonyConfig};
pub(crate) use ceremony::{AuthorityPlan, CeremonyPlan};
pub(crate) use crl::CheckedCrlConfig;
pub use crl::{
    CrlConfig, CrlConfigError, DistributionConfig, InvalidChoice, KeepExpired, OnRevocation,
};

pub(crate) use ct::CheckedCtConfig;
pub use ct::CtConfig;
pub use ocsp::{BatchSize, ByTokenSpeed, KeepReady, NeverIssued, NonceRule, OcspConfig, ReadyHash};
pub(crate) use ocsp::{CheckedOcspConfig, MAX_BATCH};

use crate::grants::{Grant, Grants};

/// `[ca]`, as written. Every key has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaConfig {
    /// Address of the CA API; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Limits of the CA API's listener.
    pub limits: ListenerLimits,
    /// The domain of peers' identities: `spiffe://<trust domain>/…`.
    pub trust_domain: TrustDomain,
    /// Number of this node, 0 to 4095: its serial numbers begin with it, so that
    /// nodes sharing an authority never meet.
    pub node: NodePrefix,
    /// DNS names and IP addresses in the CA API's own certificate.
    pub server_names: Vec<String>,
    /// The name in the CA's own identity: `service:ca/NAME`.
    pub name: PeerName,
    /// Name of the CA API's own TLS key.
    pub tls_key: KeyId,
    /// Algorithm of that key, should it have to be made.
    pub tls_key_algorithm: KeyAlgorithm,
    /// Where relying parties reach the distribution listener; certificates point
    /// there for CRL, OCSP and the issuer's certificate.
    pub distribution_url: String,
    /// The profile of requests that name none.
    pub default_profile: ProfileName,
    /// Bounds of issuing.
    pub issuance: IssuanceConfig,
    /// Certificate revocation lists.
    pub crl: CrlConfig,
    /// The OCSP responder.
    pub ocsp: OcspConfig,
    /// Timestamps in certificates.
    pub ct: CtConfig,
    /// The distribution listener.
    pub distribution: DistributionConfig,
    /// How the OCSP response is kept fresh that the CA API staples.
    pub stapling: StaplingConfig,
    /// Profiles: changes to built-in ones by their names, and further ones.
    pub profiles: BTreeMap<ProfileName, ProfileConfig>,
    /// What roles may do, by role; takes the default of a role whole.
    pub roles: BTreeMap<Role, Grant>,
    /// The authorities that `chancery init` makes.
    pub ceremony: CeremonyConfig,
}

impl Default for CaConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            limits: ListenerLimits::default(),
            trust_domain: name("chancery.internal", TrustDomain::new),
            node: NodePrefix::default(),
            server_names: vec![
                "localhost".to_owned(),
                Ipv4Addr::LOCALHOST.to_string(),
                Ipv6Addr::LOCALHOST.to_string(),
            ],
            name: name("ca", PeerName::new),
            tls_key: name("ca-tls", KeyId::new),
            tls_key_algorithm: KeyAlgorithm::EcP256,
            distribution_url: "http://127.0.0.1:8080".to_owned(),
            default_profile: name("tls-server", ProfileName::new),
            issuance: IssuanceConfig::default(),
            crl: CrlConfig::default(),
            ocsp: OcspConfig::default(),
            ct: CtConfig::default(),
            distribution: DistributionConfig::default(),
            stapling: StaplingConfig::default(),
            profiles: BTreeMap::new(),
            roles: BTreeMap::new(),
            ceremony: CeremonyConfig::default(),
        }
    }
}

/// Makes a name from a literal of this crate; a test reads every default.
fn name<T, E>(text: &str, make: impl FnOnce(&str) -> Result<T, E>) -> T {
    make(text).unwrap_or_else(|_| unreachable!("the default {text:?} is a name of its kind"))
}

/// `[ca.issuance]`: bounds of issuing. Durations are `10s`, `1h 30m` or ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuanceConfig {
    /// Most certificates being issued at a time; more are answered 503.
    pub max_in_flight: usize,
    /// Time for the token to sign one certificate, its queue included.
    pub sign_timeout: SignedDuration,
    /// Most names in one request.
    pub max_names: usize,
    /// Most octets of one request in DER.
    pub max_csr_bytes: usize,
    /// How far the clock may lie behind the newest recorded act.
    pub clock_tolerance: SignedDuration,
    /// How far the clock may run ahead of elapsed time while the service runs.
    pub max_clock_jump: SignedDuration,
    /// A file of keys that are never certified: on each line the SHA-256 of a
    /// SubjectPublicKeyInfo in hexadecimal; `#` begins a remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_keys: Option<PathBuf>,
}

impl Default for IssuanceConfig {
    fn default() -> Self {
        Self {
            max_in_flight: 512,
            sign_timeout: SignedDuration::from_secs(10),
            max_names: 100,
            max_csr_bytes: 64 * 1024,
            clock_tolerance: SignedDuration::from_secs(60),
            max_clock_jump: SignedDuration::from_hours(24),
            blocked_keys: None,
        }
    }
}

/// Why `[ca]` cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The listener's limits.
    #[error("`limits`: {0}")]
    Limits(#[from] InvalidLimits),
    /// A server name that is none.
    #[error("`server_names`: {given:?} is neither a DNS name nor an IP address")]
    ServerName {
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// No server name at all.
    #[error("`server_names` must hold at least one name by which clients reach the CA")]
    NoServerName,
    /// A distribution URL that certificates cannot carry.
    #[error("`distribution_url`: {given:?} is no http or https URL without query and fragment")]
    DistributionUrl {
        /// The text given, cut at 80 characters.
        given: String,
    },
    /// A number or time outside what can work.
    #[error("`issuance.{key}` {rule}")]
    Issuance {
        /// The key.
        key: &'static str,
        /// What it must be, as the rest of a sentence.
        rule: &'static str,
    },
    /// Times or numbers of CRLs.
    #[error("`crl.{key}` {rule}", key = .0.key, rule = .0.rule)]
    Crl(CrlConfigError),
    /// Times or numbers of the OCSP responder.
    #[error("`ocsp.{key}` {rule}")]
    Ocsp {
        /// The key.
        key: &'static str,
        /// What it must be, as the rest of a sentence.
        rule: &'static str,
    },
    /// The distribution listener's limits.
    #[error("`distribution.limits`: {0}")]
    DistributionLimits(InvalidLimits),
    /// A profile that cannot be.
    #[error("`profiles`: {0}")]
    Profile(#[from] ProfileError),
    /// A profile under an authority that issues nothing to peers.
    #[error(
        "`profiles.{profile}.issuer`: there is no issuing authority {issuer}; it is called {issuing}"
    )]
    ProfileIssuer {
        /// The profile.
        profile: ProfileName,
        /// The authority it names.
        issuer: IssuerId,
        /// The one there is.
        issuing: IssuerId,
    },
    /// A default profile that is not there.
    #[error("`default_profile`: there is no profile {profile}")]
    NoDefaultProfile {
        /// Its name.
        profile: ProfileName,
    },
    /// A role granted a profile that is not there.
    #[error("`roles.\"{role}\".profiles`: there is no profile {profile}")]
    GrantedProfile {
        /// The role.
        role: Role,
        /// The profile's name.
        profile: ProfileName,
    },
    /// A role granted the making of roots.
    #[error(
        "`roles.\"{role}\".profiles`: roots are made by `chancery init` alone, not by {profile}"
    )]
    GrantedRoot {
        /// The role.
        role: Role,
        /// The profile's name.
        profile: ProfileName,
    },
    /// A role granted a profile that carries a forge's claims.
    #[error(
        "`roles.\"{role}\".profiles`: {profile} carries a forge's claims, for which service:signing alone vouches"
    )]
    GrantedForge {
        /// The role.
        role: Role,
        /// The profile's name.
        profile: ProfileName,
    },
    /// A role that may have identities certified by a profile that is not for that.
    #[error(
        "`roles.\"{role}\".certifies`: service:signing alone may have identities certified so, of role signer, by profiles of kind ci-client; not {profile}"
    )]
    Certifies {
        /// The role.
        role: Role,
        /// The profile's name.
        profile: ProfileName,
    },
    /// A profile that wants timestamps where there are none.
    #[error("`profiles.{profile}.embed_sct` wants `ct.enabled = true`")]
    NoLogKey {
        /// The profile's name.
        profile: ProfileName,
    },
    /// An authority that cannot be.
    #[error("`ceremony.{authority}.{key}`: {problem}")]
    Authority {
        /// `root` or `issuing`.
        authority: &'static str,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: ceremony::AuthorityProblem,
    },
    /// Two authorities with one name or key.
    #[error("`ceremony`: root and issuing authority must differ in `{key}`")]
    SameAuthority {
        /// `id`, or `key` within one keystore.
        key: &'static str,
    },
    /// A default that is no name; only a fault of ours.
    #[error("a name is none: {0}")]
    Name(#[from] InvalidName),
}

/// `[ca]`, found sound.
#[derive(Debug, Clone)]
pub struct CheckedCaConfig {
    /// Address and limits of the CA API.
    pub(crate) listener: ListenerConfig,
    /// The domain of peers' identities.
    pub(crate) trust_domain: TrustDomain,
    /// Number of this node.
    pub(crate) node: NodePrefix,
    /// Subject and names of the CA API's own certificate.
    pub(crate) server_content: CsrContent,
    /// The name in the CA's own identity.
    pub(crate) name: PeerName,
    /// Name of the CA API's own TLS key.
    pub(crate) tls_key: KeyId,
    /// Algorithm of that key.
    pub(crate) tls_key_algorithm: KeyAlgorithm,
    /// The distribution URL, without a slash at its end.
    pub(crate) distribution_url: String,
    /// The profile of requests that name none.
    pub(crate) default_profile: ProfileName,
    /// Bounds of requests.
    pub(crate) csr_limits: CsrLimits,
    /// Most certificates being issued at a time.
    pub(crate) max_in_flight: usize,
    /// Time for the token to sign one certificate.
    pub(crate) sign_timeout: Duration,
    /// The file of keys that are never certified.
    pub(crate) blocked_keys: Option<PathBuf>,
    /// Certificate revocation lists.
    pub(crate) crl: CheckedCrlConfig,
    /// The OCSP responder.
    pub(crate) ocsp: CheckedOcspConfig,
    /// Timestamps in certificates, where there are any.
    pub(crate) ct: Option<CheckedCtConfig>,
    /// Address and limits of the distribution listener.
    pub(crate) distribution: ListenerConfig,
    /// How the stapled OCSP response is kept fresh.
    pub(crate) stapling: StaplingConfig,
    /// How far the clock may lie behind the newest recorded act.
    pub(crate) clock_tolerance: Duration,
    /// How far the clock may run ahead of elapsed time.
    pub(crate) max_clock_jump: Duration,
    /// Every profile.
    pub(crate) profiles: BTreeMap<ProfileName, Arc<Profile>>,
    /// What roles may do.
    pub(crate) grants: Grants,
    /// The authorities.
    pub(crate) ceremony: CeremonyPlan,
}

impl CaConfig {
    /// Checks everything that can be checked without a token.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<CheckedCaConfig, ConfigError> {
        self.limits.check()?;
        let ceremony = self.ceremony.check(&self.profiles)?;
        let profiles = self.check_profiles(&ceremony)?;
        let grants = self.check_grants(&profiles)?;
        if !profiles.contains_key(&self.default_profile) {
            return Err(ConfigError::NoDefaultProfile {
                profile: self.default_profile.clone(),
            });
        }
        let issuance = &self.issuance;
        let positive = |key, value: SignedDuration| {
            Duration::try_from(value)
                .ok()
                .filter(|duration| !duration.is_zero())
                .ok_or(ConfigError::Issuance {
                    key,
                    rule: "must be longer than nothing",
                })
        };
        let count = |key, value: usize, most: usize, rule| {
            if (1..=most).contains(&value) {
                Ok(value)
            } else {
                Err(ConfigError::Issuance { key, rule })
            }
        };
        Ok(CheckedCaConfig {
            listener: ListenerConfig {
                listen: self.listen,
                limits: self.limits.clone(),
            },
            trust_domain: self.trust_domain.clone(),
            node: self.node,
            server_content: self.check_server_names()?,
            name: self.name.clone(),
            tls_key: self.tls_key.clone(),
            tls_key_algorithm: self.tls_key_algorithm,
            distribution_url: self.check_distribution_url()?,
            default_profile: self.default_profile.clone(),
            csr_limits: CsrLimits {
                max_len: count(
                    "max_csr_bytes",
                    issuance.max_csr_bytes,
                    1024 * 1024,
                    "must be between 1 and 1048576",
                )?,
                max_names: count(
                    "max_names",
                    issuance.max_names,
                    10_000,
                    "must be between 1 and 10000",
                )?,
            },
            max_in_flight: count(
                "max_in_flight",
                issuance.max_in_flight,
                65_536,
                "must be between 1 and 65536",
            )?,
            sign_timeout: positive("sign_timeout", issuance.sign_timeout)?,
            blocked_keys: issuance.blocked_keys.clone(),
            stapling: self.stapling.clone(),
            crl: CheckedCrlConfig {
                issuing_point: self.crl.issuing_point && all_name_their_crl(&profiles),
                ..self.crl.check().map_err(ConfigError::Crl)?
            },
            ocsp: self.ocsp.check()?,
            ct: self.ct.check(),
            distribution: self
                .distribution
                .check()
                .map_err(ConfigError::DistributionLimits)?,
            clock_tolerance: positive("clock_tolerance", issuance.clock_tolerance)?,
            max_clock_jump: positive("max_clock_jump", issuance.max_clock_jump)?,
            profiles,
            grants,
            ceremony,
        })
    }

    /// Builds every profile: the built-in ones and those written.
    fn check_profiles(
        &self,
        ceremony: &CeremonyPlan,
    ) -> Result<BTreeMap<ProfileName, Arc<Profile>>, ConfigError> {
        let mut profiles = BTreeMap::new();
        for kind in ProfileKind::ALL {
            let name = ProfileName::new(kind.as_str())?;
            if !self.profiles.contains_key(&name) {
                profiles.insert(name, Arc::new(Profile::built_in(kind)?));
            }
        }
        for (name, written) in &self.profiles {
            let profile = Profile::from_config(name.clone(), written)?;
            if let Some(issuer) = profile.issuer().filter(|id| **id != ceremony.issuing.id) {
                return Err(ConfigError::ProfileIssuer {
                    profile: name.clone(),
                    issuer: issuer.clone(),
                    issuing: ceremony.issuing.id.clone(),
                });
            }
            if written.embed_sct == Some(true) && !self.ct.enabled {
                return Err(ConfigError::NoLogKey {
                    profile: name.clone(),
                });
            }
            profiles.insert(name.clone(), Arc::new(profile));
        }
        Ok(profiles)
    }

    /// Joins grants and defaults, every profile in them there.
    fn check_grants(
        &self,
        profiles: &BTreeMap<ProfileName, Arc<Profile>>,
    ) -> Result<Grants, ConfigError> {
        let leafs = profiles.values().filter(|profile| !profile.is_ca());
        let grants = Grants::new(&self.roles, leafs.map(Arc::as_ref));
        for (role, name) in grants.granted_profiles() {
            let profile = name.clone();
            match profiles.get(name) {
                None => return Err(ConfigError::GrantedProfile { role, profile }),
                Some(found) if found.kind() == ProfileKind::RootCa => {
                    return Err(ConfigError::GrantedRoot { role, profile });
                }
                Some(found)
                    if found.kind().carries_forge_claims() && role != Role::ServiceSigning =>
                {
                    return Err(ConfigError::GrantedForge { role, profile });
                }
                Some(_) => {}
            }
        }
        for (role, name, certified) in grants.certified_roles() {
            let narrow = role == Role::ServiceSigning
                && certified == Role::Signer
                && profiles
                    .get(name)
                    .is_some_and(|profile| profile.kind() == ProfileKind::CiClient);
            if !narrow {
                return Err(ConfigError::Certifies {
                    role,
                    profile: name.clone(),
                });
            }
        }
        Ok(grants)
    }

    /// Sorts server names into DNS names and addresses.
    fn check_server_names(&self) -> Result<CsrContent, ConfigError> {
        let mut content = CsrContent {
            // A peer's name has no character that RFC 4514 would want escaped.
            subject: format!("CN={}", self.name),
            ..CsrContent::default()
        };
        for given in &self.server_names {
            if let Ok(address) = given.parse::<IpAddr>() {
                content.ips.push(address);
            } else if let Ok(dns) = DnsName::new(given) {
                content.dns.push(dns.as_str().to_owned());
            } else {
                return Err(ConfigError::ServerName {
                    given: given.chars().take(80).collect(),
                });
            }
        }
        if self.server_names.is_empty() {
            return Err(ConfigError::NoServerName);
        }
        Ok(content)
    }

    /// Takes the distribution URL without a slash at its end.
    fn check_distribution_url(&self) -> Result<String, ConfigError> {
        let given = self.distribution_url.trim_end_matches('/');
        let fits = UriName::new(&format!("{given}/ocsp"))
            .is_ok_and(|uri| matches!(uri.scheme(), "http" | "https") && !uri.host().is_empty());
        if !fits || given.contains(['?', '#']) {
            return Err(ConfigError::DistributionUrl {
                given: self.distribution_url.chars().take(80).collect(),
            });
        }
        Ok(given.to_owned())
    }
}

/// Tells whether every certificate for which somebody looks at a CRL says where it
/// is. Certificates of OCSP responders are not looked up.
fn all_name_their_crl(profiles: &BTreeMap<ProfileName, Arc<Profile>>) -> bool {
    profiles
        .values()
        .filter(|profile| {
            !matches!(
                profile.kind(),
                ProfileKind::RootCa | ProfileKind::OcspResponder
            )
        })
        .all(|profile| profile.effective_config().crl == Some(true))
}

impl CheckedCaConfig {
    /// Returns where the CA API listens.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listener.listen
    }

    /// Returns the domain of peers' identities.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns the name of the authority that issues.
    #[must_use]
    pub fn issuing_authority(&self) -> &IssuerId {
        &self.ceremony.issuing.id
    }

    /// Returns the name of the root.
    #[must_use]
    pub fn root_authority(&self) -> &IssuerId {
        &self.ceremony.root.id
    }

    /// Returns the address that certificates carry for CRL, OCSP and the issuer's
    /// certificate, without a slash at its end.
    #[must_use]
    pub fn distribution_url(&self) -> &str {
        &self.distribution_url
    }

    /// Returns where an authority publishes.
    ///
    /// A root answers no OCSP: its key is often away, and its few certificates
    /// are on its CRL.
    pub(crate) fn issuer_urls(&self, authority: &IssuerId, root: bool) -> IssuerUrls {
        let base = &self.distribution_url;
        IssuerUrls {
            ca_issuers: Some(format!("{base}/ca/{authority}.cer")),
            ocsp: (!root).then(|| format!("{base}/ocsp")),
            crl: Some(format!("{base}/crl/{authority}.crl")),
            crl_shard: Some(format!("{base}/crl/{authority}-{{shard}}.crl")),
        }
    }
}

#[cfg(test)]
mod tests;
