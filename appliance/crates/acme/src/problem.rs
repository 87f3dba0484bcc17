//! ACME errors (RFC 8555, 6.7): what went wrong, as a client is told it.
//!
//! Status codes and the document's encoding are `http`'s; challenges and orders
//! keep the same [`ErrorType`] with a sentence.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

/// Defines the registry: variant, name, meaning.
macro_rules! error_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)+) => {
        /// An error type of the IANA registry "ACME Error Types".
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorType {
            $($(#[$doc])* $variant,)+
        }

        impl ErrorType {
            /// Every error type this server tells.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name after [`URI_PREFIX`](Self::URI_PREFIX): `badCSR`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

error_types! {
    /// No account has the key or URL.
    AccountDoesNotExist = "accountDoesNotExist";
    /// The certificate was replaced already (RFC 9773, 7.4).
    AlreadyReplaced = "alreadyReplaced";
    /// The certificate was revoked already.
    AlreadyRevoked = "alreadyRevoked";
    /// An attestation that does not prove what it should
    /// (draft-ietf-acme-device-attest).
    BadAttestationStatement = "badAttestationStatement";
    /// A certificate request that cannot be taken.
    BadCsr = "badCSR";
    /// A nonce that does not count.
    BadNonce = "badNonce";
    /// A key that cannot be taken.
    BadPublicKey = "badPublicKey";
    /// A revocation reason that cannot be taken.
    BadRevocationReason = "badRevocationReason";
    /// A signature algorithm that is not supported.
    BadSignatureAlgorithm = "badSignatureAlgorithm";
    /// CAA records forbid the certificate.
    Caa = "caa";
    /// Several errors, told as subproblems.
    Compound = "compound";
    /// The server could not connect to the validation target.
    Connection = "connection";
    /// A DNS query failed.
    Dns = "dns";
    /// The account must be bound to an external one.
    ExternalAccountRequired = "externalAccountRequired";
    /// The challenge's answer was not the one expected.
    IncorrectResponse = "incorrectResponse";
    /// A contact that cannot be used.
    InvalidContact = "invalidContact";
    /// A profile that is not offered (draft-ietf-acme-profiles).
    InvalidProfile = "invalidProfile";
    /// A request that cannot be read or is not one of the protocol.
    Malformed = "malformed";
    /// The order cannot be finalized yet, or no more.
    OrderNotReady = "orderNotReady";
    /// Too many requests.
    RateLimited = "rateLimited";
    /// An identifier that the server does not issue for.
    RejectedIdentifier = "rejectedIdentifier";
    /// A fault of the server, or of what it stands on.
    ServerInternal = "serverInternal";
    /// TLS with the validation target failed.
    Tls = "tls";
    /// The client may not do this.
    Unauthorized = "unauthorized";
    /// A contact of a scheme that is not supported.
    UnsupportedContact = "unsupportedContact";
    /// An identifier of a type that is not supported.
    UnsupportedIdentifier = "unsupportedIdentifier";
    /// Somebody must visit a page first.
    UserActionRequired = "userActionRequired";
}

impl ErrorType {
    /// What every type's URI begins with (RFC 8555, 6.7).
    pub const URI_PREFIX: &'static str = "urn:ietf:params:acme:error:";

    /// Returns the URI: `urn:ietf:params:acme:error:badCSR`.
    #[must_use]
    pub fn uri(self) -> String {
        format!("{}{}", Self::URI_PREFIX, self.as_str())
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no error type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no ACME error type")]
pub struct UnknownErrorType;

impl FromStr for ErrorType {
    type Err = UnknownErrorType;

    /// Reads a name, with or without the prefix.
    fn from_str(text: &str) -> Result<Self, UnknownErrorType> {
        let name = text.strip_prefix(Self::URI_PREFIX).unwrap_or(text);
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == name)
            .ok_or(UnknownErrorType)
    }
}

/// What about an error the type alone does not tell, but the status does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Nothing: the type's own status.
    Usual,
    /// The `url` of the JWS is another than the request's (RFC 8555, 6.4).
    UrlMismatch,
    /// No such resource.
    NotFound,
    /// The resource does not take the method (RFC 8555, 6.3).
    Method,
    /// The body is of another media type (RFC 8555, 6.2).
    MediaType,
    /// The body is too long.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// It conflicts with what is there, at that URL (RFC 8555, 7.3.5).
    Conflict,
    /// A part the server stands on does not serve now.
    Unavailable,
}

/// One identifier's part of a problem (RFC 8555, 6.7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subproblem {
    /// What kind of error.
    pub kind: ErrorType,
    /// A sentence about it.
    pub detail: String,
    /// The identifier's type: `dns`, `ip`.
    pub identifier_type: String,
    /// The identifier's value.
    pub identifier_value: String,
}

impl Subproblem {
    /// Writes the subproblem.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "type": self.kind.uri(),
            "detail": self.detail,
            "identifier": { "type": self.identifier_type, "value": self.identifier_value },
        })
    }
}

/// One error, as a client is told it.
#[derive(Debug)]
pub struct AcmeProblem(Box<Inner>);

/// What an [`AcmeProblem`] holds, boxed so that results stay small.
#[derive(Debug)]
struct Inner {
    /// Which kind.
    kind: ErrorType,
    /// What the status tells besides.
    occasion: Occasion,
    /// A sentence about this occurrence.
    detail: String,
    /// One for each identifier that is at fault.
    subproblems: Vec<Subproblem>,
    /// When trying again may help.
    retry_after: Option<Duration>,
    /// The resource that it conflicts with.
    location: Option<String>,
    /// The page that somebody must visit (RFC 8555, 7.3.3).
    instance: Option<String>,
    /// What stopped us, for the log alone.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl AcmeProblem {
    /// States a problem with a sentence that helps whoever reads it.
    #[must_use]
    pub fn new(kind: ErrorType, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            occasion: Occasion::Usual,
            detail: detail.into(),
            subproblems: Vec::new(),
            retry_after: None,
            location: None,
            instance: None,
            cause: None,
        }))
    }

    /// States a request that cannot be read or is not one of the protocol.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Malformed, detail)
    }

    /// States what the client may not do.
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Unauthorized, detail)
    }

    /// States that there is no such resource.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::malformed(detail).on(Occasion::NotFound)
    }

    /// States a fault of ours; its cause is logged and not told.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            ErrorType::ServerInternal,
            "the server failed in a way it should not; its log has the cause under this request id",
        )
        .caused_by(cause)
    }

    /// States that a part does not serve now.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(ErrorType::ServerInternal, detail)
            .on(Occasion::Unavailable)
            .retry_after(retry_after)
    }

    /// States errors of several identifiers: one alone keeps its own type.
    #[must_use]
    pub fn of_identifiers(subproblems: Vec<Subproblem>) -> Self {
        let kind = match subproblems.split_first() {
            // RFC 8555, 6.7.1: "compound" where they are of different types.
            Some((first, rest)) if rest.iter().all(|one| one.kind == first.kind) => first.kind,
            Some(_) => ErrorType::Compound,
            None => ErrorType::Malformed,
        };
        let detail = match subproblems.as_slice() {
            [one] => format!("{}: {}", one.identifier_value, one.detail),
            several => format!(
                "{} identifiers are refused; see the subproblems",
                several.len()
            ),
        };
        let mut problem = Self::new(kind, detail);
        problem.0.subproblems = subproblems;
        problem
    }

    /// Says what the status tells besides the type.
    #[must_use]
    pub fn on(mut self, occasion: Occasion) -> Self {
        self.0.occasion = occasion;
        self
    }

    /// Says when trying again may help.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Names the resource that it conflicts with.
    #[must_use]
    pub fn conflict_with(mut self, url: impl Into<String>) -> Self {
        self.0.occasion = Occasion::Conflict;
        self.0.location = Some(url.into());
        self
    }

    /// Names the page that somebody must visit.
    #[must_use]
    pub fn visit(mut self, url: impl Into<String>) -> Self {
        self.0.instance = Some(url.into());
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> ErrorType {
        self.0.kind
    }

    /// Returns what the status tells besides.
    #[must_use]
    pub fn occasion(&self) -> Occasion {
        self.0.occasion
    }

    /// Returns the sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns the subproblems.
    #[must_use]
    pub fn subproblems(&self) -> &[Subproblem] {
        &self.0.subproblems
    }

    /// Returns when trying again may help.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the resource that it conflicts with.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.0.location.as_deref()
    }

    /// Returns the page that somebody must visit.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.0.instance.as_deref()
    }

    /// Returns the chain of causes for the log, outermost first.
    #[must_use]
    pub fn cause_chain(&self) -> Option<String> {
        let mut next: Option<&dyn Error> = Some(self.0.cause.as_deref()?);
        let mut chain = String::new();
        while let Some(cause) = next {
            if !chain.is_empty() {
                chain.push_str(": ");
            }
            chain.push_str(&cause.to_string());
            next = cause.source();
        }
        Some(chain)
    }
}

impl fmt::Display for AcmeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.detail)
    }
}

impl Error for AcmeProblem {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subproblem of a name.
    fn sub(kind: ErrorType, name: &str) -> Subproblem {
        Subproblem {
            kind,
            detail: "no".to_owned(),
            identifier_type: "dns".to_owned(),
            identifier_value: name.to_owned(),
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in ErrorType::ALL {
            assert_eq!(kind.uri().parse(), Ok(*kind));
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        assert_eq!("urn:chancery:x".parse::<ErrorType>(), Err(UnknownErrorType));
    }

    #[test]
    fn errors_of_several_kinds_are_compound_and_of_one_keep_theirs() {
        use ErrorType::{Caa, Compound, RejectedIdentifier};
        let kind = |list| AcmeProblem::of_identifiers(list).kind();
        assert_eq!(kind(vec![sub(Caa, "a.example")]), Caa);
        assert_eq!(
            kind(vec![sub(Caa, "a.example"), sub(Caa, "b.example")]),
            Caa
        );
        assert_eq!(
            kind(vec![
                sub(Caa, "a.example"),
                sub(RejectedIdentifier, "b.example")
            ]),
            Compound
        );
    }
}
