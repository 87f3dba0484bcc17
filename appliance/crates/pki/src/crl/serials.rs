//! Whether a serial number stands twice among a million.

use super::read::{CrlEntry, Entries};

/// Finds an entry whose serial number an earlier one has, in whatever order they stand.
///
/// A table of 16 octets an entry at most, open addressing, a quarter to a half full:
/// each slot holds 32 bits of the serial number's hash and the entry's place in the
/// list, so that equality is decided by the serial numbers themselves.
pub(super) fn find_repeated(list: &[u8], count: usize) -> Option<CrlEntry<'_>> {
    let slots = (count * 2).next_power_of_two();
    let mut table = vec![0u64; slots];
    let start = list.as_ptr().addr();
    for entry in Entries::from_list(list, count) {
        let serial = entry.serial_octets();
        let hash = hash(serial);
        let place = entry.der().as_ptr().addr() - start;
        let mut slot = hash as usize & (slots - 1);
        loop {
            let held = table.get_mut(slot)?;
            if *held == 0 {
                // Lists are shorter than 4 GiB; one more, so that no slot in use is 0.
                *held = hash & 0xffff_ffff_0000_0000 | (place as u64 + 1);
                break;
            }
            if (*held ^ hash) >> 32 == 0 {
                let earlier = (*held as u32 as usize) - 1;
                let mut from = Entries::from_list(list.get(earlier..)?, 1);
                if from.next()?.serial_octets() == serial {
                    return Some(entry);
                }
            }
            slot = (slot + 1) & (slots - 1);
        }
    }
    None
}

/// Mixes the last 16 octets of a serial number, where its random ones are.
fn hash(serial: &[u8]) -> u64 {
    let word = |octets: &[u8]| {
        octets
            .iter()
            .fold(0u64, |word, octet| word << 8 | u64::from(*octet))
    };
    let (rest, low) = serial.split_at(serial.len().saturating_sub(8));
    let (_, high) = rest.split_at(rest.len().saturating_sub(8));
    let mixed = word(low) ^ word(high).rotate_left(32);
    // Fibonacci hashing (Knuth, 6.4), folded so that all bits reach the low ones.
    let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 32)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(20)
}
