//! The plan of one certificate: every field decided, then encoded.

use std::time::Duration;

use jiff::SignedDuration;
use model::{SerialNumber, Timestamp};

use super::config::{KeyClass, MustStaple};
use super::usage::{ExtendedKeyUsage, KeyUsages};
use super::{Policy, Profile};
use crate::csr::{self, CheckedCsr};
use crate::encode;
use crate::forge::ForgeClaims;
use crate::issuer::IssuerFacts;
use crate::name::{Attribute, AttributeType, DistinguishedName, InvalidName};
use crate::name_constraints::NameConstraints;
use crate::names::{AlternativeName, DnsName, UriName};
use crate::public_key::{KeyIdentifier, KeyType, PublicKey};
use crate::sct::SctList;
use crate::tlv;

/// What one certificate is to be made from.
#[derive(Debug, Clone)]
pub struct PlanRequest<'a> {
    /// The key to certify.
    pub public_key: &'a PublicKey,
    /// The subject asked for.
    pub subject: &'a DistinguishedName,
    /// The names asked for.
    pub names: &'a [AlternativeName],
    /// The SPIFFE ID granted, by whoever may grant it: never from a request.
    pub identity: Option<UriName>,
    /// Validity from now on; the profile's own if none.
    pub validity: Option<Duration>,
    /// The current time.
    pub now: Timestamp,
    /// The serial number reserved for it.
    pub serial: SerialNumber,
    /// The CRL shard its serial number falls into, where CRLs are sharded.
    pub crl_shard: Option<u32>,
    /// The request asks to be a CA.
    pub asks_for_ca: bool,
    /// The request asks for OCSP must-staple.
    pub asks_for_must_staple: bool,
    /// What a forge said of a build, by whoever verified that: never from a request.
    pub forge: Option<&'a ForgeClaims>,
    /// Signed certificate timestamps (RFC 6962).
    pub timestamps: Timestamps<'a>,
}

/// How a plan goes about signed certificate timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timestamps<'a> {
    /// Without any.
    #[default]
    None,
    /// As a log sees it before (RFC 6962, 3.2): the same certificate without them. Its
    /// encoding is for the log's key alone and is never signed by an authority.
    Awaited,
    /// With these.
    Embedded(&'a SctList),
}

/// How a planned certificate went about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Timestamped {
    /// Without any.
    No,
    /// For the log.
    Awaited,
    /// With these.
    Embedded(SctList),
}

impl<'a> PlanRequest<'a> {
    /// Takes key, subject and names from a checked request.
    #[must_use]
    pub fn from_csr(csr: &'a CheckedCsr, serial: SerialNumber, now: Timestamp) -> Self {
        Self {
            asks_for_ca: csr.asks_for_ca(),
            asks_for_must_staple: csr.asks_for_must_staple(),
            names: csr.names(),
            ..Self::new(csr.public_key(), csr.subject(), serial, now)
        }
    }

    /// Forms a request for a key of our own, without names.
    #[must_use]
    pub fn new(
        public_key: &'a PublicKey,
        subject: &'a DistinguishedName,
        serial: SerialNumber,
        now: Timestamp,
    ) -> Self {
        Self {
            public_key,
            subject,
            names: &[],
            identity: None,
            validity: None,
            now,
            serial,
            crl_shard: None,
            asks_for_ca: false,
            asks_for_must_staple: false,
            forge: None,
            timestamps: Timestamps::None,
        }
    }
}

/// Why a profile refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileRefusal {
    /// A kind or size of key that the profile does not take.
    #[error("{key_type} keys are not taken; this profile takes {}", list(allowed, *rsa_min_bits))]
    KeyForbidden {
        /// The key's.
        key_type: KeyType,
        /// Kinds taken.
        allowed: Vec<KeyClass>,
        /// Fewest bits of RSA keys.
        rsa_min_bits: u32,
    },
    /// A subject attribute that is kept but cannot be issued.
    #[error("the subject is refused: {problem}")]
    Subject {
        /// What is wrong.
        problem: InvalidName,
    },
    /// A subject without an attribute the profile requires.
    #[error("the subject needs {kind}")]
    SubjectLacks {
        /// The attribute missing.
        kind: AttributeType,
    },
    /// Neither subject nor names: nothing would be certified.
    #[error("the request has neither a subject nor a name that this profile certifies")]
    Nameless,
    /// A common name that is neither DNS name nor address.
    #[error(
        "the common name {given:?} is neither a DNS name nor an IP address; leave it out, or make it one of the names"
    )]
    CommonNameNotAName {
        /// The common name.
        given: String,
    },
    /// A name that the profile does not take.
    #[error("{name} is refused: {rule}")]
    NameForbidden {
        /// The name.
        name: AlternativeName,
        /// Which rule, as the rest of a sentence.
        rule: &'static str,
    },
    /// A name outside the issuer's name constraints.
    #[error("{name} is outside the issuer's name constraints")]
    NameConstrained {
        /// The name.
        name: AlternativeName,
    },
    /// A subject outside the issuer's name constraints.
    #[error("the subject is outside the issuer's name constraints")]
    SubjectConstrained,
    /// Too few or too many names.
    #[error("{count} names are asked for; this profile takes {min} to {max}")]
    NameCount {
        /// Names asked for, the common name included.
        count: usize,
        /// Fewest.
        min: usize,
        /// Most.
        max: usize,
    },
    /// A name asked for twice.
    #[error("{name} is asked for twice")]
    RepeatedName {
        /// The name.
        name: AlternativeName,
    },
    /// A `spiffe://` URI in a request.
    #[error("{name} is an identity: identities are granted, not asked for in a request")]
    IdentityInRequest {
        /// The URI.
        name: AlternativeName,
    },
    /// An identity for a profile that grants none, or a profile that needs one.
    #[error("this profile {}", if *.wanted { "certifies an identity, and none was granted" } else { "certifies no identities" })]
    Identity {
        /// Whether the profile wants one.
        wanted: bool,
    },
    /// A granted identity that is no `spiffe://` URI.
    #[error("the identity is no spiffe:// URI")]
    IdentityNotSpiffe,
    /// A forge's claims for a profile that carries none, or a profile that needs them.
    #[error("this profile {}", if *.wanted { "is for builds whose forge's token was verified, and no claims of one came with the request" } else { "never carries a forge's claims" })]
    ForgeClaims {
        /// Whether the profile wants them.
        wanted: bool,
    },
    /// A leaf profile asked for a CA certificate.
    #[error("the request asks to be a CA (basicConstraints), which this profile never is")]
    AsksToBeCa,
    /// A validity outside the profile's.
    #[error("a validity of {asked_s} s was asked for; this profile takes 60 s to {max_s} s")]
    Validity {
        /// Seconds asked for.
        asked_s: u64,
        /// Most seconds.
        max_s: u64,
    },
    /// Asked to outlive the issuer.
    #[error("the certificate would outlive its issuer, which expires at {issuer_not_after}")]
    BeyondIssuer {
        /// The issuer's last second.
        issuer_not_after: Timestamp,
    },
    /// The issuer's own certificate is not valid now.
    #[error("the issuer's certificate is valid from {not_before} to {not_after}, not now")]
    IssuerNotValid {
        /// Its first second.
        not_before: Timestamp,
        /// Its last second.
        not_after: Timestamp,
    },
    /// The issuer may not issue CAs, or not so deep.
    #[error("the issuer's path length does not allow a CA with such a path length under it")]
    PathLength,
    /// A root profile under another issuer, or a leaf that would sign itself.
    #[error("roots sign themselves, and nothing else does")]
    SelfSigned,
    /// The issuer's own name for somebody else, or another name for a root.
    #[error("the subject must not be the issuer's own name, except a root's")]
    IssuersName,
    /// A time that certificates cannot carry.
    #[error("the validity runs past the year 9999")]
    Time,
}

/// Writes what keys are taken.
fn list(allowed: &[KeyClass], rsa_min_bits: u32) -> String {
    let words: Vec<String> = allowed
        .iter()
        .map(|class| match class {
            KeyClass::Rsa => format!("RSA of {rsa_min_bits} bits or more"),
            KeyClass::P256 => "P-256".to_owned(),
            KeyClass::P384 => "P-384".to_owned(),
            KeyClass::P521 => "P-521".to_owned(),
            KeyClass::Ed25519 => "Ed25519".to_owned(),
        })
        .collect();
    words.join(", ")
}

/// Every field of a certificate, decided.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    /// Serial number.
    pub(crate) serial: SerialNumber,
    /// How it will be signed.
    pub(crate) issuer: &'a IssuerFacts,
    /// First second.
    pub(crate) not_before: Timestamp,
    /// Last second.
    pub(crate) not_after: Timestamp,
    /// Subject.
    pub(crate) subject: DistinguishedName,
    /// Key.
    pub(crate) public_key: &'a PublicKey,
    /// Subject key identifier.
    pub(crate) subject_key_identifier: KeyIdentifier,
    /// Key usages that the key can have.
    pub(crate) key_usages: KeyUsages,
    /// Purposes.
    pub(crate) extended_key_usages: &'a [ExtendedKeyUsage],
    /// Whether they are critical.
    pub(crate) extended_key_usages_critical: bool,
    /// Whether it is a CA's.
    pub(crate) ca: bool,
    /// How many CAs may follow.
    pub(crate) path_length: Option<u8>,
    /// Names.
    pub(crate) names: Vec<AlternativeName>,
    /// Constraints on names below.
    pub(crate) name_constraints: &'a NameConstraints,
    /// Policies.
    pub(crate) policies: &'a [Policy],
    /// Where the issuer's certificate is.
    pub(crate) ca_issuers: Option<&'a str>,
    /// Where the OCSP responder is.
    pub(crate) ocsp: Option<&'a str>,
    /// Where the CRL is.
    pub(crate) crl: Option<String>,
    /// id-pkix-ocsp-nocheck.
    pub(crate) ocsp_no_check: bool,
    /// TLS feature status_request.
    pub(crate) must_staple: bool,
    /// What a forge said of a build.
    pub(crate) forge: Option<&'a ForgeClaims>,
    /// Signed certificate timestamps.
    pub(crate) scts: Option<&'a SctList>,
}

/// A certificate planned and encoded, waiting for its lint.
#[derive(Debug)]
pub struct PlannedCertificate {
    /// The TBSCertificate.
    pub(crate) tbs_der: Vec<u8>,
    /// The time it was planned at.
    pub(crate) now: Timestamp,
    /// The identity granted.
    pub(crate) identity: Option<UriName>,
    /// The CRL it must point to, if any.
    pub(crate) crl: Option<String>,
    /// Whether OCSP must-staple was asked for.
    pub(crate) asks_for_must_staple: bool,
    /// What a forge said of the build, if that belongs in.
    pub(crate) forge: Option<ForgeClaims>,
    /// Signed certificate timestamps.
    pub(crate) timestamped: Timestamped,
}

impl PlannedCertificate {
    /// Returns the TBSCertificate, DER, not yet linted.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.tbs_der
    }
}

impl Profile {
    /// Decides every field of a certificate and encodes it.
    ///
    /// A pure function: the same request at the same time gives the same bytes.
    ///
    /// # Errors
    ///
    /// Which rule of the profile, or of the issuer, the request breaks.
    pub fn plan(
        &self,
        request: &PlanRequest<'_>,
        issuer: &IssuerFacts,
    ) -> Result<PlannedCertificate, ProfileRefusal> {
        self.check_key(request.public_key)?;
        if request.asks_for_ca && !self.is_ca() {
            return Err(ProfileRefusal::AsksToBeCa);
        }
        if issuer.is_self_signed() != (self.kind == super::ProfileKind::RootCa) {
            return Err(ProfileRefusal::SelfSigned);
        }
        let path_length = self.path_length_under(issuer)?;
        let (not_before, not_after) = self.validity_at(request, issuer)?;
        let subject = self.subject.apply(request.subject)?;
        let (subject, mut names) = self.common_name(subject, request.names)?;
        self.check_names(&names)?;
        match (&request.identity, self.identity) {
            (Some(identity), true) if !identity.is_spiffe() => {
                return Err(ProfileRefusal::IdentityNotSpiffe);
            }
            (Some(identity), true) => names.push(AlternativeName::Uri(identity.clone())),
            (None, false) => {}
            (_, wanted) => return Err(ProfileRefusal::Identity { wanted }),
        }
        let claims = self.forge_claims(request)?;
        if self.kind == super::ProfileKind::CodeSigningForge {
            names.extend(claims.map(|claims| AlternativeName::Uri(claims.build_signer().clone())));
        }
        if subject.is_empty() && names.is_empty() {
            return Err(ProfileRefusal::Nameless);
        }
        // Self-issued certificates are not counted in path lengths (RFC 5280,
        // 4.2.1.9) and could pass for the issuer's own.
        let subject_der = subject.to_der();
        if (*subject_der == *issuer.subject_der) != issuer.is_self_signed() {
            return Err(ProfileRefusal::IssuersName);
        }
        let constraints = &issuer.name_constraints;
        if let Some(name) = names.iter().find(|name| !constraints.allow(name)) {
            return Err(ProfileRefusal::NameConstrained { name: name.clone() });
        }
        let subject_content = tlv::read_only(&subject_der, tlv::SEQUENCE).map(|name| name.content);
        if !subject_content.is_ok_and(|content| constraints.allow_subject(content))
            || !constraints.allow_emails(&subject)
        {
            return Err(ProfileRefusal::SubjectConstrained);
        }
        let urls = &issuer.urls;
        let crl = self
            .crl
            .then(|| crl_url(issuer, request.crl_shard))
            .flatten();
        let fields = Fields {
            serial: request.serial.clone(),
            issuer,
            not_before,
            not_after,
            subject,
            public_key: request.public_key,
            subject_key_identifier: request.public_key.key_identifier(),
            key_usages: self.key_usages.fitting(request.public_key.key_type()),
            extended_key_usages: &self.extended_key_usages,
            extended_key_usages_critical: self.extended_key_usages_critical,
            ca: self.is_ca(),
            path_length,
            names,
            name_constraints: &self.name_constraints,
            policies: &self.policies,
            ca_issuers: urls.ca_issuers.as_deref().filter(|_| self.ca_issuers),
            ocsp: urls.ocsp.as_deref().filter(|_| self.ocsp),
            crl,
            ocsp_no_check: self.ocsp_no_check,
            must_staple: self.staples(request.asks_for_must_staple),
            forge: claims,
            scts: match request.timestamps {
                Timestamps::Embedded(scts) => Some(scts),
                Timestamps::None | Timestamps::Awaited => None,
            },
        };
        let tbs_der = encode::tbs(&fields);
        Ok(PlannedCertificate {
            tbs_der,
            now: request.now,
            identity: request.identity.clone(),
            crl: fields.crl,
            asks_for_must_staple: request.asks_for_must_staple,
            forge: claims.cloned(),
            timestamped: match request.timestamps {
                Timestamps::None => Timestamped::No,
                Timestamps::Awaited => Timestamped::Awaited,
                Timestamps::Embedded(scts) => Timestamped::Embedded(scts.clone()),
            },
        })
    }

    /// Takes a forge's claims where the kind carries them, and only there.
    fn forge_claims<'a>(
        &self,
        request: &PlanRequest<'a>,
    ) -> Result<Option<&'a ForgeClaims>, ProfileRefusal> {
        let wanted = self.kind.carries_forge_claims();
        if request.forge.is_some() == wanted {
            Ok(request.forge)
        } else {
            Err(ProfileRefusal::ForgeClaims { wanted })
        }
    }

    /// Returns the longest validity that may be asked for. Where a forge's claims are
    /// carried, the room for back-dating is no part of it.
    fn longest_asked(&self) -> Duration {
        if self.kind.carries_forge_claims() {
            self.max_validity.saturating_sub(self.backdate)
        } else {
            self.max_validity
        }
    }

    /// Tells whether must-staple goes into a certificate.
    pub(crate) fn staples(&self, asked: bool) -> bool {
        match self.must_staple {
            MustStaple::Never => false,
            MustStaple::Requested => asked,
            MustStaple::Always => true,
        }
    }

    /// Checks kind and size of the key.
    pub(crate) fn check_key(&self, key: &PublicKey) -> Result<(), ProfileRefusal> {
        let key_type = key.key_type();
        let long_enough = match key_type {
            KeyType::Rsa { bits } => bits >= self.rsa_min_bits,
            KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 => true,
        };
        if long_enough && self.keys.contains(&KeyClass::from(key_type)) {
            return Ok(());
        }
        Err(ProfileRefusal::KeyForbidden {
            key_type,
            allowed: self.keys.clone(),
            rsa_min_bits: self.rsa_min_bits,
        })
    }

    /// Fits the path length under the issuer's.
    ///
    /// RFC 5280, 4.2.1.9: the issuer's says how many CAs may follow.
    fn path_length_under(&self, issuer: &IssuerFacts) -> Result<Option<u8>, ProfileRefusal> {
        match (self.is_ca(), issuer.path_length) {
            (false, _) => Ok(None),
            (true, None) => Ok(self.path_length),
            (true, Some(0)) => Err(ProfileRefusal::PathLength),
            (true, Some(above)) => match self.path_length {
                Some(own) if own < above => Ok(Some(own)),
                _ => Err(ProfileRefusal::PathLength),
            },
        }
    }

    /// Decides first and last second.
    ///
    /// Both count (RFC 5280, 4.1.2.5), so a day ends one second before it began.
    /// Back-dating comes on top of the validity, within the maximum. What was
    /// asked for is never cut at the issuer's end, what was not asked for is.
    fn validity_at(
        &self,
        request: &PlanRequest<'_>,
        issuer: &IssuerFacts,
    ) -> Result<(Timestamp, Timestamp), ProfileRefusal> {
        let validity = request.validity.unwrap_or(self.validity);
        let longest = self.longest_asked();
        if validity > longest || validity < Duration::from_secs(60) {
            return Err(ProfileRefusal::Validity {
                asked_s: validity.as_secs(),
                max_s: longest.as_secs(),
            });
        }
        let now =
            Timestamp::from_second(request.now.as_second()).map_err(|_| ProfileRefusal::Time)?;
        let second = SignedDuration::from_secs(1);
        let span = |duration: Duration| {
            SignedDuration::try_from(duration).map_err(|_| ProfileRefusal::Time)
        };
        let add = |time: Timestamp, by: SignedDuration| {
            time.checked_add(by).map_err(|_| ProfileRefusal::Time)
        };
        let mut not_before = add(now, -span(self.backdate)?)?;
        let mut not_after = add(add(now, span(validity)?)?, -second)?;
        if let Some((first, last)) = issuer.validity {
            if now < first || now > last {
                return Err(ProfileRefusal::IssuerNotValid {
                    not_before: first,
                    not_after: last,
                });
            }
            not_before = not_before.max(first);
            if not_after > last {
                if request.validity.is_some() {
                    return Err(ProfileRefusal::BeyondIssuer {
                        issuer_not_after: last,
                    });
                }
                not_after = last;
            }
        }
        // Not to begin earlier than the whole period allows.
        let earliest = add(add(not_after, second)?, -span(self.max_validity)?)?;
        let not_before = not_before.max(earliest.min(now));
        Ok((not_before, not_after))
    }

    /// Makes common name and names agree, where the profile wants that.
    fn common_name(
        &self,
        subject: DistinguishedName,
        requested: &[AlternativeName],
    ) -> Result<(DistinguishedName, Vec<AlternativeName>), ProfileRefusal> {
        let mut names = requested.to_vec();
        if !self.subject.common_name_is_a_name {
            return Ok((subject, names));
        }
        let Some(given) = subject.first(AttributeType::CommonName) else {
            return Ok((subject, names));
        };
        // A device's serial number may read as a DNS name, which it is not.
        let is_device = requested
            .iter()
            .any(|name| matches!(name, AlternativeName::Permanent(own) if own.value() == given));
        let name = as_name(given).filter(|_| !is_device).ok_or_else(|| {
            ProfileRefusal::CommonNameNotAName {
                given: given.to_owned(),
            }
        })?;
        // The spelling of the name: lower case, an address in its shortest form.
        let spelled = subject
            .attributes()
            .iter()
            .map(|attribute| match attribute.kind() {
                AttributeType::CommonName => {
                    Attribute::new(AttributeType::CommonName, &name.value())
                }
                _ => Ok(attribute.clone()),
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|problem| ProfileRefusal::Subject { problem })?;
        if !names.contains(&name) {
            names.insert(0, name);
        }
        Ok((DistinguishedName::new(spelled), names))
    }

    /// Checks number, repetition and each of the names asked for.
    pub(crate) fn check_names(&self, names: &[AlternativeName]) -> Result<(), ProfileRefusal> {
        names.iter().try_for_each(|name| self.names.check(name))?;
        let (min, max) = (self.names.min, self.names.max);
        if names.len() < min || names.len() > max {
            return Err(ProfileRefusal::NameCount {
                count: names.len(),
                min,
                max,
            });
        }
        match csr::first_repeated(names) {
            Some(name) => Err(ProfileRefusal::RepeatedName { name: name.clone() }),
            None => Ok(()),
        }
    }
}

/// Reads a common name as the name it stands for.
pub(crate) fn as_name(common_name: &str) -> Option<AlternativeName> {
    common_name
        .parse()
        .map(AlternativeName::Ip)
        .ok()
        .or_else(|| DnsName::new(common_name).map(AlternativeName::Dns).ok())
}

/// Chooses the CRL that a certificate points to.
fn crl_url(issuer: &IssuerFacts, shard: Option<u32>) -> Option<String> {
    match (shard, &issuer.urls.crl_shard) {
        (Some(shard), Some(template)) => Some(template.replace("{shard}", &shard.to_string())),
        (Some(_) | None, _) => issuer.urls.crl.clone(),
    }
}
