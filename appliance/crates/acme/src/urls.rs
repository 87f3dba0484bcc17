//! Where resources are, as clients see them (RFC 8555, 7.1).
//!
//! Every URL comes from the configured external one, never from a request: behind
//! a proxy the two differ, and a `Host` header is anyone's to write.

use std::fmt;
use std::net::SocketAddr;

use model::acme::{AccountId, AuthorizationId, CertificateId, ChallengeId, OrderId};

/// A resource of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The directory (7.1.1).
    Directory,
    /// Nonces (7.2).
    NewNonce,
    /// Account creation (7.3).
    NewAccount,
    /// Order creation (7.4).
    NewOrder,
    /// Pre-authorization (7.4.1).
    NewAuthorization,
    /// Revocation (7.6).
    RevokeCertificate,
    /// Key change (7.3.5).
    KeyChange,
    /// Renewal information (RFC 9773, 4).
    RenewalInfo,
}

impl Resource {
    /// Returns its path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Directory => "/directory",
            Self::NewNonce => "/acme/new-nonce",
            Self::NewAccount => "/acme/new-account",
            Self::NewOrder => "/acme/new-order",
            Self::NewAuthorization => "/acme/new-authz",
            Self::RevokeCertificate => "/acme/revoke-cert",
            Self::KeyChange => "/acme/key-change",
            Self::RenewalInfo => "/acme/renewal-info",
        }
    }
}

/// Path below which accounts are.
const ACCOUNT: &str = "/acme/account/";

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
    /// Unless it is `https://`, a host and perhaps a path, without query and
    /// fragment, in ASCII.
    pub fn new(text: &str) -> Result<Self, InvalidExternalUrl> {
        let trimmed = text.trim_end_matches('/');
        // RFC 8555, 6.1: ACME is spoken over HTTPS alone.
        let rest = trimmed.strip_prefix("https://").unwrap_or_default();
        let spelled = rest.bytes().all(|octet| {
            octet.is_ascii_graphic()
                && !matches!(octet, b'?' | b'#' | b'"' | b'<' | b'>' | b'@' | b'\\')
        });
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() || host.starts_with(':') || !spelled || rest.contains("//") {
            return Err(InvalidExternalUrl {
                given: text.chars().take(80).collect(),
            });
        }
        Ok(Self(trimmed.into()))
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

    /// Returns the URL of a resource.
    #[must_use]
    pub fn of(&self, resource: Resource) -> String {
        self.of_path(resource.path())
    }

    /// Returns an account's URL, which is its `kid`.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> String {
        format!("{}{ACCOUNT}{id}", self.0)
    }

    /// Returns the URL of an account's orders, from an order on.
    #[must_use]
    pub fn orders(&self, id: &AccountId, after: Option<&OrderId>) -> String {
        let account = self.account(id);
        match after {
            Some(after) => format!("{account}/orders?after={after}"),
            None => format!("{account}/orders"),
        }
    }

    /// Returns an order's URL.
    #[must_use]
    pub fn order(&self, id: &OrderId) -> String {
        format!("{}/acme/order/{id}", self.0)
    }

    /// Returns the URL by which an order is finalized.
    #[must_use]
    pub fn finalize(&self, id: &OrderId) -> String {
        format!("{}/finalize", self.order(id))
    }

    /// Returns the URL of an order's certificate; alternates count from 1.
    #[must_use]
    pub fn certificate(&self, id: &OrderId, alternate: usize) -> String {
        match alternate {
            0 => format!("{}/acme/cert/{id}", self.0),
            alternate => format!("{}/acme/cert/{id}/{alternate}", self.0),
        }
    }

    /// Returns an authorization's URL.
    #[must_use]
    pub fn authorization(&self, id: &AuthorizationId) -> String {
        format!("{}/acme/authz/{id}", self.0)
    }

    /// Returns a challenge's URL.
    #[must_use]
    pub fn challenge(&self, id: &ChallengeId) -> String {
        format!("{}/acme/chall/{id}", self.0)
    }

    /// Returns the URL of a certificate's renewal information.
    #[must_use]
    pub fn renewal_info(&self, id: &CertificateId) -> String {
        format!("{}/{id}", self.of(Resource::RenewalInfo))
    }

    /// Reads the account of a `kid`; none if it is no account's URL here.
    #[must_use]
    pub fn read_account(&self, kid: &str) -> Option<AccountId> {
        kid.strip_prefix(&*self.0)?
            .strip_prefix(ACCOUNT)?
            .parse()
            .ok()
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
    fn an_account_is_read_from_its_url_and_no_other() {
        let url = ExternalUrl::new("https://acme.example/pki/").unwrap();
        let id = AccountId::from_octets([7; 16]);
        let kid = url.account(&id);
        assert_eq!(
            kid,
            "https://acme.example/pki/acme/account/BwcHBwcHBwcHBwcHBwcHBw"
        );
        assert_eq!(url.read_account(&kid), Some(id));
        for other in [
            format!("{kid}/orders"),
            kid.replace("/pki", ""),
            kid.replace("https", "http"),
            id.to_string(),
        ] {
            assert_eq!(url.read_account(&other), None, "{other}");
        }
    }

    #[test]
    fn external_urls_are_https_without_query() {
        for good in [
            "https://a.example",
            "https://[::1]:8445/x/",
            "https://127.0.0.1:1",
        ] {
            assert!(ExternalUrl::new(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example",
            "https://",
            "https://:1",
            "https://a?b",
            "a.example",
            "https://a b",
        ] {
            assert!(ExternalUrl::new(bad).is_err(), "{bad}");
        }
    }
}
