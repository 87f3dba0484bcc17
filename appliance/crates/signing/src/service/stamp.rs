//! Time-stamps on request (RFC 3161).

use bytes::Bytes;
use mesh::RequestContext;
use model::signing::SignerLabel;
use pki::timestamp::{FailureInfo, TimeStampRequest};
use store::signing::{NewTimestamp, SigningStoreError};

use super::Signing;
use crate::http::Stamping;
use crate::problem::SigningProblem;
use crate::sign::{plan_stamp, sign_stamp};

/// How often a serial number is drawn; twice the same is one in 2^128.
const DRAWS: usize = 3;

impl Signing {
    /// Stamps the time, recorded before it is signed; returns the response, DER.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, or with the service.
    pub(crate) async fn time_stamp(
        &self,
        query: &TimeStampRequest<'_>,
        requester: Option<SignerLabel>,
        context: &RequestContext,
    ) -> Result<Vec<u8>, Stamping> {
        let Some(key) = self.keys.timestamp_key() else {
            return Err(Stamping::Refused(
                FailureInfo::SystemFailure,
                "this service makes no time-stamps".to_owned(),
            ));
        };
        if let (Some(wished), Some(authority)) = (query.policy(), key.authority())
            && wished != authority.settings().policy
        {
            return Err(Stamping::Refused(
                FailureInfo::UnacceptedPolicy,
                format!("time-stamps are made under {}", authority.settings().policy),
            ));
        }
        for _ in 0..DRAWS {
            let now = self.now().map_err(|_| {
                // RFC 3161, 2.4.2: the TSA's time source is not available.
                Stamping::Refused(
                    FailureInfo::TimeNotAvailable,
                    "the clock contradicts what was recorded before".to_owned(),
                )
            })?;
            let planned = plan_stamp(&key, query, now)?;
            let new = NewTimestamp {
                serial: planned.serial.clone(),
                imprint: query.digest(),
                gen_time: planned.token.gen_time(),
                tst_info_der: Bytes::copy_from_slice(planned.token.tst_info_der()),
                requester: requester.clone(),
                request_id: Some(context.request_id.clone()),
                at: now,
            };
            match self.store.begin_timestamp(new).await {
                Ok(()) => {
                    let timeout = self.config.limits.signing_timeout;
                    let token = sign_stamp(&key, planned, timeout).await?;
                    return Ok(token.to_response());
                }
                Err(SigningStoreError::SerialTaken { .. }) => {}
                Err(error) => return Err(SigningProblem::from(error).into()),
            }
        }
        Err(SigningProblem::internal(SameSerial).into())
    }
}

/// The same serial number, drawn again and again.
#[derive(Debug, thiserror::Error)]
#[error("every serial number that was drawn was used before")]
struct SameSerial;
