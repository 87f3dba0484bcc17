//! What operators see and do, as JSON: `/operator/…` on the listener with client
//! certificates. The command line shares these types.

use model::{ProfileName, SerialNumber, Timestamp};
use serde::{Deserialize, Serialize};

/// Which page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// What the page comes after: `next` of the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Most items, 1 to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Orders of this account alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What the next page comes after; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its name.
    pub id: String,
    /// `valid`, `deactivated` or `revoked`.
    pub status: String,
    /// Contact URLs.
    pub contacts: Vec<String>,
    /// Its key's thumbprint (RFC 7638), base64url.
    pub thumbprint: String,
    /// The terms that its holder agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_agreed: Option<String>,
    /// The EAB key it is bound by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eab_key: Option<String>,
    /// The peer that made it over mutual TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// `pending`, `ready`, `processing`, `valid` or `invalid`.
    pub status: String,
    /// What it is for: `dns:www.example.org`, `ip:192.0.2.1`.
    pub identifiers: Vec<String>,
    /// The profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// Why nothing came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its certificate's serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialNumber>,
    /// When the certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_not_after: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it may be finalized.
    pub expires_at: Timestamp,
}

/// An EAB key; its secret is never shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EabView {
    /// Its name, the client's `kid`.
    pub id: String,
    /// What the operator calls it.
    pub label: String,
    /// `unused`, `bound` or `revoked`.
    pub status: String,
    /// The policy that its accounts fall under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The account it bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// An EAB key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewEab {
    /// Its name; drawn where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the operator calls it.
    pub label: String,
    /// The policy that its accounts fall under; the default where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Until when it may be used; for ever where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// An EAB key that was made, with its secret: shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct CreatedEab {
    /// The key.
    #[serde(flatten)]
    pub key: EabView,
    /// Its secret, base64url: what clients call the HMAC key.
    pub hmac_key: String,
}

impl std::fmt::Debug for CreatedEab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedEab")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Why a certificate is to be revoked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevokeOrderCertificate {
    /// The reason, by its name in RFC 5280 or its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
