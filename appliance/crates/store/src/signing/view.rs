//! Reading through the layers: staged, memory, index and journal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use model::SerialNumber;
use model::signing::{DeliveryId, EventId, SignatureId};

use super::codec::{self, Record};
use super::document::{DocumentInfo, Held, Piece};
use super::key::{self, Located};
use super::log::{Edge, Hash};
use super::memory::{Change, Memory, Open};
use super::queue::{DeliveryRecord, EventRecord};
use super::record::{LogCheckpoint, SignatureRecord, SignatureState, TimestampRecord};
use super::status::SigningCounts;
use crate::blobs::{Blob, Blobs, Sha256};
use crate::error::{Error, IndexFault};
use crate::writer::Sources;

/// What the acts of a group change before it is on disk.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Keys and values to add to the index.
    pub(crate) keys: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What changes in memory.
    pub(crate) changes: Vec<Change>,
    /// Signatures as the last act left them; none if it ended them.
    pub(crate) open: HashMap<SignatureId, Option<Open>>,
    /// Journal octets promised to what begins.
    pub(crate) promised: u64,
    /// The log's edge.
    pub(crate) log: Option<Edge>,
    /// Size and root of the last checkpoint.
    pub(crate) checkpoint: Option<(u64, Hash)>,
    /// How much was ever recorded.
    pub(crate) counts: Option<SigningCounts>,
    /// Time of the last act.
    pub(crate) time: Option<i64>,
    /// Files that records name from now on.
    pub(crate) blobs: Vec<Blob>,
}

/// The state as one reader sees it: the writer with what is staged, others without.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// Index and journal.
    pub(crate) sources: &'a Sources,
    /// What memory holds.
    pub(crate) memory: &'a RwLock<Memory>,
    /// What is staged.
    pub(crate) staged: Option<&'a Staged>,
}

impl View<'_> {
    /// Looks at memory.
    pub(crate) fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers to which webhook a delivery that waits goes.
    pub(crate) fn remember_hook(&self, id: DeliveryId, hook: &str) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.deliveries.contains(&id) {
            memory.hooks.insert(id, hook.into());
        }
    }

    /// Looks a key up.
    ///
    /// # Errors
    ///
    /// `Index` when it cannot be read.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if let Some(value) = self.staged.and_then(|staged| staged.keys.get(key)) {
            return Ok(Some(value.clone()));
        }
        let value = self.sources.index.get(key)?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Whether a key is there.
    ///
    /// # Errors
    ///
    /// `Index` when it cannot be read.
    pub(crate) fn has(&self, key: &[u8]) -> Result<bool, Error> {
        Ok(self.get(key)?.is_some())
    }

    /// Looks up where a record lies.
    ///
    /// # Errors
    ///
    /// `Index` when it cannot be read.
    pub(crate) fn located(&self, key: &[u8]) -> Result<Option<Located>, Error> {
        match self.get(key)? {
            Some(value) => Located::decode(&value)
                .ok_or_else(|| self.unreadable())
                .map(Some),
            None => Ok(None),
        }
    }

    /// Says that the index cannot be read.
    pub(crate) fn unreadable(&self) -> Error {
        self.sources.index.unusable(IndexFault::Entry)
    }

    /// Reads a record from the journal; `take` is given it, and says none if it is
    /// not what it should be.
    fn read<T>(
        &self,
        located: &Located,
        take: impl FnOnce(Record<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        self.sources.journal.read(located.place, |frame| {
            take(codec::decode_part(frame, located.part)?).ok_or_else(|| codec::unreadable(frame))
        })
    }

    /// Returns a signature that is being made.
    pub(crate) fn open(&self, id: &SignatureId) -> Option<Open> {
        match self.staged.and_then(|staged| staged.open.get(id)) {
            Some(open) => open.clone(),
            None => self.memory().open.get(id).cloned(),
        }
    }

    /// Returns the log's edge.
    pub(crate) fn log(&self) -> Edge {
        match self.staged.and_then(|staged| staged.log.as_ref()) {
            Some(log) => log.clone(),
            None => self.memory().log.clone(),
        }
    }

    /// Returns size and root of the last checkpoint.
    pub(crate) fn last_checkpoint(&self) -> Option<(u64, Hash)> {
        let staged = self.staged.and_then(|staged| staged.checkpoint);
        staged.or_else(|| self.memory().checkpoint)
    }

    /// Returns a node of the log.
    ///
    /// # Errors
    ///
    /// `Index` when it cannot be read.
    pub(crate) fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, Error> {
        match self.get(&key::node(level, index))? {
            Some(value) => Hash::try_from(&value[..])
                .map(Some)
                .map_err(|_| self.unreadable()),
            None => Ok(None),
        }
    }

    /// Reads a signature, without its documents' octets.
    ///
    /// # Errors
    ///
    /// `Index`, `BrokenChain`, `UnreadableRecord` or `Io` when it cannot be read.
    pub(crate) fn signature(&self, id: &SignatureId) -> Result<Option<SignatureRecord>, Error> {
        let Some(located) = self.located(&key::tagged(b'S', id.octets()))? else {
            return Ok(None);
        };
        let mut record = self.read(&located, |record| match record {
            Record::Request(own) if own.id == *id.octets() => own.read(),
            _ => None,
        })?;
        // First the end: what is open may end meanwhile, not the other way round.
        let staged = self.has(&key::tagged(b'G', id.octets()))?;
        match self.located(&key::tagged(b'O', id.octets()))? {
            None => record.state = SignatureState::Open { staged },
            Some(located) => self.read(&located, |own| match own {
                Record::Outcome(own) if own.id == *id.octets() => own.complete(&mut record),
                _ => None,
            })?,
        }
        if let Some(located) = self.located(&key::tagged(b'W', id.octets()))? {
            record.withdrawal = Some(self.read(&located, |own| match own {
                Record::Withdrawal(own) if own.id == *id.octets() => own.read(),
                _ => None,
            })?);
        }
        Ok(Some(record))
    }

    /// Reads the stage of a signature: where its leaves are.
    ///
    /// # Errors
    ///
    /// As [`signature`](Self::signature).
    pub(crate) fn stage(&self, id: &SignatureId) -> Result<Option<Option<Range<u64>>>, Error> {
        match self.located(&key::tagged(b'G', id.octets()))? {
            None => Ok(None),
            Some(located) => self
                .read(&located, |own| match own {
                    Record::Stage(own) if own.id == *id.octets() => Some(own.range()),
                    _ => None,
                })
                .map(Some),
        }
    }

    /// Returns the room that a signature was promised when it began.
    ///
    /// # Errors
    ///
    /// As [`signature`](Self::signature).
    pub(crate) fn room(&self, id: &SignatureId) -> Result<Option<u64>, Error> {
        match self.located(&key::tagged(b'S', id.octets()))? {
            None => Ok(None),
            Some(located) => self
                .read(&located, |own| match own {
                    Record::Request(own) => Some(own.room),
                    _ => None,
                })
                .map(Some),
        }
    }

    /// Opens a document's octets, piece by piece.
    ///
    /// # Errors
    ///
    /// As [`signature`](Self::signature), and `DamagedDocument`.
    pub(crate) fn pieces(
        &self,
        blobs: &Blobs,
        record: &SignatureRecord,
        info: &DocumentInfo,
    ) -> Result<Vec<Piece>, Error> {
        match &info.held {
            Held::Journal => Ok(vec![Piece::Octets(self.document(&info.sha256)?)]),
            Held::Blob => Ok(vec![Piece::Blob(blobs.read(&info.sha256, info.len)?)]),
            Held::Lines(kinds) => {
                let mut pieces = Vec::with_capacity(2 * kinds.len());
                for kind in kinds {
                    let line = record.documents.get(kind);
                    let line = line.filter(|line| !matches!(line.held, Held::Lines(_)));
                    let line = line.ok_or_else(|| self.unreadable())?;
                    pieces.extend(self.pieces(blobs, record, line)?);
                    pieces.push(Piece::Octets(Bytes::from_static(b"\n")));
                }
                Ok(pieces)
            }
        }
    }

    /// Reads a document from the journal.
    fn document(&self, sha256: &Sha256) -> Result<Bytes, Error> {
        let located = self.located(&key::sha256(b'B', sha256))?;
        let located = located.ok_or_else(|| self.unreadable())?;
        self.read(&located, |record| match record {
            Record::Document(own, octets) if own == *sha256 => Some(Bytes::copy_from_slice(octets)),
            _ => None,
        })
    }

    /// Reads a time-stamp.
    ///
    /// # Errors
    ///
    /// As [`signature`](Self::signature).
    pub(crate) fn timestamp(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<TimestampRecord>, Error> {
        match self.located(&key::timestamp(serial))? {
            None => Ok(None),
            Some(located) => self
                .read(&located, |own| match own {
                    Record::Timestamp(own) => own.read(),
                    _ => None,
                })
                .map(Some),
        }
    }

    /// Reads a leaf of the log.
    ///
    /// # Errors
    ///
    /// As [`signature`](Self::signature).
    pub(crate) fn leaf(&self, index: u64) -> Result<Option<Bytes>, Error> {
        match self.located(&key::leaf(index))? {
            None => Ok(None),
            Some(located) => self
                .read(&located, |own| match own {
                    Record::Leaf(own, octets) if own == index => {
                        Some(Bytes::copy_from_slice(octets))
                    }
                    _ => None,
                })
                .map(Some),
        }
    }

    /// Reads the last checkpoint.
    ///
    /// # Errors
    ///
    /// As [`signature`](Self::signature).
    pub(crate) fn checkpoint(&self) -> Result<Option<LogCheckpoint>, Error> {
        match self.located(key::CHECKPOINT)? {
            None => Ok(None),
            Some(located) => self
                .read(&located, |own| match own {
                    Record::Checkpoint(own) => own.read(),
                    _ => None,
                })
                .map(Some),
        }
    }

    /// Reads an event.
    ///
    /// # Errors
    ///
    /// As [`signature`](Self::signature).
    pub(crate) fn event(&self, id: &EventId) -> Result<Option<EventRecord>, Error> {
        let Some(located) = self.located(&key::tagged(b'E', id.octets()))? else {
            return Ok(None);
        };
        let mut record = self.read(&located, |own| match own {
            Record::Event(own) if own.id == *id.octets() => own.read(),
            _ => None,
        })?;
        let progress = self.located(&key::tagged(b'e', id.octets()))?;
        if let Some(located) = progress.filter(|progress| progress.place != located.place) {
            self.read(&located, |own| match own {
                Record::EventProgress(own) if own.id == *id.octets() => own.progress(&mut record),
                _ => None,
            })?;
        }
        Ok(Some(record))
    }

    /// Reads a delivery.
    ///
    /// # Errors
    ///
    /// As [`signature`](Self::signature).
    pub(crate) fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, Error> {
        let Some(located) = self.located(&key::tagged(b'D', id.octets()))? else {
            return Ok(None);
        };
        let mut record = self.read(&located, |own| match own {
            Record::Delivery(own) if own.id == *id.octets() => own.read(),
            _ => None,
        })?;
        let progress = self.located(&key::tagged(b'd', id.octets()))?;
        if let Some(located) = progress.filter(|progress| progress.place != located.place) {
            self.read(&located, |own| match own {
                Record::DeliveryProgress(own) if own.id == *id.octets() => {
                    own.progress(&mut record)
                }
                _ => None,
            })?;
        }
        Ok(Some(record))
    }

    /// Reads keys of the index in a range, backwards, at most `most`.
    ///
    /// # Errors
    ///
    /// `Index` when they cannot be read.
    pub(crate) fn keys_back(
        &self,
        range: Range<Vec<u8>>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let items = self.sources.index.range(range).rev().take(most);
        items.map(|item| Ok(item?.0.to_vec())).collect()
    }

    /// Reads keys of the index in a range, at most `most`.
    ///
    /// # Errors
    ///
    /// `Index` when they cannot be read.
    pub(crate) fn keys(&self, range: Range<Vec<u8>>, most: usize) -> Result<Vec<Vec<u8>>, Error> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let items = self.sources.index.range(range).take(most);
        items.map(|item| Ok(item?.0.to_vec())).collect()
    }

    /// Returns those of some documents in the journal that are not there yet.
    ///
    /// # Errors
    ///
    /// `Index` when it cannot be read.
    pub(crate) fn missing(
        &self,
        documents: impl Iterator<Item = Sha256>,
    ) -> Result<HashSet<Sha256>, Error> {
        let mut missing = HashSet::new();
        for sha256 in documents {
            if !self.has(&key::sha256(b'B', &sha256))? {
                missing.insert(sha256);
            }
        }
        Ok(missing)
    }
}
