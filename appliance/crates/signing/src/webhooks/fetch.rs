//! Fetching files: from configured hosts alone, by the address rules at every hop, within
//! size, time and a least rate, and never as a whole in memory unless they are small.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER,
};
use mesh::Excerpt;
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use url::{Origin, Url};

use super::config::{CheckedFetch, TokenHeader};
use super::secret::SecretError;
use crate::outside::{Answer, Ask, Outside, OutsideError, Target, UrlProblem};

/// Time before the least rate is asked for.
const GRACE: Duration = Duration::from_secs(10);

/// Fetches files.
#[derive(Debug)]
pub(crate) struct Fetcher {
    /// Asks servers.
    outside: Arc<Outside>,
    /// By whom they are trusted.
    tls: Arc<ClientConfig>,
    /// Hosts and limits.
    config: CheckedFetch,
    /// The tokens of hosts.
    tokens: Vec<HostToken>,
    /// Time before the least rate is asked for.
    grace: Duration,
}

/// The token of a host.
#[derive(Debug)]
struct HostToken {
    /// The host.
    origin: Origin,
    /// The field.
    name: HeaderName,
    /// Its value, marked as secret.
    value: HeaderValue,
}

/// Why a file is not had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    /// The server gave no answer.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// A URL that is never asked for.
    #[error("{url} is not fetched: {problem}")]
    Url {
        /// The URL, as far as it is shown.
        url: Excerpt,
        /// Why not.
        problem: UrlProblem,
    },
    /// A host that files are not fetched from.
    #[error("{url} is not fetched: its host is none of [signing.fetch.hosts]")]
    Host {
        /// The URL.
        url: Box<str>,
    },
    /// A redirect that is not followed.
    #[error("{from} redirects to {to}, which is not followed: {problem}")]
    Redirect {
        /// Where it came from.
        from: Box<str>,
        /// Where it leads.
        to: Excerpt,
        /// Why it is not followed.
        problem: RedirectProblem,
    },
    /// Another status than 200.
    #[error("{url} answered status {status}, not 200")]
    Status {
        /// The URL.
        url: Box<str>,
        /// The status.
        status: u16,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// A file that is packed for the way.
    #[error("{url} sends its file as {encoding}, which was not asked for")]
    Encoded {
        /// The URL.
        url: Box<str>,
        /// The coding.
        encoding: Excerpt,
    },
    /// More than may be.
    #[error("{url} holds {}more than the {max} octets that may be", told(*len))]
    TooLarge {
        /// The URL.
        url: Box<str>,
        /// Most octets.
        max: u64,
        /// What the server says it has.
        len: Option<u64>,
    },
    /// Less in a second than must be.
    #[error("{url} sent {received} octets in {} s, fewer than {least} a second", took.as_secs())]
    TooSlow {
        /// The URL.
        url: Box<str>,
        /// Octets received.
        received: u64,
        /// The time they took.
        took: Duration,
        /// Fewest octets in a second.
        least: u64,
    },
}

/// Shows a length that is known.
fn told(len: Option<u64>) -> String {
    len.map(|len| format!("{len} octets, ")).unwrap_or_default()
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedirectProblem {
    /// One more than are followed.
    #[error("at most {most} redirects are followed")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// It led there before.
    #[error("it leads in a circle")]
    Circle,
    /// Nothing that is asked for.
    #[error("{0}")]
    Url(UrlProblem),
    /// A host that files are not fetched from.
    #[error("its host is none of [signing.fetch.hosts]")]
    Host,
}

impl FetchError {
    /// Tells whether another attempt may come to something else.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Outside(error) => error.is_transient(),
            // 404: a forge may tell of a file a moment before it serves it.
            Self::Status { status, .. } => {
                matches!(status, 404 | 408 | 409 | 425 | 429) || *status >= 500
            }
            Self::TooSlow { .. } => true,
            Self::Url { .. }
            | Self::Host { .. }
            | Self::Redirect { .. }
            | Self::Encoded { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// Returns when the server wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Makes a header field of a token.
pub(crate) fn token_field(
    header: TokenHeader,
    token: &SecretString,
) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match header {
        TokenHeader::Bearer => (AUTHORIZATION, format!("Bearer {}", token.expose_secret())),
        TokenHeader::PrivateToken => (
            HeaderName::from_static("private-token"),
            token.expose_secret().to_owned(),
        ),
    };
    let mut value = HeaderValue::try_from(zeroize::Zeroizing::new(value).as_str()).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

impl Fetcher {
    /// Reads the hosts' tokens.
    ///
    /// # Errors
    ///
    /// When one cannot be had.
    pub(crate) fn open(
        outside: Arc<Outside>,
        tls: Arc<ClientConfig>,
        config: &CheckedFetch,
    ) -> Result<Self, SecretError> {
        let mut tokens = Vec::new();
        for host in &config.hosts {
            let Some(source) = &host.token else {
                continue;
            };
            let token = source.read()?;
            let (name, value) =
                token_field(host.token_header, &token).ok_or_else(|| SecretError::NotText {
                    origin: source.clone(),
                })?;
            tokens.push(HostToken {
                origin: host.origin.clone(),
                name,
                value,
            });
        }
        Ok(Self {
            outside,
            tls,
            config: config.clone(),
            tokens,
            grace: GRACE,
        })
    }

    /// Asks for the least rate from another time on.
    #[cfg(test)]
    pub(crate) fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Returns the limits.
    pub(crate) fn config(&self) -> &CheckedFetch {
        &self.config
    }

    /// Fetches a file, giving its octets to `sink` as they come, and returns how many
    /// there were.
    ///
    /// Octets are hostile; what `sink` has when this fails counts for nothing.
    ///
    /// # Errors
    ///
    /// Why the file is not had, or not whole.
    pub(crate) async fn fetch(
        &self,
        url: &Url,
        max: u64,
        sink: &mut (dyn FnMut(&Bytes) + Send),
    ) -> Result<u64, FetchError> {
        let limit = self.config.timeout;
        match timeout(limit, self.follow(url, max, sink)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchError::Outside(OutsideError::Timeout {
                url: crate::outside::shown(url).into(),
                step: "fetching the file",
                limit,
            })),
        }
    }

    /// Fetches a small file whole.
    ///
    /// # Errors
    ///
    /// As `fetch`.
    pub(crate) async fn fetch_whole(&self, url: &Url, max: usize) -> Result<Bytes, FetchError> {
        let mut whole = Vec::new();
        self.fetch(url, max as u64, &mut |octets| {
            whole.extend_from_slice(octets);
        })
        .await?;
        Ok(whole.into())
    }

    /// Asks, and goes where redirects lead.
    async fn follow(
        &self,
        url: &Url,
        max: u64,
        sink: &mut (dyn FnMut(&Bytes) + Send),
    ) -> Result<u64, FetchError> {
        let mut target = self.first(url)?;
        let mut seen = HashSet::from([target.url().as_str().to_owned()]);
        loop {
            let mut answer = self.ask(&target).await?;
            if is_redirect(answer.status) {
                target = self.redirected(&target, &answer, &mut seen)?;
            } else if answer.status == StatusCode::OK {
                return self.read(&target, &mut answer, max, sink).await;
            } else {
                return Err(FetchError::Status {
                    url: target.shown().into(),
                    status: answer.status.as_u16(),
                    retry_after: retry_after(&answer),
                });
            }
        }
    }

    /// Takes the URL that a message told.
    fn first(&self, url: &Url) -> Result<Target, FetchError> {
        let target = Target::of(url).map_err(|problem| FetchError::Url {
            url: Excerpt::of(crate::outside::shown(url).as_bytes()),
            problem,
        })?;
        match self.config.host_of(target.url()) {
            Some(_) => Ok(target),
            None => Err(FetchError::Host {
                url: target.shown().into(),
            }),
        }
    }

    /// Asks for one URL; its own host's token goes with it, and no other's.
    async fn ask(&self, target: &Target) -> Result<Answer, FetchError> {
        let origin = target.url().origin();
        let mut fields = vec![(
            ACCEPT,
            // By this GitHub's API gives an asset's octets in place of its description.
            HeaderValue::from_static("application/octet-stream"),
        )];
        fields.extend(
            self.tokens
                .iter()
                .filter(|token| token.origin == origin)
                .map(|token| (token.name.clone(), token.value.clone())),
        );
        let limit = self.config.connect_timeout + self.config.idle_timeout;
        match timeout(limit, self.outside.ask(&self.tls, target, Ask::get(fields))).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(FetchError::Outside(OutsideError::Timeout {
                url: target.shown().into(),
                step: "waiting for the answer",
                limit,
            })),
        }
    }

    /// Goes where a redirect leads, if files are fetched from there.
    fn redirected(
        &self,
        from: &Target,
        answer: &Answer,
        seen: &mut HashSet<String>,
    ) -> Result<Target, FetchError> {
        let location = answer
            .fields
            .get(LOCATION)
            .map_or(&[][..], HeaderValue::as_bytes);
        let query = location.iter().position(|octet| *octet == b'?');
        let refused = |problem| FetchError::Redirect {
            from: from.shown().into(),
            // Queries hold signatures that let anyone fetch.
            to: Excerpt::of(
                location
                    .get(..query.unwrap_or(location.len()))
                    .unwrap_or(location),
            ),
            problem,
        };
        if seen.len() > self.config.max_redirects {
            return Err(refused(RedirectProblem::TooMany {
                most: self.config.max_redirects,
            }));
        }
        let url = std::str::from_utf8(location)
            .ok()
            .filter(|text| !text.is_empty())
            .and_then(|text| from.url().join(text).ok())
            .ok_or_else(|| refused(RedirectProblem::Url(UrlProblem::NoUrl)))?;
        let target = Target::of(&url).map_err(|problem| refused(RedirectProblem::Url(problem)))?;
        if self.config.host_of(target.url()).is_none() {
            return Err(refused(RedirectProblem::Host));
        }
        if !seen.insert(target.url().as_str().to_owned()) {
            return Err(refused(RedirectProblem::Circle));
        }
        Ok(target)
    }

    /// Reads the file.
    async fn read(
        &self,
        target: &Target,
        answer: &mut Answer,
        max: u64,
        sink: &mut (dyn FnMut(&Bytes) + Send),
    ) -> Result<u64, FetchError> {
        let url = || target.shown().into();
        if let Some(encoding) = answer.fields.get(CONTENT_ENCODING)
            && encoding.as_bytes() != b"identity"
        {
            return Err(FetchError::Encoded {
                url: url(),
                encoding: Excerpt::of(encoding.as_bytes()),
            });
        }
        let declared = answer
            .fields
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let too_large = |len| FetchError::TooLarge {
            url: url(),
            max,
            len,
        };
        if declared.is_some_and(|len| len > max) {
            return Err(too_large(declared));
        }
        let began = Instant::now();
        let mut received = 0_u64;
        while let Some(octets) = answer.chunk(self.config.idle_timeout).await? {
            received = received.saturating_add(octets.len() as u64);
            if received > max {
                return Err(too_large(None));
            }
            sink(&octets);
            let took = began.elapsed();
            let least = self.config.min_bytes_per_second;
            let wanted = u128::from(least) * took.as_millis() / 1000;
            if took > self.grace && u128::from(received) < wanted {
                return Err(FetchError::TooSlow {
                    url: url(),
                    received,
                    took,
                    least,
                });
            }
        }
        Ok(received)
    }
}

/// Tells whether a status leads elsewhere by its Location.
fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Reads when a server wants to be asked again, in seconds; dates are not worth a clock.
pub(crate) fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds.parse().ok().map(Duration::from_secs)
}
