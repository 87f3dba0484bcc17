//! Devices' attestations: the response to device-attest-01 holds the proof, so it is
//! judged when it comes (draft-ietf-acme-device-attest, 5).

use std::sync::Arc;
use std::time::Instant;

use model::acme::{ChallengeId, Identifier};
use pki::public_key::PublicKey;
use store::acme::{Authorization, Order, Validation};
use tracing::info;

use super::Acme;
use super::order::after;
use super::refusal::store_problem;
use super::request::{Context, Signed};
use crate::jws::base64url;
use crate::problem::{AcmeProblem, ErrorType};
use crate::validate::{
    AttestationProblem, AttestationQuestion, AttestedKey, Attestor, Failure, KeyAuthorization,
};
use crate::wire::AttestationRequest;

impl Acme {
    /// Judges the attestation in a response, and records what it came to: valid or
    /// invalid, in one act.
    ///
    /// # Errors
    ///
    /// `malformed` for a response without `attObj`, or where attestations are switched
    /// off by now; what the store stops at.
    pub(super) async fn attest(
        &self,
        context: &Context,
        signed: &Signed,
        id: &ChallengeId,
        authorization: &Authorization,
    ) -> Result<Arc<Authorization>, AcmeProblem> {
        let (account, _) = signed.account()?;
        let attestor = self.attestor.as_ref().ok_or_else(|| {
            AcmeProblem::malformed("device-attest-01 was switched off on this server")
        })?;
        let request: AttestationRequest = signed.json()?;
        self.metrics.response(id.kind.as_str());
        let thumbprint = base64url::encode(&account.key.thumbprint);
        let question = AttestationQuestion {
            identifier: &authorization.identifier,
            key_authorization: &KeyAuthorization::new(&authorization.token, &thumbprint),
            at: context.now,
        };
        let began = Instant::now();
        let verdict = judge(attestor, &request, &question).map_err(Failure::from);
        let failure = verdict.as_ref().err();
        self.scheduler
            .note_attempt(authorization, id.kind, failure, began.elapsed());
        let identifier = &authorization.identifier;
        let validation = match &verdict {
            Ok(AttestedKey(key)) => {
                info!(
                    acme.challenge = %id,
                    acme.account = %account.id,
                    acme.identifier = %identifier,
                    key.sha256 = %hex::encode(key),
                    "device {identifier} attested its key"
                );
                Validation::Succeeded {
                    valid_until: after(context.now, self.config.authorization_lifetime),
                    attested_key: Some(*key),
                }
            }
            Err(failure) => {
                info!(
                    acme.challenge = %id,
                    acme.account = %account.id,
                    acme.identifier = %identifier,
                    problem.r#type = %failure.error_type(),
                    "device {identifier} did not attest its key: {failure}"
                );
                Validation::Failed {
                    error: failure.to_record(),
                }
            }
        };
        let validated = self
            .store
            .record_validation(id, validation, context.now)
            .await
            .map_err(store_problem)?;
        Ok(validated.authorization)
    }

    /// Holds a certificate request to the keys that the order's devices attested.
    ///
    /// # Errors
    ///
    /// `badCSR` for another key, or where a device attested none.
    pub(super) async fn check_attested_keys(
        &self,
        context: &Context,
        order: &Order,
        key: &PublicKey,
    ) -> Result<(), AcmeProblem> {
        if !order.identifiers.iter().any(Identifier::is_device) {
            return Ok(());
        }
        for id in &order.authorizations {
            let authorization = self
                .store
                .authorization(id, context.now)
                .await
                .map_err(store_problem)?
                .ok_or_else(|| AcmeProblem::not_found("an authorization of the order is gone"))?;
            let device = &authorization.identifier;
            if device.is_device() && authorization.attested_key != Some(key.sha256()) {
                return Err(AcmeProblem::new(
                    ErrorType::BadCsr,
                    format!(
                        "the request is for another key than the one that device {device} attested; make the request with the attested key, or attest this one in a new order"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Verifies the attestation in a response.
fn judge(
    attestor: &Attestor,
    request: &AttestationRequest,
    question: &AttestationQuestion<'_>,
) -> Result<AttestedKey, AttestationProblem> {
    let object_cbor =
        base64url::decode(request.att_obj.as_bytes()).map_err(|_| AttestationProblem::Base64)?;
    attestor.verify(&object_cbor, question)
}
