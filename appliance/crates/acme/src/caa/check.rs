//! The climb to the relevant record set (RFC 8659, 3), and when to repeat it.

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use mesh::resolve::Resolve;
use model::acme::{ChallengeState, Identifier};
use pki::names::DnsName;
use store::acme::Authorization;

use super::{CaaQuestion, CaaRefused, CheckedCaa, evaluate, is_address};

/// Asks CAA.
#[derive(Debug, Clone)]
pub struct CaaChecker {
    /// Asks DNS.
    resolve: Arc<dyn Resolve>,
    /// What CAA means here.
    config: CheckedCaa,
}

impl CaaChecker {
    /// Makes the checker.
    #[must_use]
    pub fn new(resolve: Arc<dyn Resolve>, config: CheckedCaa) -> Self {
        Self { resolve, config }
    }

    /// Tells whether CAA is asked about a name: it is switched on, the name is no
    /// address and lies in no exempt name space.
    #[must_use]
    pub fn applies_to(&self, name: &str) -> bool {
        self.config.enabled
            && !is_address(name)
            && !DnsName::new(name).is_ok_and(|name| {
                self.config
                    .exempt
                    .iter()
                    .any(|space| name.is_within(space.as_str()))
            })
    }

    /// Tells whether a check made then must be made again now.
    fn is_stale(&self, checked_at: Timestamp, now: Timestamp) -> bool {
        let age = now.duration_since(checked_at);
        // A check from the future was made by a clock that has been set back.
        age.is_negative() || age.unsigned_abs() > self.config.max_age
    }

    /// Asks again about a valid authorization whose validation is too long ago;
    /// finalizing an order does so for each of its authorizations.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub async fn confirm(
        &self,
        authorization: &Authorization,
        account_url: &str,
        now: Timestamp,
    ) -> Result<(), CaaRefused> {
        let Identifier::Dns(name) = &authorization.identifier else {
            return Ok(());
        };
        for challenge in &authorization.challenges {
            if let ChallengeState::Valid { at } = challenge.state
                && self.is_stale(at, now)
            {
                self.check(&CaaQuestion {
                    name,
                    wildcard: authorization.wildcard,
                    account_url,
                    kind: challenge.kind,
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Asks whether the certificate may be issued. Where CAA does not apply, it may.
    ///
    /// # Errors
    ///
    /// `Lookup` when DNS did not answer, the others when a record forbids it.
    pub async fn check(&self, question: &CaaQuestion<'_>) -> Result<(), CaaRefused> {
        if !self.applies_to(question.name) {
            return Ok(());
        }
        // RFC 8659, 3: the name, then each parent, up to but not including the
        // root; all asked at once, the nearest that has records counts.
        let climb = ancestors(question.name);
        let answers = join_all(climb.iter().map(|name| self.resolve.caa(name))).await;
        for (at, answer) in climb.into_iter().zip(answers) {
            let records = answer.map_err(|failure| CaaRefused::Lookup {
                name: question.name.into(),
                failure,
            })?;
            if !records.is_empty() {
                return evaluate(at, &records, &self.config.identities, question);
            }
        }
        Ok(())
    }
}

/// Returns a name and each of its parents, the nearest first.
fn ancestors(name: &str) -> Vec<&str> {
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    })
    .collect()
}
