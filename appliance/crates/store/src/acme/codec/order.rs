//! Orders on disk.
// Stored on disk: change only by adding a version.

use model::acme::{
    AccountId, AuthorizationId, CertificateId, Finalization, IssuedCertificate, OrderId, OrderState,
};
use model::{ProfileName, RequestId, SerialNumber};
use serde::{Deserialize, Serialize};

use super::failure::{FailureV1, IdentifierV1};
use super::{optional_time, time};
use crate::acme::record::Order;

/// An order on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct OrderV1<'a> {
    /// Its name.
    id: [u8; 16],
    /// Whose it is.
    account: [u8; 16],
    /// Its state.
    #[serde(borrow)]
    state: OrderStateV1<'a>,
    /// What it is for.
    identifiers: Vec<IdentifierV1<'a>>,
    /// Its authorizations.
    authorizations: Vec<[u8; 16]>,
    /// Its profile.
    profile: Option<&'a str>,
    /// Validity asked for.
    not_before: Option<i64>,
    /// Validity asked for.
    not_after: Option<i64>,
    /// Key identifier and serial number of what it replaces.
    replaces: Option<(&'a [u8], &'a [u8])>,
    /// When it was made.
    created_at: i64,
    /// Until when it may be finalized.
    expires_at: i64,
}

/// An order's state on disk.
#[derive(Serialize, Deserialize)]
enum OrderStateV1<'a> {
    /// Not authorized.
    Pending,
    /// Authorized.
    Ready,
    /// Finalized.
    #[serde(borrow)]
    Processing(FinalizationV1<'a>),
    /// Issued.
    #[serde(borrow)]
    Valid(CertificateV1<'a>),
    /// Failed.
    #[serde(borrow)]
    Invalid(FailureV1<'a>),
}

/// A finalization on disk.
#[derive(Serialize, Deserialize)]
struct FinalizationV1<'a> {
    /// The request.
    csr_der: &'a [u8],
    /// Its SHA-256.
    csr_sha256: [u8; 32],
    /// The client's request.
    request_id: Option<&'a str>,
    /// When.
    at: i64,
}

/// A certificate on disk.
#[derive(Serialize, Deserialize)]
struct CertificateV1<'a> {
    /// SHA-256 of the request.
    csr_sha256: [u8; 32],
    /// Content octets of the serial number.
    serial: &'a [u8],
    /// keyIdentifier of the issuer.
    issuer_key_id: &'a [u8],
    /// Start of validity.
    not_before: i64,
    /// End of validity.
    not_after: i64,
    /// The chains.
    #[serde(borrow)]
    chains_pem: Vec<&'a str>,
    /// When it was recorded.
    at: i64,
}

impl<'a> From<&'a Order> for OrderV1<'a> {
    fn from(order: &'a Order) -> Self {
        let replaces = order.replaces.as_ref();
        Self {
            id: *order.id.octets(),
            account: *order.account.octets(),
            state: OrderStateV1::from(&order.state),
            identifiers: order.identifiers.iter().map(IdentifierV1::from).collect(),
            authorizations: order.authorizations.iter().map(|id| *id.octets()).collect(),
            profile: order.profile.as_ref().map(ProfileName::as_str),
            not_before: order.not_before.map(|at| at.as_microsecond()),
            not_after: order.not_after.map(|at| at.as_microsecond()),
            replaces: replaces.map(|id| (&*id.issuer_key_id, id.serial.as_der_content())),
            created_at: order.created_at.as_microsecond(),
            expires_at: order.expires_at.as_microsecond(),
        }
    }
}

impl<'a> From<&'a OrderState> for OrderStateV1<'a> {
    fn from(state: &'a OrderState) -> Self {
        match state {
            OrderState::Pending => Self::Pending,
            OrderState::Ready => Self::Ready,
            OrderState::Processing(own) => Self::Processing(FinalizationV1 {
                csr_der: &own.csr_der,
                csr_sha256: own.csr_sha256,
                request_id: own.request_id.as_ref().map(RequestId::as_str),
                at: own.at.as_microsecond(),
            }),
            OrderState::Valid(own) => Self::Valid(CertificateV1 {
                csr_sha256: own.csr_sha256,
                serial: own.serial.as_der_content(),
                issuer_key_id: &own.certificate_id.issuer_key_id,
                not_before: own.not_before.as_microsecond(),
                not_after: own.not_after.as_microsecond(),
                chains_pem: own.chains_pem.iter().map(|chain| &**chain).collect(),
                at: own.at.as_microsecond(),
            }),
            OrderState::Invalid { error } => Self::Invalid(error.into()),
        }
    }
}

impl OrderV1<'_> {
    /// Reads the order.
    pub(super) fn read(self) -> Option<Order> {
        let identifiers: Option<_> = self.identifiers.iter().map(IdentifierV1::read).collect();
        Some(Order {
            id: OrderId::from_octets(self.id),
            account: AccountId::from_octets(self.account),
            state: self.state.read()?,
            identifiers: identifiers?,
            authorizations: self
                .authorizations
                .into_iter()
                .map(AuthorizationId::from_octets)
                .collect(),
            profile: match self.profile {
                Some(name) => Some(ProfileName::new(name).ok()?),
                None => None,
            },
            not_before: optional_time(self.not_before)?,
            not_after: optional_time(self.not_after)?,
            replaces: match self.replaces {
                Some((issuer, serial)) => Some(certificate_id(issuer, serial)?),
                None => None,
            },
            created_at: time(self.created_at)?,
            expires_at: time(self.expires_at)?,
        })
    }
}

/// Puts a certificate's name together.
fn certificate_id(issuer_key_id: &[u8], serial: &[u8]) -> Option<CertificateId> {
    Some(CertificateId {
        issuer_key_id: issuer_key_id.into(),
        serial: SerialNumber::from_der_content(serial).ok()?,
    })
}

impl OrderStateV1<'_> {
    /// Reads the state.
    fn read(self) -> Option<OrderState> {
        Some(match self {
            Self::Pending => OrderState::Pending,
            Self::Ready => OrderState::Ready,
            Self::Processing(own) => OrderState::Processing(Finalization {
                csr_der: own.csr_der.to_vec(),
                csr_sha256: own.csr_sha256,
                request_id: match own.request_id {
                    Some(id) => Some(RequestId::new(id).ok()?),
                    None => None,
                },
                at: time(own.at)?,
            }),
            Self::Valid(own) => {
                let certificate_id = certificate_id(own.issuer_key_id, own.serial)?;
                OrderState::Valid(IssuedCertificate {
                    csr_sha256: own.csr_sha256,
                    serial: certificate_id.serial.clone(),
                    certificate_id,
                    not_before: time(own.not_before)?,
                    not_after: time(own.not_after)?,
                    chains_pem: own.chains_pem.into_iter().map(Box::from).collect(),
                    at: time(own.at)?,
                })
            }
            Self::Invalid(error) => OrderState::Invalid {
                error: error.read()?,
            },
        })
    }
}
