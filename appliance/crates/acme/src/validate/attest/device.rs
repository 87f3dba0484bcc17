//! What an attestation authority calls the device whose key it certifies.

use const_oid::ObjectIdentifier;
use pki::certificate::Certificate;
use pki::names::AlternativeName;

use super::AttestationProblem;

/// A YubiKey's serial number in its PIV attestation, an INTEGER.
const YUBIKEY_SERIAL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.7");

/// Returns the permanent identifiers that a certificate attests: a YubiKey's serial
/// number in decimal, and every PermanentIdentifier among its names.
///
/// # Errors
///
/// `Serial` if there is a serial number that is none.
pub(super) fn identifiers(leaf: &Certificate) -> Result<Vec<String>, AttestationProblem> {
    let mut found = Vec::new();
    if let Some(value) = leaf.extension_value(&YUBIKEY_SERIAL) {
        found.push(serial(value).ok_or(AttestationProblem::Serial)?.to_string());
    }
    for name in &leaf.extensions().names {
        if let AlternativeName::Permanent(identifier) = name {
            found.push(identifier.to_string());
        }
    }
    Ok(found)
}

/// Reads a positive INTEGER of at most eight octets, DER.
fn serial(value_der: &[u8]) -> Option<u64> {
    let [0x02, len, octets @ ..] = value_der else {
        return None;
    };
    let is_short = usize::from(*len) == octets.len() && (1..=9).contains(&octets.len());
    // X.690, 8.3.2: no more octets than the number needs, the first bit its sign.
    let (significant, is_minimal) = match octets {
        [0, rest @ ..] if !rest.is_empty() => {
            (rest, rest.first().is_some_and(|next| *next >= 0x80))
        }
        all => (all, all.first().is_some_and(|first| *first < 0x80)),
    };
    if !is_short || !is_minimal || significant.len() > 8 {
        return None;
    }
    Some(
        significant
            .iter()
            .fold(0, |number, octet| number << 8 | u64::from(*octet)),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serial_numbers_are_positive_integers_in_der() {
        let read = |hexadecimal: &str| serial(&hex::decode(hexadecimal).unwrap());
        assert_eq!(read("0203010203"), Some(0x01_0203));
        assert_eq!(read("020500ffffffff"), Some(0xffff_ffff));
        assert_eq!(read("020100"), Some(0));
        assert_eq!(read("020900ffffffffffffffff"), Some(u64::MAX));
        for bad in [
            "",
            "0200",
            "0201ff",
            "02020001",
            "020201",
            "02010100",
            "040101",
            "0209010000000000000000",
            "020a00010000000000000000",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = serial(&bytes);
        }
    }
}
