//! Whether a CRL may be relied upon (RFC 5280, 6.3.3).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::read::Crl;
use super::{CoveredKinds, IssuingPoint};
use crate::certificate::Certificate;
use crate::profile::KeyUsage;

/// Why a CRL is not relied upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CrlRefused {
    /// Of another issuer.
    #[error("the CRL is not the issuer's: it has another name")]
    Issuer,
    /// By another key of the issuer.
    #[error("the CRL names another key of its issuer")]
    KeyIdentifier,
    /// By a key that may not sign CRLs.
    #[error("the issuer's key may not sign CRLs (no cRLSign)")]
    MayNotSign,
    /// Not signed by the issuer's key.
    #[error("the CRL is not signed by the issuer's key")]
    Signature,
    /// Made later than now.
    #[error("the CRL is of {this_update}, which has not come yet; compare the clocks")]
    NotYet {
        /// When it was made.
        this_update: Timestamp,
    },
    /// Older than its issuer lets it become.
    #[error("the CRL has run out: the next one was due at {next_update}")]
    Stale {
        /// When the next one was due.
        next_update: Timestamp,
    },
    /// Without a time for the next one, so that it never becomes old.
    #[error("the CRL does not say when the next one is due")]
    Endless,
    /// About other certificates.
    #[error("the CRL is about other certificates than this one")]
    Scope,
}

impl Crl<'_> {
    /// Verifies that an issuer signed the CRL, and may.
    ///
    /// # Errors
    ///
    /// `Issuer`, `KeyIdentifier`, `MayNotSign`, `Signature`: nothing was learnt from
    /// this CRL.
    pub fn verify_issued_by(&self, issuer: &Certificate) -> Result<(), CrlRefused> {
        if self.issuer_der() != issuer.subject_der() {
            return Err(CrlRefused::Issuer);
        }
        let extensions = issuer.extensions();
        let named = self.authority_key_identifier();
        if let (Some(named), Some(own)) = (named, &extensions.subject_key_identifier)
            && named != own
        {
            return Err(CrlRefused::KeyIdentifier);
        }
        // 6.3.3 (f): if there is a key usage, cRLSign must be in it.
        let may_sign = extensions
            .key_usage
            .is_none_or(|usages| usages.contains(KeyUsage::CrlSign));
        if !may_sign {
            return Err(CrlRefused::MayNotSign);
        }
        self.verify_signed_by(issuer.public_key())
            .map_err(|_| CrlRefused::Signature)
    }

    /// Checks that the CRL is made already, and the next one not yet due, give or take
    /// how far clocks may differ.
    ///
    /// # Errors
    ///
    /// `NotYet`, `Stale`, `Endless`.
    pub fn check_fresh(&self, now: Timestamp, skew: Duration) -> Result<(), CrlRefused> {
        let skew = SignedDuration::try_from(skew).unwrap_or(SignedDuration::MAX);
        let this_update = self.this_update();
        let next_update = self.next_update().ok_or(CrlRefused::Endless)?;
        if this_update.duration_since(now) > skew {
            return Err(CrlRefused::NotYet { this_update });
        }
        if now.duration_since(next_update) > skew {
            return Err(CrlRefused::Stale { next_update });
        }
        Ok(())
    }

    /// Checks that the CRL would have a certificate on it, were it revoked.
    ///
    /// # Errors
    ///
    /// `Scope` (6.3.3 (b)): another kind of certificate, or another distribution point
    /// than the certificate names.
    pub fn check_covers(&self, certificate: &Certificate) -> Result<(), CrlRefused> {
        let Some(IssuingPoint { urls, only }) = self.issuing_point() else {
            return Ok(());
        };
        let extensions = certificate.extensions();
        let ca = extensions.basic_constraints.unwrap_or_default().ca;
        let kind = match only {
            CoveredKinds::All => true,
            CoveredKinds::UserCertificates => !ca,
            CoveredKinds::CaCertificates => ca,
        };
        // (b)(2)(i): one of the names is in both.
        let named = urls.is_empty() || extensions.crl.iter().any(|url| urls.contains(url));
        if kind && named {
            return Ok(());
        }
        Err(CrlRefused::Scope)
    }
}
