//! Trusted roots in JSON (sigstore protobuf-specs, `sigstore_trustroot.proto`).

use pki::certificate::Certificate;
use pki::name::AttributeType;
use pki::public_key::PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Authority, LogInstance, MEDIA_TYPE, TrustedRoot, TrustedRootError, Validity};
use crate::json::{self, JsonError};
use crate::sigstore::{Octets, key_details};

/// How large a trusted root may be.
pub(super) const LIMITS: json::Limits = json::Limits {
    max_len: 4 << 20,
    max_depth: 32,
    max_nodes: 100_000,
};

/// Most certificates of one authority.
pub(super) const MAX_CERTIFICATES: usize = 64;

/// Most authorities, and most logs, of each kind.
const MAX_ITEMS: usize = 1024;

/// The hash of every tree here.
const SHA256: &str = "SHA2_256";

/// The whole.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    /// The version.
    media_type: String,
    /// Logs of signatures.
    #[serde(default)]
    tlogs: Vec<Log>,
    /// Who certifies.
    #[serde(default)]
    certificate_authorities: Vec<WireAuthority>,
    /// Logs of certificates.
    #[serde(default)]
    ctlogs: Vec<Log>,
    /// Who says the time.
    #[serde(default)]
    timestamp_authorities: Vec<WireAuthority>,
}

/// CertificateAuthority.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAuthority {
    /// Of the root.
    #[serde(default)]
    subject: Subject,
    /// Where.
    #[serde(default)]
    uri: String,
    /// Certificates.
    cert_chain: Chain,
    /// When.
    #[serde(default)]
    valid_for: Option<Validity>,
}

/// DistinguishedName.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Subject {
    /// O.
    organization: String,
    /// CN.
    common_name: String,
}

/// X509CertificateChain.
#[derive(Serialize, Deserialize)]
struct Chain {
    /// The root last.
    certificates: Vec<RawBytes>,
}

/// X509Certificate.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBytes {
    /// DER.
    raw_bytes: Octets,
}

/// TransparencyLogInstance.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    /// Where.
    #[serde(default)]
    base_url: String,
    /// Of its tree.
    #[serde(default)]
    hash_algorithm: String,
    /// Its key.
    public_key: Key,
    /// Its identifier.
    log_id: LogId,
}

/// PublicKey.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    /// SubjectPublicKeyInfo.
    raw_bytes: Option<Octets>,
    /// Its algorithm.
    #[serde(default)]
    key_details: String,
    /// When.
    #[serde(default)]
    valid_for: Option<Validity>,
}

/// LogId.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    /// Of its key.
    key_id: Octets,
}

/// Writes a trusted root.
pub(super) fn write(root: &TrustedRoot) -> String {
    let wire = Wire {
        media_type: MEDIA_TYPE.to_owned(),
        tlogs: root.logs.iter().map(write_log).collect(),
        certificate_authorities: root
            .certificate_authorities
            .iter()
            .map(write_authority)
            .collect(),
        ctlogs: root.ct_logs.iter().map(write_log).collect(),
        timestamp_authorities: root
            .time_stamp_authorities
            .iter()
            .map(write_authority)
            .collect(),
    };
    // Texts alone, which always have a form in JSON.
    let mut json = serde_json::to_string(&wire).unwrap_or_default();
    json.push('\n');
    json
}

/// Writes an authority.
fn write_authority(authority: &Authority) -> WireAuthority {
    let root = authority.certificates.last();
    let attribute = |kind| {
        root.and_then(|root| root.subject().first(kind))
            .unwrap_or_default()
            .to_owned()
    };
    WireAuthority {
        subject: Subject {
            organization: attribute(AttributeType::Organization),
            common_name: attribute(AttributeType::CommonName),
        },
        uri: authority.uri.clone(),
        cert_chain: Chain {
            certificates: authority
                .certificates
                .iter()
                .map(|certificate| RawBytes {
                    raw_bytes: Octets(certificate.der().to_vec()),
                })
                .collect(),
        },
        valid_for: Some(authority.valid_for),
    }
}

/// Writes a log.
fn write_log(log: &LogInstance) -> Log {
    Log {
        base_url: log.base_url.clone(),
        hash_algorithm: SHA256.to_owned(),
        public_key: Key {
            raw_bytes: Some(Octets(log.public_key.spki_der().to_vec())),
            key_details: key_details(log.public_key.key_type())
                .unwrap_or("PUBLIC_KEY_DETAILS_UNSPECIFIED")
                .to_owned(),
            valid_for: Some(log.valid_for),
        },
        log_id: LogId {
            key_id: Octets(log.log_id.clone()),
        },
    }
}

/// Reads a trusted root from a document that was read strictly.
pub(super) fn read(value: Value) -> Result<TrustedRoot, TrustedRootError> {
    let wire: Wire = serde_json::from_value(value).map_err(|error| JsonError::Malformed {
        problem: json::quoted(&error.to_string()),
        line: 0,
        column: 0,
    })?;
    if wire.media_type != MEDIA_TYPE {
        return Err(TrustedRootError::MediaType {
            given: json::quoted(&wire.media_type),
        });
    }
    Ok(TrustedRoot {
        certificate_authorities: read_all(wire.certificate_authorities, "authorities", |item| {
            read_authority(item).map(Some)
        })?,
        time_stamp_authorities: read_all(
            wire.timestamp_authorities,
            "time-stamp authorities",
            |item| read_authority(item).map(Some),
        )?,
        logs: read_all(wire.tlogs, "logs", read_log)?,
        ct_logs: read_all(wire.ctlogs, "logs of certificates", read_log)?,
    })
}

/// Reads a list, leaving out what is not known here.
fn read_all<T, U>(
    items: Vec<T>,
    what: &'static str,
    read: impl Fn(T) -> Result<Option<U>, TrustedRootError>,
) -> Result<Vec<U>, TrustedRootError> {
    if items.len() > MAX_ITEMS {
        return Err(TrustedRootError::TooMany {
            what,
            count: items.len(),
            max: MAX_ITEMS,
        });
    }
    items
        .into_iter()
        .filter_map(|item| read(item).transpose())
        .collect()
}

/// Reads an authority.
fn read_authority(authority: WireAuthority) -> Result<Authority, TrustedRootError> {
    let ders = authority.cert_chain.certificates;
    if !(1..=MAX_CERTIFICATES).contains(&ders.len()) {
        return Err(TrustedRootError::Certificates {
            count: ders.len(),
            max: MAX_CERTIFICATES,
        });
    }
    let certificates = ders
        .iter()
        .map(|certificate| Certificate::from_der(&certificate.raw_bytes.0))
        .collect::<Result<_, _>>()?;
    Ok(Authority {
        uri: authority.uri,
        certificates,
        valid_for: authority.valid_for.unwrap_or_default(),
    })
}

/// Reads a log; none if its key or its tree is of a kind not known here.
fn read_log(log: Log) -> Result<Option<LogInstance>, TrustedRootError> {
    let octets = log.public_key.raw_bytes.ok_or(TrustedRootError::NoKey)?;
    let known_hash = matches!(log.hash_algorithm.as_str(), SHA256 | "");
    let Some(public_key) = PublicKey::from_spki_der(&octets.0)
        .ok()
        .filter(|_| known_hash)
    else {
        return Ok(None);
    };
    Ok(Some(LogInstance {
        base_url: log.base_url,
        public_key,
        valid_for: log.public_key.valid_for.unwrap_or_default(),
        log_id: log.log_id.key_id.0,
    }))
}
