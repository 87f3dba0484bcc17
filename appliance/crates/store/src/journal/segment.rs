//! Segment files: a header, then frames up to the end or the first zeros.
//!
//! ```text
//! offset  size
//!      0     8  "CHSEGMT1"
//!      8     8  number of the segment, from 1
//!     16     8  sequence number of its first frame
//!     24     8  zero
//!     32    32  hash that its first frame chains to: that of the last frame of
//!               the segment before; in the first segment, 32 random octets
//!     64        frames
//! ```
// Stored on disk: change only by adding a version.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::frame::{ChainHash, FrameFault, field};
use crate::directory::{create_private, sync_directory};
use crate::error::Error;

/// Octets before the first frame.
pub(crate) const SEGMENT_HEADER_LEN: u64 = 64;

/// What every segment starts with.
const MAGIC: [u8; 8] = *b"CHSEGMT1";

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// Number of its first frame.
    pub(crate) first: u64,
    /// What its first frame chains to.
    pub(crate) previous: ChainHash,
}

impl SegmentHeader {
    /// Returns the header's bytes.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_LEN as usize] {
        let mut bytes = [0; SEGMENT_HEADER_LEN as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&u64::from(self.number).to_be_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_be_bytes());
        bytes[32..].copy_from_slice(&self.previous);
        bytes
    }

    /// Reads a header. Bytes are hostile: never panics.
    ///
    /// # Errors
    ///
    /// `Magic` unless it is one; `Splice` if it is not of segment `number`.
    pub(crate) fn decode(bytes: &[u8], number: u32) -> Result<Self, FrameFault> {
        if field(bytes, 0) != Some(MAGIC) {
            return Err(FrameFault::Magic);
        }
        let fields = (|| {
            Some((
                u64::from_be_bytes(field(bytes, 8)?),
                u64::from_be_bytes(field(bytes, 16)?),
                field(bytes, 32)?,
            ))
        })();
        let (found, first, previous) = fields.ok_or(FrameFault::Magic)?;
        if found != u64::from(number) {
            return Err(FrameFault::Splice);
        }
        Ok(Self {
            number,
            first,
            previous,
        })
    }
}

/// Returns the path of a segment.
pub(crate) fn segment_path(journal: &Path, number: u32) -> PathBuf {
    journal.join(format!("{number:08}.segment"))
}

/// Removes spares that an earlier run allocated and did not use.
///
/// # Errors
///
/// `Io` if the directory cannot be read or a file not removed.
pub(crate) fn remove_spares(journal: &Path) -> Result<(), Error> {
    for entry in std::fs::read_dir(journal).map_err(Error::io("list", journal))? {
        let path = entry.map_err(Error::io("list", journal))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "spare")
        {
            std::fs::remove_file(&path).map_err(Error::io("remove", path))?;
        }
    }
    Ok(())
}

/// Counts the segments, whose numbers must be 1, 2, … without gaps.
///
/// # Errors
///
/// `MissingSegment` for a gap, `Io` if the directory cannot be read.
pub(crate) fn count_segments(journal: &Path) -> Result<u32, Error> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(journal).map_err(Error::io("list", journal))? {
        let name = entry.map_err(Error::io("list", journal))?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".segment"))
            .and_then(|digits| digits.parse::<u32>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    for (expected, found) in (1..).zip(&numbers) {
        if *found != expected {
            return Err(Error::MissingSegment {
                segment: segment_path(journal, expected),
            });
        }
    }
    // As many numbers as a u32 counts, each once.
    Ok(numbers.len() as u32)
}

/// A file with its space allocated, not yet part of the journal.
#[derive(Debug)]
pub(crate) struct Spare {
    /// The open file.
    file: File,
    /// Its path until it is activated.
    path: PathBuf,
}

impl Spare {
    /// Allocates a segment's space, so that appending never meets a full disk
    /// and syncing writes no metadata.
    ///
    /// # Errors
    ///
    /// What the system answers; a file begun is removed.
    pub(crate) fn allocate(journal: &Path, number: u32, len: u64) -> io::Result<Self> {
        let path = journal.join(format!("{number:08}.spare"));
        let allocate = || {
            let file = create_private(&path)?;
            match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len) {
                // A file system without fallocate: write the zeros.
                Err(rustix::io::Errno::OPNOTSUPP) => {
                    let zeros = vec![0; 1 << 20];
                    for offset in (0..len).step_by(zeros.len()) {
                        file.write_all_at(&zeros, offset)?;
                    }
                }
                other => other?,
            }
            file.sync_all()?;
            Ok(file)
        };
        match allocate() {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => {
                // What is left of it would only make the disk fuller.
                let _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Makes the file the journal's next segment. Its name appears only once its
    /// header is on disk.
    ///
    /// # Errors
    ///
    /// What the system answers.
    pub(crate) fn activate(self, journal: &Path, header: &SegmentHeader) -> io::Result<File> {
        self.file.write_all_at(&header.encode(), 0)?;
        self.file.sync_all()?;
        std::fs::rename(&self.path, segment_path(journal, header.number))?;
        sync_directory(journal)?;
        Ok(self.file)
    }
}

/// Whether the system refused for want of space: a full disk, a quota, or a
/// limit on file sizes.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn version_1_is_these_bytes() {
        let header = SegmentHeader {
            number: 2,
            first: 258,
            previous: [0xab; 32],
        };
        let golden = format!(
            "{}{}{}{}{}",
            "43485345474d5431", // "CHSEGMT1"
            "0000000000000002",
            "0000000000000102",
            "0000000000000000",
            "ab".repeat(32)
        );
        assert_eq!(hex::encode(header.encode()), golden);
        assert_eq!(SegmentHeader::decode(&header.encode(), 2), Ok(header));
        assert_eq!(
            SegmentHeader::decode(&header.encode(), 3),
            Err(FrameFault::Splice)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = SegmentHeader::decode(&bytes, 1);
        }
    }
}
