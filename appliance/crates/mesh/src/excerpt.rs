//! What a target said, fit to be shown.

use std::fmt;

/// Most octets of a target's text that are shown.
const MAX_LEN: usize = 100;

/// The beginning of what a target sent: printable ASCII, everything else escaped.
///
/// Targets are hostile; their words go into problem documents and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// Takes the beginning of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let shown = bytes.get(..MAX_LEN).unwrap_or(bytes);
        let mut text = shown.escape_ascii().to_string();
        if bytes.len() > MAX_LEN {
            text.push('…');
        }
        Self(text.into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}
