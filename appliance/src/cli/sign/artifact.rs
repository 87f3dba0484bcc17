//! What is signed: a file, or something elsewhere that is known by its digest.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Algorithm, Context, SHA256, SHA384, SHA512};
use indicatif::{ProgressBar, ProgressStyle};
use model::signing::{ArtifactDigest, HashAlgorithm};

use crate::failure::{Failure, Trying};

/// Octets read at a time.
const CHUNK: usize = 1 << 20;

/// Files from this size on show how far they are, on a terminal.
const LARGE: u64 = 64 << 20;

/// One artifact.
#[derive(Debug)]
pub(super) enum Artifact {
    /// A file here.
    File(PathBuf),
    /// Something elsewhere.
    Elsewhere {
        /// Its digest.
        digest: ArtifactDigest,
        /// What it is called.
        name: String,
    },
}

impl Artifact {
    /// Takes a file.
    pub(super) fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }

    /// Takes what is known by its digest.
    pub(super) fn elsewhere(digest: ArtifactDigest, name: String) -> Self {
        Self::Elsewhere { digest, name }
    }

    /// Returns it as it was named on the command line.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Elsewhere { name, .. } => name.clone(),
        }
    }

    /// Returns its file name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_name().map_or_else(
                || path.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
            Self::Elsewhere { name, .. } => name.clone(),
        }
    }

    /// Returns the file, if it is one here.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Elsewhere { .. } => None,
        }
    }

    /// Returns its SHA-256, read on a thread that may wait.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) async fn digest(&self) -> Result<ArtifactDigest, Failure> {
        match self {
            Self::Elsewhere { digest, .. } => Ok(*digest),
            Self::File(path) => {
                let path = path.clone();
                let compute = move || digests_of(&path, &[HashAlgorithm::Sha256]);
                let computed = tokio::task::spawn_blocking(compute).await;
                let tried = || format!("compute the digest of {}", self.shown());
                let mut digests = computed.trying(tried)??;
                digests.pop().ok_or_else(|| Failure::new(tried()))
            }
        }
    }
}

/// Computes a file's digests in one pass, with a progress bar where it is large.
///
/// # Errors
///
/// When the file cannot be read.
pub(in crate::cli) fn digests_of(
    path: &Path,
    hashes: &[HashAlgorithm],
) -> Result<Vec<ArtifactDigest>, Failure> {
    let tried = || format!("read the artifact {}", path.display());
    let mut file = File::open(path).trying(tried)?;
    let metadata = file.metadata().trying(tried)?;
    if metadata.is_dir() {
        return Err(
            Failure::because(tried(), io::Error::from(io::ErrorKind::IsADirectory))
                .next("a directory has no digest: sign an archive of it"),
        );
    }
    let bar = progress(path, metadata.len());
    let mut contexts: Vec<_> = hashes
        .iter()
        .map(|hash| (*hash, Context::new(algorithm_of(*hash))))
        .collect();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::because(tried(), error)),
        };
        for (_, context) in &mut contexts {
            context.update(chunk.get(..count).unwrap_or_default());
        }
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    contexts
        .into_iter()
        .map(|(hash, context)| ArtifactDigest::new(hash, context.finish().as_ref()).trying(tried))
        .collect()
}

/// Returns what computes a hash.
fn algorithm_of(hash: HashAlgorithm) -> &'static Algorithm {
    match hash {
        HashAlgorithm::Sha256 => &SHA256,
        HashAlgorithm::Sha384 => &SHA384,
        HashAlgorithm::Sha512 => &SHA512,
    }
}

/// Shows how far a large file is, on a terminal.
fn progress(path: &Path, length: u64) -> ProgressBar {
    if length < LARGE || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(format!("reading {}", path.display()));
    bar
}
