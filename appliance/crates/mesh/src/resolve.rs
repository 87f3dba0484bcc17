//! DNS as services need it that connect to hosts which others name: addresses
//! fresh at every question, and the records by which domains are validated.

mod config;
mod hickory;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

pub use config::{CheckedResolver, InvalidResolverConfig, ResolverConfig};
pub use hickory::DnsResolver;

/// Asks DNS. Names are complete, without a dot at the end; CNAMEs are followed.
///
/// Answers are never older than the question: whoever validates or connects asks
/// what is, not what was.
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug {
    /// Returns the addresses of a name, IPv6 first.
    ///
    /// # Errors
    ///
    /// `NoSuchName` and `NoRecords` when it has none, the others when DNS did
    /// not answer.
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsFailure>;

    /// Returns the texts of a name's TXT records, the strings of each joined.
    ///
    /// # Errors
    ///
    /// As for `addresses`.
    async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsFailure>;

    /// Returns the CAA records of a name itself; none is an empty list.
    ///
    /// # Errors
    ///
    /// When DNS did not answer; never `NoSuchName` nor `NoRecords`.
    async fn caa(&self, name: &str) -> Result<Vec<CaaRecord>, DnsFailure>;
}

/// One CAA record (RFC 8659, 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaRecord {
    /// The issuer critical flag.
    pub critical: bool,
    /// The property's tag, as it came.
    pub tag: Box<str>,
    /// The property's value, as it came.
    pub value: Box<[u8]>,
}

/// A type of record that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A and AAAA.
    Address,
    /// TXT.
    Txt,
    /// CAA.
    Caa,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "A or AAAA",
            Self::Txt => "TXT",
            Self::Caa => "CAA",
        })
    }
}

/// Why DNS gave no records of a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("looking up {kind} of {name}: {problem}")]
pub struct DnsFailure {
    /// The name asked for.
    pub name: Box<str>,
    /// The type asked for.
    pub kind: RecordKind,
    /// What came instead.
    pub problem: DnsProblem,
}

/// What came instead of records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsProblem {
    /// NXDOMAIN.
    #[error("there is no such name (NXDOMAIN)")]
    NoSuchName,
    /// The name has no records of the type.
    #[error("the name has no such records")]
    NoRecords,
    /// The name server refused or failed.
    #[error("the name server answered {code}")]
    ServerFailed {
        /// The response code in words.
        code: Box<str>,
    },
    /// No answer in time.
    #[error("no answer within {} s", limit.as_secs_f32())]
    Timeout {
        /// The time given.
        limit: Duration,
    },
    /// The name server was not reached, or answered what is no DNS.
    #[error("the name server was not reached, or its answer cannot be read")]
    Unreachable,
    /// The text is no name that DNS knows.
    #[error("this is no name that can be asked for")]
    InvalidName,
}

impl DnsFailure {
    /// Tells whether DNS answered that there is nothing.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self.problem, DnsProblem::NoSuchName | DnsProblem::NoRecords)
    }
}
