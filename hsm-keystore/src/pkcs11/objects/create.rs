//! Making and importing keys. One thread does this for a token, never two:
//! SoftHSM is known to crash otherwise.

use std::ffi::c_ulong;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use zeroize::Zeroize;

use super::{FoundKey, attributes, describe_key, find, find_private, unsupported};
use crate::encoding;
use crate::error::{Error, Unavailable};
use crate::pkcs11::fault::{Remedy, Trouble};
use crate::pkcs11::mechanism;
use crate::software::KeyParts;
use crate::{KeyAlgorithm, KeyId};

/// The public exponent of the RSA keys we make, 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// Makes a key pair that cannot leave the token, and checks that it cannot.
///
/// # Errors
///
/// `KeyExists`, `UnsupportedKey`, `UnprotectedKey`.
pub(in crate::pkcs11) fn generate(
    session: &Session,
    id: &KeyId,
    algorithm: KeyAlgorithm,
) -> Result<FoundKey, Trouble> {
    refuse_taken(session, id)?;
    let cka_id = free_cka_id(session)?;
    let mut refused = None;
    for attempt in templates(id, &cka_id, algorithm) {
        match session.generate_key_pair(
            &mechanism::generation(algorithm),
            &attempt.public,
            &attempt.private,
        ) {
            Ok((public, private)) => return keep(session, id, public, private),
            Err(error) => match Trouble::from(error) {
                Trouble::Call(fault) if fault.remedy == Remedy::None => refused = Some(fault),
                trouble => return Err(trouble),
            },
        }
    }
    if let Some(fault) = refused {
        tracing::warn!("the token makes no {algorithm} key: {}", fault.failure);
    }
    Err(unsupported(algorithm).into())
}

/// Puts a key of ours on the token, from where it cannot be taken again.
///
/// # Errors
///
/// `KeyExists`, `UnsupportedKey`, `UnprotectedKey`.
pub(in crate::pkcs11) fn import(
    session: &Session,
    id: &KeyId,
    algorithm: KeyAlgorithm,
    parts: &KeyParts,
) -> Result<FoundKey, Trouble> {
    refuse_taken(session, id)?;
    let cka_id = free_cka_id(session)?;
    let mut public = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Verify(true),
        Attribute::Private(false),
    ];
    let mut private = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    match parts {
        KeyParts::Ec(scalar, point) => {
            let params = encoding::ec_params(algorithm).ok_or_else(|| unsupported(algorithm))?;
            public.push(Attribute::EcPoint(encoding::ec_point(point)));
            private.push(Attribute::Value(scalar.to_vec()));
            for template in [&mut public, &mut private] {
                template.push(Attribute::KeyType(KeyType::EC));
                template.push(Attribute::EcParams(params.clone()));
            }
        }
        KeyParts::Ed25519(seed, point) => {
            let params = encoding::ec_params(algorithm).ok_or_else(|| unsupported(algorithm))?;
            public.push(Attribute::EcPoint(encoding::ec_point(point)));
            private.push(Attribute::Value(seed.to_vec()));
            for template in [&mut public, &mut private] {
                template.push(Attribute::KeyType(KeyType::EC_EDWARDS));
                template.push(Attribute::EcParams(params.clone()));
            }
        }
        KeyParts::Rsa(parts) => {
            let [n, e, d, p, q, dp, dq, qinv] = parts.numbers().map(<[u8]>::to_vec);
            for template in [&mut public, &mut private] {
                template.push(Attribute::KeyType(KeyType::RSA));
                template.push(Attribute::Modulus(n.clone()));
                template.push(Attribute::PublicExponent(e.clone()));
            }
            private.extend([
                Attribute::PrivateExponent(d),
                Attribute::Prime1(p),
                Attribute::Prime2(q),
                Attribute::Exponent1(dp),
                Attribute::Exponent2(dq),
                Attribute::Coefficient(qinv),
            ]);
        }
    }
    for template in [&mut public, &mut private] {
        template.push(Attribute::Token(true));
        template.push(Attribute::Label(id.as_str().into()));
        template.push(Attribute::Id(cka_id.clone()));
    }
    let made = create_pair(session, &public, &private);
    wipe(&mut private);
    match made {
        Ok((public, private)) => keep(session, id, public, private),
        Err(Trouble::Call(fault)) if fault.remedy == Remedy::None => {
            tracing::warn!("the token takes no {algorithm} key: {}", fault.failure);
            Err(unsupported(algorithm).into())
        }
        Err(trouble) => Err(trouble),
    }
}

/// Creates the public key, then the private one: who finds a private key finds it whole.
fn create_pair(
    session: &Session,
    public: &[Attribute],
    private: &[Attribute],
) -> Result<(ObjectHandle, ObjectHandle), Trouble> {
    let public = session.create_object(public)?;
    match session.create_object(private) {
        Ok(private) => Ok((public, private)),
        Err(error) => {
            // The first error is the one to tell.
            let _ = session.destroy_object(public);
            Err(error.into())
        }
    }
}

/// Wipes the private numbers of a template.
fn wipe(template: &mut [Attribute]) {
    for attribute in template {
        match attribute {
            Attribute::Value(secret)
            | Attribute::PrivateExponent(secret)
            | Attribute::Prime1(secret)
            | Attribute::Prime2(secret)
            | Attribute::Exponent1(secret)
            | Attribute::Exponent2(secret)
            | Attribute::Coefficient(secret) => secret.zeroize(),
            _ => {}
        }
    }
}

/// Keeps a new key if it reads as it was asked for, and destroys it if not.
fn keep(
    session: &Session,
    id: &KeyId,
    public: ObjectHandle,
    private: ObjectHandle,
) -> Result<FoundKey, Trouble> {
    match check_protection(session, id, private).and_then(|()| describe_key(session, id, private)) {
        Ok(found) => Ok(found),
        Err(trouble) => {
            for handle in [private, public] {
                if let Err(error) = session.destroy_object(handle) {
                    tracing::error!("a key refused as {id} could not be destroyed: {error}");
                }
            }
            Err(trouble)
        }
    }
}

/// Reads the attributes that keep a key on the token.
fn check_protection(session: &Session, id: &KeyId, private: ObjectHandle) -> Result<(), Trouble> {
    let mut sensitive = false;
    let mut extractable = true;
    let mut reserved = false;
    let wanted = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::Private,
    ];
    for attribute in attributes(session, private, &wanted)? {
        match attribute {
            Attribute::Sensitive(value) => sensitive = value,
            Attribute::Extractable(value) => extractable = value,
            Attribute::Private(value) => reserved = value,
            _ => {}
        }
    }
    let attribute = if !sensitive {
        "CKA_SENSITIVE"
    } else if extractable {
        "CKA_EXTRACTABLE=false"
    } else if !reserved {
        "CKA_PRIVATE"
    } else {
        return Ok(());
    };
    Err(Error::UnprotectedKey {
        id: id.clone(),
        attribute,
    }
    .into())
}

/// Refuses a name that a private key has.
fn refuse_taken(session: &Session, id: &KeyId) -> Result<(), Trouble> {
    match find_private(session, id) {
        Ok(None) => Ok(()),
        Ok(Some(_)) | Err(Trouble::Refusal(Error::Ambiguous { .. })) => {
            Err(Error::KeyExists { id: id.clone() }.into())
        }
        Err(trouble) => Err(trouble),
    }
}

/// Picks a `CKA_ID` that no object carries.
pub(super) fn free_cka_id(session: &Session) -> Result<Vec<u8>, Trouble> {
    let no_id = |reason: &'static str| {
        Trouble::Refusal(
            Unavailable::ModuleFailed {
                reason: reason.into(),
            }
            .into(),
        )
    };
    for _ in 0..64 {
        let mut cka_id = [0; 2];
        aws_lc_rs::rand::fill(&mut cka_id)
            .map_err(|_| no_id("the operating system gives no random bytes"))?;
        // YubiHSM keeps 0 and 0xffff for itself.
        if matches!(cka_id, [0, 0] | [0xff, 0xff]) {
            continue;
        }
        let mut taken = false;
        for class in [
            ObjectClass::PRIVATE_KEY,
            ObjectClass::PUBLIC_KEY,
            ObjectClass::CERTIFICATE,
        ] {
            taken |= !find(session, class, &super::by_cka_id(&cka_id))?.is_empty();
        }
        if !taken {
            return Ok(cka_id.to_vec());
        }
    }
    Err(no_id("the token has no free two-octet CKA_ID"))
}

/// The two halves of a C_GenerateKeyPair.
struct Templates {
    /// For the public key.
    public: Vec<Attribute>,
    /// For the private key.
    private: Vec<Attribute>,
}

/// Makes the templates to try in turn: a key that does nothing but sign; one
/// that leaves the other uses to the token; the curve spelled by name.
fn templates(id: &KeyId, cka_id: &[u8], algorithm: KeyAlgorithm) -> Vec<Templates> {
    let shared = || {
        vec![
            Attribute::Token(true),
            Attribute::Label(id.as_str().into()),
            Attribute::Id(cka_id.to_vec()),
        ]
    };
    let make = |ec_params: Option<Vec<u8>>, strict: bool| {
        let mut public = shared();
        public.extend([Attribute::Private(false), Attribute::Verify(true)]);
        let mut private = shared();
        private.extend([
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ]);
        let bits: Option<u16> = match algorithm {
            KeyAlgorithm::Rsa2048 => Some(2048),
            KeyAlgorithm::Rsa3072 => Some(3072),
            KeyAlgorithm::Rsa4096 => Some(4096),
            KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 | KeyAlgorithm::Ed25519 => None,
        };
        if let Some(bits) = bits {
            public.push(Attribute::ModulusBits(Ulong::from(c_ulong::from(bits))));
            public.push(Attribute::PublicExponent(EXPONENT.to_vec()));
        }
        public.extend(ec_params.map(Attribute::EcParams));
        if strict {
            private.extend([Attribute::Decrypt(false), Attribute::Unwrap(false)]);
            private.push(Attribute::Derive(false));
        }
        Templates { public, private }
    };
    let params = encoding::ec_params(algorithm);
    let mut templates = vec![make(params.clone(), true), make(params, false)];
    templates
        .extend(encoding::ec_params_by_name(algorithm).map(|by_name| make(Some(by_name), false)));
    templates
}
