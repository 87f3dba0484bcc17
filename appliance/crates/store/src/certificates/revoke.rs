//! The revocation store: its trait.

use async_trait::async_trait;
use model::{IssuerId, SerialNumber, Timestamp};

use super::blocked::BlockedKey;
use super::crl::{CrlRecord, CrlScope, LastCrls};
use super::revocation::{ForeignRevocation, Revocation, RevocationRecord, Revoked};
use super::store::CertificateStore;
use crate::error::Error;

/// Records what no longer counts, and the CRLs that say so.
///
/// Every acknowledged write is on disk, as with [`CertificateStore`]. Each act
/// is checked and recorded by the one writer: of two at once, the second is
/// refused on what the first did.
///
/// On a full disk revocations and CRLs are still recorded, as long as the last
/// segment has room beyond what open intents need.
#[async_trait]
pub trait RevocationStore: CertificateStore {
    /// Revokes a certificate or an intent, puts it on hold or releases it.
    ///
    /// # Errors
    ///
    /// `UnknownSerial` if nothing is recorded under the serial number;
    /// `AlreadyRevoked`, with what was recorded first; `NotOnHold` for a release
    /// of what is not on hold; `Busy`, `NoSpace`, `Failed`. Nothing was recorded.
    async fn revoke(&self, revocation: Revocation) -> Result<RevocationRecord, Error>;

    /// Takes a revocation over from elsewhere. What the journal knows is revoked
    /// as by [`RevocationStore::revoke`]; a serial number that it does not know
    /// is from now on never given out under this issuer.
    ///
    /// # Errors
    ///
    /// As [`RevocationStore::revoke`], without `UnknownSerial`.
    async fn import_revocation(
        &self,
        foreign: ForeignRevocation,
    ) -> Result<RevocationRecord, Error>;

    /// Finds what is recorded about the revocation of a serial number, own or
    /// foreign; none if there never was one.
    ///
    /// # Errors
    ///
    /// `Io`, `Index` or `BrokenChain` when it cannot be read.
    async fn revocation(
        &self,
        issuer: &IssuerId,
        serial: &SerialNumber,
    ) -> Result<Option<RevocationRecord>, Error>;

    /// Lists an issuer's serial numbers that were ever revoked, released ones and
    /// foreign ones included, in the order of their octets: those behind `after`,
    /// at most `limit` (1 to [`MAX_BATCH`]). An empty answer is the end.
    ///
    /// One revoked while a caller pages through is in the answer if it lies
    /// behind; callers that need both begin to listen first.
    ///
    /// # Errors
    ///
    /// As [`RevocationStore::revocation`].
    async fn revocations(
        &self,
        issuer: &IssuerId,
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> Result<Vec<Revoked>, Error>;

    /// Lists an issuer's certificates that expire at or behind `from`, soonest
    /// first, at most `limit` (1 to [`MAX_BATCH`]), revoked ones included. Intents
    /// are not among them: [`CertificateStore::open_intents`] has those. An empty
    /// answer is the end.
    ///
    /// # Errors
    ///
    /// As [`RevocationStore::revocation`].
    async fn issued(
        &self,
        issuer: &IssuerId,
        from: IssuedFrom,
        limit: usize,
    ) -> Result<Vec<IssuedSerial>, Error>;

    /// Lists the serial numbers of certificates and intents, abandoned ones
    /// included, over a public key: those behind `after` in the order of their
    /// octets, at most `limit` (1 to [`MAX_BATCH`]). An empty answer is the end.
    ///
    /// After [`RevocationStore::block_key`] nothing is added any more.
    ///
    /// # Errors
    ///
    /// As [`RevocationStore::revocation`].
    async fn serials_of_key(
        &self,
        public_key_sha256: &[u8; 32],
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> Result<Vec<SerialNumber>, Error>;

    /// Blocks a key: from now on every intent over it is refused with
    /// `KeyBlocked`. Returns the first record if it was blocked before.
    ///
    /// # Errors
    ///
    /// `Busy`, `NoSpace`, `Failed`: nothing was recorded.
    async fn block_key(&self, key: BlockedKey) -> Result<BlockedKey, Error>;

    /// Finds out whether a key is blocked.
    ///
    /// # Errors
    ///
    /// As [`RevocationStore::revocation`].
    async fn blocked_key(&self, public_key_sha256: &[u8; 32]) -> Result<Option<BlockedKey>, Error>;

    /// Lists blocked keys in the order of their hashes: those behind `after`, at
    /// most `limit` (1 to 1,000). An empty answer is the end.
    ///
    /// # Errors
    ///
    /// As [`RevocationStore::revocation`].
    async fn blocked_keys(
        &self,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<BlockedKey>, Error>;

    /// Records a CRL; only then may it be signed.
    ///
    /// # Errors
    ///
    /// `CrlNumberUsed` unless its number is larger than that of every CRL of the
    /// issuer and scope. One exception (RFC 5280, 5.2.3): a complete CRL and a
    /// delta of the same thisUpdate share theirs. `Busy`, `NoSpace`, `Failed`.
    async fn record_crl(&self, crl: CrlRecord) -> Result<(), Error>;

    /// Finds the CRLs last recorded of an issuer and scope.
    ///
    /// # Errors
    ///
    /// As [`RevocationStore::revocation`].
    async fn last_crls(&self, issuer: &IssuerId, scope: CrlScope) -> Result<LastCrls, Error>;
}

/// Most items of one bulk answer.
pub const MAX_BATCH: usize = 1 << 16;

/// Where a walk over issued certificates starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedFrom {
    /// The expiry.
    pub(crate) not_after: i64,
    /// The record there behind which the walk goes on, if it has begun.
    pub(crate) behind: Option<u64>,
}

impl IssuedFrom {
    /// Starts with what expires at this time or later.
    #[must_use]
    pub fn expiring(not_before: Timestamp) -> Self {
        Self {
            not_after: not_before.as_microsecond(),
            behind: None,
        }
    }
}

/// A certificate that was issued, in compact form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedSerial {
    /// Its number.
    pub serial: SerialNumber,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Its place in the order of all records.
    pub sequence: u64,
}

impl IssuedSerial {
    /// Returns where the walk goes on behind this one.
    #[must_use]
    pub fn next(&self) -> IssuedFrom {
        IssuedFrom {
            not_after: self.not_after.as_microsecond(),
            behind: Some(self.sequence),
        }
    }
}
