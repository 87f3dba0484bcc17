//! Whether bytes are DER all the way down (X.690, 8 to 11).

use const_oid::ObjectIdentifier;

use crate::tlv::{self, Malformed, Problem, Reader, Tlv};

/// Structures within structures: a TBSCertificate needs about eight.
const MAX_DEPTH: usize = 24;

/// Walks every value in `der`, which must be one value.
pub(crate) fn check(der: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(der);
    let tlv = reader.next()?;
    reader.finish()?;
    walk(tlv, 0)
}

/// Checks one value and what is in it.
fn walk(tlv: Tlv<'_>, depth: usize) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed {
            offset: tlv.content_at,
            problem: Problem::TooDeep,
        });
    }
    match tlv.tag {
        tlv::BOOLEAN => tlv.boolean().map(drop),
        tlv::INTEGER | tlv::ENUMERATED => tlv.integer().map(drop),
        tlv::BIT_STRING => tlv.bits().map(drop),
        tlv::NULL if tlv.content.is_empty() => Ok(()),
        tlv::NULL => Err(tlv.refuse("a NULL with contents")),
        tlv::OID => ObjectIdentifier::from_bytes(tlv.content)
            .map(drop)
            .map_err(|_| tlv.refuse("an object identifier that is none")),
        tlv::UTF8_STRING => match std::str::from_utf8(tlv.content) {
            Ok(_) => Ok(()),
            Err(_) => Err(tlv.refuse("a UTF8String that is not UTF-8")),
        },
        tlv::PRINTABLE_STRING => {
            let printable = |octet: &u8| crate::name::is_printable(char::from(*octet));
            if tlv.content.iter().all(printable) {
                Ok(())
            } else {
                Err(tlv.refuse("a PrintableString with other characters"))
            }
        }
        tlv::IA5_STRING if tlv.content.is_ascii() => Ok(()),
        tlv::IA5_STRING => Err(tlv.refuse("an IA5String with octets outside ASCII")),
        tlv::SET => {
            // X.690, 11.6: in ascending order.
            let mut reader = tlv.reader();
            let mut before: &[u8] = &[];
            while !reader.is_empty() {
                let member = reader.next()?;
                if member.whole < before {
                    return Err(member.refuse("a SET OF out of order"));
                }
                before = member.whole;
                walk(member, depth + 1)?;
            }
            Ok(())
        }
        // Constructed: SEQUENCE, and tags of a context around values.
        tag if tag & 0x20 != 0 => {
            let mut reader = tlv.reader();
            while !reader.is_empty() {
                walk(reader.next()?, depth + 1)?;
            }
            Ok(())
        }
        // OCTET STRING, times (read by Tbs) and implicit primitives: the contents
        // of known extensions are read by their own parsers.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_primitive_is_held_to_its_rules() {
        for bad in [
            &[0x30, 0x03, 0x01, 0x01, 0x01][..],
            &[0x30, 0x04, 0x02, 0x02, 0x00, 0x01],
            &[0x30, 0x03, 0x05, 0x01, 0x00],
            &[0x30, 0x03, 0x06, 0x01, 0x80],
            &[0x30, 0x03, 0x0c, 0x01, 0xff],
            &[0x30, 0x03, 0x13, 0x01, b'@'],
            &[0x30, 0x03, 0x16, 0x01, 0xff],
            &[0x30, 0x04, 0x03, 0x02, 0x01, 0x01],
            &[0x31, 0x06, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01],
            &[0x30, 0x00, 0x00],
        ] {
            assert!(check(bad).is_err(), "{bad:02x?}");
        }
        assert!(check(&[0x31, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x02]).is_ok());
    }

    #[test]
    fn bottomless_nesting_is_refused() {
        let mut der = vec![0x30, 0x00];
        for _ in 0..40 {
            let len = der.len() as u8;
            der.splice(0..0, [0x30, len]);
        }
        assert_eq!(check(&der).unwrap_err().problem, Problem::TooDeep);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes);
        }
    }
}
