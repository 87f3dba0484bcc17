//! Where resources are, as clients see them.
//!
//! Every URL comes from the configured external one, never from a request: behind
//! a proxy the two differ, and a `Host` header is anyone's to write.

use std::fmt;
use std::net::SocketAddr;

use model::signing::{ArtifactDigest, SignatureId};

/// The external URL of one listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExternalUrl(Box<str>);

/// A text that is no external URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no URL that clients can reach: https://HOST[:PORT][/PREFIX]")]
pub struct InvalidExternalUrl {
    /// The text given, cut at 80 characters.
    pub given: String,
}

impl ExternalUrl {
    /// Checks and takes a URL; a slash at its end does not count.
    ///
    /// # Errors
    ///
    /// Unless it is `https://`, a host and perhaps a path, without user, query and
    /// fragment, in ASCII.
    pub fn new(text: &str) -> Result<Self, InvalidExternalUrl> {
        let invalid = || InvalidExternalUrl {
            given: text.chars().take(80).collect(),
        };
        let trimmed = text.trim_end_matches('/');
        let url = url::Url::parse(trimmed).map_err(|_| invalid())?;
        let plain = url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let spelled = trimmed.bytes().all(|octet| octet.is_ascii_graphic())
            && trimmed.starts_with("https://")
            && !trimmed.contains(['"', '<', '>', '\\']);
        if plain && spelled {
            Ok(Self(trimmed.into()))
        } else {
            Err(invalid())
        }
    }

    /// Makes the URL of an address.
    #[must_use]
    pub fn of_address(address: SocketAddr) -> Option<Self> {
        Self::new(&format!("https://{address}")).ok()
    }

    /// Returns the URL without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the URL of a path.
    #[must_use]
    pub fn of_path(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Returns a signature's URL.
    #[must_use]
    pub fn signature(&self, id: &SignatureId) -> String {
        format!("{}/v1/signatures/{id}", self.0)
    }

    /// Returns the URL of all evidence for an artifact.
    #[must_use]
    pub fn artifact(&self, digest: &ArtifactDigest) -> String {
        format!("{}/v1/artifacts/{digest}", self.0)
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_urls_are_taken() {
        for good in [
            "https://sign.example",
            "https://127.0.0.1:8446/a/b/",
            "https://[::1]:1",
        ] {
            assert!(ExternalUrl::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://a",
            "https://",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "https://a/\u{e9}",
            "https://a b",
        ] {
            assert!(ExternalUrl::new(bad).is_err(), "{bad}");
        }
    }
}
