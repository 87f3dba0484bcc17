//! Secrets: where they are read from, and how they are held.
//!
//! Never in the configuration itself, an argument, a log line or a `Debug` text.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Where a secret is to be read.
///
/// Written `file:PATH`, `env:NAME` or `credential:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretSource {
    /// The first line of a file that only its owner can read.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A systemd credential (`LoadCredential=`, `$CREDENTIALS_DIRECTORY`).
    Credential(String),
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// A source that is none of ours; the text is not repeated, it may be a secret.
    #[error(
        "a secret's source is `file:PATH`, `env:NAME` or `credential:NAME`, never the secret itself"
    )]
    UnknownSource,
    /// The file cannot be read.
    #[error("the secret's file {} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What stopped it.
        source: io::Error,
    },
    /// Others can read the file.
    #[error(
        "the secret's file {} has mode {mode:04o}: others can read it; run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The variable is not set.
    #[error("the environment variable {name}, which should hold the secret, is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// Not started by systemd with credentials.
    #[error(
        "the secret is systemd's credential {name}, and $CREDENTIALS_DIRECTORY is not set; add \
         LoadCredential={name}:PATH to the unit"
    )]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// Shorter than what cannot be guessed.
    #[error(
        "the secret of {origin} has {len} octets; at least {min} are wanted: make one by \
         `openssl rand -base64 32`"
    )]
    TooShort {
        /// Where it was read.
        origin: SecretSource,
        /// Its octets.
        len: usize,
        /// Fewest octets.
        min: usize,
    },
    /// More than a secret.
    #[error("the secret of {origin} has more than {MAX_LEN} octets")]
    TooLong {
        /// Where it was read.
        origin: SecretSource,
    },
    /// Not text, or more than a line of it.
    #[error("the secret of {origin} is not one line of printable ASCII")]
    NotText {
        /// Where it was read.
        origin: SecretSource,
    },
}

/// Most octets of a secret.
const MAX_LEN: usize = 4096;

/// Fewest octets of a secret: 128 bits, as HMAC-SHA-256 is worth at least.
pub(crate) const MIN_LEN: usize = 16;

impl FromStr for SecretSource {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let named = |name: &str| {
            let spelled = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
                && !name.starts_with('.');
            spelled
                .then(|| name.to_owned())
                .ok_or(SecretError::UnknownSource)
        };
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) => Ok(Self::Environment(named(name)?)),
            Some(("credential", name)) => Ok(Self::Credential(named(name)?)),
            _ => Err(SecretError::UnknownSource),
        }
    }
}

impl TryFrom<String> for SecretSource {
    type Error = SecretError;

    fn try_from(text: String) -> Result<Self, SecretError> {
        let text = Zeroizing::new(text);
        text.parse()
    }
}

impl From<SecretSource> for String {
    fn from(source: SecretSource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    ///
    /// When the source is not there, can be read by others, or holds no secret of at
    /// least [`MIN_LEN`] octets.
    pub(crate) fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::File(path) => self.clean(&read_file(path, true)?),
            Self::Environment(name) => {
                let value = std::env::var_os(name)
                    .ok_or_else(|| SecretError::NotSet { name: name.clone() })?;
                self.clean(&Zeroizing::new(value.into_encoded_bytes()))
            }
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| SecretError::NoCredentials { name: name.clone() })?;
                // systemd keeps the directory itself from others; files in it may be 0440.
                self.clean(&read_file(&Path::new(&directory).join(name), false)?)
            }
        }
    }

    /// Takes the line end off and checks what is left.
    fn clean(&self, octets: &[u8]) -> Result<SecretString, SecretError> {
        let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
        let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
        if octets.len() > MAX_LEN {
            return Err(SecretError::TooLong {
                origin: self.clone(),
            });
        }
        if octets.len() < MIN_LEN {
            return Err(SecretError::TooShort {
                origin: self.clone(),
                len: octets.len(),
                min: MIN_LEN,
            });
        }
        let printable = |octet: &u8| octet.is_ascii_graphic() || *octet == b' ';
        match std::str::from_utf8(octets) {
            Ok(text) if octets.iter().all(printable) => Ok(SecretString::from(text)),
            _ => Err(SecretError::NotText {
                origin: self.clone(),
            }),
        }
    }
}

/// Reads a secret's file, looking at the open file's mode and not the path's.
fn read_file(path: &Path, private: bool) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |source| SecretError::File {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if private && mode & 0o077 != 0 {
        return Err(SecretError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    // One octet and a line end more than may be, so that too much is noticed.
    let most = MAX_LEN + 3;
    let mut octets = Zeroizing::new(Vec::with_capacity(most));
    file.take(most as u64)
        .read_to_end(&mut octets)
        .map_err(failed)?;
    Ok(octets)
}

/// Reads several secrets, of which any will do.
pub(crate) fn read_all(sources: &[SecretSource]) -> Result<Vec<SecretString>, SecretError> {
    sources.iter().map(SecretSource::read).collect()
}

/// Compares two secrets in a time that tells nothing of where they differ.
///
/// Their digests are compared: not even the length is told.
pub(crate) fn same_secret(one: &SecretString, other: &[u8]) -> bool {
    use aws_lc_rs::constant_time::verify_slices_are_equal;
    use aws_lc_rs::digest::{SHA256, digest};
    let one = digest(&SHA256, one.expose_secret().as_bytes());
    let other = digest(&SHA256, other);
    verify_slices_are_equal(one.as_ref(), other.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_source_is_named_and_never_the_secret_itself() {
        for text in ["file:/etc/secret", "env:HOOK_SECRET", "credential:hook"] {
            let source: SecretSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        for text in [
            "hunter2hunter2hunter2",
            "file:",
            "env:",
            "credential:../x",
            "",
        ] {
            let error = text.parse::<SecretSource>().unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "0123456789abcdef\n").unwrap();
        let source = SecretSource::File(path.clone());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            source.read(),
            Err(SecretError::Exposed { mode: 0o644, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let secret = source.read().unwrap();
        assert_eq!(secret.expose_secret(), "0123456789abcdef");
        assert!(!format!("{secret:?}").contains("0123"));
    }

    #[test]
    fn short_long_and_binary_secrets_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let read = |octets: &[u8]| {
            fs::write(&path, octets).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            SecretSource::File(path.clone()).read()
        };
        assert!(matches!(
            read(b"0123456789abcde\n"),
            Err(SecretError::TooShort { len: 15, .. })
        ));
        assert!(matches!(
            read(&[b'a'; MAX_LEN + 1]),
            Err(SecretError::TooLong { .. })
        ));
        for text in [&b"0123456789abcdef\nmore"[..], b"0123456789abcdef\xff"] {
            assert!(matches!(read(text), Err(SecretError::NotText { .. })));
        }
    }

    #[test]
    fn secrets_are_the_same_or_not() {
        let secret = SecretString::from("0123456789abcdef");
        assert!(same_secret(&secret, b"0123456789abcdef"));
        for other in [&b"0123456789abcdeg"[..], b"0123456789abcdef0", b""] {
            assert!(!same_secret(&secret, other));
        }
    }
}
