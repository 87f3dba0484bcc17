//! Where a store lies and how much it may use.

use std::path::PathBuf;

use serde::Deserialize;

/// Configures one store directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The directory, made (mode 0700) when missing. One process at a time.
    pub directory: PathBuf,
    /// Size of one journal segment in MiB, 1 to 1024; allocated ahead of use.
    #[serde(default = "default_segment_mib")]
    pub segment_mib: u32,
    /// Memory for the index's pages in MiB.
    #[serde(default = "default_index_cache_mib")]
    pub index_cache_mib: u32,
    /// Most acts waiting for the writer; one more is answered "busy".
    #[serde(default = "default_queue")]
    pub queue: usize,
    /// Free space in MiB below which nothing new is begun; what has begun is
    /// still finished.
    #[serde(default = "default_min_free_mib")]
    pub min_free_mib: u32,
}

/// Gives a segment 16 MiB: some 8,000 certificates.
const fn default_segment_mib() -> u32 {
    16
}

/// Gives the index 32 MiB of memory.
const fn default_index_cache_mib() -> u32 {
    32
}

/// Lets 4,096 acts wait.
const fn default_queue() -> usize {
    4096
}

/// Keeps 64 MiB of the file system free.
const fn default_min_free_mib() -> u32 {
    64
}

impl StoreConfig {
    /// Configures a directory with the defaults.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            segment_mib: default_segment_mib(),
            index_cache_mib: default_index_cache_mib(),
            queue: default_queue(),
            min_free_mib: default_min_free_mib(),
        }
    }

    /// Returns the size of a segment in bytes.
    pub(crate) fn segment_bytes(&self) -> u64 {
        u64::from(self.segment_mib.clamp(1, 1024)) << 20
    }

    /// Returns the memory for the index in bytes.
    pub(crate) fn index_cache_bytes(&self) -> u64 {
        u64::from(self.index_cache_mib.max(1)) << 20
    }

    /// Returns the free space to keep, in bytes.
    pub(crate) fn min_free_bytes(&self) -> u64 {
        u64::from(self.min_free_mib) << 20
    }
}
