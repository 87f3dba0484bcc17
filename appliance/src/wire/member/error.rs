//! Why a service could not be started, and what is to be done.

use mesh::CaClientError;

use crate::config::Member;
use crate::failure::{Cause, Failure};

/// Why a service that is a member of the mesh could not be started.
#[derive(Debug, thiserror::Error)]
pub(in crate::wire) enum StartError {
    /// Nobody has given it an identity.
    #[error("this service has no certificate, and no enrolment identity to ask the CA for one")]
    NotEnrolled,
    /// TLS, a listener or the CA.
    #[error(transparent)]
    Mesh(#[from] mesh::Error),
    /// The token.
    #[error("the keystore did not do it")]
    KeyStore(#[from] hsm_keystore::Error),
    /// A chain without the issuing authority.
    #[error("the chain that the CA gave does not hold the issuing authority's certificate")]
    NoIssuer,
    /// A task that ended by a fault.
    #[error("a task ended by a fault")]
    Task(#[from] tokio::task::JoinError),
    /// What is the service's own.
    #[error("{source}")]
    Own {
        /// What stopped it.
        source: Cause,
        /// Whether the same may succeed later without this process being started again.
        passes: bool,
        /// What to do; the service's own words where it has any.
        advice: Option<&'static str>,
    },
}

impl StartError {
    /// Tells whether the same may succeed later without this process being
    /// started again: the CA or the token is away, an identity that counts was not
    /// left yet.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::NotEnrolled => true,
            // Refused or not: the remedy, another identity, comes from the running CA,
            // which may be of this very process.
            Self::Mesh(mesh::Error::Ca(_)) => true,
            // Trust that the CA's first start has yet to leave.
            Self::Mesh(mesh::Error::File { act: "read", .. }) => true,
            Self::Mesh(mesh::Error::KeyStore(error)) | Self::KeyStore(error) => {
                error.retry_after().is_some()
            }
            Self::Own { passes, .. } => *passes,
            Self::Mesh(_) | Self::NoIssuer | Self::Task(_) => false,
        }
    }

    /// Says it to a person.
    pub(super) fn into_failure(self, member: &Member<'_>) -> Failure {
        let advice = self.advice(member);
        Failure::because(format!("start the {}", member.title), self).next(advice)
    }

    /// Says what to do.
    fn advice(&self, member: &Member<'_>) -> String {
        let (name, section) = (&member.service.name, member.name);
        let enrol = format!(
            "leave an enrolment identity in its keystore: chancery identity issue --role \
             {section} {name} on the CA's machine, or chancery init while the CA is stopped"
        );
        match self {
            Self::NotEnrolled => enrol,
            Self::Mesh(mesh::Error::Ca(error)) => ca_advice(error, member, &enrol),
            Self::Mesh(mesh::Error::Bind { .. }) => {
                let variable = section.to_uppercase();
                format!(
                    "choose other ports: [{section}.open] listen and [{section}.mesh] listen, or \
                     CHANCERY__{variable}__OPEN__LISTEN and CHANCERY__{variable}__MESH__LISTEN"
                )
            }
            Self::Own {
                advice: Some(advice),
                ..
            } => (*advice).to_owned(),
            _ => "chancery check tells what is wrong".to_owned(),
        }
    }
}

/// Says what to do about a CA that did not certify.
fn ca_advice(error: &CaClientError, member: &Member<'_>, enrol: &str) -> String {
    if error.is_transient() {
        format!(
            "start the CA with `chancery serve`, or name where it is in [{}.service] ca_url; \
             {} was tried",
            member.name, member.ca_url
        )
    } else {
        format!("if its identity ended or was revoked, {enrol}")
    }
}
