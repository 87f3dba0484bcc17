//! The revocation store: its trait, and the one over journal and index.

use async_trait::async_trait;
use model::{IssuerId, SerialNumber, Timestamp};

use super::blocked::BlockedKey;
use super::crl::{CrlRecord, CrlScope, LastCrls};
use super::ledger::{Act, Outcome};
use super::revocation::{ForeignRevocation, Revocation, RevocationAct, RevocationRecord, Revoked};
use super::store::{CertificateStore, Certificates};
use super::{lookup, scan};
use crate::error::{Error, IndexFault};

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
    /// foreign ones included, in the order of their numbers: those behind `after`,
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
    /// numbers, at most `limit` (1 to [`MAX_BATCH`]). An empty answer is the end.
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

impl Certificates {
    /// Finds what the journal says of a serial number that never changes.
    fn facts(&self, serial: &SerialNumber) -> Result<Option<Facts>, Error> {
        let found = scan::find_intent(&self.sources, &self.settled, serial)?;
        Ok(found.map(|found| Facts {
            record: found.sequence,
            issuer: found.intent.issuer,
            not_after: found.intent.not_after,
        }))
    }

    /// Has a step of a revocation recorded; none if the journal knows what the
    /// act takes for foreign.
    async fn record(&self, act: RevocationAct) -> Result<Option<RevocationRecord>, Error> {
        let (issuer, serial) = (act.issuer.clone(), act.revocation.serial.clone());
        let outcome = self.writer.submit(Act::Revoke(Box::new(act))).await?;
        let read = || {
            // Two short reads, nearly always from memory: a thread hop costs more.
            lookup::read_revocation(&self.sources, &issuer, &serial)?
                .ok_or_else(|| self.sources.index.unusable(IndexFault::Entry))
        };
        match outcome {
            Outcome::Already => Err(Error::AlreadyRevoked {
                record: Box::new(read()?),
            }),
            Outcome::Known => Ok(None),
            Outcome::Done | Outcome::Replay(_) | Outcome::InProgress(_) => read().map(Some),
        }
    }
}

/// What never changes about a serial number of the journal.
struct Facts {
    /// Its record.
    record: u64,
    /// Who issues it.
    issuer: IssuerId,
    /// End of its validity.
    not_after: Timestamp,
}

#[async_trait]
impl RevocationStore for Certificates {
    async fn revoke(&self, revocation: Revocation) -> Result<RevocationRecord, Error> {
        let serial = revocation.serial.clone();
        let unknown = || Error::UnknownSerial {
            serial: serial.clone(),
        };
        let facts = self.facts(&serial)?.ok_or_else(unknown)?;
        let act = RevocationAct {
            issuer: facts.issuer,
            record: Some(facts.record),
            not_after: Some(facts.not_after),
            revocation,
        };
        self.record(act).await?.ok_or_else(unknown)
    }

    async fn import_revocation(
        &self,
        foreign: ForeignRevocation,
    ) -> Result<RevocationRecord, Error> {
        let serial = foreign.revocation.serial.clone();
        // Once more if an intent came between the look and the act: from then on
        // the journal knows the number.
        for _ in 0..2 {
            let facts = self.facts(&serial)?;
            let own = facts.filter(|facts| facts.issuer == foreign.issuer);
            let act = RevocationAct {
                issuer: foreign.issuer.clone(),
                record: own.as_ref().map(|own| own.record),
                not_after: own.map_or(foreign.not_after, |own| Some(own.not_after)),
                revocation: foreign.revocation.clone(),
            };
            if let Some(record) = self.record(act).await? {
                return Ok(record);
            }
        }
        Err(Error::SerialTaken { serial })
    }

    async fn revocation(
        &self,
        issuer: &IssuerId,
        serial: &SerialNumber,
    ) -> Result<Option<RevocationRecord>, Error> {
        lookup::read_revocation(&self.sources, issuer, serial)
    }

    async fn revocations(
        &self,
        issuer: &IssuerId,
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> Result<Vec<Revoked>, Error> {
        let (issuer, after) = (issuer.clone(), after.cloned());
        self.search(move |sources, _| lookup::revocations(sources, &issuer, after.as_ref(), limit))
            .await
    }

    async fn issued(
        &self,
        issuer: &IssuerId,
        from: IssuedFrom,
        limit: usize,
    ) -> Result<Vec<IssuedSerial>, Error> {
        let issuer = issuer.clone();
        self.search(move |sources, _| lookup::issued(sources, &issuer, from, limit))
            .await
    }

    async fn serials_of_key(
        &self,
        public_key_sha256: &[u8; 32],
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> Result<Vec<SerialNumber>, Error> {
        let (key, after) = (*public_key_sha256, after.cloned());
        self.search(move |sources, _| lookup::serials_of_key(sources, &key, after.as_ref(), limit))
            .await
    }

    async fn block_key(&self, key: BlockedKey) -> Result<BlockedKey, Error> {
        let hash = key.public_key_sha256;
        self.writer.submit(Act::Block(Box::new(key))).await?;
        lookup::blocked_key(&self.sources, &hash)?
            .ok_or_else(|| self.sources.index.unusable(IndexFault::Entry))
    }

    async fn blocked_key(&self, public_key_sha256: &[u8; 32]) -> Result<Option<BlockedKey>, Error> {
        lookup::blocked_key(&self.sources, public_key_sha256)
    }

    async fn blocked_keys(
        &self,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<BlockedKey>, Error> {
        let after = after.copied();
        self.search(move |sources, _| lookup::blocked_keys(sources, after.as_ref(), limit))
            .await
    }

    async fn record_crl(&self, crl: CrlRecord) -> Result<(), Error> {
        self.writer
            .submit(Act::PlanCrl(Box::new(crl)))
            .await
            .map(drop)
    }

    async fn last_crls(&self, issuer: &IssuerId, scope: CrlScope) -> Result<LastCrls, Error> {
        lookup::last_crls(&self.sources, issuer, scope)
    }
}
