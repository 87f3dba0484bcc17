//! One Extension, whatever it is (RFC 5280, 4.1).

use const_oid::ObjectIdentifier;

use crate::public_key::read_oid;
use crate::tlv::{self, Malformed, Problem, Reader, Tlv};

/// One Extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extension<'a> {
    /// Which.
    pub(crate) kind: ObjectIdentifier,
    /// Whether who does not know it must not go on.
    pub(crate) critical: bool,
    /// The OCTET STRING around its value.
    pub(crate) value: Tlv<'a>,
}

impl<'a> Extension<'a> {
    /// Reads the next Extension (4.1).
    pub(crate) fn read(list: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut extension = list.sequence()?;
        let kind = read_oid(&mut extension)?;
        let critical = match extension.optional(tlv::BOOLEAN)? {
            // DEFAULT FALSE is not written (X.690, 11.5).
            Some(flag) if !flag.boolean()? => {
                return Err(flag.refuse("a default value written out"));
            }
            flag => flag.is_some(),
        };
        let value = extension.expect(tlv::OCTET_STRING)?;
        extension.finish()?;
        Ok(Self {
            kind,
            critical,
            value,
        })
    }
}

/// Most extensions in a place where few are defined.
const FEW: usize = 8;

/// Shows each of Extensions where few are defined, without allocation.
///
/// # Errors
///
/// An empty list, more than eight, or what is wrong with one; `repeated` if one stands
/// there twice (RFC 5280, 4.2); what `see` objects to.
pub(crate) fn walk_few<'a, E: From<Malformed>>(
    mut list: Reader<'a>,
    repeated: E,
    mut see: impl FnMut(Extension<'a>) -> Result<(), E>,
) -> Result<(), E> {
    if list.is_empty() {
        // RFC 5280, 4.1: SEQUENCE SIZE (1..MAX).
        let problem = Problem::Content("an empty list of extensions");
        return Err(list.refuse(problem).into());
    }
    let mut seen = [None; FEW];
    for place in 0..FEW {
        if list.is_empty() {
            return Ok(());
        }
        let extension = Extension::read(&mut list)?;
        if seen.contains(&Some(extension.kind)) {
            return Err(repeated);
        }
        if let Some(seen) = seen.get_mut(place) {
            *seen = Some(extension.kind);
        }
        see(extension)?;
    }
    if list.is_empty() {
        return Ok(());
    }
    let problem = Problem::Content("more extensions than belong there");
    Err(list.refuse(problem).into())
}
