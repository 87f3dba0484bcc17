use num_bigint::BigUint;
use proptest::prelude::*;

use super::*;
use crate::public_key::{InvalidPublicKey, KeyType};
use crate::support::{TestKey, der};

/// Writes the SubjectPublicKeyInfo of an RSA key.
fn rsa_spki(modulus: &BigUint, exponent: u64) -> Vec<u8> {
    let integer = |octets: &[u8]| {
        let sign: &[u8] = if octets.first().is_some_and(|octet| octet & 0x80 != 0) {
            &[0]
        } else {
            &[]
        };
        der(0x02, &[sign, octets])
    };
    let exponent = BigUint::from(exponent).to_bytes_be();
    let key = der(
        0x30,
        &[&integer(&modulus.to_bytes_be()), &integer(&exponent)],
    );
    let algorithm = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    der(0x30, &[&algorithm, &der(0x03, &[&[0], &key])])
}

/// Checks an RSA key by its numbers.
fn check_rsa(modulus: &BigUint, exponent: u64) -> Result<(), WeakKey> {
    let key = PublicKey::from_spki_der(&rsa_spki(modulus, exponent)).unwrap();
    check(&key, &KeyPolicy::default())
}

/// A modulus of 2048 bits that an honest generator made.
fn honest_modulus() -> BigUint {
    let key = TestKey::rsa(aws_lc_rs::rsa::KeySize::Rsa2048).public_key();
    BigUint::from_bytes_be(key.rsa_numbers().unwrap().modulus)
}

/// Returns the first odd number from `start` on without a factor below 752.
///
/// Not necessarily prime: what is tested here looks at residues and distances.
fn rough(start: BigUint) -> BigUint {
    let mut candidate = start | BigUint::from(1u32);
    while (3u32..752).any(|divisor| &candidate % divisor == BigUint::ZERO) {
        candidate += 2u32;
    }
    candidate
}

#[test]
fn honest_keys_of_every_kind_pass() {
    let policy = KeyPolicy::default();
    for key in [
        TestKey::p256(),
        TestKey::p384(),
        TestKey::p521(),
        TestKey::ed25519(),
        TestKey::rsa(aws_lc_rs::rsa::KeySize::Rsa2048),
        TestKey::rsa3072(),
        TestKey::rsa(aws_lc_rs::rsa::KeySize::Rsa4096),
    ] {
        assert_eq!(check(&key.public_key(), &policy), Ok(()));
    }
}

#[test]
fn sizes_and_exponents_have_bounds() {
    let modulus = honest_modulus();
    assert!(matches!(
        check_rsa(&(&modulus >> 1024u32 | BigUint::from(1u32)), 65_537),
        Err(WeakKey::RsaSize { bits: 1024, .. })
    ));
    assert!(matches!(
        check_rsa(&(&modulus << 1u32 | BigUint::from(1u32)), 65_537),
        Err(WeakKey::RsaSize { bits: 2049, .. })
    ));
    assert!(matches!(
        check_rsa(&(&modulus << 8192u32), 65_537),
        Err(WeakKey::RsaSize { bits: 10_240, .. })
    ));
    for exponent in [1, 3, 17, 65_535, 65_536, 65_538] {
        assert_eq!(
            check_rsa(&modulus, exponent),
            Err(WeakKey::RsaExponent),
            "{exponent}"
        );
    }
    assert_eq!(check_rsa(&modulus, 65_539), Ok(()));
}

#[test]
fn small_factors_are_found_up_to_751() {
    let even = honest_modulus() - 1u32;
    assert_eq!(
        check_rsa(&even, 65_537),
        Err(WeakKey::RsaSmallFactor { factor: 2 })
    );
    for factor in [3u32, 5, 163, 743, 751] {
        let cofactor = rough((BigUint::from(1u32) << 2048u32) * 9u32 / 10u32 / factor);
        assert_eq!(
            check_rsa(&(cofactor * factor), 65_537),
            Err(WeakKey::RsaSmallFactor {
                factor: factor.into()
            }),
        );
    }
}

#[test]
fn close_primes_are_found() {
    // Two factors a little apart, as the generator of CVE-2022-26320 makes them.
    let base = (BigUint::from(1u32) << 1023u32) + (BigUint::from(1u32) << 1022u32);
    let one = rough(base.clone());
    for distance in [2u32, 100_000, 1_000_000] {
        let other = rough(&one + distance);
        assert_eq!(
            check_rsa(&(&one * other), 65_537),
            Err(WeakKey::RsaClosePrimes)
        );
    }
    // A square is the closest of all.
    assert_eq!(
        check_rsa(&(&one * &one), 65_537),
        Err(WeakKey::RsaClosePrimes)
    );
    // Half the bits apart, as FIPS 186-5, A.1.3 wants at least.
    let far = rough(&one + (BigUint::from(1u32) << 960u32));
    assert_eq!(check_rsa(&(&one * far), 65_537), Ok(()));
}

#[test]
fn infineons_mark_is_found_and_needs_one_exponent_for_all_primes() {
    // Infineon's primes are k · M + (65537^a mod M), M a primorial.
    let primorial: BigUint = (2u32..168)
        .filter(|number| (2..*number).all(|divisor| number % divisor != 0))
        .map(BigUint::from)
        .product();
    let generator = BigUint::from(65_537u32);
    // Near 0.9 · 2^1024, so that two of them make 2048 bits; without the factors
    // from 167 to 752, so that the mark is what is found. They need not be prime.
    let infineon = |seed: u32, exponent: u32| {
        let residue = generator.modpow(&BigUint::from(exponent), &primorial);
        let mut k = (BigUint::from(1u32) << 1024u32) * 9u32 / 10u32 / &primorial;
        k += (BigUint::from(1u32) << 700u32) * seed;
        loop {
            let candidate = &k * &primorial + &residue;
            if (167u32..752).all(|divisor| &candidate % divisor != BigUint::ZERO) {
                return candidate;
            }
            k += 1u32;
        }
    };
    let modulus = infineon(1, 123_456_789) * infineon(2, 987_654_321);
    assert_eq!(check_rsa(&modulus, 65_537), Err(WeakKey::RsaRoca));
    // Residues that are in each group, but by exponents that contradict each other:
    // 65537^1 modulo 5 and 65537^2 modulo the rest, whose orders share the factor 2.
    let five = BigUint::from(5u32);
    let rest = &primorial / &five;
    let square = &generator * &generator % &rest;
    let contradicting = (0u32..5)
        .map(|turn| &square + &rest * turn)
        .find(|number| number % &five == &generator % &five);
    let base = (BigUint::from(1u32) << 2047u32) / &primorial * &primorial;
    let mut modulus = base + &primorial + contradicting.unwrap();
    while (167u32..752).any(|divisor| &modulus % divisor == BigUint::ZERO) {
        modulus += &primorial;
    }
    assert_eq!(check_rsa(&modulus, 65_537), Ok(()));
}

#[test]
fn points_off_the_curve_are_refused() {
    let good = TestKey::p256().spki_der();
    let mut off = good.clone();
    *off.last_mut().unwrap() ^= 1;
    let key = PublicKey::from_spki_der(&off).unwrap();
    assert_eq!(check(&key, &KeyPolicy::default()), Err(WeakKey::Point));
    // x beyond the field's prime.
    let mut beyond = good.clone();
    let start = beyond.len() - 64;
    beyond[start..start + 32].fill(0xff);
    let key = PublicKey::from_spki_der(&beyond).unwrap();
    assert_eq!(check(&key, &KeyPolicy::default()), Err(WeakKey::Point));
    // The hybrid form 06 ‖ x ‖ y.
    let mut hybrid = good.clone();
    hybrid[start - 1] = 0x06;
    assert_eq!(
        PublicKey::from_spki_der(&hybrid),
        Err(InvalidPublicKey::Point)
    );
}

#[test]
fn infinity_and_compressed_points_are_refused() {
    let algorithm = [
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let compressed = [&[0x02][..], &[0x11; 32]].concat();
    for point in [&[0x00][..], &compressed, &[0x04], &[]] {
        let spki = der(0x30, &[&algorithm, &der(0x03, &[&[0], point])]);
        assert_eq!(
            PublicKey::from_spki_der(&spki),
            Err(InvalidPublicKey::Point)
        );
    }
}

#[test]
fn ed25519_points_of_small_order_are_refused() {
    let algorithm = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
    for y in SMALL_ORDER {
        for sign in [0x00, 0x80] {
            let mut point = y;
            point[31] |= sign;
            let spki = der(0x30, &[&algorithm, &der(0x03, &[&[0], &point])]);
            let key = PublicKey::from_spki_der(&spki).unwrap();
            assert_eq!(key.key_type(), KeyType::Ed25519);
            assert_eq!(check(&key, &KeyPolicy::default()), Err(WeakKey::Point));
        }
    }
}

#[test]
fn blocked_keys_are_read_from_text_and_refused() {
    let key = TestKey::p256().public_key();
    let text = format!(
        "# leaked 2026-11-01\n\n  {}  # build server\n",
        hex::encode(key.sha256())
    );
    let policy = KeyPolicy {
        blocked: Arc::new(BlockedKeys::parse(&text).unwrap()),
        ..KeyPolicy::default()
    };
    assert_eq!(check(&key, &policy), Err(WeakKey::Blocked));
    assert_eq!(check(&TestKey::p256().public_key(), &policy), Ok(()));
    assert_eq!(BlockedKeys::parse("abc\n").unwrap_err().line, 1);
    assert_eq!(BlockedKeys::parse("\nzz").unwrap_err().line, 2);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(key) = PublicKey::from_spki_der(&bytes) {
            let _ = check(&key, &KeyPolicy::default());
        }
    }

    #[test]
    fn no_rsa_numbers_panic(octets in prop::collection::vec(any::<u8>(), 1..300), exponent in any::<u64>()) {
        let modulus = BigUint::from_bytes_be(&octets);
        if let Ok(key) = PublicKey::from_spki_der(&rsa_spki(&modulus, exponent)) {
            let _ = check(&key, &KeyPolicy { rsa_min_bits: 8, ..KeyPolicy::default() });
        }
    }
}
