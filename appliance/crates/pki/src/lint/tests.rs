//! Each lint has a tampered certificate that it, and it at least, objects to.

use std::net::IpAddr;

use super::*;
use crate::name_constraints::{Cidr, Subtree};
use crate::names::{AlternativeName, UriName};
use crate::profile::{
    ExtendedKeyUsage, KeyClass, PlanRequest, ProfileKind, Timestamped, Timestamps,
};
use crate::sct::{Sct, SctList};
use crate::support::{Authority, TestKey, der, forge_claims, now, serial, urls};
use crate::tlv::Reader;

/// A planned certificate, its profile and its issuer, about to be tampered with.
struct Stage {
    /// The plan.
    planned: PlannedCertificate,
    /// The profile that the lints will hold it to.
    profile: Profile,
    /// The issuer that the lints will hold it to.
    issuer: IssuerFacts,
    /// The issuer's key.
    key: TestKey,
    /// What a log saw of it, if one did.
    seen: Option<LintedPrecertificate>,
}

/// Plans a certificate of a built-in profile under a P-256 CA.
fn stage(kind: ProfileKind) -> Stage {
    let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let authority = if kind == ProfileKind::SubCa {
        root
    } else {
        root.subordinate(TestKey::p256(), &Default::default())
    };
    let profile = Profile::built_in(kind).unwrap();
    let subject: DistinguishedName = "CN=www.example.org".parse().unwrap();
    let names: &[AlternativeName] = match kind {
        ProfileKind::TlsServer => &["dns:www.example.org".parse().unwrap()],
        _ => &[],
    };
    let leaf = TestKey::p256().public_key();
    let mut request = PlanRequest::new(&leaf, &subject, serial(7), now());
    request.names = names;
    request.identity = (kind == ProfileKind::Service).then(identity);
    let planned = profile.plan(&request, &authority.facts).unwrap();
    Stage {
        planned,
        profile,
        issuer: authority.facts,
        key: authority.key,
        seen: None,
    }
}

/// Plans a certificate that signs code for a forge's build, with a timestamp whose
/// signature no lint looks at.
fn stage_for_build() -> Stage {
    let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
    let authority = root.subordinate(TestKey::p256(), &Default::default());
    let profile = Profile::built_in(ProfileKind::CodeSigningForge).unwrap();
    let (leaf, subject) = (TestKey::p256().public_key(), DistinguishedName::default());
    let claims = forge_claims();
    let mut request = PlanRequest::new(&leaf, &subject, serial(7), now());
    request.forge = Some(&claims);
    request.timestamps = Timestamps::Awaited;
    let awaited = profile.plan(&request, &authority.facts).unwrap();
    let seen = lint_precertificate(awaited, &profile, &authority.facts).unwrap();
    let scts = SctList::of(Sct {
        log_id: [7; 32],
        timestamp_ms: 7,
        extensions: Vec::new(),
        signature: vec![0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01],
    })
    .unwrap();
    request.timestamps = Timestamps::Embedded(&scts);
    let planned = profile.plan(&request, &authority.facts).unwrap();
    Stage {
        planned,
        profile,
        issuer: authority.facts,
        key: authority.key,
        seen: Some(seen),
    }
}

/// An identity to grant.
fn identity() -> UriName {
    UriName::new("spiffe://chancery.internal/operator/alice").unwrap()
}

impl Stage {
    /// Has the lints judge it.
    fn judged(self) -> Result<LintedTbs, LintFindings> {
        match &self.seen {
            None => lint(self.planned, &self.profile, &self.issuer),
            Some(seen) => lint_timestamped(self.planned, seen, &self.profile, &self.issuer),
        }
    }

    /// Replaces a value of the TBSCertificate by other octets, lengths put right.
    fn patch(&mut self, old: &[u8], new: &[u8]) {
        let mut hits = 0;
        self.planned.tbs_der = rebuild(&self.planned.tbs_der, old, new, &mut hits);
        assert!(hits > 0, "nothing to patch");
    }

    /// Returns the TBSCertificate's subject.
    fn subject_der(&self) -> Vec<u8> {
        Tbs::parse(&self.planned.tbs_der)
            .unwrap()
            .subject_der
            .to_vec()
    }
}

/// Rebuilds every value, one of them as others; OCTET STRINGs that hold DER too.
fn rebuild(der_in: &[u8], old: &[u8], new: &[u8], hits: &mut usize) -> Vec<u8> {
    let mut reader = Reader::new(der_in);
    let mut out = Vec::new();
    while !reader.is_empty() {
        let value = reader.next().unwrap();
        let holds_der = value.tag == tlv::OCTET_STRING && encoding::check(value.content).is_ok();
        if value.whole == old {
            *hits += 1;
            out.extend(new);
        } else if value.tag & 0x20 != 0 || holds_der {
            out.extend(der(value.tag, &[&rebuild(value.content, old, new, hits)]));
        } else {
            out.extend(value.whole);
        }
    }
    out
}

/// DNS name as it stands in the certificate.
fn dns(name: &str) -> Vec<u8> {
    der(0x82, &[name.as_bytes()])
}

/// commonName in a string type.
fn common_name(tag: u8) -> Vec<u8> {
    der(
        0x30,
        &[
            &[0x06, 0x03, 0x55, 0x04, 0x03],
            &der(tag, &[b"www.example.org"]),
        ],
    )
}

/// Key usages digitalSignature alone, as encoded.
const DIGITAL_SIGNATURE: &[u8] = &[0x03, 0x02, 0x07, 0x80];
/// serverAuth, as encoded.
const SERVER_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// timeStamping, as encoded.
const TIME_STAMPING: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// Tampers so that one lint must object; returns what it tampered with.
fn tamper(lint: Lint) -> Stage {
    use ProfileKind::{Service, SubCa, TlsServer};
    let kind = match lint {
        Lint::SubjectOfCa | Lint::PathLengthIssuer | Lint::NameConstraintsProfile => SubCa,
        Lint::Identity => Service,
        _ => TlsServer,
    };
    let mut it = match lint {
        Lint::ForgeClaims | Lint::ForgeName | Lint::SctList | Lint::SctPrecertificate => {
            stage_for_build()
        }
        _ => stage(kind),
    };
    match lint {
        Lint::SerialEntropy => {
            let octets = serial(7);
            it.patch(&der(0x02, &[octets.as_der_content()]), &[0x02, 0x01, 0x07]);
        }
        Lint::SignatureAlgorithm => {
            it.issuer.signature_algorithm = SignatureAlgorithm::Ecdsa(HashAlgorithm::Sha512);
        }
        Lint::WeakHash => {
            // ecdsa-with-SHA1.
            let sha1 = [
                0x30, 0x09, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01,
            ];
            let identifier = it.issuer.signature_algorithm.identifier_der();
            it.patch(identifier, &sha1);
        }
        Lint::IssuerName => {
            it.issuer.subject_der = "CN=Other"
                .parse::<DistinguishedName>()
                .unwrap()
                .to_der()
                .into();
        }
        Lint::SelfIssued => {
            let (subject, issuer) = (it.subject_der(), it.issuer.subject_der.clone());
            it.patch(&subject, &issuer);
        }
        Lint::TimeEncoding => {
            let tbs = Tbs::parse(&it.planned.tbs_der).unwrap();
            let time = jiff::tz::Offset::UTC.to_datetime(tbs.not_after);
            let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
            it.patch(
                &der(0x17, &[&text.as_bytes()[2..]]),
                &der(0x18, &[text.as_bytes()]),
            );
        }
        Lint::ValidityOrder => it.planned.now = Timestamp::from_second(0).unwrap(),
        Lint::ValidityProfile => it.profile.max_validity = std::time::Duration::from_secs(60),
        Lint::ValidityIssuer => it.issuer.validity = Some((now(), now())),
        Lint::SubjectEncoding => {
            it.patch(
                &common_name(tlv::UTF8_STRING),
                &common_name(tlv::PRINTABLE_STRING),
            );
        }
        Lint::SubjectProfile => it.profile.subject.keep.clear(),
        Lint::SubjectOfCa => {
            let subject = it.subject_der();
            it.patch(&subject, &[0x30, 0x00]);
        }
        Lint::SubjectConstraints => {
            let other = "O=Elsewhere".parse::<DistinguishedName>().unwrap().to_der();
            let subtree = Subtree::Directory(other[2..].into());
            it.issuer.name_constraints.permitted.push(subtree);
        }
        Lint::KeyProfile => it.profile.keys = vec![KeyClass::Rsa],
        Lint::ExtensionKnown => {
            let known = [&[0x30, 0x0e][..], DIGITAL_USAGE_EXTENSION].concat();
            let unknown = der(
                0x30,
                &[&[0x06, 0x02, 0x2a, 0x03], &[0x04, 0x02, 0x05, 0x00]],
            );
            it.patch(&known, &[&known[..], &unknown].concat());
        }
        Lint::ExtensionCritical => {
            let known = [&[0x30, 0x0e][..], DIGITAL_USAGE_EXTENSION].concat();
            let uncritical = der(
                0x30,
                &[&DIGITAL_USAGE_EXTENSION[..5], &DIGITAL_USAGE_EXTENSION[8..]],
            );
            it.patch(&known, &uncritical);
        }
        Lint::AuthorityKeyIdentifier => it.issuer.key_identifier = [0; 20],
        Lint::SubjectKeyIdentifier => {
            let tbs = Tbs::parse(&it.planned.tbs_der).unwrap();
            let identifier = der(0x04, &[&tbs.public_key.key_identifier()]);
            it.patch(&identifier, &der(0x04, &[&[0; 20]]));
        }
        Lint::KeyUsageProfile => it.patch(DIGITAL_SIGNATURE, &[0x03, 0x02, 0x06, 0xc0]),
        Lint::KeyUsageFits => it.patch(DIGITAL_SIGNATURE, &[0x03, 0x02, 0x05, 0xa0]),
        Lint::KeyUsageOfCa => it.patch(DIGITAL_SIGNATURE, &[0x03, 0x02, 0x02, 0x84]),
        Lint::ExtendedKeyUsageProfile => {
            it.patch(SERVER_AUTH, &[SERVER_AUTH, TIME_STAMPING].concat());
        }
        Lint::ExtendedKeyUsageAny => {
            let any = [0x06, 0x04, 0x55, 0x1d, 0x25, 0x00];
            it.profile.extended_key_usages = vec![ExtendedKeyUsage::ANY];
            it.patch(SERVER_AUTH, &any);
        }
        Lint::ExtendedKeyUsageTimeStamping => {
            it.profile.extended_key_usages = vec![ExtendedKeyUsage::TIME_STAMPING];
            it.patch(SERVER_AUTH, TIME_STAMPING);
        }
        Lint::BasicConstraintsProfile => {
            let known = [&[0x30, 0x0e][..], DIGITAL_USAGE_EXTENSION].concat();
            let ca = der(
                0x30,
                &[
                    &[0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff],
                    &[0x04, 0x05, 0x30, 0x03, 0x01, 0x01, 0xff],
                ],
            );
            it.patch(&known, &[&ca[..], &known].concat());
        }
        Lint::PathLengthIssuer => it.issuer.path_length = Some(0),
        Lint::NamePresent => {
            it.profile.names.min = 0;
            let subject = it.subject_der();
            it.patch(&subject, &[0x30, 0x00]);
            let names = der(0x30, &[&dns("www.example.org")]);
            let san = [&[0x06, 0x03, 0x55, 0x1d, 0x11][..], &der(0x04, &[&names])].concat();
            it.patch(&der(0x30, &[&san]), &[]);
        }
        Lint::NameSyntax => it.patch(&dns("www.example.org"), &dns("www_example.org")),
        Lint::NameRepeated => {
            let name = dns("www.example.org");
            it.patch(&name, &[&name[..], &name].concat());
        }
        Lint::NameProfile => it.profile.names.kinds.clear(),
        Lint::NameConstraintsOfIssuer => {
            let subtree = "dns:example.com".parse().unwrap();
            it.issuer.name_constraints.permitted.push(subtree);
        }
        Lint::CommonNameInNames => it.patch(&dns("www.example.org"), &dns("other.example.org")),
        Lint::Identity => it.planned.identity = None,
        Lint::NameConstraintsProfile => {
            let everything = Cidr::new(IpAddr::from([0, 0, 0, 0]), 0).unwrap();
            it.profile
                .name_constraints
                .excluded
                .push(Subtree::Ip(everything));
        }
        Lint::PoliciesProfile => it.profile.policies.push(crate::profile::Policy {
            oid: crate::oid::ANY_POLICY,
            cps: None,
        }),
        Lint::AuthorityInformation => it.issuer.urls.ocsp = None,
        Lint::CrlDistributionPoint => it.planned.crl = None,
        Lint::OcspNoCheck => it.profile.ocsp_no_check = true,
        Lint::TlsFeature => it.planned.asks_for_must_staple = true,
        Lint::ForgeClaims => it.patch(&der(0x0c, &[b"1001"]), &der(0x0c, &[b"1002"])),
        Lint::ForgeName => {
            let name = forge_claims().build_signer_uri().as_bytes().to_vec();
            it.patch(
                &der(0x86, &[&name]),
                &der(0x86, &[b"https://forge.example/x"]),
            );
        }
        Lint::SctList => it.planned.timestamped = Timestamped::No,
        // The log saw another serial number.
        Lint::SctPrecertificate => {
            let old = der(0x02, &[serial(7).as_der_content()]);
            it.patch(&old, &der(0x02, &[serial(8).as_der_content()]));
        }
    }
    it
}

/// The keyUsage extension's contents: type, critical, digitalSignature.
const DIGITAL_USAGE_EXTENSION: &[u8] = &[
    0x06, 0x03, 0x55, 0x1d, 0x0f, 0x01, 0x01, 0xff, 0x04, 0x04, 0x03, 0x02, 0x07, 0x80,
];

#[test]
fn each_lint_objects_to_what_it_is_for() {
    for lint_wanted in Lint::ALL {
        let it = tamper(*lint_wanted);
        match it.judged() {
            Err(LintFindings::Broken(findings)) => assert!(
                findings.contains(&Finding { lint: *lint_wanted }),
                "{lint_wanted:?} is silent; others: {findings:?}"
            ),
            other => panic!("{lint_wanted:?}: {other:?}"),
        }
    }
}

#[test]
fn what_the_planner_makes_passes_and_is_signed_as_it_is() {
    for kind in [
        ProfileKind::TlsServer,
        ProfileKind::Service,
        ProfileKind::SubCa,
    ] {
        let it = stage(kind);
        let planned = it.planned.tbs_der().to_vec();
        let linted = lint(it.planned, &it.profile, &it.issuer).unwrap();
        assert_eq!(linted.der(), planned);
        let signature = it.key.sign(linted.signature_algorithm(), linted.der());
        let issued = linted.assemble(&signature).unwrap();
        let certificate = crate::certificate::Certificate::from_der(issued.der()).unwrap();
        assert_eq!(certificate.tbs_der(), planned);
        assert!(certificate.verify_signed_by(it.issuer.public_key()).is_ok());
    }
}

#[test]
fn what_a_log_saw_is_signed_by_no_authority() {
    let it = stage_for_build();
    let whole = it.planned.tbs_der().to_vec();
    let linted = it.judged().unwrap();
    assert_eq!(linted.der(), whole);
    // Neither without the log having seen it, nor as what the log saw.
    let broken = |outcome: Result<LintedTbs, LintFindings>| {
        let Err(LintFindings::Broken(findings)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(
            findings.contains(&Finding {
                lint: Lint::SctList
            }),
            "{findings:?}"
        );
    };
    let it = stage_for_build();
    broken(lint(it.planned, &it.profile, &it.issuer));
    let mut it = stage_for_build();
    it.planned.tbs_der = it.seen.as_ref().unwrap().der().to_vec();
    it.planned.timestamped = Timestamped::Awaited;
    broken(it.judged());
    let mut it = stage_for_build();
    it.planned.tbs_der = it.seen.as_ref().unwrap().der().to_vec();
    it.planned.timestamped = Timestamped::Awaited;
    broken(lint(it.planned, &it.profile, &it.issuer));
}

#[test]
fn octets_of_another_form_are_no_signature() {
    let not_signatures: [&[u8]; 4] = [
        &[],
        &[0; 64],
        // r is zero.
        &[0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x01],
        // Octets after s.
        &[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01, 0x00],
    ];
    for octets in not_signatures {
        let it = stage(ProfileKind::TlsServer);
        let linted = lint(it.planned, &it.profile, &it.issuer).unwrap();
        assert!(matches!(
            linted.assemble(octets),
            Err(AssembleError::Form { .. })
        ));
    }
}

#[test]
fn a_damaged_plan_is_refused_at_any_octet() {
    let it = stage(ProfileKind::TlsServer);
    let (profile, issuer) = (&it.profile, &it.issuer);
    let whole = it.planned.tbs_der.clone();
    let spki = Tbs::parse(&whole).unwrap().public_key.spki_der().to_vec();
    let key_at = whole
        .windows(spki.len())
        .position(|window| window == spki)
        .unwrap();
    for place in 0..whole.len() {
        let mut tbs_der = whole.clone();
        tbs_der[place] ^= 0x20;
        let planned = PlannedCertificate {
            tbs_der,
            now: now(),
            identity: None,
            crl: urls().crl,
            asks_for_must_staple: false,
            forge: None,
            timestamped: Timestamped::No,
        };
        // Within serial number, times and key, other values may be as good; the
        // subject key identifier still gives the key away.
        let serial_or_time = place < key_at;
        if let Ok(linted) = lint(planned, profile, issuer) {
            assert!(serial_or_time, "octet {place} changed and nobody saw");
            assert_ne!(linted.der(), whole);
        }
    }
}

#[test]
fn lint_names_are_stable_and_unique() {
    let mut names: Vec<&str> = Lint::ALL.iter().map(|lint| lint.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Lint::ALL.len());
}
