//! What travels about revocation: orders, records, export and import.
//!
//! Reasons are written as RFC 5280, 5.3.1 spells them (`keyCompromise`); a name
//! in any case or a code (`1`) is read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use model::{Identity, InvalidSerial, IssuerId, RequestId, RevocationReason, SerialNumber};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::ca_client::CrlScope;

/// Media type of a CRL in DER (RFC 2585, 4.2).
pub const PKIX_CRL: &str = "application/pkix-crl";

/// Media type of an OCSP request (RFC 6960, C.1).
pub const OCSP_REQUEST: &str = "application/ocsp-request";

/// Media type of an OCSP response (RFC 6960, C.2).
pub const OCSP_RESPONSE: &str = "application/ocsp-response";

/// Asks a server to hold its answer back until there is news (RFC 7240, 4.3):
/// `Prefer: wait=30`.
pub const PREFER: &str = "prefer";

/// The member of an `already-revoked` problem that holds the first
/// [`RevocationRecord`].
pub const FIRST_REVOCATION: &str = "revocation";

/// The body of `POST /revoke-cert`, as written: exactly one of `serial`,
/// `certificate` and `public_key_sha256`.
///
/// [`check`](Self::check) tells what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// The serial number, hexadecimal, with or without colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The certificate in PEM, or its DER in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// SHA-256 of a SubjectPublicKeyInfo, hexadecimal, with or without colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_sha256: Option<String>,
    /// Why: a name or code of RFC 5280; `unspecified` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonText>,
    /// Since when the key or certificate was not to be trusted (RFC 5280, 5.3.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidity_date: Option<Timestamp>,
}

/// A reason as written: a name, or a code as a number or in digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReasonText {
    /// `1`.
    Code(i64),
    /// `"keyCompromise"` or `"1"`.
    Name(String),
}

/// What a [`RevokeBody`] asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokeOrder {
    /// One certificate; answered with a [`RevocationRecord`].
    Certificate(RevokeRequest),
    /// A key and all its certificates; answered with a [`KeyRevocation`].
    Key(RevokeKeyRequest),
}

/// Orders that one certificate no longer counts, or counts again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeRequest {
    /// Which.
    pub target: RevokeTarget,
    /// Why; `RemoveFromCrl` releases a certificate from hold.
    pub reason: RevocationReason,
    /// Since when it was not to be trusted.
    pub invalidity_date: Option<Timestamp>,
    /// The request that this one is made for; travels in a header, so that both
    /// services' log lines share it.
    pub request_id: Option<RequestId>,
}

/// Which certificate is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokeTarget {
    /// The one with this serial number.
    Serial(SerialNumber),
    /// This one, DER: its issuer and every octet must be as recorded.
    Certificate(Vec<u8>),
}

/// Orders that a public key, and every certificate of it, no longer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeKeyRequest {
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub public_key_sha256: [u8; 32],
    /// Why.
    pub reason: RevocationReason,
    /// Since when it was not to be trusted.
    pub invalidity_date: Option<Timestamp>,
    /// The request that this one is made for; travels in a header.
    pub request_id: Option<RequestId>,
}

/// Why a [`RevokeBody`] asks nothing that can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRevokeBody {
    /// None, or more than one, of the members that tell what is meant.
    #[error("name exactly one of serial, certificate and public_key_sha256, not {count}")]
    Target {
        /// How many were given.
        count: usize,
    },
    /// The serial number is none.
    #[error("serial: {source}")]
    Serial {
        /// What is wrong.
        source: InvalidSerial,
    },
    /// The certificate is neither PEM nor base64.
    #[error("certificate: neither one certificate in PEM nor DER in base64")]
    Certificate,
    /// The hash is no SHA-256.
    #[error("public_key_sha256: not 64 hexadecimal digits")]
    PublicKey,
    /// The reason is none of RFC 5280.
    #[error("reason: {given:?} is no name or code of RFC 5280, 5.3.1")]
    Reason {
        /// The name or code given, cut at 40 characters.
        given: String,
    },
}

impl RevokeBody {
    /// Tells what is asked.
    ///
    /// Texts are hostile: never panics, allocates no more than they are long.
    ///
    /// # Errors
    ///
    /// `Target` unless exactly one is named; `Serial`, `Certificate`,
    /// `PublicKey` or `Reason` when that member cannot be read.
    pub fn check(self) -> Result<RevokeOrder, InvalidRevokeBody> {
        let reason = self
            .reason
            .map_or(Ok(RevocationReason::Unspecified), |text| text.read())?;
        let invalidity_date = self.invalidity_date;
        let certificate = |target| {
            RevokeOrder::Certificate(RevokeRequest {
                target,
                reason,
                invalidity_date,
                request_id: None,
            })
        };
        match (self.serial, self.certificate, self.public_key_sha256) {
            (Some(serial), None, None) => {
                let serial = serial
                    .trim()
                    .parse()
                    .map_err(|source| InvalidRevokeBody::Serial { source })?;
                Ok(certificate(RevokeTarget::Serial(serial)))
            }
            (None, Some(text), None) => read_certificate(&text)
                .map(|der| certificate(RevokeTarget::Certificate(der)))
                .ok_or(InvalidRevokeBody::Certificate),
            (None, None, Some(text)) => Ok(RevokeOrder::Key(RevokeKeyRequest {
                public_key_sha256: read_sha256(&text).ok_or(InvalidRevokeBody::PublicKey)?,
                reason,
                invalidity_date,
                request_id: None,
            })),
            (serial, certificate, key) => Err(InvalidRevokeBody::Target {
                count: [serial, certificate, key].into_iter().flatten().count(),
            }),
        }
    }
}

impl ReasonText {
    /// Finds the reason.
    pub(super) fn read(&self) -> Result<RevocationReason, InvalidRevokeBody> {
        let refuse = |given: String| InvalidRevokeBody::Reason {
            given: given.chars().take(40).collect(),
        };
        match self {
            Self::Code(code) => u8::try_from(*code)
                .ok()
                .and_then(|code| RevocationReason::from_code(code).ok())
                .ok_or_else(|| refuse(code.to_string())),
            Self::Name(name) => name.trim().parse().map_err(|_| refuse(name.clone())),
        }
    }
}

impl From<RevocationReason> for ReasonText {
    fn from(reason: RevocationReason) -> Self {
        Self::Name(reason.as_str().to_owned())
    }
}

impl From<&RevokeRequest> for RevokeBody {
    fn from(request: &RevokeRequest) -> Self {
        let (serial, certificate) = match &request.target {
            RevokeTarget::Serial(serial) => (Some(serial.to_string()), None),
            RevokeTarget::Certificate(der) => (None, Some(STANDARD.encode(der))),
        };
        Self {
            serial,
            certificate,
            public_key_sha256: None,
            reason: Some(request.reason.into()),
            invalidity_date: request.invalidity_date,
        }
    }
}

impl From<&RevokeKeyRequest> for RevokeBody {
    fn from(request: &RevokeKeyRequest) -> Self {
        Self {
            public_key_sha256: Some(hex::encode(request.public_key_sha256)),
            reason: Some(request.reason.into()),
            invalidity_date: request.invalidity_date,
            ..Self::default()
        }
    }
}

/// Reads one certificate in PEM, or DER in base64.
fn read_certificate(text: &str) -> Option<Vec<u8>> {
    if text.contains("-----BEGIN") {
        let mut certificates = CertificateDer::pem_slice_iter(text.as_bytes());
        // A chain after the leaf is not taken: which one is meant would be a guess.
        return match (certificates.next(), certificates.next()) {
            (Some(Ok(certificate)), None) => Some(certificate.to_vec()),
            _ => None,
        };
    }
    let base64: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(base64).ok().filter(|der| !der.is_empty())
}

/// Reads a SHA-256 as OpenSSL and we print it.
fn read_sha256(text: &str) -> Option<[u8; 32]> {
    if text.len() > 2 * 64 {
        return None;
    }
    let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
    hex::decode(digits).ok()?.try_into().ok()
}

/// One revocation as the CA recorded it: what `POST /revoke-cert` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationRecord {
    /// The certificate's serial number, lower-case hexadecimal.
    pub serial: SerialNumber,
    /// The authority that issued it.
    pub issuer: IssuerId,
    /// When it stopped to count; for a release from hold, when it counted again.
    pub revoked_at: Timestamp,
    /// Why; `removeFromCRL` after a release from hold.
    #[serde(with = "super::reason_name")]
    pub reason: RevocationReason,
    /// Since when it was not to be trusted, if that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidity_date: Option<Timestamp>,
    /// The certificate's end, where it is known: imported ones may lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// SHA-256 of its SubjectPublicKeyInfo, lower-case hexadecimal, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_sha256: Option<String>,
    /// Who ordered it; absent for the CA's own and for imported ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<Identity>,
}

/// What the CA did about a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevocation {
    /// SHA-256 of its SubjectPublicKeyInfo, lower-case hexadecimal.
    pub public_key_sha256: String,
    /// Whether the key is certified no more: always, once this is answered.
    pub blocked: bool,
    /// The certificates that this order revoked.
    pub revoked: Vec<RevocationRecord>,
    /// Those that were revoked before, with their first records.
    pub already_revoked: Vec<RevocationRecord>,
}

/// The query of `GET /revocations`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationFilter {
    /// Only those of this authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerId>,
    /// Most records in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One page of `GET /revocations`, and the whole of a `revocations.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationPage {
    /// The records, in a stable order.
    pub revocations: Vec<RevocationRecord>,
    /// Asks for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The body of `POST /revocations`: revocations from elsewhere, of certificates
/// that the CA need not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationImport {
    /// The authority that issued those which do not say.
    pub issuer: IssuerId,
    /// What was revoked.
    pub revocations: Vec<ImportedRevocation>,
}

/// One revocation from elsewhere; an exported [`RevocationRecord`] reads as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedRevocation {
    /// The serial number.
    pub serial: SerialNumber,
    /// The authority that issued it, if not the import's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerId>,
    /// When it stopped to count.
    pub revoked_at: Timestamp,
    /// Why.
    #[serde(default = "unspecified", with = "super::reason_name")]
    pub reason: RevocationReason,
    /// Since when it was not to be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidity_date: Option<Timestamp>,
    /// The certificate's end: it leaves the CRL after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// The reason of those who give none.
fn unspecified() -> RevocationReason {
    RevocationReason::Unspecified
}

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImportOutcome {
    /// Revocations that were recorded.
    pub imported: u64,
    /// Those that were revoked before; their first records stay.
    pub already_revoked: u64,
}

/// What `POST /crl` answers: every CRL, issued anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlList {
    /// One of each authority and scope.
    pub crls: Vec<CrlSummary>,
}

/// One CRL as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlSummary {
    /// The authority.
    pub issuer: IssuerId,
    /// Which of its CRLs: `full`, `delta`, `shard-3`.
    pub scope: CrlScope,
    /// Its number, decimal.
    pub number: String,
    /// When it was issued.
    pub this_update: Timestamp,
    /// When the next one is there at the latest.
    pub next_update: Timestamp,
    /// Certificates that it names.
    pub entries: u64,
    /// Where relying parties find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

#[cfg(test)]
mod tests;
