//! Reading single frames back.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::frame::{Frame, FrameFault, HASH_LEN, HEADER_LEN, declared_len, decode, frame_len};
use super::segment::segment_path;
use super::walk::Place;
use crate::error::Error;

/// Most segments held open for reading.
const OPEN_SEGMENTS: usize = 64;

/// Bytes read at first: all of most frames.
const FIRST_READ: usize = 3072;

/// Reads frames by their place, checking their hash each time.
#[derive(Debug)]
pub(crate) struct JournalReader {
    /// The directory of the segments.
    journal: PathBuf,
    /// Segments open for reading.
    files: Mutex<BTreeMap<u32, Arc<File>>>,
}

impl JournalReader {
    /// Reads from the segments in a directory.
    pub(crate) fn new(journal: PathBuf) -> Self {
        Self {
            journal,
            files: Mutex::default(),
        }
    }

    /// Reads one frame and hands it to `take`.
    ///
    /// # Errors
    ///
    /// `BrokenChain` if it no longer has the hash it was written with; `Io`; or
    /// what `take` returns.
    pub(crate) fn read<T>(
        &self,
        place: Place,
        take: impl FnOnce(&Frame<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let file = self.file(place.segment)?;
        let failed = |source| Error::io("read", self.path(place.segment))(source);
        let broken = |fault| Error::BrokenChain {
            segment: self.path(place.segment),
            offset: u64::from(place.offset),
            fault,
        };
        // What a frame chains to lies right before it.
        let start = u64::from(place.offset).saturating_sub(HASH_LEN as u64);
        let mut first = [0; FIRST_READ];
        let read = read_up_to(&file, &mut first, start).map_err(failed)?;
        let bytes = first.get(..read).unwrap_or_default();
        let frame = bytes.get(HASH_LEN..).unwrap_or_default();
        let whole = HASH_LEN + frame_len(declared_len(frame).map_err(broken)? as usize);
        let mut longer = Vec::new();
        let bytes = if whole <= read {
            bytes
        } else {
            longer.resize(whole, 0);
            let read = read_up_to(&file, &mut longer, start).map_err(failed)?;
            longer.get(..read).unwrap_or_default()
        };
        let (previous, frame) = bytes
            .split_first_chunk()
            .filter(|(_, frame)| frame.len() >= HEADER_LEN)
            .ok_or_else(|| broken(FrameFault::Empty))?;
        take(&decode(frame, previous).map_err(broken)?)
    }

    /// Returns a segment's file, opening it when needed.
    fn file(&self, number: u32) -> Result<Arc<File>, Error> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&number) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(number);
        let file = Arc::new(File::open(&path).map_err(Error::io("open", path))?);
        if files.len() >= OPEN_SEGMENTS {
            files.pop_first();
        }
        files.insert(number, Arc::clone(&file));
        Ok(file)
    }

    /// Returns a segment's path.
    fn path(&self, number: u32) -> PathBuf {
        segment_path(&self.journal, number)
    }
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
