//! Revocation (RFC 8555, 7.6).

use aws_lc_rs::digest::{SHA256, digest};
use mesh::wire::{RevokeKeyRequest, RevokeRequest as CaRequest, RevokeTarget};
use mesh::{CaClientError, ProblemType};
use model::RevocationReason;
use model::acme::Identifier;
use pki::certificate::Certificate;
use pki::names::AlternativeName;
use serde_json::Value;
use store::acme::Account;

use super::Acme;
use super::refusal::store_problem;
use super::request::{Context, Notes, Signed, Signer};
use crate::jws::base64url;
use crate::problem::{AcmeProblem, ErrorType};
use crate::wire::RevokeRequest;

impl Acme {
    /// Revokes a certificate for who may (7.6).
    ///
    /// # Errors
    ///
    /// `unauthorized`, `alreadyRevoked`, `badRevocationReason`, or what the request
    /// or the CA stops at.
    pub(crate) async fn revoke_certificate(
        &self,
        context: &Context,
        signed: &Signed,
        notes: &mut Notes,
    ) -> Result<(), AcmeProblem> {
        let request: RevokeRequest = signed.json()?;
        let certificate_der = base64url::decode(request.certificate.as_bytes()).map_err(|_| {
            AcmeProblem::malformed("certificate is not base64url of DER without padding")
        })?;
        let certificate = Certificate::from_der(&certificate_der)
            .map_err(|error| AcmeProblem::malformed(format!("certificate: {error}")))?;
        notes.serial = Some(certificate.serial().to_string());
        let reason = read_reason(request.reason.as_ref())?;
        match &signed.signer {
            // RFC 8555, 7.6: the key pair in the certificate.
            Signer::Key(key) => {
                if key.spki_der() != certificate.public_key().spki_der() {
                    return Err(AcmeProblem::unauthorized(
                        "the request is signed by another key than the certificate's",
                    ));
                }
            }
            Signer::Account { account, .. } => {
                if !self.may_revoke(context, account, &certificate).await? {
                    return Err(AcmeProblem::unauthorized(
                        "the account neither ordered the certificate nor holds authorizations for all its names",
                    ));
                }
            }
        }
        // Whoever signs with the key itself has shown that it is out.
        let key_is_out = matches!(signed.signer, Signer::Key(_))
            && reason == RevocationReason::KeyCompromise
            && self.revoke_key(context, &certificate).await?;
        if !key_is_out {
            self.ca
                .revoke(&CaRequest {
                    target: RevokeTarget::Certificate(certificate_der),
                    reason,
                    invalidity_date: None,
                    request_id: Some(context.request_id.clone()),
                })
                .await
                .map_err(revocation_problem)?;
        }
        self.forget_renewal(certificate.serial());
        self.metrics.revoked.inc();
        Ok(())
    }

    /// Has every certificate of a compromised key revoked and the key blocked;
    /// false where others' certificates share it, which the CA leaves to its
    /// operator.
    async fn revoke_key(
        &self,
        context: &Context,
        certificate: &Certificate,
    ) -> Result<bool, AcmeProblem> {
        let mut public_key_sha256 = [0; 32];
        let spki = certificate.public_key().spki_der();
        public_key_sha256.copy_from_slice(digest(&SHA256, spki).as_ref());
        let outcome = self
            .ca
            .revoke_key(&RevokeKeyRequest {
                public_key_sha256,
                reason: RevocationReason::KeyCompromise,
                invalidity_date: None,
                request_id: Some(context.request_id.clone()),
            })
            .await;
        match outcome {
            Ok(outcome) => {
                let serial = certificate.serial();
                if outcome
                    .revoked
                    .iter()
                    .any(|record| record.serial == *serial)
                {
                    return Ok(true);
                }
                // Revoked before, or none of this CA's: the CA says which.
                Ok(false)
            }
            Err(error) if error.problem_type() == Some(ProblemType::RevocationForbidden) => {
                Ok(false)
            }
            Err(error) => Err(revocation_problem(error)),
        }
    }

    /// Tells whether an account may revoke a certificate: it ordered it, or holds
    /// authorizations for all its names.
    async fn may_revoke(
        &self,
        context: &Context,
        account: &Account,
        certificate: &Certificate,
    ) -> Result<bool, AcmeProblem> {
        let order = self
            .store
            .order_of_certificate(certificate.serial())
            .await
            .map_err(store_problem)?;
        if order.is_some_and(|order| order.account == account.id) {
            return Ok(true);
        }
        let names = &certificate.extensions().names;
        for name in names {
            let identifier = match name {
                AlternativeName::Dns(name) => Identifier::dns(name.as_str()).ok(),
                AlternativeName::Ip(address) => Some(Identifier::Ip(*address)),
                AlternativeName::Permanent(identifier) => {
                    Identifier::permanent(&identifier.to_string()).ok()
                }
                AlternativeName::Email(_) | AlternativeName::Uri(_) => None,
            };
            let Some(identifier) = identifier else {
                return Ok(false);
            };
            let held = self
                .store
                .valid_authorization(&account.id, &identifier, context.now)
                .await
                .map_err(store_problem)?;
            if held.is_none() {
                return Ok(false);
            }
        }
        Ok(!names.is_empty())
    }
}

/// Reads a reason code (RFC 8555, 7.6).
fn read_reason(given: Option<&Value>) -> Result<RevocationReason, AcmeProblem> {
    use RevocationReason as Reason;
    let bad = |detail: &str| AcmeProblem::new(ErrorType::BadRevocationReason, detail);
    let Some(given) = given else {
        return Ok(Reason::Unspecified);
    };
    let reason = given
        .as_u64()
        .and_then(|code| u8::try_from(code).ok())
        .and_then(|code| Reason::from_code(code).ok())
        .ok_or_else(|| bad("the reason is no code of RFC 5280, 5.3.1"))?;
    match reason {
        Reason::Unspecified
        | Reason::KeyCompromise
        | Reason::AffiliationChanged
        | Reason::Superseded
        | Reason::CessationOfOperation => Ok(reason),
        // A subscriber knows nothing of the CA's keys, holds nothing back and
        // withdraws no privilege.
        Reason::CaCompromise
        | Reason::CertificateHold
        | Reason::RemoveFromCrl
        | Reason::PrivilegeWithdrawn
        | Reason::AaCompromise => Err(bad(
            "clients may give the reasons 0, 1, 3, 4 and 5 (RFC 5280, 5.3.1)",
        )),
    }
}

/// States what the CA refused.
fn revocation_problem(error: CaClientError) -> AcmeProblem {
    match error.problem_type() {
        Some(ProblemType::AlreadyRevoked) => AcmeProblem::new(
            ErrorType::AlreadyRevoked,
            "the certificate is revoked already",
        ),
        Some(ProblemType::SerialUnknown) => AcmeProblem::not_found(
            "no certificate of this CA has this serial number, or it is another one",
        ),
        Some(_) | None if error.is_transient() => AcmeProblem::unavailable(
            "the CA cannot revoke now; ask again",
            std::time::Duration::from_secs(10),
        )
        .caused_by(error),
        Some(_) | None => AcmeProblem::internal(error),
    }
}
