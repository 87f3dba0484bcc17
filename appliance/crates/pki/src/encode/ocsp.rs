//! OCSP (RFC 6960, 4): requests, and responses in exactly as much memory as they need.
//!
//! A response that was signed in advance is written anew for every query, so that only
//! its signature and times are kept; what is written here must therefore depend on the
//! arguments alone.

use jiff::Timestamp;
use model::RevocationReason;
use yasna::{Tag, construct_der, construct_der_seq};

use super::{append_header, extension, header_len, write_oid};
use crate::ocsp::{CertIdHash, CertStatus};
use crate::oid;
use crate::time;
use crate::tlv;

/// Octets of a GeneralizedTime.
const TIME_LEN: usize = 17;

/// Tag `[1]`, Extensions, Extension and OCTET STRING of an archive cutoff alone, up to
/// its GeneralizedTime.
const ARCHIVE_CUTOFF: [u8; 17] = [
    0xa1, 0x22, 0x30, 0x20, 0x30, 0x1e, // singleExtensions, one Extension
    0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x06, // its kind
];

/// OCSPResponseStatus successful.
const SUCCESSFUL: [u8; 3] = [0x0a, 0x01, 0x00];

/// id-pkix-ocsp-basic.
const BASIC: [u8; 11] = [
    0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01,
];

/// A CertID, whole or in the two parts that vary differently.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CertIdOctets<'a> {
    /// As it stood in a request.
    Whole(&'a [u8]),
    /// From its contents up to the serial number, and that number's content octets.
    Parts {
        /// Algorithm and hashes, the same for all certificates of an issuer.
        issuer: &'a [u8],
        /// Content octets of the INTEGER.
        serial: &'a [u8],
    },
}

impl CertIdOctets<'_> {
    /// Counts its octets.
    fn len(self) -> usize {
        match self {
            Self::Whole(der) => der.len(),
            Self::Parts { issuer, serial } => wrapped_len(issuer.len() + 2 + serial.len()),
        }
    }

    /// Appends it.
    pub(crate) fn append(self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(der) => out.extend_from_slice(der),
            Self::Parts { issuer, serial } => {
                append_header(out, tlv::SEQUENCE, issuer.len() + 2 + serial.len());
                out.extend_from_slice(issuer);
                append_header(out, tlv::INTEGER, serial.len());
                out.extend_from_slice(serial);
            }
        }
    }
}

/// Encodes the part of a CertID that all certificates of an issuer share.
///
/// RFC 5754, 2: parameters of SHA-2 are absent. Those of SHA-1 are NULL, as every
/// client writes them.
pub(crate) fn cert_id_issuer(hash: CertIdHash, name_hash: &[u8], key_hash: &[u8]) -> Vec<u8> {
    construct_der_seq(|fields| {
        fields.next().write_sequence(|algorithm| {
            write_oid(algorithm.next(), &hash.oid());
            if hash == CertIdHash::Sha1 {
                algorithm.next().write_null();
            }
        });
        fields.next().write_bytes(name_hash);
        fields.next().write_bytes(key_hash);
    })
}

/// Encodes an OCSPRequest (4.1.1), unsigned.
pub(crate) fn request(cert_ids: &[&[u8]], nonce: Option<&[u8]>) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|request| {
            request.next().write_sequence(|tbs| {
                tbs.next().write_sequence(|list| {
                    for cert_id in cert_ids {
                        list.next()
                            .write_sequence(|one| one.next().write_der(cert_id));
                    }
                });
                if let Some(nonce) = nonce {
                    // requestExtensions.
                    tbs.next().write_tagged(Tag::context(2), |tagged| {
                        tagged.write_sequence(|extensions| {
                            extension(extensions, oid::OCSP_NONCE, false, |value| {
                                value.write_bytes(nonce);
                            });
                        });
                    });
                }
            });
        });
    })
}

/// Encodes responseExtensions with their `[1]`; nothing if there are none.
pub(crate) fn response_extensions(nonce: Option<&[u8]>, extended_revoke: bool) -> Vec<u8> {
    if nonce.is_none() && !extended_revoke {
        return Vec::new();
    }
    construct_der(|writer| {
        writer.write_tagged(Tag::context(1), |tagged| {
            tagged.write_sequence(|extensions| {
                if let Some(nonce) = nonce {
                    // RFC 9654, 2.1: an OCTET STRING within the extension's.
                    extension(extensions, oid::OCSP_NONCE, false, |value| {
                        value.write_bytes(nonce);
                    });
                }
                if extended_revoke {
                    // RFC 6960, 4.4.8: NULL; SHOULD NOT be critical.
                    extension(extensions, oid::OCSP_EXTENDED_REVOKE, false, |value| {
                        value.write_null();
                    });
                }
            });
        });
    })
}

/// Encodes a ResponderID by key (4.2.1).
pub(crate) fn responder_id(key_hash: &[u8]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_tagged(Tag::context(2), |tagged| tagged.write_bytes(key_hash));
    })
}

/// Encodes `certs` of a BasicOCSPResponse with its `[0]`.
pub(crate) fn certificates(certificate_der: &[u8]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_tagged(Tag::context(0), |tagged| {
            tagged.write_sequence(|list| list.next().write_der(certificate_der));
        });
    })
}

/// One SingleResponse (4.2.1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Single<'a> {
    /// Which certificate.
    pub(crate) cert_id: CertIdOctets<'a>,
    /// Its status.
    pub(crate) status: CertStatus,
    /// When that was known to be right.
    pub(crate) this_update: Timestamp,
    /// When more will be known.
    pub(crate) next_update: Timestamp,
    /// Since when the statuses of expired certificates are kept.
    pub(crate) archive_cutoff: Option<Timestamp>,
}

impl Single<'_> {
    /// Counts its octets, without tag and length.
    fn content_len(&self) -> usize {
        let status = match self.status {
            CertStatus::Good | CertStatus::Unknown => 2,
            CertStatus::Revoked { reason, .. } => wrapped_len(revoked_len(reason)),
        };
        let archive = match self.archive_cutoff {
            Some(_) => ARCHIVE_CUTOFF.len() + 2 + TIME_LEN,
            None => 0,
        };
        self.cert_id.len() + status + TIME_LEN + wrapped_len(TIME_LEN) + archive
    }

    /// Appends it.
    fn append(&self, out: &mut Vec<u8>) {
        append_header(out, tlv::SEQUENCE, self.content_len());
        self.cert_id.append(out);
        match self.status {
            // [0] IMPLICIT NULL.
            CertStatus::Good => append_header(out, tlv::context(0), 0),
            // [1] IMPLICIT RevokedInfo.
            CertStatus::Revoked { at, reason } => {
                append_header(out, tlv::context_constructed(1), revoked_len(reason));
                append_time(out, at);
                if reason != RevocationReason::Unspecified {
                    out.extend([0xa0, 0x03, tlv::ENUMERATED, 0x01, reason.code()]);
                }
            }
            // [2] IMPLICIT NULL.
            CertStatus::Unknown => append_header(out, tlv::context(2), 0),
        }
        append_time(out, self.this_update);
        append_header(out, tlv::context_constructed(0), TIME_LEN);
        append_time(out, self.next_update);
        if let Some(cutoff) = self.archive_cutoff {
            out.extend(ARCHIVE_CUTOFF);
            append_header(out, tlv::OCTET_STRING, TIME_LEN);
            append_time(out, cutoff);
        }
    }
}

/// Counts the octets of a RevokedInfo, without tag and length.
fn revoked_len(reason: RevocationReason) -> usize {
    match reason {
        RevocationReason::Unspecified => TIME_LEN,
        _ => TIME_LEN + 5,
    }
}

/// Appends a GeneralizedTime.
fn append_time(out: &mut Vec<u8>, at: Timestamp) {
    append_header(out, tlv::GENERALIZED_TIME, TIME_LEN - 2);
    out.extend(time::digits(at));
}

/// Counts the octets of a value around contents.
const fn wrapped_len(len: usize) -> usize {
    header_len(len) + len
}

/// A ResponseData (4.2.1), of the default version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseData<'a> {
    /// The ResponderID.
    pub(crate) responder_id: &'a [u8],
    /// When it was signed.
    pub(crate) produced_at: Timestamp,
    /// What it says.
    pub(crate) singles: &'a [Single<'a>],
    /// responseExtensions, or nothing.
    pub(crate) extensions: &'a [u8],
}

impl ResponseData<'_> {
    /// Counts the octets of `responses`, without tag and length.
    fn singles_len(&self) -> usize {
        let one = |single: &Single<'_>| wrapped_len(single.content_len());
        self.singles.iter().map(one).sum()
    }

    /// Counts its octets, without tag and length.
    fn content_len(&self) -> usize {
        let singles = wrapped_len(self.singles_len());
        self.responder_id.len() + TIME_LEN + singles + self.extensions.len()
    }

    /// Appends it.
    fn append(&self, out: &mut Vec<u8>) {
        append_header(out, tlv::SEQUENCE, self.content_len());
        out.extend_from_slice(self.responder_id);
        append_time(out, self.produced_at);
        append_header(out, tlv::SEQUENCE, self.singles_len());
        for single in self.singles {
            single.append(out);
        }
        out.extend_from_slice(self.extensions);
    }

    /// Encodes it.
    pub(crate) fn to_der(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(wrapped_len(self.content_len()));
        self.append(&mut out);
        out
    }

    /// Encodes an OCSPResponse with it, in one allocation.
    pub(crate) fn to_response(self, behind: &Behind<'_>) -> Vec<u8> {
        response(wrapped_len(self.content_len()), behind, |out| {
            self.append(out)
        })
    }
}

/// What stands behind a ResponseData.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind<'a> {
    /// The signature's AlgorithmIdentifier.
    pub(crate) algorithm_der: &'a [u8],
    /// The signature.
    pub(crate) signature: &'a [u8],
    /// `certs`, or nothing.
    pub(crate) certificates: &'a [u8],
}

/// Encodes an OCSPResponse (4.2.1) around a ResponseData of so many octets, in one
/// allocation.
pub(crate) fn response(
    data_len: usize,
    behind: &Behind<'_>,
    append_data: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let bits = 1 + behind.signature.len();
    let basic =
        data_len + behind.algorithm_der.len() + wrapped_len(bits) + behind.certificates.len();
    let octets = wrapped_len(basic);
    let response_bytes = BASIC.len() + wrapped_len(octets);
    let tagged = wrapped_len(response_bytes);
    let outer = SUCCESSFUL.len() + wrapped_len(tagged);
    let mut out = Vec::with_capacity(wrapped_len(outer));
    append_header(&mut out, tlv::SEQUENCE, outer);
    out.extend(SUCCESSFUL);
    append_header(&mut out, tlv::context_constructed(0), tagged);
    append_header(&mut out, tlv::SEQUENCE, response_bytes);
    out.extend(BASIC);
    append_header(&mut out, tlv::OCTET_STRING, octets);
    append_header(&mut out, tlv::SEQUENCE, basic);
    append_data(&mut out);
    out.extend_from_slice(behind.algorithm_der);
    append_header(&mut out, tlv::BIT_STRING, bits);
    out.push(0);
    out.extend_from_slice(behind.signature);
    out.extend_from_slice(behind.certificates);
    out
}
