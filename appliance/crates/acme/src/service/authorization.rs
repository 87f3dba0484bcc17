//! Authorizations and challenges (RFC 8555, 7.4.1, 7.5).

use std::sync::Arc;

use model::acme::{AuthorizationId, ChallengeId, ChallengeKind, ChallengeState};
use store::acme::{Authorization, PreAuthorization};

use super::Acme;
use super::order::{REUSE_MARGIN, after};
use super::refusal::store_problem;
use super::request::{Context, Notes, Signed};
use crate::problem::{AcmeProblem, ErrorType};
use crate::wire::{AuthorizationUpdateRequest, NewAuthorizationRequest};

impl Acme {
    /// Makes an authorization before any order (7.4.1).
    ///
    /// # Errors
    ///
    /// What the request, the policy or the store stops at.
    pub(crate) async fn new_authorization(
        &self,
        context: &Context,
        signed: &Signed,
        notes: &mut Notes,
    ) -> Result<Arc<Authorization>, AcmeProblem> {
        let (account, _) = signed.account()?;
        self.check_terms(account)?;
        let request: NewAuthorizationRequest = signed.json()?;
        let identifier = self
            .read_identifier(&request.identifier)
            .map_err(|refused| AcmeProblem::of_identifiers(vec![refused]))?;
        // RFC 8555, 7.4.1: a wildcard cannot be pre-authorized.
        if identifier.is_wildcard() {
            return Err(AcmeProblem::malformed(
                "wildcard names are authorized by an order alone (RFC 8555, 7.4.1)",
            ));
        }
        // An attestation is for one key, and so for one order.
        if identifier.is_device() {
            return Err(AcmeProblem::malformed(
                "devices are authorized by an order alone: each certificate's key is attested anew",
            ));
        }
        let identifiers = [identifier];
        notes.identifiers(&identifiers);
        let profile = self.config.default_profile.clone();
        self.admit_order(context, account, &identifiers, &profile, false)
            .await?;
        let [identifier] = identifiers;
        let new = self.new_authorization_for(&identifier, context.now)?;
        let authorization = self
            .store
            .create_authorization(PreAuthorization {
                account: account.id,
                identifier,
                new,
                at: context.now,
                reuse_valid_until: self
                    .config
                    .reuse_authorizations
                    .then(|| after(context.now, REUSE_MARGIN)),
            })
            .await
            .map_err(store_problem)?;
        notes.authorization = Some(authorization.id.to_string());
        Ok(authorization)
    }

    /// Shows or deactivates an authorization (7.5, 7.5.2).
    ///
    /// # Errors
    ///
    /// What the request or the store stops at.
    pub(crate) async fn update_authorization(
        &self,
        context: &Context,
        signed: &Signed,
        id: &AuthorizationId,
        notes: &mut Notes,
    ) -> Result<Arc<Authorization>, AcmeProblem> {
        let authorization = self.own_authorization(context, signed, id, notes).await?;
        if signed.is_get() {
            return Ok(authorization);
        }
        let request: AuthorizationUpdateRequest = signed.json()?;
        if request.status.as_deref() != Some("deactivated") {
            return Err(AcmeProblem::malformed(
                "an authorization's status can only be set to deactivated (RFC 8555, 7.5.2)",
            ));
        }
        for challenge in &authorization.challenges {
            self.scheduler.cancel(&ChallengeId {
                authorization: *id,
                kind: challenge.kind,
            });
        }
        self.store
            .deactivate_authorization(id, context.now)
            .await
            .map_err(store_problem)
    }

    /// Shows a challenge, or takes the client's word that it is ready (7.5.1).
    ///
    /// # Errors
    ///
    /// What the request or the store stops at; `rateLimited` when more wait to be
    /// validated than may.
    pub(crate) async fn challenge(
        &self,
        context: &Context,
        signed: &Signed,
        id: &ChallengeId,
        notes: &mut Notes,
    ) -> Result<Arc<Authorization>, AcmeProblem> {
        notes.challenge = Some(id.kind.as_str());
        let authorization = self
            .own_authorization(context, signed, &id.authorization, notes)
            .await?;
        let missing = || AcmeProblem::not_found("the authorization offers no such challenge");
        let challenge = authorization.challenge(id.kind).ok_or_else(missing)?;
        if signed.is_get() {
            return Ok(authorization);
        }
        // RFC 8555, 7.5.1: an object; what it holds is the challenge's to say, and
        // all but device-attest-01 say nothing. Older clients send keyAuthorization.
        let _: serde_json::Map<String, serde_json::Value> = signed.json()?;
        if let ChallengeState::Valid { .. } | ChallengeState::Invalid { .. } = challenge.state {
            return Ok(authorization);
        }
        if id.kind == ChallengeKind::DeviceAttest01 {
            return self.attest(context, signed, id, &authorization).await;
        }
        let first = matches!(challenge.state, ChallengeState::Pending);
        let authorization = self
            .store
            .begin_challenge(id, context.now)
            .await
            .map_err(store_problem)?;
        if first {
            self.metrics.response(id.kind.as_str());
        }
        self.submit(&authorization, id.kind).map_err(|full| {
            AcmeProblem::new(ErrorType::RateLimited, full.to_string()).retry_after(full.retry_after)
        })?;
        Ok(authorization)
    }

    /// Finds an authorization of the account that asks.
    async fn own_authorization(
        &self,
        context: &Context,
        signed: &Signed,
        id: &AuthorizationId,
        notes: &mut Notes,
    ) -> Result<Arc<Authorization>, AcmeProblem> {
        notes.authorization = Some(id.to_string());
        let (account, _) = signed.account()?;
        let authorization = self
            .store
            .authorization(id, context.now)
            .await
            .map_err(store_problem)?
            .filter(|authorization| authorization.account == account.id)
            .ok_or_else(|| AcmeProblem::not_found("the account has no such authorization"))?;
        notes.order = authorization.order.map(|order| order.to_string());
        notes.identifiers(&[authorization.ordered()]);
        Ok(authorization)
    }
}
