//! What travels between a CA and its peers, as JSON.
//!
//! Servers and clients share these types, so that they cannot disagree. Readers
//! ignore members they do not know: a newer CA may say more.

mod revocation;

use jiff::Timestamp;
use model::{Identity, IssuerId, ProfileName, RequestId, RevocationReason, SerialNumber};
use pki::forge::ForgeClaims;
use serde::{Deserialize, Serialize};

pub use revocation::{
    CrlList, CrlSummary, FIRST_REVOCATION, ImportOutcome, ImportedRevocation, InvalidRevokeBody,
    KeyRevocation, OCSP_REQUEST, OCSP_RESPONSE, PKIX_CRL, PREFER, ReasonText, RevocationFilter,
    RevocationImport, RevocationPage, RevocationRecord, RevokeBody, RevokeKeyRequest, RevokeOrder,
    RevokeRequest, RevokeTarget,
};

/// Media type of a certificate request in DER (RFC 5967).
pub const PKCS10: &str = "application/pkcs10";

/// Media type of a certificate request in PEM.
pub const PEM_FILE: &str = "application/x-pem-file";

/// Media type of a certificate request with what its sender vouches for: [`SignBody`].
pub const SIGN_REQUEST: &str = "application/vnd.chancery.sign-request+json";

/// Media type of a certificate chain in PEM, leaf first (RFC 8555, 9.1).
pub const PEM_CHAIN: &str = "application/pem-certificate-chain";

/// Media type of one certificate in DER (RFC 2585).
pub const PKIX_CERT: &str = "application/pkix-cert";

/// Names a request, so that asking twice signs once.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The query of `POST /sign`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignQuery {
    /// The profile to issue by; the CA's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// How long the certificate is to be valid: `90d`, `12h`, or ISO 8601
    /// (`P90D`); the profile's default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<String>,
    /// The identity to certify, as `role/name` (`service:acme/acme-1`); only
    /// for those who may grant one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// The body of `POST /sign` where its sender vouches for more than the request says:
/// for the signing service alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignBody {
    /// The certificate request: PKCS#10, DER, in base64.
    pub csr: String,
    /// What a forge said of the build, its token verified.
    pub forge: ForgeClaims,
}

/// Whether a certificate counts now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateStatus {
    /// Recorded to be signed; no signature was released yet.
    Pending,
    /// Issued, within its validity and not revoked.
    Valid,
    /// Past its validity.
    Expired,
    /// Revoked, or on hold.
    Revoked,
    /// Never signed: the attempt was given up.
    Abandoned,
}

/// When and why a certificate was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When it stopped to count.
    pub at: Timestamp,
    /// Why.
    #[serde(with = "reason_name")]
    pub reason: RevocationReason,
    /// Since when it was not to be trusted, if that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalidity_date: Option<Timestamp>,
}

/// Reasons by the names of RFC 5280, 5.3.1.
mod reason_name {
    use model::RevocationReason;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the name.
    pub(super) fn serialize<S: Serializer>(
        reason: &RevocationReason,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(reason.as_str())
    }

    /// Reads a name in any case, or a code.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<RevocationReason, D::Error> {
        super::ReasonText::deserialize(from)?
            .read()
            .map_err(D::Error::custom)
    }
}

/// One certificate as the CA knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// The serial number, lower-case hexadecimal.
    pub serial: SerialNumber,
    /// Whether it counts now.
    pub status: CertificateStatus,
    /// The authority that issued it.
    pub issuer: IssuerId,
    /// The profile it was issued by.
    pub profile: ProfileName,
    /// Its subject (RFC 4514); empty when the names alone identify it.
    pub subject: String,
    /// Its names, each with its kind: `dns:a.example`, `ip:192.0.2.1`.
    pub names: Vec<String>,
    /// First moment of its validity.
    pub not_before: Timestamp,
    /// Last moment of its validity.
    pub not_after: Timestamp,
    /// SHA-256 of its SubjectPublicKeyInfo, lower-case hexadecimal.
    pub public_key_sha256: String,
    /// The peer that asked for it; absent for the CA's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Identity>,
    /// The request by which it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// When it was recorded, before it was signed.
    pub recorded_at: Timestamp,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// Its revocation, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// The certificate and its issuers in PEM; absent in listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_pem: Option<String>,
}

/// The query of `GET /certificates`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFilter {
    /// Only those that stand so now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CertificateStatus>,
    /// Only those whose subject or a name contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Only those of this profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// Only those that expire before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_before: Option<Timestamp>,
    /// Most records in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One page of `GET /certificates`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatePage {
    /// The records, newest first.
    pub certificates: Vec<CertificateRecord>,
    /// Asks for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A profile as `GET /profiles` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileSummary {
    /// The profile's name.
    pub name: ProfileName,
    /// What it is for.
    pub description: String,
    /// The authority that issues by it.
    pub issuer: IssuerId,
    /// Validity given when none is asked for, in seconds.
    pub default_validity_s: u64,
    /// Longest validity given, in seconds.
    pub max_validity_s: u64,
    /// Key algorithms it certifies.
    pub key_algorithms: Vec<String>,
    /// Extended key usages its certificates carry.
    pub extended_key_usages: Vec<String>,
    /// Whether the peer that asks may use it.
    pub allowed: bool,
}

/// What `GET /profiles` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileList {
    /// Every profile, by name.
    pub profiles: Vec<ProfileSummary>,
}

/// One part of a service and whether it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartStatus {
    /// Which part: `token`, `store`.
    pub name: String,
    /// Whether it serves now.
    pub ready: bool,
    /// What it is, or why it does not serve.
    pub detail: String,
}

/// An authority as `GET /status` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerStatus {
    /// The authority's name.
    pub id: IssuerId,
    /// Its certificate's subject (RFC 4514).
    pub subject: String,
    /// Its certificate's serial number.
    pub serial: SerialNumber,
    /// Its key's algorithm.
    pub key_algorithm: String,
    /// Last moment of its certificate.
    pub not_after: Timestamp,
    /// SHA-256 of its certificate, lower-case hexadecimal.
    pub sha256: String,
}

/// What `GET /status` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaStatus {
    /// The software's version.
    pub version: String,
    /// When the service started.
    pub started_at: Timestamp,
    /// Its time now.
    pub now: Timestamp,
    /// Token, store and whatever else it stands on.
    pub parts: Vec<PartStatus>,
    /// Its authorities.
    pub issuers: Vec<IssuerStatus>,
    /// Certificates it has issued.
    pub certificates: u64,
    /// Certificates being signed at this moment.
    pub open_intents: u64,
    /// Interrupted attempts that the last start settled.
    pub settled_intents: u64,
    /// Its CRLs as they are published.
    #[serde(default)]
    pub crls: Vec<CrlSummary>,
    /// How long what is published counts, if nothing can be signed from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runway: Option<RunwayStatus>,
    /// The log key by which certificates are timestamped, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ct: Option<CtStatus>,
}

/// The CA's own log key (RFC 6962), as those who verify certificates need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CtStatus {
    /// SHA-256 of the public key, lower-case hexadecimal: the log's name.
    pub log_id: String,
    /// The public key: SubjectPublicKeyInfo, DER, in base64.
    pub public_key: String,
    /// Since when its timestamps count: the beginning of the issuing authority.
    pub since: Timestamp,
}

/// How long everything that a CA published counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunwayStatus {
    /// Seconds until the first of it expires.
    pub seconds: u64,
    /// When that is.
    pub until: Timestamp,
    /// What expires then.
    pub first: String,
}

/// An error as every service tells it (RFC 9457), as a client reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProblemDocument {
    /// `urn:chancery:problem:` and the problem's slug.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The kind of problem in a few words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// A sentence about this occurrence.
    #[serde(default)]
    pub detail: String,
    /// Finds the request in the service's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What else the problem says.
    #[serde(flatten)]
    pub members: serde_json::Map<String, serde_json::Value>,
}
