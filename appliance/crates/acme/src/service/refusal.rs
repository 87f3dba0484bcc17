//! What the parts' errors are in the protocol's terms.

use std::time::Duration;

use store::acme::AcmeError;

use crate::jws::{BindingError, JwkError, JwsError, RolloverError};
use crate::problem::{AcmeProblem, ErrorType};

/// When a store that is busy is to be asked again.
const SOON: Duration = Duration::from_secs(1);

/// When a store that fails is to be asked again.
const LATER: Duration = Duration::from_secs(30);

impl From<JwsError> for AcmeProblem {
    fn from(error: JwsError) -> Self {
        let kind = match &error {
            // RFC 8555, 6.2: badSignatureAlgorithm, with those supported.
            JwsError::Algorithm { .. } | JwsError::KeyAlgorithm { .. } => {
                ErrorType::BadSignatureAlgorithm
            }
            JwsError::Json { .. }
            | JwsError::Unprotected
            | JwsError::Several
            | JwsError::Base64 { .. }
            | JwsError::HeaderTooLong { .. }
            | JwsError::Header { .. }
            | JwsError::ParameterTooLong { .. }
            | JwsError::Critical
            | JwsError::JwkAndKid
            | JwsError::NoKey
            | JwsError::Missing { .. }
            | JwsError::MacAlgorithm { .. }
            | JwsError::Signature => ErrorType::Malformed,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<JwkError> for AcmeProblem {
    fn from(error: JwkError) -> Self {
        Self::new(ErrorType::BadPublicKey, error.to_string())
    }
}

impl From<BindingError> for AcmeProblem {
    fn from(error: BindingError) -> Self {
        match &error {
            // RFC 8555, 7.3.4: a binding that does not verify is no proof of
            // anything.
            BindingError::Jws(JwsError::Signature) | BindingError::AccountKey => {
                Self::unauthorized(error.to_string())
            }
            BindingError::Jws(_)
            | BindingError::NoKid
            | BindingError::Nonce
            | BindingError::Url => Self::malformed(error.to_string()),
        }
    }
}

impl From<RolloverError> for AcmeProblem {
    fn from(error: RolloverError) -> Self {
        match error {
            RolloverError::Jws(error) => {
                let kind = Self::from(error);
                Self::new(kind.kind(), format!("the inner JWS: {}", kind.detail()))
            }
            RolloverError::Key(error) => error.into(),
            error @ (RolloverError::NoJwk
            | RolloverError::Nonce
            | RolloverError::Url
            | RolloverError::Payload { .. }
            | RolloverError::Account
            | RolloverError::OldKey) => Self::malformed(error.to_string()),
        }
    }
}

/// States what the store refused.
pub(crate) fn store_problem(error: AcmeError) -> AcmeProblem {
    let detail = error.to_string();
    match error {
        AcmeError::NoAccount { .. } => AcmeProblem::new(ErrorType::AccountDoesNotExist, detail),
        AcmeError::AccountNotValid { .. }
        | AcmeError::KeyChanged { .. }
        | AcmeError::NoEabKey { .. }
        | AcmeError::EabKeySpent { .. }
        | AcmeError::EabKeyExpired { .. } => AcmeProblem::unauthorized(detail),
        AcmeError::NoOrder { .. }
        | AcmeError::NoAuthorization { .. }
        | AcmeError::NoChallenge { .. } => AcmeProblem::not_found(detail),
        AcmeError::AlreadyReplaced { .. } => AcmeProblem::new(ErrorType::AlreadyReplaced, detail),
        AcmeError::OrderNotReady { .. } => AcmeProblem::new(ErrorType::OrderNotReady, detail),
        AcmeError::EabKeyTaken { .. }
        | AcmeError::AuthorizationNotPending { .. }
        | AcmeError::Refused(_) => AcmeProblem::malformed(detail),
        AcmeError::Store(error) => unavailable(error),
        // The enum grows; what is new is ours to look at.
        error => AcmeProblem::internal(error),
    }
}

/// States that the store did not do it.
fn unavailable(error: store::Error) -> AcmeProblem {
    match &error {
        store::Error::BadCursor => {
            AcmeProblem::malformed("the list has no page after the one named")
        }
        store::Error::Busy { .. } => {
            AcmeProblem::unavailable("more is being recorded than may wait", SOON).caused_by(error)
        }
        store::Error::NoSpace { .. } | store::Error::Failed { .. } => AcmeProblem::unavailable(
            "the server cannot record durably now and so does nothing; it goes on by itself",
            LATER,
        )
        .caused_by(error),
        _ => AcmeProblem::internal(error),
    }
}
