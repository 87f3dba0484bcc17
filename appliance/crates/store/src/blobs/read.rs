//! Reading a document back.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use aws_lc_rs::digest;
use bytes::Bytes;

use super::Sha256;
use crate::error::Error;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Reads one document, and checks its hash before it gives the last part away.
pub(crate) struct BlobReader {
    /// The file.
    file: File,
    /// Its path, for messages.
    path: PathBuf,
    /// The hash it must have.
    sha256: Sha256,
    /// The hash so far.
    hash: digest::Context,
    /// Bytes that are to come.
    left: u64,
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobReader")
            .field("path", &self.path)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl BlobReader {
    /// Starts at the beginning.
    pub(super) fn new(file: File, path: PathBuf, sha256: Sha256, len: u64) -> Self {
        Self {
            file,
            path,
            sha256,
            hash: digest::Context::new(&digest::SHA256),
            left: len,
        }
    }

    /// Returns the next part; none at the end. Blocks.
    ///
    /// # Errors
    ///
    /// `DamagedDocument` if the file is not what was recorded, `Io`.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let wanted = self.left.min(CHUNK as u64) as usize;
        let mut part = vec![0; wanted];
        self.file.read_exact(&mut part).map_err(|source| {
            if source.kind() == std::io::ErrorKind::UnexpectedEof {
                self.damaged()
            } else {
                Error::io("read", &self.path)(source)
            }
        })?;
        self.hash.update(&part);
        self.left -= wanted as u64;
        if self.left == 0 && self.hash.clone().finish().as_ref() != self.sha256 {
            return Err(self.damaged());
        }
        Ok(Some(part.into()))
    }

    /// Says that the file was changed.
    fn damaged(&self) -> Error {
        Error::DamagedDocument {
            path: self.path.clone(),
        }
    }
}
