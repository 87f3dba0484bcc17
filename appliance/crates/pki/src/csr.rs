//! Certification requests: PKCS#10 (RFC 2986), checked whole.

use const_oid::ObjectIdentifier;

use crate::algorithm::SignatureAlgorithm;
use crate::key_check::{self, KeyPolicy, WeakKey};
use crate::name::{DistinguishedName, InvalidName};
use crate::names::{self, AlternativeName, InvalidAlternativeName, NamesError};
use crate::oid;
use crate::public_key::{InvalidPublicKey, PublicKey, read_oid};
use crate::tlv::{self, Malformed, Reader};

/// How large a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsrLimits {
    /// Most octets of DER.
    pub max_len: usize,
    /// Most subject alternative names.
    pub max_names: usize,
}

impl Default for CsrLimits {
    /// 64 KiB and 100 names.
    fn default() -> Self {
        Self {
            max_len: 64 * 1024,
            max_names: 100,
        }
    }
}

/// Most attributes and most requested extensions in one request.
const MAX_ITEMS: usize = 32;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// More octets than the limit.
    #[error("the request has {len} octets; at most {max} are taken")]
    TooLarge {
        /// Octets given.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Not a DER CertificationRequest.
    #[error("the bytes are no PKCS#10 certification request in DER: {0}")]
    Encoding(#[from] Malformed),
    /// A version other than 0 (RFC 2986, 4.1).
    #[error("the request's version is not v1 (0)")]
    Version,
    /// A subject that is no proper name.
    #[error("the request's subject is refused: {0}")]
    Subject(InvalidName),
    /// A key of an unknown kind or form.
    #[error("the request's public key is refused: {0}")]
    PublicKey(#[from] InvalidPublicKey),
    /// A key that is weak or blocked.
    #[error("the request's key is refused: {0}")]
    WeakKey(#[from] WeakKey),
    /// A signature algorithm that is unknown, outdated, or not the key's.
    #[error(
        "the request is signed by an algorithm that is not taken: SHA-256, SHA-384 or SHA-512 with the key's own RSA or ECDSA, or Ed25519"
    )]
    SignatureAlgorithm,
    /// No proof of possession: the signature is not the key's over this request.
    #[error("the request's signature does not verify with its own public key")]
    Signature,
    /// The same attribute or extension twice.
    #[error("{oid} is in the request twice")]
    Repeated {
        /// The attribute's or extension's type.
        oid: ObjectIdentifier,
    },
    /// Attributes or extensions in numbers.
    #[error("the request has more than {MAX_ITEMS} attributes or extensions")]
    TooManyItems,
    /// A subject alternative name that is refused.
    #[error("subject alternative name {place} is refused: {problem}")]
    Name {
        /// Its place, from 1.
        place: usize,
        /// What is wrong.
        problem: InvalidAlternativeName,
    },
    /// The same name twice.
    #[error("{name} is asked for twice")]
    RepeatedName {
        /// The name.
        name: AlternativeName,
    },
    /// More names than the limit.
    #[error("more than {max} names are asked for")]
    TooManyNames {
        /// The limit.
        max: usize,
    },
}

/// A request whose every claim that can be checked alone was checked: it is DER,
/// within limits, signed by its own key; the key is strong, the names proper.
///
/// What it asks for beyond key, subject, names, the CA flag and must-staple is
/// the profile's to decide and therefore ignored: other requested extensions and
/// attributes (challengePassword among them, which is neither kept nor logged)
/// count against the limits and otherwise for nothing.
#[derive(Debug, Clone)]
pub struct CheckedCsr {
    /// The subject as it stands.
    subject: DistinguishedName,
    /// The requested names, in order, without repetition.
    names: Vec<AlternativeName>,
    /// The key.
    public_key: PublicKey,
    /// How the request is signed.
    signature_algorithm: SignatureAlgorithm,
    /// Asks for a CA certificate.
    asks_for_ca: bool,
    /// Asks for the TLS feature status_request (RFC 7633).
    asks_for_must_staple: bool,
}

/// What requested extensions ask for.
#[derive(Debug, Default)]
struct Requested {
    /// Names.
    names: Vec<AlternativeName>,
    /// Basic constraints with cA TRUE.
    ca: bool,
    /// TLS feature status_request.
    must_staple: bool,
}

impl CheckedCsr {
    /// Reads and checks a request, DER.
    ///
    /// Bytes are hostile: never panics, allocates little more than the input's
    /// length. Everything cheap is checked before the signature.
    ///
    /// # Errors
    ///
    /// The first thing wrong, in the order of the request.
    pub fn parse(csr_der: &[u8], limits: &CsrLimits, policy: &KeyPolicy) -> Result<Self, CsrError> {
        if csr_der.len() > limits.max_len {
            return Err(CsrError::TooLarge {
                len: csr_der.len(),
                max: limits.max_len,
            });
        }
        // RFC 2986, 4.2: info, signatureAlgorithm, signature.
        let mut request = tlv::read_only(csr_der, tlv::SEQUENCE)?.reader();
        let info = request.expect(tlv::SEQUENCE)?;
        let algorithm = request.expect(tlv::SEQUENCE)?;
        let signature = request.expect(tlv::BIT_STRING)?.whole_octets()?;
        request.finish()?;
        // RFC 2986, 4.1: version, subject, subjectPKInfo, attributes.
        let mut reader = info.reader();
        if reader.expect(tlv::INTEGER)?.integer()? != [0] {
            return Err(CsrError::Version);
        }
        let subject_tlv = reader.expect(tlv::SEQUENCE)?;
        let subject = DistinguishedName::from_der(subject_tlv.whole).map_err(CsrError::Subject)?;
        let spki = reader.expect(tlv::SEQUENCE)?;
        let public_key = PublicKey::from_spki_der(spki.whole)?;
        // Attributes are [0] IMPLICIT and may not be left out, but openssl's
        // oldest releases and some devices did; nothing is lost by reading it.
        let attributes = reader.optional(tlv::context_constructed(0))?;
        reader.finish()?;
        let requested = match attributes {
            Some(attributes) => read_attributes(attributes.reader(), limits)?,
            None => Requested::default(),
        };
        let signature_algorithm = SignatureAlgorithm::from_identifier_der(algorithm.whole)
            .filter(|algorithm| public_key.can_sign(*algorithm))
            .ok_or(CsrError::SignatureAlgorithm)?;
        key_check::check_numbers(&public_key, policy)?;
        // RFC 2986, 3: the signature proves possession of the private key. It is
        // made ready with the key's point, which this checks too.
        if public_key
            .verify(signature_algorithm, info.whole, signature)
            .is_err()
        {
            key_check::check_point(&public_key)?;
            return Err(CsrError::Signature);
        }
        Ok(Self {
            subject,
            names: requested.names,
            public_key,
            signature_algorithm,
            asks_for_ca: requested.ca,
            asks_for_must_staple: requested.must_staple,
        })
    }

    /// Returns the subject as the request has it.
    #[must_use]
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Returns the subject alternative names asked for.
    #[must_use]
    pub fn names(&self) -> &[AlternativeName] {
        &self.names
    }

    /// Returns the public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns how the request is signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Tells whether the request asks for a CA certificate.
    #[must_use]
    pub fn asks_for_ca(&self) -> bool {
        self.asks_for_ca
    }

    /// Tells whether the request asks for OCSP must-staple (RFC 7633).
    #[must_use]
    pub fn asks_for_must_staple(&self) -> bool {
        self.asks_for_must_staple
    }
}

/// Reads the attributes (RFC 2986, 4.1), each type at most once.
fn read_attributes(mut reader: Reader<'_>, limits: &CsrLimits) -> Result<Requested, CsrError> {
    let mut seen = Vec::new();
    let mut requested = Requested::default();
    while !reader.is_empty() {
        let mut attribute = reader.sequence()?;
        let kind = read_oid(&mut attribute)?;
        note(&mut seen, kind)?;
        let values = attribute.expect(tlv::SET)?;
        attribute.finish()?;
        if kind == oid::EXTENSION_REQUEST {
            // RFC 2985, 5.4.2: SINGLE VALUE TRUE.
            let mut values = values.reader();
            let extensions = values.sequence()?;
            values.finish()?;
            requested = read_extensions(extensions, limits)?;
        }
    }
    Ok(requested)
}

/// Reads requested extensions (RFC 5280, 4.1), each at most once.
fn read_extensions(mut reader: Reader<'_>, limits: &CsrLimits) -> Result<Requested, CsrError> {
    let mut seen = Vec::new();
    let mut requested = Requested::default();
    while !reader.is_empty() {
        let mut extension = reader.sequence()?;
        let kind = read_oid(&mut extension)?;
        note(&mut seen, kind)?;
        // DEFAULT FALSE written out is no DER, but many tools write it; the flag
        // means nothing in a request.
        if let Some(critical) = extension.optional(tlv::BOOLEAN)? {
            critical.boolean()?;
        }
        let value = extension.expect(tlv::OCTET_STRING)?;
        extension.finish()?;
        match kind {
            oid::SUBJECT_ALT_NAME => {
                requested.names = read_subject_alt_name(value, limits.max_names)?;
            }
            oid::BASIC_CONSTRAINTS => {
                let mut constraints = Reader::new(value.content).sequence()?;
                if let Some(ca) = constraints.optional(tlv::BOOLEAN)? {
                    requested.ca = ca.boolean()?;
                }
            }
            oid::TLS_FEATURE => {
                let mut features = Reader::new(value.content).sequence()?;
                while !features.is_empty() {
                    // RFC 7633, 6: 5 is status_request (RFC 6066, 8).
                    requested.must_staple |= features.next()?.small_integer()? == 5;
                }
            }
            _ => {}
        }
    }
    Ok(requested)
}

/// Reads the requested names, each at most once.
fn read_subject_alt_name(
    value: tlv::Tlv<'_>,
    max: usize,
) -> Result<Vec<AlternativeName>, CsrError> {
    let names = names::read_names(value.content, max).map_err(|error| match error {
        NamesError::Encoding(malformed) => CsrError::Encoding(Malformed {
            offset: malformed.offset + value.content_at,
            ..malformed
        }),
        NamesError::Name(place, problem) => CsrError::Name {
            place: place + 1,
            problem,
        },
        NamesError::TooMany => CsrError::TooManyNames { max },
    })?;
    match first_repeated(&names) {
        Some(name) => Err(CsrError::RepeatedName { name: name.clone() }),
        None => Ok(names),
    }
}

/// Finds a name that stands twice.
pub(crate) fn first_repeated(names: &[AlternativeName]) -> Option<&AlternativeName> {
    if names.len() < 2 {
        return None;
    }
    let mut sorted: Vec<&AlternativeName> = names.iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}

/// Remembers a type, refusing one seen before and any number past the limit.
fn note(seen: &mut Vec<ObjectIdentifier>, kind: ObjectIdentifier) -> Result<(), CsrError> {
    if seen.contains(&kind) {
        return Err(CsrError::Repeated { oid: kind });
    }
    if seen.len() == MAX_ITEMS {
        return Err(CsrError::TooManyItems);
    }
    seen.push(kind);
    Ok(())
}

#[cfg(test)]
mod tests;
