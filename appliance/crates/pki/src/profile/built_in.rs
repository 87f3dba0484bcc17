//! The profiles that are there without configuration.

use std::collections::BTreeMap;

use super::config::{
    KeyClass, MustStaple, NameRulesConfig, ProfileConfig, ProfileKind, SubjectRulesConfig,
};
use super::lifetime::Lifetime;
use super::usage::{ExtendedKeyUsage, KeyUsage};
use crate::name::AttributeType;
use crate::names::NameKind;

/// Code-signing certificates last at most 460 days (CA/B Forum code signing
/// requirements, 6.3.2, from 2026-03-01).
pub(super) const CODE_SIGNING_MAX: Lifetime = Lifetime::days(460);

/// Certificates with a forge's claims last at most ten minutes from now on.
pub(super) const FORGE_MAX: Lifetime = Lifetime::seconds(600);

/// Certificates with a forge's claims begin at most five minutes ago.
pub(super) const FORGE_MAX_BACKDATE: Lifetime = Lifetime::seconds(300);

/// Returns the complete configuration of a built-in profile.
pub(super) fn config(kind: ProfileKind) -> ProfileConfig {
    use KeyClass::{Ed25519, P256, P384, Rsa};
    let leaf = ProfileConfig {
        kind: Some(kind),
        issuer: None,
        keys: Some(vec![P256, P384, Rsa, Ed25519]),
        rsa_min_bits: Some(2048),
        validity: Some(Lifetime::days(90)),
        max_validity: Some(Lifetime::days(398)),
        backdate: Some(Lifetime::seconds(3600)),
        key_usages: Some(vec![KeyUsage::DigitalSignature]),
        extended_key_usages: Some(Vec::new()),
        extended_key_usages_critical: Some(false),
        names: names(&[], 0, 0),
        subject: subject(&[], &[], false),
        path_length: None,
        name_constraints: None,
        policies: Some(Vec::new()),
        ca_issuers: Some(true),
        ocsp: Some(true),
        crl: Some(true),
        ocsp_no_check: Some(false),
        must_staple: Some(MustStaple::Never),
        embed_sct: None,
    };
    // For minutes, and with room for clocks that are a minute behind.
    let brief = ProfileConfig {
        validity: Some(FORGE_MAX),
        max_validity: Some(Lifetime::seconds(660)),
        backdate: Some(Lifetime::seconds(60)),
        ..leaf.clone()
    };
    match kind {
        ProfileKind::TlsServer => ProfileConfig {
            extended_key_usages: Some(vec![ExtendedKeyUsage::SERVER_AUTH]),
            names: NameRulesConfig {
                wildcards: Some(true),
                ..names(&[NameKind::Dns, NameKind::Ip], 1, 100)
            },
            subject: subject(&[AttributeType::CommonName], &[], true),
            must_staple: Some(MustStaple::Requested),
            ..leaf
        },
        ProfileKind::TlsClient => ProfileConfig {
            extended_key_usages: Some(vec![ExtendedKeyUsage::CLIENT_AUTH]),
            names: names(
                &[NameKind::Dns, NameKind::Ip, NameKind::Email, NameKind::Uri],
                0,
                20,
            ),
            subject: subject(&PERSON, &[], false),
            ..leaf
        },
        ProfileKind::Service => ProfileConfig {
            validity: Some(Lifetime::days(30)),
            max_validity: Some(Lifetime::days(366)),
            extended_key_usages: Some(vec![
                ExtendedKeyUsage::SERVER_AUTH,
                ExtendedKeyUsage::CLIENT_AUTH,
            ]),
            names: names(&[NameKind::Dns, NameKind::Ip], 0, 20),
            subject: subject(&[AttributeType::CommonName], &[], false),
            ..leaf
        },
        ProfileKind::CodeSigning => ProfileConfig {
            // CA/B Forum code signing requirements, 6.1.5.2: RSA of 3072 bits or
            // more; Ed25519 is left out, since it cannot sign a digest.
            keys: Some(vec![P256, P384, Rsa]),
            rsa_min_bits: Some(3072),
            validity: Some(Lifetime::days(365)),
            max_validity: Some(CODE_SIGNING_MAX),
            extended_key_usages: Some(vec![ExtendedKeyUsage::CODE_SIGNING]),
            names: names(&[NameKind::Email, NameKind::Uri, NameKind::Dns], 0, 10),
            subject: subject(&PERSON, &[AttributeType::CommonName], false),
            ..leaf
        },
        ProfileKind::CiClient => ProfileConfig {
            extended_key_usages: Some(vec![ExtendedKeyUsage::CLIENT_AUTH]),
            ..brief
        },
        ProfileKind::CodeSigningForge => ProfileConfig {
            keys: Some(vec![P256, P384, Rsa]),
            rsa_min_bits: Some(3072),
            extended_key_usages: Some(vec![ExtendedKeyUsage::CODE_SIGNING]),
            ..brief
        },
        ProfileKind::OcspResponder => ProfileConfig {
            validity: Some(Lifetime::days(30)),
            max_validity: Some(Lifetime::days(90)),
            extended_key_usages: Some(vec![ExtendedKeyUsage::OCSP_SIGNING]),
            subject: subject(&PERSON, &[AttributeType::CommonName], false),
            // RFC 6960, 4.2.2.2.1: trusted for its lifetime, so that checking it
            // does not ask itself.
            ocsp: Some(false),
            crl: Some(false),
            ocsp_no_check: Some(true),
            ..leaf
        },
        ProfileKind::TimeStamping => ProfileConfig {
            keys: Some(vec![P256, P384, Rsa]),
            rsa_min_bits: Some(3072),
            // The key signs for 15 months; the certificate outlives it, so that
            // its last time-stamps verify for as long as its first.
            validity: Some(Lifetime::days(3650)),
            max_validity: Some(Lifetime::days(4106)),
            extended_key_usages: Some(vec![ExtendedKeyUsage::TIME_STAMPING]),
            // RFC 3161, 2.3: only this purpose, and critical.
            extended_key_usages_critical: Some(true),
            subject: subject(&PERSON, &[AttributeType::CommonName], false),
            ..leaf
        },
        ProfileKind::SubCa => ProfileConfig {
            rsa_min_bits: Some(3072),
            validity: Some(Lifetime::days(3650)),
            max_validity: Some(Lifetime::days(5475)),
            key_usages: Some(vec![
                KeyUsage::DigitalSignature,
                KeyUsage::KeyCertSign,
                KeyUsage::CrlSign,
            ]),
            subject: subject(&PERSON, &[AttributeType::CommonName], false),
            path_length: Some(0),
            ..leaf
        },
        ProfileKind::RootCa => ProfileConfig {
            rsa_min_bits: Some(3072),
            validity: Some(Lifetime::days(7300)),
            max_validity: Some(Lifetime::days(9131)),
            key_usages: Some(vec![
                KeyUsage::DigitalSignature,
                KeyUsage::KeyCertSign,
                KeyUsage::CrlSign,
            ]),
            subject: subject(&PERSON, &[AttributeType::CommonName], false),
            ca_issuers: Some(false),
            ocsp: Some(false),
            crl: Some(false),
            ..leaf
        },
    }
}

/// What names a person, machine or organization.
const PERSON: [AttributeType; 9] = [
    AttributeType::Country,
    AttributeType::State,
    AttributeType::Locality,
    AttributeType::Organization,
    AttributeType::OrganizationalUnit,
    AttributeType::CommonName,
    AttributeType::Surname,
    AttributeType::GivenName,
    AttributeType::SerialNumber,
];

/// Rules for names of some kinds, nothing allowed or forbidden beyond.
fn names(kinds: &[NameKind], min: usize, max: usize) -> NameRulesConfig {
    NameRulesConfig {
        kinds: Some(kinds.to_vec()),
        min: Some(min),
        max: Some(max),
        wildcards: Some(false),
        allowed_domains: Some(Vec::new()),
        forbidden_domains: Some(Vec::new()),
        allowed_addresses: Some(Vec::new()),
        forbidden_addresses: Some(Vec::new()),
        allowed_email_domains: Some(Vec::new()),
        allowed_uri_prefixes: Some(Vec::new()),
    }
}

/// Rules for the subject.
fn subject(
    keep: &[AttributeType],
    require: &[AttributeType],
    common_name_is_a_name: bool,
) -> SubjectRulesConfig {
    SubjectRulesConfig {
        keep: Some(keep.to_vec()),
        require: Some(require.to_vec()),
        fixed: Some(BTreeMap::new()),
        common_name_is_a_name: Some(common_name_is_a_name),
    }
}

/// Lays what people wrote over the built-in configuration.
pub(super) fn merge(base: ProfileConfig, over: &ProfileConfig) -> ProfileConfig {
    let over = over.clone();
    ProfileConfig {
        kind: base.kind,
        issuer: over.issuer.or(base.issuer),
        keys: over.keys.or(base.keys),
        rsa_min_bits: over.rsa_min_bits.or(base.rsa_min_bits),
        validity: over.validity.or(base.validity),
        max_validity: over.max_validity.or(base.max_validity),
        backdate: over.backdate.or(base.backdate),
        key_usages: over.key_usages.or(base.key_usages),
        extended_key_usages: over.extended_key_usages.or(base.extended_key_usages),
        extended_key_usages_critical: over
            .extended_key_usages_critical
            .or(base.extended_key_usages_critical),
        names: NameRulesConfig {
            kinds: over.names.kinds.or(base.names.kinds),
            min: over.names.min.or(base.names.min),
            max: over.names.max.or(base.names.max),
            wildcards: over.names.wildcards.or(base.names.wildcards),
            allowed_domains: over.names.allowed_domains.or(base.names.allowed_domains),
            forbidden_domains: over
                .names
                .forbidden_domains
                .or(base.names.forbidden_domains),
            allowed_addresses: over
                .names
                .allowed_addresses
                .or(base.names.allowed_addresses),
            forbidden_addresses: over
                .names
                .forbidden_addresses
                .or(base.names.forbidden_addresses),
            allowed_email_domains: over
                .names
                .allowed_email_domains
                .or(base.names.allowed_email_domains),
            allowed_uri_prefixes: over
                .names
                .allowed_uri_prefixes
                .or(base.names.allowed_uri_prefixes),
        },
        subject: SubjectRulesConfig {
            keep: over.subject.keep.or(base.subject.keep),
            require: over.subject.require.or(base.subject.require),
            fixed: over.subject.fixed.or(base.subject.fixed),
            common_name_is_a_name: over
                .subject
                .common_name_is_a_name
                .or(base.subject.common_name_is_a_name),
        },
        path_length: over.path_length.or(base.path_length),
        name_constraints: over.name_constraints.or(base.name_constraints),
        policies: over.policies.or(base.policies),
        ca_issuers: over.ca_issuers.or(base.ca_issuers),
        ocsp: over.ocsp.or(base.ocsp),
        crl: over.crl.or(base.crl),
        ocsp_no_check: over.ocsp_no_check.or(base.ocsp_no_check),
        must_staple: over.must_staple.or(base.must_staple),
        embed_sct: over.embed_sct.or(base.embed_sct),
    }
}
