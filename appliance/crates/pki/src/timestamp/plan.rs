//! What a token is to say, and its encoding.

use model::{SerialNumber, Timestamp};

use super::{PolicyOid, TimeStampAuthority, TimeStampRequest};
use crate::algorithm;
use crate::encode::cms::SignedAttributes;
use crate::encode::timestamp as encode;
use crate::oid;
use crate::time;

/// The request wishes for another policy than the authority has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("time-stamps are made under policy {policy}, not under {wished}")]
pub struct UnacceptedPolicy {
    /// The authority's.
    pub policy: PolicyOid,
    /// The request's.
    pub wished: PolicyOid,
}

/// A TSTInfo and attributes encoded, waiting for their lint.
#[derive(Debug)]
pub struct PlannedToken {
    /// The TSTInfo.
    pub(super) info_der: Vec<u8>,
    /// The SET OF that is to be signed.
    pub(super) attributes_der: Vec<u8>,
}

impl TimeStampAuthority {
    /// Decides every field of a token, and encodes what is to be signed.
    ///
    /// No serial number may be given to it twice (RFC 3161, 2.4.2).
    ///
    /// # Errors
    ///
    /// `UnacceptedPolicy`: the answer is [`super::FailureInfo::UnacceptedPolicy`].
    pub fn plan(
        &self,
        request: &TimeStampRequest<'_>,
        serial: &SerialNumber,
        gen_time: Timestamp,
    ) -> Result<PlannedToken, UnacceptedPolicy> {
        let settings = self.settings();
        let policy = settings.policy;
        if let Some(wished) = request.policy().filter(|wished| *wished != policy) {
            return Err(UnacceptedPolicy { policy, wished });
        }
        let info = encode::TstInfo {
            policy: policy.oid(),
            imprint_der: request.imprint_der(),
            serial,
            gen_time: &time::fractional_digits(gen_time, settings.precision.digits()),
            accuracy: settings.accuracy,
            ordering: settings.ordering,
            nonce: request.nonce(),
            name_der: self.name_der(),
        };
        let info_der = info.to_der();
        let digest = algorithm::digest_of(self.hash(), &info_der);
        let attributes = SignedAttributes {
            content_type: oid::TST_INFO,
            message_digest: digest.octets(),
            // genTime says it already.
            signing_time: None,
            signing_certificate: self.signer().signing_certificate_der(),
        };
        Ok(PlannedToken {
            attributes_der: attributes.to_der(),
            info_der,
        })
    }
}

impl PlannedToken {
    /// Returns the TSTInfo, DER, not yet linted.
    #[must_use]
    pub fn tst_info_der(&self) -> &[u8] {
        &self.info_der
    }

    /// Returns the SET OF that is to be signed, DER, not yet linted.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.attributes_der
    }
}
