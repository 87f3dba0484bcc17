//! What is wrong with a configuration, said so that it can be put right.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use figment::error::Kind;

use super::source::Source;

/// Why there is no configuration to work by.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The path that was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no TOML.
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's words, with the line.
        source: Box<toml::de::Error>,
    },
    /// Keys or values are not what they must be.
    Refused {
        /// Each of them, at least one.
        refusals: Vec<Refusal>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, .. } => write!(f, "{} cannot be read", path.display()),
            Self::Syntax { path, .. } => write!(f, "{} is no TOML", path.display()),
            Self::Refused { refusals } => {
                for (index, refusal) in refusals.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "\n" };
                    write!(f, "{separator}{refusal}")?;
                }
                Ok(())
            }
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Syntax { source, .. } => Some(source.as_ref()),
            Self::Refused { .. } => None,
        }
    }
}

/// Where a key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In an environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// In the file, or missing from it.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where one can be told.
        line: Option<usize>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// One key or value that is not what it must be.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Where it stands.
    place: Place,
    /// What is wrong, and what would be right.
    complaint: String,
}

impl Refusal {
    /// Reads figment's error and finds its place.
    pub(super) fn new(error: &figment::Error, source: &Source) -> Self {
        let mut keys = error.path.clone();
        let complaint = match &error.kind {
            Kind::UnknownField(field, known) => {
                // Plain tables put the key on the path, others leave that to us.
                if keys.last() != Some(field) {
                    keys.push(field.clone());
                }
                unknown_key(&keys, field, known)
            }
            Kind::UnknownVariant(given, known) => format!(
                "{} = {given:?} is not one of {}{}",
                key(&keys),
                known.join(", "),
                nearest(given, known)
                    .map_or_else(String::new, |name| { format!("; did you mean {name:?}?") }),
            ),
            Kind::MissingField(field) => {
                let mut missing = keys.clone();
                missing.push(field.to_string());
                format!("{} is missing and has no default", key(&missing))
            }
            Kind::InvalidType(given, wanted) => {
                format!("{} must be {wanted}, not {given}", key(&keys))
            }
            Kind::InvalidValue(given, wanted) => {
                format!("{} must be {wanted}, not {given}", key(&keys))
            }
            Kind::InvalidLength(length, wanted) => {
                format!("{} has {length} elements, not {wanted}", key(&keys))
            }
            Kind::DuplicateField(field) => format!("{} stands twice", key(&[field.to_string()])),
            Kind::Message(message) => match unknown_in_message(message) {
                // A table chosen by its `type` key reports through a message.
                Some((field, known)) => {
                    keys.push(field.to_owned());
                    unknown_key(&keys, field, &known)
                }
                None => format!("{}: {message}", key(&keys)),
            },
            Kind::ISizeOutOfRange(_)
            | Kind::USizeOutOfRange(_)
            | Kind::Unsupported(_)
            | Kind::UnsupportedKey(..) => format!("{}: {}", key(&keys), error.kind),
        };
        Self {
            place: source.locate(&keys),
            complaint,
        }
    }
}

impl Refusal {
    /// Takes a room's own complaint about its section.
    pub(super) fn of_section(keys: &[&str], error: &dyn Error, source: &Source) -> Self {
        let mut keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let words = error.to_string();
        // Rooms name the key within their section first: "`limits.workers` must …".
        let named = words
            .strip_prefix('`')
            .and_then(|rest| rest.split_once('`'))
            .filter(|(name, _)| !name.contains(' '));
        let words = match named {
            Some((name, words)) => {
                keys.extend(
                    name.split('.')
                        .map(|part| part.trim_matches('"').to_owned()),
                );
                words.trim_start_matches([':', ' '])
            }
            None => &words,
        };
        let mut complaint = format!("{}: {words}", key(&keys));
        let mut cause = error.source();
        while let Some(error) = cause {
            complaint.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self {
            place: source.locate(&keys),
            complaint,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.complaint)
    }
}

/// Renders a key as the file's reader thinks of it.
fn key(keys: &[String]) -> String {
    if keys.is_empty() {
        "the file".to_owned()
    } else {
        keys.join(".")
    }
}

/// Says that a key is unknown, which is nearest, and which there are.
fn unknown_key(keys: &[String], field: &str, known: &[&str]) -> String {
    let did_you_mean =
        nearest(field, known).map_or_else(String::new, |name| format!(", did you mean {name}?"));
    format!(
        "no such key {}{did_you_mean} (known here: {})",
        key(keys),
        known.join(", ")
    )
}

/// Picks serde's words for an unknown field apart: "unknown field `a`, expected
/// `b` or `c`", "… expected one of `b`, `c`, `d`".
fn unknown_in_message(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (field, rest) = rest.split_once('`')?;
    // Between backticks stand names and separators by turns.
    let known = rest.split('`').skip(1).step_by(2).collect();
    Some((field, known))
}

/// Finds the known name that is nearest to a mistyped one, if any is near.
fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), *name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
