//! `[acme.validation.device_attest]`: whether devices may attest, and by whose word.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AttestationFormat, Attestor, RootsError, read_roots};

/// `[acme.validation.device_attest]`, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceAttestConfig {
    /// Whether device-attest-01 is offered, to orders for permanent identifiers.
    pub enabled: bool,
    /// The formats of attestations that are taken: `step`.
    pub formats: Vec<String>,
    /// For each format a PEM file of the roots that its attestations must lead to.
    pub roots: BTreeMap<String, PathBuf>,
}

/// Why `[acme.validation.device_attest]` cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDeviceAttestConfig {
    /// Switched on without a format.
    #[error("`formats` must name at least one format, such as \"step\"")]
    NoFormat,
    /// A format that is not verified here.
    #[error("`{key}`: {given:?} is no format that is verified here; `step` is")]
    Format {
        /// `formats` or `roots`.
        key: &'static str,
        /// The text given, cut at 40 characters.
        given: String,
    },
    /// A format without roots, of which nothing could pass.
    #[error("`roots.{format}` must name a PEM file of the roots that its attestations lead to")]
    NoRoots {
        /// The format.
        format: AttestationFormat,
    },
    /// Roots of a format that is not taken.
    #[error("`roots.{format}` is given, but `formats` does not name {format}")]
    UnusedRoots {
        /// The format.
        format: AttestationFormat,
    },
}

/// `[acme.validation.device_attest]`, switched on and found sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedDeviceAttest {
    /// The formats taken, each with its file of roots.
    formats: Vec<(AttestationFormat, PathBuf)>,
}

impl DeviceAttestConfig {
    /// Checks the section; none where it is switched off.
    ///
    /// # Errors
    ///
    /// The first key that cannot be worked with, and why.
    pub fn check(&self) -> Result<Option<CheckedDeviceAttest>, InvalidDeviceAttestConfig> {
        let parse = |key, given: &String| {
            given
                .parse::<AttestationFormat>()
                .map_err(|_| InvalidDeviceAttestConfig::Format {
                    key,
                    given: given.chars().take(40).collect(),
                })
        };
        let mut formats: Vec<(AttestationFormat, PathBuf)> = Vec::new();
        for given in &self.formats {
            let format = parse("formats", given)?;
            let roots = self
                .roots
                .get(format.as_str())
                .ok_or(InvalidDeviceAttestConfig::NoRoots { format })?;
            if !formats.iter().any(|(known, _)| *known == format) {
                formats.push((format, roots.clone()));
            }
        }
        for given in self.roots.keys() {
            let format = parse("roots", given)?;
            if !formats.iter().any(|(known, _)| *known == format) {
                return Err(InvalidDeviceAttestConfig::UnusedRoots { format });
            }
        }
        if !self.enabled {
            return Ok(None);
        }
        if formats.is_empty() {
            return Err(InvalidDeviceAttestConfig::NoFormat);
        }
        Ok(Some(CheckedDeviceAttest { formats }))
    }
}

impl CheckedDeviceAttest {
    /// Reads the roots.
    ///
    /// # Errors
    ///
    /// The first file that holds none, and why.
    pub fn attestor(&self) -> Result<Attestor, (PathBuf, RootsError)> {
        let formats = self
            .formats
            .iter()
            .map(|(format, path)| match read_roots(path) {
                Ok(roots) => Ok((*format, roots)),
                Err(error) => Err((path.clone(), error)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Attestor::new(formats))
    }
}
