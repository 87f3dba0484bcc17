//! The protocol's JSON (RFC 8555, 7.1): what clients send and what they get.
//!
//! Readers ignore members they do not know, as the RFC demands (7.1); writers
//! leave out what is absent.

pub(crate) mod answer;

use serde::Deserialize;
use serde_json::Value;

/// An identifier (9.7.7).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct IdentifierObject {
    /// `dns`, `ip` or `permanent-identifier`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The name, address or device.
    pub(crate) value: String,
}

/// What newAccount takes (7.3).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NewAccountRequest {
    /// Contact URLs.
    pub(crate) contact: Vec<String>,
    /// Whether the holder agrees to the terms.
    pub(crate) terms_of_service_agreed: bool,
    /// Whether no account is to be made.
    pub(crate) only_return_existing: bool,
    /// The binding to an external account.
    pub(crate) external_account_binding: Option<Value>,
}

/// What an account's URL takes (7.3.2, 7.3.6).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AccountUpdateRequest {
    /// Contact URLs.
    pub(crate) contact: Option<Vec<String>>,
    /// Whether the holder agrees to the terms.
    pub(crate) terms_of_service_agreed: Option<bool>,
    /// `deactivated`.
    pub(crate) status: Option<String>,
}

/// What newOrder takes (7.4; RFC 9773, 5; draft-ietf-acme-profiles, 4).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewOrderRequest {
    /// What it is for.
    pub(crate) identifiers: Vec<IdentifierObject>,
    /// The start of validity asked for.
    pub(crate) not_before: Option<String>,
    /// The end of validity asked for.
    pub(crate) not_after: Option<String>,
    /// The certificate that its own is to replace.
    pub(crate) replaces: Option<String>,
    /// The profile.
    pub(crate) profile: Option<String>,
}

/// What newAuthz takes (7.4.1).
#[derive(Debug, Deserialize)]
pub(crate) struct NewAuthorizationRequest {
    /// What it is for.
    pub(crate) identifier: IdentifierObject,
}

/// What an authorization's URL takes (7.5.2).
#[derive(Debug, Deserialize)]
pub(crate) struct AuthorizationUpdateRequest {
    /// `deactivated`.
    pub(crate) status: Option<String>,
}

/// What a challenge of device-attest-01 takes (draft-ietf-acme-device-attest, 5).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttestationRequest {
    /// The attestation object, base64url of CBOR.
    pub(crate) att_obj: String,
}

/// What finalize takes (7.4).
#[derive(Debug, Deserialize)]
pub(crate) struct FinalizeRequest {
    /// The certificate request, base64url of DER.
    pub(crate) csr: String,
}

/// What revokeCert takes (7.6).
#[derive(Debug, Deserialize)]
pub(crate) struct RevokeRequest {
    /// The certificate, base64url of DER.
    pub(crate) certificate: String,
    /// Why, by its code.
    pub(crate) reason: Option<Value>,
}
