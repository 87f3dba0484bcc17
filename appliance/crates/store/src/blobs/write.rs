//! Receiving a document.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest;

use super::{Blob, Blobs, Sha256};
use crate::directory::create_private;
use crate::error::Error;
use crate::journal::is_no_space;

/// A document that is being received; dropped, it leaves nothing behind.
pub(crate) struct Incoming {
    /// Where it goes.
    blobs: Arc<Blobs>,
    /// Its file for now.
    path: PathBuf,
    /// That file.
    file: File,
    /// Its hash so far.
    hash: digest::Context,
    /// Its length so far.
    len: u64,
    /// Most bytes it may have.
    max: u64,
    /// Whether it got its name.
    is_settled: bool,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("path", &self.path)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Incoming {
    /// Makes an empty file.
    ///
    /// # Errors
    ///
    /// `NoSpace`, `Io`.
    pub(super) fn begin(blobs: Arc<Blobs>, max: u64) -> Result<Self, Error> {
        let path = blobs.incoming_path();
        let file = create_private(&path).map_err(|source| {
            if is_no_space(&source) {
                blobs.no_space()
            } else {
                Error::io("make", &path)(source)
            }
        })?;
        Ok(Self {
            blobs,
            path,
            file,
            hash: digest::Context::new(&digest::SHA256),
            len: 0,
            max,
            is_settled: false,
        })
    }

    /// Adds bytes. Blocks. After an error it is of no more use.
    ///
    /// # Errors
    ///
    /// `TooLarge` beyond its bound, `NoSpace`, `Io`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let len = self.len.saturating_add(bytes.len() as u64);
        if len > self.max {
            return Err(Error::TooLarge {
                len: usize::try_from(len).unwrap_or(usize::MAX),
                max: usize::try_from(self.max).unwrap_or(usize::MAX),
            });
        }
        self.blobs.reserve(bytes.len() as u64)?;
        self.len = len;
        self.hash.update(bytes);
        self.file
            .write_all(bytes)
            .map_err(|source| self.failed("write to", source))
    }

    /// Brings the document to disk under its name. Blocks.
    ///
    /// # Errors
    ///
    /// `NoSpace`, `Io`.
    pub(crate) fn finish(mut self) -> Result<Blob, Error> {
        // A file system may find out only now that it is full.
        self.file
            .sync_all()
            .map_err(|source| self.failed("sync", source))?;
        let mut sha256: Sha256 = [0; 32];
        // SHA-256 gives 32 octets.
        sha256.copy_from_slice(self.hash.clone().finish().as_ref());
        let blob = self.blobs.settle(&self.path, sha256, self.len)?;
        self.is_settled = true;
        // Also if another caller named the file: it may not be synced yet.
        self.blobs.sync_names()?;
        Ok(blob)
    }

    /// Says what stopped the file.
    fn failed(&self, action: &'static str, source: std::io::Error) -> Error {
        if is_no_space(&source) {
            self.blobs.no_space()
        } else {
            Error::io(action, &self.path)(source)
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.is_settled {
            self.blobs.give_back(self.len);
            // A file that stays is removed at the next opening.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
