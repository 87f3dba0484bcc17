//! Certificates kept beside their keys.

use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::{attributes, by_cka_id, cka_id, create, find, find_key, find_private};
use crate::KeyId;
use crate::certificate::CertificateFacts;
use crate::error::Error;
use crate::pkcs11::fault::Trouble;

/// Reads the certificate beside a key, the newest if a crash left two.
///
/// # Errors
///
/// `NoCertificate`, `MalformedCertificate`.
pub(in crate::pkcs11) fn certificate(session: &Session, id: &KeyId) -> Result<Vec<u8>, Trouble> {
    let mut found = Vec::new();
    for handle in find_all(session, id)? {
        found.extend(value(session, handle)?);
    }
    if found.is_empty() {
        return Err(Error::NoCertificate { id: id.clone() }.into());
    }
    found
        .into_iter()
        .filter_map(|der| Some((CertificateFacts::read(&der).ok()?.not_before, der)))
        .max()
        .map(|(_, der)| der)
        .ok_or_else(|| Error::MalformedCertificate.into())
}

/// Keeps a certificate beside a key in place of those before.
///
/// The new one is written before the old ones are destroyed, so that a crash
/// never leaves none.
///
/// # Errors
///
/// `KeyMismatch` when a key of this name exists and is another one.
pub(in crate::pkcs11) fn put_certificate(
    session: &Session,
    id: &KeyId,
    certificate_der: &[u8],
    facts: &CertificateFacts,
) -> Result<(), Trouble> {
    let own = match find_key(session, id) {
        Ok(found) if found.spki_der != facts.spki_der => {
            return Err(Error::KeyMismatch { id: id.clone() }.into());
        }
        Ok(found) => Some(found.reference.cka_id.into_vec()),
        Err(Trouble::Refusal(Error::NoKey { .. })) => None,
        // The certificate is what tells the public half, once it is there.
        Err(Trouble::Refusal(Error::NoPublicKey { .. })) => {
            find_private(session, id)?.map_or(Ok(None), |handle| cka_id(session, handle))?
        }
        Err(trouble) => return Err(trouble),
    };
    let before = find_all(session, id)?;
    let mut kept = false;
    let mut stale = Vec::new();
    for handle in before {
        if !kept && value(session, handle)?.as_deref() == Some(certificate_der) {
            kept = true;
        } else {
            stale.push(handle);
        }
    }
    if !kept {
        let cka_id = match own {
            Some(cka_id) => cka_id,
            None => match stale.first() {
                Some(handle) => cka_id(session, *handle)?.unwrap_or_default(),
                None => create::free_cka_id(session)?,
            },
        };
        session.create_object(&[
            Attribute::Class(ObjectClass::CERTIFICATE),
            Attribute::CertificateType(CertificateType::X_509),
            Attribute::Token(true),
            // Certificates are public; YubiHSM takes them no other way.
            Attribute::Private(false),
            Attribute::Label(id.as_str().into()),
            Attribute::Id(cka_id),
            Attribute::Subject(facts.subject_der.clone()),
            Attribute::Issuer(facts.issuer_der.clone()),
            Attribute::SerialNumber(facts.serial_der.clone()),
            Attribute::Value(certificate_der.to_vec()),
        ])?;
    }
    for handle in stale {
        session.destroy_object(handle)?;
    }
    Ok(())
}

/// Finds the certificates beside a key: by the key's `CKA_ID`, and by name
/// where there is no key or it has none.
pub(super) fn find_all(session: &Session, id: &KeyId) -> Result<Vec<ObjectHandle>, Trouble> {
    let private = find_private(session, id)?;
    let key = private.map_or(Ok(None), |handle| cka_id(session, handle))?;
    if let Some(cka_id) = key {
        let found = find(session, ObjectClass::CERTIFICATE, &by_cka_id(&cka_id))?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let label = [Attribute::Label(id.as_str().into())];
    find(session, ObjectClass::CERTIFICATE, &label)
}

/// Reads a certificate's bytes.
fn value(session: &Session, handle: ObjectHandle) -> Result<Option<Vec<u8>>, Trouble> {
    Ok(attributes(session, handle, &[AttributeType::Value])?
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::Value(der) => Some(der),
            _ => None,
        }))
}
