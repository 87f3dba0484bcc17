//! Why an attempt did not find the proof, in words for whoever has to put it
//! right.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mesh::Excerpt;
use mesh::dial::DialFailure;
use mesh::resolve::{DnsFailure, DnsProblem, RecordKind};
use model::acme::ChallengeKind;

use super::attest::AttestationProblem;
use crate::caa::CaaRefused;
use crate::problem::ErrorType;

/// Why an attempt did not find the proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// DNS did not give the records.
    #[error(transparent)]
    Dns(#[from] DnsFailure),
    /// The host was not connected to, for another reason than DNS.
    #[error(transparent)]
    Dial(DialFailure),
    /// It took too long.
    #[error("{host} was too slow: {step} was not done within {} s", limit.as_secs_f32())]
    Timeout {
        /// The host.
        host: Box<str>,
        /// What was being done.
        step: &'static str,
        /// The time given.
        limit: Duration,
    },
    /// TLS did not come about.
    #[error("TLS with {host} at {address}: {problem}")]
    Tls {
        /// The host.
        host: Box<str>,
        /// The address dialled.
        address: SocketAddr,
        /// What went wrong.
        problem: TlsProblem,
    },
    /// HTTP broke down.
    #[error("fetching {url} from {address}: {problem}")]
    Http {
        /// What was asked for.
        url: Box<str>,
        /// The address dialled.
        address: SocketAddr,
        /// What went wrong.
        problem: HttpProblem,
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
    #[error("{url} from {address} answered status {status}, not 200")]
    Status {
        /// What was asked for.
        url: Box<str>,
        /// The address dialled.
        address: SocketAddr,
        /// The status.
        status: u16,
    },
    /// Another body than the key authorization.
    #[error("{url} from {address} holds {found}, not the key authorization {expected}")]
    Body {
        /// What was asked for.
        url: Box<str>,
        /// The address dialled.
        address: SocketAddr,
        /// What is there.
        found: Excerpt,
        /// What should be.
        expected: Box<str>,
    },
    /// A body longer than any key authorization.
    #[error("{url} from {address} is longer than {most} octets and so no key authorization")]
    BodyTooLong {
        /// What was asked for.
        url: Box<str>,
        /// The address dialled.
        address: SocketAddr,
        /// Most octets read.
        most: usize,
    },
    /// The TXT records do not hold the digest.
    #[error("none of the {count} TXT records of {name} is {expected}; the first is {first}")]
    Txt {
        /// The name.
        name: Box<str>,
        /// How many there are.
        count: usize,
        /// The first of them.
        first: Excerpt,
        /// What one of them should be.
        expected: Box<str>,
    },
    /// The certificate is not the one asked for.
    #[error("the certificate of {host} at {address} for acme-tls/1 {problem}")]
    Certificate {
        /// The host.
        host: Box<str>,
        /// The address dialled.
        address: SocketAddr,
        /// What is wrong with it.
        problem: CertificateProblem,
    },
    /// CAA forbids the certificate.
    #[error(transparent)]
    Caa(#[from] CaaRefused),
    /// An attestation that proves nothing.
    #[error(transparent)]
    Attestation(#[from] AttestationProblem),
    /// A kind of challenge that cannot prove this identifier, or is switched off.
    #[error("{kind} is not offered for {identifier}")]
    Unsupported {
        /// The kind.
        kind: ChallengeKind,
        /// The identifier.
        identifier: Box<str>,
    },
    /// A fault of ours; the log has the cause.
    #[error("the server failed in a way it should not; its log has the cause")]
    Internal,
}

/// What went wrong with TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// The connection broke, or the other side speaks no TLS.
    #[error("the handshake broke off ({0})")]
    BrokeOff(io::ErrorKind),
    /// The other side refused the handshake.
    #[error("the server answered alert {alert}")]
    Alert {
        /// The alert's name.
        alert: Box<str>,
    },
    /// The handshake is not as TLS has it.
    #[error("the handshake failed: {reason}")]
    Failed {
        /// What rustls said.
        reason: Excerpt,
    },
    /// Another protocol than `acme-tls/1`.
    #[error("the server did not agree to the protocol acme-tls/1")]
    Protocol,
    /// The host is no name that TLS can ask for.
    #[error("the host cannot be named in TLS")]
    ServerName,
}

/// What went wrong with HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpProblem {
    /// The connection ended before the answer did.
    #[error("the connection ended before the answer did")]
    Incomplete,
    /// The answer is no HTTP, or its head is too long.
    #[error("the answer is no HTTP/1.1, or its head is too long")]
    Unreadable,
    /// The request could not be made of the URL.
    #[error("the URL cannot be asked for")]
    Request,
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectProblem {
    /// One more than are followed.
    #[error("at most {most} redirects are followed")]
    TooMany {
        /// The limit.
        most: usize,
    },
    /// It led there before.
    #[error("it leads in a circle")]
    Circle,
    /// No Location, or one that is no URL.
    #[error("it is no URL")]
    NoUrl,
    /// Neither http nor https.
    #[error("only http and https are followed")]
    Scheme,
    /// A port that is not open to redirects.
    #[error("port {port} is not open to redirects")]
    Port {
        /// The port.
        port: u16,
    },
    /// Name and password in the URL.
    #[error("it carries a name or a password")]
    UserInformation,
    /// No host, or one that is neither a DNS name nor an address.
    #[error("it names no host")]
    Host,
    /// More characters than are followed.
    #[error("it is longer than {most} octets")]
    TooLong {
        /// The limit.
        most: usize,
    },
}

/// What is wrong with a certificate of tls-alpn-01.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// There is none.
    #[error("is missing")]
    Missing,
    /// It is no certificate.
    #[error("cannot be read as X.509")]
    Unreadable,
    /// Another key signed it.
    #[error("is not self-signed")]
    NotSelfSigned,
    /// Other names, or more of them.
    #[error("must hold {expected} as its only subjectAltName")]
    Names {
        /// The one it should hold.
        expected: Box<str>,
    },
    /// No acmeIdentifier extension, or several.
    #[error("must have exactly one acmeIdentifier extension (1.3.6.1.5.5.7.1.31)")]
    NoIdentifier,
    /// The extension is not critical.
    #[error("must mark its acmeIdentifier extension critical")]
    NotCritical,
    /// The digest of something else.
    #[error(
        "holds {found} in its acmeIdentifier extension, not the digest {expected} of the key authorization"
    )]
    Digest {
        /// The extension's value in hexadecimal.
        found: Excerpt,
        /// The value it should have.
        expected: Box<str>,
    },
}

impl From<DialFailure> for Failure {
    fn from(failure: DialFailure) -> Self {
        match failure {
            DialFailure::Dns(failure) => Self::Dns(failure),
            DialFailure::Address { .. } | DialFailure::Connect { .. } => Self::Dial(failure),
        }
    }
}

impl Failure {
    /// Returns the error type that the client is told (RFC 8555, 6.7).
    #[must_use]
    pub fn error_type(&self) -> ErrorType {
        match self {
            Self::Dns(failure) => match failure.problem {
                // The question was answered: the proof is not there.
                DnsProblem::NoRecords => match failure.kind {
                    RecordKind::Txt => ErrorType::IncorrectResponse,
                    RecordKind::Address | RecordKind::Caa => ErrorType::Dns,
                },
                DnsProblem::NoSuchName
                | DnsProblem::ServerFailed { .. }
                | DnsProblem::Timeout { .. }
                | DnsProblem::Unreachable
                | DnsProblem::InvalidName => ErrorType::Dns,
            },
            Self::Dial(_) | Self::Timeout { .. } | Self::Http { .. } | Self::Redirect { .. } => {
                ErrorType::Connection
            }
            Self::Tls { .. } => ErrorType::Tls,
            Self::Status { .. }
            | Self::Body { .. }
            | Self::BodyTooLong { .. }
            | Self::Txt { .. }
            | Self::Certificate { .. } => ErrorType::IncorrectResponse,
            Self::Caa(refused) => refused.error_type(),
            Self::Attestation(_) => ErrorType::BadAttestationStatement,
            Self::Unsupported { .. } => ErrorType::Malformed,
            Self::Internal => ErrorType::ServerInternal,
        }
    }

    /// Returns the failure as a challenge keeps it.
    #[must_use]
    pub fn to_record(&self) -> model::acme::Failure {
        model::acme::Failure::new(self.error_type().as_str(), self.to_string())
    }

    /// Tells whether no further attempt can come to anything else.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Attestation(_) | Self::Unsupported { .. })
    }
}
