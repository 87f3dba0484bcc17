//! Files that survive a crash whole: the old content or the new one.

use std::fs::{File, create_dir_all, rename};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use crate::error::Error;

/// Writes a file so that a crash leaves the old one or the new one.
///
/// # Errors
///
/// `File`; the old one stays.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let write = || {
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        if let Some(parent) = parent {
            create_dir_all(parent)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let mut file = File::create(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        rename(&beside, path)?;
        match parent {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|source| Error::File {
        act: "write",
        path: path.to_owned(),
        source,
    })
}

/// Reads a file of at most `most` octets; none if there is no such file.
///
/// # Errors
///
/// `File` when it cannot be read or is longer.
pub fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Error> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut content)?;
        if content.len() as u64 > most {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(content)
    };
    match read() {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File {
            act: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_lies_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below").join("a.crl");
        assert_eq!(read(&path, 10).unwrap(), None);
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path, 3).unwrap().as_deref(), Some(&b"two"[..]));
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1);
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read_into_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.crl");
        write(&path, &[0; 100]).unwrap();
        assert!(matches!(read(&path, 99), Err(Error::File { .. })));
    }
}
