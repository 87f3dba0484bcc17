//! Certificate extensions, each read into what it says.

use const_oid::ObjectIdentifier;

use super::CertificateError;
use crate::extension::Extension;
use crate::forge::{ForgeClaim, ForgeClaims};
use crate::name_constraints::NameConstraints;
use crate::names::AlternativeName;
use crate::oid;
use crate::profile::{ExtendedKeyUsage, KeyUsages};
use crate::public_key::read_oid;
use crate::sct::SctList;
use crate::tlv::{self, Malformed, Problem, Reader, Tlv};

/// Most extensions, and most entries in one, that are read.
const MAX_ITEMS: usize = 1024;

/// BasicConstraints (RFC 5280, 4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /// cA.
    pub ca: bool,
    /// pathLenConstraint.
    pub path_length: Option<u8>,
}

/// One policy of CertificatePolicies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyFound {
    /// Which.
    pub(crate) oid: ObjectIdentifier,
    /// Its id-qt-cps.
    pub(crate) cps: Option<String>,
}

/// Every extension that is known here; absent ones are none or empty.
#[derive(Debug, Clone, Default)]
pub struct Extensions {
    /// Types in the order they stand, with their critical flags.
    pub(crate) order: Vec<(ObjectIdentifier, bool)>,
    /// keyIdentifier of authorityKeyIdentifier.
    pub authority_key_identifier: Option<Vec<u8>>,
    /// subjectKeyIdentifier.
    pub subject_key_identifier: Option<Vec<u8>>,
    /// keyUsage.
    pub key_usage: Option<KeyUsages>,
    /// extKeyUsage.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// basicConstraints.
    pub basic_constraints: Option<BasicConstraints>,
    /// subjectAltName; names of kinds that are not issued here are left out.
    pub names: Vec<AlternativeName>,
    /// Whether subjectAltName holds a name that is not in `names` as it stands.
    pub(crate) other_names: bool,
    /// nameConstraints.
    pub name_constraints: Option<NameConstraints>,
    /// certificatePolicies.
    pub(crate) policies: Vec<PolicyFound>,
    /// URLs of id-ad-ocsp.
    pub ocsp: Vec<String>,
    /// URLs of id-ad-caIssuers.
    pub ca_issuers: Vec<String>,
    /// Whether authorityInfoAccess holds anything else.
    pub(crate) other_access: bool,
    /// URLs of cRLDistributionPoints' full names.
    pub crl: Vec<String>,
    /// id-pkix-ocsp-nocheck.
    pub ocsp_no_check: bool,
    /// The TLS features.
    pub tls_features: Vec<u8>,
    /// What a forge said of a build (Fulcio's extensions).
    pub forge: Option<ForgeClaims>,
    /// Signed certificate timestamps (RFC 6962, 3.3).
    pub scts: Option<SctList>,
    /// Whether there is an extension, or a part of one, that is not kept here.
    pub(crate) unknown: bool,
}

impl Extensions {
    /// Reads Extensions, each type at most once (RFC 5280, 4.2).
    pub(super) fn parse(mut list: Reader<'_>) -> Result<Self, CertificateError> {
        let mut found = Self::default();
        let mut claims = Vec::new();
        if list.is_empty() {
            // 4.1: SEQUENCE SIZE (1..MAX).
            return Err(list
                .refuse(Problem::Content("an empty list of extensions"))
                .into());
        }
        while !list.is_empty() {
            let Extension {
                kind,
                critical,
                value,
            } = Extension::read(&mut list)?;
            if found.order.iter().any(|(before, _)| *before == kind) {
                return Err(CertificateError::RepeatedExtension);
            }
            if found.order.len() == MAX_ITEMS {
                return Err(value
                    .refuse("more extensions than any certificate needs")
                    .into());
            }
            found.order.push((kind, critical));
            match ForgeClaim::from_oid(&kind) {
                Some(claim) => match claim_text(value) {
                    Some(text) => claims.push((claim, text)),
                    None => found.unknown = true,
                },
                None => found.read(kind, value)?,
            }
        }
        if !claims.is_empty() {
            found.forge = ForgeClaims::new(claims).ok();
            found.unknown |= found.forge.is_none();
        }
        Ok(found)
    }

    /// Tells whether an extension is critical that paths are not checked for
    /// (RFC 5280, 6.1.4 (o)); of policies any is acceptable.
    pub(crate) fn has_unrecognized_critical(&self) -> bool {
        const RECOGNIZED: [ObjectIdentifier; 10] = [
            oid::AUTHORITY_KEY_IDENTIFIER,
            oid::SUBJECT_KEY_IDENTIFIER,
            oid::KEY_USAGE,
            oid::EXTENDED_KEY_USAGE,
            oid::BASIC_CONSTRAINTS,
            oid::SUBJECT_ALT_NAME,
            oid::NAME_CONSTRAINTS,
            oid::CERTIFICATE_POLICIES,
            oid::CRL_DISTRIBUTION_POINTS,
            oid::AUTHORITY_INFO_ACCESS,
        ];
        self.order
            .iter()
            .any(|(kind, critical)| *critical && !RECOGNIZED.contains(kind))
    }

    /// Tells whether an extension is there, and whether it is critical.
    pub(crate) fn critical(&self, kind: ObjectIdentifier) -> Option<bool> {
        self.order
            .iter()
            .find(|(found, _)| *found == kind)
            .map(|(_, critical)| *critical)
    }

    /// Reads one extension's value.
    fn read(&mut self, kind: ObjectIdentifier, value: Tlv<'_>) -> Result<(), Malformed> {
        let mut reader = value.reader();
        match kind {
            oid::AUTHORITY_KEY_IDENTIFIER => {
                let mut fields = reader.sequence()?;
                self.authority_key_identifier = fields
                    .optional(tlv::context(0))?
                    .map(|identifier| identifier.content.to_vec());
                // authorityCertIssuer and its serial number may follow.
                while !fields.is_empty() {
                    fields.next()?;
                    self.unknown = true;
                }
            }
            oid::SUBJECT_KEY_IDENTIFIER => {
                self.subject_key_identifier =
                    Some(reader.expect(tlv::OCTET_STRING)?.content.to_vec());
            }
            oid::KEY_USAGE => self.key_usage = Some(read_usages(reader.expect(tlv::BIT_STRING)?)?),
            oid::EXTENDED_KEY_USAGE => {
                let mut purposes = non_empty(reader.sequence()?)?;
                while !purposes.is_empty() {
                    let purpose = ExtendedKeyUsage::new(read_oid(&mut purposes)?);
                    self.extended_key_usages.push(purpose);
                }
            }
            oid::BASIC_CONSTRAINTS => {
                self.basic_constraints = Some(read_basic_constraints(reader.sequence()?)?);
            }
            oid::SUBJECT_ALT_NAME => self.read_names(reader.expect(tlv::SEQUENCE)?)?,
            oid::NAME_CONSTRAINTS => {
                self.name_constraints = Some(NameConstraints::from_der(
                    reader.expect(tlv::SEQUENCE)?.whole,
                )?);
            }
            oid::CERTIFICATE_POLICIES => self.read_policies(non_empty(reader.sequence()?)?)?,
            oid::AUTHORITY_INFO_ACCESS => self.read_access(non_empty(reader.sequence()?)?)?,
            oid::CRL_DISTRIBUTION_POINTS => self.read_points(non_empty(reader.sequence()?)?)?,
            oid::OCSP_NO_CHECK => {
                if !reader.expect(tlv::NULL)?.content.is_empty() {
                    return Err(value.refuse("a NULL with contents"));
                }
                self.ocsp_no_check = true;
            }
            oid::TLS_FEATURE => {
                let mut features = non_empty(reader.sequence()?)?;
                while !features.is_empty() {
                    self.tls_features
                        .push(features.expect(tlv::INTEGER)?.small_integer()?);
                }
            }
            oid::SCT_LIST => {
                // What is not RFC 6962 is some other log's matter.
                let list = tlv::read_only(value.content, tlv::OCTET_STRING)
                    .ok()
                    .and_then(|list| SctList::from_octets(list.content).ok());
                self.unknown |= list.is_none();
                self.scts = list;
                return Ok(());
            }
            _ => {
                self.unknown = true;
                return Ok(());
            }
        }
        reader.finish()
    }

    /// Reads subjectAltName.
    fn read_names(&mut self, list: Tlv<'_>) -> Result<(), Malformed> {
        let mut reader = non_empty(list.reader())?;
        while !reader.is_empty() {
            let general_name = reader.next()?;
            match AlternativeName::from_tlv(general_name) {
                Ok(name) => {
                    self.other_names |= match &name {
                        AlternativeName::Dns(dns) => {
                            dns.as_str().as_bytes() != general_name.content
                        }
                        AlternativeName::Email(email) => {
                            email.as_str().as_bytes() != general_name.content
                        }
                        AlternativeName::Ip(_)
                        | AlternativeName::Uri(_)
                        | AlternativeName::Permanent(_) => false,
                    };
                    self.names.push(name);
                }
                Err(_) => self.other_names = true,
            }
        }
        Ok(())
    }

    /// Reads CertificatePolicies; qualifiers other than a CPS are passed over.
    fn read_policies(&mut self, mut list: Reader<'_>) -> Result<(), Malformed> {
        while !list.is_empty() {
            let mut information = list.sequence()?;
            let mut policy = PolicyFound {
                oid: read_oid(&mut information)?,
                cps: None,
            };
            if !information.is_empty() {
                let mut qualifiers = non_empty(information.sequence()?)?;
                while !qualifiers.is_empty() {
                    let mut qualifier = qualifiers.sequence()?;
                    let kind = read_oid(&mut qualifier)?;
                    let value = qualifier.next()?;
                    qualifier.finish()?;
                    if kind == oid::CPS_QUALIFIER && policy.cps.is_none() {
                        policy.cps = Some(text(value)?);
                    } else {
                        self.unknown = true;
                    }
                }
            }
            information.finish()?;
            self.policies.push(policy);
        }
        Ok(())
    }

    /// Reads AuthorityInfoAccess.
    fn read_access(&mut self, mut list: Reader<'_>) -> Result<(), Malformed> {
        while !list.is_empty() {
            let mut description = list.sequence()?;
            let method = read_oid(&mut description)?;
            let location = description.next()?;
            description.finish()?;
            match (method, location.tag == tlv::context(6)) {
                (oid::AD_OCSP, true) => self.ocsp.push(text(location)?),
                (oid::AD_CA_ISSUERS, true) => self.ca_issuers.push(text(location)?),
                _ => self.other_access = true,
            }
        }
        Ok(())
    }

    /// Reads the full names of CRLDistributionPoints.
    fn read_points(&mut self, mut list: Reader<'_>) -> Result<(), Malformed> {
        while !list.is_empty() {
            let mut point = list.sequence()?;
            if let Some(name) = point.optional(tlv::context_constructed(0))? {
                let mut choice = name.reader();
                let full_name = choice.next()?;
                choice.finish()?;
                if full_name.tag != tlv::context_constructed(0) {
                    self.unknown = true;
                } else {
                    let mut names = non_empty(full_name.reader())?;
                    while !names.is_empty() {
                        let general_name = names.next()?;
                        if general_name.tag == tlv::context(6) {
                            self.crl.push(text(general_name)?);
                        } else {
                            self.unknown = true;
                        }
                    }
                }
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

/// Refuses an empty SEQUENCE OF where RFC 5280 wants SIZE (1..MAX).
fn non_empty(reader: Reader<'_>) -> Result<Reader<'_>, Malformed> {
    if reader.is_empty() {
        return Err(reader.refuse(Problem::Content("an empty list where it may not be")));
    }
    Ok(reader)
}

/// Reads printable ASCII.
fn text(tlv: Tlv<'_>) -> Result<String, Malformed> {
    std::str::from_utf8(tlv.content)
        .ok()
        .filter(|text| text.bytes().all(|octet| octet.is_ascii_graphic()))
        .map(str::to_owned)
        .ok_or_else(|| tlv.refuse("a URL that is not printable ASCII"))
}

/// Reads the UTF8String of one of a forge's claims; none if it is something else.
fn claim_text(value: Tlv<'_>) -> Option<String> {
    let text = tlv::read_only(value.content, tlv::UTF8_STRING).ok()?;
    std::str::from_utf8(text.content).ok().map(str::to_owned)
}

/// Reads KeyUsage: a named bit list without trailing zero bits (X.690, 11.2.2).
fn read_usages(tlv: Tlv<'_>) -> Result<KeyUsages, Malformed> {
    let (unused, octets) = tlv.bits()?;
    let refused = || tlv.refuse("key usages that are none, unknown, or padded with zero bits");
    let last = octets.last().ok_or_else(refused)?;
    if last.trailing_zeros() != u32::from(unused) {
        return Err(refused());
    }
    KeyUsages::from_bits(octets).ok_or_else(refused)
}

/// Reads BasicConstraints.
fn read_basic_constraints(mut reader: Reader<'_>) -> Result<BasicConstraints, Malformed> {
    let ca = match reader.optional(tlv::BOOLEAN)? {
        Some(flag) if !flag.boolean()? => return Err(flag.refuse("a default value written out")),
        Some(_) => true,
        None => false,
    };
    let path_length = match reader.optional(tlv::INTEGER)? {
        Some(length) => Some(length.small_integer()?),
        None => None,
    };
    reader.finish()?;
    Ok(BasicConstraints { ca, path_length })
}
