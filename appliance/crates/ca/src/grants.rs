//! What each role may do: which calls, which profiles, whose identities.

use std::collections::{BTreeMap, BTreeSet};

use model::{Identity, ProfileName, Role};
use pki::profile::Profile;
use serde::{Deserialize, Serialize};

/// A call of the CA API that a role must be granted.
///
/// `/ca/…`, `GET /crl…`, `/ocsp`, `/healthz` and `/readyz` are open to every
/// identified peer: the distribution listener tells as much to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// `POST /sign`.
    Sign,
    /// `POST /revoke-cert` for what is the peer's own.
    Revoke,
    /// The same for everybody's, and `POST /revocations`.
    RevokeAny,
    /// `GET /revocations`.
    Revocations,
    /// `GET /certificates` and `/certificates/{serial}`.
    Certificates,
    /// `GET /profiles`.
    Profiles,
    /// `GET /status`.
    Status,
    /// `POST /crl`.
    IssueCrl,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 8] = [
        Self::Sign,
        Self::Revoke,
        Self::RevokeAny,
        Self::Revocations,
        Self::Certificates,
        Self::Profiles,
        Self::Status,
        Self::IssueCrl,
    ];

    /// Returns the call as the configuration spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Revoke => "revoke",
            Self::RevokeAny => "revoke-any",
            Self::Revocations => "revocations",
            Self::Certificates => "certificates",
            Self::Profiles => "profiles",
            Self::Status => "status",
            Self::IssueCrl => "issue-crl",
        }
    }
}

/// Whose identities a role may have certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityGrant {
    /// Nobody's.
    #[default]
    None,
    /// Its own; for an enrolment role, that of the service it enrols.
    Own,
    /// Anyone's but the CA's.
    Any,
}

/// `[ca.roles."ROLE"]`: what one role may do. Takes the default's place whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// The calls it may make: `sign`, `revoke`, `revoke-any`, `revocations`,
    /// `certificates`, `profiles`, `status`, `issue-crl`.
    pub calls: BTreeSet<Call>,
    /// The profiles it may have certificates issued by.
    pub profiles: BTreeSet<ProfileName>,
    /// Whose identities it may have certified: `none`, `own` or `any`.
    pub identities: IdentityGrant,
    /// The roles whose identities it may have certified by a profile of kind
    /// `ci-client`, by profile: `{ ci-client = ["signer"] }`. For `service:signing`
    /// alone; `identities` has no say in such profiles.
    pub certifies: BTreeMap<ProfileName, BTreeSet<Role>>,
}

/// What every role may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants(BTreeMap<Role, Grant>);

impl Grants {
    /// Takes what the configuration grants and, for roles it leaves out, the
    /// defaults; `leafs` are the profiles that are not CAs'. By default an operator may
    /// use all of them but those for which the signing service alone vouches.
    #[must_use]
    pub fn new<'a>(
        configured: &BTreeMap<Role, Grant>,
        leafs: impl IntoIterator<Item = &'a Profile>,
    ) -> Self {
        let leaf_profiles = Leafs::new(leafs);
        let grants = Role::ALL.into_iter().map(|role| {
            let grant = configured
                .get(&role)
                .cloned()
                .unwrap_or_else(|| default_grant(role, &leaf_profiles));
            (role, grant)
        });
        Self(grants.collect())
    }

    /// Tells whether a role may make a call.
    #[must_use]
    pub fn allows_call(&self, role: Role, call: Call) -> bool {
        self.0
            .get(&role)
            .is_some_and(|grant| grant.calls.contains(&call))
    }

    /// Tells whether a role may use a profile.
    #[must_use]
    pub fn allows_profile(&self, role: Role, profile: &ProfileName) -> bool {
        self.0
            .get(&role)
            .is_some_and(|grant| grant.profiles.contains(profile))
    }

    /// Returns the identity to certify when the peer names none: its own where
    /// that is granted.
    #[must_use]
    pub fn own_identity(&self, peer: &Identity, profile: &Profile) -> Option<Identity> {
        if profile.kind().carries_forge_claims() {
            return None;
        }
        match self.0.get(&peer.role)?.identities {
            IdentityGrant::Own => Some(own_identity(peer)),
            IdentityGrant::None | IdentityGrant::Any => None,
        }
    }

    /// Tells whether a peer may have an identity certified by a profile.
    #[must_use]
    pub fn allows_identity(&self, peer: &Identity, profile: &Profile, wanted: &Identity) -> bool {
        if profile.kind().carries_forge_claims() {
            return self
                .0
                .get(&peer.role)
                .and_then(|grant| grant.certifies.get(profile.name()))
                .is_some_and(|roles| roles.contains(&wanted.role));
        }
        match self.0.get(&peer.role).map(|grant| grant.identities) {
            // The CA certifies itself, and no one else may play it.
            Some(IdentityGrant::Any) => wanted.role != Role::ServiceCa,
            Some(IdentityGrant::Own) => {
                wanted.role != Role::ServiceCa && *wanted == own_identity(peer)
            }
            Some(IdentityGrant::None) | None => false,
        }
    }

    /// Iterates over every role whose identities another may have certified, and by
    /// which profile, for the check that this stays narrow.
    pub(crate) fn certified_roles(&self) -> impl Iterator<Item = (Role, &ProfileName, Role)> {
        let granted = self
            .0
            .iter()
            .flat_map(|(role, grant)| grant.certifies.iter().map(move |to| (*role, to)));
        granted.flat_map(|(role, (profile, of))| of.iter().map(move |of| (role, profile, *of)))
    }

    /// Iterates over every profile that is granted to a role, for the check that
    /// all of them exist.
    pub(crate) fn granted_profiles(&self) -> impl Iterator<Item = (Role, &ProfileName)> {
        self.0
            .iter()
            .flat_map(|(role, grant)| grant.profiles.iter().map(|profile| (*role, profile)))
    }
}

/// The profiles of leaf certificates, by who may vouch for what they certify.
struct Leafs {
    /// Those that any role may be granted.
    plain: BTreeSet<ProfileName>,
    /// Those that carry a forge's claims.
    forge: BTreeSet<ProfileName>,
}

impl Leafs {
    /// Sorts profiles.
    fn new<'a>(profiles: impl IntoIterator<Item = &'a Profile>) -> Self {
        let (forge, plain): (Vec<_>, Vec<_>) = profiles
            .into_iter()
            .partition(|profile| profile.kind().carries_forge_claims());
        let names = |profiles: Vec<&Profile>| {
            let names = profiles.into_iter().map(Profile::name);
            names.cloned().collect()
        };
        Self {
            plain: names(plain),
            forge: names(forge),
        }
    }

    /// Finds those there are of some names.
    fn named(&self, names: &[&str]) -> BTreeSet<ProfileName> {
        let all = self.plain.iter().chain(&self.forge);
        all.filter(|profile| names.contains(&profile.as_str()))
            .cloned()
            .collect()
    }
}

/// Returns the identity a peer may renew or, by enrolment, first obtain.
fn own_identity(peer: &Identity) -> Identity {
    let role = match peer.role {
        Role::EnrolAcme => Role::ServiceAcme,
        Role::EnrolSigning => Role::ServiceSigning,
        role @ (Role::ServiceCa
        | Role::ServiceAcme
        | Role::ServiceSigning
        | Role::Operator
        | Role::Signer
        | Role::Auditor) => role,
    };
    Identity {
        role,
        name: peer.name.clone(),
    }
}

/// Grants each role what its work needs and no more.
fn default_grant(role: Role, leafs: &Leafs) -> Grant {
    let named = |names: &[&str]| leafs.named(names);
    let service = [
        Call::Sign,
        Call::Revoke,
        Call::Revocations,
        Call::Certificates,
        Call::Profiles,
        Call::Status,
    ];
    match role {
        Role::Operator => Grant {
            calls: Call::ALL.into(),
            profiles: leafs.plain.clone(),
            identities: IdentityGrant::Any,
            ..Grant::default()
        },
        Role::ServiceAcme => Grant {
            calls: service.into(),
            profiles: named(&["tls-server", "service"]),
            identities: IdentityGrant::Own,
            ..Grant::default()
        },
        Role::ServiceSigning => Grant {
            calls: service.into(),
            profiles: named(&[
                "code-signing",
                "time-stamping",
                "service",
                "ci-client",
                "code-signing-forge",
            ]),
            identities: IdentityGrant::Own,
            // Builds whose forge's token it verified, as signers, for minutes.
            certifies: named(&["ci-client"])
                .into_iter()
                .map(|profile| (profile, BTreeSet::from([Role::Signer])))
                .collect(),
        },
        Role::EnrolAcme | Role::EnrolSigning => Grant {
            // Revoking itself, once it has done its work.
            calls: [Call::Sign, Call::Revoke].into(),
            profiles: named(&["service"]),
            identities: IdentityGrant::Own,
            ..Grant::default()
        },
        Role::Auditor => Grant {
            calls: [
                Call::Revocations,
                Call::Certificates,
                Call::Profiles,
                Call::Status,
            ]
            .into(),
            ..Grant::default()
        },
        // The CA certifies itself without the API; signers have no business here.
        Role::ServiceCa | Role::Signer => Grant::default(),
    }
}

#[cfg(test)]
mod tests {
    use pki::profile::ProfileKind;

    use super::*;

    /// Every built-in profile.
    fn profiles() -> Vec<Profile> {
        let kinds = ProfileKind::ALL.into_iter();
        kinds.map(|kind| Profile::built_in(kind).unwrap()).collect()
    }

    /// Finds a built-in profile.
    fn profile(kind: ProfileKind) -> Profile {
        Profile::built_in(kind).unwrap()
    }

    /// The defaults over the built-in profiles.
    fn grants() -> Grants {
        let profiles = profiles();
        let leafs = profiles.iter().filter(|profile| !profile.is_ca());
        Grants::new(&BTreeMap::new(), leafs)
    }

    /// Reads `role/name`.
    fn identity(text: &str) -> Identity {
        text.parse().unwrap()
    }

    #[test]
    fn every_role_has_exactly_its_calls() {
        // Sign, revoke, revoke-any, revocations, certificates, profiles, status,
        // issue-crl.
        let expected = [
            (Role::ServiceCa, "--------"),
            (Role::ServiceAcme, "++-++++-"),
            (Role::ServiceSigning, "++-++++-"),
            (Role::EnrolAcme, "++------"),
            (Role::EnrolSigning, "++------"),
            (Role::Operator, "++++++++"),
            (Role::Signer, "--------"),
            (Role::Auditor, "---++++-"),
        ];
        assert_eq!(expected.len(), Role::ALL.len());
        for (role, calls) in expected {
            let allowed: String = Call::ALL
                .into_iter()
                .map(|call| {
                    if grants().allows_call(role, call) {
                        '+'
                    } else {
                        '-'
                    }
                })
                .collect();
            assert_eq!(allowed, calls, "{role}");
        }
    }

    #[test]
    fn every_role_has_exactly_its_profiles() {
        let expected = [
            (Role::ServiceCa, "--------"),
            (Role::ServiceAcme, "+-+-----"),
            (Role::ServiceSigning, "--+++++-"),
            (Role::EnrolAcme, "--+-----"),
            (Role::EnrolSigning, "--+-----"),
            (Role::Operator, "++++--++"),
            (Role::Signer, "--------"),
            (Role::Auditor, "--------"),
        ];
        let profiles = [
            "tls-server",
            "tls-client",
            "service",
            "code-signing",
            "ci-client",
            "code-signing-forge",
            "time-stamping",
            "ocsp-responder",
        ];
        for (role, marks) in expected {
            let allowed: String = profiles
                .iter()
                .map(|name| ProfileName::new(name).unwrap())
                .map(|name| {
                    if grants().allows_profile(role, &name) {
                        '+'
                    } else {
                        '-'
                    }
                })
                .collect();
            assert_eq!(allowed, marks, "{role}");
            let root = ProfileName::new("root-ca").unwrap();
            assert!(!grants().allows_profile(role, &root), "{role}");
        }
    }

    #[test]
    fn services_certify_themselves_alone_and_nobody_certifies_the_ca() {
        let grants = grants();
        let service = profile(ProfileKind::Service);
        let acme = identity("service:acme/a");
        assert!(grants.allows_identity(&acme, &service, &acme));
        assert!(!grants.allows_identity(&acme, &service, &identity("service:acme/b")));
        assert!(!grants.allows_identity(&acme, &service, &identity("operator/a")));
        let enrol = identity("enrol:acme/a");
        assert!(grants.allows_identity(&enrol, &service, &acme));
        assert!(!grants.allows_identity(&enrol, &service, &enrol));
        assert!(!grants.allows_identity(&enrol, &service, &identity("service:acme/b")));
        let operator = identity("operator/o");
        assert!(grants.allows_identity(&operator, &service, &identity("auditor/x")));
        for peer in Role::ALL {
            let peer = Identity {
                role: peer,
                name: operator.name.clone(),
            };
            assert!(
                !grants.allows_identity(&peer, &service, &identity("service:ca/ca")),
                "{peer}"
            );
        }
        assert_eq!(grants.own_identity(&enrol, &service), Some(acme));
        assert_eq!(grants.own_identity(&operator, &service), None);
    }

    #[test]
    fn builds_are_certified_as_signers_by_the_signing_service_alone() {
        let grants = grants();
        let client = profile(ProfileKind::CiClient);
        let signing = identity("service:signing/signing");
        assert!(grants.allows_identity(&signing, &client, &identity("signer/ci")));
        for other in Role::ALL.into_iter().filter(|role| *role != Role::Signer) {
            let wanted = Identity {
                role: other,
                name: signing.name.clone(),
            };
            assert!(
                !grants.allows_identity(&signing, &client, &wanted),
                "{other}"
            );
        }
        // Neither its own, nor a signer's by the profile that lasts for weeks.
        assert_eq!(grants.own_identity(&signing, &client), None);
        let service = profile(ProfileKind::Service);
        assert!(!grants.allows_identity(&signing, &service, &identity("signer/ci")));
        for other in Role::ALL
            .into_iter()
            .filter(|role| *role != Role::ServiceSigning)
        {
            let peer = Identity {
                role: other,
                name: signing.name.clone(),
            };
            assert!(
                !grants.allows_identity(&peer, &client, &identity("signer/ci")),
                "{other}"
            );
        }
    }

    #[test]
    fn a_configured_grant_takes_the_defaults_place_whole() {
        let configured = BTreeMap::from([(Role::Operator, Grant::default())]);
        let grants = Grants::new(&configured, []);
        assert!(!grants.allows_call(Role::Operator, Call::Sign));
        assert!(grants.allows_call(Role::Auditor, Call::Status));
    }
}
