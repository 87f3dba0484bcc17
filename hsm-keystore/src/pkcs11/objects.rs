//! Keys and certificates as objects of a token.
//!
//! A key is its private key object, found by `CKA_LABEL` (the [`KeyId`]) and
//! from then on known by `CKA_ID`. We choose `CKA_ID` as two random octets that
//! no object of the token carries: YubiHSM takes no more than two, every other
//! token takes two, and a name's hash cut to two would collide. The public key
//! and the certificate carry the same `CKA_ID`; their labels may differ.

mod certificates;
mod create;

pub(super) use certificates::{certificate, put_certificate};
pub(super) use create::{generate, import};

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::fault::{Remedy, Trouble};
use crate::certificate::CertificateFacts;
use crate::encoding;
use crate::error::{Error, ObjectKind, UnsupportedKind};
use crate::{Entry, KeyAlgorithm, KeyId, Provenance};

/// What a lane must know of a key to sign with it.
#[derive(Debug)]
pub(crate) struct KeyReference {
    /// The key's name.
    pub(crate) id: KeyId,
    /// The `CKA_ID` of its objects.
    pub(crate) cka_id: Box<[u8]>,
    /// Its algorithm.
    pub(crate) algorithm: KeyAlgorithm,
    /// Whether the PIN is wanted for each signature (`CKA_ALWAYS_AUTHENTICATE`).
    pub(crate) always_authenticate: bool,
}

/// A key as found on the token.
#[derive(Debug)]
pub(super) struct FoundKey {
    /// What lanes need.
    pub(super) reference: KeyReference,
    /// Its public half.
    pub(super) spki_der: Vec<u8>,
    /// Where it came from.
    pub(super) provenance: Provenance,
}

/// Finds a private key by its name.
///
/// # Errors
///
/// `NoKey`, `Ambiguous`, `NoPublicKey`, `UnsupportedKey`.
pub(super) fn find_key(session: &Session, id: &KeyId) -> Result<FoundKey, Trouble> {
    let handle = find_private(session, id)?.ok_or_else(|| Error::NoKey { id: id.clone() })?;
    describe_key(session, id, handle)
}

/// Finds the handle of a private key by its `CKA_ID`.
///
/// # Errors
///
/// `NoKey` when it is gone, `Ambiguous` when there are several.
pub(super) fn find_handle(session: &Session, key: &KeyReference) -> Result<ObjectHandle, Trouble> {
    let found = find(session, ObjectClass::PRIVATE_KEY, &by_cka_id(&key.cka_id))?;
    match *found {
        [handle] => Ok(handle),
        [] => Err(Error::NoKey { id: key.id.clone() }.into()),
        _ => Err(ambiguous(&key.id, ObjectKind::PrivateKey, found.len())),
    }
}

/// Lists what the token holds under names of ours, ordered by name.
///
/// # Errors
///
/// When the token cannot be read.
pub(super) fn list(session: &Session) -> Result<Vec<Entry>, Trouble> {
    let mut entries: Vec<Entry> = Vec::new();
    for handle in find(session, ObjectClass::PRIVATE_KEY, &[])? {
        let Some(id) = name(session, handle)? else {
            continue;
        };
        if entries.iter().any(|entry| entry.id == id) {
            continue;
        }
        let key = match find_key(session, &id) {
            Ok(found) => Some(found.reference.algorithm),
            Err(Trouble::Refusal(_)) => None,
            Err(trouble) => return Err(trouble),
        };
        let has_certificate = !certificates::find_all(session, &id)?.is_empty();
        entries.push(Entry {
            id,
            key,
            has_certificate,
        });
    }
    for handle in find(session, ObjectClass::CERTIFICATE, &[])? {
        let Some(id) = name(session, handle)? else {
            continue;
        };
        if !entries.iter().any(|entry| entry.id == id) {
            entries.push(Entry {
                id,
                key: None,
                has_certificate: true,
            });
        }
    }
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(entries)
}

/// Finds a private key's handle by its name: by its own label, or by the
/// `CKA_ID` of the one public key of that label.
fn find_private(session: &Session, id: &KeyId) -> Result<Option<ObjectHandle>, Trouble> {
    let label = [Attribute::Label(id.as_str().into())];
    let mut found = find(session, ObjectClass::PRIVATE_KEY, &label)?;
    if found.is_empty() {
        let public = find(session, ObjectClass::PUBLIC_KEY, &label)?;
        let [public] = *public else { return Ok(None) };
        let Some(cka_id) = cka_id(session, public)? else {
            return Ok(None);
        };
        found = find(session, ObjectClass::PRIVATE_KEY, &by_cka_id(&cka_id))?;
    }
    match *found {
        [] => Ok(None),
        [handle] => Ok(Some(handle)),
        _ => Err(ambiguous(id, ObjectKind::PrivateKey, found.len())),
    }
}

/// Reads what is to be known of a private key.
fn describe_key(session: &Session, id: &KeyId, handle: ObjectHandle) -> Result<FoundKey, Trouble> {
    let mut provenance = Provenance {
        on_token: true,
        generated_locally: false,
        always_sensitive: false,
        never_extractable: false,
    };
    let mut always_authenticate = false;
    let wanted = [
        AttributeType::AlwaysAuthenticate,
        AttributeType::Local,
        AttributeType::AlwaysSensitive,
        AttributeType::NeverExtractable,
    ];
    for attribute in attributes(session, handle, &wanted)? {
        match attribute {
            Attribute::AlwaysAuthenticate(value) => always_authenticate = value,
            Attribute::Local(value) => provenance.generated_locally = value,
            Attribute::AlwaysSensitive(value) => provenance.always_sensitive = value,
            Attribute::NeverExtractable(value) => provenance.never_extractable = value,
            _ => {}
        }
    }
    let cka_id = cka_id(session, handle)?.unwrap_or_default();
    let twins = find(session, ObjectClass::PRIVATE_KEY, &by_cka_id(&cka_id))?;
    if twins.len() > 1 {
        return Err(ambiguous(id, ObjectKind::PrivateKey, twins.len()));
    }
    let spki_der = public_half(session, handle, &cka_id)?
        .ok_or_else(|| Error::NoPublicKey { id: id.clone() })?;
    let algorithm =
        encoding::algorithm_of_spki(&spki_der).map_err(|kind| Error::UnsupportedKey { kind })?;
    Ok(FoundKey {
        reference: KeyReference {
            id: id.clone(),
            cka_id: cka_id.into(),
            algorithm,
            always_authenticate,
        },
        spki_der,
        provenance,
    })
}

/// Finds a private key's public half: in the public key beside it, in its own
/// attributes, or in a certificate beside it.
fn public_half(
    session: &Session,
    private: ObjectHandle,
    cka_id: &[u8],
) -> Result<Option<Vec<u8>>, Trouble> {
    let beside = find(session, ObjectClass::PUBLIC_KEY, &by_cka_id(cka_id))?;
    for handle in beside.into_iter().chain([private]) {
        if let Some(spki_der) = spki_of_object(session, handle)? {
            return Ok(Some(spki_der));
        }
    }
    for handle in find(session, ObjectClass::CERTIFICATE, &by_cka_id(cka_id))? {
        for attribute in attributes(session, handle, &[AttributeType::Value])? {
            if let Attribute::Value(der) = attribute
                && let Ok(facts) = CertificateFacts::read(&der)
            {
                return Ok(Some(facts.spki_der));
            }
        }
    }
    Ok(None)
}

/// Makes a SubjectPublicKeyInfo of an object's own attributes, if they tell it.
fn spki_of_object(session: &Session, handle: ObjectHandle) -> Result<Option<Vec<u8>>, Trouble> {
    let mut key_type = None;
    let (mut params, mut point, mut modulus, mut exponent) = Default::default();
    let wanted = [
        AttributeType::KeyType,
        AttributeType::EcParams,
        AttributeType::EcPoint,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
    ];
    for attribute in attributes(session, handle, &wanted)? {
        match attribute {
            Attribute::KeyType(value) => key_type = Some(value),
            Attribute::EcParams(value) => params = value,
            Attribute::EcPoint(value) => point = value,
            Attribute::Modulus(value) => modulus = value,
            Attribute::PublicExponent(value) => exponent = value,
            _ => {}
        }
    }
    let algorithm = match key_type {
        Some(KeyType::RSA) if !modulus.is_empty() && !exponent.is_empty() => {
            return Ok(Some(encoding::spki_of_rsa(&modulus, &exponent)));
        }
        Some(KeyType::EC) => [KeyAlgorithm::EcP256, KeyAlgorithm::EcP384]
            .into_iter()
            .find(|curve| encoding::ec_params(*curve).as_ref() == Some(&params)),
        // The curve's name stands here in several spellings; the point's length tells.
        Some(KeyType::EC_EDWARDS) => Some(KeyAlgorithm::Ed25519),
        _ => None,
    };
    Ok(algorithm.and_then(|algorithm| encoding::spki_of_point(algorithm, &point)))
}

/// Finds token objects of a class by further attributes.
fn find(
    session: &Session,
    class: ObjectClass,
    further: &[Attribute],
) -> Result<Vec<ObjectHandle>, Trouble> {
    let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
    template.extend_from_slice(further);
    Ok(session.find_objects(&template)?)
}

/// Reads attributes; those that the object lacks are left out.
fn attributes(
    session: &Session,
    handle: ObjectHandle,
    wanted: &[AttributeType],
) -> Result<Vec<Attribute>, Trouble> {
    match session.get_attributes(handle, wanted) {
        Ok(attributes) => Ok(attributes),
        Err(error) => {
            let trouble = Trouble::from(error);
            if !matches!(&trouble, Trouble::Call(fault) if fault.remedy == Remedy::None) {
                return Err(trouble);
            }
            // One attribute that makes no sense spoils them all: ask for each alone.
            let mut read = Vec::new();
            for kind in wanted {
                match session
                    .get_attributes(handle, &[*kind])
                    .map_err(Trouble::from)
                {
                    Ok(attributes) => read.extend(attributes),
                    Err(Trouble::Call(fault)) if fault.remedy == Remedy::None => {}
                    Err(trouble) => return Err(trouble),
                }
            }
            Ok(read)
        }
    }
}

/// Reads an object's `CKA_ID`, if it has one.
fn cka_id(session: &Session, handle: ObjectHandle) -> Result<Option<Vec<u8>>, Trouble> {
    Ok(attributes(session, handle, &[AttributeType::Id])?
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::Id(id) if !id.is_empty() => Some(id),
            _ => None,
        }))
}

/// Reads an object's label, if it is a name of ours.
fn name(session: &Session, handle: ObjectHandle) -> Result<Option<KeyId>, Trouble> {
    Ok(attributes(session, handle, &[AttributeType::Label])?
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::Label(label) => KeyId::new(std::str::from_utf8(&label).ok()?).ok(),
            _ => None,
        }))
}

/// Makes a search by `CKA_ID`.
fn by_cka_id(cka_id: &[u8]) -> [Attribute; 1] {
    [Attribute::Id(cka_id.to_vec())]
}

/// Says that several objects answer.
fn ambiguous(id: &KeyId, what: ObjectKind, found: usize) -> Trouble {
    Error::Ambiguous {
        id: id.clone(),
        what,
        found,
    }
    .into()
}

/// Says that the token cannot carry an algorithm.
fn unsupported(algorithm: KeyAlgorithm) -> Error {
    Error::UnsupportedKey {
        kind: UnsupportedKind::Algorithm(algorithm),
    }
}
