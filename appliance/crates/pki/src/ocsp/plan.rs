//! What a response is to say, and its encoding.

use model::{RevocationReason, Timestamp};

use super::{CertId, Responder};
use crate::encode::ocsp::{self as encode, CertIdOctets, Single};

/// Why there is no answer (RFC 6960, 4.2.1: OCSPResponseStatus).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorStatus {
    /// The request is none (1).
    MalformedRequest,
    /// The responder is in an inconsistent state (2).
    InternalError,
    /// The responder cannot answer now (3).
    TryLater,
    /// The request must be signed (5).
    SigRequired,
    /// The client may not ask this, or this responder cannot answer it (6).
    Unauthorized,
}

impl ErrorStatus {
    /// Every status but success.
    pub const ALL: [Self; 5] = [
        Self::MalformedRequest,
        Self::InternalError,
        Self::TryLater,
        Self::SigRequired,
        Self::Unauthorized,
    ];

    /// Returns the ENUMERATED value.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::SigRequired => 5,
            Self::Unauthorized => 6,
        }
    }

    /// Returns the name as RFC 6960 spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformedRequest",
            Self::InternalError => "internalError",
            Self::TryLater => "tryLater",
            Self::SigRequired => "sigRequired",
            Self::Unauthorized => "unauthorized",
        }
    }

    /// Returns the OCSPResponse, DER: it is not signed.
    #[must_use]
    pub const fn der(self) -> &'static [u8] {
        match self {
            Self::MalformedRequest => &[0x30, 0x03, 0x0a, 0x01, 0x01],
            Self::InternalError => &[0x30, 0x03, 0x0a, 0x01, 0x02],
            Self::TryLater => &[0x30, 0x03, 0x0a, 0x01, 0x03],
            Self::SigRequired => &[0x30, 0x03, 0x0a, 0x01, 0x05],
            Self::Unauthorized => &[0x30, 0x03, 0x0a, 0x01, 0x06],
        }
    }
}

impl std::fmt::Display for ErrorStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertStatus {
    /// Not revoked.
    Good,
    /// Revoked, for good or on hold.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why; unspecified is left out.
        reason: RevocationReason,
    },
    /// Not issued here, as far as is known.
    Unknown,
}

impl CertStatus {
    /// Says that a certificate was never issued (RFC 6960, 2.2): revoked, on hold, since
    /// 1970. The response must then say that it uses "revoked" so.
    #[must_use]
    pub const fn not_issued() -> Self {
        Self::Revoked {
            at: Timestamp::UNIX_EPOCH,
            reason: RevocationReason::CertificateHold,
        }
    }
}

/// One certificate's status, about to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Which certificate, as it was asked or by [`super::IssuerHashes::cert_id_der`].
    pub cert_id: CertId<'a>,
    /// Its status.
    pub status: CertStatus,
    /// When the status was known to be right.
    pub this_update: Timestamp,
    /// When more will be known, at the latest.
    pub next_update: Timestamp,
    /// Since when the statuses of expired certificates are kept (RFC 6960, 4.4.4).
    pub archive_cutoff: Option<Timestamp>,
}

/// What one response is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponsePlan<'a> {
    /// When it is signed.
    pub produced_at: Timestamp,
    /// Its answers, at least one.
    pub answers: &'a [Answer<'a>],
    /// The request's nonce, if it is answered (RFC 9654).
    pub nonce: Option<&'a [u8]>,
    /// Whether certificates that were never issued are called revoked (4.4.8).
    pub extended_revoke: bool,
}

/// A ResponseData encoded, waiting for its lint.
#[derive(Debug)]
pub struct PlannedResponse {
    /// The ResponseData.
    pub(super) data_der: Vec<u8>,
}

impl ResponsePlan<'_> {
    /// Encodes what is to be signed.
    #[must_use]
    pub fn encode(&self, responder: &Responder) -> PlannedResponse {
        let singles: Vec<Single<'_>> = self.answers.iter().map(Answer::single).collect();
        let data = encode::ResponseData {
            responder_id: responder.responder_id_der(),
            produced_at: self.produced_at,
            singles: &singles,
            extensions: &encode::response_extensions(self.nonce, self.extended_revoke),
        };
        PlannedResponse {
            data_der: data.to_der(),
        }
    }
}

impl<'a> Answer<'a> {
    /// Takes the answer as it is encoded.
    fn single(&self) -> Single<'a> {
        Single {
            cert_id: CertIdOctets::Whole(self.cert_id.der()),
            status: self.status,
            this_update: self.this_update,
            next_update: self.next_update,
            archive_cutoff: self.archive_cutoff,
        }
    }
}

impl PlannedResponse {
    /// Returns the ResponseData, DER, not yet linted.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.data_der
    }
}
