//! CertIDs: which certificate is meant (RFC 6960, 4.1.1).

use aws_lc_rs::digest::{self, digest};
use const_oid::ObjectIdentifier;
use model::SerialNumber;

use crate::certificate::Certificate;
use crate::encode::ocsp::{self as encode, CertIdOctets};
use crate::oid;
use crate::public_key::{PublicKey, read_oid};
use crate::tlv::{self, Malformed, Reader};

/// A hash that names an issuer.
///
/// It protects nothing: who finds another name or key with the same SHA-1 has found
/// another issuer's status, not a way to change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertIdHash {
    /// SHA-1, which nearly all clients use (RFC 9919 lets them).
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl CertIdHash {
    /// Every hash.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Returns the hash's object identifier.
    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => oid::SHA1,
            Self::Sha256 => oid::SHA256,
            Self::Sha384 => oid::SHA384,
            Self::Sha512 => oid::SHA512,
        }
    }

    /// Finds the hash of an object identifier.
    fn from_oid(kind: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.oid() == kind)
    }

    /// Returns its implementation.
    fn implementation(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// A CertID as it stands in somebody's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertId<'a> {
    /// The CertID.
    der: &'a [u8],
    /// Which hash; none if it is not known here.
    hash: Option<CertIdHash>,
    /// Hash of the issuer's Name.
    issuer_name_hash: &'a [u8],
    /// Hash of the issuer's key octets.
    issuer_key_hash: &'a [u8],
    /// Content octets of the serial number, minimal, of any length and sign.
    serial: &'a [u8],
}

impl<'a> CertId<'a> {
    /// Reads a CertID, DER.
    ///
    /// Bytes are hostile: never panics, allocates nothing.
    ///
    /// # Errors
    ///
    /// Another structure, hashes of another length than their algorithm has, or
    /// octets behind it.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(der);
        let cert_id = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(cert_id)
    }

    /// Reads the next CertID.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let whole = reader.expect(tlv::SEQUENCE)?;
        let mut fields = whole.reader();
        let mut algorithm = fields.sequence()?;
        let hash = CertIdHash::from_oid(read_oid(&mut algorithm)?);
        // RFC 5754, 2: with SHA-2 both NULL and nothing MUST be accepted.
        if let Some(null) = algorithm.optional(tlv::NULL)?
            && !null.content.is_empty()
        {
            return Err(null.refuse("a NULL with contents"));
        }
        if hash.is_some() {
            algorithm.finish()?;
        }
        let name_hash = fields.expect(tlv::OCTET_STRING)?;
        let key_hash = fields.expect(tlv::OCTET_STRING)?;
        if let Some(hash) = hash {
            let len = hash.implementation().output_len();
            for octets in [name_hash, key_hash] {
                if octets.content.len() != len {
                    return Err(octets.refuse("a hash of another length than its algorithm has"));
                }
            }
        }
        let serial = fields.expect(tlv::INTEGER)?.integer()?;
        fields.finish()?;
        Ok(Self {
            der: whole.whole,
            hash,
            issuer_name_hash: name_hash.content,
            issuer_key_hash: key_hash.content,
            serial,
        })
    }

    /// Returns the CertID, DER: answers repeat it.
    #[must_use]
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Returns which hash names the issuer, if it is known here.
    #[must_use]
    pub fn hash(&self) -> Option<CertIdHash> {
        self.hash
    }

    /// Returns the hash of the issuer's Name.
    #[must_use]
    pub fn issuer_name_hash(&self) -> &'a [u8] {
        self.issuer_name_hash
    }

    /// Returns the hash of the issuer's key octets.
    #[must_use]
    pub fn issuer_key_hash(&self) -> &'a [u8] {
        self.issuer_key_hash
    }

    /// Returns the content octets of the serial number's INTEGER.
    #[must_use]
    pub fn serial_octets(&self) -> &'a [u8] {
        self.serial
    }

    /// Returns the serial number, if a certificate can have it.
    #[must_use]
    pub fn serial(&self) -> Option<SerialNumber> {
        SerialNumber::from_der_content(self.serial).ok()
    }
}

/// How one issuer is named by every hash, made once.
#[derive(Debug, Clone)]
pub struct IssuerHashes {
    /// By hash, in the order of [`CertIdHash::ALL`].
    by_hash: [HashedIssuer; 4],
}

/// One issuer by one hash.
#[derive(Debug, Clone)]
struct HashedIssuer {
    /// Hash of the Name.
    name: digest::Digest,
    /// Hash of the key octets.
    key: digest::Digest,
    /// What CertIDs begin with.
    cert_id: Box<[u8]>,
}

impl IssuerHashes {
    /// Hashes an issuer's Name and key.
    #[must_use]
    pub fn new(subject_der: &[u8], key: &PublicKey) -> Self {
        Self {
            by_hash: CertIdHash::ALL.map(|hash| {
                let name = digest(hash.implementation(), subject_der);
                let key = digest(hash.implementation(), key.key_octets());
                HashedIssuer {
                    cert_id: encode::cert_id_issuer(hash, name.as_ref(), key.as_ref()).into(),
                    name,
                    key,
                }
            }),
        }
    }

    /// Hashes the subject and key of an issuer's certificate.
    #[must_use]
    pub fn of(issuer: &Certificate) -> Self {
        Self::new(issuer.subject_der(), issuer.public_key())
    }

    /// Returns what is known by a hash.
    fn by(&self, hash: CertIdHash) -> &HashedIssuer {
        let [sha1, sha256, sha384, sha512] = &self.by_hash;
        match hash {
            CertIdHash::Sha1 => sha1,
            CertIdHash::Sha256 => sha256,
            CertIdHash::Sha384 => sha384,
            CertIdHash::Sha512 => sha512,
        }
    }

    /// Tells whether a CertID names this issuer.
    #[must_use]
    pub fn matches(&self, id: &CertId<'_>) -> bool {
        id.hash.is_some_and(|hash| {
            let own = self.by(hash);
            own.name.as_ref() == id.issuer_name_hash && own.key.as_ref() == id.issuer_key_hash
        })
    }

    /// Encodes the CertID of a certificate of this issuer.
    #[must_use]
    pub fn cert_id_der(&self, hash: CertIdHash, serial: &SerialNumber) -> Vec<u8> {
        let mut out = Vec::new();
        self.cert_id_octets(hash, serial).append(&mut out);
        out
    }

    /// Returns the CertID of a certificate of this issuer in its parts.
    pub(super) fn cert_id_octets<'a>(
        &'a self,
        hash: CertIdHash,
        serial: &'a SerialNumber,
    ) -> CertIdOctets<'a> {
        CertIdOctets::Parts {
            issuer: &self.by(hash).cert_id,
            serial: serial.as_der_content(),
        }
    }
}
