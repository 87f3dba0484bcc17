//! CRLs, read strictly and without copying (RFC 5280, 5.1).

mod extensions;

use model::{InvalidSerial, RevocationReason, SerialNumber, Timestamp};

pub(super) use extensions::CrlExtensions;

use super::{CrlNumber, IssuingPoint};
use crate::algorithm::SignatureAlgorithm;
use crate::extension;
use crate::name::{DistinguishedName, InvalidName};
use crate::oid;
use crate::public_key::{BadSignature, PublicKey};
use crate::time::{self, TimeRead};
use crate::tlv::{self, Malformed, Reader, Tlv};

/// Why bytes are no CRL that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Not a DER CertificateList.
    #[error("the bytes are no CRL in DER: {0}")]
    Encoding(#[from] Malformed),
    /// A version other than 1 and 2, or extensions in one of version 1.
    #[error("the CRL is of no known version, or has extensions that its version lacks")]
    Version,
    /// A signature algorithm that is not known here.
    #[error("the CRL is signed by an algorithm that is not known or no longer trusted")]
    SignatureAlgorithm,
    /// Two different signature algorithms inside and outside (5.1.1.2).
    #[error("the CRL names two different signature algorithms")]
    AlgorithmMismatch,
    /// A revoked certificate's serial number that no certificate can have.
    #[error("entry {place} of the CRL has a serial number that is refused")]
    Serial {
        /// Entries before it.
        place: usize,
        /// What is wrong with it.
        source: InvalidSerial,
    },
    /// An extension twice in one place (4.2, 5.2).
    #[error("the CRL has an extension twice")]
    RepeatedExtension,
    /// A critical extension that is not known here: such a CRL MUST NOT be used (5.2, 5.3).
    #[error("the CRL has a critical extension that is not known here")]
    CriticalExtension,
    /// A part of RFC 5280 that is not used here.
    #[error("CRLs with {what} are not taken")]
    Unsupported {
        /// What the CRL has.
        what: &'static str,
    },
}

/// What a TBSCertList says, every entry checked.
#[derive(Debug, Clone)]
pub(super) struct Tbs<'a> {
    /// The TBSCertList.
    pub(super) whole: &'a [u8],
    /// Whether it is of version 2.
    pub(super) version_2: bool,
    /// AlgorithmIdentifier of the signature.
    pub(super) algorithm_der: &'a [u8],
    /// Issuer's Name.
    pub(super) issuer_der: &'a [u8],
    /// When it was made.
    pub(super) this_update: TimeRead,
    /// When the next one is due.
    pub(super) next_update: Option<TimeRead>,
    /// The entries, joined; none if the list is absent.
    pub(super) entries: Option<&'a [u8]>,
    /// How many there are.
    pub(super) count: usize,
    /// Extensions.
    pub(super) extensions: CrlExtensions<'a>,
}

impl<'a> Tbs<'a> {
    /// Reads a TBSCertList, and shows each entry on the way.
    ///
    /// Bytes are hostile: never panics; allocates for the addresses in extensions alone.
    pub(super) fn parse(
        tbs_der: &'a [u8],
        mut visit: impl FnMut(&CrlEntry<'a>),
    ) -> Result<Self, CrlError> {
        let mut tbs = tlv::read_only(tbs_der, tlv::SEQUENCE)?.reader();
        // 5.1.2.1: v2 is 1; without extensions v1 is allowed, and not written.
        let version_2 = match tbs.optional(tlv::INTEGER)? {
            Some(version) if version.integer()? != [1] => return Err(CrlError::Version),
            version => version.is_some(),
        };
        let algorithm = tbs.expect(tlv::SEQUENCE)?;
        let issuer = tbs.expect(tlv::SEQUENCE)?;
        let this_update = time::read(tbs.next()?)?;
        let next_update = match tbs.peek() {
            Some(tlv::UTC_TIME | tlv::GENERALIZED_TIME) => Some(time::read(tbs.next()?)?),
            _ => None,
        };
        let list = tbs.optional(tlv::SEQUENCE)?;
        let mut count = 0;
        if let Some(list) = list {
            let mut reader = list.reader();
            while !reader.is_empty() {
                let entry = CrlEntry::read(&mut reader, count)?;
                if entry.has_extensions && !version_2 {
                    return Err(CrlError::Version);
                }
                visit(&entry);
                count += 1;
            }
        }
        let extensions = match tbs.optional(tlv::context_constructed(0))? {
            Some(_) if !version_2 => return Err(CrlError::Version),
            Some(tagged) => {
                let mut reader = tagged.reader();
                let list = reader.sequence()?;
                reader.finish()?;
                CrlExtensions::parse(list)?
            }
            None => CrlExtensions::default(),
        };
        tbs.finish()?;
        Ok(Self {
            whole: tbs_der,
            version_2,
            algorithm_der: algorithm.whole,
            issuer_der: issuer.whole,
            this_update,
            next_update,
            entries: list.map(|list| list.content),
            count,
            extensions,
        })
    }
}

/// A CRL, whoever issued it, in the bytes it came in.
///
/// Every entry was read once when it was parsed, so that walking them cannot fail.
/// Critical extensions that are not known here, lists by another than the certificates'
/// issuer (indirect CRLs) and lists of some reasons alone are refused when parsed.
#[derive(Debug, Clone)]
pub struct Crl<'a> {
    /// The CertificateList.
    der: &'a [u8],
    /// What is signed.
    tbs: Tbs<'a>,
    /// How it is signed.
    signature_algorithm: SignatureAlgorithm,
    /// The signature.
    signature: &'a [u8],
}

impl<'a> Crl<'a> {
    /// Reads a CRL, DER.
    ///
    /// Bytes are hostile: never panics; allocates for the addresses in extensions
    /// alone, less than the input's length. The signature is not verified.
    ///
    /// # Errors
    ///
    /// What is not as RFC 5280, 5.1 has it, or is not used here.
    pub fn parse(crl_der: &'a [u8]) -> Result<Self, CrlError> {
        let mut reader = tlv::read_only(crl_der, tlv::SEQUENCE)?.reader();
        let tbs_tlv = reader.expect(tlv::SEQUENCE)?;
        let algorithm = reader.expect(tlv::SEQUENCE)?;
        let signature = reader.expect(tlv::BIT_STRING)?.whole_octets()?;
        reader.finish()?;
        let tbs = Tbs::parse(tbs_tlv.whole, |_| {})?;
        // 5.1.1.2: MUST contain the same algorithm identifier.
        if tbs.algorithm_der != algorithm.whole {
            return Err(CrlError::AlgorithmMismatch);
        }
        Ok(Self {
            der: crl_der,
            tbs,
            signature_algorithm: SignatureAlgorithm::from_identifier_der(algorithm.whole)
                .ok_or(CrlError::SignatureAlgorithm)?,
            signature,
        })
    }

    /// Returns the CRL, DER.
    #[must_use]
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Returns the octets that are signed.
    #[must_use]
    pub fn tbs_der(&self) -> &'a [u8] {
        self.tbs.whole
    }

    /// Returns the issuer's DER Name.
    #[must_use]
    pub fn issuer_der(&self) -> &'a [u8] {
        self.tbs.issuer_der
    }

    /// Reads the issuer's name.
    ///
    /// # Errors
    ///
    /// What is not as RFC 5280, 4.1.2.4 has it.
    pub fn issuer(&self) -> Result<DistinguishedName, InvalidName> {
        DistinguishedName::from_der(self.tbs.issuer_der)
    }

    /// Returns its number.
    #[must_use]
    pub fn number(&self) -> Option<CrlNumber> {
        self.tbs.extensions.number
    }

    /// Returns the number of the CRL it adds to, if it is a delta.
    #[must_use]
    pub fn delta_base(&self) -> Option<CrlNumber> {
        self.tbs.extensions.delta_base
    }

    /// Returns when it was made.
    #[must_use]
    pub fn this_update(&self) -> Timestamp {
        self.tbs.this_update.time
    }

    /// Returns when the next one is due.
    #[must_use]
    pub fn next_update(&self) -> Option<Timestamp> {
        self.tbs.next_update.map(|read| read.time)
    }

    /// Returns the key identifier of the key that signed it.
    #[must_use]
    pub fn authority_key_identifier(&self) -> Option<&'a [u8]> {
        self.tbs.extensions.authority_key_identifier
    }

    /// Returns what it covers, if not everything.
    #[must_use]
    pub fn issuing_point(&self) -> Option<&IssuingPoint> {
        self.tbs.extensions.issuing_point.as_ref()
    }

    /// Returns where its delta is published.
    #[must_use]
    pub fn freshest(&self) -> &[String] {
        &self.tbs.extensions.freshest
    }

    /// Returns since when expired certificates stay on it.
    #[must_use]
    pub fn expired_certs_on_crl(&self) -> Option<Timestamp> {
        self.tbs.extensions.expired_certs_on_crl
    }

    /// Returns how it is signed.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tbs.count
    }

    /// Tells whether nothing is revoked on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tbs.count == 0
    }

    /// Walks the entries as they stand.
    #[must_use]
    pub fn entries(&self) -> Entries<'a> {
        Entries::from_list(self.tbs.entries.unwrap_or(&[]), self.tbs.count)
    }

    /// Finds a certificate's entry, walking all before it.
    #[must_use]
    pub fn find(&self, serial: &SerialNumber) -> Option<CrlEntry<'a>> {
        self.entries()
            .find(|entry| entry.serial == serial.as_der_content())
    }

    /// Verifies the signature with an issuer's key.
    ///
    /// # Errors
    ///
    /// `BadSignature`.
    pub fn verify_signed_by(&self, issuer: &PublicKey) -> Result<(), BadSignature> {
        issuer.verify(self.signature_algorithm, self.tbs.whole, self.signature)
    }
}

/// The entries of a CRL, one after the other.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    /// What has not been read.
    reader: Reader<'a>,
    /// How many are left.
    left: usize,
}

impl<'a> Entries<'a> {
    /// Walks joined entries that were read once already, wherever they begin.
    pub(super) fn from_list(list: &'a [u8], count: usize) -> Self {
        Self {
            reader: Reader::new(list),
            left: count,
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = CrlEntry<'a>;

    fn next(&mut self) -> Option<CrlEntry<'a>> {
        if self.reader.is_empty() {
            return None;
        }
        self.left = self.left.saturating_sub(1);
        // Read once already: no entry fails here.
        CrlEntry::read(&mut self.reader, 0).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}

/// One entry of a CRL, in the bytes it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrlEntry<'a> {
    /// The entry.
    whole: &'a [u8],
    /// Content octets of the serial number, fit for one.
    serial: &'a [u8],
    /// When the certificate was revoked.
    pub(super) revoked_at: TimeRead,
    /// The reason written out.
    pub(super) written_reason: Option<RevocationReason>,
    /// Since when the key is said to be compromised.
    invalidity_date: Option<Timestamp>,
    /// Whether there are extensions.
    has_extensions: bool,
    /// Whether an extension is critical, or not known here.
    pub(super) odd_extensions: bool,
}

/// An entry's extensions where the reason is the only one, but for its code.
const REASON_ALONE: [u8; 13] = [
    0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01,
];

/// Reasons by code (5.3.1); 7 is not used.
const REASONS: [Option<RevocationReason>; 11] = {
    let mut by_code = [None; 11];
    let mut place = 0;
    while place < RevocationReason::ALL.len() {
        let reason = RevocationReason::ALL[place];
        by_code[reason.code() as usize] = Some(reason);
        place += 1;
    }
    by_code
};

impl<'a> CrlEntry<'a> {
    /// Reads the next entry (5.1.2.6).
    #[inline]
    fn read(list: &mut Reader<'a>, place: usize) -> Result<Self, CrlError> {
        match Self::read_plain(list.rest()) {
            Some(entry) => {
                list.skip(entry.whole.len());
                Ok(entry)
            }
            None => Self::read_any(list, place),
        }
    }

    /// Reads an entry as nearly all of nearly every list are: a UTCTime, and no
    /// extension or a reason alone. None for any other, sound or not.
    ///
    /// Lists of a million entries are read before they are signed: this takes a quarter
    /// of the time of [`Self::read_any`], which says what is wrong.
    #[inline]
    fn read_plain(rest: &'a [u8]) -> Option<Self> {
        let [
            tlv::SEQUENCE,
            len @ ..=0x7f,
            tlv::INTEGER,
            serial_len @ 2..=20,
            ..,
        ] = rest
        else {
            return None;
        };
        let whole = rest.get(..2 + usize::from(*len))?;
        let (serial, fields) = whole.get(4..)?.split_at_checked(usize::from(*serial_len))?;
        let (date, extensions) = fields.split_first_chunk()?;
        let sound = match serial {
            [0, next, ..] => next & 0x80 != 0,
            [first, ..] => first & 0x80 == 0,
            [] => false,
        };
        let written_reason = match extensions {
            [] => None,
            [before @ .., code] if *before == REASON_ALONE => {
                Some((*REASONS.get(usize::from(*code))?)?)
            }
            _ => return None,
        };
        sound.then_some(Self {
            whole,
            serial,
            revoked_at: time::read_utc(date)?,
            written_reason,
            invalidity_date: None,
            has_extensions: !extensions.is_empty(),
            odd_extensions: false,
        })
    }

    /// Reads any entry.
    #[cold]
    fn read_any(list: &mut Reader<'a>, place: usize) -> Result<Self, CrlError> {
        let entry = list.expect(tlv::SEQUENCE)?;
        let mut fields = entry.reader();
        let serial = fields.expect(tlv::INTEGER)?.integer()?;
        if let Some(source) = serial_problem(serial) {
            return Err(CrlError::Serial { place, source });
        }
        let mut read = Self {
            whole: entry.whole,
            serial,
            revoked_at: time::read(fields.next()?)?,
            written_reason: None,
            invalidity_date: None,
            has_extensions: false,
            odd_extensions: false,
        };
        if let Some(extensions) = fields.optional(tlv::SEQUENCE)? {
            read.has_extensions = true;
            read.read_extensions(extensions.reader())?;
        }
        fields.finish()?;
        Ok(read)
    }

    /// Reads crlEntryExtensions (5.3).
    fn read_extensions(&mut self, list: Reader<'a>) -> Result<(), CrlError> {
        extension::walk_few(list, CrlError::RepeatedExtension, |extension| {
            self.odd_extensions |= extension.critical;
            let mut value = extension.value.reader();
            match extension.kind {
                oid::CRL_REASON => {
                    let code = value.expect(tlv::ENUMERATED)?;
                    self.written_reason = Some(read_reason(code.small_integer()?, code)?);
                }
                oid::INVALIDITY_DATE => {
                    // 5.3.2: GeneralizedTime.
                    self.invalidity_date = Some(time::read_generalized(value.next()?)?);
                }
                // 5.3: a critical one that is not known spoils the whole list.
                _ if extension.critical => return Err(CrlError::CriticalExtension),
                _ => {
                    self.odd_extensions = true;
                    return Ok(());
                }
            }
            Ok(value.finish()?)
        })
    }

    /// Returns the entry, DER.
    #[must_use]
    pub fn der(&self) -> &'a [u8] {
        self.whole
    }

    /// Returns the content octets of the serial number's INTEGER, as
    /// [`SerialNumber::as_der_content`] has them.
    #[must_use]
    pub fn serial_octets(&self) -> &'a [u8] {
        self.serial
    }

    /// Returns the serial number.
    #[must_use]
    pub fn serial(&self) -> SerialNumber {
        SerialNumber::from_der_content(self.serial)
            .expect("octets were found fit for a serial number when they were read")
    }

    /// Returns when the certificate was revoked.
    #[must_use]
    pub fn revoked_at(&self) -> Timestamp {
        self.revoked_at.time
    }

    /// Returns why; unspecified where nothing is said (5.3.1).
    #[must_use]
    pub fn reason(&self) -> RevocationReason {
        self.written_reason.unwrap_or(RevocationReason::Unspecified)
    }

    /// Returns since when the key is said to be compromised.
    #[must_use]
    pub fn invalidity_date(&self) -> Option<Timestamp> {
        self.invalidity_date
    }
}

/// Finds the reason of a code.
fn read_reason(code: u8, place: Tlv<'_>) -> Result<RevocationReason, Malformed> {
    let reason = REASONS.get(usize::from(code)).copied().flatten();
    reason.ok_or_else(|| place.refuse("a reason that RFC 5280 does not know"))
}

/// Says why octets of a minimal INTEGER are no serial number, if they are none.
fn serial_problem(octets: &[u8]) -> Option<InvalidSerial> {
    match octets {
        [first, ..] if first & 0x80 != 0 => Some(InvalidSerial::Negative),
        [0] => Some(InvalidSerial::Zero),
        _ if octets.len() > SerialNumber::MAX_LEN => {
            Some(InvalidSerial::TooLong { len: octets.len() })
        }
        _ => None,
    }
}
