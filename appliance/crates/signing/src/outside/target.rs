//! URLs that are asked for, and those that never are.

use std::fmt::Write;

use mesh::dial::Host;
use rustls::pki_types::ServerName;
use url::Url;

/// Most octets of a URL.
const MAX_URL: usize = 4096;

/// Whom to connect to, and what to ask for there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// What is asked for.
    url: Url,
    /// Whom to connect to.
    host: Host,
    /// At which port.
    port: u16,
}

/// Why a URL is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// No URL at all.
    #[error("it is no URL")]
    NoUrl,
    /// Another scheme than https.
    #[error("only https is asked")]
    Scheme,
    /// Name and password in the URL.
    #[error("it carries a name or a password")]
    UserInformation,
    /// No host.
    #[error("it names no host")]
    Host,
    /// A path or query where there is none to be.
    #[error("it has a path or query that does not belong here")]
    Path,
    /// More than is asked for.
    #[error("it is longer than {MAX_URL} octets")]
    TooLong,
}

impl Target {
    /// Takes a URL that may be asked for.
    ///
    /// # Errors
    ///
    /// Why it may not. Whether its host may be connected to is for the address rules.
    pub(crate) fn of(url: &Url) -> Result<Self, UrlProblem> {
        if url.as_str().len() > MAX_URL {
            return Err(UrlProblem::TooLong);
        }
        if url.scheme() != "https" {
            return Err(UrlProblem::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlProblem::UserInformation);
        }
        let host = match url.host().ok_or(UrlProblem::Host)? {
            url::Host::Ipv4(address) => Host::Ip(address.into()),
            url::Host::Ipv6(address) => Host::Ip(address.into()),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                if name.is_empty() {
                    return Err(UrlProblem::Host);
                }
                Host::Name(name.into())
            }
        };
        let mut url = url.clone();
        url.set_fragment(None);
        Ok(Self {
            port: url.port().unwrap_or(443),
            host,
            url,
        })
    }

    /// Returns the URL.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns whom to connect to.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the name that the server's certificate must have.
    pub(crate) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            Host::Ip(address) => Some(ServerName::IpAddress((*address).into())),
            Host::Name(name) => ServerName::try_from(name.to_string()).ok(),
        }
    }

    /// Returns the Host field (RFC 9110, 7.2).
    pub(crate) fn host_field(&self) -> String {
        let mut field = self.url.host_str().unwrap_or_default().to_owned();
        if let Some(port) = self.url.port() {
            // Writing to a text does not fail.
            let _written = write!(field, ":{port}");
        }
        field
    }

    /// Returns the request's target.
    pub(crate) fn path_and_query(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// Returns the URL as logs and refusals show it: without its query, which may hold
    /// what only the server is to see.
    pub(crate) fn shown(&self) -> String {
        shown(&self.url)
    }
}

/// Returns a URL as logs and refusals show it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_urls_are_asked_for() {
        let of = |text: &str| Target::of(&Url::parse(text).unwrap());
        let target = of("https://forge.test:8443/a/b?token=secret#part").unwrap();
        assert_eq!(target.host_field(), "forge.test:8443");
        assert_eq!(target.path_and_query(), "/a/b?token=secret");
        assert_eq!(target.shown(), "https://forge.test:8443/a/b");
        assert_eq!(of("https://forge.test/").unwrap().port(), 443);
        for (text, problem) in [
            ("http://forge.test/", UrlProblem::Scheme),
            ("file:///etc/passwd", UrlProblem::Scheme),
            ("https://user@forge.test/", UrlProblem::UserInformation),
            ("https://:pass@forge.test/", UrlProblem::UserInformation),
            ("https://./", UrlProblem::Host),
        ] {
            assert_eq!(of(text), Err(problem), "{text}");
        }
        let long = format!("https://forge.test/{}", "a".repeat(MAX_URL));
        assert_eq!(of(&long), Err(UrlProblem::TooLong));
    }

    #[test]
    fn an_address_in_any_spelling_is_an_address() {
        for text in [
            "https://127.2/",
            "https://2130706434/",
            "https://0x7f000002/",
        ] {
            let target = Target::of(&Url::parse(text).unwrap()).unwrap();
            assert_eq!(target.host(), &Host::Ip([127, 0, 0, 2].into()), "{text}");
        }
    }
}
