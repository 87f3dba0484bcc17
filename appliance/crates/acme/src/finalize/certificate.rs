//! The CA's answer, checked against the order it is for.

use std::collections::BTreeSet;

use mesh::SignedCertificate;
use model::Timestamp;
use model::acme::{CertificateId, Finalization, Identifier, IssuedCertificate};
use pki::certificate::{Certificate, CertificateError};
use pki::names::AlternativeName;
use pki::pem::PemError;
use store::acme::Order;

/// Why a certificate is not the one asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// Not PEM.
    #[error("the chain cannot be read")]
    Chain(#[from] PemError),
    /// The first certificate cannot be read.
    #[error("the certificate cannot be read")]
    Certificate(#[from] CertificateError),
    /// Another serial number than the answer said.
    #[error("the certificate has another serial number than the answer")]
    Serial,
    /// Another key than the request's.
    #[error("the certificate has another key than the request")]
    Key,
    /// Other names than the order's.
    #[error("the certificate has other names than the order")]
    Names,
    /// No authority key identifier, by which renewal information would name it.
    #[error("the certificate does not name its issuer's key (RFC 9773, 4.1)")]
    NoIssuerKey,
}

/// Reads the CA's answer.
///
/// # Errors
///
/// Why it is not the certificate that the order is for.
pub(super) fn read(
    order: &Order,
    finalization: &Finalization,
    signed: &SignedCertificate,
    at: Timestamp,
) -> Result<IssuedCertificate, Unusable> {
    let chain = pki::pem::read_certificates(signed.chain_pem.as_bytes())?;
    let leaf = chain.first().map_or(&[][..], Vec::as_slice);
    let leaf = Certificate::from_der(leaf)?;
    if *leaf.serial() != signed.serial {
        return Err(Unusable::Serial);
    }
    // RFC 2986, 4.1: the request holds its key as the same SubjectPublicKeyInfo.
    let key = leaf.public_key().spki_der();
    let mut windows = finalization.csr_der.windows(key.len().max(1));
    if !windows.any(|window| window == key) {
        return Err(Unusable::Key);
    }
    // RFC 8555, 7.4: exactly the order's identifiers.
    let wanted: BTreeSet<&Identifier> = order.identifiers.iter().collect();
    let found: Option<BTreeSet<Identifier>> =
        leaf.extensions().names.iter().map(identifier).collect();
    let found = found.ok_or(Unusable::Names)?;
    if found.iter().collect::<BTreeSet<_>>() != wanted {
        return Err(Unusable::Names);
    }
    let issuer_key_id = leaf.extensions().authority_key_identifier.clone();
    let certificate_id = CertificateId {
        issuer_key_id: issuer_key_id.ok_or(Unusable::NoIssuerKey)?.into(),
        serial: signed.serial.clone(),
    };
    Ok(IssuedCertificate {
        csr_sha256: finalization.csr_sha256,
        serial: signed.serial.clone(),
        certificate_id,
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
        chains_pem: vec![signed.chain_pem.as_str().into()],
        at,
    })
}

/// Returns a name as an identifier; none for kinds that are not ordered.
fn identifier(name: &AlternativeName) -> Option<Identifier> {
    match name {
        AlternativeName::Dns(name) => Identifier::dns(name.as_str()).ok(),
        AlternativeName::Ip(address) => Some(Identifier::Ip(*address)),
        AlternativeName::Permanent(identifier) => {
            Identifier::permanent(&identifier.to_string()).ok()
        }
        AlternativeName::Email(_) | AlternativeName::Uri(_) => None,
    }
}
