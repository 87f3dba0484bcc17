//! One OCSP response about our own certificate, verified before it is shown.

use std::time::Duration;

use jiff::Timestamp;
use model::RevocationReason;
use pki::certificate::{Certificate, CertificateError};
use pki::ocsp::{CertIdHash, CertStatus, IssuerHashes, OcspRefused, Question};
use rustls::pki_types::CertificateDer;

use crate::peer::Fingerprint;

/// A certificate and its issuer's, as OCSP needs them.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The certificate.
    certificate: Certificate,
    /// Its issuer's.
    issuer: Certificate,
    /// SHA-256 of the certificate.
    pub(crate) fingerprint: Fingerprint,
}

/// Why there is nothing to ask or show about a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSubject {
    /// No leaf.
    #[error("the chain is empty")]
    Empty,
    /// A leaf that cannot be read.
    #[error("the leaf cannot be read")]
    Leaf(#[from] CertificateError),
    /// Nobody known has signed the leaf.
    #[error("the chain has no certificate of the leaf's issuer")]
    NoIssuer,
}

/// What a response says of the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Staple {
    /// Whether it counts.
    pub(crate) standing: Standing,
    /// When that was known.
    pub(crate) this_update: Timestamp,
    /// Last moment at which it may be shown.
    pub(crate) next_update: Timestamp,
}

/// Whether a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does.
    Good,
    /// It does not.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
}

/// Why a response is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StapleRefused {
    /// It cannot be trusted, is an error, or says nothing of the certificate.
    #[error("the OCSP response cannot be used")]
    Response(#[from] OcspRefused),
    /// The responder does not know the certificate.
    #[error("the OCSP responder does not know the certificate")]
    Unknown,
    /// RFC 9919, 4.2.1: nextUpdate tells how long it may be kept.
    #[error("the OCSP response does not say how long it may be shown")]
    NoNextUpdate,
    /// It may not be shown any more.
    #[error("the OCSP response has expired")]
    Expired,
}

impl Subject {
    /// Finds leaf and issuer in a chain, or the issuer among `more`.
    ///
    /// Bytes may be a peer's: never panics.
    pub(crate) fn find<'c>(
        leaf: Option<&CertificateDer<'_>>,
        others: impl IntoIterator<Item = &'c CertificateDer<'c>>,
    ) -> Result<Self, NoSubject> {
        let leaf = leaf.ok_or(NoSubject::Empty)?;
        let certificate = Certificate::from_der(leaf)?;
        let issuer = others
            .into_iter()
            .filter_map(|der| Certificate::from_der(der).ok())
            .filter(|issuer| issuer.subject_der() == certificate.issuer_der())
            .find(|issuer| certificate.verify_signed_by(issuer.public_key()).is_ok())
            .ok_or(NoSubject::NoIssuer)?;
        Ok(Self {
            fingerprint: Fingerprint::of(leaf),
            certificate,
            issuer,
        })
    }

    /// Encodes the question about the certificate, without a nonce: what others
    /// were answered does for us as well.
    pub(crate) fn request(&self) -> Vec<u8> {
        // Clients look for their own CertID in a staple, and many know only the
        // one with SHA-1 (curl, NSS); nothing hangs on its strength.
        let hashes = IssuerHashes::of(&self.issuer);
        let cert_id = hashes.cert_id_der(CertIdHash::Sha1, self.certificate.serial());
        pki::ocsp::encode_request(&[&cert_id], None)
    }

    /// Verifies a response about the certificate.
    ///
    /// Bytes are hostile: never panics.
    pub(crate) fn read(
        &self,
        response_der: &[u8],
        now: Timestamp,
        skew: Duration,
    ) -> Result<Staple, StapleRefused> {
        let question = Question {
            serial: self.certificate.serial(),
            issuer: &self.issuer,
            nonce: None,
            now,
            skew,
        };
        let answer = pki::ocsp::verify_response(response_der, &question)?;
        Ok(Staple {
            standing: match answer.status {
                CertStatus::Good => Standing::Good,
                CertStatus::Revoked { at, reason } => Standing::Revoked { at, reason },
                CertStatus::Unknown => return Err(StapleRefused::Unknown),
            },
            this_update: answer.this_update,
            next_update: answer.next_update.ok_or(StapleRefused::NoNextUpdate)?,
        })
    }
}
