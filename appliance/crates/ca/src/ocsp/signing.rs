//! Who signs answers, and how an answer comes to be signed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hsm_keystore::{Priority, PrivateKey, SignJob, SignatureScheme};
use model::{IssuerId, Timestamp};
use pki::certificate::Certificate;
use pki::lint::AssembleError;
use pki::ocsp::{self, NotAResponder, OcspLintFindings, ResponsePlan, SignedResponse};

use super::metrics::{OcspMetrics, Purpose};
use crate::schemes::signature_algorithm;

/// A responder's certificate, under which answers were signed; its key may be away.
#[derive(Debug)]
pub(crate) struct Signatory {
    /// By what ready answers name it.
    pub(crate) id: u16,
    /// What is the same in all its answers.
    pub(crate) responder: ocsp::Responder,
    /// Its certificate.
    pub(crate) certificate: Certificate,
    /// How its key signs.
    pub(crate) scheme: SignatureScheme,
}

/// A signatory with its key.
#[derive(Debug)]
pub(crate) struct Signing {
    /// The certificate.
    pub(crate) signatory: Arc<Signatory>,
    /// The key.
    pub(crate) key: Arc<dyn PrivateKey>,
}

/// Why an answer was not signed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NotSigned {
    /// There is no certificate for the responder's key yet, or it has expired.
    #[error("the responder of {issuer} has no certificate that counts")]
    NoCertificate {
        /// Whose responder.
        issuer: IssuerId,
    },
    /// The token did not sign.
    #[error("the token did not sign an OCSP response")]
    KeyStore(#[from] hsm_keystore::Error),
    /// What was planned breaks a rule; only a fault of ours.
    #[error("an OCSP response that was planned is faulty")]
    Lint(#[from] OcspLintFindings),
    /// What the token gave is no signature over what was linted.
    #[error("an OCSP response could not be assembled")]
    Assemble(#[from] AssembleError),
}

impl NotSigned {
    /// Tells whether the same may succeed later by itself.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoCertificate { .. } | Self::KeyStore(_) => true,
            Self::Lint(_) | Self::Assemble(_) => false,
        }
    }
}

/// How urgent a signature is, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errand {
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// Its place in the token's queue.
    pub(crate) priority: Priority,
    /// Time until it must be there.
    pub(crate) timeout: Duration,
}

impl Signatory {
    /// Takes a responder's certificate, issued by `issuer` for this purpose.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub(crate) fn new(
        id: u16,
        certificate: Certificate,
        issuer: &Certificate,
        scheme: SignatureScheme,
    ) -> Result<Self, NotAResponder> {
        let algorithm = signature_algorithm(scheme);
        Ok(Self {
            id,
            responder: ocsp::Responder::delegated(&certificate, issuer, algorithm)?,
            certificate,
            scheme,
        })
    }

    /// Returns when renewal is due: at two thirds of the certificate's life.
    pub(crate) fn renew_at(&self) -> Timestamp {
        let (first, last) = (self.certificate.not_before(), self.certificate.not_after());
        first + last.duration_since(first) * 2 / 3
    }

    /// Returns the last second of its certificate.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.certificate.not_after()
    }
}

impl Signing {
    /// Plans, lints, signs and assembles.
    ///
    /// # Errors
    ///
    /// `KeyStore` when the token did not sign; `Lint` and `Assemble` are faults
    /// of ours or of the token.
    pub(crate) async fn sign(
        &self,
        plan: &ResponsePlan<'_>,
        errand: Errand,
        metrics: &OcspMetrics,
    ) -> Result<(SignedResponse, Duration), NotSigned> {
        let responder = &self.signatory.responder;
        let linted = ocsp::lint(plan.encode(responder), responder, plan.produced_at)?;
        // The keystore verifies what the token returns with the public key.
        let job = SignJob::message(self.signatory.scheme, linted.der())
            .with_priority(errand.priority)
            .with_timeout(errand.timeout);
        let began = Instant::now();
        let outcome = self.key.sign(job).await;
        let took = began.elapsed();
        metrics.signed(errand.purpose, took, outcome.is_ok());
        Ok((linted.assemble(&outcome?)?, took))
    }
}
