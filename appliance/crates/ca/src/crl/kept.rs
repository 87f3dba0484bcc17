//! What was published, kept as files: served at a start without a token.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use model::IssuerId;
use pki::certificate::Certificate;
use store::CrlRecord;
use tracing::warn;

use super::{Crl, CrlKind};
use crate::error::Error;

/// The directory of what was published.
#[derive(Debug, Clone)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Opens the directory, making it when missing. Blocks.
    ///
    /// # Errors
    ///
    /// `PublishedState` when it cannot be made.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        std::fs::create_dir_all(&path).map_err(failed("make the directory", &path))?;
        Ok(Self(path))
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns where a CRL is kept.
    fn crl_file(&self, issuer: &IssuerId, kind: CrlKind) -> PathBuf {
        self.file(&format!("{}.crl", kind.stem(issuer)))
    }

    /// Keeps a CRL in the place of the one before. Blocks.
    ///
    /// # Errors
    ///
    /// `PublishedState` when it cannot be written; the one before is whole.
    pub(crate) fn keep(&self, issuer: &IssuerId, kind: CrlKind, der: &[u8]) -> Result<(), Error> {
        write_atomically(&self.crl_file(issuer, kind), der)
    }

    /// Reads a CRL that was kept. Blocks.
    ///
    /// One that the authority did not sign is told and left out: it is issued
    /// anew then.
    ///
    /// # Errors
    ///
    /// `PublishedState` when the file is there and cannot be read.
    pub(crate) fn load(
        &self,
        issuer: &IssuerId,
        kind: CrlKind,
        authority: &Certificate,
        recorded: Option<&CrlRecord>,
    ) -> Result<Option<Arc<Crl>>, Error> {
        let path = self.crl_file(issuer, kind);
        let Some(octets) = read(&path)? else {
            return Ok(None);
        };
        match read_crl(octets, authority, recorded) {
            Ok(crl) => Ok(Some(Arc::new(crl))),
            Err(why) => {
                warn!(
                    issuer = %issuer,
                    "left {} out, which is no CRL of authority {issuer} ({why}); it is issued anew",
                    path.display()
                );
                Ok(None)
            }
        }
    }
}

/// Reads a CRL of an authority; `recorded` is the last one of its kind.
fn read_crl(
    octets: Vec<u8>,
    authority: &Certificate,
    recorded: Option<&CrlRecord>,
) -> Result<Crl, String> {
    let parsed = pki::crl::Crl::parse(&octets).map_err(|error| error.to_string())?;
    parsed
        .verify_issued_by(authority)
        .map_err(|error| error.to_string())?;
    let number = |number: Option<pki::crl::CrlNumber>| number.and_then(|number| number.to_u64());
    let number_found = number(parsed.number()).ok_or("its number is missing or not one of ours")?;
    let next_update = parsed.next_update().ok_or("its nextUpdate is missing")?;
    // Only of the last one recorded is it known what it reflects.
    let record = recorded.filter(|record| record.number == number_found);
    Ok(Crl {
        number: number_found,
        base: number(parsed.delta_base()),
        this_update: parsed.this_update(),
        next_update,
        entries: parsed.len() as u64,
        through: record.map_or(0, |record| record.through),
        is_last: record.is_some(),
        revision: 0,
        etag: Crl::etag_of(&octets),
        der: Bytes::from(octets),
    })
}

/// Reads a file; none if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path)(source)),
    }
}

/// Puts a file in the place of the one before: whole and on disk, or not at all.
/// Blocks.
///
/// # Errors
///
/// `PublishedState` when it cannot be written; the one before is whole.
pub(crate) fn write_atomically(path: &Path, octets: &[u8]) -> Result<(), Error> {
    let write = |source| failed("write", path)(source);
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)
        .map_err(write)?;
    file.write_all(octets).map_err(write)?;
    file.sync_all().map_err(write)?;
    drop(file);
    std::fs::rename(&temporary, path).map_err(write)?;
    // The name is on disk only once its directory is.
    match path.parent() {
        Some(parent) => File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(write),
        None => Ok(()),
    }
}

/// Wraps what the operating system answered.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::PublishedState {
        action,
        path,
        source,
    }
}
