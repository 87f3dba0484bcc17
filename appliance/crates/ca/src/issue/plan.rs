//! From a checked request to bytes that may be signed: planned, linted and, where the
//! profile wants it, timestamped by the CA's own log key.

use model::Timestamp;
use pki::csr::CheckedCsr;
use pki::lint::{self, LintedTbs};
use pki::names::UriName;
use pki::profile::{Lifetime, PlanRequest, PlannedCertificate, Profile, Timestamps};

use super::{Ca, IssueRequest};
use crate::ct::LogKey;
use crate::metrics::Step;
use crate::refusal::Refusal;
use crate::revocations::shard_of;

/// What one certificate is planned from.
pub(super) struct Basis<'a> {
    /// The request, checked.
    pub(super) csr: &'a CheckedCsr,
    /// The profile.
    pub(super) profile: &'a Profile,
    /// The identity to certify.
    pub(super) identity: Option<UriName>,
    /// What was asked.
    pub(super) request: &'a IssueRequest,
}

impl Ca {
    /// Plans the certificate and has the plan linted; where it is to be timestamped, the
    /// timestamp is on disk, then signed, before the certificate is linted with it.
    pub(super) async fn plan(&self, basis: Basis<'_>) -> Result<LintedTbs, Refusal> {
        let began = std::time::Instant::now();
        let now = self.certifier.clock.now();
        let request = self.plan_request(&basis, now)?;
        let facts = &self.authorities.issuing.facts;
        let profile = basis.profile;
        let Some(log) = self.log.as_ref().filter(|_| profile.embeds_sct()) else {
            let linted = lint::lint(planned(profile, &request, self)?, profile, facts)?;
            self.certifier.metrics.step(Step::Plan, began.elapsed());
            return Ok(linted);
        };
        let linted = self.plan_timestamped(log, profile, request, now).await?;
        self.certifier.metrics.step(Step::Plan, began.elapsed());
        Ok(linted)
    }

    /// Plans what the log sees, has it timestamped, and plans again with the timestamp.
    async fn plan_timestamped(
        &self,
        log: &LogKey,
        profile: &Profile,
        mut request: PlanRequest<'_>,
        now: Timestamp,
    ) -> Result<LintedTbs, Refusal> {
        let issuing = &self.authorities.issuing;
        request.timestamps = Timestamps::Awaited;
        let seen = planned(profile, &request, self)?;
        let seen = lint::lint_precertificate(seen, profile, &issuing.facts)?;
        let scts = log
            .timestamp(
                &seen,
                now,
                &issuing.id,
                self.certifier.store.as_ref(),
                self.certifier.sign_timeout,
            )
            .await?;
        request.timestamps = Timestamps::Embedded(&scts);
        let whole = planned(profile, &request, self)?;
        Ok(lint::lint_timestamped(
            whole,
            &seen,
            profile,
            &issuing.facts,
        )?)
    }

    /// Collects what the plan is made from, under a fresh serial number.
    fn plan_request<'a>(
        &self,
        basis: &Basis<'a>,
        now: Timestamp,
    ) -> Result<PlanRequest<'a>, Refusal> {
        let serial = self.serials.draw().map_err(|_| Refusal::NoRandomness)?;
        let shards = self.config.crl.shards;
        Ok(PlanRequest {
            crl_shard: (shards > 0).then(|| shard_of(&serial, shards)),
            identity: basis.identity.clone(),
            validity: basis.request.validity.map(Lifetime::duration),
            forge: basis.request.forge.as_ref(),
            ..PlanRequest::from_csr(basis.csr, serial, now)
        })
    }
}

/// Plans by the issuing authority.
fn planned(
    profile: &Profile,
    request: &PlanRequest<'_>,
    ca: &Ca,
) -> Result<PlannedCertificate, Refusal> {
    profile
        .plan(request, &ca.authorities.issuing.facts)
        .map_err(|source| Refusal::Profile {
            profile: profile.name().clone(),
            source,
        })
}
