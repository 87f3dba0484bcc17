//! Under which names certificates were ever told to look for their CRL.
//!
//! A certificate keeps for all its life the shard and the address that were
//! configured when it was issued. CRLs go on serving it after the configuration
//! changed: each shard has the entries of every count of shards there ever was,
//! and a CRL that names its place names all of them (RFC 5280, 6.3.3 (b)(2)(i)).

use std::path::Path;

use super::kept::{read, write_atomically};
use crate::error::Error;

/// Every count of shards and every address there ever was, the present ones first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// Counts of shards; none of them 0.
    pub(crate) shards: Vec<u32>,
    /// Addresses, without a slash at their end.
    pub(crate) urls: Vec<String>,
}

/// The first line of the file.
const HEADER: &str = "chancery publication history 1";

impl History {
    /// Reads the file and adds what is configured now. Blocks.
    ///
    /// # Errors
    ///
    /// `PublishedState` when the file cannot be read or written.
    pub(crate) fn open(path: &Path, shards: u32, url: &str) -> Result<Self, Error> {
        let before = match read(path)? {
            Some(octets) => Self::parse(&octets).ok_or_else(|| Error::PublishedState {
                action: "make sense of",
                path: path.to_owned(),
                source: std::io::ErrorKind::InvalidData.into(),
            })?,
            None => Self {
                shards: Vec::new(),
                urls: Vec::new(),
            },
        };
        let now = before.clone().with(shards, url);
        if now != before {
            // Before the first certificate names the new place.
            write_atomically(path, now.to_text().as_bytes())?;
        }
        Ok(now)
    }

    /// Puts what is configured first.
    fn with(mut self, shards: u32, url: &str) -> Self {
        if shards > 0 {
            self.shards.retain(|known| *known != shards);
            self.shards.insert(0, shards);
        }
        self.urls.retain(|known| known != url);
        self.urls.insert(0, url.to_owned());
        self
    }

    /// Returns one more than the largest shard that certificates name.
    pub(crate) fn largest(&self) -> u32 {
        self.shards.iter().copied().max().unwrap_or(0)
    }

    /// Reads the file's text.
    fn parse(octets: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(octets).ok()?.lines();
        let mut history = Self {
            shards: Vec::new(),
            urls: Vec::new(),
        };
        if lines.next()? != HEADER {
            return None;
        }
        for line in lines {
            match line.split_once(' ')? {
                ("shards", count) => {
                    let count: u32 = count.parse().ok()?;
                    history.shards.push((count > 0).then_some(count)?);
                }
                ("url", url) => history.urls.push(url.to_owned()),
                _ => return None,
            }
        }
        Some(history)
    }

    /// Writes the file's text.
    // Stored on disk: change only by adding a version.
    fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for count in &self.shards {
            text.push_str(&format!("shards {count}\n"));
        }
        for url in &self.urls {
            text.push_str(&format!("url {url}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_once_configured_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let open = |shards, url| History::open(&path, shards, url).unwrap();
        assert!(open(0, "http://a").shards.is_empty());
        assert_eq!(open(4, "http://a").shards, [4]);
        let now = open(8, "http://b");
        assert_eq!(now.shards, [8, 4]);
        assert_eq!(now.urls, ["http://b", "http://a"]);
        assert_eq!(open(0, "http://b").shards, [8, 4], "none now");
        assert_eq!(open(4, "http://a").largest(), 8);
    }

    #[test]
    fn another_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        for text in ["", "chancery publication history 2\n", "x\nshards 0\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(History::open(&path, 4, "http://a").is_err(), "{text:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
