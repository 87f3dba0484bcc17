//! Certification Authority Authorization: what a domain's owner lets which CA
//! issue (RFC 8659), to which account and by which methods (RFC 8657).

mod check;
mod config;
#[cfg(test)]
mod tests;
mod value;

use std::net::IpAddr;

use mesh::Excerpt;
use mesh::resolve::DnsFailure;
use model::acme::ChallengeKind;
use pki::names::DnsName;

use crate::problem::ErrorType;

pub use mesh::resolve::CaaRecord;

pub use check::CaaChecker;
pub use config::{CaaConfig, CheckedCaa, InvalidCaaConfig};

/// A certificate that CAA is asked about.
#[derive(Debug, Clone, Copy)]
pub struct CaaQuestion<'a> {
    /// The name without its wildcard label.
    pub name: &'a str,
    /// Whether the certificate is for a wildcard of it.
    pub wildcard: bool,
    /// The URL of the account that asks.
    pub account_url: &'a str,
    /// How control of the name was proved.
    pub kind: ChallengeKind,
}

/// Why CAA does not let the certificate be issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaaRefused {
    /// DNS did not answer, so that there may be records that forbid it.
    #[error("checking CAA of {name}: {failure}")]
    Lookup {
        /// The name whose certificate is asked for.
        name: Box<str>,
        /// What DNS came to.
        failure: DnsFailure,
    },
    /// A property that must be understood and is not.
    #[error("CAA at {at} has a critical property {tag}, which this CA does not know")]
    CriticalProperty {
        /// Where the records are.
        at: Box<str>,
        /// The property.
        tag: Excerpt,
    },
    /// No property names this CA.
    #[error("CAA at {at} lets no certificate be issued here: none of its {property} properties names this CA ({}); they say {values}", ours.join(", "))]
    NotAuthorized {
        /// Where the records are.
        at: Box<str>,
        /// `issue` or `issuewild`.
        property: &'static str,
        /// What this CA answers to.
        ours: Vec<Box<str>>,
        /// What the properties say, shortened.
        values: Excerpt,
    },
    /// This CA is named, but for other accounts.
    #[error("CAA at {at} names other accounts in `accounturi` than {account}")]
    OtherAccount {
        /// Where the records are.
        at: Box<str>,
        /// The account that asks.
        account: Box<str>,
    },
    /// This CA is named, but for other methods.
    #[error("CAA at {at} does not name {kind} in `validationmethods`")]
    OtherMethod {
        /// Where the records are.
        at: Box<str>,
        /// The method used.
        kind: ChallengeKind,
    },
}

impl CaaRefused {
    /// Returns the error type that the client is told (RFC 8555, 6.7).
    #[must_use]
    pub fn error_type(&self) -> ErrorType {
        match self {
            Self::Lookup { .. } => ErrorType::Dns,
            Self::CriticalProperty { .. }
            | Self::NotAuthorized { .. }
            | Self::OtherAccount { .. }
            | Self::OtherMethod { .. } => ErrorType::Caa,
        }
    }
}

/// Tells whether a text is an address rather than a name; CAA is of names.
fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

/// Judges the relevant record set, which lies at `at` (RFC 8659, 4; RFC 8657).
///
/// # Errors
///
/// Why the set does not let the certificate be issued.
pub fn evaluate(
    at: &str,
    records: &[CaaRecord],
    identities: &[DnsName],
    question: &CaaQuestion<'_>,
) -> Result<(), CaaRefused> {
    // RFC 8659, 4.5: an unknown critical property forbids issuance, whatever
    // else is there.
    let known = ["issue", "issuewild", "iodef"];
    // 4.1: matching of tags is case insensitive.
    let is = |record: &CaaRecord, tag: &str| record.tag.eq_ignore_ascii_case(tag);
    if let Some(record) = records
        .iter()
        .find(|record| record.critical && !known.iter().any(|tag| is(record, tag)))
    {
        return Err(CaaRefused::CriticalProperty {
            at: at.into(),
            tag: Excerpt::of(record.tag.as_bytes()),
        });
    }
    // 4.3: for a wildcard `issuewild` takes the place of `issue` wherever there
    // is one; for other names it says nothing.
    let wild = question.wildcard && records.iter().any(|record| is(record, "issuewild"));
    let property = if wild { "issuewild" } else { "issue" };
    let mut asked = records
        .iter()
        .filter(|record| is(record, property))
        .peekable();
    if asked.peek().is_none() {
        // 4.2: without such a property the set does not restrict issuance.
        return Ok(());
    }
    let (mut other_account, mut other_method) = (false, false);
    let mut values = Vec::new();
    for record in asked {
        values.push(String::from_utf8_lossy(&record.value).into_owned());
        // 4.2: a value that does not follow the grammar authorizes nobody.
        let Some(issuer) = value::Issuer::parse(&record.value) else {
            continue;
        };
        let names_us = issuer.domain.is_some_and(|domain| {
            identities
                .iter()
                .any(|ours| ours.as_str().eq_ignore_ascii_case(domain))
        });
        if !names_us {
            continue;
        }
        if !issuer.allows_account(question.account_url) {
            other_account = true;
        } else if !issuer.allows_method(question.kind) {
            other_method = true;
        } else {
            return Ok(());
        }
    }
    let at = at.into();
    Err(if other_method {
        CaaRefused::OtherMethod {
            at,
            kind: question.kind,
        }
    } else if other_account {
        CaaRefused::OtherAccount {
            at,
            account: question.account_url.into(),
        }
    } else {
        CaaRefused::NotAuthorized {
            at,
            property,
            ours: identities.iter().map(|ours| ours.as_str().into()).collect(),
            values: Excerpt::of(values.join(" | ").as_bytes()),
        }
    })
}
