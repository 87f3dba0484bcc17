//! Orders (RFC 8555, 7.1.3, 7.1.6, 7.4).

use std::fmt;

use jiff::Timestamp;

use super::{CertificateId, Failure, Refused};
use crate::names::RequestId;
use crate::serial::SerialNumber;

/// The state of an order.
///
/// ```text
///   pending --------------+
///      |                  |
///      | All authz        |
///      | "valid"          |
///      V                  |
///    ready ---------------+
///      |                  |
///      | Receive          |
///      | finalize         |
///      | request          |
///      V                  |
///  processing ------------+
///      |                  |
///      | Certificate      | Error or
///      | issued           | Authorization failure
///      V                  V
///    valid             invalid
/// ```
///
/// From `processing` only the CA's final refusal leads to `invalid`: a
/// certificate may exist already, so neither time nor an authorization that ends
/// takes the order away from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderState {
    /// Some authorizations are not valid yet.
    Pending,
    /// May be finalized.
    Ready,
    /// The certificate is being made.
    Processing(Finalization),
    /// The certificate exists.
    Valid(IssuedCertificate),
    /// Nothing will come of it.
    Invalid {
        /// Why.
        error: Failure,
    },
}

/// What a client finalized an order with.
#[derive(Clone, PartialEq, Eq)]
pub struct Finalization {
    /// The certificate request, PKCS#10 in DER.
    pub csr_der: Vec<u8>,
    /// Its SHA-256: the same request again is the same finalization.
    pub csr_sha256: [u8; 32],
    /// The client's request, to find it in every log.
    pub request_id: Option<RequestId>,
    /// When.
    pub at: Timestamp,
}

/// The certificate of an order.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// SHA-256 of the certificate request, as in [`Finalization`].
    pub csr_sha256: [u8; 32],
    /// Its serial number.
    pub serial: SerialNumber,
    /// How renewal information names it (RFC 9773, 4.1).
    pub certificate_id: CertificateId,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Chains in PEM, each with the certificate first; the default chain first,
    /// then alternates (RFC 8555, 7.4.2). Never empty.
    pub chains_pem: Vec<Box<str>>,
    /// When it was recorded.
    pub at: Timestamp,
}

/// What may happen to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderEvent {
    /// All its authorizations are valid.
    AuthorizationsValid,
    /// One of them is, finally, not.
    AuthorizationFailed {
        /// What happened.
        error: Failure,
    },
    /// The client finalizes it.
    Finalize(Finalization),
    /// The CA signed.
    Issued(IssuedCertificate),
    /// The CA said no, for good.
    Rejected {
        /// Why.
        error: Failure,
    },
    /// Its time is over.
    Expire,
}

impl OrderState {
    /// Takes an event.
    ///
    /// # Errors
    ///
    /// `Refused` if the diagram has no such arrow.
    pub fn apply(&self, event: &OrderEvent) -> Result<Self, Refused> {
        use OrderEvent as Event;
        match (self, event) {
            (Self::Pending, Event::AuthorizationsValid) => Ok(Self::Ready),
            // RFC 8555, 7.1.6: "one of its authorizations enters a final state
            // other than 'valid'".
            (Self::Pending | Self::Ready, Event::AuthorizationFailed { error }) => {
                Ok(Self::Invalid {
                    error: error.clone(),
                })
            }
            (Self::Ready, Event::Finalize(finalization)) => {
                Ok(Self::Processing(finalization.clone()))
            }
            (Self::Processing(_), Event::Issued(certificate)) => {
                Ok(Self::Valid(certificate.clone()))
            }
            (Self::Processing(_), Event::Rejected { error }) => Ok(Self::Invalid {
                error: error.clone(),
            }),
            (Self::Pending | Self::Ready, Event::Expire) => Ok(Self::Invalid {
                error: Failure::new("malformed", "the order expired before it was finalized"),
            }),
            (Self::Pending, Event::Finalize(_) | Event::Issued(_) | Event::Rejected { .. })
            | (
                Self::Ready,
                Event::AuthorizationsValid | Event::Issued(_) | Event::Rejected { .. },
            )
            | (
                Self::Processing(_),
                Event::AuthorizationsValid
                | Event::AuthorizationFailed { .. }
                | Event::Finalize(_)
                | Event::Expire,
            )
            | (
                Self::Valid(_) | Self::Invalid { .. },
                Event::AuthorizationsValid
                | Event::AuthorizationFailed { .. }
                | Event::Finalize(_)
                | Event::Issued(_)
                | Event::Rejected { .. }
                | Event::Expire,
            ) => Err(Refused {
                object: "an order",
                state: self.as_str(),
                event: event.as_str(),
            }),
        }
    }

    /// Returns the state as the protocol spells it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing(_) => "processing",
            Self::Valid(_) => "valid",
            Self::Invalid { .. } => "invalid",
        }
    }

    /// Returns what it tells as its `error`.
    #[must_use]
    pub const fn error(&self) -> Option<&Failure> {
        match self {
            Self::Invalid { error } => Some(error),
            Self::Pending | Self::Ready | Self::Processing(_) | Self::Valid(_) => None,
        }
    }

    /// Returns its certificate.
    #[must_use]
    pub const fn certificate(&self) -> Option<&IssuedCertificate> {
        match self {
            Self::Valid(certificate) => Some(certificate),
            Self::Pending | Self::Ready | Self::Processing(_) | Self::Invalid { .. } => None,
        }
    }
}

impl OrderEvent {
    /// Returns the event in words.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AuthorizationsValid => "ready",
            Self::AuthorizationFailed { .. } => "invalid by an authorization",
            Self::Finalize(_) => "processing",
            Self::Issued(_) => "valid",
            Self::Rejected { .. } => "invalid by the CA's refusal",
            Self::Expire => "expired",
        }
    }
}

impl fmt::Debug for Finalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finalization")
            .field("csr_octets", &self.csr_der.len())
            .field("request_id", &self.request_id)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedCertificate")
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .field("chains", &self.chains_pem.len())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
