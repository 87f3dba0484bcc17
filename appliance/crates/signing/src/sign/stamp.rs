//! Time-stamps over signatures.

use std::time::Duration;

use jiff::Timestamp;
use model::signing::HashAlgorithm;
use model::{NodePrefix, SerialNumber};
use pki::timestamp::{self, LintedToken, RequestPlan, TimeStampRequest, TimeStampToken};

use super::token::{self, Wanted};
use crate::keys::CertifiedKey;
use crate::problem::SigningProblem;

/// A time-stamp that may be signed.
#[derive(Debug)]
pub(crate) struct PlannedStamp {
    /// Its serial number.
    pub(crate) serial: SerialNumber,
    /// What is signed.
    pub(crate) token: LintedToken,
}

/// Plans a time-stamp for a request.
///
/// # Errors
///
/// `Internal` when the token would break a rule; nothing can be signed then.
pub(crate) fn plan(
    key: &CertifiedKey,
    request: &TimeStampRequest<'_>,
    now: Timestamp,
) -> Result<PlannedStamp, SigningProblem> {
    let authority = key
        .authority()
        .ok_or_else(|| SigningProblem::internal(NoAuthority))?;
    let serial = draw_serial()?;
    let planned = authority
        .plan(request, &serial, now)
        .map_err(SigningProblem::internal)?;
    let token =
        timestamp::lint(planned, request, authority, now).map_err(SigningProblem::internal)?;
    Ok(PlannedStamp { serial, token })
}

/// Plans a time-stamp over a signature's octets, as verifiers of bundles want it.
pub(super) fn plan_over(
    key: &CertifiedKey,
    signature: &[u8],
    now: Timestamp,
) -> Result<PlannedStamp, SigningProblem> {
    let request_der = RequestPlan {
        digest: token::digest(HashAlgorithm::Sha256, signature)?,
        policy: None,
        nonce: None,
        certificate: true,
    }
    .encode();
    let request = TimeStampRequest::parse(&request_der).map_err(SigningProblem::internal)?;
    plan(key, &request, now)
}

/// Has a planned time-stamp signed.
pub(crate) async fn sign(
    key: &CertifiedKey,
    planned: PlannedStamp,
    timeout: Duration,
) -> Result<TimeStampToken, SigningProblem> {
    let wanted = [Wanted {
        label: "timestamp",
        digest: token::digest(key.message_hash(), planned.token.der())?,
    }];
    let signature = token::sign_all(key, &wanted, timeout).await?.concat();
    planned
        .token
        .assemble(&signature)
        .map_err(SigningProblem::internal)
}

/// Draws a serial number that no time-stamp had.
fn draw_serial() -> Result<SerialNumber, SigningProblem> {
    let random = super::draw::<{ SerialNumber::RANDOM_LEN }>()?;
    Ok(SerialNumber::from_random(NodePrefix::default(), random))
}

/// A key that is no time-stamp authority's.
#[derive(Debug, thiserror::Error)]
#[error("the key is not certified for time-stamps")]
struct NoAuthority;
