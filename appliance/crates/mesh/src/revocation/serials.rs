//! Revoked serial numbers in memory: 20 octets each, found by bisection.
//!
//! rustls' own CRL store costs 120 MiB and most of a second for a million
//! entries; this is 20 MB, and sorting them a tenth of a second.

use model::SerialNumber;

/// A serial number as a big-endian integer of fixed width.
type Key = [u8; SerialNumber::MAX_LEN];

/// A set of serial numbers that is made once and then only asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SerialSet {
    /// Sorted, each once.
    keys: Box<[Key]>,
}

impl SerialSet {
    /// Collects serial numbers, about `count` of them.
    pub(crate) fn collect(count: usize, serials: impl Iterator<Item = SerialNumber>) -> Self {
        let mut keys = Vec::with_capacity(count);
        keys.extend(serials.map(|serial| key(&serial)));
        if !keys.is_sorted() {
            keys.sort_unstable();
        }
        keys.dedup();
        Self {
            keys: keys.into_boxed_slice(),
        }
    }

    /// Tells whether a serial number is in it.
    pub(crate) fn contains(&self, serial: &SerialNumber) -> bool {
        self.keys.binary_search(&key(serial)).is_ok()
    }

    /// Counts its serial numbers.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// Widens a serial number; numbers that differ stay different.
fn key(serial: &SerialNumber) -> Key {
    let content = serial.as_der_content();
    let mut key = [0; SerialNumber::MAX_LEN];
    // At most MAX_LEN octets, by the type.
    let start = SerialNumber::MAX_LEN.saturating_sub(content.len());
    for (octet, content) in key.iter_mut().skip(start).zip(content) {
        *octet = *content;
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn serial(octets: &[u8]) -> Option<SerialNumber> {
        SerialNumber::from_unsigned(octets).ok()
    }

    #[test]
    fn an_empty_set_contains_nothing() {
        assert!(!SerialSet::default().contains(&serial(&[1]).unwrap()));
    }

    #[test]
    fn short_and_long_numbers_of_the_same_last_octets_differ() {
        let set = SerialSet::collect(1, serial(&[1, 2]).into_iter());
        assert!(set.contains(&serial(&[1, 2]).unwrap()));
        assert!(set.contains(&serial(&[0, 0, 1, 2]).unwrap()));
        assert!(!set.contains(&serial(&[2]).unwrap()));
        assert!(!set.contains(&serial(&[1, 1, 2]).unwrap()));
        assert!(!set.contains(&serial(&[1, 2, 0]).unwrap()));
    }

    proptest! {
        #[test]
        fn what_was_collected_is_found_and_nothing_else(
            numbers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..19), 0..200),
            other in proptest::collection::vec(any::<u8>(), 1..19),
        ) {
            let serials: Vec<_> = numbers.iter().filter_map(|octets| serial(octets)).collect();
            let set = SerialSet::collect(0, serials.iter().cloned());
            for known in &serials {
                prop_assert!(set.contains(known));
            }
            if let Some(other) = serial(&other) {
                prop_assert_eq!(set.contains(&other), serials.contains(&other));
            }
        }
    }
}
