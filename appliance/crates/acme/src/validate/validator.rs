//! [`ValidateChallenge`] from this server's own vantage point.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mesh::dial::{Dialler, Host};
use mesh::resolve::Resolve;
use model::acme::{ChallengeKind, Identifier};

use super::config::CheckedValidation;
use super::failure::Failure;
use super::method::fits;
use super::task::Task;
use super::tls::TlsClients;
use super::{Proof, ValidateChallenge, dns, http, tls_alpn};
use crate::caa::{CaaChecker, CaaQuestion};

/// Validates from where this server stands.
#[derive(Debug)]
pub struct Validator {
    /// Methods, ports and limits.
    pub(super) config: CheckedValidation,
    /// Connects.
    pub(super) dialler: Dialler,
    /// How it talks TLS.
    pub(super) tls: TlsClients,
    /// Asks CAA in the same attempt.
    caa: Option<CaaChecker>,
}

impl Validator {
    /// Makes a validator.
    ///
    /// # Errors
    ///
    /// When rustls does not take its provider's own settings.
    pub(super) fn new(
        config: CheckedValidation,
        resolve: Arc<dyn Resolve>,
        caa: Option<CaaChecker>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            dialler: Dialler::new(resolve, config.addresses.clone(), config.connect_timeout),
            tls: TlsClients::new()?,
            config,
            caa,
        })
    }

    /// Looks for the proof by the task's kind of challenge.
    async fn attempt(&self, task: &Task) -> Result<Proof, Failure> {
        let offered = self.config.methods.contains(&task.kind);
        if !offered || !fits(task.kind, &task.identifier, task.wildcard) {
            return Err(dns::unsupported(task));
        }
        let resolve = self.dialler.resolve();
        match (task.kind, &task.identifier) {
            (ChallengeKind::Http01, _) => http::validate(self, task).await,
            (ChallengeKind::TlsAlpn01, _) => tls_alpn::validate(self, task).await,
            (ChallengeKind::Dns01, Identifier::Dns(name)) => {
                let name = dns::challenge_name(name);
                dns::validate(resolve, &name, &task.key_authorization).await
            }
            (ChallengeKind::DnsAccount01, Identifier::Dns(name)) => {
                let name = dns::account_challenge_name(name, &task.account_url);
                dns::validate(resolve, &name, &task.key_authorization).await
            }
            // An attestation comes with the client's response and is judged there.
            (
                ChallengeKind::Dns01 | ChallengeKind::DnsAccount01,
                Identifier::Ip(_) | Identifier::PermanentIdentifier(_),
            )
            | (ChallengeKind::DeviceAttest01, _) => Err(dns::unsupported(task)),
        }
    }

    /// Asks CAA, and tells whether there was anything to ask.
    async fn check_caa(&self, task: &Task) -> Result<bool, Failure> {
        let (Some(caa), Identifier::Dns(name)) = (&self.caa, &task.identifier) else {
            return Ok(false);
        };
        caa.check(&CaaQuestion {
            name,
            wildcard: task.wildcard,
            account_url: &task.account_url,
            kind: task.kind,
        })
        .await?;
        Ok(caa.applies_to(name))
    }
}

#[async_trait]
impl ValidateChallenge for Validator {
    async fn validate(&self, task: &Task) -> Result<Proof, Failure> {
        let host = Host::from(&task.identifier);
        let limit = self.config.attempt_timeout;
        within(limit, &host, "the attempt", async {
            // The proof is told first where both fail: it is the client's to mend.
            let proof = self.attempt(task).await?;
            let caa_checked = self.check_caa(task).await?;
            Ok(Proof {
                caa_checked,
                ..proof
            })
        })
        .await
    }
}

/// Ends a step that takes too long.
pub(super) async fn within<T>(
    limit: Duration,
    host: &Host,
    step: &'static str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Timeout {
            host: host.to_string().into(),
            step,
            limit,
        }),
    }
}
