//! Where the token's PIN comes from; never from an argument or a configuration.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Where a PIN is to be read.
///
/// Written `prompt`, `file:PATH`, `env:NAME` or `credential:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum PinSource {
    /// Asked of the person at the terminal.
    #[default]
    Prompt,
    /// The first line of a file that only its owner can read.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A systemd credential (`LoadCredential=`, `$CREDENTIALS_DIRECTORY`).
    Credential(String),
}

/// Why there is no PIN.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PinError {
    /// A source that is none of ours; the text is not repeated, it may be a PIN.
    #[error(
        "a PIN's source is `prompt`, `file:PATH`, `env:NAME` or `credential:NAME`, \
         never the PIN itself"
    )]
    UnknownSource,
    /// Nobody can be asked.
    #[error(
        "the PIN is to be typed and nobody can be asked; name a source by `pin_source`: \
         `file:PATH`, `env:NAME` or `credential:NAME`"
    )]
    NoPrompt,
    /// Asking failed.
    #[error("the PIN could not be asked for")]
    PromptFailed(#[source] Arc<io::Error>),
    /// The file cannot be read.
    #[error("the PIN file {} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What stopped it.
        source: Arc<io::Error>,
    },
    /// Others can read the file.
    #[error(
        "the PIN file {} has mode {mode:04o}: others can read it; run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The variable is not set.
    #[error("the environment variable {name}, which should hold the PIN, is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// Not started by systemd with credentials.
    #[error(
        "the PIN is systemd's credential {name}, and $CREDENTIALS_DIRECTORY is not set; \
         add LoadCredential={name}:PATH to the unit"
    )]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// Nothing in it.
    #[error("the PIN is empty")]
    Empty,
    /// More than a PIN.
    #[error("the PIN has more than {MAX_LEN} octets")]
    TooLong,
    /// Not text.
    #[error("the PIN is not UTF-8")]
    NotUtf8,
}

impl PartialEq for PinError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for PinError {}

/// Most octets of a PIN.
const MAX_LEN: usize = 255;

/// Asks a person for a token's PIN.
///
/// The command line gives one; a service gives none.
pub trait AskPin: Send + Sync {
    /// Asks for the PIN of the token so described.
    ///
    /// # Errors
    ///
    /// When nobody can be asked, or the terminal fails.
    fn ask_pin(&self, token: &str) -> io::Result<SecretString>;
}

/// Asks nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrompt;

impl AskPin for NoPrompt {
    fn ask_pin(&self, _token: &str) -> io::Result<SecretString> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl FromStr for PinSource {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let named = |name: &str| {
            let spelled = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
                && !name.starts_with('.');
            spelled
                .then(|| name.to_owned())
                .ok_or(PinError::UnknownSource)
        };
        match text.split_once(':') {
            None if text == "prompt" => Ok(Self::Prompt),
            // RFC 7512, 2.4: a file URI, or a bare path.
            None if text.starts_with('/') => Ok(Self::File(text.into())),
            Some(("file", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() {
                    return Err(PinError::UnknownSource);
                }
                Ok(Self::File(path.into()))
            }
            Some(("env", name)) => Ok(Self::Environment(named(name)?)),
            Some(("credential", name)) => Ok(Self::Credential(named(name)?)),
            _ => Err(PinError::UnknownSource),
        }
    }
}

impl TryFrom<String> for PinSource {
    type Error = PinError;

    fn try_from(text: String) -> Result<Self, PinError> {
        let text = Zeroizing::new(text);
        text.parse()
    }
}

impl fmt::Display for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prompt => f.write_str("prompt"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

impl PinSource {
    /// Reads the PIN.
    ///
    /// # Errors
    ///
    /// When the source is not there, can be read by others, or holds no PIN.
    pub(crate) fn read(&self, token: &str, prompt: &dyn AskPin) -> Result<SecretString, PinError> {
        match self {
            Self::Prompt => match prompt.ask_pin(token) {
                Ok(pin) => Ok(pin),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(PinError::NoPrompt),
                Err(error) => Err(PinError::PromptFailed(Arc::new(error))),
            },
            Self::File(path) => read_file(path, true),
            Self::Environment(name) => {
                let value = std::env::var_os(name)
                    .ok_or_else(|| PinError::NotSet { name: name.clone() })?;
                let value = Zeroizing::new(value.into_encoded_bytes());
                clean(&value)
            }
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| PinError::NoCredentials { name: name.clone() })?;
                // systemd keeps the directory itself from others; files in it may be 0440.
                read_file(&Path::new(&directory).join(name), false)
            }
        }
    }
}

/// Reads a PIN's file, looking at the open file's mode and not the path's.
fn read_file(path: &Path, private: bool) -> Result<SecretString, PinError> {
    let failed = |source| PinError::File {
        path: path.to_owned(),
        source: Arc::new(source),
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if private && mode & 0o077 != 0 {
        return Err(PinError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_LEN + 3));
    file.take(MAX_LEN as u64 + 3)
        .read_to_end(&mut octets)
        .map_err(failed)?;
    clean(&octets)
}

/// Takes the line end off and checks what is left.
fn clean(octets: &[u8]) -> Result<SecretString, PinError> {
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
    if octets.is_empty() {
        return Err(PinError::Empty);
    }
    if octets.len() > MAX_LEN {
        return Err(PinError::TooLong);
    }
    let text = std::str::from_utf8(octets).map_err(|_| PinError::NotUtf8)?;
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_pin_written_as_its_source_is_refused_and_not_repeated() {
        for text in ["123456", "hunter2", "env:hunter=2", "credential:../x"] {
            let refusal = text.parse::<PinSource>().unwrap_err();
            assert!(!refusal.to_string().contains(text), "{text}");
        }
        for text in ["env:", "file:", "credential:"] {
            text.parse::<PinSource>().unwrap_err();
        }
    }

    #[test]
    fn sources_read_back_as_written() {
        for text in [
            "prompt",
            "file:/etc/pin",
            "env:TOKEN_PIN",
            "credential:token-pin",
        ] {
            assert_eq!(text.parse::<PinSource>().unwrap().to_string(), text);
        }
        assert_eq!(
            "file:///etc/pin".parse::<PinSource>().unwrap(),
            PinSource::File("/etc/pin".into())
        );
    }

    #[test]
    fn a_pin_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        std::fs::write(&path, "1234\n").unwrap();
        let source = PinSource::File(path.clone());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            source.read("t", &NoPrompt),
            Err(PinError::Exposed { mode: 0o640, .. })
        ));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(source.read("t", &NoPrompt).unwrap().expose_secret(), "1234");
    }

    #[test]
    fn without_a_terminal_the_error_names_the_other_sources() {
        let refusal = PinSource::Prompt.read("t", &NoPrompt).unwrap_err();
        assert!(refusal.to_string().contains("pin_source"));
    }
}
