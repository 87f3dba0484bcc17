//! CRLs about to be signed, and their numbers.

use model::{IssuerId, NodePrefix, Timestamp};

/// What a CRL is about.
///
/// RFC 5280, 5.2.3: complete and delta CRLs of one scope share their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CrlScope {
    /// Every certificate of the issuer.
    Whole,
    /// The certificates of one shard.
    Shard(u32),
}

/// A CRL that is about to be signed.
///
/// Times are kept to the microsecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlRecord {
    /// Which of our authorities signs.
    pub issuer: IssuerId,
    /// What it is about.
    pub scope: CrlScope,
    /// Its number.
    pub number: u64,
    /// The number of the complete CRL that it is a delta to; none if it is complete.
    pub base: Option<u64>,
    /// Number of the last act whose revocation it reflects: a delta to it holds
    /// what has a larger [`Revoked::sequence`](super::Revoked::sequence).
    pub through: u64,
    /// How many entries it has.
    pub entries: u64,
    /// Its thisUpdate.
    pub this_update: Timestamp,
    /// Its nextUpdate.
    pub next_update: Timestamp,
    /// SHA-256 of the TBSCertList as it will be signed.
    pub tbs_sha256: [u8; 32],
    /// When it is recorded.
    pub recorded_at: Timestamp,
}

/// The last CRLs recorded of an issuer and scope. That one was recorded does
/// not mean that it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastCrls {
    /// The last complete one.
    pub complete: Option<CrlRecord>,
    /// The last delta.
    pub delta: Option<CrlRecord>,
}

impl LastCrls {
    /// Returns the largest number recorded; none before the first.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let numbers = [&self.complete, &self.delta];
        numbers.into_iter().flatten().map(|crl| crl.number).max()
    }

    /// Returns the number for the next CRL: larger than any recorded, and from
    /// the time and the node, so that numbers of nodes that share an issuer grow
    /// too, and do so after the loss of this store.
    ///
    /// Twelve bits of node lie below the milliseconds. RFC 5280, 5.2.3 allows 20
    /// octets; eight are enough until the year 144,000.
    #[must_use]
    pub fn next_number(&self, now: Timestamp, node: NodePrefix) -> u64 {
        let millisecond = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let timed = millisecond << 12 | u64::from(u16::from(node));
        self.number()
            .map_or(timed, |last| timed.max(last.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a record with a number.
    fn numbered(number: u64) -> Option<CrlRecord> {
        Some(CrlRecord {
            issuer: IssuerId::new("issuing").unwrap(),
            scope: CrlScope::Whole,
            number,
            base: None,
            through: 0,
            entries: 0,
            this_update: Timestamp::UNIX_EPOCH,
            next_update: Timestamp::UNIX_EPOCH,
            tbs_sha256: [0; 32],
            recorded_at: Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn numbers_follow_the_clock_and_never_go_back_with_it() {
        let now = Timestamp::from_millisecond(5).unwrap();
        let node = NodePrefix::new(3).unwrap();
        assert_eq!(LastCrls::default().next_number(now, node), 5 << 12 | 3);
        let last = LastCrls {
            complete: numbered(7 << 12),
            delta: numbered(9 << 12),
        };
        assert_eq!(last.next_number(now, node), (9 << 12) + 1);
        let later = Timestamp::from_millisecond(10).unwrap();
        assert_eq!(last.next_number(later, node), 10 << 12 | 3);
        let before = Timestamp::from_millisecond(-1).unwrap();
        assert_eq!(LastCrls::default().next_number(before, node), 3);
    }
}
