//! CRLs (RFC 5280, 5): an entry, and what stands before and after all entries.

use model::{RevocationReason, SerialNumber, Timestamp};
use yasna::tags::{TAG_ENUM, TAG_GENERALIZEDTIME, TAG_INTEGER};
use yasna::{DERWriter, Tag, construct_der, construct_der_seq};

use super::{extension, write_octets, write_serial, write_time, write_uri};
use crate::crl::{CoveredKinds, CrlNumber, CrlPlan, IssuingPoint};
use crate::issuer::IssuerFacts;
use crate::oid;
use crate::time;

/// Encodes one entry of revokedCertificates (5.1.2.6).
pub(crate) fn entry(
    serial: &SerialNumber,
    revoked_at: Timestamp,
    reason: RevocationReason,
    invalidity_date: Option<Timestamp>,
) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|entry| {
            write_serial(entry.next(), serial);
            write_time(entry.next(), revoked_at);
            let told = reason != RevocationReason::Unspecified;
            if !told && invalidity_date.is_none() {
                return;
            }
            entry.next().write_sequence(|extensions| {
                // 5.3.1: SHOULD be absent instead of unspecified; not critical.
                if told {
                    extension(extensions, oid::CRL_REASON, false, |value| {
                        write_octets(value, TAG_ENUM, &[reason.code()]);
                    });
                }
                // 5.3.2: always a GeneralizedTime; not critical.
                if let Some(date) = invalidity_date {
                    extension(extensions, oid::INVALIDITY_DATE, false, |value| {
                        write_generalized(value, date);
                    });
                }
            });
        });
    })
}

/// Encodes what stands in a TBSCertList before revokedCertificates.
pub(crate) fn head(plan: &CrlPlan, issuer: &IssuerFacts) -> Vec<u8> {
    construct_der_seq(|tbs| {
        // 5.1.2.1: v2, which is 1.
        tbs.next().write_u8(1);
        tbs.next()
            .write_der(issuer.signature_algorithm.identifier_der());
        tbs.next().write_der(&issuer.subject_der);
        write_time(tbs.next(), plan.this_update);
        write_time(tbs.next(), plan.next_update);
    })
}

/// Encodes crlExtensions, which stand after the entries, with their `[0]`.
pub(crate) fn extensions(plan: &CrlPlan, issuer: &IssuerFacts) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_tagged(Tag::context(0), |tagged| {
            tagged.write_sequence(|extensions| {
                // 5.2.3: not critical.
                extension(extensions, oid::CRL_NUMBER, false, |value| {
                    write_number(value, plan.number);
                });
                // 5.2.1: the key identifier method; not critical.
                extension(extensions, oid::AUTHORITY_KEY_IDENTIFIER, false, |value| {
                    value.write_sequence(|identifier| {
                        write_octets(identifier.next(), Tag::context(0), &issuer.key_identifier);
                    });
                });
                // 5.2.4: critical.
                if let Some(base) = plan.delta_base {
                    extension(extensions, oid::DELTA_CRL_INDICATOR, true, |value| {
                        write_number(value, base);
                    });
                }
                // 5.2.5: critical.
                if let Some(point) = &plan.issuing_point {
                    extension(extensions, oid::ISSUING_DISTRIBUTION_POINT, true, |value| {
                        write_issuing_point(value, point);
                    });
                }
                // 5.2.6: not critical.
                if let Some(url) = &plan.freshest {
                    extension(extensions, oid::FRESHEST_CRL, false, |value| {
                        value.write_sequence(|points| {
                            points.next().write_sequence(|point| {
                                write_point_name(point.next(), std::slice::from_ref(url));
                            });
                        });
                    });
                }
                // X.509, 9.5.2.8: a GeneralizedTime; not critical.
                if let Some(since) = plan.expired_certs_on_crl {
                    extension(extensions, oid::EXPIRED_CERTS_ON_CRL, false, |value| {
                        write_generalized(value, since);
                    });
                }
            });
        });
    })
}

/// Writes a CRL number.
fn write_number(writer: DERWriter<'_>, number: CrlNumber) {
    write_octets(writer, TAG_INTEGER, number.as_der_content());
}

/// Writes a GeneralizedTime.
pub(super) fn write_generalized(writer: DERWriter<'_>, time: Timestamp) {
    write_octets(writer, TAG_GENERALIZEDTIME, &time::digits(time));
}

/// Writes IssuingDistributionPoint; what has its default is left out.
fn write_issuing_point(writer: DERWriter<'_>, point: &IssuingPoint) {
    writer.write_sequence(|fields| {
        if !point.urls.is_empty() {
            write_point_name(fields.next(), &point.urls);
        }
        let only = match point.only {
            CoveredKinds::All => return,
            CoveredKinds::UserCertificates => 1,
            CoveredKinds::CaCertificates => 2,
        };
        write_octets(fields.next(), Tag::context(only), &[0xff]);
    });
}

/// Writes a DistributionPointName with URLs as its fullName.
///
/// It is a CHOICE, so the `[0]` around it is explicit.
fn write_point_name(writer: DERWriter<'_>, urls: &[String]) {
    writer.write_tagged(Tag::context(0), |point_name| {
        point_name.write_tagged_implicit(Tag::context(0), |full_name| {
            full_name.write_sequence(|names| {
                for url in urls {
                    write_uri(names.next(), url);
                }
            });
        });
    });
}
