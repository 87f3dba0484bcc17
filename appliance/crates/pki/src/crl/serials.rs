//! Whether a serial number stands twice among a million.

use std::collections::BTreeSet;

use super::read::{CrlEntry, Entries};

/// Finds an entry whose serial number an earlier one has, in whatever order they stand.
///
/// Hashes of eight octets each are sorted; where two are equal, which by chance alone
/// happens to one list of a million in ten million, the serial numbers themselves
/// decide.
pub(super) fn find_repeated(list: &[u8], count: usize) -> Option<CrlEntry<'_>> {
    let entries = || Entries::from_list(list, count);
    let mut hashes: Vec<u64> = Vec::with_capacity(count);
    hashes.extend(entries().map(|entry| hash(entry.serial_octets())));
    hashes.sort_unstable();
    let twice: BTreeSet<u64> = hashes
        .windows(2)
        .filter_map(|pair| match pair {
            [one, two] if one == two => Some(*one),
            _ => None,
        })
        .collect();
    if twice.is_empty() {
        return None;
    }
    drop(hashes);
    let mut seen = BTreeSet::new();
    entries().find(|entry| {
        let serial = entry.serial_octets();
        twice.contains(&hash(serial)) && !seen.insert(serial)
    })
}

/// Mixes the last 16 octets of a serial number, where its random ones are.
fn hash(serial: &[u8]) -> u64 {
    let (rest, low) = last_word(serial);
    let (_, high) = last_word(rest);
    // Odd constants (Knuth, 6.4: Fibonacci hashing), different ones, so that equal
    // halves do not cancel out.
    low.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(high.wrapping_mul(0xbf58_476d_1ce4_e5b9))
}

/// Splits the last eight octets off, or all there are.
fn last_word(octets: &[u8]) -> (&[u8], u64) {
    match octets.split_last_chunk() {
        Some((rest, last)) => (rest, u64::from_be_bytes(*last)),
        None => {
            let fold = |word, octet: &u8| word << 8 | u64::from(*octet);
            (&[], octets.iter().fold(0, fold))
        }
    }
}
