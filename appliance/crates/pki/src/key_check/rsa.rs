//! Weaknesses of RSA moduli and exponents.

use num_bigint::BigUint;

use super::WeakKey;
use crate::public_key::RsaNumbers;

/// Rounds of Fermat's method; the flawed generators fall within one to ten.
const FERMAT_ROUNDS: u32 = 100;

/// The odd primes below 752 (CA/B code signing and TLS requirements, 6.1.6).
const SMALL_PRIMES: [u64; 132] = odd_primes();

/// The primes that ROCA's fingerprint uses: odd and below 168.
const ROCA_PRIMES: usize = 38;

/// Sieves the odd primes below 752 when compiled.
const fn odd_primes() -> [u64; 132] {
    let mut primes = [0; 132];
    let (mut found, mut candidate) = (0, 3u64);
    while candidate < 752 {
        let (mut divisor, mut prime) = (3u64, true);
        while divisor * divisor <= candidate {
            if candidate.is_multiple_of(divisor) {
                prime = false;
            }
            divisor += 2;
        }
        if prime {
            primes[found] = candidate;
            found += 1;
        }
        candidate += 2;
    }
    primes
}

/// Checks modulus and exponent.
pub(super) fn check(numbers: RsaNumbers<'_>, min: u32, max: u32) -> Result<(), WeakKey> {
    let zeros = numbers
        .modulus
        .first()
        .map_or(8, |first| first.leading_zeros());
    let bits = (numbers.modulus.len() as u32)
        .saturating_mul(8)
        .saturating_sub(zeros);
    if bits < min || bits > max || !bits.is_multiple_of(8) {
        return Err(WeakKey::RsaSize { bits, min, max });
    }
    let exponent = numbers.exponent.iter().try_fold(0u64, |value, octet| {
        Some(value.checked_mul(256)? + u64::from(*octet))
    });
    if !exponent.is_some_and(|exponent| exponent >= 65_537 && !exponent.is_multiple_of(2)) {
        return Err(WeakKey::RsaExponent);
    }
    if numbers.modulus.last().is_none_or(|last| last % 2 == 0) {
        return Err(WeakKey::RsaSmallFactor { factor: 2 });
    }
    let modulus = BigUint::from_bytes_be(numbers.modulus);
    let residues = residues(&modulus);
    if let Some(place) = residues.iter().position(|residue| *residue == 0) {
        let factor = SMALL_PRIMES.get(place).copied().unwrap_or(0);
        return Err(WeakKey::RsaSmallFactor { factor });
    }
    if has_roca_mark(&residues) {
        return Err(WeakKey::RsaRoca);
    }
    if has_close_primes(&modulus) {
        return Err(WeakKey::RsaClosePrimes);
    }
    Ok(())
}

/// Returns the modulus modulo each small prime, by six or seven primes at once.
fn residues(modulus: &BigUint) -> [u64; 132] {
    let mut residues = [0; 132];
    let mut start = 0;
    while start < SMALL_PRIMES.len() {
        let (mut product, mut end) = (1u64, start);
        while let Some(next) = SMALL_PRIMES
            .get(end)
            .and_then(|prime| product.checked_mul(*prime))
        {
            product = next;
            end += 1;
        }
        let remainder = remainder(modulus, product);
        for place in start..end {
            residues[place] = remainder % SMALL_PRIMES[place];
        }
        start = end;
    }
    residues
}

/// Divides a large number by a small one and returns what is left.
fn remainder(number: &BigUint, divisor: u64) -> u64 {
    number.iter_u64_digits().rev().fold(0, |rest, digit| {
        // Less than the divisor, so it fits.
        ((u128::from(rest) << 64 | u128::from(digit)) % u128::from(divisor)) as u64
    })
}

/// Tells whether the modulus lies in the group that 65537 generates, as Nemec et
/// al. found Infineon's to do ("The Return of Coppersmith's Attack", 2.3).
///
/// First by each prime alone, which one honest key in 2^27 passes; then whether
/// one exponent explains all of them, which none does.
fn has_roca_mark(residues: &[u64; 132]) -> bool {
    let mut logarithms = [(0u64, 1u64); ROCA_PRIMES];
    for ((slot, prime), residue) in logarithms.iter_mut().zip(SMALL_PRIMES).zip(residues) {
        let generator = 65_537 % prime;
        let (mut power, mut order, mut found) = (1, 0, None);
        loop {
            if power == *residue {
                found = Some(order);
            }
            power = power * generator % prime;
            order += 1;
            if power == 1 {
                break;
            }
        }
        match found {
            Some(logarithm) => *slot = (logarithm, order),
            None => return false,
        }
    }
    // Congruences are solvable together exactly if each two are.
    logarithms
        .iter()
        .enumerate()
        .all(|(place, (one, one_order))| {
            logarithms.iter().skip(place).all(|(other, other_order)| {
                one.abs_diff(*other)
                    .is_multiple_of(common_divisor(*one_order, *other_order))
            })
        })
}

/// Returns the greatest common divisor.
fn common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// Tells whether Fermat's method factors the modulus soon.
fn has_close_primes(modulus: &BigUint) -> bool {
    // Smallest a with a² ≥ n; a square a² - n then gives the factors a ± b.
    let mut a = modulus.sqrt();
    if &a * &a < *modulus {
        a += 1u32;
    }
    let mut difference = &a * &a - modulus;
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&difference) {
            return true;
        }
        // (a + 1)² - n = a² - n + 2a + 1.
        difference += &a << 1u32;
        difference += 1u32;
        a += 1u32;
    }
    false
}

/// Tells whether a number is a square, most others being told by residues.
fn is_square(number: &BigUint) -> bool {
    // 3 · 3 · 5 · 7 · 11 · 13 · 17 · 64; squares are one in 250 of the residues.
    const MODULI: [u64; 7] = [64, 9, 5, 7, 11, 13, 17];
    let rest = remainder(number, 64 * 9 * 5 * 7 * 11 * 13 * 17);
    let residues_fit = MODULI.iter().all(|modulus| {
        let residue = rest % modulus;
        (0..*modulus).any(|root| root * root % modulus == residue)
    });
    residues_fit && {
        let root = number.sqrt();
        &root * &root == *number
    }
}
