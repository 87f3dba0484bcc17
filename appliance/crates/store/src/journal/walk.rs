//! Walking the chain: to replay it, to verify it, to find where it ends.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::frame::{ChainHash, Frame, FrameFault, HASH_LEN, decode, field, frame_len, rehash};
use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader, count_segments, segment_path};
use crate::directory::journal_of;
use crate::error::Error;

/// Bytes read at once; more than the longest frame.
const WINDOW: usize = 4 << 20;

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Number of its segment.
    pub(crate) segment: u32,
    /// Its offset there.
    pub(crate) offset: u32,
}

/// A point between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Where the next frame starts.
    pub(crate) place: Place,
    /// Number of the next frame.
    pub(crate) next: u64,
    /// What the next frame chains to.
    pub(crate) hash: ChainHash,
}

/// Where a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Behind the last sound frame; none when there is no segment.
    pub(crate) position: Option<Position>,
    /// Bytes of a torn write behind it.
    pub(crate) torn_bytes: u64,
}

/// What a walk over a whole journal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Frames in the chain.
    pub frames: u64,
    /// Segments.
    pub segments: u32,
    /// Bytes of frames.
    pub bytes: u64,
    /// The hash that the journal ends with.
    pub chain_hash: [u8; 32],
    /// Bytes of a torn write at the end, which the next opening cuts off.
    pub torn_bytes: u64,
}

/// Walks a journal offline and checks every hash. Changes nothing.
///
/// # Errors
///
/// `BrokenChain` or `MissingSegment` with the place; `Io`.
pub fn verify(directory: &Path) -> Result<Verified, Error> {
    let (mut frames, mut bytes) = (0, 0);
    let end = walk(&journal_of(directory), None, |frame, _| {
        frames += 1;
        bytes += frame_len(frame.payload.len()) as u64;
        Ok(())
    })?;
    Ok(Verified {
        frames,
        segments: end.position.map_or(0, |position| position.place.segment),
        bytes,
        chain_hash: end.position.map_or([0; HASH_LEN], |position| position.hash),
        torn_bytes: end.torn_bytes,
    })
}

/// Whether the journal has what a position chains to, right before it.
///
/// # Errors
///
/// `Io` if the segment is there and cannot be read.
pub(crate) fn holds(journal: &Path, position: &Position) -> Result<bool, Error> {
    if !(1..=count_segments(journal)?).contains(&position.place.segment) {
        return Ok(false);
    }
    let mut segment = OpenSegment::open(journal, position.place.segment)?;
    match segment.enter(Some(*position)) {
        Ok(_) => Ok(true),
        Err(Error::BrokenChain { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Visits every frame from a position, or from the start, to the end.
///
/// Damage at the very end is a torn write if no later commit lies behind it:
/// it was never synced, hence never acknowledged. Any other damage is refused.
///
/// # Errors
///
/// `BrokenChain`, `MissingSegment`, `Io`, or what `visit` returns.
pub(crate) fn walk(
    journal: &Path,
    from: Option<Position>,
    mut visit: impl FnMut(&Frame<'_>, Place) -> Result<(), Error>,
) -> Result<End, Error> {
    let segments = count_segments(journal)?;
    let mut position = from;
    for number in from.map_or(1, |from| from.place.segment)..=segments {
        let mut segment = OpenSegment::open(journal, number)?;
        let mut at = segment.enter(position)?;
        let fault = loop {
            match segment.frame(&at) {
                Ok(frame) => {
                    visit(&frame, at.place)?;
                    at.hash = frame.hash;
                    at.next += 1;
                    // A segment is at most 1 GiB.
                    at.place.offset += frame_len(frame.payload.len()) as u32;
                }
                Err(Stop::Fault(fault)) => break fault,
                Err(Stop::Error(error)) => return Err(error),
            }
        };
        position = Some(at);
        if number < segments {
            // The rest of a full segment was never written; that nothing is
            // missing shows in the next one's header.
            if fault != FrameFault::Empty {
                return Err(segment.broken(u64::from(at.place.offset), fault));
            }
            continue;
        }
        let torn_bytes = segment.torn_bytes(&at, fault)?;
        return Ok(End {
            position,
            torn_bytes,
        });
    }
    Ok(End {
        position,
        torn_bytes: 0,
    })
}

/// Why no frame was read.
enum Stop {
    /// There is none, or a bad one.
    Fault(FrameFault),
    /// The file cannot be read.
    Error(Error),
}

/// A segment being walked, with a window of its bytes.
struct OpenSegment {
    /// Its number.
    number: u32,
    /// Its path.
    path: PathBuf,
    /// Its file.
    file: File,
    /// Its length.
    len: u64,
    /// Where the window starts.
    base: u64,
    /// The window.
    window: Vec<u8>,
}

impl OpenSegment {
    /// Opens a segment.
    fn open(journal: &Path, number: u32) -> Result<Self, Error> {
        let path = segment_path(journal, number);
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        // No segment of ours is longer than 1 GiB; offsets have 32 bits.
        let len = file.metadata().map_err(Error::io("inspect", &path))?.len();
        let len = len.min(u64::from(u32::MAX));
        Ok(Self {
            number,
            path,
            file,
            len,
            base: 0,
            window: Vec::new(),
        })
    }

    /// Checks the header against where the walk comes from and returns where
    /// the walk goes on.
    fn enter(&mut self, from: Option<Position>) -> Result<Position, Error> {
        let number = self.number;
        let bytes = self.bytes(0, SEGMENT_HEADER_LEN as usize)?;
        let header = SegmentHeader::decode(bytes, number).map_err(|fault| self.broken(0, fault))?;
        let start = Position {
            place: Place {
                segment: self.number,
                offset: SEGMENT_HEADER_LEN as u32,
            },
            next: header.first,
            hash: header.previous,
        };
        match from {
            Some(from) if from.place.segment == self.number => {
                // The 32 octets before a frame are what it chains to.
                let before = u64::from(from.place.offset)
                    .checked_sub(HASH_LEN as u64)
                    .ok_or_else(|| self.broken(0, FrameFault::Splice))?;
                if field(self.bytes(before, HASH_LEN)?, 0) != Some(from.hash) {
                    return Err(self.broken(before, FrameFault::Splice));
                }
                Ok(from)
            }
            Some(from) if (from.next, from.hash) != (start.next, start.hash) => {
                Err(self.broken(0, FrameFault::Splice))
            }
            None if self.number != 1 || header.first != 1 => {
                Err(self.broken(0, FrameFault::Splice))
            }
            Some(_) | None => Ok(start),
        }
    }

    /// Reads and checks the frame at a position.
    fn frame(&mut self, at: &Position) -> Result<Frame<'_>, Stop> {
        let bytes = self
            .bytes(u64::from(at.place.offset), WINDOW / 2)
            .map_err(Stop::Error)?;
        let frame = decode(bytes, &at.hash).map_err(Stop::Fault)?;
        if frame.header.sequence != at.next {
            return Err(Stop::Fault(FrameFault::Sequence {
                found: frame.header.sequence,
                expected: at.next,
            }));
        }
        Ok(frame)
    }

    /// Returns up to `len` bytes at an offset, fewer at the file's end.
    fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8], Error> {
        let wanted = (len as u64).min(self.len.saturating_sub(offset)) as usize;
        let end = self.base + self.window.len() as u64;
        if offset < self.base || offset + wanted as u64 > end {
            let fill = (WINDOW as u64).min(self.len.saturating_sub(offset)) as usize;
            self.window.resize(fill, 0);
            self.base = offset;
            self.file
                .read_exact_at(&mut self.window, offset)
                .map_err(Error::io("read", &self.path))?;
        }
        let start = (offset - self.base) as usize;
        Ok(self.window.get(start..start + wanted).unwrap_or_default())
    }

    /// Measures the torn write behind the last sound frame.
    ///
    /// # Errors
    ///
    /// `BrokenChain` if a later commit lies behind the damage: then what is
    /// damaged was synced before that one was written.
    fn torn_bytes(&mut self, at: &Position, fault: FrameFault) -> Result<u64, Error> {
        let start = u64::from(at.place.offset);
        let torn_end = self.written_end(start)?;
        // No tearing makes a frame that is sound but for its number.
        let misnumbered = matches!(fault, FrameFault::Sequence { .. });
        if misnumbered || self.is_followed(at)? {
            return Err(self.broken(start, fault));
        }
        for offset in (start + 8..torn_end).step_by(8) {
            let bytes = self.bytes(offset - HASH_LEN as u64, WINDOW / 2)?;
            let Some((previous, rest)) = bytes.split_first_chunk() else {
                break;
            };
            if decode(rest, previous).is_ok_and(|later| later.header.group > at.next) {
                return Err(self.broken(start, fault));
            }
        }
        Ok(torn_end - start)
    }

    /// Finds the end of what was ever written behind an offset.
    fn written_end(&mut self, start: u64) -> Result<u64, Error> {
        let (mut offset, mut end) = (start, start);
        while offset < self.len {
            let window = self.bytes(offset, WINDOW / 2)?;
            let read = window.len() as u64;
            if let Some(last) = window.iter().rposition(|byte| *byte != 0) {
                end = offset + last as u64 + 1;
            }
            offset += read;
        }
        Ok(end)
    }

    /// Whether a later commit chains to what the bad frame's hash should be: then
    /// only the stored hash is damaged.
    fn is_followed(&mut self, at: &Position) -> Result<bool, Error> {
        let bytes = self.bytes(u64::from(at.place.offset), WINDOW / 2)?;
        Ok(rehash(bytes, &at.hash).is_some_and(|(hash, rest)| {
            decode(rest, &hash).is_ok_and(|later| later.header.group > at.next)
        }))
    }

    /// Says where the chain is broken.
    fn broken(&self, offset: u64, fault: FrameFault) -> Error {
        Error::BrokenChain {
            segment: self.path.clone(),
            offset,
            fault,
        }
    }
}
