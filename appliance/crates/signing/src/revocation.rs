//! The revocation lists that clients are found good by, and signers of evidence too.

use std::sync::Arc;
use std::time::Duration;

use mesh::revocation::CrlChecker;
use model::Clock;

/// Knows the CA's revocation lists.
pub trait RevocationLists: Send + Sync + std::fmt::Debug {
    /// Returns how old the oldest of those is that clients are found good by; none where
    /// one is missing.
    fn crl_age(&self) -> Option<Duration>;

    /// Returns all of them, DER; reads files.
    fn crls(&self) -> Vec<Vec<u8>>;
}

/// The lists that the listener follows.
#[derive(Debug)]
pub struct FollowedLists {
    /// Follows them.
    pub checker: Arc<CrlChecker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl RevocationLists for FollowedLists {
    fn crl_age(&self) -> Option<Duration> {
        let issued = self.checker.oldest()?;
        let age = self.clock.now().duration_since(issued);
        // A CA whose clock is ahead of ours issued it just now.
        Some(Duration::try_from(age).unwrap_or_default())
    }

    fn crls(&self) -> Vec<Vec<u8>> {
        self.checker.kept()
    }
}
