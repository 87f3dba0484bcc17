//! The journal's end: staging frames, bringing them to disk, making room.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::frame::{ChainHash, FrameHeader, HASH_LEN, MAX_PAYLOAD, encode, frame_len};
use super::segment::{
    SEGMENT_HEADER_LEN, SegmentHeader, Spare, is_no_space, remove_spares, segment_path,
};
use super::walk::{End, Place, Position};
use crate::error::{Error, Fault};

/// Bytes staged at which a commit is due. A commit exceeds it by one frame at most.
const COMMIT_BYTES: usize = 1 << 20;

/// The most that one commit writes.
const MAX_COMMIT_BYTES: u64 = COMMIT_BYTES as u64 + frame_len(MAX_PAYLOAD) as u64;

/// Why staged frames did not get to disk.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// The disk is full. Nothing was recorded; there may be room later.
    NoSpace,
    /// The disk failed; what is on it is uncertain.
    Fault(Fault),
}

/// The journal, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    /// The directory of the segments.
    directory: PathBuf,
    /// Length of a new segment.
    segment_bytes: u64,
    /// The segment appended to.
    file: File,
    /// Its path, for messages.
    path: PathBuf,
    /// Its length.
    len: u64,
    /// Behind the last frame on disk.
    end: Position,
    /// Behind the last staged frame.
    staged_end: Position,
    /// The staged frames.
    staged: Vec<u8>,
    /// Bytes of frames in all segments.
    bytes: u64,
    /// Segments allocated ahead.
    spares: VecDeque<Spare>,
}

impl Journal {
    /// Opens the journal for appending behind `end`, where a walk found it to
    /// end; begins it when there is none. Cuts a torn write off.
    ///
    /// # Errors
    ///
    /// `NoSpace` if a first segment does not fit, `Io`.
    pub(crate) fn open(
        directory: PathBuf,
        segment_bytes: u64,
        end: &End,
        bytes: u64,
    ) -> Result<Self, Error> {
        remove_spares(&directory)?;
        let Some(position) = end.position else {
            return Self::begin(directory, segment_bytes);
        };
        let path = segment_path(&directory, position.place.segment);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let len = file.metadata().map_err(Error::io("inspect", &path))?.len();
        let journal = Self {
            directory,
            segment_bytes,
            file,
            path,
            len,
            end: position,
            staged_end: position,
            staged: Vec::new(),
            bytes,
            spares: VecDeque::new(),
        };
        journal
            .settle_tail(end.torn_bytes)
            .map_err(Error::io("mend the end of", &journal.path))?;
        Ok(journal)
    }

    /// Begins an empty journal.
    fn begin(directory: PathBuf, segment_bytes: u64) -> Result<Self, Error> {
        // The origin is random, so that no two journals can be spliced.
        let mut origin = [0; HASH_LEN];
        aws_lc_rs::rand::fill(&mut origin).map_err(|_| {
            Error::io("draw random octets for", &directory)(io::Error::other("no randomness"))
        })?;
        let header = SegmentHeader {
            number: 1,
            first: 1,
            previous: origin,
        };
        let path = segment_path(&directory, 1);
        let activated = Spare::allocate(&directory, 1, segment_bytes)
            .and_then(|spare| spare.activate(&directory, &header));
        let file = activated.map_err(|source| {
            if is_no_space(&source) {
                Error::NoSpace {
                    directory: directory.clone(),
                }
            } else {
                Error::io("begin", &path)(source)
            }
        })?;
        let end = start_of(&header);
        Ok(Self {
            directory,
            segment_bytes,
            file,
            path,
            len: segment_bytes,
            end,
            staged_end: end,
            staged: Vec::new(),
            bytes: 0,
            spares: VecDeque::new(),
        })
    }

    /// Makes the end of the last segment certain: what an earlier process wrote
    /// but did not see synced is written again and synced now, since after a
    /// failed sync the system may take pages for clean that never reached the
    /// disk; a torn write is overwritten with zeros.
    fn settle_tail(&self, torn_bytes: u64) -> io::Result<()> {
        let end = u64::from(self.end.place.offset);
        let start = end.saturating_sub(MAX_COMMIT_BYTES).max(SEGMENT_HEADER_LEN);
        let mut tail = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut tail, start)?;
        self.file.write_all_at(&tail, start)?;
        let zeros = vec![0; 1 << 16];
        let mut torn = end..end + torn_bytes;
        while !torn.is_empty() {
            let part = zeros.len().min((torn.end - torn.start) as usize);
            let zeros = zeros.get(..part).unwrap_or_default();
            self.file.write_all_at(zeros, torn.start)?;
            torn.start += part as u64;
        }
        self.file.sync_all()
    }

    /// Has the journal append to another file: a device that fails on purpose.
    /// Returns the file it appended to.
    #[cfg(test)]
    pub(crate) fn append_to(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Returns the point behind the last frame on disk.
    pub(crate) const fn end(&self) -> Position {
        self.end
    }

    /// Returns the number that the next staged frame gets.
    pub(crate) const fn next(&self) -> u64 {
        self.staged_end.next
    }

    /// Returns the bytes of frames in all segments.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether as much is staged as one commit should write.
    pub(crate) const fn is_commit_due(&self) -> bool {
        self.staged.len() >= COMMIT_BYTES
    }

    /// Whether a frame with this payload fits into the segment.
    pub(crate) fn fits(&self, payload: usize) -> bool {
        frame_len(payload) as u64 <= self.left()
    }

    /// Returns the bytes left in the segment.
    fn left(&self) -> u64 {
        self.len
            .saturating_sub(u64::from(self.staged_end.place.offset))
    }

    /// Sets `bytes` aside for frames to come, allocating segments as needed.
    ///
    /// # Errors
    ///
    /// What the system answers; what was set aside before stays.
    pub(crate) fn set_aside(&mut self, bytes: u64) -> io::Result<()> {
        // The end of each segment may stay empty for want of one more frame.
        let waste = frame_len(MAX_PAYLOAD) as u64;
        let usable = self
            .segment_bytes
            .saturating_sub(SEGMENT_HEADER_LEN + waste)
            .max(1);
        while self.left().saturating_sub(waste) + usable * (self.spares.len() as u64) < bytes {
            let number = self.end.place.segment + 1 + self.spares.len() as u32;
            self.spares.push_back(Spare::allocate(
                &self.directory,
                number,
                self.segment_bytes,
            )?);
        }
        Ok(())
    }

    /// Stages a frame behind the others and returns its place. It must fit, and
    /// its payload be no longer than a frame allows.
    pub(crate) fn stage(&mut self, time: i64, kind: u16, version: u16, payload: &[u8]) -> Place {
        let place = self.staged_end.place;
        let header = FrameHeader {
            sequence: self.staged_end.next,
            group: self.end.next,
            time,
            kind,
            version,
        };
        self.staged_end.hash = encode(&mut self.staged, &header, payload, &self.staged_end.hash);
        self.staged_end.next += 1;
        // A segment is at most 1 GiB.
        self.staged_end.place.offset += frame_len(payload.len()) as u32;
        place
    }

    /// Forgets what is staged.
    pub(crate) fn discard(&mut self) {
        self.staged.clear();
        self.staged_end = self.end;
    }

    /// Brings the staged frames to disk.
    ///
    /// # Errors
    ///
    /// `NoSpace`: nothing was recorded. `Fault`: never append again.
    pub(crate) fn commit(&mut self) -> Result<(), CommitError> {
        let offset = u64::from(self.end.place.offset);
        if let Err(source) = self.file.write_all_at(&self.staged, offset) {
            let zeros = vec![0; self.staged.len()];
            self.discard();
            if is_no_space(&source) {
                // Best effort: the next commit overwrites the same place, and a
                // restart before that cuts it off or keeps whole frames, which
                // were refused but harm nobody.
                let _ = self.file.write_all_at(&zeros, offset);
                return Err(CommitError::NoSpace);
            }
            return Err(self.fault("write to", source));
        }
        if let Err(source) = self.file.sync_data() {
            self.discard();
            return Err(self.fault("sync", source));
        }
        self.bytes += self.staged.len() as u64;
        self.staged.clear();
        self.end = self.staged_end;
        Ok(())
    }

    /// Goes on in a new segment. Nothing may be staged.
    ///
    /// # Errors
    ///
    /// `NoSpace` if no segment can be allocated; `Fault` if the disk fails.
    pub(crate) fn roll(&mut self) -> Result<(), CommitError> {
        debug_assert!(self.staged.is_empty(), "a segment ends between commits");
        let number = self.end.place.segment + 1;
        let spare = match self.spares.pop_front() {
            Some(spare) => spare,
            None => match Spare::allocate(&self.directory, number, self.segment_bytes) {
                Ok(spare) => spare,
                Err(error) if is_no_space(&error) => return Err(CommitError::NoSpace),
                Err(error) => return Err(self.fault("allocate the segment after", error)),
            },
        };
        let header = SegmentHeader {
            number,
            first: self.end.next,
            previous: self.end.hash,
        };
        let file = spare
            .activate(&self.directory, &header)
            .map_err(|error| self.fault("begin the segment after", error))?;
        self.file = file;
        self.path = segment_path(&self.directory, number);
        self.len = self.segment_bytes;
        self.end = start_of(&header);
        self.staged_end = self.end;
        Ok(())
    }

    /// Wraps what stopped the journal.
    fn fault(&self, action: &'static str, source: io::Error) -> CommitError {
        CommitError::Fault(Fault::Journal {
            action,
            path: self.path.clone(),
            source,
        })
    }

    /// Returns the hash that the journal ends with.
    pub(crate) const fn chain_hash(&self) -> ChainHash {
        self.end.hash
    }
}

impl Drop for Journal {
    /// Gives back what was allocated ahead.
    fn drop(&mut self) {
        self.spares.clear();
        // A spare that stays is removed at the next opening.
        let _ = remove_spares(&self.directory);
    }
}

/// Returns the point before a segment's first frame.
fn start_of(header: &SegmentHeader) -> Position {
    Position {
        place: Place {
            segment: header.number,
            offset: SEGMENT_HEADER_LEN as u32,
        },
        next: header.first,
        hash: header.previous,
    }
}

#[cfg(test)]
mod tests;
