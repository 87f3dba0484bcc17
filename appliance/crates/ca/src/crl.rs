//! Certificate revocation lists: what they are called, where they are kept, how
//! they come to be.
//!
//! ```text
//! entries, encoded ─► plan ─► lint ─► record on disk ─► token ─► file ─► served
//! ```
//!
//! A crash before the record leaves nothing; after it a number that was never
//! used; after the signature a CRL that nobody saw. The next start finds the last
//! file, and issues anew whenever that is not the last one recorded.

mod board;
mod content;
mod error;
mod history;
mod kept;
mod publisher;
mod root;
mod schedule;

pub(crate) use board::{Board, Crl};
pub use error::CrlError;
pub(crate) use history::History;
pub(crate) use kept::{Directory, read, write_atomically};
pub(crate) use publisher::{Cause, Publisher, PublisherParts};
pub use root::RootCrl;

use std::fmt;

use model::IssuerId;
use store::CrlScope;

/// One of the CRLs of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum CrlKind {
    /// Every certificate's.
    Whole,
    /// One shard's.
    Shard(u32),
    /// What changed since a full one.
    Delta,
}

impl CrlKind {
    /// Returns the sequence of numbers that it takes part in.
    pub(crate) fn scope(self) -> CrlScope {
        match self {
            Self::Whole | Self::Delta => CrlScope::Whole,
            Self::Shard(shard) => CrlScope::Shard(shard),
        }
    }

    /// Returns its name in URLs and of its file, without the ending.
    pub(crate) fn stem(self, issuer: &IssuerId) -> String {
        match self {
            Self::Whole => issuer.to_string(),
            Self::Shard(shard) => format!("{issuer}-{shard}"),
            Self::Delta => format!("{issuer}-delta"),
        }
    }

    /// Reads the name as [`CrlKind::stem`] writes it.
    pub(crate) fn from_stem(stem: &str, issuer: &IssuerId) -> Option<Self> {
        let rest = stem.strip_prefix(issuer.as_str())?;
        match rest.strip_prefix('-') {
            None => rest.is_empty().then_some(Self::Whole),
            Some("delta") => Some(Self::Delta),
            // As written, so that every CRL has one URL.
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|shard: &u32| shard.to_string() == digits)
                .map(Self::Shard),
        }
    }

    /// Returns its URL, as certificates and CRLs name it.
    pub(crate) fn url(self, base: &str, issuer: &IssuerId) -> String {
        format!("{base}/crl/{}.crl", self.stem(issuer))
    }
}

impl fmt::Display for CrlKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("full"),
            Self::Shard(shard) => write!(f, "shard {shard}"),
            Self::Delta => f.write_str("delta"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let issuer = IssuerId::new("issuing").unwrap();
        for kind in [
            CrlKind::Whole,
            CrlKind::Delta,
            CrlKind::Shard(0),
            CrlKind::Shard(17),
        ] {
            assert_eq!(CrlKind::from_stem(&kind.stem(&issuer), &issuer), Some(kind));
        }
        for stem in [
            "",
            "root",
            "issuing-",
            "issuing-01",
            "issuing-+1",
            "issuing2",
            "issuing-x",
        ] {
            assert_eq!(CrlKind::from_stem(stem, &issuer), None, "{stem}");
        }
    }
}
