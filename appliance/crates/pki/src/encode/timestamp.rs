//! Time-stamps (RFC 3161, 2.4): requests, TSTInfo and responses.

use const_oid::ObjectIdentifier;
use model::SerialNumber;
use model::signing::ArtifactDigest;
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_INTEGER};
use yasna::{DERWriter, Tag, construct_der};

use super::cms::{wrap, write_hash};
use super::{write_octets, write_oid};
use crate::timestamp::{Accuracy, FailureInfo};
use crate::tlv;

/// Writes the INTEGER of a big-endian number without sign.
fn write_unsigned(writer: DERWriter<'_>, magnitude: &[u8]) {
    writer.write_bigint_bytes(magnitude, true);
}

/// Encodes a MessageImprint.
pub(crate) fn imprint(digest: &ArtifactDigest) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|imprint| {
            write_hash(imprint.next(), digest.algorithm());
            imprint.next().write_bytes(digest.octets());
        });
    })
}

/// Encodes a TimeStampReq (2.4.1); the nonce is big-endian, without sign.
pub(crate) fn request(
    digest: &ArtifactDigest,
    policy: Option<&ObjectIdentifier>,
    nonce: Option<&[u8]>,
    certificate: bool,
) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|request| {
            request.next().write_u8(1);
            request.next().write_der(&imprint(digest));
            if let Some(policy) = policy {
                write_oid(request.next(), policy);
            }
            if let Some(nonce) = nonce {
                write_unsigned(request.next(), nonce);
            }
            // DEFAULT FALSE is not written.
            if certificate {
                request.next().write_bool(true);
            }
        });
    })
}

/// What a TSTInfo says (2.4.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct TstInfo<'a> {
    /// Under which policy.
    pub(crate) policy: &'a ObjectIdentifier,
    /// The MessageImprint, as it was asked.
    pub(crate) imprint_der: &'a [u8],
    /// The number.
    pub(crate) serial: &'a SerialNumber,
    /// Contents of the GeneralizedTime.
    pub(crate) gen_time: &'a [u8],
    /// How exact that is.
    pub(crate) accuracy: Option<Accuracy>,
    /// Whether times of one authority can always be ordered.
    pub(crate) ordering: bool,
    /// Contents of the nonce's INTEGER, as it was asked.
    pub(crate) nonce: Option<&'a [u8]>,
    /// The authority's Name.
    pub(crate) name_der: Option<&'a [u8]>,
}

impl TstInfo<'_> {
    /// Encodes it.
    pub(crate) fn to_der(self) -> Vec<u8> {
        construct_der(|writer| {
            writer.write_sequence(|info| {
                info.next().write_u8(1);
                write_oid(info.next(), self.policy);
                info.next().write_der(self.imprint_der);
                write_octets(info.next(), TAG_INTEGER, self.serial.as_der_content());
                write_octets(info.next(), TAG_GENERALIZEDTIME, self.gen_time);
                if let Some(accuracy) = self.accuracy {
                    write_accuracy(info.next(), accuracy);
                }
                // DEFAULT FALSE is not written.
                if self.ordering {
                    info.next().write_bool(true);
                }
                if let Some(nonce) = self.nonce {
                    write_octets(info.next(), TAG_INTEGER, nonce);
                }
                if let Some(name) = self.name_der {
                    // [0] and directoryName [4]: both of a CHOICE, so both explicit.
                    info.next().write_tagged(Tag::context(0), |general| {
                        general.write_tagged(Tag::context(4), |tagged| tagged.write_der(name));
                    });
                }
            });
        })
    }
}

/// Writes an Accuracy; parts of zero are left out.
fn write_accuracy(writer: DERWriter<'_>, accuracy: Accuracy) {
    writer.write_sequence(|parts| {
        if accuracy.seconds > 0 {
            parts.next().write_u32(accuracy.seconds);
        }
        for (number, part) in [(0, accuracy.millis), (1, accuracy.micros)] {
            if part > 0 {
                parts
                    .next()
                    .write_tagged_implicit(Tag::context(number), |value| value.write_u16(part));
            }
        }
    });
}

/// Encodes a TimeStampResp with a token.
pub(crate) fn granted(token_der: &[u8]) -> Vec<u8> {
    // PKIStatusInfo { granted (0) }.
    wrap(tlv::SEQUENCE, &[&[0x30, 0x03, 0x02, 0x01, 0x00], token_der])
}

/// Encodes a TimeStampResp without a token (RFC 3161, 2.4.2; RFC 4210, 5.2.3).
pub(crate) fn rejected(failure: FailureInfo, text: &str) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|response| {
            response.next().write_sequence(|info| {
                // rejection.
                info.next().write_u8(2);
                if !text.is_empty() {
                    info.next()
                        .write_sequence(|texts| texts.next().write_utf8_string(text));
                }
                let bit = usize::from(failure.bit());
                let mut octets = vec![0; bit / 8 + 1];
                if let Some(last) = octets.last_mut() {
                    *last = 0x80 >> (bit % 8);
                }
                // X.690, 11.2.2: a named bit list ends in a one.
                info.next().write_bitvec_bytes(&octets, bit + 1);
            });
        });
    })
}
