//! The file beside a copy of this module that says what it stands in front of.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What a copy of the module stands in front of.
///
/// One `name=value` a line; values are paths, taken byte for byte to the line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// The module behind.
    pub real: PathBuf,
    /// The variables that the module behind sees, before the process's own.
    pub environment: Vec<(String, OsString)>,
    /// The control file; none for a module that is passed through.
    pub control: Option<PathBuf>,
}

/// A sidecar that does not say what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidSidecar {
    /// No line `real=PATH`.
    NoModule,
    /// A line without a meaning.
    UnknownLine {
        /// Its number, from 1.
        number: usize,
    },
}

impl std::fmt::Display for InvalidSidecar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoModule => f.write_str("the sidecar has no line real=PATH"),
            Self::UnknownLine { number } => {
                write!(
                    f,
                    "line {number} of the sidecar is none of real=, env= and control="
                )
            }
        }
    }
}

impl std::error::Error for InvalidSidecar {}

impl Sidecar {
    /// Returns where the sidecar of a module lies: the same name, ending in `.conf`.
    #[must_use]
    pub fn path_for(module: &Path) -> PathBuf {
        module.with_extension("conf")
    }

    /// Reads a sidecar's text.
    ///
    /// # Errors
    ///
    /// When no module is named, or a line is none of ours.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidSidecar> {
        let (mut real, mut environment, mut control) = (None, Vec::new(), None);
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let path = |value: &[u8]| PathBuf::from(OsString::from_vec(value.to_vec()));
            match split_at_equals(line) {
                Some((b"real", value)) => real = Some(path(value)),
                Some((b"control", value)) => control = Some(path(value)),
                Some((b"env", variable)) => {
                    let (name, value) = split_at_equals(variable)
                        .ok_or(InvalidSidecar::UnknownLine { number: index + 1 })?;
                    let name = String::from_utf8_lossy(name).into_owned();
                    environment.push((name, OsStr::from_bytes(value).to_owned()));
                }
                _ => return Err(InvalidSidecar::UnknownLine { number: index + 1 }),
            }
        }
        Ok(Self {
            real: real.ok_or(InvalidSidecar::NoModule)?,
            environment,
            control,
        })
    }

    /// Writes the text that [`Sidecar::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut line = |parts: &[&[u8]]| {
            text.extend(parts.concat());
            text.push(b'\n');
        };
        line(&[b"real=", self.real.as_os_str().as_bytes()]);
        for (name, value) in &self.environment {
            line(&[b"env=", name.as_bytes(), b"=", value.as_bytes()]);
        }
        if let Some(control) = &self.control {
            line(&[b"control=", control.as_os_str().as_bytes()]);
        }
        text
    }
}

/// Splits at the first equals sign.
fn split_at_equals(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b'=')?;
    let (name, rest) = line.split_at(at);
    Some((name, rest.get(1..).unwrap_or_default()))
}
