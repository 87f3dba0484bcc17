//! crlExtensions, each read into what it says (RFC 5280, 5.2).

use const_oid::ObjectIdentifier;
use jiff::Timestamp;

use super::CrlError;
use crate::crl::{CoveredKinds, CrlNumber, IssuingPoint};
use crate::extension::Extension;
use crate::oid;
use crate::time;
use crate::tlv::{self, Malformed, Problem, Reader, Tlv};

/// Most extensions of one list that are read; seven are defined.
const MAX_EXTENSIONS: usize = 64;

/// Every extension that is known here; absent ones are none or empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct CrlExtensions<'a> {
    /// Types in the order they stand, with their critical flags.
    pub(crate) order: Vec<(ObjectIdentifier, bool)>,
    /// cRLNumber.
    pub(crate) number: Option<CrlNumber>,
    /// BaseCRLNumber of deltaCRLIndicator.
    pub(crate) delta_base: Option<CrlNumber>,
    /// keyIdentifier of authorityKeyIdentifier.
    pub(crate) authority_key_identifier: Option<&'a [u8]>,
    /// issuingDistributionPoint.
    pub(crate) issuing_point: Option<IssuingPoint>,
    /// URLs of freshestCRL.
    pub(crate) freshest: Vec<String>,
    /// expiredCertsOnCRL.
    pub(crate) expired_certs_on_crl: Option<Timestamp>,
    /// Whether there is an extension, or a part of one, that is not kept here.
    pub(crate) unknown: bool,
}

impl<'a> CrlExtensions<'a> {
    /// Reads Extensions, each type at most once.
    pub(super) fn parse(mut list: Reader<'a>) -> Result<Self, CrlError> {
        if list.is_empty() {
            // 5.1: SEQUENCE SIZE (1..MAX).
            let problem = Problem::Content("an empty list of extensions");
            return Err(list.refuse(problem).into());
        }
        let mut found = Self::default();
        while !list.is_empty() {
            let extension = Extension::read(&mut list)?;
            if found.order.iter().any(|(kind, _)| *kind == extension.kind) {
                return Err(CrlError::RepeatedExtension);
            }
            if found.order.len() == MAX_EXTENSIONS {
                let refused = extension.value.refuse("more extensions than any CRL needs");
                return Err(refused.into());
            }
            found.order.push((extension.kind, extension.critical));
            found.read(extension)?;
        }
        Ok(found)
    }

    /// Tells whether an extension is there, and whether it is critical.
    pub(crate) fn critical(&self, kind: ObjectIdentifier) -> Option<bool> {
        self.order
            .iter()
            .find(|(found, _)| *found == kind)
            .map(|(_, critical)| *critical)
    }

    /// Reads one extension's value.
    fn read(&mut self, extension: Extension<'a>) -> Result<(), CrlError> {
        let mut value = extension.value.reader();
        match extension.kind {
            oid::CRL_NUMBER => self.number = Some(read_number(&mut value)?),
            oid::DELTA_CRL_INDICATOR => self.delta_base = Some(read_number(&mut value)?),
            oid::AUTHORITY_KEY_IDENTIFIER => {
                let mut fields = value.sequence()?;
                self.authority_key_identifier = fields
                    .optional(tlv::context(0))?
                    .map(|identifier| identifier.content);
                // authorityCertIssuer and its serial number may follow.
                while !fields.is_empty() {
                    fields.next()?;
                    self.unknown = true;
                }
            }
            oid::ISSUING_DISTRIBUTION_POINT => {
                self.issuing_point = Some(read_issuing_point(value.sequence()?)?);
            }
            oid::FRESHEST_CRL => self.read_freshest(value.sequence()?)?,
            oid::EXPIRED_CERTS_ON_CRL => {
                self.expired_certs_on_crl = Some(time::read_generalized(value.next()?)?);
            }
            // 5.2: then it MUST NOT be used to tell what is revoked.
            _ if extension.critical => return Err(CrlError::CriticalExtension),
            _ => {
                self.unknown = true;
                return Ok(());
            }
        }
        Ok(value.finish()?)
    }

    /// Reads the full names of freshestCRL (4.2.1.13).
    fn read_freshest(&mut self, mut list: Reader<'a>) -> Result<(), CrlError> {
        while !list.is_empty() {
            let mut point = list.sequence()?;
            if let Some(name) = point.optional(tlv::context_constructed(0))? {
                let (urls, others) = read_point_name(name)?;
                self.freshest.extend(urls);
                self.unknown |= others;
            }
            // reasons and cRLIssuer may follow.
            while !point.is_empty() {
                point.next()?;
                self.unknown = true;
            }
        }
        Ok(())
    }
}

/// Reads a CRL number.
fn read_number(value: &mut Reader<'_>) -> Result<CrlNumber, Malformed> {
    let number = value.expect(tlv::INTEGER)?;
    CrlNumber::from_der_content(number.integer()?)
        .map_err(|_| number.refuse("a CRL number that is negative or longer than 20 octets"))
}

/// Reads IssuingDistributionPoint (5.2.5).
fn read_issuing_point(mut fields: Reader<'_>) -> Result<IssuingPoint, CrlError> {
    let mut point = IssuingPoint::default();
    if fields.is_empty() {
        // 5.2.5: the value MUST NOT be an empty SEQUENCE.
        let problem = Problem::Content("an issuing distribution point that says nothing");
        return Err(fields.refuse(problem).into());
    }
    if let Some(name) = fields.optional(tlv::context_constructed(0))? {
        let (urls, others) = read_point_name(name)?;
        if others || urls.is_empty() {
            // Then whom it covers cannot be told.
            return Err(CrlError::Unsupported {
                what: "a distribution point that is not named by URLs",
            });
        }
        point.urls = urls;
    }
    for (number, only) in [
        (1, CoveredKinds::UserCertificates),
        (2, CoveredKinds::CaCertificates),
    ] {
        if read_flag(&mut fields, number)? {
            if point.only != CoveredKinds::All {
                // 5.2.5: at most one of them may be TRUE.
                let problem = Problem::Content("a CRL of two kinds of certificates alone");
                return Err(fields.refuse(problem).into());
            }
            point.only = only;
        }
    }
    if fields.optional(tlv::context(3))?.is_some() {
        return Err(CrlError::Unsupported {
            what: "some reasons alone (onlySomeReasons)",
        });
    }
    if read_flag(&mut fields, 4)? {
        return Err(CrlError::Unsupported {
            what: "entries of several issuers (indirectCRL)",
        });
    }
    if read_flag(&mut fields, 5)? {
        return Err(CrlError::Unsupported {
            what: "attribute certificates alone (onlyContainsAttributeCerts)",
        });
    }
    fields.finish()?;
    Ok(point)
}

/// Reads a BOOLEAN DEFAULT FALSE with a tag of the context.
fn read_flag(fields: &mut Reader<'_>, number: u8) -> Result<bool, Malformed> {
    match fields.optional(tlv::context(number))? {
        Some(flag) if !flag.boolean()? => Err(flag.refuse("a default value written out")),
        flag => Ok(flag.is_some()),
    }
}

/// Reads a DistributionPointName: its URLs, and whether it holds anything else.
fn read_point_name(name: Tlv<'_>) -> Result<(Vec<String>, bool), Malformed> {
    let mut choice = name.reader();
    let full_name = choice.next()?;
    choice.finish()?;
    if full_name.tag != tlv::context_constructed(0) {
        // nameRelativeToCRLIssuer.
        return Ok((Vec::new(), true));
    }
    let (mut urls, mut others) = (Vec::new(), false);
    let mut names = full_name.reader();
    while !names.is_empty() {
        let general_name = names.next()?;
        let text = std::str::from_utf8(general_name.content).ok();
        match text.filter(|text| text.bytes().all(|octet| octet.is_ascii_graphic())) {
            Some(url) if general_name.tag == tlv::context(6) => urls.push(url.to_owned()),
            _ => others = true,
        }
    }
    Ok((urls, others))
}
