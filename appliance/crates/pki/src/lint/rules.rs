//! The rules, each with a name and where it comes from.

use jiff::SignedDuration;

use super::{Finding, Stage, Subject, define_lints, is_strong};
use crate::algorithm::SignatureAlgorithm;
use crate::csr::first_repeated;
use crate::name::AttributeType;
use crate::names::AlternativeName;
use crate::oid;
use crate::profile::{ExtendedKeyUsage, KeyUsage, ProfileKind, Timestamped};
use crate::sct;

define_lints! {
    /// A rule for what is signed.
    Lint;
    /// At least 16 octets, so that 64 random bits and more fit (at most 20 and
    /// positive: what is not cannot be read back).
    SerialEntropy = "serial-entropy", "RFC 5280, 4.1.2.2; CA/B Forum TLS requirements, 7.1";
    /// The algorithm is the one the issuer signs by.
    SignatureAlgorithm = "signature-algorithm", "RFC 5280, 4.1.2.3";
    /// The hash is not broken.
    WeakHash = "weak-hash", "RFC 6194; CA/B Forum TLS requirements, 7.1.3.2";
    /// The issuer's name is the issuer's subject, octet for octet, and not empty.
    IssuerName = "issuer-name", "RFC 5280, 4.1.2.4 and 7.1";
    /// A root has its issuer's name, and nothing else has.
    SelfIssued = "self-issued", "RFC 5280, 3.2 and 4.2.1.9";
    /// UTCTime through 2049, then GeneralizedTime.
    TimeEncoding = "time-encoding", "RFC 5280, 4.1.2.5";
    /// notBefore is before notAfter and not in the future, notAfter is in the future.
    ValidityOrder = "validity-order", "RFC 5280, 4.1.2.5";
    /// No longer than the profile allows.
    ValidityProfile = "validity-profile", "profile";
    /// Within the issuer's own.
    ValidityIssuer = "validity-issuer", "X.509, 10.5.1; profile";
    /// Attributes are well formed and of the right string type.
    SubjectEncoding = "subject-encoding", "RFC 5280, 4.1.2.6 and appendix A.1";
    /// Attributes are those the profile allows or fixes.
    SubjectProfile = "subject-profile", "profile";
    /// A CA has a subject.
    SubjectOfCa = "subject-of-ca", "RFC 5280, 4.1.2.6";
    /// The subject is within the issuer's name constraints.
    SubjectConstraints = "subject-constraints", "RFC 5280, 6.1.3 (b), (c)";
    /// The key's kind and size are the profile's.
    KeyProfile = "key-profile", "profile";
    /// Only extensions that are known here.
    ExtensionKnown = "extension-known", "profile";
    /// Extensions are critical where they must be, and only there.
    ExtensionCritical = "extension-critical", "RFC 5280, 4.2.1 and 4.2.2";
    /// The authority key identifier is the issuer's.
    AuthorityKeyIdentifier = "authority-key-identifier", "RFC 5280, 4.2.1.1";
    /// The subject key identifier is the key's.
    SubjectKeyIdentifier = "subject-key-identifier", "RFC 5280, 4.2.1.2; RFC 7093, 2";
    /// Key usages are the profile's.
    KeyUsageProfile = "key-usage-profile", "RFC 5280, 4.2.1.3; profile";
    /// Key usages are what such a key can do.
    KeyUsageFits = "key-usage-fits", "RFC 3279, 2.3; RFC 8813, 3; RFC 8410, 5";
    /// keyCertSign stands exactly in CA certificates.
    KeyUsageOfCa = "key-usage-of-ca", "RFC 5280, 4.2.1.3 and 4.2.1.9";
    /// Extended key usages are the profile's.
    ExtendedKeyUsageProfile = "extended-key-usage-profile", "RFC 5280, 4.2.1.12; profile";
    /// anyExtendedKeyUsage is not issued.
    ExtendedKeyUsageAny = "extended-key-usage-any", "CA/B Forum TLS requirements, 7.1.2.7.10";
    /// Time-stamping stands alone and critical.
    ExtendedKeyUsageTimeStamping = "extended-key-usage-time-stamping", "RFC 3161, 2.3";
    /// The certificate is a CA's exactly if the profile is, with its path length.
    BasicConstraintsProfile = "basic-constraints-profile", "RFC 5280, 4.2.1.9; profile";
    /// The path length is below the issuer's.
    PathLengthIssuer = "path-length-issuer", "RFC 5280, 4.2.1.9";
    /// There is a name at all.
    NamePresent = "name-present", "RFC 5280, 4.1.2.6";
    /// Every name is of a kind that is issued, and well formed.
    NameSyntax = "name-syntax", "RFC 5280, 4.2.1.6";
    /// No name stands twice.
    NameRepeated = "name-repeated", "RFC 5280, 4.2.1.6";
    /// Every name is one the profile takes.
    NameProfile = "name-profile", "profile";
    /// Every name is within the issuer's name constraints.
    NameConstraintsOfIssuer = "name-constraints-of-issuer", "RFC 5280, 6.1.3 (b), (c)";
    /// A TLS server's common name is one of its names.
    CommonNameInNames = "common-name-in-names", "CA/B Forum TLS requirements, 7.1.4.3";
    /// The identity granted is there, alone; where none was, there is none.
    Identity = "identity", "X509-SVID, 2 and 3";
    /// Name constraints are the profile's, in CA certificates only.
    NameConstraintsProfile = "name-constraints-profile", "RFC 5280, 4.2.1.10; profile";
    /// Policies are the profile's, none twice.
    PoliciesProfile = "policies-profile", "RFC 5280, 4.2.1.4; profile";
    /// Authority information is the issuer's, as the profile wants it.
    AuthorityInformation = "authority-information", "RFC 5280, 4.2.2.1; profile";
    /// The CRL is the one planned, over HTTP.
    CrlDistributionPoint = "crl-distribution-point", "RFC 5280, 4.2.1.13; profile";
    /// id-pkix-ocsp-nocheck stands exactly where the profile wants it.
    OcspNoCheck = "ocsp-no-check", "RFC 6960, 4.2.2.2.1; profile";
    /// TLS features are status_request alone, exactly where planned.
    TlsFeature = "tls-feature", "RFC 7633, 4.2; profile";
    /// A forge's claims are those verified, in the kinds that carry them alone.
    ForgeClaims = "forge-claims", "Fulcio oid-info; profile";
    /// The name of a key that signs for a build is the build signer, alone.
    ForgeName = "forge-name", "Fulcio certificate specification; profile";
    /// Timestamps are those planned, in a form that a log gives.
    SctList = "sct-list", "RFC 6962, 3.3";
    /// Without its timestamps it is what the log saw.
    SctPrecertificate = "sct-precertificate", "RFC 6962, 3.2";
}

/// Holds what is to be signed to every rule and returns those it breaks.
pub(super) fn check(it: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expect = |holds: bool, lint: Lint| {
        if !holds {
            findings.push(Finding { lint });
        }
    };
    check_head(it, &mut expect);
    check_validity(it, &mut expect);
    check_subject(it, &mut expect);
    check_criticality(it, &mut expect);
    check_key(it, &mut expect);
    check_usages(it, &mut expect);
    check_authority(it, &mut expect);
    check_names(it, &mut expect);
    check_policies(it, &mut expect);
    check_pointers(it, &mut expect);
    check_forge(it, &mut expect);
    check_timestamps(it, &mut expect);
    findings
}

/// Serial number, algorithm and issuer.
fn check_head(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let (tbs, issuer) = (it.tbs, it.issuer);
    expect(tbs.serial.as_der_content().len() >= 16, Lint::SerialEntropy);
    expect(
        *tbs.algorithm_der == *issuer.signature_algorithm.identifier_der(),
        Lint::SignatureAlgorithm,
    );
    let algorithm = SignatureAlgorithm::from_identifier_der(&tbs.algorithm_der);
    expect(algorithm.is_some_and(is_strong), Lint::WeakHash);
    // An empty Name is two octets.
    let named = tbs.issuer_der.len() > 2 && *tbs.issuer_der == *issuer.subject_der;
    expect(named, Lint::IssuerName);
}

/// Times.
fn check_validity(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let tbs = it.tbs;
    expect(tbs.times_canonical, Lint::TimeEncoding);
    let now = it.now();
    expect(
        tbs.not_before < tbs.not_after && tbs.not_before <= now && now <= tbs.not_after,
        Lint::ValidityOrder,
    );
    // Both ends count (RFC 5280, 4.1.2.5).
    let period = tbs.not_after.duration_since(tbs.not_before) + SignedDuration::from_secs(1);
    let max = SignedDuration::try_from(it.profile.max_validity).unwrap_or(SignedDuration::ZERO);
    expect(period <= max, Lint::ValidityProfile);
    let within = it
        .issuer
        .validity
        .is_none_or(|(first, last)| first <= tbs.not_before && tbs.not_after <= last);
    expect(within, Lint::ValidityIssuer);
}

/// Subject.
fn check_subject(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let subject = it.subject;
    // Encoding it afresh gives the string types RFC 5280 wants.
    let well_formed = subject.check_issuable().is_ok() && *subject.to_der() == *it.tbs.subject_der;
    expect(well_formed, Lint::SubjectEncoding);
    let rules = &it.profile.subject;
    let allowed = subject
        .attributes()
        .iter()
        .all(|attribute| rules.allow(attribute));
    let fixed = rules
        .fixed
        .iter()
        .all(|fixed| subject.attributes().contains(fixed));
    expect(allowed && fixed, Lint::SubjectProfile);
    expect(
        !it.profile.is_ca() || !subject.is_empty(),
        Lint::SubjectOfCa,
    );
    let content = crate::tlv::read_only(&it.tbs.subject_der, crate::tlv::SEQUENCE)
        .map_or(&[][..], |name| name.content);
    expect(
        it.issuer.name_constraints.allow_subject(content)
            && it.issuer.name_constraints.allow_emails(subject),
        Lint::SubjectConstraints,
    );
    let root = it.profile.kind() == ProfileKind::RootCa;
    expect(
        root == (it.tbs.subject_der == it.tbs.issuer_der),
        Lint::SelfIssued,
    );
}

/// Critical flags.
fn check_criticality(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let extensions = &it.tbs.extensions;
    expect(!extensions.unknown, Lint::ExtensionKnown);
    let purposes_critical = it.profile.extended_key_usages_critical;
    let right = extensions.order.iter().all(|(kind, critical)| {
        let wanted = match *kind {
            oid::KEY_USAGE | oid::BASIC_CONSTRAINTS | oid::NAME_CONSTRAINTS => true,
            oid::SUBJECT_ALT_NAME => it.subject.is_empty(),
            oid::EXTENDED_KEY_USAGE => purposes_critical,
            _ => false,
        };
        *critical == wanted
    });
    expect(right, Lint::ExtensionCritical);
}

/// Key and its identifiers.
fn check_key(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let tbs = it.tbs;
    expect(
        it.profile.check_key(&tbs.public_key).is_ok(),
        Lint::KeyProfile,
    );
    let extensions = &tbs.extensions;
    expect(
        extensions.authority_key_identifier.as_deref() == Some(&it.issuer.key_identifier),
        Lint::AuthorityKeyIdentifier,
    );
    expect(
        extensions.subject_key_identifier.as_deref() == Some(&tbs.public_key.key_identifier()),
        Lint::SubjectKeyIdentifier,
    );
}

/// Key usages and extended key usages.
fn check_usages(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let (extensions, profile) = (&it.tbs.extensions, it.profile);
    let key_type = it.tbs.public_key.key_type();
    let usages = extensions.key_usage;
    expect(
        usages.is_some_and(|usages| usages == profile.key_usages.fitting(key_type)),
        Lint::KeyUsageProfile,
    );
    expect(
        usages.is_some_and(|usages| usages == usages.fitting(key_type)),
        Lint::KeyUsageFits,
    );
    let certifies = usages.is_some_and(|usages| usages.contains(KeyUsage::KeyCertSign));
    let ca = extensions
        .basic_constraints
        .is_some_and(|constraints| constraints.ca);
    expect(certifies == ca, Lint::KeyUsageOfCa);
    let purposes = &extensions.extended_key_usages;
    expect(
        *purposes == profile.extended_key_usages,
        Lint::ExtendedKeyUsageProfile,
    );
    expect(
        !purposes.contains(&ExtendedKeyUsage::ANY),
        Lint::ExtendedKeyUsageAny,
    );
    let stamps = purposes.contains(&ExtendedKeyUsage::TIME_STAMPING) && !ca;
    let alone = purposes.len() == 1 && extensions.critical(oid::EXTENDED_KEY_USAGE) == Some(true);
    expect(!stamps || alone, Lint::ExtendedKeyUsageTimeStamping);
}

/// Whether it is a CA's, and what it may do then.
fn check_authority(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let (extensions, profile) = (&it.tbs.extensions, it.profile);
    let constraints = extensions.basic_constraints;
    let promised = match constraints {
        Some(constraints) => {
            profile.is_ca() && constraints.ca && constraints.path_length == profile.path_length
        }
        None => !profile.is_ca(),
    };
    expect(promised, Lint::BasicConstraintsProfile);
    let below = match (profile.is_ca(), it.issuer.path_length) {
        (true, Some(above)) => constraints
            .and_then(|constraints| constraints.path_length)
            .is_some_and(|own| own < above),
        (true, None) | (false, _) => true,
    };
    expect(below, Lint::PathLengthIssuer);
    let wanted = (!profile.name_constraints.is_empty()).then_some(&profile.name_constraints);
    expect(
        extensions.name_constraints.as_ref() == wanted,
        Lint::NameConstraintsProfile,
    );
}

/// Subject alternative names.
fn check_names(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let (extensions, profile) = (&it.tbs.extensions, it.profile);
    let names = &extensions.names;
    expect(
        !it.subject.is_empty() || !names.is_empty(),
        Lint::NamePresent,
    );
    expect(!extensions.other_names, Lint::NameSyntax);
    expect(first_repeated(names).is_none(), Lint::NameRepeated);
    let is_identity =
        |name: &&AlternativeName| matches!(name, AlternativeName::Uri(uri) if uri.is_spiffe());
    let asked: Vec<AlternativeName> = names
        .iter()
        .filter(|name| !is_identity(name) && Some(*name) != build_signer(it).as_ref())
        .cloned()
        .collect();
    expect(profile.check_names(&asked).is_ok(), Lint::NameProfile);
    let constraints = &it.issuer.name_constraints;
    expect(
        names.iter().all(|name| constraints.allow(name)),
        Lint::NameConstraintsOfIssuer,
    );
    if profile.subject.common_name_is_a_name {
        let among = it.subject.attributes().iter().all(|attribute| {
            attribute.kind() != AttributeType::CommonName
                || names.iter().any(|name| {
                    !matches!(name, AlternativeName::Permanent(_))
                        && name.value() == attribute.value()
                })
        });
        expect(among, Lint::CommonNameInNames);
    }
    let mut identities = names.iter().filter(is_identity);
    // X509-SVID, 2: exactly one URI. A profile that grants an identity issues no
    // other URI, since URIs from requests would have to be let in by name.
    let as_granted = match (&it.planned.identity, profile.grants_identity()) {
        (Some(identity), true) => {
            let uris = names
                .iter()
                .filter(|name| matches!(name, AlternativeName::Uri(_)));
            uris.count() == 1 && identities.next() == Some(&AlternativeName::Uri(identity.clone()))
        }
        (None, false) => identities.next().is_none(),
        (Some(_), false) | (None, true) => false,
    };
    expect(as_granted, Lint::Identity);
}

/// Returns the name that a forge's claims give to a key that signs for a build.
fn build_signer(it: &Subject<'_>) -> Option<AlternativeName> {
    let signs_for_build = it.profile.kind() == ProfileKind::CodeSigningForge;
    let claims = it.planned.forge.as_ref().filter(|_| signs_for_build)?;
    Some(AlternativeName::Uri(claims.build_signer().clone()))
}

/// What a forge said.
fn check_forge(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let found = &it.tbs.extensions.forge;
    let wanted = it.profile.kind().carries_forge_claims();
    expect(
        *found == it.planned.forge && found.is_some() == wanted,
        Lint::ForgeClaims,
    );
    if it.profile.kind() == ProfileKind::CodeSigningForge {
        let named = build_signer(it).is_some_and(|name| it.tbs.extensions.names == [name]);
        expect(named && it.subject.is_empty(), Lint::ForgeName);
    }
}

/// Signed certificate timestamps.
fn check_timestamps(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let found = it.tbs.extensions.scts.as_ref();
    let as_planned = match (it.stage, &it.planned.timestamped) {
        (Stage::Precertificate, Timestamped::Awaited) | (Stage::Final(None), Timestamped::No) => {
            found.is_none()
        }
        (Stage::Final(Some(_)), Timestamped::Embedded(scts)) => {
            it.profile.embed_sct && found == Some(scts)
        }
        (Stage::Precertificate | Stage::Final(_), _) => false,
    };
    expect(as_planned, Lint::SctList);
    if let Stage::Final(Some(precertificate)) = it.stage {
        let seen = sct::without_scts(&it.planned.tbs_der);
        let same = seen.is_ok_and(|seen| seen.as_deref() == Some(precertificate.der()));
        expect(same, Lint::SctPrecertificate);
    }
}

/// Policies.
fn check_policies(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let found = &it.tbs.extensions.policies;
    let wanted = &it.profile.policies;
    let same = found.len() == wanted.len()
        && found
            .iter()
            .zip(wanted)
            .all(|(found, wanted)| found.oid == wanted.oid && found.cps == wanted.cps);
    expect(same, Lint::PoliciesProfile);
}

/// Where to ask further.
fn check_pointers(it: &Subject<'_>, expect: &mut impl FnMut(bool, Lint)) {
    let (extensions, profile) = (&it.tbs.extensions, it.profile);
    let urls = &it.issuer.urls;
    let matches = |found: &[String], wanted: Option<&String>| match (found, wanted) {
        ([], None) => true,
        ([found], Some(wanted)) => found == wanted && is_http(found),
        _ => false,
    };
    let ocsp = urls.ocsp.as_ref().filter(|_| profile.ocsp);
    let ca_issuers = urls.ca_issuers.as_ref().filter(|_| profile.ca_issuers);
    expect(
        matches(&extensions.ocsp, ocsp)
            && matches(&extensions.ca_issuers, ca_issuers)
            && !extensions.other_access,
        Lint::AuthorityInformation,
    );
    let points = extensions.critical(oid::CRL_DISTRIBUTION_POINTS).is_some();
    expect(
        matches(&extensions.crl, it.planned.crl.as_ref()) && points == it.planned.crl.is_some(),
        Lint::CrlDistributionPoint,
    );
    expect(
        extensions.ocsp_no_check == profile.ocsp_no_check,
        Lint::OcspNoCheck,
    );
    let staples = profile.staples(it.planned.asks_for_must_staple);
    let wanted: &[u8] = if staples { &[5] } else { &[] };
    expect(extensions.tls_features == wanted, Lint::TlsFeature);
}

/// Tells whether a URL is plain HTTP, which relying parties can fetch without
/// checking a certificate first (RFC 5280, 8).
fn is_http(url: &str) -> bool {
    url.starts_with("http://")
}
