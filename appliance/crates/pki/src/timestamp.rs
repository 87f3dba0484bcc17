//! Time-stamps (RFC 3161, as updated by RFC 5816): what somebody knew, as a digest, and
//! when.
//!
//! A token's way: [`TimeStampRequest::parse`] reads what strangers ask;
//! [`TimeStampAuthority::plan`] decides every field and encodes both the TSTInfo and the
//! attributes that are signed; [`lint`] reads them again and gives a [`LintedToken`]: the
//! only thing that can be signed, once; [`LintedToken::assemble`] gives the
//! [`TimeStampToken`], and [`TimeStampToken::to_response`] what is answered. Refusals are
//! made by [`rejection`].
//!
//! [`RequestPlan`] asks others; [`verify_token`] and [`verify_response`] are the other
//! side.

mod authority;
mod info;
mod lint;
mod plan;
mod request;
mod response;
mod token;
mod verify;

pub use authority::{
    Accuracy, AuthoritySettings, InvalidPolicy, NotAnAuthority, PolicyOid, Precision,
    TimeStampAuthority,
};
pub use info::{TokenSerial, TstInfo, TstInfoError};
pub use lint::{LintedToken, TokenLint, TokenLintFindings, lint};
pub use plan::{PlannedToken, UnacceptedPolicy};
pub use request::{RequestPlan, TimeStampRequest, TimeStampRequestError};
pub use response::{FailureInfo, TimeStampResponse, TimeStampResponseError, rejection};
pub use token::{TimeStampToken, TokenError, TokenRead};
pub use verify::{
    Stamped, TimeStampRefused, TokenQuestion, VerifiedTimeStamp, verify_response, verify_token,
};

#[cfg(test)]
mod tests;
