//! The configuration's text, the environment over it, and where each key stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Serialized};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::refusal::{ConfigError, Place, Refusal};

/// What environment variables that override keys begin with.
pub(crate) const ENV_PREFIX: &str = "CHANCERY__";

/// A configuration file's text and the path it came from.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file's path, for messages.
    path: PathBuf,
    /// Its text.
    text: String,
}

impl Source {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// `Unreadable` when it cannot be read, or is not UTF-8.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::from_text(path, text)),
            Err(source) => Err(ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Takes a text that is there already.
    pub(crate) fn from_text(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// Reads the text, overridden by the environment, as a `T`.
    ///
    /// # Errors
    ///
    /// `Syntax` when the text is no TOML; `Refused` with everything in it that
    /// `T` does not take.
    pub(crate) fn extract<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let table: toml::Table =
            toml::from_str(&self.text).map_err(|error| ConfigError::Syntax {
                path: self.path.clone(),
                source: Box::new(error),
            })?;
        let figment =
            Figment::from(Serialized::defaults(table)).merge(Env::prefixed(ENV_PREFIX).split("__"));
        figment.extract().map_err(|errors| ConfigError::Refused {
            refusals: errors
                .into_iter()
                .map(|error| Refusal::new(&error, self))
                .collect(),
        })
    }

    /// Tells where a key stands: the environment, a line of the file, or
    /// neither. The longest part of `keys` that is there counts.
    pub(super) fn locate(&self, keys: &[String]) -> Place {
        let variable = format!("{ENV_PREFIX}{}", keys.join("__").to_uppercase());
        if !keys.is_empty() && std::env::vars_os().any(|(name, _)| same_name(&name, &variable)) {
            return Place::Environment { variable };
        }
        let line = DeTable::parse(&self.text)
            .ok()
            .and_then(|document| deepest(document.get_ref(), keys))
            .map(|span| 1 + self.text[..span.start].matches('\n').count());
        Place::File {
            path: self.path.clone(),
            line,
        }
    }
}

/// Compares a variable's name with `wanted` as figment does, in any case.
fn same_name(name: &std::ffi::OsStr, wanted: &str) -> bool {
    name.to_str()
        .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
}

/// Finds the span of the last of `keys` that the document has.
fn deepest(table: &DeTable<'_>, keys: &[String]) -> Option<Range<usize>> {
    let (first, rest) = keys.split_first()?;
    let (key, value) = table
        .iter()
        .find(|(key, _)| key.get_ref().as_ref() == first.as_str())?;
    Some(deepest_value(value, rest).unwrap_or_else(|| key.span()))
}

/// Goes on below a value: a table by name, an array by index.
fn deepest_value(value: &Spanned<DeValue<'_>>, keys: &[String]) -> Option<Range<usize>> {
    match value.get_ref() {
        DeValue::Table(table) => deepest(table, keys),
        DeValue::Array(array) => {
            let (first, rest) = keys.split_first()?;
            let element = array.get(first.parse::<usize>().ok()?)?;
            Some(deepest_value(element, rest).unwrap_or_else(|| element.span()))
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}
