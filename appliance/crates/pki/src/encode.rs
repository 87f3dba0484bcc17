//! Writes the DER that is signed, by yasna: names, extensions, the TBS, and the
//! certificate around it; CRLs, OCSP, CMS and time-stamps in modules below.
//!
//! What is written here is read back by [`crate::certificate`] and judged by
//! [`crate::lint`]; neither knows this module.

pub(crate) mod cms;
pub(crate) mod crl;
pub(crate) mod ocsp;
pub(crate) mod timestamp;

use const_oid::ObjectIdentifier;
use model::{SerialNumber, Timestamp};
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_INTEGER, TAG_OID, TAG_PRINTABLESTRING, TAG_UTCTIME};
use yasna::{DERWriter, DERWriterSeq, Tag, construct_der};

use crate::algorithm::SignatureAlgorithm;
use crate::name::{Attribute, DistinguishedName};
use crate::name_constraints::{Cidr, Subtree, octets};
use crate::names::{AlternativeName, PermanentIdentifier};
use crate::oid;
use crate::profile::{ExtendedKeyUsage, KeyUsages};
use crate::profile::{Fields, Policy};
use crate::time;
use crate::tlv;

/// Encodes a Name (RFC 5280, 4.1.2.4), each attribute in its own RDN.
pub(crate) fn name(name: &DistinguishedName) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|rdns| {
            for attribute in name.attributes() {
                rdns.next()
                    .write_set(|rdn| write_attribute(rdn.next(), attribute));
            }
        });
    })
}

/// Writes an AttributeTypeAndValue.
fn write_attribute(writer: DERWriter<'_>, attribute: &Attribute) {
    let value = attribute.value();
    writer.write_sequence(|pair| {
        write_oid(pair.next(), &attribute.kind().oid());
        match attribute.kind().string_tag() {
            tlv::PRINTABLE_STRING => {
                write_octets(pair.next(), TAG_PRINTABLESTRING, value.as_bytes())
            }
            tlv::IA5_STRING => pair.next().write_ia5_string(value),
            _ => pair.next().write_utf8_string(value),
        }
    });
}

/// Writes an object identifier.
fn write_oid(writer: DERWriter<'_>, oid: &ObjectIdentifier) {
    write_octets(writer, TAG_OID, oid.as_bytes());
}

/// Writes a primitive value with this tag.
fn write_octets(writer: DERWriter<'_>, tag: Tag, content: &[u8]) {
    writer.write_tagged_implicit(tag, |writer| writer.write_bytes(content));
}

/// Writes a Time: UTCTime through 2049, GeneralizedTime after (RFC 5280, 4.1.2.5).
fn write_time(writer: DERWriter<'_>, time: Timestamp) {
    let digits = time::digits(time);
    match (time::year(time), digits.as_slice()) {
        // The two-digit year stands for 1950 to 2049.
        (1950..=2049, [_, _, short @ ..]) => write_octets(writer, TAG_UTCTIME, short),
        (_, digits) => write_octets(writer, TAG_GENERALIZEDTIME, digits),
    }
}

/// Writes a serial number.
fn write_serial(writer: DERWriter<'_>, serial: &SerialNumber) {
    write_octets(writer, TAG_INTEGER, serial.as_der_content());
}

/// Encodes a TBSCertificate (RFC 5280, 4.1).
pub(crate) fn tbs(fields: &Fields<'_>) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|tbs| {
            // version v3.
            tbs.next()
                .write_tagged(Tag::context(0), |version| version.write_u8(2));
            write_serial(tbs.next(), &fields.serial);
            tbs.next()
                .write_der(fields.issuer.signature_algorithm.identifier_der());
            tbs.next().write_der(&fields.issuer.subject_der);
            tbs.next().write_sequence(|validity| {
                write_time(validity.next(), fields.not_before);
                write_time(validity.next(), fields.not_after);
            });
            tbs.next().write_der(&name(&fields.subject));
            tbs.next().write_der(fields.public_key.spki_der());
            tbs.next().write_tagged(Tag::context(3), |extensions| {
                extensions.write_sequence(|extensions| write_extensions(extensions, fields));
            });
        });
    })
}

/// Writes the extensions: who signed, who is certified, for what, under which
/// rules, and where to ask.
fn write_extensions(writer: &mut DERWriterSeq<'_>, fields: &Fields<'_>) {
    // RFC 5280, 4.2.1.1: keyIdentifier, not critical.
    extension(writer, oid::AUTHORITY_KEY_IDENTIFIER, false, |value| {
        value.write_sequence(|aki| {
            write_octets(aki.next(), Tag::context(0), &fields.issuer.key_identifier);
        });
    });
    // 4.2.1.2: not critical.
    extension(writer, oid::SUBJECT_KEY_IDENTIFIER, false, |value| {
        value.write_bytes(&fields.subject_key_identifier);
    });
    // 4.2.1.9: critical in CA certificates; left out of others.
    if fields.ca {
        extension(writer, oid::BASIC_CONSTRAINTS, true, |value| {
            value.write_sequence(|constraints| {
                constraints.next().write_bool(true);
                if let Some(path_length) = fields.path_length {
                    constraints.next().write_u8(path_length);
                }
            });
        });
    }
    // 4.2.1.3: critical.
    extension(writer, oid::KEY_USAGE, true, |value| {
        write_usages(value, fields.key_usages)
    });
    if !fields.extended_key_usages.is_empty() {
        let critical = fields.extended_key_usages_critical;
        extension(writer, oid::EXTENDED_KEY_USAGE, critical, |value| {
            write_purposes(value, fields.extended_key_usages);
        });
    }
    if !fields.names.is_empty() {
        // 4.2.1.6: critical exactly if the subject is empty.
        let critical = fields.subject.is_empty();
        extension(writer, oid::SUBJECT_ALT_NAME, critical, |value| {
            value.write_sequence(|names| {
                for name in &fields.names {
                    write_general_name(names.next(), name);
                }
            });
        });
    }
    if !fields.name_constraints.is_empty() {
        // 4.2.1.10: critical.
        extension(writer, oid::NAME_CONSTRAINTS, true, |value| {
            value.write_sequence(|constraints| {
                let lists = [
                    &fields.name_constraints.permitted,
                    &fields.name_constraints.excluded,
                ];
                for (tag, subtrees) in (0..).zip(lists) {
                    if !subtrees.is_empty() {
                        constraints
                            .next()
                            .write_tagged_implicit(Tag::context(tag), |list| {
                                write_subtrees(list, subtrees);
                            });
                    }
                }
            });
        });
    }
    if !fields.policies.is_empty() {
        extension(writer, oid::CERTIFICATE_POLICIES, false, |value| {
            write_policies(value, fields.policies);
        });
    }
    if fields.ocsp.is_some() || fields.ca_issuers.is_some() {
        // 4.2.2.1: not critical.
        extension(writer, oid::AUTHORITY_INFO_ACCESS, false, |value| {
            value.write_sequence(|descriptions| {
                let places = [
                    (oid::AD_OCSP, fields.ocsp),
                    (oid::AD_CA_ISSUERS, fields.ca_issuers),
                ];
                for (method, url) in places {
                    let Some(url) = url else { continue };
                    descriptions.next().write_sequence(|description| {
                        write_oid(description.next(), &method);
                        write_uri(description.next(), url);
                    });
                }
            });
        });
    }
    if let Some(url) = &fields.crl {
        // 4.2.1.13: one DistributionPoint with a fullName; not critical.
        extension(writer, oid::CRL_DISTRIBUTION_POINTS, false, |value| {
            value.write_sequence(|points| {
                points.next().write_sequence(|point| {
                    point.next().write_tagged(Tag::context(0), |point_name| {
                        point_name.write_tagged_implicit(Tag::context(0), |full_name| {
                            full_name.write_sequence(|names| write_uri(names.next(), url));
                        });
                    });
                });
            });
        });
    }
    if fields.ocsp_no_check {
        // RFC 6960, 4.2.2.2.1: the value is NULL.
        extension(writer, oid::OCSP_NO_CHECK, false, |value| {
            value.write_null()
        });
    }
    // Fulcio's oid-info: each value a UTF8String; not critical.
    for (claim, text) in fields.forge.iter().flat_map(|claims| claims.iter()) {
        extension(writer, claim.oid(), false, |value| {
            value.write_utf8_string(text);
        });
    }
    if fields.must_staple {
        // RFC 7633, 4.1: the list of features; 5 is status_request.
        extension(writer, oid::TLS_FEATURE, false, |value| {
            value.write_sequence(|features| features.next().write_u8(5));
        });
    }
    if let Some(scts) = fields.scts {
        // RFC 6962, 3.3: the list within an OCTET STRING; not critical.
        extension(writer, oid::SCT_LIST, false, |value| {
            value.write_bytes(&scts.to_octets());
        });
    }
}

/// Writes one Extension; `critical` is left out when FALSE, its default.
fn extension(
    writer: &mut DERWriterSeq<'_>,
    kind: ObjectIdentifier,
    critical: bool,
    value: impl FnOnce(DERWriter<'_>),
) {
    writer.next().write_sequence(|extension| {
        write_oid(extension.next(), &kind);
        if critical {
            extension.next().write_bool(true);
        }
        extension.next().write_bytes(&construct_der(value));
    });
}

/// Writes KeyUsage, a named bit list without trailing zero bits.
fn write_usages(writer: DERWriter<'_>, usages: KeyUsages) {
    let (octets, bits) = usages.to_bits();
    let len = bits.div_ceil(8);
    writer.write_bitvec_bytes(octets.get(..len).unwrap_or(&[]), bits);
}

/// Writes ExtKeyUsageSyntax.
fn write_purposes(writer: DERWriter<'_>, purposes: &[ExtendedKeyUsage]) {
    writer.write_sequence(|list| {
        for purpose in purposes {
            write_oid(list.next(), purpose.oid());
        }
    });
}

/// Writes a GeneralName.
fn write_general_name(writer: DERWriter<'_>, name: &AlternativeName) {
    match name {
        AlternativeName::Email(address) => {
            write_octets(writer, Tag::context(1), address.as_str().as_bytes());
        }
        AlternativeName::Dns(name) => {
            write_octets(writer, Tag::context(2), name.as_str().as_bytes());
        }
        AlternativeName::Uri(uri) => write_uri(writer, uri.as_str()),
        AlternativeName::Ip(address) => {
            write_octets(writer, Tag::context(7), &octets(*address));
        }
        AlternativeName::Permanent(identifier) => write_permanent(writer, identifier),
    }
}

/// Writes a GeneralName of a device's permanent identifier (RFC 4043, 2).
fn write_permanent(writer: DERWriter<'_>, identifier: &PermanentIdentifier) {
    writer.write_tagged_implicit(Tag::context(0), |other_name| {
        other_name.write_sequence(|fields| {
            write_oid(fields.next(), &oid::PERMANENT_IDENTIFIER);
            fields.next().write_tagged(Tag::context(0), |value| {
                value.write_sequence(|permanent| {
                    permanent.next().write_utf8_string(identifier.value());
                    if let Some(assigner) = identifier.assigner() {
                        write_oid(permanent.next(), assigner);
                    }
                });
            });
        });
    });
}

/// Writes a GeneralName of a URI.
fn write_uri(writer: DERWriter<'_>, uri: &str) {
    write_octets(writer, Tag::context(6), uri.as_bytes());
}

/// Writes GeneralSubtrees.
fn write_subtrees(writer: DERWriter<'_>, subtrees: &[Subtree]) {
    writer.write_sequence(|list| {
        for subtree in subtrees {
            list.next().write_sequence(|entry| {
                let base = entry.next();
                match subtree {
                    Subtree::Email(text) => write_octets(base, Tag::context(1), text.as_bytes()),
                    Subtree::Dns(text) => write_octets(base, Tag::context(2), text.as_bytes()),
                    Subtree::Uri(text) => write_octets(base, Tag::context(6), text.as_bytes()),
                    Subtree::Ip(cidr) => write_octets(base, Tag::context(7), &cidr_octets(*cidr)),
                    // A Name is a CHOICE, so its tag is explicit.
                    Subtree::Directory(content) => base.write_tagged(Tag::context(4), |name| {
                        write_octets_constructed(name, content);
                    }),
                }
            });
        }
    });
}

/// Writes a SEQUENCE whose contents are ready.
fn write_octets_constructed(writer: DERWriter<'_>, content: &[u8]) {
    writer.write_sequence(|sequence| {
        let mut reader = tlv::Reader::new(content);
        while let Ok(item) = reader.next() {
            sequence.next().write_der(item.whole);
        }
    });
}

/// Returns address and mask, as name constraints have them.
fn cidr_octets(cidr: Cidr) -> Vec<u8> {
    let mut both = octets(cidr.address);
    both.extend(cidr.mask());
    both
}

/// Writes CertificatePolicies.
fn write_policies(writer: DERWriter<'_>, policies: &[Policy]) {
    writer.write_sequence(|list| {
        for policy in policies {
            list.next().write_sequence(|information| {
                write_oid(information.next(), &policy.oid);
                let Some(cps) = &policy.cps else { return };
                information.next().write_sequence(|qualifiers| {
                    qualifiers.next().write_sequence(|qualifier| {
                        write_oid(qualifier.next(), &oid::CPS_QUALIFIER);
                        qualifier.next().write_ia5_string(cps);
                    });
                });
            });
        }
    });
}

/// Appends tag and length of a value whose contents are written after it.
///
/// For what is too large, or too frequent, to be written twice: yasna learns a length
/// by writing the contents first.
pub(crate) fn append_header(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.push(tag);
    match len {
        0..=0x7f => out.push(len as u8),
        _ => {
            let octets = len.to_be_bytes();
            let used = octets.len() - len.leading_zeros() as usize / 8;
            out.push(0x80 | used as u8);
            out.extend(octets.iter().skip(octets.len() - used));
        }
    }
}

/// Returns how many octets tag and length take.
pub(crate) const fn header_len(len: usize) -> usize {
    match len {
        0..=0x7f => 2,
        _ => 2 + size_of::<usize>() - len.leading_zeros() as usize / 8,
    }
}

/// Encodes a Certificate around a TBSCertificate (RFC 5280, 4.1.1).
pub(crate) fn certificate(
    tbs_der: &[u8],
    algorithm: SignatureAlgorithm,
    signature: &[u8],
) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|certificate| {
            certificate.next().write_der(tbs_der);
            certificate.next().write_der(algorithm.identifier_der());
            certificate
                .next()
                .write_bitvec_bytes(signature, signature.len() * 8);
        });
    })
}
