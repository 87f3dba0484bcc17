//! Bundles in JSON (sigstore protobuf-specs, `sigstore_bundle.proto`).

use model::signing::ArtifactDigest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Bundle, BundleError, Content, InclusionProof, LogEntry, MAX_LEN, MessageSignature};
use crate::dsse::Envelope;
use crate::json::{self, JsonError};
use crate::sigstore::{Int64, Octets, read_hash, write_hash};
use crate::tlog::Hash;

/// How large a bundle may be.
pub(super) const LIMITS: json::Limits = json::Limits {
    max_len: MAX_LEN,
    max_depth: 32,
    max_nodes: 100_000,
};

/// Most certificates, time-stamps and log entries.
const MAX_ITEMS: usize = 32;

/// Most hashes of a proof: a tree has at most 2^64 leaves.
const MAX_PROOF: usize = 64;

/// A bundle's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// 0.1.
    V0_1,
    /// 0.2.
    V0_2,
    /// 0.3.
    V0_3,
}

impl MediaType {
    /// Returns the media type as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1 => "application/vnd.dev.sigstore.bundle+json;version=0.1",
            Self::V0_2 => "application/vnd.dev.sigstore.bundle+json;version=0.2",
            Self::V0_3 => super::MEDIA_TYPE,
        }
    }

    /// Reads a media type, 0.3 also in the spelling of the versions before it.
    fn read(text: &str) -> Option<Self> {
        match text {
            "application/vnd.dev.sigstore.bundle+json;version=0.3" => Some(Self::V0_3),
            _ => [Self::V0_1, Self::V0_2, Self::V0_3]
                .into_iter()
                .find(|known| known.as_str() == text),
        }
    }
}

/// The whole.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<E> {
    /// The version.
    media_type: String,
    /// Everything but content.
    verification_material: Material,
    /// Content, the one way.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_signature: Option<Message>,
    /// Content, the other way.
    #[serde(skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<E>,
}

/// VerificationMaterial.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    /// The certificate alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<RawBytes>,
    /// Several, in versions before 0.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<Chain>,
    /// A key, which is not taken.
    #[serde(skip_serializing)]
    public_key: Option<serde::de::IgnoredAny>,
    /// Entries in logs; written even if there are none, as verifiers expect it.
    #[serde(default, deserialize_with = "null_is_default")]
    tlog_entries: Vec<Entry>,
    /// Time-stamps.
    #[serde(default, deserialize_with = "null_is_default")]
    timestamp_verification_data: TimeStamps,
}

/// X509CertificateChain.
#[derive(Serialize, Deserialize)]
struct Chain {
    /// The leaf first.
    certificates: Vec<RawBytes>,
}

/// X509Certificate.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBytes {
    /// DER.
    raw_bytes: Octets,
}

/// TimestampVerificationData.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct TimeStamps {
    /// Them.
    #[serde(default, deserialize_with = "null_is_default")]
    rfc3161_timestamps: Vec<TimeStamp>,
}

/// RFC3161SignedTimestamp.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimeStamp {
    /// TimeStampResp.
    signed_timestamp: Octets,
}

/// MessageSignature.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    /// A hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_digest: Option<Digest>,
    /// The signature.
    signature: Octets,
}

/// HashOutput.
#[derive(Serialize, Deserialize)]
struct Digest {
    /// The hash.
    algorithm: String,
    /// Octets.
    digest: Octets,
}

/// TransparencyLogEntry.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// Its index in the log.
    log_index: Int64,
    /// Whose.
    log_id: LogId,
    /// What it is.
    kind_version: KindVersion,
    /// Seconds; "0" for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    integrated_time: Option<Int64>,
    /// Of logs that promise.
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_promise: Option<Promise>,
    /// The proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_proof: Option<Proof>,
    /// The entry.
    canonicalized_body: Octets,
}

/// LogId.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    /// Of its key.
    key_id: Octets,
}

/// KindVersion.
#[derive(Serialize, Deserialize)]
struct KindVersion {
    /// `hashedrekord`.
    kind: String,
    /// `0.0.2`.
    version: String,
}

/// InclusionPromise.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    /// The signature.
    signed_entry_timestamp: Octets,
}

/// InclusionProof.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    /// In the tree.
    log_index: Int64,
    /// Of the tree.
    root_hash: Octets,
    /// Of the tree.
    tree_size: Int64,
    /// The way.
    #[serde(default, deserialize_with = "null_is_default")]
    hashes: Vec<Octets>,
    /// The signed root.
    checkpoint: Option<Checkpoint>,
}

/// Checkpoint.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    /// A signed note.
    envelope: String,
}

/// Takes null as if the member was absent.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Writes a bundle.
pub(super) fn write(bundle: &Bundle) -> String {
    let mut certificates = bundle.certificate_chain.iter().map(|der| RawBytes {
        raw_bytes: Octets(der.clone()),
    });
    let (certificate, x509_certificate_chain) = match bundle.media_type {
        MediaType::V0_3 => (certificates.next(), None),
        MediaType::V0_1 | MediaType::V0_2 => {
            let certificates = certificates.collect();
            (None, Some(Chain { certificates }))
        }
    };
    let stamp = |der: &Vec<u8>| TimeStamp {
        signed_timestamp: Octets(der.clone()),
    };
    let (message_signature, dsse_envelope) = match &bundle.content {
        Content::Message(message) => (Some(write_message(message)), None),
        Content::Envelope(envelope) => (None, raw_json(envelope)),
    };
    let wire = Wire {
        media_type: bundle.media_type.as_str().to_owned(),
        verification_material: Material {
            certificate,
            x509_certificate_chain,
            public_key: None,
            tlog_entries: bundle.log_entries.iter().map(write_entry).collect(),
            timestamp_verification_data: TimeStamps {
                rfc3161_timestamps: bundle.time_stamps.iter().map(stamp).collect(),
            },
        },
        message_signature,
        dsse_envelope,
    };
    // Texts and JSON already written, which always have a form in JSON.
    serde_json::to_string(&wire).unwrap_or_default()
}

/// Writes an envelope once, as it writes itself.
fn raw_json(envelope: &Envelope) -> Option<Box<RawValue>> {
    let json = String::from_utf8(envelope.to_json()).ok()?;
    RawValue::from_string(json).ok()
}

/// Writes a message's signature.
fn write_message(message: &MessageSignature) -> Message {
    let digest = message.digest.as_ref().map(|digest| Digest {
        algorithm: write_hash(digest.algorithm()).to_owned(),
        digest: Octets(digest.octets().to_vec()),
    });
    Message {
        message_digest: digest,
        signature: Octets(message.signature.clone()),
    }
}

/// Writes an entry; numbers beyond 2^63 cannot be written and none is that large.
fn write_entry(entry: &LogEntry) -> Entry {
    let number = |number: u64| Int64(i64::try_from(number).unwrap_or(i64::MAX));
    let promise = entry.inclusion_promise.as_ref().map(|octets| Promise {
        signed_entry_timestamp: Octets(octets.clone()),
    });
    let proof = entry.inclusion_proof.as_ref().map(|proof| Proof {
        log_index: number(proof.log_index),
        root_hash: Octets(proof.root_hash.to_vec()),
        tree_size: number(proof.tree_size),
        hashes: proof
            .hashes
            .iter()
            .map(|hash| Octets(hash.to_vec()))
            .collect(),
        checkpoint: Some(Checkpoint {
            envelope: proof.checkpoint.clone(),
        }),
    });
    Entry {
        log_index: number(entry.log_index),
        log_id: LogId {
            key_id: Octets(entry.log_id.clone()),
        },
        kind_version: KindVersion {
            kind: entry.kind.clone(),
            version: entry.version.clone(),
        },
        integrated_time: entry.integrated_time.map(Int64),
        inclusion_promise: promise,
        inclusion_proof: proof,
        canonicalized_body: Octets(entry.canonicalized_body.clone()),
    }
}

/// Reads a bundle from a document that was read strictly.
pub(super) fn read(value: Value) -> Result<Bundle, BundleError> {
    let wire: Wire<Value> =
        serde_json::from_value(value).map_err(|error| JsonError::Malformed {
            problem: json::quoted(&error.to_string()),
            line: 0,
            column: 0,
        })?;
    let media_type = MediaType::read(&wire.media_type).ok_or_else(|| BundleError::MediaType {
        given: json::quoted(&wire.media_type),
    })?;
    let content = match (wire.message_signature, wire.dsse_envelope) {
        (Some(message), None) => Content::Message(read_message(message)?),
        (None, Some(envelope)) => {
            let envelope = Envelope::from_value(envelope)?;
            envelope.only_signature()?;
            Content::Envelope(envelope)
        }
        (Some(_), Some(_)) | (None, None) => return Err(BundleError::Content),
    };
    let material = wire.verification_material;
    let time_stamps = material.timestamp_verification_data.rfc3161_timestamps;
    at_most("time-stamps", time_stamps.len(), MAX_ITEMS)?;
    at_most("log entries", material.tlog_entries.len(), MAX_ITEMS)?;
    let certificate_chain = read_certificates(
        media_type,
        material.certificate,
        material.x509_certificate_chain,
        material.public_key.is_some(),
    )?;
    let entry = |entry| read_entry(media_type, entry);
    Ok(Bundle {
        media_type,
        certificate_chain,
        time_stamps: time_stamps
            .into_iter()
            .map(|stamp| stamp.signed_timestamp.0)
            .collect(),
        log_entries: material
            .tlog_entries
            .into_iter()
            .map(entry)
            .collect::<Result<_, _>>()?,
        content,
    })
}

/// Reads the certificates, which each version holds in its own way.
fn read_certificates(
    media_type: MediaType,
    alone: Option<RawBytes>,
    chain: Option<Chain>,
    key: bool,
) -> Result<Vec<Vec<u8>>, BundleError> {
    let chain = chain.map(|chain| chain.certificates);
    let count = chain.as_ref().map_or(0, Vec::len) + usize::from(alone.is_some());
    let refuse = |expected| BundleError::Certificates { count, expected };
    if key {
        return Err(BundleError::PublicKey);
    }
    let certificates = match (media_type, alone, chain) {
        (MediaType::V0_3, Some(leaf), None) => vec![leaf],
        (MediaType::V0_3, _, _) => {
            return Err(refuse("version 0.3 has one, in `certificate`"));
        }
        (MediaType::V0_1 | MediaType::V0_2, None, Some(chain)) if !chain.is_empty() => chain,
        (MediaType::V0_1 | MediaType::V0_2, _, _) => {
            return Err(refuse(
                "versions before 0.3 have theirs in `x509CertificateChain`",
            ));
        }
    };
    at_most("certificates", certificates.len(), MAX_ITEMS)?;
    Ok(certificates
        .into_iter()
        .map(|certificate| certificate.raw_bytes.0)
        .collect())
}

/// Reads a message's signature.
fn read_message(message: Message) -> Result<MessageSignature, BundleError> {
    let field = BundleError::Field {
        field: "message digest",
    };
    let read = |digest: Digest| {
        let algorithm = read_hash(&digest.algorithm)?;
        ArtifactDigest::new(algorithm, &digest.digest.0).ok()
    };
    let digest = match message.message_digest {
        None => None,
        Some(digest) => Some(read(digest).ok_or(field)?),
    };
    Ok(MessageSignature {
        digest,
        signature: message.signature.0,
    })
}

/// Reads an entry.
fn read_entry(media_type: MediaType, entry: Entry) -> Result<LogEntry, BundleError> {
    let proof = entry.inclusion_proof.map(read_proof).transpose()?;
    // sigstore_bundle.proto: from 0.2 on the inclusion proof is required, before it the
    // promise was.
    let lacks = match media_type {
        MediaType::V0_1 => entry.inclusion_promise.is_none() && proof.is_none(),
        MediaType::V0_2 | MediaType::V0_3 => proof.is_none(),
    };
    if lacks {
        return Err(BundleError::Field {
            field: "inclusion proof",
        });
    }
    Ok(LogEntry {
        log_index: number(entry.log_index, "log index")?,
        log_id: entry.log_id.key_id.0,
        kind: entry.kind_version.kind,
        version: entry.kind_version.version,
        integrated_time: entry
            .integrated_time
            .map(|time| time.0)
            .filter(|seconds| *seconds != 0),
        inclusion_promise: entry
            .inclusion_promise
            .map(|promise| promise.signed_entry_timestamp.0),
        inclusion_proof: proof,
        canonicalized_body: entry.canonicalized_body.0,
    })
}

/// Reads a proof of inclusion.
fn read_proof(proof: Proof) -> Result<InclusionProof, BundleError> {
    let field = |field| BundleError::Field { field };
    let hash = |octets: Octets, name| Hash::try_from(octets.0).map_err(|_| field(name));
    at_most("hashes in a proof", proof.hashes.len(), MAX_PROOF)?;
    Ok(InclusionProof {
        log_index: number(proof.log_index, "index in the tree")?,
        tree_size: number(proof.tree_size, "tree size")?,
        root_hash: hash(proof.root_hash, "root hash")?,
        hashes: proof
            .hashes
            .into_iter()
            .map(|octets| hash(octets, "inclusion proof"))
            .collect::<Result<_, _>>()?,
        checkpoint: proof.checkpoint.ok_or(field("checkpoint"))?.envelope,
    })
}

/// Reads a number that is not negative.
fn number(number: Int64, field: &'static str) -> Result<u64, BundleError> {
    u64::try_from(number.0).map_err(|_| BundleError::Field { field })
}

/// Refuses more of something than is looked at.
fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), BundleError> {
    if count > max {
        return Err(BundleError::TooMany { what, count, max });
    }
    Ok(())
}
