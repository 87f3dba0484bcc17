//! tls-alpn-01 (RFC 8737), for IP addresses too (RFC 8738, 6).

use std::net::IpAddr;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, SliceReader};
use model::acme::Identifier;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{ServerName, SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::Proof;
use super::dial::Host;
use super::excerpt::Excerpt;
use super::failure::{CertificateProblem, Failure, TlsProblem};
use super::task::{KeyAuthorization, Task};
use super::tls;
use super::validator::Validator;

/// The protocol of RFC 8737, 6.2.
pub(super) const ACME_TLS_1: &[u8] = b"acme-tls/1";

/// id-pe-acmeIdentifier (RFC 8737, 6.1).
const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");

/// Makes one attempt.
pub(super) async fn validate(validator: &Validator, task: &Task) -> Result<Proof, Failure> {
    let host = Host::from(&task.identifier);
    // RFC 8737, 3: the connection goes to an address of the identifier, port 443.
    let (stream, address) = validator
        .dialler
        .connect(&host, validator.config.tls_alpn_port)
        .await?;
    let failed = |problem| Failure::Tls {
        host: host.to_string().into(),
        address,
        problem,
    };
    let name = ServerName::try_from(server_name(&task.identifier))
        .map_err(|_| failed(TlsProblem::ServerName))?;
    let stream = tls::handshake(&validator.tls.acme, name, stream, &host, address).await?;
    let (_, connection) = stream.get_ref();
    // 3, step 5: "the 'acme-tls/1' protocol was successfully negotiated".
    if connection.alpn_protocol() != Some(ACME_TLS_1) {
        return Err(failed(TlsProblem::Protocol));
    }
    let certificate_der = connection
        .peer_certificates()
        .and_then(|chain| chain.first());
    let checked = match certificate_der {
        None => Err(CertificateProblem::Missing),
        Some(der) => check_certificate(
            der,
            &task.identifier,
            &task.key_authorization,
            &validator.tls.algorithms,
        ),
    };
    checked.map_err(|problem| Failure::Certificate {
        host: host.to_string().into(),
        address,
        problem,
    })?;
    Ok(Proof {
        address: Some(address),
        caa_checked: false,
    })
}

/// Returns the name in the server name indication.
pub(super) fn server_name(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Dns(name) => name.to_string(),
        // RFC 8738, 6: the reverse mapping of the address (RFC 1034, 5.2.1 and
        // RFC 3596, 2.5), since no address may stand there.
        Identifier::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Identifier::Ip(IpAddr::V6(address)) => {
            let mut name = String::with_capacity(72);
            for octet in address.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 0xf, octet >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

/// Returns the SubjectPublicKeyInfo of a certificate, DER; none if it is none.
pub(super) fn public_key_der(certificate_der: &[u8]) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(certificate_der).ok()?;
    certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .ok()
}

/// Checks the certificate that proves control (RFC 8737, 3).
///
/// Bytes are hostile: never panics, allocates little more than their length.
pub(super) fn check_certificate(
    certificate_der: &[u8],
    identifier: &Identifier,
    key_authorization: &KeyAuthorization,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), CertificateProblem> {
    let certificate =
        Certificate::from_der(certificate_der).map_err(|_| CertificateProblem::Unreadable)?;
    check_self_signed(&certificate, certificate_der, algorithms)?;
    check_names(&certificate, identifier)?;
    check_identifier(&certificate, key_authorization)
}

/// Checks that the certificate's own key signed it.
fn check_self_signed(
    certificate: &Certificate,
    certificate_der: &[u8],
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), CertificateProblem> {
    let unreadable = |_| CertificateProblem::Unreadable;
    let tbs = certificate.tbs_certificate();
    let tbs_der = tbs_der(certificate_der).map_err(unreadable)?;
    let key_der = tbs.subject_public_key_info().to_der().map_err(unreadable)?;
    let key_der = SubjectPublicKeyInfoDer::from(key_der.as_slice());
    let key = RawPublicKeyEntity::try_from(&key_der).map_err(|_| CertificateProblem::Unreadable)?;
    let identifier = certificate
        .signature_algorithm()
        .to_der()
        .map_err(unreadable)?;
    let identifier = AnyRef::from_der(&identifier).map_err(unreadable)?;
    let signature = certificate.signature().raw_bytes();
    let signed = algorithms
        .all
        .iter()
        .filter(|algorithm| algorithm.signature_alg_id().as_ref() == identifier.value())
        .any(|algorithm| key.verify_signature(*algorithm, tbs_der, signature).is_ok());
    if signed && tbs.issuer() == tbs.subject() {
        Ok(())
    } else {
        Err(CertificateProblem::NotSelfSigned)
    }
}

/// Returns the TBSCertificate as it stands in the certificate.
fn tbs_der(certificate_der: &[u8]) -> der::Result<&[u8]> {
    let outer = AnyRef::from_der(certificate_der)?;
    SliceReader::new(outer.value())?.tlv_bytes()
}

/// Checks that the identifier is the only name.
fn check_names(
    certificate: &Certificate,
    identifier: &Identifier,
) -> Result<(), CertificateProblem> {
    let refused = || CertificateProblem::Names {
        expected: match identifier {
            Identifier::Dns(name) => format!("the DNS name {}", name).into(),
            Identifier::Ip(address) => format!("the IP address {address}").into(),
        },
    };
    let value = only_extension(certificate, ID_CE_SUBJECT_ALT_NAME).ok_or_else(refused)?;
    let names = SubjectAltName::from_der(value.1).map_err(|_| refused())?;
    let fits = match (names.0.as_slice(), identifier) {
        // RFC 8737, 3: "a dNSName entry that case-insensitively matches the domain
        // name that is being validated" and nothing else.
        ([GeneralName::DnsName(found)], Identifier::Dns(name)) => {
            found.as_str().eq_ignore_ascii_case(name)
        }
        // RFC 8738, 6: an iPAddress that matches the address.
        ([GeneralName::IpAddress(found)], Identifier::Ip(IpAddr::V4(address))) => {
            found.as_bytes() == address.octets()
        }
        ([GeneralName::IpAddress(found)], Identifier::Ip(IpAddr::V6(address))) => {
            found.as_bytes() == address.octets()
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(refused()) }
}

/// Checks the acmeIdentifier extension.
fn check_identifier(
    certificate: &Certificate,
    key_authorization: &KeyAuthorization,
) -> Result<(), CertificateProblem> {
    let (critical, value) =
        only_extension(certificate, ACME_IDENTIFIER).ok_or(CertificateProblem::NoIdentifier)?;
    // RFC 8737, 3: "The acmeIdentifier extension MUST be critical".
    if !critical {
        return Err(CertificateProblem::NotCritical);
    }
    // Authorization ::= OCTET STRING (SIZE (32)): tag 04, length 20, the digest.
    let mut expected = vec![0x04, 0x20];
    expected.extend(key_authorization.digest());
    if value == expected {
        return Ok(());
    }
    Err(CertificateProblem::Digest {
        found: Excerpt::of(hex::encode(value).as_bytes()),
        expected: hex::encode(expected).into(),
    })
}

/// Returns whether an extension is critical, and its value, if it is there once.
fn only_extension(certificate: &Certificate, kind: ObjectIdentifier) -> Option<(bool, &[u8])> {
    let extensions = certificate.tbs_certificate().extensions()?;
    let mut found = extensions.iter().filter(|one| one.extn_id == kind);
    let only = found.next()?;
    found
        .next()
        .is_none()
        .then_some((only.critical, only.extn_value.as_bytes()))
}
