//! Whether a public key is strong enough to certify.
//!
//! Every check costs little beside a signature: a P-256 key nothing but a hash
//! look-up, an RSA key some tenths of a millisecond.

mod blocked;
mod rsa;

use std::sync::Arc;

pub use blocked::{BlockedKeys, BlockedKeysError};

use crate::public_key::PublicKey;

/// Which keys are taken, whatever the profile.
#[derive(Debug, Clone)]
pub struct KeyPolicy {
    /// Fewest bits of an RSA modulus; never less than 2048.
    pub rsa_min_bits: u32,
    /// Most bits of an RSA modulus; never more than 8192.
    pub rsa_max_bits: u32,
    /// Keys known to be compromised.
    pub blocked: Arc<BlockedKeys>,
}

impl Default for KeyPolicy {
    /// RSA from 2048 to 8192 bits, nothing blocked.
    fn default() -> Self {
        Self {
            rsa_min_bits: 2048,
            rsa_max_bits: 8192,
            blocked: Arc::default(),
        }
    }
}

/// Why a key is too weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// On the list of blocked keys.
    #[error("the key is blocked: it is known to be compromised")]
    Blocked,
    /// A modulus too short, too long, or of an odd size.
    #[error("an RSA modulus of {bits} bits; {min} to {max} in steps of 8 are taken")]
    RsaSize {
        /// Bits found.
        bits: u32,
        /// Fewest taken.
        min: u32,
        /// Most taken.
        max: u32,
    },
    /// An exponent that is even, below 65537, or longer than 64 bits.
    #[error("an RSA public exponent must be odd, at least 65537 and below 2^64")]
    RsaExponent,
    /// The modulus has a small prime factor, 2 included.
    #[error("the RSA modulus is divisible by {factor}")]
    RsaSmallFactor {
        /// The prime.
        factor: u64,
    },
    /// The two primes are so close that Fermat's method finds them.
    #[error(
        "the RSA modulus is the product of two primes that lie close together (CVE-2022-26320)"
    )]
    RsaClosePrimes,
    /// Made by Infineon's flawed library.
    #[error("the RSA modulus bears the mark of Infineon's flawed generator (ROCA, CVE-2017-15361)")]
    RsaRoca,
    /// Not a point of the curve, or of small order.
    #[error("the public key is no point of large order on its curve")]
    Point,
}

/// Checks a key whole.
///
/// # Errors
///
/// The first weakness found.
pub fn check(key: &PublicKey, policy: &KeyPolicy) -> Result<(), WeakKey> {
    check_numbers(key, policy)?;
    check_point(key)
}

/// Checks everything but curve membership, which verifying does anyway.
pub(crate) fn check_numbers(key: &PublicKey, policy: &KeyPolicy) -> Result<(), WeakKey> {
    if policy.blocked.contains(&key.sha256()) {
        return Err(WeakKey::Blocked);
    }
    if let Some(numbers) = key.rsa_numbers() {
        let min = policy.rsa_min_bits.max(2048);
        let max = policy.rsa_max_bits.min(8192);
        rsa::check(numbers, min, max)?;
    }
    if key.key_type() == crate::public_key::KeyType::Ed25519 && has_small_order(key.key_octets()) {
        return Err(WeakKey::Point);
    }
    Ok(())
}

/// Checks that an EC key is a point on its curve.
pub(crate) fn check_point(key: &PublicKey) -> Result<(), WeakKey> {
    if key.is_on_curve() {
        Ok(())
    } else {
        Err(WeakKey::Point)
    }
}

/// The y coordinates of Ed25519's points whose order divides 8, little-endian,
/// the encodings past the prime included (RFC 7748, 7; Cremers and Jackson).
const SMALL_ORDER: [[u8; 32]; 7] = {
    let mut table = [[0; 32]; 7];
    table[1][0] = 1;
    table[2] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    table[3] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ];
    // p - 1, p and p + 1.
    let mut row = 4;
    while row < 7 {
        table[row] = [0xff; 32];
        table[row][0] = 0xec + (row as u8 - 4);
        table[row][31] = 0x7f;
        row += 1;
    }
    table
};

/// Tells whether an Ed25519 key is a point of small order, whatever its sign bit.
fn has_small_order(key: &[u8]) -> bool {
    let Ok(mut y) = <[u8; 32]>::try_from(key) else {
        return true;
    };
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}

#[cfg(test)]
mod tests;
