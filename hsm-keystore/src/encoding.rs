//! The few DER structures a token leaves to its caller.
//!
//! Bytes read here come from tokens and files: hostile, so nothing panics and
//! nothing larger than the input is allocated.

use yasna::models::ObjectIdentifier;
use zeroize::{Zeroize, Zeroizing};

use crate::algorithm::{KeyAlgorithm, SignatureScheme};
use crate::error::{KeyFault, UnsupportedKind};

/// rsaEncryption (RFC 3279, 2.3.1).
const RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 1];
/// id-ecPublicKey (RFC 5480, 2.1.1).
const EC: &[u64] = &[1, 2, 840, 10_045, 2, 1];
/// secp256r1 (RFC 5480, 2.1.1.1).
const P256: &[u64] = &[1, 2, 840, 10_045, 3, 1, 7];
/// secp384r1 (RFC 5480, 2.1.1.1).
const P384: &[u64] = &[1, 3, 132, 0, 34];
/// id-Ed25519 (RFC 8410, 3).
const ED25519: &[u64] = &[1, 3, 101, 112];

/// Makes a DER Ecdsa-Sig-Value (RFC 3279, 2.2.3) of raw r ‖ s, each as long as
/// the curve's order, big-endian (PKCS#11 v3.1, 6.3.12).
///
/// Nothing when the octets are not two numbers of that length.
pub(crate) fn ecdsa_signature(raw: &[u8], algorithm: KeyAlgorithm) -> Option<Vec<u8>> {
    let octets = match algorithm {
        KeyAlgorithm::EcP256 => 32,
        KeyAlgorithm::EcP384 => 48,
        _ => return None,
    };
    let (r, s) = raw.split_at_checked(octets)?;
    (s.len() == octets).then(|| {
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_bigint_bytes(r, true);
                writer.next().write_bigint_bytes(s, true);
            });
        })
    })
}

/// Makes the DigestInfo that RSASSA-PKCS1-v1_5 signs (RFC 8017, 9.2).
///
/// Nothing for schemes that sign none.
pub(crate) fn digest_info(scheme: SignatureScheme, digest: &[u8]) -> Option<Vec<u8>> {
    // RFC 8017, B.1: id-sha256, id-sha384, id-sha512 below 2.16.840.1.101.3.4.2.
    let hash = match scheme {
        SignatureScheme::RsaPkcs1Sha256 => 1,
        SignatureScheme::RsaPkcs1Sha384 => 2,
        SignatureScheme::RsaPkcs1Sha512 => 3,
        _ => return None,
    };
    let oid = oid(&[2, 16, 840, 1, 101, 3, 4, 2, hash]);
    Some(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&oid);
                writer.next().write_null();
            });
            writer.next().write_bytes(digest);
        });
    }))
}

/// Returns `CKA_EC_PARAMS`: the curve's object identifier in DER.
pub(crate) fn ec_params(algorithm: KeyAlgorithm) -> Option<Vec<u8>> {
    let curve = match algorithm {
        KeyAlgorithm::EcP256 => P256,
        KeyAlgorithm::EcP384 => P384,
        KeyAlgorithm::Ed25519 => ED25519,
        _ => return None,
    };
    Some(yasna::construct_der(|writer| writer.write_oid(&oid(curve))))
}

/// Returns the curve's name as older modules want it in `CKA_EC_PARAMS`: a
/// PrintableString in DER.
pub(crate) fn ec_params_by_name(algorithm: KeyAlgorithm) -> Option<Vec<u8>> {
    (algorithm == KeyAlgorithm::Ed25519)
        .then(|| yasna::construct_der(|writer| writer.write_printable_string("edwards25519")))
}

/// Wraps a point as `CKA_EC_POINT` holds it: an OCTET STRING in DER.
pub(crate) fn ec_point(point: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| writer.write_bytes(point))
}

/// Makes a SubjectPublicKeyInfo of `CKA_EC_POINT`, which tokens give wrapped in
/// an OCTET STRING or bare.
pub(crate) fn spki_of_point(algorithm: KeyAlgorithm, attribute: &[u8]) -> Option<Vec<u8>> {
    let octets = match algorithm {
        KeyAlgorithm::EcP256 => 65,
        KeyAlgorithm::EcP384 => 97,
        KeyAlgorithm::Ed25519 => 32,
        _ => return None,
    };
    let unwrapped;
    let point = if attribute.len() == octets {
        attribute
    } else {
        unwrapped = yasna::parse_der(attribute, |reader| reader.read_bytes()).ok()?;
        &unwrapped
    };
    if point.len() != octets {
        return None;
    }
    Some(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| match algorithm {
                KeyAlgorithm::EcP256 => {
                    writer.next().write_oid(&oid(EC));
                    writer.next().write_oid(&oid(P256));
                }
                KeyAlgorithm::EcP384 => {
                    writer.next().write_oid(&oid(EC));
                    writer.next().write_oid(&oid(P384));
                }
                // RFC 8410, 3: the parameters MUST be absent.
                _ => writer.next().write_oid(&oid(ED25519)),
            });
            writer.next().write_bitvec_bytes(point, point.len() * 8);
        });
    }))
}

/// Makes a SubjectPublicKeyInfo of an RSA modulus and exponent, big-endian.
pub(crate) fn spki_of_rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_bigint_bytes(modulus, true);
            writer.next().write_bigint_bytes(exponent, true);
        });
    });
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&oid(RSA));
                writer.next().write_null();
            });
            writer.next().write_bitvec_bytes(&key, key.len() * 8);
        });
    })
}

/// Tells which algorithm a SubjectPublicKeyInfo is of.
///
/// # Errors
///
/// `Unknown` for anything else, or bytes that do not parse.
pub(crate) fn algorithm_of_spki(spki_der: &[u8]) -> Result<KeyAlgorithm, UnsupportedKind> {
    /// What an AlgorithmIdentifier says.
    enum Kind {
        /// The curve alone tells.
        Curve(KeyAlgorithm),
        /// RSA: the modulus tells.
        Rsa,
        /// Something else.
        Other,
    }
    let (kind, key) = yasna::parse_der(spki_der, |reader| {
        reader.read_sequence(|reader| {
            let kind = reader.next().read_sequence(|reader| {
                let algorithm = reader.next().read_oid()?;
                let algorithm = algorithm.components();
                if algorithm == ED25519 {
                    return Ok(Kind::Curve(KeyAlgorithm::Ed25519));
                }
                if algorithm == RSA {
                    reader.next().read_null()?;
                    return Ok(Kind::Rsa);
                }
                if algorithm != EC {
                    return Ok(Kind::Other);
                }
                let curve = reader.next().read_oid()?;
                let curve = curve.components();
                Ok(if curve == P256 {
                    Kind::Curve(KeyAlgorithm::EcP256)
                } else if curve == P384 {
                    Kind::Curve(KeyAlgorithm::EcP384)
                } else {
                    Kind::Other
                })
            })?;
            Ok((kind, reader.next().read_bitvec_bytes()?.0))
        })
    })
    .map_err(|_| UnsupportedKind::Unknown)?;
    match kind {
        Kind::Curve(algorithm) => Ok(algorithm),
        Kind::Other => Err(UnsupportedKind::Unknown),
        Kind::Rsa => {
            let (modulus, positive) = yasna::parse_der(&key, |reader| {
                reader.read_sequence(|reader| {
                    let modulus = reader.next().read_bigint_bytes()?;
                    reader.next().read_bigint_bytes()?;
                    Ok(modulus)
                })
            })
            .map_err(|_| UnsupportedKind::Unknown)?;
            let digits = modulus.strip_prefix(&[0]).unwrap_or(&modulus);
            let full = digits.first().is_some_and(|first| first & 0x80 != 0);
            match digits.len() {
                256 if positive && full => Ok(KeyAlgorithm::Rsa2048),
                384 if positive && full => Ok(KeyAlgorithm::Rsa3072),
                512 if positive && full => Ok(KeyAlgorithm::Rsa4096),
                _ => Err(UnsupportedKind::Unknown),
            }
        }
    }
}

/// The numbers of an RSA private key, big-endian without leading zeros.
pub(crate) struct RsaParts {
    /// n, e, d, p, q, d mod p−1, d mod q−1, q⁻¹ mod p, in this order.
    numbers: [Zeroizing<Vec<u8>>; 8],
}

impl RsaParts {
    /// Reads the numbers of a PKCS#8 RSA key (RFC 5958, 2; RFC 8017, A.1.2).
    ///
    /// # Errors
    ///
    /// `NotDer` when the structure is another one.
    pub(crate) fn from_pkcs8(pkcs8_der: &[u8]) -> Result<Self, KeyFault> {
        let key = yasna::parse_ber(pkcs8_der, |reader| {
            reader.read_sequence(|reader| {
                reader.next().read_u8()?;
                reader.next().read_sequence(|reader| {
                    reader.next().read_oid()?;
                    reader.next().read_null()
                })?;
                let key = Zeroizing::new(reader.next().read_bytes()?);
                // Attributes and a public key may follow (RFC 5958, 2).
                while reader.read_optional(|reader| reader.read_der())?.is_some() {}
                Ok(key)
            })
        })
        .map_err(|_| KeyFault::NotDer)?;
        let numbers = yasna::parse_der(&key, |reader| {
            reader.read_sequence(|reader| {
                reader.next().read_u8()?;
                let mut numbers: [Zeroizing<Vec<u8>>; 8] = Default::default();
                for place in &mut numbers {
                    let (mut number, _) = reader.next().read_bigint_bytes()?;
                    let zeros = number.iter().take_while(|digit| **digit == 0).count();
                    *place = Zeroizing::new(number.split_off(zeros));
                    number.zeroize();
                }
                Ok(numbers)
            })
        })
        .map_err(|_| KeyFault::NotDer)?;
        Ok(Self { numbers })
    }

    /// Returns n, e, d, p, q, d mod p−1, d mod q−1, q⁻¹ mod p.
    pub(crate) fn numbers(&self) -> [&[u8]; 8] {
        self.numbers.each_ref().map(|number| number.as_slice())
    }
}

/// Makes an object identifier.
fn oid(components: &[u64]) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(components)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_of_another_length_is_refused() {
        assert!(ecdsa_signature(&[1; 63], KeyAlgorithm::EcP256).is_none());
        assert!(ecdsa_signature(&[1; 65], KeyAlgorithm::EcP256).is_none());
        assert!(ecdsa_signature(&[1; 64], KeyAlgorithm::EcP384).is_none());
        assert!(ecdsa_signature(&[], KeyAlgorithm::EcP384).is_none());
    }

    #[test]
    fn a_point_is_read_wrapped_and_bare() {
        for (algorithm, octets) in [
            (KeyAlgorithm::EcP256, 65),
            (KeyAlgorithm::EcP384, 97),
            (KeyAlgorithm::Ed25519, 32),
        ] {
            let point = vec![4; octets];
            let bare = spki_of_point(algorithm, &point).unwrap();
            assert_eq!(
                spki_of_point(algorithm, &ec_point(&point)),
                Some(bare.clone())
            );
            assert_eq!(algorithm_of_spki(&bare), Ok(algorithm));
            assert_eq!(spki_of_point(algorithm, &point[1..]), None);
        }
    }

    #[test]
    fn an_rsa_key_of_an_odd_size_is_unsupported() {
        let spki = |octets: usize, first: u8| {
            let mut modulus = vec![0xff; octets];
            modulus[0] = first;
            algorithm_of_spki(&spki_of_rsa(&modulus, &[1, 0, 1]))
        };
        assert_eq!(spki(256, 0x80), Ok(KeyAlgorithm::Rsa2048));
        assert_eq!(spki(256, 0x7f), Err(UnsupportedKind::Unknown));
        assert_eq!(spki(128, 0x80), Err(UnsupportedKind::Unknown));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = algorithm_of_spki(&bytes);
            let _ = RsaParts::from_pkcs8(&bytes);
            for algorithm in KeyAlgorithm::ALL {
                let _ = spki_of_point(algorithm, &bytes);
                let _ = ecdsa_signature(&bytes, algorithm);
            }
        }
    }
}
